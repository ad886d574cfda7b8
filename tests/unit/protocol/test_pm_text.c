/* Versions, URIs, addresses, numbers, and names that repeat. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "protocol/pm_text.h"
#include "protocol/pm_uri.h"
#include "protocol/pm_wire.h"

static void
test_version_parse(void **state)
{
	static const char *const good[] = {"0.0.0", "1.29.0",
	    "18446744073709551615.0.1", "1.0.0-rc.1", "2.0.0-rc.1+b5",
	    "1.0.0+001", "1.0.0-a-b.0.x7", "1.0.0--", "1.0.0-0a", "1.0.0-0",
	    "1.0.0+-.-"};
	static const char *const bad[] = {"", "1", "1.29", "1.2.3.4", "v1.0.0",
	    "01.0.0", "1.00.0", "1.0.01", "1.0.0-", "1.0.0+", "1.0.0-01",
	    "1.0.0-a..b", "1.0.0-a.", "1.0.0-.a", "1.0.0+a..b", "1.0.0 ",
	    " 1.0.0", "1.0.-1", "18446744073709551616.0.0", "1.0.0-a_b",
	    "1.0.0-a+b+c", "a.b.c", "1..0", "1.0.", ".1.0", "1.0.0-\xc3\xa9",
	    "-1.0.0", "1,0,0"};
	struct pm_version v;
	struct err e;

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++)
		assert_int_equal(
		    pm_version_parse(pm_str(good[i]), &v, NULL), 0);
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_int_equal(
		    pm_version_parse(pm_str(bad[i]), &v, &e), -ERR_INVALID);
	assert_int_equal(
	    pm_version_parse((struct pm_str){NULL, 0}, &v, NULL), -ERR_INVALID);
	assert_int_equal(
	    pm_version_parse((struct pm_str){"1.0.0\0", 6}, &v, NULL),
	    -ERR_INVALID);
}

static void
test_version_order(void **state)
{
	/* each below the next */
	static const char *const v[] = {"0.9.9", "1.0.0-0", "1.0.0-2",
	    "1.0.0-10", "1.0.0-A", "1.0.0-alpha", "1.0.0-alpha.1",
	    "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
	    "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"};
	struct pm_version a, b;

	(void)state;
	for (size_t i = 0; i < N_OF(v); i++)
		for (size_t k = 0; k < N_OF(v); k++) {
			int c, want = (i > k) - (i < k);

			assert_int_equal(
			    pm_version_parse(pm_str(v[i]), &a, NULL), 0);
			assert_int_equal(
			    pm_version_parse(pm_str(v[k]), &b, NULL), 0);
			c = pm_version_cmp(&a, &b);
			assert_int_equal((c > 0) - (c < 0), want);
		}
	assert_int_equal(pm_version_parse(PM_STR("1.0.0+x"), &a, NULL), 0);
	assert_int_equal(pm_version_parse(PM_STR("1.0.0+y"), &b, NULL), 0);
	assert_int_equal(pm_version_cmp(&a, &b), 0);
}

static void
test_version_since(void **state)
{
	static const struct {
		const char *v;
		uint32_t since;
		bool ok;
	} t[] = {
	    {"1.22.0", PM_SINCE_CONNECT_V2, true},
	    {"1.21.9", PM_SINCE_CONNECT_V2, false},
	    {"2.0.0", PM_SINCE_CONNECT_V2, true},
	    {"1.22.0+b", PM_SINCE_CONNECT_V2, true},
	    {"1.29.0-rc.1", PM_SINCE_CONNECT_V2, false},
	    {"9.0.0-x", PM_SINCE_NEGOTIATION, false},
	    {"1.2.2", PM_SINCE_NEGOTIATION, false},
	    {"1.2.2-x", 0, true},
	    {"", 0, true},
	    {"nonsense", PM_SINCE_NEGOTIATION, false},
	    {PM_VERSION_OWN, PM_SINCE_SHARE_LINK, true},
	    {PM_VERSION_ASSUMED, PM_SINCE_NEGOTIATION, false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++)
		assert_int_equal(
		    pm_text_at_least(pm_str(t[i].v), t[i].since), t[i].ok);
}

static void
test_uri_good(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: as it is */
	} t[] = {
	    {"/", NULL},
	    {"*", NULL},
	    {"/a/b?c=d&e", NULL},
	    {"/?", NULL},
	    {"/a?b?c", NULL},
	    {"/%zz%", NULL},
	    {"/\"{}|^\\[]@:", NULL},
	    {"/\xc3\xbc?\xc3\xbc", NULL},
	    {"/?`{}", NULL},
	    {"//x", NULL},
	    {"/#", "/"},
	    {"/a#b", "/a"},
	    {"/a?b#c#d", "/a?b"},
	    {"/a#<>", "/a"},
	    {"host", NULL},
	    {"a", NULL},
	    {"host:80", NULL},
	    {"[::1]:80", NULL},
	    {"user:pw@host:80", NULL},
	    {"u%41@host", NULL},
	    {"host:", NULL},
	    {"*x", NULL},
	    {"http://h/", NULL},
	    {"http://h", "http://h/"},
	    {"HTTP://H/x", "http://H/x"},
	    {"hTTpS://h?q", "https://h/?q"},
	    {"http://h#f", "http://h/"},
	    {"http://h/p#f", "http://h/p"},
	    {"ftp+x-y.z~1://h", "ftp+x-y.z~1://h/"},
	    {"FTP://h/", NULL},
	    {"http://[fd00::1]:80/", NULL},
	    {"http://[fe80::1%25en0]/", NULL},
	    {"://h/", NULL},
	};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < N_OF(t); i++) {
		struct pm_str s = pm_str(t[i].in);

		print_message("%s\n", t[i].in);
		assert_null(pm_text_wrong(PM_K_URI, s));
		assert_int_equal(pm_text_normalise(PM_K_URI, &a, &s), 0);
		assert_true(pm_str_eq(
		    s, pm_str(t[i].out != NULL ? t[i].out : t[i].in)));
		/* the normal form is its own */
		assert_null(pm_text_wrong(PM_K_URI, s));
	}
	arena_free(&a);
}

#define TEN "aaaaaaaaaa"
#define SCHEME_TOO_LONG TEN TEN TEN TEN TEN TEN "aaaaa"

static void
test_uri_bad(void **state)
{
	static const char *const t[] = {"", " ", "?", "#", "/a b", "/a\x7f",
	    "/a\tb", "/a\nb", "/<x>", "/`", "/?\"x", "/?<", "/?a b", "http://",
	    "http:///p", "http://a b/", "http://h/a b", "http:/h", "http:h:1",
	    "a/b", "h?q", "h#f", "h:1:2", "h@", "a@b@", "[::1", "::1]",
	    "[[::1]]", "]x[", "h%41", "%@[", "x%[::1]", "a|b", "h\"h",
	    "\xc3\xbc", "http://\xc3\xbc/", "/\xff", "/\xed\xa0\x80",
	    "1:2:3:4:5:6:7:8:9:10", SCHEME_TOO_LONG "://h/"};
	char *longest = malloc(65536);

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		print_message("%s\n", t[i]);
		assert_non_null(pm_text_wrong(PM_K_URI, pm_str(t[i])));
	}
	assert_non_null(longest);
	memset(longest, '/', 65536);
	assert_null(pm_text_wrong(PM_K_URI, (struct pm_str){longest, 65534}));
	assert_non_null(
	    pm_text_wrong(PM_K_URI, (struct pm_str){longest, 65535}));
	free(longest);
}

static void
test_words(void **state)
{
	static const struct {
		enum pm_kind kind;
		const char *s;
		bool ok;
	} t[] = {
	    {PM_K_METHOD, "GET", true},
	    {PM_K_METHOD, "x!#$%&'*+-.^_`|~9", true},
	    {PM_K_METHOD, "", false},
	    {PM_K_METHOD, "G T", false},
	    {PM_K_METHOD, "G\"", false},
	    {PM_K_METHOD, "G{", false},
	    {PM_K_METHOD, "\xc3\xbc", false},
	    {PM_K_HTTPVER, "HTTP/0.9", true},
	    {PM_K_HTTPVER, "HTTP/3.0", true},
	    {PM_K_HTTPVER, "HTTP/2", false},
	    {PM_K_HTTPVER, "http/1.1", false},
	    {PM_K_HTTPVER, "HTTP/1.2", false},
	    {PM_K_HTTPVER, "", false},
	    {PM_K_STR, "", true},
	    {PM_K_STR, "\xf0\x9f\xa6\x80", true},
	    {PM_K_STR, "\xc0\x80", false},
	    {PM_K_STR, "\xf4\x90\x80\x80", false},
	    {PM_K_STR, "\xed\xbf\xbf", false},
	    {PM_K_STR, "\xe2\x82", false},
	    {PM_K_HEADER_NAME, "X-Long-Name_1", true},
	    {PM_K_HEADER_NAME, "", false},
	    {PM_K_HEADER_NAME, "a:b", false},
	    {PM_K_HEADER_NAME, ":path", false},
	    {PM_K_HEADER_NAME, "a b", false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++)
		assert_int_equal(
		    pm_text_wrong(t[i].kind, pm_str(t[i].s)) == NULL, t[i].ok);
	assert_true(pm_header_value_ok((struct span){(uint8_t *)"\t\xff ", 3}));
	for (int c = 0; c < 256; c++) {
		uint8_t b = (uint8_t)c;

		assert_int_equal(pm_header_value_ok((struct span){&b, 1}),
		    (c >= 0x20 && c != 0x7f) || c == '\t');
	}
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused; "" : as it is */
	} t[] = {
	    {"1.2.3.4:80", ""},
	    {"255.255.255.255:65535", ""},
	    {"[::]:0", ""},
	    {"[::1]:80", ""},
	    {"[1::]:80", ""},
	    {"[2001:db8::1:0:0:1]:1", ""},
	    {"[2001:db8:0:1:1:1:1:1]:1", ""},
	    {"[1:0:0:2::3]:1", ""},
	    {"[::ffff:10.1.2.3]:1", ""},
	    {"[::ffff:a01:203]:1", "[::ffff:10.1.2.3]:1"},
	    {"[::1.2.3.4]:1", "[::102:304]:1"},
	    {"[0:0:1::]:1", "[0:0:1::]:1"},
	    {"[FD00::A]:1", "[fd00::a]:1"},
	    {"1.2.3.4", NULL},
	    {"1.2.3:80", NULL},
	    {"1.2.3.256:80", NULL},
	    {"1.2.3.4:65536", NULL},
	    {"1.2.3.4:", NULL},
	    {"1.2.3.4: 1", NULL},
	    {"1.2.3.4:-1", NULL},
	    {"::1:80", NULL},
	    {"[1.2.3.4]:80", NULL},
	    {"[::1%lo]:80", NULL},
	    {"[::1]", NULL},
	    {"[]:1", NULL},
	    {"[:1", NULL},
	    {":1", NULL},
	    {"", NULL},
	    {"localhost:80", NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		struct pm_sockaddr sa;
		char text[PM_ADDR_TEXT];
		bool ok = pm_sockaddr_parse(pm_str(t[i].in), &sa);

		print_message("%s\n", t[i].in);
		assert_int_equal(ok, t[i].out != NULL);
		if (!ok)
			continue;
		pm_sockaddr_print(&sa, text);
		assert_string_equal(
		    text, *t[i].out != '\0' ? t[i].out : t[i].in);
	}
}

static void
test_uids(void **state)
{
	static const char *const bad[] = {"", "x",
	    "01234567-89ab-cdef-0123-456789abcde",
	    "01234567-89ab-cdef-0123-456789abcdef0",
	    "01234567089ab-cdef-0123-456789abcdef",
	    "01234567-89ab-cdef-0123-456789abcdeg",
	    "0123-4567-89ab-cdef-0123-456789abcde",
	    "------------------------------------",
	    "0123456789abcdef0123456789abcdef----"};
	struct pm_str s = PM_STR("01234567-89ab-CDEF-0123-456789abcdef");
	struct pm_uid uid;
	char text[PM_ADDR_TEXT];

	(void)state;
	assert_true(pm_uid_parse(s, &uid));
	pm_uid_print(&uid, text);
	assert_string_equal(text, "01234567-89ab-cdef-0123-456789abcdef");
	assert_true(pm_u128_of(&uid).hi == 0x0123456789abcdefULL);
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(pm_uid_parse(pm_str(bad[i]), &uid));
}

static void
test_wide_numbers(void **state)
{
	static const char *const good[] = {"0", "9", "10", "4294967296",
	    "18446744073709551615", "18446744073709551616",
	    "340282366920938463463374607431768211455"};
	static const char *const bad[] = {"", "-1", "+1", "00", "01", "1 ",
	    " 1", "1a", "0x1", "1.0", "1e3",
	    "340282366920938463463374607431768211456",
	    "999999999999999999999999999999999999999999"};
	struct pm_u128 v;
	char text[PM_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		assert_true(pm_u128_parse(pm_str(good[i]), &v));
		pm_u128_print(v, text);
		assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(pm_u128_parse(pm_str(bad[i]), &v));
}

static void
test_varints(void **state)
{
	static const uint64_t v[] = {0, 1, 250, 251, 252, 65535, 65536,
	    UINT32_MAX, 1ULL << 32, UINT64_MAX};
	static const unsigned len[] = {1, 1, 1, 3, 3, 3, 5, 5, 9, 9};
	uint8_t raw[17];
	uint64_t got;

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		assert_int_equal(pm_put_varint(raw, v[i]), len[i]);
		assert_int_equal(pm_get_varint(raw, sizeof(raw), &got), len[i]);
		assert_true(got == v[i]);
		for (unsigned n = 0; n < len[i]; n++)
			assert_int_equal(
			    pm_get_varint(raw, n, &got), -ERR_TRUNCATED);
	}
	assert_int_equal(
	    pm_get_varint((uint8_t *)"\xff", 1, &got), -ERR_INVALID);
	assert_int_equal(
	    pm_get_varint((uint8_t *)"\xfe", 1, &got), -ERR_INVALID);
	assert_int_equal(pm_zigzag(INT64_MIN), UINT64_MAX);
	assert_int_equal(pm_unzigzag(UINT64_MAX), INT64_MIN);
	assert_int_equal(pm_unzigzag(pm_zigzag(-126)), -126);
	assert_int_equal(pm_zigzag(-1), 1);
}

/* Entries "name=v,v" with blanks between; what is left of them after folding.
 */
static void
test_headers_fold(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
	    {"", ""},
	    {"a=1", "a=1"},
	    {"a=", ""},
	    {"a=1 b=2 a=3", "a=3 b=2"},
	    {"a=1 a=2,3", "a=1,2,3"},
	    {"a=1,2 a=3", "a=3"},
	    {"a=1,2 a=3,4 b=5", "a=1,2,3,4 b=5"},
	    {"a=1 b=2 a=", "a=1 b=2"},
	    {"a= b=1 a=2", "b=1 a=2"},
	    {"a= a=", ""},
	    {"a= a=1,2 a= a=3,4", "a=1,2,3,4"},
	    {"b=1,2 a=9 b=3 b=4,5", "b=3,4,5 a=9"},
	};
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < N_OF(t); i++) {
		struct pm_header h[8] = {0};
		struct span values[8][8];
		struct pm_headers all = {0, h};
		char got[128] = "";

		print_message("%s\n", t[i].in);
		for (const char *c = t[i].in; *c != '\0'; c += *c == ' ') {
			struct pm_header *one = &h[all.n];

			one->name = (struct pm_str){c, 1};
			one->values.v = values[all.n++];
			for (c += 2; *c >= '1'; c += c[1] == ',' ? 2 : 1)
				one->values.v[one->values.n++] =
				    (struct span){(const uint8_t *)c, 1};
		}
		assert_int_equal(pm_headers_fold(&a, &all), 0);
		for (size_t k = 0; k < all.n; k++) {
			strncat(got, k > 0 ? " " : "", 2);
			strncat(got, all.v[k].name.p, 1);
			for (size_t v = 0; v < all.v[k].values.n; v++) {
				strncat(got, v == 0 ? "=" : ",", 2);
				strncat(got,
				    (const char *)all.v[k].values.v[v].p, 1);
			}
		}
		assert_string_equal(got, t[i].out);
	}
	arena_free(&a);
}

/* As many repetitions as fit: quick, and correct. */
static void
test_fold_many(void **state)
{
	enum { N = 50000 };
	struct arena a;
	struct pm_pair *pairs = calloc(N, sizeof(*pairs));
	struct pm_str *items = calloc(N, sizeof(*items));
	struct pm_vec_pair map = {N, pairs};
	struct pm_vec_str set = {N, items};
	static const char text[] = "0123456789";

	(void)state;
	assert_non_null(pairs);
	assert_non_null(items);
	arena_init(&a, 0);
	for (size_t i = 0; i < N; i++) {
		items[i] = (struct pm_str){text + i % 7, 3};
		pairs[i].key = items[i];
		pairs[i].value = (struct pm_str){text, i % 11};
	}
	assert_int_equal(pm_set_fold(&a, &set), 0);
	assert_int_equal(pm_map_fold(&a, &map), 0);
	assert_int_equal(set.n, 7);
	assert_int_equal(map.n, 7);
	for (size_t i = 0; i < 7; i++) {
		size_t last = N - 1;

		while (last % 7 != i)
			last--;
		assert_true(pm_str_eq(map.v[i].key, set.v[i]));
		assert_int_equal(map.v[i].value.n, last % 11);
	}
	arena_free(&a);
	arena_init(&a, 1000);
	set = (struct pm_vec_str){N, items};
	assert_int_equal(pm_set_fold(&a, &set), -ERR_NOMEM);
	arena_free(&a);
	free(pairs);
	free(items);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_version_parse),
	    cmocka_unit_test(test_version_order),
	    cmocka_unit_test(test_version_since),
	    cmocka_unit_test(test_uri_good),
	    cmocka_unit_test(test_uri_bad),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_uids),
	    cmocka_unit_test(test_wide_numbers),
	    cmocka_unit_test(test_varints),
	    cmocka_unit_test(test_headers_fold),
	    cmocka_unit_test(test_fold_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
