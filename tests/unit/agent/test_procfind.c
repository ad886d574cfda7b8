/* Finding a container's first process, in a /proc made by the test. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/procfind.h"
#include "tests/unit/unit.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba98765432"

static char top[64];

static void
put(int pid, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d", top, pid);
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/%d/%s", top, pid, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
proc(int pid, int ppid, unsigned long long start, const char *comm,
    const char *cgroup)
{
	char stat[512];

	snprintf(stat, sizeof(stat),
	    "%d (%s) S %d 1 1 0 -1 4194560 10 20 30 40 1 2 3 4 20 0 1 0 %llu "
	    "1000 100 18446744073709551615\n",
	    pid, comm, ppid, start);
	put(pid, "stat", stat);
	put(pid, "cgroup", cgroup);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/procfind.XXXXXX");
	return mkdtemp(top) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	char cmd[128];
	pid_t pid = fork();
	int status;

	(void)state;
	snprintf(cmd, sizeof(cmd), "%s", top);
	if (pid == 0) {
		execlp("rm", "rm", "-rf", cmd, (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static void
by_cgroup(void **state)
{
	pid_t pid = 0;
	struct err e;

	(void)state;
	proc(1, 0, 1, "init", "0::/\n");
	proc(50, 1, 100, "shim", "0::/system.slice/containerd\n");
	proc(90, 50, 200, "other",
	    "0::/kubepods/pod1/cri-containerd-" OTHER ".scope\n");
	/* the pids have wrapped: the root process has the highest one */
	proc(700, 50, 300, "app (x) y",
	    "0::/kubepods/pod1/cri-containerd-" ID ".scope\n");
	proc(60, 700, 310, "child",
	    "0::/kubepods/pod1/cri-containerd-" ID ".scope\n");
	proc(61, 60, 320, "grandchild",
	    "0::/kubepods/pod1/cri-containerd-" ID ".scope\n");
	/* entered from outside later (kubectl exec) */
	proc(40, 50, 900, "sh",
	    "0::/kubepods/pod1/cri-containerd-" ID ".scope\n");
	assert_int_equal(procfind_container(top, ID, &pid, &e), 0);
	assert_int_equal(pid, 700);
}

static void
private_cgroup_namespace(void **state)
{
	pid_t pid = 0;
	struct err e;

	(void)state;
	proc(5, 1, 10, "app",
	    "12:cpu:/../../../kubepods/besteffort/podx/" ID "\n1:x:/\n");
	assert_int_equal(procfind_container(top, ID, &pid, &e), 0);
	assert_int_equal(pid, 5);
}

static void
by_mounts(void **state)
{
	pid_t pid = 0;
	struct err e;

	(void)state;
	proc(5, 1, 10, "app", "0::/\n");
	put(5, "mountinfo",
	    "1 0 0:30 / / rw - overlay overlay rw\n"
	    "2 1 8:1 /lib/docker/containers/" ID "/hostname /etc/hostname\n");
	proc(6, 5, 10, "child", "0::/\n");
	put(6, "mountinfo", "1 0 0:30 /" ID " / rw - overlay overlay rw\n");
	assert_int_equal(procfind_container(top, ID, &pid, &e), 0);
	assert_int_equal(pid, 5);
}

static void
same_start(void **state)
{
	pid_t pid = 0;
	struct err e;

	(void)state;
	proc(31, 1, 10, "b", "0::/" ID "\n");
	proc(30, 1, 10, "a", "0::/" ID "\n");
	assert_int_equal(procfind_container(top, ID, &pid, &e), 0);
	assert_int_equal(pid, 30);
}

static void
not_found(void **state)
{
	pid_t pid = 0;
	struct err e;

	(void)state;
	proc(1, 0, 1, "init", "0::/\n");
	proc(2, 1, 1, "cut", "0::/" ID "\n");
	put(2, "stat", "2 (cut");         /* it ended while it was read */
	put(3, "cgroup", "0::/" ID "\n"); /* no stat at all */
	assert_int_equal(procfind_container(top, ID, &pid, &e), -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, ID));
	assert_int_equal(
	    procfind_container("/nonexistent", ID, &pid, &e), -ERR_SYS);
}

static void
wrong_ids(void **state)
{
	static const char *const ids[] = {"", "short", "/", "../../etc/passwd",
	    "containerd://" ID, ID "\n", ID " ", "0123456789abcde*", ID ID ID,
	    "with space in it", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"};

	(void)state;
	for (size_t i = 0; i < N_OF(ids); i++) {
		pid_t pid = 0;
		struct err e;

		assert_int_equal(
		    procfind_container(top, ids[i], &pid, &e), -ERR_INVALID);
	}
}

static void
stat_texts(void **state)
{
	static const char *const bad[] = {"", "1", "1 (", "1 (x", "1 (x)",
	    "1 (x) S", "1 (x) S 1 2 3", "1 (x) S a b c",
	    "1 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18"};
	unsigned long long start;
	pid_t ppid;

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(procfind_parse_stat(bad[i], &ppid, &start));
	assert_true(procfind_parse_stat(
	    "9 (a) R 8 (b) S 7 1 1 0 -1 1 1 1 1 1 1 1 1 1 20 0 1 0 77 1 1",
	    &ppid, &start));
	assert_int_equal(ppid, 7);
	assert_int_equal(start, 77);
}

static void
pidfds(void **state)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0), status;
	pid_t pid = 0, child;
	struct err e;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(procfind_pidfd(fd, &pid, &e), 0);
	assert_int_equal(pid, getpid());
	close(fd);
	child = fork();
	if (child == 0)
		_exit(0);
	fd = (int)syscall(SYS_pidfd_open, child, 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(procfind_pidfd(fd, &pid, &e), -ERR_NOT_FOUND);
	close(fd);
	assert_int_equal(procfind_pidfd(fd, &pid, &e), -ERR_SYS);
	assert_int_equal(procfind_pidfd(STDIN_FILENO, &pid, &e),
	    -ERR_NOT_FOUND); /* no pidfd */
}

int
main(void)
{
#define WITH_PROC(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    WITH_PROC(by_cgroup),
	    WITH_PROC(private_cgroup_namespace),
	    WITH_PROC(by_mounts),
	    WITH_PROC(same_start),
	    WITH_PROC(not_found),
	    WITH_PROC(wrong_ids),
	    cmocka_unit_test(stat_texts),
	    cmocka_unit_test(pidfds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
