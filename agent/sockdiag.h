/*
 * sockdiag: ends established TCP connections of a local port by netlink
 * (SOCK_DESTROY), for the flush of agent/incoming.c (spec/agent.md B.6.5):
 * what was connected before the port was redirected is reset, so that the
 * peer comes back and is redirected.
 */
#ifndef AGENT_SOCKDIAG_H
#define AGENT_SOCKDIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

/* True for a peer port whose connection stays. */
typedef bool sockdiag_keep_fn(void *arg, uint16_t peer_port);

/*
 * Resets the server side of every established connection to the local port,
 * both families, in the network namespace of the calling thread. *count_r
 * (may be NULL) = how many. -ERR_UNSUPPORTED when the kernel cannot do it
 * (CONFIG_INET_DIAG_DESTROY), -ERR_SYS.
 */
int sockdiag_flush(uint16_t port, sockdiag_keep_fn *keep, void *arg,
    size_t *count_r, struct err *e);

#endif
