/*
 * A child stream: one WebSocket to the member, fed on two paths. It is opened
 * when its first path joins (or for an anchor), answers both when it is up,
 * and ends in order when both paths have ended. Whole messages are written to
 * it: while one path's is under way, the other path waits.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/str.h"
#include "workers/cluster/cluster.h"

enum { CLU_WAIT_MAX_BYTES = 256 << 10 };

struct clu_child *
clu_child_find(struct clu_session *s, uint32_t number)
{
	LIST_FOR_EACH (node, &s->children) {
		struct clu_child *c = LIST_ENTRY(node, struct clu_child, node);

		if (!c->anchor && c->number == number && !c->closing)
			return c;
	}
	return NULL;
}

static void
anchor_tell(struct clu_child *c, bool up, uint16_t code, const char *reason,
    const char *message)
{
	struct ipc_peer *own = worker_peer(c->session->clu->w, IPC_OWN, 0);
	struct ipc_anchor_state m = {
	    .up = up, .code = code, .reason = reason, .message = message};

	if (own != NULL)
		ipc_send(own, IPC_ANCHOR_STATE, 0, c->session->handle, 0, &m,
		    NULL, 0);
}

void
clu_child_free(struct clu_child *c, uint16_t code, const char *text)
{
	struct clu *clu = c->session->clu;

	for (int i = 0; i < ROUTE_PATHS; i++) {
		struct clu_path *p = &c->path[i];

		if (p->stream != NULL)
			ipc_stream_end(p->stream, code, text);
		ipc_stream_free(&p->stream);
		ipc_pieces_free(&p->in);
		ipc_pieces_free(&p->out);
	}
	clu_dial_cancel(&c->dial);
	ws_client_cancel(&c->upgrade);
	ws_conn_free(&c->ws);
	ev_timer_free(&c->later);
	if (clu->pinging == c)
		clu->pinging = NULL;
	if (c->session->anchor == c)
		c->session->anchor = NULL;
	list_remove(&c->node);
	free(c->params);
	free(c);
}

/* The stream is lost, or was never there. */
static void
child_fail(
    struct clu_child *c, uint16_t code, const char *reason, const char *message)
{
	/* A child that is gone can only be made again by the controller. */
	if (c->anchor || code == 404 || code == 410)
		anchor_tell(c, false, code, reason, message);
	clu_child_free(c, code, message);
}

/* ---- towards the child */

static void child_pump(struct clu_child *c);

/* Writes one piece; false when the WebSocket can't take it. */
static bool
child_write(struct clu_child *c, struct clu_path *p, const uint8_t *bytes,
    size_t n, bool first, bool last)
{
	if (ws_send_piece(c->ws, bytes, n, first, last) < 0)
		return false;
	c->sending = last ? -1 : (int)p->path;
	if (p->stream != NULL)
		ipc_stream_consumed(p->stream, n);
	return true;
}

static bool
path_may_send(const struct clu_child *c, const struct clu_path *p)
{
	return c->ws != NULL && !c->closing && !ws_full(c->ws) &&
	       (c->sending < 0 || c->sending == (int)p->path);
}

static void
path_piece(void *arg, const uint8_t *bytes, size_t n, bool first, bool last)
{
	struct clu_path *p = arg;
	struct clu_child *c = p->child;

	if (ipc_pieces_empty(&p->in) && path_may_send(c, p)) {
		if (!child_write(c, p, bytes, n, first, last))
			ev_timer_set(c->later, 0);
		else if (last)
			child_pump(c); /* the other path may go on */
		return;
	}
	if (ipc_pieces_push(&p->in, bytes, n, first, last) < 0) {
		c->closing = true; /* over its window: a broken contract */
		ev_timer_set(c->later, 0);
	}
}

static bool
path_pump(struct clu_child *c, struct clu_path *p)
{
	struct span bytes;
	bool first, last;

	if (!path_may_send(c, p) ||
	    !ipc_pieces_front(&p->in, &bytes, &first, &last))
		return false;
	if (!child_write(c, p, bytes.p, bytes.n, first, last)) {
		ev_timer_set(c->later, 0);
		return false;
	}
	ipc_pieces_pop(&p->in, bytes.n);
	return true;
}

/* Orderly: both paths have ended and all is written. */
static bool
child_finished(const struct clu_child *c)
{
	bool any = false;

	for (int i = 0; i < ROUTE_PATHS; i++) {
		const struct clu_path *p = &c->path[i];

		if (p->joined && (!p->ended || !ipc_pieces_empty(&p->in)))
			return false;
		any |= p->joined;
	}
	return any && c->sending < 0;
}

static void
child_pump(struct clu_child *c)
{
	bool some = true;

	while (some) {
		some = path_pump(c, &c->path[ROUTE_TRAFFIC]);
		some |= path_pump(c, &c->path[ROUTE_STATEFUL]);
	}
	if (child_finished(c) && !c->closing) {
		c->closing = true;
		if (c->ws != NULL)
			ws_close(c->ws, WS_CLOSE_NO_STATUS, "");
		else
			ev_timer_set(c->later, 0);
	}
}

static void
child_later(void *arg)
{
	struct clu_child *c = arg;

	if (c->closing && child_finished(c))
		clu_child_free(c, 0, "");
	else
		child_fail(c, 500, "", "the stream to the cluster broke off");
}

/* ---- towards the daemon */

static void
path_room(void *arg)
{
	struct clu_path *p = arg;
	struct clu_child *c = p->child;

	if (ipc_pieces_flush(&p->out, p->stream) < 0) {
		ev_timer_set(c->later, 0);
		return;
	}
	if (c->ws != NULL && ipc_pieces_empty(&c->path[0].out) &&
	    ipc_pieces_empty(&c->path[1].out))
		ws_resume(c->ws);
}

/* The daemon's side of this path is over. code 0: in order. */
static void
path_end(void *arg, uint16_t code, const char *text)
{
	struct clu_path *p = arg;
	struct clu_child *c = p->child;

	ipc_stream_free(&p->stream);
	p->ended = true;
	if (code != 0) {
		log_debug("stream given up session=%016llx why=%s",
		    (unsigned long long)c->session->id, text);
		clu_child_free(c, code, text);
		return;
	}
	child_pump(c);
}

static const struct ipc_stream_ops path_ops = {
    .on_piece = path_piece,
    .on_room = path_room,
    .on_end = path_end,
};

/* Bytes of the current message to its path. */
static void
child_deliver(
    struct clu_child *c, const uint8_t *bytes, size_t n, bool first, bool last)
{
	struct clu_path *p = &c->path[c->receiving];

	if (p->stream != NULL &&
	    ipc_pieces_send(&p->out, p->stream, bytes, n, first, last) < 0) {
		ev_timer_set(c->later, 0);
		return;
	}
	if (!ipc_pieces_empty(&p->out))
		ws_pause(c->ws);
	if (last)
		c->receiving = -1;
}

/*
 * The kind decides the path; a message cut within its first bytes waits for
 * more. -1: not known yet.
 */
static int
child_path_of(struct clu_child *c, const uint8_t *p, size_t n, bool last)
{
	struct pm_route m;
	int rc = pm_shallow(PM_DAEMON, p, n, &m, NULL);

	if (rc < 0 && rc != -ERR_TRUNCATED)
		return -2;
	if (m.kind == PM_NONE)
		return last ? -2 : -1;
	(void)c;
	return route_is_stateful(PM_DAEMON, &m) ? ROUTE_STATEFUL
						: ROUTE_TRAFFIC;
}

static void
child_begin(struct clu_child *c, struct span bytes, bool last)
{
	size_t room = sizeof(c->head) - c->head_len;
	size_t take = bytes.n < room ? bytes.n : room;
	int path;

	if (c->head_len == 0) {
		path = child_path_of(c, bytes.p, bytes.n, last);
		if (path >= 0) {
			c->receiving = path;
			child_deliver(c, bytes.p, bytes.n, true, last);
			return;
		}
	}
	memcpy(c->head + c->head_len, bytes.p, take);
	c->head_len += take;
	path = child_path_of(c, c->head, c->head_len, last);
	if (path == -2 || (path == -1 && take < bytes.n)) {
		ev_timer_set(c->later, 0);
		return;
	}
	if (path == -1)
		return;
	c->receiving = path;
	child_deliver(c, c->head, c->head_len, true, last && take == bytes.n);
	c->head_len = 0;
	if (take < bytes.n)
		child_deliver(c, bytes.p + take, bytes.n - take, false, last);
}

static void
ws_piece(
    void *arg, struct ws_conn *ws, struct span bytes, bool first, bool last)
{
	struct clu_child *c = arg;

	(void)ws;
	(void)first;
	if (c->anchor || c->closing)
		return; /* an anchor asks nothing, so nothing is owed to it */
	if (c->receiving >= 0)
		child_deliver(c, bytes.p, bytes.n, false, last);
	else
		child_begin(c, bytes, last);
}

static void
ws_drained(void *arg, struct ws_conn *ws)
{
	(void)ws;
	child_pump(arg);
}

static void
ws_closed(void *arg, struct ws_conn *ws, bool clean, uint16_t code,
    const struct err *e)
{
	struct clu_child *c = arg;

	(void)ws;
	(void)code;
	if (c->closing)
		clu_child_free(c, 0, "");
	else
		child_fail(c, 502, "",
		    clean || e == NULL ? "the cluster ended the stream"
				       : e->text);
}

static const struct ws_conn_cbs ws_cbs = {
    .on_piece = ws_piece, .on_drained = ws_drained, .on_close = ws_closed};

static void
child_opened(struct clu_child *c)
{
	for (int i = 0; i < ROUTE_PATHS; i++) {
		struct ipc_stream *s = c->path[i].stream;
		struct ipc_stream_opened m = {
		    .version = c->session->clu->protocol_version};

		if (s != NULL)
			ipc_send(ipc_stream_peer(s), IPC_STREAM_OPENED, 0,
			    ipc_stream_session(s), ipc_stream_number(s), &m,
			    NULL, 0);
	}
	if (c->anchor)
		anchor_tell(c, true, 0, "", "");
	child_pump(c);
}

static void
child_upgraded(void *arg, struct ws_conn *ws, const struct ws_refusal *refusal,
    const struct err *e)
{
	struct clu_child *c = arg;
	uint16_t code;

	c->upgrade = NULL;
	if (ws != NULL) {
		c->ws = ws;
		ws_conn_bind(ws, &ws_cbs, c);
		child_opened(c);
	} else if (refusal != NULL) {
		code =
		    (uint16_t)(refusal->status.code > 0 ? refusal->status.code
							: refusal->http_code);
		child_fail(c, code, refusal->status.reason,
		    refusal->status.message[0] != '\0'
			? refusal->status.message
			: "the cluster's operator refused the stream");
	} else {
		child_fail(c, 502, "", e->text);
	}
}

/* ---- opening */

/* Base64 of the query for x-mirrord-connect-params, or NULL. */
static char *
child_params_header(const char *query)
{
	struct buf b;
	char *out;

	buf_init(&b, 0);
	str_base64_encode(&b, (const uint8_t *)query, strlen(query), true);
	out = buf_take(&b);
	buf_free(&b);
	return out;
}

struct child_request {
	struct http_pair fields[12];
	size_t n;
	char id[24];
	char auth[16500];
	char trace[300];
	char *params; /* owned */
};

static void
field_add(struct child_request *q, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		q->fields[q->n++] = (struct http_pair){name, value};
}

static void
child_fields(struct clu_child *c, struct child_request *q, const char *query)
{
	struct clu_session *s = c->session;
	const char *baggage = strchr(s->fields[CLU_TRACE], '\n');

	snprintf(q->id, sizeof(q->id), "%llu", (unsigned long long)s->id);
	field_add(q, "x-session-id", q->id);
	field_add(q, "x-mirrord-mc-session", s->fields[CLU_CHILD]);
	field_add(q, "x-client-name", s->fields[CLU_CLIENT_NAME]);
	field_add(q, "x-client-hostname", s->fields[CLU_CLIENT_HOSTNAME]);
	field_add(q, "x-mirrord-cli-version", s->fields[CLU_CLI_VERSION]);
	field_add(q, "x-client-der", s->fields[CLU_CLIENT_DER]);
	str_fmt(q->trace, sizeof(q->trace), "%.*s",
	    (int)(baggage - s->fields[CLU_TRACE]), s->fields[CLU_TRACE]);
	field_add(q, "traceparent", q->trace);
	field_add(q, "baggage", baggage + 1);
	if (s->clu->token != NULL) {
		snprintf(q->auth, sizeof(q->auth), "Bearer %s", s->clu->token);
		field_add(q, "authorization", q->auth);
	}
	if (clu_peer_has(s->clu, "ConnectParamsInHeader")) {
		q->params = child_params_header(query);
		field_add(q, "x-mirrord-connect-params", q->params);
	}
}

static struct ws_client *
child_upgrade(struct clu_child *c, struct tls_conn *conn, struct err *e)
{
	struct clu_session *s = c->session;
	struct clu *clu = s->clu;
	const char *query =
	    c->params != NULL ? c->params : s->fields[CLU_PARAMS];
	struct ws_conn_opts opts = {
	    .ping_interval_ms = CLU_PING_OTHERS_MS,
	    .silence_ms = CLU_SILENCE_MS,
	};
	struct child_request *q = calloc(1, sizeof(*q));
	struct ws_client *up = NULL;
	char *target = NULL;

	if (q == NULL)
		goto out;
	child_fields(c, q, query);
	if (asprintf(&target,
		"%s/apis/operator.metalbear.co/v1/proxy/namespaces/%s/"
		"targets/%s?%s",
		clu->prefix, s->fields[CLU_NAMESPACE], s->fields[CLU_TARGET],
		q->params != NULL ? "connect=true" : query) < 0) {
		target = NULL;
		goto out;
	}
	if (clu->pinging == NULL) {
		clu->pinging = c;
		opts.ping_interval_ms = CLU_PING_MS;
	}
	up = ws_client_start(conn,
	    &(struct http_req){.method = "GET",
		.target = target,
		.host = clu->host_port,
		.fields = q->fields,
		.timeout_ms = 0},
	    "v4.channel.k8s.io", &opts, child_upgraded, c, e);
	conn = NULL;
out:
	if (conn != NULL) {
		tls_conn_free(&conn);
		err_nomem(e);
	}
	if (q != NULL)
		free(q->params);
	free(q);
	free(target);
	return up;
}

static void
child_dialed(void *arg, struct tls_conn *conn, const struct err *e)
{
	struct clu_child *c = arg;
	struct err why;

	c->dial = NULL;
	if (conn == NULL) {
		child_fail(c, 502, "", e->text);
		return;
	}
	c->upgrade = child_upgrade(c, conn, &why);
	if (c->upgrade == NULL)
		child_fail(c, 502, "", why.text);
}

struct clu_child *
clu_child_new(struct clu_session *s, uint32_t number, bool anchor,
    struct span params, struct err *e)
{
	struct clu_child *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		err_nomem(e);
		return NULL;
	}
	c->session = s;
	c->number = number;
	c->anchor = anchor;
	c->sending = c->receiving = -1;
	for (int i = 0; i < ROUTE_PATHS; i++) {
		c->path[i].child = c;
		c->path[i].path = (enum route_path)i;
		ipc_pieces_init(&c->path[i].in, IPC_WINDOW_MAX_BYTES);
		ipc_pieces_init(&c->path[i].out, 2 * CLU_WAIT_MAX_BYTES);
	}
	list_push(&s->children, &c->node);
	if (params.n > 0)
		c->params = strndup((const char *)params.p, params.n);
	c->later = ev_timer_new(s->clu->w->loop, child_later, c);
	if (c->later == NULL || (params.n > 0 && c->params == NULL)) {
		err_nomem(e);
		clu_child_free(c, 500, "out of memory");
		return NULL;
	}
	c->dial = clu_dial_start(s->clu, child_dialed, c, e);
	if (c->dial == NULL) {
		clu_child_free(c, 502, e->text);
		return NULL;
	}
	return c;
}

int
clu_child_join(struct clu_child *c, enum route_path path, struct ipc_peer *peer,
    struct err *e)
{
	struct clu_path *p = &c->path[path];
	struct ipc_stream_opened m = {
	    .version = c->session->clu->protocol_version};

	if (p->joined)
		return err_set(
		    e, ERR_CONFLICT, "this stream has that path already");
	p->stream = ipc_stream_new(peer, c->session->handle, c->number,
	    &c->session->budget, &path_ops, p);
	if (p->stream == NULL)
		return err_nomem(e);
	p->joined = true;
	if (c->ws != NULL)
		return ipc_send(peer, IPC_STREAM_OPENED, 0, c->session->handle,
		    c->number, &m, NULL, 0);
	return 0;
}
