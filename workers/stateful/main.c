/*
 * The stateful worker: the stateful flows of every session, between the
 * frontends and the worker of the session's stateful cluster.
 *
 * Holds: no credential, no socket but its peers'. Parses: nothing yet; what
 * it gets was framed by workers that the supervisor attached. Its death is a
 * lost default cluster for the sessions that have flows here: the router
 * drops their sockets and the clients come back. Traffic goes on past it.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "workers/stateful/stateful.h"

enum { SF_DAEMON_BUDGET_BYTES = 64 << 20 };

void
sf_session_free(struct sf_session *s, const char *text)
{
	LIST_FOR_EACH_SAFE (node, &s->flows) {
		struct sf_flow *f = LIST_ENTRY(node, struct sf_flow, node);

		if (f->client != NULL)
			ipc_stream_end(f->client, 0, text);
		if (f->cluster != NULL)
			ipc_stream_end(f->cluster, 0, text);
		sf_flow_free(f);
	}
	map_del(&s->sf->sessions, s->handle);
	free(s);
}

int
sf_on_grant(void *worker, struct ipc_in *in, struct err *e)
{
	struct sf *sf = ((struct worker *)worker)->state;
	const struct ipc_grant *m = in->payload;
	struct sf_session *s = map_get(&sf->sessions, in->header.session);
	struct ipc_granted done = {.session_id = m->session_id};

	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL ||
		    map_put(&sf->sessions, in->header.session, s) < 0) {
			free(s);
			return err_nomem(e);
		}
		s->sf = sf;
		s->handle = in->header.session;
		s->budget = (struct ipc_budget){.parent = &sf->budget,
		    .limit_bytes = IPC_SESSION_BUDGET_BYTES};
		list_init(&s->flows);
	}
	s->id = m->session_id;
	s->role = m->worker == UINT32_MAX ? IPC_OWN : IPC_CLU;
	s->worker = m->worker;
	snprintf(s->cluster, sizeof(s->cluster), "%s", m->cluster);
	return ipc_send(in->peer, IPC_GRANTED, 0, s->handle, 0, &done, NULL, 0);
}

int
sf_on_revoke(void *worker, struct ipc_in *in, struct err *e)
{
	struct sf *sf = ((struct worker *)worker)->state;
	const struct ipc_revoke *m = in->payload;
	struct sf_session *s = map_get(&sf->sessions, in->header.session);

	(void)e;
	if (s != NULL)
		sf_session_free(s, m->text);
	return 0;
}

int
sf_on_stream_open(void *worker, struct ipc_in *in, struct err *e)
{
	struct sf *sf = ((struct worker *)worker)->state;
	struct sf_session *s = map_get(&sf->sessions, in->header.session);

	if (s == NULL) {
		struct ipc_stream_reset m = {
		    .code = 404, .text = "the session is not known here"};

		return ipc_send(in->peer, IPC_STREAM_RESET, 0,
		    in->header.session, in->header.stream, &m, NULL, 0);
	}
	return sf_flow_open(s, in, in->payload, e);
}

int
sf_start(struct worker *w, struct err *e)
{
	struct sf *sf = calloc(1, sizeof(*sf));

	if (sf == NULL)
		return err_nomem(e);
	sf->w = w;
	sf->budget.limit_bytes = SF_DAEMON_BUDGET_BYTES;
	map_init(&sf->sessions);
	w->state = sf;
	return 0;
}

void
sf_on_peer(struct worker *w, struct ipc_peer *peer)
{
	(void)w;
	log_debug("peer attached role=%s", ipc_role_name(ipc_peer_role(peer)));
}

static void
sf_forget_all(struct sf *sf, const char *text)
{
	struct sf_session *s;
	size_t pos = 0;

	while ((s = map_next(&sf->sessions, &pos, NULL)) != NULL) {
		sf_session_free(s, text);
		pos = 0;
	}
}

/* Streams of a lost peer end by themselves (ipc stream). */
void
sf_on_peer_gone(struct worker *w, struct ipc_peer *peer, const char *why)
{
	log_warn("peer gone role=%s why=%s", ipc_role_name(ipc_peer_role(peer)),
	    why);
	/* Its handles mean nothing any more; it grants anew. */
	if (ipc_peer_role(peer) == IPC_OWN)
		sf_forget_all(w->state, "the session controller restarts");
}

void
sf_drain(struct worker *w, uint32_t deadline_ms)
{
	(void)deadline_ms; /* the frontends end the sockets, not we */
	worker_drained(w);
}

void
sf_stop(struct worker *w)
{
	struct sf *sf = w->state;

	if (sf == NULL)
		return;
	sf_forget_all(sf, "the daemon stops");
	map_free(&sf->sessions);
	free(sf);
	w->state = NULL;
}
