/* listeners: what tests see of listeners.c beside sup.h. */
#ifndef SUPERVISOR_LISTENERS_H
#define SUPERVISOR_LISTENERS_H

#include <sys/socket.h>

/* "1.2.3.4:443" or "[::1]:443". -ERR_INVALID. */
int sup_listen_parse(
    const char *text, struct sockaddr_storage *out, socklen_t *len_r);

#endif
