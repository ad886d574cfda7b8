/* dns_msg: DNS questions and answers as bytes (RFC 1035). Pure, fuzzed. */
#ifndef AGENT_DNS_MSG_H
#define AGENT_DNS_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/dns_conf.h"
#include "lib/buf.h"
#include "lib/err.h"

enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_AAAA = 28,
	DNS_RCODE_OK = 0,
	DNS_RCODE_SERVFAIL = 2,
	DNS_RCODE_NXDOMAIN = 3,
	DNS_RECORDS_MAX = 64,
	DNS_CNAME_HOPS = 8,
};

struct dns_answer {
	unsigned rcode;
	bool truncated; /* ask again over TCP */
	/* A and AAAA of the question, or of what its CNAMEs lead to. */
	struct dns_record records[DNS_RECORDS_MAX];
	size_t count;
	char ptr[DNS_NAME_MAX + 1];   /* first PTR; empty = none */
	char final[DNS_NAME_MAX + 1]; /* where the CNAMEs end */
};

/* Appends one recursive question. -ERR_INVALID for what is no DNS name. */
int dns_question(struct buf *out, uint16_t id, const char *name, uint16_t type);
/*
 * Reads the answer to that question. -ERR_NOT_FOUND: not the answer to it
 * (another id or question: go on waiting); -ERR_INVALID: broken.
 */
int dns_answer_parse(struct dns_answer *a, const uint8_t *p, size_t n,
    uint16_t id, const char *name, uint16_t type);
/* "4.3.2.1.in-addr.arpa." or the ip6.arpa form. */
int dns_reverse_name(const struct dns_addr *addr, char out[DNS_NAME_MAX + 1]);

#endif
