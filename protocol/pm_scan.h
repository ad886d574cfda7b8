/*
 * pm_scan: finds the end, the kind and the ids of a message without decoding
 * it. The router's view of a message: it walks the same tables as the decoder
 * but keeps only where it is, so that it can stop and go on at any byte, has a
 * fixed size, allocates nothing and skips bodies by their length. Text is not
 * checked: the final receiver does that. All structure is (indexes, markers,
 * option and bool bytes, depth), so that a stream never loses its step.
 */
#ifndef PROTOCOL_PM_SCAN_H
#define PROTOCOL_PM_SCAN_H

#include "protocol/mirrord.h"

#define PM_NONE 0xff /* no variant at this level, or not seen yet */

/* The spaces connection ids live in (§10), chosen by the outer variant. */
enum pm_space {
	PM_SPACE_NONE,
	PM_SPACE_MIRROR, /* Tcp */
	PM_SPACE_STEAL,  /* TcpSteal */
	PM_SPACE_TCP,    /* TcpOutgoing */
	PM_SPACE_UDP,    /* UdpOutgoing */
	PM_SPACE_SEQ,    /* SeqpacketOutgoing */
};

/*
 * What is known of a message so far. kind, sub and sub2 are the variant
 * indexes of level 1 to 3: PM_ClientMessage_TcpSteal,
 * PM_LayerTcpSteal_HttpResponseChunked, PM_ChunkedResponse_Body. A level that
 * is no enum (or a result) is PM_NONE.
 */
struct pm_route {
	uint8_t kind, sub, sub2;
	bool
	    head_known; /* kind, sub, sub2, is_err, err_tag, carries_id final */
	bool is_err;    /* the message's (first) result is an error */
	uint8_t err_tag; /* PM_ResponseError_...; PM_NONE without an error */
	bool carries_id; /* a connection id is in it, or still to come */
	bool id_known;   /* space, id, id_offset, id_len are set */
	bool id_last;    /* with carries_id: the id comes after the body */
	enum pm_space space;
	uint64_t id;
	uint64_t id_offset; /* of its first byte, from the message's start */
	uint8_t id_len;     /* its encoded length in bytes */
	bool has_uid;       /* ConnectV2: uid is set */
	struct pm_uid uid;
	bool has_port; /* subscribe, unsubscribe, SubscribeResult and errors */
	uint16_t port;
	uint32_t since; /* newest `since` seen so far, see pm_version.h */
};

struct pm_type;
struct pm_field;

/* One unfinished level: fields still to come, or equal items still to come. */
struct pm_scan_level {
	const struct pm_field *fields;
	const struct pm_type *item; /* NULL with fields */
	uint64_t left;
};

/* 2 per nested Composite, and what the messages need without any. */
#define PM_SCAN_LEVELS (2 * PM_COMPOSITE_DEPTH + 16)

/* Opaque; lives in its owner. */
struct pm_scan {
	struct pm_route route;
	enum pm_dir dir;
	bool done;
	bool failed;
	uint8_t head;       /* enum pm_head: what the head still waits for */
	uint8_t composites; /* nested right now */
	uint8_t top;        /* levels in use */
	uint8_t num_len;
	uint8_t num[17];            /* a number, while it is gathered */
	uint64_t offset;            /* bytes of the message eaten */
	uint64_t skip;              /* body bytes still to be skipped */
	const struct pm_type *type; /* of the value that comes next, or NULL */
	struct pm_scan_level level[PM_SCAN_LEVELS];
};

/* Ready for the first byte of a message; also to begin the next one. */
void pm_scan_init(struct pm_scan *s, enum pm_dir dir);
/*
 * Eats one piece. 0: the message is complete and *used_r bytes of this piece
 * belong to it; -ERR_TRUNCATED: all n are eaten, more is wanted;
 * -ERR_INVALID: no message, e->offset counts from the message's start; the
 * stream cannot be used any more. n may be 0, e may be NULL.
 */
int pm_scan_feed(struct pm_scan *s, const uint8_t *p, size_t n, size_t *used_r,
    struct err *e);
const struct pm_route *pm_scan_route(const struct pm_scan *s);
/* Bytes of the message eaten so far, over all pieces. */
uint64_t pm_scan_offset(const struct pm_scan *s);

/*
 * The same for a message that is in one piece; bytes behind it do not count.
 * On -ERR_TRUNCATED *out holds what the prefix told (head_known, id_known).
 */
int pm_shallow(enum pm_dir dir, const uint8_t *p, size_t n,
    struct pm_route *out, struct err *e);

#endif
