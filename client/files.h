/* files: a remote file to a local one. */
#ifndef CLIENT_FILES_H
#define CLIENT_FILES_H

#include "client/session.h"

typedef void cli_file_fn(void *arg, const struct err *e);

/*
 * Copies remote (an absolute path in the target) to local, mode 0600, by way
 * of a temporary name beside it. fn(arg, NULL) when it is there.
 */
int cli_file_fetch(struct cli_session *s, const char *remote, const char *local,
    cli_file_fn *fn, void *arg, struct err *e);

#endif
