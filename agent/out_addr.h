/* out_addr: addresses of the protocol and of the system. Pure. */
#ifndef AGENT_OUT_ADDR_H
#define AGENT_OUT_ADDR_H

#include <sys/socket.h>

#include "lib/arena.h"
#include "protocol/mirrord.h"

/* 0 for what is no IP address. */
socklen_t out_addr_ip(
    const struct pm_SocketAddress *a, struct sockaddr_storage *out);
/*
 * An address from getpeername or getsockname. Its text is copied into a; a
 * path that is not UTF-8 comes out as Unnamed.
 */
int out_addr_from(struct arena *a, const struct sockaddr_storage *ss,
    socklen_t len, struct pm_SocketAddress *out);
/* "10.0.0.1:80", "/run/x.sock", "@name" for logs. */
void out_addr_text(const struct pm_SocketAddress *a, char *out, size_t cap);

#endif
