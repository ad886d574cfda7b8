/* Frames out: heads, a client's masks, the order of a message's pieces. */
#include "config.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "net/ws_int.h"

enum { MASK_POOL = 256, WS_PARTS_MAX = 16 };

static int
ws_mask_key(struct ws_conn *ws, uint8_t key[4])
{
	if (ws->masks == NULL)
		ws->masks = malloc(MASK_POOL);
	if (ws->masks == NULL)
		return -ERR_NOMEM;
	if (ws->masks_left < 4) {
		if (RAND_bytes(ws->masks, MASK_POOL) != 1)
			return -ERR_INTERNAL;
		ws->masks_left = MASK_POOL;
	}
	ws->masks_left -= 4;
	memcpy(key, ws->masks + ws->masks_left, 4);
	return 0;
}

/* A client's copy of the payload, masked. NULL without memory. */
static uint8_t *
ws_masked(const struct span *v, size_t count, const struct ws_frame *f)
{
	uint8_t *copy = malloc((size_t)f->len + 1);
	size_t at = 0;

	for (size_t i = 0; copy != NULL && i < count; i++) {
		if (v[i].n > 0)
			memcpy(copy + at, v[i].p, v[i].n);
		at += v[i].n;
	}
	if (copy != NULL)
		ws_mask(copy, at, f->mask, 0);
	return copy;
}

/* Queues one frame; v[0] is left free for its head. */
static int
ws_putv(
    struct ws_conn *ws, uint8_t opcode, bool fin, struct span *v, size_t count)
{
	struct ws_frame f = {.fin = fin, .opcode = opcode};
	uint8_t head[WS_HEAD_MAX];
	uint8_t *masked = NULL;
	int rc;

	for (size_t i = 1; i < count; i++)
		f.len += v[i].n;
	if (f.len > WS_MAX_FRAME)
		return -ERR_TOO_BIG;
	if (ws->role == WS_CLIENT) {
		f.masked = true;
		rc = ws_mask_key(ws, f.mask);
		if (rc < 0)
			return rc;
		masked = ws_masked(v + 1, count - 1, &f);
		if (masked == NULL)
			return -ERR_NOMEM;
		v[1] = (struct span){masked, (size_t)f.len};
		count = 2;
	}
	v[0] = (struct span){head, ws_head_encode(head, &f)};
	rc = tls_conn_writev(ws->conn, v, count);
	v[0] = (struct span){NULL, 0};
	free(masked);
	return rc;
}

int
ws_put(struct ws_conn *ws, uint8_t opcode, bool fin, const void *p, size_t n)
{
	struct span v[2] = {{NULL, 0}, {p, n}};

	return ws_putv(ws, opcode, fin, v, 2);
}

bool
ws_writable(const struct ws_conn *ws)
{
	return ws->conn != NULL && !ws->ended && !ws->freed &&
	       !ws->close_sent && !ws->dropping;
}

static int
ws_send_data(struct ws_conn *ws, uint8_t opcode, const struct span *parts,
    size_t count, bool first, bool last)
{
	struct span v[1 + WS_PARTS_MAX];
	int rc;

	if (!ws_writable(ws))
		return -ERR_CLOSED;
	if (first == ws->sending || count > WS_PARTS_MAX)
		return -ERR_CONFLICT;
	v[1] = (struct span){NULL, 0};
	for (size_t i = 0; i < count; i++)
		v[1 + i] = parts[i];
	rc = ws_putv(
	    ws, first ? opcode : WS_CONT, last, v, 1 + (count ? count : 1));
	if (rc == 0)
		ws->sending = !last;
	return rc;
}

int
ws_send_piecev(struct ws_conn *ws, const struct span *v, size_t count,
    bool first, bool last)
{
	return ws_send_data(ws, WS_BINARY, v, count, first, last);
}

int
ws_send_piece(
    struct ws_conn *ws, const void *p, size_t n, bool first, bool last)
{
	struct span v = {p, n};

	return ws_send_data(ws, WS_BINARY, &v, 1, first, last);
}

int
ws_send(struct ws_conn *ws, const void *p, size_t n)
{
	return ws_send_piece(ws, p, n, true, true);
}

int
ws_send_text(struct ws_conn *ws, const void *p, size_t n, bool first, bool last)
{
	struct span v = {p, n};

	return ws_send_data(ws, WS_TEXT, &v, 1, first, last);
}
