/*
 * dirs: stateDir/INSTANCE/{keys,credentials}, opened while there still is a
 * file system to see. The supervisor has made them: keys/ belongs to this
 * worker's user, credentials/ to root, readable by this worker's group.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>

#include "lib/json.h"
#include "lib/str.h"
#include "workers/secrets/secrets.h"

static int
open_dir(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		(void)err_sys(e, errno, "cannot open %s", path);
	return fd;
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
	sec->keys_fd = open_dir(keys, e);
	if (sec->keys_fd >= 0)
		sec->credentials_fd = open_dir(sec->credentials_path, e);
	return sec->keys_fd >= 0 && sec->credentials_fd >= 0 ? 0 : -ERR_SYS;
}
