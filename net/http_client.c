/*
 * One request at a time over a connected tls_conn. The answer is parsed as
 * strictly as a request: the peer is an operator or API server, but what it
 * sends may have been forged or broken on the way.
 */
#include "config.h"

#include "net/http_client.h"

#include <stdlib.h>
#include <string.h>

#include "net/http_req.h"

enum { ANSWER_TIMEOUT_MS = 30000, COLLECT_MAX_BYTES = 1 << 20 };

enum client_state {
	CLIENT_IDLE,
	CLIENT_HEAD, /* waiting for the answer's head */
	CLIENT_BODY,
	CLIENT_DEAD,
};

struct http_client {
	struct tls_conn *conn;
	struct ev_timer *timer;
	enum client_state state;
	struct http_client_cbs cbs;
	void *arg;
	char method[16];
	struct http_parser parser;
	struct http_head head;
	struct http_body body_state;
	struct buf body;
	size_t collect_max;
	bool paused;
	bool in_cb;
	bool freed;
};

static void
client_destroy(struct http_client *c)
{
	tls_conn_free(&c->conn);
	ev_timer_free(&c->timer);
	http_head_free(&c->head);
	buf_free(&c->body);
	free(c);
}

/* Tells the end of a request. The callback may send the next or free c. */
static void
client_done(struct http_client *c, const struct err *e)
{
	struct http_head head = c->head;
	struct buf body = c->body;
	struct http_client_cbs cbs = c->cbs;
	bool usable = e == NULL && head.keep_alive && head.minor > 0 &&
		      head.framing != HTTP_BODY_UNTIL_CLOSE &&
		      head.status != 101;

	ev_timer_cancel(c->timer);
	memset(&c->head, 0, sizeof(c->head));
	buf_init(&c->body, 0);
	c->state = usable ? CLIENT_IDLE : CLIENT_DEAD;
	cbs.on_done(c->arg, c, head.block != NULL ? &head : NULL,
	    e == NULL ? buf_span(&body) : (struct span){NULL, 0}, e);
	http_head_free(&head);
	buf_free(&body);
}

static void
client_fail(struct http_client *c, const struct err *e)
{
	if (c->state == CLIENT_HEAD || c->state == CLIENT_BODY)
		client_done(c, e);
	else
		c->state = CLIENT_DEAD;
}

/* Runs a step that may end the request from outside of on_read. */
static void
client_fail_outside(struct http_client *c, const struct err *e)
{
	c->in_cb = true;
	client_fail(c, e);
	c->in_cb = false;
	if (c->freed)
		client_destroy(c);
}

static void
on_timeout(void *arg)
{
	struct http_client *c = arg;
	struct err e;

	err_set(
	    &e, ERR_TIMEOUT, "The server did not answer the request in time.");
	client_fail_outside(c, &e);
}

/* ---- input */

static bool
client_head(struct http_client *c, struct buf *in)
{
	struct err e = {0};
	int rc = http_parse_response(&c->parser, in, c->method, &c->head, &e);

	if (rc == -ERR_TRUNCATED)
		return false;
	if (rc == 0 && c->head.status < 200 && c->head.status != 101) {
		http_head_free(&c->head); /* 100 Continue and the like */
		return true;
	}
	if (rc == 0)
		rc = http_body_init(&c->body_state, &c->head,
		    c->cbs.on_body == NULL ? c->collect_max : 0, &e);
	if (rc < 0) {
		err_wrap(&e, "The server's answer can't be read");
		client_fail(c, &e);
		return false;
	}
	buf_init(&c->body, c->collect_max + 1);
	ev_timer_cancel(c->timer);
	c->state = CLIENT_BODY;
	if (c->cbs.on_head != NULL)
		c->cbs.on_head(c->arg, c, &c->head);
	return true;
}

static bool
client_body(struct http_client *c, struct buf *in)
{
	struct err e = {0};
	struct span data = {NULL, 0};
	size_t used = 0;
	int rc = 0;

	if (c->body_state.done) {
		client_done(c, NULL);
		return true;
	}
	rc = http_body_next(&c->body_state, buf_span(in), &data, &used, &e);
	if (rc == 0 && data.n > 0 && c->cbs.on_body != NULL)
		c->cbs.on_body(c->arg, c, data);
	else if (rc == 0 && data.n > 0)
		rc = buf_append(&c->body, data.p, data.n);
	if (rc < 0) {
		if (e.code == ERR_OK)
			err_nomem(&e);
		err_wrap(&e, "The server's answer can't be read");
		client_fail(c, &e);
		return false;
	}
	buf_consume(in, used);
	return used > 0;
}

static void
client_input(struct http_client *c, struct buf *in)
{
	bool more = true;

	while (more && !c->freed && !c->paused) {
		switch (c->state) {
		case CLIENT_HEAD:
			more = in->len > 0 && client_head(c, in);
			break;
		case CLIENT_BODY:
			more = client_body(c, in);
			break;
		case CLIENT_IDLE:
			/* Nobody asked: what comes belongs to nothing. */
			if (in->len > 0)
				c->state = CLIENT_DEAD;
			more = false;
			break;
		case CLIENT_DEAD:
			buf_consume(in, in->len);
			more = false;
			break;
		}
	}
}

static void
on_read(void *arg, struct buf *in)
{
	struct http_client *c = arg;

	c->in_cb = true;
	client_input(c, in);
	c->in_cb = false;
	if (c->freed)
		client_destroy(c);
}

static void
on_close(void *arg, const struct err *e)
{
	struct http_client *c = arg;
	struct err gone;

	c->in_cb = true;
	if (c->state == CLIENT_BODY &&
	    (e->code == ERR_OK || e->code == ERR_CLOSED) &&
	    http_body_eof(&c->body_state, &gone) == 0) {
		client_done(c, NULL);
	} else if (e->code == ERR_OK || e->code == ERR_CLOSED) {
		err_set(&gone, ERR_CLOSED, "%s",
		    c->state == CLIENT_BODY
			? "The server closed the connection in the middle of "
			  "its answer."
		    : *e->text != '\0' ? e->text
				       : "The server closed the connection.");
		client_fail(c, &gone);
	} else {
		client_fail(c, e);
	}
	c->in_cb = false;
	if (c->freed)
		client_destroy(c);
}

/* ---- making, sending */

struct http_client *
http_client_new(struct tls_conn *conn, struct err *e)
{
	static const struct tls_conn_cbs conn_cbs = {
	    .on_read = on_read,
	    .on_close = on_close,
	};
	struct http_client *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->timer = ev_timer_new(tls_conn_loop(conn), on_timeout, c);
	if (c == NULL || c->timer == NULL) {
		tls_conn_free(&conn);
		free(c);
		err_nomem(e);
		return NULL;
	}
	c->conn = conn;
	tls_conn_set_cbs(conn, &conn_cbs, c);
	return c;
}

void
http_client_free(struct http_client **cp)
{
	struct http_client *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	if (c->in_cb)
		c->freed = true;
	else
		client_destroy(c);
}

bool
http_client_usable(const struct http_client *c)
{
	return c->state == CLIENT_IDLE && !c->freed;
}

int
http_client_send(struct http_client *c, const struct http_req *req,
    const struct http_client_cbs *cbs, void *arg, struct err *e)
{
	struct buf text;
	int rc;

	if (c->state == CLIENT_DEAD || c->freed)
		return err_set(e, ERR_CLOSED,
		    "The connection to the server can't be used again.");
	if (c->state != CLIENT_IDLE)
		return err_set(e, ERR_CONFLICT,
		    "Another request runs on this connection.");
	if (strlen(req->method) >= sizeof(c->method))
		return err_set(e, ERR_INVALID, "The method is too long.");
	buf_init(&text, 0);
	rc = http_req_put(&text, req, NULL, e);
	if (rc == 0) {
		rc = tls_conn_write(c->conn, buf_data(&text), text.len);
		if (rc < 0)
			err_set(e, (enum err_code) - rc,
			    "The request can't be sent: %s.",
			    err_code_name((enum err_code) - rc));
	}
	buf_free(&text);
	if (rc < 0)
		return rc;
	memcpy(c->method, req->method, strlen(req->method) + 1);
	c->cbs = *cbs;
	c->arg = arg;
	c->collect_max = req->collect_max_bytes != 0 ? req->collect_max_bytes
						     : COLLECT_MAX_BYTES;
	c->state = CLIENT_HEAD;
	ev_timer_set(c->timer,
	    req->timeout_ms != 0 ? req->timeout_ms : ANSWER_TIMEOUT_MS);
	return 0;
}

void
http_client_pause(struct http_client *c)
{
	c->paused = true;
	tls_conn_pause_read(c->conn);
}

void
http_client_resume(struct http_client *c)
{
	c->paused = false;
	tls_conn_resume_read(c->conn);
}
