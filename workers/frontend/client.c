/*
 * What comes from a client: to the router, as far as it and the children take
 * it; what does not fit waits, and the client is not read meanwhile.
 */
#include "config.h"

#include "lib/clock.h"
#include "lib/log.h"
#include "workers/frontend/frontend.h"

enum { FE_CLIENT_STOP_BYTES = 256 << 10 }; /* waiting for children */

static int
client_route(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	struct fe_socket *k = arg;

	return route_from_client(
	    k->route, ROUTE_TRAFFIC, p, n, first, last, clock_mono_ms());
}

bool
fe_client_blocked(const struct fe_socket *k)
{
	size_t queued = 0;

	if (k->ended || route_client_held(k->route, ROUTE_TRAFFIC))
		return true;
	for (int i = 0; i < k->n_slots; i++)
		queued += fe_child_queued(&k->children[i]);
	return queued > FE_CLIENT_STOP_BYTES;
}

static void
client_piece(
    void *arg, struct ws_conn *ws, struct span bytes, bool first, bool last)
{
	struct fe_socket *k = arg;
	size_t taken = 0;
	int rc = ROUTE_LATER;

	(void)ws;
	if (k->ended)
		return;
	if (ipc_pieces_empty(&k->pending) && !route_feed_waits(&k->feed) &&
	    !fe_client_blocked(k))
		rc = route_feed_put(&k->feed, bytes.p, bytes.n, first, last,
		    client_route, k, &taken);
	if (rc >= 0 &&
	    (taken < bytes.n || (bytes.n == 0 && rc == ROUTE_LATER)) &&
	    ipc_pieces_push(&k->pending, bytes.p + taken, bytes.n - taken,
		first && taken == 0, last) < 0)
		k->free_me = true;
	fe_socket_after(k);
}

void
fe_client_pump(struct fe_socket *k)
{
	struct span bytes;
	bool first, last;

	if (!fe_client_blocked(k) && route_feed_waits(&k->feed) &&
	    route_feed_retry(&k->feed, client_route, k) != ROUTE_TAKEN)
		return;
	while (!fe_client_blocked(k) &&
	       ipc_pieces_front(&k->pending, &bytes, &first, &last)) {
		size_t taken = 0;
		int rc = route_feed_put(&k->feed, bytes.p, bytes.n, first, last,
		    client_route, k, &taken);

		if (rc < 0)
			return;
		if (rc == ROUTE_TAKEN || taken > 0)
			ipc_pieces_pop(&k->pending, taken);
		if (rc == ROUTE_LATER)
			return;
	}
}

static void
client_drained(void *arg, struct ws_conn *ws)
{
	(void)ws;
	fe_socket_after(arg);
}

static void
client_close(void *arg, struct ws_conn *ws, bool clean, uint16_t code,
    const struct err *e)
{
	struct fe_socket *k = arg;

	(void)ws;
	(void)code;
	log_debug("client socket gone session=%016llx clean=%d why=%s",
	    (unsigned long long)k->session->id, clean,
	    e == NULL ? "" : e->text);
	if (!k->ended)
		route_client_gone(k->route);
	fe_socket_end(k);
	k->free_me = true;
	fe_socket_kick(k);
}

const struct ws_conn_cbs fe_socket_ws_cbs = {
    .on_piece = client_piece,
    .on_drained = client_drained,
    .on_close = client_close,
};
