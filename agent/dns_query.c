#include "config.h"

#include "agent/dns_query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/str.h"

enum { REPLY_MAX_BYTES = 65535 + 2 };

struct dns_query {
	struct ev_loop *loop;
	const struct dns_conf *conf;
	dns_query_fn *fn;
	void *arg;
	char name[DNS_NAME_MAX + 1];
	uint16_t type;
	uint16_t id;
	unsigned turn; /* attempts * servers turns in all */
	bool tcp;      /* this turn */
	int fd;
	struct ev_io *io;
	struct ev_timer *timer;
	struct buf out; /* the question, over TCP with its length */
	struct buf in;
	int failure;       /* the most telling one so far */
	unsigned servfail; /* the rcode of a server that could not tell */
	struct dns_answer answer;
};

static void next_turn(struct dns_query *q);

static void
close_socket(struct dns_query *q)
{
	ev_io_free(&q->io);
	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
	ev_timer_cancel(q->timer);
	buf_clear(&q->in);
	buf_clear(&q->out);
}

/* A server that cannot be reached tells less than one that does not answer. */
static void
note_failure(struct dns_query *q, int rc)
{
	static const int order[] = {
	    -ERR_CLOSED, -ERR_NOMEM, -ERR_INVALID, -ERR_TIMEOUT};
	int have = -1, now = -1;

	for (int i = 0; i < 4; i++) {
		if (order[i] == q->failure)
			have = i;
		if (order[i] == rc)
			now = i;
	}
	if (now > have)
		q->failure = rc;
}

static void
turn_failed(struct dns_query *q, int rc)
{
	note_failure(q, rc);
	close_socket(q);
	q->tcp = q->conf->use_tcp;
	q->turn++;
	/* From the loop again: no recursion over dead servers. */
	ev_timer_set(q->timer, 0);
}

static void
finish(struct dns_query *q, int rc)
{
	close_socket(q);
	q->fn(q->arg, rc, rc == 0 ? &q->answer : NULL);
}

static void
on_timer(void *arg)
{
	struct dns_query *q = arg;

	if (q->fd >= 0)
		turn_failed(q, -ERR_TIMEOUT);
	else
		next_turn(q);
}

/* Returns true when the query is over or has moved on. */
static bool
take_reply(struct dns_query *q, const uint8_t *p, size_t n)
{
	int rc = dns_answer_parse(&q->answer, p, n, q->id, q->name, q->type);

	if (rc == -ERR_NOT_FOUND)
		return false; /* not ours: wait on */
	if (rc < 0) {
		turn_failed(q, -ERR_INVALID);
	} else if (q->answer.truncated && !q->tcp) {
		close_socket(q);
		q->tcp = true;
		ev_timer_set(q->timer, 0);
	} else if (q->answer.rcode != DNS_RCODE_OK &&
		   q->answer.rcode != DNS_RCODE_NXDOMAIN) {
		q->servfail = q->answer.rcode; /* another may know */
		turn_failed(q, -ERR_CLOSED);
	} else {
		finish(q, 0);
	}
	return true;
}

static void
read_udp(struct dns_query *q)
{
	ssize_t n;

	/* A few at most per turn of the loop: others wait too. */
	for (int i = 0; i < 8; i++) {
		n = recv(q->fd, buf_data(&q->in), REPLY_MAX_BYTES, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			turn_failed(q, -ERR_CLOSED);
			return;
		}
		if (take_reply(q, buf_data(&q->in), (size_t)n))
			return;
	}
}

static void
read_tcp(struct dns_query *q)
{
	ssize_t n;
	const uint8_t *in;
	size_t want;

	if (buf_reserve(&q->in, 4096) < 0) {
		turn_failed(q, -ERR_NOMEM);
		return;
	}
	n = recv(q->fd, buf_tail(&q->in), 4096, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		turn_failed(q, n == 0 ? -ERR_INVALID : -ERR_CLOSED);
		return;
	}
	buf_commit(&q->in, (size_t)n);
	if (q->in.len < 2)
		return;
	in = q->in.base + q->in.off; /* not NULL: it has been reserved */
	want = (size_t)in[0] << 8 | in[1];
	if (q->in.len - 2 < want)
		return;
	if (!take_reply(q, in + 2, want))
		turn_failed(q, -ERR_INVALID);
}

static void
write_out(struct dns_query *q)
{
	ssize_t n = send(q->fd, buf_data(&q->out), q->out.len, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		turn_failed(q, -ERR_CLOSED);
		return;
	}
	buf_consume(&q->out, (size_t)n);
	if (q->out.len == 0 && ev_io_want(q->io, EV_WANT_READ) < 0)
		turn_failed(q, -ERR_NOMEM);
}

static void
on_io(void *arg, int ready)
{
	struct dns_query *q = arg;

	if ((ready & EV_WANT_WRITE) != 0)
		write_out(q);
	else if (q->tcp)
		read_tcp(q);
	else
		read_udp(q);
}

static int
put_question(struct dns_query *q)
{
	uint8_t len[2] = {0, 0};
	int rc;

	if (getrandom(&q->id, sizeof(q->id), 0) != sizeof(q->id))
		return -ERR_SYS;
	rc = q->tcp ? buf_append(&q->out, len, 2) : 0;
	if (rc == 0)
		rc = dns_question(&q->out, q->id, q->name, q->type);
	if (rc == 0 && q->tcp) {
		buf_data(&q->out)[0] = (uint8_t)((q->out.len - 2) >> 8);
		buf_data(&q->out)[1] = (uint8_t)(q->out.len - 2);
	}
	return rc;
}

/* The connected socket also keeps out answers from other addresses. */
static int
open_socket(struct dns_query *q, const struct sockaddr_storage *server)
{
	socklen_t len = server->ss_family == AF_INET
			    ? sizeof(struct sockaddr_in)
			    : sizeof(struct sockaddr_in6);

	q->fd = socket(server->ss_family,
	    (q->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (q->fd < 0)
		return -ERR_CLOSED;
	if (connect(q->fd, (const struct sockaddr *)server, len) < 0 &&
	    errno != EINPROGRESS)
		return -ERR_CLOSED;
	q->io = ev_io_new(q->loop, q->fd, on_io, q);
	if (q->io == NULL || ev_io_want(q->io, EV_WANT_WRITE) < 0)
		return -ERR_NOMEM;
	/* UDP replies are received in place, so there is room at once. */
	return q->tcp ? 0 : buf_reserve(&q->in, REPLY_MAX_BYTES);
}

static void
next_turn(struct dns_query *q)
{
	const struct dns_conf *c = q->conf;
	int rc;

	if (q->turn >= c->attempts * c->server_count) {
		memset(&q->answer, 0, sizeof(q->answer));
		q->answer.rcode = q->servfail;
		finish(q, q->servfail != 0 ? 0 : q->failure);
		return;
	}
	rc = put_question(q);
	if (rc < 0) {
		finish(q, -ERR_INVALID);
		return;
	}
	rc = open_socket(q, &c->servers[q->turn % c->server_count]);
	if (rc < 0)
		turn_failed(q, rc);
	else
		ev_timer_set(q->timer, c->timeout_ms);
}

struct dns_query *
dns_query_new(struct ev_loop *loop, const struct dns_conf *conf,
    const char *name, uint16_t type, dns_query_fn *fn, void *arg)
{
	struct dns_query *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->loop = loop;
	q->conf = conf;
	q->fn = fn;
	q->arg = arg;
	q->fd = -1;
	q->type = type;
	q->tcp = conf->use_tcp;
	q->failure = -ERR_CLOSED;
	buf_init(&q->out, 1024);
	buf_init(&q->in, REPLY_MAX_BYTES + 4096);
	q->timer = ev_timer_new(loop, on_timer, q);
	if (q->timer == NULL ||
	    str_fmt(q->name, sizeof(q->name), "%s", name) < 0) {
		dns_query_free(&q);
		return NULL;
	}
	ev_timer_set(q->timer, 0);
	return q;
}

void
dns_query_free(struct dns_query **qp)
{
	struct dns_query *q = *qp;

	if (q == NULL)
		return;
	if (q->timer != NULL)
		close_socket(q);
	ev_timer_free(&q->timer);
	buf_free(&q->out);
	buf_free(&q->in);
	free(q);
	*qp = NULL;
}
