/* The agent's end of the supervisor's socket. */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/control.h"
#include "agent/control_sock.h"
#include "tests/unit/unit.h"

struct rig {
	struct ev_loop *loop;
	struct control *control;
	int fd[2]; /* the supervisor's, the agent's */
	int clients[8];
	unsigned n_clients, ends;
};

static void
on_client(void *arg, int fd)
{
	struct rig *r = arg;

	r->clients[r->n_clients++] = fd;
}

static void
on_end(void *arg)
{
	struct rig *r = arg;

	r->ends++;
}

static const struct control_cbs cbs = {on_client, on_end};

static int
setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct err e;

	*state = r;
	r->loop = ev_loop_new();
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r->fd), 0);
	r->control = control_new(r->loop, r->fd[1], &cbs, r, &e);
	assert_non_null(r->control);
	return control_start(r->control);
}

static int
teardown(void **state)
{
	struct rig *r = *state;

	control_free(&r->control);
	control_free(&r->control);
	for (unsigned i = 0; i < r->n_clients; i++)
		close(r->clients[i]);
	if (r->fd[0] >= 0)
		close(r->fd[0]);
	close(r->fd[1]);
	ev_loop_free(&r->loop);
	free(r);
	return 0;
}

static void
send_fds(struct rig *r, const char *text, size_t n, const int *fds, size_t k)
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = {(void *)(uintptr_t)text, n};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cm;

	if (k > 0) {
		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = ctl.bytes;
		mh.msg_controllen = CMSG_SPACE(k * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(k * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, k * sizeof(int));
	}
	assert_int_equal(sendmsg(r->fd[0], &mh, 0), n);
}

static unsigned
open_files(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
clients(void **state)
{
	struct rig *r = *state;
	int pair[2];

	for (int i = 0; i < 3; i++) {
		char c = (char)('a' + i), got = 0;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		send_fds(r, "C", 1, &pair[1], 1);
		close(pair[1]);
		ev_loop_turn(r->loop, true);
		assert_int_equal(r->n_clients, i + 1);
		assert_true(fcntl(r->clients[i], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(r->clients[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(write(pair[0], &c, 1), 1);
		assert_int_equal(read(r->clients[i], &got, 1), 1);
		assert_int_equal(got, c);
		close(pair[0]);
	}
	assert_int_equal(r->ends, 0);
}

static void
bad_packets(void **state)
{
	struct rig *r = *state;
	int pair[2], dgram[2], pipes[2];
	unsigned before;
	const struct {
		const char *text;
		size_t n;
		int fds[6];
		size_t k;
	} * row;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram), 0);
	assert_int_equal(pipe(pipes), 0);
	__typeof__(*row) rows[] = {
	    {"C", 1, {0}, 0},                /* nothing with it */
	    {"C", 1, {pair[1], pair[0]}, 2}, /* two */
	    {"C", 1, {pair[1], pair[0], pair[1], pair[0], pair[1]}, 5},
	    {"C", 1, {dgram[1]}, 1}, /* no stream */
	    {"C", 1, {pipes[0]}, 1}, /* no socket */
	    {"R", 1, {pair[1]}, 1},  /* ours to say */
	    {"?", 1, {0}, 0},
	    {"\0", 1, {pair[1]}, 1},
	};

	before = open_files();
	for (size_t i = 0; i < N_OF(rows); i++) {
		unsigned ends = r->ends;

		row = &rows[i];
		send_fds(r, row->text, row->n, row->fds, row->k);
		ev_loop_turn(r->loop, true);
		assert_int_equal(r->ends, ends + 1);
		assert_int_equal(r->n_clients, 0);
		assert_int_equal(open_files(), before); /* none is kept */
		assert_int_equal(control_start(r->control), 0);
	}
	for (int i = 0; i < 2; i++) {
		close(pair[i]);
		close(dgram[i]);
		close(pipes[i]);
	}
}

static void
end_of_file(void **state)
{
	struct rig *r = *state;

	close(r->fd[0]);
	r->fd[0] = -1;
	ev_loop_turn(r->loop, true);
	assert_int_equal(r->ends, 1);
	ev_loop_turn(r->loop, false); /* it is said once */
	assert_int_equal(r->ends, 1);
}

static void
saying(void **state)
{
	struct rig *r = *state;
	char longest[3000], got[4096];

	control_say(r->fd[1], AGENT_CONTROL_READY, "1.2.3");
	assert_int_equal(recv(r->fd[0], got, sizeof(got), 0), 6);
	assert_memory_equal(got, "R1.2.3", 6);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	control_say(r->fd[1], AGENT_CONTROL_FAILED, longest);
	assert_int_equal(
	    recv(r->fd[0], got, sizeof(got), 0), AGENT_CONTROL_MAX_BYTES);
	close(r->fd[0]);
	r->fd[0] = -1;
	control_say(r->fd[1], AGENT_CONTROL_ENDED, "nobody hears it");
}

static void
wrong_sockets(void **state)
{
	struct rig *r = *state;
	struct err e;
	int pair[2], none = open("/dev/null", O_RDONLY);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_null(control_new(r->loop, pair[0], &cbs, r, &e));
	assert_int_equal(e.code, ERR_INVALID);
	assert_null(control_new(r->loop, none, &cbs, r, &e));
	assert_null(control_new(r->loop, -1, &cbs, r, &e));
	close(pair[0]);
	close(pair[1]);
	close(none);
}

int
main(void)
{
#define WITH_RIG(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    WITH_RIG(clients),
	    WITH_RIG(bad_packets),
	    WITH_RIG(end_of_file),
	    WITH_RIG(saying),
	    WITH_RIG(wrong_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
