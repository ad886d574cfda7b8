#include "config.h"

#include "agent/control_sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/control.h"
#include "lib/log.h"

enum { FDS_MAX = 4 }; /* one is allowed; more are closed */

struct control {
	int fd;
	struct ev_io *io;
	const struct control_cbs *cbs;
	void *arg;
};

void
control_say(int fd, int type, const char *text)
{
	char packet[AGENT_CONTROL_MAX_BYTES];
	size_t n = strlen(text);

	if (n > sizeof(packet) - 1)
		n = sizeof(packet) - 1;
	packet[0] = (char)type;
	memcpy(packet + 1, text, n);
	if (send(fd, packet, n + 1, MSG_NOSIGNAL) < 0)
		log_warn("the supervisor cannot be told: %s", text);
}

/* Descriptors that came with a packet: how many, the first in *fd_r. */
static int
take_fds(struct msghdr *mh, int *fd_r)
{
	int count = 0;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm != NULL;
	     cm = CMSG_NXTHDR(mh, cm)) {
		size_t n;

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(
			    &fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
			if (count++ == 0)
				*fd_r = fd;
			else
				close(fd);
		}
	}
	return count;
}

static bool
is_stream(int fd)
{
	int type = 0;
	socklen_t n = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
	       type == SOCK_STREAM;
}

/* False: the supervisor broke the contract. */
static bool
take_packet(struct control *c, uint8_t type, int count, int fd)
{
	int flags;

	if (type == AGENT_CONTROL_CLIENT && count == 1 && is_stream(fd)) {
		flags = fcntl(fd, F_GETFL);
		if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) {
			c->cbs->on_client(c->arg, fd);
			return true;
		}
	}
	if (count > 0)
		close(fd);
	log_error("bad packet from the supervisor type=%u descriptors=%d", type,
	    count);
	return false;
}

static void
on_io(void *arg, int ready)
{
	struct control *c = arg;
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	uint8_t packet[AGENT_CONTROL_MAX_BYTES];
	struct iovec iov = {packet, sizeof(packet)};
	struct msghdr mh = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = ctl.bytes,
	    .msg_controllen = sizeof(ctl.bytes)};
	int fd = -1, count;
	ssize_t n;

	(void)ready;
	n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	count = n < 0 ? 0 : take_fds(&mh, &fd);
	if (n > 0 && take_packet(c, packet[0], count, fd))
		return;
	if (n <= 0 && count > 0)
		close(fd);
	(void)ev_io_want(c->io, 0);
	c->cbs->on_end(c->arg);
}

struct control *
control_new(struct ev_loop *loop, int fd, const struct control_cbs *cbs,
    void *arg, struct err *e)
{
	struct control *c;
	int type = 0;
	socklen_t n = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 ||
	    type != SOCK_SEQPACKET) {
		err_set(e, ERR_INVALID,
		    "Descriptor %d (--control-fd) is not a SOCK_SEQPACKET "
		    "socket.",
		    fd);
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL) {
		err_nomem(e);
		return NULL;
	}
	c->fd = fd;
	c->cbs = cbs;
	c->arg = arg;
	c->io = ev_io_new(loop, fd, on_io, c);
	if (c->io == NULL) {
		control_free(&c);
		err_nomem(e);
	}
	return c;
}

int
control_start(struct control *c)
{
	return ev_io_want(c->io, EV_WANT_READ);
}

void
control_free(struct control **c)
{
	if (*c == NULL)
		return;
	ev_io_free(&(*c)->io);
	free(*c);
	*c = NULL;
}
