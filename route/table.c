/*
 * table: where each kind of message goes. ONE table, both directions, every
 * variant; the rows are spec/multicluster.md 5.1 and 5.2. A row without a
 * handler needs no code: pieces.c acts by its destination and flags. Which
 * path a kind takes (traffic or stateful) follows from its destination.
 */
#include "config.h"

#include "route/route_int.h"

#define C(kind) [PM_ClientMessage_##kind]
#define D(kind) [PM_DaemonMessage_##kind]
#define ALL_SUBS(...)                                   \
	{                                               \
		[0] = {.flags = ROW_KIND, __VA_ARGS__ } \
	}
#define ALL_SUBS_F(f, ...)                                    \
	{                                                     \
		[0] = {.flags = ROW_KIND | (f), __VA_ARGS__ } \
	}
#define BIT(sub2) (1u << (sub2))

/* Rows that Tcp and TcpSteal share. */
#define SUBSCRIBE                                           \
	{                                                   \
		.dest = DEST_ALL, .handle = rt_on_subscribe \
	}
#define UNSUBSCRIBE                                           \
	{                                                     \
		.dest = DEST_ALL, .handle = rt_on_unsubscribe \
	}
#define LEAVE_CONNECTION                                       \
	{                                                      \
		.dest = DEST_OWN, .flags = ROW_MAP | ROW_CLOSE \
	}
#define TO_OWNER                                   \
	{                                          \
		.dest = DEST_OWN, .flags = ROW_MAP \
	}
#define OPENS                                                    \
	{                                                        \
		.dest = DEST_CLIENT, .flags = ROW_MAP | ROW_OPEN \
	}
#define FROM_ANY                                      \
	{                                             \
		.dest = DEST_CLIENT, .flags = ROW_MAP \
	}
#define ENDS                                                      \
	{                                                         \
		.dest = DEST_CLIENT, .flags = ROW_MAP | ROW_CLOSE \
	}
#define RESULT                                                      \
	{                                                           \
		.dest = DEST_HERE, .handle = rt_on_subscribe_result \
	}
#define CHUNKED                                                   \
	{                                                         \
		.dest = DEST_CLIENT, .flags = ROW_MAP | ROW_OPEN, \
		.open_sub2 = BIT(PM_ChunkedRequest_StartV1) |     \
			     BIT(PM_ChunkedRequest_StartV2)       \
	}
#define DAEMON_TCP                                                           \
	{                                                                    \
		[PM_DaemonTcp_NewConnectionV1] = OPENS,                      \
		[PM_DaemonTcp_Data] = FROM_ANY, [PM_DaemonTcp_Close] = ENDS, \
		[PM_DaemonTcp_SubscribeResult] = RESULT,                     \
		[PM_DaemonTcp_HttpRequest] = OPENS,                          \
		[PM_DaemonTcp_HttpRequestFramed] = OPENS,                    \
		[PM_DaemonTcp_HttpRequestChunked] = CHUNKED,                 \
		[PM_DaemonTcp_NewConnectionV2] = OPENS,                      \
	}

/* clang-format off */
const struct route_row rt_table[2][18][8] = {
[PM_CLIENT] = {
	C(Close) = ALL_SUBS(.dest = DEST_ALL, .handle = rt_on_close_client),
	C(Tcp) = {
		[PM_LayerTcp_PortSubscribe] = SUBSCRIBE,
		[PM_LayerTcp_ConnectionUnsubscribe] = LEAVE_CONNECTION,
		[PM_LayerTcp_PortUnsubscribe] = UNSUBSCRIBE,
		[PM_LayerTcp_PortSubscribeFilteredHttp] = SUBSCRIBE,
	},
	C(TcpSteal) = {
		[PM_LayerTcpSteal_PortSubscribe] = SUBSCRIBE,
		[PM_LayerTcpSteal_ConnectionUnsubscribe] = LEAVE_CONNECTION,
		[PM_LayerTcpSteal_PortUnsubscribe] = UNSUBSCRIBE,
		[PM_LayerTcpSteal_Data] = TO_OWNER,
		[PM_LayerTcpSteal_HttpResponse] = TO_OWNER,
		[PM_LayerTcpSteal_HttpResponseFramed] = TO_OWNER,
		[PM_LayerTcpSteal_HttpResponseChunked] = TO_OWNER,
	},
	C(TcpOutgoing) = ALL_SUBS(.dest = DEST_DEFAULT),
	C(UdpOutgoing) = ALL_SUBS(.dest = DEST_DEFAULT),
	C(FileRequest) = ALL_SUBS(.dest = DEST_DEFAULT),
	C(GetEnvVarsRequest) = ALL_SUBS(.dest = DEST_DEFAULT),
	C(Ping) = ALL_SUBS(.dest = DEST_ALL, .handle = rt_on_ping),
	C(GetAddrInfoRequest) = ALL_SUBS(.dest = DEST_DEFAULT),
	C(PauseTargetRequest) = ALL_SUBS(.dest = DEST_DEFAULT),
	C(SwitchProtocolVersion) =
	    ALL_SUBS(.dest = DEST_ALL, .handle = rt_on_switch_version),
	C(ReadyForLogs) =
	    ALL_SUBS(.dest = DEST_ALL, .handle = rt_on_ready_for_logs),
	C(Vpn) = ALL_SUBS(.dest = DEST_DEFAULT, .admit = rt_admit_vpn),
	C(GetAddrInfoRequestV2) = ALL_SUBS(.dest = DEST_DEFAULT),
	/* Only operators originate OperatorPing, and this one does not. */
	C(OperatorPong) = ALL_SUBS(.dest = DEST_DROP),
	C(ReverseDnsLookup) =
	    ALL_SUBS(.dest = DEST_DEFAULT, .admit = rt_admit_reverse_dns),
	C(SeqpacketOutgoing) = ALL_SUBS(.dest = DEST_DEFAULT),
	/* An operator's own business with its agents. */
	C(ShareLink) = ALL_SUBS(.dest = DEST_DROP),
},
[PM_DAEMON] = {
	D(Close) = ALL_SUBS_F(
	    ROW_JOINING, .dest = DEST_HERE, .handle = rt_on_close_daemon),
	D(Tcp) = DAEMON_TCP,
	D(TcpSteal) = DAEMON_TCP,
	D(TcpOutgoing) = ALL_SUBS(.dest = DEST_FROM_DEFAULT),
	D(UdpOutgoing) = ALL_SUBS(.dest = DEST_FROM_DEFAULT),
	D(LogMessage) = ALL_SUBS(.dest = DEST_HERE, .handle = rt_on_log),
	D(File) = ALL_SUBS(.dest = DEST_FROM_DEFAULT),
	D(Pong) = ALL_SUBS_F(
	    ROW_JOINING, .dest = DEST_HERE, .handle = rt_on_pong),
	D(GetEnvVarsResponse) = ALL_SUBS(.dest = DEST_FROM_DEFAULT),
	D(GetAddrInfoResponse) = ALL_SUBS(.dest = DEST_FROM_DEFAULT),
	D(PauseTarget) = ALL_SUBS(.dest = DEST_DROP),
	D(SwitchProtocolVersionResponse) = ALL_SUBS_F(
	    ROW_JOINING, .dest = DEST_HERE, .handle = rt_on_version_response),
	D(Vpn) = ALL_SUBS(
	    .dest = DEST_FROM_DEFAULT, .admit = rt_admit_vpn_reply),
	D(OperatorPing) = ALL_SUBS_F(
	    ROW_JOINING, .dest = DEST_HERE, .handle = rt_on_operator_ping),
	/* Fatal for a client that did not ask; forwarded to one that did. */
	D(ReverseDnsLookup) = ALL_SUBS(
	    .dest = DEST_FROM_DEFAULT, .admit = rt_admit_reverse_dns_reply),
	D(SeqpacketOutgoing) = ALL_SUBS(.dest = DEST_FROM_DEFAULT),
},
};
/* clang-format on */

const struct route_row *
rt_table_row(enum pm_dir dir, const struct pm_route *m)
{
	static const struct route_row none = {.dest = DEST_DROP};
	const struct route_row *row;

	if (m->kind >= 18)
		return &none;
	row = &rt_table[dir][m->kind][0];
	if (!(row->flags & ROW_KIND)) {
		if (m->sub >= 8)
			return &none;
		row = &rt_table[dir][m->kind][m->sub];
	}
	return row->dest == DEST_NONE ? &none : row;
}

bool
route_is_stateful(enum pm_dir dir, const struct pm_route *m)
{
	const struct route_row *row = rt_table_row(dir, m);

	return row->dest == DEST_DEFAULT || row->dest == DEST_FROM_DEFAULT;
}
