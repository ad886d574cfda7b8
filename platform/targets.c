/* targets: the list of targets, from the configuration and from members. */
#include "config.h"

#include "platform/platform.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/str.h"

/* Bounds on what a member may make us keep. */
enum { MAX_TARGETS = 4096, MAX_REPLICAS = 1024, MAX_LABELS = 64 };

void
plat_targets_init(struct plat_targets *ts)
{
	list_init(&ts->list);
	ts->count = 0;
}

static void
target_free(struct plat_target *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n_labels; i++) {
		free(t->labels[i].key);
		free(t->labels[i].value);
	}
	for (size_t i = 0; i < t->n_replicas; i++) {
		free(t->replicas[i].name);
		free(t->replicas[i].address);
	}
	for (size_t i = 0; i < t->n_clusters; i++)
		free(t->clusters[i]);
	free(t->labels);
	free(t->replicas);
	free(t->clusters);
	free(t->ports);
	free(t->ns);
	free(t->name);
	free(t->container);
	free(t->key);
	free(t);
}

void
plat_targets_free(struct plat_targets *ts)
{
	LIST_FOR_EACH_SAFE (n, &ts->list) {
		list_remove(n);
		target_free(LIST_ENTRY(n, struct plat_target, node));
	}
	ts->count = 0;
}

struct plat_target *
plat_target_find(const struct plat_targets *ts, enum plat_kind kind,
    const char *ns, const char *name)
{
	LIST_FOR_EACH (n, &ts->list) {
		struct plat_target *t = LIST_ENTRY(n, struct plat_target, node);
		if (t->kind == kind && strcmp(t->ns, ns) == 0 &&
		    strcmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

struct plat_target *
plat_target_by_key(const struct plat_targets *ts, const char *key)
{
	LIST_FOR_EACH (n, &ts->list) {
		struct plat_target *t = LIST_ENTRY(n, struct plat_target, node);
		if (strcmp(t->key, key) == 0)
			return t;
	}
	return NULL;
}

struct plat_replica *
plat_replica_find(const struct plat_target *t, const char *name)
{
	for (size_t i = 0; i < t->n_replicas; i++) {
		if (strcmp(t->replicas[i].name, name) == 0)
			return &t->replicas[i];
	}
	return NULL;
}

int
plat_replica_set(struct plat_replica *r, bool ready, const char *address)
{
	if (strcmp(r->address, address) != 0) {
		char *copy = strdup(address);
		if (copy == NULL)
			return -ERR_NOMEM;
		free(r->address);
		r->address = copy;
	}
	r->ready = ready;
	return 0;
}

size_t
plat_target_n_ready(const struct plat_target *t)
{
	size_t n = 0;
	for (size_t i = 0; i < t->n_replicas; i++)
		n += t->replicas[i].ready;
	return n;
}

void
plat_targets_keep_state(
    struct plat_targets *now, const struct plat_targets *before)
{
	LIST_FOR_EACH (n, &now->list) {
		struct plat_target *t = LIST_ENTRY(n, struct plat_target, node);
		struct plat_target *b = plat_target_by_key(before, t->key);
		for (size_t i = 0; b != NULL && i < t->n_replicas; i++) {
			struct plat_replica *r =
			    plat_replica_find(b, t->replicas[i].name);
			if (r != NULL)
				(void)plat_replica_set(
				    &t->replicas[i], r->ready, r->address);
		}
	}
}

static int
add_label(struct plat_target *t, const char *key, const char *value)
{
	struct plat_label *p =
	    realloc(t->labels, (t->n_labels + 1) * sizeof(*p));
	if (p == NULL)
		return -ERR_NOMEM;
	t->labels = p;
	p += t->n_labels;
	p->key = strdup(key);
	p->value = strdup(value);
	t->n_labels++;
	return p->key == NULL || p->value == NULL ? -ERR_NOMEM : 0;
}

static int
add_replica(
    struct plat_target *t, const char *name, const char *address, bool ready)
{
	struct plat_replica *r =
	    realloc(t->replicas, (t->n_replicas + 1) * sizeof(*r));
	if (r == NULL)
		return -ERR_NOMEM;
	t->replicas = r;
	r += t->n_replicas;
	r->name = strdup(name);
	r->address = strdup(address);
	r->ready = ready;
	t->n_replicas++;
	return r->name == NULL || r->address == NULL ? -ERR_NOMEM : 0;
}

static int
add_cluster(struct plat_target *t, const char *cluster)
{
	for (size_t i = 0; i < t->n_clusters; i++) {
		if (strcmp(t->clusters[i], cluster) == 0)
			return 0;
	}
	char **c = realloc(t->clusters, (t->n_clusters + 1) * sizeof(*c));
	if (c == NULL)
		return -ERR_NOMEM;
	t->clusters = c;
	c[t->n_clusters] = strdup(cluster);
	if (c[t->n_clusters] == NULL)
		return -ERR_NOMEM;
	t->n_clusters++;
	return 0;
}

static int
add_port(struct plat_target *t, uint16_t port)
{
	uint16_t *p = realloc(t->ports, (t->n_ports + 1) * sizeof(*p));
	if (p == NULL)
		return -ERR_NOMEM;
	t->ports = p;
	p[t->n_ports++] = port;
	return 0;
}

static struct plat_target *
target_new(enum plat_kind kind, const char *ns, const char *name,
    const char *container)
{
	struct plat_target *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	list_init(&t->node);
	t->kind = kind;
	t->ns = strdup(ns);
	t->name = strdup(name);
	t->container = strdup(container);
	struct buf key;
	buf_init(&key, 0);
	(void)buf_printf(
	    &key, "%s/%s/%s", plat_kind_info(kind)->alias, ns, name);
	t->key = buf_take(&key);
	if (t->ns == NULL || t->name == NULL || t->container == NULL ||
	    t->key == NULL) {
		target_free(t);
		return NULL;
	}
	return t;
}

/* What the configuration and a member's status have in common. */
static int
fill(struct plat_target *t, const cJSON *o)
{
	int r = 0;
	const cJSON *it;
	cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(o, "ports"))
	{
		if (r == 0 && cJSON_IsNumber(it) && it->valuedouble >= 1 &&
		    it->valuedouble <= 65535 && t->n_ports < MAX_LABELS)
			r = add_port(t, (uint16_t)it->valuedouble);
	}
	cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(o, "labels"))
	{
		if (r == 0 && it->string != NULL && cJSON_IsString(it) &&
		    t->n_labels < MAX_LABELS)
			r = add_label(t, it->string, it->valuestring);
	}
	cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(o, "replicas"))
	{
		const char *name = json_str(it, "name", "");
		if (r == 0 && plat_name_ok(name) &&
		    t->n_replicas < MAX_REPLICAS &&
		    plat_replica_find(t, name) == NULL)
			r = add_replica(t, name, json_str(it, "address", ""),
			    json_bool(it, "ready", false));
	}
	return r;
}

/* Every target has labels, so that selectors find its pods. */
static int
finish(struct plat_target *t, const char *cluster)
{
	int r = add_cluster(t, cluster);
	if (r == 0 && t->n_labels == 0)
		r = add_label(t, "app", t->name);
	return r;
}

static int
add_config_one(
    struct plat_targets *ts, const cJSON *o, const char *cluster, struct err *e)
{
	int kind = plat_kind_by_alias(json_str(o, "kind", ""));
	const char *name = json_str(o, "name", "");
	const char *ns = json_str(o, "namespace", "default");
	const char *container = json_str(o, "container", "");
	if (kind < 0 || kind >= PLAT_N_WORKLOADS || !plat_name_ok(name) ||
	    !plat_name_ok(ns))
		return err_set(e, ERR_INVALID,
		    "a target needs a kind, a namespace and a name");
	if (plat_target_find(ts, (enum plat_kind)kind, ns, name) != NULL)
		return err_set(e, ERR_CONFLICT,
		    "the target %s/%s is there twice in namespace %s",
		    plat_kind_info((enum plat_kind)kind)->alias, name, ns);
	struct plat_target *t = target_new((enum plat_kind)kind, ns, name,
	    container[0] == '\0' ? name : container);
	if (t == NULL || fill(t, o) != 0 || finish(t, cluster) != 0) {
		target_free(t);
		return err_nomem(e);
	}
	list_push(&ts->list, &t->node);
	ts->count++;
	return 0;
}

int
plat_targets_add_config(struct plat_targets *ts, const cJSON *targets,
    const char *cluster, struct err *e)
{
	const cJSON *it;
	cJSON_ArrayForEach(it, targets)
	{
		int r = add_config_one(ts, it, cluster, e);
		if (r != 0)
			return r;
	}
	return 0;
}

static int
merge_one(struct plat_targets *ts, enum plat_kind kind, const char *ns,
    const char *name, const char *container, const cJSON *status,
    const char *cluster)
{
	struct plat_target *t = plat_target_find(ts, kind, ns, name);
	if (t != NULL) {
		/* labels and ports: the first cluster's; replicas: all */
		const cJSON *reps =
		    cJSON_GetObjectItemCaseSensitive(status, "replicas");
		cJSON *only = cJSON_CreateObject();
		if (only == NULL)
			return -ERR_NOMEM;
		(void)cJSON_AddItemReferenceToObject(
		    only, "replicas", (cJSON *)(uintptr_t)reps);
		int r = fill(t, only);
		cJSON_Delete(only);
		return r != 0 ? r : add_cluster(t, cluster);
	}
	if (ts->count >= MAX_TARGETS)
		return -ERR_TOO_BIG;
	t = target_new(kind, ns, name, container);
	if (t == NULL || fill(t, status) != 0 || finish(t, cluster) != 0) {
		target_free(t);
		return -ERR_NOMEM;
	}
	list_push(&ts->list, &t->node);
	ts->count++;
	return 0;
}

int
plat_targets_merge_json(struct plat_targets *ts, const cJSON *item,
    const char *cluster, struct err *e)
{
	const cJSON *target = json_at(item, "spec.target");
	const cJSON *meta = cJSON_GetObjectItemCaseSensitive(item, "metadata");
	const char *ns = json_str(meta, "namespace", "");
	for (int k = 0; k < PLAT_N_WORKLOADS; k++) {
		const char *name = json_str(
		    target, plat_kind_info((enum plat_kind)k)->target_key, "");
		if (name[0] == '\0')
			continue;
		const char *c = json_str(target, "container", "");
		if (!plat_name_ok(name) || !plat_name_ok(ns))
			break;
		int r = merge_one(ts, (enum plat_kind)k, ns, name,
		    plat_name_ok(c) ? c : "main",
		    cJSON_GetObjectItemCaseSensitive(item, "status"), cluster);
		return r == 0 ? 0
			      : err_set(e, (enum err_code) - r,
				    "targets of %s cannot be kept", cluster);
	}
	return err_set(e, ERR_INVALID, "a target of %s is malformed", cluster);
}

int
plat_targets_merge(struct plat_targets *ts, const struct plat_targets *from)
{
	int r = 0;
	LIST_FOR_EACH (n, &from->list) {
		struct plat_target *t = LIST_ENTRY(n, struct plat_target, node);
		cJSON *item = plat_target_json(t);
		if (item == NULL)
			return -ERR_NOMEM;
		for (size_t i = 0; r == 0 && i < t->n_clusters; i++)
			r = plat_targets_merge_json(
			    ts, item, t->clusters[i], NULL);
		cJSON_Delete(item);
	}
	return r;
}

static cJSON *
status_json(const struct plat_target *t)
{
	cJSON *st = cJSON_CreateObject();
	cJSON *ports = cJSON_AddArrayToObject(st, "ports");
	cJSON *labels = cJSON_AddObjectToObject(st, "labels");
	cJSON *reps = cJSON_AddArrayToObject(st, "replicas");
	cJSON *cl = cJSON_AddArrayToObject(st, "clusters");
	for (size_t i = 0; i < t->n_ports; i++)
		cJSON_AddItemToArray(ports, cJSON_CreateNumber(t->ports[i]));
	for (size_t i = 0; i < t->n_labels; i++)
		cJSON_AddStringToObject(
		    labels, t->labels[i].key, t->labels[i].value);
	for (size_t i = 0; i < t->n_replicas; i++) {
		cJSON *r = cJSON_CreateObject();
		cJSON_AddStringToObject(r, "name", t->replicas[i].name);
		cJSON_AddStringToObject(r, "address", t->replicas[i].address);
		cJSON_AddBoolToObject(r, "ready", t->replicas[i].ready);
		cJSON_AddItemToArray(reps, r);
	}
	for (size_t i = 0; i < t->n_clusters; i++)
		cJSON_AddItemToArray(cl, cJSON_CreateString(t->clusters[i]));
	return st;
}

cJSON *
plat_target_json(const struct plat_target *t)
{
	cJSON *o = cJSON_CreateObject();
	if (o == NULL)
		return NULL;
	const struct plat_kind_info *k = plat_kind_info(t->kind);
	cJSON_AddStringToObject(o, "apiVersion", "operator.metalbear.co/v1");
	cJSON_AddStringToObject(o, "kind", "Target");
	cJSON *meta = cJSON_AddObjectToObject(o, "metadata");
	char name[2 * PLAT_NAME_MAX];
	(void)str_fmt(name, sizeof(name), "%s.%s", k->alias, t->name);
	cJSON_AddStringToObject(meta, "name", name);
	cJSON_AddStringToObject(meta, "namespace", t->ns);
	cJSON *target = cJSON_AddObjectToObject(
	    cJSON_AddObjectToObject(o, "spec"), "target");
	cJSON_AddStringToObject(target, k->target_key, t->name);
	cJSON_AddStringToObject(target, "container", t->container);
	cJSON_AddItemToObject(o, "status", status_json(t));
	return o;
}
