/* exec: what cmd_exec.c (the steps) and exec_opts.c share. */
#ifndef CLIENT_EXEC_H
#define CLIENT_EXEC_H

#include "client/child.h"
#include "client/clusters.h"
#include "client/common.h"
#include "client/env.h"
#include "client/target.h"
#include "client/traffic.h"

enum { EXEC_LIST_MAX = 64, EXEC_VARIABLE_MAX = 320 };

enum exec_step { STEP_ENV, STEP_FILES, STEP_NAMES, STEP_PORTS, STEP_RUN };

struct exec {
	struct cli_common common;
	struct cli_session *session;
	struct cli_target target;
	struct cli_clusters clusters;
	struct cli_env env;
	struct cli_traffic traffic;
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
	char **argv; /* the program's */
};

/* 0, or the command is over: *code. */
int cli_exec_options(struct exec *x, int argc, char **argv, int *code);
/* The variable that a --resolve fills. -ERR_INVALID. */
int cli_exec_variable(const char *text, char *out, size_t cap, struct err *e);

#endif
