#include "config.h"

#include "agent/file_op.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/errkind.h"

#define ROW(req, rsp, need, fn) \
	[PM_FileRequest_##req] = {PM_FileResponse_##rsp, need, fn}

static const struct op_row rows[PM_FileRequest_COUNT] = {
    ROW(Open, Open, NEED_NOTHING, op_open),
    ROW(OpenRelative, Open, NEED_DIR, op_open_relative),
    ROW(Read, Read, NEED_FILE, op_read),
    ROW(ReadLimited, ReadLimited, NEED_FILE, op_read_limited),
    ROW(Seek, Seek, NEED_FILE, op_seek),
    ROW(Write, Write, NEED_FILE, op_write),
    ROW(WriteLimited, WriteLimited, NEED_FILE, op_write_limited),
    ROW(Close, Open, NEED_CLOSE, NULL),
    ROW(Access, Access, NEED_NOTHING, op_access),
    ROW(Xstat, Xstat, NEED_ANY, op_xstat),
    ROW(XstatFs, XstatFs, NEED_ANY, op_xstat_fs),
    ROW(FdOpenDir, OpenDir, NEED_DIR, op_open_dir),
    ROW(ReadDir, ReadDir, NEED_STREAM, op_read_dir),
    ROW(CloseDir, OpenDir, NEED_CLOSE_DIR, NULL),
    ROW(GetDEnts64, GetDEnts64, NEED_DIR, op_getdents),
    ROW(ReadLink, ReadLink, NEED_NOTHING, op_read_link),
    ROW(ReadDirBatch, ReadDirBatch, NEED_STREAM, op_read_dir_batch),
    ROW(MakeDir, MakeDir, NEED_NOTHING, op_make_dir),
    ROW(MakeDirAt, MakeDir, NEED_DIR, op_make_dir_at),
    ROW(RemoveDir, RemoveDir, NEED_NOTHING, op_remove_dir),
    ROW(Unlink, Unlink, NEED_NOTHING, op_unlink),
    ROW(UnlinkAt, Unlink, NEED_DIR, op_unlink_at),
    ROW(StatFs, XstatFs, NEED_NOTHING, op_stat_fs),
    ROW(XstatFsV2, XstatFsV2, NEED_ANY, op_xstat_fs_v2),
    ROW(StatFsV2, XstatFsV2, NEED_NOTHING, op_stat_fs_v2),
    ROW(Rename, Rename, NEED_NOTHING, op_rename),
    ROW(Ftruncate, Ftruncate, NEED_FILE, op_ftruncate),
    ROW(Futimens, Futimens, NEED_FILE, op_futimens),
    ROW(Fchown, Fchown, NEED_FILE, op_fchown),
    ROW(Fchmod, Fchmod, NEED_FILE, op_fchmod),
};

const struct op_row *
file_op_row(uint32_t request)
{
	return request < PM_FileRequest_COUNT ? &rows[request] : NULL;
}

/* Where each request has its descriptor; 0 = nowhere or not always. */
#define FD(req, field) \
	[PM_FileRequest_##req] = offsetof(struct pm_FileRequest, u.req.field)

static const size_t fd_offsets[PM_FileRequest_COUNT] = {
    FD(OpenRelative, relative_fd),
    FD(Read, remote_fd),
    FD(ReadLimited, remote_fd),
    FD(Seek, fd),
    FD(Write, fd),
    FD(WriteLimited, remote_fd),
    FD(Close, fd),
    FD(XstatFs, fd),
    FD(FdOpenDir, remote_fd),
    FD(ReadDir, remote_fd),
    FD(CloseDir, remote_fd),
    FD(GetDEnts64, remote_fd),
    FD(ReadDirBatch, remote_fd),
    FD(MakeDirAt, dirfd),
    FD(XstatFsV2, fd),
    FD(Ftruncate, fd),
    FD(Futimens, fd),
    FD(Fchown, fd),
    FD(Fchmod, fd),
};

static bool
optional_fd(const struct pm_opt_u64 *o, uint64_t *fd_r)
{
	*fd_r = o->value;
	return o->some;
}

bool
file_op_fd(const struct pm_FileRequest *r, uint64_t *fd_r)
{
	if (r->tag >= PM_FileRequest_COUNT)
		return false;
	if (r->tag == PM_FileRequest_Xstat)
		return optional_fd(&r->u.Xstat.fd, fd_r);
	if (r->tag == PM_FileRequest_UnlinkAt)
		return optional_fd(&r->u.UnlinkAt.dirfd, fd_r);
	if (fd_offsets[r->tag] == 0)
		return false;
	memcpy(fd_r, (const char *)r + fd_offsets[r->tag], sizeof(*fd_r));
	return true;
}

/*
 * All results look alike where they say that they are errors, so that one
 * function can fail every request.
 */
#define SAME_SHAPE(T)                                                          \
	_Static_assert(                                                        \
	    offsetof(struct pm_res_##T, u) == offsetof(struct pm_res_unit, u), \
	    "results have one shape")
SAME_SHAPE(OpenFileResponse);
SAME_SHAPE(XstatResponse);
SAME_SHAPE(ReadDirResponse);

static struct pm_res_unit *
op_result(struct file_op *op)
{
	return (struct pm_res_unit *)(void *)&op->resp.u;
}

void
op_fail(struct file_op *op, int sys_errno)
{
	op_result(op)->tag = PM_ERR;
	op_result(op)->u.Err = errkind_io(sys_errno);
}

void
op_fail_with(struct file_op *op, uint32_t response_error, uint64_t fd)
{
	struct pm_ResponseError *e = &op_result(op)->u.Err;

	op_result(op)->tag = PM_ERR;
	memset(e, 0, sizeof(*e));
	e->tag = response_error;
	if (response_error == PM_ResponseError_StripPrefix)
		e->u.StripPrefix = PM_STR("the path does not start with /");
	else
		e->u.NotFound = fd; /* NotDirectory and NotFile alike */
}

const char *
op_path(struct file_op *op, struct pm_str path)
{
	char *s;

	if (path.n >= PATH_MAX) {
		op_fail(op, ENAMETOOLONG);
		return NULL;
	}
	if (path.n > 0 && memchr(path.p, '\0', path.n) != NULL) {
		op_fail(op, EINVAL);
		return NULL;
	}
	s = arena_alloc(&op->arena, path.n + 1); /* zeroed */
	if (s == NULL) {
		op_fail(op, ENOMEM);
		return NULL;
	}
	if (path.n > 0)
		memcpy(s, path.p, path.n);
	return s;
}

const char *
op_abs_path(struct file_op *op, struct pm_str path)
{
	if (path.n == 0 || path.p[0] != '/') {
		op_fail_with(op, PM_ResponseError_StripPrefix, 0);
		return NULL;
	}
	return op_path(op, path);
}

bool
op_again(const struct file_op *op)
{
	return errno == EINTR && !atomic_load(&op->job.cancelled);
}

struct file *
file_new(int fd, enum file_kind kind)
{
	struct file *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->refs = 1;
	f->fd = fd;
	f->kind = kind;
	return f;
}

static void
file_shut(struct pool_job *job)
{
	struct file *f = LIST_ENTRY(job, struct file, close_job);

	file_dir_free(&f->list);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static void
file_destroy(struct pool_job *job)
{
	file_shut(job); /* where the pool came not to it */
	free(LIST_ENTRY(job, struct file, close_job));
}

void
file_unref(struct pool *pool, struct file *f)
{
	if (f == NULL || --f->refs > 0)
		return;
	f->close_job.run = file_shut;
	f->close_job.done = file_destroy;
	if (pool_submit(pool, &f->close_job) < 0)
		file_destroy(&f->close_job);
}

void
op_opened(struct file_op *op, int fd, enum file_kind kind)
{
	op->opened = file_new(fd, kind);
	if (op->opened == NULL) {
		close(fd);
		op_fail(op, ENOMEM);
	}
}
