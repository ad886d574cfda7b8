/*
 * target: finding the target's first process and entering what is entered of
 * it: the network namespace of the whole process, a descriptor of its root.
 */
#ifndef AGENT_TARGET_H
#define AGENT_TARGET_H

#include "agent/agent.h"
#include "lib/buf.h"
#include "lib/err.h"

/*
 * Fills a->target_pid, target_pidfd, root_fd and gid as a->opt.mode says, and
 * moves the calling thread (the only one yet) into the target's network
 * namespace. Listeners that belong to the agent's own are made before.
 */
int target_enter(struct agent *a, struct err *e);
void target_leave(struct agent *a);

/*
 * The bytes of the target's environment (NAME=VALUE, each ended by NUL):
 * /proc/PID/environ; in ephemeral and targetless mode preceded by the own one
 * without what configures the agent itself.
 */
int target_environ(const struct agent *a, struct buf *out, struct err *e);

#endif
