/* HTTP heads: what is taken, what is refused and with which status. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/http.h"
#include "tests/unit/unit.h"

#define H "Host: a\r\n"

static int
parse(struct http_parser *p, const char *text, size_t n, const char *method,
    struct http_head *h, struct err *e)
{
	struct buf in;
	int rc;

	memset(p, 0, sizeof(*p));
	buf_init(&in, 4 << 20);
	assert_int_equal(buf_append(&in, text, n), 0);
	rc = method == NULL ? http_parse_request(p, &in, h, e)
			    : http_parse_response(p, &in, method, h, e);
	if (rc == 0)
		assert_int_equal(in.len, 0);
	buf_free(&in);
	return rc;
}

static const struct {
	const char *text;
	const char *method, *path, *query;
	enum http_framing framing;
	uint64_t length;
	bool keep_alive, upgrade;
} GOOD[] = {
    {"GET / HTTP/1.1\r\n" H "\r\n", "GET", "/", "", HTTP_BODY_NONE, 0, true,
	false},
    {"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/a", "b=c",
	HTTP_BODY_NONE, 0, true, false},
    {"GET /a? HTTP/1.1\r\n" H "\r\n", "GET", "/a", "", HTTP_BODY_NONE, 0, true,
	false},
    {"\r\nGET /a?b?c HTTP/1.1\r\n" H "\r\n", "GET", "/a", "b?c", HTTP_BODY_NONE,
	0, true, false},
    {"GET / HTTP/1.0\r\n\r\n", "GET", "/", "", HTTP_BODY_NONE, 0, false, false},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/", "",
	HTTP_BODY_NONE, 0, true, false},
    {"GET / HTTP/1.1\r\nhost:a\r\nconnection:\tfoo , CLOSE\r\n\r\n", "GET", "/",
	"", HTTP_BODY_NONE, 0, false, false},
    {"GET /w HTTP/1.1\r\n" H
     "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"GET", "/w", "", HTTP_BODY_NONE, 0, true, true},
    {"GET /w HTTP/1.1\r\n" H "Connection: Upgrade\r\n\r\n", "GET", "/w", "",
	HTTP_BODY_NONE, 0, true, false},
    {"POST /p HTTP/1.1\r\n" H "Content-Length: 12\r\n\r\n", "POST", "/p", "",
	HTTP_BODY_LENGTH, 12, true, false},
    {"POST /p HTTP/1.1\r\n" H
     "Content-Length: 12\r\nContent-Length: 012\r\n\r\n",
	"POST", "/p", "", HTTP_BODY_LENGTH, 12, true, false},
    {"POST /p HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n", "POST",
	"/p", "", HTTP_BODY_CHUNKED, 0, true, false},
    {"GET http://h/x?y HTTP/1.1\r\n" H "\r\n", "GET", "/x", "y", HTTP_BODY_NONE,
	0, true, false},
    {"GET HTTPS://h HTTP/1.1\r\n" H "\r\n", "GET", "/", "", HTTP_BODY_NONE, 0,
	true, false},
    {"GET http://h?q HTTP/1.1\r\n" H "\r\n", "GET", "/", "q", HTTP_BODY_NONE, 0,
	true, false},
    {"OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS", "*", "", HTTP_BODY_NONE, 0,
	true, false},
    {"X-!#$%&'*+.^_`|~9 / HTTP/1.1\r\n" H "\r\n", "X-!#$%&'*+.^_`|~9", "/", "",
	HTTP_BODY_NONE, 0, true, false},
    {"GET / HTTP/1.1\r\n" H "A: \r\nB:\t b c \t\r\nC: \xc3\xbc\r\n\r\n", "GET",
	"/", "", HTTP_BODY_NONE, 0, true, false},
};

static void
test_good_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(GOOD); i++) {
		struct http_parser p;
		struct http_head h;
		struct err e = {0};
		int rc =
		    parse(&p, GOOD[i].text, strlen(GOOD[i].text), NULL, &h, &e);

		if (rc != 0)
			fail_msg("row %zu: %s", i, e.text);
		assert_string_equal(h.method, GOOD[i].method);
		assert_string_equal(h.path, GOOD[i].path);
		assert_string_equal(h.query, GOOD[i].query);
		assert_int_equal(h.framing, GOOD[i].framing);
		assert_int_equal(h.length, GOOD[i].length);
		assert_int_equal(h.keep_alive, GOOD[i].keep_alive);
		assert_int_equal(h.upgrade, GOOD[i].upgrade);
		http_head_free(&h);
	}
}

static const struct {
	const char *text;
	int code;
} BAD[] = {
    {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400},
    {"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 400},
    {"\nGET / HTTP/1.1\r\n" H "\r\n", 400},
    {"GET  / HTTP/1.1\r\n" H "\r\n", 400},
    {"GET /  HTTP/1.1\r\n" H "\r\n", 400},
    {" GET / HTTP/1.1\r\n" H "\r\n", 400},
    {"GET\t/ HTTP/1.1\r\n" H "\r\n", 400},
    {"GET / HTTP/1.1 \r\n" H "\r\n", 505},
    {"GET /\r\n" H "\r\n", 400},
    {"GET\r\n" H "\r\n", 400},
    {"G@T / HTTP/1.1\r\n" H "\r\n", 400},
    {"GET x HTTP/1.1\r\n" H "\r\n", 400},
    {"GET *x HTTP/1.1\r\n" H "\r\n", 400},
    {"GET /a#b HTTP/1.1\r\n" H "\r\n", 400},
    {"GET /\xc3\xbc HTTP/1.1\r\n" H "\r\n", 400},
    {"GET /\x7f HTTP/1.1\r\n" H "\r\n", 400},
    {"GET / HTTP/2.0\r\n" H "\r\n", 505},
    {"GET / HTTP/1.2\r\n" H "\r\n", 505},
    {"GET / HTTP/1.10\r\n" H "\r\n", 505},
    {"GET / http/1.1\r\n" H "\r\n", 400},
    {"GET / HTTP\r\n" H "\r\n", 400},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H H "\r\n", 400},
    {"GET / HTTP/1.0\r\n" H H "\r\n", 400},
    {"GET / HTTP/1.1\r\n" H " folded\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "\tfolded: x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "no colon\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H ": b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "A(: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "A: b\x01\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "\xc3\xbc: b\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 9999999999999999999\r\n\r\n",
	400},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
	400},
    {"POST / HTTP/1.1\r\n" H
     "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	400},
    {"POST / HTTP/1.1\r\n" H
     "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
	400},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: \r\n\r\n", 501},
    {"POST / HTTP/1.1\r\n" H
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	501},
    {"\x16\x03\x01\x02\n\r\n", 400},
};

static void
test_bad_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(BAD); i++) {
		struct http_parser p;
		struct http_head h;
		struct err e = {0};
		int rc =
		    parse(&p, BAD[i].text, strlen(BAD[i].text), NULL, &h, &e);

		if (rc >= 0 || rc == -ERR_TRUNCATED ||
		    p.refuse_code != BAD[i].code)
			fail_msg("row %zu: rc %d code %d: %s", i, rc,
			    p.refuse_code, e.text);
		assert_true(strlen(e.text) > 20);
		assert_null(h.block);
	}
}

static void
test_nul_bytes(void **state)
{
	static const char line[] = "GET /\0 HTTP/1.1\r\n" H "\r\n";
	static const char field[] = "GET / HTTP/1.1\r\nA: b\0\r\n\r\n";
	struct http_parser p;
	struct http_head h;
	struct err e;

	(void)state;
	assert_int_equal(
	    parse(&p, line, sizeof(line) - 1, NULL, &h, &e), -ERR_INVALID);
	assert_int_equal(
	    parse(&p, field, sizeof(field) - 1, NULL, &h, &e), -ERR_INVALID);
}

/* Every prefix waits, and byte by byte comes to the same as at once. */
static void
test_byte_by_byte(void **state)
{
	static const char text[] = "\r\nGET /a?b HTTP/1.1\r\nHost: h\r\n"
				   "X: 1\r\nX: 2\r\n\r\nREST";
	struct http_parser p = {0};
	struct http_head h;
	struct err e = {0};
	struct buf in;
	size_t i = 0;
	int rc = -ERR_TRUNCATED;

	(void)state;
	buf_init(&in, 0);
	while (rc == -ERR_TRUNCATED && i < sizeof(text) - 1) {
		assert_int_equal(buf_append(&in, &text[i++], 1), 0);
		rc = http_parse_request(&p, &in, &h, &e);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(i, sizeof(text) - 1 - 4);
	assert_int_equal(in.len, 0);
	assert_string_equal(h.query, "b");
	assert_int_equal(h.field_count, 3);
	http_head_free(&h);
	buf_free(&in);
}

static void
put_fields(struct buf *b, size_t count, size_t value_bytes)
{
	assert_int_equal(buf_printf(b, "GET / HTTP/1.1\r\nHost: a\r\n"), 0);
	for (size_t i = 1; i < count; i++) {
		assert_int_equal(buf_printf(b, "F%zu: ", i), 0);
		for (size_t k = 0; k < value_bytes; k++)
			assert_int_equal(buf_append_u8(b, 'v'), 0);
		assert_int_equal(buf_printf(b, "\r\n"), 0);
	}
	assert_int_equal(buf_printf(b, "\r\n"), 0);
}

static void
test_limits(void **state)
{
	static const struct {
		size_t fields, value, line;
		int code; /* 0 = taken */
	} rows[] = {
	    {200, 1, 0, 0},
	    {201, 1, 0, 431},
	    {5000, 1, 0, 431},
	    {2, 360 << 10, 0, 0}, /* 256 KiB as base64 */
	    {2, 512 << 10, 0, 431},
	    {3, 300 << 10, 0, 431},
	    {1, 0, 16000, 0},
	    {1, 0, 16400, 414},
	    {1, 0, 600 << 10, 414},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct http_parser p = {0};
		struct http_head h;
		struct err e = {0};
		struct buf in;
		int rc;

		buf_init(&in, 4 << 20);
		if (rows[i].line > 0) {
			buf_printf(&in, "GET /");
			for (size_t k = 0; k < rows[i].line; k++)
				buf_append_u8(&in, 'a');
			buf_printf(&in, " HTTP/1.1\r\n" H "\r\n");
		} else {
			put_fields(&in, rows[i].fields, rows[i].value);
		}
		rc = http_parse_request(&p, &in, &h, &e);
		if ((rc == 0) != (rows[i].code == 0) ||
		    (rc < 0 && p.refuse_code != rows[i].code))
			fail_msg("row %zu: %d %d", i, rc, p.refuse_code);
		if (rc == 0)
			http_head_free(&h);
		buf_free(&in);
	}
}

/* A head that never ends is refused before its end comes. */
static void
test_endless_heads(void **state)
{
	static const char *const starts[] = {
	    "GET /", "GET / HTTP/1.1\r\nHost: a\r\nX: "};
	static const int codes[] = {414, 431};

	(void)state;
	for (size_t i = 0; i < N_OF(starts); i++) {
		struct http_parser p = {0};
		struct http_head h;
		struct err e = {0};
		struct buf in;
		char fill[4096];
		int rc = -ERR_TRUNCATED;

		memset(fill, 'x', sizeof(fill));
		buf_init(&in, 4 << 20);
		buf_printf(&in, "%s", starts[i]);
		for (int k = 0; k < 200 && rc == -ERR_TRUNCATED; k++) {
			buf_append(&in, fill, sizeof(fill));
			rc = http_parse_request(&p, &in, &h, &e);
		}
		assert_int_equal(rc, -ERR_TOO_BIG);
		assert_int_equal(p.refuse_code, codes[i]);
		buf_free(&in);
	}
}

static const struct {
	const char *text, *method;
	int status;
	enum http_framing framing;
	bool keep_alive;
} RESPONSES[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", 200,
	HTTP_BODY_LENGTH, true},
    {"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n", "GET", -1, 0, false},
    {"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n", "HEAD", 200, HTTP_BODY_NONE,
	true},
    {"HTTP/1.1 204 No Content\r\n\r\n", "GET", 204, HTTP_BODY_NONE, true},
    {"HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", "GET", 304, HTTP_BODY_NONE,
	true},
    {"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: w\r\n\r\n",
	"GET", 101, HTTP_BODY_NONE, true},
    {"HTTP/1.1 200 OK\r\n\r\n", "GET", 200, HTTP_BODY_UNTIL_CLOSE, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", 200,
	HTTP_BODY_LENGTH, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", 200,
	HTTP_BODY_CHUNKED, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "GET", -1, 0, false},
    {"HTTP/1.1 99 OK\r\n\r\n", "GET", -1, 0, false},
    {"HTTP/1.1 099 OK\r\n\r\n", "GET", -1, 0, false},
    {"HTTP/1.1 2000 OK\r\n\r\n", "GET", -1, 0, false},
    {"HTTP/1.1 abc OK\r\n\r\n", "GET", -1, 0, false},
    {"HTTP/2 200 OK\r\n\r\n", "GET", -1, 0, false},
    {"ICY 200 OK\r\n\r\n", "GET", -1, 0, false},
    {"SSH-2.0-OpenSSH\r\n\r\n", "GET", -1, 0, false},
};

static void
test_responses(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(RESPONSES); i++) {
		struct http_parser p;
		struct http_head h;
		struct err e = {0};
		int rc = parse(&p, RESPONSES[i].text, strlen(RESPONSES[i].text),
		    RESPONSES[i].method, &h, &e);

		if (RESPONSES[i].status < 0 && i != 1) {
			assert_true(rc < 0 && rc != -ERR_TRUNCATED);
			continue;
		}
		if (i == 1) { /* no blank behind the code is tolerated */
			assert_int_equal(rc, 0);
			http_head_free(&h);
			continue;
		}
		if (rc != 0)
			fail_msg("row %zu: %s", i, e.text);
		assert_int_equal(h.status, RESPONSES[i].status);
		assert_int_equal(h.framing, RESPONSES[i].framing);
		assert_int_equal(h.keep_alive, RESPONSES[i].keep_alive);
		http_head_free(&h);
	}
}

static void
test_lookup(void **state)
{
	static const char text[] =
	    "GET / HTTP/1.1\r\nHost: h\r\nX-Remote-Group: a\r\n"
	    "x-client-der: AA\r\nX-Client-Der: AA\r\nBaggage: 1\r\n"
	    "x-remote-group: b\r\nbaggage: 2\r\nList: a, B ,c\r\n\r\n";
	struct http_parser p;
	struct http_head h;
	struct err e = {0};
	const char *v;
	size_t pos = 0;

	(void)state;
	assert_int_equal(parse(&p, text, sizeof(text) - 1, NULL, &h, &e), 0);
	assert_string_equal(http_get(&h, "HOST"), "h");
	assert_null(http_get(&h, "Hos"));
	assert_string_equal(http_get_next(&h, "X-REMOTE-GROUP", &pos), "a");
	assert_string_equal(http_get_next(&h, "X-REMOTE-GROUP", &pos), "b");
	assert_null(http_get_next(&h, "X-REMOTE-GROUP", &pos));
	assert_int_equal(http_get_single(&h, "x-client-der", &v, &e), 0);
	assert_string_equal(v, "AA");
	assert_int_equal(http_get_single(&h, "none", &v, &e), 0);
	assert_null(v);
	assert_int_equal(http_get_single(&h, "baggage", &v, &e), -ERR_INVALID);
	assert_true(http_has_token(&h, "list", "b"));
	assert_true(http_has_token(&h, "list", "c"));
	assert_false(http_has_token(&h, "list", "a, B"));
	assert_false(http_has_token(&h, "list", ""));
	http_head_free(&h);
}

static void
test_paths(void **state)
{
	static const struct {
		const char *path;
		int count; /* -1: refused */
		const char *last;
		bool slash;
	} rows[] = {
	    {"/", 0, NULL, false},
	    {"/apis/x/v1", 3, "v1", false},
	    {"/a/b/", 2, "b", true},
	    {"/a%20b", 1, "a b", false},
	    {"/a%2Eb", 1, "a.b", false},
	    {"/deployment.web.container.app", 1, "deployment.web.container.app",
		false},
	    {"/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6", 16, "6", false},
	    {"/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7", -1, NULL, false},
	    {"", -1, NULL, false},
	    {"a", -1, NULL, false},
	    {"//a", -1, NULL, false},
	    {"/a//b", -1, NULL, false},
	    {"/a/../b", -1, NULL, false},
	    {"/a/%2e%2e/b", -1, NULL, false},
	    {"/./b", -1, NULL, false},
	    {"/a%2fb", -1, NULL, false},
	    {"/a%00", -1, NULL, false},
	    {"/a%", -1, NULL, false},
	    {"/a%2", -1, NULL, false},
	    {"/a%g0", -1, NULL, false},
	    {"/a%2/b", -1, NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct http_path p;
		struct err e = {0};
		int rc = http_path_parse(rows[i].path, &p, &e);

		if ((rc < 0) != (rows[i].count < 0))
			fail_msg("%s: %d %s", rows[i].path, rc, e.text);
		if (rc == 0) {
			assert_int_equal(p.count, rows[i].count);
			assert_int_equal(p.trailing_slash, rows[i].slash);
			if (rows[i].last != NULL)
				assert_string_equal(
				    p.seg[p.count - 1], rows[i].last);
		}
		http_path_free(&p);
	}
}

/* The pairs of a query as "name=value;" text, or an error. */
static int
query_text(const char *query, struct buf *out)
{
	struct buf name, value;
	int rc;

	buf_init(&name, 64);
	buf_init(&value, 64);
	while ((rc = http_query_next(&query, &name, &value)) == 1) {
		buf_append(out, buf_data(&name), name.len);
		buf_append_u8(out, '=');
		buf_append(out, buf_data(&value), value.len);
		buf_append_u8(out, ';');
	}
	buf_free(&name);
	buf_free(&value);
	return rc;
}

static void
test_queries(void **state)
{
	static const struct {
		const char *query;
		const char *want; /* NULL: refused */
	} rows[] = {
	    {"", ""},
	    {"?", ""},
	    {"&", ""},
	    {"&&&", ""},
	    {"a=b", "a=b;"},
	    {"&a=b&&c=d&", "a=b;c=d;"},
	    {"&labelSelector=app%3Dweb&limit=500",
		"labelSelector=app=web;limit=500;"},
	    {"a=b?", "a=b;"},
	    {"a", "a=;"},
	    {"=b", "=b;"},
	    {"a=b=c", "a=b=c;"},
	    {"a+b=c+d%20e", "a b=c d e;"},
	    {"a=%zz", NULL},
	    {"a=%2", NULL},
	    {"%", NULL},
	    {"a=%00", NULL},
	    {"a=0123456789012345678901234567890123456789"
	     "0123456789012345678901234567890123456789",
		NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct buf out;
		int rc;

		buf_init(&out, 0);
		rc = query_text(rows[i].query, &out);
		if (rows[i].want == NULL)
			assert_true(rc < 0);
		else {
			assert_int_equal(rc, 0);
			assert_string_equal(buf_cstr(&out), rows[i].want);
		}
		buf_free(&out);
	}
}

static void
test_query_get(void **state)
{
	struct buf v;

	(void)state;
	buf_init(&v, 0);
	assert_int_equal(http_query_get("&a=1&b=2&b=3", "b", &v), 1);
	assert_string_equal(buf_cstr(&v), "2");
	assert_int_equal(http_query_get("a=1", "c", &v), 0);
	assert_int_equal(v.len, 0);
	assert_int_equal(http_query_get("a=%", "c", &v), -ERR_INVALID);
	buf_free(&v);
}

static void
test_writers(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	assert_int_equal(http_put_request(&b, "GET", "/a?b"), 0);
	assert_int_equal(http_put_field(&b, "Host", "h"), 0);
	assert_int_equal(http_put_fieldf(&b, "N", "%d", 7), 0);
	assert_int_equal(http_put_end(&b), 0);
	assert_string_equal(
	    buf_cstr(&b), "GET /a?b HTTP/1.1\r\nHost: h\r\nN: 7\r\n\r\n");
	buf_clear(&b);
	assert_true(http_put_request(&b, "G T", "/") < 0);
	assert_true(http_put_request(&b, "", "/") < 0);
	assert_true(http_put_request(&b, "GET", "") < 0);
	assert_true(http_put_request(&b, "GET", "/a b") < 0);
	assert_true(http_put_request(&b, "GET", "/a\r\nX: y") < 0);
	assert_true(http_put_field(&b, "A\r\n", "b") < 0);
	assert_true(http_put_field(&b, "A:", "b") < 0);
	assert_true(http_put_field(&b, "A", "b\r\nC: d") < 0);
	assert_true(http_put_field(&b, "A", "b\n") < 0);
	assert_true(http_put_status(&b, 42) < 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(http_put_chunk(&b, "", 0), 0);
	assert_int_equal(http_put_chunk(&b, "hello world!!!!!", 16), 0);
	assert_int_equal(http_put_last_chunk(&b), 0);
	assert_string_equal(
	    buf_cstr(&b), "10\r\nhello world!!!!!\r\n0\r\n\r\n");
	buf_free(&b);
	assert_string_equal(http_reason(410), "Gone");
	assert_string_equal(http_reason(799), "Status");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good_requests),
	    cmocka_unit_test(test_bad_requests),
	    cmocka_unit_test(test_nul_bytes),
	    cmocka_unit_test(test_byte_by_byte),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_endless_heads),
	    cmocka_unit_test(test_responses),
	    cmocka_unit_test(test_lookup),
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_queries),
	    cmocka_unit_test(test_query_get),
	    cmocka_unit_test(test_writers),
	};

	return cmocka_run_group_tests_name("http_head", tests, NULL, NULL);
}
