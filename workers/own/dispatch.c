/* Messages addressed to the own worker, made of ipc/messages.def. */
#include "config.h"

#include "ipc/stream.h"
#include "workers/own/handlers.h"
#include "workers/own/main.h"

static int
own_on_stream(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	return ipc_stream_dispatch(in, e);
}

#define own_on_stream_data own_on_stream
#define own_on_stream_end own_on_stream
#define own_on_stream_credit own_on_stream
#define own_on_stream_reset own_on_stream

/*
 * No connection and no credential is needed on the standalone platform, but
 * the table lets them be sent.
 */
int
own_on_connected(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	(void)in;
	(void)e;
	return 0;
}

int
own_on_credential(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	(void)in;
	(void)e;
	return 0;
}

#define IPC_MSG(                                                    \
    NAME, name, id, sock, ph, fds, sup, fe, sf, sec, con, clu, own) \
	IPC_KEEP_IF(own)(IPC_##NAME, own_on_##name)
static const struct ipc_handler own_handlers[] = {
#include "ipc/messages.def"
};
#undef IPC_MSG

const struct worker_ops own_ops = {
    .role = IPC_OWN,
    .sandbox = &own_sandbox,
    .handlers = own_handlers,
    .n_handlers = sizeof(own_handlers) / sizeof(own_handlers[0]),
    .prepare = own_prepare,
    .start = own_start,
    .on_attach = own_on_peer,
    .on_detach = own_on_peer_gone,
    .on_reload = own_reload,
    .on_drain = own_drain,
    .stop = own_stop,
};
