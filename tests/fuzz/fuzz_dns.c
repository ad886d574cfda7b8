/*
 * fuzz_dns: what the agent reads of name servers and of the target's files.
 * The first byte chooses: an answer, resolv.conf and names from it, or hosts.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "agent/dns_conf.h"
#include "agent/dns_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_name(const char *name)
{
	if (strnlen(name, DNS_NAME_MAX + 1) > DNS_NAME_MAX)
		abort();
}

/* The answer's own question makes it match, so that all of it is read. */
static void
answer(const uint8_t *p, size_t n)
{
	static const uint16_t types[] = {
	    DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_PTR};
	struct dns_answer a;
	uint16_t id = n < 2 ? 0 : (uint16_t)(p[0] << 8 | p[1]);

	for (int i = 0; i < 3; i++) {
		(void)dns_answer_parse(&a, p, n, id, "a.test.", types[i]);
		check_name(a.final);
		check_name(a.ptr);
		if (a.count > DNS_RECORDS_MAX)
			abort();
		for (size_t k = 0; k < a.count; k++)
			check_name(a.records[k].name);
	}
}

static void
conf(const uint8_t *p, size_t n)
{
	static const char *const names[] = {"a", "a.b", "a.b.c.", "."};
	char name[DNS_NAME_MAX + 1];
	struct dns_conf c;
	struct buf b;

	dns_conf_parse(&c, (const char *)p, n);
	if (c.server_count == 0 || c.attempts == 0 || c.timeout_ms == 0)
		abort();
	buf_init(&b, 1024);
	for (int i = 0; i < 4; i++) {
		for (size_t k = 0; dns_candidate(&c, names[i], k, name); k++) {
			check_name(name);
			if (k > DNS_SEARCH_MAX)
				abort();
			buf_clear(&b);
			(void)dns_question(&b, 1, name, DNS_TYPE_A);
		}
	}
	buf_free(&b);
}

static void
hosts(const uint8_t *p, size_t n)
{
	struct dns_record found[8];
	struct dns_hosts h;

	if (dns_hosts_parse(&h, (const char *)p, n) < 0)
		return;
	for (size_t i = 0; i < h.count && i < 64; i++) {
		check_name(h.rows[i].name);
		if (dns_hosts_find(&h, h.rows[i].name, h.rows[i].addr.family,
			found, 8) == 0)
			abort();
		if (dns_hosts_name(&h, &h.rows[i].addr) == NULL)
			abort();
	}
	dns_hosts_free(&h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % 3 == 0)
		answer(data + 1, size - 1);
	else if (data[0] % 3 == 1)
		conf(data + 1, size - 1);
	else
		hosts(data + 1, size - 1);
	return 0;
}
