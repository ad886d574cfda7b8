/* How an outgoing connection comes to be. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/client.h"
#include "agent/errkind.h"
#include "agent/out_addr.h"
#include "agent/out_conn.h"
#include "agent/path.h"
#include "agent/pool.h"

static void v1_next(struct outgoing *o, enum out_kind kind);

/*
 * connect(2) to a unix socket waits while the listener's queue is full, and
 * the path may lead anywhere: so it is done on a thread.
 */
struct out_unix_job {
	struct pool_job job;
	struct out_conn *conn; /* NULL: nobody waits any more */
	int root_fd;
	int type;
	bool abstract;
	size_t len;
	char *text; /* owned; NUL-terminated */
	int fd;
	int errnum;
};

void
out_conn_free(struct out_conn *c)
{
	struct outgoing *o = c->o;

	if (c->state == OUT_OPEN)
		map_del(&o->conns[c->kind], c->id);
	if (c->job != NULL) {
		c->job->conn = NULL;
		pool_cancel(o->client->agent->pool, &c->job->job);
	}
	if (o->v1_now[c->kind] == c)
		o->v1_now[c->kind] = NULL;
	list_remove(&c->link);
	list_remove(&c->v1_link);
	agent_wait_cancel(&c->wait);
	ev_io_free(&c->io);
	ev_timer_free(&c->timer);
	if (c->fd >= 0)
		close(c->fd);
	if (c->blocked)
		agent_client_release(o->client);
	out_count(o, -(ssize_t)c->out.len);
	o->count--;
	buf_free(&c->out);
	free(c->text);
	free(c);
}

/* ---- results ---- */

static void
failed(struct out_conn *c, const struct pm_ResponseError *e)
{
	struct outgoing *o = c->o;
	enum out_kind kind = c->kind;
	bool v1 = !c->v2;

	out_send_failed(c, e);
	out_conn_free(c);
	if (v1)
		v1_next(o, kind);
}

static void
failed_errno(struct out_conn *c, int errnum)
{
	struct pm_ResponseError e = errkind_io(errnum);

	failed(c, &e);
}

static void
failed_kind(struct out_conn *c, uint32_t kind)
{
	struct pm_ResponseError e = errkind_plain(kind);

	failed(c, &e);
}

static void
connected(struct out_conn *c)
{
	struct outgoing *o = c->o;
	enum out_kind kind = c->kind;
	bool v1 = !c->v2;

	if (out_conn_open(c) < 0) {
		failed_errno(c, ENOMEM);
		return;
	}
	if (v1)
		o->v1_now[kind] = NULL;
	out_send_connected(c);
	if (v1)
		v1_next(o, kind);
}

/* ---- IP ---- */

static void
on_connect_io(void *arg, int ready)
{
	struct out_conn *c = arg;
	int errnum = 0;
	socklen_t n = sizeof(errnum);

	(void)ready;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &errnum, &n) < 0)
		errnum = errno;
	if (errnum != 0)
		failed_errno(c, errnum);
	else
		connected(c);
}

static void
on_connect_timeout(void *arg)
{
	failed_kind(arg, PM_ErrorKindInternal_TimedOut);
}

static void
connect_ip(struct out_conn *c)
{
	struct ev_loop *loop = c->o->client->agent->loop;
	int type = c->kind == OUT_TCP ? SOCK_STREAM : SOCK_DGRAM, one = 1;

	c->fd = socket(c->ip.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0) {
		failed_errno(c, errno);
		return;
	}
	if (c->kind == OUT_TCP)
		(void)setsockopt(
		    c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&c->ip, c->ip_len) == 0) {
		connected(c);
		return;
	}
	if (errno != EINPROGRESS) {
		failed_errno(c, errno);
		return;
	}
	c->io = ev_io_new(loop, c->fd, on_connect_io, c);
	c->timer = ev_timer_new(loop, on_connect_timeout, c);
	if (c->io == NULL || c->timer == NULL ||
	    ev_io_want(c->io, EV_WANT_WRITE) < 0) {
		failed_errno(c, ENOMEM);
		return;
	}
	ev_timer_set(c->timer, OUT_CONNECT_MS);
}

/* ---- unix, on a thread ---- */

static socklen_t
unix_addr(struct out_unix_job *j, int path_fd, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (!j->abstract) {
		path_of_fd(path_fd, un->sun_path, sizeof(un->sun_path));
		return sizeof(*un);
	}
	if (j->len > sizeof(un->sun_path) - 1)
		return 0;
	memcpy(un->sun_path + 1, j->text, j->len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + j->len);
}

static int
unix_connect(struct out_unix_job *j, int path_fd)
{
	struct timeval limit = {.tv_sec = OUT_CONNECT_MS / 1000};
	struct sockaddr_un un;
	socklen_t len = unix_addr(j, path_fd, &un);

	if (len == 0)
		return ENAMETOOLONG;
	j->fd = socket(AF_UNIX, j->type | SOCK_CLOEXEC, 0);
	if (j->fd < 0)
		return errno;
	(void)setsockopt(j->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(j->fd, (struct sockaddr *)&un, len) < 0)
		return errno;
	return 0;
}

static void
unix_run(struct pool_job *job)
{
	struct out_unix_job *j = LIST_ENTRY(job, struct out_unix_job, job);
	struct path_at at = {j->root_fd, PATH_NO_DIR};
	int path_fd = -1;

	if (!j->abstract) {
		path_fd = path_open(&at, j->text, O_PATH, 0);
		if (path_fd < 0) {
			j->errnum = -path_fd;
			return;
		}
	}
	j->errnum = unix_connect(j, path_fd);
	if (path_fd >= 0)
		close(path_fd);
}

static void
unix_done(struct pool_job *job)
{
	struct out_unix_job *j = LIST_ENTRY(job, struct out_unix_job, job);
	struct out_conn *c = j->conn;
	struct timeval none = {0};
	int flags;

	if (c == NULL || j->errnum != 0) {
		if (j->fd >= 0)
			close(j->fd);
		if (c != NULL)
			c->job = NULL;
		if (c != NULL && j->errnum == EAGAIN) /* SO_SNDTIMEO */
			failed_kind(c, PM_ErrorKindInternal_TimedOut);
		else if (c != NULL)
			failed_errno(c, j->errnum);
	} else {
		c->job = NULL;
		c->fd = j->fd;
		(void)setsockopt(
		    c->fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
		flags = fcntl(c->fd, F_GETFL);
		if (flags < 0 || fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) < 0)
			failed_errno(c, errno);
		else
			connected(c);
	}
	free(j->text);
	free(j);
}

static void
connect_unix(struct out_conn *c)
{
	struct agent *a = c->o->client->agent;
	struct out_unix_job *j = calloc(1, sizeof(*j));

	if (j == NULL) {
		failed_errno(c, ENOMEM);
		return;
	}
	j->conn = c;
	j->root_fd = a->root_fd;
	j->type = c->kind == OUT_SEQ ? SOCK_SEQPACKET : SOCK_STREAM;
	j->abstract = c->abstract;
	j->len = c->text_len;
	j->text = c->text;
	j->fd = -1;
	c->text = NULL;
	j->job.run = unix_run;
	j->job.done = unix_done;
	if (pool_submit(a->pool, &j->job) < 0) {
		free(j->text);
		free(j);
		failed_errno(c, ENOMEM);
		return;
	}
	c->job = j;
}

/* ---- start ---- */

static void
conn_start(struct out_conn *c)
{
	c->state = OUT_CONNECTING;
	if (!c->v2)
		c->o->v1_now[c->kind] = c;
	if (c->refused != 0)
		failed_errno(c, c->refused);
	else if (c->ip_len > 0 && c->kind != OUT_SEQ)
		connect_ip(c);
	else if (c->text != NULL && c->kind != OUT_UDP)
		connect_unix(c);
	else /* unnamed, or a family that this kind has not */
		failed_kind(c, PM_ErrorKindInternal_Other);
}

/*
 * The answers to old connects carry no id, so they are done one by one. A
 * loop, since each may be decided at once.
 */
static void
v1_next(struct outgoing *o, enum out_kind kind)
{
	if (o->v1_busy[kind])
		return;
	o->v1_busy[kind] = true;
	while (o->v1_now[kind] == NULL && !list_empty(&o->v1[kind])) {
		struct out_conn *c =
		    LIST_ENTRY(o->v1[kind].next, struct out_conn, v1_link);

		list_remove(&c->v1_link);
		conn_start(c);
	}
	o->v1_busy[kind] = false;
}

static int
set_where(struct out_conn *c, const struct pm_SocketAddress *to)
{
	const struct pm_UnixAddr *u = &to->u.Unix;
	const void *p;

	c->ip_len = out_addr_ip(to, &c->ip);
	if (c->ip_len > 0 || u->tag == PM_UnixAddr_Unnamed)
		return 0;
	c->abstract = u->tag == PM_UnixAddr_Abstract;
	p = c->abstract ? (const void *)u->u.Abstract.p : u->u.Pathname.p;
	c->text_len = c->abstract ? u->u.Abstract.n : u->u.Pathname.n;
	if (c->text_len >= PATH_MAX)
		return -ENAMETOOLONG;
	c->text = calloc(1, c->text_len + 1);
	if (c->text == NULL)
		return -ENOMEM;
	if (c->text_len > 0)
		memcpy(c->text, p, c->text_len);
	if (!c->abstract && strlen(c->text) != c->text_len)
		return -EINVAL;
	return 0;
}

void
out_connect(struct outgoing *o, enum out_kind kind, bool v2, struct pm_uid uid,
    const struct pm_SocketAddress *to)
{
	struct out_conn *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL) {
		client_end(o->client, NULL); /* an answer is owed */
		return;
	}
	c->o = o;
	c->kind = kind;
	c->v2 = v2;
	c->uid = uid;
	c->fd = -1;
	list_init(&c->v1_link);
	list_init(&c->wait.link);
	list_push(&o->all, &c->link);
	o->count++;
	rc = o->count > OUT_CONNS_MAX ? -EMFILE : set_where(c, to);
	c->refused = -rc;
	if (v2) {
		conn_start(c);
		return;
	}
	list_push(&o->v1[kind], &c->v1_link);
	v1_next(o, kind);
}
