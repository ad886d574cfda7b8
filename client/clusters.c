#include "config.h"

#include "client/clusters.h"

#include <string.h>

#include "client/cli.h"
#include "lib/json.h"
#include "lib/str.h"

enum { CLUSTERS_TEXT_MAX = 8192 };

void
cli_clusters_known(const struct cli_api *api)
{
	const cJSON *list = json_at(api->object, "status.connected_clusters");
	const cJSON *v;
	struct buf b;

	buf_init(&b, CLUSTERS_TEXT_MAX);
	cJSON_ArrayForEach(v, list)
	{
		const cJSON *up =
		    cJSON_GetObjectItemCaseSensitive(v, "connected");

		buf_printf(&b, "%s%s%s", b.len > 0 ? ", " : "",
		    json_str(v, "name", "?"),
		    cJSON_IsObject(up) ? "" : " (not reached)");
	}
	if (b.len > 0)
		cli_event("clusters of this operator: %s", buf_cstr(&b));
	buf_free(&b);
}

/* "mc-1A2B" and "1A2B" are both 0x1a2b. */
static bool
same_session(const char *name, uint64_t id)
{
	const char *dash = strrchr(name, '-');
	uint64_t v;

	return str_hex_to_u64(dash == NULL ? name : dash + 1, &v) && v == id;
}

bool
cli_clusters_of(const cJSON *operator, uint64_t session_id, struct buf *out)
{
	const cJSON *v, *name;

	cJSON_ArrayForEach(
	    v, json_at(operator, "status.multi_cluster_sessions"))
	{
		if (!same_session(json_str(v, "id", ""), session_id))
			continue;
		cJSON_ArrayForEach(
		    name, cJSON_GetObjectItemCaseSensitive(v, "clusters"))
		{
			if (cJSON_IsString(name))
				buf_printf(out, "%s%s",
				    out->len > 0 ? ", " : "",
				    name->valuestring);
		}
		return true;
	}
	return false;
}

static void
clusters_answer(void *arg, cJSON *answer, const struct err *e)
{
	struct cli_clusters *c = arg;
	struct buf b;

	(void)e; /* only for the event: the session itself says what fails */
	c->call = NULL;
	buf_init(&b, CLUSTERS_TEXT_MAX);
	if (cli_clusters_of(answer, c->session_id, &b) && b.len > 0)
		cli_event("clusters in the session: %s", buf_cstr(&b));
	buf_free(&b);
	cJSON_Delete(answer);
}

void
cli_clusters_ask(
    struct cli_clusters *c, struct cli_api *api, uint64_t session_id)
{
	struct err e;

	if (!cli_api_has(api, "MultiClusterPrimary"))
		return;
	cli_clusters_free(c);
	c->api = api;
	c->session_id = session_id;
	c->call = cli_call_start(
	    api, "GET", CLI_API_OPERATOR, NULL, clusters_answer, c, &e);
}

void
cli_clusters_free(struct cli_clusters *c)
{
	cli_call_cancel(&c->call);
}
