/*
 * main: the life of the own worker. prepare sees the file system as root and
 * leaves with two directory descriptors; start reads the store; then
 * everything is messages and time.
 */
#include "config.h"

#include "workers/own/main.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "workers/own/calls.h"
#include "workers/own/dirs.h"
#include "workers/own/local.h"

enum { OWN_DAEMON_BUDGET_BYTES = 64 << 20 };

uint32_t
own_next_request(struct own *own)
{
	if (++own->next_request == 0)
		own->next_request = 1;
	return own->next_request;
}

struct ipc_peer *
own_clu(const struct own *own, uint32_t worker)
{
	return worker_peer(own->w, IPC_CLU, worker);
}

struct ipc_peer *
own_sf(const struct own *own)
{
	return worker_peer(own->w, IPC_SF, 0);
}

static int
load_targets(struct own *own, struct plat_targets *ts, struct err *e)
{
	plat_targets_init(ts);
	int r = plat_targets_add_config(ts,
	    cJSON_GetObjectItemCaseSensitive(own->w->config, "targets"),
	    own->cfg.cluster, e);
	if (r != 0)
		plat_targets_free(ts);
	return r;
}

static struct own *
own_new(struct worker *w)
{
	struct own *own = calloc(1, sizeof(*own));
	if (own == NULL)
		return NULL;
	own->w = w;
	list_init(&own->sessions);
	list_init(&own->peers);
	list_init(&own->agents);
	list_init(&own->calls);
	list_init(&own->watches);
	list_init(&own->locks);
	map_init(&own->by_handle);
	plat_targets_init(&own->targets);
	/* handles and requests of an earlier life must not mean ours */
	own->started_us = clock_wall_us();
	own->next_handle = (uint32_t)(own->started_us / 1000);
	own->next_request = (uint32_t)own->started_us;
	own->version = (uint64_t)(own->started_us / 1000000);
	own->closed_swept_s = own->started_us / 1000000;
	own->budget = calloc(1, sizeof(*own->budget));
	if (own->budget == NULL) {
		free(own);
		return NULL;
	}
	own->budget->limit_bytes = OWN_DAEMON_BUDGET_BYTES;
	return own;
}

int
own_prepare(struct worker *w, struct err *e)
{
	struct own *own = own_new(w);
	if (own == NULL)
		return err_nomem(e);
	w->state = own;
	int r = own_settings_load(&own->cfg, w, e);
	if (r == 0)
		r = load_targets(own, &own->targets, e);
	if (r == 0)
		r = own_identity_load(own, e);
	if (r == 0)
		r = own_dirs_open(own, e);
	return r;
}

static void
on_record(void *arg, const char *name, const cJSON *record)
{
	struct own *own = arg;
	struct err e = {0};
	struct own_session *s = own_record_load(own, name, record, &e);
	if (s == NULL) {
		plat_store_set_aside(own->store, name, e.text);
		return;
	}
	log_info("session=%s found phase=%s user=%s target=%s", s->name,
	    own_phase_name(s->phase), s->user, s->alias);
	if (s->phase == OWN_TERMINATING)
		s->removing_since_ms = clock_mono_ms();
}

int
own_start(struct worker *w, struct err *e)
{
	struct own *own = w->state;
	own->tick = ev_timer_new(w->loop, own_tick, own);
	if (own->tick == NULL)
		return err_nomem(e);
	int r = plat_store_load(own->store, on_record, own, e);
	plat_closed_expire(own->store, clock_wall_s());
	own_tick_arm(own);
	return r;
}

static void
sf_attached(struct own *own)
{
	LIST_FOR_EACH (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		s->sf_granted = s->sf_asked = false;
		own_grant_sf(s);
	}
}

void
own_on_peer(struct worker *w, struct ipc_peer *peer)
{
	struct own *own = w->state;
	if (ipc_peer_role(peer) == IPC_SF)
		sf_attached(own);
	else if (ipc_peer_role(peer) == IPC_CLU)
		own_slots_clu_attached(own, peer);
}

void
own_on_peer_gone(struct worker *w, struct ipc_peer *peer, const char *why)
{
	struct own *own = w->state;
	(void)why;
	switch (ipc_peer_role(peer)) {
	case IPC_FE:
		own_sockets_fe_gone(own, peer);
		own_calls_fe_gone(own, peer);
		break;
	case IPC_SF:
		LIST_FOR_EACH (n, &own->sessions) {
			struct own_session *s =
			    LIST_ENTRY(n, struct own_session, node);
			s->sf_granted = s->sf_asked = false;
		}
		break;
	case IPC_CLU:
		own_slots_clu_gone(own, ipc_peer_index(peer));
		own_calls_clu_gone(own, ipc_peer_index(peer));
		break;
	default:
		break;
	}
}

/* Running sessions keep their clusters; new ones get the new list. */
void
own_reload(struct worker *w, cJSON *old_config)
{
	struct own *own = w->state;
	struct own_settings cfg;
	struct plat_targets ts;
	struct err e = {0};
	(void)old_config;
	if (own_settings_load(&cfg, w, &e) != 0) {
		own_settings_free(&cfg);
		log_error("the settings stay as they are why=%s", e.text);
		return;
	}
	own_settings_free(&own->cfg);
	own->cfg = cfg;
	if (load_targets(own, &ts, &e) != 0) {
		log_error("the targets stay as they are why=%s", e.text);
		return;
	}
	plat_targets_keep_state(&ts, &own->targets);
	plat_targets_free(&own->targets);
	/* the list's head moves: link it anew */
	plat_targets_init(&own->targets);
	LIST_FOR_EACH_SAFE (n, &ts.list) {
		list_remove(n);
		list_push(&own->targets.list, n);
		own->targets.count++;
	}
	own->version++;
	LIST_FOR_EACH_SAFE (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		if (s->local != NULL && s->phase != OWN_TERMINATING)
			own_local_ensure(s->local->slot);
	}
}

void
own_drain_check(struct own *own)
{
	LIST_FOR_EACH (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		if (!list_empty(&s->sockets))
			return;
	}
	worker_drained(own->w);
}

/* The frontends end the sockets; the records stay. */
void
own_drain(struct worker *w, uint32_t deadline_ms)
{
	struct own *own = w->state;
	(void)deadline_ms;
	own->draining = true;
	own_drain_check(own);
}

void
own_stop(struct worker *w)
{
	struct own *own = w->state;
	if (own == NULL)
		return;
	LIST_FOR_EACH_SAFE (n, &own->sessions) {
		own_session_free(LIST_ENTRY(n, struct own_session, node));
	}
	own_agents_free(own);
	own_calls_free(own);
	plat_targets_free(&own->targets);
	own_settings_free(&own->cfg);
	map_free(&own->by_handle);
	ev_timer_free(&own->tick);
	plat_store_free(&own->store);
	free(own->budget);
	free(own);
	w->state = NULL;
}
