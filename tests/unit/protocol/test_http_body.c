/* Bodies by length, in chunks, until the end; whole and byte by byte. */
#include "config.h"

#include <string.h>

#include "protocol/http.h"
#include "tests/unit/unit.h"

/* Decodes text given step bytes at a time; the body goes to out. */
static int
decode(const struct http_head *h, uint64_t max, const char *text, size_t step,
    struct buf *out, size_t *rest, bool *done)
{
	struct http_body b;
	struct err e = {0};
	size_t at = 0, n = strlen(text), have = 0;
	int rc = http_body_init(&b, h, max, &e);

	while (rc == 0 && !b.done && at < n) {
		struct span data;
		size_t used;

		if (have < n - at)
			have = have + step < n - at ? have + step : n - at;
		rc = http_body_next(&b,
		    (struct span){(const uint8_t *)text + at, have}, &data,
		    &used, &e);
		if (rc < 0)
			break;
		assert_true(used <= have);
		assert_int_equal(buf_append(out, data.p, data.n), 0);
		at += used;
		have -= used;
		if (used == 0 && have == n - at)
			break;
	}
	*rest = n - at;
	*done = rc == 0 && b.done;
	if (rc < 0)
		assert_true(e.text[0] != '\0');
	return rc;
}

static const struct {
	const char *text;
	uint64_t max;
	const char *body; /* NULL: an error */
	size_t rest;
	bool done;
} CHUNKED[] = {
    {"0\r\n\r\n", 0, "", 0, true},
    {"5\r\nhello\r\n0\r\n\r\n", 0, "hello", 0, true},
    {"5\r\nhello\r\n0\r\n\r\nGET", 0, "hello", 3, true},
    {"3\r\nabc\r\n00002\r\nde\r\n000\r\n\r\n", 5, "abcde", 0, true},
    {"a;x=y\r\n0123456789\r\n0;q\r\n\r\n", 0, "0123456789", 0, true},
    {"A\r\n0123456789\r\n0\r\nTrailer: x\r\nB: y\r\n\r\n", 0, "0123456789", 0,
	true},
    {"5\r\nhel", 0, "hel", 0, false},
    {"5", 0, "", 0, false},
    {"5\r\nhello\r\n0\r\n", 0, "hello", 0, false},
    {"5\r\nhello\r\n0\r\n\r", 0, "hello", 0, false},
    {"", 0, "", 0, false},
    /* errors */
    {"\r\n", 0, NULL, 0, false},
    {"g\r\n", 0, NULL, 0, false},
    {"-1\r\n", 0, NULL, 0, false},
    {"0x5\r\nhello\r\n", 0, NULL, 0, false},
    {" 5\r\nhello\r\n", 0, NULL, 0, false},
    {"5 \r\nhello\r\n", 0, NULL, 0, false},
    {"5\nhello\r\n0\r\n\r\n", 0, NULL, 0, false},
    {"5\rhello\r\n", 0, NULL, 0, false},
    {"5\r\nhello0\r\n\r\n", 0, NULL, 0, false},
    {"5\r\nhello\n0\r\n\r\n", 0, NULL, 0, false},
    {"5\r\nhelloX\r\n", 0, NULL, 0, false},
    {"5\r\nhello\r\n0\r\n\n", 0, NULL, 0, false},
    {"5\r\nhello\r\n0\r\n\rX", 0, NULL, 0, false},
    {"5;a\x01\r\nhello\r\n", 0, NULL, 0, false},
    {"5;a\nhello\r\n", 0, NULL, 0, false},
    {"0\r\nA: b\n\r\n", 0, NULL, 0, false},
    {"0\r\nA: \x7f\r\n\r\n", 0, NULL, 0, false},
    {"1000000000000000\r\n", 0, NULL, 0, false},
    {"ffffffffffffffffffff\r\n", 0, NULL, 0, false},
    {"0000000000000000000000005\r\n", 0, NULL, 0, false},
    {"6\r\n", 5, NULL, 0, false},
    {"3\r\nabc\r\n3\r\n", 5, NULL, 0, false},
};

static void
test_chunked(void **state)
{
	static const size_t steps[] = {1, 2, 3, 7, 4096};
	const struct http_head h = {.framing = HTTP_BODY_CHUNKED};

	(void)state;
	for (size_t i = 0; i < N_OF(CHUNKED); i++) {
		for (size_t k = 0; k < N_OF(steps); k++) {
			struct buf out;
			size_t rest;
			bool done;
			int rc;

			buf_init(&out, 0);
			rc = decode(&h, CHUNKED[i].max, CHUNKED[i].text,
			    steps[k], &out, &rest, &done);
			if ((rc < 0) != (CHUNKED[i].body == NULL))
				fail_msg(
				    "row %zu step %zu: %d", i, steps[k], rc);
			if (rc == 0) {
				assert_string_equal(
				    buf_cstr(&out), CHUNKED[i].body);
				assert_int_equal(done, CHUNKED[i].done);
				assert_int_equal(rest, CHUNKED[i].rest);
			}
			buf_free(&out);
		}
	}
}

/* Extensions and trailers without an end are not followed for ever. */
static void
test_endless_lines(void **state)
{
	static const char *const starts[] = {"5;", "0\r\nA: ", "0\r\n"};
	static const char *const more[] = {
	    "xxxxxxxx", "xxxxxxxx", "A: xxxxxxxxxx\r\n"};
	const struct http_head h = {.framing = HTTP_BODY_CHUNKED};

	(void)state;
	for (size_t i = 0; i < N_OF(starts); i++) {
		struct buf text, out;
		size_t rest;
		bool done;

		buf_init(&text, 0);
		buf_init(&out, 0);
		buf_printf(&text, "%s", starts[i]);
		for (int k = 0; k < 5000; k++)
			buf_printf(&text, "%s", more[i]);
		assert_int_equal(
		    decode(&h, 0, buf_cstr(&text), 512, &out, &rest, &done),
		    -ERR_INVALID);
		buf_free(&text);
		buf_free(&out);
	}
}

static void
test_length(void **state)
{
	static const struct {
		uint64_t length, max;
		const char *text, *body;
		size_t rest;
		bool done;
	} rows[] = {
	    {0, 0, "GET", "", 3, true},
	    {3, 0, "abc", "abc", 0, true},
	    {3, 3, "abcGET", "abc", 3, true},
	    {3, 0, "ab", "ab", 0, false},
	    {4, 3, "", NULL, 0, false},
	    {UINT64_MAX / 2, 3, "", NULL, 0, false},
	    {UINT64_MAX / 2, 0, "abc", "abc", 0, false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		const struct http_head h = {
		    .framing = HTTP_BODY_LENGTH, .length = rows[i].length};
		struct buf out;
		size_t rest;
		bool done;
		int rc;

		buf_init(&out, 0);
		rc = decode(
		    &h, rows[i].max, rows[i].text, 2, &out, &rest, &done);
		assert_int_equal(rc, rows[i].body != NULL ? 0 : -ERR_TOO_BIG);
		if (rc == 0) {
			assert_string_equal(buf_cstr(&out), rows[i].body);
			assert_int_equal(done, rows[i].done);
			assert_int_equal(rest, rows[i].rest);
		}
		buf_free(&out);
	}
}

static void
test_ends(void **state)
{
	static const struct {
		enum http_framing framing;
		uint64_t length;
		int rc;
	} rows[] = {
	    {HTTP_BODY_NONE, 0, 0},
	    {HTTP_BODY_LENGTH, 0, 0},
	    {HTTP_BODY_LENGTH, 1, -ERR_TRUNCATED},
	    {HTTP_BODY_CHUNKED, 0, -ERR_TRUNCATED},
	    {HTTP_BODY_UNTIL_CLOSE, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		const struct http_head h = {
		    .framing = rows[i].framing, .length = rows[i].length};
		struct http_body b;
		struct err e = {0};

		assert_int_equal(http_body_init(&b, &h, 0, &e), 0);
		assert_int_equal(http_body_eof(&b, &e), rows[i].rc);
		assert_int_equal(b.done, rows[i].rc == 0);
	}
}

static void
test_until_close_limit(void **state)
{
	const struct http_head h = {.framing = HTTP_BODY_UNTIL_CLOSE};
	struct buf out;
	size_t rest;
	bool done;

	(void)state;
	buf_init(&out, 0);
	assert_int_equal(decode(&h, 6, "abcdef", 2, &out, &rest, &done), 0);
	assert_int_equal(out.len, 6);
	assert_int_equal(
	    decode(&h, 6, "abcdefg", 2, &out, &rest, &done), -ERR_TOO_BIG);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_chunked),
	    cmocka_unit_test(test_endless_lines),
	    cmocka_unit_test(test_length),
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_until_close_limit),
	};

	return cmocka_run_group_tests_name("http_body", tests, NULL, NULL);
}
