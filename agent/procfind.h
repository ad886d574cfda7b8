/*
 * procfind: the first process of a container, without a container runtime
 * (spec/agent.md B.2, "Shortcut for our agent").
 */
#ifndef AGENT_PROCFIND_H
#define AGENT_PROCFIND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/err.h"

/*
 * The process in proc_dir ("/proc") whose cgroup names container_id and whose
 * parent does not; the oldest when there are several. Where no cgroup names
 * the id (a private cgroup namespace that hides it) the mounts are searched.
 * -ERR_NOT_FOUND with a sentence; -ERR_INVALID for an id that is no name.
 */
int procfind_container(const char *proc_dir, const char *container_id,
    pid_t *pid_r, struct err *e);

/* The number a pidfd has in the mounted /proc; -ERR_NOT_FOUND when it ended. */
int procfind_pidfd(int pidfd, pid_t *pid_r, struct err *e);

/* Parent and start time (clock ticks) out of the text of /proc/PID/stat. */
bool procfind_parse_stat(
    const char *stat, pid_t *ppid_r, unsigned long long *start_r);

#endif
