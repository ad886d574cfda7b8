/*
 * control: the daemon's administrator socket, as a client of it, and files
 * that hold keys. Requests: workers/secrets/control_ops.c answers them.
 */
#ifndef CLIENT_CONTROL_H
#define CLIENT_CONTROL_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

struct cli_control {
	const char *instance; /* default "default" */
	const char *path;     /* of the socket; default from the instance */
};

/*
 * One request (taken) and its reply. A reply that refuses is a failure with
 * the daemon's own sentence. -ERR_NOT_FOUND: no daemon there. -ERR_DENIED.
 */
int cli_control_ask(
    const struct cli_control *c, cJSON *request, cJSON **reply, struct err *e);
/* "90", "90s", "15m", "12h", "30d" to seconds, at least 1. */
int cli_ttl_parse(const char *text, int64_t *secs, struct err *e);
/* Writes beside the file and renames; mode 0600. */
int cli_file_write(const char *path, const void *p, size_t n, struct err *e);
/* DIR/name; DIR is made (0700) when it is missing. */
int cli_file_write_in(
    const char *dir, const char *name, const char *text, struct err *e);

#endif
