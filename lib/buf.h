/* buf: a growable byte buffer with a hard maximum; span: borrowed bytes. */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include <stddef.h>
#include <stdint.h>

struct span {
	const uint8_t *p;
	size_t n;
};

struct buf {
	uint8_t *base; /* owned */
	size_t off;    /* consumed bytes at the front */
	size_t len;    /* live bytes from off */
	size_t cap;
	size_t max; /* live bytes never exceed this; 0 = 64 MiB */
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b); /* frees the bytes; b may be used again */
void buf_clear(struct buf *b);
/* Room for n more bytes. -ERR_TOO_BIG over max, -ERR_NOMEM. */
int buf_reserve(struct buf *b, size_t n);
int buf_append(struct buf *b, const void *p, size_t n);
int buf_append_u8(struct buf *b, uint8_t v);
int buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Replace del bytes at offset at by n bytes of p (p not inside b). */
int buf_splice(struct buf *b, size_t at, size_t del, const void *p, size_t n);
void buf_consume(struct buf *b, size_t n); /* drop n bytes at the front */
/* Bytes reserved by buf_reserve and filled by the caller become live. */
void buf_commit(struct buf *b, size_t n);
/* NUL-terminates behind the live bytes; NULL when that fails. */
const char *buf_cstr(struct buf *b);
/* Gives the bytes away (free() them), NUL-terminated; b is empty then. */
char *buf_take(struct buf *b);

static inline uint8_t *
buf_data(const struct buf *b)
{
	return b->base == NULL ? (uint8_t *)"" : b->base + b->off;
}

/* Where buf_reserve'd bytes begin. */
static inline uint8_t *
buf_tail(const struct buf *b)
{
	return b->base + b->off + b->len;
}

static inline struct span
buf_span(const struct buf *b)
{
	return (struct span){buf_data(b), b->len};
}

#endif
