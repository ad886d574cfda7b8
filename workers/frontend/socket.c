/*
 * A client socket: one WebSocket of the CLI, the router over the session's
 * clusters, and a child per slot. Socket and streams end together.
 *
 * The router's callbacks must not call the router; what they ask for is put
 * off and done by fe_socket_after, which every caller of the router calls.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/frontend/frontend.h"

enum {
	FE_PENDING_MAX_BYTES = 2 << 20,
	FE_BLOCKED_TICK_MS = 1000,
};

/* ---- the router's callbacks */

static void
on_to_child(
    void *arg, int slot, enum route_path path, const struct route_out *out)
{
	struct fe_socket *k = arg;

	fe_child_send(&k->children[slot], path, out);
}

static void
on_to_client(void *arg, enum route_path path, const struct route_out *out)
{
	struct fe_socket *k = arg;

	(void)path;
	if (k->ws == NULL)
		return;
	if (ws_send_piecev(k->ws, out->part, (size_t)out->n_part, out->first,
		out->last) < 0) {
		/* The router minds the queue; this is a bug or a dead socket.
		 * Either way it can't go on. */
		k->free_me = true;
		fe_socket_kick(k);
	}
}

static void
on_hold_client(void *arg, enum route_path path, bool hold)
{
	(void)path;
	(void)hold; /* fe_socket_after looks at route_client_held */
	fe_socket_kick(arg);
}

static void
on_hold_child(void *arg, int slot, enum route_path path, bool hold)
{
	(void)slot;
	(void)path;
	if (!hold)
		fe_socket_kick(arg);
}

static void
tell_own(struct fe_socket *k, enum ipc_type type, const void *m)
{
	struct ipc_peer *own = worker_peer(k->fe->w, IPC_OWN, 0);

	if (own != NULL && !k->session->orphan)
		ipc_send(
		    own, type, 0, k->session->handle, k->number, m, NULL, 0);
}

static void
on_settled(void *arg, const char *version)
{
	struct fe_socket *k = arg;
	struct ipc_session_settled m = {.version = version};

	snprintf(
	    k->session->settled, sizeof(k->session->settled), "%s", version);
	tell_own(k, IPC_SESSION_SETTLED, &m);
}

static void
on_subscription(
    void *arg, enum pm_space space, uint16_t port, bool added, struct span raw)
{
	struct ipc_session_sub m = {
	    .space = (uint8_t)space, .port = port, .added = added, .raw = raw};

	if (raw.n > 65536)
		m.raw.n = 0; /* listed without its filter */
	tell_own(arg, IPC_SESSION_SUB, &m);
}

static void
on_drop_client(void *arg, enum route_drop reason, const char *why)
{
	struct fe_socket *k = arg;

	log_info("client socket ends session=%016llx reason=%d why=%s",
	    (unsigned long long)k->session->id, (int)reason, why);
	fe_socket_kick(k); /* route_is_dead tells fe_socket_after */
}

static void
on_child_failed(void *arg, int slot, enum route_fail reason, const char *why)
{
	struct fe_socket *k = arg;

	(void)reason;
	fe_child_lost(&k->children[slot], why);
}

static bool
on_child_waits(void *arg, int slot)
{
	struct fe_socket *k = arg;

	for (int i = 0; i < ROUTE_PATHS; i++) {
		const struct fe_inlet *in = &k->children[slot].path[i];

		if (!ipc_pieces_empty(&in->queue) ||
		    route_feed_waits(&in->feed))
			return true;
	}
	return false;
}

static bool
on_pool_take(void *arg, size_t n)
{
	struct fe_socket *k = arg;

	if (k->fe->pool_bytes + n > FE_POOL_BYTES)
		return false;
	k->fe->pool_bytes += n;
	return true;
}

static void
on_pool_give(void *arg, size_t n)
{
	struct fe_socket *k = arg;

	k->fe->pool_bytes -= n;
}

static const struct route_ops socket_route_ops = {
    .to_child = on_to_child,
    .to_client = on_to_client,
    .hold_client = on_hold_client,
    .hold_child = on_hold_child,
    .settled = on_settled,
    .subscription = on_subscription,
    .drop_client = on_drop_client,
    .child_failed = on_child_failed,
    .child_waits = on_child_waits,
    .pool_take = on_pool_take,
    .pool_give = on_pool_give,
};

/* ---- life */

static void
children_pump(struct fe_socket *k)
{
	bool some = true;

	/* One message of each child in turn, until the client is full. */
	while (some && !k->ended && !ws_full(k->ws)) {
		some = false;
		for (int i = 0; i < k->n_slots; i++) {
			int slot = (k->next_child + i) % k->n_slots;
			struct fe_child *c = &k->children[slot];

			some |= fe_inlet_pump(&c->path[ROUTE_TRAFFIC]);
			some |= fe_inlet_pump(&c->path[ROUTE_STATEFUL]);
		}
		k->next_child = (k->next_child + 1) % k->n_slots;
	}
}

static void
socket_rearm(struct fe_socket *k)
{
	uint64_t now = clock_mono_ms(), at = route_next_deadline(k->route);

	for (int i = 0; i < k->n_slots; i++) {
		if (fe_child_queued(&k->children[i]) > 0 &&
		    at > now + FE_BLOCKED_TICK_MS)
			at = now + FE_BLOCKED_TICK_MS;
	}
	if (at == UINT64_MAX)
		ev_timer_cancel(k->tick);
	else
		ev_timer_set(k->tick, at > now ? at - now : 0);
}

void
fe_socket_after(struct fe_socket *k)
{
	uint64_t now = clock_mono_ms();

	if (!k->started || k->ended)
		return;
	for (int i = 0; i < k->n_slots; i++)
		fe_child_check(&k->children[i], now);
	if (!route_is_dead(k->route)) {
		fe_client_pump(k);
		children_pump(k);
		for (int i = 0; i < k->n_slots; i++)
			fe_child_check_ended(&k->children[i]);
	}
	if (k->free_me || route_is_dead(k->route)) {
		fe_socket_end(k);
		return;
	}
	if (fe_client_blocked(k) || !ipc_pieces_empty(&k->pending))
		ws_pause(k->ws);
	else
		ws_resume(k->ws);
	socket_rearm(k);
}

void
fe_socket_kick(struct fe_socket *k)
{
	if (!ev_timer_armed(k->kick))
		ev_timer_set(k->kick, 0);
}

static void
socket_kicked(void *arg)
{
	struct fe_socket *k = arg;

	if (k->free_me && (k->ended || !k->started)) {
		fe_socket_free(k);
		return;
	}
	fe_socket_after(k);
}

static void
socket_tick(void *arg)
{
	struct fe_socket *k = arg;

	if (k->ended || !k->started)
		return;
	route_tick(k->route, clock_mono_ms());
	fe_socket_after(k);
}

void
fe_socket_end(struct fe_socket *k)
{
	struct ipc_socket_down m = {.text = "the client's socket ended"};

	if (k->ended)
		return;
	k->ended = true;
	ev_timer_cancel(k->tick);
	for (int i = 0; i < k->n_slots; i++) {
		ev_timer_cancel(k->children[i].rejoin);
		fe_child_close(&k->children[i], 0, "the client left");
	}
	if (k->started)
		tell_own(k, IPC_SOCKET_DOWN, &m);
	if (k->ws != NULL)
		ws_drop(k->ws); /* client_close follows */
}

void
fe_socket_close(struct fe_socket *k, bool close, const char *text)
{
	if (k->connect != NULL) {
		/* 410: never again. Without a Close he may come back. */
		fe_connect_ready(k->connect, close ? 410 : 503, text);
	} else if (close && k->started && !k->ended &&
		   !route_is_dead(k->route)) {
		route_close(k->route, text, clock_mono_ms());
		fe_socket_after(k);
	} else {
		fe_socket_end(k);
	}
}

void
fe_socket_free(struct fe_socket *k)
{
	struct fe_session *s = k->session;

	fe_socket_end(k);
	ws_conn_free(&k->ws);
	for (int i = 0; k->children != NULL && i < k->n_slots; i++)
		fe_child_deinit(&k->children[i]);
	free(k->children);
	free(k->params[0]);
	free(k->params[1]);
	route_free(&k->route);
	route_feed_free(&k->feed);
	ipc_pieces_free(&k->pending);
	ev_timer_free(&k->tick);
	ev_timer_free(&k->kick);
	list_remove(&k->node);
	list_remove(&k->snode);
	free(k);
	fe_session_release(s);
}

static int
socket_route(struct fe_socket *k, struct err *e)
{
	struct fe_session *s = k->session;
	struct route_config cfg = {
	    .n_slots = s->n_slots,
	    .default_slot = s->default_slot,
	    .split_children = true,
	    .prefix_logs = s->n_slots > 1,
	    .own_version = FE_PROTOCOL_VERSION,
	    .settled = s->settled,
	    .session_id = s->id,
	    .seed = (uint32_t)clock_mono_us(),
	};

	k->route = route_new(&cfg, &socket_route_ops, k, e);
	if (k->route == NULL)
		return -(int)e->code;
	for (int i = 0; i < s->n_slots; i++)
		route_set_name(k->route, i, s->slots[i].name);
	return 0;
}

/* The query each kind of child gets on its traffic stream. */
static int
socket_params(struct fe_socket *k, const struct params *params, struct err *e)
{
	static const enum params_child kinds[2] = {
	    PARAMS_FOR_DEFAULT_PLAIN, PARAMS_FOR_OTHER};

	for (int i = 0; i < 2; i++) {
		struct buf out;
		int rc;

		buf_init(&out, PARAMS_MAX_BYTES);
		rc = params_put_query(params, kinds[i], NULL, &out, e);
		if (rc == 0)
			k->params[i] = buf_take(&out);
		buf_free(&out);
		if (rc < 0)
			return rc;
		if (k->params[i] == NULL)
			return err_nomem(e);
	}
	return 0;
}

struct fe_socket *
fe_socket_new(struct fe_session *s, struct fe_connect *connect,
    const struct params *params, struct err *e)
{
	struct fe_socket *k = calloc(1, sizeof(*k));
	int rc = 0;

	if (k == NULL) {
		err_nomem(e);
		fe_session_release(s);
		return NULL;
	}
	k->fe = s->fe;
	k->session = s;
	k->connect = connect;
	k->number = s->fe->w->index << FE_STREAM_INDEX_SHIFT |
		    (++s->fe->next_socket & 0xffffff);
	list_push(&s->fe->sockets, &k->node);
	list_push(&s->sockets, &k->snode);
	route_feed_init(&k->feed);
	ipc_pieces_init(&k->pending, FE_PENDING_MAX_BYTES);
	k->tick = ev_timer_new(s->fe->w->loop, socket_tick, k);
	k->kick = ev_timer_new(s->fe->w->loop, socket_kicked, k);
	k->children = calloc((size_t)s->n_slots, sizeof(*k->children));
	if (k->tick == NULL || k->kick == NULL || k->children == NULL)
		rc = err_nomem(e);
	if (rc == 0)
		rc = socket_params(k, params, e);
	if (rc == 0)
		rc = socket_route(k, e);
	k->n_slots = s->n_slots;
	for (int i = 0; rc == 0 && i < s->n_slots; i++)
		rc = fe_child_init(k, i, e);
	for (int i = 0; rc == 0 && i < s->n_slots; i++) {
		bool need = i == s->default_slot;

		if ((s->slots[i].ready || need) &&
		    fe_child_open(&k->children[i]) < 0 && need)
			rc = err_set(e, ERR_CLOSED,
			    "the default cluster %s can't be reached now; try "
			    "again",
			    s->slots[i].name);
	}
	if (rc == 0)
		return k;
	fe_socket_free(k);
	return NULL;
}

/* Who is missing from the start is told as a standing condition. */
static void
socket_conditions(struct fe_socket *k)
{
	const char *line = k->session->conditions;

	for (int i = 0; i < k->n_slots; i++) {
		const struct fe_child *c = &k->children[i];
		size_t n = strcspn(line, "\n");
		char text[600];

		snprintf(text, sizeof(text), "%.*s", (int)n, line);
		line += line[n] == '\n' ? n + 1 : n;
		if (c->up)
			continue;
		if (text[0] == '\0')
			snprintf(text, sizeof(text),
			    "cluster %s is missing: %s",
			    k->session->slots[i].name,
			    c->why[0] != '\0' ? c->why : "it is not ready");
		route_condition_set(k->route, i, text);
	}
}

void
fe_socket_start(struct fe_socket *k, struct ws_conn *ws)
{
	struct ipc_socket_up up = {0};

	k->ws = ws;
	k->connect = NULL;
	k->started = true;
	tell_own(k, IPC_SOCKET_UP, &up);
	socket_conditions(k);
	route_start(k->route, clock_mono_ms());
	for (int i = 0; i < k->n_slots; i++) {
		if (!k->children[i].up && k->session->slots[i].ready)
			fe_child_rejoin_later(&k->children[i]);
	}
	fe_socket_kick(k);
}
