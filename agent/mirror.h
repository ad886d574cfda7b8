/*
 * mirror: copies of what peers send, for clients that mirror a port. A
 * mirroring client that does not keep up loses the connection, never slows
 * the real one (spec/agent.md B.7).
 */
#ifndef AGENT_MIRROR_H
#define AGENT_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/incoming_priv.h"

/* More than this waiting for a client: its mirrored connections lag. */
#define MIRROR_LAG_BYTES ((size_t)8 * 1024 * 1024)

/* The clients that watch one connection. */
struct mirror_set {
	struct list taps; /* struct mirror_tap.set_link */
};

void mirror_init(struct mirror_set *s);
/* Announces the connection to everybody who mirrors p (may be NULL). */
void mirror_attach(struct mirror_set *s, const struct incoming_port *p,
    const struct incoming_flow *flow);
static inline bool
mirror_any(const struct mirror_set *s)
{
	return !list_empty(&s->taps);
}
/* A half_copy_fn: arg is the set. */
void mirror_data(void *arg, const uint8_t *p, size_t n);
/* The peer has half-closed; telling twice is telling once. */
void mirror_eof(struct mirror_set *s);
/* The connection is over: tells everybody, and s is empty. */
void mirror_end(struct mirror_set *s);
/* The client wants no more of it; unknown ids are ignored. */
void mirror_unsubscribe(struct incoming_client *ic, uint64_t id);
/* The client reads again: it is told what it missed. An ev_fn for lag_wait. */
void mirror_tell_lag(void *incoming_client);
/* The client goes; nothing is sent to it. */
void mirror_client_gone(struct incoming_client *ic);

#endif
