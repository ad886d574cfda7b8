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

/* How long a lost child's last words wait for who does not read them. */
enum { CLU_LINGER_MS = 10000 };

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
	if (c->session->anchor == c)
		c->session->anchor = NULL;
	list_remove(&c->node);
	if (clu->pinging == c) {
		clu->pinging = NULL;
		clu_ping_promote(clu);
	}
	free(c->params);
	free(c);
}

/* What came from the child and waits for the daemon to take it. */
static bool
child_owes(const struct clu_child *c)
{
	for (int i = 0; i < ROUTE_PATHS; i++) {
		if (c->path[i].stream != NULL &&
		    !ipc_pieces_empty(&c->path[i].out))
			return true;
	}
	return false;
}

void
clu_child_fail(
    struct clu_child *c, uint16_t code, const char *reason, const char *message)
{
	/* A child that is gone can only be made again by the controller. */
	if (c->anchor || code == 404 || code == 410)
		anchor_tell(c, false, code, reason, message);
	if (!child_owes(c)) {
		clu_child_free(c, code, message);
		return;
	}
	/* Its last words first: a Close(text) says why it ended. */
	c->over = c->closing = true;
	c->over_code = code;
	str_fmt(c->over_text, sizeof(c->over_text), "%s", message);
	ws_conn_free(&c->ws);
	ev_timer_set(c->later, CLU_LINGER_MS);
	if (c->session->clu->pinging == c) {
		c->session->clu->pinging = NULL;
		clu_ping_promote(c->session->clu);
	}
}

/* From a callback of the WebSocket or a stream: soon, from the loop. */
static void
child_break(struct clu_child *c)
{
	c->closing = true;
	ev_timer_set(c->later, 0);
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

	if (c->closing) { /* there is nobody to send it to */
		ipc_stream_consumed(p->stream, n);
		return;
	}
	if (ipc_pieces_empty(&p->in) && path_may_send(c, p)) {
		if (!child_write(c, p, bytes, n, first, last))
			child_break(c);
		else if (last)
			child_pump(c); /* the other path may go on */
		return;
	}
	if (ipc_pieces_push(&p->in, bytes, n, first, last) < 0)
		child_break(c); /* over its window: a broken contract */
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
		child_break(c);
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

/* A path ended within a message: the child can't be told its rest. */
static bool
child_is_cut(const struct clu_child *c)
{
	const struct clu_path *p = &c->path[c->sending < 0 ? 0 : c->sending];

	return c->sending >= 0 && p->ended && ipc_pieces_empty(&p->in);
}

static void
child_pump(struct clu_child *c)
{
	bool some = true;

	while (some) {
		some = path_pump(c, &c->path[ROUTE_TRAFFIC]);
		some |= path_pump(c, &c->path[ROUTE_STATEFUL]);
	}
	if (child_is_cut(c) && !c->closing) {
		child_break(c);
		return;
	}
	if (child_finished(c) && !c->closing) {
		c->closing = true;
		if (c->ws != NULL)
			ws_close(c->ws, WS_CLOSE_NO_STATUS, "");
		else
			ev_timer_set(c->later, 0);
	}
}

void
clu_child_later(void *arg)
{
	struct clu_child *c = arg;

	if (c->over)
		clu_child_free(c, c->over_code, c->over_text);
	else if (c->closing && child_finished(c))
		clu_child_free(c, 0, "");
	else
		clu_child_fail(
		    c, 502, "", "the stream to the cluster broke off");
}

/* ---- towards the daemon */

/* Reads the child again when all that it said has been taken. */
static void
child_listen(struct clu_child *c)
{
	if (c->ws != NULL && !child_owes(c))
		ws_resume(c->ws);
}

static void
path_room(void *arg)
{
	struct clu_path *p = arg;
	struct clu_child *c = p->child;

	if (ipc_pieces_flush(&p->out, p->stream) < 0) {
		child_break(c);
		return;
	}
	if (c->over && !child_owes(c)) {
		clu_child_free(c, c->over_code, c->over_text);
		return;
	}
	child_listen(c);
}

/* The daemon's side of this path is over. code 0: in order. */
static void
path_end(void *arg, uint16_t code, const char *text)
{
	struct clu_path *p = arg;
	struct clu_child *c = p->child;

	ipc_stream_free(&p->stream);
	ipc_pieces_free(&p->out);
	p->ended = true;
	if (c->over && !child_owes(c)) {
		clu_child_free(c, c->over_code, c->over_text);
	} else if (code != 0) {
		log_debug("stream given up session=%016llx why=%s",
		    (unsigned long long)c->session->id, text);
		clu_child_free(c, code, text);
	} else {
		child_listen(c);
		child_pump(c);
	}
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
		child_break(c);
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
child_path_of(const uint8_t *p, size_t n, bool last)
{
	struct pm_route m;
	int rc = pm_shallow(PM_DAEMON, p, n, &m, NULL);

	if (rc < 0 && rc != -ERR_TRUNCATED)
		return -2;
	if (m.kind == PM_NONE)
		return last ? -2 : -1;
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
		path = child_path_of(bytes.p, bytes.n, last);
		if (path >= 0) {
			c->receiving = path;
			child_deliver(c, bytes.p, bytes.n, true, last);
			return;
		}
	}
	memcpy(c->head + c->head_len, bytes.p, take);
	c->head_len += take;
	path = child_path_of(c->head, c->head_len, last);
	if (path == -2 || (path == -1 && take < bytes.n)) {
		child_break(c);
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
	struct clu *clu = c->session->clu;
	bool silent = e != NULL && e->code == ERR_TIMEOUT;

	(void)ws;
	(void)code;
	if (c->closing && child_finished(c))
		clu_child_free(c, 0, "");
	else
		clu_child_fail(c, 502, "",
		    clean || e == NULL ? "the cluster ended the stream"
		    : silent           ? "the cluster does not answer"
				       : e->text);
	if (silent)
		clu_ping_silent(clu);
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
		clu_anchor_tell_up(c);
	child_pump(c);
}

void
clu_anchor_tell_up(struct clu_child *c)
{
	if (c->ws != NULL && !c->closing)
		anchor_tell(c, true, 0, "", "");
}

void
clu_child_silent(struct clu_child *c)
{
	child_break(c);
}

void
clu_child_upgraded(void *arg, struct ws_conn *ws,
    const struct ws_refusal *refusal, const struct err *e)
{
	struct clu_child *c = arg;
	uint16_t code;

	c->upgrade = NULL;
	if (ws != NULL) {
		c->ws = ws;
		ws_conn_bind(ws, &ws_cbs, c);
		clu_ping_promote(c->session->clu);
		child_opened(c);
	} else if (refusal != NULL) {
		code =
		    (uint16_t)(refusal->status.code > 0 ? refusal->status.code
							: refusal->http_code);
		clu_child_fail(c, code, refusal->status.reason,
		    refusal->status.message[0] != '\0'
			? refusal->status.message
			: "the cluster's operator refused the stream");
	} else {
		clu_child_fail(c, 502, "", e->text);
	}
}

int
clu_child_join(struct clu_child *c, enum route_path path, struct ipc_peer *peer,
    struct span params, struct err *e)
{
	struct clu_path *p = &c->path[path];
	struct ipc_stream_opened m = {
	    .version = c->session->clu->protocol_version};

	if (p->joined)
		return err_set(
		    e, ERR_CONFLICT, "this stream has that path already");
	/* The other path may have been faster; it knows no parameters. */
	if (params.n > 0 && c->params == NULL) {
		c->params = strndup((const char *)params.p, params.n);
		if (c->params == NULL)
			return err_nomem(e);
	}
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
