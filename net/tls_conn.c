/*
 * The state machine of one connection. It owns the descriptor, the SSL and
 * two buffers which exist only while something is in them. Its callers are
 * the HTTP and WebSocket connections; it trusts nothing it reads.
 *
 *   HANDSHAKE -> OPEN -> FLUSHING (shutdown asked for) -> LINGER -> CLOSED
 *
 * All work is done by conn_run, from the loop: callbacks run nowhere else, and
 * writing outside of one only queues and asks for a turn.
 */
#include "config.h"

#include "net/tls_conn.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "net/tls_conn_int.h"
#include "net/tls_io.h"

enum {
	LINGER_TIMEOUT_MS = 2000,
	READS_PER_TURN = 4,  /* then others have their turn */
	RECORD_SMALL = 1369, /* fits one TCP segment: read without waiting */
	RECORD_FULL = 16 << 10,
	RAMP_BYTES = 16 << 10, /* of small records at the start */
	RAMP_IDLE_MS = 1000,   /* after which it starts anew */
};

struct tls_verdict *
tls_conn_verdict(SSL *ssl)
{
	struct tls_conn *c = SSL_get_app_data(ssl);

	return &c->verdict;
}

static void
conn_release(struct tls_conn *c)
{
	ev_io_free(&c->io);
	ev_timer_free(&c->timer);
	ev_timer_cancel(c->kick);
	SSL_free(c->ssl);
	c->ssl = NULL;
	tls_ctx_free(&c->ctx);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_free(&c->in);
	buf_free(&c->out);
}

void
conn_destroy(struct tls_conn *c)
{
	conn_release(c);
	ev_timer_free(&c->kick);
	X509_free(c->verdict.cert);
	free(c->untold);
	free(c);
}

/* The end; what is told once. */
static void
conn_end(struct tls_conn *c, const struct err *e)
{
	if (c->state == CLOSED || c->freed)
		return;
	c->state = CLOSED;
	conn_release(c);
	if (c->cbs.on_close != NULL) {
		c->cbs.on_close(c->arg, e);
		return;
	}
	c->untold = malloc(sizeof(*e)); /* for the next owner */
	if (c->untold != NULL)
		*c->untold = *e;
}

/* The end came between two owners: tell the new one. */
static void
conn_tell(struct tls_conn *c)
{
	struct err *e = c->untold;

	if (e == NULL || c->cbs.on_close == NULL)
		return;
	c->untold = NULL;
	c->running = true;
	c->cbs.on_close(c->arg, e);
	c->running = false;
	free(e);
	if (c->freed)
		conn_destroy(c);
}

static void
conn_end_text(struct tls_conn *c, enum err_code code, const char *text)
{
	struct err e = {0};

	if (code != ERR_OK)
		err_set(&e, code, "%s", text);
	conn_end(c, &e);
}

bool
conn_live(const struct tls_conn *c)
{
	return c->state != CLOSED && !c->freed;
}

static void conn_run(struct tls_conn *c);

void
conn_on_kick(void *arg)
{
	struct tls_conn *c = arg;

	if (c->state == CLOSED)
		conn_tell(c);
	else if (c->state != HANDSHAKE) /* that one waits for the socket */
		conn_run(c);
}

/* Asks for a turn soon. */
void
conn_kick(struct tls_conn *c)
{
	if (!c->running && c->state != CLOSED && !ev_timer_armed(c->kick))
		ev_timer_set(c->kick, 0);
}

static void
on_timeout(void *arg)
{
	struct tls_conn *c = arg;

	c->running = true;
	if (c->state == HANDSHAKE)
		conn_end_text(c, ERR_TIMEOUT,
		    c->ssl != NULL
			? "The TLS handshake took too long; is the peer "
			  "reachable, and does it speak TLS?"
			: "The connection could not be made in time.");
	else if (c->state == FLUSHING)
		conn_end_text(c, ERR_TIMEOUT,
		    "The peer stopped reading while the connection was being "
		    "shut down.");
	else if (c->state == LINGER)
		conn_end_text(c, ERR_OK, "");
	c->running = false;
	if (c->freed)
		conn_destroy(c);
}

void
conn_set_timer(struct tls_conn *c, uint64_t delay_ms)
{
	if (c->timer == NULL)
		c->timer = ev_timer_new(c->loop, on_timeout, c);
	if (c->timer != NULL)
		ev_timer_set(c->timer, delay_ms);
}

static void
conn_handshake(struct tls_conn *c)
{
	struct err e = {0};
	enum tls_io_result r = tls_io_handshake(c->ssl, c->fd, &e);

	switch (r) {
	case TLS_IO_OK:
		ev_timer_free(&c->timer);
		c->state = OPEN;
		c->try_read = true;
		if (c->end_wanted)
			tls_conn_shutdown(c);
		else if (c->cbs.on_ready != NULL)
			c->cbs.on_ready(c->arg);
		return;
	case TLS_IO_WANT_READ:
	case TLS_IO_WANT_WRITE:
		c->want_write = r == TLS_IO_WANT_WRITE;
		return;
	case TLS_IO_EOF:
		err_set(&e, ERR_CLOSED,
		    "The peer closed the connection in the middle of TLS.");
		conn_end(c, &e);
		return;
	case TLS_IO_ERROR:
		conn_end(c, &e);
		return;
	}
}

/* Shows the input buffer, again if its owner changed meanwhile. */
static void
conn_show(struct tls_conn *c)
{
	do {
		c->show = false;
		if (c->in.len > 0 && c->cbs.on_read != NULL)
			c->cbs.on_read(c->arg, &c->in);
	} while (conn_live(c) && c->state == OPEN && !c->paused && c->show);
}

static void
conn_eof(struct tls_conn *c)
{
	c->eof = true;
	c->try_read = false;
	if (c->state == LINGER)
		conn_end_text(c, ERR_OK, "");
	else if (c->state == OPEN && c->cbs.on_eof != NULL)
		c->cbs.on_eof(c->arg);
	else if (c->state == OPEN)
		conn_end_text(c, ERR_CLOSED, "The peer closed the connection.");
}

/* One read. False when there is nothing more for now. */
static bool
conn_read(struct tls_conn *c)
{
	struct err e = {0};
	size_t n = CONN_READ_BYTES;

	if (c->state != OPEN)
		buf_clear(&c->in); /* nobody wants it any more */
	if (buf_reserve(&c->in, n) < 0) {
		conn_end_text(c, ERR_NOMEM, "out of memory");
		return false;
	}
	switch (tls_io_read(c->ssl, c->fd, buf_tail(&c->in), &n, &e)) {
	case TLS_IO_OK:
		c->try_read = c->ssl != NULL ? SSL_has_pending(c->ssl) == 1
					     : n == CONN_READ_BYTES;
		if (c->state == OPEN) {
			buf_commit(&c->in, n);
			conn_show(c);
		}
		return conn_live(c) && c->try_read;
	case TLS_IO_WANT_WRITE:
		c->read_on_write = c->blocked = true;
		c->try_read = false;
		return false;
	case TLS_IO_WANT_READ:
		c->try_read = false;
		return false;
	case TLS_IO_EOF:
		conn_eof(c);
		return false;
	case TLS_IO_ERROR:
		break;
	}
	/* A TLS peer that is just gone is no more than an end of input. */
	if (c->state == LINGER)
		conn_end_text(c, ERR_OK, "");
	else
		conn_end(c, &e);
	return false;
}

static bool
conn_may_read(const struct tls_conn *c)
{
	if (c->eof || c->state == HANDSHAKE || !conn_live(c))
		return false;
	return c->state != OPEN ||
	       (!c->paused && c->in.len + CONN_READ_BYTES <= c->in.max);
}

static void
conn_input(struct tls_conn *c)
{
	int reads = 0;

	if (c->state == OPEN && c->show && !c->paused)
		conn_show(c);
	while (conn_may_read(c) && c->try_read && reads++ < READS_PER_TURN) {
		if (!conn_read(c))
			break;
	}
	if (conn_live(c) && c->in.len == 0)
		buf_free(&c->in);
}

/* How much to give SSL_write: small records after idle times. */
static size_t
conn_record(const struct tls_conn *c)
{
	size_t n = c->out.len;
	size_t cap = c->ramp < RAMP_BYTES ? RECORD_SMALL : RECORD_FULL;

	if (c->ssl == NULL)
		return n;
	if (c->retry > 0)
		return c->retry;
	return n < cap ? n : cap;
}

/* Sends until the kernel takes no more. Returns the bytes; -1 at the end. */
static ssize_t
conn_send(struct tls_conn *c)
{
	size_t sent = 0;
	uint64_t now = c->out.len > 0 ? clock_mono_ms() : 0;

	if (now > c->last_sent_ms + RAMP_IDLE_MS)
		c->ramp = 0;
	while (c->out.len > 0 && !c->blocked) {
		struct err e = {0};
		size_t n = conn_record(c), asked = n;
		enum tls_io_result r =
		    tls_io_write(c->ssl, c->fd, buf_data(&c->out), &n, &e);

		if (r == TLS_IO_OK) {
			c->retry = 0;
			c->ramp += n;
			sent += n;
			buf_consume(&c->out, n);
		} else if (r == TLS_IO_WANT_READ || r == TLS_IO_WANT_WRITE) {
			c->retry = c->ssl != NULL ? asked : 0;
			c->blocked = true;
			c->blocked_on_read = r == TLS_IO_WANT_READ;
		} else {
			if (r == TLS_IO_EOF)
				err_set(&e, ERR_CLOSED,
				    "The peer closed the connection.");
			conn_end(c, &e);
			return -1;
		}
	}
	if (sent > 0)
		c->last_sent_ms = now;
	return (ssize_t)sent;
}

static void
conn_output(struct tls_conn *c)
{
	while (conn_live(c) && c->state != HANDSHAKE && c->out.len > 0 &&
	       !c->blocked) {
		ssize_t sent = conn_send(c);

		if (sent < 0)
			return;
		if (c->out.len == 0)
			buf_free(&c->out);
		if (sent > 0 && c->state == FLUSHING)
			conn_set_timer(c, FLUSH_TIMEOUT_MS);
		if (sent > 0 && c->cbs.on_sent != NULL)
			c->cbs.on_sent(c->arg, (size_t)sent);
		if (conn_live(c) && c->above_low && c->out.len <= c->low) {
			c->above_low = false;
			if (c->state == OPEN && c->cbs.on_drained != NULL)
				c->cbs.on_drained(c->arg);
		}
	}
}

/* Everything is sent: tell the peer, then wait for its end. */
static void
conn_finish(struct tls_conn *c)
{
	if (!conn_live(c) || c->state != FLUSHING || c->out.len > 0)
		return;
	if (tls_io_end(c->ssl, c->fd) == TLS_IO_WANT_WRITE) {
		c->blocked = true;
		return;
	}
	c->state = LINGER;
	if (c->eof)
		conn_end_text(c, ERR_OK, "");
	else
		conn_set_timer(c, LINGER_TIMEOUT_MS);
}

void
conn_want(struct tls_conn *c)
{
	int want = 0;

	if (c->state == HANDSHAKE)
		want = c->want_write ? EV_WANT_WRITE : EV_WANT_READ;
	if (conn_may_read(c))
		want |= EV_WANT_READ;
	if (c->state != HANDSHAKE && c->blocked)
		want |= c->blocked_on_read ? EV_WANT_READ : EV_WANT_WRITE;
	if (want != ev_io_wants(c->io))
		(void)ev_io_want(c->io, want); /* epoll: can't fail here */
	/* OpenSSL may hold input that no event will announce. */
	if ((c->try_read && conn_may_read(c)) ||
	    (c->show && !c->paused && c->state == OPEN))
		conn_kick(c);
}

static void
conn_run(struct tls_conn *c)
{
	c->running = true;
	if (c->state == HANDSHAKE)
		conn_handshake(c);
	if (conn_live(c) && c->state != HANDSHAKE) {
		conn_input(c);
		conn_output(c);
		conn_finish(c);
	}
	c->running = false;
	if (conn_live(c))
		conn_want(c);
	if (c->freed)
		conn_destroy(c);
}

void
conn_on_io(void *arg, int ready)
{
	struct tls_conn *c = arg;

	if (ready & EV_WANT_READ)
		c->try_read = true;
	if ((ready & EV_WANT_WRITE) && c->read_on_write)
		c->try_read = true;
	if (ready & (c->blocked_on_read ? EV_WANT_READ : EV_WANT_WRITE))
		c->blocked = c->blocked_on_read = c->read_on_write = false;
	conn_run(c);
}
