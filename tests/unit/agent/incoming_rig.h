/*
 * incoming_rig: the real interception in a network namespace of the test's
 * own, with clients that write down what they are sent. What a client would
 * read is one line per message in a journal:
 *
 *   S ok 8080 | S new2 0 127.0.0.1 > 127.0.0.1:8080 | S data 0 hello |
 *   S eof 0 | S close 0 | S forbidden-why | log warn ... | M ... for mirrors
 */
#ifndef TESTS_INCOMING_RIG_H
#define TESTS_INCOMING_RIG_H

#include "agent/agent.h"
#include "lib/buf.h"
#include "protocol/mirrord.h"

enum { RIG_CLIENTS = 3, RIG_PORT = 8080, RIG_OTHER_PORT = 8081 };

struct rig_client {
	struct agent_client c;
	struct buf journal;
	struct buf data; /* payload of all S data and M data messages */
	unsigned version[3];
	size_t queued;   /* what agent_client_queued says */
	bool lost;       /* sends fail */
	int held;        /* holds minus releases */
	int holds;       /* ever */
	bool quiet_data; /* data go to `data` only */
	struct list waits;
};

struct rig {
	struct agent agent;
	struct rig_client client[RIG_CLIENTS];
	int target4, target6; /* the target's listeners on RIG_PORT */
	struct ev_timer *tick;
	bool done; /* incoming_shutdown has called back */
};

/* A cmocka group setup: enters fresh namespaces or exits with 77. */
int rig_enter_namespace(void **state);
int rig_setup(void **state);
int rig_teardown(void **state);

/* Runs the loop until cond is true; false after five seconds. */
typedef bool rig_cond_fn(struct rig *r, void *arg);
bool rig_until(struct rig *r, rig_cond_fn *cond, void *arg);
/* Runs the loop until nothing happens for a moment. */
void rig_settle(struct rig *r);
/* Waits until the journal holds the line, else fails with the journal. */
void rig_expect(struct rig *r, int client, const char *line);
void rig_expect_no(struct rig *r, int client, const char *text);
void rig_done(void *arg);

void rig_steal(struct rig *r, int client, uint16_t port);
void rig_mirror(struct rig *r, int client, uint16_t port);
void rig_unsteal(struct rig *r, int client, uint16_t port);
void rig_unmirror(struct rig *r, int client, uint16_t port);
void rig_data(struct rig *r, int client, uint64_t id, const char *s);
void rig_drop(struct rig *r, int client, uint64_t id);
void rig_gone(struct rig *r, int client);
/* The client's queue has room again. */
void rig_drained(struct rig *r, int client);

/* A peer's non-blocking socket to 127.0.0.1 (4) or ::1 (6). */
int rig_connect(struct rig *r, int family, uint16_t port);
/* The target's side of a connection that reached it; fails when none does. */
int rig_accept(struct rig *r, int family);
/* Waits for exactly these bytes at fd; "" = the orderly end. */
void rig_receives(struct rig *r, int fd, const char *want);
void rig_is_reset(struct rig *r, int fd);

#endif
