/* tributary ls: targets and the clusters they are in. */
#include "config.h"

#include "client/cmd_ls.h"

#include <stdio.h>
#include <string.h>

#include "client/common.h"
#include "client/table.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"

struct ls {
	struct cli_common common;
	bool all;
	bool json;
};

static const char usage[] =
    "usage: tributary ls [-n NS | -A] [-o table|json]\n"
    "\n"
    "Lists what sessions can be opened on, and the clusters it is in.\n"
    "\n"
    "  -A, --all-namespaces\n"
    "  -o, --output table|json     default: table\n" CLI_COMMON_HELP "\n"
    "examples:\n"
    "  tributary ls -A\n"
    "  tributary ls -n shop -o json\n";

static const struct option options[] = {
    {"all-namespaces", no_argument, NULL, 'A'},
    {"output", required_argument, NULL, 'o'},
    CLI_COMMON_OPTIONS,
};

static int
ls_option(void *arg, int opt, struct err *e)
{
	struct ls *ls = arg;

	if (opt == 'A') {
		ls->all = true;
		return 0;
	}
	if (opt != 'o')
		return 1;
	ls->json = strcmp(optarg, "json") == 0;
	if (!ls->json && strcmp(optarg, "table") != 0)
		return err_set(e, ERR_INVALID,
		    "\"%s\" is no form of output; there are table and json",
		    optarg);
	return 0;
}

/* "deployment.shop" is written deployment/shop on the command line. */
static void
add_target_name(struct cli_table *t, const char *name)
{
	size_t n = strcspn(name, ".");

	if (name[n] == '\0')
		cli_table_add(t, name);
	else
		cli_table_addf(t, "%.*s/%s", (int)n, name, name + n + 1);
}

static void
add_ready(struct cli_table *t, const cJSON *replicas)
{
	const cJSON *v;
	int ready = 0;

	cJSON_ArrayForEach(v, replicas)
	{
		ready += json_bool(v, "ready", false);
	}
	if (cJSON_IsArray(replicas))
		cli_table_addf(t, "%d/%d", ready, cJSON_GetArraySize(replicas));
	else
		cli_table_add(t, NULL);
}

static void
add_container(struct cli_table *t, const cJSON *spec)
{
	cli_table_add(
	    t, json_str(cJSON_GetObjectItemCaseSensitive(spec, "target"),
		   "container", NULL));
}

static void
ls_table(const cJSON *list)
{
	static const char *const heads[] = {"NAMESPACE", "TARGET", "CONTAINER",
	    "PORTS", "READY", "CLUSTERS", NULL};
	struct cli_table t;
	const cJSON *v;

	cli_table_init(&t, heads);
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(list, "items"))
	{
		const cJSON *meta =
		    cJSON_GetObjectItemCaseSensitive(v, "metadata");

		cli_table_add(&t, json_str(meta, "namespace", NULL));
		add_target_name(&t, json_str(meta, "name", "?"));
		add_container(&t, cJSON_GetObjectItemCaseSensitive(v, "spec"));
		cli_table_add_list(&t, json_at(v, "status.ports"));
		add_ready(&t, json_at(v, "status.replicas"));
		cli_table_add_list(&t, json_at(v, "status.clusters"));
	}
	if (t.n_cells == 0)
		cli_event("no targets; see other namespaces with -A");
	else
		cli_table_print(&t, stdout);
	cli_table_free(&t);
}

/* A list without them would look complete. */
static void
say_silent(const cJSON *list)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, json_at(list, "metadata.silentClusters"))
	{
		if (cJSON_IsString(v))
			cli_error(
			    "the cluster %s does not answer; its targets are "
			    "missing here",
			    v->valuestring);
	}
}

static int
ls_main(struct ls *ls)
{
	char path[512];
	cJSON *list;
	struct err e;
	int code = cli_common_open(&ls->common);
	const char *ns = ls->common.namespace != NULL
			     ? ls->common.namespace
			     : ls->common.api.kube.namespace;

	if (code != 0)
		return code;
	if (ls->all)
		str_fmt(path, sizeof(path), CLI_API_GROUP "/targets");
	else
		str_fmt(path, sizeof(path),
		    CLI_API_GROUP "/namespaces/%s/targets", ns);
	list = cli_api_call(&ls->common.api, "GET", path, NULL, &e);
	if (list == NULL)
		return cli_common_fail(&e);
	say_silent(list);
	if (ls->json)
		cli_print_json(list);
	else
		ls_table(list);
	cJSON_Delete(list);
	return CLI_OK;
}

int
cli_cmd_ls(int argc, char **argv)
{
	struct ls ls = {.common = {.command = "ls", .usage = usage}};
	int code;

	log_init("tributary", LOG_LV_INFO);
	if (cli_options(&ls.common, argc, argv, ":n:Ao:qh", options, ls_option,
		&ls, &code) == 0) {
		if (optind < argc)
			code = cli_usage_error(&ls.common,
			    "\"%s\" is one word too many", argv[optind]);
		else
			code = ls_main(&ls);
	}
	cli_common_close(&ls.common);
	return code;
}
