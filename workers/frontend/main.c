/*
 * A frontend worker: TLS, HTTP and WebSockets of the CLI and of primaries.
 *
 * Holds: the TLS serving key (made here) and the CAs' certificates; never a
 * cluster's credential. Parses: everything a stranger may send before and
 * after he has shown who he is; so it opens nothing and connects nowhere. Its
 * death drops the client sockets that landed here; the sessions live on and
 * the clients come back.
 */
#include "config.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "workers/frontend/frontend.h"

enum { FE_DRAIN_TICK_MS = 50 };

static void
fe_renew(void *arg)
{
	struct fe *fe = arg;

	if (fe_cert_ask(fe) < 0)
		log_error("no serving key could be made");
}

int
fe_prepare(struct worker *w, struct err *e)
{
	struct fe *fe = calloc(1, sizeof(*fe));

	/* Configuration, providers and entropy are read while files exist. */
	if (fe == NULL ||
	    OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1) {
		free(fe);
		return err_nomem(e);
	}
	fe->key = EVP_EC_gen("P-256");
	if (fe->key == NULL) {
		free(fe);
		return err_set(e, ERR_INTERNAL, "no P-256 key could be made");
	}
	fe->w = w;
	list_init(&fe->listeners);
	list_init(&fe->conns);
	list_init(&fe->sockets);
	list_init(&fe->pings);
	map_init(&fe->sessions);
	map_init(&fe->calls);
	buf_init(&fe->chain_pem, 1 << 20);
	fe->budget.limit_bytes = FE_DAEMON_BUDGET_BYTES;
	w->state = fe;
	return 0;
}

int
fe_start(struct worker *w, struct err *e)
{
	struct fe *fe = w->state;

	fe->renew = ev_timer_new(w->loop, fe_renew, fe);
	fe->accept_again = ev_timer_new(w->loop, fe_listeners_again, fe);
	return fe->renew == NULL || fe->accept_again == NULL ? err_nomem(e) : 0;
}

void
fe_on_peer(struct worker *w, struct ipc_peer *peer)
{
	struct fe *fe = w->state;

	/* The secrets worker is (back) there: a certificate is due. */
	if (ipc_peer_role(peer) == IPC_SEC)
		ev_timer_set(fe->renew, 0);
}

void
fe_on_peer_gone(struct worker *w, struct ipc_peer *peer, const char *why)
{
	struct fe *fe = w->state;
	enum ipc_role role = ipc_peer_role(peer);

	log_warn("peer gone role=%s why=%s", ipc_role_name(role), why);
	if (role == IPC_OWN || role == IPC_SEC)
		fe_calls_peer_gone(fe, role);
	if (role != IPC_OWN)
		return; /* streams of the others end by themselves */
	/* The controller forgot the handles: sockets begin anew by id. */
	fe_sessions_orphan(fe);
}

void
fe_reload(struct worker *w, cJSON *old_config)
{
	struct err e;

	(void)old_config;
	if (fe_trust_reload(w->state, &e) < 0)
		log_error("the old serving certificate is kept why=%s", e.text);
}

static void
fe_drain_tick(void *arg)
{
	struct fe *fe = arg;

	if ((list_empty(&fe->sockets) && list_empty(&fe->pings) &&
		list_empty(&fe->conns)) ||
	    clock_mono_ms() >= fe->drain_until_ms)
		worker_drained(fe->w);
	else
		ev_timer_set(fe->renew, FE_DRAIN_TICK_MS);
}

/* No new work; clients are dropped so that they reconnect elsewhere. */
void
fe_drain(struct worker *w, uint32_t deadline_ms)
{
	struct fe *fe = w->state;

	/* The other workers need some of the time, too. */
	fe->drain_until_ms = clock_mono_ms() + deadline_ms / 2;
	fe->draining = true;
	fe_listeners_free(fe);
	LIST_FOR_EACH_SAFE (node, &fe->sockets) {
		struct fe_socket *k = LIST_ENTRY(node, struct fe_socket, node);

		if (k->connect == NULL)
			fe_socket_end(k);
	}
	fe_pings_drop(fe);
	LIST_FOR_EACH_SAFE (node, &fe->conns) {
		struct fe_conn *c = LIST_ENTRY(node, struct fe_conn, node);

		if (c->connect != NULL)
			fe_connect_refuse(c->connect, 503,
			    "the server is stopping; try again in a moment");
		fe_forward_end(c);
		http_conn_drain(c->http);
	}
	ev_timer_free(&fe->renew);
	fe->renew = ev_timer_new(w->loop, fe_drain_tick, fe);
	if (fe->renew == NULL)
		worker_drained(w);
	else
		ev_timer_set(fe->renew, 0);
}

void
fe_stop(struct worker *w)
{
	struct fe *fe = w->state;

	if (fe == NULL)
		return;
	fe_listeners_free(fe);
	/* connections first: a connect under way lets go of its socket */
	LIST_FOR_EACH_SAFE (node, &fe->conns)
		fe_conn_free(LIST_ENTRY(node, struct fe_conn, node));
	LIST_FOR_EACH_SAFE (node, &fe->sockets)
		fe_socket_free(LIST_ENTRY(node, struct fe_socket, node));
	fe_pings_free(fe);
	fe_calls_peer_gone(fe, IPC_OWN);
	fe_calls_peer_gone(fe, IPC_SEC);
	map_free(&fe->sessions);
	map_free(&fe->calls);
	fe_trust_free(fe);
	ev_timer_free(&fe->accept_again);
	free(fe);
	w->state = NULL;
}
