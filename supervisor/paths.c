/*
 * paths: runDir/INSTANCE and stateDir/INSTANCE, the lock that keeps a second
 * daemon of the same instance out, and the rights of what an administrator
 * puts into credentials/. The directories inside are made by the workers they
 * belong to, before they give root away.
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

/* Root's, and open to be looked into. */
static int
make_dir(const struct sup *s, const char *path, struct err *e)
{
	int fd, rc = make_parents(path, e);

	if (rc < 0)
		return rc;
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make %s", path);
	fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	if (fchmod(fd, 0755) < 0 || (s->root && fchown(fd, 0, 0) < 0)) {
		err_sys(e, errno, "cannot set the owner of %s", path);
		close(fd);
		return -ERR_SYS;
	}
	close(fd);
	return 0;
}

/*
 * What an administrator made for himself alone becomes readable for secrets'
 * group. A second name would let secrets, which may own the directory, ask
 * for another file by this one.
 */
static void
let_read(int fd, const char *name, const struct stat *st, mode_t want,
    uid_t uid, gid_t gid)
{
	if ((st->st_uid == uid && (st->st_mode & 0400) != 0) ||
	    (st->st_gid == gid && (st->st_mode & want) == want))
		return;
	if (fchown(fd, (uid_t)-1, gid) < 0 ||
	    fchmod(fd, (st->st_mode & 07777) | want) < 0)
		log_warn(
		    "cannot let secrets read %s: %s", name, strerror(errno));
}

/* One cluster's credentials. */
static void
credential_dir(int dir_fd, const char *cluster, uid_t uid)
{
	static const char *const names[] = {
	    "tls.crt", "tls.key", "ca.crt", "bearerToken"};
	struct stat st;

	if (fstat(dir_fd, &st) == 0)
		let_read(dir_fd, cluster, &st, 0050, uid, uid);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = openat(dir_fd, names[i],
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    st.st_nlink == 1)
			let_read(fd, names[i], &st, 0040, uid, uid);
		close(fd);
	}
}

void
sup_paths_credentials(struct sup *s)
{
	uid_t uid = sup_worker_uid(s->cfg, IPC_SEC, 0);
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
		credential_dir(fd, de->d_name, uid);
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
	int rc;

	if (str_fmt(s->run_dir, sizeof(s->run_dir), "%s/%s",
		cfg_str(s->cfg, "runDir"), instance) < 0 ||
	    str_fmt(s->state_dir, sizeof(s->state_dir), "%s/%s",
		cfg_str(s->cfg, "stateDir"), instance) < 0)
		return err_set(e, ERR_TOO_BIG,
		    "runDir or stateDir is too long; shorten it");
	rc = make_dir(s, s->run_dir, e);
	if (rc < 0)
		return rc;
	rc = lock_take(s, e);
	if (rc < 0)
		return rc;
	rc = make_dir(s, s->state_dir, e);
	if (rc < 0)
		return rc;
	sup_paths_credentials(s);
	return 0;
}

void
sup_paths_deinit(struct sup *s)
{
	/* The lock file stays: removing it would race with a new daemon. */
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	s->lock_fd = -1;
}
