/* Bounds, alignment, growth and reuse of arenas. */
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <string.h>

#include "lib/arena.h"

static bool
all_zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static void
test_alloc(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 0);
	for (size_t n = 0; n < 5000; n += 7) {
		unsigned char *p = arena_alloc(&a, n);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_true(all_zero(p, n));
		memset(p, 0xff, n);
	}
	arena_free(&a);
	assert_null(a.head);
}

static void
test_bounds(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 1024);
	assert_null(arena_alloc(&a, 1025));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 15));
	assert_null(arena_grow(&a, NULL, 0, 1025));
	assert_non_null(arena_alloc(&a, 1000));
	assert_null(arena_alloc(&a, 17));
	assert_non_null(arena_alloc(&a, 16));
	assert_null(arena_alloc(&a, 0)); /* even nothing takes a place */
	assert_int_equal(a.used_bytes, 1024);
	arena_reset(&a);
	assert_int_equal(a.used_bytes, 0);
	assert_non_null(arena_alloc(&a, 1024));
	arena_free(&a);
}

static void
test_grow(void **state)
{
	struct arena a;
	unsigned char *p = NULL, *q;
	size_t n = 0;

	(void)state;
	arena_init(&a, 0);
	for (size_t want = 1; want < 100000; want += want / 2 + 1) {
		q = arena_grow(&a, p, n, want);
		assert_non_null(q);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(q[i], (unsigned char)i);
		assert_true(all_zero(q + n, want - n));
		for (size_t i = n; i < want; i++)
			q[i] = (unsigned char)i;
		p = q;
		n = want;
	}
	assert_ptr_equal(arena_grow(&a, p, n, n / 2), p);
	arena_free(&a);
}

static void
test_grow_in_place(void **state)
{
	struct arena a;
	unsigned char *p, *q;

	(void)state;
	arena_init(&a, 0);
	p = arena_alloc(&a, 10);
	assert_ptr_equal(arena_grow(&a, p, 10, 100), p);
	assert_int_equal(a.used_bytes, 112);
	q = arena_alloc(&a, 10); /* now something is behind it */
	assert_non_null(q);
	assert_ptr_not_equal(arena_grow(&a, p, 100, 200), p);
	arena_free(&a);
}

static void
test_grow_bounds(void **state)
{
	struct arena a;
	void *p;

	(void)state;
	arena_init(&a, 256);
	p = arena_alloc(&a, 200);
	assert_non_null(p);
	assert_null(arena_grow(&a, p, 200, 300));
	assert_null(arena_grow(&a, p, 200, SIZE_MAX));
	assert_ptr_equal(arena_grow(&a, p, 200, 256), p);
	arena_free(&a);
}

static void
test_dup_reset(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 4096);
	for (int round = 0; round < 1000; round++) {
		assert_memory_equal(arena_dup(&a, "hello", 5), "hello", 5);
		assert_non_null(arena_dup(&a, NULL, 0));
		arena_reset(&a);
	}
	assert_null(arena_dup(&a, "", 4097));
	arena_free(&a);
	arena_free(&a);
	arena_reset(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_alloc),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_grow),
	    cmocka_unit_test(test_grow_in_place),
	    cmocka_unit_test(test_grow_bounds),
	    cmocka_unit_test(test_dup_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
