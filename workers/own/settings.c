/* settings: this worker's part of the configuration, read once. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/str.h"
#include "workers/own/own.h"

void
own_settings_free(struct own_settings *c)
{
	for (size_t i = 0; i < c->n_clusters; i++)
		free(c->clusters[i].name);
	free(c->clusters);
	c->clusters = NULL;
	c->n_clusters = 0;
}

static int
load_clusters(struct own_settings *c, const cJSON *list, struct err *e)
{
	int n = cJSON_GetArraySize(list);
	if (n > OWN_MAX_CLUSTERS - 1)
		return err_set(e, ERR_TOO_BIG, "there are too many clusters");
	c->clusters = calloc((size_t)n + 1, sizeof(*c->clusters));
	if (c->clusters == NULL)
		return err_nomem(e);
	const cJSON *it;
	int64_t at = 0;
	cJSON_ArrayForEach(it, list)
	{
		struct own_cluster *cl = &c->clusters[c->n_clusters];
		cl->name = strdup(json_str(it, "name", ""));
		if (cl->name == NULL)
			return err_nomem(e);
		cl->worker =
		    (uint32_t)json_int(it, "worker", 0, UINT32_MAX - 1, at++);
		c->n_clusters++;
	}
	return 0;
}

int
own_settings_load(struct own_settings *c, const struct worker *w, struct err *e)
{
	memset(c, 0, sizeof(*c));
	const cJSON *mc =
	    cJSON_GetObjectItemCaseSensitive(w->config, "multiCluster");
	c->multi = cJSON_IsObject(mc);
	c->management_only = json_bool(mc, "managementOnly", false);
	(void)str_fmt(c->cluster, sizeof(c->cluster), "%s",
	    json_str(w->config, "clusterName", w->instance));
	(void)str_fmt(c->default_cluster, sizeof(c->default_cluster), "%s",
	    json_str(mc, "defaultCluster", c->cluster));
	const int64_t day = 86400;
	c->ttl_s = json_int(mc, "sessionTtlSecs", 1, day, 90);
	c->setup_s = json_int(mc, "remoteSessionTimeoutSecs", 1, day, 120);
	c->child_unused_s = json_int(mc, "childUnusedTtlSecs", 1, day, 30);
	c->max_time_s = json_int(mc, "maxSessionTimeSecs", 0, 365 * day, 0);
	const cJSON *agent =
	    cJSON_GetObjectItemCaseSensitive(w->config, "agent");
	c->agent_idle_s = json_int(agent, "idleSecs", 0, day, 30);
	if (!c->multi)
		return 0;
	return load_clusters(
	    c, cJSON_GetObjectItemCaseSensitive(w->config, "clusters"), e);
}
