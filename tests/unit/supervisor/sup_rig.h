/*
 * sup_rig: the supervisor's own code in a test. Workers are played: each is a
 * real process that does nothing, with a real channel whose other end the
 * test reads; the same tables check every message.
 */
#ifndef TESTS_UNIT_SUPERVISOR_SUP_RIG_H
#define TESTS_UNIT_SUPERVISOR_SUP_RIG_H

#include "supervisor/sup.h"
#include "tests/unit/unit.h"

struct sup_rig {
	struct sup s;
	char dir[64];
	struct list mates;
	struct buf log; /* the daemon's own lines */
	struct ev_signal *child;
	bool late; /* the loop was ended by the guard */
};

struct sup_mate {
	struct list node;
	struct sup_rig *rig;
	struct sup_worker *w; /* gone when the supervisor forgot it */
	pid_t pid;
	struct ipc_peer *peer;
	enum ipc_phase phase;
	struct ipc_dispatch dispatch;
	struct buf heard; /* a line each, as ipc_print writes it */
	struct buf config, resolv_conf, hosts;
	unsigned n_fds;
	char broke[600]; /* why the supervisor ended the channel */
};

/* The configuration's text; each %s in it becomes the rig's directory. */
void sup_rig_init(struct sup_rig *r, const char *config);
void sup_rig_deinit(struct sup_rig *r);
/* Writes a file below the directory. */
void sup_rig_put(
    struct sup_rig *r, const char *name, const void *text, size_t n);
void sup_rig_config(struct sup_rig *r, const char *config);
/* A worker that is ready, its slot made when there is none. */
struct sup_mate *sup_rig_mate(struct sup_rig *r, enum ipc_role role,
    uint32_t index, const char *name, enum sup_worker_state state);
/* Turns the loop until nothing moves any more. */
void sup_rig_settle(struct sup_rig *r);
/* Turns the loop until fn(arg) holds; fails the test after 5 s. */
void sup_rig_until(struct sup_rig *r, bool (*fn)(void *arg), void *arg);
/* ev_loop_run, with a guard of 5 s. */
void sup_rig_run(struct sup_rig *r);
/* How many of these a mate heard ("DRAIN "), after the loop settled. */
unsigned sup_rig_heard(struct sup_mate *m, const char *what);
bool sup_rig_logged(const struct sup_rig *r, const char *text);
/* The mate's process ends by itself; returns when that was noticed. */
void sup_rig_die(struct sup_mate *m);
/* The supervisor itself killed it: the same, without a hand of the test. */
void sup_rig_gone(struct sup_mate *m);

#endif
