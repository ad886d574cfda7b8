/*
 * The worker of one remote cluster: its API client and the child streams of
 * every session to it.
 *
 * Holds: this cluster's current credential, no other's. Parses: HTTP, TLS and
 * WebSocket frames of this cluster's operator, and of its messages the kind.
 * May: ask the connector for a connection to this cluster. Its death loses
 * this cluster for the sessions that use it; they go on with the others.
 */
#include "config.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/cluster/cluster.h"

static int
clu_configure(struct clu *clu, struct err *e)
{
	struct worker *w = clu->w;
	const cJSON *cluster =
	    cJSON_GetObjectItemCaseSensitive(w->config, "cluster");

	clu->health_ms = (uint32_t)json_int(json_at(w->config, "multiCluster"),
			     "healthCheckSecs", 1, 86400, 30) *
			 1000;
	return clu_server_parse(clu, json_str(cluster, "server", ""), e);
}

int
clu_prepare(struct worker *w, struct err *e)
{
	struct clu *clu = calloc(1, sizeof(*clu));

	if (clu == NULL ||
	    OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1) {
		free(clu);
		return err_nomem(e);
	}
	clu->w = w;
	w->state = clu;
	buf_init(&clu->roots, 0);
	map_init(&clu->dials);
	map_init(&clu->sessions);
	list_init(&clu->idle);
	list_init(&clu->requests);
	clu->budget.limit_bytes = CLU_DAEMON_BUDGET_BYTES;
	str_fmt(clu->credential_error, sizeof(clu->credential_error),
	    "no credential has come yet");
	/* For a cluster without caData; a machine without roots is no error
	 * before one is needed. */
	if (tls_system_roots(&clu->roots, e) < 0)
		log_debug("no system roots why=%s", e->text);
	return clu_configure(clu, e);
}

int
clu_start(struct worker *w, struct err *e)
{
	(void)w;
	(void)e;
	return 0;
}

void
clu_on_peer(struct worker *w, struct ipc_peer *peer)
{
	struct clu *clu = w->state;

	/* A controller that has just started knows nothing of us. */
	if (ipc_peer_role(peer) == IPC_OWN)
		clu_tell_state(clu, clu->credential_error);
	if (ipc_peer_role(peer) == IPC_CON && clu->tls != NULL)
		clu_health_start(clu);
}

void
clu_on_peer_gone(struct worker *w, struct ipc_peer *peer, const char *why)
{
	struct clu *clu = w->state;
	struct clu_session *s;
	size_t pos = 0;

	log_warn("peer gone role=%s why=%s", ipc_role_name(ipc_peer_role(peer)),
	    why);
	if (ipc_peer_role(peer) == IPC_CON)
		clu_dials_gone(clu, "the connector is restarting");
	if (ipc_peer_role(peer) != IPC_OWN)
		return;
	/* Its handles mean nothing any more; it grants anew. */
	while ((s = map_next(&clu->sessions, &pos, NULL)) != NULL) {
		clu_session_free(s, "the session controller restarts");
		pos = 0;
	}
}

void
clu_reload(struct worker *w, cJSON *old_config)
{
	struct clu *clu = w->state;
	struct err e;

	(void)old_config;
	if (clu_configure(clu, &e) < 0)
		log_error("configuration kept why=%s", e.text);
	clu_requests_forget_idle(clu);
	if (clu->health != NULL)
		clu_health_start(clu);
}

void
clu_drain(struct worker *w, uint32_t deadline_ms)
{
	(void)deadline_ms; /* the frontends end the streams, not we */
	worker_drained(w);
}

void
clu_stop(struct worker *w)
{
	struct clu *clu = w->state;
	struct clu_session *s;
	size_t pos = 0;

	if (clu == NULL)
		return;
	while ((s = map_next(&clu->sessions, &pos, NULL)) != NULL) {
		clu_session_free(s, "the daemon stops");
		pos = 0;
	}
	clu_requests_free(clu);
	clu_dials_gone(clu, "the daemon stops");
	map_free(&clu->sessions);
	map_free(&clu->dials);
	tls_ctx_free(&clu->tls);
	ev_timer_free(&clu->health);
	buf_free(&clu->roots);
	if (clu->token != NULL)
		OPENSSL_cleanse(clu->token, strlen(clu->token));
	free(clu->token);
	free(clu);
	w->state = NULL;
}
