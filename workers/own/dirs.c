/*
 * dirs: what must be done as root, before the filter: the two directories of
 * the store, and the identity of this operator.
 *
 * The fingerprint and the subscription id are names under which the stock CLI
 * keeps its certificate and key (operator-api §5): they must never change, so
 * they are made once and kept beside the keys.
 */
#include "config.h"

#include "workers/own/dirs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"

/* A directory below dir_fd, made when it is missing; -1 with *e set. */
static int
sub_dir(int dir_fd, const char *name, mode_t mode, struct err *e)
{
	if (mkdirat(dir_fd, name, mode) != 0 && errno != EEXIST) {
		(void)err_sys(e, errno, "cannot make the directory %s", name);
		return -1;
	}
	int fd = openat(
	    dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		(void)err_sys(e, errno, "cannot open the directory %s", name);
	return fd;
}

/* The instance's directory below the one of a key of the configuration. */
static int
instance_dir(struct worker *w, const char *key, struct err *e)
{
	const char *path = json_str(w->config, key, "");
	if (path[0] == '\0') {
		(void)err_set(e, ERR_INVALID, "%s is not configured", key);
		return -1;
	}
	if (mkdir(path, 0755) != 0 && errno != EEXIST) {
		(void)err_sys(e, errno, "cannot make %s %s", key, path);
		return -1;
	}
	int top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0) {
		(void)err_sys(e, errno, "cannot open %s %s", key, path);
		return -1;
	}
	int fd =
	    sub_dir(top, json_str(w->config, "instance", w->instance), 0755, e);
	(void)close(top);
	return fd;
}

/* The directory and what an earlier uid left in it. */
static int
give(struct worker *w, int fd, struct err *e)
{
	if (w->uid == 0)
		return 0;
	if (fchown(fd, w->uid, w->gid) != 0 || fchmod(fd, 0700) != 0)
		return err_sys(e, errno, "cannot give the store away");
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	if (d == NULL)
		return err_sys(e, errno, "cannot list the store");
	for (struct dirent *de; (de = readdir(d)) != NULL;) {
		if (de->d_name[0] != '.' &&
		    fchownat(fd, de->d_name, w->uid, w->gid,
			AT_SYMLINK_NOFOLLOW) != 0)
			log_warn("cannot give away file=%s", de->d_name);
	}
	(void)closedir(d);
	return 0;
}

int
own_dirs_open(struct own *own, struct err *e)
{
	struct worker *w = own->w;
	const unsigned rights =
	    SYS_LANDLOCK_READ | SYS_LANDLOCK_WRITE | SYS_LANDLOCK_CREATE;
	int run = instance_dir(w, "runDir", e);
	int sessions = run < 0 ? -1 : sub_dir(run, "sessions", 0700, e);
	int state = sessions < 0 ? -1 : instance_dir(w, "stateDir", e);
	int closed = state < 0 ? -1 : sub_dir(state, "closed", 0700, e);
	if (run >= 0)
		(void)close(run);
	if (state >= 0)
		(void)close(state);
	if (closed < 0) {
		if (sessions >= 0)
			(void)close(sessions);
		return -ERR_SYS;
	}
	int r = give(w, sessions, e);
	if (r == 0)
		r = give(w, closed, e);
	if (r == 0)
		r = worker_allow_dir(w, sessions, rights, e);
	if (r == 0)
		r = worker_allow_dir(w, closed, rights, e);
	own->store = plat_store_new(sessions, closed, e);
	return own->store == NULL ? -ERR_NOMEM : r;
}

/* ---- the identity ---- */

static int
read_identity(int dir, struct own *own)
{
	char text[256];
	int fd = openat(dir, "operator-id", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		(void)close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	char *nl = strchr(text, '\n');
	if (nl == NULL)
		return -1;
	*nl++ = '\0';
	nl[strcspn(nl, "\n")] = '\0';
	if (strlen(text) < 16 || strlen(nl) < 8)
		return -1;
	return str_fmt(own->fingerprint, sizeof(own->fingerprint), "%s", text) |
	       str_fmt(own->subscription_id, sizeof(own->subscription_id), "%s",
		   nl);
}

static int
make_identity(int dir, struct err *e)
{
	uint8_t raw[48];
	struct buf text;
	buf_init(&text, 0);
	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return err_sys(e, errno, "no random bytes");
	int r = str_base64_encode(&text, raw, 32, true);
	if (r == 0)
		r = buf_append(&text, "\n", 1);
	if (r == 0)
		r = str_hex_encode(&text, raw + 32, 16);
	if (r == 0)
		r = buf_append(&text, "\n", 1);
	int fd = r != 0 ? -1
			: openat(dir, "operator-id.tmp",
			      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 &&
		  write(fd, buf_data(&text), text.len) == (ssize_t)text.len &&
		  fsync(fd) == 0 &&
		  renameat(dir, "operator-id.tmp", dir, "operator-id") == 0;
	if (!ok)
		r = err_sys(e, errno, "cannot write stateDir's operator-id");
	if (fd >= 0)
		(void)close(fd);
	buf_free(&text);
	return r;
}

int
own_identity_load(struct own *own, struct err *e)
{
	int dir = instance_dir(own->w, "stateDir", e);
	if (dir < 0)
		return -ERR_SYS;
	int r = 0;
	if (read_identity(dir, own) != 0) {
		r = make_identity(dir, e);
		if (r == 0 && read_identity(dir, own) != 0)
			r = err_set(e, ERR_INTERNAL,
			    "stateDir's operator-id cannot be read back");
	}
	(void)close(dir);
	return r;
}
