/*
 * path: names of the target's file system, resolved by the kernel below the
 * target's root directory and nowhere else (openat2, RESOLVE_IN_ROOT), at
 * every depth of symbolic links and without races. May block: threads only.
 *
 * Every function returns a descriptor (close it) or a negative errno.
 */
#ifndef AGENT_PATH_H
#define AGENT_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PATH_NO_DIR = -1 };

/* Where a name is looked up. */
struct path_at {
	int root_fd; /* O_PATH of the target's root */
	int dir_fd;  /* relative names start here; PATH_NO_DIR = at the root */
};

/* openat(2) inside the target; flags as there, O_CLOEXEC is added. */
int path_open(
    const struct path_at *at, const char *path, int flags, mode_t mode);

/* The parent directory of path and its last component, for mkdirat(2)... */
struct path_last {
	int fd; /* O_PATH; the caller closes it */
	char name[PATH_MAX];
};
/* 0 or a negative errno. The last component is never followed. */
int path_parent(
    const struct path_at *at, const char *path, struct path_last *out);

/* "/proc/self/fd/N": the name by which other calls reach an O_PATH fd. */
void path_of_fd(int fd, char *out, size_t cap);

/* openat2(2) can be used here (Linux 5.6); false tells why in errno. */
bool path_supported(void);

#endif
