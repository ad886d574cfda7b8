/* One direction of a connection, between real TCP sockets. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/passthrough_half.h"

/* far[0] -> near[0] -> half -> near[1] -> far[1] */
struct rig {
	int far[2], near[2];
	struct half half;
	struct half_pipes pipes;
	struct buf seen; /* by the copy function */
};

static void
connected_pair(int *a, int *b)
{
	struct sockaddr_in addr = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(l >= 0);
	assert_int_equal(bind(l, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&addr, &len), 0);
	*a = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*a, (struct sockaddr *)&addr, len), 0);
	*b = accept(l, NULL, NULL);
	assert_true(*b >= 0);
	close(l);
	fcntl(*a, F_SETFL, O_NONBLOCK);
	fcntl(*b, F_SETFL, O_NONBLOCK);
}

static int
setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	connected_pair(&r->far[0], &r->near[0]);
	connected_pair(&r->far[1], &r->near[1]);
	assert_int_equal(half_pipes_init(&r->pipes), 0);
	half_init(&r->half, r->near[0], r->near[1]);
	buf_init(&r->seen, 0);
	*state = r;
	return 0;
}

static int
teardown(void **state)
{
	struct rig *r = *state;

	half_deinit(&r->half, &r->pipes);
	half_pipes_deinit(&r->pipes);
	buf_free(&r->seen);
	for (int i = 0; i < 2; i++) {
		if (r->far[i] >= 0)
			close(r->far[i]);
		close(r->near[i]);
	}
	free(r);
	return 0;
}

static void
copy_seen(void *arg, const uint8_t *p, size_t n)
{
	assert_int_equal(buf_append(arg, p, n), 0);
}

static enum half_state
pump(struct rig *r, bool copy)
{
	return half_pump(
	    &r->half, &r->pipes, copy ? copy_seen : NULL, &r->seen);
}

/* Everything that has arrived at the far end; -1 after its end. */
static ssize_t
far_reads(struct rig *r, void *out, size_t cap)
{
	ssize_t n = recv(r->far[1], out, cap, 0);

	if (n == 0)
		return -1;
	return n < 0 ? 0 : n;
}

static void
test_nothing_to_do(void **state)
{
	struct rig *r = *state;

	assert_int_equal(pump(r, false), HALF_WANTS_READ);
	assert_int_equal(r->half.pipe[0], -1); /* idle: no pipe is held */
	assert_int_equal(r->pipes.count, 1);
}

static void
check_bytes_pass(struct rig *r, bool copy)
{
	char got[16];

	assert_int_equal(send(r->far[0], "hello", 5, 0), 5);
	assert_int_equal(pump(r, copy), HALF_WANTS_READ);
	assert_int_equal(far_reads(r, got, sizeof(got)), 5);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(r->seen.len, copy ? 5 : 0);
}

static void
test_bytes_pass(void **state)
{
	check_bytes_pass(*state, false);
}

static void
test_bytes_pass_copied(void **state)
{
	struct rig *r = *state;

	check_bytes_pass(r, true);
	assert_memory_equal(buf_data(&r->seen), "hello", 5);
}

/* Mirrors come and go in the middle of a connection. */
static void
test_copy_and_splice_take_turns(void **state)
{
	struct rig *r = *state;
	char got[16];

	for (int i = 0; i < 10; i++) {
		char c = (char)('a' + i);

		assert_int_equal(send(r->far[0], &c, 1, 0), 1);
		assert_int_equal(pump(r, i % 2 == 0), HALF_WANTS_READ);
	}
	assert_int_equal(far_reads(r, got, sizeof(got)), 10);
	assert_memory_equal(got, "abcdefghij", 10);
	assert_int_equal(r->seen.len, 5);
	assert_memory_equal(buf_data(&r->seen), "acegi", 5);
}

static void
check_half_close(struct rig *r, bool copy)
{
	char got[16];

	assert_int_equal(send(r->far[0], "last", 4, 0), 4);
	assert_int_equal(shutdown(r->far[0], SHUT_WR), 0);
	assert_int_equal(pump(r, copy), HALF_DONE);
	assert_true(r->half.eof);
	assert_int_equal(far_reads(r, got, sizeof(got)), 4);
	assert_int_equal(far_reads(r, got, sizeof(got)), -1);
	assert_int_equal(pump(r, copy), HALF_DONE);
	/* the other direction is open still */
	assert_int_equal(send(r->far[1], "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(r->near[1], got, 1, 0), 1);
}

static void
test_half_close(void **state)
{
	check_half_close(*state, false);
}

static void
test_half_close_copied(void **state)
{
	check_half_close(*state, true);
}

static uint8_t
pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7);
}

/* A far end that reads late: nothing is lost, and little is held. */
static void
check_back_pressure(struct rig *r, bool copy)
{
	static const size_t total = 16 * 1024 * 1024;
	size_t sent = 0, got = 0;
	static uint8_t chunk[HALF_CHUNK_BYTES];
	bool stalled = false;

	for (int turn = 0; got < total && turn < 1000000; turn++) {
		ssize_t n;

		for (size_t i = 0; i < sizeof(chunk); i++)
			chunk[i] = pattern(sent + i);
		if (sent < total) {
			size_t want = total - sent < sizeof(chunk)
					  ? total - sent
					  : sizeof(chunk);

			n = send(r->far[0], chunk, want, 0);
			sent += n > 0 ? (size_t)n : 0;
		}
		if (pump(r, copy) == HALF_WANTS_WRITE)
			stalled = true;
		assert_true(r->half.piped <= HALF_CHUNK_BYTES);
		assert_true(r->half.rest.len <= HALF_CHUNK_BYTES);
		if (!stalled && sent < total)
			continue;
		n = far_reads(r, chunk, sizeof(chunk));
		assert_true(n >= 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(chunk[i], pattern(got + (size_t)i));
		got += (size_t)n;
	}
	assert_int_equal(got, total);
	assert_true(stalled);
	assert_int_equal(r->seen.len, copy ? total : 0);
}

static void
test_back_pressure(void **state)
{
	check_back_pressure(*state, false);
}

static void
test_back_pressure_copied(void **state)
{
	check_back_pressure(*state, true);
}

static void
test_reset_by_the_source(void **state)
{
	struct rig *r = *state;
	struct linger hard = {.l_onoff = 1};

	setsockopt(r->far[0], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(r->far[0]);
	r->far[0] = -1;
	assert_int_equal(pump(r, false), HALF_FAILED);
	assert_int_equal(r->half.errnum, ECONNRESET);
}

static void
check_gone_destination(struct rig *r, bool copy)
{
	struct linger hard = {.l_onoff = 1};

	setsockopt(r->far[1], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(r->far[1]);
	r->far[1] = -1;
	assert_int_equal(send(r->far[0], "x", 1, 0), 1);
	assert_int_equal(pump(r, copy), HALF_FAILED);
	assert_true(r->half.errnum == ECONNRESET || r->half.errnum == EPIPE);
}

static void
test_gone_destination(void **state)
{
	check_gone_destination(*state, false);
}

static void
test_gone_destination_copied(void **state)
{
	check_gone_destination(*state, true);
}

/* Without descriptors for a pipe the bytes go by copy, unseen by anybody. */
static void
test_no_descriptors_left(void **state)
{
	struct rig *r = *state;
	struct rlimit old, low;
	char got[8];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(send(r->far[0], "hello", 5, 0), 5);
	assert_int_equal(pump(r, false), HALF_WANTS_READ);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(far_reads(r, got, sizeof(got)), 5);
	assert_int_equal(r->seen.len, 0);
}

/* More halves than spare pipes: the rest is closed, none leaks. */
static void
test_pipes_are_reused(void **state)
{
	struct rig *r = *state;
	int before;

	for (int i = 0; i < 100; i++)
		check_bytes_pass(r, false);
	assert_int_equal(r->pipes.count, 1);
	before = dup(0);
	for (int i = 0; i < 100; i++)
		check_bytes_pass(r, false);
	close(before);
	assert_int_equal(dup(0), before);
	close(before);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_nothing_to_do),
	    T(test_bytes_pass),
	    T(test_bytes_pass_copied),
	    T(test_copy_and_splice_take_turns),
	    T(test_half_close),
	    T(test_half_close_copied),
	    T(test_back_pressure),
	    T(test_back_pressure_copied),
	    T(test_reset_by_the_source),
	    T(test_gone_destination),
	    T(test_gone_destination_copied),
	    T(test_no_descriptors_left),
	    T(test_pipes_are_reused),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
