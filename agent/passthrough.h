/*
 * passthrough: a redirected connection that goes on to where it was meant
 * for. The target sees it coming from its own address.
 */
#ifndef AGENT_PASSTHROUGH_H
#define AGENT_PASSTHROUGH_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/incoming_priv.h"

/*
 * Takes fd and connects it to flow->orig; p (may be NULL) says who mirrors
 * it. Ends by itself. On failure fd is reset and the reason logged.
 */
void passthrough_start(struct incoming *in, int fd,
    const struct incoming_flow *flow, const struct incoming_port *p);
/* One of the running ones comes from this local port (to the target). */
bool passthrough_has_local_port(const struct incoming *in, uint16_t port);
/* Resets those to one port. */
void passthrough_abort_port(struct incoming *in, uint16_t port);
/* Resets them all. */
void passthrough_abort_all(struct incoming *in);

#endif
