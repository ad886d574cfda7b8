/*
 * outgoing: the connections a client makes from the target's network
 * (spec/agent.md B.5): TCP and unix streams, UDP, unix seqpacket. Three
 * spaces of ids. Each connection has its own queue and limits, so that one
 * slow peer holds up nothing else.
 */
#ifndef AGENT_OUTGOING_H
#define AGENT_OUTGOING_H

#include "agent/agent.h"
#include "protocol/mirrord.h"

struct outgoing;

struct outgoing *outgoing_new(struct agent_client *c);
/* 0, or negative to drop the client. */
int outgoing_on_tcp(struct outgoing *o, const struct pm_LayerTcpOutgoing *m);
int outgoing_on_udp(struct outgoing *o, const struct pm_LayerUdpOutgoing *m);
int outgoing_on_seq(struct outgoing *o, const struct pm_LayerSeqpacket *m);
void outgoing_free(struct outgoing **o);

#endif
