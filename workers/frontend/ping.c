/* E14, `mirrord diagnose latency`: every Ping is answered here. */
#include "config.h"

#include <stdlib.h>

#include "protocol/pm_scan.h"
#include "workers/frontend/frontend.h"

struct fe_ping {
	struct list node;
	struct ws_conn *ws;
	struct fe_proof proof;
};

/* One varint index byte each; a Ping has no payload (spec/protocol.md §5). */
static const uint8_t ping_message[] = {PM_ClientMessage_Ping};
static const uint8_t pong_message[] = {PM_DaemonMessage_Pong};

static void
ping_piece(
    void *arg, struct ws_conn *ws, struct span bytes, bool first, bool last)
{
	struct pm_route m;

	(void)arg;
	if (!first || !last ||
	    pm_shallow(PM_CLIENT, bytes.p, bytes.n, &m, NULL) < 0) {
		ws_drop(ws);
		return;
	}
	if (m.kind == ping_message[0]) {
		ws_send(ws, pong_message, sizeof(pong_message));
		if (ws_full(ws)) /* who does not read is not read either */
			ws_pause(ws);
	} else if (m.kind == PM_ClientMessage_Close) {
		ws_drop(ws);
	}
}

static void
ping_drained(void *arg, struct ws_conn *ws)
{
	(void)arg;
	ws_resume(ws);
}

static void
ping_close(void *arg, struct ws_conn *ws, bool clean, uint16_t code,
    const struct err *e)
{
	struct fe_ping *p = arg;

	(void)ws;
	(void)clean;
	(void)code;
	(void)e;
	ws_conn_free(&p->ws);
	list_remove(&p->node);
	free(p);
}

void
fe_pings_check(struct fe *fe)
{
	LIST_FOR_EACH_SAFE (node, &fe->pings) {
		struct fe_ping *p = LIST_ENTRY(node, struct fe_ping, node);

		if (!fe_proof_holds(fe, &p->proof))
			ws_drop(p->ws);
	}
}

void
fe_pings_drop(struct fe *fe)
{
	LIST_FOR_EACH_SAFE (node, &fe->pings)
		ws_drop(LIST_ENTRY(node, struct fe_ping, node)->ws);
}

void
fe_pings_free(struct fe *fe)
{
	LIST_FOR_EACH_SAFE (node, &fe->pings) {
		struct fe_ping *p = LIST_ENTRY(node, struct fe_ping, node);

		ws_conn_free(&p->ws);
		list_remove(&p->node);
		free(p);
	}
}

void
fe_do_ping(struct fe_request *r)
{
	static const struct ws_conn_opts opts = {.max_message_bytes = 65536};
	static const struct ws_conn_cbs cbs = {.on_piece = ping_piece,
	    .on_drained = ping_drained,
	    .on_close = ping_close};
	struct fe_ping *p = calloc(1, sizeof(*p));
	struct fe_conn *conn = r->conn;
	char accept[WS_ACCEPT_SIZE];
	struct err e;
	int code = 400;

	if (p == NULL || ws_check_request(r->head, "v4.channel.k8s.io", accept,
			     &code, &e) < 0) {
		free(p);
		http_respond_status(conn->http, status_from_code(code), "%s",
		    p == NULL ? "out of memory" : e.text);
		return;
	}
	p->ws = http_upgrade(
	    &conn->http, accept, "v4.channel.k8s.io", NULL, &opts, &cbs, p, &e);
	if (p->ws == NULL) {
		free(p);
		http_respond_status(conn->http, STATUS_INTERNAL, "%s", e.text);
		return;
	}
	p->proof = r->id.proof;
	list_push(&r->fe->pings, &p->node);
	fe_conn_free(conn);
}
