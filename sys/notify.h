/*
 * notify: what systemd (Type=notify) is told: READY=1, RELOADING=1,
 * STOPPING=1, STATUS=, WATCHDOG=1 as datagrams to $NOTIFY_SOCKET. Without
 * that variable every call does nothing.
 */
#ifndef SYS_NOTIFY_H
#define SYS_NOTIFY_H

#include <stdint.h>

#include "lib/err.h"

struct sys_notify {
	int fd;               /* -1: nobody listens */
	uint64_t watchdog_us; /* 0: no watchdog wanted of this process */
};

/* Reads and removes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
int sys_notify_init(struct sys_notify *n, struct err *e);
void sys_notify_deinit(struct sys_notify *n);
/* One datagram; lines "NAME=value". */
int sys_notify_send(struct sys_notify *n, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* RELOADING=1 with the time it began, as Type=notify-reload wants it. */
int sys_notify_reloading(struct sys_notify *n);

#endif
