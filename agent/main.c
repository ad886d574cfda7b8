/*
 * tributary-agent: sits beside one replica of a target and does for clients
 * what a process in the target would do: its files, its environment, its
 * names and connections; and intercepts its traffic. See agent/life.h.
 */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "agent/life.h"
#include "agent/options.h"
#include "agent/sandbox.h"

static const char usage[] =
    "usage: tributary-agent [-l PORT] [-t SECONDS] targeted\n"
    "           --container-id ID [--container-runtime NAME]\n"
    "       tributary-agent [-l PORT] [-t SECONDS] ephemeral\n"
    "       tributary-agent [-l PORT] [-t SECONDS] [targetless]\n"
    "       tributary-agent --control-fd FD --target-pidfd FD --name NAME\n"
    "           [--log-fd FD] [--pod-ips IP,...] [--flush-connections]\n"
    "           [--external-ip-fix]\n"
    "       tributary-agent --print-sandbox | --version | --help\n"
    "See tributary-agent(8).\n";

static int
print_sandbox(void)
{
	struct buf out;
	int rc;

	buf_init(&out, 0);
	rc = agent_sandbox_print(&out);
	if (rc == 0 && fwrite(buf_data(&out), 1, out.len, stdout) != out.len)
		rc = -1;
	buf_free(&out);
	return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct agent_options o;
	struct err e;

	log_init("tributary-agent", LOG_LV_ERROR);
	if (agent_options_parse(&o, argc, argv, &e) < 0) {
		fprintf(stderr, "tributary-agent: %s\n%s", e.text, usage);
		return 1;
	}
	if (o.print_help) {
		fputs(usage, stdout);
		return 0;
	}
	if (o.print_version) {
		printf("tributary-agent %s\n", PACKAGE_VERSION);
		return 0;
	}
	if (o.print_sandbox)
		return print_sandbox();
	log_set_level(o.log_level);
	if (o.log_fd >= 0 && dup2(o.log_fd, STDERR_FILENO) < 0)
		return 1;
	return agent_run(&o);
}
