#include "config.h"

#include "agent/nft_msg.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

enum {
	SET_ID = 1,             /* names the new set inside its transaction */
	TYPE_INET_SERVICE = 13, /* nft's own number, shown by `nft list` */
	PRIO_BEFORE_DSTNAT = -105,
	COMMENT_MAX_BYTES = 100,
	UDATA_TABLE_COMMENT = 0,
	TCP_DPORT_OFFSET = 2,
	IP_SADDR_OFFSET = 12,
	IP6_SADDR_OFFSET = 8,
};

static const char SET_NAME[] = "ports";

/* Where an attribute list that is still open began. */
struct put {
	struct nft_batch *batch;
	struct nlmsghdr *msg;
};

static size_t
room(const struct put *p)
{
	size_t used = (size_t)((uint8_t *)p->msg - p->batch->base);

	return NFT_BATCH_BYTES - used; /* counted from the message's start */
}

static void
put_bytes(const struct put *p, uint16_t type, const void *data, size_t n)
{
	if (!mnl_attr_put_check(p->msg, room(p), type, n, data))
		p->batch->overflow = true;
}

static void
put_str(const struct put *p, uint16_t type, const char *s)
{
	put_bytes(p, type, s, strlen(s) + 1);
}

static void
put_be32(const struct put *p, uint16_t type, uint32_t v)
{
	uint32_t be = htonl(v);

	put_bytes(p, type, &be, sizeof(be));
}

static struct nlattr *
nest(const struct put *p, uint16_t type)
{
	struct nlattr *a = mnl_attr_nest_start_check(p->msg, room(p), type);

	if (a == NULL)
		p->batch->overflow = true;
	return a;
}

static void
unnest(const struct put *p, struct nlattr *a)
{
	if (a != NULL)
		mnl_attr_nest_end(p->msg, a);
}

static struct put
msg_start(struct nft_batch *b, uint16_t type, uint16_t flags, uint16_t res_id,
    uint8_t family)
{
	struct put p = {.batch = b};
	struct nfgenmsg *nf;

	/* All batches are far smaller; one that is not is never sent. */
	if (b->len + MNL_NLMSG_HDRLEN + sizeof(*nf) > NFT_BATCH_BYTES) {
		b->overflow = true;
		b->len = 0;
	}
	p.msg = mnl_nlmsg_put_header(b->base + b->len);
	p.msg->nlmsg_type = type;
	p.msg->nlmsg_flags = flags;
	p.msg->nlmsg_seq = b->next_seq++;
	nf = mnl_nlmsg_put_extra_header(p.msg, sizeof(*nf));
	nf->nfgen_family = family;
	nf->version = NFNETLINK_V0;
	nf->res_id = htons(res_id);
	return p;
}

static void
msg_end(const struct put *p)
{
	p->batch->len += MNL_ALIGN(p->msg->nlmsg_len);
}

static struct put
nft_start(struct nft_batch *b, uint16_t type, uint16_t flags)
{
	return msg_start(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
	    (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags), 0, NFPROTO_INET);
}

void
nft_batch_begin(struct nft_batch *b, uint8_t *base, uint32_t seq)
{
	struct put p;

	*b =
	    (struct nft_batch){.base = base, .first_seq = seq, .next_seq = seq};
	p = msg_start(b, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST,
	    NFNL_SUBSYS_NFTABLES, AF_UNSPEC);
	msg_end(&p);
}

unsigned
nft_batch_end(struct nft_batch *b)
{
	unsigned acks = b->next_seq - b->first_seq - 1;
	struct put p = msg_start(b, NFNL_MSG_BATCH_END, NLM_F_REQUEST,
	    NFNL_SUBSYS_NFTABLES, AF_UNSPEC);

	msg_end(&p);
	return acks;
}

/*
 * Expressions. Each works on register 1: loads fill it, compares and lookups
 * end the rule unless they hold.
 */
struct expr {
	struct nlattr *elem;
	struct nlattr *data;
};

static struct expr
expr_start(const struct put *p, const char *name)
{
	struct expr e = {.elem = nest(p, NFTA_LIST_ELEM)};

	put_str(p, NFTA_EXPR_NAME, name);
	e.data = nest(p, NFTA_EXPR_DATA);
	return e;
}

static void
expr_end(const struct put *p, struct expr e)
{
	unnest(p, e.data);
	unnest(p, e.elem);
}

static void
put_value(const struct put *p, uint16_t type, const void *v, size_t n)
{
	struct nlattr *a = nest(p, type);

	put_bytes(p, NFTA_DATA_VALUE, v, n);
	unnest(p, a);
}

static void
load_meta(const struct put *p, uint32_t key)
{
	struct expr e = expr_start(p, "meta");

	put_be32(p, NFTA_META_KEY, key);
	put_be32(p, NFTA_META_DREG, NFT_REG_1);
	expr_end(p, e);
}

static void
load_payload(
    const struct put *p, uint32_t base, uint32_t offset, uint32_t bytes)
{
	struct expr e = expr_start(p, "payload");

	put_be32(p, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put_be32(p, NFTA_PAYLOAD_BASE, base);
	put_be32(p, NFTA_PAYLOAD_OFFSET, offset);
	put_be32(p, NFTA_PAYLOAD_LEN, bytes);
	expr_end(p, e);
}

static void
load_daddr_type(const struct put *p)
{
	struct expr e = expr_start(p, "fib");

	put_be32(p, NFTA_FIB_DREG, NFT_REG_1);
	put_be32(p, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	put_be32(p, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	expr_end(p, e);
}

static void
mask_u32(const struct put *p, uint32_t mask)
{
	struct expr e = expr_start(p, "bitwise");
	uint32_t none = 0;

	put_be32(p, NFTA_BITWISE_SREG, NFT_REG_1);
	put_be32(p, NFTA_BITWISE_DREG, NFT_REG_1);
	put_be32(p, NFTA_BITWISE_LEN, sizeof(mask));
	put_value(p, NFTA_BITWISE_MASK, &mask, sizeof(mask));
	put_value(p, NFTA_BITWISE_XOR, &none, sizeof(none));
	expr_end(p, e);
}

static void
must_equal(const struct put *p, const void *v, size_t n)
{
	struct expr e = expr_start(p, "cmp");

	put_be32(p, NFTA_CMP_SREG, NFT_REG_1);
	put_be32(p, NFTA_CMP_OP, NFT_CMP_EQ);
	put_value(p, NFTA_CMP_DATA, v, n);
	expr_end(p, e);
}

static void
must_equal_u32(const struct put *p, uint32_t v)
{
	must_equal(p, &v, sizeof(v));
}

static void
must_be_in_ports(const struct put *p)
{
	struct expr e = expr_start(p, "lookup");

	put_be32(p, NFTA_LOOKUP_SREG, NFT_REG_1);
	put_str(p, NFTA_LOOKUP_SET, SET_NAME);
	put_be32(p, NFTA_LOOKUP_SET_ID, SET_ID);
	expr_end(p, e);
}

static void
then_return(const struct put *p)
{
	struct expr e = expr_start(p, "immediate");
	struct nlattr *data, *verdict;

	put_be32(p, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nest(p, NFTA_IMMEDIATE_DATA);
	verdict = nest(p, NFTA_DATA_VERDICT);
	put_be32(p, NFTA_VERDICT_CODE, (uint32_t)NFT_RETURN);
	unnest(p, verdict);
	unnest(p, data);
	expr_end(p, e);
}

static void
then_redirect(const struct put *p, uint16_t port)
{
	uint16_t be = htons(port);
	struct expr e = expr_start(p, "immediate");

	put_be32(p, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	put_value(p, NFTA_IMMEDIATE_DATA, &be, sizeof(be));
	expr_end(p, e);
	e = expr_start(p, "redir");
	put_be32(p, NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
	put_be32(p, NFTA_REDIR_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
	expr_end(p, e);
}

static void
redirect_ports(const struct put *p, uint16_t listen_port)
{
	uint8_t tcp = IPPROTO_TCP;

	load_meta(p, NFT_META_L4PROTO);
	must_equal(p, &tcp, sizeof(tcp));
	load_payload(p, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_DPORT_OFFSET,
	    sizeof(in_port_t));
	must_be_in_ports(p);
	then_redirect(p, listen_port);
}

static void
match_local_daddr(const struct put *p)
{
	load_daddr_type(p);
	must_equal_u32(p, RTN_LOCAL);
}

static void
match_loopback_out(const struct put *p)
{
	/* The register holds a whole interface name. */
	char name[16] = "lo";

	load_meta(p, NFT_META_OIFNAME);
	must_equal(p, name, sizeof(name));
}

static void
match_own_group(const struct put *p, uint32_t gid)
{
	if (gid == 0)
		return;
	load_meta(p, NFT_META_SKGID);
	must_equal_u32(p, gid);
}

static void
match_own_mark(const struct put *p, uint32_t gid)
{
	match_own_group(p, gid);
	load_meta(p, NFT_META_MARK);
	mask_u32(p, NFT_EXEMPT_MARK);
	must_equal_u32(p, NFT_EXEMPT_MARK);
}

/* From 127.0.0.0/8, or from ::1. */
static void
match_from_loopback(const struct put *p, uint8_t nfproto)
{
	static const uint8_t net = 127;

	load_meta(p, NFT_META_NFPROTO);
	must_equal(p, &nfproto, sizeof(nfproto));
	if (nfproto == NFPROTO_IPV4) {
		load_payload(p, NFT_PAYLOAD_NETWORK_HEADER, IP_SADDR_OFFSET,
		    sizeof(net));
		must_equal(p, &net, sizeof(net));
	} else {
		load_payload(p, NFT_PAYLOAD_NETWORK_HEADER, IP6_SADDR_OFFSET,
		    sizeof(in6addr_loopback));
		must_equal(p, &in6addr_loopback, sizeof(in6addr_loopback));
	}
}

static void
put_comment(const struct put *p, const char *comment)
{
	uint8_t tlv[2 + COMMENT_MAX_BYTES + 1] = {UDATA_TABLE_COMMENT};
	size_t n = strnlen(comment, COMMENT_MAX_BYTES);

	memcpy(tlv + 2, comment, n);
	tlv[1] = (uint8_t)(n + 1);
	put_bytes(p, NFTA_TABLE_USERDATA, tlv, 2 + n + 1);
}

static void
put_table(struct nft_batch *b, const struct nft_layout *l)
{
	struct put p =
	    nft_start(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);

	put_str(&p, NFTA_TABLE_NAME, l->table);
	put_be32(&p, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
	if (l->comment != NULL)
		put_comment(&p, l->comment);
	msg_end(&p);
}

static void
put_set(struct nft_batch *b, const struct nft_layout *l)
{
	struct put p = nft_start(b, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);

	put_str(&p, NFTA_SET_TABLE, l->table);
	put_str(&p, NFTA_SET_NAME, SET_NAME);
	put_be32(&p, NFTA_SET_ID, SET_ID);
	put_be32(&p, NFTA_SET_KEY_TYPE, TYPE_INET_SERVICE);
	put_be32(&p, NFTA_SET_KEY_LEN, sizeof(in_port_t));
	msg_end(&p);
}

static void
put_chain(struct nft_batch *b, const struct nft_layout *l, const char *name,
    uint32_t hook)
{
	struct put p =
	    nft_start(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *a;

	put_str(&p, NFTA_CHAIN_TABLE, l->table);
	put_str(&p, NFTA_CHAIN_NAME, name);
	put_str(&p, NFTA_CHAIN_TYPE, "nat");
	a = nest(&p, NFTA_CHAIN_HOOK);
	put_be32(&p, NFTA_HOOK_HOOKNUM, hook);
	put_be32(&p, NFTA_HOOK_PRIORITY, (uint32_t)PRIO_BEFORE_DSTNAT);
	unnest(&p, a);
	put_be32(&p, NFTA_CHAIN_POLICY, NF_ACCEPT);
	msg_end(&p);
}

enum rule { RULE_PRE, RULE_OWN_MARK, RULE_OWN_LO4, RULE_OWN_LO6, RULE_OUT };

static void
put_exprs(const struct put *p, const struct nft_layout *l, enum rule rule)
{
	switch (rule) {
	case RULE_PRE:
		if (l->fib)
			match_local_daddr(p);
		redirect_ports(p, l->listen_port);
		break;
	case RULE_OWN_MARK:
		match_own_mark(p, l->gid);
		then_return(p);
		break;
	case RULE_OWN_LO4:
	case RULE_OWN_LO6:
		match_own_group(p, l->gid);
		match_from_loopback(
		    p, rule == RULE_OWN_LO4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
		then_return(p);
		break;
	case RULE_OUT:
		match_loopback_out(p);
		redirect_ports(p, l->listen_port);
		break;
	}
}

static void
put_rule(struct nft_batch *b, const struct nft_layout *l, enum rule rule)
{
	struct put p =
	    nft_start(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	struct nlattr *list;

	put_str(&p, NFTA_RULE_TABLE, l->table);
	put_str(&p, NFTA_RULE_CHAIN, rule == RULE_PRE ? "pre" : "out");
	list = nest(&p, NFTA_RULE_EXPRESSIONS);
	put_exprs(&p, l, rule);
	unnest(&p, list);
	msg_end(&p);
}

void
nft_put_layout(struct nft_batch *b, const struct nft_layout *l)
{
	put_table(b, l);
	put_set(b, l);
	put_chain(b, l, "pre", NF_INET_PRE_ROUTING);
	put_chain(b, l, "out", NF_INET_LOCAL_OUT);
	put_rule(b, l, RULE_PRE);
	put_rule(b, l, RULE_OWN_MARK);
	if (l->gid != 0) {
		put_rule(b, l, RULE_OWN_LO4);
		put_rule(b, l, RULE_OWN_LO6);
	}
	put_rule(b, l, RULE_OUT);
}

void
nft_put_port(struct nft_batch *b, const char *table, uint16_t port, bool add)
{
	struct put p = add ? nft_start(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE)
			   : nft_start(b, NFT_MSG_DELSETELEM, 0);
	uint16_t be = htons(port);
	struct nlattr *list, *elem;

	put_str(&p, NFTA_SET_ELEM_LIST_TABLE, table);
	put_str(&p, NFTA_SET_ELEM_LIST_SET, SET_NAME);
	list = nest(&p, NFTA_SET_ELEM_LIST_ELEMENTS);
	elem = nest(&p, NFTA_LIST_ELEM);
	put_value(&p, NFTA_SET_ELEM_KEY, &be, sizeof(be));
	unnest(&p, elem);
	unnest(&p, list);
	msg_end(&p);
}

void
nft_put_clear(struct nft_batch *b, const char *table)
{
	struct put p = nft_start(b, NFT_MSG_DELSETELEM, 0);

	/* No element named: all of them. */
	put_str(&p, NFTA_SET_ELEM_LIST_TABLE, table);
	put_str(&p, NFTA_SET_ELEM_LIST_SET, SET_NAME);
	msg_end(&p);
}
