#include "config.h"

#include "lib/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

enum { BUF_DEFAULT_MAX = 64 << 20, BUF_MIN_CAP = 256 };

void
buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max != 0 ? max : BUF_DEFAULT_MAX;
}

void
buf_free(struct buf *b)
{
	free(b->base);
	b->base = NULL;
	b->off = b->len = b->cap = 0;
}

void
buf_clear(struct buf *b)
{
	b->off = b->len = 0;
}

int
buf_reserve(struct buf *b, size_t n)
{
	size_t cap, max = b->max != 0 ? b->max : BUF_DEFAULT_MAX;
	uint8_t *p;

	if (n > max || b->len > max - n)
		return -ERR_TOO_BIG;
	if (b->cap - b->off - b->len > n) /* one spare byte for buf_cstr */
		return 0;
	if (b->off > 0) {
		memmove(b->base, b->base + b->off, b->len);
		b->off = 0;
		if (b->cap - b->len > n)
			return 0;
	}
	cap = b->cap < BUF_MIN_CAP ? BUF_MIN_CAP : b->cap;
	while (cap <= b->len + n)
		cap *= 2;
	p = realloc(b->base, cap);
	if (p == NULL)
		return -ERR_NOMEM;
	b->base = p;
	b->cap = cap;
	return 0;
}

int
buf_append(struct buf *b, const void *p, size_t n)
{
	int rc;

	if (n == 0)
		return 0;
	rc = buf_reserve(b, n);
	if (rc < 0)
		return rc;
	memcpy(buf_tail(b), p, n);
	b->len += n;
	return 0;
}

int
buf_append_u8(struct buf *b, uint8_t v)
{
	return buf_append(b, &v, 1);
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, rc;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ERR_INVALID;
	rc = buf_reserve(b, (size_t)n + 1);
	if (rc < 0)
		return rc;
	va_start(ap, fmt);
	vsnprintf((char *)buf_tail(b), (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

int
buf_splice(struct buf *b, size_t at, size_t del, const void *p, size_t n)
{
	uint8_t *d;
	int rc;

	if (at > b->len || del > b->len - at)
		return -ERR_INVALID;
	if (n > del) {
		rc = buf_reserve(b, n - del);
		if (rc < 0)
			return rc;
	}
	if (b->base == NULL)
		return 0; /* nothing there and nothing to put */
	d = buf_data(b) + at;
	memmove(d + n, d + del, b->len - at - del);
	if (n > 0)
		memcpy(d, p, n);
	b->len = b->len - del + n;
	return 0;
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n >= b->len) {
		b->off = b->len = 0;
		return;
	}
	b->off += n;
	b->len -= n;
}

void
buf_commit(struct buf *b, size_t n)
{
	b->len += n;
}

const char *
buf_cstr(struct buf *b)
{
	size_t max = b->max;
	int rc;

	b->max = b->len + 1 > max ? b->len + 1 : max;
	rc = buf_reserve(b, 1);
	b->max = max;
	if (rc < 0)
		return NULL;
	*buf_tail(b) = '\0';
	return (const char *)buf_data(b);
}

char *
buf_take(struct buf *b)
{
	char *p;

	if (buf_cstr(b) == NULL)
		return NULL;
	if (b->off > 0) {
		memmove(b->base, b->base + b->off, b->len + 1);
		b->off = 0;
	}
	p = (char *)b->base;
	b->base = NULL;
	b->off = b->len = b->cap = 0;
	return p;
}
