/*
 * rig: a worker's own code in a test, between peers that the test plays. The
 * peers speak real IPC over real socket pairs, checked by the same table.
 */
#ifndef TESTS_UNIT_WORKERS_RIG_H
#define TESTS_UNIT_WORKERS_RIG_H

#include "ipc/ipc.h"
#include "tests/unit/unit.h"
#include "workers/worker.h"

struct rig_msg {
	struct list node;
	struct ipc_header header;
	char *text;      /* as ipc_print writes it */
	struct buf data; /* bytes of STREAM_DATA, API_REPLY, ... */
	int fd;
};

struct rig_peer {
	struct list node;
	struct rig *rig;
	struct ipc_peer *peer;
	enum ipc_phase phase;
	struct ipc_dispatch dispatch;
	struct list got;
	bool gone;
};

struct rig {
	struct worker w;
	struct list peers;
	int raw_ctrl; /* of rig_attach_raw, or 0 */
};

/* config: JSON text. Runs prepare and start, without identity or filter. */
void rig_init(struct rig *r, const struct worker_ops *ops, const char *config);
void rig_deinit(struct rig *r);
struct rig_peer *rig_attach(
    struct rig *r, enum ipc_role role, uint32_t index, const char *name);
/* A peer that the test writes bytes for itself: its data socket. Close it. */
int rig_attach_raw(
    struct rig *r, enum ipc_role role, uint32_t index, const char *name);
void rig_detach(struct rig_peer *p); /* as if its process had died */
void rig_send(struct rig_peer *p, enum ipc_type type, uint16_t flags,
    uint32_t session, uint32_t stream, const void *payload);
void rig_send_fd(
    struct rig_peer *p, enum ipc_type type, const void *payload, int fd);
/* Turns the loop until a message of this type is there (5 s at most) and
 * takes it; fails the test when none comes. */
struct rig_msg *rig_expect(struct rig_peer *p, enum ipc_type type);
void rig_msg_free(struct rig_msg **m);
/* Turns the loop until nothing moves any more. */
void rig_settle(struct rig *r);
/* How many messages of this type wait. */
int rig_count(struct rig_peer *p, enum ipc_type type);
/* Turns until fn(arg) holds; fails after 5 s. */
void rig_until(struct rig *r, bool (*fn)(void *arg), void *arg);

#endif
