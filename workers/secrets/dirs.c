/*
 * dirs: stateDir/INSTANCE/{keys,credentials}, made and opened as root: keys/
 * belongs to this worker's user, credentials/ to root, readable by this
 * worker's group. What an administrator puts there the supervisor makes
 * readable (supervisor/paths.c).
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/secrets/secrets.h"

/* Made when it is missing, with this owner; -1 with *e set. */
static int
open_dir(const struct worker *w, const char *path, mode_t mode, uid_t uid,
    struct err *e)
{
	int fd;

	if (mkdir(path, mode) != 0 && errno != EEXIST) {
		(void)err_sys(e, errno, "cannot make %s", path);
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		(void)err_sys(e, errno, "cannot open %s", path);
		return -1;
	}
	if (w->uid != 0 &&
	    (fchown(fd, uid, w->gid) != 0 || fchmod(fd, mode) != 0)) {
		(void)err_sys(e, errno, "cannot set the owner of %s", path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* Keys that an earlier user of this worker wrote. */
static void
adopt(const struct worker *w, int dir_fd)
{
	int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;

	while (w->uid != 0 && d != NULL && (de = readdir(d)) != NULL) {
		if (de->d_name[0] != '.' &&
		    fchownat(dir_fd, de->d_name, w->uid, w->gid,
			AT_SYMLINK_NOFOLLOW) != 0)
			log_warn("cannot take over keys/%s", de->d_name);
	}
	if (d != NULL)
		(void)closedir(d);
}

int
sec_dirs_open(struct sec *sec, struct err *e)
{
	const char *base =
	    json_str(sec->w->config, "stateDir", "/var/lib/tributaryd");
	char keys[4096];

	if (str_fmt(keys, sizeof(keys), "%s/%s/keys", base, sec->w->instance) !=
		0 ||
	    str_fmt(sec->credentials_path, sizeof(sec->credentials_path),
		"%s/%s/credentials", base, sec->w->instance) != 0)
		return err_set(
		    e, ERR_TOO_BIG, "stateDir is too long; shorten it");
	sec->keys_fd = open_dir(sec->w, keys, 0700, sec->w->uid, e);
	if (sec->keys_fd >= 0) {
		adopt(sec->w, sec->keys_fd);
		sec->credentials_fd =
		    open_dir(sec->w, sec->credentials_path, 0750, 0, e);
	}
	return sec->keys_fd >= 0 && sec->credentials_fd >= 0 ? 0 : -ERR_SYS;
}
