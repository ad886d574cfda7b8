/*
 * route_int: what the files of route/ share, prefix rt_. Nobody else includes
 * it, but for the unit tests of the arithmetic and the table.
 *
 * emit.c    bytes out, own messages behind a large one, holding the sources
 * pieces.c  bytes in: whole messages and pieces, scanning, rewriting ids
 * decide.c  where a message goes once its head is known
 * table.c   the table: where each kind goes
 * kinds.c   the small handlers of the table
 * ids.c     id arithmetic and the ids that are open
 * version.c the negotiation; ping.c, logs.c, subscribe.c, replay.c likewise
 * loss.c    children that come and go, the default's loss
 * route.c   life, getters, time limits
 */
#ifndef ROUTE_ROUTE_INT_H
#define ROUTE_ROUTE_INT_H

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/list.h"
#include "protocol/mirrord.h"
#include "protocol/pm_msg.h"
#include "protocol/pm_scan.h"
#include "route/route.h"

enum {
	IDS_SPACES = 2,        /* mirror, steal */
	IDS_OPEN_MAX = 8192,   /* open ids of one child in one space */
	DYING_PER_CALL = 1024, /* Close messages sent at once after a loss */
	OWN_PEND_MAX = 64 * 1024,
	OWN_PEND_LOGS = 32 * 1024, /* logs are dropped above this */
	SUBS_BYTES_MAX = 128 * 1024,
	SUBQ_MAX = 2 * ROUTE_SUBS_MAX,
	NAME_MAX_BYTES = 64,
	CONDITION_MAX = 256,
	TEXT_MAX = 480, /* of a line for the developer */
	PING_RING = 16,
	RETRY_FIRST_MS = 250,
	RETRY_MAX_MS = 4000,
};

#define NEVER UINT64_MAX
#define VERSION_BYTES ROUTE_VERSION_MAX

/* ---- ids.c ---- */

/* The ids of one child in one space: all values are agent id + base. */
struct ids {
	uint64_t base;  /* of the agent that is there now */
	uint64_t next;  /* one more than the largest seen */
	uint64_t *open; /* sorted */
	uint32_t n, cap;
};

/* -1 for a space that is not remapped. */
int rt_ids_index(enum pm_space space);
/* -ERR_TOO_BIG: the sum or the product does not fit. */
int rt_ids_to_client(
    struct ids *s, int n_slots, int slot, uint64_t agent_id, uint64_t *out);
/* false: an id of an earlier agent. */
bool rt_ids_to_agent(
    const struct ids *s, int n_slots, uint64_t client_id, uint64_t *out);
/* value = agent id + base. -ERR_TOO_BIG, -ERR_NOMEM. Twice is harmless. */
int rt_ids_open(struct ids *s, uint64_t value);
void rt_ids_close(struct ids *s, uint64_t value);
/* Gives the open ids away and begins the next epoch. -ERR_NOMEM. */
int rt_ids_lose(struct ids *s, struct ids *dying);
void rt_ids_free(struct ids *s);

/* ---- children ---- */

enum child_state { CHILD_DOWN, CHILD_JOINING, CHILD_LIVE };

struct sub;

/* Subscribe requests a child still owes the answer to, in order. */
struct subq {
	struct sub **v; /* each holds a reference */
	uint32_t head, n, cap;
};

struct child {
	enum child_state state;
	bool was_lost; /* say so when it is back */
	char name[NAME_MAX_BYTES];
	char *condition;                   /* owned; NULL = none */
	char known_version[VERSION_BYTES]; /* of its operator; "" = unknown */
	char version[VERSION_BYTES];       /* negotiated; "1.2.2" before */
	uint32_t versions_owed; /* SwitchProtocolVersionResponses to come */
	uint64_t version_deadline;
	struct ids ids[IDS_SPACES];
	struct ids dying[IDS_SPACES]; /* Close is owed to the client */
	struct subq asked[IDS_SPACES];
	uint32_t pings_out;
	uint64_t ping_since; /* the first one open was sent */
	uint64_t last_ping;
	uint64_t last_rx;
	bool held[ROUTE_PATHS];
	bool busy[ROUTE_PATHS]; /* a piece of the client's message went out */
	struct buf pend;        /* own messages that wait behind it */
	struct route_in *in[ROUTE_PATHS];
};

/* ---- subscriptions ---- */

enum leg_state {
	LEG_NONE,
	LEG_WAIT, /* the merge waits for it */
	LEG_LATE, /* asked, but no merge waits: replay, retry, timeout */
	LEG_OK,
	LEG_RETRY,   /* failed; asked again at retry_at */
	LEG_REFUSED, /* by policy: not asked again */
};

struct sub_leg {
	uint8_t state;
	uint8_t tries;
	bool warned;
	uint64_t retry_at;
};

struct sub {
	struct list link;
	enum pm_space space;
	uint16_t port;
	bool merging;  /* the client waits for the answer */
	bool decided;  /* the answer is in result, not sent yet */
	bool active;   /* the newest of its port and not unsubscribed */
	uint32_t refs; /* in subq */
	uint64_t deadline, default_deadline;
	struct buf raw;       /* the client's whole message */
	struct buf result;    /* the answer: an error while merging, or Ok */
	uint8_t rank;         /* of the error in result; 0 = none */
	struct sub_leg leg[]; /* n_slots */
};

/* ---- the table ---- */

enum route_dest {
	DEST_NONE, /* no such kind */
	DEST_DROP,
	DEST_HERE, /* the row's handler does it all */
	DEST_ALL,
	DEST_DEFAULT,      /* client: to the default child */
	DEST_OWN,          /* client: to the child that owns the id */
	DEST_CLIENT,       /* daemon: to the client, whoever sent it */
	DEST_FROM_DEFAULT, /* daemon: to the client if the default sent it */
};

enum {
	ROW_KIND = 1,     /* the row is for all sub kinds */
	ROW_MAP = 2,      /* its connection id is remapped */
	ROW_OPEN = 4,     /* opens its id (open_sub2: if sub2 is in the mask) */
	ROW_CLOSE = 8,    /* its id is dead after it */
	ROW_JOINING = 16, /* taken from a child that is joining, too */
};

struct route_row {
	uint8_t dest;
	uint8_t flags;
	uint8_t open_sub2; /* bit per sub2; 0 = every */
	/* The whole message; slot -1 = the client. DEST_HERE, DEST_ALL. */
	void (*handle)(struct route *r, int slot, const struct pm_route *m,
	    struct span raw);
	/* Asked when the head is known; false drops the message. */
	bool (*admit)(struct route *r, int slot);
};

/* Never NULL. */
const struct route_row *rt_table_row(enum pm_dir dir, const struct pm_route *m);

/* ---- the router ---- */

enum hold_why {
	HOLD_START = 1,
	HOLD_VERSION = 2,
	HOLD_DEFAULT = 4,
	HOLD_OTHER = 8, /* the other path's large message goes first */
};

/* Pings of the client that the default has not answered. */
struct ping_ring {
	struct {
		uint64_t sent_ms;
		uint32_t n;
	} v[PING_RING];
	uint32_t head, n;
	uint32_t swallow; /* the default's next Pongs nobody waits for */
};

struct route {
	struct route_config cfg;
	struct route_ops ops;
	void *arg;
	struct route_stats stats;
	uint64_t now;
	uint64_t deadline;
	bool dirty; /* compute deadline again */
	bool started;
	bool opened; /* the client has been read */
	bool dead;
	bool gone; /* the client is */
	uint8_t hold[ROUTE_PATHS];
	uint64_t lost_deadline; /* the default's; NEVER */
	int cut_slot; /* its large message is under way to the client; -1 */
	enum route_path cut_path;
	struct buf pend; /* own messages to the client that wait behind it */
	struct route_in *in[ROUTE_PATHS];
	struct route_in *active; /* being fed just now */
	/* version.c */
	bool negotiated, negotiating;
	char own_version[VERSION_BYTES];
	char settled[VERSION_BYTES];
	char target[VERSION_BYTES];
	char version[VERSION_BYTES];
	/* logs.c */
	bool ready_for_logs;
	/* kinds.c */
	uint32_t reverse_dns;
	bool vpn;
	/* ping.c */
	struct ping_ring pings;
	/* subscribe.c */
	struct list subs;
	uint32_t n_subs;
	size_t subs_bytes;
	uint32_t rand;
	struct child *child[]; /* n_slots; NULL = never seen */
};

static inline struct child *
rt_child_at(const struct route *r, int slot)
{
	return slot < 0 || slot >= r->cfg.n_slots ? NULL : r->child[slot];
}

static inline bool
rt_child_live(const struct route *r, int slot)
{
	const struct child *c = rt_child_at(r, slot);

	return c != NULL && c->state == CHILD_LIVE;
}

#define FOR_EACH_LIVE(r, s)                        \
	for (int s = 0; s < (r)->cfg.n_slots; s++) \
		if (rt_child_live(r, s))

/* emit.c */
void rt_emit_child(struct route *r, int slot, enum route_path path,
    const struct route_out *out);
void rt_emit_client(struct route *r, int slot, enum route_path path,
    enum route_path out_path, const struct route_out *out);
/* Own whole messages; they wait behind a large one that is under way. */
void rt_own_to_child(struct route *r, int slot, struct span msg);
void rt_own_to_client(struct route *r, struct span msg);
void rt_hold_client(struct route *r, enum route_path path, enum hold_why, bool);
void rt_hold_client_all(struct route *r, enum hold_why why, bool on);
void rt_drop_client(struct route *r, enum route_drop reason, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
/* Close messages for ids of lost children, a bounded number per call. */
void rt_emit_dying(struct route *r);

/* pieces.c */
void rt_in_free(struct route_in **in);
void rt_in_end(struct route *r, struct route_in **at); /* and gives back */
/* A child is lost: what came half, and what was going to it half. */
void rt_in_lose_child(struct route *r, int slot);

/* route.c: around every call from outside */
void rt_enter(struct route *r, uint64_t now_ms);
void rt_leave(struct route *r);
void rt_open(struct route *r); /* read the client */

/* kinds.c */
struct span rt_text_of(struct span raw); /* the str behind the kind; .p NULL */
extern const struct route_row rt_table[2][18][8];
void rt_on_close_client(
    struct route *, int, const struct pm_route *, struct span);
void rt_on_operator_ping(
    struct route *, int, const struct pm_route *, struct span);
void rt_on_close_daemon(
    struct route *, int, const struct pm_route *, struct span);
bool rt_admit_reverse_dns(struct route *, int slot);
bool rt_admit_reverse_dns_reply(struct route *, int slot);
bool rt_admit_vpn(struct route *, int slot);
bool rt_admit_vpn_reply(struct route *, int slot);

/* version.c */
void rt_on_switch_version(
    struct route *, int, const struct pm_route *, struct span);
void rt_on_version_response(
    struct route *, int, const struct pm_route *, struct span);
/* A child's state changed: is the negotiation complete now? */
void rt_version_progress(struct route *r);
void rt_version_join(struct route *r, int slot);
void rt_version_tick(struct route *r);
uint64_t rt_version_deadline(const struct route *r);
int rt_version_set(char out[VERSION_BYTES], struct pm_str s, struct err *e);

/* ping.c */
void rt_on_ping(struct route *, int, const struct pm_route *, struct span);
void rt_on_pong(struct route *, int, const struct pm_route *, struct span);
void rt_ping_late(struct route *r); /* the rule for a busy default */
void rt_ping_tick(struct route *r);
uint64_t rt_ping_deadline(const struct route *r);

/* logs.c */
void rt_on_ready_for_logs(
    struct route *, int, const struct pm_route *, struct span);
void rt_on_log(struct route *, int, const struct pm_route *, struct span);
void rt_tell(struct route *r, uint32_t level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void rt_condition_keep(struct route *r, int slot, const char *text);
void rt_ready_to_child(struct route *r, int slot);
const char *rt_name_of(const struct route *r, int slot);

/* subscribe.c */
enum answer { ANSWER_OK, ANSWER_STOLEN, ANSWER_POLICY, ANSWER_OTHER };

void rt_on_subscribe(struct route *, int, const struct pm_route *, struct span);
void rt_on_unsubscribe(
    struct route *, int, const struct pm_route *, struct span);
void rt_on_subscribe_result(
    struct route *, int, const struct pm_route *, struct span);
/* The one in force for this port, or NULL. */
struct sub *rt_sub_active(struct route *r, enum pm_space space, uint16_t port);
/* Send the subscription to a child; its answer is to be taken as leg. */
void rt_sub_ask(struct route *r, struct sub *s, int slot, enum leg_state leg);
void rt_sub_unask(struct route *r, const struct sub *s, int slot);
/* Complete what can be completed; answer the client in order. */
void rt_subs_progress(struct route *r);
void rt_subs_tick(struct route *r);
uint64_t rt_subs_deadline(const struct route *r);
/* Nothing is freed but here, at the end of a call. */
void rt_subs_sweep(struct route *r);
void rt_subs_free(struct route *r);

/* replay.c */
void rt_subs_replay(struct route *r, int slot);
void rt_subs_lose(struct route *r, int slot);
/* An answer no merge waits for. */
void rt_sub_late_answer(
    struct route *r, struct sub *s, int slot, enum answer a);
void rt_sub_retry_later(struct route *r, struct sub *s, int slot);
void rt_sub_warn(struct route *r, struct sub *s, int slot, const char *what);
void rt_subs_retry(struct route *r);
uint64_t rt_subs_retry_deadline(const struct route *r);
int rt_subq_push(struct subq *q, struct sub *s);
struct sub *rt_subq_pop(struct subq *q); /* NULL when empty */

/* loss.c */
struct child *rt_child_get(struct route *r, int slot);
void rt_child_take_part(struct route *r, int slot);
void rt_child_lose(struct route *r, int slot, const char *why);
/* It could not speak until now: its time limits begin again. */
void rt_child_excuse(struct route *r, int slot);
/* The owner has bytes of it that it cannot feed; then it is excused. */
bool rt_child_waits(struct route *r, int slot);
/* Lose it and tell the owner to close it. */
void rt_child_fail(struct route *r, int slot, enum route_fail reason,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
