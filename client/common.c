#include "config.h"

#include "client/common.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

int
cli_usage_error(const struct cli_common *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_error("%s; see `tributary %s --help`", text, c->command);
	return CLI_USAGE;
}

int
cli_common_fail(const struct err *e)
{
	cli_error("%s", e->text);
	return cli_exit_of(e);
}

/* 0, or 1: not one of the common ones. */
static int
common_option(struct cli_common *c, int opt)
{
	switch (opt) {
	case 'K':
		c->kubeconfig = optarg;
		return 0;
	case 'C':
		c->context = optarg;
		return 0;
	case 'n':
		c->namespace = optarg;
		return 0;
	case 'q':
		cli_set_quiet(true);
		return 0;
	default:
		return 1;
	}
}

/* 0 go on, 1 over. */
static int
one_option(struct cli_common *c, int opt, const char *word,
    int (*fn)(void *arg, int opt, struct err *e), void *arg, int *code)
{
	struct err e = {0};
	int rc;

	*code = CLI_USAGE;
	if (opt == 'h') {
		fputs(c->usage, stdout);
		*code = CLI_OK;
		return 1;
	}
	if (opt == ':') {
		cli_usage_error(c, "%s wants a value", word);
		return 1;
	}
	rc = common_option(c, opt);
	if (rc != 0 && fn != NULL)
		rc = fn(arg, opt, &e);
	if (rc > 0)
		cli_usage_error(c, "there is no option %s", word);
	else if (rc < 0)
		cli_usage_error(c, "%s", e.text);
	return rc != 0;
}

int
cli_options(struct cli_common *c, int argc, char **argv, const char *letters,
    const struct option *options, int (*fn)(void *arg, int opt, struct err *e),
    void *arg, int *code)
{
	int opt;

	optind = 0; /* not 1: it forgets all of an earlier line */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (one_option(c, opt, argv[optind > 0 ? optind - 1 : 0], fn,
			arg, code) != 0)
			return 1;
	}
	if (c->namespace != NULL && !cli_name_ok(c->namespace)) {
		*code = cli_usage_error(
		    c, "\"%s\" is not the name of a namespace", c->namespace);
		return 1;
	}
	return 0;
}

int
cli_common_open(struct cli_common *c)
{
	struct err e;

	signal(SIGPIPE, SIG_IGN);
	if (c->loop == NULL)
		c->loop = ev_loop_new();
	if (c->loop == NULL) {
		err_nomem(&e);
		return cli_common_fail(&e);
	}
	if (cli_api_init(&c->api, c->loop, c->kubeconfig, c->context, &e) < 0) {
		cli_error("%s", e.text);
		return e.code == ERR_NOMEM ? CLI_INTERNAL : CLI_CONFIG;
	}
	if (c->api.kube.insecure)
		cli_event("warning: the kubeconfig says not to check who "
			  "%s is",
		    c->api.host_port);
	return CLI_OK;
}

void
cli_common_close(struct cli_common *c)
{
	cli_api_free(&c->api);
	ev_loop_free(&c->loop);
}

void
cli_print_json(const cJSON *v)
{
	char *text = cJSON_Print(v);

	if (text != NULL)
		puts(text);
	cJSON_free(text);
}
