/*
 * worker: the life every worker of the daemon shares (design §4).
 *
 * The supervisor forks and executes the same binary as
 * `tributaryd --worker ROLE`, with its channel on descriptor 3. worker_main
 * does, in this order: close everything else; no core, rlimits; read START;
 * ops->prepare (open and read all that will be needed later: the last chance
 * to see the file system as root); own uid and empty root; no_new_privs, not
 * dumpable; Landlock; seccomp filter from ops->sandbox; READY; the loop.
 */
#ifndef WORKERS_WORKER_H
#define WORKERS_WORKER_H

#include <cjson/cJSON.h>

#include "ipc/ipc.h"
#include "lib/list.h"
#include "sys/landlock.h"
#include "sys/sandbox.h"

enum { WORKER_MAX_RULES = 4 };

struct worker {
	enum ipc_role role;
	uint32_t index;
	uint32_t uid, gid; /* of START: what it will run as; 0 = as it is */
	char instance[64];
	char name[254]; /* the cluster's name for cluster workers, or "" */
	enum ipc_phase phase;
	struct ev_loop *loop;
	struct ipc_peer *sup;
	cJSON *config; /* this worker's section, made by the supervisor */
	void *state;   /* the worker's own context */
	struct list peers;
	/* Landlock: what prepare allows below directories, nothing else. */
	struct sys_landlock_rule rules[WORKER_MAX_RULES];
	size_t n_rules;
	/* worker.c's own */
	const struct worker_ops *ops;
	struct ipc_dispatch dispatch;
	bool started; /* START came */
	bool quit;    /* the loop shall end */
	struct worker_start *start;
};

struct worker_ops {
	enum ipc_role role;
	const struct sys_sandbox *sandbox;
	const struct ipc_handler *handlers; /* for peers and supervisor */
	size_t n_handlers;
	/* As root, before the identity is dropped. */
	int (*prepare)(struct worker *w, struct err *e);
	/* After the filter. w->state is set by prepare or here. */
	int (*start)(struct worker *w, struct err *e);
	void (*on_attach)(struct worker *w, struct ipc_peer *peer);
	void (*on_detach)(
	    struct worker *w, struct ipc_peer *peer, const char *why);
	void (*on_reload)(struct worker *w, cJSON *old_config);
	/* Stop taking new work; call worker_drained when nothing is left. */
	void (*on_drain)(struct worker *w, uint32_t deadline_ms);
	void (*stop)(struct worker *w); /* free everything */
};

/* The attached peer, or NULL. */
struct ipc_peer *worker_peer(
    struct worker *w, enum ipc_role role, uint32_t index);
/* A cluster worker by its cluster's name; OWN for the own cluster's. */
struct ipc_peer *worker_peer_named(
    struct worker *w, enum ipc_role role, const char *name);
void worker_drained(struct worker *w);
/*
 * In prepare: the directory behind fd (borrowed) may be used later with these
 * SYS_LANDLOCK_* rights. -ERR_TOO_BIG after WORKER_MAX_RULES.
 */
int worker_allow_dir(struct worker *w, int fd, unsigned rights, struct err *e);
/* Every handler of START, ATTACH, DETACH, RELOAD, DRAIN, ALIVE is shared. */
int worker_run(const struct worker_ops *ops);
/* `tributaryd --worker ROLE`: finds the ops and runs them. Exit code. */
int worker_main(const char *role);
/* NULL when this build has no such worker. */
const struct worker_ops *worker_ops_of(enum ipc_role role);

/* The on_gone of a worker's struct ipc_dispatch: forgets the peer. */
void worker_on_gone(void *worker, struct ipc_peer *peer, const char *why);

/* The shared handlers, named by the tables of each worker's dispatch.c. */
ipc_handler_fn worker_on_start, worker_on_attach, worker_on_detach,
    worker_on_reload, worker_on_drain, worker_on_alive;

/*
 * A worker's sources are added to libtribworkers_a_SOURCES in its Makefile.inc
 * and its row to workers/roles.def once its ops exist.
 */
#define WORKER_ROLE(role, ops) extern const struct worker_ops ops;
#include "workers/roles.def"
#undef WORKER_ROLE

#endif
