/*
 * rig: an owner for a router under test. Messages go in as JSON (with ' for
 * "), what comes out is collected per receiver, put together from its pieces
 * and compared as JSON again. Time stands still but for rig_wait.
 */
#ifndef TESTS_UNIT_ROUTE_RIG_H
#define TESTS_UNIT_ROUTE_RIG_H

#include "tests/unit/unit.h"

#include "lib/buf.h"
#include "protocol/mirrord.h"
#include "route/route.h"

enum { RIG_QUEUE = 16384, RIG_LOG = 64 };

/* Messages in the order they came; a piece under way is in part. */
struct rig_queue {
	struct buf *msg; /* RIG_QUEUE */
	int head, n;
	struct buf part[ROUTE_PATHS];
	bool open[ROUTE_PATHS];
	int pieces;
};

struct rig {
	struct route *r;
	struct route_config cfg;
	uint64_t now;
	struct rig_queue client;
	struct rig_queue child[ROUTE_SLOTS_MAX];
	enum route_path last_path; /* of the last message to a child */
	bool client_held[ROUTE_PATHS];
	bool child_held[ROUTE_SLOTS_MAX][ROUTE_PATHS];
	int drops;
	enum route_drop drop;
	int fails[ROUTE_SLOTS_MAX];
	enum route_fail fail[ROUTE_SLOTS_MAX];
	int lives[ROUTE_SLOTS_MAX];
	char settled[ROUTE_VERSION_MAX];
	int settles;
	int locked_port; /* may_subscribe refuses it */
	int subs_added, subs_gone;
	bool waits[ROUTE_SLOTS_MAX]; /* child_waits says so */
	long pooled, pool_limit;
};

/* All slots up and started; cfg may be NULL. Names are c0, c1, ... */
void rig_init(struct rig *g, int n, int dflt, const struct route_config *cfg);
/* The same without children and route_start. */
void rig_new(struct rig *g, int n, int dflt, const struct route_config *cfg);
void rig_start(struct rig *g);
void rig_free(struct rig *g);

/* JSON to bytes; id replaces $. The caller frees. */
struct buf rig_bytes(enum pm_dir dir, const char *json, uint64_t id);

int rig_client_bytes(struct rig *g, struct span msg, size_t piece);
int rig_child_bytes(struct rig *g, int slot, struct span msg, size_t piece);
/* Whole messages; the printf forms take JSON with '. */
void rig_client(struct rig *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void rig_child(struct rig *g, int slot, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The next message must be this one. */
void rig_want_client(struct rig *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void rig_want_child(struct rig *g, int slot, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void rig_want_all(struct rig *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The next message to the client is a log line that contains text. */
void rig_want_log(struct rig *g, const char *level, const char *text);
/* Nothing is left at any receiver, and nothing was dropped. */
void rig_want_nothing(struct rig *g);
void rig_want_bytes(struct rig_queue *q, struct span want);
struct buf *rig_next(struct rig_queue *q); /* NULL when empty */
void rig_clear(struct rig *g);
/* Time passes; ticks come at the router's deadlines. */
void rig_wait(struct rig *g, uint64_t ms);
/* The client speaks version v, all children answer what they are asked. */
void rig_negotiate(struct rig *g, const char *v);
void rig_ready(struct rig *g);

#endif
