/*
 * Peers over real socket pairs. One side is a peer under test; the other is
 * either a peer too or raw sockets that break one rule each.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/table.h"
#include "lib/log.h"
#include "sys/fdpass.h"
#include "tests/unit/unit.h"

/* What one side saw. */
struct side {
	struct ipc_peer *peer;
	enum ipc_phase phase;
	struct ipc_dispatch dispatch;
	unsigned n_handled;
	uint16_t last_type;
	char last_text[64];
	unsigned n_fds;
	bool gone, broke;
	char why[600];
	int result; /* of the handler */
	bool end_inside, free_inside;
};

static struct ev_loop *loop;
static int raw[2]; /* the breaker's ends: data, control */

static int
on_any(void *worker, struct ipc_in *in, struct err *e)
{
	struct side *s = worker;

	s->n_handled++;
	s->last_type = in->header.type;
	s->n_fds = in->n_fds;
	for (unsigned i = 0; i < in->n_fds; i++)
		assert_true(fcntl(in->fds[i], F_GETFD) & FD_CLOEXEC);
	if (in->header.type == IPC_CONNECTED)
		snprintf(s->last_text, sizeof(s->last_text), "%s",
		    ((const struct ipc_connected *)in->payload)->address);
	if (s->end_inside)
		ipc_peer_end(in->peer, "enough");
	if (s->free_inside)
		ipc_peer_free(&s->peer);
	return s->result < 0 ? err_set(e, ERR_INVALID, "no good") : 0;
}

static void
on_gone(void *worker, struct ipc_peer *peer, const char *why)
{
	struct side *s = worker;

	assert_ptr_equal(peer, s->peer);
	assert_false(s->gone);
	s->gone = true;
	s->broke = ipc_peer_broke(peer);
	s->peer = NULL;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

/* Handlers for all that a role may receive. */
static struct ipc_handler handlers[IPC_N_ROLES][IPC_N_SPECS_MAX];

static void
side_init(
    struct side *s, enum ipc_role self, enum ipc_role other, int data, int ctrl)
{
	size_t n = 0;
	struct err e;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; ipc_spec_at(i) != NULL; i++) {
		if (ipc_spec_at(i)->senders[self] != 0)
			handlers[self][n++] =
			    (struct ipc_handler){ipc_spec_at(i)->id, on_any};
	}
	s->phase = IPC_PHASE_RUN;
	s->dispatch = (struct ipc_dispatch){self, handlers[self], n, on_gone};
	s->peer = ipc_peer_new(
	    loop, &s->dispatch, s, &s->phase, other, 3, "east", data, ctrl, &e);
	assert_non_null(s->peer);
}

static void
pairs(int data[2], int ctrl[2])
{
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, data), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ctrl), 0);
}

/* Side a is under test; the other ends are raw[]. */
static void
against_raw(struct side *a, enum ipc_role self, enum ipc_role other)
{
	int data[2], ctrl[2];

	pairs(data, ctrl);
	side_init(a, self, other, data[0], ctrl[0]);
	raw[0] = data[1];
	raw[1] = ctrl[1];
}

static void
raw_close(void)
{
	for (int i = 0; i < 2; i++) {
		if (raw[i] >= 0)
			close(raw[i]);
		raw[i] = -1;
	}
}

static void
turns(int n)
{
	for (int i = 0; i < n; i++)
		ev_loop_turn(loop, false);
}

static void
until_gone(struct side *s)
{
	for (int i = 0; i < 1000 && !s->gone; i++)
		ev_loop_turn(loop, false);
	assert_true(s->gone);
}

static size_t
open_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int
setup(void **state)
{
	(void)state;
	log_set_level(LOG_LV_ERROR);
	loop = ev_loop_new();
	raw[0] = raw[1] = -1;
	return loop == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	ev_loop_free(&loop);
	return 0;
}

static void
test_exchange(void **state)
{
	struct ipc_connect ask = {1, 0, "east", 443};
	struct ipc_connected ok = {.request = 1, .address = "1.2.3.4:443"};
	int data[2], ctrl[2], p[2];
	struct side clu, con;
	size_t before = open_fds();

	(void)state;
	pairs(data, ctrl);
	side_init(&clu, IPC_CLU, IPC_CON, data[0], ctrl[0]);
	side_init(&con, IPC_CON, IPC_CLU, data[1], ctrl[1]);
	assert_int_equal(ipc_peer_role(clu.peer), IPC_CON);
	assert_int_equal(ipc_peer_index(clu.peer), 3);
	assert_string_equal(ipc_peer_name(clu.peer), "east");
	ipc_peer_set_data(clu.peer, &clu);
	assert_ptr_equal(ipc_peer_data(clu.peer), &clu);
	assert_int_equal(
	    ipc_send(clu.peer, IPC_CONNECT, 0, 0, 0, &ask, NULL, 0), 0);
	assert_true(ipc_peer_queued_bytes(clu.peer) > 0);
	turns(4);
	assert_int_equal(con.n_handled, 1);
	assert_int_equal(con.last_type, IPC_CONNECT);
	assert_int_equal(ipc_peer_queued_bytes(clu.peer), 0);
	/* Frames with and without descriptors in one batch keep theirs. */
	assert_int_equal(pipe(p), 0);
	ok.address = "first";
	ipc_send(con.peer, IPC_CONNECTED, 0, 0, 0, &ok, p, 1);
	ok.address = "second";
	ipc_send(con.peer, IPC_CONNECTED, 0, 0, 0, &ok, NULL, 0);
	ok.address = "third";
	ipc_send(con.peer, IPC_CONNECTED, 0, 0, 0, &ok, p + 1, 1);
	close(p[0]); /* the queue has its own */
	close(p[1]);
	turns(8);
	assert_int_equal(clu.n_handled, 3);
	assert_string_equal(clu.last_text, "third");
	assert_int_equal(clu.n_fds, 1);
	ipc_peer_free(&clu.peer);
	turns(4);
	assert_true(con.gone);
	assert_string_equal(con.why, IPC_WHY_CLOSED);
	assert_int_equal(open_fds(), before);
}

/* The table's directions hold for the sender too. */
static void
test_send_refused(void **state)
{
	struct ipc_connect ask = {1, 0, "east", 443};
	struct ipc_alive alive = {1};
	char *big = calloc(1, 300);
	struct side a;
	int fds[3] = {0, 0, 0};

	(void)state;
	memset(big, 'x', 299);
	against_raw(&a, IPC_CLU, IPC_CON);
	assert_int_equal(
	    ipc_send(a.peer, IPC_ALIVE, 0, 0, 0, &alive, NULL, 0), -ERR_DENIED);
	assert_int_equal(
	    ipc_send(a.peer, IPC_CONNECT, 0, 0, 0, &ask, fds, 1), -ERR_DENIED);
	assert_int_equal(
	    ipc_send(a.peer, IPC_CONNECT, 0x100, 0, 0, &ask, NULL, 0),
	    -ERR_DENIED);
	ask.name = big;
	assert_int_equal(ipc_send(a.peer, IPC_CONNECT, 0, 0, 0, &ask, NULL, 0),
	    -ERR_TOO_BIG);
	turns(2);
	assert_false(a.gone); /* its peer is not to blame */
	assert_int_equal(
	    ipc_send(NULL, IPC_CONNECT, 0, 0, 0, &ask, NULL, 0), -ERR_CLOSED);
	free(big);
	ipc_peer_free(&a.peer);
	raw_close();
}

struct breach {
	const char *name;
	enum ipc_role self, other;
	enum ipc_phase phase;
	int socket;       /* 0 data, 1 control */
	uint8_t head[16]; /* type lo, hi, flags, fds, length... */
	const char *body;
	size_t body_n;
	unsigned send_fds; /* descriptors that really travel */
	const char *why;
};
#define CONNECTED_BODY \
	"\1\0\0\0"     \
	"\0\0\0\0\0"   \
	"\0\0\0\0\0"

static const struct breach breaches[] = {
    {"unknown type", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0, {0x99, 0x99}, "", 0, 0,
	"unknown message type 0x9999"},
    {"data message on the control socket", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 1,
	{0x02, 0x03, 0, 0, 14}, CONNECTED_BODY, 14, 0,
	"CONNECTED came on the control socket"},
    {"control message on the data socket", IPC_CLU, IPC_FE, IPC_PHASE_RUN, 0,
	{0x05, 0x07, 0, 0, 4}, "\1\0\0\0", 4, 0,
	"STREAM_CREDIT came on the data socket"},
    {"wrong sender", IPC_CLU, IPC_FE, IPC_PHASE_RUN, 0, {0x02, 0x03, 0, 0, 14},
	CONNECTED_BODY, 14, 0,
	"CONNECTED may not be sent by frontend to cluster"},
    {"wrong receiver", IPC_FE, IPC_CLU, IPC_PHASE_RUN, 0, {0x01, 0x03, 0, 0, 0},
	"", 0, 0, "CONNECT may not be sent by cluster to frontend"},
    {"wrong phase", IPC_CLU, IPC_CON, IPC_PHASE_START, 0,
	{0x02, 0x03, 0, 0, 14}, CONNECTED_BODY, 14, 0,
	"CONNECTED came in the wrong phase"},
    {"too long for its fields", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0,
	{0x02, 0x03, 0, 0, 0xff, 0xff, 0, 0}, "", 0, 0,
	"CONNECTED has 65535 bytes, more than its fields allow"},
    {"4 GiB", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0,
	{0x02, 0x03, 0, 0, 0xff, 0xff, 0xff, 0xff}, "", 0, 0,
	"more than its fields allow"},
    {"declares too many descriptors", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0,
	{0x02, 0x03, 0, 2, 14}, CONNECTED_BODY, 14, 2,
	"CONNECTED carries 2 descriptors, 1 are allowed"},
    {"declares 255 descriptors", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0,
	{0x02, 0x03, 0, 255, 14}, CONNECTED_BODY, 14, 0,
	"carries 255 descriptors"},
    {"declared descriptor is missing", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0,
	{0x02, 0x03, 0, 1, 14}, CONNECTED_BODY, 14, 0,
	"CONNECTED came without its descriptors"},
    {"undeclared descriptor", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0,
	{0x02, 0x03, 0, 0, 14}, CONNECTED_BODY, 14, 1,
	"descriptors came that no frame declares"},
    {"undeclared descriptor, frame incomplete", IPC_CLU, IPC_CON, IPC_PHASE_RUN,
	0, {0x02, 0x03, 0, 0, 14}, CONNECTED_BODY, 5, 1,
	"more descriptors than it declares"},
    {"one descriptor more", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0,
	{0x02, 0x03, 0, 1, 14}, CONNECTED_BODY, 14, 2,
	"descriptors came that no frame declares"},
    {"unknown flag", IPC_CLU, IPC_FE, IPC_PHASE_RUN, 0, {0x03, 0x07, 4, 0, 4},
	"\0\0\0\0", 4, 0, "STREAM_DATA has unknown flags"},
    {"malformed field", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0,
	{0x02, 0x03, 0, 0, 14},
	"\1\0\0\0"
	"\1\0\0\0\0"
	"\0\0\0\0\0",
	14, 0, "CONNECTED.address has a NUL inside"},
    {"short payload", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0, {0x02, 0x03, 0, 0, 3},
	"\1\0\0", 3, 0, "CONNECTED.request is cut off"},
    {"trailing bytes", IPC_CLU, IPC_CON, IPC_PHASE_RUN, 0,
	{0x02, 0x03, 0, 0, 15}, CONNECTED_BODY "z", 15, 0, "too many"},
};

static void
run_breach(const struct breach *b)
{
	static const int some_fds[4] = {0, 1, 2, 0};
	uint8_t wire[64];
	size_t before = open_fds();
	struct side a;
	struct err e;

	against_raw(&a, b->self, b->other);
	a.phase = b->phase;
	memcpy(wire, b->head, 16);
	memcpy(wire + 16, b->body, b->body_n);
	assert_int_equal(sys_fd_send(raw[b->socket], wire, 16 + b->body_n,
			     some_fds, b->send_fds, &e),
	    0);
	until_gone(&a);
	if (strstr(a.why, b->why) == NULL)
		fail_msg("%s: %s", b->name, a.why);
	raw_close();
	assert_int_equal(open_fds(), before);
}

static void
test_breaches(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(breaches); i++)
		run_breach(&breaches[i]);
}

/* A frame may come byte by byte; what follows it too. */
static void
test_byte_by_byte(void **state)
{
	struct ipc_connected m = {.request = 7, .address = "slow"};
	struct buf wire;
	struct side a;

	(void)state;
	buf_init(&wire, 0);
	against_raw(&a, IPC_CLU, IPC_CON);
	ipc_encode(IPC_CONNECTED, 0, 0, 0, &m, &wire);
	ipc_encode(IPC_CONNECTED, 0, 0, 0, &m, &wire);
	for (size_t i = 0; i < wire.len; i++) {
		assert_int_equal(write(raw[0], buf_data(&wire) + i, 1), 1);
		turns(2);
		assert_int_equal(a.n_handled, i + 1 < wire.len / 2 ? 0
					      : i + 1 < wire.len   ? 1
								   : 2);
	}
	assert_string_equal(a.last_text, "slow");
	buf_free(&wire);
	ipc_peer_free(&a.peer);
	raw_close();
}

/* More descriptors than any frame may carry, in one go. */
static void
test_descriptor_flood(void **state)
{
	char space[CMSG_SPACE(40 * sizeof(int))] = {0}, byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = space,
	    .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	size_t before = open_fds();
	struct side a;

	(void)state;
	against_raw(&a, IPC_CLU, IPC_CON);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(40 * sizeof(int));
	assert_int_equal(sendmsg(raw[0], &msg, 0), 1); /* 40 times stdin */
	until_gone(&a);
	assert_non_null(strstr(a.why, "than any frame may carry"));
	raw_close();
	assert_int_equal(open_fds(), before);
}

static void
test_handler_refuses(void **state)
{
	struct ipc_connected m = {.request = 7};
	struct buf wire;
	struct side a;

	(void)state;
	buf_init(&wire, 0);
	ipc_encode(IPC_CONNECTED, 0, 0, 0, &m, &wire);
	ipc_encode(IPC_CONNECTED, 0, 0, 0, &m, &wire);
	/* A refusal, an end from inside: nothing behind it is read. */
	for (int i = 0; i < 3; i++) {
		against_raw(&a, IPC_CLU, IPC_CON);
		a.result = i == 0 ? -1 : 0;
		a.end_inside = i == 1;
		a.free_inside = i == 2;
		assert_int_equal(
		    write(raw[0], buf_data(&wire), wire.len), wire.len);
		turns(4);
		assert_int_equal(a.n_handled, 1);
		assert_int_equal(a.gone, i < 2);
		assert_string_equal(a.why, i == 0   ? "no good"
					   : i == 1 ? "enough"
						    : "");
		raw_close();
	}
	buf_free(&wire);
}

/* The last words on the data socket count, whichever end is seen first. */
static void
test_last_words(void **state)
{
	struct ipc_connected m = {.request = 7, .address = "last"};
	struct buf wire;
	struct side a;

	(void)state;
	buf_init(&wire, 0);
	ipc_encode(IPC_CONNECTED, 0, 0, 0, &m, &wire);
	against_raw(&a, IPC_CLU, IPC_CON);
	close(raw[1]);
	raw[1] = -1;
	assert_int_equal(write(raw[0], buf_data(&wire), wire.len), wire.len);
	until_gone(&a);
	assert_int_equal(a.n_handled, 1);
	assert_string_equal(a.why, IPC_WHY_CLOSED);
	raw_close();
	buf_free(&wire);
}

/*
 * A process that dies with something of ours unread resets the socket: that is
 * an end like any other, and what it wrote before counts.
 */
static void
test_reset(void **state)
{
	struct ipc_connected m = {7, "10.0.0.1:5", ""};
	struct ipc_api_request ours = {.body = {(uint8_t *)"x", 1}};
	struct buf wire;
	struct side a;

	(void)state;
	for (int words = 0; words < 2; words++) {
		against_raw(
		    &a, words ? IPC_OWN : IPC_FE, words ? IPC_CON : IPC_OWN);
		buf_init(&wire, 0);
		if (words) {
			struct ipc_connect ask = {.request = 1, .name = "east"};

			ipc_encode(IPC_CONNECTED, 0, 0, 0, &m, &wire);
			ipc_send(a.peer, IPC_CONNECT, 0, 0, 0, &ask, NULL, 0);
		} else {
			ipc_send(
			    a.peer, IPC_API_REQUEST, 0, 0, 0, &ours, NULL, 0);
		}
		assert_int_equal(ipc_peer_flush(a.peer), 0);
		assert_int_equal(
		    write(raw[0], buf_data(&wire), wire.len), wire.len);
		raw_close();
		until_gone(&a);
		assert_int_equal(a.n_handled, words);
		assert_string_equal(a.why, IPC_WHY_CLOSED);
		assert_false(a.broke);
		buf_free(&wire);
	}
}

/* Who does not read is ended when 16 MiB wait for him. */
static void
test_full_queue(void **state)
{
	static char text[1 << 16];
	struct ipc_api_request m = {.body = {(uint8_t *)text, sizeof(text)}};
	struct side a;
	int rc = 0, n = 0;

	(void)state;
	against_raw(&a, IPC_FE, IPC_OWN);
	for (; rc == 0 && n < 1000; n++)
		rc = ipc_send(a.peer, IPC_API_REQUEST, 0, 0, 0, &m, NULL, 0);
	assert_int_equal(rc, -ERR_TOO_BIG);
	assert_true(n > 200 && n <= 257);
	until_gone(&a);
	assert_true(
	    strstr(a.why, "queue") != NULL || strstr(a.why, "room") != NULL);
	raw_close();
}

/* One socket for both kinds, as to the supervisor. */
static void
test_one_socket(void **state)
{
	struct ipc_alive m = {5};
	struct ipc_alive_ack ack = {5};
	struct ipc_ready ready = {"note"};
	struct side sup, fe;
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	side_init(&sup, IPC_SUP, IPC_FE, sv[0], -1);
	side_init(&fe, IPC_FE, IPC_SUP, sv[1], -1);
	ipc_send(sup.peer, IPC_ALIVE, 0, 0, 0, &m, NULL, 0);
	ipc_send(fe.peer, IPC_ALIVE_ACK, 0, 0, 0, &ack, NULL, 0);
	ipc_send(fe.peer, IPC_READY, 0, 0, 0, &ready, NULL, 0);
	assert_int_equal(ipc_peer_flush(fe.peer), 0);
	turns(4);
	assert_int_equal(fe.n_handled, 1);
	assert_int_equal(sup.n_handled, 2);
	ipc_peer_free(&sup.peer);
	ipc_peer_free(&fe.peer);
}

/* 1 MiB each way at once through small socket buffers. */
static void
test_large_both_ways(void **state)
{
	static char body[1 << 20];
	struct ipc_api_request ask = {.body = {(uint8_t *)body, sizeof(body)}};
	struct ipc_api_reply reply = {.body = {(uint8_t *)body, sizeof(body)}};
	int data[2], ctrl[2];
	struct side fe, own;

	(void)state;
	pairs(data, ctrl);
	side_init(&fe, IPC_FE, IPC_OWN, data[0], ctrl[0]);
	side_init(&own, IPC_OWN, IPC_FE, data[1], ctrl[1]);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(
		    ipc_send(fe.peer, IPC_API_REQUEST, 0, 0, 0, &ask, NULL, 0),
		    0);
		assert_int_equal(
		    ipc_send(own.peer, IPC_API_REPLY, 0, 0, 0, &reply, NULL, 0),
		    0);
	}
	for (int i = 0; i < 2000 && (fe.n_handled < 4 || own.n_handled < 4);
	     i++)
		ev_loop_turn(loop, false);
	assert_int_equal(fe.n_handled, 4);
	assert_int_equal(own.n_handled, 4);
	ipc_peer_free(&fe.peer);
	ipc_peer_free(&own.peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exchange),
	    cmocka_unit_test(test_send_refused),
	    cmocka_unit_test(test_breaches),
	    cmocka_unit_test(test_byte_by_byte),
	    cmocka_unit_test(test_descriptor_flood),
	    cmocka_unit_test(test_handler_refuses),
	    cmocka_unit_test(test_last_words),
	    cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_full_queue),
	    cmocka_unit_test(test_one_socket),
	    cmocka_unit_test(test_large_both_ways),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
