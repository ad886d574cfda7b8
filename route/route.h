/*
 * route: the router of one client socket, as a pure state machine.
 *
 * It stands between one client and up to ROUTE_SLOTS_MAX children. A frontend
 * uses it over clusters (a slot is a configured workload cluster), the own
 * cluster's worker over replicas (a slot is an agent). It makes N children
 * look like one daemon: one answer per question, one version, one id space
 * per direction; and it hides the loss of any child but the default one.
 *
 * It opens nothing, waits for nothing, reads no clock: bytes, events and the
 * time (monotonic ms) come in by calls, bytes and orders go out by callbacks.
 * It trusts neither side: all bytes are checked by protocol/pm_scan.h.
 *
 * Rules: spec/multicluster.md 5 and 6, spec/protocol.md 9-13, the design's
 * 5-7. What happens to a message is decided by ONE table, route/table.c.
 *
 * Contract with the owner
 *  - Callbacks must not call the router (the route_* getters are allowed),
 *    must not free it, and must copy or write what they are given before they
 *    return. Acts that need the router are put off until the call is over.
 *  - Messages come in order per source. A message of up to ROUTE_WHOLE_MAX
 *    bytes is fed whole (first and last set); a larger one in pieces.
 *  - The owner has room for what a call emits: the piece it fed, and at most
 *    ROUTE_OWN_MAX bytes of the router's own messages per receiver. It keeps
 *    to that by not feeding (credits); the router never stores a body.
 *  - Every feeding function returns ROUTE_TAKEN, ROUTE_LATER (nothing was
 *    taken: keep the piece and feed it again after on hold_client(false) or
 *    hold_child(false)), or a negative error: -ERR_CLOSED, the client was
 *    dropped, feed nothing more; -ERR_INVALID, this child has been failed.
 */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "protocol/pm_scan.h"

enum {
	ROUTE_SLOTS_MAX = 64,
	ROUTE_WHOLE_MAX = 64 * 1024,      /* bytes moved whole */
	ROUTE_ASSEMBLE_MAX = 1024 * 1024, /* client messages with a late id */
	ROUTE_OWN_MAX = 128 * 1024,       /* own messages per call, receiver */
	ROUTE_SUBS_MAX = 256,             /* port subscriptions of a socket */
	ROUTE_VERSION_MAX = 64,           /* bytes of a version with its NUL */
	ROUTE_PARTS_MAX = 4,
};

enum { ROUTE_TAKEN = 0, ROUTE_LATER = 1 };

/*
 * Kinds for all clusters move on the traffic path, stateful ones on the path
 * through the stateful worker. Only order within a path is kept.
 */
enum route_path { ROUTE_TRAFFIC, ROUTE_STATEFUL, ROUTE_PATHS };

/* Bytes of one outgoing message: the parts are written one after another. */
struct route_out {
	const struct span *part;
	int n_part; /* 1..ROUTE_PARTS_MAX */
	bool first; /* begins a message */
	bool last;  /* ends it; both: a whole message */
};

/* Why the client's socket must go. */
enum route_drop {
	ROUTE_DROP_LEFT,         /* it said Close: an orderly end */
	ROUTE_DROP_CLOSED,       /* route_close: Close(text) was sent first */
	ROUTE_DROP_PROTOCOL,     /* what it sent breaks the protocol */
	ROUTE_DROP_LIMIT,        /* it went over a limit */
	ROUTE_DROP_DEFAULT_LOST, /* so that it reconnects; nothing was sent */
	ROUTE_DROP_CUT,          /* a child was lost within a large message */
	ROUTE_DROP_NOMEM,
};

/* Why a child must be closed. It counts as lost already. */
enum route_fail {
	ROUTE_FAIL_PROTOCOL, /* what it sent breaks the protocol */
	ROUTE_FAIL_SLOW,     /* it owes an answer for too long */
	ROUTE_FAIL_SILENT,   /* no byte for silence_ms with a Ping open */
	ROUTE_FAIL_VERSION,  /* it joined late with a lower version */
	ROUTE_FAIL_CLOSED,   /* it sent Close(text) */
	ROUTE_FAIL_LIMIT,
};

struct route_ops {
	/* Bytes for a child. Never called for a slot that is not up. */
	void (*to_child)(void *arg, int slot, enum route_path path,
	    const struct route_out *out);
	/*
	 * Bytes for the client. path says which one the kind belongs to; a
	 * frontend ignores it, the worker with replicas sends by it.
	 */
	void (*to_client)(
	    void *arg, enum route_path path, const struct route_out *out);
	/*
	 * Stop (true) or go on reading the client on this path (TRAFFIC alone
	 * unless split_client). A new router's client is held: route_start.
	 */
	void (*hold_client)(void *arg, enum route_path path, bool hold);
	/* Stop or go on reading this child on this path. */
	void (*hold_child)(
	    void *arg, int slot, enum route_path path, bool hold);
	/*
	 * The session's version, once, at the first SwitchProtocolVersion of
	 * any of its sockets: store it. Not called when it was known.
	 */
	void (*settled)(void *arg, const char *version);
	/*
	 * Optional. Asked before a subscription goes out (the owner's port
	 * locks). 0: yes. A negative error: the client gets
	 * PortAlreadyStolen(port) and no child hears of it.
	 */
	int (*may_subscribe)(
	    void *arg, enum pm_space space, uint16_t port, struct span raw);
	/*
	 * Optional. added: the client was told Ok for this port (again, when
	 * the filter changed); raw is its whole message. Not added: the
	 * subscription of this port is gone (unsubscribed, refused after
	 * may_subscribe). Not called when the socket ends: all are gone then.
	 */
	void (*subscription)(void *arg, enum pm_space space, uint16_t port,
	    bool added, struct span raw);
	/*
	 * Drop the client's socket (without a WebSocket close and without a
	 * message of yours) and all child streams. The router is dead after
	 * it. why is a sentence for the log.
	 */
	void (*drop_client)(void *arg, enum route_drop reason, const char *why);
	/*
	 * Close this child's stream: the router has given it up and has done
	 * all that route_child_down does. Re-join it with a back-off.
	 */
	void (*child_failed)(
	    void *arg, int slot, enum route_fail reason, const char *why);
	/* Optional. A child takes part again (or first) from now on. */
	void (*child_live)(void *arg, int slot);
	/*
	 * Optional. Bytes of this child wait at the owner, because the client
	 * takes none: it is neither silent nor slow. Asked before a child is
	 * given up for that.
	 */
	bool (*child_waits)(void *arg, int slot);
	/*
	 * Optional: the daemon-wide pool for assembled client messages. false
	 * refuses (the socket is dropped). What was taken is given back.
	 */
	bool (*pool_take)(void *arg, size_t n);
	void (*pool_give)(void *arg, size_t n);
};

struct route_config {
	int n_slots;      /* 1..ROUTE_SLOTS_MAX; stored with the session */
	int default_slot; /* the one that answers stateful requests */
	/*
	 * The client is a frontend reached on two paths (replica router), so
	 * that pieces of the two are independent of each other.
	 */
	bool split_client;
	/* Children are reached on two paths (cluster router). Else one: feed
	 * everything as ROUTE_TRAFFIC, ignore to_child's path. */
	bool split_children;
	/* Put "[name] " before LogMessages of children but the default. */
	bool prefix_logs;
	const char *own_version; /* "1.29.0"; copied */
	const char *settled;     /* the session's version if it has one; copied;
				    NULL or "" = none yet */
	uint64_t session_id;     /* for log lines only */
	uint32_t seed;           /* of the jitter */
	/* 0 = the default in brackets */
	uint32_t answer_ms;       /* others' answers [2000] */
	uint32_t default_ms;      /* the default's answers [10000] */
	uint32_t pong_ms;         /* Pong for a busy default [5000] */
	uint32_t lost_default_ms; /* until the client is dropped [15000] */
	uint32_t keepalive_ms; /* own Pings when the client is mute [20000] */
	uint32_t silence_ms;   /* a child is lost after [60000] */
};

/* Counted since route_new; for metrics and tests. */
struct route_stats {
	uint64_t to_children;      /* messages */
	uint64_t to_client;        /* messages */
	uint64_t dropped_stateful; /* answers of children never asked */
	uint64_t dropped_late;     /* ids of an earlier epoch, or no child */
	uint64_t dropped_kind;     /* kinds the table drops */
	uint64_t dropped_logs;     /* before ReadyForLogs, or too long */
	uint64_t dropped_pongs;    /* nobody asked */
	uint64_t dropped_results;  /* SubscribeResults nobody waits for */
	uint64_t refused_conns;    /* over the limit of open ids */
	uint64_t children_lost;
};

struct route;

/* cfg and ops are copied, names too. NULL with *e set. */
struct route *route_new(const struct route_config *cfg,
    const struct route_ops *ops, void *arg, struct err *e);
void route_free(struct route **r); /* calls no callback but pool_give */

/*
 * A slot's name in texts for the developer (cluster or replica). Copied; at
 * most 63 bytes are kept. May be set at any time.
 */
void route_set_name(struct route *r, int slot, const char *name);
/*
 * The protocol version a child's operator is known to speak (its operator
 * object), so that it need not be found out by asking. NULL = not known.
 */
int route_set_child_version(
    struct route *r, int slot, const char *version, struct err *e);
/* Another socket of the session settled its version. */
int route_set_settled(struct route *r, const char *version, struct err *e);
/*
 * Where a child's ids begin (spec/multicluster.md 5.3). get: the base its next
 * agent must have, that is one more than the largest seen. set: only while
 * the slot is down, and never lowers. space is MIRROR or STEAL.
 */
uint64_t route_get_base(const struct route *r, int slot, enum pm_space space);
int route_set_base(
    struct route *r, int slot, enum pm_space space, uint64_t base);

/*
 * The children that take part from the beginning are up: read the client. One
 * that comes up later joins as a lost one does. Without a live default the
 * client stays held, and is dropped after lost_default_ms.
 */
void route_start(struct route *r, uint64_t now_ms);
/*
 * A child's stream is open and new. Before route_start, or when the client has
 * not negotiated: it takes part at once. Else version, ReadyForLogs and all
 * recorded subscriptions are replayed first. For the default after a loss:
 * the client is dropped. One that was up and not reported down is lost first.
 */
void route_child_up(struct route *r, int slot, uint64_t now_ms);
/* A child's stream ended. why is shown to the developer ("reset", ...). */
void route_child_down(
    struct route *r, int slot, const char *why, uint64_t now_ms);
/* The client's socket ended: nothing is emitted any more. */
void route_client_gone(struct route *r);
/* End the session from our side: DaemonMessage Close(text), then drop. */
void route_close(struct route *r, const char *text, uint64_t now_ms);
/*
 * A standing condition of a slot, such as a cluster that was missing from the
 * start: told as a warning now (if the client takes logs) and again after each
 * ReadyForLogs, until set to NULL or until the child takes part. Copied; at
 * most 255 bytes are kept. A child's loss sets one by itself.
 */
void route_condition_set(struct route *r, int slot, const char *text);

/*
 * Feed one piece. path: with split_client or split_children the one that
 * route_is_stateful tells for its kind (it is checked), else ROUTE_TRAFFIC.
 */
int route_from_client(struct route *r, enum route_path path, const uint8_t *p,
    size_t n, bool first, bool last, uint64_t now_ms);
int route_from_child(struct route *r, int slot, enum route_path path,
    const uint8_t *p, size_t n, bool first, bool last, uint64_t now_ms);

/* Time limits: call route_tick when route_next_deadline has come. */
void route_tick(struct route *r, uint64_t now_ms);
/* Absolute ms; UINT64_MAX = none. May change with every call. */
uint64_t route_next_deadline(const struct route *r);

bool route_client_held(const struct route *r, enum route_path path);
bool route_child_held(const struct route *r, int slot, enum route_path path);
bool route_child_is_live(const struct route *r, int slot);
bool route_is_dead(const struct route *r); /* drop_client was called */
/* What the client negotiated on this socket; "1.2.2" before. */
const char *route_client_version(const struct route *r);
const struct route_stats *route_stats(const struct route *r);

/*
 * For cluster workers: the path of a message whose head is known, by the same
 * table. Cluster workers pick a child's message's path by it.
 */
bool route_is_stateful(enum pm_dir dir, const struct pm_route *m);

#endif
