#include "config.h"

#include "agent/path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel answers EAGAIN when a rename comes between; then try again. */
enum { RACE_TRIES = 64 };

static int
sys_openat2(
    int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
	    .flags = (uint64_t)flags | O_CLOEXEC | O_LARGEFILE,
	    .resolve = resolve | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	if ((flags & O_CREAT) != 0)
		how.mode = mode & 07777;
	if ((flags & O_PATH) != 0)
		how.flags &= ~(uint64_t)O_LARGEFILE;
	for (int i = 0; i < RACE_TRIES; i++) {
		fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN)
			break;
	}
	return -errno;
}

bool
path_supported(void)
{
	int fd = sys_openat2(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0, 0);

	if (fd < 0) {
		errno = -fd;
		return false;
	}
	close(fd);
	return true;
}

void
path_of_fd(int fd, char *out, size_t cap)
{
	snprintf(out, cap, "/proc/self/fd/%d", fd);
}

/*
 * The name of a directory seen from the target's root. The kernel tells both
 * names from the top of their mount tree, so the root's own name is cut off.
 */
static int
name_of_dir(const struct path_at *at, char *out, size_t cap)
{
	char link[64], root[PATH_MAX];
	ssize_t n, skip;

	path_of_fd(at->root_fd, link, sizeof(link));
	skip = readlink(link, root, sizeof(root) - 1);
	path_of_fd(at->dir_fd, link, sizeof(link));
	n = readlink(link, out, cap - 1);
	if (n < 0 || skip < 0)
		return -errno;
	if ((size_t)n == cap - 1)
		return -ENAMETOOLONG;
	out[n] = '\0';
	root[skip] = '\0';
	if (skip == 1) /* "/" */
		skip = 0;
	if (strncmp(out, root, (size_t)skip) != 0 ||
	    (out[skip] != '/' && out[skip] != '\0'))
		return -ENOENT; /* removed, or moved out of the root */
	memmove(out, out + skip, (size_t)(n - skip) + 1);
	return 0;
}

/*
 * A name that leaves its directory upwards, or by an absolute link, is looked
 * up again as a whole name from the root, which is what it means.
 */
static int
open_from_root(
    const struct path_at *at, const char *path, int flags, mode_t mode)
{
	char whole[PATH_MAX * 2];
	int rc = name_of_dir(at, whole, PATH_MAX);
	size_t n;

	if (rc < 0)
		return rc;
	n = strlen(whole);
	if (n + 1 + strlen(path) >= sizeof(whole))
		return -ENAMETOOLONG;
	whole[n] = '/';
	memcpy(whole + n + 1, path, strlen(path) + 1);
	return sys_openat2(at->root_fd, whole, flags, mode, RESOLVE_IN_ROOT);
}

int
path_open(const struct path_at *at, const char *path, int flags, mode_t mode)
{
	int fd;

	if (*path == '\0')
		return -ENOENT;
	if (at->dir_fd == PATH_NO_DIR || *path == '/')
		return sys_openat2(
		    at->root_fd, path, flags, mode, RESOLVE_IN_ROOT);
	fd = sys_openat2(at->dir_fd, path, flags, mode, RESOLVE_BENEATH);
	if (fd == -EXDEV)
		return open_from_root(at, path, flags, mode);
	return fd;
}

/* Where the last component starts; trailing slashes belong to it. */
static size_t
last_start(const char *path, size_t n)
{
	while (n > 0 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	return n;
}

int
path_parent(const struct path_at *at, const char *path, struct path_last *out)
{
	char dir[PATH_MAX];
	size_t n = strlen(path), cut = last_start(path, n);

	if (n == 0)
		return -ENOENT;
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(out->name, path + cut, n - cut + 1);
	if (out->name[0] == '/') /* the root itself has no name */
		memcpy(out->name, ".", 2);
	memcpy(dir, path, cut);
	dir[cut] = '\0';
	if (cut == 0)
		memcpy(dir, *path == '/' ? "/" : ".", 2);
	out->fd = path_open(at, dir, O_PATH | O_DIRECTORY, 0);
	return out->fd < 0 ? out->fd : 0;
}
