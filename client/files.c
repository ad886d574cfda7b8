#include "config.h"

#include "client/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/remote_err.h"

enum { FILE_PIECE_BYTES = 65536 };

struct fetch {
	struct cli_session *session;
	char *remote, *local, *temp; /* owned */
	int fd;
	uint64_t remote_fd;
	bool open;
	cli_file_fn *fn;
	void *arg;
};

static void fetch_read(struct fetch *f);

static void
fetch_free(struct fetch *f)
{
	if (f->fd >= 0) {
		close(f->fd);
		if (f->temp != NULL)
			unlink(f->temp);
	}
	free(f->remote);
	free(f->local);
	free(f->temp);
	free(f);
}

static void
fetch_close_remote(struct fetch *f)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_FileRequest};

	if (!f->open)
		return;
	f->open = false;
	m.u.FileRequest.tag = PM_FileRequest_Close;
	m.u.FileRequest.u.Close.fd = f->remote_fd;
	cli_session_send(f->session, &m);
}

static void
fetch_done(struct fetch *f, const struct err *e)
{
	cli_file_fn *fn = f->fn;
	void *arg = f->arg;
	struct err copy;
	bool ok = e == NULL;

	if (e != NULL)
		copy = *e;
	fetch_close_remote(f);
	if (ok && rename(f->temp, f->local) < 0) {
		err_sys(&copy, errno, "%s", f->local);
		ok = false;
	}
	if (ok) { /* nothing is left to remove */
		close(f->fd);
		f->fd = -1;
	}
	fetch_free(f);
	fn(arg, ok ? NULL : &copy);
}

static void
fetch_lost(struct fetch *f)
{
	struct err e;

	f->open = false;
	err_set(&e, ERR_CLOSED, "%s: the connection was lost", f->remote);
	fetch_done(f, &e);
}

/* why NULL: the answer is not one to this question. */
static void
fetch_fail(struct fetch *f, const struct pm_ResponseError *why)
{
	struct err e;

	if (why == NULL)
		err_set(&e, ERR_INVALID, "%s: the operator mixes up files",
		    f->remote);
	else
		cli_remote_error(why, f->remote, &e);
	fetch_done(f, &e);
}

/* The errno of what failed, 0. */
static int
write_all(int fd, struct span bytes)
{
	while (bytes.n > 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno != EINTR)
			return errno;
		if (n > 0) {
			bytes.p += n;
			bytes.n -= (size_t)n;
		}
	}
	return 0;
}

static void
fetch_piece(void *arg, const struct pm_DaemonMessage *m)
{
	struct fetch *f = arg;
	struct err e;
	int why;

	if (m == NULL) {
		fetch_lost(f);
		return;
	}
	if (m->u.File.tag != PM_FileResponse_Read) {
		fetch_fail(f, NULL);
		return;
	}
	if (m->u.File.u.Read.tag != PM_OK) {
		fetch_fail(f, &m->u.File.u.Read.u.Err);
		return;
	}
	if (m->u.File.u.Read.u.Ok.bytes.n == 0) {
		fetch_done(f, NULL);
		return;
	}
	why = write_all(f->fd, m->u.File.u.Read.u.Ok.bytes);
	if (why == 0) {
		fetch_read(f);
		return;
	}
	err_sys(&e, why, "%s", f->local);
	fetch_done(f, &e);
}

static void
fetch_read(struct fetch *f)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_FileRequest};

	m.u.FileRequest.tag = PM_FileRequest_Read;
	m.u.FileRequest.u.Read.remote_fd = f->remote_fd;
	m.u.FileRequest.u.Read.buffer_size = FILE_PIECE_BYTES;
	if (cli_session_ask(f->session, CLI_Q_FILE, &m, fetch_piece, f) < 0)
		fetch_lost(f);
}

static void
fetch_opened(void *arg, const struct pm_DaemonMessage *m)
{
	struct fetch *f = arg;

	if (m == NULL) {
		fetch_lost(f);
		return;
	}
	if (m->u.File.tag != PM_FileResponse_Open) {
		fetch_fail(f, NULL);
		return;
	}
	if (m->u.File.u.Open.tag != PM_OK) {
		fetch_fail(f, &m->u.File.u.Open.u.Err);
		return;
	}
	f->open = true;
	f->remote_fd = m->u.File.u.Open.u.Ok.fd;
	fetch_read(f);
}

int
cli_file_fetch(struct cli_session *s, const char *remote, const char *local,
    cli_file_fn *fn, void *arg, struct err *e)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_FileRequest};
	struct fetch *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return err_nomem(e);
	*f = (struct fetch){.session = s, .fd = -1, .fn = fn, .arg = arg};
	f->remote = strdup(remote);
	f->local = strdup(local);
	if (asprintf(&f->temp, "%s.%d.tmp", local, (int)getpid()) < 0)
		f->temp = NULL;
	if (f->remote == NULL || f->local == NULL || f->temp == NULL) {
		fetch_free(f);
		return err_nomem(e);
	}
	f->fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (f->fd < 0) {
		rc = err_sys(e, errno, "%s", f->temp);
		fetch_free(f);
		return rc;
	}
	m.u.FileRequest.tag = PM_FileRequest_Open;
	m.u.FileRequest.u.Open.path = pm_str(remote);
	m.u.FileRequest.u.Open.open_options.read = true;
	rc = cli_session_ask(s, CLI_Q_FILE, &m, fetch_opened, f);
	if (rc < 0) {
		fetch_free(f);
		return err_set(e, ERR_CLOSED, "the connection was lost");
	}
	return 0;
}
