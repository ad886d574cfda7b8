/*
 * loss: children that come, go and come back (spec/multicluster.md 6.2, 6.3,
 * the design's 7).
 *
 * A child other than the default: its connections are closed towards the
 * client, a warning names it, answers in progress are completed without it,
 * and when it is up again version, ReadyForLogs and subscriptions are
 * replayed before it takes part. The default: no stateful message may cross
 * to its successor, so the client is not read any more and dropped without a
 * word when the default is up again, or after lost_default_ms.
 */
#include "config.h"

#include "lib/log.h"
#include "route/route_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct child *
rt_child_get(struct route *r, int slot)
{
	struct child *c;

	if (slot < 0 || slot >= r->cfg.n_slots)
		return NULL;
	if (r->child[slot] != NULL)
		return r->child[slot];
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	memcpy(c->version, PM_VERSION_ASSUMED, sizeof(PM_VERSION_ASSUMED));
	buf_init(&c->pend, OWN_PEND_MAX);
	r->child[slot] = c;
	return c;
}

void
rt_child_excuse(struct route *r, int slot)
{
	struct child *c = r->child[slot];

	c->last_rx = r->now;
	if (c->versions_owed > 0)
		c->version_deadline =
		    r->now + (slot == r->cfg.default_slot ? r->cfg.default_ms
							  : r->cfg.answer_ms);
	r->dirty = true;
}

bool
rt_child_waits(struct route *r, int slot)
{
	if (r->ops.child_waits == NULL || !r->ops.child_waits(r->arg, slot))
		return false;
	rt_child_excuse(r, slot);
	return true;
}

/* ---- up ---- */

void
rt_child_take_part(struct route *r, int slot)
{
	struct child *c = r->child[slot];

	c->state = CHILD_LIVE;
	r->dirty = true;
	rt_condition_keep(r, slot, NULL);
	if (r->ready_for_logs)
		rt_ready_to_child(r, slot);
	rt_subs_replay(r, slot);
	if (c->state != CHILD_LIVE)
		return; /* that was too much for it */
	if (c->was_lost)
		rt_tell(r, PM_LogLevel_Info, "%s is back and takes part again.",
		    rt_name_of(r, slot));
	c->was_lost = false;
	if (r->ops.child_live != NULL)
		r->ops.child_live(r->arg, slot);
}

static void
child_begin(struct route *r, struct child *c)
{
	c->state = CHILD_JOINING;
	memcpy(c->version, PM_VERSION_ASSUMED, sizeof(PM_VERSION_ASSUMED));
	c->versions_owed = 0;
	c->pings_out = 0;
	c->last_ping = c->last_rx = r->now;
	for (int p = 0; p < ROUTE_PATHS; p++)
		c->busy[p] = c->held[p] = false;
}

/* Somebody else's large message is under way: wait like the others. */
static void
hold_newcomer(struct route *r, int slot)
{
	struct child *c = r->child[slot];

	if (r->cut_slot < 0)
		return;
	for (int p = 0; p < (r->cfg.split_children ? 2 : 1); p++) {
		c->held[p] = true;
		r->ops.hold_child(r->arg, slot, (enum route_path)p, true);
	}
}

static void
child_up(struct route *r, int slot)
{
	struct child *c = rt_child_get(r, slot);
	bool is_default = slot == r->cfg.default_slot;

	if (c == NULL) {
		rt_drop_client(r, ROUTE_DROP_NOMEM, "no memory for a child");
		return;
	}
	if (c->state != CHILD_DOWN)
		rt_child_lose(r, slot, "its stream was replaced");
	if (is_default && r->opened) {
		rt_drop_client(r, ROUTE_DROP_DEFAULT_LOST,
		    "%s is back; the client must begin anew",
		    rt_name_of(r, slot));
		return;
	}
	if (r->dead)
		return;
	child_begin(r, c);
	hold_newcomer(r, slot);
	rt_version_join(r, slot);
	if (r->started && is_default)
		rt_open(r);
}

void
route_child_up(struct route *r, int slot, uint64_t now_ms)
{
	if (r->dead || r->gone || slot < 0 || slot >= r->cfg.n_slots)
		return;
	rt_enter(r, now_ms);
	child_up(r, slot);
	rt_leave(r);
}

/* ---- down ---- */

static void
child_reset(struct route *r, int slot)
{
	struct child *c = r->child[slot];

	c->state = CHILD_DOWN;
	c->was_lost = r->started;
	c->versions_owed = 0;
	r->stats.children_lost++;
	r->dirty = true;
	rt_in_lose_child(r, slot);
	for (int p = 0; p < ROUTE_PATHS; p++)
		c->busy[p] = c->held[p] = false;
	buf_free(&c->pend);
	for (int i = 0; i < IDS_SPACES; i++)
		if (rt_ids_lose(&c->ids[i], &c->dying[i]) < 0)
			rt_drop_client(r, ROUTE_DROP_NOMEM,
			    "no memory to close a child's connections");
}

/* The length of a reason without its full stop, for use within a sentence. */
static int
clause(const char *why)
{
	size_t n = strnlen(why, 160);

	while (n > 0 && why[n - 1] == '.')
		n--;
	return (int)n;
}

static void
default_lost(struct route *r, const char *why)
{
	r->negotiating = false;
	if (!r->opened)
		return; /* nothing of the client has been read */
	rt_hold_client_all(r, HOLD_DEFAULT, true);
	r->lost_deadline = r->now + r->cfg.lost_default_ms;
	rt_tell(r, PM_LogLevel_Warn,
	    "Lost %s, which serves files, environment, names and outgoing "
	    "connections: %.*s. The session reconnects by itself.",
	    rt_name_of(r, r->cfg.default_slot), clause(why), why);
}

static void
other_lost(struct route *r, int slot, const char *why)
{
	char text[TEXT_MAX];

	if (!r->started)
		return;
	snprintf(text, sizeof(text),
	    "Lost %s: %.*s. Its open connections are closed; it is joined "
	    "again when it answers.",
	    rt_name_of(r, slot), clause(why), why);
	/* One that keeps failing to join for one reason is told once. */
	if (r->child[slot]->condition != NULL &&
	    strncmp(r->child[slot]->condition, text, CONDITION_MAX - 1) == 0)
		return;
	rt_condition_keep(r, slot, text);
	rt_tell(r, PM_LogLevel_Warn, "%s", text);
}

void
rt_child_lose(struct route *r, int slot, const char *why)
{
	bool cut = r->cut_slot == slot;

	child_reset(r, slot);
	log_info("child lost session=%llx slot=%d name=%s: %s",
	    (unsigned long long)r->cfg.session_id, slot, rt_name_of(r, slot),
	    why);
	if (cut) {
		rt_drop_client(r, ROUTE_DROP_CUT,
		    "%s was lost within a large message: %s",
		    rt_name_of(r, slot), why);
		return;
	}
	rt_subs_lose(r, slot);
	if (slot == r->cfg.default_slot)
		default_lost(r, why);
	else
		other_lost(r, slot, why);
	rt_version_progress(r);
}

void
rt_child_fail(
    struct route *r, int slot, enum route_fail reason, const char *fmt, ...)
{
	struct child *c = rt_child_at(r, slot);
	char why[TEXT_MAX];
	va_list ap;

	if (r->dead || r->gone || c == NULL || c->state == CHILD_DOWN)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	rt_child_lose(r, slot, why);
	r->ops.child_failed(r->arg, slot, reason, why);
}

void
route_child_down(struct route *r, int slot, const char *why, uint64_t now_ms)
{
	const struct child *c = rt_child_at(r, slot);

	if (r->dead || r->gone || c == NULL || c->state == CHILD_DOWN)
		return;
	rt_enter(r, now_ms);
	rt_child_lose(r, slot, why == NULL ? "its stream ended" : why);
	rt_leave(r);
}
