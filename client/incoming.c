/*
 * A stolen connection becomes one to 127.0.0.1:LOCAL; bytes and half closes go
 * both ways. A mirrored one gets the request bytes, what it answers is dropped.
 * While the program is still starting, a refused connection is tried again for
 * a while. The wire has no stop for one connection: one that does not read is
 * closed when its queue is full.
 */
#include "config.h"

#include "client/incoming.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/sock.h"
#include "lib/str.h"

enum { LOCAL_RETRY_MS = 100, LOCAL_TRIES = 100 };

struct in_port {
	struct list node;
	struct cli_incoming *in;
	uint16_t port;
	uint16_t local;
	bool steal;
	bool done;
};

struct in_conn {
	struct list node;
	struct cli_incoming *in;
	uint64_t id;
	bool steal;
	bool v6;
	bool connected;
	bool peer_eof; /* the remote peer sends no more */
	uint16_t local;
	unsigned tries;
	struct cli_sock *sock; /* NULL while a try waits */
	struct buf early;      /* what came before it was connected */
	struct ev_timer *retry;
};

void
cli_incoming_init(struct cli_incoming *in, struct ev_loop *loop)
{
	memset(in, 0, sizeof(*in));
	in->loop = loop;
	list_init(&in->ports);
	list_init(&in->conns);
}

int
cli_incoming_add(
    struct cli_incoming *in, const char *text, bool steal, struct err *e)
{
	struct in_port *p = calloc(1, sizeof(*p));
	const char *colon = strchr(text, ':');
	char port[8];

	if (p == NULL)
		return err_nomem(e);
	if (str_fmt(port, sizeof(port), "%.*s", (int)strcspn(text, ":"), text) <
		0 ||
	    !str_to_u16(port, &p->port) || p->port == 0 ||
	    !str_to_u16(colon == NULL ? port : colon + 1, &p->local) ||
	    p->local == 0) {
		free(p);
		return err_set(e, ERR_INVALID,
		    "\"%s\" is not PORT or PORT:LOCAL, for instance "
		    "8080:18080",
		    text);
	}
	p->in = in;
	p->steal = steal;
	list_push(&in->ports, &p->node);
	return 0;
}

void
cli_incoming_describe(const struct cli_incoming *in, struct buf *out)
{
	LIST_FOR_EACH (node, &in->ports) {
		const struct in_port *p =
		    LIST_ENTRY(node, struct in_port, node);

		buf_printf(out, "%s%s %u -> 127.0.0.1:%u",
		    out->len > 0 ? ", " : "", p->steal ? "steal" : "mirror",
		    p->port, p->local);
	}
}

/* ---- connections */

static void
conn_send(struct in_conn *c, uint32_t kind, const void *p, size_t n)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpSteal};

	if (!c->steal)
		return; /* a mirror never answers */
	m.u.TcpSteal.tag = kind;
	if (kind == PM_LayerTcpSteal_Data) {
		m.u.TcpSteal.u.Data.connection_id = c->id;
		m.u.TcpSteal.u.Data.bytes = (struct span){p, n};
	} else {
		m.u.TcpSteal.u.ConnectionUnsubscribe = c->id;
	}
	cli_session_send(c->in->session, &m);
}

static void
conn_free(struct in_conn *c)
{
	list_remove(&c->node);
	cli_sock_free(&c->sock);
	ev_timer_free(&c->retry);
	buf_free(&c->early);
	free(c);
}

/* Gives a connection up and tells the other side. */
static void
conn_drop(struct in_conn *c)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_Tcp};

	if (c->steal) {
		conn_send(c, PM_LayerTcpSteal_ConnectionUnsubscribe, NULL, 0);
	} else {
		m.u.Tcp.tag = PM_LayerTcp_ConnectionUnsubscribe;
		m.u.Tcp.u.ConnectionUnsubscribe = c->id;
		cli_session_send(c->in->session, &m);
	}
	conn_free(c);
}

static void
local_data(void *arg, const uint8_t *p, size_t n)
{
	struct in_conn *c = arg;

	conn_send(c, PM_LayerTcpSteal_Data, p, n);
	if (c->steal && cli_session_full(c->in->session))
		cli_sock_pause(c->sock, true);
}

static void
local_eof(void *arg)
{
	struct in_conn *c = arg;

	conn_send(c, PM_LayerTcpSteal_Data, NULL, 0);
}

static void
local_connected(void *arg)
{
	struct in_conn *c = arg;
	bool ok =
	    cli_sock_write(c->sock, buf_data(&c->early), c->early.len) == 0;

	c->connected = true;
	buf_free(&c->early);
	if (!ok)
		conn_drop(c);
	else if (c->peer_eof)
		cli_sock_shut(c->sock);
}

static void
local_close(void *arg, int errnum)
{
	struct in_conn *c = arg;

	cli_sock_free(&c->sock);
	if (errnum == ECONNREFUSED && ++c->tries < LOCAL_TRIES) {
		c->v6 = !c->v6; /* the program may listen on either */
		ev_timer_set(c->retry, c->v6 ? 0 : LOCAL_RETRY_MS);
		return;
	}
	if (errnum == ECONNREFUSED)
		cli_event("nobody listens on 127.0.0.1:%u; a connection was "
			  "closed",
		    c->local);
	if (errnum != 0)
		conn_drop(c);
	else if (!c->steal)
		conn_drop(c); /* the program is done with the copy */
	/* else: both ended, the operator's Close follows */
}

static const struct cli_sock_ops local_ops = {
    .on_data = local_data,
    .on_eof = local_eof,
    .on_connected = local_connected,
    .on_close = local_close,
};

static void
conn_connect(void *arg)
{
	struct in_conn *c = arg;
	int fd = cli_sock_connect_local(c->local, c->v6);

	if (fd >= 0)
		c->sock = cli_sock_new(c->in->loop, fd, true, &local_ops, c);
	if (c->sock == NULL)
		local_close(c, fd < 0 ? -fd : ENOMEM);
}

static struct in_conn *
conn_find(struct cli_incoming *in, bool steal, uint64_t id)
{
	LIST_FOR_EACH (node, &in->conns) {
		struct in_conn *c = LIST_ENTRY(node, struct in_conn, node);

		if (c->steal == steal && c->id == id)
			return c;
	}
	return NULL;
}

static void
conn_new(
    struct cli_incoming *in, bool steal, const struct pm_NewTcpConnectionV1 *m)
{
	struct in_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return;
	c->in = in;
	c->steal = steal;
	c->id = m->connection_id;
	c->local = m->destination_port;
	LIST_FOR_EACH (node, &in->ports) {
		const struct in_port *p =
		    LIST_ENTRY(node, struct in_port, node);

		if (p->steal == steal && p->port == m->destination_port)
			c->local = p->local;
	}
	buf_init(&c->early, CLI_SOCK_QUEUE_BYTES);
	list_push(&in->conns, &c->node);
	c->retry = ev_timer_new(in->loop, conn_connect, c);
	if (c->retry == NULL)
		conn_drop(c);
	else
		ev_timer_set(c->retry, 0);
}

static void
conn_data(struct in_conn *c, struct span bytes)
{
	int rc = 0;

	if (bytes.n == 0) {
		c->peer_eof = true;
		if (c->connected && c->sock != NULL)
			cli_sock_shut(c->sock);
		return;
	}
	/* A connect that is refused is tried again: keep what came. */
	if (c->connected && c->sock == NULL)
		return; /* both local ends are over */
	if (c->connected)
		rc = cli_sock_write(c->sock, bytes.p, bytes.n);
	else
		rc = buf_append(&c->early, bytes.p, bytes.n);
	if (rc < 0) {
		cli_event("the program does not read; a connection to port "
			  "%u was closed",
		    c->local);
		conn_drop(c);
	}
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
		conn_new(in, steal, &t->u.NewConnectionV2.connection);
		break;
	case PM_DaemonTcp_Data:
		c = conn_find(in, steal, t->u.Data.connection_id);
		if (c != NULL)
			conn_data(c, t->u.Data.bytes);
		break;
	case PM_DaemonTcp_Close:
		c = conn_find(in, steal, t->u.Close.connection_id);
		if (c != NULL)
			conn_free(c);
		break;
	default:
		return false;
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
cli_incoming_drained(struct cli_incoming *in)
{
	LIST_FOR_EACH (node, &in->conns) {
		struct in_conn *c = LIST_ENTRY(node, struct in_conn, node);

		if (c->sock != NULL)
			cli_sock_pause(c->sock, false);
	}
}

void
cli_incoming_free(struct cli_incoming *in)
{
	cli_incoming_reset(in);
	LIST_FOR_EACH_SAFE (node, &in->ports) {
		struct in_port *p = LIST_ENTRY(node, struct in_port, node);

		list_remove(&p->node);
		free(p);
	}
}

/* ---- subscriptions */

static void
refused(
    const struct in_port *p, const struct pm_ResponseError *why, struct err *e)
{
	switch (why->tag) {
	case PM_ResponseError_PortAlreadyStolen:
		err_set(e, ERR_CONFLICT,
		    "port %u is stolen by another session; see `tributary "
		    "session list`, or use --on-concurrent-steal override",
		    p->port);
		break;
	case PM_ResponseError_Forbidden:
		err_set(e, ERR_DENIED,
		    "port %u may not be taken: a policy "
		    "forbids it",
		    p->port);
		break;
	case PM_ResponseError_ForbiddenWithReason:
		err_set(e, ERR_DENIED, "port %u may not be taken: %.*s",
		    p->port, (int)why->u.ForbiddenWithReason.reason.n,
		    why->u.ForbiddenWithReason.reason.p);
		break;
	default:
		err_set(e, ERR_UNSUPPORTED,
		    "port %u could not be taken (error kind %u)", p->port,
		    (unsigned)why->tag);
	}
}

static void
port_answered(void *arg, const struct pm_DaemonMessage *m)
{
	struct in_port *p = arg;
	struct cli_incoming *in = p->in;
	const struct pm_res_u16 *res;

	if (m == NULL)
		return; /* lost: subscribed again when it is back */
	res = p->steal ? &m->u.TcpSteal.u.SubscribeResult
		       : &m->u.Tcp.u.SubscribeResult;
	if (res->tag == PM_ERR && in->failed.code == ERR_OK)
		refused(p, &res->u.Err, &in->failed);
	if (in->waiting > 0 && --in->waiting == 0)
		in->on_done(
		    in->arg, in->failed.code == ERR_OK ? NULL : &in->failed);
}

void
cli_incoming_subscribe(struct cli_incoming *in, struct cli_session *session,
    void (*on_done)(void *, const struct err *), void *arg)
{
	in->session = session;
	in->on_done = on_done;
	in->arg = arg;
	in->waiting = 0;
	in->failed.code = ERR_OK;
	LIST_FOR_EACH (node, &in->ports)
		in->waiting++;
	if (in->waiting == 0) {
		on_done(arg, NULL);
		return;
	}
	LIST_FOR_EACH (node, &in->ports) {
		struct in_port *p = LIST_ENTRY(node, struct in_port, node);
		struct pm_ClientMessage m = {0};

		if (p->steal) {
			m.tag = PM_ClientMessage_TcpSteal;
			m.u.TcpSteal.tag = PM_LayerTcpSteal_PortSubscribe;
			m.u.TcpSteal.u.PortSubscribe.tag = PM_StealType_All;
			m.u.TcpSteal.u.PortSubscribe.u.All = p->port;
		} else {
			m.tag = PM_ClientMessage_Tcp;
			m.u.Tcp.tag = PM_LayerTcp_PortSubscribe;
			m.u.Tcp.u.PortSubscribe = p->port;
		}
		cli_session_ask(session, p->steal ? CLI_Q_STEAL : CLI_Q_MIRROR,
		    &m, port_answered, p);
	}
}
