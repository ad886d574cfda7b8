/*
 * Messages addressed to a frontend, and who answers them. The table is made
 * of ipc/messages.def: a message without a handler does not compile.
 */
#include "config.h"

#include <stdio.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "workers/frontend/frontend.h"

#define FE(worker) ((struct fe *)((struct worker *)(worker))->state)

static int
fe_on_listener(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_listener *m = in->payload;
	int fd;

	if (in->n_fds != 1)
		return err_set(e, ERR_INVALID, "LISTENER without descriptor");
	fd = in->fds[0];
	in->fds[0] = -1;
	return fe_listener_add(FE(worker), fd, m->address, e);
}

static int
fe_on_trust(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_trust *m = in->payload;

	return fe_trust_set(FE(worker), m->trust, e);
}

static int
fe_on_server_signed(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_server_signed *m = in->payload;

	(void)e;
	return fe_call_answer(FE(worker), m->request, IPC_SERVER_SIGNED, m, 0);
}

static int
fe_on_csr_signed(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_csr_signed *m = in->payload;

	(void)e;
	return fe_call_answer(FE(worker), m->request, IPC_CSR_SIGNED, m, 0);
}

static int
fe_on_session_opened(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_session_opened *m = in->payload;

	(void)e;
	return fe_call_answer(
	    FE(worker), m->request, IPC_SESSION_OPENED, m, in->header.session);
}

static int
fe_on_session_refused(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_session_refused *m = in->payload;

	(void)e;
	return fe_call_answer(
	    FE(worker), m->request, IPC_SESSION_REFUSED, m, 0);
}

static int
fe_on_session_settled(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_session_settled *m = in->payload;
	struct fe_session *s = fe_session_find(FE(worker), in->header.session);

	if (s == NULL)
		return 0;
	snprintf(s->settled, sizeof(s->settled), "%s", m->version);
	LIST_FOR_EACH (node, &s->sockets) {
		struct fe_socket *k = LIST_ENTRY(node, struct fe_socket, snode);
		int rc = route_set_settled(k->route, m->version, e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
fe_on_session_end(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_session_end *m = in->payload;
	struct fe_session *s = fe_session_find(FE(worker), in->header.session);

	(void)e;
	if (s != NULL)
		fe_session_close(s, m->close != 0, m->text);
	return 0;
}

/* The controller saw a child come or go before its streams did. */
static int
fe_on_child_state(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_child_state *m = in->payload;
	struct fe_session *s = fe_session_find(FE(worker), in->header.session);

	if (s == NULL)
		return 0;
	if (m->slot >= (uint32_t)s->n_slots)
		return err_set(e, ERR_INVALID, "CHILD_STATE of slot %u",
		    (unsigned)m->slot);
	s->slots[m->slot].ready = m->up != 0;
	LIST_FOR_EACH (node, &s->sockets) {
		struct fe_socket *k = LIST_ENTRY(node, struct fe_socket, snode);
		struct fe_child *c = &k->children[m->slot];

		if (k->started && !k->ended && m->up &&
		    c->path[ROUTE_TRAFFIC].stream == NULL)
			ev_timer_set(c->rejoin, 0);
	}
	return 0;
}

static int
fe_on_api_reply(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_api_reply *m = in->payload;

	(void)e;
	return fe_call_answer(FE(worker), m->request, IPC_API_REPLY, m, 0);
}

static int
fe_on_stream(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	return ipc_stream_dispatch(in, e);
}

#define fe_on_start worker_on_start
#define fe_on_attach worker_on_attach
#define fe_on_detach worker_on_detach
#define fe_on_reload worker_on_reload
#define fe_on_alive worker_on_alive
#define fe_on_stream_opened fe_on_stream
#define fe_on_stream_data fe_on_stream
#define fe_on_stream_end fe_on_stream
#define fe_on_stream_credit fe_on_stream
#define fe_on_stream_reset fe_on_stream
#define fe_on_drain worker_on_drain

#define IPC_MSG(                                                    \
    NAME, name, id, sock, ph, fds, sup, fe, sf, sec, con, clu, own) \
	IPC_KEEP_IF(fe)(IPC_##NAME, fe_on_##name)
static const struct ipc_handler fe_handlers[] = {
#include "ipc/messages.def"
};
#undef IPC_MSG

const struct worker_ops fe_ops = {
    .role = IPC_FE,
    .sandbox = &fe_sandbox,
    .handlers = fe_handlers,
    .n_handlers = sizeof(fe_handlers) / sizeof(fe_handlers[0]),
    .prepare = fe_prepare,
    .start = fe_start,
    .on_attach = fe_on_peer,
    .on_detach = fe_on_peer_gone,
    .on_reload = fe_reload,
    .on_drain = fe_drain,
    .stop = fe_stop,
};
