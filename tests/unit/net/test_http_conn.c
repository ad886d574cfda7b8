/*
 * The server's and the client's side of HTTP against each other and against
 * raw bytes, over real sockets, with TLS where it matters.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_client.h"
#include "net/http_server.h"
#include "tests/unit/net/net_fix.h"

/* A server that answers by path; see on_request. */
struct world {
	struct ev_loop *loop;
	struct fix_tls tls;
	/* server */
	struct http_conn *srv;
	struct http_conn *waiting; /* a request to be answered later */
	unsigned requests, streamed;
	bool srv_closed, got_wait;
	struct err srv_e;
	char last_path[128];
	size_t body_len;
	/* raw client */
	struct tls_conn *raw;
	struct buf raw_in;
	bool raw_closed, raw_enough;
	const char *raw_until; /* raw_enough once it was seen */
	/* http client */
	struct http_client *cli;
	int status;
	struct buf body;
	unsigned pieces;
	bool cli_done;
	struct err cli_e;
};

static uint64_t
body_limit(void *arg, const struct http_head *h)
{
	(void)arg;
	return strcmp(h->path, "/nobody") == 0 ? 0 : 4096;
}

static void
on_request(
    void *arg, struct http_conn *c, const struct http_head *h, struct span body)
{
	static const struct http_extra extra[] = {{"X-Extra", "yes"}, {0}};
	struct world *w = arg;
	int rc = 0;

	w->requests++;
	w->body_len = body.n;
	snprintf(w->last_path, sizeof(w->last_path), "%s", h->path);
	assert_ptr_equal(http_conn_head(c), h);
	if (strcmp(h->path, "/echo") == 0) {
		rc = http_respond(c, 200, "text/plain", extra, body.p, body.n);
	} else if (strcmp(h->path, "/wait") == 0) {
		w->waiting = c;
		w->got_wait = true;
	} else if (strcmp(h->path, "/stream") == 0) {
		rc = http_stream_begin(c, 200, "application/json", NULL);
		for (int i = 0; i < 3 && rc == 0; i++)
			rc = http_stream_write(c, "line\n", 5);
		if (rc == 0)
			rc = http_stream_end(c);
	} else if (strcmp(h->path, "/watch") == 0) {
		w->waiting = c;
		rc = http_stream_begin(c, 200, NULL, NULL);
		w->got_wait = true;
	} else if (strcmp(h->path, "/204") == 0) {
		rc = http_respond(c, 204, NULL, NULL, NULL, 0);
	} else {
		rc = http_respond_status(
		    c, STATUS_NOT_FOUND, "There is nothing at %s.", h->path);
	}
	assert_int_equal(rc, 0);
	if (w->waiting != c)
		assert_int_equal(
		    http_respond(c, 200, NULL, NULL, NULL, 0), -ERR_CONFLICT);
}

static void
on_srv_close(void *arg, struct http_conn *c, const struct err *e)
{
	struct world *w = arg;

	assert_ptr_equal(c, w->srv);
	w->srv_closed = true;
	w->srv_e = *e;
	w->waiting = NULL;
	http_conn_free(&w->srv);
}

static const struct http_conn_cbs SRV_CBS = {
    .body_limit = body_limit,
    .on_request = on_request,
    .on_close = on_srv_close,
};

static void
on_raw_read(void *arg, struct buf *in)
{
	struct world *w = arg;

	assert_int_equal(buf_append(&w->raw_in, buf_data(in), in->len), 0);
	buf_consume(in, in->len);
	if (w->raw_until != NULL &&
	    strstr(buf_cstr(&w->raw_in), w->raw_until) != NULL)
		w->raw_enough = true;
}

static void
on_raw_close(void *arg, const struct err *e)
{
	struct world *w = arg;

	(void)e;
	w->raw_closed = true;
}

static const struct tls_conn_cbs RAW_CBS = {
    .on_read = on_raw_read,
    .on_close = on_raw_close,
};

static void
serve(struct world *w, int fd, bool tls, const struct http_conn_opts *o)
{
	struct err e = {0};
	struct tls_conn *c =
	    tls ? tls_conn_new(
		      w->loop, w->tls.server_ctx, fd, NULL, &RAW_CBS, w, &e)
		: tls_conn_plain_new(w->loop, fd, NULL, &RAW_CBS, w, &e);

	assert_non_null(c);
	w->srv = http_conn_new(c, o, &SRV_CBS, w, &e);
	assert_non_null(w->srv);
}

static void
start_raw(struct world *w, const struct http_conn_opts *o)
{
	int fd[2];

	fix_pair(fd);
	serve(w, fd[0], false, o);
	w->raw = tls_conn_plain_new(w->loop, fd[1], NULL, &RAW_CBS, w, NULL);
	assert_non_null(w->raw);
}

static void
start_client(struct world *w)
{
	const struct tls_conn_opts o = {.server_name = "localhost"};
	struct tls_conn *c;
	int fd[2];

	fix_pair(fd);
	serve(w, fd[0], true, NULL);
	c = tls_conn_new(
	    w->loop, w->tls.client_ctx, fd[1], &o, &RAW_CBS, w, NULL);
	assert_non_null(c);
	w->cli = http_client_new(c, NULL);
	assert_non_null(w->cli);
}

static void
raw_send(struct world *w, const char *text)
{
	assert_int_equal(tls_conn_write(w->raw, text, strlen(text)), 0);
}

static void
raw_expect(struct world *w, const char *text)
{
	w->raw_until = text;
	w->raw_enough =
	    w->raw_in.len > 0 && strstr(buf_cstr(&w->raw_in), text) != NULL;
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
	buf_init(&w->raw_in, 0);
	buf_init(&w->body, 0);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	http_client_free(&w->cli);
	http_conn_free(&w->srv);
	tls_conn_free(&w->raw);
	buf_free(&w->raw_in);
	buf_free(&w->body);
	fix_tls_free(&w->tls);
	ev_loop_free(&w->loop);
	free(w);
	return 0;
}

/* ---- the server against raw bytes */

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void
test_pipeline(void **state)
{
	struct world *w = *state;

	start_raw(w, NULL);
	raw_send(w,
	    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab" GET(
		"/204") GET("/stream") "POST /echo HTTP/1.1\r\nHost: h\r\n"
				       "Transfer-Encoding: chunked\r\n\r\n"
				       "3\r\ncde\r\n0\r\n\r\n" GET("/none"));
	raw_expect(w, "There is nothing at /none.");
	assert_int_equal(w->requests, 5);
	assert_non_null(
	    strstr(buf_cstr(&w->raw_in), "Content-Length: 2\r\n\r\nab"));
	assert_non_null(strstr(buf_cstr(&w->raw_in), "X-Extra: yes\r\n"));
	assert_non_null(strstr(buf_cstr(&w->raw_in),
	    "chunked\r\n\r\n5\r\nline\n\r\n5\r\nline\n\r\n5\r\nline\n\r\n"
	    "0\r\n\r\nHTTP/1.1 200 OK"));
	assert_non_null(strstr(buf_cstr(&w->raw_in), "\r\n\r\ncde"));
	assert_false(w->raw_closed);
}

static void
test_byte_by_byte(void **state)
{
	static const char text[] =
	    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
	struct world *w = *state;

	start_raw(w, NULL);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		tls_conn_write(w->raw, &text[i], 1);
		ev_loop_turn(w->loop, true);
		ev_loop_turn(w->loop, false);
	}
	raw_expect(w, "\r\n\r\nhello");
	assert_int_equal(w->requests, 1);
}

/* An answer given later; the next request waits for its turn. */
static void
test_later_answer(void **state)
{
	struct world *w = *state;

	start_raw(w, NULL);
	raw_send(w, GET("/wait") GET("/204"));
	fix_run(w->loop, &w->got_wait, 5000);
	fix_settle(w->loop, 20);
	assert_int_equal(w->requests, 1);
	assert_int_equal(
	    http_respond(w->waiting, 200, NULL, NULL, "now", 3), 0);
	raw_expect(w, "204 No Content");
	assert_int_equal(w->requests, 2);
}

static const struct {
	const char *text, *want;
} REFUSED[] = {
    {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"},
    {"GET / HTTP/1.1\nHost: h\n\n", "HTTP/1.1 400 Bad Request"},
    {"GET / HTTP/3.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505 "},
    {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n",
	"HTTP/1.1 413 "},
    {"POST /nobody HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
	"HTTP/1.1 413 "},
    {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
     "1001\r\n",
	"HTTP/1.1 413 "},
    {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
     "zz\r\n",
	"HTTP/1.1 400 "},
    {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: br\r\n\r\n",
	"HTTP/1.1 501 "},
    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
     "Transfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 400 "},
};

static void
test_refusals(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < N_OF(REFUSED); i++) {
		w->raw_closed = w->srv_closed = false;
		start_raw(w, NULL);
		raw_send(w, REFUSED[i].text);
		fix_run(w->loop, &w->raw_closed, 5000);
		if (strncmp(buf_cstr(&w->raw_in), REFUSED[i].want,
			strlen(REFUSED[i].want)) != 0)
			fail_msg("%zu: %s", i, buf_cstr(&w->raw_in));
		assert_non_null(
		    strstr(buf_cstr(&w->raw_in), "{\"kind\":\"Status\""));
		assert_non_null(
		    strstr(buf_cstr(&w->raw_in), "Connection: close\r\n"));
		assert_int_equal(w->requests, 0);
		tls_conn_free(&w->raw);
		fix_run(w->loop, &w->srv_closed, 5000);
		buf_clear(&w->raw_in);
	}
}

static void
test_long_heads(void **state)
{
	static const struct {
		const char *start, *want;
		size_t bytes;
	} rows[] = {
	    {"GET /", "HTTP/1.1 414 ", 40 << 10},
	    {"GET / HTTP/1.1\r\nHost: h\r\nX: ", "HTTP/1.1 431 ", 600 << 10},
	};
	struct world *w = *state;
	char *fill = malloc(600 << 10);

	assert_non_null(fill);
	memset(fill, 'a', 600 << 10);
	for (size_t i = 0; i < N_OF(rows); i++) {
		w->raw_closed = w->srv_closed = false;
		start_raw(w, NULL);
		raw_send(w, rows[i].start);
		tls_conn_write(w->raw, fill, rows[i].bytes);
		fix_run(w->loop, &w->raw_closed, 5000);
		assert_int_equal(strncmp(buf_cstr(&w->raw_in), rows[i].want,
				     strlen(rows[i].want)),
		    0);
		tls_conn_free(&w->raw);
		fix_run(w->loop, &w->srv_closed, 5000);
		buf_clear(&w->raw_in);
	}
	free(fill);
}

static void
test_timeouts(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* NULL: closed without a word */
	} rows[] = {
	    {"", NULL},
	    {"GET / HT", "HTTP/1.1 408 "},
	    {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab",
		"HTTP/1.1 408 "},
	    {GET("/204"), "HTTP/1.1 204 "},
	};
	const struct http_conn_opts o = {.head_timeout_ms = 40,
	    .idle_timeout_ms = 40,
	    .body_timeout_ms = 40};
	struct world *w = *state;

	for (size_t i = 0; i < N_OF(rows); i++) {
		w->raw_closed = w->srv_closed = false;
		start_raw(w, &o);
		raw_send(w, rows[i].text);
		fix_run(w->loop, &w->raw_closed, 5000);
		if (rows[i].want == NULL)
			assert_int_equal(w->raw_in.len, 0);
		else
			assert_non_null(
			    strstr(buf_cstr(&w->raw_in), rows[i].want));
		tls_conn_free(&w->raw);
		fix_run(w->loop, &w->srv_closed, 5000);
		buf_clear(&w->raw_in);
	}
}

static void
test_versions_and_close(void **state)
{
	static const struct {
		const char *text, *want;
		bool closes;
	} rows[] = {
	    {"GET /204 HTTP/1.0\r\n\r\n", "Connection: close", true},
	    {"GET /204 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"Connection: keep-alive", false},
	    {"GET /204 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"Connection: close", true},
	    {"GET /stream HTTP/1.0\r\n\r\n", "\r\n\r\nline\nline\nline\n",
		true},
	    {"HEAD /none HTTP/1.1\r\nHost: h\r\n\r\n", "404 Not Found", false},
	};
	struct world *w = *state;

	for (size_t i = 0; i < N_OF(rows); i++) {
		w->raw_closed = w->srv_closed = false;
		start_raw(w, NULL);
		raw_send(w, rows[i].text);
		raw_expect(w, rows[i].want);
		if (rows[i].closes)
			fix_run(w->loop, &w->raw_closed, 5000);
		else
			fix_settle(w->loop, 20);
		assert_int_equal(w->raw_closed, rows[i].closes);
		if (i == 4) /* HEAD: a length, no body */
			assert_null(strstr(buf_cstr(&w->raw_in), "Status\""));
		tls_conn_free(&w->raw);
		fix_run(w->loop, &w->srv_closed, 5000);
		buf_clear(&w->raw_in);
	}
}

static void
test_expect_continue(void **state)
{
	struct world *w = *state;

	start_raw(w, NULL);
	raw_send(w, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
		    "Content-Length: 2\r\n\r\n");
	raw_expect(w, "HTTP/1.1 100 Continue\r\n\r\n");
	raw_send(w, "ok");
	raw_expect(w, "\r\n\r\nok");
}

/* The client ends its side: an answer that is there still goes out; one that
 * is not there yet is not waited for. */
static void
test_half_close(void **state)
{
	struct world *w = *state;

	start_raw(w, NULL);
	raw_send(w, GET("/none"));
	tls_conn_shutdown(w->raw); /* sends it, then ends its side */
	fix_run(w->loop, &w->srv_closed, 5000);
	assert_int_equal(w->requests, 1);
	assert_int_equal(w->srv_e.code, ERR_OK);
	tls_conn_free(&w->raw);
	w->srv_closed = w->raw_closed = false;
	start_raw(w, NULL);
	raw_send(w, GET("/wait"));
	fix_run(w->loop, &w->got_wait, 5000);
	tls_conn_shutdown(w->raw);
	fix_run(w->loop, &w->srv_closed, 5000);
	assert_int_equal(w->srv_e.code, ERR_CLOSED);
}

static void
test_drain(void **state)
{
	struct world *w = *state;

	start_raw(w, NULL);
	raw_send(w, GET("/wait"));
	fix_run(w->loop, &w->got_wait, 5000);
	http_conn_drain(w->srv);
	assert_int_equal(
	    http_respond(w->waiting, 200, NULL, NULL, "end", 3), 0);
	raw_expect(w, "Connection: close");
	fix_run(w->loop, &w->raw_closed, 5000);
	tls_conn_free(&w->raw);
	fix_run(w->loop, &w->srv_closed, 5000);
	w->raw_closed = w->srv_closed = false;
	start_raw(w, NULL);
	fix_settle(w->loop, 10);
	http_conn_drain(w->srv); /* idle: ends now */
	fix_run(w->loop, &w->raw_closed, 5000);
}

/* A watch whose client does not read is bounded. */
static void
test_watch_slow_client(void **state)
{
	struct world *w = *state;
	char piece[16384];
	int rc = 0;

	memset(piece, 'w', sizeof(piece));
	start_raw(w, NULL);
	raw_send(w, GET("/watch"));
	fix_run(w->loop, &w->got_wait, 5000);
	fix_settle(w->loop, 10);
	tls_conn_pause_read(w->raw);
	for (int i = 0; i < 10000 && rc == 0; i++) {
		rc = http_stream_write(w->srv, piece, sizeof(piece));
		ev_loop_turn(w->loop, false);
	}
	assert_int_equal(rc, -ERR_TOO_BIG);
	assert_true(tls_conn_queued(http_conn_tls(w->srv)) < (2 << 20));
	http_conn_free(&w->srv);
}

/* ---- the client */

static void
on_body(void *arg, struct http_client *c, struct span piece)
{
	struct world *w = arg;

	(void)c;
	w->pieces++;
	assert_int_equal(buf_append(&w->body, piece.p, piece.n), 0);
}

static void
on_done(void *arg, struct http_client *c, const struct http_head *head,
    struct span body, const struct err *e)
{
	struct world *w = arg;

	(void)c;
	w->cli_done = true;
	w->status = head != NULL ? head->status : 0;
	memset(&w->cli_e, 0, sizeof(w->cli_e));
	if (e != NULL)
		w->cli_e = *e;
	if (w->pieces == 0)
		assert_int_equal(buf_append(&w->body, body.p, body.n), 0);
}

static void
ask(struct world *w, const struct http_req *req, bool stream)
{
	const struct http_client_cbs cbs = {
	    .on_body = stream ? on_body : NULL, .on_done = on_done};
	struct err e = {0};

	w->cli_done = false;
	w->pieces = 0;
	buf_clear(&w->body);
	if (http_client_send(w->cli, req, &cbs, w, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(
	    http_client_send(w->cli, req, &cbs, w, &e), -ERR_CONFLICT);
	fix_run(w->loop, &w->cli_done, 5000);
}

static void
test_client(void **state)
{
	static const struct http_pair fields[] = {{"X-A", "b"}, {0}};
	struct world *w = *state;
	struct http_req req = {.method = "POST",
	    .target = "/echo?a=b",
	    .host = "localhost",
	    .fields = fields,
	    .content_type = "application/json",
	    .body = {(const uint8_t *)"{}", 2}};

	start_client(w);
	ask(w, &req, false);
	assert_int_equal(w->status, 200);
	assert_string_equal(buf_cstr(&w->body), "{}");
	assert_non_null(tls_conn_peer_cert(http_conn_tls(w->srv)));
	/* The same connection again, and again. */
	req.method = "GET";
	req.body.n = 0;
	req.target = "/stream";
	ask(w, &req, true);
	assert_string_equal(buf_cstr(&w->body), "line\nline\nline\n");
	assert_true(w->pieces > 0);
	req.target = "/204";
	ask(w, &req, false);
	assert_int_equal(w->status, 204);
	req.method = "HEAD";
	req.target = "/none";
	ask(w, &req, false);
	assert_int_equal(w->status, 404);
	assert_int_equal(w->body.len, 0);
	assert_int_equal(w->requests, 4);
	assert_true(http_client_usable(w->cli));
	/* Gone in the middle. */
	req.method = "GET";
	req.target = "/watch";
	w->cli_done = false;
	{
		const struct http_client_cbs cbs = {.on_done = on_done};

		assert_int_equal(
		    http_client_send(w->cli, &req, &cbs, w, NULL), 0);
	}
	fix_run(w->loop, &w->got_wait, 5000);
	fix_settle(w->loop, 20);
	http_conn_free(&w->srv);
	fix_run(w->loop, &w->cli_done, 5000);
	assert_int_equal(w->cli_e.code, ERR_CLOSED);
	assert_int_equal(w->status, 200);
	assert_false(http_client_usable(w->cli));
}

/* A client against a raw server's answers. */
static void
test_client_bad_answers(void **state)
{
	static const struct {
		const char *answer;
		int status; /* 0: an error */
		const char *body;
		bool usable;
	} rows[] = {
	    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
	     "Content-Length: 1\r\n\r\na",
		200, "a", true},
	    {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n"
	     "\r\na",
		200, "a", false},
	    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 200, "a", false},
	    {"HTTP/1.1 200 OK\r\n\r\nabc", 200, "abc", false}, /* to the end */
	    {"HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n", 500, "", true},
	    {"nonsense\r\n\r\n", 0, NULL, false},
	    {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 0, NULL, false},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 0, NULL, false},
	    {"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", 0, NULL,
		false},
	    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nq", 0, NULL,
		false},
	    {"HTTP/1.1 200 OK\r\nContent-Le", 0, NULL, false},
	    {"", 0, NULL, false},
	};
	const struct http_req req = {.method = "GET",
	    .target = "/",
	    .host = "h",
	    .collect_max_bytes = 1000};
	const struct http_client_cbs cbs = {.on_done = on_done};
	struct world *w = *state;

	for (size_t i = 0; i < N_OF(rows); i++) {
		struct tls_conn *c;
		int fd[2];

		fix_pair(fd);
		c = tls_conn_plain_new(w->loop, fd[1], NULL, &RAW_CBS, w, NULL);
		w->cli = http_client_new(c, NULL);
		w->raw =
		    tls_conn_plain_new(w->loop, fd[0], NULL, &RAW_CBS, w, NULL);
		w->cli_done = w->raw_enough = w->raw_closed = false;
		w->pieces = 0;
		buf_clear(&w->body);
		assert_int_equal(
		    http_client_send(w->cli, &req, &cbs, w, NULL), 0);
		raw_expect(w, "\r\n\r\n");
		raw_send(w, rows[i].answer);
		if (!rows[i].usable)
			tls_conn_shutdown(w->raw);
		fix_run(w->loop, &w->cli_done, 5000);
		if ((w->cli_e.code == ERR_OK) != (rows[i].status != 0))
			fail_msg("row %zu: %s", i, w->cli_e.text);
		if (rows[i].status != 0) {
			assert_int_equal(w->status, rows[i].status);
			assert_string_equal(buf_cstr(&w->body), rows[i].body);
		} else {
			assert_true(strlen(w->cli_e.text) > 20);
		}
		assert_int_equal(http_client_usable(w->cli), rows[i].usable);
		http_client_free(&w->cli);
		tls_conn_free(&w->raw);
		buf_clear(&w->raw_in);
	}
}

static void
test_client_timeout(void **state)
{
	const struct http_req req = {.method = "GET",
	    .target = "/wait",
	    .host = "localhost",
	    .timeout_ms = 50};
	const struct http_client_cbs cbs = {.on_done = on_done};
	struct world *w = *state;

	start_client(w);
	assert_int_equal(http_client_send(w->cli, &req, &cbs, w, NULL), 0);
	fix_run(w->loop, &w->cli_done, 5000);
	assert_int_equal(w->cli_e.code, ERR_TIMEOUT);
}

static void
test_client_bad_requests(void **state)
{
	static const struct http_pair split[] = {{"X", "a\r\nB: c"}, {0}};
	const struct http_req rows[] = {
	    {.method = "G T", .target = "/", .host = "h"},
	    {.method = "GET", .target = "/ x", .host = "h"},
	    {.method = "GET", .target = "/", .host = "h\n"},
	    {.method = "GET", .target = "/", .host = "h", .fields = split},
	    {.method = "AVERYLONGMETHODNAME", .target = "/", .host = "h"},
	};
	const struct http_client_cbs cbs = {.on_done = on_done};
	struct world *w = *state;
	struct err e = {0};

	start_client(w);
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(
		    http_client_send(w->cli, &rows[i], &cbs, w, &e),
		    -ERR_INVALID);
	assert_true(http_client_usable(w->cli));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_pipeline),
	    T(test_byte_by_byte),
	    T(test_later_answer),
	    T(test_refusals),
	    T(test_long_heads),
	    T(test_timeouts),
	    T(test_versions_and_close),
	    T(test_expect_continue),
	    T(test_half_close),
	    T(test_drain),
	    T(test_watch_slow_client),
	    T(test_client),
	    T(test_client_bad_answers),
	    T(test_client_timeout),
	    T(test_client_bad_requests),
	};

	return cmocka_run_group_tests_name("http_conn", tests, NULL, NULL);
}
