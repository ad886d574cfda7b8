#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/sup.h"
#include "sys/process.h"

extern char **environ;

/* Nothing of our environment but what reports of sanitizers and times need. */
static void
child_environment(char **env, size_t cap)
{
	static const char *const kept[] = {
	    "TZ=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS="};
	size_t n = 0;

	for (char **v = environ; *v != NULL; v++) {
		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
			if (n + 1 < cap &&
			    strncmp(*v, kept[i], strlen(kept[i])) == 0)
				env[n++] = *v;
		}
	}
	env[n] = NULL;
}

void
sup_place_fds(int *fds, int n, int first)
{
	/* Out of the way first, so that no dup2 closes one still needed. */
	for (int i = 0; i < n; i++) {
		if (fds[i] < first + n)
			fds[i] = fcntl(fds[i], F_DUPFD, first + n);
	}
	for (int i = 0; i < n; i++) {
		if (fds[i] < 0 || dup2(fds[i], first + i) < 0)
			_exit(127);
	}
}

/* In the child, between fork and exec: no allocation, no logging. */
static void
child_exec(const struct sup_worker *w, int channel, int err_fd, char *title)
{
	char worker_opt[] = "--worker", role[16];
	char *argv[] = {title, worker_opt, role, NULL}, *env[8];
	sigset_t none;
	struct err e;

	snprintf(role, sizeof(role), "%s", ipc_role_name(w->role));
	child_environment(env, sizeof(env) / sizeof(env[0]));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	sup_place_fds((int[]){err_fd, channel}, 2, STDERR_FILENO);
	if (sys_close_from(STDERR_FILENO + 2, &e) < 0)
		_exit(127);
	execve("/proc/self/exe", argv, env);
	_exit(127);
}

int
sup_spawn_worker(
    const struct sup_worker *w, struct sup_spawned *out, struct err *e)
{
	int sv[2], p[2];
	char title[320];

	/* Long enough for the worker to write its own title over all of it. */
	snprintf(title, sizeof(title), "tributaryd: %s", sup_worker_label(w));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return err_sys(e, errno, "cannot make a socket pair");
	if (pipe2(p, O_CLOEXEC) < 0) {
		err_sys(e, errno, "cannot make a pipe");
		close(sv[0]);
		close(sv[1]);
		return -ERR_SYS;
	}
	out->pid = fork();
	if (out->pid == 0)
		child_exec(w, sv[1], p[1], title);
	close(sv[1]);
	close(p[1]);
	if (out->pid < 0) {
		err_sys(e, errno, "cannot fork");
		close(sv[0]);
		close(p[0]);
		return -ERR_SYS;
	}
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	out->channel_fd = sv[0];
	out->stderr_fd = p[0];
	return 0;
}
