/*
 * dns: the name and address lookups of one client. They run side by side;
 * the answers carry no id and go out in the order of the requests, names and
 * addresses each in a queue of their own (spec/protocol.md §9).
 */
#ifndef AGENT_DNS_H
#define AGENT_DNS_H

#include "agent/agent.h"
#include "protocol/mirrord.h"

struct dns;

struct dns *dns_new(struct agent_client *c);
/* family: a PM_AddressFamily_... 0, or negative to drop the client. */
int dns_request(struct dns *d, struct pm_str node, uint32_t family);
int dns_reverse(struct dns *d, const struct pm_ip *ip);
/* No more should be read from the client for now. */
bool dns_full(const struct dns *d);
void dns_free(struct dns **d);

#endif
