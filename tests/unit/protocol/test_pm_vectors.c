/* Every vector both ways, cut at every byte, and in the scan. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "tests/lib/pm_same_route.h"
#include "tests/unit/protocol/pm_rows.h"

static struct rows rows;

static void
fail_row(const struct row *r, const char *what)
{
	fail_msg("%.*s: %s", (int)r->name.n, r->name.p, what);
}

static bool
equal(const struct buf *a, const struct buf *b)
{
	return a->len == b->len &&
	       memcmp(buf_data(a), buf_data(b), a->len) == 0;
}

static void
check_decode(const struct row *r, struct arena *a)
{
	struct buf got = {0}, have = {0}, want = {0};
	struct message m;
	size_t used = 0;

	if (message_decode(
		a, r->dir, buf_data(&r->hex), r->hex.len, &used, &m, NULL) != 0)
		fail_row(r, "not decoded");
	if (used != r->consumed)
		fail_row(r, "wrong length");
	assert_int_equal(message_print(&m, &got), 0);
	assert_true(json_plain((char *)buf_data(&got), got.len, &have));
	assert_true(json_plain(r->json.p, r->json.n, &want));
	if (!equal(&have, &want))
		fail_row(r, "another tree");
	buf_clear(&got);
	assert_int_equal(message_encode(&m, &got, NULL), 0);
	if (!equal(&got, &r->canonical))
		fail_row(r, "decoded, it encodes to other bytes");
	buf_free(&got);
	buf_free(&have);
	buf_free(&want);
}

static void
test_decode(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < rows.n; i++)
		if (rows.v[i].valid) {
			arena_reset(&a);
			check_decode(&rows.v[i], &a);
		}
	arena_free(&a);
}

static void
test_encode(void **state)
{
	struct arena a;
	struct buf got = {0};

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < rows.n; i++) {
		const struct row *r = &rows.v[i];
		struct message m;
		struct err e = {0};

		if (!r->valid)
			continue;
		arena_reset(&a);
		buf_clear(&got);
		if (message_parse(&a, r->dir, r->json.p, r->json.n, &m, &e) !=
		    0)
			fail_row(r, e.text);
		if (message_encode(&m, &got, &e) != 0)
			fail_row(r, e.text);
		if (!equal(&got, &r->canonical))
			fail_row(r, "other bytes");
	}
	buf_free(&got);
	arena_free(&a);
}

static bool
note_has(const struct row *r, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= r->note.n; i++)
		if (memcmp(r->note.p + i, word, n) == 0)
			return true;
	return false;
}

static void
test_reject(void **state)
{
	struct arena a;
	size_t bad = 0;

	(void)state;
	arena_init(&a, 65536); /* nothing here may want more */
	for (size_t i = 0; i < rows.n; i++) {
		const struct row *r = &rows.v[i];
		struct err e = {0};
		struct message m;
		int rc;

		if (r->valid)
			continue;
		bad++;
		arena_reset(&a);
		rc = message_decode(
		    &a, r->dir, buf_data(&r->hex), r->hex.len, NULL, &m, &e);
		if (rc == 0)
			fail_row(r, "accepted");
		if (note_has(r, "class: truncated")
			? rc != -ERR_TRUNCATED && !note_has(r, "1 GiB")
			: rc != -ERR_INVALID)
			fail_row(r, "the wrong error");
		if (e.text[0] == '\0' || e.offset > r->hex.len)
			fail_row(r, "an error that tells nothing");
	}
	assert_in_range(bad, 50, 1000);
	arena_free(&a);
}

/* A stream gives any prefix first: it must ask for more, never err. */
static void
test_decode_cut(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < rows.n; i++) {
		const struct row *r = &rows.v[i];
		struct message m;

		for (size_t n = 0; r->valid && n < r->consumed; n++) {
			arena_reset(&a);
			if (message_decode(&a, r->dir, buf_data(&r->hex), n,
				NULL, &m, NULL) != -ERR_TRUNCATED)
				fail_row(r, "a prefix is not waited for");
		}
	}
	arena_free(&a);
}

static void
check_split(const struct row *r, const struct pm_route *whole, size_t at)
{
	const uint8_t *p = buf_data(&r->hex);
	struct pm_scan s;
	size_t used = 0;

	pm_scan_init(&s, r->dir);
	if (pm_scan_feed(&s, p, at, &used, NULL) != -ERR_TRUNCATED ||
	    pm_scan_offset(&s) != at)
		fail_row(r, "the scan ends early");
	if (pm_scan_feed(&s, p + at, r->hex.len - at, &used, NULL) != 0 ||
	    at + used != r->consumed || pm_scan_offset(&s) != r->consumed)
		fail_row(r, "the scan ends elsewhere when split");
	if (!same_route(pm_scan_route(&s), whole))
		fail_row(r, "another route when split");
}

static void
check_bytewise(const struct row *r, const struct pm_route *whole)
{
	const uint8_t *p = buf_data(&r->hex);
	struct pm_scan s;
	size_t i;
	int rc = -ERR_TRUNCATED;

	pm_scan_init(&s, r->dir);
	for (i = 0; rc == -ERR_TRUNCATED && i < r->hex.len; i++)
		rc = pm_scan_feed(&s, p + i, 1, NULL, NULL);
	if (rc != 0 || i != r->consumed ||
	    !same_route(pm_scan_route(&s), whole))
		fail_row(r, "the scan differs byte by byte");
}

static void
test_scan_splits(void **state)
{
	(void)state;
	for (size_t i = 0; i < rows.n; i++) {
		const struct row *r = &rows.v[i];
		struct pm_route whole;

		if (!r->valid)
			continue;
		if (pm_shallow(r->dir, buf_data(&r->hex), r->hex.len, &whole,
			NULL) != 0)
			fail_row(r, "not scanned");
		for (size_t at = 0; at < r->consumed; at++)
			check_split(r, &whole, at);
		check_bytewise(r, &whole);
	}
}

/* Text and header rules are the decoder's; the rest both refuse alike. */
static void
test_scan_reject(void **state)
{
	(void)state;
	for (size_t i = 0; i < rows.n; i++) {
		const struct row *r = &rows.v[i];
		struct pm_route route;
		bool text = note_has(r, "bad UTF-8") ||
			    (note_has(r, "bad text or value") &&
				!note_has(r, "body frame") &&
				!note_has(r, "status below"));
		int rc;

		if (r->valid)
			continue;
		rc = pm_shallow(
		    r->dir, buf_data(&r->hex), r->hex.len, &route, NULL);
		if ((rc == 0) != text)
			fail_row(r, "scan and decoder disagree");
	}
}

static void
test_since(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < rows.n; i++) {
		const struct row *r = &rows.v[i];
		struct pm_route route;
		struct message m;

		if (!r->valid)
			continue;
		arena_reset(&a);
		assert_int_equal(message_decode(&a, r->dir, buf_data(&r->hex),
				     r->hex.len, NULL, &m, NULL),
		    0);
		assert_int_equal(pm_shallow(r->dir, buf_data(&r->hex),
				     r->hex.len, &route, NULL),
		    0);
		if (route.since != message_since(&m))
			fail_row(r, "the scan sees another version");
	}
	arena_free(&a);
}

static int
load(void **state)
{
	(void)state;
	rows_load(&rows);
	return 0;
}

static int
unload(void **state)
{
	(void)state;
	rows_free(&rows);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_decode),
	    cmocka_unit_test(test_encode),
	    cmocka_unit_test(test_reject),
	    cmocka_unit_test(test_decode_cut),
	    cmocka_unit_test(test_scan_splits),
	    cmocka_unit_test(test_scan_reject),
	    cmocka_unit_test(test_since),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
