/* The client's side of the WebSocket handshake (operator-api §9). */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "net/http_client.h"
#include "net/http_req.h"

enum { HANDSHAKE_TIMEOUT_MS = 30000, REFUSAL_MAX_BYTES = 64 << 10 };

struct ws_client {
	struct tls_conn *conn;
	struct ev_timer *timer;
	struct ws_conn_opts opts;
	char *subprotocol;
	char key[WS_KEY_SIZE];
	struct http_parser parser;
	struct http_head head;
	struct http_body body_state;
	struct buf body; /* of a refusal */
	bool in_body;
	ws_client_fn *fn;
	void *arg;
};

static void
handshake_destroy(struct ws_client *c)
{
	tls_conn_free(&c->conn);
	ev_timer_free(&c->timer);
	http_head_free(&c->head);
	buf_free(&c->body);
	free(c->subprotocol);
	free(c);
}

/* The only place where a handshake ends by itself. */
static void
handshake_done(struct ws_client *c, struct ws_conn *ws,
    const struct ws_refusal *refusal, const struct err *e)
{
	ws_client_fn *fn = c->fn;
	void *arg = c->arg;
	struct http_head head = c->head;

	memset(&c->head, 0, sizeof(c->head));
	handshake_destroy(c);
	fn(arg, ws, refusal, e);
	http_head_free(&head);
}

static void
handshake_refused(struct ws_client *c)
{
	struct ws_refusal r = {.http_code = c->head.status};
	struct http_head head = c->head; /* lives until the call is over */

	status_parse(
	    &r.status, c->head.status, buf_data(&c->body), c->body.len);
	r.head = &head;
	handshake_done(c, NULL, &r, NULL);
}

static void
handshake_accepted(struct ws_client *c)
{
	struct tls_conn *conn = c->conn;
	struct ws_conn *ws;
	struct err e = {0};

	if (ws_check_response(&c->head, c->key, c->subprotocol, &e) < 0) {
		handshake_done(c, NULL, NULL, &e);
		return;
	}
	c->conn = NULL;
	ws = ws_conn_new(conn, WS_CLIENT, &c->opts, NULL, NULL, &e);
	handshake_done(c, ws, NULL, ws == NULL ? &e : NULL);
}

/* Collects a refusal's body, cut where it gets long: it is only a text. */
static bool
refusal_body(struct ws_client *c, struct buf *in)
{
	struct err e = {0};
	struct span data;
	size_t used;

	while (!c->body_state.done && in->len > 0) {
		if (http_body_next(
			&c->body_state, buf_span(in), &data, &used, &e) < 0)
			return true;
		if (buf_append(&c->body, data.p, data.n) < 0)
			return true;
		buf_consume(in, used);
		if (used == 0)
			break;
	}
	return c->body_state.done;
}

static void
on_read(void *arg, struct buf *in)
{
	struct ws_client *c = arg;
	struct err e = {0};
	int rc;

	while (!c->in_body) {
		rc = http_parse_response(&c->parser, in, "GET", &c->head, &e);
		if (rc == -ERR_TRUNCATED)
			return;
		if (rc == 0 && c->head.status < 200 && c->head.status != 101) {
			http_head_free(&c->head);
			continue;
		}
		if (rc == 0 && c->head.status == 101) {
			handshake_accepted(c);
			return;
		}
		if (rc == 0)
			rc = http_body_init(&c->body_state, &c->head, 0, &e);
		if (rc < 0) {
			err_wrap(&e, "The server's answer can't be read");
			handshake_done(c, NULL, NULL, &e);
			return;
		}
		c->in_body = true;
	}
	if (refusal_body(c, in))
		handshake_refused(c);
}

static void
on_close(void *arg, const struct err *e)
{
	struct ws_client *c = arg;
	struct err gone;

	if (c->in_body) { /* what came of the body is enough */
		handshake_refused(c);
		return;
	}
	if (e->code == ERR_OK) {
		err_set(&gone, ERR_CLOSED,
		    "The server closed the connection without an answer.");
		e = &gone;
	}
	handshake_done(c, NULL, NULL, e);
}

static void
on_timeout(void *arg)
{
	struct err e;

	err_set(&e, ERR_TIMEOUT,
	    "The server did not answer the WebSocket request in time.");
	handshake_done(arg, NULL, NULL, &e);
}

static int
handshake_send(struct ws_client *c, const struct http_req *req,
    const char *subprotocol, struct err *e)
{
	struct http_pair fields[64];
	struct http_req copy = *req;
	struct buf text;
	size_t n = 0;
	int rc;

	if (subprotocol != NULL)
		fields[n++] =
		    (struct http_pair){"Sec-WebSocket-Protocol", subprotocol};
	for (const struct http_pair *f = req->fields;
	     f != NULL && f->name != NULL; f++) {
		if (n + 1 == sizeof(fields) / sizeof(fields[0]))
			return err_set(e, ERR_TOO_BIG, "too many headers");
		fields[n++] = *f;
	}
	fields[n] = (struct http_pair){NULL, NULL};
	copy.method = "GET";
	copy.fields = fields;
	copy.body = (struct span){NULL, 0};
	buf_init(&text, 0);
	rc = ws_key_make(c->key);
	if (rc < 0)
		err_set(e, ERR_INTERNAL, "no random numbers");
	if (rc == 0)
		rc = http_req_put(&text, &copy, c->key, e);
	if (rc == 0) {
		rc = tls_conn_write(c->conn, buf_data(&text), text.len);
		if (rc < 0)
			err_set(e, (enum err_code) - rc,
			    "The WebSocket request can't be sent: %s.",
			    err_code_name((enum err_code) - rc));
	}
	buf_free(&text);
	return rc;
}

struct ws_client *
ws_client_start(struct tls_conn *conn, const struct http_req *req,
    const char *subprotocol, const struct ws_conn_opts *opts, ws_client_fn *fn,
    void *arg, struct err *e)
{
	static const struct tls_conn_cbs conn_cbs = {
	    .on_read = on_read,
	    .on_close = on_close,
	};
	struct ws_client *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		tls_conn_free(&conn);
		err_nomem(e);
		return NULL;
	}
	c->conn = conn;
	c->fn = fn;
	c->arg = arg;
	if (opts != NULL)
		c->opts = *opts;
	buf_init(&c->body, REFUSAL_MAX_BYTES);
	c->timer = ev_timer_new(tls_conn_loop(conn), on_timeout, c);
	if (subprotocol != NULL)
		c->subprotocol = strdup(subprotocol);
	if (c->timer == NULL ||
	    (subprotocol != NULL && c->subprotocol == NULL)) {
		err_nomem(e);
		handshake_destroy(c);
		return NULL;
	}
	if (handshake_send(c, req, subprotocol, e) < 0) {
		handshake_destroy(c);
		return NULL;
	}
	tls_conn_set_cbs(conn, &conn_cbs, c);
	ev_timer_set(c->timer,
	    req->timeout_ms != 0 ? req->timeout_ms : HANDSHAKE_TIMEOUT_MS);
	return c;
}

void
ws_client_cancel(struct ws_client **cp)
{
	if (*cp != NULL)
		handshake_destroy(*cp);
	*cp = NULL;
}
