/*
 * objects_kube: targets as the Kubernetes objects that the stock CLI looks
 * at before it connects (operator-api §8): running, ready pods with a
 * container id, addresses and a node, and what owns them.
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/str.h"
#include "workers/own/objects.h"

/* FNV-1a, 64 bits: ids that stay the same from start to start. */
static uint64_t
hash(const char *a, const char *b)
{
	uint64_t h = 14695981039346656037ull;
	for (; *a != '\0'; a++)
		h = (h ^ (uint8_t)*a) * 1099511628211ull;
	h = (h ^ '/') * 1099511628211ull;
	for (; *b != '\0'; b++)
		h = (h ^ (uint8_t)*b) * 1099511628211ull;
	return h;
}

static cJSON *
labels_json(const struct plat_target *t)
{
	cJSON *o = cJSON_CreateObject();
	for (size_t i = 0; i < t->n_labels; i++)
		cJSON_AddStringToObject(
		    o, t->labels[i].key, t->labels[i].value);
	return o;
}

static cJSON *
metadata_json(const struct own *own, const struct plat_target *t,
    const char *kind, const char *name)
{
	char text[64];
	cJSON *m = cJSON_CreateObject();
	cJSON_AddStringToObject(m, "name", name);
	cJSON_AddStringToObject(m, "namespace", t->ns);
	uint64_t id = (hash(kind, name) ^ hash(t->ns, "")) & 0xffffffffffff;
	(void)str_fmt(
	    text, sizeof(text), "00000000-0000-4000-8000-%012" PRIx64, id);
	cJSON_AddStringToObject(m, "uid", text);
	(void)str_fmt(
	    text, sizeof(text), "%llu", (unsigned long long)own->version);
	cJSON_AddStringToObject(m, "resourceVersion", text);
	clock_rfc3339(own->started_us / 1000000, text, sizeof(text));
	cJSON_AddStringToObject(m, "creationTimestamp", text);
	cJSON_AddItemToObject(m, "labels", labels_json(t));
	return m;
}

static cJSON *
pod_spec_json(const struct own *own, const struct plat_target *t)
{
	cJSON *o = cJSON_CreateObject();
	cJSON *c = cJSON_CreateObject();
	cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "containers"), c);
	cJSON_AddStringToObject(c, "name", t->container);
	cJSON_AddStringToObject(c, "image", "standalone");
	cJSON *ports = cJSON_AddArrayToObject(c, "ports");
	for (size_t i = 0; i < t->n_ports; i++) {
		cJSON *p = cJSON_CreateObject();
		cJSON_AddNumberToObject(p, "containerPort", t->ports[i]);
		cJSON_AddItemToArray(ports, p);
	}
	cJSON_AddStringToObject(o, "nodeName",
	    t->n_clusters > 0 ? t->clusters[0] : own->cfg.cluster);
	return o;
}

static cJSON *
template_json(const struct own *own, const struct plat_target *t, bool once)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddItemToObject(
	    cJSON_AddObjectToObject(o, "metadata"), "labels", labels_json(t));
	cJSON *spec = pod_spec_json(own, t);
	if (once)
		cJSON_AddStringToObject(spec, "restartPolicy", "Never");
	cJSON_AddItemToObject(o, "spec", spec);
	return o;
}

static void
put_selector(cJSON *spec, const struct plat_target *t)
{
	cJSON_AddItemToObject(cJSON_AddObjectToObject(spec, "selector"),
	    "matchLabels", labels_json(t));
}

/* deployments, statefulsets, replicasets, rollouts */
static void
put_replicated(cJSON *o, const struct own *own, const struct plat_target *t)
{
	double n = (double)t->n_replicas;
	double ready = (double)plat_target_n_ready(t);
	cJSON *spec = cJSON_AddObjectToObject(o, "spec");
	cJSON_AddNumberToObject(spec, "replicas", n);
	if (t->kind == PLAT_STATEFULSET)
		cJSON_AddStringToObject(spec, "serviceName", t->name);
	put_selector(spec, t);
	cJSON_AddItemToObject(spec, "template", template_json(own, t, false));
	cJSON *st = cJSON_AddObjectToObject(o, "status");
	cJSON_AddNumberToObject(st, "replicas", n);
	cJSON_AddNumberToObject(st, "readyReplicas", ready);
	cJSON_AddNumberToObject(st, "availableReplicas", ready);
}

static void
put_service(cJSON *o, const struct own *own, const struct plat_target *t)
{
	(void)own;
	cJSON *spec = cJSON_AddObjectToObject(o, "spec");
	cJSON_AddItemToObject(spec, "selector", labels_json(t));
	cJSON *ports = cJSON_AddArrayToObject(spec, "ports");
	for (size_t i = 0; i < t->n_ports; i++) {
		cJSON *p = cJSON_CreateObject();
		cJSON_AddNumberToObject(p, "port", t->ports[i]);
		cJSON_AddItemToArray(ports, p);
	}
}

static void
put_job(cJSON *o, const struct own *own, const struct plat_target *t)
{
	cJSON_AddItemToObject(cJSON_AddObjectToObject(o, "spec"), "template",
	    template_json(own, t, true));
}

static void
put_cronjob(cJSON *o, const struct own *own, const struct plat_target *t)
{
	cJSON *spec = cJSON_AddObjectToObject(o, "spec");
	cJSON_AddStringToObject(spec, "schedule", "* * * * *");
	cJSON *job = cJSON_AddObjectToObject(spec, "jobTemplate");
	cJSON_AddItemToObject(cJSON_AddObjectToObject(job, "spec"), "template",
	    template_json(own, t, true));
}

static void (*const put_kind[PLAT_N_WORKLOADS])(
    cJSON *, const struct own *, const struct plat_target *) = {
    [PLAT_DEPLOYMENT] = put_replicated,
    [PLAT_STATEFULSET] = put_replicated,
    [PLAT_REPLICASET] = put_replicated,
    [PLAT_ROLLOUT] = put_replicated,
    [PLAT_SERVICE] = put_service,
    [PLAT_JOB] = put_job,
    [PLAT_CRONJOB] = put_cronjob,
};

static cJSON *
object_json(const struct own *own, const struct plat_target *t,
    enum plat_kind kind, const char *name)
{
	const struct plat_kind_info *k = plat_kind_info(kind);
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "apiVersion", k->api_version);
	cJSON_AddStringToObject(o, "kind", k->kind);
	cJSON_AddItemToObject(
	    o, "metadata", metadata_json(own, t, k->kind, name));
	return o;
}

cJSON *
own_workload_json(const struct own *own, const struct plat_target *t)
{
	cJSON *o = object_json(own, t, t->kind, t->name);
	if (put_kind[t->kind] != NULL)
		put_kind[t->kind](o, own, t);
	return o;
}

/* ---- pods ---- */

static cJSON *
container_status_json(const struct plat_target *t, const char *name)
{
	char id[96];
	uint64_t h = hash(t->key, name);
	cJSON *c = cJSON_CreateObject();
	(void)str_fmt(id, sizeof(id),
	    "containerd://%016" PRIx64 "%016" PRIx64 "%016" PRIx64
	    "%016" PRIx64,
	    h, ~h, h * 3, h * 5);
	cJSON_AddStringToObject(c, "name", t->container);
	cJSON_AddBoolToObject(c, "ready", true);
	cJSON_AddStringToObject(c, "image", "standalone");
	cJSON_AddStringToObject(c, "imageID", "standalone");
	cJSON_AddNumberToObject(c, "restartCount", 0);
	cJSON_AddStringToObject(c, "containerID", id);
	return c;
}

static void
put_condition(cJSON *status, bool ready)
{
	cJSON *c = cJSON_CreateObject();
	cJSON_AddStringToObject(c, "type", "Ready");
	cJSON_AddStringToObject(c, "status", ready ? "True" : "False");
	cJSON_AddItemToArray(cJSON_AddArrayToObject(status, "conditions"), c);
}

cJSON *
own_pod_json(const struct own *own, const struct plat_target *t,
    const struct plat_replica *r)
{
	cJSON *o = object_json(own, t, PLAT_POD, r->name);
	cJSON_AddItemToObject(o, "spec", pod_spec_json(own, t));
	cJSON *st = cJSON_AddObjectToObject(o, "status");
	cJSON_AddStringToObject(st, "phase", r->ready ? "Running" : "Pending");
	if (r->ready) {
		/* the CLI wants to see one; it never uses it */
		const char *ip =
		    r->address[0] != '\0' ? r->address : "127.0.0.1";
		cJSON_AddStringToObject(st, "podIP", ip);
		cJSON *one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "ip", ip);
		cJSON_AddItemToArray(cJSON_AddArrayToObject(st, "podIPs"), one);
	}
	put_condition(st, r->ready);
	cJSON *cs = cJSON_AddArrayToObject(st, "containerStatuses");
	if (r->ready)
		cJSON_AddItemToArray(cs, container_status_json(t, r->name));
	return o;
}

cJSON *
own_namespace_json(const char *name)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "apiVersion", "v1");
	cJSON_AddStringToObject(o, "kind", "Namespace");
	cJSON *m = cJSON_AddObjectToObject(o, "metadata");
	cJSON_AddStringToObject(m, "name", name);
	cJSON *l = cJSON_AddObjectToObject(m, "labels");
	cJSON_AddStringToObject(l, "kubernetes.io/metadata.name", name);
	cJSON_AddStringToObject(
	    cJSON_AddObjectToObject(o, "status"), "phase", "Active");
	return o;
}
