/* child: the developer's program, and its signals. */
#ifndef CLIENT_CHILD_H
#define CLIENT_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "lib/err.h"
#include "lib/ev.h"

struct cli_child {
	pid_t pid; /* 0: not running */
	int fd;    /* of signals */
	struct ev_io *io;
	struct ev_timer *kill; /* SIGKILL after a SIGTERM */
	sigset_t before;       /* the mask to go back to */
	/* The program ended: its code, or 128 + signal. */
	void (*on_exit)(void *arg, int code);
	/* A signal came while nothing runs. */
	void (*on_signal)(void *arg, int signo);
	void *arg;
};

/*
 * From now on signals come here: those that end a program are passed on to
 * it. It stays in our process group, so that the terminal reaches it directly;
 * what the terminal sent to both is not sent twice.
 */
int cli_child_init(struct cli_child *c, struct ev_loop *loop,
    void (*on_exit)(void *, int), void (*on_signal)(void *, int), void *arg);
void cli_child_deinit(struct cli_child *c);
/* Starts argv with envp, its standard streams being ours. */
int cli_child_start(
    struct cli_child *c, char **argv, char **envp, struct err *e);
/* SIGTERM now, SIGKILL in 5 s. */
void cli_child_stop(struct cli_child *c);

#endif
