/*
 * dirs: stateDir/INSTANCE/{keys,credentials}, made and opened as root.
 *
 * keys/ belongs to the worker's user alone. credentials/ is the
 * administrator's to fill: it and a directory per configured cluster carry
 * the worker's group with the set-group-id bit, and files that already lie
 * there are given to the worker's user, so that it can read them later.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/secrets/secrets.h"

static const char *const credential_files[] = {
    "tls.crt", "tls.key", "ca.crt", "bearerToken"};

/* Every directory of an absolute path. */
static int
make_path(const char *path, struct err *e)
{
	char part[4096];

	if (str_fmt(part, sizeof(part), "%s", path) != 0)
		return err_set(e, ERR_TOO_BIG, "%s is too long", path);
	for (char *at = part + 1; at != NULL && *at != '\0';) {
		at = strchr(at, '/');
		if (at != NULL)
			*at = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return err_sys(e, errno, "mkdir %s", part);
		if (at != NULL)
			*at++ = '/';
	}
	return 0;
}

static int
open_dir(int at_fd, const char *name, struct err *e)
{
	int fd = openat(
	    at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		(void)err_sys(e, errno, "open the directory %s", name);
	return fd;
}

/* Makes and opens a directory and sets owner and mode. */
static int
own_dir(const struct worker *w, int at_fd, const char *name, mode_t mode,
    struct err *e)
{
	int fd;

	if (mkdirat(at_fd, name, 0700) != 0 && errno != EEXIST) {
		(void)err_sys(e, errno, "mkdir %s", name);
		return -1;
	}
	fd = open_dir(at_fd, name, e);
	if (fd < 0)
		return -1;
	if ((w->uid != 0 && fchown(fd, w->uid, w->gid) != 0) ||
	    fchmod(fd, mode) != 0) {
		(void)err_sys(e, errno, "set the owner of %s", name);
		close(fd);
		return -1;
	}
	return fd;
}

/* A plain file with one name becomes the worker's; anything else stays. */
static void
adopt_file(const struct worker *w, int dir_fd, const char *name)
{
	int fd = openat(
	    dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return;
	if (w->uid != 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_nlink == 1 && st.st_uid != w->uid &&
	    (fchown(fd, w->uid, w->gid) != 0 || fchmod(fd, 0600) != 0))
		log_warn("cannot take over file=%s errno=%d", name, errno);
	close(fd);
}

static void
adopt_cluster(struct sec *sec, const char *cluster)
{
	struct err e;
	int fd = own_dir(sec->w, sec->credentials_fd, cluster, 02750, &e);

	if (fd < 0) {
		log_warn("credentials of cluster=%s: %s", cluster, e.text);
		return;
	}
	for (size_t i = 0; i < 4; i++)
		adopt_file(sec->w, fd, credential_files[i]);
	close(fd);
}

static const char *const key_files[] = {"login-ca.key", "login-ca.crt",
    "credential-ca.key", "credential-ca.crt", "state.json"};

int
sec_dirs_open(struct sec *sec, struct err *e)
{
	const struct worker *w = sec->w;
	const cJSON *c;
	char path[4096];
	int fd;

	if (str_fmt(path, sizeof(path), "%s/%s",
		json_str(w->config, "stateDir", "/var/lib/tributaryd"),
		w->instance) != 0 ||
	    str_fmt(sec->credentials_path, sizeof(sec->credentials_path),
		"%s/credentials", path) != 0)
		return err_set(e, ERR_TOO_BIG, "stateDir is too long");
	if (make_path(path, e) != 0)
		return -e->code;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	sec->keys_fd = own_dir(w, fd, "keys", 0700, e);
	if (sec->keys_fd >= 0)
		sec->credentials_fd = own_dir(w, fd, "credentials", 02750, e);
	close(fd);
	if (sec->keys_fd < 0 || sec->credentials_fd < 0)
		return err_wrap(e, "%s", path);
	/* a later configuration may have given this worker another user */
	for (size_t i = 0; i < sizeof(key_files) / sizeof(key_files[0]); i++)
		adopt_file(w, sec->keys_fd, key_files[i]);
	cJSON_ArrayForEach(c, cJSON_GetObjectItem(w->config, "clusters"))
	    adopt_cluster(sec, json_str(c, "name", ""));
	return 0;
}
