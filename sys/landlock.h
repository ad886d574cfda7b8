/*
 * landlock: no path of the file system may be used but what lies below given
 * directories, with given rights. It holds beside the empty root, and instead
 * of it where the daemon runs without root.
 */
#ifndef SYS_LANDLOCK_H
#define SYS_LANDLOCK_H

#include <stddef.h>

#include "lib/err.h"

enum {
	SYS_LANDLOCK_READ = 1,   /* read files, list directories */
	SYS_LANDLOCK_WRITE = 2,  /* write and truncate files */
	SYS_LANDLOCK_CREATE = 4, /* make, rename and remove files */
};

struct sys_landlock_rule {
	int fd; /* a directory, borrowed */
	unsigned rights;
};

/*
 * Restricts this process for good; needs no_new_privs or CAP_SYS_ADMIN.
 * TCP and abstract sockets are handled too where the kernel can: connecting
 * and binding is refused unless connect_tcp is set. -ERR_UNSUPPORTED when the
 * kernel has no Landlock.
 */
int sys_landlock_apply(const struct sys_landlock_rule *rules, size_t n_rules,
    int connect_tcp, struct err *e);
/* The kernel's ABI version, 0 when it has none. */
int sys_landlock_abi(void);

#endif
