/* main: the client's commands. Each has a file of its own, cmd_<name>.c. */
#include <stdio.h>
#include <string.h>

#include "client/cmd_admin.h"
#include "client/cmd_exec.h"
#include "client/cmd_ls.h"
#include "client/cmd_port_forward.h"
#include "client/cmd_proto.h"
#include "client/cmd_session.h"
#include "client/cmd_status.h"

struct cli_command {
	const char *name;
	int (*fn)(int argc, char **argv); /* argv[0] is the command's name */
	const char *help;
};

static const struct cli_command commands[] = {
    {"exec", cli_cmd_exec, "a local program in place of a target"},
    {"port-forward", cli_cmd_port_forward, "ports of a target, no program"},
    {"ls", cli_cmd_ls, "targets and the clusters they are in"},
    {"status", cli_cmd_status, "the operator and its clusters"},
    {"session", cli_cmd_session, "list and end sessions"},
    {"proto", cli_cmd_proto, "messages of the mirrord protocol as JSON"},
    {"kubeconfig", cli_cmd_kubeconfig, "a user's way in (administrators)"},
    {"token", cli_cmd_token, "a bearer token (administrators)"},
    {"revoke", cli_cmd_revoke, "end certificates and tokens (administrators)"},
    {"check-config", cli_cmd_check_config,
	"what is wrong with a tributaryd.yaml"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
cli_usage(FILE *out)
{
	fputs("usage: tributary COMMAND [--help] ...\n\ncommands:\n", out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(
		    out, "  %-14s %s\n", commands[i].name, commands[i].help);
}

int
main(int argc, char **argv)
{
	if (argc >= 2 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		cli_usage(stdout);
		return 0;
	}
	for (size_t i = 0; argc >= 2 && i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].fn(argc - 1, argv + 1);
	if (argc >= 2)
		fprintf(
		    stderr, "tributary: there is no command %s.\n\n", argv[1]);
	cli_usage(stderr);
	return 2;
}
