/*
 * check: the rules over more than one value (spec/multicluster.md §1, §2.2,
 * spec/install-config.md §2.2). Each is one function in the table at the end;
 * each goes on after a problem, so that all of them are told at once.
 */
#include "config.h"

#include <string.h>

#include "config/internal.h"
#include "config/name.h"
#include "config/types.h"
#include "lib/json.h"
#include "lib/str.h"

/* Workers that are there once: stateful, secrets, connector, own cluster. */
enum { SINGLE_WORKERS = 4, CLIENT_RETRY_SECS = 63 };

static cJSON *
member(const struct cfg_load *l, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(l->tree, key);
}

/* What a message calls obj. */
static const char *
name_of(const cJSON *obj, const char *otherwise)
{
	const char *name = json_str(obj, "name", "");

	return name[0] != '\0' ? name : otherwise;
}

/* The multiCluster mapping, or NULL on an ordinary operator. */
static cJSON *
multi(const struct cfg_load *l)
{
	cJSON *mc = member(l, "multiCluster");

	return cJSON_IsObject(mc) ? mc : NULL;
}

static void
set(struct cfg_load *l, cJSON *obj, const char *key, const char *text)
{
	cJSON *v = cJSON_CreateString(text);

	if (v == NULL || !cJSON_ReplaceItemInObjectCaseSensitive(obj, key, v)) {
		cJSON_Delete(v);
		l->nomem = true;
	}
}

static void
derive_advertise(struct cfg_load *l)
{
	const cJSON *first = cJSON_GetArrayItem(member(l, "listen"), 0);
	char host[256], url[512];
	const char *name = host;
	unsigned port;

	if (json_str(l->tree, "advertise", "")[0] != '\0')
		return;
	if (!cJSON_IsString(first) ||
	    !cfg_split_address(first->valuestring, host, &port))
		return;
	if (strcmp(host, "::") == 0 || strcmp(host, "0.0.0.0") == 0)
		name = cfg_is_host(l->env->hostname) ? l->env->hostname
						     : "localhost";
	(void)str_fmt(url, sizeof url,
	    strchr(name, ':') != NULL ? "https://[%s]:%u" : "https://%s:%u",
	    name, port);
	set(l, l->tree, "advertise", url);
}

void
cfg_derive(struct cfg_load *l)
{
	const char *instance = json_str(l->tree, "instance", "");
	cJSON *mc = multi(l), *target, *listen = member(l, "listen");

	if (mc != NULL && json_str(mc, "clusterName", "")[0] == '\0')
		set(l, mc, "clusterName", instance);
	set(l, l->tree, "clusterName",
	    mc != NULL ? json_str(mc, "clusterName", "") : instance);
	if (cJSON_GetArraySize(listen) == 0)
		cfg_error(l, cfg_node(l, "listen"),
		    "`listen` is empty; give at least one ADDRESS:PORT or "
		    "remove the key.");
	derive_advertise(l);
	cJSON_ArrayForEach(target, member(l, "targets"))
	{
		char name[64];

		if (json_str(target, "container", "")[0] != '\0')
			continue;
		/* a container's name has no dots */
		(void)str_fmt(
		    name, sizeof name, "%.63s", json_str(target, "name", ""));
		name[strcspn(name, ".")] = '\0';
		set(l, target, "container", name);
	}
}

/* ---- multiCluster and clusters ---- */

static bool
is_workload(const struct cfg_load *l, const char *name)
{
	const cJSON *mc = multi(l), *c;

	if (!json_bool(mc, "managementOnly", false) &&
	    strcmp(name, json_str(mc, "clusterName", "")) == 0)
		return true;
	cJSON_ArrayForEach(c, member(l, "clusters"))
	{
		if (strcmp(name, json_str(c, "name", "")) == 0)
			return true;
	}
	return false;
}

static void
rule_platform(struct cfg_load *l)
{
	if (strcmp(json_str(l->tree, "platform", ""), "kubernetes") == 0)
		cfg_error(l, cfg_node(l, "platform"),
		    "The platform kubernetes is not there yet; write "
		    "`platform: standalone`.");
}

static void
rule_clusters_need_primary(struct cfg_load *l)
{
	if (multi(l) == NULL && cJSON_GetArraySize(member(l, "clusters")) > 0)
		cfg_error(l, cfg_node(l, "clusters"),
		    "There are `clusters` but no `multiCluster`; add "
		    "`multiCluster` (or MIRRORD_MULTICLUSTER_CONFIG) to make "
		    "this a primary, or remove `clusters`.");
}

static void
rule_workloads(struct cfg_load *l)
{
	if (multi(l) != NULL && json_bool(multi(l), "managementOnly", false) &&
	    cJSON_GetArraySize(member(l, "clusters")) == 0)
		cfg_error(l, cfg_node(l, "multiCluster.managementOnly"),
		    "A management-only primary without `clusters` has no "
		    "cluster to work on; add clusters or write "
		    "`managementOnly: false`.");
}

static void
rule_default(struct cfg_load *l)
{
	const char *dflt = json_str(multi(l), "defaultCluster", "");
	const char *own = json_str(multi(l), "clusterName", "");
	const struct yml_node *at = cfg_node(l, "multiCluster.defaultCluster");

	if (multi(l) == NULL)
		return;
	if (dflt[0] == '\0') {
		if (!cfg_given(l, "multiCluster.defaultCluster"))
			cfg_error(l, at,
			    "`defaultCluster` is missing; name the cluster "
			    "that answers stateful operations.");
	} else if (strcmp(dflt, own) == 0 && !is_workload(l, dflt)) {
		cfg_error(l, at,
		    "`defaultCluster` is %.100s itself, which is "
		    "management-only and so has no workloads; name one of "
		    "`clusters` or write `managementOnly: false`.",
		    dflt);
	} else if (!is_workload(l, dflt)) {
		cfg_error(l, at,
		    "`defaultCluster` names %.100s, which is neither "
		    "`clusterName` nor one of `clusters`; correct the name or "
		    "add that cluster.",
		    dflt);
	}
}

static void
rule_is_default(struct cfg_load *l)
{
	const char *dflt = json_str(multi(l), "defaultCluster", "");
	const char *first = NULL;
	const cJSON *c;
	size_t i = 0;

	cJSON_ArrayForEach(c, member(l, "clusters"))
	{
		const char *name = json_str(c, "name", "");
		const struct yml_node *at =
		    cfg_node(l, "clusters[%zu].isDefault", i);
		bool mark = json_bool(c, "isDefault", false);
		bool written = cfg_given(l, "clusters[%zu].isDefault", i);

		i++;
		if (mark && first != NULL)
			cfg_error(l, at,
			    "%.100s and %.100s are both marked as default; "
			    "keep one `isDefault: true`.",
			    first, name);
		else if (mark && dflt[0] != '\0' && strcmp(dflt, name) != 0)
			cfg_error(l, at,
			    "%.100s is marked as default, but "
			    "`defaultCluster` is %.100s; change one of the "
			    "two.",
			    name, dflt);
		else if (written && !mark && dflt[0] != '\0' &&
			 strcmp(dflt, name) == 0)
			cfg_error(l, at,
			    "%.100s is the `defaultCluster`, but says "
			    "`isDefault: false`; remove that or change "
			    "`defaultCluster`.",
			    name);
		if (mark && first == NULL)
			first = name;
	}
}

/* No two clusters, and none and the own one, have one name. */
static void
rule_cluster_names(struct cfg_load *l)
{
	const char *own = json_str(multi(l), "clusterName", "");
	const cJSON *c, *other;
	size_t i = 0;

	cJSON_ArrayForEach(c, member(l, "clusters"))
	{
		const char *name = json_str(c, "name", "");
		const struct yml_node *at =
		    cfg_node(l, "clusters[%zu].name", i++);

		if (name[0] == '\0')
			continue;
		if (strcmp(name, own) == 0)
			cfg_error(l, at,
			    "%.100s is the name of the own cluster "
			    "(`clusterName`); the own cluster needs no entry, "
			    "another one needs another name.",
			    name);
		cJSON_ArrayForEach(other, member(l, "clusters"))
		{
			if (other == c)
				break;
			if (strcmp(name, json_str(other, "name", "")) != 0)
				continue;
			cfg_error(l, at,
			    "There are two clusters named %.100s; rename or "
			    "remove one.",
			    name);
			break;
		}
	}
}

static const struct {
	const char *type;
	const char *field; /* without which it does not work */
} auth_needs[] = {{"eks", "region"}, {"aks", "caData"}};

static void
rule_auth(struct cfg_load *l)
{
	const cJSON *c;
	size_t i = 0;

	cJSON_ArrayForEach(c, member(l, "clusters"))
	{
		const char *type = json_str(c, "authType", "");
		const struct yml_node *at =
		    cfg_node(l, "clusters[%zu].authType", i);

		for (size_t k = 0; k < 2; k++) {
			if (strcmp(auth_needs[k].type, type) != 0)
				continue;
			if (json_str(c, auth_needs[k].field, "")[0] == '\0' &&
			    !cfg_given(
				l, "clusters[%zu].%s", i, auth_needs[k].field))
				cfg_error(l, at,
				    "`authType: %s` needs `%s`; add it to "
				    "%.100s.",
				    type, auth_needs[k].field,
				    name_of(c, "the cluster"));
			if (strcmp(json_str(l->tree, "platform", ""),
				"standalone") == 0)
				cfg_error(l, at,
				    "`authType: %s` works only with the "
				    "platform kubernetes; write mtls or "
				    "bearerToken.",
				    type);
		}
		i++;
	}
}

static void
rule_timers(struct cfg_load *l)
{
	const cJSON *mc = multi(l);
	int64_t ttl = json_int(mc, "sessionTtlSecs", 0, INT32_MAX, 90);
	int64_t wait =
	    json_int(mc, "remoteSessionTimeoutSecs", 0, INT32_MAX, 120);
	uint64_t child;

	if (mc == NULL)
		return;
	if (ttl <= CLIENT_RETRY_SECS)
		cfg_warn(l, cfg_node(l, "multiCluster.sessionTtlSecs"),
		    "`sessionTtlSecs` is %lld, but a client that lost its "
		    "connection tries again for %d seconds; write 90 or more.",
		    (long long)ttl, CLIENT_RETRY_SECS);
	if (l->env->setup_deadline == NULL ||
	    !str_to_u64(l->env->setup_deadline, &child) || child > 86400)
		return;
	if (wait < (int64_t)child + 30)
		cfg_warn(l,
		    cfg_node(l, "multiCluster.remoteSessionTimeoutSecs"),
		    "`remoteSessionTimeoutSecs` is %lld, less than the "
		    "child's deadline (OPERATOR_SESSION_SETUP_DEADLINE_SECONDS "
		    "= %llu) plus 30; raise it to %llu.",
		    (long long)wait, (unsigned long long)child,
		    (unsigned long long)child + 30);
}

static void
rule_start_policy(struct cfg_load *l)
{
	if (multi(l) != NULL &&
	    strcmp(json_str(multi(l), "startPolicy", ""), "available") == 0)
		cfg_warn(l, cfg_node(l, "multiCluster.startPolicy"),
		    "`startPolicy: available` is not there yet and works like "
		    "`all`; write `all` until it is.");
}

/* ---- targets ---- */

static void
one_replica(struct cfg_load *l, const cJSON *r, const struct yml_node *at,
    size_t i, size_t k)
{
	static const char *const places[] = {
	    "pidFile", "pid", "unit", "cgroup"};
	unsigned n = 0;

	for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
		n += cfg_given(
		    l, "targets[%zu].replicas[%zu].%s", i, k, places[p]);
	if (n != 1)
		cfg_error(l, at,
		    "A replica needs exactly one of `pidFile`, `pid`, `unit` "
		    "and `cgroup`; %s has %u of them.",
		    name_of(r, "this one"), n);
	if (json_str(r, "netns", "")[0] != '\0' &&
	    !cfg_given(l, "targets[%zu].replicas[%zu].pid", i, k) &&
	    !cfg_given(l, "targets[%zu].replicas[%zu].pidFile", i, k))
		cfg_error(l, at,
		    "`netns` goes only with `pid` or `pidFile`; add one of "
		    "them or remove `netns`.");
}

static void
target_replicas(struct cfg_load *l, const cJSON *target, size_t i)
{
	const cJSON *list = cJSON_GetObjectItem(target, "replicas"), *r, *o;
	size_t k = 0;

	if (cJSON_GetArraySize(list) == 0)
		cfg_warn(l, cfg_node(l, "targets[%zu].replicas", i),
		    "%s has no `replicas`, so nothing can be done on it; add "
		    "them.",
		    name_of(target, "This target"));
	cJSON_ArrayForEach(r, list)
	{
		const struct yml_node *at =
		    cfg_node(l, "targets[%zu].replicas[%zu]", i, k);
		const char *name = json_str(r, "name", "");

		one_replica(l, r, at, i, k++);
		cJSON_ArrayForEach(o, list)
		{
			if (o == r)
				break;
			if (name[0] != '\0' &&
			    strcmp(name, json_str(o, "name", "")) == 0)
				cfg_error(l, at,
				    "There are two replicas named %s; rename "
				    "one.",
				    name);
		}
	}
}

static bool
same_target(const cJSON *a, const cJSON *b)
{
	static const char *const keys[] = {"kind", "namespace", "name"};

	for (size_t i = 0; i < 3; i++) {
		if (strcmp(json_str(a, keys[i], ""),
			json_str(b, keys[i], "")) != 0)
			return false;
	}
	return json_str(a, "name", "")[0] != '\0' &&
	       json_str(a, "kind", "")[0] != '\0';
}

static void
rule_targets(struct cfg_load *l)
{
	const cJSON *t, *o;
	size_t i = 0;

	if (json_bool(multi(l), "managementOnly", false) &&
	    cJSON_GetArraySize(member(l, "targets")) > 0)
		cfg_error(l, cfg_node(l, "targets"),
		    "A management-only primary has no targets of its own; "
		    "remove `targets` or write `managementOnly: false`.");
	cJSON_ArrayForEach(t, member(l, "targets"))
	{
		target_replicas(l, t, i);
		cJSON_ArrayForEach(o, member(l, "targets"))
		{
			if (o == t)
				break;
			if (same_target(o, t))
				cfg_error(l, cfg_node(l, "targets[%zu]", i),
				    "%s/%s in namespace %s is there twice; "
				    "put the replicas into one entry.",
				    json_str(t, "kind", ""),
				    json_str(t, "name", ""),
				    json_str(t, "namespace", ""));
		}
		i++;
	}
}

/* ---- the rest ---- */

static void
rule_primaries(struct cfg_load *l)
{
	const cJSON *p, *o;
	size_t i = 0;

	cJSON_ArrayForEach(p, member(l, "primaries"))
	{
		const struct yml_node *at = cfg_node(l, "primaries[%zu]", i);
		bool cert = cfg_given(l, "primaries[%zu].certificate", i);
		bool token = cfg_given(l, "primaries[%zu].tokenSha256", i);

		i++;
		if (cert == token)
			cfg_error(l, at,
			    "A primary needs `certificate` or `tokenSha256`, "
			    "and not both; %s one.",
			    cert ? "remove" : "add");
		cJSON_ArrayForEach(o, member(l, "primaries"))
		{
			if (o == p)
				break;
			if (json_str(p, "name", "")[0] != '\0' &&
			    strcmp(json_str(p, "name", ""),
				json_str(o, "name", "")) == 0)
				cfg_error(l, at,
				    "There are two primaries named %s; rename "
				    "or remove one.",
				    json_str(p, "name", ""));
		}
	}
}

static void
rule_allow(struct cfg_load *l)
{
	const cJSON *rule;
	size_t i = 0;

	cJSON_ArrayForEach(rule, member(l, "allow"))
	{
		if (cJSON_GetArraySize(cJSON_GetObjectItem(rule, "users")) ==
			0 &&
		    cJSON_GetArraySize(cJSON_GetObjectItem(rule, "groups")) ==
			0)
			cfg_error(l, cfg_node(l, "allow[%zu]", i),
			    "This rule is for nobody; add `users` or "
			    "`groups`, or remove it.");
		i++;
	}
}

static void
rule_uids(struct cfg_load *l)
{
	int64_t first =
	    json_int(json_at(l->tree, "workerUids"), "first", 1, INT32_MAX, 1);
	int64_t count =
	    json_int(json_at(l->tree, "workerUids"), "count", 1, INT32_MAX, 1);
	int64_t needed = SINGLE_WORKERS +
			 json_int(l->tree, "frontends", 1, 64, 1) +
			 cJSON_GetArraySize(member(l, "clusters"));

	if (count < needed)
		cfg_error(l, cfg_node(l, "workerUids.count"),
		    "`workerUids` has %lld user ids, but this configuration "
		    "needs %lld; raise `count`.",
		    (long long)count, (long long)needed);
	if (first + count > INT32_MAX)
		cfg_error(l, cfg_node(l, "workerUids.first"),
		    "`workerUids` goes beyond the largest user id; lower "
		    "`first`.");
}

static void (*const rules[])(struct cfg_load *l) = {
    rule_platform,
    rule_clusters_need_primary,
    rule_workloads,
    rule_default,
    rule_is_default,
    rule_cluster_names,
    rule_auth,
    rule_timers,
    rule_start_policy,
    rule_targets,
    rule_primaries,
    rule_allow,
    rule_uids,
};

void
cfg_check(struct cfg_load *l)
{
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		rules[i](l);
}
