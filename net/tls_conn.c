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

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "net/tls_io.h"

enum {
	HANDSHAKE_TIMEOUT_MS = 10000,
	FLUSH_TIMEOUT_MS = 10000, /* without any progress */
	LINGER_TIMEOUT_MS = 2000,
	READ_BYTES = 16 << 10,
	READS_PER_TURN = 4,  /* then others have their turn */
	RECORD_SMALL = 1369, /* fits one TCP segment: read without waiting */
	RECORD_FULL = 16 << 10,
	RAMP_BYTES = 16 << 10, /* of small records at the start */
	RAMP_IDLE_MS = 1000,   /* after which it starts anew */
	IN_MAX_BYTES = 1 << 20,
	OUT_LOW_BYTES = 64 << 10,
	OUT_HIGH_BYTES = 256 << 10,
	OUT_MAX_BYTES = 8 << 20,
};

enum conn_state { HANDSHAKE, OPEN, FLUSHING, LINGER, CLOSED };

struct tls_conn {
	struct ev_loop *loop;
	struct ev_io *io;
	struct ev_timer *timer; /* handshake, flush or linger; or NULL */
	struct ev_timer *kick;  /* a turn without an event of the socket */
	struct tls_ctx *ctx;    /* a reference; NULL = plain */
	SSL *ssl;
	int fd;
	enum conn_state state;
	struct tls_conn_cbs cbs;
	void *arg;
	struct buf in, out;
	size_t low, high;
	size_t retry; /* bytes SSL_write must be repeated with */
	size_t ramp;  /* bytes sent since the last idle time */
	uint64_t last_sent_ms;
	uint32_t handshake_timeout_ms;
	struct tls_verdict verdict;
	bool try_read; /* there may be input */
	bool show;     /* show the input buffer even if nothing came */
	bool paused;
	bool eof;
	bool end_wanted; /* shutdown was asked for during the handshake */
	bool blocked;    /* waiting to go on writing, for the event below */
	bool blocked_on_read;
	bool read_on_write; /* and reading for a write event (key update) */
	bool above_low;     /* on_drained is owed */
	bool want_write;    /* what the handshake waits for */
	bool running;       /* inside conn_run */
	bool freed;         /* by a callback; conn_run frees */
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
	ev_timer_free(&c->kick);
	SSL_free(c->ssl);
	c->ssl = NULL;
	tls_ctx_free(&c->ctx);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_free(&c->in);
	buf_free(&c->out);
}

static void
conn_destroy(struct tls_conn *c)
{
	conn_release(c);
	X509_free(c->verdict.cert);
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
	c->cbs.on_close(c->arg, e);
}

static void
conn_end_text(struct tls_conn *c, enum err_code code, const char *text)
{
	struct err e = {0};

	if (code != ERR_OK)
		err_set(&e, code, "%s", text);
	conn_end(c, &e);
}

static bool
conn_live(const struct tls_conn *c)
{
	return c->state != CLOSED && !c->freed;
}

static void conn_run(struct tls_conn *c);

static void
on_kick(void *arg)
{
	struct tls_conn *c = arg;

	if (c->state != HANDSHAKE) /* that one waits for the socket */
		conn_run(c);
}

/* Asks for a turn soon. */
static void
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

static void
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
		if (c->in.len > 0)
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
	size_t n = READ_BYTES;

	if (c->state != OPEN)
		buf_clear(&c->in); /* nobody wants it any more */
	if (buf_reserve(&c->in, n) < 0) {
		conn_end_text(c, ERR_NOMEM, "out of memory");
		return false;
	}
	switch (tls_io_read(c->ssl, c->fd, buf_tail(&c->in), &n, &e)) {
	case TLS_IO_OK:
		c->try_read = c->ssl != NULL ? SSL_has_pending(c->ssl) == 1
					     : n == READ_BYTES;
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
	       (!c->paused && c->in.len + READ_BYTES <= c->in.max);
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

static void
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

static void
on_io(void *arg, int ready)
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

/* ---- making and ending */

static size_t
or_default(size_t v, size_t dflt)
{
	return v != 0 ? v : dflt;
}

static void
conn_options(struct tls_conn *c, const struct tls_conn_opts *o)
{
	static const struct tls_conn_opts none;

	if (o == NULL)
		o = &none;
	/* One read more than is shown, so that a full buffer can stop. */
	buf_init(
	    &c->in, or_default(o->in_max_bytes, IN_MAX_BYTES) + READ_BYTES);
	buf_init(&c->out, or_default(o->out_max_bytes, OUT_MAX_BYTES));
	c->low = or_default(o->out_low_bytes, OUT_LOW_BYTES);
	c->high = or_default(o->out_high_bytes, OUT_HIGH_BYTES);
	c->handshake_timeout_ms = o->handshake_timeout_ms != 0
				      ? o->handshake_timeout_ms
				      : HANDSHAKE_TIMEOUT_MS;
}

static int
conn_server_name(struct tls_conn *c, const char *name, struct err *e)
{
	unsigned char ip[16];
	X509_VERIFY_PARAM *param = SSL_get0_param(c->ssl);
	int ok;

	if (name == NULL)
		return err_set(
		    e, ERR_INVALID, "a TLS client needs the server's name");
	if (inet_pton(AF_INET, name, ip) == 1 ||
	    inet_pton(AF_INET6, name, ip) == 1) {
		ok = X509_VERIFY_PARAM_set1_ip_asc(param, name);
	} else {
		X509_VERIFY_PARAM_set_hostflags(
		    param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		ok = X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
		     SSL_set_tlsext_host_name(c->ssl, name) == 1;
	}
	return ok == 1
		   ? 0
		   : err_set(e, ERR_INVALID, "\"%s\" is no server name", name);
}

static int
conn_tls(struct tls_conn *c, struct tls_ctx *ctx,
    const struct tls_conn_opts *opts, struct err *e)
{
	c->ctx = tls_ctx_ref(ctx);
	c->ssl = SSL_new(ctx->ssl);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
		return err_nomem(e);
	SSL_set_app_data(c->ssl, c);
	if (ctx->server) {
		SSL_set_accept_state(c->ssl);
		c->want_write = false;
		return 0;
	}
	SSL_set_connect_state(c->ssl);
	if (ctx->verify == TLS_VERIFY_CA || (opts != NULL && opts->server_name))
		return conn_server_name(
		    c, opts != NULL ? opts->server_name : NULL, e);
	return 0;
}

static struct tls_conn *
conn_new(struct ev_loop *loop, struct tls_ctx *ctx, int fd,
    const struct tls_conn_opts *opts, const struct tls_conn_cbs *cbs, void *arg,
    struct err *e)
{
	struct tls_conn *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL) {
		close(fd);
		err_nomem(e);
		return NULL;
	}
	c->loop = loop;
	c->fd = fd;
	c->state = HANDSHAKE;
	c->want_write = true; /* also tells when a socket is connected */
	conn_options(c, opts);
	tls_conn_set_cbs(c, cbs, arg);
	c->show = false;
	rc = ctx != NULL ? conn_tls(c, ctx, opts, e) : 0;
	if (rc == 0) {
		c->io = ev_io_new(loop, fd, on_io, c);
		c->kick = ev_timer_new(loop, on_kick, c);
		if (c->io == NULL || c->kick == NULL)
			rc = err_nomem(e);
		else if (ev_io_want(c->io,
			     c->want_write ? EV_WANT_WRITE : EV_WANT_READ) < 0)
			rc = err_set(
			    e, ERR_SYS, "a connection can't be watched");
	}
	if (rc < 0) {
		conn_destroy(c);
		return NULL;
	}
	conn_set_timer(c, c->handshake_timeout_ms);
	return c;
}

struct tls_conn *
tls_conn_new(struct ev_loop *loop, struct tls_ctx *ctx, int fd,
    const struct tls_conn_opts *opts, const struct tls_conn_cbs *cbs, void *arg,
    struct err *e)
{
	return conn_new(loop, ctx, fd, opts, cbs, arg, e);
}

struct tls_conn *
tls_conn_plain_new(struct ev_loop *loop, int fd,
    const struct tls_conn_opts *opts, const struct tls_conn_cbs *cbs, void *arg,
    struct err *e)
{
	return conn_new(loop, NULL, fd, opts, cbs, arg, e);
}

void
tls_conn_free(struct tls_conn **cp)
{
	struct tls_conn *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	if (!c->running) {
		conn_destroy(c);
		return;
	}
	c->freed = true;
	if (c->fd >= 0) /* the peer learns of it now, memory goes later */
		shutdown(c->fd, SHUT_RDWR);
}

void
tls_conn_set_cbs(struct tls_conn *c, const struct tls_conn_cbs *cbs, void *arg)
{
	c->cbs = *cbs;
	c->arg = arg;
	c->show = true;
	if (c->kick != NULL)
		conn_kick(c);
}

int
tls_conn_write(struct tls_conn *c, const void *p, size_t n)
{
	struct span v = {p, n};

	return tls_conn_writev(c, &v, 1);
}

int
tls_conn_writev(struct tls_conn *c, const struct span *v, size_t count)
{
	size_t total = 0;
	int rc;

	if (c->freed || c->end_wanted ||
	    (c->state != OPEN && c->state != HANDSHAKE))
		return -ERR_CLOSED;
	for (size_t i = 0; i < count; i++) {
		if (v[i].n > SIZE_MAX - total)
			return -ERR_TOO_BIG;
		total += v[i].n;
	}
	rc = buf_reserve(&c->out, total);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < count; i++)
		(void)buf_append(&c->out, v[i].p, v[i].n); /* there is room */
	c->above_low = c->above_low || c->out.len > c->low;
	if (!c->blocked && total > 0 && c->state == OPEN)
		conn_kick(c);
	return 0;
}

size_t
tls_conn_queued(const struct tls_conn *c)
{
	return c->out.len;
}

bool
tls_conn_full(const struct tls_conn *c)
{
	return c->out.len >= c->high;
}

void
tls_conn_set_water(struct tls_conn *c, size_t low_bytes, size_t high_bytes)
{
	c->low = low_bytes;
	c->high = high_bytes;
}

void
tls_conn_pause_read(struct tls_conn *c)
{
	c->paused = true;
	if (!c->running && conn_live(c))
		conn_want(c);
}

void
tls_conn_show(struct tls_conn *c)
{
	c->show = true;
	conn_kick(c);
}

void
tls_conn_resume_read(struct tls_conn *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	c->show = true;
	c->try_read = true;
	conn_kick(c);
}

void
tls_conn_shutdown(struct tls_conn *c)
{
	if (!conn_live(c) || c->state == FLUSHING || c->state == LINGER)
		return;
	if (c->state == HANDSHAKE && c->out.len > 0) {
		c->end_wanted = true; /* after what is queued */
		return;
	}
	c->state = FLUSHING;
	conn_set_timer(c, FLUSH_TIMEOUT_MS);
	conn_kick(c);
}

bool
tls_conn_is_ready(const struct tls_conn *c)
{
	return c->state == OPEN && !c->freed;
}

bool
tls_conn_is_tls(const struct tls_conn *c)
{
	return c->ctx != NULL;
}

int
tls_conn_fd(const struct tls_conn *c)
{
	return c->fd;
}

struct ev_loop *
tls_conn_loop(const struct tls_conn *c)
{
	return c->loop;
}

X509 *
tls_conn_peer_cert(const struct tls_conn *c)
{
	if (c->ssl == NULL || c->verdict.error != X509_V_OK)
		return NULL;
	return SSL_get0_peer_certificate(c->ssl);
}

bool
tls_conn_peer_error(const struct tls_conn *c, struct err *e)
{
	if (c->ssl == NULL || c->verdict.error == X509_V_OK)
		return false;
	tls_err_verify(e, c->ssl);
	return true;
}
