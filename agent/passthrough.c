#include "config.h"

#include "agent/passthrough.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/mirror.h"
#include "agent/nft_msg.h"
#include "lib/log.h"

enum {
	/* A busy target drops SYNs; its peers would not give up before. */
	CONNECT_TIMEOUT_MS = 60 * 1000,
	OTHER_SOURCES = 4,
};

enum { PEER, TARGET }; /* the two ends; half i goes from end i to the other */

struct passthrough {
	struct list link; /* in incoming.passes */
	struct incoming *in;
	struct incoming_flow flow;
	int fd[2];
	struct ev_io *io[2];
	struct half half[2];
	struct mirror_set mirrors;
	struct ev_timer *timer; /* while connecting */
	uint16_t local_port;    /* of fd[TARGET] */
	bool connected;
};

static void
passthrough_free(struct passthrough *p, bool abort)
{
	list_remove(&p->link);
	p->in->live--;
	mirror_end(&p->mirrors);
	for (int i = 0; i < 2; i++) {
		half_deinit(&p->half[i], &p->in->pipes);
		ev_io_free(&p->io[i]);
		if (p->fd[i] >= 0 && abort)
			incoming_abort_fd(p->fd[i]);
		else if (p->fd[i] >= 0)
			close(p->fd[i]);
	}
	ev_timer_free(&p->timer);
	free(p);
}

static void
passthrough_failed(struct passthrough *p, const char *what, int errnum)
{
	char peer[80], orig[80];

	log_info("passed-through connection ends peer=%s target=%s: %s: %s",
	    incoming_addr_text(&p->flow.peer, peer, sizeof(peer)),
	    incoming_addr_text(&p->flow.orig, orig, sizeof(orig)), what,
	    strerror(errnum));
	passthrough_free(p, true);
}

/* False when p is gone. */
static bool
passthrough_pump(struct passthrough *p)
{
	enum half_state state[2];

	for (int i = 0; i < 2; i++) {
		bool copy = i == PEER && mirror_any(&p->mirrors);

		state[i] = half_pump(&p->half[i], &p->in->pipes,
		    copy ? mirror_data : NULL, &p->mirrors);
		if (state[i] == HALF_FAILED) {
			passthrough_failed(p, "transfer", p->half[i].errnum);
			return false;
		}
	}
	if (p->half[PEER].eof)
		mirror_eof(&p->mirrors);
	if (state[PEER] == HALF_DONE && state[TARGET] == HALF_DONE) {
		passthrough_free(p, false);
		return false;
	}
	for (int i = 0; i < 2; i++) {
		int want = 0;

		if (state[i] == HALF_WANTS_READ)
			want |= EV_WANT_READ;
		if (state[!i] == HALF_WANTS_WRITE)
			want |= EV_WANT_WRITE;
		if (ev_io_want(p->io[i], want) < 0) {
			passthrough_failed(p, "events", ENOMEM);
			return false;
		}
	}
	return true;
}

static void
on_io(void *arg, int ready)
{
	(void)ready;
	(void)passthrough_pump(arg);
}

static void
passthrough_connected(struct passthrough *p)
{
	union incoming_addr local;
	socklen_t len = sizeof(local);

	p->connected = true;
	ev_timer_free(&p->timer);
	if (getsockname(p->fd[TARGET], &local.sa, &len) == 0)
		p->local_port = incoming_addr_port(&local);
	(void)passthrough_pump(p);
}

static void
on_target_io(void *arg, int ready)
{
	struct passthrough *p = arg;
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	if (p->connected) {
		on_io(arg, ready);
		return;
	}
	if (getsockopt(p->fd[TARGET], SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
		errnum = errno;
	if (errnum != 0)
		passthrough_failed(p, "connect", errnum);
	else
		passthrough_connected(p);
}

static void
on_connect_timeout(void *arg)
{
	passthrough_failed(arg, "connect", ETIMEDOUT);
}

static int
target_socket(int family)
{
	uint32_t mark = NFT_EXEMPT_MARK;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	incoming_tune_fd(fd);
	return fd;
}

/*
 * A very busy port can use up the local ports towards it (the ones that wait
 * in TIME_WAIT count). Every loopback address brings as many again.
 */
static int
connect_from_elsewhere(int fd, const union incoming_addr *to)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	uint32_t host = 0;

	if (to->sa.sa_family != AF_INET ||
	    getrandom(&host, sizeof(host), 0) != (ssize_t)sizeof(host)) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + host % 0xfffff0);
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		return -1;
	return connect(fd, &to->sa, incoming_addr_len(to));
}

/* A connecting socket, or -1 with errno. */
static int
target_connect(const union incoming_addr *to)
{
	for (int tries = 0; tries <= OTHER_SOURCES; tries++) {
		int fd = target_socket(to->sa.sa_family), rc, saved;

		if (fd < 0)
			return -1;
		if (tries == 0)
			rc = connect(fd, &to->sa, incoming_addr_len(to));
		else
			rc = connect_from_elsewhere(fd, to);
		if (rc == 0 || errno == EINPROGRESS)
			return fd;
		saved = errno;
		close(fd);
		errno = saved;
		if (errno != EADDRNOTAVAIL)
			return -1;
	}
	return -1;
}

static int
passthrough_watch(struct passthrough *p)
{
	struct ev_loop *loop = p->in->agent->loop;

	p->io[PEER] = ev_io_new(loop, p->fd[PEER], on_io, p);
	p->io[TARGET] = ev_io_new(loop, p->fd[TARGET], on_target_io, p);
	p->timer = ev_timer_new(loop, on_connect_timeout, p);
	if (p->io[PEER] == NULL || p->io[TARGET] == NULL || p->timer == NULL ||
	    ev_io_want(p->io[TARGET], EV_WANT_WRITE) < 0)
		return -1;
	ev_timer_set(p->timer, CONNECT_TIMEOUT_MS);
	return 0;
}

void
passthrough_start(struct incoming *in, int fd, const struct incoming_flow *flow,
    const struct incoming_port *port)
{
	struct passthrough *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		log_error("out of memory: a redirected connection is lost");
		incoming_abort_fd(fd);
		return;
	}
	p->in = in;
	p->flow = *flow;
	p->fd[PEER] = fd;
	list_push(&in->passes, &p->link);
	in->live++;
	mirror_init(&p->mirrors);
	p->fd[TARGET] = target_connect(&flow->orig);
	half_init(&p->half[PEER], fd, p->fd[TARGET]);
	half_init(&p->half[TARGET], p->fd[TARGET], fd);
	if (p->fd[TARGET] < 0) {
		passthrough_failed(p, "connect", errno);
		return;
	}
	if (passthrough_watch(p) < 0) {
		passthrough_failed(p, "events", ENOMEM);
		return;
	}
	mirror_attach(&p->mirrors, port, flow);
}

bool
passthrough_has_local_port(const struct incoming *in, uint16_t port)
{
	LIST_FOR_EACH (n, &in->passes) {
		struct passthrough *p = LIST_ENTRY(n, struct passthrough, link);

		if (p->local_port == port)
			return true;
	}
	return false;
}

void
passthrough_abort_port(struct incoming *in, uint16_t port)
{
	LIST_FOR_EACH_SAFE (n, &in->passes) {
		struct passthrough *p = LIST_ENTRY(n, struct passthrough, link);

		if (p->flow.port == port)
			passthrough_free(p, true);
	}
}

void
passthrough_abort_all(struct incoming *in)
{
	LIST_FOR_EACH_SAFE (n, &in->passes)
		passthrough_free(LIST_ENTRY(n, struct passthrough, link), true);
}
