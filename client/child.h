/* child: the developer's program, and its signals. */
#ifndef CLIENT_CHILD_H
#define CLIENT_CHILD_H

#include <sys/types.h>

#include "lib/err.h"
#include "lib/ev.h"

struct cli_child {
	struct ev_loop *loop;
	pid_t pid; /* 0: not running */
	struct ev_signal *signals[8];
	struct ev_timer *kill; /* SIGKILL after a SIGTERM */
	void (*on_exit)(void *arg, int code);
	/* A signal came while nothing runs. */
	void (*on_signal)(void *arg, int signo);
	void *arg;
};

/* Catches the signals that are passed on. */
int cli_child_init(struct cli_child *c, struct ev_loop *loop,
    void (*on_exit)(void *, int), void (*on_signal)(void *, int), void *arg);
void cli_child_deinit(struct cli_child *c);
/* Starts argv with envp. on_exit comes with its code, or 128 + signal. */
int cli_child_start(
    struct cli_child *c, char **argv, char **envp, struct err *e);
/* SIGTERM now, SIGKILL in 5 s. */
void cli_child_stop(struct cli_child *c);

#endif
