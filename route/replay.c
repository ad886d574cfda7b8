/*
 * replay: subscriptions of children that were late, failed or came back
 * (spec/multicluster.md 5.6 and 6.3). Their answers never reach the client;
 * what goes wrong is told in a log line and tried again.
 */
#include "config.h"

#include "route/route_int.h"

#include <stdlib.h>

/* ---- what a child owes ---- */

static int
subq_grow(struct subq *q)
{
	uint32_t cap = q->cap == 0 ? 8 : q->cap * 2;
	struct sub **v;

	if (cap > SUBQ_MAX)
		return -ERR_TOO_BIG;
	v = malloc(cap * sizeof(struct sub *));
	if (v == NULL)
		return -ERR_NOMEM;
	for (uint32_t i = 0; i < q->n; i++)
		v[i] = q->v[(q->head + i) % q->cap];
	free(q->v);
	q->v = v;
	q->head = 0;
	q->cap = cap;
	return 0;
}

int
rt_subq_push(struct subq *q, struct sub *s)
{
	int rc = q->n == q->cap ? subq_grow(q) : 0;

	if (rc < 0)
		return rc;
	q->v[(q->head + q->n) % q->cap] = s;
	q->n++;
	s->refs++;
	return 0;
}

struct sub *
rt_subq_pop(struct subq *q)
{
	struct sub *s;

	if (q->n == 0)
		return NULL;
	s = q->v[q->head];
	q->head = (q->head + 1) % q->cap;
	q->n--;
	s->refs--;
	return s;
}

/* ---- lost and back ---- */

void
rt_subs_lose(struct route *r, int slot)
{
	for (int i = 0; i < IDS_SPACES; i++) {
		struct subq *q = &r->child[slot]->asked[i];

		while (rt_subq_pop(q) != NULL)
			;
		free(q->v);
		*q = (struct subq){0};
	}
	LIST_FOR_EACH (n, &r->subs)
		LIST_ENTRY(n, struct sub, link)->leg[slot] =
		    (struct sub_leg){0};
	rt_subs_progress(r);
}

void
rt_subs_replay(struct route *r, int slot)
{
	LIST_FOR_EACH (n, &r->subs) {
		struct sub *s = LIST_ENTRY(n, struct sub, link);

		if (s->active && rt_child_live(r, slot))
			rt_sub_ask(r, s, slot, LEG_LATE);
	}
}

/* ---- late answers ---- */

static const char *
what_is_done(const struct sub *s)
{
	return s->space == PM_SPACE_MIRROR ? "mirrored" : "stolen";
}

void
rt_sub_warn(struct route *r, struct sub *s, int slot, const char *what)
{
	if (s->leg[slot].warned)
		return;
	s->leg[slot].warned = true;
	rt_tell(r, PM_LogLevel_Warn,
	    "%s %s about port %u: what enters there is not %s yet.",
	    rt_name_of(r, slot), what, s->port, what_is_done(s));
}

static void
late_ok(struct route *r, struct sub *s, int slot)
{
	struct sub_leg *leg = &s->leg[slot];

	leg->state = LEG_OK;
	leg->tries = 0;
	if (!s->active) {
		/* Refused meanwhile; a newer one of the port may hold it. */
		if (rt_sub_active(r, s->space, s->port) == NULL)
			rt_sub_unask(r, s, slot);
		return;
	}
	if (leg->warned)
		rt_tell(r, PM_LogLevel_Info, "%s: port %u is %s there too now.",
		    rt_name_of(r, slot), s->port, what_is_done(s));
	leg->warned = false;
}

void
rt_sub_late_answer(struct route *r, struct sub *s, int slot, enum answer a)
{
	if (a == ANSWER_OK) {
		late_ok(r, s, slot);
		return;
	}
	s->leg[slot].state = LEG_REFUSED;
	if (!s->active)
		return;
	if (a == ANSWER_POLICY) {
		s->leg[slot].warned = false; /* this is the last word */
		rt_sub_warn(r, s, slot, "refuses by its policy the request");
		return;
	}
	rt_sub_warn(r, s, slot,
	    a == ANSWER_STOLEN ? "says somebody else has it, asked"
			       : "answered with an error");
	rt_sub_retry_later(r, s, slot);
}

/* ---- again ---- */

static uint32_t
jitter(struct route *r, uint32_t ms)
{
	r->rand = r->rand * 1664525u + 1013904223u;
	return ms - (r->rand >> 16) % (ms / 4 + 1);
}

void
rt_sub_retry_later(struct route *r, struct sub *s, int slot)
{
	struct sub_leg *leg = &s->leg[slot];
	uint32_t ms = RETRY_MAX_MS;

	if (leg->tries < 4)
		ms = (uint32_t)RETRY_FIRST_MS << leg->tries++;
	leg->state = LEG_RETRY;
	leg->retry_at = r->now + jitter(r, ms);
	r->dirty = true;
}

void
rt_subs_retry(struct route *r)
{
	LIST_FOR_EACH (n, &r->subs) {
		struct sub *s = LIST_ENTRY(n, struct sub, link);

		if (!s->active)
			continue;
		FOR_EACH_LIVE(r, i)
		if (s->leg[i].state == LEG_RETRY &&
		    s->leg[i].retry_at <= r->now)
			rt_sub_ask(r, s, i, LEG_LATE);
	}
}

uint64_t
rt_subs_retry_deadline(const struct route *r)
{
	uint64_t first = NEVER;

	LIST_FOR_EACH (n, &r->subs) {
		const struct sub *s = LIST_ENTRY(n, struct sub, link);

		if (!s->active)
			continue;
		FOR_EACH_LIVE(r, i)
		if (s->leg[i].state == LEG_RETRY && s->leg[i].retry_at < first)
			first = s->leg[i].retry_at;
	}
	return first;
}
