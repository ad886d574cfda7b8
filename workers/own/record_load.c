/* record_load: a session from its stored form. Checked like any input. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/str.h"
#include "workers/own/own.h"

#define NOTE "tributary.dev/"

static enum own_kind
kind_of(const cJSON *record)
{
	if (strcmp(json_str(record, "kind", ""),
		"MirrordMultiClusterSession") == 0)
		return OWN_PARENT;
	const cJSON *spec = cJSON_GetObjectItemCaseSensitive(record, "spec");
	return json_str(spec, "multiClusterParentName", "")[0] != '\0'
		   ? OWN_CHILD
		   : OWN_SINGLE;
}

static int
load_texts(struct own_session *s, const cJSON *record)
{
	const cJSON *notes = json_at(record, "metadata.annotations");
	const cJSON *spec = cJSON_GetObjectItemCaseSensitive(record, "spec");
	const cJSON *owner = cJSON_GetObjectItemCaseSensitive(spec, "owner");
	int r = 0;
	r |= own_text_set(&s->user, json_str(owner, "k8sUsername", ""));
	r |= own_text_set(&s->key_id, json_str(owner, "userId", ""));
	r |= own_text_set(&s->client_name, json_str(owner, "username", ""));
	r |= own_text_set(&s->client_hostname, json_str(owner, "hostname", ""));
	r |= own_text_set(&s->ns, json_str(spec, "namespace", ""));
	r |= own_text_set(
	    &s->parent, json_str(spec, "multiClusterParentName", ""));
	r |= own_text_set(&s->header_filter,
	    json_str(cJSON_GetObjectItemCaseSensitive(spec, "httpFilter"),
		"headerFilter", ""));
	r |= own_text_set(&s->groups, json_str(notes, NOTE "groups", ""));
	r |= own_text_set(&s->alias, json_str(notes, NOTE "alias", ""));
	r |= own_text_set(&s->key, json_str(notes, NOTE "key", ""));
	r |= own_text_set(
	    &s->cli_version, json_str(notes, NOTE "cli-version", ""));
	r |= own_text_set(&s->primary, json_str(notes, NOTE "primary", ""));
	r |= own_text_set(
	    &s->params, json_str(notes, NOTE "params", "connect=true"));
	(void)str_fmt(s->settled, sizeof(s->settled), "%s",
	    json_str(notes, NOTE "settled", ""));
	(void)str_fmt(s->stateful_replica, sizeof(s->stateful_replica), "%s",
	    json_str(notes, NOTE "stateful-replica", ""));
	s->used = strcmp(json_str(notes, NOTE "used", ""), "true") == 0;
	return r;
}

static int
load_ids(struct own_session *s, const cJSON *record, struct err *e)
{
	const cJSON *notes = json_at(record, "metadata.annotations");
	const cJSON *status =
	    cJSON_GetObjectItemCaseSensitive(record, "status");
	if (!str_hex_to_u64(json_str(notes, NOTE "session-id", ""), &s->id))
		return err_set(e, ERR_INVALID, "it has no session id");
	s->created_us =
	    clock_parse_rfc3339_us(json_str(notes, NOTE "created", ""));
	s->stamp_us =
	    clock_parse_rfc3339_us(json_str(status, "connectedTimestamp", ""));
	if (s->created_us < 0 || s->stamp_us < 0)
		return err_set(e, ERR_INVALID, "its times are malformed");
	/* a stamp from the future would never expire */
	int64_t now = clock_wall_us();
	if (s->stamp_us > now)
		s->stamp_us = now;
	if (plat_alias_parse(s->alias, &s->target, e) != 0)
		return -ERR_INVALID;
	if (!plat_name_ok(s->ns) || s->user[0] == '\0')
		return err_set(
		    e, ERR_INVALID, "it has no namespace or no owner");
	return 0;
}

static void
load_end(struct own_session *s, const cJSON *status)
{
	const cJSON *c = cJSON_GetObjectItemCaseSensitive(status, "closed");
	const char *reason =
	    cJSON_IsString(c) ? c->valuestring : json_str(c, "reason", "");
	const char *text = cJSON_IsString(c)
			       ? json_str(status, "closedMessage", "")
			       : json_str(c, "message", "");
	s->ended = reason[0] != '\0';
	(void)str_fmt(s->close_reason, sizeof(s->close_reason), "%s", reason);
	(void)str_fmt(s->close_text, sizeof(s->close_text), "%s", text);
}

static int
load_slots(struct own_session *s, const cJSON *record, struct err *e)
{
	const cJSON *spec = cJSON_GetObjectItemCaseSensitive(record, "spec");
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(spec, "clusters");
	const cJSON *states = json_at(record, "status.clusterSessions");
	const char *dflt = json_str(spec, "defaultCluster", "");
	const cJSON *it;
	s->default_slot = -1;
	cJSON_ArrayForEach(it, list)
	{
		if (!cJSON_IsString(it) || it->valuestring[0] == '\0' ||
		    own_session_add_slot(s, it->valuestring) != 0)
			return err_set(e, ERR_INVALID, "bad cluster list");
		struct own_slot *slot = &s->slots[s->n_slots - 1];
		const cJSON *st =
		    cJSON_GetObjectItemCaseSensitive(states, it->valuestring);
		if (json_bool(st, "exists", false))
			slot->state = OWN_SLOT_CREATED;
		if (strcmp(it->valuestring, dflt) == 0)
			s->default_slot = slot->index;
	}
	if (s->default_slot < 0)
		return err_set(
		    e, ERR_INVALID, "its default cluster is not in its list");
	return 0;
}

static int
load_all(struct own_session *s, const cJSON *record, struct err *e)
{
	if (load_texts(s, record) != 0)
		return err_nomem(e);
	int r = load_ids(s, record, e);
	if (r != 0)
		return r;
	const cJSON *status =
	    cJSON_GetObjectItemCaseSensitive(record, "status");
	if (s->kind == OWN_PARENT)
		r = load_slots(s, record, e);
	else if (own_session_add_slot(s, s->own->cfg.cluster) != 0)
		r = err_nomem(e);
	else
		s->slots[0].state = OWN_SLOT_CREATED;
	if (r != 0)
		return r;
	load_end(s, status);
	int phase = own_phase_parse(json_str(status, "phase", ""));
	if (phase < 0)
		return err_set(e, ERR_INVALID, "its phase is unknown");
	s->phase =
	    phase == OWN_TERMINATING || s->ended ? OWN_TERMINATING : OWN_STORED;
	s->recorded = true;
	return 0;
}

struct own_session *
own_record_load(
    struct own *own, const char *name, const cJSON *record, struct err *e)
{
	const char *kind = json_str(record, "kind", "");
	const char *said = json_str(
	    cJSON_GetObjectItemCaseSensitive(record, "metadata"), "name", "");
	if (strcmp(said, name) != 0 ||
	    (strcmp(kind, "MirrordMultiClusterSession") != 0 &&
		strcmp(kind, "MirrordClusterSession") != 0)) {
		(void)err_set(e, ERR_INVALID, "its kind or name is wrong");
		return NULL;
	}
	struct own_session *s = own_session_new(own, kind_of(record), name);
	if (s == NULL) {
		(void)err_set(e, ERR_TOO_BIG, "there are too many sessions");
		return NULL;
	}
	if (load_all(s, record, e) != 0) {
		own_session_free(s);
		return NULL;
	}
	return s;
}
