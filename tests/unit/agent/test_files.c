/* The queue of file requests: order, overtaking, descriptors, limits. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pool.h"
#include "tests/unit/agent/rig.h"
#include "tests/unit/unit.h"

#define FILE_MSG(request)                                     \
	{                                                     \
		.tag = PM_ClientMessage_FileRequest,          \
		.u.FileRequest.tag = PM_FileRequest_##request \
	}

static void
ask_open(struct rig *r, size_t c, const char *path, bool write)
{
	struct pm_ClientMessage m = FILE_MSG(Open);

	m.u.FileRequest.u.Open.path = pm_str(path);
	m.u.FileRequest.u.Open.open_options.read = !write;
	m.u.FileRequest.u.Open.open_options.write = write;
	rig_send(r, c, &m);
}

static void
ask_read(struct rig *r, size_t c, uint64_t fd, uint64_t n)
{
	struct pm_ClientMessage m = FILE_MSG(Read);

	m.u.FileRequest.u.Read.remote_fd = fd;
	m.u.FileRequest.u.Read.buffer_size = n;
	rig_send(r, c, &m);
}

static void
ask_write(struct rig *r, size_t c, uint64_t fd, const char *text)
{
	struct pm_ClientMessage m = FILE_MSG(Write);

	m.u.FileRequest.u.Write.fd = fd;
	m.u.FileRequest.u.Write.write_bytes =
	    (struct span){(const uint8_t *)text, strlen(text)};
	rig_send(r, c, &m);
}

static void
ask_stat(struct rig *r, size_t c, const char *path)
{
	struct pm_ClientMessage m = FILE_MSG(Xstat);

	m.u.FileRequest.u.Xstat.path.some = true;
	m.u.FileRequest.u.Xstat.path.value = pm_str(path);
	rig_send(r, c, &m);
}

static void
tell_close(struct rig *r, size_t c, uint64_t fd, bool dir)
{
	struct pm_ClientMessage m = FILE_MSG(Close);

	m.u.FileRequest.u.Close.fd = fd;
	if (dir) {
		m.u.FileRequest.tag = PM_FileRequest_CloseDir;
		m.u.FileRequest.u.CloseDir.remote_fd = fd;
	}
	rig_send(r, c, &m);
}

/* The next file answer, which must be of this kind. */
static void
answer(struct rig *r, size_t c, uint32_t kind, struct pm_DaemonMessage *m)
{
	rig_want(r, c, PM_DaemonMessage_File, m);
	assert_int_equal(m->u.File.tag, kind);
}

static uint64_t
opened(struct rig *r, size_t c)
{
	struct pm_DaemonMessage m;

	answer(r, c, PM_FileResponse_Open, &m);
	assert_int_equal(m.u.File.u.Open.tag, PM_OK);
	return m.u.File.u.Open.u.Ok.fd;
}

static void
read_is(struct rig *r, size_t c, const char *want)
{
	struct pm_DaemonMessage m;
	const struct pm_ReadFileResponse *ok = &m.u.File.u.Read.u.Ok;

	answer(r, c, PM_FileResponse_Read, &m);
	assert_int_equal(m.u.File.u.Read.tag, PM_OK);
	assert_int_equal(ok->bytes.n, strlen(want));
	assert_int_equal(ok->read_amount, strlen(want));
	assert_memory_equal(ok->bytes.p, want, strlen(want));
}

static void
in_order(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_DaemonMessage m;

	/* nobody waits for an answer before the next request */
	for (int i = 0; i < 200; i++) {
		ask_open(r, c, "/etc/name", false);
		ask_stat(r, c, "/none");
		ask_read(r, c, (uint64_t)i * 2, 3);
		ask_open(r, c, "/etc/hosts", false);
	}
	for (uint64_t i = 0; i < 200; i++) {
		assert_int_equal(opened(r, c), i * 2);
		answer(r, c, PM_FileResponse_Xstat, &m);
		assert_int_equal(m.u.File.u.Xstat.tag, PM_ERR);
		read_is(r, c, "ins");
		assert_int_equal(opened(r, c), i * 2 + 1);
	}
}

static void
closing(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r), other = rig_connect(r);
	struct pm_DaemonMessage m;
	uint64_t fd;

	ask_open(r, c, "/etc/name", false);
	fd = opened(r, c);
	tell_close(r, c, fd, true); /* the wrong way: nothing */
	ask_read(r, c, fd, 6);
	read_is(r, c, "inside");
	/* a request that was asked before the close still has its file */
	ask_read(r, c, fd, 1);
	tell_close(r, c, fd, false);
	tell_close(r, c, fd, false);
	ask_read(r, c, fd, 1);
	read_is(r, c, "\n");
	answer(r, c, PM_FileResponse_Read, &m);
	assert_int_equal(m.u.File.u.Read.u.Err.tag, PM_ResponseError_NotFound);
	assert_int_equal(m.u.File.u.Read.u.Err.u.NotFound, fd);
	/* descriptors are each client's own */
	ask_open(r, c, "/etc/name", false);
	assert_int_equal(opened(r, c), fd + 1);
	ask_read(r, other, fd + 1, 1);
	answer(r, other, PM_FileResponse_Read, &m);
	assert_int_equal(m.u.File.u.Read.tag, PM_ERR);
	ask_open(r, other, "/etc/name", false);
	assert_int_equal(opened(r, other), 0);
}

static void
make_fifo(struct rig *r)
{
	assert_int_equal(mkfifo(rig_path(r, "fifo"), 0600), 0);
}

static void
overtaking(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r), other = rig_connect(r);
	struct pm_DaemonMessage m;
	uint64_t in, out;

	make_fifo(r);
	ask_open(r, c, "/fifo", false); /* hangs */
	rig_send_bytes(r, c, "\x07", 1);
	rig_want(r, c, PM_DaemonMessage_Pong, &m);
	ask_open(r, other, "/etc/name", false);
	assert_int_equal(opened(r, other), 0);
	ask_stat(r, c, "/etc/name"); /* its answer has to wait */
	assert_true(rig_quiet(r, c));
	ask_open(r, c, "/fifo", true); /* the other end */
	in = opened(r, c);
	answer(r, c, PM_FileResponse_Xstat, &m);
	out = opened(r, c);
	/* a read that hangs, the write that ends it, requests in between */
	ask_read(r, c, in, 100);
	ask_stat(r, c, "/etc/name");
	ask_write(r, c, out, "through");
	read_is(r, c, "through");
	answer(r, c, PM_FileResponse_Xstat, &m);
	answer(r, c, PM_FileResponse_Write, &m);
	assert_int_equal(m.u.File.u.Write.u.Ok.written_amount, 7);
	/* but never on the same descriptor */
	ask_read(r, c, in, 3);
	ask_read(r, c, in, 3);
	ask_stat(r, c, "/etc/name");
	assert_true(rig_quiet(r, c));
	ask_write(r, other, 99, "x");
	answer(r, other, PM_FileResponse_Write, &m);
	int fd = open(rig_path(r, "fifo"), O_WRONLY | O_NONBLOCK);

	assert_int_equal(write(fd, "abcdef", 6), 6);
	read_is(r, c, "abc");
	read_is(r, c, "def");
	answer(r, c, PM_FileResponse_Xstat, &m);
	close(fd);
}

static bool
idle(struct rig *r, void *arg)
{
	(void)arg;
	return pool_busy(r->a.pool) == 0;
}

/* Who leaves while calls hang gives the threads back. */
static void
leaving(void **state)
{
	struct rig *r = *state;
	size_t stay = rig_connect(r);

	make_fifo(r);
	for (int i = 0; i < 5; i++) {
		size_t c = rig_connect(r);

		for (int k = 0; k < 10; k++)
			ask_open(r, c, "/fifo", false);
		assert_true(rig_quiet(r, c));
		rig_hang_up(r, c);
	}
	rig_until(r, idle, NULL);
	ask_open(r, stay, "/etc/name", false);
	assert_int_equal(opened(r, stay), 0);
	/* with calls that hang and that wait, the rig is torn down */
	for (int k = 0; k < 10; k++)
		ask_open(r, stay, "/fifo", false);
	assert_true(rig_quiet(r, stay));
}

static bool
full(struct rig *r, void *arg)
{
	static const char msg[] = "\x05\x09\x01\x05/fifo\0\x01";

	return !rig_offer(r, *(size_t *)arg, msg, sizeof(msg) - 1);
}

/* More requests than are kept stay in the socket; then all are answered. */
static void
full_queue(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r), other = rig_connect(r);
	struct pm_DaemonMessage m;
	unsigned n = 0;

	make_fifo(r);
	ask_open(r, c, "/fifo", false);
	while (!full(r, &c))
		n++;
	assert_true(n > 1024 && n < 100000);
	rig_send_bytes(r, other, "\x07", 1);
	rig_want(r, other, PM_DaemonMessage_Pong, &m);
	ask_open(r, other, "/fifo", true);
	(void)opened(r, other);
	(void)opened(r, c);
	for (unsigned i = 0; i < n; i++)
		answer(r, c, PM_FileResponse_Xstat, &m);
	rig_send_bytes(r, c, "\x07", 1);
	rig_want(r, c, PM_DaemonMessage_Pong, &m);
}

static void
too_many_open(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_DaemonMessage m;
	unsigned ok = 0, failed = 0;
	int number = 0;

	for (int i = 0; i < 4200; i++) {
		ask_open(r, c, "/etc/name", false);
		answer(r, c, PM_FileResponse_Open, &m);
		if (m.u.File.u.Open.tag == PM_OK) {
			ok++;
			continue;
		}
		failed++;
		number = m.u.File.u.Open.u.Err.u.RemoteIO.raw_os_error.value;
	}
	assert_true(ok <= 4096 && failed == 4200 - ok && failed > 0);
	assert_int_equal(number, EMFILE);
	tell_close(r, c, 7, false);
	ask_open(r, c, "/etc/name", false);
	(void)opened(r, c);
}

/* What a client does not take is not read ahead for it without bound. */
static void
slow_reader(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct agent_client *ac =
	    LIST_ENTRY(r->a.clients.next, struct agent_client, link);
	struct pm_DaemonMessage m;
	FILE *f = fopen(rig_path(r, "big"), "w");

	assert_non_null(f);
	assert_int_equal(fseek(f, 3 * 1024 * 1024 - 1, SEEK_SET), 0);
	assert_true(fputc('x', f) != EOF);
	assert_int_equal(fclose(f), 0);
	ask_open(r, c, "/big", false);
	uint64_t fd = opened(r, c);

	for (int i = 0; i < 50; i++) {
		struct pm_ClientMessage q = FILE_MSG(ReadLimited);

		q.u.FileRequest.u.ReadLimited.remote_fd = fd;
		q.u.FileRequest.u.ReadLimited.buffer_size = 1024 * 1024;
		q.u.FileRequest.u.ReadLimited.start_from = 2 * 1024 * 1024;
		rig_send(r, c, &q);
	}
	for (int i = 0; i < 30; i++)
		ev_loop_turn(r->a.loop, true);
	assert_true(agent_client_queued(ac) < 3 * 1024 * 1024);
	for (int i = 0; i < 50; i++) {
		answer(r, c, PM_FileResponse_ReadLimited, &m);
		assert_int_equal(
		    m.u.File.u.ReadLimited.u.Ok.read_amount, 1024 * 1024);
		assert_int_equal(
		    m.u.File.u.ReadLimited.u.Ok.bytes.p[1024 * 1024 - 1], 'x');
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
	    T(in_order),
	    T(closing),
	    T(overtaking),
	    T(leaving),
	    T(full_queue),
	    T(too_many_open),
	    T(slow_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
