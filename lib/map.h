/* map: a hash table from u64 keys to pointers (not owned). */
#ifndef LIB_MAP_H
#define LIB_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t key;
	void *value; /* NULL = free slot */
};

struct map {
	struct map_slot *slots; /* owned */
	size_t cap;             /* a power of two, or 0 */
	size_t count;
};

void map_init(struct map *m);
void map_free(struct map *m); /* the values stay the caller's */
void *map_get(const struct map *m, uint64_t key);
/* value != NULL; replaces. -ERR_NOMEM. */
int map_put(struct map *m, uint64_t key, void *value);
void *map_del(struct map *m, uint64_t key); /* the value, or NULL */
/* Iterates: *pos starts at 0; NULL at the end. Do not change m meanwhile. */
void *map_next(const struct map *m, size_t *pos, uint64_t *key_r);

#endif
