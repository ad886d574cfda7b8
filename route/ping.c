/*
 * ping: exactly one Pong per Ping (spec/multicluster.md 5.4).
 *
 * A Ping goes to all. The client gets its Pong when the default child has
 * answered; it never waits for another. If the default is busy (traffic came
 * from it since, but no Pong) the Pong is given after pong_ms, and the late one
 * is swallowed. One more Pong than Pings would be fatal for the client.
 *
 * When the client is mute, own Pings keep the agents alive.
 */
#include "config.h"

#include "route/route_int.h"

static const uint8_t ping_msg[1] = {PM_ClientMessage_Ping};
static const uint8_t pong_msg[1] = {PM_DaemonMessage_Pong};

static void
send_ping(struct route *r, int slot)
{
	struct child *c = r->child[slot];

	if (c->pings_out == 0)
		c->ping_since = r->now;
	c->pings_out++;
	c->last_ping = r->now;
	rt_own_to_child(r, slot, (struct span){ping_msg, sizeof(ping_msg)});
}

static void
ring_push(struct ping_ring *g, uint64_t now)
{
	uint32_t at = (g->head + g->n - 1) % PING_RING;

	/* When full the newest share an entry: a Pong early, none too many. */
	if (g->n == PING_RING || (g->n > 0 && g->v[at].sent_ms == now)) {
		g->v[at].n++;
		return;
	}
	at = (g->head + g->n) % PING_RING;
	g->v[at].sent_ms = now;
	g->v[at].n = 1;
	g->n++;
}

static void
ring_pop(struct ping_ring *g)
{
	g->head = (g->head + 1) % PING_RING;
	g->n--;
}

void
rt_on_ping(struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	(void)slot;
	(void)m;
	(void)raw;
	ring_push(&r->pings, r->now);
	r->dirty = true;
	FOR_EACH_LIVE(r, s)
	send_ping(r, s);
}

static void
pong_to_client(struct route *r)
{
	rt_own_to_client(r, (struct span){pong_msg, sizeof(pong_msg)});
}

static void
default_answered(struct route *r)
{
	struct ping_ring *g = &r->pings;

	if (g->swallow > 0) {
		g->swallow--;
		return;
	}
	if (g->n == 0)
		return;
	if (--g->v[g->head].n == 0)
		ring_pop(g);
	pong_to_client(r);
}

void
rt_on_pong(struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	struct child *c = r->child[slot];

	(void)m;
	(void)raw;
	if (c->pings_out == 0) {
		r->stats.dropped_pongs++;
		return;
	}
	c->pings_out--;
	c->ping_since = r->now; /* of the next one, at the latest */
	r->dirty = true;
	if (slot == r->cfg.default_slot)
		default_answered(r);
}

/* The default is busy, not dead: do not let the client think so. */
static bool
busy_default(const struct route *r)
{
	const struct child *c = rt_child_at(r, r->cfg.default_slot);
	const struct ping_ring *g = &r->pings;

	return g->n > 0 && c != NULL && c->state == CHILD_LIVE &&
	       c->last_rx > g->v[g->head].sent_ms;
}

void
rt_ping_late(struct route *r)
{
	struct ping_ring *g = &r->pings;

	while (busy_default(r) &&
	       r->now - g->v[g->head].sent_ms >= r->cfg.pong_ms && !r->dead) {
		for (uint32_t i = g->v[g->head].n; i > 0; i--) {
			g->swallow++;
			pong_to_client(r);
		}
		ring_pop(g);
		r->dirty = true;
	}
}

/* The agents behind it live by Pings, the client's or ours. */
static void
keep_alive(struct route *r, int slot)
{
	bool is_default = slot == r->cfg.default_slot;

	if (is_default && r->pings.n > 0) {
		r->child[slot]->last_ping = r->now; /* the client's is open */
		return;
	}
	r->pings.swallow += is_default;
	send_ping(r, slot);
}

static uint64_t
silence_at(const struct route *r, const struct child *c)
{
	uint64_t from = c->last_rx > c->ping_since ? c->last_rx : c->ping_since;

	if (c->pings_out == 0 || c->held[ROUTE_TRAFFIC])
		return NEVER;
	return from + r->cfg.silence_ms;
}

void
rt_ping_tick(struct route *r)
{
	rt_ping_late(r);
	FOR_EACH_LIVE(r, s)
	{
		const struct child *c = r->child[s];

		if (silence_at(r, c) <= r->now && !rt_child_waits(r, s)) {
			rt_child_fail(r, s, ROUTE_FAIL_SILENT,
			    "nothing was heard of it for %u s",
			    r->cfg.silence_ms / 1000);
		} else if (r->now - c->last_ping >= r->cfg.keepalive_ms) {
			keep_alive(r, s);
		}
	}
}

uint64_t
rt_ping_deadline(const struct route *r)
{
	uint64_t first = NEVER, at;

	if (busy_default(r))
		first = r->pings.v[r->pings.head].sent_ms + r->cfg.pong_ms;
	FOR_EACH_LIVE(r, s)
	{
		at = silence_at(r, r->child[s]);
		if (at < first)
			first = at;
		at = r->child[s]->last_ping + r->cfg.keepalive_ms;
		if (at < first)
			first = at;
	}
	return first;
}
