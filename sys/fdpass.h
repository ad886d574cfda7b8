/* fdpass: descriptors over a unix socket, one small message at a time. */
#ifndef SYS_FDPASS_H
#define SYS_FDPASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

enum { SYS_FDPASS_MAX = 4 };

/* n > 0 bytes with n_fds descriptors, whole or not at all. 0, -ERR_TRUNCATED
 * (would block), -ERR_CLOSED, -ERR_SYS. */
int sys_fd_send(int sock, const void *p, size_t n, const int *fds,
    unsigned n_fds, struct err *e);
/*
 * One message: bytes received (0 = end of file), -ERR_TRUNCATED (would
 * block), -ERR_INVALID when it has more descriptors than *n_fds_io (all are
 * closed then). *n_fds_io becomes the number received, close-on-exec.
 */
ssize_t sys_fd_recv(
    int sock, void *p, size_t cap, int *fds, unsigned *n_fds_io, struct err *e);

#endif
