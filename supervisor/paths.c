/*
 * paths: runDir/INSTANCE and stateDir/INSTANCE with the owners that the
 * workers need, and the lock that keeps a second daemon of the same instance
 * out.
 *
 *   run/      control.sock lock           root
 *   run/sessions/                         own cluster's worker
 *   state/closed/                         own cluster's worker
 *   state/keys/                           secrets
 *   state/credentials/NAME/...            root writes, secrets' group reads
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/str.h"
#include "supervisor/sup.h"

/* mkdir -p with 0755 for what is above. */
static int
make_parents(const char *path, struct err *e)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_sys(e, errno, "cannot make %s", part);
		*p = '/';
	}
	return 0;
}

/* The directory, opened, with this mode and owner. */
static int
make_dir(const struct sup *s, const char *path, mode_t mode, uid_t uid,
    gid_t gid, struct err *e)
{
	int fd, rc = make_parents(path, e);

	if (rc < 0)
		return rc;
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make %s", path);
	fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	if (fchmod(fd, mode) < 0 || (s->root && fchown(fd, uid, gid) < 0)) {
		err_sys(e, errno, "cannot set the owner of %s", path);
		close(fd);
		return -ERR_SYS;
	}
	return fd;
}

/* Files of an earlier range of worker users become the worker's of today. */
static void
adopt_files(int dir_fd, uid_t uid)
{
	DIR *d = fdopendir(dup(dir_fd));
	struct dirent *de;
	struct stat st;

	if (d == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		if (fstatat(dir_fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			0 &&
		    S_ISREG(st.st_mode) && st.st_uid != uid &&
		    fchownat(
			dir_fd, de->d_name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0)
			log_warn("cannot give %s to its worker", de->d_name);
	}
	closedir(d);
}

static int
worker_dir(struct sup *s, const char *base, const char *name,
    enum ipc_role role, struct err *e)
{
	uid_t uid = sup_worker_uid(s->cfg, role, 0);
	char path[PATH_MAX];
	int fd;

	if (str_fmt(path, sizeof(path), "%s/%s", base, name) < 0)
		return err_set(e, ERR_TOO_BIG, "%s is too long", base);
	fd = make_dir(s, path, 0700, uid, uid, e);
	if (fd < 0)
		return fd;
	if (s->root)
		adopt_files(fd, uid);
	close(fd);
	return 0;
}

/* One cluster's credentials: secrets may read, not write. */
static void
credential_dir(int dir_fd, gid_t gid)
{
	static const char *const names[] = {
	    "tls.crt", "tls.key", "ca.crt", "bearerToken"};
	struct stat st;

	if (fstat(dir_fd, &st) == 0 &&
	    (st.st_gid != gid || (st.st_mode & 0777) != 0750) &&
	    (fchown(dir_fd, 0, gid) < 0 || fchmod(dir_fd, 0750) < 0))
		log_warn("cannot let secrets read a directory of credentials: "
			 "%s",
		    strerror(errno));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = openat(dir_fd, names[i],
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    (st.st_gid != gid || (st.st_mode & 0777) != 0640) &&
		    (fchown(fd, 0, gid) < 0 || fchmod(fd, 0640) < 0))
			log_warn("cannot let secrets read %s: %s", names[i],
			    strerror(errno));
		close(fd);
	}
}

void
sup_paths_credentials(struct sup *s)
{
	gid_t gid = sup_worker_uid(s->cfg, IPC_SEC, 0);
	char path[PATH_MAX + 16];
	struct dirent *de;
	DIR *d;

	snprintf(path, sizeof(path), "%s/credentials", s->state_dir);
	d = s->root ? opendir(path) : NULL;
	if (d == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		int fd;

		if (de->d_name[0] == '.')
			continue;
		fd = openat(dirfd(d), de->d_name,
		    O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			continue;
		credential_dir(fd, gid);
		close(fd);
	}
	closedir(d);
}

static int
lock_take(struct sup *s, struct err *e)
{
	char path[PATH_MAX + 8], pid[16] = "";

	snprintf(path, sizeof(path), "%s/lock", s->run_dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (s->lock_fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (read(s->lock_fd, pid, sizeof(pid) - 1) < 0)
			pid[0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		return err_set(e, ERR_CONFLICT,
		    "instance %s runs already (pid %s); stop it or give this "
		    "one another `instance`",
		    cfg_str(s->cfg, "instance"), pid);
	}
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(s->lock_fd, 0) < 0 ||
	    write(s->lock_fd, pid, strlen(pid)) < 0)
		return err_sys(e, errno, "cannot write %s", path);
	return 0;
}

int
sup_paths_init(struct sup *s, struct err *e)
{
	const char *instance = cfg_str(s->cfg, "instance");
	gid_t sec = sup_worker_uid(s->cfg, IPC_SEC, 0);
	char path[PATH_MAX + 16];
	int rc;

	if (str_fmt(s->run_dir, sizeof(s->run_dir), "%s/%s",
		cfg_str(s->cfg, "runDir"), instance) < 0 ||
	    str_fmt(s->state_dir, sizeof(s->state_dir), "%s/%s",
		cfg_str(s->cfg, "stateDir"), instance) < 0)
		return err_set(e, ERR_TOO_BIG,
		    "runDir or stateDir is too long; shorten it");
	rc = make_dir(s, s->run_dir, 0755, 0, 0, e);
	if (rc < 0)
		return rc;
	close(rc);
	rc = lock_take(s, e);
	if (rc < 0)
		return rc;
	rc = make_dir(s, s->state_dir, 0755, 0, 0, e);
	if (rc < 0)
		return rc;
	close(rc);
	snprintf(path, sizeof(path), "%s/credentials", s->state_dir);
	rc = make_dir(s, path, 0750, 0, sec, e);
	if (rc < 0)
		return rc;
	close(rc);
	rc = worker_dir(s, s->run_dir, "sessions", IPC_OWN, e);
	if (rc == 0)
		rc = worker_dir(s, s->state_dir, "closed", IPC_OWN, e);
	if (rc == 0)
		rc = worker_dir(s, s->state_dir, "keys", IPC_SEC, e);
	if (rc == 0)
		sup_paths_credentials(s);
	return rc;
}

void
sup_paths_deinit(struct sup *s)
{
	/* The lock file stays: removing it would race with a new daemon. */
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	s->lock_fd = -1;
}
