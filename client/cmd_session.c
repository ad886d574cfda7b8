/* tributary session: list and end sessions. */
#include "config.h"

#include "client/cmd_session.h"

#include <stdio.h>
#include <string.h>

#include "client/common.h"
#include "client/credential.h"
#include "client/table.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"

struct sessions {
	struct cli_common common;
	bool all;
	bool json;
	const char *key;
};

static const char usage[] =
    "usage: tributary session list [-n NS | -A] [--key KEY] [-o table|json]\n"
    "       tributary session kill ID...\n"
    "       tributary session kill --all\n"
    "\n"
    "Lists sessions, of all users; ends your own (an administrator: any).\n"
    "\n"
    "  -A, --all-namespaces\n"
    "      --all                   every session of yours\n"
    "      --key KEY               only sessions with this key\n"
    "  -o, --output table|json     default: table\n" CLI_COMMON_HELP "\n"
    "examples:\n"
    "  tributary session list -A\n"
    "  tributary session kill 1A2B3C4D5E6F7081\n";

static const struct option options[] = {
    {"all-namespaces", no_argument, NULL, 'A'},
    {"all", no_argument, NULL, 'A'},
    {"key", required_argument, NULL, 'k'},
    {"output", required_argument, NULL, 'o'},
    CLI_COMMON_OPTIONS,
};

static int
sessions_option(void *arg, int opt, struct err *e)
{
	struct sessions *s = arg;

	switch (opt) {
	case 'A':
		s->all = true;
		return 0;
	case 'k':
		s->key = optarg;
		return 0;
	case 'o':
		s->json = strcmp(optarg, "json") == 0;
		if (!s->json && strcmp(optarg, "table") != 0)
			return err_set(e, ERR_INVALID,
			    "\"%s\" is no form of output; there are table and "
			    "json",
			    optarg);
		return 0;
	default:
		return 1;
	}
}

/* "8080 steal, 9000 mirror" */
static void
add_ports(struct cli_table *t, const cJSON *ports)
{
	const cJSON *v;
	struct buf b;

	buf_init(&b, 1024);
	cJSON_ArrayForEach(v, ports)
	{
		buf_printf(&b, "%s%d %s", b.len > 0 ? ", " : "",
		    (int)json_int(v, "port", 0, 65535, 0),
		    json_str(v, "kind", ""));
	}
	cli_table_add(t, buf_cstr(&b));
	buf_free(&b);
}

static void
list_table(const cJSON *list)
{
	static const char *const heads[] = {
	    "ID", "USER", "TARGET", "NAMESPACE", "PORTS", "KEY", "AGE", NULL};
	struct cli_table t;
	const cJSON *v;

	cli_table_init(&t, heads);
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(list, "items"))
	{
		const cJSON *s = json_at(v, "spec.session");

		cli_table_add(&t,
		    json_str(cJSON_GetObjectItemCaseSensitive(v, "metadata"),
			"name", NULL));
		cli_table_add(&t, json_str(s, "user", NULL));
		cli_table_add(&t, json_str(s, "target", NULL));
		cli_table_add(&t, json_str(s, "namespace", NULL));
		add_ports(
		    &t, cJSON_GetObjectItemCaseSensitive(s, "locked_ports"));
		cli_table_add(&t, json_str(s, "key", NULL));
		cli_table_add_age(
		    &t, json_int(s, "duration_secs", 0, INT32_MAX, 0));
	}
	if (t.n_cells == 0)
		cli_event("no sessions");
	else
		cli_table_print(&t, stdout);
	cli_table_free(&t);
}

/* The path of the list; the key's \ , = are escaped (operator-api §13). */
static int
list_path(const struct sessions *s, struct buf *path)
{
	const char *ns = s->common.namespace != NULL
			     ? s->common.namespace
			     : s->common.api.kube.namespace;
	struct buf field;
	int rc;

	rc = s->all ? buf_printf(path, CLI_API_GROUP "/sessions")
		    : buf_printf(
			  path, CLI_API_GROUP "/namespaces/%s/sessions", ns);
	if (rc < 0 || s->key == NULL)
		return rc;
	buf_init(&field, 4096);
	rc = buf_printf(&field, "spec.session.key=");
	for (const char *c = s->key; rc == 0 && *c != '\0'; c++)
		rc = buf_printf(
		    &field, "%s%c", strchr("\\,=", *c) != NULL ? "\\" : "", *c);
	if (rc == 0)
		rc = buf_printf(path, "?fieldSelector=");
	if (rc == 0)
		rc = str_form_encode(
		    path, (const char *)buf_data(&field), field.len);
	buf_free(&field);
	return rc;
}

static int
list_main(struct sessions *s)
{
	struct buf path;
	cJSON *list;
	struct err e;

	buf_init(&path, 4096);
	if (list_path(s, &path) < 0) {
		buf_free(&path);
		return cli_usage_error(&s->common, "the key is too long");
	}
	list = cli_api_call(&s->common.api, "GET", buf_cstr(&path), NULL, &e);
	buf_free(&path);
	if (list == NULL)
		return cli_common_fail(&e);
	if (s->json)
		cli_print_json(list);
	else
		list_table(list);
	cJSON_Delete(list);
	return CLI_OK;
}

/* id NULL: all. A Failure may come with 200 (operator-api §13). */
static int
kill_one(struct sessions *s, const char *id)
{
	char path[512];
	cJSON *body = id == NULL ? NULL : cJSON_CreateObject(), *answer;
	struct err e;
	int code = CLI_OK;

	str_fmt(path, sizeof(path), CLI_API_GROUP "/sessions%s%s",
	    id == NULL ? "" : "/", id == NULL ? "" : id);
	answer = cli_api_call(&s->common.api, "DELETE", path, body, &e);
	cJSON_Delete(body);
	if (answer == NULL)
		return cli_common_fail(&e);
	if (strcmp(json_str(answer, "status", ""), "Failure") == 0) {
		cli_error("%s", json_str(answer, "message", "it failed"));
		code = CLI_FAILED;
	} else {
		cli_event("%s%s%s", id == NULL ? "" : id,
		    id == NULL ? "" : ": ",
		    json_str(answer, "message", "stopped"));
	}
	cJSON_Delete(answer);
	return code;
}

static int
kill_main(struct sessions *s, char **ids)
{
	struct err e;
	int code = CLI_OK;

	if (s->all != (ids[0] == NULL))
		return cli_usage_error(
		    &s->common, "say which sessions, by id or with --all");
	for (size_t i = 0; ids[i] != NULL; i++) {
		if (!cli_name_ok(ids[i]))
			return cli_usage_error(
			    &s->common, "\"%s\" is not a session id", ids[i]);
	}
	/* Whose sessions these are, the certificate says. */
	if (cli_api_operator(&s->common.api, &e) < 0 ||
	    cli_credential_get(&s->common.api, &e) < 0)
		return cli_common_fail(&e);
	if (s->all)
		return kill_one(s, NULL);
	for (size_t i = 0; ids[i] != NULL; i++) {
		int rc = kill_one(s, ids[i]);

		code = code == CLI_OK ? rc : code;
	}
	return code;
}

static int
sessions_main(struct sessions *s, char **words)
{
	bool kill = words[0] != NULL && strcmp(words[0], "kill") == 0;
	int code;

	if (words[0] == NULL || (!kill && strcmp(words[0], "list") != 0))
		return cli_usage_error(&s->common, "say list or kill");
	if (!kill && words[1] != NULL)
		return cli_usage_error(
		    &s->common, "\"%s\" is one word too many", words[1]);
	code = cli_common_open(&s->common);
	if (code != 0)
		return code;
	return kill ? kill_main(s, words + 1) : list_main(s);
}

int
cli_cmd_session(int argc, char **argv)
{
	struct sessions s = {.common = {.command = "session", .usage = usage}};
	int code;

	log_init("tributary", LOG_LV_INFO);
	if (cli_options(&s.common, argc, argv, ":n:Ao:qh", options,
		sessions_option, &s, &code) == 0)
		code = sessions_main(&s, argv + optind);
	cli_common_close(&s.common);
	return code;
}
