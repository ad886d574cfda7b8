/*
 * Requests in: the states of a server connection, its time limits and its
 * ends. What is read comes from anybody who can connect; a handler sees only
 * whole, well-formed requests within their limits.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "net/http_int.h"

enum {
	HEAD_TIMEOUT_MS = 10000,
	IDLE_TIMEOUT_MS = 120000,
	BODY_TIMEOUT_MS = 30000,
	BODY_MAX_BYTES = 1 << 20,
};

static void
http_destroy(struct http_conn *c)
{
	tls_conn_free(&c->conn);
	ev_timer_free(&c->timer);
	http_head_free(&c->head);
	buf_free(&c->body);
	free(c);
}

static void
http_end(struct http_conn *c, const struct err *e)
{
	if (c->ended || c->freed)
		return;
	c->ended = true;
	ev_timer_cancel(c->timer);
	c->cbs.on_close(c->arg, c, e);
}

static void
http_wait(struct http_conn *c, uint32_t timeout_ms, uint32_t dflt_ms)
{
	ev_timer_set(c->timer, timeout_ms != 0 ? timeout_ms : dflt_ms);
}

/* Nothing is being asked; the first request must come sooner. */
static void
http_become_idle(struct http_conn *c)
{
	c->state = HTTP_IDLE;
	if (c->served_one)
		http_wait(c, c->opts.idle_timeout_ms, IDLE_TIMEOUT_MS);
	else
		http_wait(c, c->opts.head_timeout_ms, HEAD_TIMEOUT_MS);
}

void
http_answered(struct http_conn *c, bool keep)
{
	c->served_one = true;
	if (!keep) {
		c->state = HTTP_CLOSING;
		tls_conn_shutdown(c->conn);
		return;
	}
	http_become_idle(c);
	tls_conn_show(c->conn); /* a pipelined request may wait there */
}

static void
http_forget_request(struct http_conn *c)
{
	http_head_free(&c->head);
	buf_free(&c->body);
}

static void
on_timeout(void *arg)
{
	struct http_conn *c = arg;

	if (c->state == HTTP_HEAD || c->state == HTTP_BODY)
		http_refuse(c, 408,
		    "The request did not arrive in time; send it again.");
	else if (c->state == HTTP_IDLE) {
		c->state = HTTP_CLOSING;
		tls_conn_shutdown(c->conn);
	}
}

/* ---- input */

static void
http_dispatch(struct http_conn *c)
{
	ev_timer_cancel(c->timer);
	c->state = HTTP_SERVING;
	c->cbs.on_request(c->arg, c, &c->head, buf_span(&c->body));
}

static void
http_begin_body(struct http_conn *c)
{
	uint64_t limit = c->cbs.body_limit != NULL
			     ? c->cbs.body_limit(c->arg, &c->head)
			     : BODY_MAX_BYTES;
	struct err e = {0};

	if (limit == 0 && c->head.framing != HTTP_BODY_NONE &&
	    (c->head.framing != HTTP_BODY_LENGTH || c->head.length > 0)) {
		http_refuse(c, 413, "This request may not have a body.");
		return;
	}
	if (http_body_init(&c->body_state, &c->head, limit, &e) < 0) {
		http_refuse(c, 413, e.text);
		return;
	}
	buf_init(&c->body, limit + 1);
	c->state = HTTP_BODY;
	if (c->body_state.done)
		return;
	http_wait(c, c->opts.body_timeout_ms, BODY_TIMEOUT_MS);
	if (c->head.expect_continue)
		(void)tls_conn_write(
		    c->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* False: wait for more input. */
static bool
http_read_head(struct http_conn *c, struct buf *in)
{
	struct err e = {0};
	int rc;

	http_forget_request(c);
	rc = http_parse_request(&c->parser, in, &c->head, &e);
	if (rc == -ERR_TRUNCATED) {
		if (c->state == HTTP_IDLE) {
			c->state = HTTP_HEAD;
			http_wait(c, c->opts.head_timeout_ms, HEAD_TIMEOUT_MS);
		}
		return false;
	}
	if (rc < 0) {
		http_refuse(c, c->parser.refuse_code, e.text);
		return false;
	}
	http_begin_body(c);
	return true;
}

static bool
http_read_body(struct http_conn *c, struct buf *in)
{
	struct err e = {0};
	struct span data;
	size_t used;
	int rc;

	do {
		rc = http_body_next(
		    &c->body_state, buf_span(in), &data, &used, &e);
		if (rc == 0 && data.n > 0)
			rc = buf_append(&c->body, data.p, data.n);
		if (rc < 0) {
			http_refuse(c, rc == -ERR_TOO_BIG ? 413 : 400,
			    e.code != ERR_OK ? e.text
					     : "There is no room for the "
					       "request.");
			return false;
		}
		buf_consume(in, used);
	} while (used > 0 && !c->body_state.done);
	if (!c->body_state.done) {
		http_wait(c, c->opts.body_timeout_ms, BODY_TIMEOUT_MS);
		return false;
	}
	http_dispatch(c);
	return true;
}

static void
http_input(struct http_conn *c, struct buf *in)
{
	bool more = true;

	while (more && !c->freed && !c->ended) {
		switch (c->state) {
		case HTTP_IDLE:
		case HTTP_HEAD:
			more = in->len > 0 && http_read_head(c, in);
			break;
		case HTTP_BODY:
			more = http_read_body(c, in);
			break;
		case HTTP_SERVING:
		case HTTP_STREAMING:
		case HTTP_CLOSING:
			more = false; /* a pipelined request waits */
			break;
		}
	}
}

static void
on_read(void *arg, struct buf *in)
{
	struct http_conn *c = arg;

	c->in_cb = true;
	http_input(c, in);
	c->in_cb = false;
	if (c->freed)
		http_destroy(c);
}

static void
on_drained(void *arg)
{
	struct http_conn *c = arg;

	if (c->state == HTTP_STREAMING && c->cbs.on_drained != NULL)
		c->cbs.on_drained(c->arg, c);
}

static void
on_sent(void *arg, size_t n)
{
	struct http_conn *c = arg;

	(void)n;
	if (c->state == HTTP_IDLE || c->state == HTTP_CLOSING)
		http_forget_request(c);
}

/*
 * The client sends no more. What is answered still goes out; whoever waits
 * for an answer that is not there yet is taken to be gone.
 */
static void
on_eof(void *arg)
{
	struct http_conn *c = arg;
	struct err e;

	if (c->state != HTTP_SERVING && c->state != HTTP_STREAMING) {
		c->state = HTTP_CLOSING;
		tls_conn_shutdown(c->conn);
		return;
	}
	err_set(&e, ERR_CLOSED, "The client closed the connection.");
	http_end(c, &e);
}

static void
on_conn_close(void *arg, const struct err *e)
{
	http_end(arg, e);
}

/* ---- making and ending */

struct http_conn *
http_conn_new(struct tls_conn *conn, const struct http_conn_opts *opts,
    const struct http_conn_cbs *cbs, void *arg, struct err *e)
{
	static const struct tls_conn_cbs conn_cbs = {
	    .on_read = on_read,
	    .on_drained = on_drained,
	    .on_sent = on_sent,
	    .on_eof = on_eof,
	    .on_close = on_conn_close,
	};
	struct http_conn *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->timer = ev_timer_new(tls_conn_loop(conn), on_timeout, c);
	if (c == NULL || c->timer == NULL) {
		tls_conn_free(&conn);
		free(c);
		err_nomem(e);
		return NULL;
	}
	c->conn = conn;
	if (opts != NULL)
		c->opts = *opts;
	c->cbs = *cbs;
	c->arg = arg;
	http_become_idle(c);
	tls_conn_set_cbs(conn, &conn_cbs, c);
	return c;
}

void
http_conn_free(struct http_conn **cp)
{
	struct http_conn *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	if (c->in_cb)
		c->freed = true;
	else
		http_destroy(c);
}

struct tls_conn *
http_conn_tls(const struct http_conn *c)
{
	return c->conn;
}

const struct http_head *
http_conn_head(const struct http_conn *c)
{
	return c->state == HTTP_SERVING || c->state == HTTP_STREAMING ? &c->head
								      : NULL;
}

void
http_conn_drain(struct http_conn *c)
{
	c->draining = true;
	if (c->state != HTTP_IDLE || c->ended || c->conn == NULL)
		return;
	c->state = HTTP_CLOSING;
	tls_conn_shutdown(c->conn);
}
