/*
 * The odd cases of what the kernel and systemd are asked: environments,
 * sockets that are full or gone, descriptors in bad places, handles on
 * processes that are none.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* An abstract datagram socket of the test, its name as systemd writes it. */
static int
listener(char *name, size_t cap)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), n;

	assert_true(fd >= 0);
	snprintf(name, cap, "@trib-edges-%d", (int)getpid());
	n = snprintf(sa.sun_path + 1, sizeof(sa.sun_path) - 1, "%s", name + 1);
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&sa,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)),
	    0);
	return fd;
}

static void
test_watchdog_environment(void **state)
{
	char self[16], other[16], huge[] = "99999999999999999999999";
	const struct {
		const char *usec, *pid;
		uint64_t want;
	} rows[] = {
	    {"4000000", NULL, 4000000},
	    {"4000000", self, 4000000},
	    {"4000000", other, 0},
	    {"4000000", "", 0},
	    {"4000000", "x", 0},
	    {"4000000", huge, 0},
	    {"4000000", "-1", 0},
	    {"", NULL, 0},
	    {"0", NULL, 0},
	    {"-5", NULL, 0},
	    {"4s", NULL, 0},
	    {" 4", NULL, 0},
	    {huge, NULL, 0},
	    {NULL, self, 0},
	};
	struct sys_notify n;
	struct err e;

	(void)state;
	snprintf(self, sizeof(self), "%d", (int)getpid());
	snprintf(other, sizeof(other), "%d", (int)getppid());
	for (size_t i = 0; i < N_OF(rows); i++) {
		unsetenv("NOTIFY_SOCKET");
		if (rows[i].usec != NULL)
			setenv("WATCHDOG_USEC", rows[i].usec, 1);
		if (rows[i].pid != NULL)
			setenv("WATCHDOG_PID", rows[i].pid, 1);
		assert_int_equal(sys_notify_init(&n, &e), 0);
		if (n.watchdog_us != rows[i].want)
			fail_msg("row %zu", i);
		/* Children must not speak for us. */
		assert_null(getenv("WATCHDOG_USEC"));
		assert_null(getenv("WATCHDOG_PID"));
		sys_notify_deinit(&n);
	}
}

static void
test_notify_abstract(void **state)
{
	char name[64], text[1100], big[1100];
	struct sys_notify n;
	struct err e;
	int fd = listener(name, sizeof(name));

	(void)state;
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(sys_notify_init(&n, &e), 0);
	assert_true(fcntl(n.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(sys_notify_send(&n, "STATUS=%d%%", 5), 0);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 9);
	/* What does not fit is not sent in part. */
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(sys_notify_send(&n, "%s", big), -ERR_TOO_BIG);
	big[1023] = '\0';
	assert_int_equal(sys_notify_send(&n, "%s", big), 0);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 1023);
	/* Nobody reads: refused sooner or later, never waited for. */
	for (int i = 0; i < 100000; i++) {
		if (sys_notify_send(&n, "WATCHDOG=1") < 0)
			break;
		assert_true(i < 99999);
	}
	close(fd);
	assert_int_equal(sys_notify_send(&n, "READY=1"), -ERR_SYS);
	sys_notify_deinit(&n);
	sys_notify_deinit(&n); /* twice does no harm */
	assert_int_equal(sys_notify_send(&n, "READY=1"), 0);
	/* It is gone: said, and the daemon goes on without. */
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(sys_notify_init(&n, &e), -ERR_SYS);
	assert_non_null(strstr(e.text, name));
	assert_int_equal(n.fd, -1);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(sys_notify_init(&n, &e), 0);
	assert_int_equal(n.fd, -1);
}

/* A stream socket listens there: another kind of service. */
static void
test_notify_wrong_kind(void **state)
{
	char dir[] = "/tmp/trib-edges-XXXXXX", path[64];
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sys_notify n;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	assert_true(sys_notify_init(&n, &e) < 0);
	assert_int_equal(n.fd, -1);
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	setenv("NOTIFY_SOCKET", path, 1);
	assert_true(sys_notify_init(&n, &e) < 0); /* a plain file */
	unlink(path);
	rmdir(dir);
	close(fd);
}

static void
test_pidfd_of_nothing(void **state)
{
	static const pid_t bad[] = {0, -1, INT32_MIN, INT32_MAX};
	struct err e;
	int p[2];

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		assert_int_equal(sys_pidfd_open(bad[i], &e), -ERR_SYS);
		assert_non_null(strstr(e.text, "no process"));
	}
	/* Descriptors that are no processes are not alive. */
	assert_false(sys_pidfd_alive(1 << 20));
	assert_true(sys_pidfd_signal(1 << 20, 0) < 0);
	assert_true(sys_pidfd_signal(-1, SIGKILL) < 0);
	assert_int_equal(pipe(p), 0);
	assert_true(sys_pidfd_signal(p[0], SIGKILL) < 0);
	close(p[0]);
	close(p[1]);
}

/* A zombie has ended, though its number is still taken. */
static void
test_pidfd_of_a_zombie(void **state)
{
	siginfo_t info;
	struct err e;
	pid_t pid = fork();
	int fd, status;

	(void)state;
	if (pid == 0)
		_exit(3);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	fd = sys_pidfd_open(pid, &e);
	assert_true(fd >= 0);
	assert_false(sys_pidfd_alive(fd));
	waitpid(pid, &status, 0);
	assert_false(sys_pidfd_alive(fd));
	assert_true(sys_pidfd_signal(fd, 0) < 0);
	close(fd);
}

static int
child_stdio(void *arg)
{
	const int *closed = arg;
	struct stat null, st;
	struct err e;
	int before;

	for (int i = 0; i < 3; i++) {
		if (closed[i])
			close(i);
	}
	if (sys_null_stdio(&e) < 0 || stat("/dev/null", &null) < 0)
		return 1;
	for (int i = 0; i < 3; i++) {
		if (fstat(i, &st) < 0)
			return 2 + i;
		/* 2 only where nothing was. */
		if ((i < 2 || closed[2]) && st.st_rdev != null.st_rdev)
			return 5 + i;
	}
	before = dup(0);
	close(before);
	return before == 3 ? 0 : 9; /* nothing was left open */
}

static int
child_alone(void *arg)
{
	struct err e;

	/* From a clean table, so that "nothing left open" can be seen. */
	if (sys_close_from(3, &e) < 0)
		return 20;
	return child_stdio(arg);
}

static void
test_stdio(void **state)
{
	int rows[][3] = {
	    {0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 0}, {1, 1, 1}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		int rc = in_child(child_alone, rows[i]);

		if (rc != 0)
			fail_msg("row %zu: %d", i, rc);
	}
}

/* Nothing above, a hole, and the highest there can be. */
static int
child_close_from(void *arg)
{
	struct rlimit lim;
	struct err e;
	int low, high;

	(void)arg;
	if (sys_close_from(3, &e) < 0 || sys_close_from(3, &e) < 0)
		return 1;
	low = fcntl(0, F_DUPFD, 10);
	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || low != 10)
		return 2;
	high = fcntl(0, F_DUPFD, (int)(lim.rlim_cur > 1024 ? 1000 : 100));
	if (high < 100 || sys_close_from(11, &e) < 0)
		return 3;
	if (fcntl(low, F_GETFD) < 0 || fcntl(high, F_GETFD) >= 0)
		return 4;
	return fcntl(0, F_GETFD) >= 0 ? 0 : 5;
}

static int
child_titles(void *arg)
{
	char area[] = "p\0-x", *one = area, *apart = area + 3;
	char *argv[] = {one, apart, NULL};
	char long_name[40];

	(void)arg;
	sys_title_set("early", "nothing %d", 1); /* no room known yet */
	sys_title_init(0, argv);
	sys_title_set("early", "nothing");
	if (strcmp(one, "p") != 0)
		return 1;
	/* The second lies elsewhere: only the first's room counts. */
	sys_title_init(2, argv);
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	sys_title_set(long_name, "%s", "tributaryd");
	if (strcmp(one, "t") != 0 || strcmp(apart, "x") != 0)
		return 2;
	sys_title_set("c", "%s", "");
	return one[0] == '\0' ? 0 : 3;
}

static void
test_descriptors_and_titles(void **state)
{
	(void)state;
	assert_int_equal(in_child(child_close_from, NULL), 0);
	assert_int_equal(in_child(child_titles, NULL), 0);
}

/* Without root none of it works, and nothing of it has happened then. */
static int
child_no_root(void *arg)
{
	struct err e;
	uid_t uid = 64321;

	(void)arg;
	if (geteuid() == 0 && (setresgid(64322, 64322, 64322) < 0 ||
				  setresuid(uid, uid, uid) < 0))
		return 1;
	uid = getuid();
	if (sys_identity_drop(64400, 64400, &e) >= 0)
		return 2;
	if (strstr(e.text, "cannot") == NULL || getuid() != uid)
		return 3;
	if (access("/etc", F_OK) != 0)
		return 4;
	/* Without root it needs no more than no_new_privs. */
	return sys_no_new_privileges(&e) < 0 ? 5 : 0;
}

static void
test_identity_without_root(void **state)
{
	(void)state;
	assert_int_equal(in_child(child_no_root, NULL), 0);
}

static int
child_bad_rules(void *arg)
{
	struct sys_landlock_rule rules[] = {{-1, SYS_LANDLOCK_READ}};
	struct err e;
	int p[2];

	(void)arg;
	if (sys_no_new_privileges(&e) < 0 || pipe(p) < 0)
		return 1;
	/* A bad descriptor, a pipe: refused, and nothing is restricted. */
	if (sys_landlock_apply(rules, 1, 0, &e) >= 0)
		return 2;
	if (strstr(e.text, "Landlock rule") == NULL)
		return 3;
	rules[0].fd = p[0];
	if (sys_landlock_apply(rules, 1, 0, &e) >= 0)
		return 4;
	return access("/etc/passwd", R_OK) == 0 &&
		       open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0
		   ? 0
		   : 5;
}

/* Read is no right to write, and no rights are none at all. */
static int
child_read_only(void *arg)
{
	struct sys_landlock_rule rules[] = {{-1, SYS_LANDLOCK_READ}, {-1, 0}};
	struct err e;
	int dir = open(arg, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	rules[0].fd = openat(dir, "a", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	rules[1].fd = openat(dir, "b", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (rules[0].fd < 0 || rules[1].fd < 0 ||
	    sys_no_new_privileges(&e) < 0 ||
	    sys_landlock_apply(rules, 2, 0, &e) < 0)
		return 1;
	if (openat(rules[0].fd, "f", O_RDONLY | O_CLOEXEC) < 0)
		return 2;
	if (openat(rules[0].fd, "f", O_WRONLY | O_CLOEXEC) >= 0 ||
	    errno != EACCES)
		return 3;
	if (openat(rules[0].fd, "n", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
		return 4;
	if (unlinkat(rules[0].fd, "f", 0) == 0 ||
	    renameat(rules[0].fd, "f", rules[0].fd, "g") == 0 ||
	    mkdirat(rules[0].fd, "d", 0700) == 0)
		return 5;
	return openat(rules[1].fd, "f", O_RDONLY | O_CLOEXEC) < 0 &&
		       errno == EACCES
		   ? 0
		   : 6;
}

static void
file_in(const char *dir, const char *sub)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/%s", dir, sub);
	assert_int_equal(mkdir(path, 0700), 0);
	strncat(path, "/f", sizeof(path) - strlen(path) - 1);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void
file_gone(const char *dir, const char *sub)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/%s/f", dir, sub);
	assert_int_equal(unlink(path), 0);
	path[strlen(path) - 2] = '\0';
	assert_int_equal(rmdir(path), 0);
}

static void
test_landlock_rights(void **state)
{
	char dir[] = "/tmp/trib-edges-XXXXXX";

	(void)state;
	if (sys_landlock_abi() == 0)
		skip();
	assert_int_equal(in_child(child_bad_rules, NULL), 0);
	assert_non_null(mkdtemp(dir));
	file_in(dir, "a");
	file_in(dir, "b");
	assert_int_equal(in_child(child_read_only, dir), 0);
	file_gone(dir, "a");
	file_gone(dir, "b");
	assert_int_equal(rmdir(dir), 0);
}

/* Dead before it could be tied, and parents that are none. */
static int
child_wrong_parents(void *arg)
{
	const pid_t bad[] = {0, -1, getpid(), 1 << 22};
	struct err e;

	(void)arg;
	for (size_t i = 0; i < N_OF(bad); i++) {
		if (sys_die_with_parent(bad[i], &e) != -ERR_CLOSED)
			return 1;
	}
	return sys_die_with_parent(getppid(), &e) == 0 ? 0 : 2;
}

static void
test_parents(void **state)
{
	(void)state;
	assert_int_equal(in_child(child_wrong_parents, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_watchdog_environment),
	    cmocka_unit_test(test_notify_abstract),
	    cmocka_unit_test(test_notify_wrong_kind),
	    cmocka_unit_test(test_pidfd_of_nothing),
	    cmocka_unit_test(test_pidfd_of_a_zombie),
	    cmocka_unit_test(test_stdio),
	    cmocka_unit_test(test_descriptors_and_titles),
	    cmocka_unit_test(test_identity_without_root),
	    cmocka_unit_test(test_landlock_rights),
	    cmocka_unit_test(test_parents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
