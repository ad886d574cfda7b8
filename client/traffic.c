#include "config.h"

#include "client/traffic.h"

#include "lib/log.h"

void
cli_traffic_init(struct cli_traffic *t, struct ev_loop *loop)
{
	cli_ports_init(&t->ports);
	cli_incoming_init(&t->incoming, loop, &t->ports);
	cli_forwards_init(&t->forwards, loop);
}

void
cli_traffic_free(struct cli_traffic *t)
{
	t->incoming.session = t->forwards.session = NULL;
	cli_incoming_free(&t->incoming);
	cli_forwards_free(&t->forwards);
	cli_ports_free(&t->ports);
}

void
cli_traffic_up(struct cli_traffic *t, struct cli_session *s)
{
	t->incoming.session = t->forwards.session = s;
	cli_traffic_flow(t, false);
}

void
cli_traffic_lost(struct cli_traffic *t)
{
	cli_incoming_reset(&t->incoming);
	cli_forwards_reset(&t->forwards);
	t->incoming.session = t->forwards.session = NULL;
}

void
cli_traffic_flow(struct cli_traffic *t, bool full)
{
	cli_incoming_flow(&t->incoming, full);
	cli_forwards_flow(&t->forwards, full);
}

void
cli_traffic_message(struct cli_traffic *t, const struct pm_DaemonMessage *m)
{
	if (!cli_incoming_message(&t->incoming, m) &&
	    !cli_forwards_message(&t->forwards, m))
		log_debug(
		    "message ignored kind=%s", pm_kind_name(PM_DAEMON, m->tag));
}
