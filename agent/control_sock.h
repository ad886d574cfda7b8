/* control_sock: the agent's end of the supervisor's socket (agent/control.h).
 */
#ifndef AGENT_CONTROL_SOCK_H
#define AGENT_CONTROL_SOCK_H

#include "lib/err.h"
#include "lib/ev.h"

struct control;

struct control_cbs {
	/* A new client's stream; the callee owns fd. */
	void (*on_client)(void *arg, int fd);
	/* The supervisor has closed, or it sent what it may not. */
	void (*on_end)(void *arg);
};

/* fd stays the caller's. Nothing is read before control_start. */
struct control *control_new(struct ev_loop *loop, int fd,
    const struct control_cbs *cbs, void *arg, struct err *e);
int control_start(struct control *c);
void control_free(struct control **c);
/* One AGENT_CONTROL_... with text; best effort. Also without a control. */
void control_say(int fd, int type, const char *text);

#endif
