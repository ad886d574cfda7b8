/* What nft_msg builds, taken apart again with libmnl. */
#include "config.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/nft_msg.h"

enum { MSG_MAX = 16, ATTR_MAX = 32, SEQ = 77 };

struct parsed {
	_Alignas(uint64_t) uint8_t bytes[NFT_BATCH_BYTES];
	struct nft_batch batch;
	unsigned acks;
	const struct nlmsghdr *msg[MSG_MAX];
	int count;
};

/* Splits a finished batch; every header must be whole and in sequence. */
static void
split(struct parsed *p)
{
	const struct nlmsghdr *h = (const void *)p->bytes;
	int left;

	p->acks = nft_batch_end(&p->batch);
	assert_false(p->batch.overflow);
	left = (int)p->batch.len;
	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		assert_true(p->count < MSG_MAX);
		assert_int_equal(h->nlmsg_seq, SEQ + p->count);
		p->msg[p->count++] = h;
	}
	assert_int_equal(left, 0);
	assert_int_equal(p->acks, p->count - 2);
	assert_int_equal(p->msg[0]->nlmsg_type, NFNL_MSG_BATCH_BEGIN);
	assert_int_equal(p->msg[p->count - 1]->nlmsg_type, NFNL_MSG_BATCH_END);
}

static int
collect(const struct nlattr *a, void *arg)
{
	const struct nlattr **tb = arg;

	if (mnl_attr_get_type(a) < ATTR_MAX)
		tb[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static void
attrs(const struct nlmsghdr *h, const struct nlattr **tb)
{
	memset(tb, 0, ATTR_MAX * sizeof(*tb));
	mnl_attr_parse(h, sizeof(struct nfgenmsg), collect, tb);
}

static void
nested(const struct nlattr *a, const struct nlattr **tb)
{
	assert_non_null(a);
	memset(tb, 0, ATTR_MAX * sizeof(*tb));
	mnl_attr_parse_nested(a, collect, tb);
}

static uint32_t
be32_of(const struct nlattr *a)
{
	assert_non_null(a);
	assert_int_equal(mnl_attr_get_payload_len(a), 4);
	return ntohl(mnl_attr_get_u32(a));
}

/* "fib cmp meta ..." of a rule message. */
static void
expr_names(const struct nlmsghdr *h, char *out, size_t cap)
{
	const struct nlattr *tb[ATTR_MAX], *ex[ATTR_MAX], *a;
	size_t n = 0;

	attrs(h, tb);
	assert_non_null(tb[NFTA_RULE_EXPRESSIONS]);
	out[0] = '\0';
	mnl_attr_for_each_nested(a, tb[NFTA_RULE_EXPRESSIONS])
	{
		assert_int_equal(mnl_attr_get_type(a), NFTA_LIST_ELEM);
		nested(a, ex);
		assert_non_null(ex[NFTA_EXPR_DATA]);
		n += (size_t)snprintf(out + n, cap - n, "%s%s", n ? " " : "",
		    mnl_attr_get_str(ex[NFTA_EXPR_NAME]));
	}
}

/* The data of expression number i of a rule. */
static void
expr_data(const struct nlmsghdr *h, int i, const struct nlattr **data)
{
	const struct nlattr *tb[ATTR_MAX], *ex[ATTR_MAX], *a;

	attrs(h, tb);
	mnl_attr_for_each_nested(a, tb[NFTA_RULE_EXPRESSIONS])
	{
		if (i-- > 0)
			continue;
		nested(a, ex);
		nested(ex[NFTA_EXPR_DATA], data);
		return;
	}
	fail_msg("the rule has too few expressions");
}

static const void *
value_of(const struct nlattr *a, size_t n)
{
	const struct nlattr *tb[ATTR_MAX];

	nested(a, tb);
	assert_non_null(tb[NFTA_DATA_VALUE]);
	assert_int_equal(mnl_attr_get_payload_len(tb[NFTA_DATA_VALUE]), n);
	return mnl_attr_get_payload(tb[NFTA_DATA_VALUE]);
}

static void
build_layout(struct parsed *p, uint32_t gid, bool fib, const char *comment)
{
	struct nft_layout l = {.table = "mrd_0123abcd",
	    .comment = comment,
	    .gid = gid,
	    .listen_port = 4444,
	    .fib = fib};

	memset(p, 0, sizeof(*p));
	nft_batch_begin(&p->batch, p->bytes, SEQ);
	nft_put_layout(&p->batch, &l);
	split(p);
}

static void
test_layout_messages(void **state)
{
	static const uint16_t types[] = {NFT_MSG_NEWTABLE, NFT_MSG_NEWSET,
	    NFT_MSG_NEWCHAIN, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE,
	    NFT_MSG_NEWRULE, NFT_MSG_NEWRULE, NFT_MSG_NEWRULE, NFT_MSG_NEWRULE};
	struct parsed p;

	(void)state;
	build_layout(&p, 500, true, NULL);
	assert_int_equal(p.count, 11);
	for (int i = 0; i < 9; i++) {
		const struct nlmsghdr *h = p.msg[i + 1];
		const struct nfgenmsg *nf = mnl_nlmsg_get_payload(h);

		assert_int_equal(
		    h->nlmsg_type, NFNL_SUBSYS_NFTABLES << 8 | types[i]);
		assert_int_equal(nf->nfgen_family, NFPROTO_INET);
		assert_true(h->nlmsg_flags & NLM_F_ACK);
		assert_true(h->nlmsg_flags & NLM_F_CREATE);
	}
}

static void
test_table_is_owned(void **state)
{
	const struct nlattr *tb[ATTR_MAX];
	struct parsed p;

	(void)state;
	build_layout(&p, 500, true, "a comment");
	attrs(p.msg[1], tb);
	assert_string_equal(
	    mnl_attr_get_str(tb[NFTA_TABLE_NAME]), "mrd_0123abcd");
	assert_int_equal(be32_of(tb[NFTA_TABLE_FLAGS]), NFT_TABLE_F_OWNER);
	assert_true(p.msg[1]->nlmsg_flags & NLM_F_EXCL);
	assert_memory_equal(mnl_attr_get_payload(tb[NFTA_TABLE_USERDATA]),
	    "\0\012a comment\0", 12);
}

static void
test_comment_lengths(void **state)
{
	static const struct {
		size_t in, out;
	} cases[] = {
	    {0, 1}, {1, 2}, {99, 100}, {100, 101}, {101, 101}, {5000, 101}};
	const struct nlattr *tb[ATTR_MAX];
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[5001];
		const uint8_t *udata;

		memset(text, 'x', cases[i].in);
		text[cases[i].in] = '\0';
		build_layout(&p, 0, true, text);
		attrs(p.msg[1], tb);
		udata = mnl_attr_get_payload(tb[NFTA_TABLE_USERDATA]);
		assert_int_equal(udata[1], cases[i].out);
		assert_int_equal(
		    mnl_attr_get_payload_len(tb[NFTA_TABLE_USERDATA]),
		    cases[i].out + 2);
		assert_int_equal(udata[cases[i].out + 1], 0);
	}
}

static void
test_set(void **state)
{
	const struct nlattr *tb[ATTR_MAX];
	struct parsed p;

	(void)state;
	build_layout(&p, 0, true, NULL);
	attrs(p.msg[2], tb);
	assert_string_equal(mnl_attr_get_str(tb[NFTA_SET_NAME]), "ports");
	assert_int_equal(be32_of(tb[NFTA_SET_KEY_LEN]), 2);
	assert_int_equal(be32_of(tb[NFTA_SET_KEY_TYPE]), 13);
}

static void
test_chains(void **state)
{
	static const struct {
		const char *name;
		uint32_t hook;
	} cases[] = {{"pre", NF_INET_PRE_ROUTING}, {"out", NF_INET_LOCAL_OUT}};
	const struct nlattr *tb[ATTR_MAX], *hook[ATTR_MAX];
	struct parsed p;

	(void)state;
	build_layout(&p, 0, true, NULL);
	for (int i = 0; i < 2; i++) {
		attrs(p.msg[3 + i], tb);
		assert_string_equal(
		    mnl_attr_get_str(tb[NFTA_CHAIN_NAME]), cases[i].name);
		assert_string_equal(
		    mnl_attr_get_str(tb[NFTA_CHAIN_TYPE]), "nat");
		assert_int_equal(be32_of(tb[NFTA_CHAIN_POLICY]), NF_ACCEPT);
		nested(tb[NFTA_CHAIN_HOOK], hook);
		assert_int_equal(
		    be32_of(hook[NFTA_HOOK_HOOKNUM]), cases[i].hook);
		assert_int_equal(
		    (int32_t)be32_of(hook[NFTA_HOOK_PRIORITY]), -105);
	}
}

#define TO_PORTS "meta cmp payload lookup immediate redir"

static void
test_rules(void **state)
{
	static const struct {
		uint32_t gid;
		bool fib;
		int n;
		const char *rule[5];
	} cases[] = {
	    {500, true, 5,
		{"fib cmp " TO_PORTS, "meta cmp meta bitwise cmp immediate",
		    "meta cmp meta cmp payload cmp immediate",
		    "meta cmp meta cmp payload cmp immediate",
		    "meta cmp " TO_PORTS}},
	    {0, true, 3,
		{"fib cmp " TO_PORTS, "meta bitwise cmp immediate",
		    "meta cmp " TO_PORTS}},
	    {0, false, 3,
		{TO_PORTS, "meta bitwise cmp immediate", "meta cmp " TO_PORTS}},
	};
	struct parsed p;
	char names[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build_layout(&p, cases[i].gid, cases[i].fib, NULL);
		assert_int_equal(p.count, 6 + cases[i].n);
		for (int r = 0; r < cases[i].n; r++) {
			expr_names(p.msg[5 + r], names, sizeof(names));
			assert_string_equal(names, cases[i].rule[r]);
		}
	}
}

static void
test_exempt_rule_values(void **state)
{
	const struct nlattr *d[ATTR_MAX], *v[ATTR_MAX];
	uint32_t gid = 21847, mark = 0x2000;
	struct parsed p;

	(void)state;
	build_layout(&p, gid, true, NULL);
	expr_data(p.msg[6], 0, d);
	assert_int_equal(be32_of(d[NFTA_META_KEY]), NFT_META_SKGID);
	expr_data(p.msg[6], 1, d);
	assert_int_equal(be32_of(d[NFTA_CMP_OP]), NFT_CMP_EQ);
	assert_memory_equal(value_of(d[NFTA_CMP_DATA], 4), &gid, 4);
	expr_data(p.msg[6], 2, d);
	assert_int_equal(be32_of(d[NFTA_META_KEY]), NFT_META_MARK);
	expr_data(p.msg[6], 3, d);
	assert_memory_equal(value_of(d[NFTA_BITWISE_MASK], 4), &mark, 4);
	expr_data(p.msg[6], 4, d);
	assert_memory_equal(value_of(d[NFTA_CMP_DATA], 4), &mark, 4);
	expr_data(p.msg[6], 5, d);
	assert_int_equal(be32_of(d[NFTA_IMMEDIATE_DREG]), NFT_REG_VERDICT);
	nested(d[NFTA_IMMEDIATE_DATA], v);
	nested(v[NFTA_DATA_VERDICT], v);
	assert_int_equal((int32_t)be32_of(v[NFTA_VERDICT_CODE]), NFT_RETURN);
}

static void
test_loopback_rule_values(void **state)
{
	static const struct {
		int rule;
		uint8_t nfproto;
		uint32_t offset;
		size_t n;
		const char *value;
	} cases[] = {
	    {7, NFPROTO_IPV4, 12, 1, "\x7f"},
	    {8, NFPROTO_IPV6, 8, 16, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"},
	};
	const struct nlattr *d[ATTR_MAX];
	struct parsed p;

	(void)state;
	build_layout(&p, 500, true, NULL);
	for (int i = 0; i < 2; i++) {
		const struct nlmsghdr *h = p.msg[cases[i].rule];

		expr_data(h, 2, d);
		assert_int_equal(be32_of(d[NFTA_META_KEY]), NFT_META_NFPROTO);
		expr_data(h, 3, d);
		assert_memory_equal(
		    value_of(d[NFTA_CMP_DATA], 1), &cases[i].nfproto, 1);
		expr_data(h, 4, d);
		assert_int_equal(
		    be32_of(d[NFTA_PAYLOAD_BASE]), NFT_PAYLOAD_NETWORK_HEADER);
		assert_int_equal(
		    be32_of(d[NFTA_PAYLOAD_OFFSET]), cases[i].offset);
		expr_data(h, 5, d);
		assert_memory_equal(value_of(d[NFTA_CMP_DATA], cases[i].n),
		    cases[i].value, cases[i].n);
	}
}

static void
test_redirect_rule_values(void **state)
{
	uint16_t port = htons(4444);
	const struct nlattr *d[ATTR_MAX];
	struct parsed p;

	(void)state;
	build_layout(&p, 0, true, NULL);
	for (int r = 5; r <= 7; r += 2) {
		expr_data(p.msg[r], 3, d);
		assert_memory_equal(value_of(d[NFTA_CMP_DATA], 1), "\6", 1);
		expr_data(p.msg[r], 4, d);
		assert_int_equal(be32_of(d[NFTA_PAYLOAD_BASE]),
		    NFT_PAYLOAD_TRANSPORT_HEADER);
		assert_int_equal(be32_of(d[NFTA_PAYLOAD_OFFSET]), 2);
		assert_int_equal(be32_of(d[NFTA_PAYLOAD_LEN]), 2);
		expr_data(p.msg[r], 6, d);
		assert_memory_equal(
		    value_of(d[NFTA_IMMEDIATE_DATA], 2), &port, 2);
	}
	expr_data(p.msg[7], 1, d);
	assert_memory_equal(
	    value_of(d[NFTA_CMP_DATA], 16), "lo\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}

static void
test_port_messages(void **state)
{
	static const uint16_t ports[] = {0, 1, 80, 8080, 32768, 65535};
	const struct nlattr *tb[ATTR_MAX], *list[ATTR_MAX], *el[ATTR_MAX];

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(ports) / sizeof(ports[0]); i++) {
		bool add = i % 2 == 0;
		uint16_t be = htons(ports[i / 2]);
		struct parsed p = {.count = 0};

		nft_batch_begin(&p.batch, p.bytes, SEQ);
		nft_put_port(&p.batch, "mrd_00000001", ports[i / 2], add);
		split(&p);
		assert_int_equal(p.count, 3);
		assert_int_equal(p.msg[1]->nlmsg_type & 0xff,
		    add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM);
		attrs(p.msg[1], tb);
		assert_string_equal(
		    mnl_attr_get_str(tb[NFTA_SET_ELEM_LIST_TABLE]),
		    "mrd_00000001");
		nested(tb[NFTA_SET_ELEM_LIST_ELEMENTS], list);
		nested(list[NFTA_LIST_ELEM], el);
		assert_memory_equal(value_of(el[NFTA_SET_ELEM_KEY], 2), &be, 2);
	}
}

static void
test_clear_names_no_element(void **state)
{
	const struct nlattr *tb[ATTR_MAX];
	struct parsed p = {.count = 0};

	(void)state;
	nft_batch_begin(&p.batch, p.bytes, SEQ);
	nft_put_clear(&p.batch, "mrd_00000001");
	split(&p);
	assert_int_equal(p.msg[1]->nlmsg_type & 0xff, NFT_MSG_DELSETELEM);
	attrs(p.msg[1], tb);
	assert_string_equal(
	    mnl_attr_get_str(tb[NFTA_SET_ELEM_LIST_SET]), "ports");
	assert_null(tb[NFTA_SET_ELEM_LIST_ELEMENTS]);
}

/* More than fits is noticed and never written behind the buffer. */
static void
test_overflow_is_noticed(void **state)
{
	struct {
		_Alignas(uint64_t) uint8_t bytes[NFT_BATCH_BYTES];
		uint8_t guard[64];
	} m;
	struct nft_batch b;

	(void)state;
	memset(&m, 0xa5, sizeof(m));
	nft_batch_begin(&b, m.bytes, SEQ);
	for (int i = 0; i < 1000; i++)
		nft_put_port(&b, "mrd_00000001", (uint16_t)i, true);
	assert_true(b.overflow);
	for (size_t i = 0; i < sizeof(m.guard); i++)
		assert_int_equal(m.guard[i], 0xa5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_layout_messages),
	    cmocka_unit_test(test_table_is_owned),
	    cmocka_unit_test(test_comment_lengths),
	    cmocka_unit_test(test_set),
	    cmocka_unit_test(test_chains),
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_exempt_rule_values),
	    cmocka_unit_test(test_loopback_rule_values),
	    cmocka_unit_test(test_redirect_rule_values),
	    cmocka_unit_test(test_port_messages),
	    cmocka_unit_test(test_clear_names_no_element),
	    cmocka_unit_test(test_overflow_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
