#include "config.h"

#include "agent/out_conn.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- the end ---- */

/* Over for both sides: tells the client and forgets the connection. */
static void
conn_over(struct out_conn *c)
{
	if (c->state == OUT_OPEN)
		out_send_close(c);
	out_conn_free(c);
}

static void
conn_failed(struct out_conn *c, const char *what, int errnum)
{
	static const char *const kinds[] = {"TCP", "UDP", "seqpacket"};
	char why[128];

	if (c->state == OUT_OPEN)
		agent_client_log(c->o->client, LOG_LV_WARN,
		    "Outgoing %s connection %llu failed while %s: %s.",
		    kinds[c->kind], (unsigned long long)c->id, what,
		    strerror_r(errnum, why, sizeof(why)));
	conn_over(c);
}

/* ---- limits of what waits for the peer ---- */

static void
set_blocked(struct out_conn *c, bool blocked)
{
	if (c->blocked == blocked)
		return;
	c->blocked = blocked;
	if (blocked) {
		agent_client_hold(c->o->client);
		ev_timer_set(c->timer, OUT_GRACE_MS);
	} else {
		ev_timer_cancel(c->timer);
		agent_client_release(c->o->client);
	}
}

static void
too_slow(struct out_conn *c)
{
	agent_client_log(c->o->client, LOG_LV_WARN,
	    "Outgoing connection %llu was closed: its peer takes data more "
	    "slowly than the program sends it, and %zu bytes were waiting.",
	    (unsigned long long)c->id, c->out.len);
	conn_over(c);
}

/* Grace or linger is over. */
static void
on_timer(void *arg)
{
	struct out_conn *c = arg;

	if (c->state != OUT_OPEN)
		out_conn_free(c);
	else if (c->blocked)
		too_slow(c);
}

static void
kill_largest(struct outgoing *o)
{
	struct out_conn *worst = NULL;

	LIST_FOR_EACH (node, &o->all) {
		struct out_conn *c = LIST_ENTRY(node, struct out_conn, link);

		if (worst == NULL || c->out.len > worst->out.len)
			worst = c;
	}
	if (worst != NULL)
		too_slow(worst);
}

/* ---- writing ---- */

void
out_count(struct outgoing *o, ssize_t n)
{
	o->queued += (size_t)n;
	o->client->agent->outgoing_bytes += (size_t)n;
}

static void
wants_update(struct out_conn *c)
{
	int want = 0;

	if (!c->eof && !c->paused && c->state != OUT_LINGERS)
		want |= EV_WANT_READ;
	if (c->out.len > 0)
		want |= EV_WANT_WRITE;
	(void)ev_io_want(c->io, want);
}

static void
taken(struct out_conn *c, size_t n)
{
	buf_consume(&c->out, n);
	out_count(c->o, -(ssize_t)n);
	if (c->blocked && c->out.len <= OUT_SHARE_BYTES - OUT_ROOM_BYTES)
		set_blocked(c, false);
}

/* One send of what is in front; 0, 1 when the peer takes no more, or -errno. */
static int
send_front(struct out_conn *c)
{
	const uint8_t *p = buf_data(&c->out);
	size_t n = c->out.len, head = 0;
	uint32_t len;
	ssize_t sent;

	if (c->kind != OUT_TCP) {
		head = sizeof(len);
		memcpy(&len, p, head);
		n = len;
	}
	do {
		sent = send(c->fd, p + head, n, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN ? 1 : -errno;
	/* Exactly what was taken goes from the queue, and nothing else. */
	taken(c, head + (size_t)sent);
	return 0;
}

/*
 * To close a socket with unread input resets it, and a reset may overtake what
 * was just sent. So the peer is told the end and gets some time for its own.
 * False: the connection is gone.
 */
static bool
part(struct out_conn *c)
{
	if (c->kind == OUT_UDP || c->eof ||
	    (!c->shut && shutdown(c->fd, SHUT_WR) < 0)) {
		out_conn_free(c);
		return false;
	}
	c->state = OUT_PARTS;
	c->shut = true;
	c->paused = false;
	ev_timer_set(c->timer, OUT_PARTING_MS);
	wants_update(c);
	return true;
}

/* Sends what it can. False: the connection is gone. */
static bool
flush(struct out_conn *c)
{
	int rc = 0;

	while (rc == 0 && c->out.len > 0)
		rc = send_front(c);
	if (rc < 0) {
		conn_failed(c, "writing", -rc);
		return false;
	}
	if (c->out.len > 0) {
		wants_update(c);
		return true;
	}
	if (c->state == OUT_LINGERS)
		return part(c);
	if (c->shut_wanted && !c->shut) {
		c->shut = true;
		(void)shutdown(c->fd, SHUT_WR);
		if (c->eof) {
			conn_over(c);
			return false;
		}
	}
	wants_update(c);
	return true;
}

static int
enqueue(struct out_conn *c, struct span bytes)
{
	uint32_t len = (uint32_t)bytes.n;
	size_t before = c->out.len;
	int rc = 0;

	if (c->kind != OUT_TCP)
		rc = buf_append(&c->out, &len, sizeof(len));
	if (rc == 0)
		rc = buf_append(&c->out, bytes.p, bytes.n);
	if (rc < 0)
		c->out.len = before;
	out_count(c->o, (ssize_t)(c->out.len - before));
	return rc;
}

void
out_conn_write(struct out_conn *c, struct span bytes)
{
	struct outgoing *o = c->o;
	bool idle = c->out.len == 0;

	if (c->shut_wanted)
		return; /* it said that nothing more would come */
	if (bytes.n == 0) {
		c->shut_wanted = true;
	} else if (c->kind != OUT_TCP && bytes.n > OUT_DATAGRAM_BYTES) {
		conn_failed(c, "writing", EMSGSIZE);
		return;
	} else if (c->kind == OUT_UDP && c->out.len > OUT_UDP_BYTES) {
		return; /* as a network would */
	} else if (enqueue(c, bytes) < 0) {
		conn_failed(c, "writing", ENOMEM);
		return;
	}
	/* With a queue there is an event to come that sends it. */
	if (idle && !flush(c))
		return;
	if (c->out.len > OUT_SHARE_BYTES)
		set_blocked(c, true);
	if (o->queued > OUT_CLIENT_BYTES ||
	    o->client->agent->outgoing_bytes > OUT_AGENT_BYTES)
		kill_largest(o);
}

void
out_conn_close(struct out_conn *c)
{
	set_blocked(c, false);
	map_del(&c->o->conns[c->kind], c->id);
	c->state = OUT_LINGERS;
	agent_wait_cancel(&c->wait);
	if (c->out.len == 0) {
		(void)part(c);
		return;
	}
	ev_timer_set(c->timer, OUT_LINGER_MS);
	wants_update(c);
}

/* ---- reading ---- */

static void
at_end(struct out_conn *c)
{
	c->eof = true;
	if (c->shut) { /* both directions: one Close says it all */
		conn_over(c);
		return;
	}
	if (out_send_read(c, (struct span){NULL, 0}) == 0)
		wants_update(c);
}

/* One read. False: the connection is gone, or the client. */
static bool
read_once(struct out_conn *c)
{
	ssize_t n;

	do {
		n = recv(c->fd, c->o->scratch, OUT_READ_BYTES,
		    c->kind == OUT_TCP ? 0 : MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n < 0 || n > OUT_READ_BYTES) {
		conn_failed(c, "reading", n < 0 ? errno : EMSGSIZE);
		return false;
	}
	if (c->state == OUT_PARTS) {
		if (n == 0)
			out_conn_free(c);
		return n > 0;
	}
	if (n == 0 && c->kind == OUT_UDP)
		return true; /* an empty datagram cannot be told */
	if (n == 0) {
		at_end(c);
		return false;
	}
	return out_send_read(c, (struct span){c->o->scratch, (size_t)n}) == 0;
}

static void
pause_read(struct out_conn *c)
{
	c->paused = true;
	wants_update(c);
	agent_client_on_drain(c->o->client, &c->wait);
}

/* There is room again: a read at once, so that connections take turns. */
static void
on_room(void *arg)
{
	struct out_conn *c = arg;

	c->paused = false;
	if (!c->eof && read_once(c))
		wants_update(c);
}

static void
on_io(void *arg, int ready)
{
	struct out_conn *c = arg;

	if ((ready & EV_WANT_WRITE) != 0) {
		(void)flush(c);
		return;
	}
	if (c->state == OUT_OPEN && agent_client_full(c->o->client))
		pause_read(c);
	else
		(void)read_once(c);
}

int
out_conn_open(struct out_conn *c)
{
	struct outgoing *o = c->o;

	ev_io_free(&c->io);
	ev_timer_free(&c->timer);
	c->io = ev_io_new(o->client->agent->loop, c->fd, on_io, c);
	c->timer = ev_timer_new(o->client->agent->loop, on_timer, c);
	agent_wait_init(&c->wait, on_room, c);
	buf_init(&c->out, OUT_BUF_BYTES);
	if (c->io == NULL || c->timer == NULL)
		return -ERR_NOMEM;
	c->id = o->next_id[c->kind];
	if (map_put(&o->conns[c->kind], c->id, c) < 0)
		return -ERR_NOMEM;
	o->next_id[c->kind]++;
	c->state = OUT_OPEN;
	wants_update(c);
	return 0;
}
