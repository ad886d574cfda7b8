/*
 * tls: the inverted roles of spec/agent.md A.6: the agent accepts the TCP
 * connection and is the TLS client; the one that dialled presents the very
 * certificate that the agent was started with.
 */
#ifndef AGENT_TLS_H
#define AGENT_TLS_H

#include <stddef.h>

#include "lib/err.h"

struct tls_ctx;

/*
 * From the first certificate of pem. name: the first DNS or IP name in it (for
 * SNI), or empty. NULL with *e set.
 */
struct tls_ctx *agent_tls_new(
    const char *pem, char *name, size_t name_cap, struct err *e);

#endif
