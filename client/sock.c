#include "config.h"

#include "client/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/err.h"

struct cli_sock {
	struct ev_loop *loop;
	struct ev_io *io;
	int fd;
	bool connecting;
	bool paused;
	bool eof;  /* read side is over */
	bool shut; /* write side ends when the queue is empty */
	bool shut_done;
	struct buf out;
	const struct cli_sock_ops *ops;
	void *arg;
};

static void
sock_want(struct cli_sock *s)
{
	int want = 0;

	if (s->connecting || s->out.len > 0 || (s->shut && !s->shut_done))
		want |= EV_WANT_WRITE;
	if (!s->connecting && !s->eof && !s->paused)
		want |= EV_WANT_READ;
	ev_io_want(s->io, want);
}

static void
sock_over(struct cli_sock *s, int errnum)
{
	ev_io_want(s->io, 0);
	s->ops->on_close(s->arg, errnum);
}

/* false: the socket is over, s may be gone. */
static bool
sock_readable(struct cli_sock *s)
{
	uint8_t bytes[CLI_SOCK_READ_BYTES];
	ssize_t n = recv(s->fd, bytes, sizeof(bytes), 0);

	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return true;
		sock_over(s, errno);
		return false;
	}
	if (n > 0) {
		s->ops->on_data(s->arg, bytes, (size_t)n);
		return false; /* the owner may have freed it */
	}
	s->eof = true;
	sock_want(s);
	if (s->shut_done)
		sock_over(s, 0);
	else
		s->ops->on_eof(s->arg);
	return false;
}

static bool
sock_writable(struct cli_sock *s)
{
	bool had = s->out.len > 0;
	ssize_t n;

	while (s->out.len > 0) {
		n = send(s->fd, buf_data(&s->out), s->out.len, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				return true;
			sock_over(s, errno);
			return false;
		}
		buf_consume(&s->out, (size_t)n);
	}
	if (s->shut && !s->shut_done) {
		shutdown(s->fd, SHUT_WR);
		s->shut_done = true;
		if (s->eof) {
			sock_over(s, 0);
			return false;
		}
	}
	sock_want(s);
	if (had && s->ops->on_drained != NULL) {
		s->ops->on_drained(s->arg);
		return false;
	}
	return true;
}

static bool
sock_connected(struct cli_sock *s)
{
	socklen_t n = sizeof(int);
	int why = 0;

	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &why, &n);
	if (why != 0) {
		sock_over(s, why);
		return false;
	}
	s->connecting = false;
	sock_want(s);
	if (s->ops->on_connected != NULL) {
		s->ops->on_connected(s->arg);
		return false;
	}
	return true;
}

static void
sock_ready(void *arg, int ready)
{
	struct cli_sock *s = arg;

	if (s->connecting) {
		sock_connected(s);
	} else if (ready & EV_WANT_WRITE) {
		if (sock_writable(s))
			sock_want(s);
	} else {
		sock_readable(s);
	}
}

int
cli_sock_connect_local(uint16_t port, bool v6)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
	    .sin6_port = htons(port),
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(v6 ? AF_INET6 : AF_INET,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, rc;

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	rc = v6 ? connect(fd, (struct sockaddr *)&in6, sizeof(in6))
		: connect(fd, (struct sockaddr *)&in4, sizeof(in4));
	if (rc < 0 && errno != EINPROGRESS) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

struct cli_sock *
cli_sock_new(struct ev_loop *loop, int fd, bool connecting,
    const struct cli_sock_ops *ops, void *arg)
{
	struct cli_sock *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->io = ev_io_new(loop, fd, sock_ready, s);
	if (s == NULL || s->io == NULL) {
		free(s);
		close(fd);
		return NULL;
	}
	s->loop = loop;
	s->fd = fd;
	s->connecting = connecting;
	s->ops = ops;
	s->arg = arg;
	buf_init(&s->out, CLI_SOCK_QUEUE_BYTES);
	sock_want(s);
	return s;
}

void
cli_sock_free(struct cli_sock **s)
{
	if (*s == NULL)
		return;
	ev_io_free(&(*s)->io);
	close((*s)->fd);
	buf_free(&(*s)->out);
	free(*s);
	*s = NULL;
}

int
cli_sock_write(struct cli_sock *s, const void *p, size_t n)
{
	int rc = buf_append(&s->out, p, n);

	if (rc == 0)
		sock_want(s);
	return rc;
}

void
cli_sock_shut(struct cli_sock *s)
{
	s->shut = true;
	sock_want(s);
}

size_t
cli_sock_queued(const struct cli_sock *s)
{
	return s->out.len;
}

void
cli_sock_pause(struct cli_sock *s, bool pause)
{
	s->paused = pause;
	sock_want(s);
}
