/* session: the sessions there are, by name, id and handle. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/local.h"
#include "workers/own/own.h"

void
own_refuse(struct own_refusal *r, uint16_t code, const char *reason,
    const char *fmt, ...)
{
	va_list ap;
	r->code = code;
	(void)str_fmt(r->reason, sizeof(r->reason), "%s", reason);
	va_start(ap, fmt);
	(void)vsnprintf(r->message, sizeof(r->message), fmt, ap);
	va_end(ap);
}

int
own_text_set(char **text, const char *value)
{
	char *copy = strdup(value == NULL ? "" : value);
	if (copy == NULL)
		return -ERR_NOMEM;
	free(*text);
	*text = copy;
	return 0;
}

/* Every text of a session, so that new and free forget none. */
/* clang-format off */
#define OWN_TEXTS(X) \
	X(user) X(key_id) X(groups) X(ns) X(alias) X(key) X(header_filter) \
	X(cli_version) X(client_name) X(client_hostname) X(client_der) \
	X(traceparent) X(baggage) X(parent) X(primary) X(params)
/* clang-format on */

static int
init_texts(struct own_session *s)
{
	int r = 0;
#define INIT(field) r |= own_text_set(&s->field, "");
	OWN_TEXTS(INIT)
#undef INIT
	return r;
}

static uint32_t
new_handle(struct own *own)
{
	while (own->next_handle == 0 ||
	       map_get(&own->by_handle, own->next_handle) != NULL)
		own->next_handle++;
	return own->next_handle++;
}

struct own_session *
own_session_new(struct own *own, enum own_kind kind, const char *name)
{
	if (own->n_sessions >= OWN_MAX_SESSIONS || !plat_name_ok(name))
		return NULL;
	struct own_session *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	list_init(&s->node);
	list_init(&s->waiters);
	list_init(&s->sockets);
	list_init(&s->subs);
	s->own = own;
	s->kind = kind;
	s->handle = new_handle(own);
	s->created_us = s->stamp_us = clock_wall_us();
	(void)str_fmt(s->name, sizeof(s->name), "%s", name);
	if (init_texts(s) != 0 || map_put(&own->by_handle, s->handle, s) != 0) {
		own_session_free(s);
		return NULL;
	}
	list_push(&own->sessions, &s->node);
	own->n_sessions++;
	own_tick_arm(own);
	return s;
}

static void
free_list(struct list *head)
{
	/* waiters, sockets and subs all begin with their node */
	LIST_FOR_EACH_SAFE (n, head) {
		list_remove(n);
		free(n);
	}
}

void
own_session_free(struct own_session *s)
{
	if (s == NULL)
		return;
	own_local_free(&s->local);
	free_list(&s->waiters);
	free_list(&s->sockets);
	free_list(&s->subs);
	for (int i = 0; i < s->n_slots; i++) {
		free(s->slots[i].cluster);
		free(s->slots[i].child);
	}
	free(s->slots);
#define FREE(field) free(s->field);
	OWN_TEXTS(FREE)
#undef FREE
	if (map_get(&s->own->by_handle, s->handle) == s)
		(void)map_del(&s->own->by_handle, s->handle);
	if (!list_empty(&s->node)) {
		list_remove(&s->node);
		s->own->n_sessions--;
	}
	free(s);
}

struct own_session *
own_session_by_name(const struct own *own, const char *name)
{
	LIST_FOR_EACH (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		if (strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

struct own_session *
own_session_by_handle(const struct own *own, uint32_t handle)
{
	return map_get(&own->by_handle, handle);
}

struct own_session *
own_session_by_id(const struct own *own, uint64_t id)
{
	LIST_FOR_EACH (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		if (s->id == id && s->kind != OWN_CHILD)
			return s;
	}
	return NULL;
}

/*
 * Parents are called as multicluster §2.2 says. A session of one cluster is
 * "sc-" + id: its record lies in the same directory, where a child of another
 * primary's may be called "mc-...".
 */
void
own_name_of_id(enum own_kind kind, uint64_t id, char out[64])
{
	(void)str_fmt(out, 64, "%s-%016llx", kind == OWN_PARENT ? "mc" : "sc",
	    (unsigned long long)id);
}

bool
own_same_owner(
    const struct own_session *s, const char *user, const char *key_id)
{
	return strcmp(s->user, user) == 0 && strcmp(s->key_id, key_id) == 0;
}

static uint32_t
worker_of(const struct own *own, const char *cluster)
{
	for (size_t i = 0; i < own->cfg.n_clusters; i++) {
		if (strcmp(own->cfg.clusters[i].name, cluster) == 0)
			return own->cfg.clusters[i].worker;
	}
	return UINT32_MAX; /* not configured any more: nobody answers */
}

static int
slot_init(struct own_slot *slot, struct own_session *s, const char *cluster)
{
	char label[64], child[PLAT_NAME_MAX];
	slot->s = s;
	slot->index = s->n_slots;
	slot->own = strcmp(cluster, s->own->cfg.cluster) == 0;
	slot->worker = slot->own ? UINT32_MAX : worker_of(s->own, cluster);
	slot->cluster = strdup(cluster);
	/* a single session is its own child */
	plat_cluster_label(cluster, label);
	if (s->kind != OWN_PARENT)
		(void)str_fmt(child, sizeof(child), "%s", s->name);
	else
		(void)str_fmt(child, sizeof(child), "%s-%s", s->name, label);
	slot->child = strdup(child);
	return slot->cluster == NULL || slot->child == NULL ? -ERR_NOMEM : 0;
}

int
own_session_add_slot(struct own_session *s, const char *cluster)
{
	if (s->n_slots >= OWN_MAX_CLUSTERS)
		return -ERR_TOO_BIG;
	struct own_slot *slots =
	    realloc(s->slots, ((size_t)s->n_slots + 1) * sizeof(*slots));
	if (slots == NULL)
		return -ERR_NOMEM;
	s->slots = slots;
	memset(&slots[s->n_slots], 0, sizeof(*slots));
	int r = slot_init(&slots[s->n_slots], s, cluster);
	s->n_slots++;
	return r;
}
