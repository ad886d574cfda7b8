#include "config.h"

#include "lib/map.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

enum { MAP_MIN_CAP = 16 };

void
map_init(struct map *m)
{
	memset(m, 0, sizeof(*m));
}

void
map_free(struct map *m)
{
	free(m->slots);
	map_init(m);
}

static size_t
map_home(const struct map *m, uint64_t key)
{
	key ^= key >> 32;
	key *= 0x9e3779b97f4a7c15u;
	return (size_t)(key >> 32) & (m->cap - 1);
}

/* The slot of key, or the free slot where it would go. */
static struct map_slot *
map_find(const struct map *m, uint64_t key)
{
	size_t i = map_home(m, key);

	while (m->slots[i].value != NULL && m->slots[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

void *
map_get(const struct map *m, uint64_t key)
{
	return m->cap == 0 ? NULL : map_find(m, key)->value;
}

static int
map_grow(struct map *m)
{
	struct map bigger = {.cap = m->cap == 0 ? MAP_MIN_CAP : m->cap * 2};

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return -ERR_NOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		if (m->slots[i].value != NULL)
			*map_find(&bigger, m->slots[i].key) = m->slots[i];
	}
	bigger.count = m->count;
	free(m->slots);
	*m = bigger;
	return 0;
}

int
map_put(struct map *m, uint64_t key, void *value)
{
	struct map_slot *s;

	if ((m->count + 1) * 4 > m->cap * 3) {
		int rc = map_grow(m);

		if (rc < 0)
			return rc;
	}
	s = map_find(m, key);
	if (s->value == NULL)
		m->count++;
	s->key = key;
	s->value = value;
	return 0;
}

void *
map_del(struct map *m, uint64_t key)
{
	struct map_slot *s;
	void *value;
	size_t i, hole;

	if (m->cap == 0)
		return NULL;
	s = map_find(m, key);
	value = s->value;
	if (value == NULL)
		return NULL;
	/* Close the gap: later entries of the run may move up. */
	hole = (size_t)(s - m->slots);
	for (i = (hole + 1) & (m->cap - 1); m->slots[i].value != NULL;
	     i = (i + 1) & (m->cap - 1)) {
		size_t home = map_home(m, m->slots[i].key);

		if (((i - home) & (m->cap - 1)) < ((i - hole) & (m->cap - 1)))
			continue;
		m->slots[hole] = m->slots[i];
		hole = i;
	}
	m->slots[hole].value = NULL;
	m->count--;
	return value;
}

void *
map_next(const struct map *m, size_t *pos, uint64_t *key_r)
{
	while (*pos < m->cap) {
		const struct map_slot *s = &m->slots[(*pos)++];

		if (s->value != NULL) {
			if (key_r != NULL)
				*key_r = s->key;
			return s->value;
		}
	}
	return NULL;
}
