/*
 * workers: a slot for each process there should be, from fork to exit and
 * back. The exit of the process (SIGCHLD) is what counts; a channel that ends
 * earlier, or breaks the contract, only gets its process killed.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "supervisor/agents.h"
#include "supervisor/sup.h"
#include "workers/worker.h"

const char *
sup_worker_label(const struct sup_worker *w)
{
	static char label[300];

	if (w->role == IPC_CLU)
		snprintf(label, sizeof(label), "cluster %s", w->name);
	else if (w->role == IPC_FE)
		snprintf(label, sizeof(label), "frontend %u", w->index);
	else
		snprintf(label, sizeof(label), "%s", ipc_role_name(w->role));
	return label;
}

/* The first users of the range are for what is there once. */
uid_t
sup_worker_uid(const struct cfg *cfg, enum ipc_role role, uint32_t index)
{
	static const uint8_t at[IPC_N_ROLES] = {
	    [IPC_SEC] = 0, [IPC_OWN] = 1, [IPC_CON] = 2, [IPC_SF] = 3};
	int64_t first = cfg_int(cfg, "workerUids.first");
	int64_t count = cfg_int(cfg, "workerUids.count");
	int64_t n = at[role];

	if (role == IPC_FE)
		n = 4 + (int64_t)index;
	else if (role == IPC_CLU)
		n = 4 + cfg_int(cfg, "frontends") + (int64_t)index;
	return n < count ? (uid_t)(first + n) : 0;
}

struct sup_worker *
sup_worker_find(struct sup *s, enum ipc_role role, uint32_t index)
{
	LIST_FOR_EACH (node, &s->workers) {
		struct sup_worker *w =
		    LIST_ENTRY(node, struct sup_worker, link);

		if (w->role == role && w->index == index)
			return w;
	}
	return NULL;
}

static void
worker_on_timer(void *arg)
{
	struct sup_worker *w = arg;

	switch (w->state) {
	case SUP_DOWN:
		sup_worker_start(w);
		break;
	case SUP_STARTING:
		sup_worker_kill(w, "it did not get ready in time");
		break;
	case SUP_ENDING:
		sup_worker_kill(w, w->peer == NULL ? "it closed its channel"
						   : "it did not end in time");
		break;
	case SUP_UP:
		break;
	}
}

struct sup_worker *
sup_worker_add(struct sup *s, enum ipc_role role, uint32_t index,
    const char *name, struct err *e)
{
	struct sup_worker *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		err_nomem(e);
		return NULL;
	}
	w->sup = s;
	w->role = role;
	w->index = index;
	w->stderr_fd = -1;
	snprintf(w->name, sizeof(w->name), "%s", name);
	list_init(&w->link);
	if (s->root) {
		w->uid = sup_worker_uid(s->cfg, role, index);
		if (w->uid == 0) {
			err_set(e, ERR_INVALID,
			    "workerUids.count is too small for %s: raise it "
			    "and restart tributaryd",
			    sup_worker_label(w));
			free(w);
			return NULL;
		}
	}
	w->timer = ev_timer_new(s->loop, worker_on_timer, w);
	if (w->timer == NULL) {
		free(w);
		err_nomem(e);
		return NULL;
	}
	list_push(&s->workers, &w->link);
	return w;
}

void
sup_worker_free(struct sup_worker **wp)
{
	struct sup_worker *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	list_remove(&w->link);
	sup_log_stderr_end(w);
	ipc_peer_free(&w->peer);
	ev_timer_free(&w->timer);
	free(w);
}

static int
send_start(struct sup_worker *w, struct err *e)
{
	struct sup *s = w->sup;
	cJSON *config =
	    cfg_section(s->cfg, w->role, w->role == IPC_CLU ? w->name : NULL);
	struct ipc_start m = {.instance = cfg_str(s->cfg, "instance"),
	    .name = w->name,
	    .index = w->index,
	    .table_hash = ipc_table_hash(),
	    .uid = w->uid,
	    .gid = w->uid,
	    .trap = s->opt.trap};
	struct buf text;
	int rc;

	buf_init(&text, 0);
	if (config == NULL || json_print(config, &text) < 0) {
		rc = err_nomem(e);
	} else {
		m.config = buf_span(&text);
		rc = ipc_send(w->peer, IPC_START, 0, 0, 0, &m, NULL, 0);
		if (rc < 0)
			err_set(e, (enum err_code) - rc,
			    "its part of the configuration is too large");
	}
	cJSON_Delete(config);
	buf_free(&text);
	return rc;
}

static void
worker_retry(struct sup_worker *w)
{
	if (clock_mono_ms() - w->started_ms >= SUP_BACKOFF_RESET_MS ||
	    w->backoff_ms == 0)
		w->backoff_ms = SUP_BACKOFF_FIRST_MS;
	else if (w->backoff_ms < SUP_BACKOFF_MAX_MS / 2)
		w->backoff_ms *= 2;
	else
		w->backoff_ms = SUP_BACKOFF_MAX_MS;
	w->state = SUP_DOWN;
	ev_timer_set(w->timer, w->backoff_ms);
}

void
sup_worker_start(struct sup_worker *w)
{
	struct sup *s = w->sup;
	struct sup_spawned p;
	struct err e;
	int rc;

	if (w->state != SUP_DOWN || s->phase == IPC_PHASE_DRAIN)
		return;
	w->started_ms = clock_mono_ms();
	w->why[0] = '\0';
	w->alive_sent = w->alive_seen = 0;
	rc = sup_spawn_worker(w, &p, &e);
	if (rc < 0) {
		log_error("cannot start %s: %s", sup_worker_label(w), e.text);
		worker_retry(w);
		return;
	}
	w->pid = p.pid;
	w->state = SUP_STARTING;
	ev_timer_set(w->timer, SUP_READY_MS);
	w->peer = ipc_peer_new(s->loop, &s->dispatch, s, &s->phase, w->role,
	    w->index, w->name, p.channel_fd, -1, &e);
	rc = sup_log_stderr(w, p.stderr_fd);
	if (w->peer != NULL) {
		ipc_peer_set_data(w->peer, w);
		if (rc == 0)
			rc = send_start(w, &e);
	}
	if (w->peer == NULL || rc < 0)
		sup_worker_kill(w, e.text);
}

void
sup_worker_kill(struct sup_worker *w, const char *why)
{
	if (w->pid <= 0)
		return;
	if (w->why[0] == '\0')
		snprintf(w->why, sizeof(w->why), "%s", why);
	if (w->state == SUP_UP)
		sup_topology_leave(w);
	w->state = SUP_ENDING;
	ev_timer_cancel(w->timer);
	kill(w->pid, SIGKILL);
}

void
sup_worker_lost(struct sup_worker *w)
{
	if (w->pid <= 0 || w->state == SUP_ENDING)
		return;
	if (w->state == SUP_UP)
		sup_topology_leave(w);
	w->state = SUP_ENDING;
	ev_timer_set(w->timer, SUP_LOST_MS);
}

void
sup_worker_remove(struct sup_worker *w)
{
	struct ipc_drain m = {.deadline_ms = SUP_DRAIN_MS};

	log_info("%s is no longer configured", sup_worker_label(w));
	w->removed = true;
	if (w->pid <= 0) {
		sup_worker_free(&w);
		return;
	}
	if (w->state == SUP_ENDING)
		return;
	if (w->state != SUP_UP) {
		sup_worker_kill(w, "it is no longer configured");
		return;
	}
	w->state = SUP_ENDING;
	ev_timer_set(w->timer, SUP_DRAIN_MS);
	ipc_send(w->peer, IPC_DRAIN, 0, 0, 0, &m, NULL, 0);
}

static void
log_death(const struct sup_worker *w, int status)
{
	const char *label = sup_worker_label(w);
	bool asked = w->removed || w->sup->phase == IPC_PHASE_DRAIN;

	if (asked && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		log_info("%s[%d] ended", label, (int)w->pid);
	else if (w->why[0] != '\0')
		log_error("%s[%d] was killed: %s", label, (int)w->pid, w->why);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		log_error("%s[%d] died: it made a call that its sandbox "
			  "forbids (--sandbox-trap names it)",
		    label, (int)w->pid);
	else if (WIFSIGNALED(status))
		log_error("%s[%d] died of signal %d (%s)", label, (int)w->pid,
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_error("%s[%d] died with exit status %d", label, (int)w->pid,
		    WEXITSTATUS(status));
}

void
sup_worker_died(struct sup_worker *w, int status)
{
	struct sup *s = w->sup;

	sup_log_stderr_end(w);
	log_death(w, status);
	/* At the end of the daemon nobody needs to hear of a mate's end. */
	if (w->state == SUP_UP || s->phase == IPC_PHASE_RUN)
		sup_topology_leave(w);
	ipc_peer_free(&w->peer);
	w->pid = 0;
	if (w->role == IPC_OWN)
		sup_agents_owner_gone(s->agents);
	if (w->removed) {
		sup_worker_free(&w);
	} else if (s->phase == IPC_PHASE_DRAIN) {
		w->state = SUP_DOWN;
		ev_timer_cancel(w->timer);
	} else {
		worker_retry(w);
		log_info("%s is started again in %u ms", sup_worker_label(w),
		    w->backoff_ms);
	}
	sup_drain_step(s);
}

void
sup_worker_ready(struct sup_worker *w, const char *note)
{
	struct sup *s = w->sup;

	if (w->state != SUP_STARTING)
		return;
	w->state = SUP_UP;
	ev_timer_cancel(w->timer);
	log_info("%s[%d] is ready", sup_worker_label(w), (int)w->pid);
	if (note[0] != '\0')
		sup_log_worker(w, LOG_LV_WARN, note);
	sup_listeners_give(w);
	sup_resolver_give(w);
	if (w->role == IPC_OWN)
		sup_agents_owner_ready(s->agents, w->peer);
	sup_topology_join(w);
	sup_reload_worker(w);
	sup_check_ready(s);
}

static int
add_and_start(struct sup *s, enum ipc_role role, uint32_t index,
    const char *name, struct err *e)
{
	struct sup_worker *w;

	if (worker_ops_of(role) == NULL)
		return 0; /* this build does not have it */
	w = sup_worker_add(s, role, index, name, e);
	if (w == NULL)
		return -(int)e->code;
	sup_worker_start(w);
	return 0;
}

int
sup_workers_init(struct sup *s, struct err *e)
{
	const cJSON *clusters = json_at(cfg_tree(s->cfg), "clusters"), *c;
	int64_t frontends = cfg_int(s->cfg, "frontends");
	int rc = add_and_start(s, IPC_SEC, 0, "", e);

	if (rc == 0)
		rc = add_and_start(s, IPC_OWN, 0, cfg_cluster_name(s->cfg), e);
	if (rc == 0)
		rc = add_and_start(s, IPC_CON, 0, "", e);
	if (rc == 0)
		rc = add_and_start(s, IPC_SF, 0, "", e);
	cJSON_ArrayForEach(c, clusters)
	{
		if (rc == 0)
			rc = add_and_start(s, IPC_CLU,
			    (uint32_t)json_int(c, "worker", 0, UINT16_MAX, 0),
			    json_str(c, "name", ""), e);
	}
	for (int64_t i = 0; rc == 0 && i < frontends; i++)
		rc = add_and_start(s, IPC_FE, (uint32_t)i, "", e);
	return rc;
}

static struct sup_worker *
worker_of_pid(struct sup *s, pid_t pid)
{
	LIST_FOR_EACH (node, &s->workers) {
		struct sup_worker *w =
		    LIST_ENTRY(node, struct sup_worker, link);

		if (w->pid == pid)
			return w;
	}
	return NULL;
}

static void
reap_one(struct sup *s, pid_t pid, int status)
{
	struct sup_worker *w = worker_of_pid(s, pid);

	if (w != NULL)
		sup_worker_died(w, status);
	else
		sup_agents_reaped(s->agents, pid, status);
}

void
sup_reap(void *sup)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		reap_one(sup, pid, status);
}
