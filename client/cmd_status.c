/* tributary status: the operator, its clusters, its sessions. */
#include "config.h"

#include "client/cmd_status.h"

#include <stdio.h>
#include <string.h>

#include "client/common.h"
#include "client/table.h"
#include "lib/json.h"
#include "lib/log.h"

struct show {
	struct cli_common common;
	bool json;
};

static const char usage[] =
    "usage: tributary status [-o table|json]\n"
    "\n"
    "Shows the operator, the clusters it is connected to and the sessions.\n"
    "\n"
    "  -o, --output table|json     default: table\n" CLI_COMMON_HELP "\n"
    "example:\n"
    "  tributary status --kubeconfig hub.kubeconfig\n";

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    CLI_COMMON_OPTIONS,
};

static int
show_option(void *arg, int opt, struct err *e)
{
	struct show *s = arg;

	if (opt != 'o')
		return 1;
	s->json = strcmp(optarg, "json") == 0;
	if (!s->json && strcmp(optarg, "table") != 0)
		return err_set(e, ERR_INVALID,
		    "\"%s\" is no form of output; there are table and json",
		    optarg);
	return 0;
}

/* management-only: its objects live in a namespace of the operator's. */
static const char *
role(const struct cli_api *api)
{
	if (!cli_api_has(api, "MultiClusterPrimary"))
		return "operator of one cluster";
	if (json_at(api->object, "spec.operator_namespace") != NULL)
		return "primary, management only";
	return "primary and workload cluster";
}

static void
show_operator(const struct cli_api *api)
{
	const cJSON *spec =
	    cJSON_GetObjectItemCaseSensitive(api->object, "spec");

	printf("server    %s\n", api->kube.server);
	printf("role      %s\n", role(api));
	printf("version   %s (protocol %s)\n",
	    json_str(spec, "operator_version", "?"),
	    json_str(spec, "protocol_version", "?"));
}

static void
show_clusters(const cJSON *list)
{
	static const char *const heads[] = {
	    "CLUSTER", "STATE", "VERSION", "CHECKED", "WHY", NULL};
	struct cli_table t;
	const cJSON *v;

	if (!cJSON_IsArray(list))
		return;
	cli_table_init(&t, heads);
	cJSON_ArrayForEach(v, list)
	{
		const cJSON *up =
		    cJSON_GetObjectItemCaseSensitive(v, "connected");
		const cJSON *why = cJSON_GetObjectItemCaseSensitive(v, "error");

		cli_table_add(&t, json_str(v, "name", NULL));
		cli_table_add(
		    &t, cJSON_IsObject(up) ? "connected" : "not reached");
		cli_table_add(&t, json_str(up, "operatorVersion", NULL));
		cli_table_add(&t, json_str(v, "lastCheck", NULL));
		cli_table_add(&t, json_str(why, "message", NULL));
	}
	putchar('\n');
	cli_table_print(&t, stdout);
	cli_table_free(&t);
}

static void
show_sessions(const cJSON *status)
{
	static const char *const heads[] = {
	    "SESSION", "USER", "TARGET", "NAMESPACE", "KEY", "AGE", NULL};
	struct cli_table t;
	const cJSON *v;

	cli_table_init(&t, heads);
	cJSON_ArrayForEach(
	    v, cJSON_GetObjectItemCaseSensitive(status, "sessions"))
	{
		cli_table_add(&t, json_str(v, "id", NULL));
		cli_table_add(&t, json_str(v, "user", NULL));
		cli_table_add(&t, json_str(v, "target", NULL));
		cli_table_add(&t, json_str(v, "namespace", NULL));
		cli_table_add(&t, json_str(v, "key", NULL));
		cli_table_add_age(
		    &t, json_int(v, "duration_secs", 0, INT32_MAX, 0));
	}
	putchar('\n');
	if (t.n_cells == 0)
		puts("no sessions");
	else
		cli_table_print(&t, stdout);
	cli_table_free(&t);
}

static int
show_main(struct show *s)
{
	const cJSON *status;
	struct err e;
	int code = cli_common_open(&s->common);

	if (code != 0)
		return code;
	if (cli_api_operator(&s->common.api, &e) < 0)
		return cli_common_fail(&e);
	if (s->json) {
		cli_print_json(s->common.api.object);
		return CLI_OK;
	}
	status =
	    cJSON_GetObjectItemCaseSensitive(s->common.api.object, "status");
	show_operator(&s->common.api);
	show_clusters(
	    cJSON_GetObjectItemCaseSensitive(status, "connected_clusters"));
	show_sessions(status);
	return CLI_OK;
}

int
cli_cmd_status(int argc, char **argv)
{
	struct show s = {.common = {.command = "status", .usage = usage}};
	int code;

	log_init("tributary", LOG_LV_INFO);
	if (cli_options(&s.common, argc, argv, ":n:o:qh", options, show_option,
		&s, &code) == 0) {
		if (optind < argc)
			code = cli_usage_error(&s.common,
			    "\"%s\" is one word too many", argv[optind]);
		else
			code = show_main(&s);
	}
	cli_common_close(&s.common);
	return code;
}
