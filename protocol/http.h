/*
 * http: HTTP/1.1 heads and bodies as pure functions over buffers. The head
 * parser serves the frontend's listener (untrusted peers) and our own client
 * (operators and API servers: trusted with credentials, not with memory), so
 * it is strict in both directions: what two implementations could read
 * differently (bare LF or CR, folded lines, blanks before the colon, two
 * lengths, a length beside a transfer coding) is an error and not a guess.
 * That is what keeps request smuggling out when a proxy stands in front.
 */
#ifndef PROTOCOL_HTTP_H
#define PROTOCOL_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"

enum {
	HTTP_MAX_LINE = 16 << 10,  /* bytes of a request or status line */
	HTTP_MAX_HEAD = 512 << 10, /* bytes of a whole head: connect parameters
				      may take 256 KiB of it, base64 included */
	HTTP_MAX_FIELDS = 200,
	HTTP_MAX_SEGMENTS = 16, /* of a path */
	HTTP_MAX_CHUNK_LINE = 4 << 10,
};

enum http_framing {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CHUNKED,
	HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

struct http_field {
	const char *name; /* as sent; compare with http_field_is */
	const char *value;
};

/* One parsed head. All strings live in block and are NUL-terminated. */
struct http_head {
	char *block;               /* owned */
	struct http_field *fields; /* owned */
	size_t field_count;
	/* requests */
	const char *method;
	const char *target; /* as sent */
	const char *path;   /* target up to '?', still percent-encoded */
	const char *query;  /* behind '?', "" when there is none */
	/* responses */
	int status;
	const char *reason;
	/* both */
	int minor; /* HTTP/1.minor: 0 or 1 */
	enum http_framing framing;
	uint64_t length; /* with HTTP_BODY_LENGTH */
	bool keep_alive;
	bool expect_continue;
	bool upgrade; /* Connection lists Upgrade and an Upgrade field is there
		       */
};

/* Progress over one head that arrives in pieces. Zeroed = at the start. */
struct http_parser {
	size_t scanned;
	size_t line_start;
	size_t lines;
	int refuse_code; /* after an error: the HTTP status to answer with */
};

/*
 * Looks for a whole head at the front of in and parses it. 0: *out is filled
 * (http_head_free it) and the head's bytes are consumed from in, the parser is
 * ready for the next head. -ERR_TRUNCATED: wait for more bytes. -ERR_TOO_BIG,
 * -ERR_INVALID, -ERR_UNSUPPORTED: e says what is wrong and p->refuse_code is
 * 400, 414, 431, 501 or 505; the connection can't be used further.
 */
int http_parse_request(struct http_parser *p, struct buf *in,
    struct http_head *out, struct err *e);
/*
 * As above for a response to a request of the given method (HEAD and CONNECT
 * change the framing). 1xx answers but 101 are returned like all others.
 */
int http_parse_response(struct http_parser *p, struct buf *in,
    const char *method, struct http_head *out, struct err *e);
void http_head_free(struct http_head *h); /* of an embedded head; zeroes it */

bool http_field_is(const struct http_field *f, const char *name);
/* The first field of that name, or NULL. */
const char *http_get(const struct http_head *h, const char *name);
/* Iterates over fields of one name: *pos starts at 0; NULL at the end. */
const char *http_get_next(
    const struct http_head *h, const char *name, size_t *pos);
/*
 * Duplicates with equal values count as one (the stock CLI sends x-client-der
 * and baggage twice). 0 with *value NULL when absent, -ERR_INVALID when the
 * values differ.
 */
int http_get_single(const struct http_head *h, const char *name,
    const char **value, struct err *e);
/* Is token one of the comma-separated elements of these fields? */
bool http_has_token(
    const struct http_head *h, const char *name, const char *token);
bool http_is_token(const char *s);

/* The decoded segments of a path: "/a/b%20c" is {"a", "b c"}. */
struct http_path {
	char *store; /* owned */
	const char *seg[HTTP_MAX_SEGMENTS];
	size_t count;
	bool trailing_slash;
};
/*
 * -ERR_INVALID for a path that does not start with '/', a broken escape, an
 * escaped '/' or NUL, an empty, "." or ".." segment; -ERR_TOO_BIG for more
 * than HTTP_MAX_SEGMENTS.
 */
int http_path_parse(const char *path, struct http_path *out, struct err *e);
void http_path_free(struct http_path *p);

/*
 * Walks over a query: *pos starts at the query and moves. Empty pairs, a
 * leading '&' and a trailing '?' are skipped (operator-api §3). 1: name and
 * value are decoded into the two buffers (replaced); 0: end; -ERR_INVALID for
 * a broken escape; -ERR_TOO_BIG from the buffers' limits.
 */
int http_query_next(const char **pos, struct buf *name, struct buf *value);
/* First value of name decoded into out: 1, 0 absent, or an error. */
int http_query_get(const char *query, const char *name, struct buf *out);

/* Incremental body decoder for every framing. */
struct http_body {
	enum http_framing framing;
	int state;
	uint64_t left;   /* of the body or of the chunk */
	size_t line_len; /* of a chunk-size or trailer line under way */
	size_t trailer_bytes;
	uint64_t total;
	uint64_t max_bytes;
	bool done;
};

/* max_bytes 0 = no limit (a watch). -ERR_TOO_BIG at once if length > max. */
int http_body_init(struct http_body *b, const struct http_head *h,
    uint64_t max_bytes, struct err *e);
/*
 * Decodes the front of in: *used bytes may be dropped, and *data, a part of
 * in, is body. Call again while *used > 0 and !b->done. Nothing used and not
 * done: wait for more. -ERR_INVALID, -ERR_TOO_BIG.
 */
int http_body_next(struct http_body *b, struct span in, struct span *data,
    size_t *used, struct err *e);
/* The stream ended: 0 when the body may end here, else -ERR_TRUNCATED. */
int http_body_eof(struct http_body *b, struct err *e);

/* Writers. A name that is no token or a value with CR, LF or NUL: -ERR_INVALID
 * and nothing is written. */
int http_put_request(struct buf *out, const char *method, const char *target);
int http_put_status(struct buf *out, int code);
int http_put_field(struct buf *out, const char *name, const char *value);
int http_put_fieldf(struct buf *out, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int http_put_end(struct buf *out); /* the empty line */
/* One chunk; nothing when n is 0. */
int http_put_chunk(struct buf *out, const void *p, size_t n);
int http_put_last_chunk(struct buf *out);
const char *http_reason(int code); /* "Not Found"; "Status" when unknown */

#endif
