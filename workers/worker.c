/*
 * worker: from exec to the loop, the same for all workers.
 *
 * Until START has come the process has root and trusts its one descriptor,
 * the supervisor's channel. worker_confine is the point of no return: behind
 * it lies nothing but the descriptors it holds and the calls of its table.
 */
#include "config.h"

#include "workers/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "sys/identity.h"
#include "sys/process.h"

enum {
	WORKER_SUP_FD = 3,
	/* Log lines are dropped while this much waits for the supervisor. */
	WORKER_LOG_QUEUE_BYTES = 1 << 20,
};

/* What START says, kept until the worker is confined. */
struct worker_start {
	uid_t uid;
	gid_t gid;
	bool trap;
	pid_t parent;
	const char *note; /* what could not be had */
};

struct worker_peer_node {
	struct list link;
	struct ipc_peer *peer;
};

static void
worker_log(void *arg, enum log_level lv, const char *line)
{
	struct worker *w = arg;
	struct ipc_log m = {.level = (uint8_t)lv, .text = line};

	if (w->sup != NULL &&
	    ipc_peer_queued_bytes(w->sup) < WORKER_LOG_QUEUE_BYTES)
		ipc_send(w->sup, IPC_LOG, 0, 0, 0, &m, NULL, 0);
}

static void
worker_set_log_level(struct worker *w)
{
	int lv = log_level_parse(json_str(w->config, "logLevel", "info"));

	log_set_level(lv < 0 ? LOG_LV_INFO : (enum log_level)lv);
}

static struct worker_peer_node *
worker_node(struct worker *w, const struct ipc_peer *peer)
{
	LIST_FOR_EACH (node, &w->peers) {
		struct worker_peer_node *n =
		    LIST_ENTRY(node, struct worker_peer_node, link);

		if (n->peer == peer)
			return n;
	}
	return NULL;
}

struct ipc_peer *
worker_peer(struct worker *w, enum ipc_role role, uint32_t index)
{
	LIST_FOR_EACH (node, &w->peers) {
		struct ipc_peer *p =
		    LIST_ENTRY(node, struct worker_peer_node, link)->peer;

		if (ipc_peer_role(p) == role && ipc_peer_index(p) == index)
			return p;
	}
	return NULL;
}

struct ipc_peer *
worker_peer_named(struct worker *w, enum ipc_role role, const char *name)
{
	LIST_FOR_EACH (node, &w->peers) {
		struct ipc_peer *p =
		    LIST_ENTRY(node, struct worker_peer_node, link)->peer;

		if (ipc_peer_role(p) == role &&
		    strcmp(ipc_peer_name(p), name) == 0)
			return p;
	}
	return NULL;
}

void
worker_drained(struct worker *w)
{
	w->quit = true;
	ev_loop_stop(w->loop);
}

int
worker_allow_dir(struct worker *w, int fd, unsigned rights, struct err *e)
{
	if (w->n_rules == WORKER_MAX_RULES)
		return err_set(e, ERR_TOO_BIG, "too many directories");
	w->rules[w->n_rules++] = (struct sys_landlock_rule){fd, rights};
	return 0;
}

/* ---- the shared handlers ---- */

/* A peer whose frames break the contract is the supervisor's to end. */
static void
worker_accuse(struct worker *w, const struct ipc_peer *peer, const char *why)
{
	struct ipc_accuse m = {.role = (uint8_t)ipc_peer_role(peer),
	    .index = ipc_peer_index(peer),
	    .text = why};

	log_error("%s %u broke the contract: %s",
	    ipc_role_name(ipc_peer_role(peer)), ipc_peer_index(peer), why);
	if (w->sup != NULL)
		ipc_send(w->sup, IPC_ACCUSE, 0, 0, 0, &m, NULL, 0);
}

void
worker_on_gone(void *worker, struct ipc_peer *peer, const char *why)
{
	struct worker *w = worker;
	struct worker_peer_node *n;

	if (peer == w->sup) {
		w->sup = NULL;
		log_set_sink(NULL, NULL);
		log_error("the supervisor's channel ended: %s", why);
		worker_drained(w);
		return;
	}
	n = worker_node(w, peer);
	if (n == NULL)
		return;
	list_remove(&n->link);
	free(n);
	if (ipc_peer_broke(peer))
		worker_accuse(w, peer, why);
	log_debug("detached role=%s index=%u why=%s",
	    ipc_role_name(ipc_peer_role(peer)), ipc_peer_index(peer), why);
	if (w->ops->on_detach != NULL)
		w->ops->on_detach(w, peer, why);
}

int
worker_on_start(void *worker, struct ipc_in *in, struct err *e)
{
	struct worker *w = worker;
	const struct ipc_start *m = in->payload;

	if (w->started)
		return err_set(e, ERR_INVALID, "START came twice");
	if (m->table_hash != ipc_table_hash())
		return err_set(e, ERR_INVALID,
		    "the supervisor is another build: restart tributaryd");
	w->config = json_parse(m->config.p, m->config.n, e);
	if (w->config == NULL)
		return err_wrap(e, "START.config");
	snprintf(w->instance, sizeof(w->instance), "%s", m->instance);
	snprintf(w->name, sizeof(w->name), "%s", m->name);
	w->index = m->index;
	w->uid = m->uid;
	w->gid = m->gid;
	w->start->uid = m->uid;
	w->start->gid = m->gid;
	w->start->trap = m->trap != 0;
	w->started = true;
	return 0;
}

int
worker_on_attach(void *worker, struct ipc_in *in, struct err *e)
{
	struct worker *w = worker;
	const struct ipc_attach *m = in->payload;
	struct worker_peer_node *n;
	struct ipc_peer *old;

	if (in->n_fds != 2 || m->role == IPC_SUP || m->role >= IPC_N_ROLES)
		return err_set(e, ERR_INVALID, "ATTACH of nobody");
	if (w->phase == IPC_PHASE_START)
		return err_set(e, ERR_INVALID, "ATTACH before READY");
	/* Its death was not heard of yet: two of one name cannot be. */
	old = worker_peer(w, (enum ipc_role)m->role, m->index);
	if (old != NULL) {
		worker_on_gone(w, old, "replaced by its successor");
		ipc_peer_free(&old);
	}
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return err_nomem(e);
	n->peer = ipc_peer_new(w->loop, &w->dispatch, w, &w->phase,
	    (enum ipc_role)m->role, m->index, m->name, in->fds[0], in->fds[1],
	    e);
	in->fds[0] = in->fds[1] = -1;
	if (n->peer == NULL) {
		free(n);
		return -(int)e->code;
	}
	list_push(&w->peers, &n->link);
	log_debug("attached role=%s index=%u name=%s",
	    ipc_role_name((enum ipc_role)m->role), m->index, m->name);
	if (w->ops->on_attach != NULL)
		w->ops->on_attach(w, n->peer);
	return 0;
}

int
worker_on_detach(void *worker, struct ipc_in *in, struct err *e)
{
	struct worker *w = worker;
	const struct ipc_detach *m = in->payload;
	struct ipc_peer *p;

	(void)e;
	p = worker_peer(w, (enum ipc_role)m->role, m->index);
	if (p != NULL)
		ipc_peer_end(p, "detached by the supervisor");
	return 0;
}

int
worker_on_reload(void *worker, struct ipc_in *in, struct err *e)
{
	struct worker *w = worker;
	const struct ipc_reload *m = in->payload;
	cJSON *config = json_parse(m->config.p, m->config.n, e), *old;

	if (config == NULL)
		return err_wrap(e, "RELOAD.config");
	old = w->config;
	w->config = config;
	worker_set_log_level(w);
	if (w->ops->on_reload != NULL)
		w->ops->on_reload(w, old);
	cJSON_Delete(old);
	return 0;
}

int
worker_on_drain(void *worker, struct ipc_in *in, struct err *e)
{
	struct worker *w = worker;
	const struct ipc_drain *m = in->payload;

	(void)e;
	if (w->phase == IPC_PHASE_DRAIN)
		return 0;
	w->phase = IPC_PHASE_DRAIN;
	if (w->ops->on_drain != NULL)
		w->ops->on_drain(w, m->deadline_ms);
	else
		worker_drained(w);
	return 0;
}

int
worker_on_alive(void *worker, struct ipc_in *in, struct err *e)
{
	struct worker *w = worker;
	const struct ipc_alive *m = in->payload;
	struct ipc_alive_ack ack = {.number = m->number};

	(void)e;
	ipc_send(w->sup, IPC_ALIVE_ACK, 0, 0, 0, &ack, NULL, 0);
	return 0;
}

/* ---- the life ---- */

static int
worker_init(struct worker *w, struct worker_start *start,
    const struct worker_ops *ops, struct err *e)
{
	static const int ignored[] = {
	    SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2};
	int rc = sys_close_from(WORKER_SUP_FD + 1, e);

	/* The supervisor says when to end; a terminal's keys do not. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	start->parent = getppid();
	w->role = ops->role;
	w->ops = ops;
	w->start = start;
	w->phase = IPC_PHASE_START;
	w->dispatch = (struct ipc_dispatch){
	    ops->role, ops->handlers, ops->n_handlers, worker_on_gone};
	list_init(&w->peers);
	if (rc == 0)
		rc = sys_null_stdio(e);
	if (rc == 0)
		rc = sys_sandbox_limits(ops->sandbox, e);
	tzset(); /* while there are files */
	w->loop = ev_loop_new();
	if (rc < 0 || w->loop == NULL)
		return rc < 0 ? rc : err_nomem(e);
	w->sup = ipc_peer_new(w->loop, &w->dispatch, w, &w->phase, IPC_SUP, 0,
	    "supervisor", WORKER_SUP_FD, -1, e);
	if (w->sup == NULL)
		return -(int)e->code;
	log_set_sink(worker_log, w);
	return 0;
}

static int
worker_wait_start(struct worker *w, struct err *e)
{
	while (!w->started && !w->quit)
		ev_loop_turn(w->loop, true);
	if (!w->started)
		return err_set(e, ERR_CLOSED, "no START came");
	worker_set_log_level(w);
	return 0;
}

static void
worker_title(const struct worker *w)
{
	static const char *const comm[IPC_N_ROLES] = {[IPC_FE] = "fe",
	    [IPC_SF] = "sf",
	    [IPC_SEC] = "sec",
	    [IPC_CON] = "con",
	    [IPC_CLU] = "clu",
	    [IPC_OWN] = "own"};
	char name[16];

	snprintf(name, sizeof(name), "tributaryd-%s", comm[w->role]);
	sys_title_set(name, "tributaryd: %s %u %s", ipc_role_name(w->role),
	    w->index, w->name);
}

static int
worker_confine(struct worker *w, struct err *e)
{
	struct worker_start *s = w->start;
	int rc = 0;

	if (s->uid != 0) {
		rc = sys_empty_root(e);
		if (rc == 0)
			rc = sys_identity_drop(s->uid, s->gid, e);
	}
	if (rc == 0)
		rc = sys_no_new_privileges(e);
	if (rc == 0)
		rc = sys_die_with_parent(s->parent, e);
#ifndef TRIB_SANITIZERS /* they read /proc/self */
	if (rc == 0) {
		rc = sys_landlock_apply(
		    w->rules, w->n_rules, w->ops->sandbox->connects, e);
		if (rc == -ERR_UNSUPPORTED) {
			s->note = "this kernel has no Landlock";
			rc = 0;
		}
	}
#endif
	if (rc == 0)
		rc = sys_sandbox_apply(w->ops->sandbox,
		    s->trap ? SYS_SANDBOX_TRAP : SYS_SANDBOX_KILL, e);
	return rc;
}

static int
worker_ready(struct worker *w, struct err *e)
{
	struct ipc_ready m = {.note = w->start->note};

	w->phase = IPC_PHASE_RUN;
	if (ipc_send(w->sup, IPC_READY, 0, 0, 0, &m, NULL, 0) < 0)
		return err_set(e, ERR_CLOSED, "READY could not be sent");
	return 0;
}

static void
worker_deinit(struct worker *w)
{
	/* Last words first; then every stream hears that its peer is gone. */
	LIST_FOR_EACH (node, &w->peers) {
		struct ipc_peer *p =
		    LIST_ENTRY(node, struct worker_peer_node, link)->peer;

		ipc_peer_flush(p);
		ipc_peer_end(p, "this worker ends");
	}
	if (w->loop != NULL)
		ev_loop_turn(w->loop, false);
	if (w->ops->stop != NULL && w->state != NULL)
		w->ops->stop(w);
	log_set_sink(NULL, NULL);
	if (w->sup != NULL)
		ipc_peer_flush(w->sup);
	ipc_peer_free(&w->sup);
	cJSON_Delete(w->config);
	ev_loop_free(&w->loop);
}

int
worker_run(const struct worker_ops *ops)
{
	struct worker w = {0};
	struct worker_start start = {.note = ""};
	struct err e;
	int rc;

	log_init(ipc_role_name(ops->role), LOG_LV_INFO);
	rc = worker_init(&w, &start, ops, &e);
	if (rc == 0)
		rc = worker_wait_start(&w, &e);
	if (rc == 0) {
		worker_title(&w);
		rc = ops->prepare != NULL ? ops->prepare(&w, &e) : 0;
	}
	if (rc == 0)
		rc = worker_confine(&w, &e);
	if (rc == 0 && ops->start != NULL)
		rc = ops->start(&w, &e);
	if (rc == 0)
		rc = worker_ready(&w, &e);
	if (rc == 0 && !w.quit)
		ev_loop_run(w.loop);
	if (rc < 0 && w.sup != NULL)
		log_error("cannot start: %s", e.text);
	worker_deinit(&w);
	return rc < 0 ? 1 : 0;
}
