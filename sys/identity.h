/*
 * identity: a process gives away what it does not need: its user, its
 * groups, its capabilities, its view of the file system. All of it is for
 * good; a step that fails is an error and the process must not go on.
 */
#ifndef SYS_IDENTITY_H
#define SYS_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/err.h"

/*
 * An empty root: a mount namespace of its own with nothing but an empty
 * read-only tmpfs in it; where mounting is not allowed, chroot into a
 * directory that was removed. Needs root. Sanitizer builds keep /proc in it.
 */
int sys_empty_root(struct err *e);
/* No supplementary groups, this gid and uid, no capability, empty bounding
 * set. Needs root; uid and gid must not be 0. */
int sys_identity_drop(uid_t uid, gid_t gid, struct err *e);
/* no_new_privs, not dumpable. Needs nothing. */
int sys_no_new_privileges(struct err *e);
/*
 * SIGKILL when the parent ends; parent is its pid as seen before the caller
 * could lose it. -ERR_CLOSED when it is gone already. After the identity: a
 * change of user resets it.
 */
int sys_die_with_parent(pid_t parent, struct err *e);

#endif
