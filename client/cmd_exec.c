/*
 * tributary exec: a local program in place of a target.
 *
 * Steps, in this order: the session, the environment, files, names,
 * subscriptions, the program. A connection lost before the program runs
 * begins the steps again; one lost later only subscribes again.
 */
#include "config.h"

#include "client/cmd_exec.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/child.h"
#include "client/cli.h"
#include "client/dns.h"
#include "client/env.h"
#include "client/files.h"
#include "client/forward.h"
#include "client/incoming.h"
#include "client/target.h"
#include "lib/log.h"
#include "lib/str.h"

enum { EXEC_LIST_MAX = 64 };

enum exec_step { STEP_ENV, STEP_FILES, STEP_NAMES, STEP_PORTS, STEP_RUN };

struct exec {
	struct ev_loop *loop;
	struct cli_api api;
	struct cli_session *session;
	struct cli_target target;
	const char *kubeconfig, *context;
	struct cli_env env;
	struct cli_incoming incoming;
	struct cli_forwards forwards;
	struct cli_child child;
	char *files[EXEC_LIST_MAX]; /* "REMOTE:LOCAL" */
	size_t n_files;
	char *names[EXEC_LIST_MAX]; /* "NAME[:VAR]" */
	size_t n_names;
	size_t at; /* within the step */
	enum exec_step step;
	bool running; /* the program was started */
	bool quit;
	int code;
	char **argv;
};

static void exec_step(struct exec *x);

static void
exec_quit(struct exec *x, int code)
{
	x->quit = true;
	x->code = code;
	ev_loop_stop(x->loop);
}

/* Something before the program runs failed for good. */
static void
exec_fail(struct exec *x, const struct err *e)
{
	if (e->code == ERR_CLOSED && x->session != NULL)
		return; /* lost: on_up comes again, or on_end */
	cli_error("%s", e->text);
	exec_quit(x, cli_exit_of(e));
}

static void
env_done(void *arg, const struct err *e)
{
	struct exec *x = arg;

	if (e != NULL) {
		exec_fail(x, e);
		return;
	}
	cli_event("%zu variables of the target's environment", x->env.remote);
	x->step = STEP_FILES;
	x->at = 0;
	exec_step(x);
}

static void
file_done(void *arg, const struct err *e)
{
	struct exec *x = arg;

	if (e != NULL) {
		exec_fail(x, e);
		return;
	}
	cli_event("file %s", x->files[x->at]);
	x->at++;
	exec_step(x);
}

static void
exec_file(struct exec *x)
{
	char *text = x->files[x->at], *colon = strrchr(text, ':');
	char *remote = strndup(text, (size_t)(colon - text));
	struct err e;

	if (remote == NULL) {
		err_nomem(&e);
		exec_fail(x, &e);
		return;
	}
	if (cli_file_fetch(x->session, remote, colon + 1, file_done, x, &e) < 0)
		exec_fail(x, &e);
	free(remote);
}

/* The variable a resolved name goes to. */
static void
name_variable(const char *text, char *out, size_t cap)
{
	const char *colon = strchr(text, ':');

	if (colon != NULL) {
		str_fmt(out, cap, "%s", colon + 1);
		return;
	}
	str_fmt(out, cap, "TRIBUTARY_RESOLVED_%s", text);
	for (char *c = out; *c != '\0'; c++) {
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 32);
		else if (!((*c >= 'A' && *c <= 'Z') ||
			     (*c >= '0' && *c <= '9')))
			*c = '_';
	}
}

static void
name_done(void *arg, const struct pm_ip *ip, const struct err *e)
{
	struct exec *x = arg;
	char variable[300], text[64];

	if (ip == NULL) {
		exec_fail(x, e);
		return;
	}
	name_variable(x->names[x->at], variable, sizeof(variable));
	cli_ip_print(ip, text, sizeof(text));
	cli_env_set(&x->env, pm_str(variable), pm_str(text));
	cli_event("name %.*s is %s in the target ($%s)",
	    (int)strcspn(x->names[x->at], ":"), x->names[x->at], text,
	    variable);
	x->at++;
	exec_step(x);
}

static void
exec_name(struct exec *x)
{
	char name[256];
	struct err e;

	str_fmt(name, sizeof(name), "%.*s", (int)strcspn(x->names[x->at], ":"),
	    x->names[x->at]);
	if (cli_dns_lookup(x->session, name, name_done, x) < 0) {
		err_set(&e, ERR_CLOSED, "the connection was lost");
		exec_fail(x, &e);
	}
}

static void
exec_run(struct exec *x)
{
	struct err e;

	if (cli_child_start(&x->child, x->argv, x->env.list, &e) < 0) {
		cli_error("%s", e.text);
		exec_quit(x, CLI_CANT_RUN);
		return;
	}
	x->running = true;
	cli_event("started %s (pid %d)", x->argv[0], (int)x->child.pid);
}

static void
ports_done(void *arg, const struct err *e)
{
	struct exec *x = arg;
	struct buf b;

	if (e != NULL) {
		cli_error("%s", e->text);
		if (x->running)
			cli_child_stop(&x->child);
		else
			exec_quit(x, cli_exit_of(e));
		return;
	}
	buf_init(&b, 8192);
	cli_incoming_describe(&x->incoming, &b);
	if (b.len > 0)
		cli_event("ports: %s", buf_cstr(&b));
	buf_free(&b);
	if (x->running)
		return;
	x->step = STEP_RUN;
	exec_run(x);
}

static void
exec_step(struct exec *x)
{
	struct err e;

	switch (x->step) {
	case STEP_ENV:
		if (cli_env_fetch(&x->env, x->session, env_done, x) < 0) {
			err_set(&e, ERR_CLOSED, "the connection was lost");
			exec_fail(x, &e);
		}
		return;
	case STEP_FILES:
		if (x->at < x->n_files) {
			exec_file(x);
			return;
		}
		x->step = STEP_NAMES;
		x->at = 0;
		/* fall through */
	case STEP_NAMES:
		if (x->at < x->n_names) {
			exec_name(x);
			return;
		}
		x->step = STEP_PORTS;
		/* fall through */
	case STEP_PORTS:
		cli_incoming_subscribe(&x->incoming, x->session, ports_done, x);
		return;
	case STEP_RUN:
		return;
	}
}

/* ---- the session */

static void
on_up(void *arg, bool again)
{
	struct exec *x = arg;

	x->forwards.session = x->session;
	if (again)
		cli_event("connected again");
	if (x->running) {
		cli_incoming_subscribe(&x->incoming, x->session, ports_done, x);
		return;
	}
	x->step = STEP_ENV;
	x->at = 0;
	exec_step(x);
}

static void
on_lost(void *arg, const char *why)
{
	struct exec *x = arg;

	cli_event(
	    "connection lost: %s; coming back with the same session", why);
	cli_incoming_reset(&x->incoming);
	cli_forwards_reset(&x->forwards);
}

static void
on_end(void *arg, const struct err *e)
{
	struct exec *x = arg;

	cli_error("%s", e->text);
	cli_incoming_reset(&x->incoming);
	cli_forwards_reset(&x->forwards);
	x->forwards.session = NULL;
	x->code = cli_exit_of(e);
	if (x->child.pid != 0)
		cli_child_stop(&x->child);
	else
		exec_quit(x, x->code);
}

static void
on_message(void *arg, const struct pm_DaemonMessage *m)
{
	struct exec *x = arg;

	if (!cli_incoming_message(&x->incoming, m) &&
	    !cli_forwards_message(&x->forwards, m))
		log_debug("message ignored kind=%u", (unsigned)m->tag);
}

static void
on_drained(void *arg)
{
	struct exec *x = arg;

	cli_incoming_drained(&x->incoming);
	cli_forwards_drained(&x->forwards);
}

static const struct cli_session_ops session_ops = {
    .on_up = on_up,
    .on_lost = on_lost,
    .on_end = on_end,
    .on_message = on_message,
    .on_drained = on_drained,
};

static void
child_exit(void *arg, int code)
{
	struct exec *x = arg;

	cli_event("%s ended with code %d", x->argv[0], code);
	exec_quit(x, x->code != 0 ? x->code : code);
}

static void
early_signal(void *arg, int signo)
{
	exec_quit(arg, 128 + signo);
}

/* ---- options */

static const char usage[] =
    "usage: tributary exec -t KIND/NAME [options] -- PROGRAM [ARGS...]\n"
    "\n"
    "Runs PROGRAM here with the environment of the target, and leads the\n"
    "target's traffic to it, in every cluster of the operator.\n"
    "\n"
    "  -t, --target KIND/NAME      deployment/shop, pod/shop-1, ...\n"
    "  -n, --namespace NS          default: the kubeconfig's\n"
    "  -c, --container NAME        of the target\n"
    "      --steal PORT[:LOCAL]    the target's PORT comes to 127.0.0.1:LOCAL\n"
    "      --mirror PORT[:LOCAL]   a copy of it comes\n"
    "      --forward LOCAL:HOST:PORT  127.0.0.1:LOCAL leaves from the target\n"
    "      --file REMOTE:LOCAL     copies a file of the target first\n"
    "      --resolve NAME[:VAR]    the target's address of NAME, in $VAR\n"
    "      --env-include PATTERN   only variables like this (repeatable)\n"
    "      --env-exclude PATTERN   but not those\n"
    "      --on-concurrent-steal abort|continue|override\n"
    "      --key KEY               names the session in lists\n"
    "      --single-cluster        this cluster alone\n"
    "      --kubeconfig FILE, --context NAME\n"
    "  -q, --quiet                 errors only\n"
    "\n"
    "example:\n"
    "  tributary exec -t deployment/shop --steal 8080 -- ./shop\n";

static const struct option options[] = {
    {"target", required_argument, NULL, 't'},
    {"namespace", required_argument, NULL, 'n'},
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
    {"kubeconfig", required_argument, NULL, 'K'},
    {"context", required_argument, NULL, 'C'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int
list_add(char **list, size_t *n, char *text, bool colon, struct err *e)
{
	if (*n >= EXEC_LIST_MAX)
		return err_set(e, ERR_TOO_BIG, "too many of one option");
	if (colon && (strrchr(text, ':') == NULL || text[0] != '/'))
		return err_set(e, ERR_INVALID,
		    "\"%s\" is not REMOTE:LOCAL with an absolute REMOTE", text);
	list[(*n)++] = text;
	return 0;
}

static int
pattern_add(const char **list, size_t *n, const char *text, struct err *e)
{
	if (*n >= CLI_ENV_PATTERNS)
		return err_set(e, ERR_TOO_BIG, "too many patterns");
	list[(*n)++] = text;
	return 0;
}

/* One option; 1: not known. */
static int
exec_option(struct exec *x, int c, struct err *e)
{
	switch (c) {
	case 't':
		x->target.text = optarg;
		return 0;
	case 'n':
		x->target.namespace = optarg;
		return 0;
	case 'c':
		x->target.container = optarg;
		return 0;
	case 'S':
	case 'M':
		return cli_incoming_add(&x->incoming, optarg, c == 'S', e);
	case 'F':
		return cli_forwards_add(&x->forwards, optarg, e);
	case 'f':
		return list_add(x->files, &x->n_files, optarg, true, e);
	case 'r':
		return list_add(x->names, &x->n_names, optarg, false, e);
	case 'I':
		return pattern_add(
		    x->env.include, &x->env.n_include, optarg, e);
	case 'E':
		return pattern_add(
		    x->env.exclude, &x->env.n_exclude, optarg, e);
	case 'O':
		x->target.steal = optarg;
		return 0;
	case 'k':
		x->target.key = optarg;
		return 0;
	case '1':
		x->target.single_cluster = true;
		return 0;
	case 'K':
		x->kubeconfig = optarg;
		return 0;
	case 'C':
		x->context = optarg;
		return 0;
	case 'q':
		cli_set_quiet(true);
		return 0;
	default:
		return 1;
	}
}

/* 0 go on, else the exit code plus 1. */
static int
exec_options(struct exec *x, int argc, char **argv)
{
	struct err e;
	int c, rc;

	optind = 1;
	while (
	    (c = getopt_long(argc, argv, "+t:n:c:qh", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage, stdout);
			return CLI_OK + 1;
		}
		rc = exec_option(x, c, &e);
		if (rc < 0)
			cli_error("%s", e.text);
		if (rc != 0)
			return CLI_USAGE + 1;
	}
	x->argv = argv + optind;
	if (x->target.text == NULL || x->argv[0] == NULL) {
		fputs(usage, stderr);
		return CLI_USAGE + 1;
	}
	return 0;
}

static int
exec_main(struct exec *x)
{
	struct err e;

	if (cli_api_init(&x->api, x->loop, x->kubeconfig, x->context, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_CONFIG;
	}
	x->session =
	    cli_target_connect(&x->api, &x->target, &session_ops, x, true, &e);
	if (x->session == NULL) {
		cli_error("%s", e.text);
		return e.code == ERR_INVALID ? CLI_USAGE : cli_exit_of(&e);
	}
	while (!x->quit)
		ev_loop_run(x->loop);
	return x->code;
}

int
cli_cmd_exec(int argc, char **argv)
{
	struct exec x = {0};
	struct err e;
	int rc;

	log_init("tributary", LOG_LV_INFO);
	signal(SIGPIPE, SIG_IGN);
	x.loop = ev_loop_new();
	if (x.loop == NULL || cli_env_init(&x.env, &e) < 0 ||
	    cli_child_init(&x.child, x.loop, child_exit, early_signal, &x) <
		0) {
		cli_error("out of memory");
		return CLI_INTERNAL;
	}
	cli_incoming_init(&x.incoming, x.loop);
	cli_forwards_init(&x.forwards, x.loop);
	rc = exec_options(&x, argc, argv);
	rc = rc != 0 ? rc - 1 : exec_main(&x);
	cli_incoming_free(&x.incoming);
	cli_session_free(&x.session);
	cli_forwards_free(&x.forwards);
	cli_api_free(&x.api);
	cli_child_deinit(&x.child);
	cli_env_free(&x.env);
	ev_loop_free(&x.loop);
	return rc;
}
