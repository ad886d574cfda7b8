/*
 * tributary port-forward: ports of and behind a target, without a program.
 * Runs until a signal comes or the session is over.
 */
#include "config.h"

#include "client/cmd_port_forward.h"

#include <signal.h>
#include <string.h>

#include "client/child.h"
#include "client/clusters.h"
#include "client/common.h"
#include "client/target.h"
#include "client/traffic.h"
#include "lib/log.h"

enum { PF_REMOTE_MAX = 64 };

struct pf {
	struct cli_common common;
	struct cli_session *session;
	struct cli_target target;
	struct cli_clusters clusters;
	struct cli_traffic traffic;
	struct cli_child signals; /* never starts a program */
	const char *remotes[PF_REMOTE_MAX];
	size_t n_remotes;
	bool steal;
	bool quit;
	int code;
};

static const char usage[] =
    "usage: tributary port-forward -t KIND/NAME [-L ...]... [-R ...]...\n"
    "\n"
    "-L leads connections to a port here out of the target; -R leads the\n"
    "target's incoming connections to a port here, in every cluster.\n"
    "\n"
    "  -t, --target KIND/NAME      deployment/shop, pod/shop-1, ...\n"
    "  -c, --container NAME        of the target\n"
    "  -L [ADDRESS:]LOCAL:HOST:PORT\n"
    "                              HOST is looked up in the target\n"
    "  -R [PORT:]LOCAL             the target's PORT, default: LOCAL\n"
    "      --steal                 -R takes connections; default: copies\n"
    "      --on-concurrent-steal abort|continue|override\n"
    "                              when another session has the port\n"
    "      --key KEY               names the session in lists\n"
    "      --single-cluster        this cluster alone\n" CLI_COMMON_HELP "\n"
    "examples:\n"
    "  tributary port-forward -t deployment/shop -L 5432:db.internal:5432\n"
    "  tributary port-forward -t deployment/shop -R 80:8080 --steal\n";

static const struct option options[] = {
    {"target", required_argument, NULL, 't'},
    {"container", required_argument, NULL, 'c'},
    {"steal", no_argument, NULL, 'S'},
    {"on-concurrent-steal", required_argument, NULL, 'O'},
    {"key", required_argument, NULL, 'k'},
    {"single-cluster", no_argument, NULL, '1'},
    CLI_COMMON_OPTIONS,
};

static int
pf_option(void *arg, int opt, struct err *e)
{
	struct pf *p = arg;

	switch (opt) {
	case 't':
		p->target.text = optarg;
		return 0;
	case 'c':
		p->target.container = optarg;
		return 0;
	case 'L':
		return cli_forwards_add(&p->traffic.forwards, optarg, e);
	case 'R':
		if (p->n_remotes == PF_REMOTE_MAX)
			return err_set(e, ERR_TOO_BIG,
			    "-R may be given %d times, no more", PF_REMOTE_MAX);
		p->remotes[p->n_remotes++] = optarg;
		return 0;
	case 'S':
		p->steal = true;
		return 0;
	case 'O':
		p->target.steal = optarg;
		return 0;
	case 'k':
		p->target.key = optarg;
		return 0;
	case '1':
		p->target.single_cluster = true;
		return 0;
	default:
		return 1;
	}
}

static void
pf_quit(struct pf *p, int code)
{
	p->quit = true;
	p->code = code;
	ev_loop_stop(p->common.loop);
}

static void
ports_done(void *arg, const struct err *e)
{
	struct pf *p = arg;
	struct buf b;

	if (e != NULL) {
		pf_quit(p, cli_common_fail(e));
		return;
	}
	buf_init(&b, 8192);
	cli_ports_describe(&p->traffic.ports, &b);
	if (b.len > 0)
		cli_event("ports: %s", buf_cstr(&b));
	buf_free(&b);
	cli_forwards_say(&p->traffic.forwards);
	cli_event("ready; end with Ctrl-C");
}

static void
on_up(void *arg, bool again)
{
	struct pf *p = arg;
	struct err e;

	if (again)
		cli_event("connected again");
	cli_traffic_up(&p->traffic, p->session);
	cli_clusters_ask(
	    &p->clusters, &p->common.api, cli_session_id(p->session));
	if (cli_ports_subscribe(&p->traffic.ports, p->session, ports_done, p) <
	    0) {
		err_nomem(&e);
		pf_quit(p, cli_common_fail(&e));
	}
}

static void
on_lost(void *arg, const char *why)
{
	struct pf *p = arg;

	cli_event(
	    "connection lost: %s; coming back with the same session", why);
	cli_traffic_lost(&p->traffic);
}

static void
on_end(void *arg, const struct err *e)
{
	struct pf *p = arg;

	cli_traffic_lost(&p->traffic);
	pf_quit(p, cli_common_fail(e));
}

static void
on_message(void *arg, const struct pm_DaemonMessage *m)
{
	cli_traffic_message(&((struct pf *)arg)->traffic, m);
}

static void
on_flow(void *arg, bool full)
{
	cli_traffic_flow(&((struct pf *)arg)->traffic, full);
}

static const struct cli_session_ops session_ops = {
    .on_up = on_up,
    .on_lost = on_lost,
    .on_end = on_end,
    .on_message = on_message,
    .on_flow = on_flow,
};

static void
on_signal(void *arg, int signo)
{
	struct pf *p = arg;

	if (signo == SIGUSR1 || signo == SIGUSR2)
		return;
	p->common.api.stop = true;
	/* Ctrl-C is how it is meant to end. */
	pf_quit(p, signo == SIGINT || signo == SIGTERM ? CLI_OK : 128 + signo);
}

static void
on_exit_never(void *arg, int code)
{
	(void)arg;
	(void)code;
}

static int
pf_check(struct pf *p, int argc, char **argv)
{
	struct err e;

	if (optind < argc)
		return cli_usage_error(
		    &p->common, "\"%s\" is one word too many", argv[optind]);
	if (p->target.text == NULL)
		return cli_usage_error(
		    &p->common, "which target? Say -t KIND/NAME");
	if (p->n_remotes == 0 && list_empty(&p->traffic.forwards.listeners))
		return cli_usage_error(&p->common, "which ports? Say -L or -R");
	for (size_t i = 0; i < p->n_remotes; i++) {
		if (cli_ports_add(
			&p->traffic.ports, p->remotes[i], p->steal, &e) < 0)
			return cli_usage_error(&p->common, "%s", e.text);
	}
	p->target.namespace = p->common.namespace;
	return CLI_OK;
}

static int
pf_main(struct pf *p)
{
	struct err e;
	int code = cli_common_open(&p->common);

	if (code != 0)
		return code;
	p->session = cli_target_connect(
	    &p->common.api, &p->target, &session_ops, p, true, &e);
	if (p->session == NULL) {
		if (p->quit)
			return p->code;
		cli_error("%s", e.text);
		return e.code == ERR_INVALID ? CLI_USAGE : cli_exit_of(&e);
	}
	while (!p->quit)
		ev_loop_run(p->common.loop);
	return p->code;
}

int
cli_cmd_port_forward(int argc, char **argv)
{
	struct pf p = {.common = {.command = "port-forward", .usage = usage}};
	int code = CLI_INTERNAL;

	log_init("tributary", LOG_LV_INFO);
	p.common.loop = ev_loop_new();
	if (p.common.loop == NULL || cli_child_init(&p.signals, p.common.loop,
					 on_exit_never, on_signal, &p) < 0) {
		cli_error("out of memory");
		return CLI_INTERNAL;
	}
	cli_traffic_init(&p.traffic, p.common.loop);
	if (cli_options(&p.common, argc, argv, ":t:n:c:L:R:qh", options,
		pf_option, &p, &code) == 0) {
		code = pf_check(&p, argc, argv);
		if (code == CLI_OK)
			code = pf_main(&p);
	}
	cli_clusters_free(&p.clusters);
	cli_target_leave(&p.common.api, &p.session);
	cli_traffic_free(&p.traffic);
	cli_child_deinit(&p.signals);
	cli_common_close(&p.common);
	return code;
}
