/*
 * route_feed: whatever pieces come in and however often the router says
 * later, messages of up to ROUTE_WHOLE_MAX bytes are fed whole, larger ones
 * in pieces, no byte lost, doubled or moved.
 */
#include "config.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "route/feed.h"

struct taker {
	struct buf got;
	bool open;
	int messages, calls;
	uint32_t rand;
	unsigned later; /* of 8 calls */
};

static uint32_t
rnd(struct taker *t, uint32_t n)
{
	t->rand = t->rand * 1664525u + 1013904223u;
	return (t->rand >> 8) % n;
}

static int
take(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	struct taker *t = arg;

	t->calls++;
	if (rnd(t, 8) < t->later)
		return ROUTE_LATER;
	assert_int_equal(first, !t->open);
	if (first && !last) /* only what is too large comes in pieces */
		assert_int_equal(n, ROUTE_WHOLE_MAX);
	if (first && last)
		assert_true(n <= ROUTE_WHOLE_MAX);
	assert_int_equal(buf_append(&t->got, p, n), 0);
	t->open = !last;
	t->messages += last;
	return ROUTE_TAKEN;
}

/* Offers a piece until it is taken. */
static void
put(struct route_feed *f, struct taker *t, const uint8_t *p, size_t n,
    bool first, bool last)
{
	size_t taken;
	int rc;

	for (int i = 0; i < 1000; i++) {
		rc = route_feed_put(f, p, n, first, last, take, t, &taken);
		assert_true(rc >= 0);
		assert_true(taken <= n);
		p += taken;
		n -= taken;
		first = first && taken == 0;
		if (n == 0 && (taken > 0 || rc == ROUTE_TAKEN))
			return;
	}
	fail();
}

static void
message(struct route_feed *f, struct taker *t, size_t n, size_t piece)
{
	uint8_t *b = malloc(n);
	size_t at = 0;

	assert_non_null(b);
	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(i * 31 + i / 256 + n);
	while (at < n) {
		size_t k = 1 + rnd(t, (uint32_t)piece);

		if (k > n - at)
			k = n - at;
		put(f, t, b + at, k, at == 0, at + k == n);
		at += k;
	}
	for (int i = 0; route_feed_waits(f) && i < 1000; i++)
		route_feed_retry(f, take, t);
	assert_false(route_feed_waits(f));
	assert_false(t->open);
	assert_int_equal(t->got.len, n);
	assert_memory_equal(buf_data(&t->got), b, n);
	buf_clear(&t->got);
	free(b);
}

static void
test_sizes(void **state)
{
	static const size_t sizes[] = {
	    1, 2, 100, 65535, 65536, 65537, 131072, 131073, 300000};
	static const size_t pieces[] = {7000, 65536, 65537, 400000};
	struct route_feed f;
	struct taker t = {.rand = 1};
	int n = 0;

	(void)state;
	route_feed_init(&f);
	buf_init(&t.got, 0);
	for (t.later = 0; t.later < 7; t.later++) {
		for (size_t i = 0; i < N_OF(sizes); i++) {
			for (size_t k = 0; k < N_OF(pieces); k++) {
				message(&f, &t, sizes[i], pieces[k]);
				assert_int_equal(t.messages, ++n);
			}
		}
	}
	buf_free(&t.got);
	route_feed_free(&f);
}

/* As a WebSocket ends a message: by an empty frame. */
static void
test_empty_last_pieces(void **state)
{
	static const size_t sizes[] = {1, 65535, 65536, 65537, 200000};
	static uint8_t b[200000];
	struct route_feed f;
	struct taker t = {.rand = 7};
	int n = 0;

	(void)state;
	route_feed_init(&f);
	buf_init(&t.got, 0);
	for (t.later = 0; t.later < 7; t.later++) {
		for (size_t i = 0; i < N_OF(sizes); i++) {
			put(&f, &t, b, sizes[i], true, false);
			put(&f, &t, b, 0, false, true);
			for (int k = 0; route_feed_waits(&f) && k < 1000; k++)
				route_feed_retry(&f, take, &t);
			assert_false(t.open);
			assert_int_equal(t.got.len, sizes[i]);
			assert_int_equal(t.messages, ++n);
			buf_clear(&t.got);
		}
	}
	buf_free(&t.got);
	route_feed_free(&f);
}

/* What comes from another worker is checked like anything else. */
static void
test_broken_order(void **state)
{
	static const struct {
		const char *name;
		size_t size; /* of the piece before */
		bool before, first, last;
	} rows[] = {
	    {"goes on without a beginning", 0, false, false, true},
	    {"goes on without a beginning or end", 0, false, false, false},
	    {"begins within one that is gathered", 3, true, true, true},
	    {"begins within one that passes", 70000, true, true, false},
	};
	static uint8_t b[70000];

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct route_feed f;
		struct taker t = {.rand = 3};
		size_t taken;

		route_feed_init(&f);
		buf_init(&t.got, 0);
		if (rows[i].before)
			put(&f, &t, b, rows[i].size, true, false);
		if (route_feed_put(&f, b, 1, rows[i].first, rows[i].last, take,
			&t, &taken) != -ERR_INVALID)
			fail_msg("%s", rows[i].name);
		buf_free(&t.got);
		route_feed_free(&f);
	}
}

static int
refuse(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	(void)arg;
	(void)p;
	(void)n;
	(void)first;
	(void)last;
	return -ERR_CLOSED;
}

static void
test_errors(void **state)
{
	struct route_feed f;
	size_t taken;

	(void)state;
	route_feed_init(&f);
	assert_int_equal(route_feed_put(&f, (const uint8_t *)"x", 1, true, true,
			     refuse, NULL, &taken),
	    -ERR_CLOSED);
	assert_int_equal(taken, 0);
	assert_int_equal(route_feed_put(&f, (const uint8_t *)"x", 1, true,
			     false, refuse, NULL, &taken),
	    ROUTE_TAKEN); /* kept, not fed */
	assert_int_equal(route_feed_put(&f, (const uint8_t *)"y", 1, false,
			     true, refuse, NULL, &taken),
	    -ERR_CLOSED);
	route_feed_free(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_empty_last_pieces),
	    cmocka_unit_test(test_broken_order),
	    cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
