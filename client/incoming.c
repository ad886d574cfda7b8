/*
 * A stolen connection becomes one to 127.0.0.1:LOCAL; bytes and half closes go
 * both ways. A mirrored one gets the request bytes, what it answers is dropped.
 *
 * The wire has no stop for one connection: while one's queue is full the whole
 * session is held; one that makes no progress then is closed (see sock.h).
 *
 * The operator is trusted with what it forwards, not with where to: only to
 * the local ports the user named.
 */
#include "config.h"

#include "client/incoming.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"

struct in_conn {
	struct list node;
	struct cli_incoming *in;
	uint64_t id;
	bool steal;
	bool holding; /* the session, as our queue is full */
	uint16_t local;
	struct cli_sock *sock; /* NULL: both local sides are over */
};

void
cli_incoming_init(struct cli_incoming *in, struct ev_loop *loop,
    const struct cli_ports *ports)
{
	memset(in, 0, sizeof(*in));
	cli_socks_init(&in->socks, loop);
	in->ports = ports;
	list_init(&in->conns);
	map_init(&in->by_id[0]);
	map_init(&in->by_id[1]);
}

static void
in_send(struct cli_incoming *in, const struct pm_ClientMessage *m)
{
	if (in->session != NULL)
		cli_session_send(in->session, m);
}

static void
conn_data_out(struct in_conn *c, const void *p, size_t n)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpSteal};

	if (!c->steal)
		return; /* a mirror never answers */
	m.u.TcpSteal.tag = PM_LayerTcpSteal_Data;
	m.u.TcpSteal.u.Data.connection_id = c->id;
	m.u.TcpSteal.u.Data.bytes = (struct span){p, n};
	in_send(c->in, &m);
}

static void
unsubscribe(struct cli_incoming *in, bool steal, uint64_t id)
{
	struct pm_ClientMessage m = {0};

	if (steal) {
		m.tag = PM_ClientMessage_TcpSteal;
		m.u.TcpSteal.tag = PM_LayerTcpSteal_ConnectionUnsubscribe;
		m.u.TcpSteal.u.ConnectionUnsubscribe = id;
	} else {
		m.tag = PM_ClientMessage_Tcp;
		m.u.Tcp.tag = PM_LayerTcp_ConnectionUnsubscribe;
		m.u.Tcp.u.ConnectionUnsubscribe = id;
	}
	in_send(in, &m);
}

static void
conn_hold(struct in_conn *c, bool hold)
{
	if (c->holding == hold || c->in->session == NULL)
		return;
	c->holding = hold;
	cli_session_hold(c->in->session, hold);
}

static void
conn_free(struct in_conn *c)
{
	conn_hold(c, false);
	if (map_get(&c->in->by_id[c->steal], c->id) == c)
		map_del(&c->in->by_id[c->steal], c->id);
	list_remove(&c->node);
	cli_sock_free(&c->sock);
	free(c);
}

/* ---- the local side */

static void
local_data(void *arg, const uint8_t *p, size_t n)
{
	conn_data_out(arg, p, n);
}

static void
local_eof(void *arg)
{
	conn_data_out(arg, NULL, 0);
}

static void
local_drained(void *arg)
{
	conn_hold(arg, false);
}

static void
local_close(void *arg, int errnum)
{
	struct in_conn *c = arg;

	cli_sock_free(&c->sock);
	conn_hold(c, false);
	if (errnum == ECONNREFUSED)
		cli_event("nobody listens on 127.0.0.1:%u; a connection was "
			  "closed",
		    c->local);
	else if (errnum == ETIMEDOUT)
		cli_event("nobody reads on 127.0.0.1:%u; a connection was "
			  "closed",
		    c->local);
	/* Both ended in order: the operator's Close of a steal follows. */
	if (errnum == 0 && c->steal)
		return;
	unsubscribe(c->in, c->steal, c->id);
	conn_free(c);
}

static const struct cli_sock_ops local_ops = {
    .on_data = local_data,
    .on_eof = local_eof,
    .on_drained = local_drained,
    .on_close = local_close,
};

/* ---- the operator's side */

static void
conn_new(
    struct cli_incoming *in, bool steal, const struct pm_NewTcpConnectionV1 *m)
{
	uint16_t local = cli_ports_local(in->ports, steal, m->destination_port);
	struct in_conn *c = map_get(&in->by_id[steal], m->connection_id);

	if (c != NULL)
		conn_free(c); /* an id that is used twice: the newest wins */
	c = local == 0 ? NULL : calloc(1, sizeof(*c));
	if (c == NULL) {
		unsubscribe(in, steal, m->connection_id);
		return;
	}
	*c = (struct in_conn){
	    .in = in, .id = m->connection_id, .steal = steal, .local = local};
	list_push(&in->conns, &c->node);
	c->sock = cli_sock_dial(&in->socks, local, &local_ops, c);
	if (c->sock == NULL || map_put(&in->by_id[steal], c->id, c) < 0) {
		unsubscribe(in, steal, c->id);
		conn_free(c);
		return;
	}
	cli_sock_pause(c->sock, in->full);
}

static void
conn_new_v2(
    struct cli_incoming *in, bool steal, const struct pm_NewTcpConnectionV2 *m)
{
	if (m->transport.tag == PM_IncomingTrafficTransportType_Tcp) {
		conn_new(in, steal, &m->connection);
		return;
	}
	cli_event("a TLS connection to port %u was turned away: the program "
		  "would get it decrypted",
	    m->connection.destination_port);
	unsubscribe(in, steal, m->connection.connection_id);
}

static void
conn_data_in(struct in_conn *c, struct span bytes)
{
	if (c->sock == NULL)
		return; /* both local sides are over */
	if (bytes.n == 0) {
		cli_sock_shut(c->sock);
		return;
	}
	if (cli_sock_write(c->sock, bytes.p, bytes.n) < 0) {
		cli_event("a message for 127.0.0.1:%u was too large; its "
			  "connection was closed",
		    c->local);
		unsubscribe(c->in, c->steal, c->id);
		conn_free(c);
		return;
	}
	if (cli_sock_full(c->sock))
		conn_hold(c, true);
}

/* What is still queued for the program reaches it. */
static void
conn_closed(struct in_conn *c)
{
	cli_sock_linger(&c->sock);
	conn_free(c);
}

/*
 * Agents other than ours send what looks like HTTP as requests, also without
 * a filter. This client forwards connections only: the peer is told so.
 */
static void
http_refused(
    struct cli_incoming *in, uint64_t id, uint16_t request_id, uint16_t port)
{
	static const char text[] = "tributary: this client takes connections, "
				   "not single HTTP requests\n";
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpSteal};
	struct pm_HttpResponse_bytes *r = &m.u.TcpSteal.u.HttpResponse;

	m.u.TcpSteal.tag = PM_LayerTcpSteal_HttpResponse;
	r->connection_id = id;
	r->request_id = request_id;
	r->port = port;
	r->internal_response.status = 502;
	r->internal_response.version = PM_STR("HTTP/1.1");
	r->internal_response.body =
	    (struct span){(const uint8_t *)text, sizeof(text) - 1};
	in_send(in, &m);
	cli_event("an HTTP request to port %u was answered with 502: the agent "
		  "sends single requests, this client takes connections only",
	    port);
}

static uint16_t
port_of(const struct pm_HttpRequestMetadata *m)
{
	return m->u.V1.destination.port;
}

static void
http_message(struct cli_incoming *in, const struct pm_DaemonTcp *t)
{
	const struct pm_HttpRequest_bytes *whole = &t->u.HttpRequest;
	const struct pm_HttpRequest_InternalHttpBody *framed =
	    &t->u.HttpRequestFramed;
	const struct pm_ChunkedRequest *c = &t->u.HttpRequestChunked;

	if (t->tag == PM_DaemonTcp_HttpRequest) {
		http_refused(
		    in, whole->connection_id, whole->request_id, whole->port);
		return;
	}
	if (t->tag == PM_DaemonTcp_HttpRequestChunked &&
	    c->tag == PM_ChunkedRequest_StartV2) {
		http_refused(in, c->u.StartV2.connection_id,
		    c->u.StartV2.request_id, port_of(&c->u.StartV2.metadata));
		return;
	}
	if (t->tag == PM_DaemonTcp_HttpRequestChunked)
		framed =
		    c->tag == PM_ChunkedRequest_StartV1 ? &c->u.StartV1 : NULL;
	if (framed != NULL)
		http_refused(in, framed->connection_id, framed->request_id,
		    framed->port);
}

bool
cli_incoming_message(struct cli_incoming *in, const struct pm_DaemonMessage *m)
{
	bool steal = m->tag == PM_DaemonMessage_TcpSteal;
	const struct pm_DaemonTcp *t = steal ? &m->u.TcpSteal : &m->u.Tcp;
	struct in_conn *c;

	if (!steal && m->tag != PM_DaemonMessage_Tcp)
		return false;
	switch (t->tag) {
	case PM_DaemonTcp_NewConnectionV1:
		conn_new(in, steal, &t->u.NewConnectionV1);
		break;
	case PM_DaemonTcp_NewConnectionV2:
		conn_new_v2(in, steal, &t->u.NewConnectionV2);
		break;
	case PM_DaemonTcp_Data:
		c = map_get(&in->by_id[steal], t->u.Data.connection_id);
		if (c != NULL)
			conn_data_in(c, t->u.Data.bytes);
		break;
	case PM_DaemonTcp_Close:
		c = map_get(&in->by_id[steal], t->u.Close.connection_id);
		if (c != NULL)
			conn_closed(c);
		break;
	default:
		if (steal)
			http_message(in, t);
	}
	return true;
}

void
cli_incoming_reset(struct cli_incoming *in)
{
	LIST_FOR_EACH_SAFE (node, &in->conns)
		conn_free(LIST_ENTRY(node, struct in_conn, node));
}

void
cli_incoming_flow(struct cli_incoming *in, bool full)
{
	in->full = full;
	LIST_FOR_EACH (node, &in->conns) {
		struct in_conn *c = LIST_ENTRY(node, struct in_conn, node);

		if (c->sock != NULL && c->steal)
			cli_sock_pause(c->sock, full);
	}
}

void
cli_incoming_free(struct cli_incoming *in)
{
	cli_incoming_reset(in);
	cli_socks_free(&in->socks);
	map_free(&in->by_id[0]);
	map_free(&in->by_id[1]);
}
