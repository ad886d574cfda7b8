/* common: options and preparations that commands share. */
#ifndef CLIENT_COMMON_H
#define CLIENT_COMMON_H

#include <getopt.h>

#include "client/api.h"
#include "client/cli.h"

struct cli_common {
	const char *command; /* "exec" */
	const char *usage;
	const char *kubeconfig, *context, *namespace; /* NULL: not given */
	struct ev_loop *loop;
	struct cli_api api;
};

#define CLI_COMMON_OPTIONS                               \
	{"kubeconfig", required_argument, NULL, 'K'},    \
	    {"context", required_argument, NULL, 'C'},   \
	    {"namespace", required_argument, NULL, 'n'}, \
	    {"quiet", no_argument, NULL, 'q'},           \
	    {"help", no_argument, NULL, 'h'},            \
	{                                                \
		NULL, 0, NULL, 0                         \
	}
#define CLI_COMMON_HELP                                                        \
	"  -n, --namespace NS          default: the kubeconfig's\n"            \
	"      --kubeconfig FILE       default: $KUBECONFIG, ~/.kube/config\n" \
	"      --context NAME          of the kubeconfig\n"                    \
	"  -q, --quiet                 errors only\n"

/*
 * Parses options: the common ones here, others by fn, which returns 0, a
 * negative error with *e, or 1 for one it does not know. Returns 0 with optind
 * at the first word that is no option, else the command is over: *code.
 */
int cli_options(struct cli_common *c, int argc, char **argv,
    const char *letters, const struct option *options,
    int (*fn)(void *arg, int opt, struct err *e), void *arg, int *code);
/* Complains, with a hint at --help. Returns CLI_USAGE. */
int cli_usage_error(const struct cli_common *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Reads the kubeconfig; makes the loop unless there is one. 0, or the exit
 * code after having said why. */
int cli_common_open(struct cli_common *c);
void cli_common_close(struct cli_common *c);
/* Indented JSON on stdout. */
void cli_print_json(const cJSON *v);
/* Says the error. Returns its exit code. */
int cli_common_fail(const struct err *e);

#endif
