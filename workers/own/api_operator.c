/* api_operator: the operator object (operator-api §5) and /version. */
#include "config.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/str.h"
#include "workers/own/calls.h"
#include "workers/own/objects.h"

/* The CLI compares it: what we behave like, not what we are called. */
#define OPERATOR_VERSION "3.250.0"
#define PROTOCOL_VERSION "1.29.0"

/* Exactly what is there; which daemon says it. */
static const struct {
	const char *name;
	bool primary_only;
} features[] = {
    {"ProxyApi", false},
    {"ExtendableUserCredentials", false},
    {"LayerReconnect", false},
    {"ConnectParamsInHeader", false},
    {"SessionManagement", false},
    {"DiagnosticPing", false},
    {"MultiClusterRemote", false},
    {"MultiClusterPrimary", true},
};

static cJSON *
license_json(const struct own *own)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "name", "Tributary");
	cJSON_AddStringToObject(o, "organization", "Tributary");
	cJSON_AddStringToObject(o, "expire_at", "2099-12-31");
	cJSON_AddStringToObject(o, "fingerprint", own->fingerprint);
	cJSON_AddStringToObject(o, "subscription_id", own->subscription_id);
	return o;
}

static cJSON *
spec_json(const struct own *own)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "operator_version", OPERATOR_VERSION);
	cJSON_AddStringToObject(o, "default_namespace", "default");
	cJSON *f = cJSON_AddArrayToObject(o, "supported_features");
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (!features[i].primary_only || own->cfg.multi)
			cJSON_AddItemToArray(
			    f, cJSON_CreateString(features[i].name));
	}
	cJSON_AddItemToObject(o, "license", license_json(own));
	cJSON_AddStringToObject(o, "protocol_version", PROTOCOL_VERSION);
	if (own->cfg.multi && own->cfg.management_only)
		cJSON_AddStringToObject(o, "operator_namespace", "mirrord");
	return o;
}

static void
put_both(cJSON *o, const char *camel, const char *snake, const char *value)
{
	cJSON_AddStringToObject(o, camel, value);
	cJSON_AddStringToObject(o, snake, value);
}

static cJSON *
cluster_json(const struct own_peer_info *p)
{
	char when[32];
	cJSON *o = cJSON_CreateObject();
	clock_rfc3339_us(p->checked_us, when, sizeof(when));
	cJSON_AddStringToObject(o, "name", p->cluster);
	put_both(o, "lastCheck", "last_check", when);
	if (p->connected) {
		cJSON *c = cJSON_AddObjectToObject(o, "connected");
		put_both(c, "operatorVersion", "operator_version",
		    p->operator_version);
		if (p->fingerprint[0] != '\0')
			put_both(c, "licenseFingerprint", "license_fingerprint",
			    p->fingerprint);
	} else {
		cJSON *c = cJSON_AddObjectToObject(o, "error");
		cJSON_AddStringToObject(c, "message",
		    p->error[0] != '\0' ? p->error : "not reached yet");
	}
	if (p->credential_expires_s > 0) {
		clock_rfc3339(p->credential_expires_s, when, sizeof(when));
		cJSON_AddStringToObject(o, "certExpiry", when);
	}
	return o;
}

/* Every configured cluster, also one that was never heard of. */
static cJSON *
clusters_json(const struct own *own)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < own->cfg.n_clusters; i++) {
		struct own_peer_info none = {.checked_us = own->started_us};
		const struct own_peer_info *p = &none;
		const char *name = own->cfg.clusters[i].name;
		LIST_FOR_EACH (n, &own->peers) {
			const struct own_peer_info *x =
			    LIST_ENTRY(n, struct own_peer_info, node);
			if (strcmp(x->cluster, name) == 0)
				p = x;
		}
		(void)str_fmt(none.cluster, sizeof(none.cluster), "%s", name);
		cJSON_AddItemToArray(list, cluster_json(p));
	}
	return list;
}

/* Distinct owners among the sessions there are. */
static size_t
n_users(const struct own *own)
{
	size_t n = 0;
	LIST_FOR_EACH (i, &own->sessions) {
		const struct own_session *s =
		    LIST_ENTRY(i, struct own_session, node);
		bool seen = false;
		for (struct list *k = own->sessions.next; k != i; k = k->next)
			seen =
			    seen || own_same_owner(
					LIST_ENTRY(k, struct own_session, node),
					s->user, s->key_id);
		n += !seen;
	}
	return n;
}

static cJSON *
status_json(const struct own *own)
{
	cJSON *o = cJSON_CreateObject();
	cJSON *sessions = cJSON_AddArrayToObject(o, "sessions");
	int listed = 0;
	cJSON *multi = own->cfg.multi ? cJSON_CreateArray() : NULL;
	LIST_FOR_EACH (n, &own->sessions) {
		const struct own_session *s =
		    LIST_ENTRY(n, struct own_session, node);
		if (s->phase == OWN_TERMINATING || listed++ >= OWN_LISTED_MAX)
			continue;
		cJSON_AddItemToArray(sessions, own_session_json(s));
		if (multi != NULL && s->kind == OWN_PARENT)
			cJSON_AddItemToArray(multi, own_multi_json(s));
	}
	cJSON *stats = cJSON_AddObjectToObject(o, "statistics");
	cJSON_AddNumberToObject(stats, "dau", (double)n_users(own));
	cJSON_AddNumberToObject(stats, "mau", (double)n_users(own));
	cJSON_AddArrayToObject(o, "copy_targets");
	cJSON_AddArrayToObject(o, "preview_sessions");
	if (multi != NULL) {
		cJSON_AddItemToObject(
		    o, "connected_clusters", clusters_json(own));
		cJSON_AddItemToObject(o, "multi_cluster_sessions", multi);
	}
	return o;
}

static cJSON *
operator_json(const struct own *own)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "apiVersion", "operator.metalbear.co/v1");
	cJSON_AddStringToObject(o, "kind", "MirrordOperator");
	cJSON_AddStringToObject(
	    cJSON_AddObjectToObject(o, "metadata"), "name", "operator");
	cJSON_AddItemToObject(o, "spec", spec_json(own));
	cJSON_AddItemToObject(o, "status", status_json(own));
	return o;
}

void
own_get_operator(struct own_api *a)
{
	if (strcmp(a->name, "operator") != 0)
		own_api_status(a, 404, "NotFound",
		    "mirrordoperators \"%s\" not found", a->name);
	else
		own_api_json(a, 200, operator_json(a->own));
}

void
own_list_operators(struct own_api *a)
{
	cJSON *list =
	    own_list_json("operator.metalbear.co/v1", "MirrordOperatorList");
	cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(list, "items"),
	    operator_json(a->own));
	own_api_json(a, 200, list);
}

void
own_get_version(struct own_api *a)
{
	static const char *const pairs[][2] = {
	    {"major", "1"},
	    {"minor", "30"},
	    {"gitVersion", "v1.30.0+tributary"},
	    {"gitCommit", PACKAGE_VERSION},
	    {"gitTreeState", "clean"},
	    {"buildDate", "2026-01-01T00:00:00Z"},
	    {"goVersion", "none"},
	    {"compiler", "gcc"},
	    {"platform", "linux/amd64"},
	};
	cJSON *o = cJSON_CreateObject();
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		cJSON_AddStringToObject(o, pairs[i][0], pairs[i][1]);
	own_api_json(a, 200, o);
}
