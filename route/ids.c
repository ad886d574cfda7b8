/*
 * ids: connection ids by arithmetic (spec/multicluster.md 5.3).
 *
 * client id = (agent id + base) * N + slot. base is raised when a new agent
 * takes the slot, so that an id of the old one is below it and can be seen to
 * be late. The open ids are kept only to say Close for them at a loss.
 */
#include "config.h"

#include "route/route_int.h"

#include <stdlib.h>
#include <string.h>

int
rt_ids_index(enum pm_space space)
{
	switch (space) {
	case PM_SPACE_MIRROR:
		return 0;
	case PM_SPACE_STEAL:
		return 1;
	default:
		return -1;
	}
}

int
rt_ids_to_client(
    struct ids *s, int n_slots, int slot, uint64_t agent_id, uint64_t *out)
{
	uint64_t v, id;

	if (__builtin_add_overflow(agent_id, s->base, &v) || v == UINT64_MAX ||
	    __builtin_mul_overflow(v, (uint64_t)n_slots, &id) ||
	    __builtin_add_overflow(id, (uint64_t)slot, &id))
		return -ERR_TOO_BIG;
	if (v >= s->next)
		s->next = v + 1;
	*out = id;
	return 0;
}

bool
rt_ids_to_agent(
    const struct ids *s, int n_slots, uint64_t client_id, uint64_t *out)
{
	uint64_t v = client_id / (uint64_t)n_slots;

	if (v < s->base)
		return false;
	*out = v - s->base;
	return true;
}

/* The place of the first value that is not smaller. */
static uint32_t
ids_find(const struct ids *s, uint64_t value)
{
	uint32_t lo = 0, hi = s->n;

	/* New ids are nearly always the largest. */
	if (hi > 0 && s->open[hi - 1] < value)
		return hi;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->open[mid] < value)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int
ids_grow(struct ids *s)
{
	uint32_t cap = s->cap == 0 ? 16 : s->cap * 2;
	uint64_t *p;

	p = realloc(s->open, cap * sizeof(*p));
	if (p == NULL)
		return -ERR_NOMEM;
	s->open = p;
	s->cap = cap;
	return 0;
}

int
rt_ids_open(struct ids *s, uint64_t value)
{
	uint32_t at = ids_find(s, value);

	if (at < s->n && s->open[at] == value)
		return 0;
	if (s->n >= IDS_OPEN_MAX)
		return -ERR_TOO_BIG;
	if (s->n == s->cap && ids_grow(s) < 0)
		return -ERR_NOMEM;
	memmove(s->open + at + 1, s->open + at, (s->n - at) * sizeof(value));
	s->open[at] = value;
	s->n++;
	return 0;
}

void
rt_ids_close(struct ids *s, uint64_t value)
{
	uint32_t at = ids_find(s, value);

	if (at >= s->n || s->open[at] != value)
		return;
	s->n--;
	memmove(s->open + at, s->open + at + 1, (s->n - at) * sizeof(value));
	if (s->n == 0)
		rt_ids_free(s);
}

int
rt_ids_lose(struct ids *s, struct ids *dying)
{
	s->base = s->next;
	if (dying->n == 0) {
		rt_ids_free(dying);
		dying->open = s->open;
		dying->n = s->n;
		dying->cap = s->cap;
		s->open = NULL;
		s->n = s->cap = 0;
		return 0;
	}
	/* An earlier loss is not told completely yet. */
	for (uint32_t i = 0; i < s->n; i++) {
		if (dying->n == dying->cap && ids_grow(dying) < 0)
			return -ERR_NOMEM;
		dying->open[dying->n++] = s->open[i];
	}
	rt_ids_free(s);
	return 0;
}

void
rt_ids_free(struct ids *s)
{
	free(s->open);
	s->open = NULL;
	s->n = s->cap = 0;
}
