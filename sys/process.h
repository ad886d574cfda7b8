/* process: descriptors, titles and handles of processes. */
#ifndef SYS_PROCESS_H
#define SYS_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/err.h"

/* Closes every descriptor from lowest on. */
int sys_close_from(int lowest, struct err *e);
/* /dev/null on 0 and 1, and on 2 when nothing is there. */
int sys_null_stdio(struct err *e);

/*
 * What ps and /proc/PID/cmdline show. init remembers where the arguments lie;
 * set replaces all of them (cut to their room) and the 15 characters of the
 * thread's name with comm.
 */
void sys_title_init(int argc, char **argv);
void sys_title_set(const char *comm, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A handle on a process, close-on-exec; negative error. */
int sys_pidfd_open(pid_t pid, struct err *e);
int sys_pidfd_signal(int pidfd, int signo);
/* The process has not ended (a zombie has). */
bool sys_pidfd_alive(int pidfd);

#endif
