/* store: what the files of standalone/ share. Not for others. */
#ifndef PLATFORM_STANDALONE_STORE_H
#define PLATFORM_STANDALONE_STORE_H

#include <dirent.h>
#include <limits.h>

#include "platform/platform.h"

struct plat_store {
	int sessions_fd;
	int closed_fd;
};

/* tmp and rename below dir_fd; synced too when sync is set. */
int store_write(
    int dir_fd, const char *file, const cJSON *tree, bool sync, struct err *e);
/* NULL with *e set (never NULL itself); ERR_NOT_FOUND when it is not there. */
cJSON *store_read(int dir_fd, const char *file, struct err *e);
/* An independent handle on the directory. */
DIR *store_opendir(int dir_fd, struct err *e);

#endif
