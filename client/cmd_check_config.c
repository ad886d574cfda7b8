#include "config.h"

#include <stdio.h>
#include <string.h>

#include "client/cli.h"
#include "client/cmd_admin.h"
#include "config/cfg.h"

static const char usage[] =
    "usage: tributary check-config FILE\n"
    "\n"
    "Reads a tributaryd.yaml as the daemon would, with the vendor's files\n"
    "that MIRRORD_MULTICLUSTER_CONFIG and MIRRORD_CLUSTERS_CONFIG name, and\n"
    "prints every problem as FILE:LINE:COLUMN. Exit code 0 when a daemon\n"
    "would start with it, 1 when not.\n"
    "\n"
    "example: tributary check-config /etc/tributary/tributaryd.yaml\n";

int
cli_cmd_check_config(int argc, char **argv)
{
	if (argc == 2 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage, stdout);
		return CLI_OK;
	}
	if (argc != 2 || argv[1][0] == '-') {
		fputs(usage, stderr);
		return CLI_USAGE;
	}
	return cfg_check_main(argv[1]);
}
