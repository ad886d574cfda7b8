/* Messages addressed to the stateful worker, made of ipc/messages.def. */
#include "config.h"

#include "workers/stateful/stateful.h"

static int
sf_on_stream(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	return ipc_stream_dispatch(in, e);
}

#define sf_on_start worker_on_start
#define sf_on_attach worker_on_attach
#define sf_on_detach worker_on_detach
#define sf_on_reload worker_on_reload
#define sf_on_drain worker_on_drain
#define sf_on_alive worker_on_alive
#define sf_on_stream_opened sf_on_stream
#define sf_on_stream_data sf_on_stream
#define sf_on_stream_end sf_on_stream
#define sf_on_stream_credit sf_on_stream
#define sf_on_stream_reset sf_on_stream

#define IPC_MSG(                                                    \
    NAME, name, id, sock, ph, fds, sup, fe, sf, sec, con, clu, own) \
	IPC_KEEP_IF(sf)(IPC_##NAME, sf_on_##name)
static const struct ipc_handler sf_handlers[] = {
#include "ipc/messages.def"
};
#undef IPC_MSG

const struct worker_ops sf_ops = {
    .role = IPC_SF,
    .sandbox = &sf_sandbox,
    .handlers = sf_handlers,
    .n_handlers = sizeof(sf_handlers) / sizeof(sf_handlers[0]),
    .start = sf_start,
    .on_attach = sf_on_peer,
    .on_detach = sf_on_peer_gone,
    .on_drain = sf_drain,
    .stop = sf_stop,
};
