/* DNS messages: questions, answers, and what is no answer. */
#include "config.h"

#include <string.h>

#include "agent/dns_msg.h"
#include "tests/unit/unit.h"

#define HEAD(flags, answers) "\x12\x34" flags "\0\x01\0" answers "\0\0\0\0"
#define Q_A    \
	"\x01" \
	"a\x04test\0\0\x01\0\x01"
#define RR_A(owner, ip) owner "\0\x01\0\x01\0\0\0\x3c\0\x04" ip

struct msg {
	const char *p;
	size_t n;
};
#define MSG(s)                   \
	{                        \
		s, sizeof(s) - 1 \
	}

static int
parse(struct dns_answer *a, const struct msg *m)
{
	return dns_answer_parse(
	    a, (const uint8_t *)m->p, m->n, 0x1234, "a.test.", DNS_TYPE_A);
}

static void
questions(void **state)
{
	static const char want[] = HEAD("\x01\0", "\0") Q_A;
	char label[70], name[300];
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	assert_int_equal(dns_question(&b, 0x1234, "a.test.", DNS_TYPE_A), 0);
	assert_int_equal(b.len, sizeof(want) - 1);
	assert_memory_equal(buf_data(&b), want, sizeof(want) - 1);
	buf_clear(&b);
	assert_int_equal(dns_question(&b, 1, ".", DNS_TYPE_A), 0);
	assert_int_equal(b.len, 12 + 1 + 4);
	memset(label, 'x', sizeof(label));
	label[63] = '\0';
	buf_clear(&b);
	assert_int_equal(dns_question(&b, 1, label, DNS_TYPE_A), 0);
	label[63] = 'x';
	label[64] = '\0';
	static const char *const bad[] = {"", "..", ".a", "a..b", "a.b.."};

	buf_clear(&b);
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_int_equal(
		    dns_question(&b, 1, bad[i], DNS_TYPE_A), -ERR_INVALID);
	assert_int_equal(dns_question(&b, 1, label, DNS_TYPE_A), -ERR_INVALID);
	for (size_t i = 0; i < sizeof(name) - 1; i += 2)
		memcpy(name + i, "a.", 2);
	name[256] = '\0';
	assert_int_equal(dns_question(&b, 1, name, DNS_TYPE_A), -ERR_INVALID);
	assert_int_equal(b.len, 0); /* nothing is left behind */
	buf_free(&b);
}

static void
answers(void **state)
{
	static const struct {
		struct msg m;
		size_t count;
		unsigned rcode;
	} rows[] = {
	    {MSG(HEAD("\x81\x80", "\0") Q_A), 0, 0},
	    {MSG(HEAD("\x81\x83", "\0") Q_A), 0, 3},
	    {MSG(HEAD("\x81\x80", "\x01") Q_A RR_A("\xc0\x0c", "\x0a\0\0\x01")),
		1, 0},
	    {MSG(HEAD("\x81\x80", "\x02") Q_A RR_A("\xc0\x0c", "\x0a\0\0\x01")
		     RR_A("\x01"
			  "A\x04TEST\0",
			 "\x0a\0\0\x02")),
		2, 0},
	    /* somebody else's record, a class that is not IN, a short one */
	    {MSG(HEAD("\x81\x80", "\x01") Q_A RR_A("\x01"
						   "b\x04test\0",
		 "\x0a\0\0\x01")),
		0, 0},
	    {MSG(HEAD("\x81\x80", "\x01") Q_A
		 "\xc0\x0c\0\x01\0\x03\0\0\0\x3c\0\x04\x0a\0\0\x01"),
		0, 0},
	    {MSG(HEAD("\x81\x80", "\x01") Q_A
		 "\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x03\x0a\0\0"),
		0, 0},
	    /* a CNAME behind its target */
	    {MSG(HEAD("\x81\x80", "\x02") Q_A RR_A("\x01"
						   "b\x04test\0",
		 "\x0a\0\0\x01") "\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01"
				 "b\xc0\x0e"),
		1, 0},
	    /* an error without the question */
	    {MSG("\x12\x34\x81\x82\0\0\0\0\0\0\0\0"), 0, 2},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct dns_answer a;

		assert_int_equal(parse(&a, &rows[i].m), 0);
		assert_int_equal(a.count, rows[i].count);
		assert_int_equal(a.rcode, rows[i].rcode);
	}
}

static void
not_answers(void **state)
{
	static const struct {
		struct msg m;
		int rc;
	} rows[] = {
	    {MSG(""), -ERR_INVALID},
	    {MSG("\x12\x34"), -ERR_INVALID},
	    {MSG("\x12\x34\x81\x80\0\x01\0\0\0\0\0"), -ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\0")), -ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\0") "\x01"
					"a\x04tes"),
		-ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\0") "\x01"
					"a\x04test\0\0\x01"),
		-ERR_INVALID},
	    /* another id, a question, another name, type, no question */
	    {MSG("\x12\x35\x81\x80\0\x01\0\0\0\0\0\0" Q_A), -ERR_NOT_FOUND},
	    {MSG(HEAD("\x01\0", "\0") Q_A), -ERR_NOT_FOUND},
	    {MSG(HEAD("\x81\x80", "\0") "\x01"
					"b\x04test\0\0\x01\0\x01"),
		-ERR_NOT_FOUND},
	    {MSG(HEAD("\x81\x80", "\0") "\x01"
					"a\x04test\0\0\x1c\0\x01"),
		-ERR_NOT_FOUND},
	    {MSG("\x12\x34\x81\x80\0\0\0\0\0\0\0\0"), -ERR_NOT_FOUND},
	    {MSG("\x12\x34\x81\x80\0\x02\0\0\0\0\0\0" Q_A), -ERR_NOT_FOUND},
	    /* more records promised than there are */
	    {MSG(HEAD("\x81\x80", "\xff") Q_A), -ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\x02") Q_A RR_A("\xc0\x0c", "\x0a\0\0\x01")),
		-ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\x01") Q_A
		 "\xc0\x0c\0\x01\0\x01\0\0\0\x3c\xff\xff\x0a\0\0\x01"),
		-ERR_INVALID},
	    /* pointers: to itself, forward, beyond, cut */
	    {MSG(HEAD("\x81\x80", "\0") "\xc0\x0c\0\x01\0\x01"), -ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\0") "\xc0\x20\0\x01\0\x01"), -ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\0") "\xff\xff\0\x01\0\x01"), -ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\0") "\xc0"), -ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\x01") Q_A "\xc0\x18\0\x01"), -ERR_INVALID},
	    /* reserved label types, a dot and a blank inside a label */
	    {MSG(HEAD("\x81\x80", "\0") "\x80"
					"a\0\0\x01\0\x01"),
		-ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\0") "\x06"
					"a.test\0\0\x01\0\x01"),
		-ERR_INVALID},
	    {MSG(HEAD("\x81\x80", "\0") "\x02"
					"a \x04test\0\0\x01\0\x01"),
		-ERR_INVALID},
	    /* a CNAME that points nowhere */
	    {MSG(HEAD("\x81\x80", "\x01") Q_A
		 "\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\xff"),
		-ERR_INVALID},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct dns_answer a;

		assert_int_equal(parse(&a, &rows[i].m), rows[i].rc);
	}
}

/* A CNAME to itself ends; a name longer than names are is refused. */
static void
loops(void **state)
{
	static const struct msg self = MSG(HEAD("\x81\x80", "\x01") Q_A
	    "\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c");
	struct dns_answer a;
	uint8_t big[600];
	size_t n = 12;

	(void)state;
	assert_int_equal(parse(&a, &self), 0);
	assert_int_equal(a.count, 0);
	memset(big, 0, sizeof(big));
	memcpy(big, HEAD("\x81\x80", "\0"), 12);
	for (int i = 0; i < 8; i++) {
		big[n] = 63;
		memset(big + n + 1, 'x', 63);
		n += 64;
	}
	n += 5;
	assert_int_equal(
	    dns_answer_parse(&a, big, n, 0x1234, "a.test.", DNS_TYPE_A),
	    -ERR_INVALID);
}

static void
truncated(void **state)
{
	static const struct msg m = MSG(HEAD("\x83\x80", "\xff") Q_A);
	struct dns_answer a;

	(void)state;
	assert_int_equal(parse(&a, &m), 0);
	assert_true(a.truncated);
	assert_int_equal(a.count, 0);
}

static void
pointers_back(void **state)
{
	static const char m[] =
	    HEAD("\x81\x80", "\x01") "\x01"
				     "1\x07in-addr\x04"
				     "arpa\0\0\x0c\0\x01"
				     "\xc0\x0c\0\x0c\0\x01\0\0\0\x3c\0\x08\x05"
				     "hosts\xc0\x0e";
	struct dns_answer a;

	(void)state;
	assert_int_equal(dns_answer_parse(&a, (const uint8_t *)m, sizeof(m) - 1,
			     0x1234, "1.in-addr.arpa.", DNS_TYPE_PTR),
	    0);
	assert_string_equal(a.ptr, "hosts.in-addr.arpa.");
}

static void
too_many_records(void **state)
{
	static const char head[] = HEAD("\x81\x80", "\xc8") Q_A;
	static const char rr[] = RR_A("\xc0\x0c", "\x0a\0\0\x01");
	struct dns_answer a;
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	assert_int_equal(buf_append(&b, head, sizeof(head) - 1), 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(buf_append(&b, rr, sizeof(rr) - 1), 0);
	assert_int_equal(dns_answer_parse(&a, buf_data(&b), b.len, 0x1234,
			     "a.test.", DNS_TYPE_A),
	    0);
	assert_int_equal(a.count, DNS_RECORDS_MAX);
	buf_free(&b);
}

/* Every cut of a good answer is refused or has fewer records; no overread. */
static void
every_cut(void **state)
{
	static const char m[] = HEAD("\x81\x80", "\x02") Q_A
	    "\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01"
	    "b\xc0\x0e" RR_A("\x01"
			     "b\xc0\x0e",
		"\x0a\0\0\x01");
	struct dns_answer a;

	(void)state;
	for (size_t n = 0; n < sizeof(m) - 1; n++) {
		uint8_t *copy = test_malloc(n + 1);

		memcpy(copy, m, n);
		assert_int_equal(dns_answer_parse(&a, copy, n, 0x1234,
				     "a.test.", DNS_TYPE_A),
		    -ERR_INVALID);
		test_free(copy);
	}
}

static void
reverse_names(void **state)
{
	static const struct {
		const char *ip, *want;
	} rows[] = {
	    {"10.1.2.3", "3.2.1.10.in-addr.arpa."},
	    {"255.0.0.1", "1.0.0.255.in-addr.arpa."},
	    {"fd00::6",
		"6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
		"d.f.ip6.arpa."},
	};
	char out[DNS_NAME_MAX + 1];
	struct dns_addr a;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		assert_true(dns_addr_parse(rows[i].ip, &a));
		assert_int_equal(dns_reverse_name(&a, out), 0);
		assert_string_equal(out, rows[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(questions),
	    cmocka_unit_test(answers),
	    cmocka_unit_test(not_answers),
	    cmocka_unit_test(loops),
	    cmocka_unit_test(truncated),
	    cmocka_unit_test(pointers_back),
	    cmocka_unit_test(too_many_records),
	    cmocka_unit_test(every_cut),
	    cmocka_unit_test(reverse_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
