/* pm_msg: the small messages a relay makes itself. */
#include "protocol/pm_msg.h"

static int
put_daemon(struct buf *out, struct pm_DaemonMessage m)
{
	return pm_encode_daemon(&m, out, NULL);
}

static int
put_client(struct buf *out, struct pm_ClientMessage m)
{
	return pm_encode_client(&m, out, NULL);
}

int
pm_put_close(struct buf *out, struct pm_str text)
{
	return put_daemon(
	    out, (struct pm_DaemonMessage){
		     .tag = PM_DaemonMessage_Close, .u.Close = text});
}

int
pm_put_pong(struct buf *out)
{
	return put_daemon(
	    out, (struct pm_DaemonMessage){.tag = PM_DaemonMessage_Pong});
}

int
pm_put_version_response(struct buf *out, struct pm_str version)
{
	return put_daemon(
	    out, (struct pm_DaemonMessage){
		     .tag = PM_DaemonMessage_SwitchProtocolVersionResponse,
		     .u.SwitchProtocolVersionResponse = version});
}

int
pm_put_operator_ping(struct buf *out, struct pm_u128 number)
{
	return put_daemon(
	    out, (struct pm_DaemonMessage){.tag = PM_DaemonMessage_OperatorPing,
		     .u.OperatorPing = number});
}

int
pm_put_log(struct buf *out, uint32_t level, struct pm_str text)
{
	return put_daemon(
	    out, (struct pm_DaemonMessage){.tag = PM_DaemonMessage_LogMessage,
		     .u.LogMessage = {.message = text, .level.tag = level}});
}

/* Mirror and steal have one payload type; they differ in the outer index. */
static int
put_daemon_tcp(struct buf *out, uint32_t tcp, struct pm_DaemonTcp payload)
{
	struct pm_DaemonMessage m = {.tag = tcp};

	if (tcp == PM_DaemonMessage_Tcp)
		m.u.Tcp = payload;
	else if (tcp == PM_DaemonMessage_TcpSteal)
		m.u.TcpSteal = payload;
	else
		return -ERR_INVALID;
	return put_daemon(out, m);
}

int
pm_put_tcp_close(struct buf *out, uint32_t tcp, uint64_t connection_id)
{
	return put_daemon_tcp(out, tcp,
	    (struct pm_DaemonTcp){
		.tag = PM_DaemonTcp_Close, .u.Close = {connection_id}});
}

int
pm_put_subscribe_ok(struct buf *out, uint32_t tcp, uint16_t port)
{
	return put_daemon_tcp(out, tcp,
	    (struct pm_DaemonTcp){.tag = PM_DaemonTcp_SubscribeResult,
		.u.SubscribeResult = {.tag = PM_OK, .u.Ok = port}});
}

int
pm_put_subscribe_err(
    struct buf *out, uint32_t tcp, const struct pm_ResponseError *error)
{
	return put_daemon_tcp(out, tcp,
	    (struct pm_DaemonTcp){.tag = PM_DaemonTcp_SubscribeResult,
		.u.SubscribeResult = {.tag = PM_ERR, .u.Err = *error}});
}

int
pm_put_outgoing_close(struct buf *out, uint32_t kind, uint64_t connection_id)
{
	struct pm_DaemonMessage m = {.tag = kind};

	switch (kind) {
	case PM_DaemonMessage_TcpOutgoing:
		m.u.TcpOutgoing = (struct pm_DaemonTcpOutgoing){
		    PM_DaemonTcpOutgoing_Close, {.Close = connection_id}};
		break;
	case PM_DaemonMessage_UdpOutgoing:
		m.u.UdpOutgoing = (struct pm_DaemonUdpOutgoing){
		    PM_DaemonUdpOutgoing_Close, {.Close = connection_id}};
		break;
	case PM_DaemonMessage_SeqpacketOutgoing:
		m.u.SeqpacketOutgoing = (struct pm_DaemonSeqpacket){
		    PM_DaemonSeqpacket_Close, {.Close = connection_id}};
		break;
	default:
		return -ERR_INVALID;
	}
	return put_daemon(out, m);
}

int
pm_put_client_close(struct buf *out)
{
	return put_client(
	    out, (struct pm_ClientMessage){.tag = PM_ClientMessage_Close});
}

int
pm_put_ping(struct buf *out)
{
	return put_client(
	    out, (struct pm_ClientMessage){.tag = PM_ClientMessage_Ping});
}

int
pm_put_version(struct buf *out, struct pm_str version)
{
	return put_client(
	    out, (struct pm_ClientMessage){
		     .tag = PM_ClientMessage_SwitchProtocolVersion,
		     .u.SwitchProtocolVersion = version});
}

int
pm_put_ready_for_logs(struct buf *out)
{
	return put_client(out,
	    (struct pm_ClientMessage){.tag = PM_ClientMessage_ReadyForLogs});
}

int
pm_put_operator_pong(struct buf *out, struct pm_u128 number)
{
	return put_client(
	    out, (struct pm_ClientMessage){.tag = PM_ClientMessage_OperatorPong,
		     .u.OperatorPong = number});
}

int
pm_put_unsubscribe_connection(
    struct buf *out, uint32_t tcp, uint64_t connection_id)
{
	struct pm_ClientMessage m = {.tag = tcp};

	if (tcp == PM_ClientMessage_Tcp)
		m.u.Tcp =
		    (struct pm_LayerTcp){PM_LayerTcp_ConnectionUnsubscribe,
			{.ConnectionUnsubscribe = connection_id}};
	else if (tcp == PM_ClientMessage_TcpSteal)
		m.u.TcpSteal = (struct pm_LayerTcpSteal){
		    PM_LayerTcpSteal_ConnectionUnsubscribe,
		    {.ConnectionUnsubscribe = connection_id}};
	else
		return -ERR_INVALID;
	return put_client(out, m);
}

int
pm_put_unsubscribe_port(struct buf *out, uint32_t tcp, uint16_t port)
{
	struct pm_ClientMessage m = {.tag = tcp};

	if (tcp == PM_ClientMessage_Tcp)
		m.u.Tcp = (struct pm_LayerTcp){
		    PM_LayerTcp_PortUnsubscribe, {.PortUnsubscribe = port}};
	else if (tcp == PM_ClientMessage_TcpSteal)
		m.u.TcpSteal =
		    (struct pm_LayerTcpSteal){PM_LayerTcpSteal_PortUnsubscribe,
			{.PortUnsubscribe = port}};
	else
		return -ERR_INVALID;
	return put_client(out, m);
}
