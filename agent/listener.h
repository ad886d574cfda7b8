/* listener: the TCP port of the stock command line. */
#ifndef AGENT_LISTENER_H
#define AGENT_LISTENER_H

#include <stdint.h>

#include "lib/err.h"
#include "lib/ev.h"

struct listener;
/* A connection, non-blocking; the callee owns fd. */
typedef void listener_fn(void *arg, int fd);

/*
 * Binds in the network namespace of the calling thread, both families where
 * there are both. Connections wait in the backlog until listener_start.
 */
int listener_open(uint16_t port, int *fd_r, struct err *e);
/* Takes fd over. NULL without memory. */
struct listener *listener_start(
    struct ev_loop *loop, int fd, listener_fn *fn, void *arg);
void listener_free(struct listener **l);

#endif
