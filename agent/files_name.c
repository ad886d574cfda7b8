/* Calls on names: links, directories, metadata. On threads. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "agent/file_op.h"

/* An O_PATH descriptor of what path names; -1 after op_fail. */
static int
open_name(struct file_op *op, const char *path, bool follow)
{
	int flags = O_PATH | (follow ? 0 : O_NOFOLLOW), fd;

	do {
		fd = path_open(&op->at, path, flags, 0);
		errno = fd < 0 ? -fd : 0;
	} while (fd < 0 && op_again(op));
	if (fd < 0)
		op_fail(op, -fd);
	return fd;
}

void
op_access(struct file_op *op)
{
	const struct pm_AccessFileRequest *r = &op->req->u.Access;
	const char *path = op_abs_path(op, r->pathname);
	int fd;

	if (path == NULL)
		return;
	if ((r->mode & ~(R_OK | W_OK | X_OK)) != 0) {
		op_fail(op, EINVAL);
		return;
	}
	fd = open_name(op, path, true);
	if (fd < 0)
		return;
	if (faccessat(fd, "", r->mode, AT_EMPTY_PATH | AT_EACCESS) < 0)
		op_fail(op, errno);
	close(fd);
}

void
op_read_link(struct file_op *op)
{
	const char *path = op_abs_path(op, op->req->u.ReadLink.path);
	struct pm_str *out = &op->resp.u.ReadLink.u.Ok.path;
	char *text;
	ssize_t n;
	int fd;

	if (path == NULL || (fd = open_name(op, path, false)) < 0)
		return;
	text = arena_alloc(&op->arena, PATH_MAX);
	n = text == NULL ? -1 : readlinkat(fd, "", text, PATH_MAX);
	if (n < 0) {
		/* On a descriptor the kernel says ENOENT for "no link". */
		op_fail(op, text == NULL      ? ENOMEM
			    : errno == ENOENT ? EINVAL
					      : errno);
	} else {
		*out = (struct pm_str){text, (size_t)n};
	}
	close(fd);
}

/* ---- changes of directories: the parent is resolved, then one call ---- */

typedef int name_fn(int dir_fd, const char *name, unsigned arg);

static void
change(struct file_op *op, const char *path, name_fn *fn, unsigned arg)
{
	struct path_last last;
	int rc;

	if (path == NULL)
		return;
	do {
		rc = path_parent(&op->at, path, &last);
		errno = -rc;
	} while (rc < 0 && op_again(op));
	if (rc < 0) {
		op_fail(op, -rc);
		return;
	}
	do {
		rc = fn(last.fd, last.name, arg);
	} while (rc < 0 && op_again(op));
	if (rc < 0)
		op_fail(op, errno);
	close(last.fd);
}

static int
do_mkdir(int dir_fd, const char *name, unsigned mode)
{
	return mkdirat(dir_fd, name, (mode_t)(mode & 07777));
}

static int
do_unlink(int dir_fd, const char *name, unsigned flags)
{
	return unlinkat(dir_fd, name, (int)flags);
}

void
op_make_dir(struct file_op *op)
{
	const struct pm_MakeDirRequest *r = &op->req->u.MakeDir;

	change(op, op_path(op, r->pathname), do_mkdir, r->mode);
}

void
op_make_dir_at(struct file_op *op)
{
	const struct pm_MakeDirAtRequest *r = &op->req->u.MakeDirAt;

	change(op, op_path(op, r->pathname), do_mkdir, r->mode);
}

void
op_remove_dir(struct file_op *op)
{
	change(op, op_path(op, op->req->u.RemoveDir.pathname), do_unlink,
	    AT_REMOVEDIR);
}

void
op_unlink(struct file_op *op)
{
	change(op, op_path(op, op->req->u.Unlink.pathname), do_unlink, 0);
}

void
op_unlink_at(struct file_op *op)
{
	const struct pm_UnlinkAtRequest *r = &op->req->u.UnlinkAt;

	if (r->flags != 0 && r->flags != AT_REMOVEDIR)
		op_fail(op, EINVAL);
	else
		change(op, op_path(op, r->pathname), do_unlink, r->flags);
}

void
op_rename(struct file_op *op)
{
	const char *from = op_path(op, op->req->u.Rename.old_path);
	const char *to =
	    from == NULL ? NULL : op_path(op, op->req->u.Rename.new_path);
	struct path_last a, b;
	int rc;

	if (to == NULL)
		return;
	rc = path_parent(&op->at, from, &a);
	if (rc < 0) {
		op_fail(op, -rc);
		return;
	}
	rc = path_parent(&op->at, to, &b);
	if (rc < 0) {
		op_fail(op, -rc);
	} else {
		do {
			rc = renameat(a.fd, a.name, b.fd, b.name);
		} while (rc < 0 && op_again(op));
		if (rc < 0)
			op_fail(op, errno);
		close(b.fd);
	}
	close(a.fd);
}

/* ---- metadata ---- */

/* Clients get only the part of a time below the second (spec B.4). */
static void
put_stat(struct pm_MetadataInternal *m, const struct stat *st)
{
	*m = (struct pm_MetadataInternal){
	    .device_id = st->st_dev,
	    .inode = st->st_ino,
	    .mode = st->st_mode,
	    .hard_links = st->st_nlink,
	    .user_id = st->st_uid,
	    .group_id = st->st_gid,
	    .rdevice_id = st->st_rdev,
	    .size = (uint64_t)st->st_size,
	    .access_time = st->st_atim.tv_nsec,
	    .modification_time = st->st_mtim.tv_nsec,
	    .creation_time = st->st_ctim.tv_nsec,
	    .block_size = (uint64_t)st->st_blksize,
	    .blocks = (uint64_t)st->st_blocks,
	};
}

void
op_xstat(struct file_op *op)
{
	const struct pm_XstatRequest *r = &op->req->u.Xstat;
	const char *path;
	struct stat st;
	int fd, rc;

	if (!r->path.some && !r->fd.some) {
		op_fail(op, EINVAL);
		return;
	}
	if (!r->path.some) {
		rc = fstat(op->file->fd, &st);
	} else {
		path = op_path(op, r->path.value);
		if (path == NULL ||
		    (fd = open_name(op, path, r->follow_symlink)) < 0)
			return;
		rc = fstat(fd, &st);
		close(fd);
	}
	if (rc < 0)
		op_fail(op, errno);
	else
		put_stat(&op->resp.u.Xstat.u.Ok.metadata, &st);
}

static void
put_statfs(struct pm_FsMetadataInternal *m, const struct statfs *st)
{
	*m = (struct pm_FsMetadataInternal){
	    .filesystem_type = st->f_type,
	    .block_size = st->f_bsize,
	    .blocks = st->f_blocks,
	    .blocks_free = st->f_bfree,
	    .blocks_available = st->f_bavail,
	    .files = st->f_files,
	    .files_free = st->f_ffree,
	};
}

static void
put_statfs_v2(struct pm_FsMetadataInternalV2 *m, const struct statfs *st)
{
	*m = (struct pm_FsMetadataInternalV2){
	    .filesystem_type = st->f_type,
	    .block_size = st->f_bsize,
	    .blocks = st->f_blocks,
	    .blocks_free = st->f_bfree,
	    .blocks_available = st->f_bavail,
	    .files = st->f_files,
	    .files_free = st->f_ffree,
	    .name_len = st->f_namelen,
	    .fragment_size = st->f_frsize,
	    .flags = st->f_flags,
	};
	memcpy(m->filesystem_id.v, &st->f_fsid, sizeof(m->filesystem_id.v));
}

static bool
statfs_fd(struct file_op *op, int fd, struct statfs *st)
{
	if (fstatfs(fd, st) == 0)
		return true;
	op_fail(op, errno);
	return false;
}

static bool
statfs_path(struct file_op *op, struct pm_str name, struct statfs *st)
{
	const char *path = op_path(op, name);
	int fd = path == NULL ? -1 : open_name(op, path, true);
	bool ok = fd >= 0 && statfs_fd(op, fd, st);

	if (fd >= 0)
		close(fd);
	return ok;
}

void
op_xstat_fs(struct file_op *op)
{
	struct statfs st;

	if (statfs_fd(op, op->file->fd, &st))
		put_statfs(&op->resp.u.XstatFs.u.Ok.metadata, &st);
}

void
op_xstat_fs_v2(struct file_op *op)
{
	struct statfs st;

	if (statfs_fd(op, op->file->fd, &st))
		put_statfs_v2(&op->resp.u.XstatFsV2.u.Ok.metadata, &st);
}

void
op_stat_fs(struct file_op *op)
{
	struct statfs st;

	if (statfs_path(op, op->req->u.StatFs.path, &st))
		put_statfs(&op->resp.u.XstatFs.u.Ok.metadata, &st);
}

void
op_stat_fs_v2(struct file_op *op)
{
	struct statfs st;

	if (statfs_path(op, op->req->u.StatFsV2.path, &st))
		put_statfs_v2(&op->resp.u.XstatFsV2.u.Ok.metadata, &st);
}
