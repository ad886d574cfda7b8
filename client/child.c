#include "config.h"

#include "client/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_KILL_MS = 5000 };

/*
 * The program stays in our process group, so that the terminal reaches it
 * directly: what the terminal sends to both must not be passed on twice.
 */
static const struct {
	int signo;
	bool from_terminal;
} passed[] = {
    {SIGTERM, false},
    {SIGHUP, false},
    {SIGUSR1, false},
    {SIGUSR2, false},
    {SIGINT, true},
    {SIGQUIT, true},
};
enum { N_PASSED = sizeof(passed) / sizeof(passed[0]) };

static void
child_signal(struct cli_child *c, int i)
{
	if (c->pid == 0) {
		c->on_signal(c->arg, passed[i].signo);
		return;
	}
	if (passed[i].from_terminal && isatty(STDIN_FILENO) &&
	    tcgetpgrp(STDIN_FILENO) == getpgrp())
		return; /* it has got it already */
	kill(c->pid, passed[i].signo);
}

/* libevent tells no signal number: one small function each. */
#define CHILD_ON(i)                         \
	static void child_on_##i(void *arg) \
	{                                   \
		child_signal(arg, i);       \
	}
CHILD_ON(0)
CHILD_ON(1)
CHILD_ON(2)
CHILD_ON(3)
CHILD_ON(4)
CHILD_ON(5)
static ev_fn *const child_fns[N_PASSED] = {
    child_on_0, child_on_1, child_on_2, child_on_3, child_on_4, child_on_5};

static void
child_reap(void *arg)
{
	struct cli_child *c = arg;
	int status, code;

	if (c->pid == 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
		return;
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	c->pid = 0;
	ev_timer_cancel(c->kill);
	c->on_exit(c->arg, code);
}

static void
child_kill(void *arg)
{
	struct cli_child *c = arg;

	if (c->pid != 0)
		kill(c->pid, SIGKILL);
}

int
cli_child_init(struct cli_child *c, struct ev_loop *loop,
    void (*on_exit)(void *, int), void (*on_signal)(void *, int), void *arg)
{
	*c = (struct cli_child){.loop = loop,
	    .on_exit = on_exit,
	    .on_signal = on_signal,
	    .arg = arg};
	for (int i = 0; i < N_PASSED; i++) {
		c->signals[i] =
		    ev_signal_new(loop, passed[i].signo, child_fns[i], c);
		if (c->signals[i] == NULL)
			return -ERR_NOMEM;
	}
	c->signals[N_PASSED] = ev_signal_new(loop, SIGCHLD, child_reap, c);
	c->kill = ev_timer_new(loop, child_kill, c);
	return c->signals[N_PASSED] == NULL || c->kill == NULL ? -ERR_NOMEM : 0;
}

void
cli_child_deinit(struct cli_child *c)
{
	for (int i = 0; i <= N_PASSED; i++)
		ev_signal_free(&c->signals[i]);
	ev_timer_free(&c->kill);
}

int
cli_child_start(struct cli_child *c, char **argv, char **envp, struct err *e)
{
	int fds[2], why = 0;
	sigset_t none;
	pid_t pid;

	/* Its exec tells success by closing, failure by its errno. */
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	pid = fork();
	if (pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		for (int i = 0; i < N_PASSED; i++)
			signal(passed[i].signo, SIG_DFL);
		signal(SIGPIPE, SIG_DFL);
		execvpe(argv[0], argv, envp);
		why = errno;
		if (write(fds[1], &why, sizeof(why)) < 0)
			_exit(126);
		_exit(127);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return err_sys(e, errno, "fork");
	}
	if (read(fds[0], &why, sizeof(why)) == sizeof(why)) {
		waitpid(pid, NULL, 0);
		close(fds[0]);
		return err_sys(e, why, "%s", argv[0]);
	}
	close(fds[0]);
	c->pid = pid;
	return 0;
}

void
cli_child_stop(struct cli_child *c)
{
	if (c->pid == 0)
		return;
	kill(c->pid, SIGTERM);
	ev_timer_set(c->kill, CHILD_KILL_MS);
}
