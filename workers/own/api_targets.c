/*
 * api_targets: targets, and the plain Kubernetes objects they appear as.
 * A primary lists its members' targets too, merged by kind and name; as plain
 * objects only a management-only one, whose own cluster has none.
 */
#include "config.h"

#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/calls.h"
#include "workers/own/objects.h"

/* Own targets and what the members answered. */
static void
gather(const struct own_api *a, struct plat_targets *ts)
{
	plat_targets_init(ts);
	(void)plat_targets_merge(ts, &a->own->targets);
	for (size_t i = 0; i < a->n_answers; i++) {
		const cJSON *it;
		struct err e = {0};
		cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(
					   a->answers[i].body, "items"))
		{
			if (plat_targets_merge_json(
				ts, it, a->answers[i].cluster, &e) != 0)
				log_debug("target left out why=%s", e.text);
		}
	}
}

/* ---- a list: selected, then cut into pages ---- */

struct page {
	struct own_api *a;
	cJSON *list, *items;
	size_t skip, seen;
	bool more;
	struct err e;
	int r;
};

static void
page_init(struct page *p, struct own_api *a, const char *api_version,
    const char *kind)
{
	uint64_t skip = 0;
	char version[32];
	memset(p, 0, sizeof(*p));
	p->a = a;
	p->list = own_list_json(api_version, kind);
	p->items = cJSON_GetObjectItemCaseSensitive(p->list, "items");
	(void)str_fmt(version, sizeof(version), "%llu",
	    (unsigned long long)a->own->version);
	cJSON_AddStringToObject(
	    cJSON_GetObjectItemCaseSensitive(p->list, "metadata"),
	    "resourceVersion", version);
	if (a->q.resume[0] != '\0' && !str_to_u64(a->q.resume, &skip))
		p->r = err_set(&p->e, ERR_INVALID,
		    "the continue token is not one of ours");
	p->skip = (size_t)skip;
}

/* Takes o. */
static void
page_add(struct page *p, cJSON *o)
{
	const struct own_query *q = &p->a->q;
	if (p->r >= 0)
		p->r = own_labels_match(
		    q->labels, json_at(o, "metadata.labels"), &p->e);
	if (p->r > 0)
		p->r = own_fields_match(q->fields, o, &p->e);
	bool room =
	    q->limit == 0 || (size_t)cJSON_GetArraySize(p->items) < q->limit;
	if (p->r > 0 && p->seen++ >= p->skip && room)
		cJSON_AddItemToArray(p->items, o);
	else
		cJSON_Delete(o);
	p->more = p->more || (p->r > 0 && !room);
}

static void
page_answer(struct page *p)
{
	cJSON *meta = cJSON_GetObjectItemCaseSensitive(p->list, "metadata");
	if (p->r < 0) {
		cJSON_Delete(p->list);
		own_api_status(p->a, 400, "BadRequest", "%s", p->e.text);
		return;
	}
	if (p->more) {
		char token[32];
		(void)str_fmt(
		    token, sizeof(token), "%zu", p->skip + p->a->q.limit);
		cJSON_AddStringToObject(meta, "continue", token);
	}
	own_put_silent(p->a, p->list);
	own_api_json(p->a, 200, p->list);
}

static bool
in_namespace(const struct own_api *a, const struct plat_target *t)
{
	return a->ns[0] == '\0' || strcmp(a->ns, t->ns) == 0;
}

/* ---- targets ---- */

static void
targets_done(struct own_api *a)
{
	struct plat_targets ts;
	struct page p;
	gather(a, &ts);
	page_init(&p, a, "operator.metalbear.co/v1", "TargetList");
	LIST_FOR_EACH (n, &ts.list) {
		struct plat_target *t = LIST_ENTRY(n, struct plat_target, node);
		if (in_namespace(a, t))
			page_add(&p, plat_target_json(t));
	}
	plat_targets_free(&ts);
	page_answer(&p);
}

static void
target_done(struct own_api *a)
{
	struct plat_targets ts;
	struct plat_alias alias;
	struct err e = {0};
	struct plat_target *t = NULL;
	if (plat_alias_parse(a->name, &alias, &e) != 0) {
		own_api_status(a, 400, "BadRequest", "%s", e.text);
		return;
	}
	gather(a, &ts);
	if (alias.kind < PLAT_N_WORKLOADS)
		t = plat_target_find(&ts, alias.kind, a->ns, alias.name);
	if (t != NULL && alias.container[0] != '\0' &&
	    strcmp(alias.container, t->container) != 0)
		t = NULL;
	if (t != NULL)
		own_api_json(a, 200, plat_target_json(t));
	else
		own_api_status(a, 404, "NotFound",
		    "there is no target %s in namespace %s", a->name, a->ns);
	plat_targets_free(&ts);
}

void
own_list_targets(struct own_api *a)
{
	if (a->own->cfg.multi)
		own_fan_out(a, 1, targets_done);
	else
		targets_done(a);
}

void
own_get_target(struct own_api *a)
{
	if (a->own->cfg.multi)
		own_fan_out(a, 1, target_done);
	else
		target_done(a);
}

/* ---- plain Kubernetes ---- */

/* Calls fn for each object of the kind; a pod may back several targets. */
static void
each_object(struct own_api *a, const struct plat_targets *ts,
    enum plat_kind kind, void (*fn)(void *arg, cJSON *o), void *arg)
{
	cJSON *pods = cJSON_CreateObject(); /* names seen */
	LIST_FOR_EACH (n, &ts->list) {
		struct plat_target *t = LIST_ENTRY(n, struct plat_target, node);
		if (!in_namespace(a, t))
			continue;
		if (kind != PLAT_POD) {
			if (t->kind == kind)
				fn(arg, own_workload_json(a->own, t));
			continue;
		}
		for (size_t i = 0; i < t->n_replicas; i++) {
			char key[2 * PLAT_NAME_MAX];
			const char *name = t->replicas[i].name;
			(void)str_fmt(key, sizeof(key), "%s/%s", t->ns, name);
			if (cJSON_GetObjectItemCaseSensitive(pods, key) != NULL)
				continue;
			cJSON_AddTrueToObject(pods, key);
			fn(arg, own_pod_json(a->own, t, &t->replicas[i]));
		}
	}
	cJSON_Delete(pods);
}

static void
add_to_page(void *arg, cJSON *o)
{
	page_add(arg, o);
}

struct wanted {
	const char *name;
	cJSON *found;
};

static void
keep_wanted(void *arg, cJSON *o)
{
	struct wanted *w = arg;
	const char *name = json_str(
	    cJSON_GetObjectItemCaseSensitive(o, "metadata"), "name", "");
	if (w->found == NULL && strcmp(name, w->name) == 0)
		w->found = o;
	else
		cJSON_Delete(o);
}

/* The kind of the path, or -1 after a 404. Rollouts: only where one is. */
static int
kind_of(struct own_api *a)
{
	char version[256];
	int kind = plat_kind_by_plural(a->plural);
	(void)str_fmt(version, sizeof(version), "%s%s%s", a->group,
	    a->group[0] != '\0' ? "/" : "", a->version);
	bool known = kind >= 0 &&
		     strcmp(plat_kind_info((enum plat_kind)kind)->api_version,
			 version) == 0;
	return known ? kind : -1;
}

static bool
installed(const struct plat_targets *ts, enum plat_kind kind)
{
	if (kind != PLAT_ROLLOUT)
		return true;
	LIST_FOR_EACH (n, &ts->list) {
		if (LIST_ENTRY(n, struct plat_target, node)->kind == kind)
			return true;
	}
	return false;
}

static void
no_resource(struct own_api *a)
{
	own_api_status(a, 404, "NotFound",
	    "the server could not find the requested resource");
}

static void
workloads_done(struct own_api *a)
{
	struct plat_targets ts;
	struct page p;
	char name[64];
	enum plat_kind kind = (enum plat_kind)kind_of(a);
	const struct plat_kind_info *k = plat_kind_info(kind);
	gather(a, &ts);
	if (!installed(&ts, kind)) {
		plat_targets_free(&ts);
		no_resource(a);
		return;
	}
	(void)str_fmt(name, sizeof(name), "%sList", k->kind);
	page_init(&p, a, k->api_version, name);
	each_object(a, &ts, kind, add_to_page, &p);
	plat_targets_free(&ts);
	page_answer(&p);
}

static void
workload_done(struct own_api *a)
{
	struct plat_targets ts;
	struct wanted w = {.name = a->name};
	enum plat_kind kind = (enum plat_kind)kind_of(a);
	gather(a, &ts);
	bool is = installed(&ts, kind);
	each_object(a, &ts, kind, keep_wanted, &w);
	plat_targets_free(&ts);
	if (w.found != NULL)
		own_api_json(a, 200, w.found);
	else if (!is)
		no_resource(a);
	else
		own_api_status(a, 404, "NotFound", "%s \"%s\" not found",
		    a->plural, a->name);
}

static void
with_targets(struct own_api *a, void (*done)(struct own_api *a))
{
	if (a->own->cfg.multi && a->own->cfg.management_only)
		own_fan_out(a, 1, done);
	else
		done(a);
}

void
own_list_workloads(struct own_api *a)
{
	if (kind_of(a) < 0)
		no_resource(a);
	else
		with_targets(a, workloads_done);
}

void
own_get_workload(struct own_api *a)
{
	if (kind_of(a) < 0)
		no_resource(a);
	else
		with_targets(a, workload_done);
}

static void
namespaces_done(struct own_api *a)
{
	struct plat_targets ts;
	struct page p;
	cJSON *seen = cJSON_CreateObject();
	gather(a, &ts);
	page_init(&p, a, "v1", "NamespaceList");
	cJSON_AddTrueToObject(seen, "default");
	LIST_FOR_EACH (n, &ts.list) {
		const char *ns = LIST_ENTRY(n, struct plat_target, node)->ns;
		if (cJSON_GetObjectItemCaseSensitive(seen, ns) == NULL)
			cJSON_AddTrueToObject(seen, ns);
	}
	plat_targets_free(&ts);
	if (a->name[0] != '\0') {
		bool is =
		    cJSON_GetObjectItemCaseSensitive(seen, a->name) != NULL;
		cJSON_Delete(p.list);
		cJSON_Delete(seen);
		if (is)
			own_api_json(a, 200, own_namespace_json(a->name));
		else
			own_api_status(a, 404, "NotFound",
			    "namespaces \"%s\" not found", a->name);
		return;
	}
	for (const cJSON *it = seen->child; it != NULL; it = it->next)
		page_add(&p, own_namespace_json(it->string));
	cJSON_Delete(seen);
	page_answer(&p);
}

void
own_list_namespaces(struct own_api *a)
{
	if (strcmp(a->version, "v1") != 0)
		no_resource(a);
	else
		with_targets(a, namespaces_done);
}

void
own_get_namespace(struct own_api *a)
{
	own_list_namespaces(a);
}
