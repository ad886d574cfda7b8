/*
 * WebSockets end to end: the upgrade by our client against our server, over
 * TLS; big messages in pieces; control frames; every way to end; and a raw
 * peer that breaks the rules.
 */
#include "config.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/http_client.h"
#include "net/http_server.h"
#include "tests/unit/net/net_fix.h"

#define PROTO "v4.channel.k8s.io"

struct side {
	struct ws_conn *ws;
	struct buf got;   /* of the message under way, then whole */
	EVP_MD_CTX *hash; /* of all pieces, when not NULL */
	size_t bytes, pieces, messages, drained, sent;
	size_t want; /* enough is set at so many messages */
	bool enough;
	bool in_message, message, drain, closed, clean;
	bool echo, pause_each, free_on_piece;
	uint16_t code;
	struct err e;
};

struct world {
	struct ev_loop *loop;
	struct fix_tls tls;
	struct http_conn *http;
	struct ws_client *wait;
	struct side s, c;
	struct ws_conn_opts sopts, copts;
	bool refuse, answered, http_closed;
	int refused_code;
	struct status refused;
	struct err e;
	struct tls_conn *raw;
	struct buf raw_in;
	bool raw_closed, raw_enough;
	size_t raw_want;
};

static void
on_piece(void *arg, struct ws_conn *ws, struct span b, bool first, bool last)
{
	struct side *x = arg;

	assert_ptr_equal(ws, x->ws);
	assert_int_equal(first, !x->in_message);
	if (first)
		buf_clear(&x->got);
	if (x->hash != NULL)
		EVP_DigestUpdate(x->hash, b.p, b.n);
	else
		assert_int_equal(buf_append(&x->got, b.p, b.n), 0);
	x->bytes += b.n;
	x->pieces++;
	x->in_message = !last;
	x->messages += last;
	x->message = x->message || last;
	x->enough = x->messages >= x->want;
	if (x->echo)
		assert_int_equal(ws_send_piece(ws, b.p, b.n, first, last), 0);
	if (x->pause_each)
		ws_pause(ws);
	if (x->free_on_piece)
		ws_conn_free(&x->ws);
}

static void
on_drained(void *arg, struct ws_conn *ws)
{
	struct side *x = arg;

	(void)ws;
	x->drained++;
	x->drain = true;
}

static void
on_sent(void *arg, struct ws_conn *ws, size_t n)
{
	(void)ws;
	((struct side *)arg)->sent += n;
}

static void
on_close(void *arg, struct ws_conn *ws, bool clean, uint16_t code,
    const struct err *e)
{
	struct side *x = arg;

	assert_ptr_equal(ws, x->ws);
	assert_false(x->closed);
	x->closed = true;
	x->clean = clean;
	x->code = code;
	x->e = *e;
	ws_conn_free(&x->ws);
}

static const struct ws_conn_cbs WS_CBS = {
    on_piece, on_drained, on_sent, on_close};

static void
on_request(
    void *arg, struct http_conn *c, const struct http_head *h, struct span body)
{
	struct world *w = arg;
	char accept[WS_ACCEPT_SIZE];
	struct err e = {0};
	int code;

	(void)body;
	if (w->refuse) {
		http_respond_status(c, STATUS_FORBIDDEN,
		    "You may not use %s; ask for access.", h->path);
		return;
	}
	if (ws_check_request(h, PROTO, accept, &code, &e) < 0) {
		http_respond_status(c, status_from_code(code), "%s", e.text);
		return;
	}
	w->s.ws = http_upgrade(
	    &w->http, accept, PROTO, NULL, &w->sopts, &WS_CBS, &w->s, &e);
	if (w->s.ws == NULL)
		fail_msg("%s", e.text);
	assert_null(w->http);
}

static void
on_http_close(void *arg, struct http_conn *c, const struct err *e)
{
	struct world *w = arg;

	(void)c;
	(void)e;
	w->http_closed = true;
	http_conn_free(&w->http);
}

static void
on_answer(void *arg, struct ws_conn *ws, const struct ws_refusal *r,
    const struct err *e)
{
	struct world *w = arg;

	w->wait = NULL;
	w->answered = true;
	assert_int_equal((ws != NULL) + (r != NULL) + (e != NULL), 1);
	w->c.ws = ws;
	if (ws != NULL)
		ws_conn_bind(ws, &WS_CBS, &w->c);
	if (r != NULL) {
		w->refused_code = r->http_code;
		w->refused = r->status;
		assert_non_null(r->head);
	}
	if (e != NULL)
		w->e = *e;
}

static void
on_raw_read(void *arg, struct buf *in)
{
	struct world *w = arg;

	assert_int_equal(buf_append(&w->raw_in, buf_data(in), in->len), 0);
	buf_consume(in, in->len);
	w->raw_enough = w->raw_in.len >= w->raw_want;
}

static void
on_raw_close(void *arg, const struct err *e)
{
	(void)e;
	((struct world *)arg)->raw_closed = true;
}

static const struct tls_conn_cbs RAW_CBS = {
    .on_read = on_raw_read,
    .on_close = on_raw_close,
};

static void
start(struct world *w, bool tls)
{
	static const struct http_conn_cbs http_cbs = {
	    .on_request = on_request, .on_close = on_http_close};
	const struct tls_conn_opts o = {.server_name = "localhost"};
	const struct http_req req = {.target = "/ws?connect=true",
	    .host = "localhost",
	    .timeout_ms = 5000};
	struct tls_conn *s, *c;
	struct err e = {0};
	int fd[2];

	fix_pair(fd);
	s = tls ? tls_conn_new(
		      w->loop, w->tls.server_ctx, fd[0], NULL, &RAW_CBS, w, &e)
		: tls_conn_plain_new(w->loop, fd[0], NULL, &RAW_CBS, w, &e);
	c = tls ? tls_conn_new(
		      w->loop, w->tls.client_ctx, fd[1], &o, &RAW_CBS, w, &e)
		: tls_conn_plain_new(w->loop, fd[1], NULL, &RAW_CBS, w, &e);
	assert_non_null(s);
	assert_non_null(c);
	w->http = http_conn_new(s, NULL, &http_cbs, w, &e);
	w->wait = ws_client_start(c, &req, PROTO, &w->copts, on_answer, w, &e);
	if (w->wait == NULL)
		fail_msg("%s", e.text);
	fix_run(w->loop, &w->answered, 5000);
}

/* A server's WebSocket alone, with a raw peer at the other end. */
static void
start_raw(struct world *w, enum ws_role role)
{
	struct tls_conn *s;
	int fd[2];

	fix_pair(fd);
	s = tls_conn_plain_new(w->loop, fd[0], NULL, &RAW_CBS, w, NULL);
	w->raw = tls_conn_plain_new(w->loop, fd[1], NULL, &RAW_CBS, w, NULL);
	w->s.ws = ws_conn_new(s, role, &w->sopts, &WS_CBS, &w->s, NULL);
	assert_non_null(w->s.ws);
	w->raw_closed = false;
	w->s.closed = false;
	buf_clear(&w->raw_in);
}

static void
raw_frame(struct world *w, uint8_t op, bool fin, const void *p, size_t n)
{
	struct buf b;

	buf_init(&b, 0);
	assert_int_equal(ws_put_frame(&b, op, fin,
			     (const uint8_t *)"\x11\x22\x33\x44", p, n),
	    0);
	assert_int_equal(tls_conn_write(w->raw, buf_data(&b), b.len), 0);
	buf_free(&b);
}

static void
raw_wait(struct world *w, size_t n)
{
	w->raw_want = n;
	w->raw_enough = w->raw_in.len >= n;
	fix_run(w->loop, &w->raw_enough, 5000);
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
	buf_init(&w->raw_in, 0);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	ws_client_cancel(&w->wait);
	ws_conn_free(&w->s.ws);
	ws_conn_free(&w->c.ws);
	http_conn_free(&w->http);
	tls_conn_free(&w->raw);
	EVP_MD_CTX_free(w->s.hash);
	EVP_MD_CTX_free(w->c.hash);
	buf_free(&w->s.got);
	buf_free(&w->c.got);
	buf_free(&w->raw_in);
	fix_tls_free(&w->tls);
	ev_loop_free(&w->loop);
	free(w);
	return 0;
}

/* ---- the upgrade */

static void
test_echo(void **state)
{
	struct world *w = *state;

	w->s.echo = true;
	start(w, true);
	assert_non_null(w->c.ws);
	for (int i = 0; i < 50; i++) {
		char text[40];

		snprintf(text, sizeof(text), "message %d", i);
		w->c.message = false;
		assert_int_equal(ws_send(w->c.ws, text, strlen(text)), 0);
		fix_run(w->loop, &w->c.message, 5000);
		assert_string_equal(buf_cstr(&w->c.got), text);
	}
	assert_int_equal(w->s.messages, 50);
	assert_non_null(tls_conn_peer_cert(ws_conn_tls(w->s.ws)));
}

static void
test_refused(void **state)
{
	struct world *w = *state;

	w->refuse = true;
	start(w, true);
	assert_null(w->c.ws);
	assert_int_equal(w->refused_code, 403);
	assert_int_equal(w->refused.code, 403);
	assert_string_equal(w->refused.reason, "Forbidden");
	assert_string_equal(
	    w->refused.message, "You may not use /ws; ask for access.");
}

/* Answers of a raw server to the client's handshake. */
static void
test_bad_answers(void **state)
{
	static const struct {
		const char *answer;
		int code; /* of a refusal; 0 = an error */
	} rows[] = {
	    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200},
	    {"HTTP/1.1 503 Busy\r\n\r\nnot json", 503},
	    {"HTTP/1.1 404 x\r\nContent-Length: 100\r\n\r\ncut", 404},
	    {"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\nzz", 500},
	    {"HTTP/1.1 101 Up\r\n\r\n", 0},
	    {"HTTP/1.1 101 Up\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	     "Sec-WebSocket-Accept: AAAA\r\n\r\n",
		0},
	    {"HTTP/1.1 100 Continue\r\n\r\n", 0},
	    {"SSH-2.0-x\r\n\r\n", 0},
	    {"", 0},
	};
	const struct http_req req = {.target = "/", .host = "h"};
	struct world *w = *state;

	for (size_t i = 0; i < N_OF(rows); i++) {
		struct tls_conn *c;
		int fd[2];

		fix_pair(fd);
		c = tls_conn_plain_new(w->loop, fd[1], NULL, &RAW_CBS, w, NULL);
		w->raw =
		    tls_conn_plain_new(w->loop, fd[0], NULL, &RAW_CBS, w, NULL);
		w->answered = false;
		w->refused_code = 0;
		memset(&w->e, 0, sizeof(w->e));
		w->wait =
		    ws_client_start(c, &req, PROTO, NULL, on_answer, w, NULL);
		raw_wait(w, 100);
		tls_conn_write(w->raw, rows[i].answer, strlen(rows[i].answer));
		tls_conn_shutdown(w->raw);
		fix_run(w->loop, &w->answered, 5000);
		assert_null(w->c.ws);
		assert_int_equal(w->refused_code, rows[i].code);
		if (rows[i].code == 0 && strlen(w->e.text) < 20)
			fail_msg("row %zu: %s", i, w->e.text);
		tls_conn_free(&w->raw);
		buf_clear(&w->raw_in);
	}
}

static void
test_handshake_timeout(void **state)
{
	const struct http_req req = {
	    .target = "/", .host = "h", .timeout_ms = 40};
	struct world *w = *state;
	struct tls_conn *c;
	int fd[2];

	fix_pair(fd);
	c = tls_conn_plain_new(w->loop, fd[1], NULL, &RAW_CBS, w, NULL);
	w->raw = tls_conn_plain_new(w->loop, fd[0], NULL, &RAW_CBS, w, NULL);
	w->wait = ws_client_start(c, &req, PROTO, NULL, on_answer, w, NULL);
	fix_run(w->loop, &w->answered, 5000);
	assert_int_equal(w->e.code, ERR_TIMEOUT);
}

/* Frames that come with the upgrade request are not lost. */
static void
test_early_frames(void **state)
{
	static const char request[] =
	    "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
	    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	    "Sec-WebSocket-Protocol: " PROTO "\r\n\r\n";
	static const struct http_conn_cbs http_cbs = {
	    .on_request = on_request, .on_close = on_http_close};
	static const char want[] =
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	    "Sec-WebSocket-Protocol: " PROTO "\r\n\r\n";
	struct world *w = *state;
	struct tls_conn *s;
	struct buf b;
	int fd[2];

	fix_pair(fd);
	s = tls_conn_plain_new(w->loop, fd[0], NULL, &RAW_CBS, w, NULL);
	w->raw = tls_conn_plain_new(w->loop, fd[1], NULL, &RAW_CBS, w, NULL);
	w->http = http_conn_new(s, NULL, &http_cbs, w, NULL);
	buf_init(&b, 0);
	buf_append(&b, request, sizeof(request) - 1);
	ws_put_frame(&b, WS_BINARY, true, (const uint8_t *)"abcd", "early", 5);
	tls_conn_write(w->raw, buf_data(&b), b.len);
	buf_free(&b);
	fix_run(w->loop, &w->s.message, 5000);
	assert_string_equal(buf_cstr(&w->s.got), "early");
	raw_wait(w, sizeof(want) - 1);
	assert_string_equal(buf_cstr(&w->raw_in), want);
}

/* ---- data */

static void
hash_now(EVP_MD_CTX *ctx, uint8_t out[32])
{
	unsigned n = 0;

	assert_int_equal(EVP_DigestFinal_ex(ctx, out, &n), 1);
	assert_int_equal(n, 32);
}

/* A message of 40 MiB in pieces, by hash; the receiver pauses at each. */
static void
test_big_message(void **state)
{
	enum { PIECE = 100 << 10, PIECES = 410 };
	struct world *w = *state;
	EVP_MD_CTX *mine = EVP_MD_CTX_new();
	uint8_t *piece = malloc(PIECE), a[32], b[32];
	size_t i = 0;

	assert_non_null(piece);
	w->s.hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex(w->s.hash, EVP_sha256(), NULL);
	EVP_DigestInit_ex(mine, EVP_sha256(), NULL);
	start(w, true);
	w->s.pause_each = true;
	while (!w->s.message) {
		while (i < PIECES && !ws_full(w->c.ws)) {
			for (size_t k = 0; k < PIECE; k++)
				piece[k] = (uint8_t)(k * 7 + i);
			assert_int_equal(ws_send_piece(w->c.ws, piece, PIECE,
					     i == 0, i == PIECES - 1),
			    0);
			EVP_DigestUpdate(mine, piece, PIECE);
			i++;
			assert_int_equal(ws_sending(w->c.ws), i < PIECES);
		}
		assert_true(ws_queued(w->c.ws) < (1 << 20));
		ws_resume(w->s.ws);
		ev_loop_turn(w->loop, true);
	}
	assert_int_equal(w->s.bytes, (size_t)PIECE * PIECES);
	assert_int_equal(w->s.messages, 1);
	assert_true(w->s.pieces > PIECES);
	assert_true(w->c.drained > 0);
	hash_now(w->s.hash, a);
	hash_now(mine, b);
	assert_memory_equal(a, b, 32);
	EVP_MD_CTX_free(mine);
	free(piece);
}

static void
test_order_rules(void **state)
{
	struct world *w = *state;
	struct span parts[3] = {
	    {(const uint8_t *)"a", 1}, {NULL, 0}, {(const uint8_t *)"bc", 2}};
	uint8_t *huge = calloc(1, WS_MAX_FRAME + 1);

	assert_non_null(huge);
	w->s.want = 2;
	start(w, true);
	assert_int_equal(
	    ws_send_piece(w->c.ws, "x", 1, false, true), -ERR_CONFLICT);
	assert_int_equal(ws_send_piece(w->c.ws, "x", 1, true, false), 0);
	assert_int_equal(ws_send(w->c.ws, "x", 1), -ERR_CONFLICT);
	assert_int_equal(ws_send_piecev(w->c.ws, parts, 3, false, true), 0);
	assert_int_equal(
	    ws_send(w->c.ws, huge, WS_MAX_FRAME + 1), -ERR_TOO_BIG);
	assert_int_equal(ws_send_piecev(w->c.ws, NULL, 0, true, true), 0);
	fix_run(w->loop, &w->s.enough, 5000);
	assert_int_equal(w->s.messages, 2);
	assert_int_equal(w->s.bytes, 4);
	free(huge);
}

static void
test_slow_reader(void **state)
{
	enum { PIECE = 64 << 10 };
	struct world *w = *state;
	uint8_t *piece = calloc(1, PIECE);
	int rc = 0;
	size_t n = 0;

	assert_non_null(piece);
	start(w, true);
	ws_pause(w->c.ws);
	for (; n < 10000 && rc == 0; n++) {
		rc = ws_send(w->s.ws, piece, PIECE);
		ev_loop_turn(w->loop, false);
	}
	assert_int_equal(rc, -ERR_TOO_BIG);
	assert_int_equal(w->c.messages, 0);
	ws_resume(w->c.ws);
	w->c.want = n - 1;
	fix_run(w->loop, &w->s.drain, 20000);
	fix_run(w->loop, &w->c.enough, 20000);
	assert_int_equal(w->c.messages, n - 1);
	free(piece);
}

/* ---- control frames and ends, against a raw peer */

static void
test_ping(void **state)
{
	struct world *w = *state;

	start_raw(w, WS_SERVER);
	raw_frame(w, WS_BINARY, false, "ab", 2);
	raw_frame(w, WS_PING, true, "hello", 5);
	raw_frame(w, WS_PONG, true, "", 0);
	raw_frame(w, WS_CONT, true, "c", 1);
	raw_wait(w, 7);
	assert_memory_equal(buf_data(&w->raw_in), "\x8a\x05hello", 7);
	fix_run(w->loop, &w->s.message, 5000);
	assert_string_equal(buf_cstr(&w->s.got), "abc");
	assert_int_equal(w->raw_in.len, 7); /* nothing of its own accord */
}

/* A flood of Pings whose Pongs nobody reads takes bounded memory. */
static void
test_ping_flood(void **state)
{
	struct world *w = *state;
	char payload[125] = {0};

	start_raw(w, WS_SERVER);
	fix_settle(w->loop, 5);
	tls_conn_pause_read(w->raw);
	for (int i = 0; i < 60000; i++) {
		if (!tls_conn_full(w->raw))
			raw_frame(w, WS_PING, true, payload, 125);
		else
			ev_loop_turn(w->loop, false);
	}
	fix_settle(w->loop, 50);
	assert_true(ws_queued(w->s.ws) < (128 << 10));
	assert_false(w->s.closed);
}

static const struct {
	const char *payload; /* of the peer's Close */
	size_t n;
	const char *answer;
	size_t answer_n;
	uint16_t code;
} CLOSES[] = {
    {"", 0, "\x88\x00", 2, 1005},
    {"\x03\xe8", 2, "\x88\x02\x03\xe8", 4, 1000},
    {"\x03\xe8why", 5, "\x88\x02\x03\xe8", 4, 1000},
    {"\x0f\xa0", 2, "\x88\x02\x0f\xa0", 4, 4000},
    {"\x03", 1, "\x88\x02\x03\xea", 4, 1002},
    {"\x03\xed", 2, "\x88\x02\x03\xea", 4, 1002},
    {"\x03\xe8\xff", 3, "\x88\x02\x03\xea", 4, 1002},
};

static void
test_peer_closes(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < N_OF(CLOSES); i++) {
		start_raw(w, WS_SERVER);
		raw_frame(w, WS_CLOSE, true, CLOSES[i].payload, CLOSES[i].n);
		raw_frame(w, WS_BINARY, true, "late", 4);
		fix_run(w->loop, &w->raw_closed, 5000);
		assert_int_equal(w->raw_in.len, CLOSES[i].answer_n);
		assert_memory_equal(
		    buf_data(&w->raw_in), CLOSES[i].answer, CLOSES[i].answer_n);
		tls_conn_free(&w->raw);
		fix_run(w->loop, &w->s.closed, 5000);
		assert_true(w->s.clean);
		assert_int_equal(w->s.code, CLOSES[i].code);
		assert_int_equal(w->s.messages, 0);
	}
}

static const struct {
	const char *bytes;
	size_t n;
	uint16_t code;
} BROKEN[] = {
    {"\x82\x01x", 3, 1002},                             /* unmasked */
    {"\xc2\x81\0\0\0\0x", 7, 1002},                     /* RSV */
    {"\x83\x81\0\0\0\0x", 7, 1002},                     /* opcode */
    {"\x81\x81\0\0\0\0x", 7, 1003},                     /* text */
    {"\x80\x81\0\0\0\0x", 7, 1002},                     /* continues nothing */
    {"\x89\xfe\0\x80\0\0\0\0", 8, 1002},                /* long ping */
    {"\x82\xff\0\0\0\0\x01\0\0\x01\0\0\0\0", 14, 1009}, /* 16 MiB + 1 */
    {"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14, 1002},
    {"GET / HTTP/1.1\r\n\r\n", 18, 1002},
};

static void
test_broken_peer(void **state)
{
	struct world *w = *state;
	uint8_t head[4];

	for (size_t i = 0; i < N_OF(BROKEN); i++) {
		start_raw(w, WS_SERVER);
		tls_conn_write(w->raw, BROKEN[i].bytes, BROKEN[i].n);
		fix_run(w->loop, &w->raw_closed, 5000);
		assert_true(w->raw_in.len >= 4);
		memcpy(head, buf_data(&w->raw_in), sizeof(head));
		assert_int_equal(head[0], 0x88);
		assert_int_equal(head[2] << 8 | head[3], BROKEN[i].code);
		tls_conn_free(&w->raw);
		fix_run(w->loop, &w->s.closed, 5000);
		assert_false(w->s.clean);
		assert_true(w->s.e.code == ERR_INVALID ||
			    w->s.e.code == ERR_TOO_BIG ||
			    w->s.e.code == ERR_UNSUPPORTED);
		assert_int_equal(w->s.messages, 0);
	}
}

static void
test_we_close(void **state)
{
	struct world *w = *state;

	start(w, true);
	assert_int_equal(ws_send(w->s.ws, "last", 4), 0);
	ws_close(w->s.ws, 1000, "bye");
	assert_int_equal(ws_send(w->s.ws, "x", 1), -ERR_CLOSED);
	fix_run(w->loop, &w->s.closed, 5000);
	fix_run(w->loop, &w->c.closed, 5000);
	assert_int_equal(w->c.messages, 1);
	assert_true(w->c.clean);
	assert_int_equal(w->c.code, 1000);
	assert_true(w->s.clean);
	assert_int_equal(w->s.code, 1000);
}

/* Our Close is not answered: the connection ends all the same. */
static void
test_close_not_answered(void **state)
{
	struct world *w = *state;

	start_raw(w, WS_SERVER);
	ws_close(w->s.ws, WS_CLOSE_NO_STATUS, NULL);
	raw_wait(w, 2);
	assert_memory_equal(buf_data(&w->raw_in), "\x88\x00", 2);
	fix_run(w->loop, &w->raw_closed, 10000);
}

/* What is queued goes out, then the connection ends without a Close. */
static void
test_drop(void **state)
{
	struct world *w = *state;

	start(w, true);
	assert_int_equal(ws_send(w->s.ws, "last", 4), 0);
	ws_drop(w->s.ws);
	fix_run(w->loop, &w->c.closed, 5000);
	assert_int_equal(w->c.messages, 1);
	assert_false(w->c.clean);
	assert_int_equal(w->c.e.code, ERR_CLOSED);
	fix_run(w->loop, &w->s.closed, 5000);
	assert_int_equal(w->s.e.code, ERR_OK);
}

static void
test_killed_peer(void **state)
{
	struct world *w = *state;

	start(w, true);
	ws_conn_free(&w->c.ws);
	fix_run(w->loop, &w->s.closed, 5000);
	assert_false(w->s.clean);
	assert_int_equal(w->s.e.code, ERR_CLOSED);
}

static void
test_free_inside(void **state)
{
	struct world *w = *state;

	start(w, true);
	w->s.free_on_piece = true;
	ws_send(w->c.ws, "a", 1);
	ws_send(w->c.ws, "b", 1);
	fix_run(w->loop, &w->c.closed, 5000);
	assert_int_equal(w->s.messages, 1);
	assert_null(w->s.ws);
}

/* Pings to a foreign operator: one that answers, one that does not. */
static void
test_pings(void **state)
{
	struct world *w = *state;

	w->copts.ping_interval_ms = 15;
	w->copts.silence_ms = 300;
	start(w, true);
	fix_settle(w->loop, 600);
	assert_false(w->c.closed);
	assert_false(w->s.closed);
	ws_conn_free(&w->c.ws);
	ws_conn_free(&w->s.ws);
	w->sopts = w->copts;
	w->sopts.silence_ms = 60;
	start_raw(w, WS_CLIENT);
	fix_run(w->loop, &w->s.closed, 5000);
	assert_int_equal(w->s.e.code, ERR_TIMEOUT);
	assert_true(w->raw_in.len >= 6);
	assert_int_equal(buf_data(&w->raw_in)[0], 0x89);
	assert_int_equal(buf_data(&w->raw_in)[1], 0x80);
}

/* An idle peer that answers is not silent, however rare the Pings are. */
static void
test_rare_pings(void **state)
{
	struct world *w = *state;

	w->copts.ping_interval_ms = 100;
	w->copts.silence_ms = 30;
	start(w, true);
	fix_settle(w->loop, 450);
	assert_false(w->c.closed);
	assert_false(w->s.closed);
	ws_conn_free(&w->c.ws);
	ws_conn_free(&w->s.ws);
	w->sopts = w->copts;
	start_raw(w, WS_CLIENT);
	fix_run(w->loop, &w->s.closed, 5000);
	assert_int_equal(w->s.e.code, ERR_TIMEOUT);
}

static void
test_pings_begin_later(void **state)
{
	struct world *w = *state;

	start_raw(w, WS_CLIENT);
	fix_settle(w->loop, 50);
	assert_false(w->s.closed);
	assert_int_equal(ws_set_pings(w->s.ws, 20, 50), 0);
	assert_int_equal(ws_set_pings(w->s.ws, 0, 0), 0);
	fix_settle(w->loop, 150);
	assert_false(w->s.closed);
	assert_int_equal(ws_set_pings(w->s.ws, 20, 50), 0);
	fix_run(w->loop, &w->s.closed, 5000);
	assert_int_equal(w->s.e.code, ERR_TIMEOUT);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_echo),
	    T(test_refused),
	    T(test_bad_answers),
	    T(test_handshake_timeout),
	    T(test_early_frames),
	    T(test_big_message),
	    T(test_order_rules),
	    T(test_slow_reader),
	    T(test_ping),
	    T(test_ping_flood),
	    T(test_peer_closes),
	    T(test_broken_peer),
	    T(test_we_close),
	    T(test_close_not_answered),
	    T(test_drop),
	    T(test_killed_peer),
	    T(test_free_inside),
	    T(test_pings),
	    T(test_rare_pings),
	    T(test_pings_begin_later),
	};

	return cmocka_run_group_tests_name("ws_conn", tests, NULL, NULL);
}
