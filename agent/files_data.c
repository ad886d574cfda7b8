/* Opening, reading, writing: calls on files themselves. On threads. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/file_op.h"

enum { CHUNK_BYTES = 64 * 1024 };

/* The rules of the Rust standard library, which clients count on. */
static int
open_flags(const struct pm_OpenOptionsInternal *o)
{
	bool creates = o->create || o->create_new;
	int flags = O_NOCTTY;

	if (o->append)
		flags |= (o->read ? O_RDWR : O_WRONLY) | O_APPEND;
	else if (o->write)
		flags |= o->read ? O_RDWR : O_WRONLY;
	else if (!o->read)
		return -EINVAL;
	if (!o->append && !o->write && (o->truncate || creates))
		return -EINVAL;
	if (o->append && o->truncate && !o->create_new)
		return -EINVAL;
	if (o->create_new)
		return flags | O_CREAT | O_EXCL;
	return flags | (o->create ? O_CREAT : 0) | (o->truncate ? O_TRUNC : 0);
}

static void
open_at(struct file_op *op, const char *path,
    const struct pm_OpenOptionsInternal *o)
{
	int flags = open_flags(o), fd;
	struct stat st;

	if (flags < 0) {
		op_fail(op, -flags);
		return;
	}
	do {
		fd = path_open(&op->at, path, flags, 0666);
		errno = fd < 0 ? -fd : 0;
	} while (fd < 0 && op_again(op));
	if (fd < 0)
		op_fail(op, -fd);
	else if (fstat(fd, &st) < 0) {
		op_fail(op, errno);
		close(fd);
	} else {
		op_opened(op, fd, S_ISDIR(st.st_mode) ? FILE_DIR : FILE_FILE);
	}
}

void
op_open(struct file_op *op)
{
	const struct pm_OpenFileRequest *r = &op->req->u.Open;
	const char *path = op_abs_path(op, r->path);

	if (path != NULL)
		open_at(op, path, &r->open_options);
}

void
op_open_relative(struct file_op *op)
{
	const struct pm_OpenRelativeFileRequest *r = &op->req->u.OpenRelative;
	const char *path = op_path(op, r->path);

	if (path != NULL)
		open_at(op, path, &r->open_options);
}

/* One read(2) or, with offset >= 0, pread(2). */
static ssize_t
read_some(struct file_op *op, size_t n, off_t offset)
{
	ssize_t got;

	if (buf_reserve(&op->data, n) < 0) {
		errno = ENOMEM;
		return -1;
	}
	do {
		got = offset < 0
			  ? read(op->file->fd, buf_tail(&op->data), n)
			  : pread(op->file->fd, buf_tail(&op->data), n, offset);
	} while (got < 0 && op_again(op));
	if (got > 0)
		buf_commit(&op->data, (size_t)got);
	return got;
}

/*
 * What one read of the asked size would give, but memory is taken only as
 * bytes come: a client may ask for any number. Only a regular file is read
 * in more than one step, since anything else might have no more to give.
 */
static void
read_into(struct file_op *op, uint64_t want, off_t offset)
{
	struct pm_res_ReadFileResponse *res = &op->resp.u.Read;
	struct stat st;
	bool regular = fstat(op->file->fd, &st) == 0 && S_ISREG(st.st_mode);
	ssize_t got = 0;

	buf_init(&op->data, FILE_READ_MAX_BYTES);
	if (want > FILE_READ_MAX_BYTES)
		want = FILE_READ_MAX_BYTES;
	while (op->data.len < want) {
		size_t n = want - op->data.len;

		if (n > op->data.len + CHUNK_BYTES)
			n = op->data.len + CHUNK_BYTES;
		got = read_some(
		    op, n, offset < 0 ? -1 : offset + (off_t)op->data.len);
		if (got <= 0 || !regular)
			break;
	}
	if (got < 0 && op->data.len == 0) {
		op_fail(op, errno);
		return;
	}
	res->u.Ok.bytes = buf_span(&op->data);
	res->u.Ok.read_amount = op->data.len;
}

void
op_read(struct file_op *op)
{
	read_into(op, op->req->u.Read.buffer_size, -1);
}

void
op_read_limited(struct file_op *op)
{
	const struct pm_ReadLimitedFileRequest *r = &op->req->u.ReadLimited;

	if (r->start_from > INT64_MAX - FILE_READ_MAX_BYTES)
		op_fail(op, EINVAL);
	else
		read_into(op, r->buffer_size, (off_t)r->start_from);
}

static void
write_from(struct file_op *op, struct span bytes, off_t offset)
{
	ssize_t n;

	do {
		n = offset < 0 ? write(op->file->fd, bytes.p, bytes.n)
			       : pwrite(op->file->fd, bytes.p, bytes.n, offset);
	} while (n < 0 && op_again(op));
	if (n < 0)
		op_fail(op, errno);
	else
		op->resp.u.Write.u.Ok.written_amount = (uint64_t)n;
}

void
op_write(struct file_op *op)
{
	write_from(op, op->req->u.Write.write_bytes, -1);
}

void
op_write_limited(struct file_op *op)
{
	const struct pm_WriteLimitedFileRequest *r = &op->req->u.WriteLimited;

	if (r->start_from > INT64_MAX)
		op_fail(op, EINVAL);
	else
		write_from(op, r->write_bytes, (off_t)r->start_from);
}

void
op_seek(struct file_op *op)
{
	const struct pm_SeekFromInternal *s = &op->req->u.Seek.seek_from;
	off_t to = 0;

	switch (s->tag) {
	case PM_SeekFromInternal_Start:
		if (s->u.Start > INT64_MAX) {
			op_fail(op, EINVAL);
			return;
		}
		to = lseek(op->file->fd, (off_t)s->u.Start, SEEK_SET);
		break;
	case PM_SeekFromInternal_End:
		to = lseek(op->file->fd, s->u.End, SEEK_END);
		break;
	default:
		to = lseek(op->file->fd, s->u.Current, SEEK_CUR);
		break;
	}
	if (to < 0)
		op_fail(op, errno);
	else
		op->resp.u.Seek.u.Ok.result_offset = (uint64_t)to;
}

void
op_ftruncate(struct file_op *op)
{
	int rc;

	do {
		rc = ftruncate(op->file->fd, op->req->u.Ftruncate.length);
	} while (rc < 0 && op_again(op));
	if (rc < 0)
		op_fail(op, errno);
}

void
op_futimens(struct file_op *op)
{
	const struct pm_opt_two_Timespec *t = &op->req->u.Futimens.times;
	struct timespec ts[2];

	for (int i = 0; i < 2; i++)
		ts[i] = (struct timespec){
		    .tv_sec = t->value.v[i].tv_sec,
		    .tv_nsec = t->value.v[i].tv_nsec,
		};
	if (futimens(op->file->fd, t->some ? ts : NULL) < 0)
		op_fail(op, errno);
}

void
op_fchown(struct file_op *op)
{
	const struct pm_FchownRequest *r = &op->req->u.Fchown;

	if (fchown(op->file->fd, r->owner, r->group) < 0)
		op_fail(op, errno);
}

void
op_fchmod(struct file_op *op)
{
	/* The kernel ignores the bits of the file's type, and so do clients. */
	if (fchmod(op->file->fd, op->req->u.Fchmod.mode & 07777) < 0)
		op_fail(op, errno);
}
