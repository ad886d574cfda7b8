/* Answers out: whole ones, streamed ones, Statuses, the upgrade. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "net/http_int.h"

enum { ANSWER_HEAD_MAX = 64 << 10, STREAM_QUEUE_MAX = 1 << 20 };

static int
put_date(struct buf *out)
{
	char text[40];
	time_t now = (time_t)clock_wall_s();
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL ||
	    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
		return 0;
	return http_put_field(out, "Date", text);
}

/* The status line and every field but the framing. */
static int
put_head(struct http_conn *c, struct buf *out, int code,
    const char *content_type, const struct http_extra *extra)
{
	int rc = http_put_status(out, code);

	if (rc == 0 && c->opts.server != NULL)
		rc = http_put_field(out, "Server", c->opts.server);
	if (rc == 0)
		rc = put_date(out);
	if (rc == 0 && content_type != NULL)
		rc = http_put_field(out, "Content-Type", content_type);
	for (; rc == 0 && extra != NULL && extra->name != NULL; extra++)
		rc = http_put_field(out, extra->name, extra->value);
	return rc;
}

static bool
may_keep(const struct http_conn *c)
{
	return c->head.keep_alive && !c->draining;
}

static int
put_connection(const struct http_conn *c, struct buf *out, bool keep)
{
	if (!keep)
		return http_put_field(out, "Connection", "close");
	if (c->head.minor == 0)
		return http_put_field(out, "Connection", "keep-alive");
	return 0;
}

static bool
is_head_request(const struct http_conn *c)
{
	return c->head.method != NULL && strcmp(c->head.method, "HEAD") == 0;
}

/* Writes one whole answer; keep is what its Connection field says. */
static int
put_answer(struct http_conn *c, int code, const char *content_type,
    const struct http_extra *extra, struct span body, bool keep)
{
	struct buf head;
	bool bodiless = code == 204 || code == 304;
	struct span v[2];
	int rc;

	buf_init(&head, ANSWER_HEAD_MAX);
	rc = put_head(c, &head, code, content_type, extra);
	if (rc == 0 && !bodiless)
		rc = http_put_fieldf(&head, "Content-Length", "%zu", body.n);
	if (rc == 0)
		rc = put_connection(c, &head, keep);
	if (rc == 0)
		rc = http_put_end(&head);
	v[0] = buf_span(&head);
	v[1] = body;
	if (rc == 0)
		rc = tls_conn_writev(c->conn, v,
		    bodiless || is_head_request(c) || body.n == 0 ? 1 : 2);
	buf_free(&head);
	return rc;
}

static int
may_answer(const struct http_conn *c)
{
	if (c->ended || c->freed || c->conn == NULL)
		return -ERR_CLOSED;
	return c->state == HTTP_SERVING ? 0 : -ERR_CONFLICT;
}

int
http_respond(struct http_conn *c, int code, const char *content_type,
    const struct http_extra *extra, const void *body, size_t n)
{
	bool keep = may_keep(c);
	int rc = may_answer(c);

	if (rc == 0)
		rc = put_answer(
		    c, code, content_type, extra, (struct span){body, n}, keep);
	if (rc == 0)
		http_answered(c, keep);
	return rc;
}

static int
respond_status(struct http_conn *c, enum status_reason r, const char *text)
{
	static const struct http_extra soon[] = {{"Retry-After", "1"}, {0}};
	static const struct http_extra ask[] = {
	    {"WWW-Authenticate", "Bearer realm=\"tributary\""}, {0}};
	struct buf body;
	int rc;

	buf_init(&body, 64 << 10);
	rc = status_put(&body, r, NULL, text);
	if (rc == 0)
		rc = http_respond(c, status_code(r), "application/json",
		    r == STATUS_STARTING       ? soon
		    : r == STATUS_UNAUTHORIZED ? ask
					       : NULL,
		    buf_data(&body), body.len);
	buf_free(&body);
	return rc;
}

int
http_respond_status(
    struct http_conn *c, enum status_reason r, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return respond_status(c, r, text);
}

int
http_respond_err(struct http_conn *c, const struct err *e)
{
	return respond_status(c, status_from_err(e->code), e->text);
}

void
http_refuse(struct http_conn *c, int code, const char *text)
{
	struct buf body;
	int rc;

	ev_timer_cancel(c->timer);
	buf_init(&body, 64 << 10);
	rc = status_put(&body, status_from_code(code), NULL, text);
	if (rc == 0)
		(void)put_answer(
		    c, code, "application/json", NULL, buf_span(&body), false);
	buf_free(&body);
	http_answered(c, false);
}

/* ---- streams */

int
http_stream_begin(struct http_conn *c, int code, const char *content_type,
    const struct http_extra *extra)
{
	struct buf head;
	int rc = may_answer(c);

	if (rc < 0)
		return rc;
	buf_init(&head, ANSWER_HEAD_MAX);
	rc = put_head(c, &head, code, content_type, extra);
	if (c->head.minor == 0)
		c->head.keep_alive = false; /* its end is the connection's */
	else if (rc == 0)
		rc = http_put_field(&head, "Transfer-Encoding", "chunked");
	if (rc == 0)
		rc = put_connection(c, &head, may_keep(c));
	if (rc == 0)
		rc = http_put_end(&head);
	if (rc == 0)
		rc = tls_conn_write(c->conn, buf_data(&head), head.len);
	buf_free(&head);
	if (rc == 0)
		c->state = HTTP_STREAMING;
	return rc;
}

int
http_stream_write(struct http_conn *c, const void *p, size_t n)
{
	struct buf chunk;
	int rc;

	if (c->ended || c->freed || c->state != HTTP_STREAMING)
		return -ERR_CLOSED;
	if (is_head_request(c))
		return 0;
	if (tls_conn_queued(c->conn) > STREAM_QUEUE_MAX)
		return -ERR_TOO_BIG;
	if (c->head.minor == 0)
		return tls_conn_write(c->conn, p, n);
	buf_init(&chunk, 0);
	rc = http_put_chunk(&chunk, p, n);
	if (rc == 0)
		rc = tls_conn_write(c->conn, buf_data(&chunk), chunk.len);
	buf_free(&chunk);
	return rc;
}

int
http_stream_end(struct http_conn *c)
{
	bool keep = may_keep(c);
	int rc = 0;

	if (c->ended || c->freed || c->state != HTTP_STREAMING)
		return -ERR_CLOSED;
	if (c->head.minor > 0 && !is_head_request(c))
		rc = tls_conn_write(c->conn, "0\r\n\r\n", 5);
	http_answered(c, keep && rc == 0);
	return rc;
}

/* ---- upgrade */

static int
put_upgrade(struct buf *out, const char *accept, const char *subprotocol,
    const struct http_extra *extra)
{
	int rc = http_put_status(out, 101);

	if (rc == 0)
		rc = http_put_field(out, "Upgrade", "websocket");
	if (rc == 0) /* this token alone: the stock client compares */
		rc = http_put_field(out, "Connection", "Upgrade");
	if (rc == 0)
		rc = http_put_field(out, "Sec-WebSocket-Accept", accept);
	if (rc == 0 && subprotocol != NULL)
		rc = http_put_field(out, "Sec-WebSocket-Protocol", subprotocol);
	for (; rc == 0 && extra != NULL && extra->name != NULL; extra++)
		rc = http_put_field(out, extra->name, extra->value);
	return rc == 0 ? http_put_end(out) : rc;
}

struct ws_conn *
http_upgrade(struct http_conn **cp, const char *accept, const char *subprotocol,
    const struct http_extra *extra, const struct ws_conn_opts *opts,
    const struct ws_conn_cbs *cbs, void *arg, struct err *e)
{
	struct http_conn *c = *cp;
	struct tls_conn *conn;
	struct ws_conn *ws;
	struct buf head;
	int rc = may_answer(c);

	buf_init(&head, ANSWER_HEAD_MAX);
	if (rc == 0)
		rc = put_upgrade(&head, accept, subprotocol, extra);
	if (rc == 0)
		rc = tls_conn_write(c->conn, buf_data(&head), head.len);
	buf_free(&head);
	if (rc < 0) {
		err_set(e, (enum err_code) - rc,
		    "The connection can't become a WebSocket: %s.",
		    err_code_name((enum err_code) - rc));
		return NULL;
	}
	conn = c->conn;
	c->conn = NULL;
	ws = ws_conn_new(conn, WS_SERVER, opts, cbs, arg, e);
	if (ws == NULL) {
		c->ended = true; /* nothing is left to answer on */
		return NULL;
	}
	http_conn_free(cp);
	return ws;
}
