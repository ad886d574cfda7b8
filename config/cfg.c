#include "config.h"

#include "config/cfg.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/internal.h"
#include "lib/json.h"

struct cfg_env
cfg_env_of_process(void)
{
	struct cfg_env env = {
	    .multicluster_config = getenv("MIRRORD_MULTICLUSTER_CONFIG"),
	    .clusters_config = getenv("MIRRORD_CLUSTERS_CONFIG"),
	    .setup_deadline = getenv("OPERATOR_SESSION_SETUP_DEADLINE_SECONDS"),
	};

	if (gethostname(env.hostname, sizeof env.hostname - 1) != 0)
		env.hostname[0] = '\0';
	return env;
}

/* The own file into l->root, which is a mapping afterwards. */
static void
read_own(struct cfg_load *l, const char *path)
{
	struct yml_node here = {
	    .file = l->path, .line = 1, .column = 1, .kind = YML_MAP};

	if (path != NULL)
		(void)yml_parse_file(path, cfg_on_yaml, l, &l->root);
	if (l->root != NULL && l->root->kind == YML_MAP) {
		cfg_canonical(l, "", l->root);
		return;
	}
	if (l->root != NULL && !yml_is_null(l->root))
		cfg_error(l, l->root,
		    "The file must be a mapping of keys and values such as "
		    "`instance: hub`; rewrite it.");
	yml_free(&l->root);
	l->root = yml_new(YML_MAP, &here);
	if (l->root == NULL)
		l->nomem = true;
}

/* Numbers by position; a name given twice is an error already. */
static int
number_workers(struct cfg *cfg)
{
	cJSON *c, *clusters = cJSON_GetObjectItem(cfg->tree, "clusters");
	int n = 0;

	cJSON_ArrayForEach(c, clusters)
	{
		cJSON *number = cJSON_CreateNumber(n);

		if (number == NULL || !cJSON_ReplaceItemInObjectCaseSensitive(
					  c, "worker", number)) {
			cJSON_Delete(number);
			return -ERR_NOMEM;
		}
		if (cJSON_AddNumberToObject(
			cfg->workers, json_str(c, "name", ""), n++) == NULL)
			return -ERR_NOMEM;
	}
	return 0;
}

static int
finish(struct cfg_load *l, struct cfg **out)
{
	struct cfg *cfg = calloc(1, sizeof *cfg);

	if (cfg == NULL)
		return -ERR_NOMEM;
	cfg->tree = l->tree;
	l->tree = NULL;
	cfg->workers = cJSON_CreateObject();
	if (cfg->workers == NULL || number_workers(cfg) != 0) {
		cfg_free(&cfg);
		return -ERR_NOMEM;
	}
	*out = cfg;
	return 0;
}

int
cfg_load(const char *path, const struct cfg_env *env, struct cfg **out,
    struct cfg_problems *problems)
{
	struct cfg_load l = {.env = env,
	    .path = path != NULL ? path : "tributaryd.yaml",
	    .problems = problems};
	int rc = -ERR_NOMEM;

	*out = NULL;
	memset(problems, 0, sizeof *problems);
	read_own(&l, path);
	if (l.root != NULL)
		cfg_vendor(&l);
	if (!l.nomem)
		l.tree = cfg_normalise(&l, "", l.root);
	if (!l.nomem)
		cfg_derive(&l);
	if (!l.nomem) {
		cfg_read_files(&l);
		cfg_check(&l);
	}
	cfg_problems_sort(problems, l.path);
	if (!l.nomem)
		rc = problems->errors > 0 ? -ERR_INVALID : finish(&l, out);
	yml_free(&l.root);
	cJSON_Delete(l.tree);
	return rc;
}

void
cfg_free(struct cfg **cfg)
{
	if (*cfg == NULL)
		return;
	cJSON_Delete((*cfg)->tree);
	cJSON_Delete((*cfg)->workers);
	free(*cfg);
	*cfg = NULL;
}

const cJSON *
cfg_tree(const struct cfg *cfg)
{
	return cfg->tree;
}

const char *
cfg_str(const struct cfg *cfg, const char *path)
{
	const cJSON *v = json_at(cfg->tree, path);

	return cJSON_IsString(v) ? v->valuestring : "";
}

int64_t
cfg_int(const struct cfg *cfg, const char *path)
{
	const cJSON *v = json_at(cfg->tree, path);

	return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : 0;
}

const char *
cfg_cluster_name(const struct cfg *cfg)
{
	return cfg_str(cfg, "clusterName");
}
