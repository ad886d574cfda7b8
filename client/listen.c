#include "config.h"

#include "client/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/str.h"

/* Copies the text up to the next ':' of *p and steps over it. */
static bool
take_part(const char **p, char *out, size_t cap)
{
	size_t n = strcspn(*p, ":");

	if ((*p)[n] != ':' || str_fmt(out, cap, "%.*s", (int)n, *p) < 0)
		return false;
	*p += n + 1;
	return true;
}

/* "host:port" or "[::1]:port" */
static bool
parse_to(const char *p, struct cli_forward_spec *out)
{
	const char *last = strrchr(p, ':');
	struct in6_addr in6;
	bool brackets;
	size_t n;

	if (last == NULL || !str_to_u16(last + 1, &out->port) || out->port == 0)
		return false;
	n = (size_t)(last - p);
	brackets = n > 2 && p[0] == '[' && p[n - 1] == ']';
	if (brackets) {
		p++;
		n -= 2;
	}
	if (n == 0 ||
	    str_fmt(out->host, sizeof(out->host), "%.*s", (int)n, p) < 0)
		return false;
	return brackets ? inet_pton(AF_INET6, out->host, &in6) == 1
			: strpbrk(out->host, ":[]/ ") == NULL;
}

int
cli_forward_parse(const char *text, struct cli_forward_spec *out, struct err *e)
{
	const char *p = text;
	char part[64];
	bool ok;

	memset(out, 0, sizeof(*out));
	out->address.s_addr = htonl(INADDR_LOOPBACK);
	ok = take_part(&p, part, sizeof(part));
	if (ok && inet_pton(AF_INET, part, &out->address) == 1)
		ok = take_part(&p, part, sizeof(part));
	if (ok && str_to_u16(part, &out->local) && parse_to(p, out))
		return 0;
	return err_set(e, ERR_INVALID,
	    "\"%s\" is not [ADDRESS:]LOCAL:HOST:PORT, for instance "
	    "15432:db.internal:5432",
	    text);
}

static void
listener_ready(void *arg, int ready)
{
	struct cli_listener *l = arg;
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int one = 1;

	(void)ready;
	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	l->on_accept(l->arg, l, fd);
}

static int
listener_bind(struct cli_listener *l, struct err *e)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET,
	    .sin_addr = l->spec.address,
	    .sin_port = htons(l->spec.local)};
	socklen_t n = sizeof(in4);
	int one = 1;

	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd >= 0)
		setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&in4, n) < 0 ||
	    listen(l->fd, 128) < 0 ||
	    getsockname(l->fd, (struct sockaddr *)&in4, &n) < 0)
		return err_sys(e, errno, "local port %u", l->spec.local);
	l->spec.local = ntohs(in4.sin_port);
	return 0;
}

struct cli_listener *
cli_listener_new(struct ev_loop *loop, const struct cli_forward_spec *spec,
    void (*on_accept)(void *, struct cli_listener *, int), void *arg,
    struct err *e)
{
	struct cli_listener *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		err_nomem(e);
		return NULL;
	}
	*l = (struct cli_listener){
	    .fd = -1, .spec = *spec, .on_accept = on_accept, .arg = arg};
	list_init(&l->node);
	if (listener_bind(l, e) < 0) {
		cli_listener_free(&l);
		return NULL;
	}
	l->io = ev_io_new(loop, l->fd, listener_ready, l);
	if (l->io == NULL || ev_io_want(l->io, EV_WANT_READ) < 0) {
		err_nomem(e);
		cli_listener_free(&l);
	}
	return l;
}

void
cli_listener_free(struct cli_listener **l)
{
	if (*l == NULL)
		return;
	list_remove(&(*l)->node);
	ev_io_free(&(*l)->io);
	if ((*l)->fd >= 0)
		close((*l)->fd);
	free(*l);
	*l = NULL;
}
