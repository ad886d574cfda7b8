/* tls_conn over real sockets: handshakes, queues, pauses, ends. */
#include "config.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net/net_fix.h"

/* One end of a connection and what happened to it. */
struct end {
	struct tls_conn *c;
	struct buf got;
	size_t take; /* bytes per on_read; 0 = all */
	size_t drained, sent, eof_count;
	bool ready, closed, both; /* both: set when ready (or closed) */
	bool echo;
	bool free_on_read;
	bool keep_eof;
	size_t want; /* done when so many bytes came */
	bool done;
	struct err e;
};

static void
on_ready(void *arg)
{
	struct end *x = arg;

	x->ready = true;
}

static void
on_read(void *arg, struct buf *in)
{
	struct end *x = arg;
	size_t n = x->take != 0 && x->take < in->len ? x->take : in->len;

	assert_int_equal(buf_append(&x->got, buf_data(in), n), 0);
	if (x->echo)
		assert_int_equal(tls_conn_write(x->c, buf_data(in), n), 0);
	buf_consume(in, n);
	x->done = x->want != 0 && x->got.len >= x->want;
	if (x->free_on_read)
		tls_conn_free(&x->c);
}

static void
on_drained(void *arg)
{
	((struct end *)arg)->drained++;
}

static void
on_sent(void *arg, size_t n)
{
	((struct end *)arg)->sent += n;
}

static void
on_eof(void *arg)
{
	((struct end *)arg)->eof_count++;
}

static void
on_close(void *arg, const struct err *e)
{
	struct end *x = arg;

	assert_false(x->closed);
	x->closed = true;
	x->e = *e;
}

static struct tls_conn_cbs
cbs_of(const struct end *x)
{
	return (struct tls_conn_cbs){on_ready, on_read, on_drained, on_sent,
	    x->keep_eof ? on_eof : NULL, on_close};
}

struct world {
	struct ev_loop *loop;
	struct fix_tls tls;
	struct end s, c;
};

static void
connect_with(struct world *w, struct tls_ctx *sctx, struct tls_ctx *cctx,
    const char *name, const struct tls_conn_opts *sopts)
{
	struct tls_conn_opts copts = {.server_name = name};
	struct tls_conn_cbs scbs = cbs_of(&w->s), ccbs = cbs_of(&w->c);
	struct err e = {0};
	int fd[2];

	fix_pair(fd);
	w->s.c =
	    sctx != NULL
		? tls_conn_new(w->loop, sctx, fd[0], sopts, &scbs, &w->s, &e)
		: tls_conn_plain_new(w->loop, fd[0], sopts, &scbs, &w->s, &e);
	w->c.c =
	    cctx != NULL
		? tls_conn_new(w->loop, cctx, fd[1], &copts, &ccbs, &w->c, &e)
		: tls_conn_plain_new(w->loop, fd[1], NULL, &ccbs, &w->c, &e);
	if (w->s.c == NULL || w->c.c == NULL)
		fail_msg("%s", e.text);
}

static void
wait_ready(struct world *w)
{
	fix_run(w->loop, &w->c.ready, 5000);
	fix_run(w->loop, &w->s.ready, 5000);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -1;
	w->loop = ev_loop_new();
	fix_tls_make(&w->tls);
	buf_init(&w->s.got, 0);
	buf_init(&w->c.got, 0);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	tls_conn_free(&w->s.c);
	tls_conn_free(&w->c.c);
	fix_tls_free(&w->tls);
	buf_free(&w->s.got);
	buf_free(&w->c.got);
	ev_loop_free(&w->loop);
	free(w);
	return 0;
}

static void
fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 131 + (i >> 11));
}

/* ---- plain data */

static void
echo_some(struct world *w, struct tls_ctx *sctx, struct tls_ctx *cctx)
{
	enum { TOTAL = 3 << 20 };
	uint8_t *data = malloc(TOTAL);
	size_t at = 0;

	assert_non_null(data);
	fill(data, TOTAL);
	w->s.echo = true;
	w->c.want = TOTAL;
	connect_with(w, sctx, cctx, "localhost", NULL);
	wait_ready(w);
	for (size_t step = 1; at < TOTAL; step = step * 3 % 70001 + 1) {
		size_t n = step < TOTAL - at ? step : TOTAL - at;

		assert_int_equal(tls_conn_write(w->c.c, data + at, n), 0);
		at += n;
		if (tls_conn_full(w->c.c))
			ev_loop_turn(w->loop, true);
	}
	fix_run(w->loop, &w->c.done, 20000);
	assert_int_equal(w->c.got.len, TOTAL);
	assert_memory_equal(buf_data(&w->c.got), data, TOTAL);
	assert_int_equal(w->c.sent, TOTAL);
	assert_int_equal(tls_conn_queued(w->c.c), 0);
	assert_true(w->c.drained > 0);
	free(data);
}

static void
test_echo_tls(void **state)
{
	struct world *w = *state;

	echo_some(w, w->tls.server_ctx, w->tls.client_ctx);
	assert_non_null(tls_conn_peer_cert(w->s.c));
	assert_non_null(tls_conn_peer_cert(w->c.c));
	assert_false(tls_conn_peer_error(w->s.c, NULL));
}

static void
test_echo_plain(void **state)
{
	struct world *w = *state;

	echo_some(w, NULL, NULL);
	assert_null(tls_conn_peer_cert(w->s.c));
}

/* Written before the handshake is done, and as several parts. */
static void
test_early_writev(void **state)
{
	struct world *w = *state;
	struct span v[3] = {
	    {(const uint8_t *)"he", 2}, {NULL, 0}, {(const uint8_t *)"llo", 3}};

	w->s.want = 5;
	connect_with(w, w->tls.server_ctx, w->tls.anon_ctx, "127.0.0.1", NULL);
	assert_int_equal(tls_conn_writev(w->c.c, v, 3), 0);
	fix_run(w->loop, &w->s.done, 5000);
	assert_memory_equal(buf_data(&w->s.got), "hello", 5);
	assert_null(tls_conn_peer_cert(w->s.c));
	assert_false(tls_conn_peer_error(w->s.c, NULL));
}

/* ---- who is trusted */

enum who { GOOD, EXPIRED, FUTURE, WRONG_CA, WRONG_NAME, SELF };

static struct tls_ctx *
server_ctx_of(struct world *w, enum who who, struct fix_cert *cert)
{
	struct fix_cert_opts o = {.cn = "server",
	    .san = who == WRONG_NAME ? "DNS:other" : "DNS:localhost",
	    .issuer = who == WRONG_CA ? &w->tls.other_ca
		      : who == SELF   ? NULL
				      : &w->tls.ca,
	    .from_s = who == FUTURE ? 3600 : -7200,
	    .to_s = who == EXPIRED ? -3600 : 7200};
	struct tls_server_opts so = {0};
	struct err e = {0};
	struct tls_ctx *ctx;

	fix_cert_make(cert, &o);
	so.cert_pem = buf_span(&cert->cert_pem);
	so.key = cert->key;
	ctx = tls_ctx_server_new(&so, &e);
	if (ctx == NULL)
		fail_msg("%s", e.text);
	return ctx;
}

static void
try_server(struct world *w, enum who who, const char *name, const char *text)
{
	struct fix_cert cert;
	struct tls_ctx *ctx = server_ctx_of(w, who, &cert);

	connect_with(w, ctx, w->tls.client_ctx, name, NULL);
	tls_ctx_free(&ctx); /* the connection has its own reference */
	if (text == NULL) {
		wait_ready(w);
	} else {
		fix_run(w->loop, &w->c.closed, 5000);
		fix_run(w->loop, &w->s.closed, 5000);
		assert_int_equal(w->c.e.code, ERR_UNAUTHENTICATED);
		if (strstr(w->c.e.text, text) == NULL)
			fail_msg("%s", w->c.e.text);
		assert_false(w->c.ready);
		assert_int_equal(w->s.e.code, ERR_DENIED);
	}
	fix_cert_free(&cert);
}

#define SERVER_TEST(fn, who, name, text)             \
	static void fn(void **state)                 \
	{                                            \
		try_server(*state, who, name, text); \
	}
SERVER_TEST(test_server_good, GOOD, "localhost", NULL)
SERVER_TEST(test_server_expired, EXPIRED, "localhost", "renew it")
SERVER_TEST(test_server_future, FUTURE, "localhost", "clocks")
SERVER_TEST(test_server_wrong_ca, WRONG_CA, "localhost", "not trusted")
SERVER_TEST(test_server_self, SELF, "localhost", "not trusted")
SERVER_TEST(
    test_server_wrong_name, WRONG_NAME, "localhost", "not for localhost")
SERVER_TEST(test_server_wrong_ip, GOOD, "127.0.0.1", "not for 127.0.0.1")

/* A client's bad certificate does not end the handshake: a 401 follows. */
static void
try_client(struct world *w, const struct fix_cert_opts *o, const char *text)
{
	struct fix_cert cert;
	struct tls_client_opts co = {0};
	struct tls_ctx *ctx;
	struct err e = {0};

	fix_cert_make(&cert, o);
	co.ca_pem = buf_span(&w->tls.ca.cert_pem);
	co.cert_pem = buf_span(&cert.cert_pem);
	co.key_pem = buf_span(&cert.key_pem);
	ctx = tls_ctx_client_new(&co, &e);
	assert_non_null(ctx);
	connect_with(w, w->tls.server_ctx, ctx, "localhost", NULL);
	tls_ctx_free(&ctx);
	wait_ready(w);
	assert_null(tls_conn_peer_cert(w->s.c));
	assert_true(tls_conn_peer_error(w->s.c, &e));
	assert_int_equal(e.code, ERR_UNAUTHENTICATED);
	if (strstr(e.text, text) == NULL)
		fail_msg("%s", e.text);
	fix_cert_free(&cert);
}

static void
test_client_expired(void **state)
{
	struct world *w = *state;
	const struct fix_cert_opts o = {
	    .cn = "bob", .issuer = &w->tls.ca, .from_s = -7200, .to_s = -3600};

	try_client(w, &o, "tributary kubeconfig");
}

static void
test_client_wrong_ca(void **state)
{
	struct world *w = *state;
	const struct fix_cert_opts o = {.cn = "bob",
	    .issuer = &w->tls.other_ca,
	    .from_s = -60,
	    .to_s = 3600};

	try_client(w, &o, "not trusted");
}

static void
try_pin(struct world *w, const struct fix_cert *pin, const char *text)
{
	struct fix_cert cert;
	struct tls_ctx *sctx = server_ctx_of(w, EXPIRED, &cert), *cctx;
	struct tls_client_opts co = {.verify = TLS_VERIFY_PIN};
	struct err e = {0};

	co.pin_pem = buf_span(pin != NULL ? &pin->cert_pem : &cert.cert_pem);
	cctx = tls_ctx_client_new(&co, &e);
	assert_non_null(cctx);
	connect_with(w, sctx, cctx, "whatever", NULL);
	tls_ctx_free(&sctx);
	tls_ctx_free(&cctx);
	if (text == NULL) {
		wait_ready(w);
	} else {
		fix_run(w->loop, &w->c.closed, 5000);
		if (strstr(w->c.e.text, text) == NULL)
			fail_msg("%s", w->c.e.text);
	}
	fix_cert_free(&cert);
}

static void
test_pin_same(void **state)
{
	try_pin(*state, NULL, NULL);
}

static void
test_pin_other(void **state)
{
	struct world *w = *state;

	try_pin(w, &w->tls.server, "pinned");
}

static void
test_verify_none(void **state)
{
	struct world *w = *state;
	struct tls_client_opts co = {.verify = TLS_VERIFY_NONE};
	struct tls_ctx *ctx = tls_ctx_client_new(&co, NULL);

	assert_non_null(ctx);
	connect_with(w, w->tls.server_ctx, ctx, NULL, NULL);
	tls_ctx_free(&ctx);
	wait_ready(w);
}

static void
test_bad_contexts(void **state)
{
	struct world *w = *state;
	struct span cert = buf_span(&w->tls.server.cert_pem);
	struct span key = buf_span(&w->tls.server.key_pem);
	struct span other = buf_span(&w->tls.client.key_pem);
	struct span junk = {(const uint8_t *)"junk", 4};
	const struct tls_server_opts rows[] = {
	    {.cert_pem = {NULL, 0}, .key_pem = key},
	    {.cert_pem = junk, .key_pem = key},
	    {.cert_pem = cert},
	    {.cert_pem = cert, .key_pem = junk},
	    {.cert_pem = cert, .key_pem = other},
	    {.cert_pem = key, .key_pem = cert},
	    {.cert_pem = cert, .key_pem = key, .client_ca_pem = junk},
	};
	struct tls_client_opts co = {0};
	struct err e;

	for (size_t i = 0; i < N_OF(rows); i++) {
		e.text[0] = '\0';
		assert_null(tls_ctx_server_new(&rows[i], &e));
		assert_true(strlen(e.text) > 20);
	}
	assert_null(tls_ctx_client_new(&co, &e)); /* no CA */
	co.verify = TLS_VERIFY_PIN;
	assert_null(tls_ctx_client_new(&co, &e));
}

/* ---- peers that do not speak TLS, or nothing at all */

static void
test_not_tls(void **state)
{
	struct world *w = *state;

	connect_with(w, w->tls.server_ctx, NULL, NULL, NULL);
	assert_int_equal(
	    tls_conn_write(w->c.c, "GET / HTTP/1.1\r\n\r\n", 18), 0);
	fix_run(w->loop, &w->s.closed, 5000);
	assert_non_null(strstr(w->s.e.text, "plain HTTP"));
}

static void
test_handshake_timeout(void **state)
{
	struct world *w = *state;
	const struct tls_conn_opts o = {.handshake_timeout_ms = 30};

	connect_with(w, w->tls.server_ctx, NULL, NULL, &o);
	fix_run(w->loop, &w->s.closed, 5000);
	assert_int_equal(w->s.e.code, ERR_TIMEOUT);
}

static void
test_refused_connect(void **state)
{
	struct world *w = *state;
	struct tls_conn_cbs cbs = cbs_of(&w->c);
	int fd[2];

	/* A socket whose peer is gone stands for one that failed. */
	fix_pair(fd);
	close(fd[0]);
	w->c.c = tls_conn_plain_new(w->loop, fd[1], NULL, &cbs, &w->c, NULL);
	fix_run(w->loop, &w->c.closed, 5000);
	assert_int_equal(w->c.e.code, ERR_CLOSED);
}

/* ---- pauses and slow readers */

static void
test_slow_reader(void **state)
{
	enum { PIECE = 32 << 10 };
	struct world *w = *state;
	const struct tls_conn_opts o = {.out_low_bytes = 64 << 10,
	    .out_high_bytes = 128 << 10,
	    .out_max_bytes = 256 << 10};
	uint8_t piece[PIECE];
	size_t written = 0;
	int rc = 0;

	memset(piece, 7, sizeof(piece));
	connect_with(w, w->tls.server_ctx, w->tls.client_ctx, "localhost", &o);
	wait_ready(w);
	tls_conn_pause_read(w->c.c);
	/* The kernel's buffers fill, then ours, then writing is refused. */
	for (int i = 0; i < 10000; i++) {
		rc = tls_conn_write(w->s.c, piece, PIECE);
		if (rc < 0)
			break;
		written += PIECE;
		ev_loop_turn(w->loop, false);
	}
	assert_int_equal(rc, -ERR_TOO_BIG);
	assert_true(tls_conn_full(w->s.c));
	assert_true(tls_conn_queued(w->s.c) <= 256 << 10);
	assert_int_equal(w->c.got.len, 0);
	assert_int_equal(w->s.drained, 0);
	w->c.want = written;
	tls_conn_resume_read(w->c.c);
	fix_run(w->loop, &w->c.done, 20000);
	assert_int_equal(w->c.got.len, written);
	assert_int_equal(w->s.drained, 1);
	assert_int_equal(w->s.sent, written);
}

/* What is not taken is shown again with what comes later. */
static void
test_partial_take(void **state)
{
	struct world *w = *state;

	w->s.take = 3;
	w->s.want = 3;
	connect_with(
	    w, w->tls.server_ctx, w->tls.client_ctx, "localhost", NULL);
	wait_ready(w);
	tls_conn_write(w->c.c, "abcdef", 6);
	fix_run(w->loop, &w->s.done, 5000);
	w->s.done = false;
	w->s.want = 6;
	tls_conn_show(w->s.c);
	fix_run(w->loop, &w->s.done, 5000);
	assert_memory_equal(buf_data(&w->s.got), "abcdef", 6);
}

/* A reader that takes nothing is not fed without limit. */
static void
test_input_bound(void **state)
{
	enum { TOTAL = 4 << 20 };
	struct world *w = *state;
	const struct tls_conn_opts o = {.in_max_bytes = 64 << 10};
	uint8_t *data = calloc(1, TOTAL);

	assert_non_null(data);
	connect_with(w, NULL, NULL, NULL, &o);
	wait_ready(w);
	w->s.take = 1; /* nearly nothing per call */
	assert_int_equal(tls_conn_write(w->c.c, data, TOTAL), 0);
	fix_settle(w->loop, 100);
	assert_true(w->s.got.len < 64);
	assert_false(w->s.closed);
	free(data);
}

/* ---- ends */

static void
test_shutdown_flushes(void **state)
{
	enum { TOTAL = 1 << 20 };
	struct world *w = *state;
	uint8_t *data = calloc(1, TOTAL);

	assert_non_null(data);
	connect_with(
	    w, w->tls.server_ctx, w->tls.client_ctx, "localhost", NULL);
	wait_ready(w);
	assert_int_equal(tls_conn_write(w->s.c, data, TOTAL), 0);
	tls_conn_shutdown(w->s.c);
	assert_int_equal(tls_conn_write(w->s.c, data, 1), -ERR_CLOSED);
	fix_run(w->loop, &w->c.closed, 10000);
	assert_int_equal(w->c.got.len, TOTAL);
	assert_int_equal(w->c.e.code, ERR_CLOSED);
	tls_conn_free(&w->c.c);
	fix_run(w->loop, &w->s.closed, 5000);
	assert_int_equal(w->s.e.code, ERR_OK);
	free(data);
}

/* The peer has ended its side but still reads: an answer gets through. */
static void
half_close(struct world *w, struct tls_ctx *sctx, struct tls_ctx *cctx)
{
	w->s.keep_eof = true;
	w->c.want = 6;
	connect_with(w, sctx, cctx, "localhost", NULL);
	wait_ready(w);
	tls_conn_write(w->c.c, "ask", 3);
	fix_settle(w->loop, 20);
	shutdown(tls_conn_fd(w->c.c), SHUT_WR);
	for (int i = 0; i < 1000 && w->s.eof_count == 0 && !w->s.closed; i++)
		ev_loop_turn(w->loop, true);
}

static void
test_half_close_plain(void **state)
{
	struct world *w = *state;

	half_close(w, NULL, NULL);
	assert_int_equal(w->s.eof_count, 1);
	assert_int_equal(tls_conn_write(w->s.c, "answer", 6), 0);
	tls_conn_shutdown(w->s.c);
	fix_run(w->loop, &w->c.done, 5000);
	fix_run(w->loop, &w->s.closed, 5000);
	assert_int_equal(w->s.e.code, ERR_OK);
}

/* Without TLS's own end it may be an attacker's cut: not a half close. */
static void
test_cut_tls(void **state)
{
	struct world *w = *state;

	half_close(w, w->tls.server_ctx, w->tls.client_ctx);
	assert_int_equal(w->s.eof_count, 0);
	assert_true(w->s.closed);
	assert_int_equal(w->s.e.code, ERR_CLOSED);
}

static void
test_free_inside(void **state)
{
	struct world *w = *state;

	w->s.free_on_read = true;
	connect_with(
	    w, w->tls.server_ctx, w->tls.client_ctx, "localhost", NULL);
	wait_ready(w);
	tls_conn_write(w->c.c, "x", 1);
	fix_run(w->loop, &w->c.closed, 5000);
	assert_null(w->s.c);
	assert_false(w->s.closed);
}

/* A peer that never ends its side is not waited for for ever. */
static void
test_linger_bound(void **state)
{
	struct world *w = *state;

	w->c.keep_eof = true; /* sees the end and does nothing */
	connect_with(w, NULL, NULL, NULL, NULL);
	wait_ready(w);
	tls_conn_shutdown(w->s.c);
	fix_run(w->loop, &w->s.closed, 5000);
	assert_int_equal(w->s.e.code, ERR_OK);
}

/* The new owner sees what the old one left. */
static void
test_new_owner(void **state)
{
	struct world *w = *state;
	struct end next = {.want = 4};
	struct tls_conn_cbs cbs = cbs_of(&next);

	buf_init(&next.got, 0);
	w->s.take = 2;
	w->s.want = 2;
	connect_with(
	    w, w->tls.server_ctx, w->tls.client_ctx, "localhost", NULL);
	wait_ready(w);
	tls_conn_write(w->c.c, "abcdef", 6);
	fix_run(w->loop, &w->s.done, 5000);
	tls_conn_set_cbs(w->s.c, &cbs, &next);
	fix_run(w->loop, &next.done, 5000);
	assert_memory_equal(buf_data(&next.got), "cdef", 4);
	tls_conn_free(&w->s.c);
	buf_free(&next.got);
}

/* Made without an owner; both data and the end wait for the first one. */
static void
test_owner_comes_late(void **state)
{
	static const struct tls_conn_cbs none;
	struct world *w = *state;
	struct tls_conn_cbs cbs = cbs_of(&w->s), ccbs = cbs_of(&w->c);
	int fd[2];

	for (int ended = 0; ended < 2; ended++) {
		fix_pair(fd);
		w->s.c =
		    tls_conn_plain_new(w->loop, fd[0], NULL, &none, NULL, NULL);
		w->c.c = tls_conn_plain_new(
		    w->loop, fd[1], NULL, &ccbs, &w->c, NULL);
		assert_int_equal(tls_conn_write(w->c.c, "abc", 3), 0);
		fix_settle(w->loop, 20);
		if (ended) {
			tls_conn_free(&w->c.c);
			fix_settle(w->loop, 20);
		}
		w->s.want = 3;
		tls_conn_set_cbs(w->s.c, &cbs, &w->s);
		fix_run(w->loop, ended ? &w->s.closed : &w->s.done, 5000);
		tls_conn_free(&w->s.c);
		tls_conn_free(&w->c.c);
	}
	assert_int_equal(w->s.e.code, ERR_CLOSED);
}

static void
test_system_roots(void **state)
{
	struct buf pem;
	struct err e = {0};
	struct tls_client_opts co = {0};
	struct tls_ctx *ctx;

	(void)state;
	buf_init(&pem, 0);
	if (tls_system_roots(&pem, &e) < 0) {
		assert_int_equal(e.code, ERR_NOT_FOUND);
		assert_non_null(strstr(e.text, "ca-certificates"));
		return;
	}
	co.ca_pem = buf_span(&pem);
	ctx = tls_ctx_client_new(&co, &e);
	assert_non_null(ctx);
	tls_ctx_free(&ctx);
	buf_free(&pem);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_echo_tls),
	    T(test_echo_plain),
	    T(test_early_writev),
	    T(test_server_good),
	    T(test_server_expired),
	    T(test_server_future),
	    T(test_server_wrong_ca),
	    T(test_server_self),
	    T(test_server_wrong_name),
	    T(test_server_wrong_ip),
	    T(test_client_expired),
	    T(test_client_wrong_ca),
	    T(test_pin_same),
	    T(test_pin_other),
	    T(test_verify_none),
	    T(test_bad_contexts),
	    T(test_not_tls),
	    T(test_handshake_timeout),
	    T(test_refused_connect),
	    T(test_slow_reader),
	    T(test_partial_take),
	    T(test_input_bound),
	    T(test_shutdown_flushes),
	    T(test_half_close_plain),
	    T(test_cut_tls),
	    T(test_free_inside),
	    T(test_linger_bound),
	    T(test_new_owner),
	    T(test_owner_comes_late),
	    T(test_system_roots),
	};

	return cmocka_run_group_tests_name("tls_conn", tests, NULL, NULL);
}
