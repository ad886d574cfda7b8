/* main: tributaryd's command line. Workers are this program too. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/sup.h"
#include "sys/process.h"
#include "workers/worker.h"

#define DEFAULT_CONFIG "/etc/tributary/tributaryd.yaml"

static const char usage_text[] =
    "usage: tributaryd [-f] [-c FILE] [--sandbox-trap]\n"
    "       tributaryd -n [-c FILE]\n"
    "       tributaryd --print-sandbox | --version | --help\n"
    "\n"
    "  -c, --config FILE   configuration (" DEFAULT_CONFIG ")\n"
    "  -n, --check         check the configuration and exit\n"
    "  -f, --foreground    stay in the foreground (always under systemd)\n"
    "      --print-sandbox what each worker may ask of the kernel, and why\n"
    "      --sandbox-trap  name a forbidden call on stderr before it kills\n"
    "      --version       print the version\n"
    "      --help          print this\n";

enum { OPT_PRINT_SANDBOX = 256, OPT_TRAP, OPT_WORKER, OPT_VERSION, OPT_HELP };

static int
print_sandboxes(void)
{
	struct buf out;
	int rc = 0;

	buf_init(&out, 0);
	for (int r = 0; r < IPC_N_ROLES; r++) {
		const struct worker_ops *ops = worker_ops_of((enum ipc_role)r);

		if (ops == NULL)
			continue;
		rc = sys_sandbox_print(ops->sandbox, &out);
		if (rc < 0 || buf_append(&out, "\n", 1) < 0)
			break;
	}
	if (fwrite(buf_data(&out), 1, out.len, stdout) != out.len ||
	    fflush(stdout) != 0)
		rc = -ERR_SYS;
	buf_free(&out);
	return rc < 0 ? 1 : 0;
}

/*
 * The parent stays until the daemon is ready or has failed, so that a shell
 * knows. Returns only in the child.
 */
static void
to_background(struct sup_options *opt)
{
	int p[2], status;
	struct err e;
	char c;
	pid_t pid;

	if (pipe(p) < 0 || (pid = fork()) < 0) {
		perror("tributaryd: cannot go to the background");
		exit(1);
	}
	if (pid == 0) {
		close(p[0]);
		setsid();
		opt->ready_fd = p[1];
		if (sys_null_stdio(&e) < 0) /* the log stays on stderr */
			fprintf(stderr, "tributaryd: %s\n", e.text);
		return;
	}
	close(p[1]);
	if (read(p[0], &c, 1) == 1)
		_exit(0);
	_exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status)
		  ? WEXITSTATUS(status)
		  : 1);
}

/* systemd watches the process it started. */
static bool
under_systemd(void)
{
	return getenv("NOTIFY_SOCKET") != NULL ||
	       getenv("INVOCATION_ID") != NULL || getppid() == 1;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"check", no_argument, NULL, 'n'},
	    {"foreground", no_argument, NULL, 'f'},
	    {"print-sandbox", no_argument, NULL, OPT_PRINT_SANDBOX},
	    {"sandbox-trap", no_argument, NULL, OPT_TRAP},
	    {"worker", required_argument, NULL, OPT_WORKER},
	    {"version", no_argument, NULL, OPT_VERSION},
	    {"help", no_argument, NULL, OPT_HELP},
	    {NULL, 0, NULL, 0},
	};
	struct sup_options opt = {
	    .config_path = DEFAULT_CONFIG, .ready_fd = -1};
	bool check = false;
	int c;

	sys_title_init(argc, argv);
	while ((c = getopt_long(argc, argv, "c:nf", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			opt.config_path = optarg;
			break;
		case 'n':
			check = true;
			break;
		case 'f':
			opt.foreground = true;
			break;
		case OPT_TRAP:
			opt.trap = true;
			break;
		case OPT_PRINT_SANDBOX:
			return print_sandboxes();
		case OPT_WORKER:
			return worker_main(optarg);
		case OPT_VERSION:
			printf("tributaryd %s\n", PACKAGE_VERSION);
			return 0;
		case OPT_HELP:
			fputs(usage_text, stdout);
			return 0;
		default:
			fputs(usage_text, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fputs(usage_text, stderr);
		return 2;
	}
	if (check)
		return cfg_check_main(opt.config_path);
	if (!opt.foreground && !under_systemd())
		to_background(&opt);
	return sup_main(&opt);
}
