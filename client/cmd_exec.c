/*
 * tributary exec: a local program in place of a target.
 *
 * Steps, in this order: the session, the environment, files, names,
 * subscriptions, the program. A connection lost before the program runs
 * begins the steps again; one lost later only subscribes again.
 */
#include "config.h"

#include "client/cmd_exec.h"

#include <stdlib.h>
#include <string.h>

#include "client/dns.h"
#include "client/exec.h"
#include "client/files.h"
#include "lib/log.h"
#include "lib/str.h"

static void exec_step(struct exec *x);

static void
exec_quit(struct exec *x, int code)
{
	x->quit = true;
	x->code = code;
	ev_loop_stop(x->common.loop);
}

/* Something before the program runs failed for good. */
static void
exec_fail(struct exec *x, const struct err *e)
{
	if (e->code == ERR_CLOSED)
		return; /* lost: on_up comes again, or on_end */
	exec_quit(x, cli_common_fail(e));
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
exec_env(struct exec *x)
{
	struct err e;

	if (cli_env_fetch(&x->env, x->session, env_done, x, &e) < 0)
		exec_fail(x, &e);
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

static void
name_done(void *arg, const struct pm_ip *ip, const struct err *e)
{
	struct exec *x = arg;
	const char *name = x->names[x->at];
	char variable[EXEC_VARIABLE_MAX], text[64];
	struct err nomem;

	if (ip == NULL) {
		exec_fail(x, e);
		return;
	}
	cli_exec_variable(name, variable, sizeof(variable), NULL);
	cli_ip_print(ip, text, sizeof(text));
	if (cli_env_set(&x->env, pm_str(variable), pm_str(text)) < 0) {
		err_nomem(&nomem);
		exec_fail(x, &nomem);
		return;
	}
	cli_event("name %.*s is %s in the target ($%s)",
	    (int)strcspn(name, ":"), name, text, variable);
	x->at++;
	exec_step(x);
}

static void
exec_name(struct exec *x)
{
	char name[CLI_NAME_MAX + 1];
	struct err e;

	str_fmt(name, sizeof(name), "%.*s", (int)strcspn(x->names[x->at], ":"),
	    x->names[x->at]);
	if (cli_dns_lookup(x->session, name, name_done, x, &e) < 0)
		exec_fail(x, &e);
}

static void
exec_run(struct exec *x)
{
	struct err e;

	x->step = STEP_RUN;
	if (cli_child_start(&x->child, x->argv, x->env.list, &e) < 0) {
		cli_error("%s", e.text);
		exec_quit(x, CLI_CANT_RUN);
		return;
	}
	x->running = true;
	cli_event("started %s (pid %d)", x->argv[0], (int)x->child.pid);
}

/* The program can do nothing more for us: what ended it is the exit code. */
static void
exec_stop(struct exec *x, const struct err *e)
{
	int code = cli_common_fail(e);

	if (x->child.pid == 0) {
		exec_quit(x, code);
		return;
	}
	x->code = code;
	cli_event("ending %s", x->argv[0]);
	cli_child_stop(&x->child);
}

static void
ports_done(void *arg, const struct err *e)
{
	struct exec *x = arg;
	struct buf b;

	if (e != NULL) {
		exec_stop(x, e);
		return;
	}
	buf_init(&b, 8192);
	cli_ports_describe(&x->traffic.ports, &b);
	if (b.len > 0)
		cli_event("ports: %s", buf_cstr(&b));
	buf_free(&b);
	if (x->running)
		return;
	cli_forwards_say(&x->traffic.forwards);
	exec_run(x);
}

static void
exec_ports(struct exec *x)
{
	struct err e;

	if (cli_ports_subscribe(&x->traffic.ports, x->session, ports_done, x) <
	    0) {
		err_nomem(&e);
		exec_stop(x, &e);
	}
}

static void
exec_step(struct exec *x)
{
	switch (x->step) {
	case STEP_ENV:
		exec_env(x);
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
	case STEP_RUN:
		exec_ports(x);
		return;
	}
}

/* ---- the session */

static void
on_up(void *arg, bool again)
{
	struct exec *x = arg;

	cli_traffic_up(&x->traffic, x->session);
	if (again)
		cli_event("connected again");
	cli_clusters_ask(
	    &x->clusters, &x->common.api, cli_session_id(x->session));
	if (!x->running) {
		x->step = STEP_ENV;
		x->at = 0;
	}
	exec_step(x);
}

static void
on_lost(void *arg, const char *why)
{
	struct exec *x = arg;

	cli_event(
	    "connection lost: %s; coming back with the same session", why);
	cli_traffic_lost(&x->traffic);
}

static void
on_end(void *arg, const struct err *e)
{
	struct exec *x = arg;

	cli_traffic_lost(&x->traffic);
	exec_stop(x, e);
}

static void
on_message(void *arg, const struct pm_DaemonMessage *m)
{
	cli_traffic_message(&((struct exec *)arg)->traffic, m);
}

static void
on_flow(void *arg, bool full)
{
	cli_traffic_flow(&((struct exec *)arg)->traffic, full);
}

static const struct cli_session_ops session_ops = {
    .on_up = on_up,
    .on_lost = on_lost,
    .on_end = on_end,
    .on_message = on_message,
    .on_flow = on_flow,
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
	struct exec *x = arg;

	if (signo == SIGUSR1 || signo == SIGUSR2)
		return;
	x->common.api.stop = true;
	exec_quit(x, 128 + signo);
}

static int
exec_main(struct exec *x)
{
	struct err e;
	int code = cli_common_open(&x->common);

	if (code != 0)
		return code;
	x->session = cli_target_connect(
	    &x->common.api, &x->target, &session_ops, x, true, &e);
	if (x->session == NULL) {
		if (x->quit)
			return x->code;
		cli_error("%s", e.text);
		return e.code == ERR_INVALID ? CLI_USAGE : cli_exit_of(&e);
	}
	while (!x->quit)
		ev_loop_run(x->common.loop);
	return x->code;
}

int
cli_cmd_exec(int argc, char **argv)
{
	struct exec x = {0};
	struct err e;
	int code = CLI_INTERNAL;

	log_init("tributary", LOG_LV_INFO);
	x.common.loop = ev_loop_new();
	if (x.common.loop == NULL || cli_env_init(&x.env, &e) < 0 ||
	    cli_child_init(
		&x.child, x.common.loop, child_exit, early_signal, &x) < 0) {
		cli_error("out of memory");
		return CLI_INTERNAL;
	}
	cli_traffic_init(&x.traffic, x.common.loop);
	if (cli_exec_options(&x, argc, argv, &code) == 0)
		code = exec_main(&x);
	cli_clusters_free(&x.clusters);
	cli_target_leave(&x.common.api, &x.session);
	cli_traffic_free(&x.traffic);
	cli_child_deinit(&x.child);
	cli_env_free(&x.env);
	cli_common_close(&x.common);
	return code;
}
