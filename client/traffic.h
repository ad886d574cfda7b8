/* traffic: ports and forwards of one session, both ways. */
#ifndef CLIENT_TRAFFIC_H
#define CLIENT_TRAFFIC_H

#include "client/forward.h"
#include "client/incoming.h"
#include "client/ports.h"

struct cli_traffic {
	struct cli_ports ports;
	struct cli_incoming incoming;
	struct cli_forwards forwards;
};

void cli_traffic_init(struct cli_traffic *t, struct ev_loop *loop);
/* After the session was freed. */
void cli_traffic_free(struct cli_traffic *t);
/* The session is up: connections may come and go. */
void cli_traffic_up(struct cli_traffic *t, struct cli_session *s);
/* It is lost: every connection is closed; listeners stay. */
void cli_traffic_lost(struct cli_traffic *t);
void cli_traffic_flow(struct cli_traffic *t, bool full);
void cli_traffic_message(
    struct cli_traffic *t, const struct pm_DaemonMessage *m);

#endif
