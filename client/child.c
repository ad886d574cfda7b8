#include "config.h"

#include "client/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_KILL_MS = 5000 };

static const int passed[] = {
    SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGINT, SIGQUIT};
enum { N_PASSED = sizeof(passed) / sizeof(passed[0]) };

static void
child_reap(struct cli_child *c)
{
	int status, code;

	if (c->pid == 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
		return;
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	c->pid = 0;
	ev_timer_cancel(c->kill);
	c->on_exit(c->arg, code);
}

/* si_code SI_KERNEL: the terminal, which sent it to the program too. */
static void
child_signal(struct cli_child *c, const struct signalfd_siginfo *si)
{
	int signo = (int)si->ssi_signo;

	if (signo == SIGCHLD)
		child_reap(c);
	else if (c->pid != 0 && si->ssi_code != SI_KERNEL)
		kill(c->pid, signo);
	else if (c->pid == 0 && signo != SIGWINCH)
		c->on_signal(c->arg, signo);
}

static void
child_ready(void *arg, int ready)
{
	struct cli_child *c = arg;
	struct signalfd_siginfo si;

	(void)ready;
	if (read(c->fd, &si, sizeof(si)) == sizeof(si))
		child_signal(c, &si);
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
	sigset_t set;

	*c = (struct cli_child){
	    .on_exit = on_exit, .on_signal = on_signal, .arg = arg};
	signal(SIGCHLD, SIG_DFL); /* ignored, it would tell no code */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (int i = 0; i < N_PASSED; i++)
		sigaddset(&set, passed[i]);
	sigprocmask(SIG_BLOCK, &set, &c->before);
	c->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	c->io = c->fd < 0 ? NULL : ev_io_new(loop, c->fd, child_ready, c);
	c->kill = ev_timer_new(loop, child_kill, c);
	if (c->io == NULL || c->kill == NULL ||
	    ev_io_want(c->io, EV_WANT_READ) < 0)
		return -ERR_NOMEM;
	return 0;
}

void
cli_child_deinit(struct cli_child *c)
{
	if (c->kill == NULL && c->io == NULL)
		return;
	ev_io_free(&c->io);
	ev_timer_free(&c->kill);
	if (c->fd >= 0)
		close(c->fd);
	sigprocmask(SIG_SETMASK, &c->before, NULL);
}

/*
 * In the new process. Signals are what they were when we started, but what a
 * shell ignores for everything it starts in the background: who sends us
 * SIGINT wants the program to end. A SIGHUP that nohup ignores stays so.
 */
static void
child_exec(const struct cli_child *c, char **argv, char **envp, int report)
{
	int why;

	/* When we are killed outright the session is over: so is it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	sigprocmask(SIG_SETMASK, &c->before, NULL);
	execvpe(argv[0], argv, envp);
	why = errno;
	if (write(report, &why, sizeof(why)) < 0)
		_exit(126);
	_exit(127);
}

int
cli_child_start(struct cli_child *c, char **argv, char **envp, struct err *e)
{
	int fds[2], why = 0;
	ssize_t n;
	pid_t pid;

	/* Its exec tells success by closing, failure by its errno. */
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	pid = fork();
	if (pid == 0)
		child_exec(c, argv, envp, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return err_sys(e, errno, "fork");
	}
	do {
		n = read(fds[0], &why, sizeof(why));
	} while (n < 0 && errno == EINTR);
	close(fds[0]);
	if (n == sizeof(why)) {
		waitpid(pid, NULL, 0);
		return err_sys(e, why, "%s can't be started", argv[0]);
	}
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
