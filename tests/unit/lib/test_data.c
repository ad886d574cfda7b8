/* Buffers, maps, lists: against simple models, over random histories. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/list.h"
#include "lib/map.h"
#include "tests/unit/unit.h"

/* A small generator: the history is the same on every machine. */
static uint32_t
next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void
buf_keeps_its_maximum(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_append(&b, "0123456789", 10), 0);
	assert_int_equal(buf_append(&b, "x", 1), -ERR_TOO_BIG);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -ERR_TOO_BIG);
	assert_int_equal(buf_append_u8(&b, 1), -ERR_TOO_BIG);
	assert_int_equal(b.len, 10);
	buf_consume(&b, 4);
	assert_int_equal(buf_append(&b, "abcd", 4), 0);
	assert_string_equal(buf_cstr(&b), "456789abcd");
	buf_consume(&b, 100); /* more than there is: empty */
	assert_int_equal(b.len, 0);
	assert_string_equal(buf_cstr(&b), "");
	buf_free(&b);
	buf_free(&b);
}

static void
buf_splices(void **state)
{
	static const struct {
		size_t at, del;
		const char *put, *want;
		int rc;
	} rows[] = {
	    {0, 0, "", "hello", 0},
	    {0, 0, "oh ", "oh hello", 0},
	    {5, 0, "!", "hello!", 0},
	    {1, 3, "", "ho", 0},
	    {1, 3, "app", "happo", 0},
	    {0, 5, "", "", 0},
	    {2, 1, "--long--", "he--long--lo", 0},
	    {6, 0, "x", "hello", -ERR_INVALID},
	    {3, 3, "x", "hello", -ERR_INVALID},
	    {SIZE_MAX, 1, "x", "hello", -ERR_INVALID},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct buf b;

		buf_init(&b, 0);
		buf_append(&b, "..hello", 7);
		buf_consume(&b, 2);
		assert_int_equal(buf_splice(&b, rows[i].at, rows[i].del,
				     rows[i].put, strlen(rows[i].put)),
		    rows[i].rc);
		assert_string_equal(buf_cstr(&b), rows[i].want);
		buf_free(&b);
	}
}

static void
buf_prints_and_gives_away(void **state)
{
	struct buf b;
	char *taken;

	(void)state;
	buf_init(&b, 8);
	assert_int_equal(buf_printf(&b, "%d-%s", 42, "ab"), 0);
	assert_int_equal(buf_printf(&b, "%s", "too long"), -ERR_TOO_BIG);
	assert_string_equal(buf_cstr(&b), "42-ab");
	buf_consume(&b, 3);
	taken = buf_take(&b);
	assert_string_equal(taken, "ab");
	assert_int_equal(b.len, 0);
	free(taken);
	taken = buf_take(&b); /* of an empty one: an empty string */
	assert_string_equal(taken, "");
	free(taken);
	buf_free(&b);
}

static void
buf_against_a_model(void **state)
{
	static char model[65536];
	size_t n = 0;
	uint32_t seed = 7;
	struct buf b;

	(void)state;
	buf_init(&b, sizeof(model));
	for (int i = 0; i < 20000; i++) {
		uint8_t piece[300];
		size_t len = next(&seed) % sizeof(piece);

		if (next(&seed) % 2 == 0 && n + len <= sizeof(model)) {
			for (size_t k = 0; k < len; k++)
				piece[k] = (uint8_t)next(&seed);
			assert_int_equal(buf_append(&b, piece, len), 0);
			memcpy(model + n, piece, len);
			n += len;
		} else {
			len = len > n ? n : len;
			buf_consume(&b, len);
			memmove(model, model + len, n - len);
			n -= len;
		}
		assert_int_equal(b.len, n);
		assert_memory_equal(buf_data(&b), model, n);
	}
	buf_free(&b);
}

static void
map_against_a_model(void **state)
{
	enum { KEYS = 97 };
	void *model[KEYS] = {0};
	size_t count = 0, pos = 0, seen = 0;
	uint32_t seed = 3;
	struct map m;
	uint64_t key;
	void *v;

	(void)state;
	map_init(&m);
	assert_null(map_get(&m, 1));
	assert_null(map_del(&m, 1));
	for (int i = 0; i < 50000; i++) {
		uint32_t k = next(&seed) % KEYS;
		/* Keys far apart and keys that collide. */
		uint64_t at = k % 2 == 0 ? k : (uint64_t)k << 32;

		if (next(&seed) % 3 != 0) {
			void *p = &model[next(&seed) % KEYS];

			assert_int_equal(map_put(&m, at, p), 0);
			count += model[k] == NULL;
			model[k] = p;
		} else {
			assert_ptr_equal(map_del(&m, at), model[k]);
			count -= model[k] != NULL;
			model[k] = NULL;
		}
		assert_int_equal(m.count, count);
		assert_ptr_equal(map_get(&m, at), model[k]);
	}
	for (uint32_t k = 0; k < KEYS; k++)
		assert_ptr_equal(
		    map_get(&m, k % 2 == 0 ? k : (uint64_t)k << 32), model[k]);
	while ((v = map_next(&m, &pos, &key)) != NULL) {
		assert_ptr_equal(map_get(&m, key), v);
		seen++;
	}
	assert_int_equal(seen, count);
	map_free(&m);
}

struct item {
	struct list node;
	int value;
};

static void
lists_keep_order(void **state)
{
	struct list head;
	struct item items[5];
	int sum = 0, last = -1;

	(void)state;
	list_init(&head);
	assert_true(list_empty(&head));
	for (int i = 0; i < 5; i++) {
		items[i].value = i;
		list_push(&head, &items[i].node);
	}
	list_remove(&items[2].node);
	list_remove(&items[2].node); /* twice is harmless */
	LIST_FOR_EACH (node, &head) {
		int v = LIST_ENTRY(node, struct item, node)->value;

		assert_true(v > last);
		last = v;
		sum += v;
	}
	assert_int_equal(sum, 0 + 1 + 3 + 4);
	LIST_FOR_EACH_SAFE (node, &head)
		list_remove(node);
	assert_true(list_empty(&head));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(buf_keeps_its_maximum),
	    cmocka_unit_test(buf_splices),
	    cmocka_unit_test(buf_prints_and_gives_away),
	    cmocka_unit_test(buf_against_a_model),
	    cmocka_unit_test(map_against_a_model),
	    cmocka_unit_test(lists_keep_order),
	};

	return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
