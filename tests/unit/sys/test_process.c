/* What a child of the test gives away, seen from outside and inside. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/fdpass.h"
#include "sys/identity.h"
#include "sys/landlock.h"
#include "sys/notify.h"
#include "sys/process.h"
#include "tests/unit/unit.h"

typedef int child_fn(void *arg);

/* fn's result as the child's exit code; 0 means all was well. */
static int
in_child(child_fn *fn, void *arg)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool
status_has(const char *line)
{
	char text[8192];
	FILE *f = fopen("/proc/self/status", "r");
	size_t n;

	if (f == NULL)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return strstr(text, line) != NULL;
}

static int
child_identity(void *arg)
{
	struct err e;

	(void)arg;
	if (sys_identity_drop(64321, 64321, &e) < 0)
		return 1;
	if (!status_has("Uid:\t64321\t64321\t64321\t64321") ||
	    !status_has("Gid:\t64321\t64321\t64321\t64321") ||
	    !status_has("CapEff:\t0000000000000000") ||
	    !status_has("CapPrm:\t0000000000000000") ||
	    !status_has("CapInh:\t0000000000000000") ||
	    !status_has("CapBnd:\t0000000000000000") ||
	    !status_has("Groups:\t \n"))
		return 2;
	if (sys_no_new_privileges(&e) < 0 || !status_has("NoNewPrivs:\t1"))
		return 3;
	return 0;
}

static int
child_stays_root(void *arg)
{
	struct err e;

	(void)arg;
	return sys_identity_drop(0, 5, &e) == -ERR_INVALID &&
		       sys_identity_drop(5, 0, &e) == -ERR_INVALID &&
		       getuid() == 0
		   ? 0
		   : 1;
}

static int
child_empty_root(void *arg)
{
	struct err e;

	(void)arg;
	if (sys_empty_root(&e) < 0)
		return 1;
	if (access("/etc", F_OK) == 0 || access("/tmp", F_OK) == 0 ||
	    access("..", F_OK) != 0)
		return 2;
	if (open("/x", O_CREAT | O_WRONLY, 0600) >= 0 || mkdir("/x", 0700) == 0)
		return 3;
	if (chroot("../../..") == 0 && access("/etc", F_OK) == 0)
		return 4;
	return 0;
}

static void
test_identity(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(child_identity, NULL), 0);
	assert_int_equal(in_child(child_stays_root, NULL), 0);
	assert_int_equal(in_child(child_empty_root, NULL), 0);
}

/* arg: a directory; only inside/ may be used afterwards. */
static int
child_landlock(void *arg)
{
	struct sys_landlock_rule r = {
	    -1, SYS_LANDLOCK_READ | SYS_LANDLOCK_WRITE | SYS_LANDLOCK_CREATE};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct err e;
	int dir = open(arg, O_DIRECTORY | O_RDONLY), fd;

	(void)sa;
	r.fd = openat(dir, "inside", O_DIRECTORY | O_RDONLY);
	if (r.fd < 0 || sys_no_new_privileges(&e) < 0 ||
	    sys_landlock_apply(&r, 1, 0, &e) < 0)
		return 1;
	fd = openat(r.fd, "new", O_CREAT | O_WRONLY, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) < 0 ||
	    renameat(r.fd, "new", r.fd, "newer") < 0 ||
	    unlinkat(r.fd, "newer", 0) < 0)
		return 2;
	if (openat(r.fd, "../secret", O_RDONLY) >= 0 || errno != EACCES)
		return 3;
	if (openat(dir, "secret", O_RDONLY) >= 0 || errno != EACCES)
		return 4;
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
		return 5;
	if (openat(dir, "new", O_CREAT | O_WRONLY, 0600) >= 0)
		return 6;
	if (symlinkat("x", r.fd, "link") == 0) /* not among the rights */
		return 7;
	return 0;
}

static int
child_landlock_nothing(void *arg)
{
	struct err e;

	(void)arg;
	if (sys_no_new_privileges(&e) < 0 ||
	    sys_landlock_apply(NULL, 0, 0, &e) < 0)
		return 1;
	return open("/", O_DIRECTORY | O_RDONLY) < 0 &&
		       open("/dev/null", O_RDONLY) < 0
		   ? 0
		   : 2;
}

static void
test_landlock(void **state)
{
	char dir[] = "/tmp/trib-landlock-XXXXXX", path[128];

	(void)state;
	if (sys_landlock_abi() == 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/inside", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/secret", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(in_child(child_landlock, dir), 0);
	assert_int_equal(in_child(child_landlock_nothing, NULL), 0);
	unlink(path);
	snprintf(path, sizeof(path), "%s/inside", dir);
	rmdir(path);
	rmdir(dir);
}

static int
child_close_from(void *arg)
{
	struct err e;
	int fd = dup(0);

	(void)arg;
	if (fd < 3 || sys_close_from(3, &e) < 0)
		return 1;
	if (fcntl(fd, F_GETFD) >= 0)
		return 2;
	close(0);
	close(1);
	close(2);
	if (sys_null_stdio(&e) < 0)
		return 3;
	return write(2, "x", 1) == 1 && fcntl(3, F_GETFD) < 0 ? 0 : 4;
}

static int
child_title(void *arg)
{
	char area[64] = "prog\0--worker\0x", line[256] = "";
	char *argv[] = {area, area + 5, area + 14, NULL};
	FILE *f;

	(void)arg;
	sys_title_init(3, argv);
	sys_title_set("tributaryd-test", "tributaryd: test %u", 7U);
	/* Cut to the room there was, the rest cleared. */
	if (memcmp(area, "tributaryd: tes\0", 16) != 0)
		return 1;
	f = fopen("/proc/self/comm", "r");
	if (f == NULL || fgets(line, sizeof(line), f) == NULL)
		return 2;
	fclose(f);
	return strcmp(line, "tributaryd-test\n") == 0 ? 0 : 3;
}

static void
test_process(void **state)
{
	(void)state;
	assert_int_equal(in_child(child_close_from, NULL), 0);
	assert_int_equal(in_child(child_title, NULL), 0);
}

static int
child_waits(void *arg)
{
	struct err e;
	int *ready = arg;

	if (sys_die_with_parent(getppid(), &e) < 0 ||
	    write(*ready, "r", 1) != 1)
		return 1;
	for (;;)
		pause();
}

/* kill -9 of the middle process ends the one below. */
static void
test_die_with_parent(void **state)
{
	char pid_text[16] = {0}, c;
	int p[2], status, pidfd;
	pid_t middle, child;
	struct err e;

	(void)state;
	assert_int_equal(pipe(p), 0);
	middle = fork();
	assert_true(middle >= 0);
	if (middle == 0) {
		child = fork();
		if (child == 0)
			_exit(child_waits(&p[1]));
		dprintf(p[1], "%d.", (int)child);
		waitpid(child, &status, 0);
		_exit(0);
	}
	/* "PID." and "r" in either order. */
	for (size_t n = 0, got = 0; got < 2;) {
		assert_int_equal(read(p[0], &c, 1), 1);
		if (c == 'r' || c == '.')
			got++;
		else
			pid_text[n++] = c;
	}
	pidfd = sys_pidfd_open(atoi(pid_text), &e);
	assert_true(pidfd >= 0);
	assert_true(sys_pidfd_alive(pidfd));
	kill(middle, SIGKILL);
	waitpid(middle, &status, 0);
	for (int i = 0; i < 500 && sys_pidfd_alive(pidfd); i++)
		usleep(10000);
	assert_false(sys_pidfd_alive(pidfd));
	close(pidfd);
	close(p[0]);
	close(p[1]);
}

static void
test_pidfd(void **state)
{
	struct err e;
	int status, pidfd;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		for (;;)
			pause();
	pidfd = sys_pidfd_open(pid, &e);
	assert_true(pidfd >= 0);
	assert_true(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(sys_pidfd_signal(pidfd, SIGKILL), 0);
	waitpid(pid, &status, 0);
	assert_false(sys_pidfd_alive(pidfd));
	assert_true(sys_pidfd_signal(pidfd, SIGKILL) < 0);
	assert_int_equal(sys_pidfd_open(pid, &e), -ERR_SYS);
	assert_non_null(strstr(e.text, "no process"));
	close(pidfd);
}

static int
child_die_with_stranger(void *arg)
{
	struct err e;

	(void)arg;
	return sys_die_with_parent(getppid() + 1, &e) == -ERR_CLOSED ? 0 : 1;
}

static void
test_parent_gone(void **state)
{
	(void)state;
	assert_int_equal(in_child(child_die_with_stranger, NULL), 0);
}

static void
test_notify(void **state)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/trib-notify-XXXXXX", text[256];
	struct sys_notify n;
	struct err e;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ssize_t len;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/n", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	setenv("NOTIFY_SOCKET", sa.sun_path, 1);
	setenv("WATCHDOG_USEC", "4000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(sys_notify_init(&n, &e), 0);
	assert_int_equal(n.watchdog_us, 0); /* another process's */
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_int_equal(sys_notify_send(&n, "READY=1\nSTATUS=%s", "up"), 0);
	len = recv(fd, text, sizeof(text), 0);
	assert_memory_equal(text, "READY=1\nSTATUS=up", (size_t)len);
	assert_int_equal(sys_notify_reloading(&n), 0);
	len = recv(fd, text, sizeof(text) - 1, 0);
	text[len] = '\0';
	assert_non_null(strstr(text, "RELOADING=1\nMONOTONIC_USEC="));
	sys_notify_deinit(&n);
	unlink(sa.sun_path);
	rmdir(dir);
	close(fd);
}

static void
test_notify_bad(void **state)
{
	static char too_long[120] = "/";
	const char *const bad[] = {"relative", "/no/such/socket", too_long};
	struct sys_notify n;
	struct err e;

	memset(too_long + 1, '0', sizeof(too_long) - 2);
	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		assert_true(sys_notify_init(&n, &e) < 0);
		assert_int_equal(n.fd, -1);
	}
	setenv("WATCHDOG_USEC", "4000000", 1);
	assert_int_equal(sys_notify_init(&n, &e), 0);
	assert_int_equal(n.watchdog_us, 4000000);
	assert_int_equal(sys_notify_send(&n, "READY=1"), 0); /* nobody */
	sys_notify_deinit(&n);
}

static void
test_fdpass(void **state)
{
	int sv[2], p[2], fds[SYS_FDPASS_MAX + 2];
	unsigned n = 2;
	char text[16];
	struct err e;

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv), 0);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(sys_fd_send(sv[0], "hello", 5, p, 2, &e), 0);
	assert_int_equal(sys_fd_recv(sv[1], text, 16, fds, &n, &e), 5);
	assert_int_equal(n, 2);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read(p[0], text, 1), 1);
	close(fds[0]);
	close(fds[1]);
	/* More than wanted: none of them stays. */
	assert_int_equal(sys_fd_send(sv[0], "again", 5, p, 2, &e), 0);
	n = 1;
	assert_int_equal(
	    sys_fd_recv(sv[1], text, 16, fds, &n, &e), -ERR_INVALID);
	assert_int_equal(n, 0);
	n = 4;
	assert_int_equal(
	    sys_fd_recv(sv[1], text, 16, fds, &n, &e), -ERR_TRUNCATED);
	assert_int_equal(sys_fd_send(sv[0], "", 0, NULL, 0, &e), -ERR_INVALID);
	assert_int_equal(
	    sys_fd_send(sv[0], "x", 1, fds, SYS_FDPASS_MAX + 1, &e),
	    -ERR_INVALID);
	close(sv[0]);
	n = 4;
	assert_int_equal(sys_fd_recv(sv[1], text, 16, fds, &n, &e), 0);
	assert_int_equal(sys_fd_send(sv[1], "x", 1, NULL, 0, &e), -ERR_CLOSED);
	close(sv[1]);
	close(p[0]);
	close(p[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_identity),
	    cmocka_unit_test(test_landlock),
	    cmocka_unit_test(test_process),
	    cmocka_unit_test(test_die_with_parent),
	    cmocka_unit_test(test_parent_gone),
	    cmocka_unit_test(test_pidfd),
	    cmocka_unit_test(test_notify),
	    cmocka_unit_test(test_notify_bad),
	    cmocka_unit_test(test_fdpass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
