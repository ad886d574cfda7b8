/*
 * pipe: one socket of a peer: bytes and descriptors in, frames out. It knows
 * how descriptors travel (with the first byte of their frame), not what the
 * frames mean.
 */
#ifndef IPC_PIPE_H
#define IPC_PIPE_H

#include "ipc/table.h"
#include "lib/list.h"

enum {
	IPC_PIPE_CHUNK_BYTES = 128 << 10,
	IPC_PIPE_FDS = 2 * IPC_MAX_FDS,
	IPC_QUEUE_MAX_BYTES = 16 << 20,
};

struct ipc_pipe {
	int fd;
	struct ev_io *io;
	struct buf in;
	int in_fds[IPC_PIPE_FDS]; /* arrived, not yet claimed by a frame */
	unsigned n_in_fds;
	struct buf out;
	struct list out_fds; /* descriptors of queued frames */
	uint64_t sent_bytes; /* of everything ever queued */
};

/* Takes fd, also on failure. */
int ipc_pipe_init(
    struct ipc_pipe *p, struct ev_loop *loop, int fd, ev_io_fn *fn, void *arg);
void ipc_pipe_deinit(struct ipc_pipe *p);
/*
 * One read: 1 something came, 0 nothing there, -ERR_CLOSED end of file,
 * -ERR_INVALID more descriptors than a frame can have.
 */
int ipc_pipe_recv(struct ipc_pipe *p, struct err *e);
/* Queues a frame; duplicates of fds wait with it. */
int ipc_pipe_queue(struct ipc_pipe *p, const struct ipc_spec *spec,
    uint8_t flags, uint32_t session, uint32_t stream, const void *payload,
    const int *fds, unsigned n_fds, struct err *e);
/* Writes what the socket takes. 0 all, 1 some is left, -ERR_CLOSED. */
int ipc_pipe_flush(struct ipc_pipe *p);

#endif
