/*
 * ttl: the clock of all sessions, one turn a second while there are any.
 * What it goes by is what is stored: a crash at any point changes nothing.
 */
#include "config.h"

#include "lib/clock.h"
#include "lib/log.h"
#include "workers/own/own.h"

enum { TICK_MS = 1000, SWEEP_S = 60 };

void
own_tick_arm(struct own *own)
{
	if (own->tick != NULL && !ev_timer_armed(own->tick))
		ev_timer_set(own->tick, TICK_MS);
}

static bool
being_set_up(const struct own_session *s)
{
	return s->phase == OWN_INITIALIZING || s->phase == OWN_PENDING;
}

/* Without a socket: how long it may be kept. */
static int64_t
ttl_us(const struct own_session *s)
{
	const struct own_settings *c = &s->own->cfg;
	return (s->kind == OWN_CHILD ? c->child_unused_s : c->ttl_s) * 1000000;
}

/* The event that time alone brings, or -1. */
static int
due(const struct own_session *s, uint64_t now_ms, int64_t now_us)
{
	const struct own_settings *c = &s->own->cfg;
	if (s->phase == OWN_TERMINATING)
		return -1;
	if (c->max_time_s > 0 &&
	    now_us - s->created_us >= c->max_time_s * 1000000)
		return OWN_EV_END;
	if (being_set_up(s))
		return now_ms - s->setup_at_ms >= (uint64_t)c->setup_s * 1000
			   ? OWN_EV_DEADLINE
			   : -1;
	if (!list_empty(&s->sockets) || !list_empty(&s->waiters))
		return -1;
	return now_us - s->stamp_us >= ttl_us(s) ? OWN_EV_EXPIRE : -1;
}

static void
tick_session(struct own_session *s, uint64_t now_ms, int64_t now_us)
{
	if (s->stamp_us > now_us) /* the clock was set back */
		s->stamp_us = now_us;
	int ev = due(s, now_ms, now_us);
	if (ev == OWN_EV_END) {
		own_session_end(s, "TimeLimitExceeded",
		    "the session reached the operator's limit of time: start "
		    "a new one");
		return;
	}
	if (ev >= 0) {
		own_event(s, (enum own_event)ev);
		return;
	}
	if (!list_empty(&s->sockets))
		own_heartbeat(s, false);
	own_grant_sf(s);
	own_slots_step(s);
	own_slots_check(s);
}

void
own_tick(void *arg)
{
	struct own *own = arg;
	uint64_t now_ms = clock_mono_ms();
	int64_t now_us = clock_wall_us();
	LIST_FOR_EACH_SAFE (n, &own->sessions) {
		tick_session(
		    LIST_ENTRY(n, struct own_session, node), now_ms, now_us);
	}
	if (now_us / 1000000 - own->closed_swept_s >= SWEEP_S) {
		own->closed_swept_s = now_us / 1000000;
		plat_closed_expire(own->store, own->closed_swept_s);
	}
	if (own->n_sessions > 0)
		own_tick_arm(own);
}
