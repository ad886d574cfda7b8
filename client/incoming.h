/*
 * incoming: stolen and mirrored connections, each to a local port.
 */
#ifndef CLIENT_INCOMING_H
#define CLIENT_INCOMING_H

#include "client/ports.h"
#include "client/session.h"
#include "client/sock.h"
#include "lib/list.h"
#include "lib/map.h"

struct cli_incoming {
	struct cli_socks socks;
	struct cli_session *session; /* NULL: there is none (any more) */
	const struct cli_ports *ports;
	struct list conns;
	struct map by_id[2]; /* mirrored, stolen */
	bool full;           /* the session takes no more for now */
};

void cli_incoming_init(struct cli_incoming *in, struct ev_loop *loop,
    const struct cli_ports *ports);
void cli_incoming_free(struct cli_incoming *in);
/* Tcp and TcpSteal messages; false: not for here. */
bool cli_incoming_message(
    struct cli_incoming *in, const struct pm_DaemonMessage *m);
void cli_incoming_reset(struct cli_incoming *in); /* close all connections */
void cli_incoming_flow(struct cli_incoming *in, bool full);

#endif
