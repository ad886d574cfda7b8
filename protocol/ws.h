/*
 * ws: WebSocket (RFC 6455) frames and handshake values, pure. The parser gives
 * a big message away in the pieces in which it arrives and never assembles
 * one; control frames come whole. It unmasks in place. Strict: reserved bits,
 * unknown opcodes, long lengths in a longer form than needed, fragmented or
 * long control frames and masking against the role are errors.
 */
#ifndef PROTOCOL_WS_H
#define PROTOCOL_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"

enum ws_opcode {
	WS_CONT = 0x0,
	WS_TEXT = 0x1,
	WS_BINARY = 0x2,
	WS_CLOSE = 0x8,
	WS_PING = 0x9,
	WS_PONG = 0xa,
};

enum ws_role { WS_SERVER, WS_CLIENT }; /* which end WE are */

enum ws_close_code {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_GOING_AWAY = 1001,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_UNSUPPORTED = 1003, /* a kind of data we don't take */
	WS_CLOSE_NO_STATUS = 1005,   /* never sent: an empty Close */
	WS_CLOSE_BAD_DATA = 1007,    /* text that is not UTF-8 */
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL = 1011,
};

enum {
	WS_HEAD_MAX = 14,
	WS_CONTROL_MAX = 125,
	WS_MAX_FRAME = 16 << 20, /* spec/protocol.md §1 */
	WS_MAX_MESSAGE = 64 << 20,
	WS_KEY_SIZE = 25,    /* base64 of 16 bytes and a NUL */
	WS_ACCEPT_SIZE = 29, /* base64 of a SHA-1 and a NUL */
};

struct ws_frame {
	bool fin;
	uint8_t opcode;
	bool masked;
	uint8_t mask[4];
	uint64_t len;
	size_t head_len; /* set by ws_head_decode */
};

/*
 * The head at the front of in. -ERR_TRUNCATED: wait for more (at most
 * WS_HEAD_MAX bytes are ever needed). -ERR_INVALID.
 */
int ws_head_decode(struct span in, struct ws_frame *out, struct err *e);
/* Writes the shortest form; returns its length. */
size_t ws_head_encode(uint8_t out[WS_HEAD_MAX], const struct ws_frame *f);
/* Masks or unmasks in place; offset = bytes of this frame before p. */
void ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], uint64_t offset);

/* A whole frame appended to out; mask NULL for the server's. */
int ws_put_frame(struct buf *out, uint8_t opcode, bool fin, const uint8_t *mask,
    const void *p, size_t n);

bool ws_close_code_valid(uint16_t code); /* may it be on the wire? */
/*
 * The payload of a Close. Empty: code WS_CLOSE_NO_STATUS. -ERR_INVALID for one
 * byte, a code that may not be sent, a reason that is not UTF-8.
 */
int ws_close_parse(
    struct span payload, uint16_t *code, struct span *reason, struct err *e);

/* Checks UTF-8 that comes in pieces. Zeroed = at the start. */
struct ws_utf8 {
	uint8_t need;   /* continuation bytes still missing */
	uint8_t lo, hi; /* what the next one may be */
};
bool ws_utf8_feed(struct ws_utf8 *u, const uint8_t *p, size_t n);
bool ws_utf8_complete(const struct ws_utf8 *u);

struct ws_policy {
	enum ws_role role;
	bool allow_text; /* the operator's endpoint takes binary only */
	uint64_t max_frame_bytes;   /* 0 = WS_MAX_FRAME */
	uint64_t max_message_bytes; /* 0 = WS_MAX_MESSAGE */
};

enum ws_event_kind {
	WS_EV_NONE,    /* wait for more bytes */
	WS_EV_PIECE,   /* a part of a data message */
	WS_EV_CONTROL, /* a whole Close, Ping or Pong */
};

struct ws_event {
	enum ws_event_kind kind;
	uint8_t opcode;    /* of the message (never WS_CONT) or control frame */
	bool first, last;  /* of the message; a piece may be empty if last */
	struct span bytes; /* borrowed from the input or the parser, unmasked */
};

struct ws_parser {
	struct ws_policy policy;
	struct ws_frame frame;
	bool in_frame;      /* the head is read, the payload is not done */
	bool in_message;    /* a data message is under way */
	bool message_begun; /* its first piece has been given away */
	uint8_t message_op;
	uint64_t frame_done; /* payload bytes of the frame taken so far */
	uint64_t message_bytes;
	struct ws_utf8 utf8;
	uint16_t close_code; /* after an error: what to close with */
};

void ws_parser_init(struct ws_parser *p, const struct ws_policy *policy);
/*
 * One event from the n bytes at in, which are unmasked in place; *used of them
 * are done with after the event is handled. Call until WS_EV_NONE. A head or
 * control frame that is not whole is left (at most WS_HEAD_MAX +
 * WS_CONTROL_MAX bytes); data never is. -ERR_INVALID, -ERR_TOO_BIG,
 * -ERR_UNSUPPORTED: p->close_code says what to send; use p no more.
 */
int ws_parser_next(struct ws_parser *p, uint8_t *in, size_t n, size_t *used,
    struct ws_event *ev, struct err *e);

struct http_head;

/* Is key base64 of exactly 16 bytes? */
bool ws_key_valid(const char *key);
/* Sec-WebSocket-Accept for a key. -ERR_INVALID for a bad key. */
int ws_accept_value(const char *key, char out[WS_ACCEPT_SIZE]);
int ws_key_make(char out[WS_KEY_SIZE]); /* random; -ERR_INTERNAL */
/*
 * The server's side: checks the request (GET, HTTP/1.1, Upgrade, Connection,
 * version 13, key, no body) and that subprotocol, if not NULL, is offered.
 * -ERR_INVALID with a sentence (answer 400; 426 if *code_r says so).
 */
int ws_check_request(const struct http_head *h, const char *subprotocol,
    char accept[WS_ACCEPT_SIZE], int *code_r, struct err *e);
/* The client's side: checks a 101 answer. -ERR_INVALID. */
int ws_check_response(const struct http_head *h, const char *key,
    const char *subprotocol, struct err *e);

#endif
