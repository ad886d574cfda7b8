/* Frame heads, masking, Close payloads, UTF-8 in pieces. */
#include "config.h"

#include "protocol/ws.h"

#include <string.h>

#include "lib/str.h"

static bool
opcode_known(uint8_t op)
{
	return op <= WS_BINARY || (op >= WS_CLOSE && op <= WS_PONG);
}

/* The length behind the second byte; ext = its extra bytes. */
static int
decode_length(const uint8_t *p, size_t ext, uint64_t *len, struct err *e)
{
	uint64_t v = 0;

	for (size_t i = 0; i < ext; i++)
		v = v << 8 | p[i];
	if (v >> 63 != 0)
		return err_set(e, ERR_INVALID,
		    "A WebSocket frame's length has its top bit set.");
	if (v < (ext == 2 ? 126U : 65536U))
		return err_set(e, ERR_INVALID,
		    "A WebSocket frame's length is not in its shortest form.");
	*len = v;
	return 0;
}

int
ws_head_decode(struct span in, struct ws_frame *out, struct err *e)
{
	size_t ext, head;
	int rc;

	if (in.n < 2)
		return -ERR_TRUNCATED;
	if ((in.p[0] & 0x70) != 0)
		return err_set(e, ERR_INVALID,
		    "A WebSocket frame has reserved bits set; no extension "
		    "was agreed on.");
	memset(out, 0, sizeof(*out));
	out->fin = (in.p[0] & 0x80) != 0;
	out->opcode = in.p[0] & 0x0f;
	out->masked = (in.p[1] & 0x80) != 0;
	out->len = in.p[1] & 0x7f;
	if (!opcode_known(out->opcode))
		return err_set(e, ERR_INVALID,
		    "A WebSocket frame has the unknown opcode %u.",
		    (unsigned)out->opcode);
	if (out->opcode >= WS_CLOSE && (!out->fin || out->len > 125))
		return err_set(e, ERR_INVALID,
		    "A WebSocket control frame is fragmented or too long.");
	ext = out->len == 126 ? 2 : out->len == 127 ? 8 : 0;
	head = 2 + ext + (out->masked ? 4 : 0);
	if (in.n < head)
		return -ERR_TRUNCATED;
	if (ext != 0) {
		rc = decode_length(in.p + 2, ext, &out->len, e);
		if (rc < 0)
			return rc;
	}
	if (out->masked)
		memcpy(out->mask, in.p + 2 + ext, 4);
	out->head_len = head;
	return 0;
}

size_t
ws_head_encode(uint8_t out[WS_HEAD_MAX], const struct ws_frame *f)
{
	size_t ext = f->len < 126 ? 0 : f->len < 65536 ? 2 : 8, n = 2;

	out[0] = (uint8_t)((f->fin ? 0x80 : 0) | (f->opcode & 0x0f));
	out[1] = ext == 0 ? (uint8_t)f->len : ext == 2 ? 126 : 127;
	for (size_t i = ext; i > 0; i--)
		out[n++] = (uint8_t)(f->len >> (8 * (i - 1)));
	if (f->masked) {
		out[1] |= 0x80;
		memcpy(out + n, f->mask, 4);
		n += 4;
	}
	return n;
}

void
ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], uint64_t offset)
{
	uint8_t key[8];
	uint64_t word, k;
	size_t i = 0;

	for (size_t j = 0; j < 8; j++)
		key[j] = mask[(offset + j) & 3];
	memcpy(&k, key, sizeof(k));
	for (; n - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		word ^= k;
		memcpy(p + i, &word, sizeof(word));
	}
	for (; i < n; i++)
		p[i] ^= key[i & 7];
}

int
ws_put_frame(struct buf *out, uint8_t opcode, bool fin, const uint8_t *mask,
    const void *p, size_t n)
{
	struct ws_frame f = {.fin = fin, .opcode = opcode, .len = n};
	uint8_t head[WS_HEAD_MAX];
	size_t head_len;
	int rc;

	if (mask != NULL) {
		f.masked = true;
		memcpy(f.mask, mask, 4);
	}
	head_len = ws_head_encode(head, &f);
	rc = buf_reserve(out, head_len + n);
	if (rc < 0)
		return rc;
	(void)buf_append(out, head, head_len); /* the room is there */
	(void)buf_append(out, p, n);
	if (mask != NULL)
		ws_mask(buf_tail(out) - n, n, mask, 0);
	return 0;
}

bool
ws_close_code_valid(uint16_t code)
{
	return (code >= 1000 && code <= 1003) ||
	       (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

int
ws_close_parse(
    struct span payload, uint16_t *code, struct span *reason, struct err *e)
{
	*code = WS_CLOSE_NO_STATUS;
	*reason = (struct span){payload.p, 0};
	if (payload.n == 0)
		return 0;
	if (payload.n == 1)
		return err_set(e, ERR_INVALID,
		    "A WebSocket Close has a payload of one byte.");
	*code = (uint16_t)(payload.p[0] << 8 | payload.p[1]);
	*reason = (struct span){payload.p + 2, payload.n - 2};
	if (!ws_close_code_valid(*code))
		return err_set(e, ERR_INVALID,
		    "A WebSocket Close has the code %u, which may not be sent.",
		    (unsigned)*code);
	if (!str_utf8_valid(reason->p, reason->n))
		return err_set(e, ERR_INVALID,
		    "The reason of a WebSocket Close is not UTF-8.");
	return 0;
}

/* Begins a sequence; the bounds keep overlong forms and surrogates out. */
static bool
utf8_lead(struct ws_utf8 *u, uint8_t c)
{
	u->lo = 0x80;
	u->hi = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		u->need = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		u->need = 2;
		if (c == 0xe0)
			u->lo = 0xa0;
		else if (c == 0xed)
			u->hi = 0x9f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		u->need = 3;
		if (c == 0xf0)
			u->lo = 0x90;
		else if (c == 0xf4)
			u->hi = 0x8f;
	} else {
		return false;
	}
	return true;
}

bool
ws_utf8_feed(struct ws_utf8 *u, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (u->need == 0) {
			if (p[i] >= 0x80 && !utf8_lead(u, p[i]))
				return false;
			continue;
		}
		if (p[i] < u->lo || p[i] > u->hi)
			return false;
		u->need--;
		u->lo = 0x80;
		u->hi = 0xbf;
	}
	return true;
}

bool
ws_utf8_complete(const struct ws_utf8 *u)
{
	return u->need == 0;
}
