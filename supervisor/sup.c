#include "config.h"

#include "supervisor/sup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/agents.h"
#include "supervisor/replicas.h"
#include "sys/landlock.h"
#include "sys/process.h"

/* A worker's channel ended; its process follows. */
static void
sup_on_gone(void *arg, struct ipc_peer *peer, const char *why)
{
	struct sup *s = arg;
	struct sup_worker *w = ipc_peer_data(peer);
	bool closed = strcmp(why, IPC_WHY_CLOSED) == 0;

	if (w == NULL)
		return;
	w->peer = NULL;
	if (w->role == IPC_OWN)
		sup_agents_owner_gone(s->agents);
	if (closed) {
		/* Its exit, which follows, says more than the end of file. */
		sup_worker_lost(w);
		return;
	}
	if (w->state == SUP_ENDING)
		return;
	log_error("%s[%d] broke the contract: %s", sup_worker_label(w),
	    (int)w->pid, why);
	sup_worker_kill(w, why);
}

/* Who waits for us in the foreground may go. */
static void
background_ready(struct sup *s)
{
	if (s->ready_fd < 0)
		return;
	if (write(s->ready_fd, "r", 1) < 0)
		log_warn("nobody waits for the daemon to be ready");
	close(s->ready_fd);
	s->ready_fd = -1;
}

void
sup_check_ready(struct sup *s)
{
	unsigned n = 0;

	LIST_FOR_EACH (node, &s->workers) {
		const struct sup_worker *w =
		    LIST_ENTRY(node, struct sup_worker, link);

		if (w->state != SUP_UP)
			return;
		n++;
	}
	if (s->ready_told)
		return;
	s->ready_told = true;
	log_info("ready: %u workers", n);
	sys_notify_send(&s->notify, "READY=1\nSTATUS=%u workers", n);
	background_ready(s);
}

static void
say_what_is_missing(const struct sup *s)
{
	if (!s->root)
		log_warn("started without root: workers keep this user and "
			 "see the file system through Landlock only; agents "
			 "cannot be placed into other namespaces");
	if (sys_landlock_abi() == 0)
		log_warn("this kernel has no Landlock: %s",
		    s->root ? "the empty root alone guards the file system"
			    : "nothing guards the file system");
}

static int
signals_init(struct sup *s, struct err *e)
{
	static const struct {
		int signo;
		ev_fn *fn;
	} table[] = {
	    {SIGCHLD, sup_reap},
	    {SIGHUP, sup_reload},
	    {SIGTERM, sup_drain},
	    {SIGINT, sup_drain},
	};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		s->signals[i] =
		    ev_signal_new(s->loop, table[i].signo, table[i].fn, s);
		if (s->signals[i] == NULL)
			return err_nomem(e);
	}
	return 0;
}

static int
sup_init(struct sup *s, struct err *e)
{
	int rc, lv;

	s->root = geteuid() == 0;
	s->loop = ev_loop_new();
	if (s->loop == NULL)
		return err_nomem(e);
	if (sup_config_load(s, &s->cfg) < 0)
		return err_set(e, ERR_INVALID,
		    "the configuration has errors; correct them, check with "
		    "tributaryd -n");
	lv = log_level_parse(cfg_str(s->cfg, "logLevel"));
	log_set_level(lv < 0 ? LOG_LV_INFO : (enum log_level)lv);
	s->dispatch = (struct ipc_dispatch){
	    IPC_SUP, sup_handlers, sup_n_handlers, sup_on_gone};
	rc = sup_paths_init(s, e);
	if (rc == 0)
		rc = sup_listeners_open(s, e);
	if (rc == 0)
		rc = sup_resolver_init(s, e);
	if (rc < 0)
		return rc;
	s->agents = sup_agents_new(s);
	s->replicas = sup_replicas_new(s);
	s->drain_timer = ev_timer_new(s->loop, sup_drain_on_timer, s);
	if (s->agents == NULL || s->replicas == NULL || s->drain_timer == NULL)
		return err_nomem(e);
	rc = sup_replicas_reload(s->replicas, e);
	if (rc == 0)
		rc = sup_watch_init(s, e);
	if (rc == 0)
		rc = signals_init(s, e);
	s->phase = IPC_PHASE_RUN;
	if (rc == 0)
		rc = sup_workers_init(s, e);
	return rc;
}

static void
sup_deinit(struct sup *s)
{
	LIST_FOR_EACH_SAFE (node, &s->workers) {
		struct sup_worker *w =
		    LIST_ENTRY(node, struct sup_worker, link);

		/* Only after a failed start: an orderly end leaves none. */
		if (w->pid > 0)
			kill(w->pid, SIGKILL);
		sup_worker_free(&w);
	}
	for (size_t i = 0; i < sizeof(s->signals) / sizeof(s->signals[0]); i++)
		ev_signal_free(&s->signals[i]);
	sup_watch_deinit(s);
	sup_agents_free(&s->agents);
	sup_replicas_free(&s->replicas);
	ev_timer_free(&s->drain_timer);
	sup_resolver_free(&s->resolver);
	sup_listeners_free(&s->listeners);
	sup_paths_deinit(s);
	cfg_free(&s->cfg);
	ev_loop_free(&s->loop);
	sys_notify_deinit(&s->notify);
	log_set_sink(NULL, NULL);
}

int
sup_main(const struct sup_options *opt)
{
	struct sup s = {.opt = *opt, .lock_fd = -1, .ready_fd = opt->ready_fd};
	struct err e;
	int rc;

	list_init(&s.workers);
	sup_log_init(&s);
	if (sys_notify_init(&s.notify, &e) < 0)
		log_warn("systemd is not told: %s", e.text);
	log_info("tributaryd %s starts", PACKAGE_VERSION);
	rc = sup_init(&s, &e);
	if (rc == 0) {
		say_what_is_missing(&s);
		ev_loop_run(s.loop);
		log_info("ended");
	} else {
		log_error("cannot start: %s", e.text);
		sys_notify_send(&s.notify, "STATUS=%.400s", e.text);
	}
	sup_deinit(&s);
	return rc < 0 ? 1 : 0;
}
