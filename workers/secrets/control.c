/*
 * control: the administrator's socket. Requests are one JSON object a line,
 * answered by one line each. Only root, the daemon's own user and members of
 * controlGroup are served; the kernel says who they are.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "workers/secrets/secrets.h"

enum {
	MAX_CONNS = 16,
	MAX_LINE_BYTES = 65536,
	MAX_REPLY_BYTES = 4 << 20,
	IDLE_MS = 30000,
	MAX_PEER_GROUPS = 256,
};

struct conn {
	struct list node;
	struct sec *sec;
	int fd;
	struct ev_io *io;
	struct ev_timer *idle;
	struct buf in;
	struct buf out;
	bool last; /* close when out is written */
};

static void
conn_free(struct conn *c)
{
	list_remove(&c->node);
	c->sec->n_control_conns--;
	ev_io_free(&c->io);
	ev_timer_free(&c->idle);
	close(c->fd);
	buf_free(&c->in);
	sec_buf_wipe(&c->out); /* a token may have been in it */
	free(c);
}

static bool
in_group(int fd, const struct ucred *cred, uint32_t gid)
{
	gid_t groups[MAX_PEER_GROUPS];
	socklen_t n = sizeof(groups);

	if (gid == UINT32_MAX)
		return false;
	if (cred->gid == gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) != 0)
		return false;
	for (size_t i = 0; i < n / sizeof(groups[0]); i++) {
		if (groups[i] == gid)
			return true;
	}
	return false;
}

static bool
may_ask(const struct sec *sec, int fd, struct ucred *cred)
{
	socklen_t n = sizeof(*cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &n) != 0)
		return false;
	return cred->uid == 0 || in_group(fd, cred, sec->control_gid) ||
	       /* a daemon that was not started by root serves its user */
	       (sec->w->uid == 0 && cred->uid == getuid());
}

static void
add_reply(struct conn *c, cJSON *reply)
{
	if (reply == NULL || json_print(reply, &c->out) != 0 ||
	    buf_append(&c->out, "\n", 1) != 0)
		c->last = true;
	cJSON_Delete(reply);
}

static void
refuse(struct conn *c, const char *text)
{
	cJSON *reply = cJSON_CreateObject();

	cJSON_AddBoolToObject(reply, "ok", false);
	cJSON_AddStringToObject(reply, "error", text);
	add_reply(c, reply);
	c->last = true;
}

/* Whole lines of c->in, as long as their answers have room. */
static void
answer(struct conn *c)
{
	while (!c->last && c->out.len < MAX_LINE_BYTES) {
		const uint8_t *p = buf_data(&c->in);
		const uint8_t *end = memchr(p, '\n', c->in.len);

		if (end == NULL) {
			if (c->in.len >= MAX_LINE_BYTES)
				refuse(c, "the request is too long");
			return;
		}
		add_reply(
		    c, sec_control_do(c->sec, (char *)p, (size_t)(end - p)));
		buf_consume(&c->in, (size_t)(end - p) + 1);
	}
}

/* False: the peer is gone. */
static bool
take_input(struct conn *c)
{
	ssize_t n;

	if (buf_reserve(&c->in, 4096) != 0)
		return false;
	n = read(c->fd, buf_tail(&c->in), 4096);
	if (n > 0)
		buf_commit(&c->in, (size_t)n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool
give_output(struct conn *c)
{
	ssize_t n;

	if (c->out.len == 0)
		return true;
	n = send(c->fd, buf_data(&c->out), c->out.len, MSG_NOSIGNAL);
	if (n > 0)
		buf_consume(&c->out, (size_t)n);
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static void
on_ready(void *arg, int ready)
{
	struct conn *c = arg;

	if ((ready & EV_WANT_READ) != 0 && !take_input(c)) {
		conn_free(c);
		return;
	}
	answer(c);
	if (!give_output(c) || (c->last && c->out.len == 0)) {
		conn_free(c);
		return;
	}
	answer(c); /* room came back */
	ev_timer_set(c->idle, IDLE_MS);
	(void)ev_io_want(c->io,
	    (c->last || c->out.len >= MAX_LINE_BYTES ? 0 : EV_WANT_READ) |
		(c->out.len > 0 ? EV_WANT_WRITE : 0));
}

static void
on_idle(void *arg)
{
	conn_free(arg);
}

/* Takes fd. */
static void
conn_new(struct sec *sec, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct ucred cred = {0};

	if (c == NULL) {
		close(fd);
		return;
	}
	c->sec = sec;
	c->fd = fd;
	list_init(&c->node);
	list_push(&sec->control_conns, &c->node);
	sec->n_control_conns++;
	buf_init(&c->in, MAX_LINE_BYTES + 4096);
	buf_init(&c->out, MAX_REPLY_BYTES);
	c->io = ev_io_new(sec->w->loop, fd, on_ready, c);
	c->idle = ev_timer_new(sec->w->loop, on_idle, c);
	if (c->io == NULL || c->idle == NULL) {
		conn_free(c);
		return;
	}
	if (!may_ask(sec, fd, &cred)) {
		log_warn("control: refused uid=%u", (unsigned)cred.uid);
		refuse(c, "only root and members of the control group may ask "
			  "this; see controlGroup in tributaryd.yaml");
	}
	ev_timer_set(c->idle, IDLE_MS);
	(void)ev_io_want(c->io, c->last ? EV_WANT_WRITE : EV_WANT_READ);
}

static void
on_listener(void *arg, int ready)
{
	struct sec *sec = arg;

	(void)ready;
	for (;;) {
		int fd = accept4(
		    sec->control_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return; /* none left; anything else comes again */
		if (sec->n_control_conns >= MAX_CONNS)
			close(fd);
		else
			conn_new(sec, fd);
	}
}

int
sec_control_listen(struct sec *sec, int fd, struct err *e)
{
	sec_control_stop(sec);
	sec->control_fd = fd;
	sec->control_io = ev_io_new(sec->w->loop, fd, on_listener, sec);
	if (sec->control_io == NULL)
		return err_nomem(e);
	return ev_io_want(sec->control_io, EV_WANT_READ);
}

void
sec_control_stop(struct sec *sec)
{
	ev_io_free(&sec->control_io);
	if (sec->control_fd >= 0)
		close(sec->control_fd);
	sec->control_fd = -1;
	LIST_FOR_EACH_SAFE (node, &sec->control_conns)
		conn_free(LIST_ENTRY(node, struct conn, node));
}
