/*
 * rig: an agent without its program: the loop, the threads, a root directory
 * and real clients over socket pairs, for tests of the parts behind a client.
 */
#ifndef TESTS_UNIT_AGENT_RIG_H
#define TESTS_UNIT_AGENT_RIG_H

#include <stdbool.h>

#include "agent/agent.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "protocol/mirrord.h"

enum { RIG_CLIENTS = 32, RIG_WAIT_MS = 8000 };

struct rig_client {
	int fd; /* the developer's end, non-blocking; -1 = none */
	struct buf in;
	struct arena arena; /* of the last message */
	bool gone;          /* the agent closed */
};

struct rig {
	struct agent a;
	struct ev_timer *tick;
	char root[64];
	struct rig_client c[RIG_CLIENTS];
	size_t n_clients;
};

/* For cmocka_unit_test_setup_teardown. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* A new client; its index. */
size_t rig_connect(struct rig *r);
/* The client goes away. */
void rig_hang_up(struct rig *r, size_t c);
/* Sends what fits now: false when the agent takes no more. */
bool rig_offer(struct rig *r, size_t c, const void *p, size_t n);
/* Sends all of it, turning the loop meanwhile. */
void rig_send(struct rig *r, size_t c, const struct pm_ClientMessage *m);
void rig_send_bytes(struct rig *r, size_t c, const void *p, size_t n);
/* The next message; false when the agent closed. Fails the test in time. */
bool rig_next(struct rig *r, size_t c, struct pm_DaemonMessage *m);
/* The next one must be of this kind. */
void rig_want(
    struct rig *r, size_t c, uint32_t kind, struct pm_DaemonMessage *m);
/* Nothing is there after the loop has settled. */
bool rig_quiet(struct rig *r, size_t c);
/* Turns the loop until cond, or fails. */
void rig_until(
    struct rig *r, bool (*cond)(struct rig *r, void *arg), void *arg);
/* A file below the root. */
void rig_file(struct rig *r, const char *path, const char *text);
const char *rig_path(struct rig *r, const char *path);

#endif
