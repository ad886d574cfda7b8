/*
 * sup: the supervisor. Root, configuration, listening sockets, processes;
 * it parses no byte from the network. Everything is called from its one loop.
 *
 * It trusts the configuration file and root's file system. It does not trust
 * its workers: their messages pass ipc/'s checks, what they ask for is looked
 * up by configured names, and what they log is cleaned and limited.
 */
#ifndef SUPERVISOR_SUP_H
#define SUPERVISOR_SUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/cfg.h"
#include "ipc/ipc.h"
#include "lib/ev.h"
#include "lib/list.h"
#include "lib/log.h"
#include "sys/notify.h"

enum {
	SUP_BACKOFF_FIRST_MS = 1000,
	SUP_BACKOFF_MAX_MS = 30000,
	SUP_BACKOFF_RESET_MS = 60000, /* up this long: begin anew */
	SUP_READY_MS = 30000,         /* START to READY */
	SUP_ALIVE_MS = 3000,          /* between two ALIVEs */
	SUP_ALIVE_MISSED = 3,
	SUP_LOST_MS = 1000, /* from the end of its channel to its exit */
	SUP_DRAIN_MS = 15000,
	SUP_AGENTS_END_MS = 5000, /* agents clean up after the drain */
	SUP_FILES_MS = 2000,      /* looks at resolver and credential files */
};

struct sup_options {
	const char *config_path;
	bool foreground;
	bool trap;    /* --sandbox-trap */
	int ready_fd; /* who waits for us in the background; -1 */
};

/* Lines of one worker: at most so many a second, the rest is counted. */
struct sup_log_limit {
	uint64_t filled_ms;
	unsigned tokens;
	unsigned dropped;
};

enum sup_worker_state {
	SUP_DOWN,     /* waits for its next start */
	SUP_STARTING, /* forked; READY is awaited */
	SUP_UP,
	SUP_ENDING, /* DRAIN sent or killed; exit is awaited */
};

enum { SUP_ACCUSE_MAX = 3, SUP_ACCUSE_WINDOW_MS = 60000 };

struct sup_worker {
	struct list link;
	struct sup *sup;
	enum ipc_role role;
	uint32_t index;
	char name[254]; /* the cluster's, for cluster workers */
	uid_t uid;      /* 0: no root, it keeps ours */
	enum sup_worker_state state;
	pid_t pid;
	struct ipc_peer *peer;
	struct ev_timer *timer; /* start when down; deadline otherwise */
	uint64_t started_ms;
	unsigned backoff_ms;
	uint64_t alive_sent; /* number of the last ALIVE */
	uint64_t alive_seen;
	uint64_t accused_ms; /* since when accusations are counted */
	unsigned accusations;
	int stderr_fd;
	struct ev_io *stderr_io;
	struct buf stderr_text;
	struct sup_log_limit limit;
	bool joined;     /* its mates know of it */
	bool removed;    /* gone from the configuration: free at its end */
	bool reload_due; /* it was starting when the configuration changed */
	char why[256];   /* why it was killed by us, for the log */
};

struct sup {
	struct sup_options opt;
	struct ev_loop *loop;
	struct cfg *cfg;
	enum ipc_phase phase;
	struct ipc_dispatch dispatch;
	struct list workers;
	struct sup_agents *agents;
	struct sup_replicas *replicas;
	struct sup_listeners *listeners;
	struct sup_resolver *resolver;
	struct sys_notify notify;
	struct ev_signal *signals[5];
	struct ev_timer *alive_timer;
	struct ev_timer *watchdog_timer;
	struct ev_timer *drain_timer;
	struct ev_timer *files_timer;
	int lock_fd;
	int ready_fd;
	bool root;
	bool ready_told;
	bool journal; /* stderr is the journal: priorities as "<N>" */
	unsigned drain_stage;
	uint64_t drain_deadline_ms;
	char run_dir[PATH_MAX];   /* runDir/INSTANCE */
	char state_dir[PATH_MAX]; /* stateDir/INSTANCE */
};

/* sup.c: the whole life; the exit code. */
int sup_main(const struct sup_options *opt);
/* Every configured worker is up: tell systemd, once. */
void sup_check_ready(struct sup *s);

/* workers.c: slots, one for every process there should be. */
struct sup_worker *sup_worker_add(struct sup *s, enum ipc_role role,
    uint32_t index, const char *name, struct err *e);
struct sup_worker *sup_worker_find(
    struct sup *s, enum ipc_role role, uint32_t index);
/* Forks it now; when that fails it is tried again after the back-off. */
void sup_worker_start(struct sup_worker *w);
/* SIGKILL with a reason for the log. It will be restarted unless removed. */
void sup_worker_kill(struct sup_worker *w, const char *why);
/* Its channel ended: its exit must follow, or it is killed. */
void sup_worker_lost(struct sup_worker *w);
/* No longer configured: drain it, then forget it. */
void sup_worker_remove(struct sup_worker *w);
/* Its process ended with this wait status. */
void sup_worker_died(struct sup_worker *w, int status);
/* READY came. */
void sup_worker_ready(struct sup_worker *w, const char *note);
void sup_worker_free(struct sup_worker **w);
/* "cluster east" for logs; valid until the next call. */
const char *sup_worker_label(const struct sup_worker *w);
/* Adds the slots that the configuration asks for. */
int sup_workers_init(struct sup *s, struct err *e);
/* The user a worker runs under, from workerUids; 0 when the range is used up.
 */
uid_t sup_worker_uid(const struct cfg *cfg, enum ipc_role role, uint32_t index);
/* SIGCHLD: reaps workers and agents. */
void sup_reap(void *sup);

/* spawn.c: fork and exec; the channel and its stderr come back. */
struct sup_spawned {
	pid_t pid;
	int channel_fd;
	int stderr_fd;
};
int sup_spawn_worker(
    const struct sup_worker *w, struct sup_spawned *out, struct err *e);
/* Puts fds[i] on first + i in a child that is about to exec. */
void sup_place_fds(int *fds, int n, int first);

/* topology.c: who talks to whom. */
bool sup_topology_mates(enum ipc_role a, enum ipc_role b);
/* w is up: join it with every mate that is. */
void sup_topology_join(struct sup_worker *w);
/* w is gone: tell its mates, once. */
void sup_topology_leave(struct sup_worker *w);

/* listeners.c */
int sup_listeners_open(struct sup *s, struct err *e);
void sup_listeners_give(struct sup_worker *w); /* to a frontend or secrets */
void sup_listeners_free(struct sup_listeners **l);

/* resolver.c: the connector's files */
int sup_resolver_init(struct sup *s, struct err *e);
void sup_resolver_give(struct sup_worker *w);
/* Reads the files again; tells the connector when they changed. */
void sup_resolver_check(struct sup *s);
void sup_resolver_free(struct sup_resolver **r);

/* paths.c: run and state directories, lock */
int sup_paths_init(struct sup *s, struct err *e);
void sup_paths_deinit(struct sup *s);
/* Credentials that an administrator put there: readable for secrets. */
void sup_paths_credentials(struct sup *s);

/* reload.c */
int sup_config_load(struct sup *s, struct cfg **out);
void sup_reload(void *sup);
/* A worker is ready: what changed while it was starting. */
void sup_reload_worker(struct sup_worker *w);

/* drain.c */
void sup_drain(void *sup);          /* SIGTERM; the second time: at once */
void sup_drain_step(struct sup *s); /* a worker or agent ended */
void sup_drain_on_timer(void *sup); /* patience is at its end */

/* watch.c: hung workers, systemd's watchdog */
int sup_watch_init(struct sup *s, struct err *e);
void sup_watch_deinit(struct sup *s);

/* log_sink.c */
void sup_log_init(struct sup *s);
/* What a worker says, cleaned and limited. */
void sup_log_worker(
    struct sup_worker *w, enum log_level level, const char *text);
/* Takes fd: a worker's stderr. */
int sup_log_stderr(struct sup_worker *w, int fd);
void sup_log_stderr_end(struct sup_worker *w);

/* dispatch.c */
extern const struct ipc_handler sup_handlers[];
extern const size_t sup_n_handlers;

#endif
