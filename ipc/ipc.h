/*
 * ipc: typed messages between the processes of the daemon (design §5).
 *
 * A frame is a 16-byte header (type, flags, descriptors, length, session,
 * stream; little endian) and a payload whose fields stand in payloads.def. Who
 * sent a message is known by the socket it came on. Before a handler runs: type
 * known, socket right, sender allowed, phase legal, every field inside its
 * limit, no trailing bytes, at most the declared number of descriptors. Any
 * failure ends the peer with a reason that names it.
 */
#ifndef IPC_IPC_H
#define IPC_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/payloads.def"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/ev.h"

enum ipc_role {
	IPC_SUP,
	IPC_FE,
	IPC_SF,
	IPC_SEC,
	IPC_CON,
	IPC_CLU,
	IPC_OWN,
	IPC_N_ROLES
};
/* "supervisor", "frontend", ... */
const char *ipc_role_name(enum ipc_role role);

/* on_gone's reason when the other side just closed; it broke no rule. */
#define IPC_WHY_CLOSED "closed by the other side"

enum ipc_phase { IPC_PHASE_START, IPC_PHASE_RUN, IPC_PHASE_DRAIN };

enum ipc_type {
#define IPC_MSG(NAME, name, id, ...) IPC_##NAME = id,
#include "ipc/messages.def"
#undef IPC_MSG
};

enum {
	IPC_HEADER_BYTES = 16,
	IPC_FIRST = 1, /* STREAM_DATA: a protocol message begins here */
	IPC_LAST = 2,  /* STREAM_DATA: ... and ends here */
	IPC_MAX_FDS = 4,
	IPC_MAX_PAYLOAD_BYTES = (1 << 20) + 65536,
};

struct ipc_header {
	uint16_t type;
	uint8_t flags;
	uint8_t n_fds;   /* descriptors that travel with the frame */
	uint32_t length; /* of the payload */
	uint32_t session;
	uint32_t stream;
};

typedef uint8_t ipc_c_u8;
typedef uint16_t ipc_c_u16;
typedef uint32_t ipc_c_u32;
typedef uint64_t ipc_c_u64;
typedef const char *ipc_c_str; /* NULL is sent as "" */
typedef struct span ipc_c_bytes;

/* struct ipc_stream_data { struct span data; }, and so on for every message */
#define IPC_FIELD(type, field, max) ipc_c_##type field;
#define IPC_MSG(NAME, name, ...)             \
	struct ipc_##name {                  \
		IPC_FIELDS_##name(IPC_FIELD) \
	};
#include "ipc/messages.def"
#undef IPC_MSG
#undef IPC_FIELD

/* The name in messages.def, or "?". */
const char *ipc_type_name(uint16_t type);
/* A hash over both tables: two builds that differ refuse to talk. */
uint64_t ipc_table_hash(void);

/* ---- one peer: a data and a control socket ---- */

struct ipc_peer;

/*
 * A received message. Descriptors not taken (set to -1) by the handler are
 * closed after it. A handler returns 0, or a negative code: then the peer is
 * ended with that reason (a broken contract), never for a failed request.
 */
struct ipc_in {
	struct ipc_peer *peer;
	struct ipc_header header;
	const void *payload; /* struct ipc_<name> */
	int *fds;
	unsigned n_fds;
};
typedef int ipc_handler_fn(void *worker, struct ipc_in *in, struct err *e);

struct ipc_handler {
	uint16_t type;
	ipc_handler_fn *fn;
};

/*
 * A worker's dispatch table. In workers/x/dispatch.c:
 *
 *   #define IPC_MSG(NAME, name, id, s, p, fds, sup, fe, sf, sec, con, clu, own)
 * \ IPC_KEEP_IF(fe)(IPC_##NAME, fe_on_##name) static const struct ipc_handler
 * handlers[] = { #include "ipc/messages.def"
 *   };
 *
 * so that a message addressed to the worker without a handler, and a handler
 * without a message, do not compile.
 */
#define IPC_CAT_(a, b) a##b
#define IPC_KEEP_IF(column) IPC_CAT_(IPC_COLUMN_, column)
#define IPC_COLUMN_NO IPC_SKIP_ROW
#define IPC_COLUMN_BY(senders) IPC_KEEP_ROW
#define IPC_SKIP_ROW(type, fn)
#define IPC_KEEP_ROW(type, fn) {type, fn},

struct ipc_dispatch {
	enum ipc_role self;
	const struct ipc_handler *handlers;
	size_t n_handlers;
	/* The peer is gone (why) or was ended; free what belongs to it. The
	 * peer is freed after the call. */
	void (*on_gone)(void *worker, struct ipc_peer *peer, const char *why);
};

/*
 * Takes both descriptors (ctrl_fd = -1: one socket carries both kinds, as to
 * the supervisor). phase points to the worker's current phase. NULL on
 * failure, descriptors closed.
 */
struct ipc_peer *ipc_peer_new(struct ev_loop *loop,
    const struct ipc_dispatch *d, void *worker, const enum ipc_phase *phase,
    enum ipc_role role, uint32_t index, const char *name, int data_fd,
    int ctrl_fd, struct err *e);
void ipc_peer_free(struct ipc_peer **peer);
enum ipc_role ipc_peer_role(const struct ipc_peer *peer);
uint32_t ipc_peer_index(const struct ipc_peer *peer);
const char *ipc_peer_name(const struct ipc_peer *peer);
/* For the owner's own use. */
void ipc_peer_set_data(struct ipc_peer *peer, void *data);
void *ipc_peer_data(const struct ipc_peer *peer);

/*
 * Queues one message. The fields are checked against their limits; fds are
 * duplicated, the caller keeps his. -ERR_TOO_BIG when a field or the peer's
 * queue (16 MiB) is over its limit; the peer is then ended from the loop.
 */
int ipc_send(struct ipc_peer *peer, enum ipc_type type, uint16_t flags,
    uint32_t session, uint32_t stream, const void *payload, const int *fds,
    unsigned n_fds);
/* Bytes queued and not yet written, both sockets. */
size_t ipc_peer_queued_bytes(const struct ipc_peer *peer);
/*
 * Writes now what the sockets take; for a last word before the process ends
 * (else the loop does it). 0 all is written, 1 some is left, negative: lost.
 */
int ipc_peer_flush(struct ipc_peer *peer);
/* In on_gone: it ended because what it sent breaks the contract. */
bool ipc_peer_broke(const struct ipc_peer *peer);
/* End the peer from inside a callback; on_gone runs from the loop. */
void ipc_peer_end(struct ipc_peer *peer, const char *why);

/* One line "NAME session=.. stream=.. field=value ..." for debug logs. */
void ipc_print(
    const struct ipc_header *h, const void *payload, struct buf *out);
/* The pure codec, also for tests and fuzzing. */
int ipc_encode(enum ipc_type type, uint16_t flags, uint32_t session,
    uint32_t stream, const void *payload, struct buf *out);
/* 0, -ERR_TRUNCATED (wait), -ERR_INVALID. payload_r needs IPC_STRUCT_BYTES. */
int ipc_decode(const uint8_t *p, size_t n, struct ipc_header *header_r,
    void *payload_r, size_t *used_r, struct err *e);
enum { IPC_STRUCT_BYTES = 512 };

#endif
