/* api_sessions: list, get and end sessions (operator-api §13). */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/calls.h"
#include "workers/own/locks.h"
#include "workers/own/objects.h"

#define GROUP "operator.metalbear.co/v1"

cJSON *
own_list_json(const char *api_version, const char *kind)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "apiVersion", api_version);
	cJSON_AddStringToObject(o, "kind", kind);
	cJSON_AddObjectToObject(o, "metadata");
	cJSON_AddArrayToObject(o, "items");
	return o;
}

static int64_t
duration_s(const struct own_session *s)
{
	int64_t d = (clock_wall_us() - s->created_us) / 1000000;
	return d > 0 ? d : 0;
}

/* "username/k8sUsername@hostname" */
static void
put_user(cJSON *o, const struct own_session *s)
{
	struct buf b;
	buf_init(&b, 0);
	(void)buf_printf(
	    &b, "%s/%s@%s", s->client_name, s->user, s->client_hostname);
	cJSON_AddStringToObject(o, "user", buf_cstr(&b));
	buf_free(&b);
}

static void
put_target(cJSON *o, const struct own_session *s)
{
	struct buf b;
	buf_init(&b, 0);
	(void)buf_printf(&b, "%s/%s%s%s", plat_kind_info(s->target.kind)->alias,
	    s->target.name, s->target.container[0] ? "/container/" : "",
	    s->target.container);
	cJSON_AddStringToObject(o, "target", buf_cstr(&b));
	buf_free(&b);
	cJSON_AddStringToObject(o, "namespace", s->ns);
}

static void
put_id(cJSON *o, const char *key, uint64_t id)
{
	char text[32];
	(void)str_fmt(text, sizeof(text), "%" PRIX64, id);
	cJSON_AddStringToObject(o, key, text);
}

cJSON *
own_session_json(const struct own_session *s)
{
	cJSON *o = cJSON_CreateObject();
	put_id(o, "id", s->id);
	cJSON_AddNumberToObject(o, "duration_secs", (double)duration_s(s));
	put_user(o, s);
	put_target(o, s);
	cJSON_AddItemToObject(o, "locked_ports", own_locks_json(s));
	cJSON_AddStringToObject(o, "user_id", s->key_id);
	cJSON_AddNullToObject(o, "sqs");
	cJSON_AddNullToObject(o, "rmq");
	cJSON_AddNullToObject(o, "kafka");
	if (s->key[0] != '\0')
		cJSON_AddStringToObject(o, "key", s->key);
	else
		cJSON_AddNullToObject(o, "key");
	if (s->header_filter[0] != '\0')
		cJSON_AddStringToObject(
		    cJSON_AddObjectToObject(o, "http_filter"), "headerFilter",
		    s->header_filter);
	else
		cJSON_AddNullToObject(o, "http_filter");
	return o;
}

cJSON *
own_multi_json(const struct own_session *s)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "id", s->name);
	cJSON_AddNumberToObject(o, "durationSecs", (double)duration_s(s));
	put_user(o, s);
	put_target(o, s);
	cJSON *c = cJSON_AddArrayToObject(o, "clusters");
	for (int i = 0; i < s->n_slots; i++)
		cJSON_AddItemToArray(
		    c, cJSON_CreateString(s->slots[i].cluster));
	cJSON_AddStringToObject(o, "phase",
	    own_phase_name(s->phase == OWN_STORED ? OWN_READY : s->phase));
	return o;
}

static cJSON *
entry_json(const struct own_session *s)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "apiVersion", GROUP);
	cJSON_AddStringToObject(o, "kind", "Session");
	cJSON *m = cJSON_AddObjectToObject(o, "metadata");
	put_id(m, "name", s->id);
	cJSON_AddStringToObject(m, "namespace", s->ns);
	cJSON_AddItemToObject(
	    cJSON_AddObjectToObject(o, "spec"), "session", own_session_json(s));
	return o;
}

/* ---- lists ---- */

static bool
listed(const cJSON *items, const char *name)
{
	const cJSON *it;
	cJSON_ArrayForEach(it, items)
	{
		if (strcmp(json_str(
			       cJSON_GetObjectItemCaseSensitive(it, "metadata"),
			       "name", ""),
			name) == 0)
			return true;
	}
	return false;
}

/* A parent of ours, also one that is ending or was ended just now. */
static bool
was_ours(const struct own *own, const char *name)
{
	char parent[64];
	struct plat_closed c;
	uint64_t id;
	if (!str_hex_to_u64(name, &id))
		return false;
	own_name_of_id(OWN_PARENT, id, parent);
	return own_session_by_id(own, id) != NULL ||
	       plat_closed_find(own->store, parent, clock_wall_s(), &c);
}

/* A member's sessions, but not the children of our parents. */
static void
fold(const struct own *own, cJSON *items, const cJSON *theirs)
{
	const cJSON *it;
	cJSON_ArrayForEach(
	    it, cJSON_GetObjectItemCaseSensitive(theirs, "items"))
	{
		const char *name =
		    json_str(cJSON_GetObjectItemCaseSensitive(it, "metadata"),
			"name", "");
		if (cJSON_IsObject(it) && name[0] != '\0' &&
		    cJSON_IsObject(json_at(it, "spec.session")) &&
		    !listed(items, name) && !was_ours(own, name))
			cJSON_AddItemToArray(items, cJSON_Duplicate(it, 1));
	}
}

static void
list_done(struct own_api *a)
{
	cJSON *list = own_list_json(GROUP, "SessionList");
	cJSON *items = cJSON_GetObjectItemCaseSensitive(list, "items");
	struct err e = {0};
	int r = 0, kept = 0;
	LIST_FOR_EACH (n, &a->own->sessions) {
		const struct own_session *s =
		    LIST_ENTRY(n, struct own_session, node);
		if (s->phase != OWN_TERMINATING &&
		    (a->ns[0] == '\0' || strcmp(s->ns, a->ns) == 0))
			cJSON_AddItemToArray(items, entry_json(s));
	}
	for (size_t i = 0; i < a->n_answers; i++)
		fold(a->own, items, a->answers[i].body);
	for (cJSON *it = items->child, *next; r >= 0 && it != NULL; it = next) {
		next = it->next;
		r = own_fields_match(a->q.fields, it, &e);
		kept += r > 0;
		if (r == 0 || kept > OWN_LISTED_MAX)
			cJSON_Delete(cJSON_DetachItemViaPointer(items, it));
	}
	own_put_silent(a, list);
	if (r >= 0) {
		own_api_json(a, 200, list);
		return;
	}
	cJSON_Delete(list);
	own_api_status(a, 400, "BadRequest", "%s", e.text);
}

void
own_list_sessions(struct own_api *a)
{
	if (a->own->cfg.multi)
		own_fan_out(a, 2, list_done);
	else
		list_done(a);
}

/* ---- one session, by any of its spellings ---- */

/* A primary's session here: listed under the same id. */
static struct own_session *
child_by_id(const struct own *own, uint64_t id)
{
	LIST_FOR_EACH (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		if (s->kind == OWN_CHILD && s->id == id)
			return s;
	}
	return NULL;
}

/*
 * An id as listed (upper hex), with mc- or mc-copy-, or decimal. What is both
 * (digits only) is looked up as hex first: the listed form wins.
 */
static struct own_session *
find(const struct own *own, const char *name)
{
	uint64_t id;
	struct own_session *s = own_session_by_name(own, name);
	if (s != NULL)
		return s;
	if (str_starts(name, "mc-copy-"))
		name += strlen("mc-copy-");
	else if (str_starts(name, "mc-") || str_starts(name, "sc-"))
		name += strlen("mc-");
	if (str_hex_to_u64(name, &id))
		s = own_session_by_id(own, id);
	if (s == NULL && str_to_u64(name, &id))
		s = own_session_by_id(own, id);
	if (s == NULL && str_hex_to_u64(name, &id))
		s = child_by_id(own, id);
	if (s == NULL && str_to_u64(name, &id))
		s = child_by_id(own, id);
	return s;
}

static bool
may_see(const struct own_api *a, const struct own_session *s)
{
	return a->ns[0] == '\0' || strcmp(a->ns, s->ns) == 0;
}

void
own_get_session(struct own_api *a)
{
	struct own_session *s = find(a->own, a->name);
	if (s == NULL || s->phase == OWN_TERMINATING || !may_see(a, s))
		own_api_status(a, 404, "NotFound",
		    "there is no session %s: see `tributary session list` or "
		    "`mirrord session list`",
		    a->name);
	else
		own_api_json(a, 200, entry_json(s));
}

/* ---- ends ---- */

static bool
may_end(const struct own_api *a, const struct own_session *s)
{
	return a->peer == OWN_PEER_ADMIN ||
	       (a->peer == OWN_PEER_USER &&
		   own_same_owner(s, a->user, a->key_id));
}

static void
end(struct own_api *a, struct own_session *s)
{
	char text[512];
	(void)str_fmt(
	    text, sizeof(text), "the session was stopped by %s", a->user);
	own_session_end(s, "Killed", text);
}

static void
end_many(struct own_api *a, bool inactive_only)
{
	int ended = 0, others = 0;
	LIST_FOR_EACH_SAFE (n, &a->own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		if (s->kind == OWN_CHILD || s->phase == OWN_TERMINATING ||
		    !may_see(a, s))
			continue;
		if (inactive_only && !list_empty(&s->sockets))
			continue;
		if (!may_end(a, s)) {
			others++;
			continue;
		}
		ended++;
		end(a, s);
	}
	if (others > 0)
		own_api_success(a,
		    "%d session(s) stopped; %d of other users or keys stay",
		    ended, others);
	else
		own_api_success(a, "%d session(s) stopped", ended);
}

void
own_delete_sessions(struct own_api *a)
{
	end_many(a, false);
}

void
own_delete_session(struct own_api *a)
{
	if (strcmp(a->name, "inactive") == 0) {
		end_many(a, true);
		return;
	}
	struct own_session *s = find(a->own, a->name);
	if (s == NULL || s->phase == OWN_TERMINATING || !may_see(a, s)) {
		own_api_status(a, 404, "NotFound",
		    "there is no session %s: see `tributary session list` or "
		    "`mirrord session list`",
		    a->name);
		return;
	}
	if (!may_end(a, s)) {
		own_api_status(a, 403, "Forbidden",
		    "the session %s belongs to another user or another key: "
		    "ask an administrator to stop it",
		    a->name);
		return;
	}
	end(a, s);
	own_api_success(a, "session(s) stopped");
}
