/* target: "deployment/shop" as the API spells it, and connect parameters. */
#ifndef CLIENT_TARGET_H
#define CLIENT_TARGET_H

#include "client/api.h"

struct cli_target {
	const char *text;      /* "deployment/shop" or "targetless" */
	const char *container; /* or NULL */
	const char *namespace; /* or NULL: the kubeconfig's */
	const char *steal;     /* abort, continue, override; NULL: abort */
	const char *key;       /* or NULL: a generated one */
	bool single_cluster;
};

/* "deployment/shop" -> "deployment.shop[.container.c]". -ERR_INVALID. */
int cli_target_alias(
    const struct cli_target *t, struct buf *out, struct err *e);
/* The query of the connect request. */
int cli_target_query(
    const struct cli_target *t, struct buf *out, struct err *e);
/* A random session id. */
uint64_t cli_session_new_id(void);

struct cli_session_ops;
struct cli_session;
/* Everything up to a session under way: operator, certificate, connect. */
struct cli_session *cli_target_connect(struct cli_api *api,
    const struct cli_target *t, const struct cli_session_ops *ops, void *arg,
    bool reconnect, struct err *e);
/*
 * Ends the session as it ends the command: frees *s and, when it was still up,
 * tells the operator that it will not come back, which would else keep it for
 * its TTL. Best effort, at most 2 s.
 */
void cli_target_leave(struct cli_api *api, struct cli_session **s);

#endif
