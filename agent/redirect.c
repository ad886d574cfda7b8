#include "config.h"

#include "agent/redirect.h"

#include <errno.h>
#include <limits.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/nft.h"
#include "lib/log.h"

enum {
	ACCEPTS_PER_TURN = 64,
	BACKLOG = 4096, /* the kernel cuts it to net.core.somaxconn */
	NO_FD_PAUSE_MS = 50,
};

_Static_assert(SO_ORIGINAL_DST == IP6T_SO_ORIGINAL_DST,
    "one option number for both families");

struct redirect {
	int fd;
	uint16_t port;
	struct ev_io *io;
	struct ev_timer *pause; /* after running out of descriptors */
	struct nft *nft;
	redirect_fn *fn;
	void *arg;
};

static int
listen_any(int family)
{
	union incoming_addr any = {.sa.sa_family = (sa_family_t)family};
	int off = 0, saved;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if ((family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
				       &off, sizeof(off)) == 0) &&
	    bind(fd, &any.sa, incoming_addr_len(&any)) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
redirect_listen(struct redirect *r, struct err *e)
{
	union incoming_addr self;
	socklen_t len = sizeof(self);

	r->fd = listen_any(AF_INET6);
	if (r->fd < 0)
		r->fd = listen_any(AF_INET); /* a namespace without IPv6 */
	if (r->fd < 0 || getsockname(r->fd, &self.sa, &len) < 0)
		return err_sys(e, errno,
		    "cannot listen in the target's network namespace");
	r->port = incoming_addr_port(&self);
	return 0;
}

/*
 * Where the peer wanted to go. The option depends on the family of the
 * packets, not of the socket. False when the connection was made to the
 * listener itself: nothing of ours redirected it.
 */
static bool
original_destination(int fd, struct incoming_flow *flow)
{
	union incoming_addr self;
	socklen_t len = sizeof(flow->orig), self_len = sizeof(self);
	bool v4 = flow->peer.sa.sa_family == AF_INET;

	if (getsockopt(fd, v4 ? SOL_IP : SOL_IPV6, SO_ORIGINAL_DST, &flow->orig,
		&len) < 0 ||
	    getsockname(fd, &self.sa, &self_len) < 0)
		return false;
	incoming_addr_unmap(&self);
	if (!v4 && IN6_IS_ADDR_LINKLOCAL(&flow->orig.v6.sin6_addr) &&
	    flow->orig.v6.sin6_scope_id == 0)
		flow->orig.v6.sin6_scope_id = flow->peer.v6.sin6_scope_id;
	flow->port = incoming_addr_port(&flow->orig);
	return !incoming_addr_equal(&self, &flow->orig);
}

static void
accepted(struct redirect *r, int fd, struct incoming_flow *flow)
{
	char text[80];

	incoming_addr_unmap(&flow->peer);
	if (!original_destination(fd, flow)) {
		log_debug("connection without a redirect closed peer=%s",
		    incoming_addr_text(&flow->peer, text, sizeof(text)));
		incoming_abort_fd(fd);
		return;
	}
	incoming_tune_fd(fd);
	r->fn(r->arg, fd, flow);
}

static bool
out_of_resources(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS ||
	       errnum == ENOMEM;
}

static void
on_listener(void *arg, int ready)
{
	struct redirect *r = arg;

	(void)ready;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct incoming_flow flow = {.port = 0};
		socklen_t len = sizeof(flow.peer);
		int fd = accept4(
		    r->fd, &flow.peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			accepted(r, fd, &flow);
			continue;
		}
		if (out_of_resources(errno)) {
			log_error("cannot accept a redirected connection, "
				  "trying again: %s",
			    strerror(errno));
			ev_io_want(r->io, 0);
			ev_timer_set(r->pause, NO_FD_PAUSE_MS);
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void
on_pause_over(void *arg)
{
	struct redirect *r = arg;

	ev_io_want(r->io, EV_WANT_READ);
}

static int
redirect_watch(struct redirect *r, struct ev_loop *loop, struct err *e)
{
	r->io = ev_io_new(loop, r->fd, on_listener, r);
	r->pause = ev_timer_new(loop, on_pause_over, r);
	if (r->io == NULL || r->pause == NULL ||
	    ev_io_want(r->io, EV_WANT_READ) < 0)
		return err_nomem(e);
	return 0;
}

int
redirect_new(struct redirect **r_r, struct ev_loop *loop, uint32_t gid,
    const char *comment, redirect_fn *fn, void *arg, struct err *e)
{
	struct redirect *r = calloc(1, sizeof(*r));
	int rc;

	*r_r = NULL;
	if (r == NULL)
		return err_nomem(e);
	r->fd = -1;
	r->fn = fn;
	r->arg = arg;
	rc = redirect_listen(r, e);
	if (rc == 0)
		rc = redirect_watch(r, loop, e);
	if (rc == 0)
		rc = nft_open(&r->nft, r->port, gid, comment, e);
	if (rc < 0) {
		redirect_free(&r);
		return rc;
	}
	*r_r = r;
	return 0;
}

void
redirect_free(struct redirect **r)
{
	if (*r == NULL)
		return;
	nft_close(&(*r)->nft);
	ev_io_free(&(*r)->io);
	ev_timer_free(&(*r)->pause);
	if ((*r)->fd >= 0)
		close((*r)->fd);
	free(*r);
	*r = NULL;
}

int
redirect_add(struct redirect *r, uint16_t port, struct err *e)
{
	return nft_port_add(r->nft, port, e);
}

int
redirect_del(struct redirect *r, uint16_t port, struct err *e)
{
	return nft_port_del(r->nft, port, e);
}

int
redirect_clear(struct redirect *r, struct err *e)
{
	return nft_clear(r->nft, e);
}

uint16_t
redirect_listen_port(const struct redirect *r)
{
	return r->port;
}

const char *
redirect_table(const struct redirect *r)
{
	return nft_table(r->nft);
}
