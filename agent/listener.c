#include "config.h"

#include "agent/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"

enum { BACKLOG = 1024, RETRY_MS = 100 };

struct listener {
	int fd;
	struct ev_io *io;
	struct ev_timer *retry;
	listener_fn *fn;
	void *arg;
};

static int
open_family(int family, uint16_t port)
{
	struct sockaddr_in v4 = {
	    .sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {
	    .sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd, on = 1, off = 0, rc;

	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	rc = family == AF_INET6 ? bind(fd, (struct sockaddr *)&v6, sizeof(v6))
				: bind(fd, (struct sockaddr *)&v4, sizeof(v4));
	if (rc < 0 || listen(fd, BACKLOG) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int
listener_open(uint16_t port, int *fd_r, struct err *e)
{
	int fd = open_family(AF_INET6, port);

	if (fd < 0 && errno != EADDRINUSE)
		fd = open_family(AF_INET, port);
	if (fd < 0)
		return err_sys(e, errno,
		    "Cannot listen on port %u; choose another with -l", port);
	*fd_r = fd;
	return 0;
}

/*
 * A client's host that vanishes would keep the redirects for ever: probe
 * after 30 s of silence, give up after 30 s more.
 */
static void
set_options(int fd)
{
	static const struct {
		int level, name, value;
	} opts[] = {
	    {IPPROTO_TCP, TCP_NODELAY, 1},
	    {SOL_SOCKET, SO_KEEPALIVE, 1},
	    {IPPROTO_TCP, TCP_KEEPIDLE, 30},
	    {IPPROTO_TCP, TCP_KEEPINTVL, 10},
	    {IPPROTO_TCP, TCP_KEEPCNT, 3},
	};

	for (size_t i = 0; i < sizeof(opts) / sizeof(*opts); i++)
		(void)setsockopt(fd, opts[i].level, opts[i].name,
		    &opts[i].value, sizeof(opts[i].value));
}

static void
on_io(void *arg, int ready)
{
	struct listener *l = arg;
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)ready;
	if (fd >= 0) {
		set_options(fd);
		l->fn(l->arg, fd);
		return;
	}
	if (errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
	    errno != ENOBUFS)
		return; /* that connection has gone; others may come */
	log_error("no descriptors or memory for a client; trying again");
	(void)ev_io_want(l->io, 0);
	ev_timer_set(l->retry, RETRY_MS);
}

static void
on_retry(void *arg)
{
	struct listener *l = arg;

	(void)ev_io_want(l->io, EV_WANT_READ);
}

struct listener *
listener_start(struct ev_loop *loop, int fd, listener_fn *fn, void *arg)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		close(fd);
		return NULL;
	}
	l->fd = fd;
	l->fn = fn;
	l->arg = arg;
	l->io = ev_io_new(loop, fd, on_io, l);
	l->retry = ev_timer_new(loop, on_retry, l);
	if (l->io == NULL || l->retry == NULL ||
	    ev_io_want(l->io, EV_WANT_READ) < 0)
		listener_free(&l);
	return l;
}

void
listener_free(struct listener **l)
{
	if (*l == NULL)
		return;
	ev_io_free(&(*l)->io);
	ev_timer_free(&(*l)->retry);
	close((*l)->fd);
	free(*l);
	*l = NULL;
}
