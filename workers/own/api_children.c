/*
 * api_children: MirrordClusterSession for primaries: create, get, list,
 * watch, delete. The frontend lets only authenticated primaries here; a
 * primary sees its own children alone.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/calls.h"
#include "workers/own/objects.h"

#define API_VERSION "mirrord.metalbear.co/v1alpha"

/* ---- create ---- */

struct wish { /* a MirrordClusterSession, checked */
	const char *name, *parent, *ns;
	const cJSON *spec, *owner, *notes;
	struct plat_alias target;
};

static int
parse_target(const cJSON *spec, struct plat_alias *a, struct err *e)
{
	const cJSON *t = cJSON_GetObjectItemCaseSensitive(spec, "target");
	int kind = plat_kind_by_kind(json_str(t, "kind", ""));
	const char *name = json_str(t, "name", "");
	const char *container = json_str(t, "container", "");
	memset(a, 0, sizeof(*a));
	if (kind < 0 || !plat_name_ok(name) ||
	    (container[0] != '\0' && !plat_name_ok(container)))
		return err_set(e, ERR_INVALID,
		    "spec.target needs a kind and a name of a workload");
	a->kind = (enum plat_kind)kind;
	(void)str_fmt(a->name, sizeof(a->name), "%s", name);
	(void)str_fmt(a->container, sizeof(a->container), "%s", container);
	return 0;
}

static int
parse_wish(const cJSON *o, struct wish *w, struct err *e)
{
	const cJSON *meta = cJSON_GetObjectItemCaseSensitive(o, "metadata");
	w->name = json_str(meta, "name", "");
	w->notes = cJSON_GetObjectItemCaseSensitive(meta, "annotations");
	w->spec = cJSON_GetObjectItemCaseSensitive(o, "spec");
	w->owner = cJSON_GetObjectItemCaseSensitive(w->spec, "owner");
	w->parent = json_str(w->spec, "multiClusterParentName", "");
	w->ns = json_str(w->spec, "namespace", "");
	if (strcmp(json_str(o, "kind", ""), "MirrordClusterSession") != 0)
		return err_set(
		    e, ERR_INVALID, "the body is not a MirrordClusterSession");
	if (!plat_name_ok(w->name))
		return err_set(e, ERR_INVALID, "metadata.name is no name");
	if (!plat_name_ok(w->parent) || !str_starts(w->name, w->parent))
		return err_set(e, ERR_INVALID,
		    "spec.multiClusterParentName must be what metadata.name "
		    "begins with");
	if (!plat_name_ok(w->ns))
		return err_set(e, ERR_INVALID, "spec.namespace is no name");
	if (json_str(w->owner, "k8sUsername", "")[0] == '\0')
		return err_set(
		    e, ERR_INVALID, "spec.owner.k8sUsername is missing");
	return parse_target(w->spec, &w->target, e);
}

static int
set_texts(struct own_session *s, const struct wish *w, const char *primary)
{
	struct buf alias;
	int r = 0;
	buf_init(&alias, 0);
	r |= plat_alias_put(&w->target, &alias);
	r |= own_text_set(&s->alias, buf_cstr(&alias));
	buf_free(&alias);
	r |= own_text_set(&s->user, json_str(w->owner, "k8sUsername", ""));
	r |= own_text_set(&s->key_id, json_str(w->owner, "userId", ""));
	r |= own_text_set(&s->client_name, json_str(w->owner, "username", ""));
	r |= own_text_set(
	    &s->client_hostname, json_str(w->owner, "hostname", ""));
	r |= own_text_set(
	    &s->groups, json_str(w->notes, "tributary.dev/groups", ""));
	r |= own_text_set(&s->ns, w->ns);
	r |= own_text_set(&s->key, json_str(w->spec, "key", ""));
	r |= own_text_set(
	    &s->cli_version, json_str(w->spec, "clientCliVersion", ""));
	r |= own_text_set(&s->header_filter,
	    json_str(cJSON_GetObjectItemCaseSensitive(w->spec, "httpFilter"),
		"headerFilter", ""));
	r |= own_text_set(&s->parent, w->parent);
	r |= own_text_set(&s->primary, primary);
	r |= own_text_set(&s->params, "connect=true");
	return r;
}

static struct own_session *
make(struct own *own, const struct wish *w, const char *primary)
{
	struct own_session *s = own_session_new(own, OWN_CHILD, w->name);
	if (s == NULL)
		return NULL;
	s->target = w->target;
	/* as we name parents; a foreign one's id comes with the first stream */
	if (str_starts(w->parent, "mc-"))
		(void)str_hex_to_u64(w->parent + 3, &s->id);
	if (set_texts(s, w, primary) == 0 &&
	    own_session_add_slot(s, own->cfg.cluster) == 0 &&
	    own_session_save(s) == 0)
		return s;
	own_session_free(s);
	return NULL;
}

static void
refuse_closed(struct own_api *a, const struct plat_closed *c)
{
	own_api_status(a, 410, "ReconnectNotPossible", "%s", c->message);
}

static void
create(struct own_api *a, const struct wish *w)
{
	struct own *own = a->own;
	struct own_refusal r = {0};
	struct plat_closed c;
	struct own_session *old = own_session_by_name(own, w->name);
	if (old != NULL &&
	    (old->kind != OWN_CHILD || strcmp(old->primary, a->user) != 0)) {
		own_api_status(a, 409, "Conflict",
		    "the name %s belongs to another primary", w->name);
		return;
	}
	if (old != NULL) {
		own_api_status(a, 409, "AlreadyExists",
		    "mirrordclustersessions \"%s\" already exists", w->name);
		return;
	}
	if (plat_closed_find(own->store, w->name, clock_wall_s(), &c)) {
		refuse_closed(a, &c);
		return;
	}
	if (own_find_target(own, w->ns, &w->target, &r) == NULL) {
		own_api_status(a, r.code, r.reason, "%s", r.message);
		return;
	}
	struct own_session *s = make(own, w, a->user);
	if (s == NULL) {
		own_api_status(a, 500, "InternalError",
		    "the child session cannot be stored");
		return;
	}
	log_info("child session=%s created by primary=%s user=%s target=%s",
	    s->name, s->primary, s->user, s->alias);
	own_api_json(a, 201, own_record_json(s));
	own_session_begin(s);
}

void
own_create_child(struct own_api *a)
{
	struct err e = {0};
	struct wish w;
	if (a->peer != OWN_PEER_PRIMARY) {
		own_api_status(a, 403, "Forbidden",
		    "only a primary may create child sessions");
		return;
	}
	cJSON *o = json_parse(a->body.p, a->body.n, &e);
	if (o == NULL)
		own_api_status(a, 400, "BadRequest", "%s", e.text);
	else if (parse_wish(o, &w, &e) != 0)
		own_api_status(a, 422, "Invalid", "%s", e.text);
	else
		create(a, &w);
	cJSON_Delete(o);
}

/* ---- the others ---- */

static struct own_session *
find(const struct own_api *a)
{
	struct own_session *s = own_session_by_name(a->own, a->name);
	return s != NULL && s->kind == OWN_CHILD &&
		       strcmp(s->primary, a->user) == 0
		   ? s
		   : NULL;
}

static void
not_found(struct own_api *a)
{
	own_api_status(a, 404, "NotFound",
	    "mirrordclustersessions \"%s\" not found", a->name);
}

void
own_get_child(struct own_api *a)
{
	const struct own_session *s = find(a);
	if (s == NULL)
		not_found(a);
	else
		own_api_json(a, 200, own_record_json(s));
}

void
own_delete_child(struct own_api *a)
{
	struct own_session *s = find(a);
	if (s == NULL) {
		not_found(a);
		return;
	}
	log_info("child session=%s deleted by primary=%s", s->name, a->user);
	own_api_success(a, "the child session is removed");
	s->deleted = true;
	if (s->phase != OWN_TERMINATING)
		own_event(s, OWN_EV_EXPIRE);
}

static void
put_version(const struct own_api *a, cJSON *list)
{
	char text[32];
	(void)str_fmt(
	    text, sizeof(text), "%llu", (unsigned long long)a->own->version);
	cJSON_AddStringToObject(
	    cJSON_GetObjectItemCaseSensitive(list, "metadata"),
	    "resourceVersion", text);
}

void
own_list_children(struct own_api *a)
{
	struct own *own = a->own;
	if (a->q.watch) {
		own_watch_start(a);
		LIST_FOR_EACH (n, &own->sessions) {
			const struct own_session *s =
			    LIST_ENTRY(n, struct own_session, node);
			if (s->kind == OWN_CHILD &&
			    strcmp(s->primary, a->user) == 0)
				own_watch_send(a, s, "ADDED");
		}
		return;
	}
	cJSON *list = own_list_json(API_VERSION, "MirrordClusterSessionList");
	cJSON *items = cJSON_GetObjectItemCaseSensitive(list, "items");
	struct err e = {0};
	int r = 1;
	put_version(a, list);
	LIST_FOR_EACH (n, &own->sessions) {
		const struct own_session *s =
		    LIST_ENTRY(n, struct own_session, node);
		if (s->kind != OWN_CHILD || strcmp(s->primary, a->user) != 0)
			continue;
		cJSON *o = own_record_json(s);
		r = own_labels_match(
		    a->q.labels, json_at(o, "metadata.labels"), &e);
		if (r > 0)
			cJSON_AddItemToArray(items, o);
		else
			cJSON_Delete(o);
		if (r < 0)
			break;
	}
	if (r >= 0) {
		own_api_json(a, 200, list);
		return;
	}
	cJSON_Delete(list);
	own_api_status(a, 400, "BadRequest", "%s", e.text);
}
