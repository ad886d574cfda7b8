/* calls: questions to the members, watches, and what becomes of them. */
#include "config.h"

#include "workers/own/calls.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/handlers.h"

/* ---- fan-out ---- */

static bool
all_over(const struct own_api *a)
{
	for (size_t i = 0; i < a->n_answers; i++) {
		if (!a->answers[i].over)
			return false;
	}
	return true;
}

static void
finish(void *arg)
{
	struct own_api *a = arg;
	void (*done)(struct own_api *) = a->done;
	list_remove(&a->node);
	ev_timer_free(&a->timer);
	done(a);
}

static void
ask(struct own_api *a, const struct own_cluster *c, uint8_t what)
{
	struct own_answer *w = &a->answers[a->n_answers++];
	struct ipc_peer *clu = own_clu(a->own, c->worker);
	struct ipc_peer_query m = {
	    .request = own_next_request(a->own),
	    .what = what,
	    .namespace = a->ns,
	};
	(void)str_fmt(w->cluster, sizeof(w->cluster), "%s", c->name);
	w->worker = c->worker;
	w->request = m.request;
	w->over = clu == NULL ||
		  ipc_send(clu, IPC_PEER_QUERY, 0, 0, 0, &m, NULL, 0) != 0;
}

static size_t
n_calls(const struct own *own)
{
	size_t n = 0;
	LIST_FOR_EACH (k, &own->calls) {
		n++;
	}
	return n;
}

void
own_fan_out(struct own_api *a, uint8_t what, void (*done)(struct own_api *a))
{
	const struct own_settings *c = &a->own->cfg;
	a->done = done;
	a->body = (struct span){NULL, 0};
	a->answers = calloc(c->n_clusters + 1, sizeof(*a->answers));
	a->timer = ev_timer_new(a->own->w->loop, finish, a);
	if (a->answers == NULL || a->timer == NULL ||
	    n_calls(a->own) >= OWN_MAX_CALLS) {
		own_api_status(a, 500, "InternalError",
		    "too many requests are under way: try again");
		return;
	}
	for (size_t i = 0; i < c->n_clusters; i++)
		ask(a, &c->clusters[i], what);
	list_push(&a->own->calls, &a->node);
	ev_timer_set(a->timer, all_over(a) ? 0 : OWN_FAN_OUT_MS);
}

void
own_put_silent(const struct own_api *a, cJSON *list)
{
	cJSON *meta = cJSON_GetObjectItemCaseSensitive(list, "metadata");
	cJSON *silent = NULL;
	for (size_t i = 0; i < a->n_answers; i++) {
		if (a->answers[i].body != NULL)
			continue;
		if (silent == NULL)
			silent = cJSON_AddArrayToObject(meta, "silentClusters");
		cJSON_AddItemToArray(
		    silent, cJSON_CreateString(a->answers[i].cluster));
	}
}

int
own_on_peer_answer(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_peer_answer *m = in->payload;
	struct own *own = own_of(worker);
	(void)e;
	LIST_FOR_EACH_SAFE (n, &own->calls) {
		struct own_api *a = LIST_ENTRY(n, struct own_api, node);
		for (size_t i = 0; i < a->n_answers; i++) {
			struct own_answer *w = &a->answers[i];
			if (w->over || w->request != m->request ||
			    w->worker != ipc_peer_index(in->peer))
				continue;
			w->over = true;
			if (m->code == 200)
				w->body =
				    json_parse(m->body.p, m->body.n, NULL);
			if (all_over(a))
				ev_timer_set(a->timer, 0);
			return 0;
		}
	}
	return 0;
}

void
own_calls_clu_gone(struct own *own, uint32_t worker)
{
	LIST_FOR_EACH (n, &own->calls) {
		struct own_api *a = LIST_ENTRY(n, struct own_api, node);
		for (size_t i = 0; i < a->n_answers; i++) {
			if (a->answers[i].worker == worker)
				a->answers[i].over = true;
		}
		if (all_over(a))
			ev_timer_set(a->timer, 0);
	}
	LIST_FOR_EACH (n, &own->peers) {
		struct own_peer_info *p =
		    LIST_ENTRY(n, struct own_peer_info, node);
		for (size_t i = 0; i < own->cfg.n_clusters; i++) {
			if (own->cfg.clusters[i].worker != worker ||
			    strcmp(own->cfg.clusters[i].name, p->cluster) != 0)
				continue;
			p->connected = false;
			(void)str_fmt(p->error, sizeof(p->error),
			    "its worker died and is being restarted");
		}
	}
}

/* ---- watches ---- */

void
own_watch_start(struct own_api *a)
{
	list_push(&a->own->watches, &a->node);
}

void
own_watch_send(struct own_api *a, const struct own_session *s, const char *type)
{
	struct buf line;
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "type", type);
	cJSON_AddItemToObject(o, "object", own_record_json(s));
	buf_init(&line, 0);
	if (json_print(o, &line) == 0 && buf_append(&line, "\n", 1) == 0) {
		struct ipc_api_reply m = {.request = a->request,
		    .code = 200,
		    .more = 1,
		    .body = buf_span(&line)};
		(void)ipc_send(a->fe, IPC_API_REPLY, 0, 0, 0, &m, NULL, 0);
	}
	buf_free(&line);
	cJSON_Delete(o);
}

void
own_watch_changed(const struct own_session *s, const char *type)
{
	LIST_FOR_EACH (n, &s->own->watches) {
		struct own_api *a = LIST_ENTRY(n, struct own_api, node);
		if (strcmp(a->user, s->primary) == 0)
			own_watch_send(a, s, type);
	}
}

/* ---- the ends of calls ---- */

static void
drop(struct list *calls, const struct ipc_peer *fe, bool any, uint32_t request)
{
	LIST_FOR_EACH_SAFE (n, calls) {
		struct own_api *a = LIST_ENTRY(n, struct own_api, node);
		if (a->fe == fe && (any || a->request == request))
			own_api_free(a);
	}
}

int
own_on_api_cancel(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_api_cancel *m = in->payload;
	struct own *own = own_of(worker);
	(void)e;
	drop(&own->calls, in->peer, false, m->request);
	drop(&own->watches, in->peer, false, m->request);
	return 0;
}

void
own_calls_fe_gone(struct own *own, const struct ipc_peer *fe)
{
	drop(&own->calls, fe, true, 0);
	drop(&own->watches, fe, true, 0);
}

void
own_calls_free(struct own *own)
{
	LIST_FOR_EACH_SAFE (n, &own->calls) {
		own_api_free(LIST_ENTRY(n, struct own_api, node));
	}
	LIST_FOR_EACH_SAFE (n, &own->watches) {
		own_api_free(LIST_ENTRY(n, struct own_api, node));
	}
	LIST_FOR_EACH_SAFE (n, &own->peers) {
		list_remove(n);
		free(LIST_ENTRY(n, struct own_peer_info, node));
	}
}

/* ---- what is known of the members ---- */

static struct own_peer_info *
peer_info(struct own *own, const char *cluster)
{
	LIST_FOR_EACH (n, &own->peers) {
		struct own_peer_info *p =
		    LIST_ENTRY(n, struct own_peer_info, node);
		if (strcmp(p->cluster, cluster) == 0)
			return p;
	}
	struct own_peer_info *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	list_init(&p->node);
	(void)str_fmt(p->cluster, sizeof(p->cluster), "%s", cluster);
	list_push(&own->peers, &p->node);
	return p;
}

int
own_on_peer_state(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_peer_state *m = in->payload;
	struct own *own = own_of(worker);
	const struct own_cluster *c = NULL;
	(void)e;
	/* who speaks is known by the socket, not by the field */
	for (size_t i = 0; i < own->cfg.n_clusters; i++) {
		if (own->cfg.clusters[i].worker == ipc_peer_index(in->peer))
			c = &own->cfg.clusters[i];
	}
	struct own_peer_info *p = c == NULL ? NULL : peer_info(own, c->name);
	if (p == NULL)
		return 0;
	p->connected = m->connected != 0;
	p->checked_us = clock_wall_us();
	p->credential_expires_s = (int64_t)m->credential_expires_s;
	(void)str_fmt(p->operator_version, sizeof(p->operator_version), "%s",
	    m->operator_version);
	(void)str_fmt(p->protocol_version, sizeof(p->protocol_version), "%s",
	    m->protocol_version);
	(void)str_fmt(
	    p->fingerprint, sizeof(p->fingerprint), "%s", m->fingerprint);
	(void)str_fmt(p->error, sizeof(p->error), "%s", m->error);
	return 0;
}
