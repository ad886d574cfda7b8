#include "config.h"

#include <string.h>

#include "lib/err.h"
#include "protocol/der.h"
#include "tests/unit/unit.h"

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

struct row {
	const uint8_t *p;
	size_t n;
	int rc;
};

static void
test_take(void **state)
{
	static const struct row rows[] = {
	    {BYTES("\x04\x00"), 0},
	    {BYTES("\x04\x01\xff"), 0},
	    {BYTES("\x04\x01\xff\xee"), 0},
	    {BYTES("\x05\x00"), -ERR_INVALID},
	    {BYTES("\x04"), -ERR_INVALID},
	    {BYTES("\x04\x01"), -ERR_INVALID},
	    {BYTES("\x04\x80\x00\x00"), -ERR_INVALID}, /* indefinite */
	    {BYTES("\x04\x81\x01\xff"), -ERR_INVALID}, /* not short */
	    {BYTES("\x04\x82\x00\x80"), -ERR_INVALID}, /* leading 0 */
	    {BYTES("\x04\x81"), -ERR_INVALID},
	    {BYTES("\x04\x84\xff\xff\xff\xff"), -ERR_INVALID},
	    {BYTES("\x04\x83\xff\xff\xff"), -ERR_INVALID},
	    {BYTES("\x04\xff"), -ERR_INVALID},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct span in = {rows[i].p, rows[i].n}, v;

		assert_int_equal(
		    der_take(&in, DER_OCTET_STRING, &v, NULL), rows[i].rc);
		if (rows[i].rc != 0)
			assert_int_equal(in.n, rows[i].n); /* untouched */
	}
}

static void
test_lengths(void **state)
{
	static const size_t sizes[] = {
	    0, 1, 127, 128, 255, 256, 65535, 65536, 100000};
	static uint8_t data[100000];

	(void)state;
	for (size_t i = 0; i < N_OF(sizes); i++) {
		struct span in, v, whole;
		struct buf a, b;

		buf_init(&a, 0);
		buf_init(&b, 0);
		assert_int_equal(
		    der_put(&a, DER_OCTET_STRING, data, sizes[i]), 0);
		assert_int_equal(buf_append(&b, data, sizes[i]), 0);
		assert_int_equal(der_wrap(&b, 0, DER_OCTET_STRING), 0);
		assert_int_equal(a.len, b.len);
		assert_memory_equal(buf_data(&a), buf_data(&b), a.len);
		in = buf_span(&a);
		assert_int_equal(
		    der_take(&in, DER_OCTET_STRING, &v, &whole), 0);
		assert_int_equal(v.n, sizes[i]);
		assert_int_equal(whole.n, a.len);
		assert_int_equal(in.n, 0);
		buf_free(&a);
		buf_free(&b);
	}
}

static void
test_algorithm(void **state)
{
	static const struct {
		struct row row;
		bool null;
	} rows[] = {
	    {{BYTES("\x30\x05\x06\x03\x2b\x65\x70"), 0}, false},
	    {{BYTES("\x30\x07\x06\x03\x2b\x65\x70\x05\x00"), 0}, true},
	    {{BYTES("\x30\x00"), -ERR_INVALID}, false},
	    {{BYTES("\x30\x08\x06\x03\x2b\x65\x70\x05\x01\x00"), -ERR_INVALID},
		false},
	    {{BYTES("\x30\x09\x06\x03\x2b\x65\x70\x05\x00\x05\x00"),
		 -ERR_INVALID},
		false},
	    {{BYTES("\x30\x07\x06\x03\x2b\x65\x70\x04\x00"), -ERR_INVALID},
		false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct span in = {rows[i].row.p, rows[i].row.n}, oid;
		bool null = false;

		assert_int_equal(
		    der_take_algorithm(&in, &oid, &null), rows[i].row.rc);
		assert_int_equal(null && rows[i].row.rc == 0, rows[i].null);
	}
}

static void
test_time(void **state)
{
	static const struct {
		int tag;
		const char *text;
		int64_t wall_s; /* -1: refused */
	} rows[] = {
	    {DER_UTC_TIME, "700101000000Z", 0},
	    {DER_UTC_TIME, "261123123456Z", 1795437296},
	    {DER_UTC_TIME, "491231235959Z", 2524607999},
	    {DER_GENERAL_TIME, "20500101000000Z", 2524608000},
	    {DER_UTC_TIME, "240229000000Z", 1709164800},
	    {DER_UTC_TIME, "230229000000Z", -1},
	    {DER_UTC_TIME, "261323123456Z", -1},
	    {DER_UTC_TIME, "261123243456Z", -1},
	    {DER_UTC_TIME, "261123123456", -1},
	    {DER_UTC_TIME, "2611231234Z", -1},
	    {DER_UTC_TIME, "261123123456+", -1},
	    {DER_UTC_TIME, "26112312345xZ", -1},
	    {DER_GENERAL_TIME, "20500101000000.5Z", -1},
	    {DER_GENERAL_TIME, "2050010100000Z", -1},
	    {DER_GENERAL_TIME, "", -1},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct buf b, again;
		struct span in;
		int64_t wall_s = -1;

		buf_init(&b, 64);
		buf_init(&again, 64);
		assert_int_equal(der_put(&b, rows[i].tag, rows[i].text,
				     strlen(rows[i].text)),
		    0);
		in = buf_span(&b);
		assert_int_equal(der_take_time(&in, &wall_s),
		    rows[i].wall_s < 0 ? -ERR_INVALID : 0);
		assert_true(wall_s == rows[i].wall_s);
		if (wall_s >= 0) {
			assert_int_equal(der_put_time(&again, wall_s), 0);
			assert_int_equal(again.len, b.len);
			assert_memory_equal(
			    buf_data(&again), buf_data(&b), b.len);
		}
		buf_free(&b);
		buf_free(&again);
	}
}

/* SEQ { SET { SEQ { CN, text } } }, with what stands in its place. */
static void
test_name(void **state)
{
	static const struct {
		int tag;
		const char *text;
		size_t n;
		unsigned rdns;
		bool ok;
	} rows[] = {
	    {DER_UTF8_STRING, "vm", 2, 1, true},
	    {DER_PRINTABLE_STRING, "vm", 2, 1, true},
	    {DER_UTF8_STRING, "vm", 2, 8, true},
	    {DER_UTF8_STRING, "vm", 2, 0, true},
	    {DER_UTF8_STRING, "vm", 2, 9, false},
	    {DER_UTF8_STRING, "v\0m", 3, 1, false},
	    {DER_UTF8_STRING, "v\nm", 3, 1, false},
	    {DER_UTF8_STRING, "\xff", 1, 1, false},
	    {DER_OCTET_STRING, "vm", 2, 1, false},
	    {DER_UTF8_STRING, "0123456789012345", 16, 1, false},
	};
	static const uint8_t cn[] = {0x55, 0x04, 0x03};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char text[16];
		struct span in, whole;
		struct buf b;
		int rc;

		buf_init(&b, 0);
		for (unsigned k = 0; k < rows[i].rdns; k++) {
			size_t from = b.len;

			der_put(&b, DER_OID, cn, sizeof(cn));
			der_put(&b, rows[i].tag, rows[i].text, rows[i].n);
			der_wrap(&b, from, DER_SEQUENCE);
			der_wrap(&b, from, DER_SET);
		}
		der_wrap(&b, 0, DER_SEQUENCE);
		in = buf_span(&b);
		rc = der_take_name(&in, &whole, text, sizeof(text));
		assert_int_equal(rc, rows[i].ok ? 0 : -ERR_INVALID);
		if (rc == 0) {
			assert_string_equal(
			    text, rows[i].rdns == 0 ? "" : "vm");
			assert_int_equal(whole.n, b.len);
		}
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_take),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_algorithm),
	    cmocka_unit_test(test_time),
	    cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
