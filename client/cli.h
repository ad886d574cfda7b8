/* cli: what the client's commands share: exit codes, events, options. */
#ifndef CLIENT_CLI_H
#define CLIENT_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

/* Exit codes of the client's own failures; tributary(1) lists them. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_UNAVAILABLE = 69, /* the operator or the network */
	CLI_INTERNAL = 70,
	CLI_CANT_RUN = 71, /* the program could not be started */
	CLI_IO = 74,       /* a local file */
	CLI_PROTOCOL = 76,
	CLI_DENIED = 77,
	CLI_CONFIG = 78, /* kubeconfig */
};

/* One line "tributary: text" on stderr, unless quiet. */
void cli_event(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, quiet or not. */
void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_set_quiet(bool quiet);
/* The exit code an error stands for. */
int cli_exit_of(const struct err *e);
/* May it stand in a path of the API: letters, digits and "-._", not empty? */
bool cli_name_ok(const char *name);

#endif
