#include "config.h"

#include "agent/outgoing.h"

#include <stdlib.h>
#include <string.h>

#include "agent/out_addr.h"
#include "agent/out_conn.h"

struct outgoing *
outgoing_new(struct agent_client *c)
{
	struct outgoing *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->client = c;
	list_init(&o->all);
	for (int i = 0; i < OUT_KINDS; i++) {
		map_init(&o->conns[i]);
		list_init(&o->v1[i]);
	}
	o->scratch = malloc(OUT_READ_BYTES);
	if (o->scratch == NULL) {
		free(o);
		return NULL;
	}
	return o;
}

void
outgoing_free(struct outgoing **op)
{
	struct outgoing *o = *op;

	if (o == NULL)
		return;
	LIST_FOR_EACH_SAFE (node, &o->all) {
		out_conn_free(LIST_ENTRY(node, struct out_conn, link));
	}
	for (int i = 0; i < OUT_KINDS; i++)
		map_free(&o->conns[i]);
	free(o->scratch);
	free(o);
	*op = NULL;
}

/* ---- from the client ---- */

static void
write_to(struct outgoing *o, enum out_kind kind, const struct pm_LayerWrite *w)
{
	struct out_conn *c = map_get(&o->conns[kind], w->connection_id);

	if (c != NULL) /* else it has ended meanwhile */
		out_conn_write(c, w->bytes);
}

static void
close_one(struct outgoing *o, enum out_kind kind, uint64_t id)
{
	struct out_conn *c = map_get(&o->conns[kind], id);

	if (c != NULL)
		out_conn_close(c);
}

static void
connect_v1(
    struct outgoing *o, enum out_kind kind, const struct pm_LayerConnect *m)
{
	struct pm_uid none;

	memset(&none, 0, sizeof(none));
	out_connect(o, kind, false, none, &m->remote_address);
}

int
outgoing_on_tcp(struct outgoing *o, const struct pm_LayerTcpOutgoing *m)
{
	switch (m->tag) {
	case PM_LayerTcpOutgoing_Connect:
		connect_v1(o, OUT_TCP, &m->u.Connect);
		break;
	case PM_LayerTcpOutgoing_Write:
		write_to(o, OUT_TCP, &m->u.Write);
		break;
	case PM_LayerTcpOutgoing_Close:
		close_one(o, OUT_TCP, m->u.Close.connection_id);
		break;
	default:
		out_connect(o, OUT_TCP, true, m->u.ConnectV2.uid,
		    &m->u.ConnectV2.remote_address);
		break;
	}
	return 0;
}

int
outgoing_on_udp(struct outgoing *o, const struct pm_LayerUdpOutgoing *m)
{
	switch (m->tag) {
	case PM_LayerUdpOutgoing_Connect:
		connect_v1(o, OUT_UDP, &m->u.Connect);
		break;
	case PM_LayerUdpOutgoing_Write:
		write_to(o, OUT_UDP, &m->u.Write);
		break;
	case PM_LayerUdpOutgoing_Close:
		close_one(o, OUT_UDP, m->u.Close.connection_id);
		break;
	default:
		out_connect(o, OUT_UDP, true, m->u.ConnectV2.uid,
		    &m->u.ConnectV2.remote_address);
		break;
	}
	return 0;
}

int
outgoing_on_seq(struct outgoing *o, const struct pm_LayerSeqpacket *m)
{
	switch (m->tag) {
	case PM_LayerSeqpacket_Write:
		write_to(o, OUT_SEQ, &m->u.Write);
		break;
	case PM_LayerSeqpacket_Close:
		close_one(o, OUT_SEQ, m->u.Close.connection_id);
		break;
	default:
		out_connect(o, OUT_SEQ, true, m->u.ConnectV2.uid,
		    &m->u.ConnectV2.remote_address);
		break;
	}
	return 0;
}

/* ---- to the client: the three kinds say the same in three places ---- */

static void
put_connect(struct pm_DaemonMessage *m, const struct out_conn *c,
    const struct pm_res_DaemonConnect *res)
{
	struct pm_DaemonConnectV2 v2 = {.uid = c->uid, .connect = *res};

	memset(m, 0, sizeof(*m));
	if (c->kind == OUT_SEQ) {
		m->tag = PM_DaemonMessage_SeqpacketOutgoing;
		m->u.SeqpacketOutgoing.tag = PM_DaemonSeqpacket_ConnectV2;
		m->u.SeqpacketOutgoing.u.ConnectV2 = v2;
	} else if (c->kind == OUT_UDP) {
		m->tag = PM_DaemonMessage_UdpOutgoing;
		m->u.UdpOutgoing.tag = c->v2 ? PM_DaemonUdpOutgoing_ConnectV2
					     : PM_DaemonUdpOutgoing_Connect;
		if (c->v2)
			m->u.UdpOutgoing.u.ConnectV2 = v2;
		else
			m->u.UdpOutgoing.u.Connect = *res;
	} else {
		m->tag = PM_DaemonMessage_TcpOutgoing;
		m->u.TcpOutgoing.tag = c->v2 ? PM_DaemonTcpOutgoing_ConnectV2
					     : PM_DaemonTcpOutgoing_Connect;
		if (c->v2)
			m->u.TcpOutgoing.u.ConnectV2 = v2;
		else
			m->u.TcpOutgoing.u.Connect = *res;
	}
}

void
out_send_failed(struct out_conn *c, const struct pm_ResponseError *e)
{
	struct pm_res_DaemonConnect res;
	struct pm_DaemonMessage m;

	memset(&res, 0, sizeof(res));
	res.tag = PM_ERR;
	res.u.Err = *e;
	put_connect(&m, c, &res);
	(void)agent_client_send(c->o->client, &m);
}

void
out_send_connected(struct out_conn *c)
{
	struct sockaddr_storage local, remote;
	socklen_t ln = sizeof(local), rn = sizeof(remote);
	struct pm_res_DaemonConnect res;
	struct pm_DaemonMessage m;
	struct arena arena;

	memset(&res, 0, sizeof(res));
	memset(&local, 0, sizeof(local));
	memset(&remote, 0, sizeof(remote));
	arena_init(&arena, 4096);
	(void)getsockname(c->fd, (struct sockaddr *)&local, &ln);
	/* A peer that has gone already has no name; it was what was asked. */
	if (getpeername(c->fd, (struct sockaddr *)&remote, &rn) < 0) {
		remote = c->ip;
		rn = c->ip_len;
		if (rn == 0)
			remote.ss_family = AF_UNIX;
	}
	res.u.Ok.connection_id = c->id;
	(void)out_addr_from(&arena, &local, ln, &res.u.Ok.local_address);
	(void)out_addr_from(&arena, &remote, rn, &res.u.Ok.remote_address);
	put_connect(&m, c, &res);
	(void)agent_client_send(c->o->client, &m);
	arena_free(&arena);
}

int
out_send_read(struct out_conn *c, struct span bytes)
{
	struct pm_DaemonMessage m;
	struct pm_res_DaemonRead *res;

	memset(&m, 0, sizeof(m));
	if (c->kind == OUT_TCP) {
		m.tag = PM_DaemonMessage_TcpOutgoing;
		m.u.TcpOutgoing.tag = PM_DaemonTcpOutgoing_Read;
		res = &m.u.TcpOutgoing.u.Read;
	} else if (c->kind == OUT_UDP) {
		m.tag = PM_DaemonMessage_UdpOutgoing;
		m.u.UdpOutgoing.tag = PM_DaemonUdpOutgoing_Read;
		res = &m.u.UdpOutgoing.u.Read;
	} else {
		m.tag = PM_DaemonMessage_SeqpacketOutgoing;
		m.u.SeqpacketOutgoing.tag = PM_DaemonSeqpacket_Read;
		res = &m.u.SeqpacketOutgoing.u.Read;
	}
	res->u.Ok.connection_id = c->id;
	res->u.Ok.bytes = bytes;
	return agent_client_send(c->o->client, &m);
}

void
out_send_close(struct out_conn *c)
{
	struct pm_DaemonMessage m;

	memset(&m, 0, sizeof(m));
	if (c->kind == OUT_TCP) {
		m.tag = PM_DaemonMessage_TcpOutgoing;
		m.u.TcpOutgoing.tag = PM_DaemonTcpOutgoing_Close;
		m.u.TcpOutgoing.u.Close = c->id;
	} else if (c->kind == OUT_UDP) {
		m.tag = PM_DaemonMessage_UdpOutgoing;
		m.u.UdpOutgoing.tag = PM_DaemonUdpOutgoing_Close;
		m.u.UdpOutgoing.u.Close = c->id;
	} else {
		m.tag = PM_DaemonMessage_SeqpacketOutgoing;
		m.u.SeqpacketOutgoing.tag = PM_DaemonSeqpacket_Close;
		m.u.SeqpacketOutgoing.u.Close = c->id;
	}
	(void)agent_client_send(c->o->client, &m);
}
