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

#define OWN_VERSION "1.29.0"

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

/* To be ended from the loop. */
static void
doom(struct own_stream *st, uint16_t code, const char *why)
{
	if (!st->over) {
		st->over = true;
		st->code = code;
		(void)str_fmt(st->why, sizeof(st->why), "%s", why);
	}
	own_stream_kick(st);
}

/* ---- the router's orders ---- */

static void
to_child(void *arg, int slot, enum route_path path, const struct route_out *out)
{
	struct own_stream *st = arg;
	(void)path;
	if (st->leg[slot] != NULL)
		own_leg_write(st->leg[slot], out);
}

static void
to_client(void *arg, enum route_path path, const struct route_out *out)
{
	struct own_stream *st = arg;
	struct own_path *p = &st->path[path];
	struct buf whole;
	if (p->ipc == NULL)
		return; /* this path was never opened or has ended */
	if (out->n_part == 1) {
		if (ipc_pieces_send(&p->out, p->ipc, out->part[0].p,
			out->part[0].n, out->first, out->last) < 0)
			doom(st, 500, "the client does not read");
		return;
	}
	buf_init(&whole, 0);
	int r = 0;
	for (int i = 0; r == 0 && i < out->n_part; i++)
		r = buf_append(&whole, out->part[i].p, out->part[i].n);
	if (r != 0 || ipc_pieces_send(&p->out, p->ipc, buf_data(&whole),
			  whole.len, out->first, out->last) < 0)
		doom(st, 500, "the client does not read");
	buf_free(&whole);
}

static void
hold_client(void *arg, enum route_path path, bool hold)
{
	(void)path;
	if (!hold)
		own_stream_kick(arg);
}

static void
hold_child(void *arg, int slot, enum route_path path, bool hold)
{
	(void)slot;
	(void)path;
	if (!hold)
		own_stream_kick(arg);
}

static void
settled(void *arg, const char *version)
{
	/* the session's version is the frontend's router's to tell */
	(void)arg;
	(void)version;
}

static int
may_subscribe(void *arg, enum pm_space space, uint16_t port, struct span raw)
{
	(void)raw;
	return space == PM_SPACE_STEAL ? own_lock_take(arg, port) : 0;
}

static void
subscription(
    void *arg, enum pm_space space, uint16_t port, bool added, struct span raw)
{
	(void)raw;
	if (space == PM_SPACE_STEAL && !added)
		own_lock_drop(arg, port);
}

static void
drop_client(void *arg, enum route_drop reason, const char *why)
{
	bool order = reason == ROUTE_DROP_LEFT || reason == ROUTE_DROP_CLOSED;
	doom(arg, order ? 0 : 500, why);
}

static void
child_failed(void *arg, int slot, enum route_fail reason, const char *why)
{
	struct own_stream *st = arg;
	(void)reason;
	log_warn("session=%s replica=%s is given up why=%s", st->local->s->name,
	    st->local->replica[slot] == NULL ? "?" : st->local->replica[slot],
	    why);
	if (st->leg[slot] != NULL && st->leg[slot]->failed == NULL)
		st->leg[slot]->failed = "the router gave it up";
	own_stream_kick(st);
}

static bool
child_waits(void *arg, int slot)
{
	const struct own_stream *st = arg;
	return st->leg[slot] != NULL && st->leg[slot]->in.len > 0;
}

static const struct route_ops route_ops = {
    .to_child = to_child,
    .to_client = to_client,
    .hold_client = hold_client,
    .hold_child = hold_child,
    .settled = settled,
    .may_subscribe = may_subscribe,
    .subscription = subscription,
    .drop_client = drop_client,
    .child_failed = child_failed,
    .child_waits = child_waits,
};

/* ---- legs ---- */

static void
leg_open(struct own_stream *st, int slot)
{
	struct own_local *l = st->local;
	struct err e = {0};
	struct own_agent *a =
	    own_agent_get(l->s->own, l->target, l->replica[slot]);
	if (a == NULL || a->state != OWN_AGENT_UP || st->leg[slot] != NULL)
		return;
	st->leg[slot] = own_leg_new(st, slot, a, &e);
	if (st->leg[slot] == NULL) {
		log_warn("session=%s replica=%s why=%s", l->s->name,
		    l->replica[slot], e.text);
		return;
	}
	route_set_name(st->route, slot, l->replica[slot]);
	route_child_up(st->route, slot, clock_mono_ms());
}

static void
leg_close(struct own_stream *st, int slot, const char *why)
{
	if (st->leg[slot] == NULL)
		return;
	own_leg_free(&st->leg[slot]);
	st->reopen_at_ms[slot] = clock_mono_ms() + LEG_REOPEN_MS;
	if (st->route != NULL && !route_is_dead(st->route))
		route_child_down(st->route, slot, why, clock_mono_ms());
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
		leg_open(st, slot);
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
		doom(p->st, 500, "the client's stream cannot be read");
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
		doom(p->st, 500, "the client sends more than it was granted");
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
		doom(p->st, code, text);
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
			doom(st, 502, why);
			return false;
		}
		leg_close(st, i, why);
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
			leg_open(st, i);
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

static int
make_router(struct own_stream *st, int dflt)
{
	struct own_session *s = st->local->s;
	struct err e = {0};
	struct route_config cfg = {
	    .n_slots = OWN_REPLICA_SLOTS,
	    .default_slot = dflt,
	    .split_client = true,
	    .own_version = OWN_VERSION,
	    .settled = s->settled,
	    .session_id = s->id,
	    .seed = (uint32_t)clock_mono_us(),
	};
	st->route = route_new(&cfg, &route_ops, st, &e);
	if (st->route == NULL)
		doom(st, 500, e.text);
	return st->route == NULL ? -1 : 0;
}

void
own_stream_try(struct own_stream *st)
{
	struct own_local *l = st->local;
	int dflt = own_local_stateful(l);
	if (dflt < 0) {
		if (clock_mono_ms() >= st->wait_until_ms)
			doom(st, 502,
			    l->slot->error[0] != '\0'
				? l->slot->error
				: "no agent is running beside the target");
		return;
	}
	if (make_router(st, dflt) != 0)
		return;
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		if (l->replica[i] != NULL)
			leg_open(st, i);
	}
	if (st->leg[dflt] == NULL) {
		doom(st, 502, "the agent takes no stream");
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
		doom(st, 500, "too many streams");
		return reset(in, 500, "too many streams");
	}
	p->joined = true;
	if (st->route != NULL)
		send_opened(p);
	own_local_ensure(s->local->slot);
	own_stream_kick(st);
	return 0;
}
