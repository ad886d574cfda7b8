/*
 * dial: a name to a connected socket. The addresses are tried one after the
 * other, a new one every CON_NEXT_MS while earlier ones are still under way;
 * the first that connects wins and the rest are closed.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "workers/connector/connector.h"

struct attempt {
	struct dial *dial;
	int fd; /* -1: not started, or over */
	struct ev_io *io;
};

struct dial {
	struct list link;
	struct con *con;
	struct ipc_peer *who;
	uint32_t request;
	struct con_endpoint to;
	struct con_lookup *lookup;
	struct ev_timer *deadline;
	struct ev_timer *next_timer;
	struct con_addresses addresses;
	struct attempt attempts[CON_ADDRESSES_MAX];
	size_t started;
	size_t running;
	char last_error[128];
};

static void
attempt_end(struct attempt *a)
{
	if (a->fd < 0)
		return;
	ev_io_free(&a->io);
	close(a->fd);
	a->fd = -1;
	a->dial->running--;
}

static void
dial_free(struct dial *d)
{
	list_remove(&d->link);
	con_lookup_cancel(&d->lookup);
	for (size_t i = 0; i < d->started; i++)
		attempt_end(&d->attempts[i]);
	ev_timer_free(&d->deadline);
	ev_timer_free(&d->next_timer);
	free(d);
}

void
con_dial_refuse(struct ipc_peer *who, uint32_t request, const char *text)
{
	struct ipc_connected m = {.request = request, .error = text};

	ipc_send(who, IPC_CONNECTED, 0, 0, 0, &m, NULL, 0);
}

static void
dial_fail(struct dial *d, const char *why)
{
	char text[512];

	snprintf(text, sizeof(text), "cannot connect to %s port %u: %s",
	    d->to.host, d->to.port, why);
	log_debug("%s", text);
	con_dial_refuse(d->who, d->request, text);
	dial_free(d);
}

static void
ip_text(const struct con_ip *ip, uint16_t port, char *out, size_t cap)
{
	char host[INET6_ADDRSTRLEN] = "?";

	inet_ntop(ip->family, &ip->u, host, sizeof(host));
	snprintf(
	    out, cap, ip->family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

static void
dial_win(struct dial *d, struct attempt *a)
{
	char address[INET6_ADDRSTRLEN + 10];
	struct ipc_connected m = {.request = d->request, .address = address};
	int one = 1;

	ip_text(&d->addresses.ip[a - d->attempts], d->to.port, address,
	    sizeof(address));
	setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	ipc_send(d->who, IPC_CONNECTED, 0, 0, 0, &m, &a->fd, 1);
	dial_free(d);
}

static void dial_next(void *arg);

/* This address is no good: go on with the next one at once. */
static void
attempt_failed(struct attempt *a, int errnum)
{
	struct dial *d = a->dial;
	char address[INET6_ADDRSTRLEN + 10];

	ip_text(&d->addresses.ip[a - d->attempts], d->to.port, address,
	    sizeof(address));
	snprintf(d->last_error, sizeof(d->last_error), "%s: %s", address,
	    strerror(errnum));
	attempt_end(a);
}

static void
attempt_on_ready(void *arg, int ready)
{
	struct attempt *a = arg;
	struct dial *d = a->dial;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)ready;
	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error == 0) {
		dial_win(d, a);
		return;
	}
	attempt_failed(a, error);
	dial_next(d);
}

/* 0 under way, 1 connected at once, -1 failed. */
static int
attempt_start(struct attempt *a, const struct con_ip *ip, uint16_t port)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} to;
	socklen_t len = ip->family == AF_INET ? sizeof(to.v4) : sizeof(to.v6);

	memset(&to, 0, sizeof(to));
	if (ip->family == AF_INET) {
		to.v4.sin_family = AF_INET;
		to.v4.sin_port = htons(port);
		to.v4.sin_addr = ip->u.v4;
	} else {
		to.v6.sin6_family = AF_INET6;
		to.v6.sin6_port = htons(port);
		to.v6.sin6_addr = ip->u.v6;
	}
	a->fd =
	    socket(ip->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0)
		return -1;
	a->dial->running++;
	if (connect(a->fd, &to.sa, len) == 0)
		return 1;
	if (errno != EINPROGRESS)
		return -1;
	a->io = ev_io_new(a->dial->con->w->loop, a->fd, attempt_on_ready, a);
	if (a->io == NULL || ev_io_want(a->io, EV_WANT_WRITE) < 0) {
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

static void
dial_next(void *arg)
{
	struct dial *d = arg;

	while (d->started < d->addresses.n) {
		struct attempt *a = &d->attempts[d->started];
		int rc;

		a->dial = d;
		rc = attempt_start(
		    a, &d->addresses.ip[d->started++], d->to.port);
		if (rc > 0) {
			dial_win(d, a);
			return;
		}
		if (rc == 0) {
			ev_timer_set(d->next_timer, CON_NEXT_MS);
			return;
		}
		attempt_failed(a, errno);
	}
	if (d->running == 0)
		dial_fail(d, d->last_error);
}

static void
dial_on_addresses(
    void *arg, const struct con_addresses *addresses, const char *why)
{
	struct dial *d = arg;

	d->lookup = NULL;
	d->addresses = *addresses;
	if (addresses->n == 0)
		dial_fail(d, why);
	else
		dial_next(d);
}

static void
dial_on_deadline(void *arg)
{
	struct dial *d = arg;

	dial_fail(d, d->lookup != NULL ? "its name was not resolved in 5 s"
				       : "no answer in 5 s");
}

void
con_dial_start(struct con *con, struct ipc_peer *who, uint32_t request,
    const struct con_endpoint *to)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (d == NULL) {
		con_dial_refuse(who, request, "out of memory");
		return;
	}
	d->con = con;
	d->who = who;
	d->request = request;
	d->to = *to;
	list_push(&con->dials, &d->link);
	d->deadline = ev_timer_new(con->w->loop, dial_on_deadline, d);
	d->next_timer = ev_timer_new(con->w->loop, dial_next, d);
	if (d->deadline != NULL && d->next_timer != NULL)
		d->lookup =
		    con_dns_lookup(con->dns, d->to.host, dial_on_addresses, d);
	if (d->lookup == NULL) {
		dial_fail(d, "out of memory");
		return;
	}
	ev_timer_set(d->deadline, CON_DIAL_MS);
}

unsigned
con_dial_count(const struct con *con, const struct ipc_peer *who)
{
	unsigned n = 0;

	LIST_FOR_EACH (node, &con->dials)
		n += LIST_ENTRY(node, struct dial, link)->who == who;
	return n;
}

void
con_dial_cancel(struct con *con, const struct ipc_peer *who)
{
	LIST_FOR_EACH_SAFE (node, &con->dials) {
		struct dial *d = LIST_ENTRY(node, struct dial, link);

		if (who == NULL || d->who == who)
			dial_free(d);
	}
}
