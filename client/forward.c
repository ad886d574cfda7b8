/*
 * A connection to a local listener becomes an outgoing one of the target:
 * the name is looked up there, the connect is made there. Bytes and half
 * closes go both ways. Back-pressure is that of incoming.c.
 */
#include "config.h"

#include "client/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/dns.h"
#include "client/remote_err.h"
#include "protocol/pm_version.h"

enum fw_state {
	FW_RESOLVING, /* an answer comes: c must live until then */
	FW_CONNECTING,
	FW_OPEN, /* id is known */
};

struct fw_conn {
	struct list node;
	struct cli_forwards *f;
	enum fw_state state;
	bool holding;
	struct cli_sock *sock; /* NULL: the local side has gone */
	struct pm_uid uid;
	uint64_t id;
	uint16_t port;
	char host[CLI_HOST_MAX];
};

void
cli_forwards_init(struct cli_forwards *f, struct ev_loop *loop)
{
	memset(f, 0, sizeof(*f));
	cli_socks_init(&f->socks, loop);
	list_init(&f->listeners);
	list_init(&f->conns);
	map_init(&f->by_id);
}

static void
conn_hold(struct fw_conn *c, bool hold)
{
	if (c->holding == hold || c->f->session == NULL)
		return;
	c->holding = hold;
	cli_session_hold(c->f->session, hold);
}

static void
conn_free(struct fw_conn *c)
{
	conn_hold(c, false);
	if (c->state == FW_OPEN)
		map_del(&c->f->by_id, c->id);
	cli_sock_free(&c->sock);
	list_remove(&c->node);
	free(c);
}

static void
conn_out(struct fw_conn *c, uint32_t kind, const void *p, size_t n)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpOutgoing};

	if (c->state != FW_OPEN || c->f->session == NULL)
		return;
	m.u.TcpOutgoing.tag = kind;
	if (kind == PM_LayerTcpOutgoing_Write) {
		m.u.TcpOutgoing.u.Write.connection_id = c->id;
		m.u.TcpOutgoing.u.Write.bytes = (struct span){p, n};
	} else {
		m.u.TcpOutgoing.u.Close.connection_id = c->id;
	}
	cli_session_send(c->f->session, &m);
}

/* Nothing is read before there is somewhere to send it. */
static void
conn_flow(struct fw_conn *c)
{
	if (c->sock != NULL)
		cli_sock_pause(c->sock, c->state != FW_OPEN || c->f->full);
}

/* ---- the local side */

static void
local_data(void *arg, const uint8_t *p, size_t n)
{
	conn_out(arg, PM_LayerTcpOutgoing_Write, p, n);
}

static void
local_eof(void *arg)
{
	conn_out(arg, PM_LayerTcpOutgoing_Write, NULL, 0);
}

static void
local_drained(void *arg)
{
	conn_hold(arg, false);
}

static void
local_close(void *arg, int errnum)
{
	struct fw_conn *c = arg;

	cli_sock_free(&c->sock);
	conn_hold(c, false);
	if (c->state != FW_OPEN)
		return; /* the answer finds it gone */
	if (errnum == ETIMEDOUT)
		cli_event("a local program does not read; a forward to %s:%u "
			  "was closed",
		    c->host, c->port);
	if (errnum == 0)
		return; /* the target's Close follows */
	conn_out(c, PM_LayerTcpOutgoing_Close, NULL, 0);
	conn_free(c);
}

static const struct cli_sock_ops local_ops = {
    .on_data = local_data,
    .on_eof = local_eof,
    .on_drained = local_drained,
    .on_close = local_close,
};

/* ---- coming up */

static void
conn_resolved(void *arg, const struct pm_ip *ip, const struct err *e)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpOutgoing};
	struct fw_conn *c = arg;

	if (c->sock == NULL || ip == NULL) {
		if (ip == NULL && e->code != ERR_CLOSED)
			cli_event(
			    "forward to %s:%u: %s", c->host, c->port, e->text);
		conn_free(c);
		return;
	}
	c->state = FW_CONNECTING;
	m.u.TcpOutgoing.tag = PM_LayerTcpOutgoing_ConnectV2;
	m.u.TcpOutgoing.u.ConnectV2.uid = c->uid;
	m.u.TcpOutgoing.u.ConnectV2.remote_address.tag = PM_SocketAddress_Ip;
	m.u.TcpOutgoing.u.ConnectV2.remote_address.u.Ip =
	    (struct pm_sockaddr){.ip = *ip, .port = c->port};
	if (cli_session_send(c->f->session, &m) < 0)
		conn_free(c);
}

static struct fw_conn *
conn_new(struct cli_forwards *f, const struct cli_forward_spec *spec, int fd)
{
	struct fw_conn *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return NULL;
	}
	list_init(&c->node);
	c->f = f;
	c->port = spec->port;
	memcpy(c->host, spec->host, sizeof(c->host));
	c->sock = cli_sock_new(&f->socks, fd, &local_ops, c);
	if (c->sock == NULL || RAND_bytes(c->uid.b, sizeof(c->uid.b)) != 1) {
		conn_free(c);
		return NULL;
	}
	list_push(&f->conns, &c->node);
	conn_flow(c);
	return c;
}

static void
on_accept(void *arg, struct cli_listener *l, int fd)
{
	struct cli_forwards *f = arg;
	struct fw_conn *c;

	if (f->session == NULL) {
		close(fd);
		return;
	}
	if (cli_session_version(f->session) < PM_SINCE_CONNECT_V2) {
		cli_event("the operator is too old for forwards");
		close(fd);
		return;
	}
	c = conn_new(f, &l->spec, fd);
	if (c != NULL &&
	    cli_dns_lookup(f->session, c->host, conn_resolved, c, NULL) < 0)
		conn_free(c);
}

int
cli_forwards_add(struct cli_forwards *f, const char *text, struct err *e)
{
	struct cli_forward_spec spec;
	struct cli_listener *l;

	if (cli_forward_parse(text, &spec, e) < 0)
		return -(int)e->code;
	l = cli_listener_new(f->socks.loop, &spec, on_accept, f, e);
	if (l == NULL)
		return -(int)e->code;
	list_push(&f->listeners, &l->node);
	return 0;
}

void
cli_forwards_say(const struct cli_forwards *f)
{
	char address[INET_ADDRSTRLEN];

	LIST_FOR_EACH (node, &f->listeners) {
		const struct cli_forward_spec *s =
		    &LIST_ENTRY(node, struct cli_listener, node)->spec;

		inet_ntop(AF_INET, &s->address, address, sizeof(address));
		cli_event("forward %s:%u -> %s:%u in the target", address,
		    s->local, s->host, s->port);
	}
}

/* ---- what the target says */

static void
connected(struct fw_conn *c, const struct pm_res_DaemonConnect *res)
{
	struct err e;

	if (res->tag != PM_OK) {
		cli_remote_error(&res->u.Err, c->host, &e);
		cli_event("forward to port %u: %s", c->port, e.text);
		conn_free(c);
		return;
	}
	if (map_put(&c->f->by_id, res->u.Ok.connection_id, c) < 0) {
		conn_free(c);
		return;
	}
	c->state = FW_OPEN;
	c->id = res->u.Ok.connection_id;
	if (c->sock == NULL) { /* left meanwhile */
		conn_out(c, PM_LayerTcpOutgoing_Close, NULL, 0);
		conn_free(c);
	} else {
		conn_flow(c);
	}
}

static void
on_connected(struct cli_forwards *f, const struct pm_DaemonConnectV2 *m)
{
	LIST_FOR_EACH (node, &f->conns) {
		struct fw_conn *c = LIST_ENTRY(node, struct fw_conn, node);

		if (c->state == FW_CONNECTING &&
		    memcmp(&c->uid, &m->uid, sizeof(c->uid)) == 0) {
			connected(c, &m->connect);
			return;
		}
	}
}

static void
on_read(struct cli_forwards *f, const struct pm_DaemonRead *m)
{
	struct fw_conn *c = map_get(&f->by_id, m->connection_id);

	if (c == NULL || c->sock == NULL)
		return;
	if (m->bytes.n == 0) {
		cli_sock_shut(c->sock);
		return;
	}
	if (cli_sock_write(c->sock, m->bytes.p, m->bytes.n) < 0) {
		cli_event("a message for a forward to %s:%u was too large; it "
			  "was closed",
		    c->host, c->port);
		conn_out(c, PM_LayerTcpOutgoing_Close, NULL, 0);
		conn_free(c);
		return;
	}
	if (cli_sock_full(c->sock))
		conn_hold(c, true);
}

static void
on_remote_close(struct cli_forwards *f, uint64_t id)
{
	struct fw_conn *c = map_get(&f->by_id, id);

	if (c == NULL)
		return;
	cli_sock_linger(&c->sock); /* what is queued still goes out */
	conn_free(c);
}

bool
cli_forwards_message(struct cli_forwards *f, const struct pm_DaemonMessage *m)
{
	const struct pm_DaemonTcpOutgoing *t = &m->u.TcpOutgoing;

	if (m->tag != PM_DaemonMessage_TcpOutgoing)
		return false;
	switch (t->tag) {
	case PM_DaemonTcpOutgoing_ConnectV2:
		on_connected(f, &t->u.ConnectV2);
		break;
	case PM_DaemonTcpOutgoing_Read:
		if (t->u.Read.tag == PM_OK)
			on_read(f, &t->u.Read.u.Ok);
		break;
	case PM_DaemonTcpOutgoing_Close:
		on_remote_close(f, t->u.Close);
		break;
	default:
		return false;
	}
	return true;
}

void
cli_forwards_reset(struct cli_forwards *f)
{
	LIST_FOR_EACH_SAFE (node, &f->conns)
		conn_free(LIST_ENTRY(node, struct fw_conn, node));
}

void
cli_forwards_flow(struct cli_forwards *f, bool full)
{
	f->full = full;
	LIST_FOR_EACH (node, &f->conns)
		conn_flow(LIST_ENTRY(node, struct fw_conn, node));
}

void
cli_forwards_free(struct cli_forwards *f)
{
	cli_forwards_reset(f);
	cli_socks_free(&f->socks);
	map_free(&f->by_id);
	LIST_FOR_EACH_SAFE (node, &f->listeners) {
		struct cli_listener *l =
		    LIST_ENTRY(node, struct cli_listener, node);

		cli_listener_free(&l);
	}
}
