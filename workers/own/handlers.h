/* handlers: one per message of ipc/messages.def that the own worker gets. */
#ifndef WORKERS_OWN_HANDLERS_H
#define WORKERS_OWN_HANDLERS_H

#include "workers/own/own.h"

#define own_on_start worker_on_start
#define own_on_attach worker_on_attach
#define own_on_detach worker_on_detach
#define own_on_reload worker_on_reload
#define own_on_drain worker_on_drain
#define own_on_alive worker_on_alive

ipc_handler_fn own_on_agent_started, own_on_agent_exited, own_on_replica,
    own_on_connected, own_on_credential;
ipc_handler_fn own_on_session_open, own_on_session_cancel, own_on_socket_up,
    own_on_socket_down, own_on_session_settled, own_on_session_sub;
ipc_handler_fn own_on_granted, own_on_child_created, own_on_child_deleted,
    own_on_anchor_state, own_on_peer_answer, own_on_peer_state;
ipc_handler_fn own_on_stream_open;
ipc_handler_fn own_on_api_request, own_on_api_cancel;

/* A handler's context. */
static inline struct own *
own_of(void *worker)
{
	return ((struct worker *)worker)->state;
}

#endif
