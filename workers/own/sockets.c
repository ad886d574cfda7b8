/*
 * sockets: the client sockets of a session, wherever they landed. While one
 * is open the record's stamp is renewed (looked at each second, written when
 * a third of the TTL old: never more often than the 10 s of multicluster §3
 * for a TTL of 30 s or more); while none is, anchors keep the children and
 * the TTL runs.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "protocol/pm_scan.h"
#include "workers/own/handlers.h"
#include "workers/own/own.h"

void
own_heartbeat(struct own_session *s, bool force)
{
	int64_t now = clock_wall_us();
	int64_t third_us = s->own->cfg.ttl_s * 1000000 / 3;
	if (!force && now >= s->stamp_us && now - s->stamp_us < third_us)
		return;
	s->stamp_us = now;
	(void)own_session_save(s);
}

/* Calls fn once for each frontend that has a socket of s or waits for s. */
static void
each_frontend(struct own_session *s,
    void (*fn)(struct ipc_peer *fe, struct own_session *s, const void *m),
    const void *m)
{
	struct worker *w = s->own->w;
	for (uint32_t i = 0; i < 256; i++) {
		struct ipc_peer *fe = worker_peer(w, IPC_FE, i);
		bool has = false;
		LIST_FOR_EACH (n, &s->sockets) {
			has = has ||
			      LIST_ENTRY(n, struct own_socket, node)->fe == fe;
		}
		if (fe != NULL && has)
			fn(fe, s, m);
	}
}

static void
send_end(struct ipc_peer *fe, struct own_session *s, const void *m)
{
	(void)ipc_send(fe, IPC_SESSION_END, 0, s->handle, 0, m, NULL, 0);
}

void
own_sockets_end(struct own_session *s, bool close, const char *text)
{
	struct ipc_session_end m = {.close = close, .text = text};
	each_frontend(s, send_end, &m);
}

static void
send_child_state(struct ipc_peer *fe, struct own_session *s, const void *m)
{
	(void)ipc_send(fe, IPC_CHILD_STATE, 0, s->handle, 0, m, NULL, 0);
}

void
own_tell_child_state(struct own_slot *slot, bool up, const char *text)
{
	struct ipc_child_state m = {
	    .slot = (uint32_t)slot->index, .up = up, .text = text};
	if (slot->told_up == up && up)
		return;
	slot->told_up = up;
	each_frontend(slot->s, send_child_state, &m);
}

static void
send_settled(struct ipc_peer *fe, struct own_session *s, const void *m)
{
	(void)ipc_send(fe, IPC_SESSION_SETTLED, 0, s->handle, 0, m, NULL, 0);
}

static void
all_closed(struct own_session *s)
{
	own_heartbeat(s, true);
	if (s->phase == OWN_READY)
		own_slots_anchor(s, true);
	if (s->own->draining)
		own_drain_check(s->own);
}

int
own_on_socket_up(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_socket_up *m = in->payload;
	struct own_session *s =
	    own_session_by_handle(own_of(worker), in->header.session);
	(void)e;
	if (s == NULL || s->phase == OWN_TERMINATING) {
		struct ipc_session_end end = {.close = s != NULL && s->ended,
		    .text = s != NULL && s->ended ? s->close_text
						  : "the session is over"};
		(void)ipc_send(in->peer, IPC_SESSION_END, 0, in->header.session,
		    0, &end, NULL, 0);
		return 0;
	}
	struct own_socket *k = calloc(1, sizeof(*k));
	if (k == NULL)
		return 0;
	list_init(&k->node);
	k->fe = in->peer;
	k->stream = in->header.stream;
	k->request = m->request;
	list_push(&s->sockets, &k->node);
	s->used = true;
	own_heartbeat(s, true);
	own_slots_anchor(s, false);
	return 0;
}

static void
drop_subs(
    struct own_session *s, const struct ipc_peer *fe, uint32_t stream, bool all)
{
	LIST_FOR_EACH_SAFE (n, &s->subs) {
		struct own_sub *b = LIST_ENTRY(n, struct own_sub, node);
		if (b->fe == fe && (all || b->stream == stream)) {
			list_remove(n);
			free(b);
		}
	}
}

int
own_on_socket_down(void *worker, struct ipc_in *in, struct err *e)
{
	struct own_session *s =
	    own_session_by_handle(own_of(worker), in->header.session);
	(void)e;
	if (s == NULL)
		return 0;
	bool found = false;
	LIST_FOR_EACH_SAFE (n, &s->sockets) {
		struct own_socket *k = LIST_ENTRY(n, struct own_socket, node);
		if (!found && k->fe == in->peer &&
		    k->stream == in->header.stream) {
			found = true;
			list_remove(n);
			free(k);
		}
	}
	drop_subs(s, in->peer, in->header.stream, false);
	if (found && list_empty(&s->sockets) && s->phase != OWN_TERMINATING)
		all_closed(s);
	return 0;
}

static void
session_fe_gone(struct own_session *s, struct ipc_peer *fe)
{
	bool had = false;
	LIST_FOR_EACH_SAFE (n, &s->sockets) {
		struct own_socket *k = LIST_ENTRY(n, struct own_socket, node);
		if (k->fe == fe) {
			had = true;
			list_remove(n);
			free(k);
		}
	}
	LIST_FOR_EACH_SAFE (n, &s->waiters) {
		struct own_waiter *w = LIST_ENTRY(n, struct own_waiter, node);
		if (w->fe == fe) {
			list_remove(n);
			free(w);
		}
	}
	drop_subs(s, fe, 0, true);
	if (had && list_empty(&s->sockets) && s->phase != OWN_TERMINATING)
		all_closed(s);
}

void
own_sockets_fe_gone(struct own *own, struct ipc_peer *fe)
{
	LIST_FOR_EACH_SAFE (n, &own->sessions) {
		session_fe_gone(LIST_ENTRY(n, struct own_session, node), fe);
	}
}

int
own_on_session_settled(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_session_settled *m = in->payload;
	struct own_session *s =
	    own_session_by_handle(own_of(worker), in->header.session);
	(void)e;
	if (s == NULL || s->phase == OWN_TERMINATING || m->version[0] == '\0')
		return 0;
	if (s->settled[0] == '\0') {
		(void)str_fmt(s->settled, sizeof(s->settled), "%s", m->version);
		(void)own_session_save(s);
	}
	/* the first one counts, also for who came second */
	struct ipc_session_settled now = {.version = s->settled};
	each_frontend(s, send_settled, &now);
	return 0;
}

int
own_on_session_sub(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_session_sub *m = in->payload;
	struct own_session *s =
	    own_session_by_handle(own_of(worker), in->header.session);
	size_t count = 0;
	(void)e;
	if (s == NULL)
		return 0;
	LIST_FOR_EACH_SAFE (n, &s->subs) {
		struct own_sub *b = LIST_ENTRY(n, struct own_sub, node);
		count++;
		if (b->fe == in->peer && b->stream == in->header.stream &&
		    b->space == m->space && b->port == m->port) {
			list_remove(n);
			free(b);
		}
	}
	struct own_sub *b =
	    m->added && count < OWN_MAX_SUBS ? calloc(1, sizeof(*b)) : NULL;
	if (b != NULL) {
		list_init(&b->node);
		b->fe = in->peer;
		b->stream = in->header.stream;
		b->space = m->space;
		b->port = m->port;
		list_push(&s->subs, &b->node);
	}
	log_info("Port %s session=%s user=%s port=%u",
	    !m->added                    ? "Release"
	    : m->space == PM_SPACE_STEAL ? "Steal"
					 : "Mirror",
	    s->name, s->user, m->port);
	(void)own_session_save(s);
	return 0;
}
