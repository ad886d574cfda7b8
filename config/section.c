/* section: what one worker may see, and what may change while it runs. */
#include "config.h"

#include <string.h>

#include "config/internal.h"
#include "lib/json.h"
#include "lib/str.h"

static cJSON *cut(const char *prefix, const cJSON *from, unsigned who);

static cJSON *
cut_row(const struct cfg_row *row, const cJSON *value, unsigned who)
{
	char prefix[CFG_PATH_BYTES];
	const cJSON *item;
	cJSON *list;

	if ((row->type != CFG_T_OBJ && row->type != CFG_T_OBJS) ||
	    cJSON_IsNull(value))
		return cJSON_Duplicate(value, true);
	cfg_row_prefix(row, prefix, sizeof prefix);
	if (row->type == CFG_T_OBJ)
		return cut(prefix, value, who);
	list = cJSON_CreateArray();
	cJSON_ArrayForEach(item, value)
	{
		cJSON *one = cut(prefix, item, who);

		if (list == NULL || one == NULL ||
		    !cJSON_AddItemToArray(list, one)) {
			cJSON_Delete(one);
			cJSON_Delete(list);
			return NULL;
		}
	}
	return list;
}

/* The rows right below prefix that `who` may see. */
static cJSON *
cut(const char *prefix, const cJSON *from, unsigned who)
{
	cJSON *out = cJSON_CreateObject();
	const struct cfg_row *row = NULL;

	while (out != NULL && (row = cfg_row_next(prefix, row)) != NULL) {
		const char *key = cfg_row_key(row);
		cJSON *v = cJSON_GetObjectItemCaseSensitive(from, key);

		if ((row->see & who) == 0 || v == NULL)
			continue;
		v = cut_row(row, v, who);
		if (v != NULL && cJSON_AddItemToObject(out, key, v))
			continue;
		cJSON_Delete(v);
		cJSON_Delete(out);
		out = NULL;
	}
	return out;
}

static const cJSON *
cluster_named(const struct cfg *cfg, const char *name)
{
	const cJSON *c;

	cJSON_ArrayForEach(c, cJSON_GetObjectItem(cfg->tree, "clusters"))
	{
		if (strcmp(json_str(c, "name", ""), name) == 0)
			return c;
	}
	return NULL;
}

cJSON *
cfg_section(const struct cfg *cfg, enum ipc_role role, const char *cluster)
{
	const cJSON *own = NULL;
	cJSON *out, *entry;

	if (role == IPC_CLU) {
		own = cluster != NULL ? cluster_named(cfg, cluster) : NULL;
		if (own == NULL)
			return NULL;
	}
	out = cut("", cfg->tree, 1U << role);
	if (role != IPC_CLU || out == NULL)
		return out;
	cJSON_DeleteItemFromObjectCaseSensitive(out, "clusters");
	entry = cut("clusters[].", own, 1U << role);
	if (entry == NULL || !cJSON_AddItemToObject(out, "cluster", entry)) {
		cJSON_Delete(entry);
		cJSON_Delete(out);
		return NULL;
	}
	return out;
}

int
cfg_keep_workers(struct cfg *now, const struct cfg *before)
{
	cJSON *workers = cJSON_Duplicate(before->workers, true), *c;
	int next = cJSON_GetArraySize(workers);

	if (workers == NULL)
		return -ERR_NOMEM;
	cJSON_ArrayForEach(c, cJSON_GetObjectItem(now->tree, "clusters"))
	{
		const char *name = json_str(c, "name", "");
		const cJSON *known =
		    cJSON_GetObjectItemCaseSensitive(workers, name);

		if (known == NULL)
			known = cJSON_AddNumberToObject(workers, name, next++);
		if (known == NULL) {
			cJSON_Delete(workers);
			return -ERR_NOMEM;
		}
		(void)cJSON_SetNumberValue(
		    cJSON_GetObjectItem(c, "worker"), known->valuedouble);
	}
	cJSON_Delete(now->workers);
	now->workers = workers;
	return 0;
}

static bool
put_back(cJSON *now, const cJSON *before, const char *key)
{
	cJSON *v = cJSON_Duplicate(
	    cJSON_GetObjectItemCaseSensitive(before, key), true);

	if (v != NULL && cJSON_ReplaceItemInObjectCaseSensitive(now, key, v))
		return true;
	cJSON_Delete(v);
	return false;
}

static int
frozen(const struct cfg_row *row, cJSON *now, const cJSON *before,
    struct cfg_problems *problems)
{
	const char *key = cfg_row_key(row);
	char text[300];

	if ((row->flags & CFG_INTERNAL) == 0) {
		(void)str_fmt(text, sizeof text,
		    "`%s` changed, but only a restart changes it; restart "
		    "tributaryd or change it back.",
		    row->path);
		if (cfg_problem_add(
			problems, "tributaryd.yaml", 0, 0, true, text) != 0)
			return -ERR_NOMEM;
	}
	if (!put_back(now, before, key))
		return -ERR_NOMEM;
	return 0;
}

static int
freeze(const char *prefix, cJSON *now, const cJSON *before,
    struct cfg_problems *problems)
{
	const struct cfg_row *row = NULL;

	while ((row = cfg_row_next(prefix, row)) != NULL) {
		const char *key = cfg_row_key(row);
		cJSON *a = cJSON_GetObjectItemCaseSensitive(now, key);
		cJSON *b = cJSON_GetObjectItemCaseSensitive(before, key);
		char below[CFG_PATH_BYTES];
		int rc = 0;

		if ((row->flags & CFG_RELOAD) != 0 || cJSON_Compare(a, b, true))
			continue;
		cfg_row_prefix(row, below, sizeof below);
		if (row->type == CFG_T_OBJ && cJSON_IsObject(a) &&
		    cJSON_IsObject(b))
			rc = freeze(below, a, b, problems);
		else
			rc = frozen(row, now, before, problems);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
cfg_freeze(
    struct cfg *now, const struct cfg *before, struct cfg_problems *problems)
{
	bool role_changed = cJSON_IsNull(json_at(now->tree, "multiCluster")) !=
			    cJSON_IsNull(json_at(before->tree, "multiCluster"));
	int rc = freeze("", now->tree, before->tree, problems);

	/* clusters make no sense with the other form of multiCluster */
	if (rc == 0 && role_changed &&
	    !put_back(now->tree, before->tree, "clusters"))
		rc = -ERR_NOMEM;
	return rc;
}
