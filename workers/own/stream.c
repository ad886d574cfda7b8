/*
 * stream: one child stream of the own cluster: the two paths that a client's
 * frontend and stateful worker opened under one number, the router over
 * replicas, and a leg to each agent. It ends in order when both paths have
 * ended; the loss of the stateful replica ends it without Close.
 *
 * Router callbacks must not call the router or free anything: they note what
 * is to be done and kick, and the rest is done from the loop.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/handlers.h"
#include "workers/own/local.h"
#include "workers/own/locks.h"

enum {
	LEG_REOPEN_MS = 1000,
	PIECES_MAX = 2 * IPC_WINDOW_MAX_BYTES + 65536,
	OUT_MAX = 1 << 20
};

void
own_stream_kick(struct own_stream *st)
{
	ev_timer_set(st->later, 0);
}

static int
stateful_slot(const struct own_stream *st)
{
	return own_local_slot(st->local, st->local->s->stateful_replica);
}

void
own_stream_replica(struct own_stream *st, int slot, bool up)
{
	if (st->over)
		return;
	if (st->route == NULL) {
		if (up)
			own_stream_kick(st);
		return;
	}
	if (up) {
		own_stream_leg_open(st, slot);
	} else if (st->leg[slot] != NULL) {
		if (st->leg[slot]->failed == NULL)
			st->leg[slot]->failed = "the replica is gone";
		own_stream_kick(st);
	}
}

/* ---- from the client ---- */

static bool
congested(const struct own_stream *st)
{
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		if (st->leg[i] != NULL && own_leg_congested(st->leg[i]))
			return true;
	}
	return false;
}

static int
feed_client(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	struct own_path *path = arg;
	return route_from_client(
	    path->st->route, path->path, p, n, first, last, clock_mono_ms());
}

/* Returns false when the router ended the client. */
static bool
take(struct own_path *p, const uint8_t *bytes, size_t n, bool first, bool last,
    size_t *taken_r)
{
	int r = route_feed_put(
	    &p->feed, bytes, n, first, last, feed_client, p, taken_r);
	if (*taken_r > 0 && p->ipc != NULL)
		ipc_stream_consumed(p->ipc, *taken_r);
	if (r < 0)
		own_stream_doom(
		    p->st, 500, "the client's stream cannot be read");
	return r == ROUTE_TAKEN;
}

static void
pump_client(struct own_path *p)
{
	struct own_stream *st = p->st;
	struct span bytes;
	bool first, last;
	size_t taken;
	if (st->route == NULL || st->over)
		return;
	if (route_feed_waits(&p->feed) && !congested(st))
		(void)take(p, NULL, 0, false, false, &taken);
	while (!st->over && !congested(st) && !route_feed_waits(&p->feed) &&
	       ipc_pieces_front(&p->in, &bytes, &first, &last)) {
		bool more = take(p, bytes.p, bytes.n, first, last, &taken);
		ipc_pieces_pop(&p->in, taken);
		if (!more)
			break;
	}
}

static void
on_piece(void *arg, const uint8_t *bytes, size_t n, bool first, bool last)
{
	struct own_path *p = arg;
	if (p->st->over)
		return;
	if (ipc_pieces_push(&p->in, bytes, n, first, last) != 0)
		own_stream_doom(
		    p->st, 500, "the client sends more than it was granted");
	pump_client(p);
}

static void
on_room(void *arg)
{
	struct own_path *p = arg;
	(void)ipc_pieces_flush(&p->out, p->ipc);
	if (ipc_pieces_empty(&p->out))
		own_stream_kick(p->st);
}

static void
on_end(void *arg, uint16_t code, const char *text)
{
	struct own_path *p = arg;
	p->ended = true;
	ipc_stream_free(&p->ipc);
	(void)text;
	/* in order: the other path's messages are still worth something */
	if (code != 0 && p->path == ROUTE_TRAFFIC)
		own_stream_doom(p->st, code, text);
	own_stream_kick(p->st);
}

static const struct ipc_stream_ops stream_ops = {
    .on_piece = on_piece,
    .on_room = on_room,
    .on_end = on_end,
};

/* ---- life ---- */

static void
stream_free(struct own_stream *st)
{
	own_locks_drop_all(st);
	list_remove(&st->node);
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++)
		own_leg_free(&st->leg[i]);
	route_free(&st->route);
	for (int i = 0; i < ROUTE_PATHS; i++) {
		ipc_stream_free(&st->path[i].ipc);
		route_feed_free(&st->path[i].feed);
		ipc_pieces_free(&st->path[i].in);
		ipc_pieces_free(&st->path[i].out);
	}
	ev_timer_free(&st->later);
	free(st);
}

void
own_stream_end(struct own_stream *st, uint16_t code, const char *why)
{
	for (int i = 0; i < ROUTE_PATHS; i++) {
		struct own_path *p = &st->path[i];
		if (p->ipc == NULL)
			continue;
		(void)ipc_pieces_flush(&p->out, p->ipc);
		if (code == 0)
			(void)ipc_stream_end(p->ipc, 0, why);
		else
			(void)ipc_stream_reset(p->ipc, code, why);
	}
	stream_free(st);
}

static bool
paths_ended(const struct own_stream *st)
{
	bool any = false;
	for (int i = 0; i < ROUTE_PATHS; i++) {
		const struct own_path *p = &st->path[i];
		if (p->joined && (!p->ended || !ipc_pieces_empty(&p->in)))
			return false;
		any = any || p->joined;
	}
	return any;
}

/* Legs that failed are closed; false when the stateful one was lost. */
static bool
reap_legs(struct own_stream *st)
{
	uint64_t now = clock_mono_ms();
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		struct own_leg *leg = st->leg[i];
		if (leg == NULL)
			continue;
		if (leg->failed == NULL && leg->stuck_since_ms != 0 &&
		    now - leg->stuck_since_ms >= OWN_LEG_STUCK_MS)
			leg->failed = "its agent takes nothing";
		if (leg->failed == NULL)
			continue;
		const char *why = leg->failed;
		if (i == stateful_slot(st)) {
			own_stream_doom(st, 502, why);
			return false;
		}
		own_stream_leg_close(st, i, why);
	}
	return true;
}

/* An agent that is there and has no stream gets one, not too soon. */
static void
reopen_legs(struct own_stream *st, uint64_t now)
{
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		if (st->reopen_at_ms[i] == 0 || st->reopen_at_ms[i] > now)
			continue;
		st->reopen_at_ms[i] = 0;
		if (st->local->replica[i] != NULL)
			own_stream_leg_open(st, i);
	}
}

static void
arm(struct own_stream *st)
{
	uint64_t now = clock_mono_ms();
	uint64_t at = st->route == NULL ? st->wait_until_ms
					: route_next_deadline(st->route);
	if (congested(st) && now + OWN_LEG_STUCK_MS < at)
		at = now + OWN_LEG_STUCK_MS;
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		if (st->reopen_at_ms[i] != 0 && st->reopen_at_ms[i] < at)
			at = st->reopen_at_ms[i];
	}
	if (at != UINT64_MAX)
		ev_timer_set(st->later, at > now ? at - now : 0);
}

static void
on_later(void *arg)
{
	struct own_stream *st = arg;
	uint64_t now = clock_mono_ms();
	if (st->route == NULL && !st->over)
		own_stream_try(st);
	if (st->route != NULL && !st->over) {
		if (reap_legs(st) && route_next_deadline(st->route) <= now)
			route_tick(st->route, now);
		if (!st->over)
			reopen_legs(st, now);
		for (int i = 0; i < ROUTE_PATHS; i++)
			pump_client(&st->path[i]);
		for (int i = 0; i < OWN_REPLICA_SLOTS && !st->over; i++) {
			if (st->leg[i] != NULL)
				own_leg_pump(st->leg[i]);
		}
	}
	if (st->over) {
		own_stream_end(st, st->code, st->why);
		return;
	}
	if (paths_ended(st)) {
		if (st->route != NULL)
			route_client_gone(st->route);
		stream_free(st);
		return;
	}
	arm(st);
}

static struct own_stream *
stream_new(struct own_local *l, uint32_t number)
{
	struct own_stream *st = calloc(1, sizeof(*st));
	if (st == NULL)
		return NULL;
	list_init(&st->node);
	st->local = l;
	st->number = number;
	for (int i = 0; i < ROUTE_PATHS; i++) {
		st->path[i].st = st;
		st->path[i].path = (enum route_path)i;
		route_feed_init(&st->path[i].feed);
		ipc_pieces_init(&st->path[i].in, PIECES_MAX);
		ipc_pieces_init(&st->path[i].out, OUT_MAX);
	}
	st->later = ev_timer_new(l->s->own->w->loop, on_later, st);
	if (st->later == NULL) {
		stream_free(st);
		return NULL;
	}
	st->wait_until_ms = clock_mono_ms() + OWN_UNREACHABLE_S * 1000;
	list_push(&l->streams, &st->node);
	return st;
}

static void
send_opened(const struct own_path *p)
{
	struct ipc_stream_opened m = {.version = OWN_VERSION};
	(void)ipc_send(ipc_stream_peer(p->ipc), IPC_STREAM_OPENED, 0,
	    ipc_stream_session(p->ipc), ipc_stream_number(p->ipc), &m, NULL, 0);
}

void
own_stream_try(struct own_stream *st)
{
	struct own_local *l = st->local;
	int dflt = own_local_stateful(l);
	if (dflt < 0) {
		if (clock_mono_ms() >= st->wait_until_ms)
			own_stream_doom(st, 502,
			    l->slot->error[0] != '\0'
				? l->slot->error
				: "no agent is running beside the target");
		return;
	}
	if (own_stream_router(st, dflt) != 0)
		return;
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		if (l->replica[i] != NULL)
			own_stream_leg_open(st, i);
	}
	if (st->leg[dflt] == NULL) {
		own_stream_doom(st, 502, "the agent takes no stream");
		return;
	}
	for (int i = 0; i < ROUTE_PATHS; i++) {
		if (st->path[i].ipc != NULL)
			send_opened(&st->path[i]);
	}
	route_start(st->route, clock_mono_ms());
}

/* ---- the messages ---- */

static int
reset(struct ipc_in *in, uint16_t code, const char *text)
{
	struct ipc_stream_reset m = {.code = code, .text = text};
	(void)ipc_send(in->peer, IPC_STREAM_RESET, 0, in->header.session,
	    in->header.stream, &m, NULL, 0);
	return 0;
}

static struct own_stream *
find(const struct own_local *l, uint32_t number)
{
	LIST_FOR_EACH (n, &l->streams) {
		struct own_stream *st = LIST_ENTRY(n, struct own_stream, node);
		if (st->number == number && !st->over)
			return st;
	}
	return NULL;
}

int
own_on_stream_open(void *worker, struct ipc_in *in, struct err *e)
{
	struct own_session *s =
	    own_session_by_handle(own_of(worker), in->header.session);
	enum route_path path =
	    ipc_peer_role(in->peer) == IPC_SF ? ROUTE_STATEFUL : ROUTE_TRAFFIC;
	(void)e;
	if (s == NULL || s->local == NULL || s->phase == OWN_TERMINATING)
		return reset(in, 404, "the session is not there");
	struct own_stream *st = find(s->local, in->header.stream);
	if (st == NULL)
		st = stream_new(s->local, in->header.stream);
	if (st == NULL)
		return reset(in, 500, "out of memory");
	struct own_path *p = &st->path[path];
	if (p->joined)
		return reset(in, 409, "the stream is there already");
	p->ipc = ipc_stream_new(in->peer, in->header.session, in->header.stream,
	    &s->local->budget, &stream_ops, p);
	if (p->ipc == NULL) {
		own_stream_doom(st, 500, "too many streams");
		return reset(in, 500, "too many streams");
	}
	p->joined = true;
	if (st->route != NULL)
		send_opened(p);
	own_local_ensure(s->local->slot);
	own_stream_kick(st);
	return 0;
}
