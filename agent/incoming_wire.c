#include "config.h"

#include "agent/incoming_wire.h"

#include <errno.h>
#include <string.h>

static const char NO_FILTERS[] =
    "This agent cannot filter HTTP requests yet: subscribe to the whole port, "
    "without a filter, or use an agent that has HTTP filters.";

static int
send_tcp(struct agent_client *c, enum incoming_side side,
    const struct pm_DaemonTcp *tcp)
{
	struct pm_DaemonMessage m;

	memset(&m, 0, sizeof(m));
	if (side == INCOMING_STEAL) {
		m.tag = PM_DaemonMessage_TcpSteal;
		m.u.TcpSteal = *tcp;
	} else {
		m.tag = PM_DaemonMessage_Tcp;
		m.u.Tcp = *tcp;
	}
	return agent_client_send(c, &m);
}

static struct pm_ip
addr_ip(const union incoming_addr *a)
{
	struct pm_ip ip = {.v6 = a->sa.sa_family == AF_INET6};

	if (ip.v6)
		memcpy(ip.a, &a->v6.sin6_addr, 16);
	else
		memcpy(ip.a, &a->v4.sin_addr, 4);
	return ip;
}

int
wire_new_connection(struct agent_client *c, enum incoming_side side,
    uint64_t id, const struct incoming_flow *flow)
{
	struct pm_DaemonTcp tcp = {0};
	struct pm_NewTcpConnectionV1 v1 = {
	    .connection_id = id,
	    .remote_address = addr_ip(&flow->peer),
	    .destination_port = flow->port,
	    .source_port = incoming_addr_port(&flow->peer),
	    .local_address = addr_ip(&flow->orig),
	};

	if (agent_client_at_least(c, 1, 19, 4)) {
		tcp.tag = PM_DaemonTcp_NewConnectionV2;
		tcp.u.NewConnectionV2.connection = v1;
		tcp.u.NewConnectionV2.transport.tag =
		    PM_IncomingTrafficTransportType_Tcp;
	} else {
		tcp.tag = PM_DaemonTcp_NewConnectionV1;
		tcp.u.NewConnectionV1 = v1;
	}
	return send_tcp(c, side, &tcp);
}

int
wire_data(struct agent_client *c, enum incoming_side side, uint64_t id,
    const uint8_t *p, size_t n)
{
	struct pm_DaemonTcp tcp = {.tag = PM_DaemonTcp_Data};

	tcp.u.Data.connection_id = id;
	tcp.u.Data.bytes = (struct span){p, n};
	return send_tcp(c, side, &tcp);
}

int
wire_close(struct agent_client *c, enum incoming_side side, uint64_t id)
{
	struct pm_DaemonTcp tcp = {.tag = PM_DaemonTcp_Close};

	tcp.u.Close.connection_id = id;
	return send_tcp(c, side, &tcp);
}

int
wire_subscribed(struct agent_client *c, enum incoming_side side, uint16_t port)
{
	struct pm_DaemonTcp tcp = {.tag = PM_DaemonTcp_SubscribeResult};

	tcp.u.SubscribeResult.tag = PM_OK;
	tcp.u.SubscribeResult.u.Ok = port;
	return send_tcp(c, side, &tcp);
}

int
wire_subscribe_failed(
    struct agent_client *c, enum incoming_side side, int errnum)
{
	struct pm_DaemonTcp tcp = {.tag = PM_DaemonTcp_SubscribeResult};
	struct pm_RemoteIOError *io;

	tcp.u.SubscribeResult.tag = PM_ERR;
	tcp.u.SubscribeResult.u.Err.tag = PM_ResponseError_RemoteIO;
	io = &tcp.u.SubscribeResult.u.Err.u.RemoteIO;
	io->raw_os_error.some = errnum != 0;
	io->raw_os_error.value = errnum;
	io->kind.tag = errnum == EPERM ? PM_ErrorKindInternal_PermissionDenied
				       : PM_ErrorKindInternal_Other;
	return send_tcp(c, side, &tcp);
}

static int
refuse(struct agent_client *c, enum incoming_side side,
    const struct pm_BlockedAction *blocked)
{
	struct pm_DaemonTcp tcp = {.tag = PM_DaemonTcp_SubscribeResult};
	struct pm_ResponseError *err = &tcp.u.SubscribeResult.u.Err;

	tcp.u.SubscribeResult.tag = PM_ERR;
	if (agent_client_at_least(c, 1, 17, 0)) {
		err->tag = PM_ResponseError_ForbiddenWithReason;
		err->u.ForbiddenWithReason.blocked_action = *blocked;
		err->u.ForbiddenWithReason.reason = pm_str(NO_FILTERS);
	} else {
		agent_client_log(c, LOG_LV_ERROR, "%s", NO_FILTERS);
		err->tag = PM_ResponseError_Forbidden;
		err->u.Forbidden.blocked_action = *blocked;
	}
	return send_tcp(c, side, &tcp);
}

int
wire_refuse_steal(struct agent_client *c, const struct pm_StealType *type)
{
	struct pm_BlockedAction blocked = {.tag = PM_BlockedAction_Steal};

	blocked.u.Steal = *type;
	return refuse(c, INCOMING_STEAL, &blocked);
}

int
wire_refuse_mirror(struct agent_client *c, uint16_t port)
{
	struct pm_BlockedAction blocked = {.tag = PM_BlockedAction_Mirror};

	if (!agent_client_at_least(c, 1, 12, 0)) {
		agent_client_log(c, LOG_LV_ERROR, "%s", NO_FILTERS);
		return agent_client_refuse(c, NO_FILTERS);
	}
	blocked.u.Mirror = port;
	return refuse(c, INCOMING_MIRROR, &blocked);
}
