/*
 * reload: SIGHUP. A configuration with errors changes nothing. Clusters that
 * are new get a worker, those that are gone lose theirs, all the rest hear
 * RELOAD with their own part.
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "supervisor/replicas.h"
#include "supervisor/sup.h"

static void
problems_log(const struct cfg_problems *p)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct cfg_problem *q = &p->list[i];

		log_at(q->warning ? LOG_LV_WARN : LOG_LV_ERROR, "%s:%u:%u: %s",
		    q->file, q->line, q->column, q->text);
	}
}

int
sup_config_load(struct sup *s, struct cfg **out)
{
	struct cfg_env env = cfg_env_of_process();
	struct cfg_problems problems = {0};
	int rc = cfg_load(s->opt.config_path, &env, out, &problems);

	problems_log(&problems);
	cfg_problems_free(&problems);
	return rc;
}

/* Makes now fit for a running daemon that was started with s->cfg. */
static int
config_settle(struct sup *s, struct cfg *now)
{
	struct cfg_problems problems = {0};
	int rc = cfg_keep_workers(now, s->cfg);

	if (rc == 0)
		rc = cfg_freeze(now, s->cfg, &problems);
	problems_log(&problems);
	cfg_problems_free(&problems);
	return rc;
}

static const cJSON *
cluster_of(const struct cfg *cfg, uint32_t worker)
{
	const cJSON *c;

	cJSON_ArrayForEach(c, json_at(cfg_tree(cfg), "clusters"))
	{
		if (json_int(c, "worker", 0, UINT16_MAX, -1) == worker)
			return c;
	}
	return NULL;
}

static void
send_reload(struct sup_worker *w)
{
	cJSON *config = cfg_section(
	    w->sup->cfg, w->role, w->role == IPC_CLU ? w->name : NULL);
	struct ipc_reload m;
	struct buf text;

	buf_init(&text, 0);
	if (config != NULL && json_print(config, &text) == 0) {
		m.config = buf_span(&text);
		if (ipc_send(w->peer, IPC_RELOAD, 0, 0, 0, &m, NULL, 0) < 0)
			log_error("%s did not get its new configuration",
			    sup_worker_label(w));
	} else {
		log_error("%s did not get its new configuration: out of memory",
		    sup_worker_label(w));
	}
	cJSON_Delete(config);
	buf_free(&text);
}

static void
clusters_update(struct sup *s)
{
	const cJSON *c;
	struct err e;

	LIST_FOR_EACH_SAFE (node, &s->workers) {
		struct sup_worker *w =
		    LIST_ENTRY(node, struct sup_worker, link);

		if (w->role == IPC_CLU && !w->removed &&
		    cluster_of(s->cfg, w->index) == NULL)
			sup_worker_remove(w);
	}
	cJSON_ArrayForEach(c, json_at(cfg_tree(s->cfg), "clusters"))
	{
		uint32_t index =
		    (uint32_t)json_int(c, "worker", 0, UINT16_MAX, 0);
		struct sup_worker *w = sup_worker_find(s, IPC_CLU, index);

		if (w != NULL) {
			w->removed = false; /* it came back while ending */
			continue;
		}
		w = sup_worker_add(
		    s, IPC_CLU, index, json_str(c, "name", ""), &e);
		if (w == NULL)
			log_error("cluster %s is not used: %s",
			    json_str(c, "name", ""), e.text);
		else
			sup_worker_start(w);
	}
}

void
sup_reload(void *sup)
{
	struct sup *s = sup;
	struct cfg *now = NULL;
	struct err e;
	int lv;

	if (s->phase != IPC_PHASE_RUN)
		return;
	sys_notify_reloading(&s->notify);
	if (sup_config_load(s, &now) < 0 || config_settle(s, now) < 0) {
		log_error("the configuration was not reloaded; the old one "
			  "stays in force");
		cfg_free(&now);
		sys_notify_send(&s->notify, "READY=1");
		return;
	}
	cfg_free(&s->cfg);
	s->cfg = now;
	lv = log_level_parse(cfg_str(now, "logLevel"));
	log_set_level(lv < 0 ? LOG_LV_INFO : (enum log_level)lv);
	clusters_update(s);
	LIST_FOR_EACH (node, &s->workers) {
		struct sup_worker *w =
		    LIST_ENTRY(node, struct sup_worker, link);

		/* One that is starting got its part already: the old one. */
		if (w->state == SUP_UP)
			send_reload(w);
		else if (w->state == SUP_STARTING && !w->removed)
			w->reload_due = true;
	}
	if (sup_replicas_reload(s->replicas, &e) < 0)
		log_error("targets: %s", e.text);
	sup_paths_credentials(s);
	sup_resolver_check(s);
	log_info("configuration reloaded");
	sys_notify_send(&s->notify, "READY=1");
}

void
sup_reload_worker(struct sup_worker *w)
{
	if (!w->reload_due)
		return;
	w->reload_due = false;
	send_reload(w);
}
