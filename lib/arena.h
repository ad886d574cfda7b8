/*
 * arena: bounded memory that is freed at once. Used where a message decoded
 * from a peer becomes many small pieces with one life.
 */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *head; /* owned, newest first */
	size_t used_bytes;        /* handed out, padding included */
	size_t max_bytes;         /* never handed out more than this */
};

/* max_bytes 0 = 64 MiB. Allocates nothing yet. */
void arena_init(struct arena *a, size_t max_bytes);
/* Zeroed memory, aligned for any type; NULL over the maximum or at OOM. */
void *arena_alloc(struct arena *a, size_t n);
/*
 * Room for n bytes where there were old_n at p (NULL, 0 at first): in place
 * when p is the newest piece, else a copy. The new bytes are zero.
 */
void *arena_grow(struct arena *a, void *p, size_t old_n, size_t n);
/* A copy of n bytes; NULL as arena_alloc. */
void *arena_dup(struct arena *a, const void *p, size_t n);
/* Everything handed out is gone; one chunk is kept for the next use. */
void arena_reset(struct arena *a);
/* Everything is gone; a may be used again. */
void arena_free(struct arena *a);

#endif
