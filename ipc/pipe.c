#include "config.h"

#include "ipc/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PIPE_KEEP_BYTES = 256 << 10, /* a larger empty buffer is given back */
	PIPE_CMSG_FDS = 16,          /* received at most, to be closed */
};

struct out_fds {
	struct list link;
	uint64_t at; /* position of its frame in everything ever queued */
	unsigned n;
	int fds[IPC_MAX_FDS];
};

static int
fd_prepare(int fd)
{
	int fl = fcntl(fd, F_GETFL);

	if (fl < 0 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -ERR_SYS;
	return 0;
}

int
ipc_pipe_init(
    struct ipc_pipe *p, struct ev_loop *loop, int fd, ev_io_fn *fn, void *arg)
{
	memset(p, 0, sizeof(*p));
	p->fd = fd;
	list_init(&p->out_fds);
	buf_init(&p->in,
	    IPC_HEADER_BYTES + IPC_MAX_PAYLOAD_BYTES + IPC_PIPE_CHUNK_BYTES);
	buf_init(&p->out, IPC_QUEUE_MAX_BYTES);
	if (fd_prepare(fd) < 0)
		return -ERR_SYS;
	p->io = ev_io_new(loop, fd, fn, arg);
	if (p->io == NULL)
		return -ERR_NOMEM;
	return ev_io_want(p->io, EV_WANT_READ);
}

static void
out_fds_free(struct out_fds *o)
{
	list_remove(&o->link);
	for (unsigned i = 0; i < o->n; i++)
		close(o->fds[i]);
	free(o);
}

void
ipc_pipe_deinit(struct ipc_pipe *p)
{
	if (p->fd < 0)
		return;
	LIST_FOR_EACH_SAFE (node, &p->out_fds)
		out_fds_free(LIST_ENTRY(node, struct out_fds, link));
	for (unsigned i = 0; i < p->n_in_fds; i++)
		close(p->in_fds[i]);
	p->n_in_fds = 0;
	ev_io_free(&p->io);
	buf_free(&p->in);
	buf_free(&p->out);
	close(p->fd);
	p->fd = -1;
}

/* Keeps what fits, closes the rest. */
static int
recv_fds(struct ipc_pipe *p, struct msghdr *msg, struct err *e)
{
	bool over = (msg->msg_flags & MSG_CTRUNC) != 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL;
	     c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(
			    &fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (p->n_in_fds < IPC_PIPE_FDS) {
				p->in_fds[p->n_in_fds++] = fd;
				continue;
			}
			close(fd);
			over = true;
		}
	}
	if (over)
		return err_set(e, ERR_INVALID,
		    "more descriptors came than any frame may carry");
	return 0;
}

int
ipc_pipe_recv(struct ipc_pipe *p, struct err *e)
{
	union {
		char space[CMSG_SPACE(PIPE_CMSG_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_len = IPC_PIPE_CHUNK_BYTES};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	ssize_t n;
	int rc = buf_reserve(&p->in, IPC_PIPE_CHUNK_BYTES);

	if (rc < 0)
		return err_set(e, (enum err_code) - rc, "no room to read");
	iov.iov_base = buf_tail(&p->in);
	n = recvmsg(p->fd, &msg, MSG_CMSG_CLOEXEC);
	/* It ended with something of ours unread. That is told once and is no
	 * fault; what it wrote before is still there, then the end of file. */
	if (n < 0 && errno == ECONNRESET)
		n = recvmsg(p->fd, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return err_sys(e, errno, "cannot read"), -ERR_CLOSED;
	rc = recv_fds(p, &msg, e);
	if (rc < 0)
		return rc;
	if (n == 0)
		return err_set(e, ERR_CLOSED, IPC_WHY_CLOSED);
	buf_commit(&p->in, (size_t)n);
	return 1;
}

static struct out_fds *
out_fds_new(const int *fds, unsigned n, uint64_t at)
{
	struct out_fds *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	list_init(&o->link);
	o->at = at;
	for (; o->n < n; o->n++) {
		o->fds[o->n] = fcntl(fds[o->n], F_DUPFD_CLOEXEC, 3);
		if (o->fds[o->n] < 0) {
			out_fds_free(o);
			return NULL;
		}
	}
	return o;
}

int
ipc_pipe_queue(struct ipc_pipe *p, const struct ipc_spec *spec, uint8_t flags,
    uint32_t session, uint32_t stream, const void *payload, const int *fds,
    unsigned n_fds, struct err *e)
{
	struct out_fds *o = NULL;
	int rc;

	if (n_fds > 0) {
		o = out_fds_new(fds, n_fds, p->sent_bytes + p->out.len);
		if (o == NULL)
			return err_sys(e, errno,
			    "%s: cannot duplicate descriptors", spec->name);
	}
	rc = ipc_frame_write(
	    spec, flags, (uint8_t)n_fds, session, stream, payload, &p->out, e);
	if (rc < 0) {
		if (o != NULL)
			out_fds_free(o);
		return rc;
	}
	if (o != NULL)
		list_push(&p->out_fds, &o->link);
	return 0;
}

/* One sendmsg: up to the next frame with descriptors, or that frame's start
 * with its descriptors. */
static ssize_t
pipe_send(struct ipc_pipe *p)
{
	union {
		char space[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {buf_data(&p->out), p->out.len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct out_fds *o = NULL, *next = NULL;
	ssize_t n;

	LIST_FOR_EACH (node, &p->out_fds) {
		struct out_fds *x = LIST_ENTRY(node, struct out_fds, link);

		if (x->at == p->sent_bytes) {
			o = x;
			continue;
		}
		next = x;
		break;
	}
	if (next != NULL)
		iov.iov_len = (size_t)(next->at - p->sent_bytes);
	if (o != NULL) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(o->n * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(o->n * sizeof(int));
		memcpy(CMSG_DATA(c), o->fds, o->n * sizeof(int));
	}
	n = sendmsg(p->fd, &msg, MSG_NOSIGNAL);
	if (n > 0 && o != NULL)
		out_fds_free(o);
	return n;
}

int
ipc_pipe_flush(struct ipc_pipe *p)
{
	while (p->out.len > 0) {
		ssize_t n = pipe_send(p);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS ||
				 errno == ETOOMANYREFS))
			return ev_io_want(p->io, EV_WANT_READ | EV_WANT_WRITE) <
				       0
				   ? -ERR_CLOSED
				   : 1;
		if (n < 0)
			return -ERR_CLOSED;
		p->sent_bytes += (uint64_t)n;
		buf_consume(&p->out, (size_t)n);
	}
	if (p->out.cap > PIPE_KEEP_BYTES)
		buf_free(&p->out);
	if (ev_io_wants(p->io) != EV_WANT_READ)
		return ev_io_want(p->io, EV_WANT_READ);
	return 0;
}
