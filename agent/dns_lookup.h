/*
 * dns_lookup: a name or an address looked up as a program in the target would
 * do it: literal addresses, the target's hosts file, then its name servers
 * with search domains. Both files are read afresh each time, on a thread.
 */
#ifndef AGENT_DNS_LOOKUP_H
#define AGENT_DNS_LOOKUP_H

#include "agent/dns_conf.h"
#include "agent/dns_msg.h"
#include "lib/ev.h"

struct pool;

/* What lookups need; must outlive them. */
struct dns_env {
	struct ev_loop *loop;
	struct pool *pool;
	int root_fd;
	unsigned attempts;  /* 0 = as resolv.conf says */
	unsigned timeout_s; /* 0 = as resolv.conf says */
};

enum dns_status {
	DNS_OK,
	DNS_NO_RECORDS, /* rcode tells: 0 no data, 3 no such name */
	DNS_NO_CONNECTIONS,
	DNS_TIMEOUT,
	DNS_PROTO,
	DNS_NO_CONFIG, /* no resolv.conf in the target */
	DNS_CONFIG_DENIED,
	DNS_BAD_NAME,
	DNS_NO_MEMORY,
};

enum { DNS_RESULTS_MAX = 2 * DNS_RECORDS_MAX };

struct dns_result {
	enum dns_status status;
	unsigned rcode;
	char host[DNS_NAME_MAX + 1]; /* reverse: without a final dot */
	size_t count;
	struct dns_record records[DNS_RESULTS_MAX]; /* last: copied short */
};

enum dns_family { DNS_V4, DNS_V6, DNS_BOTH, DNS_ANY };

struct dns_lookup;
/* The lookup is over when this is called: free it, also from inside. */
typedef void dns_lookup_fn(void *arg, const struct dns_result *r);

/* NULL without memory. fn is called from the loop, never from inside. */
struct dns_lookup *dns_lookup_name(const struct dns_env *env, const char *name,
    size_t name_len, enum dns_family family, dns_lookup_fn *fn, void *arg);
struct dns_lookup *dns_lookup_addr(const struct dns_env *env,
    const struct dns_addr *addr, dns_lookup_fn *fn, void *arg);
void dns_lookup_free(struct dns_lookup **l);

#endif
