/* Messages addressed to a cluster worker, made of ipc/messages.def. */
#include "config.h"

#include "workers/cluster/cluster.h"

static int
clu_on_stream(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	return ipc_stream_dispatch(in, e);
}

#define clu_on_start worker_on_start
#define clu_on_attach worker_on_attach
#define clu_on_detach worker_on_detach
#define clu_on_reload worker_on_reload
#define clu_on_drain worker_on_drain
#define clu_on_alive worker_on_alive
#define clu_on_stream_data clu_on_stream
#define clu_on_stream_end clu_on_stream
#define clu_on_stream_credit clu_on_stream
#define clu_on_stream_reset clu_on_stream

#define IPC_MSG(                                                    \
    NAME, name, id, sock, ph, fds, sup, fe, sf, sec, con, clu, own) \
	IPC_KEEP_IF(clu)(IPC_##NAME, clu_on_##name)
static const struct ipc_handler clu_handlers[] = {
#include "ipc/messages.def"
};
#undef IPC_MSG

const struct worker_ops clu_ops = {
    .role = IPC_CLU,
    .sandbox = &clu_sandbox,
    .handlers = clu_handlers,
    .n_handlers = sizeof(clu_handlers) / sizeof(clu_handlers[0]),
    .prepare = clu_prepare,
    .start = clu_start,
    .on_attach = clu_on_peer,
    .on_detach = clu_on_peer_gone,
    .on_reload = clu_reload,
    .on_drain = clu_drain,
    .stop = clu_stop,
};
