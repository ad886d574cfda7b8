/*
 * record: a session as it is stored: a MirrordMultiClusterSession for
 * parents, a MirrordClusterSession for the others, in the shapes of the real
 * resources. What those have no place for stands in annotations of our own.
 * Branch names are never stored (multicluster §9).
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/local.h"
#include "workers/own/locks.h"
#include "workers/own/own.h"

#define NOTE "tributary.dev/"

static const struct {
	const char *kind, *api_version;
} kinds[OWN_N_KINDS] = {
    [OWN_SINGLE] = {"MirrordClusterSession", "mirrord.metalbear.co/v1alpha"},
    [OWN_PARENT] = {"MirrordMultiClusterSession",
	"operator.metalbear.co/v1alpha"},
    [OWN_CHILD] = {"MirrordClusterSession", "mirrord.metalbear.co/v1alpha"},
};

static void
put(cJSON *o, const char *key, const char *value)
{
	if (value != NULL && value[0] != '\0')
		cJSON_AddStringToObject(o, key, value);
}

static void
put_time(cJSON *o, const char *key, int64_t us)
{
	char text[32];
	clock_rfc3339_us(us, text, sizeof(text));
	cJSON_AddStringToObject(o, key, text);
}

static cJSON *
owner_json(const struct own_session *s)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "userId", s->key_id);
	cJSON_AddStringToObject(o, "username", s->client_name);
	cJSON_AddStringToObject(o, "hostname", s->client_hostname);
	cJSON_AddStringToObject(o, "k8sUsername", s->user);
	return o;
}

static cJSON *
target_json(const struct own_session *s)
{
	const struct plat_kind_info *k = plat_kind_info(s->target.kind);
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "apiVersion", k->api_version);
	cJSON_AddStringToObject(o, "kind", k->kind);
	cJSON_AddStringToObject(o, "name", s->target.name);
	cJSON_AddStringToObject(o, "container", s->target.container);
	return o;
}

/* What every record has in spec; a child's is made by own_child_json too. */
static void
put_spec(cJSON *spec, const struct own_session *s, enum own_kind kind)
{
	cJSON_AddItemToObject(spec, "owner", owner_json(s));
	cJSON_AddStringToObject(spec, "namespace", s->ns);
	cJSON_AddItemToObject(spec, "target", target_json(s));
	if (kind == OWN_PARENT) {
		cJSON_AddStringToObject(spec, "targetAlias", s->alias);
		return;
	}
	put(spec, "key", s->key);
	put(spec, "clientCliVersion", s->cli_version);
	if (s->header_filter[0] != '\0')
		cJSON_AddStringToObject(
		    cJSON_AddObjectToObject(spec, "httpFilter"), "headerFilter",
		    s->header_filter);
}

static void
put_parent_spec(cJSON *spec, const struct own_session *s)
{
	cJSON *list = cJSON_AddArrayToObject(spec, "clusters");
	for (int i = 0; i < s->n_slots; i++)
		cJSON_AddItemToArray(
		    list, cJSON_CreateString(s->slots[i].cluster));
	cJSON_AddStringToObject(spec, "primaryCluster", s->own->cfg.cluster);
	cJSON_AddStringToObject(
	    spec, "defaultCluster", s->slots[s->default_slot].cluster);
}

/* The parameters as any other worker may know them. */
static void
put_params_note(cJSON *notes, const struct own_session *s)
{
	struct buf b;
	buf_init(&b, 0);
	if (own_params_text(s, PARAMS_FOR_DEFAULT_PLAIN, &b, NULL) == 0 &&
	    buf_cstr(&b) != NULL)
		put(notes, NOTE "params", buf_cstr(&b));
	buf_free(&b);
}

static void
put_metadata(cJSON *o, const struct own_session *s)
{
	char text[32];
	cJSON *m = cJSON_AddObjectToObject(o, "metadata");
	cJSON_AddStringToObject(m, "name", s->name);
	clock_rfc3339(s->created_us / 1000000, text, sizeof(text));
	cJSON_AddStringToObject(m, "creationTimestamp", text);
	(void)str_fmt(
	    text, sizeof(text), "%llu", (unsigned long long)s->own->version);
	cJSON_AddStringToObject(m, "resourceVersion", text);
	if (s->kind == OWN_CHILD) {
		cJSON *l = cJSON_AddObjectToObject(m, "labels");
		cJSON_AddStringToObject(
		    l, "operator.metalbear.co/mc-parent", s->parent);
	}
	cJSON *notes = cJSON_AddObjectToObject(m, "annotations");
	char id[32];
	(void)str_fmt(id, sizeof(id), "%016llx", (unsigned long long)s->id);
	cJSON_AddStringToObject(notes, NOTE "session-id", id);
	put_time(notes, NOTE "created", s->created_us);
	put(notes, NOTE "groups", s->groups);
	put(notes, NOTE "alias", s->alias);
	put(notes, NOTE "key", s->key);
	put(notes, NOTE "cli-version", s->cli_version);
	put(notes, NOTE "settled", s->settled);
	put(notes, NOTE "primary", s->primary);
	put(notes, NOTE "stateful-replica", s->stateful_replica);
	if (s->used)
		put(notes, NOTE "used", "true");
	put_params_note(notes, s);
}

static const char *
status_phase(const struct own_session *s)
{
	/* what was found in the store was Ready, or will be Pending again */
	return own_phase_name(s->phase == OWN_STORED ? OWN_READY : s->phase);
}

static void
put_slots(cJSON *status, const struct own_session *s)
{
	cJSON *all = cJSON_AddObjectToObject(status, "clusterSessions");
	for (int i = 0; i < s->n_slots; i++) {
		const struct own_slot *slot = &s->slots[i];
		if (slot->state == OWN_SLOT_NONE && slot->error[0] == '\0')
			continue;
		cJSON *o = cJSON_AddObjectToObject(all, slot->cluster);
		cJSON_AddBoolToObject(o, "ready", slot->state == OWN_SLOT_UP);
		cJSON_AddStringToObject(o, "sessionName", slot->child);
		put(o, "error", slot->error);
		/* so that a removal is never forgotten */
		cJSON_AddBoolToObject(
		    o, "exists", slot->state != OWN_SLOT_NONE);
	}
}

static void
put_status(cJSON *status, const struct own_session *s)
{
	put_time(status, "connectedTimestamp", s->stamp_us);
	cJSON_AddItemToObject(status, "lockedPorts", own_locks_json(s));
	cJSON_AddStringToObject(status, "phase", status_phase(s));
	if (s->kind == OWN_PARENT) {
		put_slots(status, s);
		put(status, "closed", s->ended ? s->close_reason : "");
		put(status, "closedMessage", s->ended ? s->close_text : "");
		return;
	}
	if (s->ended) {
		cJSON *c = cJSON_AddObjectToObject(status, "closed");
		cJSON_AddStringToObject(c, "reason", s->close_reason);
		cJSON_AddStringToObject(c, "message", s->close_text);
	}
}

cJSON *
own_record_json(const struct own_session *s)
{
	cJSON *o = cJSON_CreateObject();
	if (o == NULL)
		return NULL;
	cJSON_AddStringToObject(o, "apiVersion", kinds[s->kind].api_version);
	cJSON_AddStringToObject(o, "kind", kinds[s->kind].kind);
	put_metadata(o, s);
	cJSON *spec = cJSON_AddObjectToObject(o, "spec");
	put_spec(spec, s, s->kind);
	if (s->kind == OWN_PARENT)
		put_parent_spec(spec, s);
	if (s->kind == OWN_CHILD)
		put(spec, "multiClusterParentName", s->parent);
	put_status(cJSON_AddObjectToObject(o, "status"), s);
	return o;
}

cJSON *
own_child_json(const struct own_slot *slot)
{
	const struct own_session *s = slot->s;
	cJSON *o = cJSON_CreateObject();
	if (o == NULL)
		return NULL;
	cJSON_AddStringToObject(o, "apiVersion", kinds[OWN_CHILD].api_version);
	cJSON_AddStringToObject(o, "kind", kinds[OWN_CHILD].kind);
	cJSON *m = cJSON_AddObjectToObject(o, "metadata");
	cJSON_AddStringToObject(m, "name", slot->child);
	cJSON *l = cJSON_AddObjectToObject(m, "labels");
	cJSON_AddStringToObject(l, "operator.metalbear.co/mc-parent", s->name);
	cJSON_AddStringToObject(
	    l, "operator.metalbear.co/mc-primary", s->own->cfg.cluster);
	cJSON_AddStringToObject(
	    l, "operator.metalbear.co/mc-cluster", slot->cluster);
	cJSON *notes = cJSON_AddObjectToObject(m, "annotations");
	put(notes, NOTE "groups", s->groups);
	cJSON *spec = cJSON_AddObjectToObject(o, "spec");
	put_spec(spec, s, OWN_CHILD);
	cJSON_AddStringToObject(spec, "multiClusterParentName", s->name);
	return o;
}

int
own_session_save(struct own_session *s)
{
	struct err e = {0};
	const char *what = s->recorded ? "MODIFIED" : "ADDED";
	s->own->version++;
	cJSON *o = own_record_json(s);
	int r = o == NULL ? err_nomem(&e)
			  : plat_store_put(s->own->store, s->name, o, &e);
	cJSON_Delete(o);
	if (r != 0)
		log_error(
		    "session=%s cannot be stored why=%s", s->name, e.text);
	else
		s->recorded = true;
	if (s->kind == OWN_CHILD)
		own_watch_changed(s, what);
	return r;
}
