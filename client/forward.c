/*
 * A connection to a local listener becomes an outgoing one of the target:
 * the name is looked up there, the connect is made there. Bytes and half
 * closes go both ways.
 */
#include "config.h"

#include "client/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/dns.h"
#include "client/sock.h"
#include "lib/str.h"
#include "protocol/pm_version.h"

struct fw_listener {
	struct list node;
	struct cli_forwards *f;
	int fd;
	struct ev_io *io;
	char host[256];
	uint16_t port;
};

struct fw_conn {
	struct list node;
	struct cli_forwards *f;
	struct cli_sock *sock;
	struct pm_uid uid;
	uint64_t id;
	bool open;   /* the target's side is connected: id is known */
	bool asking; /* a question about it is under way */
	bool dead;   /* free it when the answer has come */
	uint16_t port;
	char host[256];
};

void
cli_forwards_init(struct cli_forwards *f, struct ev_loop *loop)
{
	memset(f, 0, sizeof(*f));
	f->loop = loop;
	list_init(&f->listeners);
	list_init(&f->conns);
}

static void
conn_free(struct fw_conn *c)
{
	cli_sock_free(&c->sock);
	if (c->asking) {
		c->dead = true;
		return;
	}
	list_remove(&c->node);
	free(c);
}

static void
conn_out(struct fw_conn *c, uint32_t kind, const void *p, size_t n)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpOutgoing};

	if (!c->open)
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

static void
local_data(void *arg, const uint8_t *p, size_t n)
{
	struct fw_conn *c = arg;

	conn_out(c, PM_LayerTcpOutgoing_Write, p, n);
	if (cli_session_full(c->f->session))
		cli_sock_pause(c->sock, true);
}

static void
local_eof(void *arg)
{
	conn_out(arg, PM_LayerTcpOutgoing_Write, NULL, 0);
}

static void
local_close(void *arg, int errnum)
{
	struct fw_conn *c = arg;

	if (errnum != 0)
		conn_out(c, PM_LayerTcpOutgoing_Close, NULL, 0);
	if (errnum != 0 || !c->open)
		conn_free(c);
	else
		cli_sock_free(&c->sock); /* the target's Close follows */
}

static const struct cli_sock_ops local_ops = {
    .on_data = local_data,
    .on_eof = local_eof,
    .on_close = local_close,
};

static void
conn_resolved(void *arg, const struct pm_ip *ip, const struct err *e)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpOutgoing};
	struct fw_conn *c = arg;
	struct pm_sockaddr to;

	c->asking = false;
	if (c->dead || ip == NULL) {
		if (!c->dead)
			cli_event(
			    "forward to %s:%u: %s", c->host, c->port, e->text);
		conn_free(c);
		return;
	}
	to = (struct pm_sockaddr){.ip = *ip, .port = c->port};
	m.u.TcpOutgoing.tag = PM_LayerTcpOutgoing_ConnectV2;
	m.u.TcpOutgoing.u.ConnectV2.uid = c->uid;
	m.u.TcpOutgoing.u.ConnectV2.remote_address.tag = PM_SocketAddress_Ip;
	m.u.TcpOutgoing.u.ConnectV2.remote_address.u.Ip = to;
	if (cli_session_send(c->f->session, &m) < 0)
		conn_free(c);
}

static void
conn_new(struct fw_listener *l, int fd)
{
	struct cli_forwards *f = l->f;
	struct fw_conn *c = calloc(1, sizeof(*c));

	if (c == NULL || f->session == NULL ||
	    cli_session_version(f->session) < PM_SINCE_CONNECT_V2) {
		if (c != NULL && f->session != NULL)
			cli_event("the operator is too old for forwards");
		free(c);
		close(fd);
		return;
	}
	c->f = f;
	c->port = l->port;
	snprintf(c->host, sizeof(c->host), "%s", l->host);
	RAND_bytes(c->uid.b, sizeof(c->uid.b));
	list_push(&f->conns, &c->node);
	c->sock = cli_sock_new(f->loop, fd, false, &local_ops, c);
	if (c->sock == NULL) {
		conn_free(c);
		return;
	}
	/* Nothing is read before there is somewhere to send it. */
	cli_sock_pause(c->sock, true);
	c->asking = true;
	if (cli_dns_lookup(f->session, c->host, conn_resolved, c) < 0) {
		c->asking = false;
		conn_free(c);
	}
}

static void
listener_ready(void *arg, int ready)
{
	struct fw_listener *l = arg;
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int one = 1;

	(void)ready;
	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conn_new(l, fd);
}

/* Splits "[ADDRESS:]LOCAL:HOST:PORT"; HOST may be an IPv6 in brackets. */
static int
forward_parse(const char *text, struct in_addr *address, uint16_t *local,
    struct fw_listener *l)
{
	const char *p = text, *last = strrchr(text, ':');
	char part[256];
	size_t n;

	address->s_addr = htonl(INADDR_LOOPBACK);
	n = strcspn(p, ":");
	str_fmt(part, sizeof(part), "%.*s", (int)n, p);
	if (p[n] != '\0' && inet_pton(AF_INET, part, address) == 1) {
		p += n + 1;
		n = strcspn(p, ":");
		str_fmt(part, sizeof(part), "%.*s", (int)n, p);
	}
	if (p[n] == '\0' || !str_to_u16(part, local) || last <= p + n)
		return -1;
	p += n + 1;
	n = (size_t)(last - p);
	if (n >= 2 && p[0] == '[' && p[n - 1] == ']') {
		p++;
		n -= 2;
	}
	if (n == 0 ||
	    str_fmt(l->host, sizeof(l->host), "%.*s", (int)n, p) < 0 ||
	    !str_to_u16(last + 1, &l->port) || l->port == 0)
		return -1;
	return 0;
}

int
cli_forwards_add(struct cli_forwards *f, const char *text, struct err *e)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET};
	struct fw_listener *l = calloc(1, sizeof(*l));
	uint16_t local = 0;
	int one = 1;

	if (l == NULL)
		return err_nomem(e);
	if (forward_parse(text, &in4.sin_addr, &local, l) < 0) {
		free(l);
		return err_set(e, ERR_INVALID,
		    "\"%s\" is not LOCAL:HOST:PORT, for instance "
		    "15432:db.internal:5432",
		    text);
	}
	in4.sin_port = htons(local);
	l->f = f;
	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd >= 0)
		setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (l->fd < 0 ||
	    bind(l->fd, (struct sockaddr *)&in4, sizeof(in4)) < 0 ||
	    listen(l->fd, 128) < 0) {
		err_sys(e, errno, "local port %u", local);
		if (l->fd >= 0)
			close(l->fd);
		free(l);
		return -ERR_SYS;
	}
	l->io = ev_io_new(f->loop, l->fd, listener_ready, l);
	list_push(&f->listeners, &l->node);
	if (l->io == NULL || ev_io_want(l->io, EV_WANT_READ) < 0)
		return err_nomem(e);
	return 0;
}

/* ---- what the target says */

static struct fw_conn *
conn_by_id(struct cli_forwards *f, uint64_t id)
{
	LIST_FOR_EACH (node, &f->conns) {
		struct fw_conn *c = LIST_ENTRY(node, struct fw_conn, node);

		if (c->open && c->id == id)
			return c;
	}
	return NULL;
}

static void
on_connected(struct cli_forwards *f, const struct pm_DaemonConnectV2 *m)
{
	LIST_FOR_EACH_SAFE (node, &f->conns) {
		struct fw_conn *c = LIST_ENTRY(node, struct fw_conn, node);

		if (c->open || memcmp(&c->uid, &m->uid, sizeof(c->uid)) != 0)
			continue;
		if (m->connect.tag != PM_OK) {
			cli_event("forward to %s:%u: the target can't "
				  "connect",
			    c->host, c->port);
			conn_free(c);
			return;
		}
		c->open = true;
		c->id = m->connect.u.Ok.connection_id;
		if (c->sock == NULL) { /* left meanwhile */
			conn_out(c, PM_LayerTcpOutgoing_Close, NULL, 0);
			conn_free(c);
		} else {
			cli_sock_pause(c->sock, false);
		}
		return;
	}
}

static void
on_read(struct cli_forwards *f, const struct pm_DaemonRead *m)
{
	struct fw_conn *c = conn_by_id(f, m->connection_id);

	if (c == NULL || c->sock == NULL)
		return;
	if (m->bytes.n == 0) {
		cli_sock_shut(c->sock);
	} else if (cli_sock_write(c->sock, m->bytes.p, m->bytes.n) < 0) {
		cli_event("a local program does not read; a forward to "
			  "%s:%u was closed",
		    c->host, c->port);
		conn_out(c, PM_LayerTcpOutgoing_Close, NULL, 0);
		conn_free(c);
	}
}

static void
on_remote_close(struct cli_forwards *f, uint64_t id)
{
	struct fw_conn *c = conn_by_id(f, id);

	if (c == NULL)
		return;
	c->open = false;
	/* What is queued for the local program still goes out. */
	if (c->sock != NULL && cli_sock_queued(c->sock) > 0)
		cli_sock_shut(c->sock);
	else
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
	LIST_FOR_EACH_SAFE (node, &f->conns) {
		struct fw_conn *c = LIST_ENTRY(node, struct fw_conn, node);

		c->open = false;
		conn_free(c);
	}
}

void
cli_forwards_drained(struct cli_forwards *f)
{
	LIST_FOR_EACH (node, &f->conns) {
		struct fw_conn *c = LIST_ENTRY(node, struct fw_conn, node);

		if (c->open && c->sock != NULL)
			cli_sock_pause(c->sock, false);
	}
}

void
cli_forwards_free(struct cli_forwards *f)
{
	cli_forwards_reset(f);
	LIST_FOR_EACH_SAFE (node, &f->conns) {
		struct fw_conn *c = LIST_ENTRY(node, struct fw_conn, node);

		c->asking = false;
		conn_free(c);
	}
	LIST_FOR_EACH_SAFE (node, &f->listeners) {
		struct fw_listener *l =
		    LIST_ENTRY(node, struct fw_listener, node);

		ev_io_free(&l->io);
		close(l->fd);
		list_remove(&l->node);
		free(l);
	}
}
