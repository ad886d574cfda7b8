/*
 * route: life, time limits and getters of a router. See route.h.
 */
#include "config.h"

#include "route/route_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t
or_default(uint32_t v, uint32_t dflt)
{
	return v == 0 ? dflt : v;
}

static void
config_fill(struct route_config *c)
{
	c->answer_ms = or_default(c->answer_ms, 2000);
	c->default_ms = or_default(c->default_ms, 10000);
	c->pong_ms = or_default(c->pong_ms, 5000);
	c->lost_default_ms = or_default(c->lost_default_ms, 15000);
	c->keepalive_ms = or_default(c->keepalive_ms, 20000);
	c->silence_ms = or_default(c->silence_ms, 60000);
}

static int
versions_init(struct route *r, struct err *e)
{
	const char *settled = r->cfg.settled;
	int rc;

	memcpy(r->version, PM_VERSION_ASSUMED, sizeof(PM_VERSION_ASSUMED));
	rc = rt_version_set(r->own_version, pm_str(r->cfg.own_version), e);
	if (rc == 0 && settled != NULL && settled[0] != '\0')
		rc = rt_version_set(r->settled, pm_str(settled), e);
	r->cfg.own_version = NULL; /* the caller's */
	r->cfg.settled = NULL;
	return rc;
}

struct route *
route_new(const struct route_config *cfg, const struct route_ops *ops,
    void *arg, struct err *e)
{
	struct route *r;

	if (cfg->n_slots < 1 || cfg->n_slots > ROUTE_SLOTS_MAX ||
	    cfg->default_slot < 0 || cfg->default_slot >= cfg->n_slots) {
		err_set(e, ERR_INVALID,
		    "%d slots with default %d are no router", cfg->n_slots,
		    cfg->default_slot);
		return NULL;
	}
	r = calloc(
	    1, sizeof(*r) + (size_t)cfg->n_slots * sizeof(struct child *));
	if (r == NULL) {
		err_nomem(e);
		return NULL;
	}
	r->cfg = *cfg;
	config_fill(&r->cfg);
	r->ops = *ops;
	r->arg = arg;
	r->cut_slot = -1;
	r->deadline = r->lost_deadline = NEVER;
	r->rand = cfg->seed;
	r->hold[ROUTE_TRAFFIC] = r->hold[ROUTE_STATEFUL] = HOLD_START;
	list_init(&r->subs);
	buf_init(&r->pend, OWN_PEND_MAX);
	if (versions_init(r, e) < 0)
		route_free(&r);
	return r;
}

static void
child_free(struct route *r, int slot)
{
	struct child *c = r->child[slot];

	if (c == NULL)
		return;
	rt_in_lose_child(r, slot);
	for (int i = 0; i < IDS_SPACES; i++) {
		rt_ids_free(&c->ids[i]);
		rt_ids_free(&c->dying[i]);
		while (c->asked[i].n > 0)
			(void)rt_subq_pop(&c->asked[i]);
		free(c->asked[i].v);
	}
	buf_free(&c->pend);
	free(c->condition);
	free(c);
	r->child[slot] = NULL;
}

void
route_free(struct route **rp)
{
	struct route *r = *rp;

	if (r == NULL)
		return;
	route_client_gone(r);
	for (int s = 0; s < r->cfg.n_slots; s++)
		child_free(r, s);
	rt_subs_free(r);
	buf_free(&r->pend);
	free(r);
	*rp = NULL;
}

/* ---- around every call ---- */

void
rt_enter(struct route *r, uint64_t now_ms)
{
	if (now_ms > r->now)
		r->now = now_ms;
}

static bool
some_dying(const struct route *r)
{
	if (r->cut_slot >= 0)
		return false; /* they wait for it anyway */
	for (int s = 0; s < r->cfg.n_slots; s++)
		for (int i = 0; i < IDS_SPACES && r->child[s] != NULL; i++)
			if (r->child[s]->dying[i].n > 0)
				return true;
	return false;
}

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
next_deadline(const struct route *r)
{
	uint64_t d = r->lost_deadline;

	if (r->dead || r->gone)
		return NEVER;
	if (some_dying(r))
		return r->now;
	if (!r->started)
		return d;
	d = min_u64(d, rt_version_deadline(r));
	d = min_u64(d, rt_ping_deadline(r));
	return min_u64(d, rt_subs_deadline(r));
}

void
rt_leave(struct route *r)
{
	if (!r->dirty)
		return;
	r->dirty = false;
	rt_emit_dying(r);
	rt_subs_sweep(r);
	r->dirty = false;
	r->deadline = next_deadline(r);
}

void
route_tick(struct route *r, uint64_t now_ms)
{
	if (r->dead || r->gone || !r->started)
		return;
	rt_enter(r, now_ms);
	if (r->lost_deadline <= r->now)
		rt_drop_client(r, ROUTE_DROP_DEFAULT_LOST,
		    "%s did not come back in time",
		    rt_name_of(r, r->cfg.default_slot));
	if (!r->dead) {
		rt_version_tick(r);
		rt_ping_tick(r);
		rt_subs_tick(r);
	}
	r->dirty = true;
	rt_leave(r);
}

uint64_t
route_next_deadline(const struct route *r)
{
	return r->deadline;
}

/* ---- life ---- */

void
rt_open(struct route *r)
{
	r->opened = true;
	r->lost_deadline = NEVER;
	rt_hold_client_all(r, HOLD_START, false);
}

void
route_start(struct route *r, uint64_t now_ms)
{
	if (r->started || r->dead || r->gone)
		return;
	rt_enter(r, now_ms);
	r->started = true;
	r->dirty = true;
	if (rt_child_live(r, r->cfg.default_slot))
		rt_open(r);
	else
		r->lost_deadline = r->now + r->cfg.lost_default_ms;
	rt_leave(r);
}

void
route_client_gone(struct route *r)
{
	r->gone = true;
	r->deadline = NEVER;
	for (int p = 0; p < ROUTE_PATHS; p++)
		rt_in_end(r, &r->in[p]);
}

void
route_close(struct route *r, const char *text, uint64_t now_ms)
{
	struct buf b;

	if (r->dead || r->gone)
		return;
	rt_enter(r, now_ms);
	buf_init(&b, ROUTE_WHOLE_MAX);
	/* Within a large message nothing can be said any more. */
	if (r->cut_slot < 0 && pm_put_close(&b, pm_str(text)) == 0)
		rt_own_to_client(r, buf_span(&b));
	buf_free(&b);
	rt_drop_client(r, ROUTE_DROP_CLOSED, "%s", text);
	rt_leave(r);
}

void
route_set_name(struct route *r, int slot, const char *name)
{
	struct child *c = rt_child_get(r, slot);

	if (c != NULL)
		snprintf(c->name, sizeof(c->name), "%s", name);
}

/* ---- ids ---- */

uint64_t
route_get_base(const struct route *r, int slot, enum pm_space space)
{
	const struct child *c = rt_child_at(r, slot);
	int i = rt_ids_index(space);

	return c == NULL || i < 0 ? 0 : c->ids[i].next;
}

int
route_set_base(struct route *r, int slot, enum pm_space space, uint64_t base)
{
	struct child *c = rt_child_get(r, slot);
	int i = rt_ids_index(space);

	if (c == NULL || i < 0 || c->state != CHILD_DOWN)
		return -ERR_INVALID;
	if (base > c->ids[i].next)
		c->ids[i].base = c->ids[i].next = base;
	return 0;
}

/* ---- getters ---- */

bool
route_client_held(const struct route *r, enum route_path path)
{
	return r->hold[path] != 0;
}

bool
route_child_held(const struct route *r, int slot, enum route_path path)
{
	const struct child *c = rt_child_at(r, slot);

	return c != NULL && c->held[path];
}

bool
route_child_is_live(const struct route *r, int slot)
{
	return rt_child_live(r, slot);
}

bool
route_is_dead(const struct route *r)
{
	return r->dead;
}

const struct route_stats *
route_stats(const struct route *r)
{
	return &r->stats;
}
