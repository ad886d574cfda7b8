/* Every message of the table, there and back; every way to break one. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "ipc/table.h"
#include "tests/unit/unit.h"

enum fill { FILL_ZERO, FILL_TYPICAL, FILL_MAX, FILL_OVER };

static char *filler;  /* IPC_MAX_PAYLOAD_BYTES letters and a NUL */
static uint8_t *wire; /* a copy that ends where the bytes end: ASan sees */

static int
setup(void **state)
{
	(void)state;
	filler = malloc(IPC_MAX_PAYLOAD_BYTES + 2);
	if (filler == NULL)
		return -1;
	memset(filler, 'x', IPC_MAX_PAYLOAD_BYTES + 1);
	filler[IPC_MAX_PAYLOAD_BYTES + 1] = '\0';
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(filler);
	free(wire);
	return 0;
}

static uint64_t
int_of(enum ipc_field_type t, enum fill fill)
{
	static const uint64_t max[] = {[IPC_T_u8] = UINT8_MAX,
	    [IPC_T_u16] = UINT16_MAX,
	    [IPC_T_u32] = UINT32_MAX,
	    [IPC_T_u64] = UINT64_MAX};

	return fill == FILL_ZERO ? 0 : fill == FILL_TYPICAL ? 42 : max[t];
}

static size_t
len_of(uint32_t max, enum fill fill)
{
	if (fill == FILL_TYPICAL)
		return max < 20 ? max / 2 : 17;
	return fill == FILL_ZERO ? 0 : fill == FILL_MAX ? max : max + 1;
}

static void
fill_field(const struct ipc_field *f, void *at, enum fill fill)
{
	uint64_t v;
	size_t n;

	switch (f->type) {
	case IPC_T_str:
		n = len_of(f->max, fill);
		*(const char **)at = filler + IPC_MAX_PAYLOAD_BYTES + 1 - n;
		break;
	case IPC_T_bytes:
		n = len_of(f->max, fill);
		*(struct span *)at = (struct span){(uint8_t *)filler, n};
		break;
	default:
		v = int_of(f->type, fill);
		memcpy(at, &v,
		    f->type == IPC_T_u8    ? 1
		    : f->type == IPC_T_u16 ? 2
		    : f->type == IPC_T_u32 ? 4
					   : 8);
	}
}

static void
fill_message(const struct ipc_spec *spec, void *payload, enum fill fill)
{
	memset(payload, 0, IPC_STRUCT_BYTES);
	for (const struct ipc_field *f = ipc_spec_fields(spec); f->name != NULL;
	     f++)
		fill_field(f, (char *)payload + f->offset, fill);
}

static void
assert_same(const struct ipc_spec *spec, const void *a, const void *b)
{
	for (const struct ipc_field *f = ipc_spec_fields(spec); f->name != NULL;
	     f++) {
		const void *x = (const char *)a + f->offset;
		const void *y = (const char *)b + f->offset;

		if (f->type == IPC_T_str) {
			assert_string_equal(
			    *(const char *const *)x, *(const char *const *)y);
		} else if (f->type == IPC_T_bytes) {
			const struct span *s = x, *t = y;

			assert_int_equal(s->n, t->n);
			assert_memory_equal(s->p, t->p, s->n);
		} else {
			assert_memory_equal(x, y,
			    f->type == IPC_T_u8    ? 1
			    : f->type == IPC_T_u16 ? 2
			    : f->type == IPC_T_u32 ? 4
						   : 8);
		}
	}
}

/* The n bytes, in an allocation of just that size. */
static const uint8_t *
exactly(const uint8_t *p, size_t n)
{
	free(wire);
	wire = malloc(n > 0 ? n : 1);
	assert_non_null(wire);
	memcpy(wire, p, n);
	return wire;
}

static void
round_trip(const struct ipc_spec *spec, enum fill fill)
{
	uint64_t in[IPC_STRUCT_BYTES / 8], back[IPC_STRUCT_BYTES / 8];
	struct ipc_header h;
	struct buf out;
	struct err e;
	size_t used;

	buf_init(&out, 0);
	fill_message(spec, in, fill);
	assert_int_equal(ipc_encode(spec->id, IPC_FIRST, 7, 9, in, &out), 0);
	assert_true(out.len <= IPC_HEADER_BYTES + ipc_spec_max_payload(spec));
	if (fill == FILL_MAX)
		assert_int_equal(
		    out.len, IPC_HEADER_BYTES + ipc_spec_max_payload(spec));
	assert_int_equal(ipc_decode(exactly(buf_data(&out), out.len), out.len,
			     &h, back, &used, &e),
	    0);
	assert_int_equal(used, out.len);
	assert_int_equal(h.type, spec->id);
	assert_int_equal(h.flags, IPC_FIRST);
	assert_int_equal(h.session, 7);
	assert_int_equal(h.stream, 9);
	assert_same(spec, in, back);
	buf_free(&out);
}

static void
test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; ipc_spec_at(i) != NULL; i++) {
		round_trip(ipc_spec_at(i), FILL_ZERO);
		round_trip(ipc_spec_at(i), FILL_TYPICAL);
		round_trip(ipc_spec_at(i), FILL_MAX);
	}
}

static void
test_table(void **state)
{
	size_t n = 0;

	(void)state;
	for (; ipc_spec_at(n) != NULL; n++) {
		const struct ipc_spec *s = ipc_spec_at(n);
		unsigned receivers = 0;

		assert_ptr_equal(ipc_spec_find(s->id), s);
		assert_int_equal(ipc_spec_index(s->id), n);
		assert_string_equal(ipc_type_name(s->id), s->name);
		assert_true(ipc_spec_max_payload(s) <= IPC_MAX_PAYLOAD_BYTES);
		assert_true(s->max_fds <= IPC_MAX_FDS);
		for (int r = 0; r < IPC_N_ROLES; r++)
			receivers += s->senders[r] != 0;
		assert_true(receivers > 0);
	}
	assert_true(n > 40);
	assert_null(ipc_spec_find(0));
	assert_null(ipc_spec_find(0xffff));
	assert_string_equal(ipc_type_name(0x7777), "?");
	assert_true(ipc_table_hash() != 0);
	assert_int_equal(ipc_table_hash(), ipc_table_hash());
	assert_string_equal(ipc_role_name(IPC_OWN), "own");
	assert_string_equal(ipc_role_name((enum ipc_role)99), "unknown");
}

/* A field over its limit is refused by the sender and by the receiver. */
static void
test_over_limit(void **state)
{
	uint64_t m[IPC_STRUCT_BYTES / 8];
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	for (size_t i = 0; ipc_spec_at(i) != NULL; i++) {
		const struct ipc_spec *spec = ipc_spec_at(i);

		for (const struct ipc_field *f = ipc_spec_fields(spec);
		     f->name != NULL; f++) {
			if (f->type != IPC_T_str && f->type != IPC_T_bytes)
				continue;
			fill_message(spec, m, FILL_TYPICAL);
			fill_field(f, (char *)m + f->offset, FILL_OVER);
			assert_int_equal(ipc_encode(spec->id, 0, 0, 0, m, &out),
			    -ERR_TOO_BIG);
			assert_int_equal(out.len, 0);
		}
	}
	assert_int_equal(
	    ipc_encode((enum ipc_type)0x7777, 0, 0, 0, m, &out), -ERR_INVALID);
	assert_int_equal(
	    ipc_encode(IPC_ALIVE, 0x100, 0, 0, m, &out), -ERR_INVALID);
	buf_free(&out);
}

/* Every shorter prefix of a frame asks for more, never reads past it. */
static void
test_truncated(void **state)
{
	uint64_t m[IPC_STRUCT_BYTES / 8], back[IPC_STRUCT_BYTES / 8];
	struct ipc_header h;
	struct buf out;
	struct err e;
	size_t used;

	(void)state;
	for (size_t i = 0; ipc_spec_at(i) != NULL; i++) {
		buf_init(&out, 0);
		fill_message(ipc_spec_at(i), m, FILL_TYPICAL);
		ipc_encode(ipc_spec_at(i)->id, 0, 0, 0, m, &out);
		for (size_t n = 0; n < out.len; n++)
			assert_int_equal(ipc_decode(exactly(buf_data(&out), n),
					     n, &h, back, &used, &e),
			    -ERR_TRUNCATED);
		/* The length lies: payload cut short, or one byte too many. */
		for (uint32_t n = 0; n < out.len - IPC_HEADER_BYTES; n++) {
			memcpy(buf_data(&out) + 4, &n, 4);
			assert_int_equal(
			    ipc_decode(
				exactly(buf_data(&out), IPC_HEADER_BYTES + n),
				IPC_HEADER_BYTES + n, &h, back, &used, &e),
			    -ERR_INVALID);
		}
		buf_free(&out);
	}
}

struct bad {
	const char *name;
	const char *bytes;
	size_t n;
	const char *text; /* part of the error */
};
#define HEAD(type_lo, type_hi, len) \
	type_lo type_hi "\0\0" len "\0\0\0\0\0\0\0\0"
#define BAD(name, bytes, text)                       \
	{                                            \
		name, bytes, sizeof(bytes) - 1, text \
	}

static const struct bad bads[] = {
    BAD("type 0", HEAD("\x00", "\x00", "\0\0\0\0"), "unknown message type"),
    BAD("type ffff", HEAD("\xff", "\xff", "\0\0\0\0"), "unknown message type"),
    BAD("gap in a group", HEAD("\x7f", "\x01", "\0\0\0\0"),
	"unknown message type"),
    BAD("huge length", HEAD("\x08", "\x01", "\xff\xff\xff\xff"), "too long"),
    BAD("a byte over", HEAD("\x08", "\x01", "\x09\0\0\0") "123456789",
	"too long"),
    BAD("short integer", HEAD("\x08", "\x01", "\x07\0\0\0") "1234567",
	"ALIVE.number is cut off"),
    BAD("no length", HEAD("\x02", "\x01", "\x03\0\0\0") "\0\0\0",
	"READY.note is cut off"),
    BAD("length past the end",
	HEAD("\x02", "\x01", "\x06\0\0\0") "\x09\0\0\0ab", "is cut off"),
    BAD("no room for the NUL", HEAD("\x02", "\x01", "\x04\0\0\0") "\0\0\0\0",
	"is cut off"),
    BAD("length over the limit",
	HEAD("\x02", "\x01", "\x08\0\0\0") "\x00\x04\0\0zzzz",
	"longer than its limit"),
    BAD("length of 4 GiB",
	HEAD("\x02", "\x01", "\x08\0\0\0") "\xff\xff\xff\xffzzzz",
	"longer than its limit"),
    BAD("no NUL at the end", HEAD("\x02", "\x01", "\x07\0\0\0") "\x02\0\0\0xyz",
	"does not end with a NUL"),
    BAD("NUL inside", HEAD("\x02", "\x01", "\x07\0\0\0") "\x02\0\0\0x\0\0",
	"NUL inside"),
    BAD("trailing bytes", HEAD("\x02", "\x01", "\x06\0\0\0") "\0\0\0\0\0z",
	"too many"),
};

static void
test_malformed(void **state)
{
	uint64_t back[IPC_STRUCT_BYTES / 8];
	struct ipc_header h;
	struct err e;
	size_t used;

	(void)state;
	for (size_t i = 0; i < N_OF(bads); i++) {
		const uint8_t *p =
		    exactly((const uint8_t *)bads[i].bytes, bads[i].n);

		if (ipc_decode(p, bads[i].n, &h, back, &used, &e) !=
		    -ERR_INVALID)
			fail_msg("%s was accepted", bads[i].name);
		if (strstr(e.text, bads[i].text) == NULL)
			fail_msg("%s: %s", bads[i].name, e.text);
	}
}

/* Random damage to a good frame: an answer, and no byte past the end. */
static void
test_damaged(void **state)
{
	uint64_t m[IPC_STRUCT_BYTES / 8], back[IPC_STRUCT_BYTES / 8];
	unsigned seed = 1;
	struct ipc_header h;
	struct buf out;
	size_t used;

	(void)state;
	for (size_t i = 0; ipc_spec_at(i) != NULL; i++) {
		buf_init(&out, 0);
		fill_message(ipc_spec_at(i), m, FILL_TYPICAL);
		ipc_encode(ipc_spec_at(i)->id, 0, 0, 0, m, &out);
		for (int k = 0; k < 200; k++) {
			size_t at = (size_t)rand_r(&seed) % out.len;
			uint8_t old = buf_data(&out)[at];

			buf_data(&out)[at] = (uint8_t)rand_r(&seed);
			ipc_decode(exactly(buf_data(&out), out.len), out.len,
			    &h, back, &used, NULL);
			buf_data(&out)[at] = old;
		}
		buf_free(&out);
	}
}

static void
test_print(void **state)
{
	const struct ipc_credential secret = {.cluster = "ea\"st\n",
	    .kind = "mtls",
	    .key_pem = {(const uint8_t *)"hunter2", 7},
	    .token = {(const uint8_t *)"hunter2", 7}};
	const struct ipc_header h = {
	    .type = IPC_CREDENTIAL, .session = 1, .stream = 2};
	uint64_t m[IPC_STRUCT_BYTES / 8];
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	ipc_print(&h, &secret, &out);
	assert_non_null(
	    strstr(buf_cstr(&out), "CREDENTIAL session=1 stream=2"));
	assert_non_null(strstr(buf_cstr(&out), "cluster=\"ea\\x22st\\n\""));
	assert_non_null(strstr(buf_cstr(&out), "key_pem=<7 bytes>"));
	assert_null(strstr(buf_cstr(&out), "hunter2"));
	for (size_t i = 0; ipc_spec_at(i) != NULL; i++) {
		struct ipc_header hi = {
		    .type = ipc_spec_at(i)->id, .flags = IPC_FIRST | IPC_LAST};

		buf_clear(&out);
		fill_message(ipc_spec_at(i), m, FILL_MAX);
		ipc_print(&hi, m, &out);
		assert_non_null(strstr(buf_cstr(&out), ipc_spec_at(i)->name));
		assert_true(out.len < 8192);
	}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_over_limit),
	    cmocka_unit_test(test_truncated),
	    cmocka_unit_test(test_malformed),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
