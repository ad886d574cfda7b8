/* Message bodies: lengths, the chunked coding, until the end of the stream. */
#include "config.h"

#include <string.h>

#include "protocol/http.h"

/* States of the chunked coding. Trailer fields are checked and dropped. */
enum chunk_state {
	CHUNK_SIZE,
	CHUNK_EXT,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER,
	CHUNK_TRAILER_LINE,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF,
};

static int
body_too_big(const struct http_body *b, struct err *e)
{
	return err_set(e, ERR_TOO_BIG,
	    "The body is longer than the %llu bytes that are taken here.",
	    (unsigned long long)b->max_bytes);
}

static int
chunk_bad(struct err *e, const char *what)
{
	return err_set(
	    e, ERR_INVALID, "The chunked body is malformed: %s.", what);
}

int
http_body_init(struct http_body *b, const struct http_head *h,
    uint64_t max_bytes, struct err *e)
{
	memset(b, 0, sizeof(*b));
	b->framing = h->framing;
	b->max_bytes = max_bytes;
	b->left = h->framing == HTTP_BODY_LENGTH ? h->length : 0;
	b->done = h->framing == HTTP_BODY_NONE ||
		  (h->framing == HTTP_BODY_LENGTH && h->length == 0);
	if (max_bytes != 0 && b->left > max_bytes)
		return body_too_big(b, e);
	return 0;
}

static int
chunk_size_byte(struct http_body *b, uint8_t c, struct err *e)
{
	uint64_t digit;

	if (c >= '0' && c <= '9')
		digit = c - '0';
	else if (c >= 'a' && c <= 'f')
		digit = c - 'a' + 10U;
	else if (c >= 'A' && c <= 'F')
		digit = c - 'A' + 10U;
	else if (b->line_len > 0 && (c == ';' || c == '\r')) {
		b->state = c == ';' ? CHUNK_EXT : CHUNK_SIZE_LF;
		return 0;
	} else
		return chunk_bad(e, "a chunk size is not hexadecimal");
	if (++b->line_len > 15)
		return chunk_bad(e, "a chunk size has too many digits");
	b->left = b->left << 4 | digit;
	return 0;
}

static int
chunk_begin_data(struct http_body *b, struct err *e)
{
	b->line_len = 0;
	if (b->left == 0) {
		b->state = CHUNK_TRAILER;
		return 0;
	}
	if (b->max_bytes != 0 && b->left > b->max_bytes - b->total)
		return body_too_big(b, e);
	b->state = CHUNK_DATA;
	return 0;
}

/* A byte of a line whose content is skipped: an extension or a trailer. */
static int
chunk_skip_byte(struct http_body *b, uint8_t c, int on_cr, struct err *e)
{
	if (c == '\r')
		b->state = on_cr;
	else if ((c < 0x20 && c != '\t') || c == 0x7f)
		return chunk_bad(e, "it has a control byte");
	else if (++b->line_len > HTTP_MAX_CHUNK_LINE ||
		 ++b->trailer_bytes > 4UL * HTTP_MAX_CHUNK_LINE)
		return chunk_bad(e, "extensions or trailers are too long");
	return 0;
}

static int
chunk_expect(
    struct http_body *b, uint8_t c, uint8_t want, int next, struct err *e)
{
	if (c != want)
		return chunk_bad(e, "a CR LF is missing");
	b->state = next;
	return 0;
}

/* Any byte but chunk data. */
static int
chunk_byte(struct http_body *b, uint8_t c, struct err *e)
{
	switch ((enum chunk_state)b->state) {
	case CHUNK_SIZE:
		return chunk_size_byte(b, c, e);
	case CHUNK_EXT:
		return chunk_skip_byte(b, c, CHUNK_SIZE_LF, e);
	case CHUNK_SIZE_LF:
		if (c != '\n')
			return chunk_bad(e, "a CR LF is missing");
		return chunk_begin_data(b, e);
	case CHUNK_DATA_CR:
		return chunk_expect(b, c, '\r', CHUNK_DATA_LF, e);
	case CHUNK_DATA_LF:
		return chunk_expect(b, c, '\n', CHUNK_SIZE, e);
	case CHUNK_TRAILER:
		b->line_len = 0;
		b->state = c == '\r' ? CHUNK_END_LF : CHUNK_TRAILER_LINE;
		return c == '\r' ? 0
				 : chunk_skip_byte(b, c, CHUNK_TRAILER_LF, e);
	case CHUNK_TRAILER_LINE:
		return chunk_skip_byte(b, c, CHUNK_TRAILER_LF, e);
	case CHUNK_TRAILER_LF:
		return chunk_expect(b, c, '\n', CHUNK_TRAILER, e);
	case CHUNK_END_LF:
		if (c != '\n')
			return chunk_bad(e, "a CR LF is missing");
		b->done = true;
		return 0;
	case CHUNK_DATA:
		break;
	}
	return err_set(e, ERR_INTERNAL, "chunk decoder in state %d", b->state);
}

/* Gives away up to b->left bytes at in[at]. */
static void
body_take(struct http_body *b, struct span in, size_t at, struct span *data,
    size_t *used)
{
	size_t n = in.n - at;

	if (n > b->left)
		n = (size_t)b->left;
	*data = (struct span){in.p + at, n};
	*used = at + n;
	b->left -= n;
	b->total += n;
}

static int
chunked_next(struct http_body *b, struct span in, struct span *data,
    size_t *used, struct err *e)
{
	size_t i = 0;

	while (i < in.n && !b->done) {
		int rc;

		if (b->state == CHUNK_DATA) {
			body_take(b, in, i, data, used);
			if (b->left == 0)
				b->state = CHUNK_DATA_CR;
			return 0;
		}
		rc = chunk_byte(b, in.p[i++], e);
		if (rc < 0)
			return rc;
	}
	*used = i;
	return 0;
}

int
http_body_next(struct http_body *b, struct span in, struct span *data,
    size_t *used, struct err *e)
{
	*data = (struct span){in.p, 0};
	*used = 0;
	if (b->done)
		return 0;
	if (b->framing == HTTP_BODY_CHUNKED)
		return chunked_next(b, in, data, used, e);
	if (b->framing == HTTP_BODY_UNTIL_CLOSE) {
		if (b->max_bytes != 0 && in.n > b->max_bytes - b->total)
			return body_too_big(b, e);
		b->left = in.n;
	}
	body_take(b, in, 0, data, used);
	if (b->framing == HTTP_BODY_LENGTH)
		b->done = b->left == 0;
	return 0;
}

int
http_body_eof(struct http_body *b, struct err *e)
{
	if (b->framing == HTTP_BODY_UNTIL_CLOSE)
		b->done = true;
	if (b->done)
		return 0;
	return err_set(e, ERR_TRUNCATED,
	    "The peer closed the connection in the middle of a body.");
}
