/*
 * client: one stream of protocol messages (spec/agent.md A.7): what comes is
 * decoded and handed to the part that does it, what goes is queued within
 * limits. The transport is a plain or a TLS connection.
 */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include "agent/agent.h"
#include "protocol/mirrord.h"

struct tls_ctx;

/*
 * Takes over fd, a connected stream socket. tls: NULL for none. The client
 * is in a->clients until it ends by itself or by client_end.
 */
int client_new(struct agent *a, int fd, struct tls_ctx *tls, struct err *e);
/* Ends it: at once when text is NULL, else after Close(text) went out. */
void client_end(struct agent_client *c, const char *text);
/* Something that stopped the reading of requests (files, DNS) has room. */
void client_unblock(struct agent_client *c);
/* All of them at once. */
void client_end_all(struct agent *a);

#endif
