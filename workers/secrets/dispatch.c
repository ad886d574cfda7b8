/* Messages addressed to the secrets worker, made of ipc/messages.def. */
#include "config.h"

#include "workers/secrets/secrets.h"

#define sec_on_start worker_on_start
#define sec_on_attach worker_on_attach
#define sec_on_detach worker_on_detach
#define sec_on_reload worker_on_reload
#define sec_on_drain worker_on_drain
#define sec_on_alive worker_on_alive

#define IPC_MSG(                                                    \
    NAME, name, id, sock, ph, fds, sup, fe, sf, sec, con, clu, own) \
	IPC_KEEP_IF(sec)(IPC_##NAME, sec_on_##name)
static const struct ipc_handler sec_handlers[] = {
#include "ipc/messages.def"
};
#undef IPC_MSG

const struct worker_ops sec_ops = {
    .role = IPC_SEC,
    .sandbox = &sec_sandbox,
    .handlers = sec_handlers,
    .n_handlers = sizeof(sec_handlers) / sizeof(sec_handlers[0]),
    .prepare = sec_prepare,
    .start = sec_start,
    .on_attach = sec_on_peer,
    .on_reload = sec_reload,
    .on_drain = sec_drain,
    .stop = sec_stop,
};
