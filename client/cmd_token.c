/* cmd_token: bearer tokens, and the end of tokens and certificates. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "client/cli.h"
#include "client/cmd_admin.h"
#include "client/control.h"
#include "lib/clock.h"
#include "lib/json.h"

static const char token_usage[] =
    "usage: tributary token USER [options]\n"
    "\n"
    "Prints a bearer token for USER on standard output, once: the daemon\n"
    "keeps only its hash (which goes to standard error, for `primaries:` of\n"
    "another cluster).\n"
    "\n"
    "  --group GROUP      a group of the user; may be repeated\n"
    "  --ttl TIME         how long it is valid (90d)\n"
    "  --credentials DIR  bearerToken and ca.crt into DIR instead\n"
    "  --instance NAME    which daemon (default)\n"
    "  --control PATH     its control socket\n"
    "\n"
    "example: tributary token robot --group ci --ttl 1d\n";

static const char revoke_usage[] =
    "usage: tributary revoke USER | --serial ID | --list [options]\n"
    "\n"
    "Ends every certificate and token of USER, or one of them, at once: live\n"
    "connections are dropped. --list shows what is valid; a token's ID is the\n"
    "first 16 digits of its hash.\n"
    "\n"
    "  --instance NAME    which daemon (default)\n"
    "  --control PATH     its control socket\n"
    "\n"
    "examples:\n"
    "  tributary revoke ada\n"
    "  tributary revoke --list\n";

struct options {
	struct cli_control control;
	const char *serial;
	const char *credentials;
	cJSON *groups; /* owned */
	int64_t ttl_s;
	bool list;
	bool help;
};

static int
parse(int argc, char **argv, const char *allowed, struct options *o)
{
	static const struct option longs[] = {
	    {"group", required_argument, NULL, 'g'},
	    {"ttl", required_argument, NULL, 't'},
	    {"credentials", required_argument, NULL, 'c'},
	    {"instance", required_argument, NULL, 'i'},
	    {"control", required_argument, NULL, 's'},
	    {"serial", required_argument, NULL, 'n'},
	    {"list", no_argument, NULL, 'l'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct err e;
	int c;

	o->control.instance = "default";
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == '?' || strchr(allowed, c) == NULL)
			return CLI_USAGE;
		if (c == 'g')
			cJSON_AddItemToArray(
			    o->groups, cJSON_CreateString(optarg));
		else if (c == 'c')
			o->credentials = optarg;
		else if (c == 'i')
			o->control.instance = optarg;
		else if (c == 's')
			o->control.path = optarg;
		else if (c == 'n')
			o->serial = optarg;
		else if (c == 'l')
			o->list = true;
		else if (c == 'h')
			o->help = true;
		else if (cli_ttl_parse(optarg, &o->ttl_s, &e) != 0) {
			cli_error("--ttl: %s", e.text);
			return CLI_USAGE;
		}
	}
	return CLI_OK;
}

static int
token_give(const struct options *o, const cJSON *reply, struct err *e)
{
	const char *token = json_str(reply, "token", "");
	int rc = 0;

	if (o->credentials == NULL) {
		printf("%s\n", token);
	} else {
		rc = cli_file_write_in(
		    o->credentials, "ca.crt", json_str(reply, "ca", ""), e);
		if (rc == 0)
			rc = cli_file_write_in(
			    o->credentials, "bearerToken", token, e);
	}
	if (rc == 0)
		cli_event(
		    "sha256 of the token: %s", json_str(reply, "sha256", ""));
	return rc;
}

static int
token_run(const struct options *o, const char *user, struct err *e)
{
	cJSON *req = cJSON_CreateObject(), *reply = NULL;
	int rc;

	cJSON_AddStringToObject(req, "do", "token");
	cJSON_AddStringToObject(req, "user", user);
	cJSON_AddItemToObject(req, "groups", cJSON_Duplicate(o->groups, true));
	if (o->ttl_s != 0)
		cJSON_AddNumberToObject(req, "ttlSecs", (double)o->ttl_s);
	rc = cli_control_ask(&o->control, req, &reply, e);
	if (rc == 0)
		rc = token_give(o, reply, e);
	cJSON_Delete(reply);
	return rc;
}

static int
end(struct options *o, int rc, const char *usage, const struct err *e)
{
	if (o->help) {
		fputs(usage, stdout);
	} else if (rc == CLI_USAGE) {
		fputs(usage, stderr);
	} else if (e->code != ERR_OK) {
		cli_error("%s", e->text);
		rc = cli_exit_of(e);
	}
	cJSON_Delete(o->groups);
	return rc;
}

int
cli_cmd_token(int argc, char **argv)
{
	struct options o = {.groups = cJSON_CreateArray()};
	struct err e = {0};
	int rc = parse(argc, argv, "gtcish", &o);

	if (rc == CLI_OK && !o.help && argc - optind != 1)
		rc = CLI_USAGE;
	if (rc == CLI_OK && !o.help)
		(void)token_run(&o, argv[optind], &e);
	return end(&o, rc, token_usage, &e);
}

static void
print_groups(const cJSON *groups)
{
	const cJSON *g;
	const char *comma = "";

	cJSON_ArrayForEach(g, groups)
	{
		printf("%s%s", comma, cJSON_IsString(g) ? g->valuestring : "?");
		comma = ",";
	}
	printf("%s\n", *comma == '\0' ? "-" : "");
}

static void
print_rows(const cJSON *list, const char *id, const char *kind)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
	{
		int64_t end_s = json_int(v, "expires", 0, INT64_C(1) << 40, 0);
		char until[24];

		clock_rfc3339(end_s, until, sizeof(until));
		printf("%-34s %-8s %-16s %-21s %-8s ", json_str(v, id, ""),
		    json_str(v, "kind", kind), json_str(v, "user", ""), until,
		    json_bool(v, "revoked", false) ? "revoked" : "valid");
		print_groups(cJSON_GetObjectItem(v, "groups"));
	}
}

static int
list_one(const struct options *o, const char *what, const char *id,
    const char *kind, struct err *e)
{
	cJSON *req = cJSON_CreateObject(), *reply = NULL;
	int rc;

	cJSON_AddStringToObject(req, "do", what);
	rc = cli_control_ask(&o->control, req, &reply, e);
	if (rc == 0)
		print_rows(cJSON_GetObjectItem(reply, what), id, kind);
	cJSON_Delete(reply);
	return rc;
}

static int
revoke_run(const struct options *o, const char *user, struct err *e)
{
	cJSON *req, *reply = NULL;
	int rc;

	if (o->list) {
		printf("%-34s %-8s %-16s %-21s %-8s %s\n", "ID", "KIND", "USER",
		    "UNTIL", "STATE", "GROUPS");
		rc = list_one(o, "certificates", "serial", "login", e);
		return rc != 0 ? rc : list_one(o, "tokens", "id", "token", e);
	}
	req = cJSON_CreateObject();
	cJSON_AddStringToObject(req, "do", "revoke");
	cJSON_AddStringToObject(req, user != NULL ? "user" : "serial",
	    user != NULL ? user : o->serial);
	rc = cli_control_ask(&o->control, req, &reply, e);
	if (rc == 0)
		cli_event("revoked: %lld",
		    (long long)json_int(reply, "revoked", 0, 1 << 20, 0));
	cJSON_Delete(reply);
	return rc;
}

int
cli_cmd_revoke(int argc, char **argv)
{
	struct options o = {.groups = cJSON_CreateArray()};
	struct err e = {0};
	int rc = parse(argc, argv, "nlish", &o);
	int n = argc - optind;

	if (rc == CLI_OK && !o.help &&
	    (n > 1 || n + (o.serial != NULL) + o.list != 1))
		rc = CLI_USAGE;
	if (rc == CLI_OK && !o.help)
		(void)revoke_run(&o, n == 1 ? argv[optind] : NULL, &e);
	return end(&o, rc, revoke_usage, &e);
}
