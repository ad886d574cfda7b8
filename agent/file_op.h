/*
 * file_op: one file request on its way through the queue and a thread, and
 * the table of what can be asked. Inside of agent/files*.c only.
 */
#ifndef AGENT_FILE_OP_H
#define AGENT_FILE_OP_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/path.h"
#include "agent/pool.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "protocol/mirrord.h"

struct files;

enum {
	FILE_READ_MAX_BYTES = 16 * 1024 * 1024,
	FILE_ENTRIES_MAX = 4096, /* of one answer */
};

/* A position in a directory; one entry may have been read and not given. */
struct file_dir {
	DIR *dir;
	uint64_t position;
	struct pm_DirEntryInternal kept; /* its name is in kept_name */
	char kept_name[NAME_MAX + 1];
	bool has_kept;
	unsigned dots; /* of "." and "..", how many were given */
};

enum file_kind { FILE_FILE, FILE_DIR, FILE_STREAM };

/* What a remote descriptor stands for. Freed with its last reference. */
struct file {
	struct pool_job close_job; /* close(2) can block too */
	unsigned refs;             /* loop's thread */
	enum file_kind kind;
	int fd;
	struct file_dir *list; /* STREAM; DIR once GetDEnts64 was asked */
	bool busy;             /* an op that runs has it; loop's thread */
};

enum op_state { OP_WAITS, OP_RUNS, OP_DONE };

enum op_need {
	NEED_NOTHING,
	NEED_FILE,      /* NotFile for a directory */
	NEED_DIR,       /* NotDirectory for a file */
	NEED_ANY,       /* either, from Open */
	NEED_STREAM,    /* from FdOpenDir */
	NEED_CLOSE,     /* answered by nothing */
	NEED_CLOSE_DIR, /* answered by nothing */
};

struct file_op {
	struct pool_job job;
	struct list link;
	struct files *files; /* NULL: the client has gone */
	struct pool *pool;
	const struct op_row *row;
	enum op_state state;
	uint64_t started_ms;
	uint64_t remote_fd;
	struct arena arena;
	uint8_t *raw; /* owned; request borrows from it */
	size_t raw_len;
	const struct pm_FileRequest *req;
	struct path_at at;   /* root; dir_fd set when file is a directory */
	struct file *file;   /* referenced, or NULL */
	struct file *opened; /* a new descriptor for the client, or NULL */
	struct buf data;     /* bytes of the answer */
	struct pm_FileResponse resp;
};

/* Runs on a thread: fills op->resp. */
typedef void file_op_fn(struct file_op *op);

struct op_row {
	uint32_t response; /* PM_FileResponse_... */
	enum op_need need;
	file_op_fn *run; /* NULL: done by the queue itself */
};

/* The row of a PM_FileRequest_...; NULL when there is none. */
const struct op_row *file_op_row(uint32_t request);
/* The descriptor a request names; false when it names none. */
bool file_op_fd(const struct pm_FileRequest *r, uint64_t *fd_r);

/* Answers. */
void op_fail(struct file_op *op, int sys_errno);
void op_fail_with(struct file_op *op, uint32_t response_error, uint64_t fd);
/* The path as a C string; NULL after op_fail or op_strip. */
const char *op_path(struct file_op *op, struct pm_str path);
/* The same for one that must start with '/'. */
const char *op_abs_path(struct file_op *op, struct pm_str path);
/* EINTR counts only for those who still wait: call again. */
bool op_again(const struct file_op *op);
/* A new descriptor; takes fd. */
void op_opened(struct file_op *op, int fd, enum file_kind kind);

struct file *file_new(int fd, enum file_kind kind);
/* Gives a reference back; the last one closes, on a thread. f may be NULL. */
void file_unref(struct pool *pool, struct file *f);

/* files_data.c */
file_op_fn op_open, op_open_relative, op_read, op_read_limited, op_write,
    op_write_limited, op_seek, op_ftruncate, op_futimens, op_fchown, op_fchmod;
/* files_name.c */
file_op_fn op_access, op_read_link, op_make_dir, op_make_dir_at, op_remove_dir,
    op_unlink, op_unlink_at, op_rename, op_xstat, op_xstat_fs, op_xstat_fs_v2,
    op_stat_fs, op_stat_fs_v2;
/* files_dir.c */
file_op_fn op_open_dir, op_read_dir, op_read_dir_batch, op_getdents;
void file_dir_free(struct file_dir **d);

#endif
