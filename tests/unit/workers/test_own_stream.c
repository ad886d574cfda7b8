/*
 * Child streams of the own cluster: both paths, the router over two replicas,
 * agents played at the ends of real socketpairs.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/str.h"
#include "tests/unit/workers/own_rig.h"
#include "workers/own/locks.h"

#define ID 0x77ull
#define FIRST IPC_FIRST
#define LAST IPC_LAST
enum { STREAM = 0x05000009 };

#define SWITCH "0a06312e32392e30"
#define SWITCHED "0b06312e32392e30"
#define ENV "060001012a"
#define ENV_OK "080001014101"

struct st {
	struct own_rig t;
	uint32_t handle;
	int control[2]; /* of the agents of shop-1, shop-2 */
	int agent[2];   /* their streams */
};

static void
send_hex(struct rig_peer *p, uint32_t h, uint32_t stream, const char *hex,
    uint16_t flags)
{
	struct buf b;
	buf_init(&b, 0);
	assert_int_equal(str_hex_decode(&b, hex, strlen(hex)), 0);
	struct ipc_stream_data d = {.data = buf_span(&b)};
	rig_send(p, IPC_STREAM_DATA, flags, h, stream, &d);
	buf_free(&b);
}

static void
expect_hex(struct rig_peer *p, const char *hex)
{
	struct rig_msg *m = rig_expect(p, IPC_STREAM_DATA);
	struct buf b;
	buf_init(&b, 0);
	assert_int_equal(
	    str_hex_encode(&b, buf_data(&m->data), m->data.len), 0);
	assert_string_equal(buf_cstr(&b), hex);
	assert_int_equal(m->header.flags, FIRST | LAST);
	buf_free(&b);
	rig_msg_free(&m);
}

/* What the agent got, which must be exactly this. */
static void
agent_reads(struct st *s, int i, const char *hex)
{
	struct buf got, want;
	buf_init(&got, 0);
	buf_init(&want, 0);
	assert_int_equal(str_hex_decode(&want, hex, strlen(hex)), 0);
	for (int n = 0; n < 1000 && got.len < want.len; n++) {
		uint8_t c[4096];
		ssize_t r = read(s->agent[i], c, sizeof(c));
		if (r > 0)
			assert_int_equal(buf_append(&got, c, (size_t)r), 0);
		else
			ev_loop_turn(s->t.r.w.loop, false);
	}
	assert_int_equal(got.len, want.len);
	assert_memory_equal(buf_data(&got), buf_data(&want), want.len);
	buf_free(&got);
	buf_free(&want);
}

static void
agent_writes(struct st *s, int i, const char *hex)
{
	struct buf b;
	buf_init(&b, 0);
	assert_int_equal(str_hex_decode(&b, hex, strlen(hex)), 0);
	assert_int_equal(
	    write(s->agent[i], buf_data(&b), b.len), (ssize_t)b.len);
	buf_free(&b);
}

static bool
agent_is_quiet(struct st *s, int i)
{
	char c;
	rig_settle(&s->t.r);
	return read(s->agent[i], &c, 1) < 0 && errno == EAGAIN;
}

static bool
agent_sees_end(struct st *s, int i)
{
	char c;
	rig_settle(&s->t.r);
	return read(s->agent[i], &c, 1) == 0;
}

static void
open_path(struct rig_peer *p, uint32_t h, uint32_t stream)
{
	struct ipc_stream_open o = {0};
	rig_send(p, IPC_STREAM_OPEN, 0, h, stream, &o);
}

static void
expect_opened(struct rig_peer *p)
{
	struct rig_msg *m = rig_expect(p, IPC_STREAM_OPENED);
	assert_non_null(strstr(m->text, "version=\"1.29.0\""));
	rig_msg_free(&m);
}

static void
agents_take(struct st *s)
{
	for (int i = 0; i < 2; i++) {
		s->agent[i] = own_rig_stream_fd(&s->t, s->control[i]);
		assert_int_equal(fcntl(s->agent[i], F_SETFL, O_NONBLOCK), 0);
	}
}

static void
st_init(struct st *s)
{
	struct ipc_socket_up up = {.request = 1};
	own_rig_init(&s->t, OWN_RIG_SINGLE);
	s->handle = own_rig_single(&s->t, ID, s->control);
	rig_send(s->t.fe, IPC_SOCKET_UP, 0, s->handle, STREAM, &up);
	open_path(s->t.fe, s->handle, STREAM);
	open_path(s->t.sf, s->handle, STREAM);
	agents_take(s);
	expect_opened(s->t.fe);
	expect_opened(s->t.sf);
}

static void
st_deinit(struct st *s)
{
	for (int i = 0; i < 2; i++) {
		close(s->control[i]);
		close(s->agent[i]);
	}
	own_rig_deinit(&s->t);
}

/* Both agents are asked, the client hears one version. */
static void
negotiate(struct st *s)
{
	send_hex(s->t.fe, s->handle, STREAM, SWITCH, FIRST | LAST);
	agent_reads(s, 0, SWITCH);
	agent_reads(s, 1, SWITCH);
	agent_writes(s, 1, SWITCHED);
	rig_settle(&s->t.r);
	assert_int_equal(rig_count(s->t.fe, IPC_STREAM_DATA), 0);
	agent_writes(s, 0, SWITCHED);
	expect_hex(s->t.fe, SWITCHED);
}

static void
one_answer_of_two_replicas(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	negotiate(&s);
	send_hex(s.t.sf, s.handle, STREAM, ENV, FIRST | LAST);
	agent_reads(&s, 0, ENV); /* the stateful replica, alone */
	assert_true(agent_is_quiet(&s, 1));
	agent_writes(&s, 0, ENV_OK "42");
	expect_hex(s.t.sf, ENV_OK "42"); /* on the path it came by */
	assert_int_equal(rig_count(s.t.fe, IPC_STREAM_DATA), 0);
	agent_writes(&s, 1, ENV_OK "43"); /* was never asked */
	rig_settle(&s.t.r);
	assert_int_equal(rig_count(s.t.sf, IPC_STREAM_DATA), 0);
	st_deinit(&s);
}

static void
pieces_and_back_to_back(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	/* a message in pieces, and two messages in one write */
	send_hex(s.t.fe, s.handle, STREAM, "0a0631", FIRST);
	send_hex(s.t.fe, s.handle, STREAM, "2e32", 0);
	send_hex(s.t.fe, s.handle, STREAM, "392e30", LAST);
	agent_reads(&s, 0, SWITCH);
	agent_reads(&s, 1, SWITCH);
	agent_writes(&s, 1, "0b0631");
	rig_settle(&s.t.r);
	agent_writes(&s, 1, "2e32392e30");
	agent_writes(&s, 0, SWITCHED ENV_OK "42");
	expect_hex(s.t.fe, SWITCHED);
	st_deinit(&s);
}

static void
ends_when_both_paths_have(void **state)
{
	struct st s;
	struct ipc_stream_end end = {0};
	(void)state;
	st_init(&s);
	negotiate(&s);
	rig_send(s.t.fe, IPC_STREAM_END, 0, s.handle, STREAM, &end);
	rig_settle(&s.t.r);
	/* what was under way on the other path is still done */
	send_hex(s.t.sf, s.handle, STREAM, ENV, FIRST | LAST);
	agent_reads(&s, 0, ENV);
	rig_send(s.t.sf, IPC_STREAM_END, 0, s.handle, STREAM, &end);
	assert_true(agent_sees_end(&s, 0));
	assert_true(agent_sees_end(&s, 1));
	st_deinit(&s);
}

static void
losing_the_stateful_replica_ends_it(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	negotiate(&s);
	close(s.agent[0]);
	s.agent[0] = dup(s.agent[1]);
	struct rig_msg *m = rig_expect(s.t.fe, IPC_STREAM_RESET);
	assert_int_equal(own_rig_number(m, "code"), 502);
	rig_msg_free(&m);
	m = rig_expect(s.t.sf, IPC_STREAM_RESET);
	rig_msg_free(&m);
	assert_int_equal(rig_count(s.t.fe, IPC_STREAM_DATA), 0); /* no Close */
	st_deinit(&s);
}

static void
losing_another_replica_does_not(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	negotiate(&s);
	own_rig_replica(&s.t, "shop-2", 0);
	assert_true(agent_sees_end(&s, 1));
	send_hex(s.t.sf, s.handle, STREAM, ENV, FIRST | LAST);
	agent_reads(&s, 0, ENV);
	assert_int_equal(rig_count(s.t.fe, IPC_STREAM_RESET), 0);
	/* it comes back: asked for the version at once */
	own_rig_replica(&s.t, "shop-2", 1);
	close(s.agent[1]);
	s.agent[1] = own_rig_stream_fd(&s.t, s.control[1]);
	assert_int_equal(fcntl(s.agent[1], F_SETFL, O_NONBLOCK), 0);
	agent_reads(&s, 1, SWITCH);
	st_deinit(&s);
}

static void
nonsense_of_an_agent(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	negotiate(&s);
	agent_writes(&s, 1, "ffffffffffff");
	assert_true(agent_sees_end(&s, 1));
	send_hex(s.t.sf, s.handle, STREAM, ENV, FIRST | LAST);
	agent_reads(&s, 0, ENV); /* the rest serves */
	st_deinit(&s);
}

/* The bytes the worker lets us send, all CREDITs so far. */
static size_t
credits(struct st *s)
{
	size_t n = 0;
	rig_settle(&s->t.r);
	while (rig_count(s->t.sf, IPC_STREAM_CREDIT) > 0) {
		struct rig_msg *m = rig_expect(s->t.sf, IPC_STREAM_CREDIT);
		n += own_rig_number(m, "bytes");
		rig_msg_free(&m);
	}
	return n;
}

static size_t
agent_drains(struct st *s, int i)
{
	char c[16384];
	ssize_t n;
	size_t sum = 0;
	while ((n = read(s->agent[i], c, sizeof(c))) > 0)
		sum += (size_t)n;
	rig_settle(&s->t.r);
	return sum;
}

static void
a_slow_agent_stops_the_client(void **state)
{
	/* FileRequest(Write{fd 1, 2000 bytes}) */
	uint8_t msg[2006] = {5, 5, 1, 0xfb, 0xd0, 0x07};
	struct ipc_stream_data d = {.data = {msg, sizeof(msg)}};
	struct st s;
	size_t credit = IPC_WINDOW_FLOOR_BYTES, sent = 0, got = 0;
	(void)state;
	st_init(&s);
	negotiate(&s);
	for (int i = 0; i < 2000; i++) {
		credit += credits(&s);
		if (credit < sizeof(msg))
			break;
		rig_send(s.t.sf, IPC_STREAM_DATA, FIRST | LAST, s.handle,
		    STREAM, &d);
		credit -= sizeof(msg);
		sent += sizeof(msg);
	}
	assert_true(credit < sizeof(msg)); /* it was stopped */
	assert_true(sent < 2 << 20);
	/* the other replica is not held up by it */
	send_hex(s.t.fe, s.handle, STREAM, "07", FIRST | LAST);
	for (int i = 0; i < 1000 && got < sent + 1; i++)
		got += agent_drains(&s, 0);
	assert_int_equal(got, sent + 1); /* with the Ping */
	assert_true(credit + credits(&s) >= sizeof(msg));
	st_deinit(&s);
}

enum { BIG = 150000 };

/* A GetEnvVarsResponse of BIG bytes from the agent, as its socket takes it. */
static void
agent_writes_big(struct st *s, const uint8_t *msg, size_t n, size_t *done)
{
	ssize_t w = write(s->agent[0], msg + *done, n - *done);
	if (w > 0)
		*done += (size_t)w;
	rig_settle(&s->t.r);
}

static void
large_answer_in_pieces(void **state)
{
	static uint8_t msg[BIG + 10] = {8, 0, 1, 1, 'A', 0xfc};
	struct ipc_stream_credit credit = {.bytes = 30000};
	uint32_t len = BIG;
	struct st s;
	struct buf got;
	size_t written = 0;
	bool last = false;
	(void)state;
	st_init(&s);
	negotiate(&s);
	memcpy(msg + 6, &len, 4);
	memset(msg + 10, 'x', BIG);
	buf_init(&got, 0);
	for (int i = 0; i < 100 && !last; i++) {
		agent_writes_big(&s, msg, sizeof(msg), &written);
		size_t before = got.len;
		while (rig_count(s.t.sf, IPC_STREAM_DATA) > 0) {
			struct rig_msg *m = rig_expect(s.t.sf, IPC_STREAM_DATA);
			assert_int_equal(
			    (m->header.flags & FIRST) != 0, got.len == 0);
			assert_false(last);
			last = (m->header.flags & LAST) != 0;
			assert_int_equal(
			    buf_append(&got, buf_data(&m->data), m->data.len),
			    0);
			rig_msg_free(&m);
		}
		/* never more than was granted */
		assert_true(got.len - before <= (i == 0 ? 34000 : 30000));
		rig_send(
		    s.t.sf, IPC_STREAM_CREDIT, 0, s.handle, STREAM, &credit);
	}
	assert_true(last);
	assert_int_equal(got.len, sizeof(msg));
	assert_memory_equal(buf_data(&got), msg, sizeof(msg));
	buf_free(&got);
	st_deinit(&s);
}

static void
large_request_in_pieces(void **state)
{
	static uint8_t msg[BIG + 8] = {5, 5, 1, 0xfc};
	static uint8_t got[sizeof(msg)];
	uint32_t len = BIG;
	struct st s;
	size_t credit = IPC_WINDOW_FLOOR_BYTES, sent = 0, n = 0;
	(void)state;
	st_init(&s);
	negotiate(&s);
	memcpy(msg + 4, &len, 4);
	memset(msg + 8, 'y', BIG);
	for (int i = 0; i < 1000 && n < sizeof(msg); i++) {
		credit += credits(&s);
		size_t piece = credit < 7000 ? credit : 7000;
		if (piece > sizeof(msg) - sent)
			piece = sizeof(msg) - sent;
		if (piece > 0) {
			struct ipc_stream_data d = {
			    .data = {msg + sent, piece}};
			rig_send(s.t.sf, IPC_STREAM_DATA,
			    (uint16_t)((sent == 0 ? FIRST : 0) |
				       (sent + piece == sizeof(msg) ? LAST
								    : 0)),
			    s.handle, STREAM, &d);
			sent += piece;
			credit -= piece;
		}
		rig_settle(&s.t.r);
		ssize_t r = read(s.agent[0], got + n, sizeof(got) - n);
		n += r > 0 ? (size_t)r : 0;
	}
	assert_int_equal(n, sizeof(msg));
	assert_memory_equal(got, msg, sizeof(msg));
	assert_true(agent_is_quiet(&s, 1));
	st_deinit(&s);
}

static void
cut_off_in_a_message(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	negotiate(&s);
	/* half a message, then the end: given up, the rest serves */
	agent_writes(&s, 1, "0b06312e");
	close(s.agent[1]);
	s.agent[1] = dup(s.agent[0]);
	rig_settle(&s.t.r);
	assert_int_equal(rig_count(s.t.fe, IPC_STREAM_DATA), 0);
	send_hex(s.t.sf, s.handle, STREAM, ENV, FIRST | LAST);
	agent_reads(&s, 0, ENV);
	st_deinit(&s);
}

static void
client_sends_nonsense(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	send_hex(s.t.fe, s.handle, STREAM, "ffffffff", FIRST | LAST);
	struct rig_msg *m = rig_expect(s.t.fe, IPC_STREAM_RESET);
	rig_msg_free(&m);
	assert_true(agent_sees_end(&s, 0));
	assert_true(agent_sees_end(&s, 1));
	assert_true(
	    list_empty(&own_session_by_handle(own_rig_own(&s.t), s.handle)
			    ->local->streams));
	st_deinit(&s);
}

static void
frontend_dies(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	negotiate(&s);
	rig_detach(s.t.fe);
	assert_true(agent_sees_end(&s, 0));
	assert_true(agent_sees_end(&s, 1));
	st_deinit(&s);
}

static void
session_ends_its_streams(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	negotiate(&s);
	own_session_end(own_session_by_handle(own_rig_own(&s.t), s.handle),
	    "Killed", "by the test");
	struct rig_msg *m = rig_expect(s.t.fe, IPC_SESSION_END);
	rig_msg_free(&m);
	m = rig_expect(s.t.fe, IPC_STREAM_END);
	rig_msg_free(&m);
	assert_true(agent_sees_end(&s, 0));
	open_path(s.t.fe, s.handle, STREAM + 1);
	m = rig_expect(s.t.fe, IPC_STREAM_RESET);
	assert_int_equal(own_rig_number(m, "code"), 404);
	rig_msg_free(&m);
	st_deinit(&s);
}

static void
unknown_sessions_and_numbers(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	open_path(s.t.fe, s.handle + 17, 4);
	struct rig_msg *m = rig_expect(s.t.fe, IPC_STREAM_RESET);
	assert_int_equal(own_rig_number(m, "code"), 404);
	rig_msg_free(&m);
	open_path(s.t.fe, s.handle, STREAM); /* twice */
	m = rig_expect(s.t.fe, IPC_STREAM_RESET);
	assert_int_equal(own_rig_number(m, "code"), 409);
	rig_msg_free(&m);
	st_deinit(&s);
}

static void
agent_is_stopped_when_idle_and_started_again(void **state)
{
	struct st s;
	struct ipc_stream_end end = {0};
	(void)state;
	st_init(&s);
	rig_send(s.t.fe, IPC_STREAM_END, 0, s.handle, STREAM, &end);
	rig_send(s.t.sf, IPC_STREAM_END, 0, s.handle, STREAM, &end);
	rig_settle(&s.t.r);
	struct own *own = own_rig_own(&s.t);
	LIST_FOR_EACH (n, &own->agents) {
		struct own_agent *a = LIST_ENTRY(n, struct own_agent, node);
		assert_int_equal(a->n_streams, 0);
		assert_true(ev_timer_armed(a->idle));
		ev_timer_set(a->idle, 0);
	}
	struct rig_msg *m = rig_expect(s.t.sup, IPC_AGENT_STOP);
	rig_msg_free(&m);
	m = rig_expect(s.t.sup, IPC_AGENT_STOP);
	rig_msg_free(&m);
	/* a stream wants them back */
	open_path(s.t.fe, s.handle, STREAM + 1);
	for (int i = 0; i < 2; i++) {
		close(s.control[i]);
		s.control[i] = own_rig_agent(&s.t, NULL);
	}
	expect_opened(s.t.fe);
	st_deinit(&s);
}

static void
agent_exit_is_a_loss(void **state)
{
	struct st s;
	(void)state;
	st_init(&s);
	struct own *own = own_rig_own(&s.t);
	struct own_agent *a =
	    own_agent_get(own, "deployment/default/shop", "shop-1");
	struct ipc_agent_exited x = {.agent = a->number,
	    .target = "deployment/default/shop",
	    .replica = "shop-1",
	    .text = "signal 9"};
	rig_send(s.t.sup, IPC_AGENT_EXITED, 0, 0, 0, &x);
	struct rig_msg *m = rig_expect(s.t.fe, IPC_STREAM_RESET);
	rig_msg_free(&m);
	/* another replica answers stateful requests from now on */
	open_path(s.t.fe, s.handle, STREAM + 1);
	expect_opened(s.t.fe);
	struct own_session *session = own_session_by_handle(own, s.handle);
	assert_string_equal(session->stateful_replica, "shop-2");
	st_deinit(&s);
}

/* ---- port locks ---- */

static uint32_t
second_session(struct st *s, const char *params)
{
	struct own_rig_open o = {.id = ID + 1, .user = "bob", .params = params};
	own_rig_open(&s->t, s->t.fe2, &o);
	own_rig_grant_sf(&s->t);
	uint32_t h = own_rig_expect_opened(&s->t, s->t.fe2);
	open_path(s->t.fe2, h, STREAM + 7);
	expect_opened(s->t.fe2);
	return h;
}

static void
concurrent_steal(void **state)
{
	static const struct {
		const char *params;
		bool refused, takes_over;
	} row[] = {
	    {"connect=true", true, false},
	    {"connect=true&on_concurrent_steal=abort", true, false},
	    {"connect=true&on_concurrent_steal=continue", false, false},
	    {"connect=true&on_concurrent_steal=override", false, true},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(row); i++) {
		struct st s;
		st_init(&s);
		struct own *own = own_rig_own(&s.t);
		struct own_stream *a = LIST_ENTRY(
		    own_session_by_handle(own, s.handle)->local->streams.next,
		    struct own_stream, node);
		assert_int_equal(own_lock_take(a, 8080), 0);
		assert_int_equal(own_lock_take(a, 8080), 0);
		uint32_t h = second_session(&s, row[i].params);
		struct own_stream *b = LIST_ENTRY(
		    own_session_by_handle(own, h)->local->streams.next,
		    struct own_stream, node);
		assert_int_equal(own_lock_take(b, 8081), 0);
		assert_int_equal(
		    own_lock_take(b, 8080), row[i].refused ? -ERR_CONFLICT : 0);
		rig_settle(&s.t.r);
		assert_int_equal(own_session_by_handle(own, s.handle) == NULL,
		    row[i].takes_over);
		if (row[i].takes_over) {
			struct rig_msg *m = rig_expect(s.t.fe, IPC_SESSION_END);
			assert_non_null(strstr(m->text, "taken over by bob"));
			rig_msg_free(&m);
		}
		st_deinit(&s);
	}
}

int
main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	log_init("test", LOG_LV_ERROR);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_answer_of_two_replicas),
	    cmocka_unit_test(pieces_and_back_to_back),
	    cmocka_unit_test(ends_when_both_paths_have),
	    cmocka_unit_test(losing_the_stateful_replica_ends_it),
	    cmocka_unit_test(losing_another_replica_does_not),
	    cmocka_unit_test(nonsense_of_an_agent),
	    cmocka_unit_test(a_slow_agent_stops_the_client),
	    cmocka_unit_test(large_answer_in_pieces),
	    cmocka_unit_test(large_request_in_pieces),
	    cmocka_unit_test(cut_off_in_a_message),
	    cmocka_unit_test(client_sends_nonsense),
	    cmocka_unit_test(frontend_dies),
	    cmocka_unit_test(session_ends_its_streams),
	    cmocka_unit_test(unknown_sessions_and_numbers),
	    cmocka_unit_test(agent_is_stopped_when_idle_and_started_again),
	    cmocka_unit_test(agent_exit_is_a_loss),
	    cmocka_unit_test(concurrent_steal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
