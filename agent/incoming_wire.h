/*
 * incoming_wire: the messages of intercepted traffic to a client, in the form
 * that its version knows (spec/protocol.md 7.2, 8, 12).
 */
#ifndef AGENT_INCOMING_WIRE_H
#define AGENT_INCOMING_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "agent/incoming_priv.h"
#include "protocol/mirrord.h"

/* The two spaces of connection ids. */
enum incoming_side { INCOMING_MIRROR, INCOMING_STEAL };

/* Each returns what agent_client_send does. */
int wire_new_connection(struct agent_client *c, enum incoming_side side,
    uint64_t id, const struct incoming_flow *flow);
/* n = 0: the peer has half-closed. */
int wire_data(struct agent_client *c, enum incoming_side side, uint64_t id,
    const uint8_t *p, size_t n);
int wire_close(struct agent_client *c, enum incoming_side side, uint64_t id);
int wire_subscribed(
    struct agent_client *c, enum incoming_side side, uint16_t port);
/* The rule of a port could not be made. */
int wire_subscribe_failed(
    struct agent_client *c, enum incoming_side side, int errnum);
/* HTTP filters are not there yet. type: borrowed, as the client sent it. */
int wire_refuse_steal(struct agent_client *c, const struct pm_StealType *type);
int wire_refuse_mirror(struct agent_client *c, uint16_t port);

#endif
