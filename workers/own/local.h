/*
 * local: the own cluster's part of a session: its target's replicas in slots,
 * an agent beside each, and the child streams over them. agents.c owns the
 * agents, which all sessions share.
 */
#ifndef WORKERS_OWN_LOCAL_H
#define WORKERS_OWN_LOCAL_H

#include "ipc/pieces.h"
#include "ipc/stream.h"
#include "route/feed.h"
#include "route/route.h"
#include "workers/own/own.h"

enum {
	OWN_REPLICA_SLOTS = ROUTE_SLOTS_MAX,
	OWN_LEG_SOFT_BYTES = 128 << 10, /* queued for an agent: stop feeding */
	OWN_LEG_STUCK_MS = 10000,
};

/* ---- agents.c ---- */

enum own_agent_state { OWN_AGENT_NONE, OWN_AGENT_STARTING, OWN_AGENT_UP };

struct own_agent {
	struct list node;
	struct own *own;
	char *target, *replica; /* owned: key and name */
	enum own_agent_state state;
	uint32_t request, number;
	int control_fd; /* -1 */
	unsigned n_streams;
	struct ev_timer *idle;
	uint64_t retry_at_ms;
	uint32_t backoff_ms;
	char error[512]; /* of the last start, or "" */
};

/* Finds it or makes an entry without an agent; NULL when out of memory. */
struct own_agent *own_agent_get(
    struct own *own, const char *target, const char *replica);
/* Starts it unless it runs, starts or failed a moment ago. */
void own_agent_start(struct own_agent *a);
/*
 * A new stream to the agent: a connected descriptor, or -1 with *e set. End
 * it with own_agent_stream_end.
 */
int own_agent_stream(struct own_agent *a, struct err *e);
void own_agent_stream_end(struct own_agent *a, int fd);
void own_agents_free(struct own *own);

/* ---- local.c ---- */

struct own_local {
	struct own_session *s;
	struct own_slot *slot;
	char *target;                     /* owned key */
	char *replica[OWN_REPLICA_SLOTS]; /* owned names; NULL = free slot */
	bool over_full; /* warned that there are more replicas than slots */
	uint64_t no_replica_since_ms;
	struct list streams;
	struct ipc_budget budget;
	struct ev_timer *later;
	struct own_refusal failed; /* code 0 = not */
};

/*
 * Wants the own cluster's part up: agents beside all ready replicas. What
 * comes of it is told from the loop: own_slot_reached or own_slot_failed.
 */
void own_local_ensure(struct own_slot *slot);
/* Ends its streams with a text (NULL-safe). */
void own_local_end(struct own_local *l, const char *text);
void own_local_free(struct own_local **l);
/* Slot of a replica, or -1. */
int own_local_slot(const struct own_local *l, const char *replica);
/* Slot of the replica that answers stateful requests, or -1: none is up. */
int own_local_stateful(struct own_local *l);
/* Something about a replica or its agent changed. */
void own_local_changed(
    struct own *own, const char *target, const char *replica);

/* ---- stream.c ---- */

struct own_stream;

struct own_path { /* one of the two ways to the client */
	struct own_stream *st;
	enum route_path path;
	struct ipc_stream *ipc; /* owned; NULL before it joins and after */
	struct route_feed feed;
	struct ipc_pieces in, out;
	bool joined, ended;
};

struct own_leg { /* one agent's stream */
	struct own_stream *st;
	int slot;
	struct own_agent *agent;
	int fd;
	struct ev_io *io;
	struct buf out, in;
	struct pm_scan scan;
	size_t scanned;  /* bytes of in that scan has eaten */
	size_t ready;    /* bytes of in that may be fed, 0 = not known */
	bool ready_last; /* ... and they end their message */
	bool within;     /* a large message is being fed in pieces */
	bool eof;
	uint64_t stuck_since_ms; /* 0 = out drains */
	const char *failed;      /* why it must be closed, or NULL */
};

struct own_stream {
	struct list node; /* in own_local.streams */
	struct own_local *local;
	uint32_t number;
	struct own_path path[ROUTE_PATHS];
	struct route *route; /* NULL while it waits for an agent */
	struct own_leg *leg[OWN_REPLICA_SLOTS];
	uint64_t reopen_at_ms[OWN_REPLICA_SLOTS]; /* 0 = not */
	struct ev_timer *later;
	uint64_t wait_until_ms;
	bool over; /* must be ended, see code and why */
	uint16_t code;
	char why[256];
};

/* Opens the router once a stateful replica's agent is there. */
void own_stream_try(struct own_stream *st);
/* A replica's agent is there, or is gone. */
void own_stream_replica(struct own_stream *st, int slot, bool up);
void own_stream_end(struct own_stream *st, uint16_t code, const char *why);
void own_stream_kick(struct own_stream *st); /* does the rest from the loop */

/* ---- stream_route.c ---- */
#define OWN_VERSION "1.29.0"
/* To be ended from the loop; the first reason counts. */
void own_stream_doom(struct own_stream *st, uint16_t code, const char *why);
/* The router, with the stateful replica's slot. 0, or doomed. */
int own_stream_router(struct own_stream *st, int dflt);
/* A stream to the slot's agent, if that is up and has none. */
void own_stream_leg_open(struct own_stream *st, int slot);
void own_stream_leg_close(struct own_stream *st, int slot, const char *why);

/* ---- leg.c ---- */
struct own_leg *own_leg_new(
    struct own_stream *st, int slot, struct own_agent *a, struct err *e);
void own_leg_free(struct own_leg **leg);
void own_leg_write(struct own_leg *leg, const struct route_out *out);
/* Feeds the router what came, as far as it goes. */
void own_leg_pump(struct own_leg *leg);
bool own_leg_congested(const struct own_leg *leg);

#endif
