/* Text helpers: tables of good and, above all, bad inputs. */
#include "config.h"

#include "lib/str.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "tests/unit/unit.h"

static void
numbers(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
	} rows[] = {
	    {"0", true, 0},
	    {"7", true, 7},
	    {"18446744073709551615", true, UINT64_MAX},
	    {"18446744073709551616", false, 0},
	    {"99999999999999999999", false, 0},
	    {"00000000000000000001", true, 1},
	    {"000000000000000000001", false, 0},
	    {"", false, 0},
	    {" 1", false, 0},
	    {"1 ", false, 0},
	    {"+1", false, 0},
	    {"-1", false, 0},
	    {"0x1", false, 0},
	    {"1e3", false, 0},
	    {"a", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		uint64_t v = 0;

		assert_int_equal(str_to_u64(rows[i].text, &v), rows[i].ok);
		if (rows[i].ok)
			assert_true(v == rows[i].value);
	}
}

static void
small_numbers(void **state)
{
	static const struct {
		const char *text;
		int value; /* -1: refused */
	} rows[] = {{"0", 0}, {"65535", 65535}, {"65536", -1}, {"", -1},
	    {"8080x", -1}, {"-0", -1}};
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
	} hex[] = {{"0", true, 0}, {"fF", true, 255},
	    {"FFFFFFFFFFFFFFFF", true, UINT64_MAX},
	    {"10000000000000000", false, 0}, {"0x10", false, 0},
	    {"g", false, 0}, {"", false, 0}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		uint16_t v = 0;
		bool ok = str_to_u16(rows[i].text, &v);

		assert_int_equal(ok, rows[i].value >= 0);
		if (ok)
			assert_int_equal(v, rows[i].value);
	}
	for (size_t i = 0; i < N_OF(hex); i++) {
		uint64_t v = 0;

		assert_int_equal(str_hex_to_u64(hex[i].text, &v), hex[i].ok);
		if (hex[i].ok)
			assert_true(v == hex[i].value);
	}
}

static void
wildcards(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} rows[] = {
	    {"", "", true},
	    {"", "a", false},
	    {"*", "", true},
	    {"*", "anything", true},
	    {"?", "", false},
	    {"?", "a", true},
	    {"?", "ab", false},
	    {"a*c", "abc", true},
	    {"a*c", "ac", true},
	    {"a*c", "acb", false},
	    {"*a*a*", "banana", true},
	    {"*x*", "banana", false},
	    {"deployment/*", "deployment/shop", true},
	    {"deployment/*", "deploymentshop", false},
	    {"LC_*", "LC_ALL", true},
	    {"lc_*", "LC_ALL", false},
	    {"a**b", "ab", true},
	    {"*.*.*", "a.b", false},
	};
	char many[2001], stars[402];

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		if (str_wildcard(rows[i].pattern, rows[i].text) !=
		    rows[i].match)
			fail_msg("%s on %s", rows[i].pattern, rows[i].text);
	}
	/* What makes a backtracking matcher run for ever. */
	memset(many, 'a', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	for (size_t i = 0; i < 400; i += 2)
		memcpy(stars + i, "*a", 2);
	memcpy(stars + 400, "b", 2);
	assert_false(str_wildcard(stars, many));
}

static void
utf8(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool valid;
	} rows[] = {
	    {"", 0, true},
	    {"abc", 3, true},
	    {"a\0b", 3, true},
	    {"\xc3\xa9", 2, true},
	    {"\xe2\x82\xac", 3, true},
	    {"\xf0\x9f\x98\x80", 4, true},
	    {"\xf4\x8f\xbf\xbf", 4, true},
	    {"\x80", 1, false},
	    {"\xc3", 1, false},
	    {"\xc3\x28", 2, false},
	    {"\xc0\xaf", 2, false}, /* overlong */
	    {"\xc1\x81", 2, false},
	    {"\xe0\x80\xaf", 3, false}, /* overlong */
	    {"\xe0\x9f\xbf", 3, false},
	    {"\xed\xa0\x80", 3, false}, /* surrogate */
	    {"\xed\xbf\xbf", 3, false},
	    {"\xf0\x8f\xbf\xbf", 4, false}, /* overlong */
	    {"\xf4\x90\x80\x80", 4, false}, /* beyond U+10FFFF */
	    {"\xf5\x80\x80\x80", 4, false},
	    {"\xff", 1, false},
	    {"ab\xe2\x82", 4, false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(
		    str_utf8_valid((const uint8_t *)rows[i].bytes, rows[i].n),
		    rows[i].valid);
}

static void
hex_both_ways(void **state)
{
	static const char *const bad[] = {"0", "0g", "zz", "0 ", "123"};
	uint8_t all[256];
	struct buf text, bytes;

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	buf_init(&text, 0);
	buf_init(&bytes, 0);
	assert_int_equal(str_hex_encode(&text, all, sizeof(all)), 0);
	assert_int_equal(text.len, 512);
	assert_int_equal(
	    str_hex_decode(&bytes, (const char *)buf_data(&text), text.len), 0);
	assert_int_equal(bytes.len, sizeof(all));
	assert_memory_equal(buf_data(&bytes), all, sizeof(all));
	for (size_t i = 0; i < N_OF(bad); i++) {
		buf_clear(&bytes);
		assert_int_equal(str_hex_decode(&bytes, bad[i], strlen(bad[i])),
		    -ERR_INVALID);
	}
	buf_free(&text);
	buf_free(&bytes);
}

static void
base64(void **state)
{
	static const struct {
		const char *plain, *padded, *bare;
	} rows[] = {{"", "", ""}, {"f", "Zg==", "Zg"}, {"fo", "Zm8=", "Zm8"},
	    {"foo", "Zm9v", "Zm9v"}, {"foob", "Zm9vYg==", "Zm9vYg"},
	    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
	    {"foobar", "Zm9vYmFy", "Zm9vYmFy"}};
	static const char *const bad[] = {
	    "A", "AAAAA", "A$==", "Zg==Zg==", "=A", "Zm9\x80"};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		for (int pad = 0; pad < 2; pad++) {
			const char *want = pad ? rows[i].padded : rows[i].bare;

			buf_init(&b, 0);
			assert_int_equal(str_base64_encode(&b,
					     (const uint8_t *)rows[i].plain,
					     strlen(rows[i].plain), pad),
			    0);
			assert_string_equal(buf_cstr(&b), want);
			buf_clear(&b);
			assert_int_equal(
			    str_base64_decode(&b, want, strlen(want)), 0);
			assert_string_equal(buf_cstr(&b), rows[i].plain);
			buf_free(&b);
		}
	}
	for (size_t i = 0; i < N_OF(bad); i++) {
		buf_init(&b, 0);
		assert_int_equal(str_base64_decode(&b, bad[i], strlen(bad[i])),
		    -ERR_INVALID);
		buf_free(&b);
	}
	/* Both alphabets, and the line breaks of PEM. */
	buf_init(&b, 0);
	assert_int_equal(str_base64_decode(&b, "-_+/\r\n-_+/", 10), 0);
	assert_int_equal(b.len, 6);
	buf_free(&b);
}

static void
form_encoding(void **state)
{
	static const struct {
		const char *plain, *encoded;
	} rows[] = {{"", ""}, {"a b", "a+b"}, {"feat/x", "feat%2Fx"},
	    {"*-._", "*-._"}, {"~", "%7E"}, {"{\"a\":1}", "%7B%22a%22%3A1%7D"},
	    {"\xc3\xa9", "%C3%A9"}, {"a=b&c", "a%3Db%26c"}};
	static const char *const bad[] = {
	    "%", "%4", "%zz", "a%", "%00", "x%0", "%%41"};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		buf_init(&b, 0);
		assert_int_equal(
		    str_form_encode(&b, rows[i].plain, strlen(rows[i].plain)),
		    0);
		assert_string_equal(buf_cstr(&b), rows[i].encoded);
		buf_clear(&b);
		assert_int_equal(str_form_decode(&b, rows[i].encoded,
				     strlen(rows[i].encoded)),
		    0);
		assert_string_equal(buf_cstr(&b), rows[i].plain);
		buf_free(&b);
	}
	for (size_t i = 0; i < N_OF(bad); i++) {
		buf_init(&b, 0);
		assert_int_equal(
		    str_form_decode(&b, bad[i], strlen(bad[i])), -ERR_INVALID);
		buf_free(&b);
	}
}

static void
ends_and_formats(void **state)
{
	char out[4];

	(void)state;
	assert_true(str_starts("abc", "ab"));
	assert_true(str_starts("abc", ""));
	assert_false(str_starts("a", "ab"));
	assert_true(str_ends("abc", "bc"));
	assert_false(str_ends("c", "bc"));
	assert_int_equal(str_fmt(out, sizeof(out), "%s", "abc"), 0);
	assert_int_equal(str_fmt(out, sizeof(out), "%s", "abcd"), -1);
	assert_string_equal(out, "abc"); /* cut, but terminated */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers),
	    cmocka_unit_test(small_numbers),
	    cmocka_unit_test(wildcards),
	    cmocka_unit_test(utf8),
	    cmocka_unit_test(hex_both_ways),
	    cmocka_unit_test(base64),
	    cmocka_unit_test(form_encoding),
	    cmocka_unit_test(ends_and_formats),
	};

	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
