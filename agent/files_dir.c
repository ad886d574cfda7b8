/* Listing directories. On threads. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/file_op.h"
#include "lib/str.h"

void
file_dir_free(struct file_dir **d)
{
	if (*d == NULL)
		return;
	if ((*d)->dir != NULL)
		closedir((*d)->dir);
	free(*d);
	*d = NULL;
}

/* A stream with a position of its own over the directory of fd. */
static struct file_dir *
dir_open(const struct file_op *op)
{
	struct path_at at = {op->at.root_fd, op->file->fd};
	struct file_dir *d = calloc(1, sizeof(*d));
	int own;

	if (d == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	own = path_open(&at, ".", O_RDONLY | O_DIRECTORY, 0);
	errno = own < 0 ? -own : 0;
	d->dir = own < 0 ? NULL : fdopendir(own);
	if (d->dir == NULL) {
		if (own >= 0)
			close(own);
		free(d);
		return NULL;
	}
	return d;
}

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/*
 * The next entry but "." and ".."; 1, 0 at the end, -1 with errno. A name
 * that is no text cannot be told, so it is left out. The name is valid until
 * the next call.
 */
static int
dir_next(struct file_dir *d, struct pm_DirEntryInternal *e)
{
	struct dirent *de;

	for (;;) {
		errno = 0;
		de = readdir(d->dir);
		if (de == NULL)
			return errno == 0 ? 0 : -1;
		if (is_dots(de->d_name) ||
		    !str_utf8_valid(
			(const uint8_t *)de->d_name, strlen(de->d_name)))
			continue;
		*e = (struct pm_DirEntryInternal){
		    .inode = de->d_ino,
		    .position = d->position++,
		    .name = pm_str(de->d_name),
		    .file_type = de->d_type,
		};
		return 1;
	}
}

void
op_open_dir(struct file_op *op)
{
	struct file_dir *d = dir_open(op);

	if (d == NULL) {
		op_fail(op, errno);
		return;
	}
	op_opened(op, -1, FILE_STREAM);
	if (op->opened != NULL)
		op->opened->list = d;
	else
		file_dir_free(&d);
}

void
op_read_dir(struct file_op *op)
{
	struct pm_opt_DirEntryInternal *out = &op->resp.u.ReadDir.u.Ok.direntry;
	struct pm_DirEntryInternal e;
	int rc = dir_next(op->file->list, &e);

	if (rc < 0) {
		op_fail(op, errno);
		return;
	}
	if (rc == 0)
		return;
	out->some = true;
	out->value = e;
	out->value.name.p = arena_dup(&op->arena, e.name.p, e.name.n);
	if (out->value.name.p == NULL)
		op_fail(op, ENOMEM);
}

/* Appends e to *list with a name that lasts. */
static bool
list_add(struct file_op *op, struct pm_vec_DirEntryInternal *list,
    const struct pm_DirEntryInternal *e)
{
	size_t size = sizeof(*e);
	struct pm_DirEntryInternal *v;
	char *name = arena_dup(&op->arena, e->name.p, e->name.n);

	/* Doubling, so that growing stays cheap: 0, 1, 2, 4, 8... */
	if ((list->n & (list->n - 1)) == 0) {
		size_t cap = list->n == 0 ? 1 : list->n * 2;

		v = arena_grow(&op->arena, list->v, list->n * size, cap * size);
	} else {
		v = list->v;
	}
	if (v == NULL || name == NULL)
		return false;
	list->v = v;
	v[list->n] = *e;
	v[list->n++].name.p = name;
	return true;
}

void
op_read_dir_batch(struct file_op *op)
{
	const struct pm_ReadDirBatchRequest *r = &op->req->u.ReadDirBatch;
	struct pm_ReadDirBatchResponse *ok = &op->resp.u.ReadDirBatch.u.Ok;
	struct pm_DirEntryInternal e;
	uint64_t max =
	    r->amount < FILE_ENTRIES_MAX ? r->amount : FILE_ENTRIES_MAX;
	int rc = 1;

	ok->fd = r->remote_fd;
	while (ok->dir_entries.n < max &&
	       (rc = dir_next(op->file->list, &e)) > 0) {
		if (!list_add(op, &ok->dir_entries, &e)) {
			op_fail(op, ENOMEM);
			return;
		}
	}
	if (rc < 0 && ok->dir_entries.n == 0)
		op_fail(op, errno);
}

/* ---- getdents64 ---- */

/* "." and "..", which come first whatever the file system's order is. */
static int
dots_next(struct file_op *op, struct pm_DirEntryInternal *e)
{
	struct path_at at = {op->at.root_fd, op->file->fd};
	unsigned which = op->file->list->dots;
	struct stat st;
	int fd;

	if (fstat(op->file->fd, &st) < 0)
		return -1;
	if (which == 1) {
		fd = path_open(&at, "..", O_PATH | O_DIRECTORY, 0);
		if (fd >= 0) {
			(void)fstat(fd, &st);
			close(fd);
		}
	}
	*e = (struct pm_DirEntryInternal){
	    .inode = st.st_ino,
	    .position = op->file->list->position++,
	    .name = which == 0 ? PM_STR(".") : PM_STR(".."),
	    .file_type = DT_DIR,
	};
	op->file->list->dots++;
	return 1;
}

static int
dents_next(struct file_op *op, struct pm_DirEntryInternal *e)
{
	struct file_dir *d = op->file->list;

	if (d->has_kept) {
		d->has_kept = false;
		*e = d->kept;
		return 1;
	}
	return d->dots < 2 ? dots_next(op, e) : dir_next(d, e);
}

/* An entry that did not fit is the first of the next answer. */
static void
dents_keep(struct file_dir *d, const struct pm_DirEntryInternal *e)
{
	d->kept = *e;
	if (e->name.n > NAME_MAX)
		d->kept.name.n = NAME_MAX;
	memmove(d->kept_name, e->name.p, d->kept.name.n);
	d->kept.name.p = d->kept_name;
	d->has_kept = true;
}

static uint64_t
dent_cost(const struct pm_DirEntryInternal *e)
{
	return (20 + e->name.n + 7) / 8 * 8;
}

void
op_getdents(struct file_op *op)
{
	const struct pm_GetDEnts64Request *r = &op->req->u.GetDEnts64;
	struct pm_GetDEnts64Response *ok = &op->resp.u.GetDEnts64.u.Ok;
	struct pm_DirEntryInternal e;
	int rc;

	if (op->file->list == NULL)
		op->file->list = dir_open(op);
	if (op->file->list == NULL) {
		op_fail(op, errno);
		return;
	}
	ok->fd = r->remote_fd;
	while ((rc = dents_next(op, &e)) > 0) {
		if (ok->entries.n == FILE_ENTRIES_MAX ||
		    dent_cost(&e) > r->buffer_size - ok->result_size) {
			dents_keep(op->file->list, &e);
			return;
		}
		if (!list_add(op, &ok->entries, &e)) {
			op_fail(op, ENOMEM);
			return;
		}
		ok->result_size += dent_cost(&e);
	}
	if (rc < 0 && ok->entries.n == 0)
		op_fail(op, errno);
}
