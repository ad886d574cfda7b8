/*
 * What the decoder accepts although nobody writes it, what it refuses, and
 * which byte it names (§14).
 */
#include "tests/unit/protocol/pm_rows.h"
#include "tests/unit/unit.h"

struct good {
	enum pm_dir dir;
	const char *hex;   /* blanks are left out */
	const char *again; /* what it encodes to; NULL: itself */
};

struct bad {
	enum pm_dir dir;
	const char *hex;
	int rc;
	unsigned offset;
};

/* A request head of a daemon's HttpRequest, with ids and port behind. */
#define REQUEST(headers) \
	"0104 03474554 012f " headers " 08485454502f312e31 00 05 00 50"

static void
from_hex(const char *hex, struct buf *out)
{
	char text[512];
	size_t n = 0;

	for (const char *c = hex; *c != '\0'; c++)
		if (*c != ' ')
			text[n++] = *c;
	unhex(text, n, out);
}

static void
test_accepts(void **state)
{
	static const struct good t[] = {
	    {PM_CLIENT, "fc00000000", "00"},
	    {PM_CLIENT, "fb0700", "07"},
	    {PM_CLIENT, "01 fb0200 fb0000", "010200"},
	    {PM_CLIENT, "01 01 fd0500000000000000", "010105"},
	    {PM_CLIENT, "0203 fb0100 fc01000000 41", "02030101 41"},
	    {PM_CLIENT, "0e fe 01000000000000000000000000000000", "0e01"},
	    {PM_CLIENT, "0303 fb0500 00 00 7f000001 50",
		"0303 05 00 00"
		" 7f000001 50"},
	    {PM_CLIENT, "030000 fb0000 01020304 50", "030000 00 01020304 50"},
	    {PM_CLIENT, "0600 00", NULL},
	    {PM_CLIENT, "06 04 0161 0162 0161 0162 00", "06 02 0161 0162 00"},
	    {PM_CLIENT, "05 09 00 00 01", NULL},
	    {PM_CLIENT, "05 08 00 ff", NULL}, /* a u8 is no varint */
	    {PM_CLIENT, "05 1a 00 fdfeffffffffffffff", NULL},
	    {PM_CLIENT, "05 1b 00 00", NULL},
	    {PM_CLIENT, "0800", NULL},
	    {PM_CLIENT, "08 03 610062", NULL},
	    {PM_CLIENT, "0103 50 00 02 285b", NULL}, /* a broken regex */
	    {PM_CLIENT, "0103 50 03 09 00", NULL},
	    {PM_CLIENT, "0103 50 02 01 00", NULL},
	    {PM_CLIENT, "0a 0a 312e302e302d72632e31", NULL},
	    {PM_DAEMON, "0e 00 01 08", NULL},
	    {PM_DAEMON, "08 00 02 0161 0131 0161 0132", "0800 01 0161 0132"},
	    {PM_DAEMON, "0604 01 04 01 fcffffffff 28 0178", NULL},
	    {PM_DAEMON, REQUEST("00"), NULL},
	    {PM_DAEMON, REQUEST("01 0141 01 0131"), REQUEST("01 0161 01 0131")},
	    {PM_DAEMON, REQUEST("01 0161 00"), REQUEST("00")},
	    {PM_DAEMON, REQUEST("02 0161 01 0131 0161 00"),
		REQUEST("01 0161 01 0131")},
	    {PM_DAEMON, REQUEST("01 0161 01 03 09ff20"), NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		struct buf in = {0}, want = {0}, out = {0};
		struct arena a;
		struct message m;
		struct err e = {0};
		size_t used = 0;

		arena_init(&a, 0);
		from_hex(t[i].hex, &in);
		from_hex(t[i].again != NULL ? t[i].again : t[i].hex, &want);
		if (message_decode(&a, t[i].dir, buf_data(&in), in.len, &used,
			&m, &e) != 0)
			fail_msg("%s: %s", t[i].hex, e.text);
		assert_int_equal(used, in.len);
		assert_int_equal(message_encode(&m, &out, NULL), 0);
		print_message("%s\n", t[i].hex);
		assert_int_equal(out.len, want.len);
		assert_memory_equal(buf_data(&out), buf_data(&want), out.len);
		buf_free(&in);
		buf_free(&want);
		buf_free(&out);
		arena_free(&a);
	}
}

#define BAD -ERR_INVALID
#define CUT -ERR_TRUNCATED

static void
test_refuses(void **state)
{
	static const struct bad t[] = {
	    {PM_CLIENT, "", CUT, 0},
	    {PM_CLIENT, "12", BAD, 0},
	    {PM_CLIENT, "fb1200", BAD, 0},
	    {PM_CLIENT, "fb12", CUT, 2},
	    {PM_CLIENT, "fd07", BAD, 0},
	    {PM_CLIENT, "fe", BAD, 0},
	    {PM_CLIENT, "ff", BAD, 0},
	    {PM_CLIENT, "01ff", BAD, 1},
	    {PM_CLIENT, "0100 fc", BAD, 2},
	    {PM_CLIENT, "0101 fe", BAD, 2},
	    {PM_CLIENT, "0e ff", BAD, 1},
	    {PM_CLIENT, "0e fe 00", CUT, 3},
	    {PM_CLIENT, "09 02", BAD, 1},
	    {PM_CLIENT, "09 fb", BAD, 1},
	    {PM_CLIENT, "0509 02", BAD, 2},
	    {PM_CLIENT, "0509 00 02", BAD, 3},
	    {PM_CLIENT, "0509 fb0100", BAD, 2}, /* an option is a raw byte */
	    {PM_CLIENT, "0500 02 c3 28", BAD, 2},
	    {PM_CLIENT, "0500 02 c080", BAD, 2},
	    {PM_CLIENT, "0500 05 2f", CUT, 4},
	    {PM_CLIENT, "0504 00 03", BAD, 3},
	    {PM_CLIENT, "051e", BAD, 1},
	    {PM_CLIENT, "0203 01 fd0000000000000080", BAD, 3},
	    {PM_CLIENT, "0203 01 fc00000004", CUT, 8},
	    {PM_CLIENT, "0203 01 fc01000004", BAD, 3},
	    {PM_CLIENT, "06 fd0000000001000000", BAD, 1},
	    {PM_CLIENT, "06 01 01 ff 00", BAD, 2},
	    {PM_CLIENT, "0300 00 02", BAD, 3},
	    {PM_CLIENT, "0300 02", BAD, 2},
	    {PM_CLIENT, "0300 01 03", BAD, 3},
	    {PM_CLIENT, "0a 05 312e322e78", BAD, 1},
	    {PM_CLIENT, "0d 00 00 05", BAD, 3},
	    {PM_CLIENT, "0d 00 00 00 04", BAD, 4},
	    {PM_CLIENT, "0d 00 00 00 00 fd", BAD, 5},
	    {PM_CLIENT, "0103 50 06", BAD, 3},
	    {PM_CLIENT, "0103 50 02 02", BAD, 4},
	    {PM_CLIENT, "0103 50 03 0a", BAD, 4},
	    {PM_CLIENT, "0103 50 04 01", BAD, 4},
	    {PM_CLIENT, "0204 00 00 00 63", BAD, 5},
	    {PM_CLIENT, "0204 00 00 00 fbe803", BAD, 5},
	    {PM_CLIENT, "0204 00 00 00 c8 00", BAD, 6},
	    {PM_CLIENT, "0204 00 00 00 c8 08485454502f312e31 fb0160", BAD, 15},
	    {PM_CLIENT, "0204 00 00 00 c8 08485454502f312e31 fb0060", CUT, 18},
	    {PM_CLIENT, "1003", BAD, 1},
	    {PM_CLIENT, "1102", BAD, 1},
	    {PM_DAEMON, "10", BAD, 0},
	    {PM_DAEMON, "0108", BAD, 1},
	    {PM_DAEMON, "010302", BAD, 2},
	    {PM_DAEMON, "010301 0e", BAD, 3},
	    {PM_DAEMON, "05 00 03", BAD, 2},
	    {PM_DAEMON, "0617", BAD, 1},
	    {PM_DAEMON, "0600 01 04 02", BAD, 4},
	    {PM_DAEMON, "0600 01 04 00 29", BAD, 5},
	    {PM_DAEMON, "0a01", BAD, 1},
	    {PM_DAEMON, "0104 00", BAD, 2},
	    {PM_DAEMON, "0104 03 472054", BAD, 2},
	    {PM_DAEMON, "0104 03474554 00", BAD, 6},
	    {PM_DAEMON, "0104 03474554 02 2f20", BAD, 6},
	    {PM_DAEMON, REQUEST("01 00 00"), BAD, 9},
	    {PM_DAEMON, REQUEST("01 0120 00"), BAD, 9},
	    {PM_DAEMON, REQUEST("01 0161 01 010a"), BAD, 12},
	    {PM_DAEMON, REQUEST("01 0161 02 0131 017f"), BAD, 14},
	    /* the version becomes the value, and is missed then */
	    {PM_DAEMON, REQUEST("01 0161 01"), BAD, 21},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		struct buf in = {0};
		struct arena a;
		struct message m;
		struct err e = {0};

		arena_init(&a, 8192);
		from_hex(t[i].hex, &in);
		print_message("%s\n", t[i].hex);
		assert_int_equal(message_decode(&a, t[i].dir, buf_data(&in),
				     in.len, NULL, &m, &e),
		    t[i].rc);
		assert_int_equal(e.code, -t[i].rc);
		assert_int_equal(e.offset, t[i].offset);
		assert_string_not_equal(e.text, "");
		/* the error may be unwanted */
		assert_int_equal(message_decode(&a, t[i].dir, buf_data(&in),
				     in.len, NULL, &m, NULL),
		    t[i].rc);
		buf_free(&in);
		arena_free(&a);
	}
}

/* The memory of one message is in proportion to its bytes, at the worst. */
static void
test_memory_factor(void **state)
{
	enum { N = 100000 };
	struct buf b = {0};
	struct arena a;
	struct message m;
	uint8_t raw[17];

	(void)state;
	arena_init(&a, (size_t)256 << 20);
	/* the smallest items there are: empty frames, two bytes each */
	from_hex("020601", &b);
	assert_int_equal(buf_append(&b, raw, pm_put_varint(raw, N)), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(buf_append(&b, "\0\0", 2), 0);
	assert_int_equal(
	    message_decode(&a, PM_CLIENT, buf_data(&b), b.len, NULL, &m, NULL),
	    -ERR_TRUNCATED);
	assert_in_range(a.used_bytes, 1, 64 * b.len);
	buf_free(&b);
	arena_free(&a);
}

static void
test_since(void **state)
{
	static const struct {
		enum pm_dir dir;
		const char *hex;
		uint32_t since;
	} t[] = {
	    {PM_CLIENT, "07", 0},
	    {PM_CLIENT, "010050", 0},
	    {PM_CLIENT, "0a 05 312e322e33", PM_SINCE_NEGOTIATION},
	    {PM_CLIENT, "0103 50 00 00", PM_SINCE_MIRROR_FILTER},
	    {PM_CLIENT, "0200 02 50 02 01 00", PM_SINCE_FILTER_COMPOSITE},
	    {PM_CLIENT, "0200 02 50 02 01 01 05 00", PM_SINCE_FILTER_JQ},
	    {PM_CLIENT, "0200 02 50 03 00", PM_SINCE_FILTER_METHOD},
	    {PM_CLIENT, "1001 00", PM_SINCE_SEQPACKET},
	    {PM_CLIENT, "1100 00", PM_SINCE_SHARE_LINK},
	    {PM_DAEMON, "05 00 02", PM_SINCE_LOG_INFO},
	    {PM_DAEMON, "05 00 01", 0},
	    {PM_DAEMON, "0203 01 0c 00 00 50 00 00", PM_SINCE_FORBIDDEN_REASON},
	    {PM_DAEMON, "0203 01 09 01 50 00", PM_SINCE_BLOCKED_MIRROR},
	    {PM_DAEMON, "060e 01 0d 00 01 00", PM_SINCE_SYSTEM_FAILURE},
	    {PM_DAEMON, "0600 01 0b", PM_SINCE_OPEN_LOCAL},
	    {PM_DAEMON, "0e 00 01 0b", PM_SINCE_REVERSE_DNS},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		struct buf in = {0};
		struct arena a;
		struct message m;
		struct pm_route r;

		arena_init(&a, 0);
		from_hex(t[i].hex, &in);
		print_message("%s\n", t[i].hex);
		assert_int_equal(message_decode(&a, t[i].dir, buf_data(&in),
				     in.len, NULL, &m, NULL),
		    0);
		assert_int_equal(message_since(&m), t[i].since);
		assert_int_equal(
		    pm_shallow(t[i].dir, buf_data(&in), in.len, &r, NULL), 0);
		assert_int_equal(r.since, t[i].since);
		buf_free(&in);
		arena_free(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepts),
	    cmocka_unit_test(test_refuses),
	    cmocka_unit_test(test_memory_factor),
	    cmocka_unit_test(test_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
