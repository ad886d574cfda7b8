/*
 * Local sockets by themselves: both families, retries, order of callbacks,
 * freeing from inside of each, lingering, the queue's limit.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/sock.h"
#include "lib/err.h"
#include "tests/unit/net/net_fix.h"

enum free_in { FREE_NEVER, FREE_IN_DATA, FREE_IN_EOF, FREE_IN_DRAINED };

struct side {
	struct ev_loop *loop;
	struct cli_socks set;
	struct cli_sock *s;
	struct buf got;
	bool data, eof, drained, closed;
	int errnum;
	enum free_in free_in;
	char order[16];
	int fd[2];
};

static void
note(struct side *x, const char *what, enum free_in here)
{
	strcat(x->order, what);
	if (x->free_in == here)
		cli_sock_free(&x->s);
}

static void
on_data(void *arg, const uint8_t *p, size_t n)
{
	struct side *x = arg;

	buf_append(&x->got, p, n);
	x->data = true;
	note(x, "d", FREE_IN_DATA);
}

static void
on_eof(void *arg)
{
	struct side *x = arg;

	x->eof = true;
	note(x, "e", FREE_IN_EOF);
}

static void
on_drained(void *arg)
{
	struct side *x = arg;

	x->drained = true;
	note(x, "w", FREE_IN_DRAINED);
}

static void
on_close(void *arg, int errnum)
{
	struct side *x = arg;

	assert_false(x->closed);
	x->closed = true;
	x->errnum = errnum;
	strcat(x->order, "c");
	cli_sock_free(&x->s);
}

static const struct cli_sock_ops ops = {on_data, on_eof, on_drained, on_close};

static int
setup(void **state)
{
	struct side *x = calloc(1, sizeof(*x));

	x->loop = ev_loop_new();
	cli_socks_init(&x->set, x->loop);
	buf_init(&x->got, 0);
	fix_pair(x->fd);
	x->s = cli_sock_new(&x->set, x->fd[0], &ops, x);
	assert_non_null(x->s);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct side *x = *state;

	cli_sock_free(&x->s);
	cli_socks_free(&x->set);
	if (x->fd[1] >= 0)
		close(x->fd[1]);
	buf_free(&x->got);
	ev_loop_free(&x->loop);
	free(x);
	return 0;
}

/* A listener on one family; its port. */
static int
listen_on(bool v6, uint16_t *port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
	    .sin6_port = htons(*port),
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in in4 = {.sin_family = AF_INET,
	    .sin_port = htons(*port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *sa =
	    v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in4;
	socklen_t n = v6 ? sizeof(in6) : sizeof(in4);
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, sa, n) < 0) {
		if (fd >= 0)
			close(fd);
		return -1; /* no IPv6 here */
	}
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, sa, &n), 0);
	*port = ntohs(v6 ? in6.sin6_port : in4.sin_port);
	return fd;
}

/* The peer's end first, then ours; and the other way round. */
static void
test_ends(void **state)
{
	struct side *x = *state;

	assert_int_equal(cli_sock_write(x->s, "bye", 3), 0);
	cli_sock_shut(x->s);
	fix_settle(x->loop, 20);
	assert_string_equal(x->order, "");
	shutdown(x->fd[1], SHUT_WR);
	fix_run(x->loop, &x->closed, 2000);
	assert_string_equal(x->order, "ec");
	assert_int_equal(x->errnum, 0);
}

static void
test_ends_peer_first(void **state)
{
	struct side *x = *state;
	char got[8];

	assert_int_equal(send(x->fd[1], "hi", 2, 0), 2);
	shutdown(x->fd[1], SHUT_WR);
	fix_run(x->loop, &x->eof, 2000);
	assert_int_equal(cli_sock_write(x->s, "answer", 6), 0);
	cli_sock_shut(x->s);
	fix_run(x->loop, &x->closed, 2000);
	assert_string_equal(x->order, "dec");
	assert_int_equal(recv(x->fd[1], got, sizeof(got), 0), 6);
	assert_int_equal(recv(x->fd[1], got, sizeof(got), 0), 0);
}

static void
test_reset(void **state)
{
	struct linger rst = {.l_onoff = 1};
	struct side *x = *state;

	setsockopt(x->fd[1], SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
	close(x->fd[1]);
	x->fd[1] = -1;
	fix_run(x->loop, &x->closed, 2000);
	assert_int_equal(x->errnum, ECONNRESET);
}

static void
test_free_inside(void **state)
{
	struct side *x = *state;

	x->free_in = FREE_IN_DATA;
	assert_int_equal(send(x->fd[1], "x", 1, 0), 1);
	shutdown(x->fd[1], SHUT_WR);
	fix_run(x->loop, &x->data, 2000);
	fix_settle(x->loop, 20);
	assert_string_equal(x->order, "d");
}

static void
test_free_in_eof(void **state)
{
	struct side *x = *state;

	x->free_in = FREE_IN_EOF;
	cli_sock_shut(x->s);
	fix_settle(x->loop, 10);
	shutdown(x->fd[1], SHUT_WR);
	fix_run(x->loop, &x->eof, 2000);
	fix_settle(x->loop, 20);
	assert_string_equal(x->order, "e");
}

/* Reads what there is for the peer; how much. */
static size_t
drain(struct side *x)
{
	static char block[1 << 20];
	size_t total = 0;
	ssize_t n;

	while ((n = recv(x->fd[1], block, sizeof(block), 0)) > 0)
		total += (size_t)n;
	return total;
}

/* Full above the high mark; room again at the low one; an end to it all. */
static void
test_queue(void **state)
{
	enum { BLOCK = 1 << 20 };
	struct side *x = *state;
	char *block = calloc(1, BLOCK);
	size_t sent = 0, got = 0;
	int rc;

	while (!cli_sock_full(x->s)) {
		assert_int_equal(cli_sock_write(x->s, block, BLOCK), 0);
		sent += BLOCK;
		fix_settle(x->loop, 5);
	}
	assert_false(x->drained);
	while ((rc = cli_sock_write(x->s, block, BLOCK)) == 0)
		sent += BLOCK;
	assert_int_equal(rc, -ERR_TOO_BIG);
	assert_true(sent < CLI_SOCK_QUEUE_BYTES * 4);
	for (int i = 0; i < 2000 && got < sent; i++) {
		got += drain(x);
		fix_settle(x->loop, 1);
	}
	assert_int_equal(got, sent);
	assert_true(x->drained);
	assert_false(cli_sock_full(x->s));
	assert_string_equal(x->order, "w");
	free(block);
}

static void
test_pause(void **state)
{
	struct side *x = *state;

	cli_sock_pause(x->s, true);
	assert_int_equal(send(x->fd[1], "x", 1, 0), 1);
	fix_settle(x->loop, 30);
	assert_false(x->data);
	cli_sock_pause(x->s, false);
	fix_run(x->loop, &x->data, 2000);
}

/* Everything queued goes out, what comes is dropped, then it is gone. */
static void
test_linger(void **state)
{
	enum { BYTES = 3 << 20 };
	struct side *x = *state;
	char *block = calloc(1, BYTES);
	size_t got = 0;

	assert_int_equal(cli_sock_write(x->s, block, BYTES), 0);
	cli_sock_linger(&x->s);
	assert_null(x->s);
	assert_false(list_empty(&x->set.lingering));
	assert_int_equal(send(x->fd[1], "ignored", 7, 0), 7);
	for (int i = 0; i < 2000 && got < BYTES; i++) {
		got += drain(x);
		fix_settle(x->loop, 1);
	}
	assert_int_equal(got, BYTES);
	shutdown(x->fd[1], SHUT_WR);
	for (int i = 0; i < 500 && !list_empty(&x->set.lingering); i++)
		fix_settle(x->loop, 2);
	assert_true(list_empty(&x->set.lingering));
	assert_string_equal(x->order, "");
	free(block);
}

/* A set that goes takes along what lingers; nothing leaks. */
static void
test_linger_cut(void **state)
{
	struct side *x = *state;
	struct cli_sock *none = NULL;

	cli_sock_linger(&none);
	cli_sock_write(x->s, "x", 1);
	cli_sock_linger(&x->s);
	cli_socks_free(&x->set);
	fix_settle(x->loop, 20);
	assert_true(list_empty(&x->set.lingering));
}

/* A program on ::1 only is found, one on 127.0.0.1 is too. */
static void
test_families(void **state)
{
	struct side *x = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		uint16_t port = 0;
		int fd = listen_on(v6, &port), peer;
		struct cli_sock *s;
		char got[4];

		if (fd < 0)
			continue;
		s = cli_sock_dial(&x->set, port, &ops, x);
		assert_non_null(s);
		assert_int_equal(cli_sock_write(s, "now", 3), 0);
		fix_settle(x->loop, 100);
		peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		assert_true(peer >= 0);
		assert_int_equal(recv(peer, got, sizeof(got), 0), 3);
		close(peer);
		close(fd);
		cli_sock_free(&s);
	}
}

/* Lingering before it was connected: still delivered, once it can be. */
static void
test_dial_linger(void **state)
{
	struct side *x = *state;
	uint16_t port = 0;
	int fd = listen_on(false, &port), peer;
	struct cli_sock *s;
	char got[8];

	close(fd);
	s = cli_sock_dial(&x->set, port, &ops, x);
	cli_sock_write(s, "early", 5);
	cli_sock_linger(&s);
	fix_settle(x->loop, 150);
	fd = listen_on(false, &port);
	assert_true(fd >= 0);
	fix_settle(x->loop, 300);
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	assert_int_equal(recv(peer, got, sizeof(got), 0), 5);
	assert_int_equal(recv(peer, got, sizeof(got), 0), 0);
	close(peer);
	close(fd);
	/* With nothing to say it is gone at once. */
	s = cli_sock_dial(&x->set, port, &ops, x);
	cli_sock_linger(&s);
	assert_null(s);
}

static void
test_nobody(void **state)
{
	struct side *x = *state;
	uint16_t port = 0;
	int fd = listen_on(false, &port);

	close(fd);
	cli_sock_free(&x->s);
	x->s = cli_sock_dial(&x->set, port, &ops, x);
	fix_run(x->loop, &x->closed, 15000);
	assert_int_equal(x->errnum, ECONNREFUSED);
	assert_string_equal(x->order, "c");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {T(test_ends),
	    T(test_ends_peer_first), T(test_reset), T(test_free_inside),
	    T(test_free_in_eof), T(test_queue), T(test_pause), T(test_linger),
	    T(test_linger_cut), T(test_families), T(test_dial_linger),
	    T(test_nobody)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
