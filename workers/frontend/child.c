/*
 * One child of a client socket: its streams (traffic, and for the default
 * slot stateful), what waits in both directions, and its re-joining.
 *
 * Back-pressure: bytes of a child are granted again only when the router took
 * them; the router is fed only while the client's queue has room. Bytes for a
 * child that takes none stop the reading of the client; one that takes none
 * for FE_BLOCKED_MS is lost, not buffered.
 */
#include "config.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "workers/frontend/frontend.h"

enum {
	FE_BLOCKED_MS = 5000,
	FE_BACKOFF_MIN_MS = 250,
	FE_BACKOFF_MAX_MS = 4000,
	FE_OUT_MAX_BYTES = 2 << 20, /* the largest assembled message and more */
};

void
fe_child_rejoin_later(struct fe_child *c)
{
	uint16_t r = 0;
	uint32_t jitter;

	RAND_bytes((unsigned char *)&r, sizeof(r));
	c->backoff_ms =
	    c->backoff_ms == 0 ? FE_BACKOFF_MIN_MS : c->backoff_ms * 2;
	if (c->backoff_ms > FE_BACKOFF_MAX_MS)
		c->backoff_ms = FE_BACKOFF_MAX_MS;
	jitter = c->backoff_ms / 2 + r % (c->backoff_ms / 2 + 1);
	ev_timer_set(c->rejoin, jitter);
}

static void
child_rejoin(void *arg)
{
	struct fe_child *c = arg;

	if (c->socket->ended || c->path[ROUTE_TRAFFIC].stream != NULL)
		return;
	if (fe_child_open(c) < 0)
		fe_child_rejoin_later(c);
}

bool
fe_child_opened(const struct fe_child *c)
{
	if (!c->path[ROUTE_TRAFFIC].opened)
		return false;
	return c->slot != c->socket->session->default_slot ||
	       c->path[ROUTE_STATEFUL].opened;
}

static int
inlet_route(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	struct fe_inlet *in = arg;

	return route_from_child(in->child->socket->route, in->child->slot,
	    in->path, p, n, first, last, clock_mono_ms());
}

/* May the router be fed from here now? */
static bool
inlet_open(const struct fe_inlet *in)
{
	const struct fe_socket *k = in->child->socket;

	return k->started && !k->ended && k->ws != NULL && !ws_full(k->ws) &&
	       in->child->up && !in->child->failed &&
	       !route_child_held(k->route, in->child->slot, in->path);
}

/* Feeds a piece; grants again what was taken of it. */
static int
inlet_feed(struct fe_inlet *in, const uint8_t *p, size_t n, bool first,
    bool last, size_t *taken)
{
	int rc = route_feed_put(
	    &in->feed, p, n, first, last, inlet_route, in, taken);

	if (in->stream != NULL && *taken > 0)
		ipc_stream_consumed(in->stream, *taken);
	/* The router may have failed it already; this does not hurt. */
	if (rc < 0 && !route_is_dead(in->child->socket->route))
		fe_child_lost(in->child, "what it sent is no message");
	return rc;
}

bool
fe_inlet_pump(struct fe_inlet *in)
{
	struct span bytes;
	bool first, last, some = false;

	if (route_feed_waits(&in->feed) && inlet_open(in)) {
		if (route_feed_retry(&in->feed, inlet_route, in) != 0)
			return false;
		some = true;
	}
	while (inlet_open(in) && !route_feed_waits(&in->feed) &&
	       ipc_pieces_front(&in->queue, &bytes, &first, &last)) {
		size_t taken = 0;
		int rc = inlet_feed(in, bytes.p, bytes.n, first, last, &taken);

		if (rc < 0)
			return false;
		if (rc == ROUTE_TAKEN || taken > 0) {
			ipc_pieces_pop(&in->queue, taken);
			some = true;
		}
		if (rc == ROUTE_LATER || last)
			break; /* one message a turn: the others wait too */
	}
	return some;
}

static void
inlet_piece(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	struct fe_inlet *in = arg;
	struct fe_socket *k = in->child->socket;
	size_t taken = 0;
	int rc = ROUTE_LATER;

	if (k->ended || in->child->failed)
		return;
	if (ipc_pieces_empty(&in->queue) && inlet_open(in) &&
	    !route_feed_waits(&in->feed))
		rc = inlet_feed(in, p, n, first, last, &taken);
	if (rc >= 0 && (taken < n || (n == 0 && rc == ROUTE_LATER)) &&
	    ipc_pieces_push(&in->queue, p + taken, n - taken,
		first && taken == 0, last) < 0)
		fe_child_lost(in->child, "it sent more than it may");
	fe_socket_after(k);
}

static void
inlet_opened(void *arg, const char *version)
{
	struct fe_inlet *in = arg;
	struct fe_child *c = in->child;
	struct fe_socket *k = c->socket;
	struct err e;

	in->opened = true;
	if (version[0] != '\0' &&
	    route_set_child_version(k->route, c->slot, version, &e) < 0)
		log_warn(
		    "peer version ignored slot=%d why=%s", c->slot, e.text);
	if (!fe_child_opened(c) || c->up)
		return;
	c->up = true;
	c->up_ms = clock_mono_ms();
	route_child_up(k->route, c->slot, clock_mono_ms());
	if (k->connect != NULL)
		fe_connect_ready(k->connect, 0, NULL);
	else
		log_info("cluster re-joined session=%016llx cluster=%s",
		    (unsigned long long)k->session->id,
		    k->session->slots[c->slot].name);
	fe_socket_after(k);
}

static void
inlet_room(void *arg)
{
	struct fe_inlet *in = arg;
	ssize_t sent = ipc_pieces_flush(&in->out, in->stream);

	if (sent < 0) {
		fe_child_lost(in->child, "its worker takes no more");
		return;
	}
	if (ipc_pieces_empty(&in->out))
		in->blocked_ms = 0;
	else if (sent > 0) /* slow is not blocked */
		in->blocked_ms = clock_mono_ms();
	fe_socket_kick(in->child->socket);
}

/* Before the upgrade is answered: only the default is needed for it. */
static void
child_not_opened(struct fe_child *c, uint16_t code, const char *text)
{
	struct fe_socket *k = c->socket;

	if (c->slot == k->session->default_slot) {
		fe_connect_ready(k->connect, code != 0 ? code : 500, text);
		return;
	}
	log_warn("cluster missing session=%016llx cluster=%s why=%s",
	    (unsigned long long)k->session->id, k->session->slots[c->slot].name,
	    text);
	snprintf(c->why, sizeof(c->why), "%s", text);
	fe_child_close(c, 500, text);
	fe_connect_ready(k->connect, 0, NULL);
}

static void
inlet_end(void *arg, uint16_t code, const char *text)
{
	struct fe_inlet *in = arg;
	struct fe_child *c = in->child;

	ipc_stream_free(&in->stream);
	if (code == IPC_END_PEER_GONE) {
		code = 503;
		text = "its worker is restarting";
	}
	if (!c->socket->started) {
		if (c->socket->connect != NULL)
			child_not_opened(c, code, text);
		return;
	}
	in->ended = true;
	in->end_code = code;
	snprintf(in->end_text, sizeof(in->end_text), "%s", text);
	fe_child_check_ended(c);
	fe_socket_kick(c->socket);
}

static const struct ipc_stream_ops inlet_ops = {
    .on_piece = inlet_piece,
    .on_opened = inlet_opened,
    .on_room = inlet_room,
    .on_end = inlet_end,
};

static void
inlet_reset(struct fe_inlet *in)
{
	ipc_pieces_free(&in->queue);
	ipc_pieces_free(&in->out);
	route_feed_free(&in->feed);
	route_feed_init(&in->feed);
	in->opened = in->ended = false;
	in->blocked_ms = 0;
}

/* Ends the child's streams; the router is not told. */
void
fe_child_close(struct fe_child *c, uint16_t code, const char *text)
{
	for (int i = 0; i < ROUTE_PATHS; i++) {
		struct fe_inlet *in = &c->path[i];

		if (in->stream != NULL) {
			/* A reset could overtake the STREAM_OPEN. */
			if (code == 0 || !in->opened)
				ipc_stream_end(in->stream, code, text);
			else
				ipc_stream_reset(in->stream, code, text);
			ipc_stream_free(&in->stream);
		}
		inlet_reset(in);
	}
	c->up = false;
	c->failed = false;
}

void
fe_child_lost(struct fe_child *c, const char *why)
{
	struct fe_socket *k = c->socket;

	if (c->failed || k->ended)
		return;
	/* The router may be running: the rest is done after its call. */
	c->failed = true;
	snprintf(c->why, sizeof(c->why), "%s", why);
	fe_socket_kick(k);
}

static int
inlet_connect(struct fe_inlet *in, enum ipc_role role, uint32_t worker,
    uint32_t stream, const char *params)
{
	struct fe_session *s = in->child->socket->session;
	struct ipc_peer *peer = worker_peer(s->fe->w, role, worker);
	struct ipc_stream_open m = {
	    .params = {(const uint8_t *)params, strlen(params)}};

	if (peer == NULL)
		return -ERR_CLOSED;
	in->stream =
	    ipc_stream_new(peer, s->handle, stream, &s->budget, &inlet_ops, in);
	if (in->stream == NULL)
		return -ERR_NOMEM;
	return ipc_send(
	    peer, IPC_STREAM_OPEN, 0, s->handle, stream, &m, NULL, 0);
}

int
fe_child_open(struct fe_child *c)
{
	struct fe_socket *k = c->socket;
	struct fe_session *s = k->session;
	const struct fe_slot *slot = &s->slots[c->slot];
	bool dflt = c->slot == s->default_slot;
	uint32_t stream = k->fe->w->index << FE_STREAM_INDEX_SHIFT |
			  (++k->fe->next_stream & 0xffffff);
	int rc = inlet_connect(&c->path[ROUTE_TRAFFIC], slot->role,
	    slot->worker, stream, k->params[dflt ? 0 : 1]);

	/* A number of its own for every try: nothing late of an earlier
	 * stream can be taken for this one's. */
	if (rc == 0 && dflt)
		rc = inlet_connect(
		    &c->path[ROUTE_STATEFUL], IPC_SF, 0, stream, "");
	if (rc < 0)
		fe_child_close(c, 500, "the child could not be opened");
	return rc;
}

int
fe_child_init(struct fe_socket *k, int slot, struct err *e)
{
	struct fe_child *c = &k->children[slot];

	c->socket = k;
	c->slot = slot;
	for (int i = 0; i < ROUTE_PATHS; i++) {
		c->path[i].child = c;
		c->path[i].path = (enum route_path)i;
		ipc_pieces_init(&c->path[i].queue, IPC_WINDOW_MAX_BYTES);
		ipc_pieces_init(&c->path[i].out, FE_OUT_MAX_BYTES);
		route_feed_init(&c->path[i].feed);
	}
	c->rejoin = ev_timer_new(k->fe->w->loop, child_rejoin, c);
	return c->rejoin == NULL ? err_nomem(e) : 0;
}

void
fe_child_deinit(struct fe_child *c)
{
	if (c->socket == NULL)
		return; /* never initialised */
	fe_child_close(c, 0, "");
	for (int i = 0; i < ROUTE_PATHS; i++)
		route_feed_free(&c->path[i].feed);
	ev_timer_free(&c->rejoin);
}

/* The router or we gave it up: close it and try again later. */
static void
child_settle_loss(struct fe_child *c)
{
	struct fe_socket *k = c->socket;
	bool tell = c->up; /* also one that is only joining */
	char why[sizeof(c->why)];

	memcpy(why, c->why, sizeof(why));
	log_warn("cluster lost session=%016llx cluster=%s why=%s",
	    (unsigned long long)k->session->id, k->session->slots[c->slot].name,
	    why);
	fe_child_close(c, 500, why);
	/* One that is lost as soon as it is up is not tried ever faster. */
	if (tell && clock_mono_ms() - c->up_ms > FE_BACKOFF_MAX_MS)
		c->backoff_ms = 0;
	if (tell)
		route_child_down(k->route, c->slot, why, clock_mono_ms());
	fe_child_rejoin_later(c);
}

size_t
fe_child_queued(const struct fe_child *c)
{
	return c->path[ROUTE_TRAFFIC].out.payload_bytes +
	       c->path[ROUTE_STATEFUL].out.payload_bytes;
}

void
fe_child_check(struct fe_child *c, uint64_t now_ms)
{
	for (int i = 0; i < ROUTE_PATHS; i++) {
		struct fe_inlet *in = &c->path[i];

		/* The client waits for the default; it has nobody else. */
		if (c->slot != c->socket->session->default_slot &&
		    in->blocked_ms != 0 &&
		    now_ms - in->blocked_ms > FE_BLOCKED_MS)
			fe_child_lost(c, "it does not read");
	}
	if (c->failed)
		child_settle_loss(c);
}

void
fe_child_check_ended(struct fe_child *c)
{
	const struct fe_inlet *over = NULL;
	bool live = false;

	for (int i = 0; i < ROUTE_PATHS; i++) {
		const struct fe_inlet *in = &c->path[i];
		bool routed = ipc_pieces_empty(&in->queue) &&
			      !route_feed_waits(&in->feed);

		if (in->ended && routed && (over == NULL || in->end_code != 0))
			over = in;
		live = live || in->stream != NULL || (in->ended && !routed);
	}
	/* In order it ends when both paths have, else with the first. */
	if (over != NULL && (over->end_code != 0 || !live))
		fe_child_lost(c, over->end_text);
}

void
fe_child_send(
    struct fe_child *c, enum route_path path, const struct route_out *out)
{
	/* Traffic and stateful kinds of the default go different ways; the
	 * others have only one. */
	struct fe_inlet *in = &c->path[path];

	if (in->ended) /* it is gone; its last words are still on their way */
		return;
	for (int i = 0; i < out->n_part; i++) {
		bool last = i == out->n_part - 1;

		if (in->stream == NULL ||
		    ipc_pieces_send(&in->out, in->stream, out->part[i].p,
			out->part[i].n, out->first && i == 0,
			out->last && last) < 0) {
			fe_child_lost(c, "its queue is full");
			return;
		}
	}
	if (!ipc_pieces_empty(&in->out) && in->blocked_ms == 0)
		in->blocked_ms = clock_mono_ms();
}
