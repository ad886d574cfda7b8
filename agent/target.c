#include "config.h"

#include "agent/target.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/path.h"
#include "agent/procfind.h"
#include "lib/str.h"

enum {
	ENVIRON_MAX = 8 * 1024 * 1024,
	/* As launchers choose it: above system groups, below "nobody". */
	GID_FIRST = 3000,
	GID_COUNT = 62000,
};

static int
find_pid(struct agent *a, struct err *e)
{
	const char *id = a->opt.container_id;

	switch (a->opt.mode) {
	case AGENT_STANDALONE:
		a->target_pidfd = a->opt.pidfd;
		return procfind_pidfd(a->opt.pidfd, &a->target_pid, e);
	case AGENT_TARGETED:
		return procfind_container("/proc", id, &a->target_pid, e);
	case AGENT_EPHEMERAL:
		if (id == NULL || *id == '\0' ||
		    procfind_container("/proc", id, &a->target_pid, e) < 0)
			a->target_pid = 1;
		return 0;
	case AGENT_TARGETLESS:
		break;
	}
	return 0;
}

static int
open_pidfd(struct agent *a, struct err *e)
{
	if (a->target_pid == 0 || a->target_pidfd >= 0)
		return 0;
	a->target_pidfd = (int)syscall(SYS_pidfd_open, a->target_pid, 0);
	if (a->target_pidfd < 0)
		return err_sys(e, errno, "Cannot watch the target's process %d",
		    (int)a->target_pid);
	return 0;
}

/* Entering one's own namespace needs rights and changes nothing. */
static bool
same_net_ns(pid_t pid)
{
	char path[64];
	struct stat mine, theirs;

	(void)str_fmt(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return stat("/proc/self/ns/net", &mine) == 0 &&
	       stat(path, &theirs) == 0 && mine.st_ino == theirs.st_ino &&
	       mine.st_dev == theirs.st_dev;
}

static int
enter_net(struct agent *a, struct err *e)
{
	if (a->target_pid == 0 || same_net_ns(a->target_pid))
		return 0;
	if (setns(a->target_pidfd, CLONE_NEWNET) < 0)
		return err_sys(e, errno,
		    "Cannot enter the network namespace of process %d (this "
		    "needs SYS_ADMIN)",
		    (int)a->target_pid);
	return 0;
}

static int
open_root(struct agent *a, struct err *e)
{
	char path[64];

	if (!path_supported())
		return err_sys(e, errno,
		    "openat2 does not work here (Linux 5.6 is needed)");
	if (a->target_pid == 0)
		(void)str_fmt(path, sizeof(path), "/");
	else
		(void)str_fmt(
		    path, sizeof(path), "/proc/%d/root", (int)a->target_pid);
	a->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->root_fd < 0)
		return err_sys(e, errno,
		    "Cannot open the target's root %s (this needs SYS_PTRACE)",
		    path);
	return 0;
}

/*
 * The rules that spare the agent's own connections go by its group. With
 * group 0 they would spare every root program of the target too, so a
 * launcher that forgot to choose a group gets a random one.
 */
static int
choose_gid(struct agent *a, struct err *e)
{
	uint32_t r;

	a->gid = getegid();
	if (a->gid != 0 || a->target_pid == 0)
		return 0;
	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return err_sys(e, errno, "cannot get random bytes");
	a->gid = (gid_t)(GID_FIRST + r % GID_COUNT);
	if (setgroups(0, NULL) < 0 || setresgid(a->gid, a->gid, a->gid) < 0)
		return err_sys(e, errno,
		    "Cannot change to a group of its own (start the agent "
		    "with a group other than 0, or with SETGID)");
	return 0;
}

/* The process could have ended, and its number be another's, meanwhile. */
static int
check_alive(const struct agent *a, struct err *e)
{
	if (a->target_pidfd >= 0 &&
	    syscall(SYS_pidfd_send_signal, a->target_pidfd, 0, NULL, 0) < 0 &&
	    errno == ESRCH)
		return err_set(e, ERR_NOT_FOUND,
		    "The target's process %d has ended.", (int)a->target_pid);
	return 0;
}

int
target_enter(struct agent *a, struct err *e)
{
	int rc;

	a->target_pidfd = a->root_fd = -1;
	rc = find_pid(a, e);
	if (rc == 0)
		rc = open_pidfd(a, e);
	if (rc == 0)
		rc = open_root(a, e);
	if (rc == 0)
		rc = choose_gid(a, e);
	if (rc == 0)
		rc = enter_net(a, e);
	if (rc == 0)
		rc = check_alive(a, e);
	return rc;
}

void
target_leave(struct agent *a)
{
	if (a->root_fd >= 0)
		close(a->root_fd);
	if (a->target_pidfd >= 0)
		close(a->target_pidfd);
	a->root_fd = a->target_pidfd = -1;
}

/* What was set for the agent is not the target's. */
static bool
is_own_setting(const char *entry)
{
	static const char *const prefixes[] = {
	    "MIRRORD_AGENT_", "AGENT_OPERATOR_CERT_ENV=", "RUST_LOG="};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		if (str_starts(entry, prefixes[i]))
			return true;
	}
	return false;
}

static int
add_own_environ(struct buf *out)
{
	for (char **p = environ; p != NULL && *p != NULL; p++) {
		if (!is_own_setting(*p) &&
		    buf_append(out, *p, strlen(*p) + 1) < 0)
			return -ERR_NOMEM;
	}
	return 0;
}

static int
add_proc_environ(pid_t pid, struct buf *out, struct err *e)
{
	char path[64];
	ssize_t n;
	int fd, rc = 0;

	(void)str_fmt(path, sizeof(path), "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "Cannot read %s", path);
	do {
		rc = buf_reserve(out, 16384);
		n = rc < 0 ? 0 : read(fd, buf_tail(out), 16384);
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while (n > 0);
	if (n < 0)
		rc = err_sys(e, errno, "Cannot read %s", path);
	else if (rc < 0)
		rc = err_set(e, ERR_TOO_BIG, "%s is too large", path);
	close(fd);
	return rc;
}

int
target_environ(const struct agent *a, struct buf *out, struct err *e)
{
	int rc = 0;

	buf_init(out, ENVIRON_MAX);
	if (a->opt.mode == AGENT_EPHEMERAL || a->opt.mode == AGENT_TARGETLESS)
		rc = add_own_environ(out);
	if (rc == 0 && a->target_pid != 0)
		rc = add_proc_environ(a->target_pid, out, e);
	if (rc == 0 && buf_append_u8(out, 0) < 0)
		rc = err_nomem(e);
	if (rc < 0)
		buf_free(out);
	return rc;
}
