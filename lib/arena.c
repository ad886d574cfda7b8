/* arena: chunks of doubling size, a bump pointer in the newest one. */
#include "lib/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGN 16
#define ARENA_FIRST_BYTES 2048
#define ARENA_CHUNK_MAX_BYTES (1024 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t cap;
	size_t len;
	_Alignas(ARENA_ALIGN) unsigned char bytes[];
};

void
arena_init(struct arena *a, size_t max_bytes)
{
	a->head = NULL;
	a->used_bytes = 0;
	a->max_bytes = max_bytes == 0 ? (size_t)64 << 20 : max_bytes;
}

static size_t
arena_round(size_t n)
{
	return (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

static struct arena_chunk *
arena_add_chunk(struct arena *a, size_t need)
{
	struct arena_chunk *c;
	size_t cap = ARENA_FIRST_BYTES;

	if (a->head != NULL && a->head->cap < ARENA_CHUNK_MAX_BYTES)
		cap = a->head->cap * 2;
	else if (a->head != NULL)
		cap = ARENA_CHUNK_MAX_BYTES;
	if (cap < need)
		cap = need;
	c = malloc(sizeof(*c) + cap);
	if (c == NULL)
		return NULL;
	c->next = a->head;
	c->cap = cap;
	c->len = 0;
	a->head = c;
	return c;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct arena_chunk *c = a->head;
	void *p;

	if (n > a->max_bytes)
		return NULL;
	n = n == 0 ? ARENA_ALIGN : arena_round(n);
	if (n > a->max_bytes - a->used_bytes)
		return NULL;
	if (c == NULL || n > c->cap - c->len)
		c = arena_add_chunk(a, n);
	if (c == NULL)
		return NULL;
	p = c->bytes + c->len;
	c->len += n;
	a->used_bytes += n;
	memset(p, 0, n);
	return p;
}

void *
arena_grow(struct arena *a, void *p, size_t old_n, size_t n)
{
	struct arena_chunk *c = a->head;
	size_t have = old_n == 0 ? ARENA_ALIGN : arena_round(old_n);
	void *q;

	if (p == NULL || c == NULL)
		return arena_alloc(a, n);
	if (n <= have)
		return p;
	if ((unsigned char *)p + have == c->bytes + c->len &&
	    n <= a->max_bytes && arena_round(n) - have <= c->cap - c->len)
		/* the bytes right behind p: they extend it */
		return arena_alloc(a, n - have) == NULL ? NULL : p;
	q = arena_alloc(a, n);
	if (q != NULL && old_n > 0)
		memcpy(q, p, old_n);
	return q;
}

void *
arena_dup(struct arena *a, const void *p, size_t n)
{
	void *q = arena_alloc(a, n);

	if (q != NULL && n > 0)
		memcpy(q, p, n);
	return q;
}

static void
arena_free_chunks(struct arena_chunk *c)
{
	struct arena_chunk *next;

	for (; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
}

void
arena_reset(struct arena *a)
{
	a->used_bytes = 0;
	if (a->head == NULL)
		return;
	arena_free_chunks(a->head->next);
	a->head->next = NULL;
	a->head->len = 0;
}

void
arena_free(struct arena *a)
{
	arena_free_chunks(a->head);
	a->head = NULL;
	a->used_bytes = 0;
}
