/*
 * steal: a redirected connection that a client answers in place of the
 * target. Raw TCP: what the peer sends goes to the client as it is, what the
 * client sends goes to the peer (spec/protocol.md 11.2).
 */
#ifndef AGENT_STEAL_H
#define AGENT_STEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/incoming_priv.h"

/*
 * Of a client's bytes for one peer that does not read them. Above it the
 * client is held (nothing is read from it), which ends when the peer has
 * taken some, or else after STEAL_PATIENCE_MS with the connection.
 */
#define STEAL_PEER_BYTES ((size_t)1024 * 1024)
#define STEAL_PATIENCE_MS 5000

/*
 * Takes fd and announces it to p->stealer. False when that client is lost:
 * fd is then still the caller's.
 */
bool steal_start(struct incoming *in, int fd, const struct incoming_flow *flow,
    const struct incoming_port *p);
/* n = 0: half-close. Unknown ids are ignored, here and below. */
void steal_data(
    struct incoming_client *ic, uint64_t id, const uint8_t *p, size_t n);
/* The id is dead; what was sent before still goes to the peer. */
void steal_unsubscribe(struct incoming_client *ic, uint64_t id);
/*
 * The client goes: its connections are reset, but for those whose answer is
 * complete, which get the rest of it.
 */
void steal_client_gone(struct incoming_client *ic);
/* Resets them all. */
void steal_abort_all(struct incoming *in);

#endif
