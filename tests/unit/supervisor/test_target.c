/* Replicas as the configuration names them, against processes of the test. */
#include "config.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/json.h"
#include "supervisor/target.h"
#include "sys/process.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/trib-target-XXXXXX";
static pid_t child;

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	child = fork();
	if (child == 0) {
		for (;;)
			pause();
	}
	return child < 0;
}

static int
teardown(void **state)
{
	int status;

	(void)state;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return rmdir(dir);
}

static const char *
file_with(const char *text)
{
	static char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/pid", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

/* The pidfd, or the error, of a replica given as printf'd JSON. */
static int
open_json(struct err *e, pid_t *pid, const char *fmt, const char *s, int n)
{
	char text[512];
	cJSON *c;
	int fd;

	snprintf(text, sizeof(text), fmt, s, n);
	c = json_parse(text, strlen(text), e);
	assert_non_null(c);
	fd = sup_target_open(c, pid, e);
	cJSON_Delete(c);
	return fd;
}

static void
test_first_pid(void **state)
{
	static const struct {
		const char *text;
		pid_t pid;
	} rows[] = {
	    {"12\n", 12},
	    {"12", 12},
	    {"12\n13\n14\n", 12},
	    {"12 rest", 12},
	    {"4194304\r\n", 4194304},
	    {"", 0},
	    {"\n", 0},
	    {" 12\n", 0},
	    {"0\n", 0},
	    {"-1\n", 0},
	    {"+5\n", 0},
	    {"12a\n", 0},
	    {"0x12\n", 0},
	    {"99999999999\n", 0},
	    {"123456789012345678901234567890123456789012345678901234567890"
	     "123456789\n",
		0},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		const char *path = file_with(rows[i].text);

		if (sup_target_first_pid(path) != rows[i].pid)
			fail_msg("%s", rows[i].text);
		unlink(path);
	}
	assert_int_equal(sup_target_first_pid("/no/such/file"), 0);
	assert_int_equal(sup_target_first_pid(dir), 0);
}

static void
test_pid_file(void **state)
{
	char number[16];
	const char *path;
	struct err e;
	pid_t pid = 0;
	int fd;

	(void)state;
	snprintf(number, sizeof(number), "%d\n", (int)child);
	path = file_with(number);
	fd = open_json(&e, &pid, "{\"pidFile\":\"%s\"}", path, 0);
	assert_true(fd >= 0);
	assert_int_equal(pid, child);
	assert_true(sys_pidfd_alive(fd));
	close(fd);
	path = file_with("nonsense");
	fd = open_json(&e, &pid, "{\"pidFile\":\"%s\"}", path, 0);
	assert_int_equal(fd, -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "names no process"));
	unlink(path);
	fd = open_json(&e, &pid, "{\"pidFile\":\"%s\"}", path, 0);
	assert_int_equal(fd, -ERR_NOT_FOUND);
}

static void
test_pid(void **state)
{
	int status, fd;
	struct err e;
	pid_t pid, gone = fork();

	(void)state;
	if (gone == 0)
		_exit(0);
	fd = open_json(&e, &pid, "{\"name\":\"%s\",\"pid\":%d}", "x", child);
	assert_true(fd >= 0);
	close(fd);
	/* Ended but not reaped: it runs no more. */
	assert_int_equal(
	    waitid(P_PID, (id_t)gone, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	fd = open_json(&e, &pid, "{\"name\":\"%s\",\"pid\":%d}", "x", gone);
	assert_int_equal(fd, -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "has just ended"));
	waitpid(gone, &status, 0);
	fd = open_json(&e, &pid, "{\"name\":\"%s\",\"pid\":%d}", "x", gone);
	assert_int_equal(fd, -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "does not run"));
	fd = open_json(&e, &pid, "{\"name\":\"%s\",\"pid\":%d}", "x", 0);
	assert_int_equal(fd, -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "names no process"));
}

/* Whatever stands in the entry: a process, or a sentence. */
static void
test_bad_entries(void **state)
{
	static const char *const rows[] = {
	    "{}",
	    "{\"name\":\"a\"}",
	    "{\"pid\":-1}",
	    "{\"pid\":0}",
	    "{\"pid\":\"1\"}",
	    "{\"pid\":1.5}",
	    "{\"pid\":1e300}",
	    "{\"pid\":2147483648}",
	    "{\"pid\":4294967297}", /* 1, if cut to 32 bits */
	    "{\"pid\":null}",
	    "{\"pid\":[1]}",
	    "{\"pidFile\":1}",
	    "{\"pidFile\":\"\"}",
	    "{\"pidFile\":\"/dev/null\"}",
	    "{\"pidFile\":\"/dev/zero\"}",
	    "{\"pidFile\":\"/proc/self/mem\"}",
	    "{\"pidFile\":\"/proc/self/cmdline\"}",
	    "{\"pidFile\":\"relative/pid\",\"pid\":1}",
	    "{\"unit\":1}",
	    "{\"unit\":\"@\"}",
	    "{\"unit\":\"@.service\"}",
	    "{\"unit\":\"trib-none@\"}",
	    "{\"unit\":\"%s%s%n\"}",
	    "{\"unit\":\"trib-no-such-unit.scope\"}",
	    "{\"cgroup\":\"\"}",
	    "{\"cgroup\":\"../../../../proc/self\"}",
	    "{\"cgroup\":\"/sys/fs/cgroup-not\"}",
	    "{\"cgroup\":{}}",
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		pid_t pid = -7;
		cJSON *c = json_parse(rows[i], strlen(rows[i]), &e);
		int fd;

		assert_non_null(c);
		fd = sup_target_open(c, &pid, &e);
		cJSON_Delete(c);
		if (fd != -ERR_NOT_FOUND || pid != -7)
			fail_msg("%s: %d", rows[i], fd);
		if (strlen(e.text) < 10)
			fail_msg("%s: no sentence", rows[i]);
	}
}

/* Names longer than any path: not found, and nothing else is found. */
static void
test_long_names(void **state)
{
	static const char *const keys[] = {"pidFile", "unit", "cgroup"};
	static const size_t sizes[] = {
	    254, 255, 580, 599, 600, 601, 4095, 4096, 4400, 60000};
	static char name[60001];

	(void)state;
	for (size_t i = 0; i < N_OF(keys) * N_OF(sizes); i++) {
		cJSON *c = cJSON_CreateObject();
		size_t n = sizes[i / N_OF(keys)];
		struct err e;
		pid_t pid;

		memset(name, 'u', n);
		name[n] = '\0';
		cJSON_AddStringToObject(c, keys[i % N_OF(keys)], name);
		assert_int_equal(sup_target_open(c, &pid, &e), -ERR_NOT_FOUND);
		cJSON_Delete(c);
	}
}

/* A FIFO that nobody writes to holds nobody up. */
static void
test_pid_fifo(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(sup_target_first_pid(path), 0);
	unlink(path);
	assert_int_equal(symlink(path, path), 0); /* to itself */
	assert_int_equal(sup_target_first_pid(path), 0);
	unlink(path);
}

static void
test_netns(void **state)
{
	struct err e;
	pid_t pid;
	int fd;

	(void)state;
	fd = open_json(&e, &pid, "{\"netns\":\"%s\",\"pid\":%d}",
	    "/proc/self/ns/net", child);
	assert_true(fd >= 0);
	close(fd);
	fd = open_json(
	    &e, &pid, "{\"netns\":\"%s\",\"pid\":%d}", "/no/such", child);
	assert_int_equal(fd, -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "/no/such"));
	fd = open_json(&e, &pid, "{\"netns\":\"%s\",\"pid\":%d}",
	    "/proc/self/ns/mnt", child);
	assert_int_equal(fd, -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "is not in the network namespace"));
}

static void
test_groups(void **state)
{
	struct err e;
	pid_t pid;

	(void)state;
	assert_int_equal(
	    open_json(&e, &pid, "{\"unit\":\"%s\"}", "trib-no-such-unit", 0),
	    -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "start it"));
	assert_int_equal(open_json(&e, &pid, "{\"unit\":\"%s\"}",
			     "trib-no-such@1.service", 0),
	    -ERR_NOT_FOUND);
	assert_int_equal(open_json(&e, &pid, "{\"cgroup\":\"%s\"}",
			     "/trib/no/such/group", 0),
	    -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "has no process"));
}

/* A control group of the test's own, where one can be made. */
static void
test_own_group(void **state)
{
	static const char *const roots[] = {"/sys/fs/cgroup",
	    "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"};
	char group[128], procs[160], number[16];
	struct err e;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < N_OF(roots); i++) {
		int fd;

		snprintf(group, sizeof(group), "%s/trib-test-%d", roots[i],
		    (int)getpid());
		if (mkdir(group, 0755) < 0)
			continue;
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
		snprintf(number, sizeof(number), "%d", (int)child);
		fd = open(procs, O_WRONLY);
		if (fd < 0 || write(fd, number, strlen(number)) < 0) {
			rmdir(group);
			continue;
		}
		close(fd);
		fd = open_json(&e, &pid, "{\"cgroup\":\"%s\"}", group, 0);
		assert_true(fd >= 0);
		assert_int_equal(pid, child);
		close(fd);
		fd = open_json(&e, &pid, "{\"cgroup\":\"%s\"}",
		    group + strlen(roots[i]), 0);
		assert_true(fd >= 0);
		close(fd);
		/* Back where everybody is, so that the group can go. */
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", roots[i]);
		fd = open(procs, O_WRONLY);
		assert_true(write(fd, number, strlen(number)) > 0);
		close(fd);
		assert_int_equal(rmdir(group), 0);
		return;
	}
	skip();
}

static void
test_address(void **state)
{
	char text[64];
	int ready[2], status;
	pid_t pid;
	char c;

	(void)state;
	/* No such process; then a namespace with nothing but loopback. */
	sup_target_address(0x3fffff, text, sizeof(text));
	assert_string_equal(text, "");
	if (geteuid() != 0)
		skip();
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "r", 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	sup_target_address(pid, text, sizeof(text));
	assert_string_equal(text, "");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(ready[0]);
	close(ready[1]);
	/* A buffer too small gives nothing, not half an address. */
	sup_target_address(getpid(), text, 3);
	assert_string_equal(text, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first_pid),
	    cmocka_unit_test(test_pid_file),
	    cmocka_unit_test(test_pid),
	    cmocka_unit_test(test_bad_entries),
	    cmocka_unit_test(test_long_names),
	    cmocka_unit_test(test_pid_fifo),
	    cmocka_unit_test(test_netns),
	    cmocka_unit_test(test_groups),
	    cmocka_unit_test(test_own_group),
	    cmocka_unit_test(test_address),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
