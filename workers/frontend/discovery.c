/*
 * Discovery documents (spec/operator-api.md §4), static but for the parts
 * that only some roles serve. `watch` is never advertised: see §1.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "workers/frontend/frontend.h"

struct disc_resource {
	const char *name, *singular, *kind;
	bool namespaced;
	const char *verbs; /* as JSON strings */
};

struct disc_group {
	const char *group, *version;
	const struct disc_resource *resources;
};

#define READ "\"get\",\"list\""

/* clang-format off */
static const struct disc_resource operator_v1[] = {
    {"mirrordoperators", "mirrordoperator", "MirrordOperator", false, READ},
    {"mirrordoperators/certificate", "", "MirrordOperator", false, "\"create\""},
    {"mirrordoperators/ping", "", "MirrordOperator", false, "\"get\""},
    {"mirrordclusteroperatorusercredentials", "mirrordclusteroperatorusercredential", "MirrordClusterOperatorUserCredential", false, "\"create\""},
    {"targets", "target", "Target", true, READ ",\"proxy\""},
    {"sessions", "session", "Session", true, READ ",\"delete\",\"deletecollection\""},
    {NULL, NULL, NULL, false, NULL},
};
static const struct disc_resource mirrord_v1alpha[] = {
    {"mirrordclustersessions", "mirrordclustersession", "MirrordClusterSession", false, "\"create\",\"delete\"," READ},
    {NULL, NULL, NULL, false, NULL},
};
static const struct disc_resource core_v1[] = {
    {"namespaces", "namespace", "Namespace", false, READ},
    {"pods", "pod", "Pod", true, READ},
    {"services", "service", "Service", true, READ},
    {NULL, NULL, NULL, false, NULL},
};
static const struct disc_resource apps_v1[] = {
    {"deployments", "deployment", "Deployment", true, READ},
    {"replicasets", "replicaset", "ReplicaSet", true, READ},
    {"statefulsets", "statefulset", "StatefulSet", true, READ},
    {NULL, NULL, NULL, false, NULL},
};
static const struct disc_resource batch_v1[] = {
    {"cronjobs", "cronjob", "CronJob", true, READ},
    {"jobs", "job", "Job", true, READ},
    {NULL, NULL, NULL, false, NULL},
};
static const struct disc_resource argo_v1alpha1[] = {
    {"rollouts", "rollout", "Rollout", true, READ},
    {NULL, NULL, NULL, false, NULL},
};
static const struct disc_group groups[] = {
    {"operator.metalbear.co", "v1", operator_v1},
    {"mirrord.metalbear.co", "v1alpha", mirrord_v1alpha},
    {"apps", "v1", apps_v1},
    {"batch", "v1", batch_v1},
    {"argoproj.io", "v1alpha1", argo_v1alpha1},
};
/* clang-format on */
enum { N_GROUPS = sizeof(groups) / sizeof(groups[0]) };

static void
put_resources(
    struct buf *out, const char *group_version, const struct disc_resource *r)
{
	buf_printf(out,
	    "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\","
	    "\"groupVersion\":\"%s\",\"resources\":[",
	    group_version);
	for (const struct disc_resource *i = r; i->name != NULL; i++)
		buf_printf(out,
		    "%s{\"name\":\"%s\",\"singularName\":\"%s\","
		    "\"namespaced\":%s,\"kind\":\"%s\",\"verbs\":[%s]}",
		    i == r ? "" : ",", i->name, i->singular,
		    i->namespaced ? "true" : "false", i->kind, i->verbs);
	buf_printf(out, "]}");
}

static void
put_group(struct buf *out, const struct disc_group *g, bool alone)
{
	char gv[160];

	snprintf(gv, sizeof(gv),
	    "{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}", g->group,
	    g->version, g->version);
	buf_printf(out,
	    "{%s\"name\":\"%s\",\"versions\":[%s],\"preferredVersion\":%s}",
	    alone ? "\"kind\":\"APIGroup\",\"apiVersion\":\"v1\"," : "",
	    g->group, gv, gv);
}

static void
put_groups(struct buf *out)
{
	buf_printf(out, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\","
			"\"groups\":[");
	for (int i = 0; i < N_GROUPS; i++) {
		buf_printf(out, "%s", i == 0 ? "" : ",");
		put_group(out, &groups[i], false);
	}
	buf_printf(out, "]}");
}

/* The document for "/apis/GROUP" or "/apis/GROUP/VERSION"; false: none. */
static bool
put_known_group(struct buf *out, const struct http_path *path)
{
	for (int i = 0; i < N_GROUPS; i++) {
		const struct disc_group *g = &groups[i];
		char gv[128];

		if (strcmp(path->seg[1], g->group) != 0)
			continue;
		if (path->count == 2) {
			put_group(out, g, true);
			return true;
		}
		if (strcmp(path->seg[2], g->version) != 0)
			return false;
		snprintf(gv, sizeof(gv), "%s/%s", g->group, g->version);
		put_resources(out, gv, g->resources);
		return true;
	}
	return false;
}

void
fe_do_discovery(struct fe_request *r)
{
	struct buf out;
	bool found = true;

	buf_init(&out, 0);
	if (strcmp(r->path.seg[0], "api") == 0 && r->path.count == 1)
		buf_printf(&out,
		    "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],"
		    "\"serverAddressByClientCIDRs\":[]}");
	else if (strcmp(r->path.seg[0], "api") == 0)
		put_resources(&out, "v1", core_v1);
	else if (r->path.count == 1)
		put_groups(&out);
	else
		found = put_known_group(&out, &r->path);
	if (found)
		http_respond(r->conn->http, 200, "application/json", NULL,
		    buf_data(&out), out.len);
	else
		http_respond_status(r->conn->http, STATUS_NOT_FOUND,
		    "the server has no %s", r->head->path);
	buf_free(&out);
}
