/*
 * pieces: message pieces that wait for room, with their boundaries. A queue
 * is bounded by the window its pieces were granted from.
 */
#ifndef IPC_PIECES_H
#define IPC_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/stream.h"
#include "lib/buf.h"

struct ipc_pieces {
	struct buf bytes; /* records: u32 length, u8 flags, bytes */
	size_t payload_bytes;
	size_t tail_bytes; /* of the last record, its head included */
};

void ipc_pieces_init(struct ipc_pieces *q, size_t max_bytes);
void ipc_pieces_free(struct ipc_pieces *q);
/*
 * -ERR_TOO_BIG when the queue would exceed its maximum. Small pieces of one
 * message may come out as one.
 */
int ipc_pieces_push(
    struct ipc_pieces *q, const uint8_t *p, size_t n, bool first, bool last);
/*
 * Sends from the front while s has room, cutting a piece where it ends.
 * Returns the payload bytes sent, or a negative code.
 */
ssize_t ipc_pieces_flush(struct ipc_pieces *q, struct ipc_stream *s);
/* The piece at the front, borrowed until the next call; false when empty. */
bool ipc_pieces_front(const struct ipc_pieces *q, struct span *bytes_r,
    bool *first_r, bool *last_r);
/* Drops the first n bytes of the front piece, and the piece with its last. */
void ipc_pieces_pop(struct ipc_pieces *q, size_t n);
static inline bool
ipc_pieces_empty(const struct ipc_pieces *q)
{
	return q->bytes.len == 0;
}

/*
 * Sends what fits right now and queues the rest. Returns the payload bytes
 * sent now (they may be granted again to their source), or a negative code.
 */
ssize_t ipc_pieces_send(struct ipc_pieces *q, struct ipc_stream *s,
    const uint8_t *p, size_t n, bool first, bool last);

#endif
