#include "config.h"

#include "workers/own/locks.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/str.h"

struct own_lock {
	struct list node;
	const struct own_stream *st;
	uint16_t port;
};

static struct own_lock *
find(const struct own *own, const struct own_stream *st, uint16_t port)
{
	LIST_FOR_EACH (n, &own->locks) {
		struct own_lock *k = LIST_ENTRY(n, struct own_lock, node);
		if (k->st == st && k->port == port)
			return k;
	}
	return NULL;
}

/* Another session that steals the port of the same target, or NULL. */
static struct own_session *
rival(const struct own *own, const struct own_stream *st, uint16_t port)
{
	LIST_FOR_EACH (n, &own->locks) {
		struct own_lock *k = LIST_ENTRY(n, struct own_lock, node);
		if (k->port == port && k->st->local != st->local &&
		    strcmp(k->st->local->target, st->local->target) == 0)
			return k->st->local->s;
	}
	return NULL;
}

static enum params_steal
policy(const struct own_session *s)
{
	struct params p;
	if (params_parse(s->params, &p, NULL) != 0)
		return PARAMS_STEAL_ABORT;
	enum params_steal steal = p.on_concurrent_steal;
	params_free(&p);
	return steal;
}

int
own_lock_take(struct own_stream *st, uint16_t port)
{
	struct own_session *s = st->local->s, *other;
	struct own *own = s->own;
	enum params_steal steal = policy(s);
	if (find(own, st, port) != NULL)
		return 0;
	while (steal != PARAMS_STEAL_CONTINUE &&
	       (other = rival(own, st, port)) != NULL) {
		char text[256];
		if (steal == PARAMS_STEAL_ABORT) {
			log_info("session=%s port=%u is locked by session=%s",
			    s->name, port, other->name);
			return -ERR_CONFLICT;
		}
		(void)str_fmt(text, sizeof(text),
		    "port %u of %s was taken over by %s: start again to take "
		    "it back",
		    port, other->alias, s->user);
		/* ends its streams, and with them its locks */
		own_session_end(other, "Overridden", text);
	}
	struct own_lock *k = calloc(1, sizeof(*k));
	if (k == NULL)
		return -ERR_NOMEM;
	list_init(&k->node);
	k->st = st;
	k->port = port;
	list_push(&own->locks, &k->node);
	return 0;
}

void
own_lock_drop(struct own_stream *st, uint16_t port)
{
	struct own_lock *k = find(st->local->s->own, st, port);
	if (k != NULL) {
		list_remove(&k->node);
		free(k);
	}
}

void
own_locks_drop_all(const struct own_stream *st)
{
	LIST_FOR_EACH_SAFE (n, &st->local->s->own->locks) {
		struct own_lock *k = LIST_ENTRY(n, struct own_lock, node);
		if (k->st == st) {
			list_remove(n);
			free(k);
		}
	}
}

cJSON *
own_locks_json(const struct own_session *s)
{
	cJSON *list = cJSON_CreateArray();
	LIST_FOR_EACH (n, &s->subs) {
		const struct own_sub *b = LIST_ENTRY(n, struct own_sub, node);
		cJSON *o = cJSON_CreateObject();
		cJSON_AddNumberToObject(o, "port", b->port);
		cJSON_AddStringToObject(
		    o, "kind", b->space == PM_SPACE_STEAL ? "steal" : "mirror");
		if (s->header_filter[0] != '\0')
			cJSON_AddStringToObject(o, "filter", s->header_filter);
		else
			cJSON_AddNullToObject(o, "filter");
		cJSON_AddItemToArray(list, o);
	}
	return list;
}
