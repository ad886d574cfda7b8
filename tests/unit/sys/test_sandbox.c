/* Each probe runs in a child: what the table lacks must kill it. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/sandbox_rows.h"
#include "tests/unit/unit.h"

/* clang-format off */
static const struct sys_sandbox_row test_rows[] = {
#include "sys/sandbox_base.def"
SYS_ARG2(socket, 0, AF_INET, 1, SOCK_STREAM, "test: two arguments")
};
/* clang-format on */
static const struct sys_sandbox test_box = {
    "test", test_rows, SYS_ROWS(test_rows), .max_files = 64};

typedef void probe_fn(void);

static void
probe_nothing(void)
{
}

static void
probe_pipe_io(void)
{
	if (write(STDERR_FILENO, "", 0) != 0)
		_exit(2);
}

static void
probe_malloc(void)
{
	char *p = malloc(8 << 20);

	if (p == NULL)
		_exit(2);
	memset(p, 1, 8 << 20);
	free(p);
}

static void
probe_stream_socket(void)
{
	if (socket(AF_INET, SOCK_STREAM, 0) < 0)
		_exit(2);
}

static void
probe_datagram_socket(void)
{
	socket(AF_INET, SOCK_DGRAM, 0);
}

static void
probe_other_family(void)
{
	socket(AF_INET6, SOCK_STREAM, 0);
}

static void
probe_connect(void)
{
	struct sockaddr sa = {.sa_family = AF_UNIX};

	connect(0, &sa, sizeof(sa));
}

static void
probe_exec(void)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL};

	execv("/bin/true", argv);
}

static void
probe_fork(void)
{
	syscall(SYS_fork);
}

static void
probe_bpf(void)
{
	syscall(SYS_bpf, 0x11, NULL, 0);
}

static void
probe_kill_parent(void)
{
	syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void
probe_dup_arg(void)
{
	fcntl(0, F_SETLEASE, F_RDLCK);
}

#ifndef TRIB_SANITIZERS
static void
probe_open(void)
{
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static void
probe_exec_memory(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	    0);
}

static void
probe_ptrace(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
}

static void
probe_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 1);
}
#endif

/* The wait status of a child that runs fn under the filter. */
static int
run_probe(probe_fn *fn, enum sys_sandbox_mode mode, int stderr_fd)
{
	struct err e;
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (stderr_fd >= 0)
			dup2(stderr_fd, STDERR_FILENO);
		signal(SIGSYS, SIG_DFL);
		if (sys_sandbox_limits(&test_box, &e) < 0 ||
		    sys_sandbox_apply(&test_box, mode, &e) < 0)
			_exit(3);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

struct probe {
	const char *name;
	probe_fn *fn;
	bool allowed;
};

static const struct probe probes[] = {
    {"nothing", probe_nothing, true},
    {"write", probe_pipe_io, true},
    {"malloc", probe_malloc, true},
    {"stream socket", probe_stream_socket, true},
    {"datagram socket", probe_datagram_socket, false},
    {"other family", probe_other_family, false},
    {"connect", probe_connect, false},
    {"exec", probe_exec, false},
    {"fork", probe_fork, false},
    {"bpf", probe_bpf, false},
    {"kill the parent", probe_kill_parent, false},
    {"fcntl lease", probe_dup_arg, false},
#ifndef TRIB_SANITIZERS
    {"open", probe_open, false},
    {"executable memory", probe_exec_memory, false},
    {"ptrace", probe_ptrace, false},
    {"dumpable", probe_dumpable, false},
#endif
};

static void
test_kill(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		int status = run_probe(probes[i].fn, SYS_SANDBOX_KILL, -1);
		bool lived = WIFEXITED(status) && WEXITSTATUS(status) == 0;
		bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;

		if (probes[i].allowed ? !lived : !killed)
			fail_msg("%s: status %#x", probes[i].name, status);
	}
}

static void
test_trap_names_the_call(void **state)
{
	char text[256];
	int p[2], status;
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(p), 0);
	status = run_probe(probe_bpf, SYS_SANDBOX_TRAP, p[1]);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	close(p[1]);
	n = read(p[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "the call bpf"));
#ifdef __x86_64__
	assert_non_null(strstr(text, "with 0x11, 0, 0 is not"));
#endif
	close(p[0]);
}

static void
test_limits(void **state)
{
	struct rlimit rl;
	struct err e;
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		if (sys_sandbox_limits(&test_box, &e) < 0 ||
		    getrlimit(RLIMIT_CORE, &rl) < 0 || rl.rlim_max != 0 ||
		    getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_max != 64)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_print(void **state)
{
	struct buf out;
	const char *text;

	(void)state;
	buf_init(&out, 0);
	assert_int_equal(sys_sandbox_print(&test_box, &out), 0);
	text = buf_cstr(&out);
	assert_non_null(strstr(text, "test: seccomp"));
	assert_non_null(strstr(text, "recvmsg"));
	assert_non_null(strstr(text, "IPC: frames and descriptors"));
	assert_non_null(strstr(text, "arg2 & (PROT_EXEC) = 0"));
	assert_non_null(strstr(text, "own pid"));
#ifdef TRIB_SANITIZERS
	assert_non_null(strstr(text, "sanitizer: "));
#else
	assert_null(strstr(text, "sanitizer: "));
#endif
	buf_free(&out);
}

static void
test_every_row_has_a_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < SYS_ROWS(test_rows); i++) {
		assert_non_null(test_rows[i].reason);
		assert_true(strlen(test_rows[i].reason) > 2);
		assert_true(test_rows[i].n_args <= 2);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kill),
	    cmocka_unit_test(test_trap_names_the_call),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_print),
	    cmocka_unit_test(test_every_row_has_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
