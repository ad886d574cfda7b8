/* WebSocket frames, the piecewise parser, handshake values. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/str.h"
#include "protocol/http.h"
#include "protocol/ws.h"
#include "tests/unit/unit.h"

static size_t
unhex(const char *hex, uint8_t *out, size_t cap)
{
	struct buf b;
	size_t n;

	buf_init(&b, 0);
	assert_int_equal(str_hex_decode(&b, hex, strlen(hex)), 0);
	n = b.len;
	assert_true(n <= cap);
	memcpy(out, buf_data(&b), n);
	buf_free(&b);
	return n;
}

static void
test_head_decode(void **state)
{
	static const struct {
		const char *hex;
		int rc;
		uint64_t len;
		size_t head;
	} rows[] = {
	    {"8200", 0, 0, 2},
	    {"827d", 0, 125, 2},
	    {"827e007e", 0, 126, 4},
	    {"827effff", 0, 65535, 4},
	    {"827f0000000000010000", 0, 65536, 10},
	    {"827f7fffffffffffffff", 0, INT64_MAX, 10},
	    {"828001020304", 0, 0, 6},
	    {"82fe010001020304", 0, 256, 8},
	    {"897d", 0, 125, 2},
	    {"", -ERR_TRUNCATED, 0, 0},
	    {"82", -ERR_TRUNCATED, 0, 0},
	    {"827e00", -ERR_TRUNCATED, 0, 0},
	    {"827f00000000000100", -ERR_TRUNCATED, 0, 0},
	    {"8280010203", -ERR_TRUNCATED, 0, 0},
	    {"c200", -ERR_INVALID, 0, 0}, /* RSV1 */
	    {"a200", -ERR_INVALID, 0, 0},
	    {"9200", -ERR_INVALID, 0, 0},
	    {"8300", -ERR_INVALID, 0, 0}, /* opcodes 3 to 7, b to f */
	    {"8700", -ERR_INVALID, 0, 0},
	    {"8b00", -ERR_INVALID, 0, 0},
	    {"8f00", -ERR_INVALID, 0, 0},
	    {"0900", -ERR_INVALID, 0, 0}, /* fragmented controls */
	    {"0800", -ERR_INVALID, 0, 0},
	    {"897e007e", -ERR_INVALID, 0, 0}, /* long controls */
	    {"887f0000000000000001", -ERR_INVALID, 0, 0},
	    {"827e0000", -ERR_INVALID, 0, 0}, /* not the shortest form */
	    {"827e007d", -ERR_INVALID, 0, 0},
	    {"827f000000000000007e", -ERR_INVALID, 0, 0},
	    {"827f000000000000ffff", -ERR_INVALID, 0, 0},
	    {"827f8000000000000000", -ERR_INVALID, 0, 0}, /* 64 bits */
	    {"827fffffffffffffffff", -ERR_INVALID, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		uint8_t raw[32];
		size_t n = unhex(rows[i].hex, raw, sizeof(raw));
		struct ws_frame f;
		struct err e = {0};
		int rc = ws_head_decode((struct span){raw, n}, &f, &e);

		if (rc != rows[i].rc)
			fail_msg("%s: %d %s", rows[i].hex, rc, e.text);
		if (rc != 0)
			continue;
		assert_int_equal(f.len, rows[i].len);
		assert_int_equal(f.head_len, rows[i].head);
	}
}

static void
test_head_round_trip(void **state)
{
	static const uint64_t lens[] = {
	    0, 1, 125, 126, 127, 65535, 65536, 1ULL << 40, INT64_MAX};

	(void)state;
	for (size_t i = 0; i < N_OF(lens); i++) {
		for (int masked = 0; masked < 2; masked++) {
			struct ws_frame f = {.fin = i % 2 == 0,
			    .opcode = WS_BINARY,
			    .masked = masked,
			    .len = lens[i]};
			struct ws_frame g;
			uint8_t raw[WS_HEAD_MAX];
			size_t n;

			memcpy(f.mask, masked ? "\1\2\3\4" : "\0\0\0\0", 4);
			n = ws_head_encode(raw, &f);
			assert_int_equal(
			    ws_head_decode((struct span){raw, n}, &g, NULL), 0);
			f.head_len = n;
			assert_int_equal(g.fin, f.fin);
			assert_int_equal(g.len, f.len);
			assert_int_equal(g.masked, f.masked);
			assert_memory_equal(g.mask, f.mask, 4);
			assert_int_equal(g.head_len, n);
		}
	}
}

/* Against the definition, at every offset and alignment. */
static void
test_mask(void **state)
{
	static const uint8_t mask[4] = {0xde, 0xad, 0xbe, 0xef};
	uint8_t a[80], want[80];

	(void)state;
	for (size_t start = 0; start < 8; start++) {
		for (size_t n = 0; n < 70; n++) {
			for (uint64_t off = 0; off < 5; off++) {
				for (size_t i = 0; i < sizeof(a); i++)
					a[i] = want[i] = (uint8_t)(i * 7);
				for (size_t i = 0; i < n; i++)
					want[start + i] ^= mask[(off + i) & 3];
				ws_mask(a + start, n, mask, off);
				assert_memory_equal(a, want, sizeof(a));
			}
		}
	}
}

/* ---- the parser: events as text */

static void
event_text(struct buf *out, const struct ws_event *ev)
{
	if (ev->kind == WS_EV_CONTROL)
		buf_printf(out, "%c(%.*s)",
		    ev->opcode == WS_CLOSE  ? 'C'
		    : ev->opcode == WS_PING ? 'I'
					    : 'O',
		    (int)ev->bytes.n, (const char *)ev->bytes.p);
	else
		buf_printf(out, "%s%.*s%s", ev->first ? "<" : "",
		    (int)ev->bytes.n, (const char *)ev->bytes.p,
		    ev->last ? ">" : "");
}

/* Feeds raw by step bytes; returns the parser's last result. */
static int
run_parser(const struct ws_policy *policy, const uint8_t *raw, size_t n,
    size_t step, struct buf *out, uint16_t *code)
{
	struct ws_parser p;
	struct buf in;
	struct err e = {0};
	size_t at = 0;
	int rc = 0;

	ws_parser_init(&p, policy);
	buf_init(&in, 0);
	while (rc == 0 && at < n) {
		size_t take = step < n - at ? step : n - at;
		struct ws_event ev;

		buf_append(&in, raw + at, take);
		at += take;
		do {
			size_t used;

			rc = ws_parser_next(
			    &p, buf_data(&in), in.len, &used, &ev, &e);
			if (rc < 0)
				break;
			assert_true(used <= in.len);
			if (ev.kind != WS_EV_NONE)
				event_text(out, &ev);
			buf_consume(&in, used);
		} while (ev.kind != WS_EV_NONE);
		assert_true(rc < 0 || in.len < WS_HEAD_MAX + WS_CONTROL_MAX);
	}
	*code = p.close_code;
	buf_free(&in);
	return rc;
}

static const struct {
	const char *name;
	enum ws_role role;
	bool text;
	uint64_t max_frame, max_message;
	const char *hex;
	const char *want; /* of one feed */
	uint16_t code;    /* 0 = no error */
} STREAMS[] = {
    {"masked", WS_SERVER, 0, 0, 0, "8283010203046061 62", "<abc", 0},
    {"whole", WS_CLIENT, 0, 0, 0, "8203616263", "<abc>", 0},
    {"empty", WS_CLIENT, 0, 0, 0, "8200", "<>", 0},
    {"two", WS_CLIENT, 0, 0, 0, "820161820162", "<a><b>", 0},
    {"pieces", WS_CLIENT, 0, 0, 0, "02016100016280 0163", "<abc>", 0},
    {"empty last", WS_CLIENT, 0, 0, 0, "0201618000", "<a>", 0},
    {"empty first", WS_CLIENT, 0, 0, 0, "0200800161", "<a>", 0},
    {"all empty", WS_CLIENT, 0, 0, 0, "020000008000", "<>", 0},
    {"ping between", WS_CLIENT, 0, 0, 0, "0201618902686980 0162", "<aI(hi)b>",
	0},
    {"close", WS_CLIENT, 0, 0, 0, "8800", "C()", 0},
    {"text", WS_CLIENT, 1, 0, 0, "8102c3bc", "<\xc3\xbc>", 0},
    {"text cut", WS_CLIENT, 1, 0, 0, "0101c38001bc", "<\xc3\xbc>", 0},
    {"at the limits", WS_CLIENT, 0, 2, 4, "02026161800262 62", "<aabb>", 0},
    /* errors */
    {"unmasked to a server", WS_SERVER, 0, 0, 0, "820161", "", 1002},
    {"unmasked ping to a server", WS_SERVER, 0, 0, 0, "8900", "", 1002},
    {"masked to a client", WS_CLIENT, 0, 0, 0, "828101020304", "", 1002},
    {"nothing to continue", WS_CLIENT, 0, 0, 0, "800161", "", 1002},
    {"continues after the end", WS_CLIENT, 0, 0, 0, "820161800161", "<a>",
	1002},
    {"two at once", WS_CLIENT, 0, 0, 0, "020161820162", "<a", 1002},
    {"text inside binary", WS_CLIENT, 1, 0, 0, "020161810162", "<a", 1002},
    {"text not taken", WS_CLIENT, 0, 0, 0, "810161", "", 1003},
    {"frame too long", WS_CLIENT, 0, 2, 9, "8203616161", "", 1009},
    {"frame of 2^62", WS_CLIENT, 0, 0, 0, "827f4000000000000000", "", 1009},
    {"message too long", WS_CLIENT, 0, 2, 3, "02026161800262 62", "<aa", 1009},
    {"reserved bit", WS_CLIENT, 0, 0, 0, "c20161", "", 1002},
    {"unknown opcode", WS_CLIENT, 0, 0, 0, "830161", "", 1002},
    {"long ping", WS_CLIENT, 0, 0, 0, "897e0080", "", 1002},
    {"text no UTF-8", WS_CLIENT, 1, 0, 0, "8101ff", "", 1007},
    {"text ends in a character", WS_CLIENT, 1, 0, 0, "8101c3", "", 1007},
    {"text surrogate", WS_CLIENT, 1, 0, 0, "8103eda080", "", 1007},
    {"text overlong", WS_CLIENT, 1, 0, 0, "8102c0af", "", 1007},
    {"text cut and bad", WS_CLIENT, 1, 0, 0, "0102f490800 18f", "<\xf4\x90",
	1007},
};

/* "a b" written with blanks for reading. */
static size_t
unhex_blanks(const char *hex, uint8_t *out, size_t cap)
{
	char text[256];
	size_t n = 0;

	for (; *hex != '\0'; hex++) {
		if (*hex != ' ')
			text[n++] = *hex;
	}
	text[n] = '\0';
	return unhex(text, out, cap);
}

static void
test_streams(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(STREAMS); i++) {
		const struct ws_policy policy = {STREAMS[i].role,
		    STREAMS[i].text, STREAMS[i].max_frame,
		    STREAMS[i].max_message};
		uint8_t raw[128];
		size_t n = unhex_blanks(STREAMS[i].hex, raw, sizeof(raw));

		if (strcmp(STREAMS[i].name, "masked") == 0) {
			/* the payload is given unmasked in the row */
			static const uint8_t mask[4] = {1, 2, 3, 4};

			memcpy(raw + 6, "abc", 3);
			ws_mask(raw + 6, 3, mask, 0);
		}
		for (size_t step = 1; step < 20; step += 3) {
			struct buf out;
			uint16_t code = 0;
			int rc;

			buf_init(&out, 0);
			rc = run_parser(&policy, raw, n, step, &out, &code);
			if ((rc < 0) != (STREAMS[i].code != 0) ||
			    (rc < 0 && code != STREAMS[i].code))
				fail_msg("%s step %zu: %d code %u",
				    STREAMS[i].name, step, rc, (unsigned)code);
			if (STREAMS[i].code == 0 &&
			    strncmp(buf_cstr(&out), STREAMS[i].want,
				strlen(STREAMS[i].want)) != 0)
				fail_msg("%s step %zu: %s", STREAMS[i].name,
				    step, buf_cstr(&out));
			buf_free(&out);
		}
	}
}

/* A big message in frames of all sizes comes through by every step. */
static void
test_big_message(void **state)
{
	enum { TOTAL = 300000 };
	static const size_t frames[] = {1, 125, 126, 65535, 65536, 100000};
	const struct ws_policy policy = {.role = WS_SERVER};
	static const uint8_t mask[4] = {9, 8, 7, 6};
	struct ws_parser p;
	struct buf wire;
	uint8_t *data = malloc(TOTAL);
	size_t sent = 0, got = 0, f = 0, step = 1;
	bool last = false;

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < TOTAL; i++)
		data[i] = (uint8_t)(i * 31 + i / 251);
	buf_init(&wire, 1 << 20);
	while (sent < TOTAL) {
		size_t n = frames[f++ % N_OF(frames)];

		if (n > TOTAL - sent)
			n = TOTAL - sent;
		assert_int_equal(
		    ws_put_frame(&wire, sent == 0 ? WS_BINARY : WS_CONT,
			sent + n == TOTAL, mask, data + sent, n),
		    0);
		sent += n;
	}
	ws_parser_init(&p, &policy);
	while (wire.len > 0) {
		struct ws_event ev;
		size_t used, n = step++ % 4099 + 14;

		if (n > wire.len)
			n = wire.len;
		assert_int_equal(
		    ws_parser_next(&p, buf_data(&wire), n, &used, &ev, NULL),
		    0);
		if (ev.kind == WS_EV_PIECE) {
			assert_int_equal(ev.first, got == 0);
			assert_memory_equal(ev.bytes.p, data + got, ev.bytes.n);
			got += ev.bytes.n;
			last = ev.last;
		}
		buf_consume(&wire, used);
	}
	assert_int_equal(got, TOTAL);
	assert_true(last);
	buf_free(&wire);
	free(data);
}

static void
test_close_payload(void **state)
{
	static const struct {
		const char *hex;
		int rc;
		uint16_t code;
	} rows[] = {
	    {"", 0, 1005},
	    {"03e8", 0, 1000},
	    {"03e8c3bc", 0, 1000},
	    {"03eb", 0, 1003},
	    {"03ef", 0, 1007},
	    {"03f3", 0, 1011},
	    {"0bb8", 0, 3000},
	    {"1387", 0, 4999},
	    {"03", -ERR_INVALID, 0},
	    {"0000", -ERR_INVALID, 0},
	    {"03e7", -ERR_INVALID, 0},
	    {"03ec", -ERR_INVALID, 0},
	    {"03ed", -ERR_INVALID, 0},
	    {"03ee", -ERR_INVALID, 0},
	    {"03f7", -ERR_INVALID, 0},
	    {"07d0", -ERR_INVALID, 0},
	    {"1388", -ERR_INVALID, 0},
	    {"ffff", -ERR_INVALID, 0},
	    {"03e8ff", -ERR_INVALID, 0},
	    {"03e8c3", -ERR_INVALID, 0},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		uint8_t raw[16];
		size_t n = unhex(rows[i].hex, raw, sizeof(raw));
		struct span reason;
		uint16_t code;
		int rc =
		    ws_close_parse((struct span){raw, n}, &code, &reason, NULL);

		if (rc != rows[i].rc)
			fail_msg("%s: %d", rows[i].hex, rc);
		if (rc == 0)
			assert_int_equal(code, rows[i].code);
	}
}

static void
test_keys(void **state)
{
	static const struct {
		const char *key, *accept;
	} rows[] = {
	    /* RFC 6455 §1.3 and captures of the stock client */
	    {"dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
	    {"J+1DmapWFYGkKNmGxizNIg==", "F6JtIoF2xqltiyc2n1s6Qv6s3nc="},
	    {"WoPmcCy1PXCjA6w8ehog1Q==", "spC+qAHSpLkmWkofirklc7VGdE4="},
	    {"", NULL},
	    {"dGhlIHNhbXBsZSBub25jZQ=", NULL},
	    {"dGhlIHNhbXBsZSBub25jZQ===", NULL},
	    {"dGhlIHNhbXBsZSBub25jZB==", NULL}, /* unused bits set */
	    {"dGhlIHNhbXBsZSBub25jZQAA", NULL},
	    {"dGhlIHNhbXBsZSBub25jZ Q=", NULL},
	    {"dGhlIHNhbXBsZSBub25-ZQ==", NULL},
	};
	char made[WS_KEY_SIZE], again[WS_KEY_SIZE];

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char out[WS_ACCEPT_SIZE];
		int rc = ws_accept_value(rows[i].key, out);

		assert_int_equal(rc, rows[i].accept != NULL ? 0 : -ERR_INVALID);
		if (rc == 0)
			assert_string_equal(out, rows[i].accept);
	}
	assert_int_equal(ws_key_make(made), 0);
	assert_int_equal(ws_key_make(again), 0);
	assert_true(ws_key_valid(made));
	assert_string_not_equal(made, again);
}

static void
parse_head(const char *text, const char *method, struct http_head *h)
{
	struct http_parser p = {0};
	struct err e = {0};
	struct buf in;

	buf_init(&in, 0);
	buf_append(&in, text, strlen(text));
	if ((method == NULL ? http_parse_request(&p, &in, h, &e)
			    : http_parse_response(&p, &in, method, h, &e)) < 0)
		fail_msg("%s: %s", text, e.text);
	buf_free(&in);
}

#define GETW "GET /w HTTP/1.1\r\nHost: h\r\n"
#define UP "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define SUB "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n"

static void
test_check_request(void **state)
{
	static const struct {
		const char *text;
		int code; /* 0 = fine */
	} rows[] = {
	    {GETW UP V13 KEY SUB "\r\n", 0},
	    {GETW
		"connection: keep-alive, upgrade\r\nupgrade: WebSocket\r\n" V13
		    KEY "Sec-WebSocket-Protocol: a, v4.channel.k8s.io\r\n\r\n",
		0},
	    {GETW V13 KEY SUB "\r\n", 400},
	    {GETW "Connection: Upgrade\r\nUpgrade: h2c\r\n" V13 KEY SUB "\r\n",
		400},
	    {GETW "Upgrade: websocket\r\n" V13 KEY SUB "\r\n", 400},
	    {GETW UP KEY SUB "\r\n", 400},
	    {GETW UP "Sec-WebSocket-Version: 8\r\n" KEY SUB "\r\n", 426},
	    {GETW UP V13 SUB "\r\n", 400},
	    {GETW UP V13 "Sec-WebSocket-Key: short\r\n" SUB "\r\n", 400},
	    {GETW UP V13 KEY "\r\n", 400},
	    {GETW UP V13 KEY
		"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n",
		400},
	    {"POST /w HTTP/1.1\r\nHost: h\r\n" UP V13 KEY SUB "\r\n", 400},
	    {"GET /w HTTP/1.0\r\n" UP V13 KEY SUB "\r\n", 400},
	    {GETW UP V13 KEY SUB "Content-Length: 1\r\n\r\n", 400},
	    {GETW UP V13 KEY SUB "Transfer-Encoding: chunked\r\n\r\n", 400},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct http_head h;
		char accept[WS_ACCEPT_SIZE];
		struct err e = {0};
		int code = 0, rc;

		parse_head(rows[i].text, NULL, &h);
		rc = ws_check_request(
		    &h, "v4.channel.k8s.io", accept, &code, &e);
		if ((rc < 0) != (rows[i].code != 0) ||
		    (rc < 0 && code != rows[i].code))
			fail_msg("row %zu: %d %d %s", i, rc, code, e.text);
		if (rc == 0)
			assert_string_equal(
			    accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
		http_head_free(&h);
	}
}

#define R101 "HTTP/1.1 101 Switching Protocols\r\n"
#define ACC "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void
test_check_response(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = {
	    {R101 UP ACC SUB "\r\n", true},
	    {R101 "connection: upgrade\r\nupgrade: WEBSOCKET\r\n" ACC SUB
		  "\r\n",
		true},
	    {"HTTP/1.1 200 OK\r\n" UP ACC SUB "\r\n", false},
	    {R101 ACC SUB "\r\n", false},
	    {R101 UP SUB "\r\n", false},
	    {R101 UP "Sec-WebSocket-Accept: AAAA\r\n" SUB "\r\n", false},
	    {R101 UP ACC "\r\n", false},
	    {R101 UP ACC "Sec-WebSocket-Protocol: other\r\n\r\n", false},
	    {R101 UP ACC SUB
		"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
		false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct http_head h;
		struct err e = {0};

		parse_head(rows[i].text, "GET", &h);
		if ((ws_check_response(&h, "dGhlIHNhbXBsZSBub25jZQ==",
			 "v4.channel.k8s.io", &e) == 0) != rows[i].ok)
			fail_msg("row %zu: %s", i, e.text);
		http_head_free(&h);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_head_decode),
	    cmocka_unit_test(test_head_round_trip),
	    cmocka_unit_test(test_mask),
	    cmocka_unit_test(test_streams),
	    cmocka_unit_test(test_big_message),
	    cmocka_unit_test(test_close_payload),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_check_request),
	    cmocka_unit_test(test_check_response),
	};

	return cmocka_run_group_tests_name("ws", tests, NULL, NULL);
}
