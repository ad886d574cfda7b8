#include "config.h"

#include <string.h>
#include <sys/types.h>

#include "ipc/pieces.h"

enum {
	PIECE_HEAD_BYTES = 5,
	PIECE_MAX_SEND_BYTES = 65536,
	/* Pieces of one message join up to this, so that heads stay cheap. */
	PIECE_JOIN_BYTES = 16384,
};

void
ipc_pieces_init(struct ipc_pieces *q, size_t max_bytes)
{
	/* Heads come on top. Who sends so many tiny messages that they
	 * outweigh the payload is over the limit too. */
	buf_init(&q->bytes, max_bytes * 2 + 4096);
	q->payload_bytes = q->tail_bytes = 0;
}

void
ipc_pieces_free(struct ipc_pieces *q)
{
	buf_free(&q->bytes);
	q->payload_bytes = q->tail_bytes = 0;
}

static void
piece_head_put(uint8_t *head, size_t n, bool first, bool last)
{
	uint32_t len = (uint32_t)n;

	memcpy(head, &len, sizeof(len));
	head[4] = (uint8_t)((first ? IPC_FIRST : 0) | (last ? IPC_LAST : 0));
}

/* Adds to the last piece when it is of the same message and small. */
static bool
piece_join(struct ipc_pieces *q, const uint8_t *p, size_t n, bool last)
{
	size_t len = q->tail_bytes - PIECE_HEAD_BYTES;
	uint8_t *head;

	if (q->tail_bytes == 0 || len + n > PIECE_JOIN_BYTES)
		return false;
	head = buf_data(&q->bytes) + (q->bytes.len - q->tail_bytes);
	if ((head[4] & IPC_LAST) != 0 || buf_append(&q->bytes, p, n) < 0)
		return false;
	/* It may stand elsewhere now. */
	head = buf_data(&q->bytes) + (q->bytes.len - q->tail_bytes - n);
	piece_head_put(head, len + n, (head[4] & IPC_FIRST) != 0, last);
	q->tail_bytes += n;
	q->payload_bytes += n;
	return true;
}

int
ipc_pieces_push(
    struct ipc_pieces *q, const uint8_t *p, size_t n, bool first, bool last)
{
	uint8_t head[PIECE_HEAD_BYTES];
	int rc;

	if (n > UINT32_MAX)
		return -ERR_TOO_BIG;
	if (!first && piece_join(q, p, n, last))
		return 0;
	rc = buf_reserve(&q->bytes, sizeof(head) + n);
	if (rc < 0)
		return rc;
	piece_head_put(head, n, first, last);
	buf_append(&q->bytes, head, sizeof(head)); /* room is reserved */
	buf_append(&q->bytes, p, n);
	q->payload_bytes += n;
	q->tail_bytes = sizeof(head) + n;
	return 0;
}

/* Sends up to the stream's room of one piece. Bytes sent, or negative. */
static ssize_t
piece_send(
    struct ipc_stream *s, const uint8_t *p, size_t n, bool first, bool last)
{
	size_t done = 0;

	do {
		size_t room = ipc_stream_room(s), len = n - done;
		int rc;

		if (len > PIECE_MAX_SEND_BYTES)
			len = PIECE_MAX_SEND_BYTES;
		if (len > room)
			len = room;
		if (len == 0 && n > 0)
			break;
		rc = ipc_stream_send(s, p + done, len, first && done == 0,
		    last && done + len == n);
		if (rc < 0)
			return rc;
		done += len;
	} while (done < n);
	return (ssize_t)done;
}

bool
ipc_pieces_front(const struct ipc_pieces *q, struct span *bytes_r,
    bool *first_r, bool *last_r)
{
	const uint8_t *head = buf_data(&q->bytes);
	uint32_t n;

	if (q->bytes.len == 0)
		return false;
	memcpy(&n, head, sizeof(n));
	*bytes_r = (struct span){head + PIECE_HEAD_BYTES, n};
	*first_r = (head[4] & IPC_FIRST) != 0;
	*last_r = (head[4] & IPC_LAST) != 0;
	return true;
}

void
ipc_pieces_pop(struct ipc_pieces *q, size_t n)
{
	uint8_t *head = buf_data(&q->bytes);
	bool last = (head[4] & IPC_LAST) != 0;
	bool only = q->bytes.len == q->tail_bytes;
	uint32_t len;

	memcpy(&len, head, sizeof(len));
	if (n >= len) {
		q->payload_bytes -= len;
		buf_consume(&q->bytes, PIECE_HEAD_BYTES + len);
		if (only)
			q->tail_bytes = 0;
	} else if (n > 0) {
		/* Move the head up to the rest of the piece. */
		q->payload_bytes -= n;
		piece_head_put(head + n, len - n, false, last);
		buf_consume(&q->bytes, n);
		if (only)
			q->tail_bytes -= n;
	}
}

ssize_t
ipc_pieces_flush(struct ipc_pieces *q, struct ipc_stream *s)
{
	size_t total = 0;
	struct span bytes;
	bool first, last;

	while (ipc_pieces_front(q, &bytes, &first, &last)) {
		ssize_t sent = piece_send(s, bytes.p, bytes.n, first, last);

		if (sent < 0)
			return sent;
		total += (size_t)sent;
		if (sent == 0 && bytes.n > 0)
			break;
		ipc_pieces_pop(q, (size_t)sent);
	}
	return (ssize_t)total;
}

ssize_t
ipc_pieces_send(struct ipc_pieces *q, struct ipc_stream *s, const uint8_t *p,
    size_t n, bool first, bool last)
{
	ssize_t sent = 0;
	int rc;

	if (ipc_pieces_empty(q)) {
		sent = piece_send(s, p, n, first, last);
		if (sent < 0 || (size_t)sent == n)
			return sent;
	}
	rc = ipc_pieces_push(
	    q, p + sent, n - (size_t)sent, first && sent == 0, last);
	return rc < 0 ? rc : sent;
}
