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
	struct list node; /* in the set's lingering */
	struct cli_socks *set;
	struct ev_io *io;
	struct ev_timer *timer; /* next try; or no progress */
	int fd;                 /* -1 between two tries */
	bool connecting;
	bool paused;
	bool eof;  /* read side is over */
	bool shut; /* write side ends when the queue is empty */
	bool shut_done;
	bool full;
	bool lingering;
	uint16_t port; /* of a dial */
	bool v6;
	unsigned tries;
	struct buf out;
	const struct cli_sock_ops *ops;
	void *arg;
};

static void sock_ready(void *arg, int ready);

void
cli_socks_init(struct cli_socks *set, struct ev_loop *loop)
{
	set->loop = loop;
	list_init(&set->lingering);
}

void
cli_socks_free(struct cli_socks *set)
{
	LIST_FOR_EACH_SAFE (node, &set->lingering) {
		struct cli_sock *s = LIST_ENTRY(node, struct cli_sock, node);

		cli_sock_free(&s);
	}
}

static void
sock_want(struct cli_sock *s)
{
	int want = 0;

	if (s->io == NULL)
		return;
	if (s->connecting || s->out.len > 0 || (s->shut && !s->shut_done))
		want |= EV_WANT_WRITE;
	if (!s->connecting && !s->eof && !s->paused)
		want |= EV_WANT_READ;
	ev_io_want(s->io, want);
}

static void
sock_disconnect(struct cli_sock *s)
{
	ev_io_free(&s->io);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* s may be gone afterwards. */
static void
sock_over(struct cli_sock *s, int errnum)
{
	sock_disconnect(s);
	ev_timer_cancel(s->timer);
	s->ops->on_close(s->arg, errnum);
}

/* ---- reading and writing: s may be gone after any of these */

static void
sock_readable(struct cli_sock *s)
{
	uint8_t bytes[CLI_SOCK_READ_BYTES];
	ssize_t n = recv(s->fd, bytes, sizeof(bytes), 0);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			sock_over(s, errno);
		return;
	}
	if (n > 0) {
		s->ops->on_data(s->arg, bytes, (size_t)n);
		return;
	}
	s->eof = true;
	sock_want(s);
	/* The owner may free it in on_eof: the end follows from the loop. */
	if (s->shut_done)
		ev_timer_set(s->timer, 0);
	s->ops->on_eof(s->arg);
}

/* The errno of what went wrong, 0. */
static int
sock_flush(struct cli_sock *s)
{
	while (s->out.len > 0) {
		ssize_t n =
		    send(s->fd, buf_data(&s->out), s->out.len, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : errno;
		buf_consume(&s->out, (size_t)n);
		if (ev_timer_armed(s->timer)) /* progress */
			ev_timer_set(s->timer, CLI_SOCK_STALL_MS);
	}
	if (s->shut && !s->shut_done) {
		shutdown(s->fd, SHUT_WR);
		s->shut_done = true;
	}
	return 0;
}

static void
sock_writable(struct cli_sock *s)
{
	int why = sock_flush(s);

	if (why != 0 || (s->shut_done && s->eof)) {
		sock_over(s, why);
		return;
	}
	sock_want(s);
	if (!s->full || s->out.len > CLI_SOCK_LOW_BYTES)
		return;
	s->full = false;
	if (!s->lingering)
		ev_timer_cancel(s->timer);
	if (s->ops->on_drained != NULL)
		s->ops->on_drained(s->arg);
}

/* ---- connecting */

static int
dial_socket(const struct cli_sock *s)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET,
	    .sin_port = htons(s->port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
	    .sin6_port = htons(s->port),
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(s->v6 ? AF_INET6 : AF_INET,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, rc;

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	rc = s->v6 ? connect(fd, (struct sockaddr *)&in6, sizeof(in6))
		   : connect(fd, (struct sockaddr *)&in4, sizeof(in4));
	if (rc < 0 && errno != EINPROGRESS) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

/*
 * The program may listen on either family, and not yet at all. A machine
 * without IPv6 fails there in ways of its own: only IPv4's answer counts.
 */
static void
dial_failed(struct cli_sock *s, int errnum)
{
	bool was_v6 = s->v6;

	sock_disconnect(s);
	if (!was_v6 && errnum != ECONNREFUSED) {
		sock_over(s, errnum);
		return;
	}
	if (was_v6 && ++s->tries >= CLI_SOCK_TRIES) {
		sock_over(s, ECONNREFUSED);
		return;
	}
	s->v6 = !was_v6;
	ev_timer_set(s->timer, was_v6 ? CLI_SOCK_RETRY_MS : 0);
}

static void
dial_try(struct cli_sock *s)
{
	int fd = dial_socket(s);

	if (fd < 0) {
		dial_failed(s, -fd);
		return;
	}
	s->fd = fd;
	s->io = ev_io_new(s->set->loop, fd, sock_ready, s);
	if (s->io == NULL)
		sock_over(s, ENOMEM);
	else
		sock_want(s);
}

static void
dial_ready(struct cli_sock *s)
{
	socklen_t n = sizeof(int);
	int why = 0;

	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &why, &n);
	if (why != 0) {
		dial_failed(s, why);
		return;
	}
	s->connecting = false;
	if (s->full || s->lingering)
		ev_timer_set(s->timer, CLI_SOCK_STALL_MS);
	sock_want(s);
}

static void
sock_ready(void *arg, int ready)
{
	struct cli_sock *s = arg;

	if (s->connecting)
		dial_ready(s);
	else if (ready & EV_WANT_WRITE)
		sock_writable(s);
	else
		sock_readable(s);
}

static void
sock_timer(void *arg)
{
	struct cli_sock *s = arg;

	if (s->connecting)
		dial_try(s);
	else
		sock_over(s, s->eof && s->shut_done ? 0 : ETIMEDOUT);
}

/* ---- life */

static struct cli_sock *
sock_alloc(struct cli_socks *set, const struct cli_sock_ops *ops, void *arg)
{
	struct cli_sock *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	list_init(&s->node);
	s->set = set;
	s->fd = -1;
	s->ops = ops;
	s->arg = arg;
	buf_init(&s->out, CLI_SOCK_QUEUE_BYTES);
	s->timer = ev_timer_new(set->loop, sock_timer, s);
	if (s->timer == NULL)
		cli_sock_free(&s);
	return s;
}

struct cli_sock *
cli_sock_new(
    struct cli_socks *set, int fd, const struct cli_sock_ops *ops, void *arg)
{
	struct cli_sock *s = sock_alloc(set, ops, arg);

	if (s == NULL) {
		close(fd);
		return NULL;
	}
	s->fd = fd;
	s->io = ev_io_new(set->loop, fd, sock_ready, s);
	if (s->io == NULL)
		cli_sock_free(&s);
	else
		sock_want(s);
	return s;
}

struct cli_sock *
cli_sock_dial(struct cli_socks *set, uint16_t port,
    const struct cli_sock_ops *ops, void *arg)
{
	struct cli_sock *s = sock_alloc(set, ops, arg);

	if (s == NULL)
		return NULL;
	s->port = port;
	s->connecting = true;
	ev_timer_set(s->timer, 0);
	return s;
}

void
cli_sock_free(struct cli_sock **s)
{
	if (*s == NULL)
		return;
	list_remove(&(*s)->node);
	sock_disconnect(*s);
	ev_timer_free(&(*s)->timer);
	buf_free(&(*s)->out);
	free(*s);
	*s = NULL;
}

static void
linger_data(void *arg, const uint8_t *p, size_t n)
{
	(void)arg;
	(void)p;
	(void)n;
}

static void
linger_eof(void *arg)
{
	(void)arg;
}

static void
linger_close(void *arg, int errnum)
{
	struct cli_sock *s = arg;

	(void)errnum;
	cli_sock_free(&s);
}

static const struct cli_sock_ops linger_ops = {
    .on_data = linger_data,
    .on_eof = linger_eof,
    .on_close = linger_close,
};

void
cli_sock_linger(struct cli_sock **sp)
{
	struct cli_sock *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	if (s->connecting && s->out.len == 0) {
		cli_sock_free(&s); /* nothing was ever said */
		return;
	}
	s->ops = &linger_ops;
	s->arg = s;
	list_push(&s->set->lingering, &s->node);
	s->paused = false;
	s->shut = s->lingering = true;
	if (!s->connecting) /* else the timer is the dial's until then */
		ev_timer_set(s->timer, CLI_SOCK_STALL_MS);
	sock_want(s);
}

int
cli_sock_write(struct cli_sock *s, const void *p, size_t n)
{
	int rc = buf_append(&s->out, p, n);

	if (rc < 0)
		return rc;
	if (!s->full && s->out.len > CLI_SOCK_HIGH_BYTES) {
		s->full = true;
		if (!s->connecting)
			ev_timer_set(s->timer, CLI_SOCK_STALL_MS);
	}
	sock_want(s);
	return 0;
}

void
cli_sock_shut(struct cli_sock *s)
{
	s->shut = true;
	sock_want(s);
}

bool
cli_sock_full(const struct cli_sock *s)
{
	return s->full;
}

void
cli_sock_pause(struct cli_sock *s, bool pause)
{
	s->paused = pause;
	sock_want(s);
}
