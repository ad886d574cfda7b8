#include "config.h"

#include <string.h>

#include "client/dns.h"
#include "client/exec.h"
#include "lib/str.h"

static const char usage[] =
    "usage: tributary exec -t KIND/NAME [options] -- PROGRAM [ARGS...]\n"
    "\n"
    "Runs PROGRAM here with the environment of the target, and leads the\n"
    "target's traffic to it, in every cluster of the operator.\n"
    "\n"
    "  -t, --target KIND/NAME      deployment/shop, pod/shop-1, ...\n"
    "  -c, --container NAME        of the target\n"
    "      --steal PORT[:LOCAL]    the target's PORT comes to 127.0.0.1:LOCAL\n"
    "      --mirror PORT[:LOCAL]   a copy of it comes\n"
    "      --forward [ADDRESS:]LOCAL:HOST:PORT\n"
    "                              127.0.0.1:LOCAL leaves from the target\n"
    "      --file REMOTE:LOCAL     copies a file of the target first\n"
    "      --resolve NAME[:VAR]    the target's address of NAME, in $VAR\n"
    "                              (default $TRIBUTARY_RESOLVED_NAME)\n"
    "      --env-include PATTERN   only variables like this (repeatable)\n"
    "      --env-exclude PATTERN   but not those\n"
    "      --on-concurrent-steal abort|continue|override\n"
    "                              when another session has the port\n"
    "      --key KEY               names the session in lists\n"
    "      --single-cluster        this cluster alone\n" CLI_COMMON_HELP "\n"
    "The exit code is PROGRAM's, or 128 + the signal that ended it. What is\n"
    "wrong before: 2 usage, 69 no operator, 71 PROGRAM can't be started,\n"
    "74 a local file, 76 protocol, 77 not allowed, 78 kubeconfig.\n"
    "\n"
    "examples:\n"
    "  tributary exec -t deployment/shop --steal 8080 -- ./shop\n"
    "  tributary exec -t deployment/shop --mirror 8080:18080 \\\n"
    "      --forward 5432:db.internal:5432 -- python3 shop.py 18080\n";

static const struct option options[] = {
    {"target", required_argument, NULL, 't'},
    {"container", required_argument, NULL, 'c'},
    {"steal", required_argument, NULL, 'S'},
    {"mirror", required_argument, NULL, 'M'},
    {"forward", required_argument, NULL, 'F'},
    {"file", required_argument, NULL, 'f'},
    {"resolve", required_argument, NULL, 'r'},
    {"env-include", required_argument, NULL, 'I'},
    {"env-exclude", required_argument, NULL, 'E'},
    {"on-concurrent-steal", required_argument, NULL, 'O'},
    {"key", required_argument, NULL, 'k'},
    {"single-cluster", no_argument, NULL, '1'},
    CLI_COMMON_OPTIONS,
};

int
cli_exec_variable(const char *text, char *out, size_t cap, struct err *e)
{
	static const char ok[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "abcdefghijklmnopqrstuvwxyz0123456789_";
	const char *colon = strchr(text, ':');
	size_t n = strcspn(text, ":");

	if (n == 0 || n > CLI_NAME_MAX)
		return err_set(e, ERR_INVALID,
		    "\"%s\" is not NAME or NAME:VARIABLE", text);
	if (colon != NULL) {
		if (str_fmt(out, cap, "%s", colon + 1) < 0 ||
		    colon[1] == '\0' || strspn(out, ok) != strlen(out))
			return err_set(e, ERR_INVALID,
			    "\"%s\" is not the name of a variable", colon + 1);
		return 0;
	}
	str_fmt(out, cap, "TRIBUTARY_RESOLVED_%s", text);
	for (char *c = out; *c != '\0'; c++) {
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 32);
		else if (strchr(ok, *c) == NULL)
			*c = '_';
	}
	return 0;
}

static int
list_add(char **list, size_t *n, struct err *e)
{
	if (*n >= EXEC_LIST_MAX)
		return err_set(e, ERR_TOO_BIG,
		    "one option may be given %d times, no more", EXEC_LIST_MAX);
	list[(*n)++] = optarg;
	return 0;
}

static int
file_add(struct exec *x, struct err *e)
{
	const char *colon = strrchr(optarg, ':');

	if (optarg[0] != '/' || colon == NULL || colon[1] == '\0')
		return err_set(e, ERR_INVALID,
		    "\"%s\" is not REMOTE:LOCAL with an absolute REMOTE",
		    optarg);
	return list_add(x->files, &x->n_files, e);
}

static int
name_add(struct exec *x, struct err *e)
{
	char variable[EXEC_VARIABLE_MAX];
	int rc = cli_exec_variable(optarg, variable, sizeof(variable), e);

	return rc < 0 ? rc : list_add(x->names, &x->n_names, e);
}

static int
pattern_add(const char **list, size_t *n, struct err *e)
{
	if (*n >= CLI_ENV_PATTERNS)
		return err_set(e, ERR_TOO_BIG,
		    "there are more than %d "
		    "patterns",
		    CLI_ENV_PATTERNS);
	list[(*n)++] = optarg;
	return 0;
}

static int
exec_option(void *arg, int opt, struct err *e)
{
	struct exec *x = arg;

	switch (opt) {
	case 't':
		x->target.text = optarg;
		return 0;
	case 'c':
		x->target.container = optarg;
		return 0;
	case 'S':
	case 'M':
		return cli_ports_add(&x->traffic.ports, optarg, opt == 'S', e);
	case 'F':
		return cli_forwards_add(&x->traffic.forwards, optarg, e);
	case 'f':
		return file_add(x, e);
	case 'r':
		return name_add(x, e);
	case 'I':
		return pattern_add(x->env.include, &x->env.n_include, e);
	case 'E':
		return pattern_add(x->env.exclude, &x->env.n_exclude, e);
	case 'O':
		x->target.steal = optarg;
		return 0;
	case 'k':
		x->target.key = optarg;
		return 0;
	case '1':
		x->target.single_cluster = true;
		return 0;
	default:
		return 1;
	}
}

int
cli_exec_options(struct exec *x, int argc, char **argv, int *code)
{
	x->common.command = "exec";
	x->common.usage = usage;
	if (cli_options(&x->common, argc, argv, "+:t:n:c:qh", options,
		exec_option, x, code) != 0)
		return 1;
	x->argv = argv + optind;
	x->target.namespace = x->common.namespace;
	*code = CLI_USAGE;
	if (x->target.text == NULL)
		cli_usage_error(&x->common, "which target? Say -t KIND/NAME");
	else if (x->argv[0] == NULL)
		cli_usage_error(&x->common, "which program? Put it behind --");
	else
		return 0;
	return 1;
}
