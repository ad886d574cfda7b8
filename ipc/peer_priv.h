/* peer_priv: what stream.c may see of a peer. */
#ifndef IPC_PEER_PRIV_H
#define IPC_PEER_PRIV_H

#include "ipc/pipe.h"
#include "lib/map.h"

struct ipc_peer {
	struct ev_loop *loop;
	const struct ipc_dispatch *dispatch;
	void *worker;
	const enum ipc_phase *phase;
	enum ipc_role role;
	uint32_t index;
	char *name;
	void *data;
	struct ipc_pipe pipes[2]; /* by enum ipc_socket; [1].fd may be -1 */
	struct ev_soon *soon;     /* flushes, ends */
	int8_t handler_at[IPC_N_SPECS_MAX];
	struct map streams; /* (session, stream) -> struct ipc_stream */
	uint64_t opening;   /* key of the STREAM_OPEN being handled, or 0 */
	unsigned busy;      /* inside callbacks: do not free */
	bool ended;         /* no frame is read or sent any more */
	bool gone_told;     /* on_gone was called */
	bool broke;         /* what it sent breaks the contract */
	bool freed;         /* free when busy falls to 0 */
	struct err why;
};

/* Every stream of a lost peer hears on_end(IPC_END_PEER_GONE). */
void ipc_streams_peer_gone(struct ipc_peer *peer, const char *why);

static inline uint64_t
ipc_stream_key(uint32_t session, uint32_t stream)
{
	return (uint64_t)session << 32 | stream;
}

#endif
