/*
 * subscribe: N answers become one (spec/multicluster.md 5.6).
 *
 * A subscription is sent to every live child; each answers in the order it
 * was asked, errors carry no port, so a queue per child and space remembers
 * what it owes. The answers are merged:
 *   all Ok                       Ok
 *   a policy error               that error (the default's first)
 *   PortAlreadyStolen            that error
 *   another error of the default that error
 *   another error of an other, or no answer within answer_ms
 *                                Ok and a warning; retried (replay.c)
 * After an error, those that said Ok are unsubscribed. The client gets its
 * answers in the order of its requests.
 */
#include "config.h"

#include "route/route_int.h"

#include <stdlib.h>
#include <string.h>

static uint32_t
tcp_kind(enum pm_space space)
{
	return space == PM_SPACE_MIRROR ? PM_DaemonMessage_Tcp
					: PM_DaemonMessage_TcpSteal;
}

/* The kinds have the same indexes in both directions. */
_Static_assert(
    (int)PM_ClientMessage_Tcp == (int)PM_DaemonMessage_Tcp &&
	(int)PM_ClientMessage_TcpSteal == (int)PM_DaemonMessage_TcpSteal,
    "Tcp and TcpSteal have one index");

static enum pm_space
space_of(const struct pm_route *m)
{
	return m->kind == PM_ClientMessage_Tcp ? PM_SPACE_MIRROR
					       : PM_SPACE_STEAL;
}

struct sub *
rt_sub_active(struct route *r, enum pm_space space, uint16_t port)
{
	LIST_FOR_EACH (n, &r->subs) {
		struct sub *s = LIST_ENTRY(n, struct sub, link);

		if (s->active && s->space == space && s->port == port)
			return s;
	}
	return NULL;
}

static void
sub_free(struct route *r, struct sub *s)
{
	r->n_subs--;
	r->subs_bytes -= s->raw.len;
	list_remove(&s->link);
	buf_free(&s->raw);
	buf_free(&s->result);
	free(s);
}

void
rt_subs_sweep(struct route *r)
{
	LIST_FOR_EACH_SAFE (n, &r->subs) {
		struct sub *s = LIST_ENTRY(n, struct sub, link);

		if (!s->active && !s->merging && s->refs == 0)
			sub_free(r, s);
	}
}

void
rt_subs_free(struct route *r)
{
	LIST_FOR_EACH_SAFE (n, &r->subs)
		sub_free(r, LIST_ENTRY(n, struct sub, link));
}

static struct sub *
sub_new(struct route *r, enum pm_space space, uint16_t port, struct span raw)
{
	size_t legs = (size_t)r->cfg.n_slots * sizeof(struct sub_leg);
	struct sub *s;

	if (r->n_subs >= ROUTE_SUBS_MAX ||
	    raw.n > SUBS_BYTES_MAX - r->subs_bytes) {
		rt_drop_client(r, ROUTE_DROP_LIMIT,
		    "the client has more than %d port subscriptions, or "
		    "filters of more than %d bytes",
		    ROUTE_SUBS_MAX, SUBS_BYTES_MAX);
		return NULL;
	}
	s = calloc(1, sizeof(*s) + legs);
	if (s == NULL)
		goto nomem;
	buf_init(&s->raw, ROUTE_ASSEMBLE_MAX);
	buf_init(&s->result, ROUTE_ASSEMBLE_MAX);
	if (buf_append(&s->raw, raw.p, raw.n) < 0)
		goto nomem;
	s->space = space;
	s->port = port;
	s->merging = true;
	s->deadline = r->now + r->cfg.answer_ms;
	s->default_deadline = r->now + r->cfg.default_ms;
	list_push(&r->subs, &s->link);
	r->n_subs++;
	r->subs_bytes += raw.n;
	r->dirty = true;
	return s;
nomem:
	free(s);
	rt_drop_client(r, ROUTE_DROP_NOMEM, "no memory for a subscription");
	return NULL;
}

void
rt_sub_ask(struct route *r, struct sub *s, int slot, enum leg_state leg)
{
	struct child *c = r->child[slot];

	if (rt_subq_push(&c->asked[rt_ids_index(s->space)], s) < 0) {
		rt_child_fail(r, slot, ROUTE_FAIL_LIMIT,
		    "it owes too many answers about ports");
		return;
	}
	s->leg[slot].state = (uint8_t)leg;
	r->dirty = true;
	rt_own_to_child(r, slot, buf_span(&s->raw));
}

void
rt_sub_unask(struct route *r, const struct sub *s, int slot)
{
	struct buf b;

	buf_init(&b, 64);
	if (pm_put_unsubscribe_port(&b, tcp_kind(s->space), s->port) == 0)
		rt_own_to_child(r, slot, buf_span(&b));
	buf_free(&b);
}

/* ---- the client asks ---- */

static void
told_gone(struct route *r, const struct sub *s)
{
	if (r->ops.subscription != NULL)
		r->ops.subscription(
		    r->arg, s->space, s->port, false, buf_span(&s->raw));
}

/* The owner's locks say no: nobody else is asked. */
static void
refuse_here(struct route *r, struct sub *s)
{
	struct pm_ResponseError error = {
	    .tag = PM_ResponseError_PortAlreadyStolen};

	error.u.PortAlreadyStolen = s->port;
	s->decided = true;
	if (pm_put_subscribe_err(&s->result, tcp_kind(s->space), &error) < 0)
		rt_drop_client(r, ROUTE_DROP_NOMEM, "no memory for an answer");
	rt_subs_progress(r);
}

void
rt_on_subscribe(
    struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	enum pm_space space = space_of(m);
	struct sub *s, *old;

	(void)slot;
	s = sub_new(r, space, m->port, raw);
	if (s == NULL)
		return;
	if (r->ops.may_subscribe != NULL &&
	    r->ops.may_subscribe(r->arg, space, m->port, raw) < 0) {
		refuse_here(r, s);
		return;
	}
	old = rt_sub_active(r, space, m->port);
	if (old != NULL)
		old->active = false; /* its filter is replaced */
	s->active = true;
	FOR_EACH_LIVE(r, c)
	rt_sub_ask(r, s, c, LEG_WAIT);
}

void
rt_on_unsubscribe(
    struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	struct sub *s = rt_sub_active(r, space_of(m), m->port);

	(void)slot;
	FOR_EACH_LIVE(r, c)
	rt_own_to_child(r, c, raw);
	if (s == NULL)
		return;
	s->active = false;
	r->dirty = true;
	told_gone(r, s);
}

/* ---- the children answer ---- */

static enum answer
answer_of(const struct pm_route *m)
{
	if (!m->is_err)
		return ANSWER_OK;
	switch (m->err_tag) {
	case PM_ResponseError_PortAlreadyStolen:
		return ANSWER_STOLEN;
	case PM_ResponseError_Forbidden:
	case PM_ResponseError_ForbiddenWithReason:
		return ANSWER_POLICY;
	default:
		return ANSWER_OTHER;
	}
}

enum { RANK_TOP = 5 };

/* Which error the client gets: the highest, among equals the first. */
static uint8_t
rank_of(enum answer a, bool is_default)
{
	static const uint8_t rank[4][2] = {
	    [ANSWER_OK] = {0, 0},
	    [ANSWER_OTHER] = {0, 1},
	    [ANSWER_STOLEN] = {2, 3},
	    [ANSWER_POLICY] = {4, RANK_TOP},
	};

	return rank[a][is_default];
}

static void
merge_answer(
    struct route *r, struct sub *s, int slot, enum answer a, struct span raw)
{
	static const uint8_t leg[4] = {
	    [ANSWER_OK] = LEG_OK,
	    [ANSWER_OTHER] = LEG_RETRY,
	    [ANSWER_STOLEN] = LEG_REFUSED,
	    [ANSWER_POLICY] = LEG_REFUSED,
	};
	uint8_t rank = rank_of(a, slot == r->cfg.default_slot);

	s->leg[slot].state = leg[a];
	s->leg[slot].retry_at = NEVER;
	if (rank <= s->rank)
		return;
	s->rank = rank;
	buf_clear(&s->result);
	if (buf_append(&s->result, raw.p, raw.n) < 0)
		rt_drop_client(r, ROUTE_DROP_NOMEM, "no memory for an answer");
}

void
rt_on_subscribe_result(
    struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	struct subq *q = &r->child[slot]->asked[rt_ids_index(space_of(m))];
	struct sub *s = rt_subq_pop(q);

	if (s == NULL) {
		r->stats.dropped_results++;
		return;
	}
	r->dirty = true;
	if (s->leg[slot].state == LEG_WAIT) {
		merge_answer(r, s, slot, answer_of(m), raw);
		rt_subs_progress(r);
	} else {
		rt_sub_late_answer(r, s, slot, answer_of(m));
	}
}

/* ---- the merge ---- */

static bool
default_waits(const struct route *r, const struct sub *s)
{
	return s->leg[r->cfg.default_slot].state == LEG_WAIT;
}

static bool
can_decide(const struct route *r, const struct sub *s)
{
	if (!rt_child_live(r, r->cfg.default_slot))
		return false; /* the client is about to be dropped */
	if (s->rank == RANK_TOP)
		return true;
	if (default_waits(r, s))
		return false;
	if (r->now >= s->deadline)
		return true;
	for (int i = 0; i < r->cfg.n_slots; i++)
		if (s->leg[i].state == LEG_WAIT)
			return false;
	return true;
}

static void
legs_refused(struct route *r, struct sub *s)
{
	bool was_active = s->active;

	s->active = false;
	for (int i = 0; i < r->cfg.n_slots; i++) {
		if (s->leg[i].state == LEG_OK && was_active)
			rt_sub_unask(r, s, i);
		if (s->leg[i].state == LEG_WAIT)
			s->leg[i].state = LEG_LATE;
	}
	if (was_active)
		told_gone(r, s);
}

static void
legs_accepted(struct route *r, struct sub *s)
{
	if (s->active && r->ops.subscription != NULL)
		r->ops.subscription(
		    r->arg, s->space, s->port, true, buf_span(&s->raw));
	for (int i = 0; i < r->cfg.n_slots; i++) {
		struct sub_leg *leg = &s->leg[i];

		if (leg->state == LEG_WAIT) {
			leg->state = LEG_LATE;
			if (s->active)
				rt_sub_warn(r, s, i, "has not answered yet");
		} else if (leg->state == LEG_RETRY && s->active) {
			rt_sub_warn(r, s, i, "answered with an error");
			rt_sub_retry_later(r, s, i);
		}
	}
}

static void
decide(struct route *r, struct sub *s)
{
	s->decided = true;
	r->dirty = true;
	if (s->rank > 0) {
		legs_refused(r, s);
		return;
	}
	if (pm_put_subscribe_ok(&s->result, tcp_kind(s->space), s->port) < 0)
		rt_drop_client(r, ROUTE_DROP_NOMEM, "no memory for an answer");
	legs_accepted(r, s);
}

static void
answer_in_order(struct route *r, enum pm_space space)
{
	LIST_FOR_EACH (n, &r->subs) {
		struct sub *s = LIST_ENTRY(n, struct sub, link);

		if (s->space != space || !s->merging)
			continue;
		if (!s->decided)
			return;
		s->merging = false;
		rt_own_to_client(r, buf_span(&s->result));
		buf_free(&s->result);
	}
}

void
rt_subs_progress(struct route *r)
{
	LIST_FOR_EACH (n, &r->subs) {
		struct sub *s = LIST_ENTRY(n, struct sub, link);

		if (s->merging && !s->decided && can_decide(r, s))
			decide(r, s);
	}
	answer_in_order(r, PM_SPACE_MIRROR);
	answer_in_order(r, PM_SPACE_STEAL);
}

/* ---- time limits ---- */

/* The default owes an answer for too long; false: it is given up. */
static bool
default_in_time(struct route *r, struct sub *s)
{
	if (!s->merging || s->decided || !default_waits(r, s) ||
	    r->now < s->default_deadline)
		return true;
	if (rt_child_waits(r, r->cfg.default_slot)) {
		s->default_deadline = r->now + r->cfg.default_ms;
		return true;
	}
	rt_child_fail(r, r->cfg.default_slot, ROUTE_FAIL_SLOW,
	    "it does not answer about port %u", s->port);
	return false;
}

void
rt_subs_tick(struct route *r)
{
	LIST_FOR_EACH (n, &r->subs)
		if (!default_in_time(r, LIST_ENTRY(n, struct sub, link)))
			return;
	rt_subs_progress(r);
	rt_subs_retry(r);
}

uint64_t
rt_subs_deadline(const struct route *r)
{
	uint64_t first = rt_subs_retry_deadline(r);

	if (!rt_child_live(r, r->cfg.default_slot))
		return first;
	LIST_FOR_EACH (n, &r->subs) {
		const struct sub *s = LIST_ENTRY(n, struct sub, link);
		uint64_t d;

		if (!s->merging || s->decided)
			continue;
		d = default_waits(r, s) ? s->default_deadline : s->deadline;
		if (d < first)
			first = d;
	}
	return first;
}
