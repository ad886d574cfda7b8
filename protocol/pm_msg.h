/* pm_msg: one-call encoders for the small messages a relay makes itself. */
#ifndef PROTOCOL_PM_MSG_H
#define PROTOCOL_PM_MSG_H

#include "protocol/mirrord.h"

/*
 * Each appends one message to out: 0, -ERR_INVALID (version or text no peer
 * would accept), -ERR_TOO_BIG, -ERR_NOMEM; out is unchanged on failure.
 */

/* daemon to client */
int pm_put_close(struct buf *out, struct pm_str text);
int pm_put_pong(struct buf *out);
int pm_put_version_response(struct buf *out, struct pm_str version);
int pm_put_operator_ping(struct buf *out, struct pm_u128 number);
int pm_put_log(struct buf *out, uint32_t level, struct pm_str text);
/* tcp: PM_DaemonMessage_Tcp (mirror) or PM_DaemonMessage_TcpSteal */
int pm_put_tcp_close(struct buf *out, uint32_t tcp, uint64_t connection_id);
int pm_put_subscribe_ok(struct buf *out, uint32_t tcp, uint16_t port);
int pm_put_subscribe_err(
    struct buf *out, uint32_t tcp, const struct pm_ResponseError *error);
/* The outgoing Close of PM_SPACE_TCP, _UDP or _SEQ (a Daemon* index). */
int pm_put_outgoing_close(
    struct buf *out, uint32_t kind, uint64_t connection_id);

/* client to daemon */
int pm_put_client_close(struct buf *out);
int pm_put_ping(struct buf *out);
int pm_put_version(struct buf *out, struct pm_str version);
int pm_put_ready_for_logs(struct buf *out);
int pm_put_operator_pong(struct buf *out, struct pm_u128 number);
/* tcp: PM_ClientMessage_Tcp or PM_ClientMessage_TcpSteal */
int pm_put_unsubscribe_connection(
    struct buf *out, uint32_t tcp, uint64_t connection_id);
int pm_put_unsubscribe_port(struct buf *out, uint32_t tcp, uint16_t port);

#endif
