/* What a connection's owner calls: making it, writing, pausing, ending. */
#include "config.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls_conn_int.h"

enum {
	HANDSHAKE_TIMEOUT_MS = 10000,
	IN_MAX_BYTES = 1 << 20,
	OUT_LOW_BYTES = 64 << 10,
	OUT_HIGH_BYTES = 256 << 10,
	OUT_MAX_BYTES = 8 << 20,
};

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
	buf_init(&c->in,
	    or_default(o->in_max_bytes, IN_MAX_BYTES) + CONN_READ_BYTES);
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
		c->io = ev_io_new(loop, fd, conn_on_io, c);
		c->kick = ev_timer_new(loop, conn_on_kick, c);
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
	if (c->state == CLOSED && c->untold != NULL)
		ev_timer_set(c->kick, 0);
	else if (c->kick != NULL)
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
