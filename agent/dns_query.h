/*
 * dns_query: one question to the configured servers, over UDP and, when the
 * answer does not fit, TCP. In the network namespace of the process.
 */
#ifndef AGENT_DNS_QUERY_H
#define AGENT_DNS_QUERY_H

#include "agent/dns_conf.h"
#include "agent/dns_msg.h"
#include "lib/err.h"
#include "lib/ev.h"

struct dns_query;
/*
 * rc 0: a is an answer, whatever its rcode. Else a is NULL: -ERR_TIMEOUT,
 * -ERR_CLOSED (no server can be reached), -ERR_INVALID (nonsense came, or the
 * name cannot be asked for), -ERR_NOMEM. The query is over; free it.
 */
typedef void dns_query_fn(void *arg, int rc, const struct dns_answer *a);

/* Calls fn from the loop, never from inside. conf must outlive the query. */
struct dns_query *dns_query_new(struct ev_loop *loop,
    const struct dns_conf *conf, const char *name, uint16_t type,
    dns_query_fn *fn, void *arg);
/* Any time, also inside fn. */
void dns_query_free(struct dns_query **q);

#endif
