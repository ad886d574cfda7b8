/*
 * fuzz_own: what the own worker reads from a store and from other daemons:
 * session records (loaded, and written again), items of a member's target
 * list, selectors of a query. First byte: which.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/stream.h"
#include "lib/json.h"
#include "workers/own/objects.h"

static struct own own;

static void
init(void)
{
	static struct own_cluster clusters[] = {
	    {(char *)(uintptr_t) "east", 0}, {(char *)(uintptr_t) "west", 1}};
	if (own.budget != NULL)
		return;
	static struct ipc_budget budget = {.limit_bytes = 1 << 20};
	list_init(&own.sessions);
	list_init(&own.peers);
	list_init(&own.agents);
	list_init(&own.calls);
	list_init(&own.watches);
	list_init(&own.locks);
	map_init(&own.by_handle);
	plat_targets_init(&own.targets);
	strcpy(own.cfg.cluster, "hub");
	strcpy(own.cfg.default_cluster, "hub");
	own.cfg.multi = true;
	own.cfg.clusters = clusters;
	own.cfg.n_clusters = 2;
	own.cfg.ttl_s = 90;
	own.budget = &budget;
}

/* What was loaded can be stored, and is then loaded the same. */
static void
record(const cJSON *o)
{
	struct err e;
	const char *name = json_str(
	    cJSON_GetObjectItemCaseSensitive(o, "metadata"), "name", "x");
	struct own_session *s = own_record_load(&own, name, o, &e);
	if (s == NULL)
		return;
	cJSON *again = own_record_json(s);
	cJSON *shown = own_session_json(s), *multi = own_multi_json(s);
	for (int i = 0; i < s->n_slots; i++)
		cJSON_Delete(own_child_json(&s->slots[i]));
	own_session_free(s);
	s = own_record_load(&own, name, again, &e);
	if (s == NULL)
		abort();
	own_session_free(s);
	cJSON_Delete(again);
	cJSON_Delete(shown);
	cJSON_Delete(multi);
}

static void
targets(const cJSON *o)
{
	struct plat_targets ts;
	const cJSON *it;
	plat_targets_init(&ts);
	cJSON_ArrayForEach(it, o)
	{
		(void)plat_targets_merge_json(&ts, it, "east", NULL);
		(void)plat_targets_merge_json(&ts, it, "west", NULL);
	}
	LIST_FOR_EACH (n, &ts.list) {
		struct plat_target *t = LIST_ENTRY(n, struct plat_target, node);
		cJSON_Delete(plat_target_json(t));
		cJSON_Delete(own_workload_json(&own, t));
		for (size_t i = 0; i < t->n_replicas; i++)
			cJSON_Delete(own_pod_json(&own, t, &t->replicas[i]));
	}
	plat_targets_free(&ts);
}

static void
selectors(const uint8_t *p, size_t n)
{
	char *text = strndup((const char *)p, n);
	struct err e;
	struct plat_alias a;
	cJSON *labels = cJSON_CreateObject();
	cJSON_AddStringToObject(labels, "app", "web");
	(void)own_labels_match(text, labels, &e);
	(void)own_fields_match(text, labels, &e);
	(void)plat_alias_parse(text, &a, &e);
	char label[64];
	plat_cluster_label(text, label);
	if (text[0] != '\0' && label[0] != '-' && !plat_name_ok(label))
		abort();
	cJSON_Delete(labels);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	init();
	if (n == 0)
		return 0;
	if (p[0] == 's') {
		selectors(p + 1, n - 1);
		return 0;
	}
	cJSON *o = json_parse(p + 1, n - 1, NULL);
	if (o != NULL && p[0] == 'r')
		record(o);
	else if (o != NULL)
		targets(o);
	cJSON_Delete(o);
	return 0;
}
