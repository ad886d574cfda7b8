#include "config.h"

#include "agent/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/client.h"
#include "agent/errkind.h"
#include "agent/file_op.h"
#include "lib/clock.h"
#include "lib/map.h"

enum {
	STUCK_MS = 100,     /* a call that takes longer may be overtaken */
	RUNNING_MAX = 4,    /* calls of one client at a time */
	WAITING_MAX = 1024, /* requests; more are left in the socket */
	WAITING_MAX_BYTES = 20 * 1024 * 1024,
	HELD_MAX_BYTES = 1024 * 1024, /* done, but an earlier one is not */
	OPEN_MAX_FILES = 4096,
	OP_MAX_BYTES = 4 * 1024 * 1024, /* besides the bytes of the request */
};

struct files {
	struct agent_client *client;
	struct pool *pool;
	struct list ops; /* in the order of the requests */
	size_t count;
	size_t bytes; /* of the requests */
	size_t held;  /* bytes of answers that wait for an earlier one */
	unsigned running;
	struct map fds; /* remote descriptor -> struct file */
	uint64_t next_fd;
	struct ev_timer *stuck_timer;
	struct agent_wait wait;
};

static void files_pump(struct files *f);

static void
on_wake(void *arg)
{
	files_pump(arg);
}

struct files *
files_new(struct agent_client *c)
{
	struct files *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->client = c;
	f->pool = c->agent->pool;
	list_init(&f->ops);
	map_init(&f->fds);
	agent_wait_init(&f->wait, on_wake, f);
	f->stuck_timer = ev_timer_new(c->agent->loop, on_wake, f);
	if (f->stuck_timer == NULL) {
		free(f);
		return NULL;
	}
	return f;
}

static void
op_free(struct pool *pool, struct file_op *op)
{
	file_unref(pool, op->file);
	file_unref(pool, op->opened);
	buf_free(&op->data);
	arena_free(&op->arena);
	free(op->raw);
	free(op);
}

/* ---- descriptors ---- */

static bool
kind_fits(enum op_need need, enum file_kind kind)
{
	if (need == NEED_STREAM)
		return kind == FILE_STREAM;
	return kind != FILE_STREAM;
}

/*
 * Finds what the request names. False when the answer is known already: the
 * descriptor is unknown, or of the wrong kind.
 */
static bool
op_bind(struct files *f, struct file_op *op)
{
	struct file *file;

	op->at.root_fd = f->client->agent->root_fd;
	op->at.dir_fd = PATH_NO_DIR;
	if (!file_op_fd(op->req, &op->remote_fd))
		return true;
	file = map_get(&f->fds, op->remote_fd);
	if (file == NULL || !kind_fits(op->row->need, file->kind)) {
		op_fail_with(op, PM_ResponseError_NotFound, op->remote_fd);
		return false;
	}
	if (op->row->need == NEED_FILE && file->kind == FILE_DIR) {
		op_fail_with(op, PM_ResponseError_NotFile, op->remote_fd);
		return false;
	}
	/* Xstat with a path goes by a directory, without one by anything. */
	if (file->kind == FILE_FILE &&
	    (op->row->need == NEED_DIR ||
		(op->req->tag == PM_FileRequest_Xstat &&
		    op->req->u.Xstat.path.some))) {
		op_fail_with(op, PM_ResponseError_NotDirectory, op->remote_fd);
		return false;
	}
	op->file = file;
	file->refs++;
	if (file->kind == FILE_DIR)
		op->at.dir_fd = file->fd;
	return true;
}

static void
close_remote(struct files *f, const struct file_op *op)
{
	bool stream = op->row->need == NEED_CLOSE_DIR;
	uint64_t fd = 0;
	struct file *file;

	(void)file_op_fd(op->req, &fd);
	file = map_get(&f->fds, fd);
	if (file == NULL || (file->kind == FILE_STREAM) != stream) {
		log_debug("close of an unknown descriptor client=%llu "
			  "fd=%llu",
		    (unsigned long long)f->client->id, (unsigned long long)fd);
		return;
	}
	map_del(&f->fds, fd);
	file_unref(f->pool, file);
}

/* The number of a descriptor is given when its answer goes out. */
static void
hand_out(struct files *f, struct file_op *op)
{
	uint64_t fd = f->next_fd;

	if (op->opened == NULL)
		return;
	if (f->fds.count >= OPEN_MAX_FILES) {
		op_fail(op, EMFILE);
		return;
	}
	if (map_put(&f->fds, fd, op->opened) < 0) {
		op_fail(op, ENOMEM);
		return;
	}
	op->opened = NULL;
	f->next_fd++;
	/* Open and OpenDir answer with one number each, in the same place. */
	op->resp.u.Open.u.Ok.fd = fd;
}

/* ---- the queue ---- */

static void
queue_remove(struct files *f, struct file_op *op)
{
	list_remove(&op->link);
	f->count--;
	f->bytes -= op->raw_len;
	op_free(f->pool, op);
}

static void
on_op_done(struct pool_job *job)
{
	struct file_op *op = LIST_ENTRY(job, struct file_op, job);
	struct files *f = op->files;

	if (op->file != NULL)
		op->file->busy = false;
	if (f == NULL) {
		/* The pool outlives every op: it is called by it. */
		op_free(op->pool, op);
		return;
	}
	op->state = OP_DONE;
	f->running--;
	f->held += op->data.len;
	files_pump(f);
}

static void
op_run(struct pool_job *job)
{
	struct file_op *op = LIST_ENTRY(job, struct file_op, job);

	op->row->run(op);
}

/* All that runs hangs, so that one more may run beside it. */
static bool
may_overtake(struct files *f, uint64_t now)
{
	if (f->running >= RUNNING_MAX || f->held > HELD_MAX_BYTES ||
	    pool_busy(f->pool) >= POOL_THREADS_SPARE)
		return false;
	LIST_FOR_EACH (node, &f->ops) {
		struct file_op *op = LIST_ENTRY(node, struct file_op, link);

		if (op->state == OP_RUNS && now - op->started_ms < STUCK_MS)
			return false;
	}
	return true;
}

/* Starts op if it is its turn. False: it has to wait, and all behind it. */
static bool
op_start(struct files *f, struct file_op *op, uint64_t now)
{
	if (op->row->need == NEED_CLOSE || op->row->need == NEED_CLOSE_DIR) {
		close_remote(f, op);
		queue_remove(f, op);
		return true;
	}
	if (f->running > 0 && !may_overtake(f, now))
		return false;
	if (op->file == NULL && !op_bind(f, op)) {
		op->state = OP_DONE;
		return true;
	}
	if (op->file != NULL && op->file->busy)
		return false;
	op->job.run = op_run;
	op->job.done = on_op_done;
	op->started_ms = now;
	if (pool_submit(f->pool, &op->job) < 0) {
		op_fail(op, ENOMEM);
		op->state = OP_DONE;
		return true;
	}
	if (op->file != NULL)
		op->file->busy = true;
	op->state = OP_RUNS;
	f->running++;
	return true;
}

/* False when the client is lost. */
static bool
op_answer(struct files *f, struct file_op *op)
{
	struct pm_DaemonMessage m;
	int rc;

	hand_out(f, op);
	memset(&m, 0, sizeof(m));
	m.tag = PM_DaemonMessage_File;
	m.u.File = op->resp;
	f->held -= op->data.len;
	rc = agent_client_send(f->client, &m);
	queue_remove(f, op);
	return rc == 0;
}

/* Answers from the front of the queue as far as they are there. */
static bool
deliver(struct files *f)
{
	LIST_FOR_EACH_SAFE (node, &f->ops) {
		struct file_op *op = LIST_ENTRY(node, struct file_op, link);

		if (op->state != OP_DONE)
			return true;
		if (agent_client_full(f->client)) {
			agent_client_on_drain(f->client, &f->wait);
			return false;
		}
		if (!op_answer(f, op))
			return false;
	}
	return true;
}

/* True when something finished at once, so that there is more to deliver. */
static bool
start_more(struct files *f)
{
	uint64_t now = clock_mono_ms();
	bool finished = false;

	LIST_FOR_EACH_SAFE (node, &f->ops) {
		struct file_op *op = LIST_ENTRY(node, struct file_op, link);

		if (op->state != OP_WAITS)
			continue;
		if (!op_start(f, op, now)) {
			ev_timer_set(f->stuck_timer, STUCK_MS);
			break;
		}
		finished = true; /* node may be gone; node_n is not */
	}
	return finished;
}

static void
files_pump(struct files *f)
{
	bool was_full = files_full(f);

	while (deliver(f) && start_more(f))
		;
	if (was_full && !files_full(f))
		client_unblock(f->client);
}

bool
files_full(const struct files *f)
{
	return f->count >= WAITING_MAX || f->bytes >= WAITING_MAX_BYTES;
}

/* The request's own copy, decoded again into it. */
static int
op_decode(struct file_op *op, struct span raw)
{
	struct pm_ClientMessage *m;

	arena_init(&op->arena, OP_MAX_BYTES);
	op->raw = malloc(raw.n);
	m = arena_alloc(&op->arena, sizeof(*m));
	if (op->raw == NULL || m == NULL)
		return -ERR_NOMEM;
	memcpy(op->raw, raw.p, raw.n);
	op->raw_len = raw.n;
	op->req = &m->u.FileRequest;
	return pm_decode_client(&op->arena, op->raw, raw.n, NULL, m, NULL);
}

int
files_request(struct files *f, const struct pm_FileRequest *m, struct span raw)
{
	const struct op_row *row = file_op_row(m->tag);
	struct file_op *op = row == NULL ? NULL : calloc(1, sizeof(*op));
	int rc;

	if (op == NULL)
		return row == NULL ? -ERR_INVALID : -ERR_NOMEM;
	list_init(&op->link);
	buf_init(&op->data, 0);
	op->files = f;
	op->pool = f->pool;
	op->row = row;
	op->resp.tag = row->response;
	rc = op_decode(op, raw);
	if (rc < 0) {
		op_free(f->pool, op);
		return rc;
	}
	list_push(&f->ops, &op->link);
	f->count++;
	f->bytes += op->raw_len;
	files_pump(f);
	return 0;
}

void
files_free(struct files **fp)
{
	struct files *f = *fp;
	struct file *file;
	size_t pos = 0;

	if (f == NULL)
		return;
	*fp = NULL;
	LIST_FOR_EACH_SAFE (node, &f->ops) {
		struct file_op *op = LIST_ENTRY(node, struct file_op, link);

		if (op->state == OP_RUNS) {
			list_remove(&op->link);
			op->files = NULL;
			pool_cancel(f->pool, &op->job);
		} else {
			queue_remove(f, op);
		}
	}
	while ((file = map_next(&f->fds, &pos, NULL)) != NULL)
		file_unref(f->pool, file);
	map_free(&f->fds);
	ev_timer_free(&f->stuck_timer);
	agent_wait_cancel(&f->wait);
	free(f);
}
