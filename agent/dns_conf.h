/*
 * dns_conf: the target's resolv.conf and hosts files as tables. Pure; the
 * text comes from the target and is not trusted.
 */
#ifndef AGENT_DNS_CONF_H
#define AGENT_DNS_CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/err.h"

enum {
	DNS_NAME_MAX = 254, /* text, final dot included */
	DNS_SERVERS_MAX = 8,
	DNS_SEARCH_MAX = 16,
	DNS_HOSTS_MAX = 65536,
};

struct dns_addr {
	int family; /* AF_INET, AF_INET6 */
	uint8_t a[16];
};

/* A name and its address, as answered to a client. */
struct dns_record {
	char name[DNS_NAME_MAX + 1];
	struct dns_addr addr;
};

struct dns_conf {
	struct sockaddr_storage servers[DNS_SERVERS_MAX];
	size_t server_count;
	char search[DNS_SEARCH_MAX][DNS_NAME_MAX + 1];
	size_t search_count;
	unsigned ndots;      /* 0..15 */
	unsigned timeout_ms; /* per try */
	unsigned attempts;   /* rounds over all servers */
	bool use_tcp;
};

/* Defaults are those of resolv.conf(5); malformed lines are skipped. */
void dns_conf_parse(struct dns_conf *c, const char *text, size_t n);

struct dns_host {
	struct dns_addr addr;
	const char *name; /* into dns_hosts.text; lower case */
};

struct dns_hosts {
	char *text;            /* owned */
	struct dns_host *rows; /* owned; in file order, canonical name first */
	size_t count;
};

int dns_hosts_parse(struct dns_hosts *h, const char *text, size_t n);
void dns_hosts_free(struct dns_hosts *h);
/* Addresses of name (any case) in family into out. Returns how many. */
size_t dns_hosts_find(const struct dns_hosts *h, const char *name, int family,
    struct dns_record *out, size_t max);
/* The first name of an address; NULL when there is none. */
const char *dns_hosts_name(
    const struct dns_hosts *h, const struct dns_addr *addr);

/* "127.0.0.1", "::1", "fe80::1%eth0" (the zone is dropped). */
bool dns_addr_parse(const char *s, struct dns_addr *out);
bool dns_addr_equal(const struct dns_addr *a, const struct dns_addr *b);

/*
 * The i-th full name (with its final dot) to ask for: name as it stands and
 * with each search domain, in the order that ndots asks for. False when there
 * is no i-th; a candidate that is too long comes out empty (skip it).
 */
bool dns_candidate(const struct dns_conf *c, const char *name, size_t i,
    char out[DNS_NAME_MAX + 1]);

#endif
