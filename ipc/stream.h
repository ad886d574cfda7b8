/*
 * ipc stream: one protocol stream over one peer, with credits (design §5).
 *
 * Credits count bytes of STREAM_DATA per stream and direction. A sender never
 * sends more than its room; the receiver grants again what it has passed on.
 * A stream starts with IPC_WINDOW_START_BYTES (or its share of the budget) and
 * grows to IPC_WINDOW_MAX_BYTES while its reader keeps up; what all streams of
 * a budget were granted never exceeds it, and idle growth is taken back when
 * the budget gets tight.
 *
 * Both sides count on IPC_WINDOW_FLOOR_BYTES from the first moment; the rest
 * of the start is granted as soon as the other side is known to have the
 * stream: at once by the side that is handling STREAM_OPEN (make the stream
 * inside that handler), with the first frame that comes back by the other.
 *
 * A piece of a message may be of any size: a reader that assembles messages
 * must call ipc_stream_consumed for the pieces it keeps, or a message larger
 * than the window never ends.
 */
#ifndef IPC_STREAM_H
#define IPC_STREAM_H

#include "ipc/ipc.h"

enum {
	IPC_WINDOW_START_BYTES = 32 << 10,
	IPC_WINDOW_FLOOR_BYTES = 4 << 10,
	IPC_WINDOW_MAX_BYTES = 256 << 10,
	IPC_SESSION_BUDGET_BYTES = 1 << 20,
	IPC_END_PEER_GONE = 0xffff, /* on_end's code: the peer itself is gone */
};

/* A pool of bytes that may be granted; budgets nest (session in daemon). */
struct ipc_budget {
	struct ipc_budget *parent; /* may be NULL */
	size_t limit_bytes;
	size_t granted_bytes;
};

struct ipc_stream;

struct ipc_stream_ops {
	/* A piece of a message came; call ipc_stream_consumed when passed on */
	void (*on_piece)(
	    void *arg, const uint8_t *p, size_t n, bool first, bool last);
	void (*on_opened)(void *arg, const char *version);
	void (*on_room)(void *arg); /* room came (more or the first) */
	/* The other side ended it: in order (code 0) or not, or the peer is
	 * gone. The stream is dead and its peer forgotten; free it. */
	void (*on_end)(void *arg, uint16_t code, const char *text);
};

/*
 * Registers with the peer: (session, stream) frames of it come here. NULL
 * when the budget has not even the floor left, the pair is taken, or there is
 * no memory: refuse the stream.
 */
struct ipc_stream *ipc_stream_new(struct ipc_peer *peer, uint32_t session,
    uint32_t stream, struct ipc_budget *budget,
    const struct ipc_stream_ops *ops, void *arg);
void ipc_stream_free(struct ipc_stream **s); /* silently; send end first */
/* Bytes that may be sent now. */
size_t ipc_stream_room(const struct ipc_stream *s);
/* n <= room, else -ERR_TOO_BIG and nothing is sent. -ERR_CLOSED when dead. */
int ipc_stream_send(
    struct ipc_stream *s, const uint8_t *p, size_t n, bool first, bool last);
/* n received bytes were passed on: the sender may send as many again. */
void ipc_stream_consumed(struct ipc_stream *s, size_t n);
int ipc_stream_end(struct ipc_stream *s, uint16_t code, const char *text);
int ipc_stream_reset(struct ipc_stream *s, uint16_t code, const char *text);
uint32_t ipc_stream_session(const struct ipc_stream *s);
uint32_t ipc_stream_number(const struct ipc_stream *s);
struct ipc_peer *ipc_stream_peer(const struct ipc_stream *s); /* NULL: dead */
/* What the other side may hold and send: window granted to it, in bytes. */
size_t ipc_stream_window(const struct ipc_stream *s);

/*
 * A worker's x_on_stream_data, _credit, _end, _reset and _opened handlers
 * call this; an unknown stream is ignored (it may just have ended).
 */
int ipc_stream_dispatch(struct ipc_in *in, struct err *e);

#endif
