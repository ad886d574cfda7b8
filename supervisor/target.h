/*
 * target: the process of a configured replica. A configuration names it by
 * pid file, pid, systemd unit or control group; here that becomes a pidfd, so
 * that a number used again by another process is never acted on.
 */
#ifndef SUPERVISOR_TARGET_H
#define SUPERVISOR_TARGET_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"

/*
 * replica: an entry of targets[].replicas. The pidfd of its running process,
 * the pid in *pid_r; -ERR_NOT_FOUND with a sentence when there is none.
 */
int sup_target_open(const cJSON *replica, pid_t *pid_r, struct err *e);
/*
 * A global address of the process's network namespace, for listings; "" when
 * it has none. IPv4 before IPv6.
 */
void sup_target_address(pid_t pid, char *out, size_t cap);

/* The first process of a file that lists some, one a line. 0: none. */
pid_t sup_target_first_pid(const char *path);

#endif
