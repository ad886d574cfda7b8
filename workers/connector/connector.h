/*
 * connector: the one worker that may connect. It holds nothing secret and
 * reads no byte of what flows: it resolves a configured name, connects, and
 * passes the descriptor on.
 *
 * It serves: secrets and the cluster workers (configured clusters), the own
 * cluster's worker (pod addresses). What they ask is not trusted: the address
 * comes from the configuration or must lie inside agent.podCidrs. What comes
 * from DNS is not trusted either: it decides where a connection ends, and TLS
 * checks who is there.
 *
 *   policy.c  what may be asked, by whom
 *   hosts.c   the texts of resolv.conf and hosts
 *   dns.c     names to addresses (evdns)
 *   dial.c    addresses to a connected socket
 */
#ifndef WORKERS_CONNECTOR_CONNECTOR_H
#define WORKERS_CONNECTOR_CONNECTOR_H

#include <netinet/in.h>
#include <stdbool.h>

#include "lib/list.h"
#include "workers/worker.h"

enum {
	CON_DIAL_MS = 5000,      /* name, addresses and connect together */
	CON_NEXT_MS = 250,       /* before the next address is tried too */
	CON_ADDRESSES_MAX = 16,  /* of one name */
	CON_DIALS_PER_PEER = 64, /* at a time */
	CON_HOST_BYTES = 254,
	CON_POD_PORT_MIN = 1024,
};

enum con_kind { CON_CLUSTER, CON_SERVICE, CON_POD };

/* A literal address without its port. */
struct con_ip {
	int family; /* AF_INET, AF_INET6 */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} u;
};

struct con_addresses {
	struct con_ip ip[CON_ADDRESSES_MAX];
	size_t n;
};

struct con_dns;

struct con {
	struct worker *w;
	struct con_dns *dns;
	struct list dials;
};

/* ---- policy.c ---- */

struct con_endpoint {
	char host[CON_HOST_BYTES];
	uint16_t port;
};
/*
 * Where m leads when who asks it: -ERR_DENIED, -ERR_NOT_FOUND with a
 * sentence. config is the worker's section.
 */
int con_policy(const cJSON *config, const struct ipc_peer *who,
    const struct ipc_connect *m, struct con_endpoint *out, struct err *e);
/* "https://host:port/..." */
int con_url_parse(const char *url, struct con_endpoint *out);
bool con_ip_parse(const char *text, struct con_ip *out);
/* "10.0.0.0/8" contains ip. False for a malformed network. */
bool con_cidr_contains(const char *cidr, const struct con_ip *ip);

/* ---- hosts.c ---- */

struct con_resolv {
	char servers[3][64];
	size_t n_servers;
	char search[6][CON_HOST_BYTES];
	size_t n_search;
	char ndots[8], timeout[8], attempts[8]; /* "" = not given */
};
/* Unknown lines are skipped, as in resolv.conf(5). */
void con_resolv_parse(struct span text, struct con_resolv *out);
/* Adds what the hosts file says of name (any case); true when it says. */
bool con_hosts_find(
    struct span text, const char *name, struct con_addresses *out);
/* Adds an address once; false when there is no room. */
bool con_addresses_add(struct con_addresses *a, const struct con_ip *ip);

/* ---- dns.c ---- */

struct con_lookup;
/* Called once, from the loop; n = 0 with *why set when there is none. */
typedef void con_dns_fn(
    void *arg, const struct con_addresses *addresses, const char *why);

struct con_dns *con_dns_new(struct ev_loop *loop);
void con_dns_free(struct con_dns **d);
/* The supervisor's files, at the start and when they change. */
int con_dns_set(struct con_dns *d, struct span resolv_conf, struct span hosts);
struct con_lookup *con_dns_lookup(
    struct con_dns *d, const char *name, con_dns_fn *fn, void *arg);
void con_lookup_cancel(struct con_lookup **l); /* fn is not called then */

/* ---- dial.c ---- */

/* Answers who with CONNECTED, within CON_DIAL_MS. */
void con_dial_start(struct con *con, struct ipc_peer *who, uint32_t request,
    const struct con_endpoint *to);
/* Refuses without trying. */
void con_dial_refuse(struct ipc_peer *who, uint32_t request, const char *text);
unsigned con_dial_count(const struct con *con, const struct ipc_peer *who);
/* who is gone: nobody to answer. NULL: all of them. */
void con_dial_cancel(struct con *con, const struct ipc_peer *who);

extern const struct sys_sandbox con_sandbox;

#endif
