/*
 * agent: what the parts of tributary-agent share. One process, one event
 * loop; everything here is called on the loop's thread only. File operations
 * and other calls that may block run on the threads of agent/pool.h, which
 * see nothing of this.
 *
 * The main thread has entered the target's network namespace before anything
 * below is called: every socket made is the target's. What a client sends is
 * not trusted.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/dns_lookup.h"
#include "agent/env.h"
#include "agent/options.h"
#include "lib/err.h"
#include "lib/ev.h"
#include "lib/list.h"
#include "lib/log.h"

/* The version of the protocol spoken here. */
#define AGENT_PROTOCOL_VERSION "1.29.0"

/*
 * Above this many bytes waiting for a client its sources pause (outgoing
 * peers, mirrored and stolen connections, file results, its own requests).
 */
#define AGENT_QUEUE_SOFT_BYTES ((size_t)512 * 1024)
/* A client for which more than this waits is dropped. */
#define AGENT_QUEUE_HARD_BYTES ((size_t)48 * 1024 * 1024)

struct pm_ClientMessage;
struct pm_DaemonMessage;
struct pm_LayerTcp;
struct pm_LayerTcpSteal;
struct pm_ShareLinkRequest;
struct incoming;
struct pool;

struct agent {
	struct ev_loop *loop;
	struct agent_options opt;
	pid_t target_pid;    /* 0: targetless */
	int target_pidfd;    /* -1: targetless */
	int root_fd;         /* O_PATH of the target's root directory */
	gid_t gid;           /* of this process: marks its own connections */
	struct list clients; /* struct agent_client.link */
	size_t client_count;
	ev_fn *on_client_gone; /* one has gone; not counted any more */
	void *on_client_gone_arg;
	uint64_t next_client_id;
	struct env_table env; /* the target's, as it was at the start */
	struct dns_env dns_env;
	char tls_name[256];    /* what clients' certificates are for; or "" */
	size_t outgoing_bytes; /* that wait for peers of all clients */
	struct pool *pool;     /* threads for what may block */
	struct incoming *incoming; /* owned by agent/incoming.c */
};

/* Opaque but for the fields that other parts read. */
struct agent_client {
	struct list link;
	struct agent *agent;
	uint64_t id;    /* never used twice in one agent */
	void *incoming; /* free for agent/incoming.c; NULL at first */
};

/* The client's own version (1.2.2 until it says) is at least this one. */
bool agent_client_at_least(const struct agent_client *c, unsigned major,
    unsigned minor, unsigned patch);
/*
 * Encodes and queues m (which stays the caller's). 0, or negative when the
 * client is lost: -ERR_TOO_BIG (does not read), -ERR_NOMEM, -ERR_CLOSED. The
 * client is then freed from the loop soon after, never inside this call.
 */
int agent_client_send(struct agent_client *c, const struct pm_DaemonMessage *m);
/* DaemonMessage::Close with a text; the connection stays (as the stock one). */
int agent_client_refuse(struct agent_client *c, const char *text);
/* Bytes that wait to be written to the client. */
size_t agent_client_queued(const struct agent_client *c);
/* Sources must pause: AGENT_QUEUE_SOFT_BYTES or more are waiting. */
bool agent_client_full(const struct agent_client *c);
/*
 * A LogMessage, when the client asked for them (ReadyForLogs) and its version
 * knows the level; the text is a whole sentence for a developer.
 */
void agent_client_log(struct agent_client *c, enum log_level level,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * A paused source waits for room: fn is called once, on the loop, when the
 * queue has fallen below half of AGENT_QUEUE_SOFT_BYTES. Waiters of a client
 * are called in the order they came, so that sources take turns. The struct
 * is the caller's; init before first use; waiting twice is one wait. Cancel
 * before freeing; when the client goes all waits end without a call.
 */
struct agent_wait {
	struct list link;
	ev_fn *fn;
	void *arg;
};
void agent_wait_init(struct agent_wait *w, ev_fn *fn, void *arg);
void agent_client_on_drain(struct agent_client *c, struct agent_wait *w);
void agent_wait_cancel(struct agent_wait *w);

/*
 * While a client is held nothing is read from it: a peer does not take what
 * the client sends. Counted; ends with the client. Messages that were read
 * before may still arrive.
 */
void agent_client_hold(struct agent_client *c);
void agent_client_release(struct agent_client *c);

/*
 * Intercepted traffic, implemented by agent/incoming.c. Not called in
 * targetless mode, where these messages are refused by the caller.
 */
/* After setns, before "ready" and before capabilities are dropped. */
int incoming_init(struct agent *a, struct err *e);
void incoming_on_tcp(struct agent_client *c, const struct pm_LayerTcp *m);
void incoming_on_steal(
    struct agent_client *c, const struct pm_LayerTcpSteal *m);
/* The client is about to be freed: forget it and pass its ports on. */
void incoming_client_gone(struct agent *a, struct agent_client *c);
/*
 * Stop redirecting, drain what is under way (bounded), then call done once
 * from the loop. No client is left when it is called.
 */
void incoming_shutdown(struct agent *a, ev_fn *done, void *arg);
/* After done: release everything. a->incoming is NULL afterwards. */
void incoming_deinit(struct agent *a);

#endif
