/*
 * own_rig: the own worker in a test, with a clock that can be moved and the
 * directories of its store. Agents are played at the end of real socketpairs.
 */
#ifndef TESTS_UNIT_WORKERS_OWN_RIG_H
#define TESTS_UNIT_WORKERS_OWN_RIG_H

#include "tests/unit/workers/rig.h"
#include "workers/own/own.h"

extern int64_t own_rig_skip_ms; /* the clock runs ahead by this */

struct own_rig {
	struct rig r;
	char root[64];
	struct rig_peer *sup, *fe, *fe2, *sf, *east, *west;
	uint32_t request;
};

enum { OWN_RIG_SINGLE, OWN_RIG_HUB, OWN_RIG_PWD };

/* Directories, then own_rig_up; mode OWN_RIG_SINGLE: no multiCluster. */
void own_rig_init(struct own_rig *t, int mode);
void own_rig_deinit(struct own_rig *t); /* removes the directories too */
/* The worker's process ends and a new one begins. */
void own_rig_restart(struct own_rig *t, int mode);
struct own *own_rig_own(struct own_rig *t);
/* Moves the clock and lets the worker notice. */
void own_rig_skip(struct own_rig *t, int64_t ms);

struct own_rig_open {
	uint64_t id;
	uint8_t peer;
	const char *user, *key_id, *ns, *target, *child, *params;
};
/* SESSION_OPEN from fe; NULL members get defaults. */
void own_rig_open(
    struct own_rig *t, struct rig_peer *fe, const struct own_rig_open *o);
/* Answers GRANT of the stateful worker. */
void own_rig_grant_sf(struct own_rig *t);
/*
 * Answers one AGENT_START; returns the agent's end of its control descriptor,
 * or -1 when error is given.
 */
int own_rig_agent(struct own_rig *t, const char *error);
/* The next descriptor sent over a control descriptor. */
int own_rig_stream_fd(struct own_rig *t, int control_fd);
void own_rig_replica(struct own_rig *t, const char *name, int state);
/* Opened: the session's handle. */
uint32_t own_rig_expect_opened(struct own_rig *t, struct rig_peer *fe);
/* Refused: text of the message; checks the code. */
void own_rig_expect_refused(struct own_rig *t, struct rig_peer *fe, int code,
    const char *reason, const char *part);
/* Single session up with two agents: handle; controls may be NULL. */
uint32_t own_rig_single(struct own_rig *t, uint64_t id, int controls[2]);
/* An API request; the body is parsed (caller deletes), *code is set. */
cJSON *own_rig_api(struct own_rig *t, uint8_t peer, const char *user,
    const char *method, const char *path, const char *query, const char *body,
    int *code);
bool own_rig_record(struct own_rig *t, const char *name);
int own_rig_files(struct own_rig *t, const char *dir);
/* "field=value" of a captured message as a number. */
uint64_t own_rig_number(const struct rig_msg *m, const char *field);

#endif
