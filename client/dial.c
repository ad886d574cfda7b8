/* A connection to the operator: name, connect, TLS. */
#include "config.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/api.h"

enum { DIAL_TIMEOUT_MS = 5000 };

struct cli_dial {
	struct cli_api *api;
	cli_dial_fn *fn;
	void *arg;
	struct addrinfo *list; /* owned */
	struct addrinfo *next;
	int fd;
	struct ev_io *io;
	struct ev_timer *timer;
	struct err last;
};

static void dial_next(void *arg);

void
cli_dial_cancel(struct cli_dial **d)
{
	if (*d == NULL)
		return;
	ev_io_free(&(*d)->io);
	ev_timer_free(&(*d)->timer);
	if ((*d)->fd >= 0)
		close((*d)->fd);
	if ((*d)->list != NULL)
		freeaddrinfo((*d)->list);
	free(*d);
	*d = NULL;
}

static void
dial_done(struct cli_dial *d, struct tls_conn *conn, const struct err *e)
{
	cli_dial_fn *fn = d->fn;
	void *arg = d->arg;
	struct err copy;

	if (e != NULL)
		copy = *e;
	cli_dial_cancel(&d);
	fn(arg, conn, e == NULL ? NULL : &copy);
}

static void
dial_connected(void *arg, int ready)
{
	static const struct tls_conn_cbs no_cbs = {0};
	struct cli_dial *d = arg;
	struct tls_conn_opts opts = {
	    .server_name = d->api->kube.tls_server_name != NULL
			       ? d->api->kube.tls_server_name
			       : d->api->host};
	struct tls_conn *conn;
	socklen_t n = sizeof(int);
	int fd = d->fd, why = 0;
	struct err e;

	(void)ready;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n);
	ev_io_free(&d->io);
	if (why != 0) {
		err_sys(
		    &d->last, why, "%s can't be reached", d->api->host_port);
		d->last.code = ERR_CLOSED;
		close(fd);
		d->fd = -1;
		dial_next(d);
		return;
	}
	d->fd = -1;
	conn = tls_conn_new(
	    d->api->loop, d->api->tls, fd, &opts, &no_cbs, NULL, &e);
	dial_done(d, conn, conn == NULL ? &e : NULL);
}

static void
dial_timed_out(void *arg)
{
	struct cli_dial *d = arg;

	if (d->fd < 0) { /* the first step, put off to the loop */
		dial_next(d);
		return;
	}
	ev_io_free(&d->io);
	close(d->fd);
	d->fd = -1;
	err_set(&d->last, ERR_TIMEOUT, "%s does not answer", d->api->host_port);
	dial_next(d);
}

static void
dial_next(void *arg)
{
	struct cli_dial *d = arg;
	int one = 1;

	for (; d->next != NULL; d->next = d->next->ai_next) {
		d->fd = socket(d->next->ai_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (d->fd < 0)
			continue;
		setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (connect(d->fd, d->next->ai_addr, d->next->ai_addrlen) ==
			0 ||
		    errno == EINPROGRESS) {
			d->next = d->next->ai_next;
			d->io =
			    ev_io_new(d->api->loop, d->fd, dial_connected, d);
			if (d->io == NULL)
				break;
			ev_io_want(d->io, EV_WANT_WRITE);
			ev_timer_set(d->timer, DIAL_TIMEOUT_MS);
			return;
		}
		err_sys(
		    &d->last, errno, "%s can't be reached", d->api->host_port);
		d->last.code = ERR_CLOSED;
		close(d->fd);
		d->fd = -1;
	}
	dial_done(d, NULL, &d->last);
}

struct cli_dial *
cli_dial_start(struct cli_api *api, cli_dial_fn *fn, void *arg, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct cli_dial *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL) {
		err_nomem(e);
		return NULL;
	}
	*d = (struct cli_dial){.api = api, .fn = fn, .arg = arg, .fd = -1};
	rc = getaddrinfo(api->host, api->port, &hints, &d->list);
	d->timer = ev_timer_new(api->loop, dial_timed_out, d);
	if (rc != 0 || d->timer == NULL) {
		err_set(e, ERR_NOT_FOUND, "the name %s has no address: %s",
		    api->host, gai_strerror(rc));
		cli_dial_cancel(&d);
		return NULL;
	}
	d->next = d->list;
	err_set(&d->last, ERR_CLOSED, "%s can't be reached", api->host_port);
	ev_timer_set(d->timer, 0);
	return d;
}
