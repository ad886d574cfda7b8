/*
 * Messages addressed to the connector, and who answers them. The table is
 * made of ipc/messages.def: a message without a handler does not compile.
 */
#include "config.h"

#include <stdlib.h>

#include "workers/connector/connector.h"

static struct con *
con_of(void *worker)
{
	return ((struct worker *)worker)->state;
}

static int
con_on_connect(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_connect *m = in->payload;
	struct con *con = con_of(worker);
	struct con_endpoint to;

	/* A refused request is an answer; only the table ends a peer. */
	if (con_dial_count(con, in->peer) >= CON_DIALS_PER_PEER)
		con_dial_refuse(
		    in->peer, m->request, "too many connects are under way");
	else if (con_policy(con->w->config, in->peer, m, &to, e) < 0)
		con_dial_refuse(in->peer, m->request, e->text);
	else
		con_dial_start(con, in->peer, m->request, &to);
	return 0;
}

static int
con_on_resolver(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_resolver *m = in->payload;

	if (con_dns_set(con_of(worker)->dns, m->resolv_conf, m->hosts) < 0)
		return err_nomem(e);
	return 0;
}

#define con_on_start worker_on_start
#define con_on_attach worker_on_attach
#define con_on_detach worker_on_detach
#define con_on_reload worker_on_reload
#define con_on_drain worker_on_drain
#define con_on_alive worker_on_alive

#define IPC_MSG(                                                    \
    NAME, name, id, sock, ph, fds, sup, fe, sf, sec, con, clu, own) \
	IPC_KEEP_IF(con)(IPC_##NAME, con_on_##name)
static const struct ipc_handler con_handlers[] = {
#include "ipc/messages.def"
};
#undef IPC_MSG

static int
con_start(struct worker *w, struct err *e)
{
	struct con *con = calloc(1, sizeof(*con));

	if (con == NULL)
		return err_nomem(e);
	con->w = w;
	list_init(&con->dials);
	con->dns = con_dns_new(w->loop);
	if (con->dns == NULL) {
		free(con);
		return err_nomem(e);
	}
	w->state = con;
	return 0;
}

static void
con_on_gone(struct worker *w, struct ipc_peer *peer, const char *why)
{
	(void)why;
	con_dial_cancel(w->state, peer);
}

static void
con_stop(struct worker *w)
{
	struct con *con = w->state;

	con_dial_cancel(con, NULL);
	con_dns_free(&con->dns);
	/* Lookups that were under way hear that their servers are gone. */
	ev_loop_turn(w->loop, false);
	free(con);
	w->state = NULL;
}

const struct worker_ops con_ops = {
    .role = IPC_CON,
    .sandbox = &con_sandbox,
    .handlers = con_handlers,
    .n_handlers = sizeof(con_handlers) / sizeof(con_handlers[0]),
    .start = con_start,
    .on_detach = con_on_gone,
    .stop = con_stop,
};
