/*
 * stream_route: what the router over replicas orders, and its legs. Its
 * callbacks must not call the router or free anything: they note what is to
 * be done and kick, and stream.c does it from the loop.
 */
#include "config.h"

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/local.h"
#include "workers/own/locks.h"

enum { LEG_REOPEN_MS = 1000 };

/* To be ended from the loop. */
void
own_stream_doom(struct own_stream *st, uint16_t code, const char *why)
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
			own_stream_doom(st, 500, "the client does not read");
		return;
	}
	buf_init(&whole, 0);
	int r = 0;
	for (int i = 0; r == 0 && i < out->n_part; i++)
		r = buf_append(&whole, out->part[i].p, out->part[i].n);
	if (r != 0 || ipc_pieces_send(&p->out, p->ipc, buf_data(&whole),
			  whole.len, out->first, out->last) < 0)
		own_stream_doom(st, 500, "the client does not read");
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
	own_stream_doom(arg, order ? 0 : 500, why);
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

void
own_stream_leg_open(struct own_stream *st, int slot)
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

void
own_stream_leg_close(struct own_stream *st, int slot, const char *why)
{
	if (st->leg[slot] == NULL)
		return;
	own_leg_free(&st->leg[slot]);
	st->reopen_at_ms[slot] = clock_mono_ms() + LEG_REOPEN_MS;
	if (st->route != NULL && !route_is_dead(st->route))
		route_child_down(st->route, slot, why, clock_mono_ms());
}

int
own_stream_router(struct own_stream *st, int dflt)
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
		own_stream_doom(st, 500, e.text);
	return st->route == NULL ? -1 : 0;
}
