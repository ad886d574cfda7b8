/*
 * dns: names to addresses. A literal is itself, then the hosts text, then
 * both families are asked at once over evdns. evdns knows no file here: its
 * name servers are taken from the text that the supervisor sends.
 */
#include "config.h"

#include <event2/dns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "workers/connector/connector.h"

struct con_dns {
	struct ev_loop *loop;
	struct evdns_base *base; /* NULL: no name server is known */
	struct buf hosts;
};

struct con_lookup {
	con_dns_fn *fn; /* NULL: cancelled */
	void *arg;
	struct con_addresses v4, v6;
	int error;        /* evdns's, of the last family that failed */
	unsigned pending; /* answers still to come */
	struct ev_soon *soon;
};

struct con_dns *
con_dns_new(struct ev_loop *loop)
{
	struct con_dns *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->loop = loop;
	buf_init(&d->hosts, 1 << 20);
	return d;
}

static void
base_free(struct con_dns *d)
{
	if (d->base == NULL)
		return;
	evdns_base_free(d->base, 1); /* lookups under way hear of it */
	d->base = NULL;
}

void
con_dns_free(struct con_dns **dp)
{
	struct con_dns *d = *dp;

	if (d == NULL)
		return;
	*dp = NULL;
	base_free(d);
	buf_free(&d->hosts);
	free(d);
}

static void
base_configure(struct evdns_base *base, const struct con_resolv *r)
{
	for (size_t i = 0; i < r->n_servers; i++) {
		if (evdns_base_nameserver_ip_add(base, r->servers[i]) != 0)
			log_warn("name server %s is not used", r->servers[i]);
	}
	for (size_t i = 0; i < r->n_search; i++)
		evdns_base_search_add(base, r->search[i]);
	if (r->ndots[0] != '\0')
		evdns_base_set_option(base, "ndots:", r->ndots);
	/* A dial has 5 s in all: ask again sooner than resolv.conf's 5 s. */
	evdns_base_set_option(
	    base, "timeout:", r->timeout[0] != '\0' ? r->timeout : "2");
	if (r->attempts[0] != '\0')
		evdns_base_set_option(base, "attempts:", r->attempts);
}

int
con_dns_set(struct con_dns *d, struct span resolv_conf, struct span hosts)
{
	struct con_resolv r;

	buf_clear(&d->hosts);
	if (buf_append(&d->hosts, hosts.p, hosts.n) < 0)
		return -ERR_NOMEM;
	con_resolv_parse(resolv_conf, &r);
	base_free(d);
	if (r.n_servers == 0)
		return 0;
	d->base = evdns_base_new(ev_loop_base(d->loop), 0);
	if (d->base == NULL)
		return -ERR_NOMEM;
	base_configure(d->base, &r);
	return 0;
}

/* IPv6 and IPv4 in turn, IPv6 first (RFC 8305). */
static void
interleave(const struct con_lookup *l, struct con_addresses *out)
{
	out->n = 0;
	for (size_t i = 0; i < CON_ADDRESSES_MAX; i++) {
		if (i < l->v6.n)
			con_addresses_add(out, &l->v6.ip[i]);
		if (i < l->v4.n)
			con_addresses_add(out, &l->v4.ip[i]);
	}
}

static void
lookup_done(struct con_lookup *l)
{
	struct con_addresses all;

	if (l->pending > 0)
		return;
	interleave(l, &all);
	if (l->fn != NULL)
		l->fn(l->arg, &all,
		    all.n > 0 ? "" : evdns_err_to_string(l->error));
	ev_soon_free(&l->soon);
	free(l);
}

static void
on_answer(int result, char type, int count, int ttl, void *addresses, void *arg)
{
	struct con_lookup *l = arg;
	struct con_ip ip;

	(void)ttl;
	l->pending--;
	if (result != DNS_ERR_NONE)
		l->error = result;
	for (int i = 0; result == DNS_ERR_NONE && i < count; i++) {
		if (type == DNS_IPv4_A) {
			ip.family = AF_INET;
			memcpy(&ip.u.v4, (const char *)addresses + 4 * i, 4);
			con_addresses_add(&l->v4, &ip);
		} else if (type == DNS_IPv6_AAAA) {
			ip.family = AF_INET6;
			memcpy(&ip.u.v6, (const char *)addresses + 16 * i, 16);
			con_addresses_add(&l->v6, &ip);
		}
	}
	lookup_done(l);
}

/* Known without asking: the answer still comes from the loop. */
static void
on_known(void *arg)
{
	struct con_lookup *l = arg;

	l->pending--;
	lookup_done(l);
}

static void
lookup_ask(struct con_dns *d, struct con_lookup *l, const char *name)
{
	l->error = DNS_ERR_SERVERFAILED;
	if (d->base == NULL)
		return;
	l->pending += 2;
	if (evdns_base_resolve_ipv6(d->base, name, 0, on_answer, l) == NULL)
		l->pending--;
	if (evdns_base_resolve_ipv4(d->base, name, 0, on_answer, l) == NULL)
		l->pending--;
}

struct con_lookup *
con_dns_lookup(struct con_dns *d, const char *name, con_dns_fn *fn, void *arg)
{
	struct con_lookup *l = calloc(1, sizeof(*l));
	struct con_ip ip;

	if (l == NULL)
		return NULL;
	l->fn = fn;
	l->arg = arg;
	l->soon = ev_soon_new(d->loop, on_known, l);
	if (l->soon == NULL) {
		free(l);
		return NULL;
	}
	if (con_ip_parse(name, &ip))
		con_addresses_add(ip.family == AF_INET ? &l->v4 : &l->v6, &ip);
	else if (!con_hosts_find(buf_span(&d->hosts), name, &l->v4))
		lookup_ask(d, l, name);
	if (l->pending == 0) {
		l->pending = 1;
		ev_soon_set(l->soon);
	}
	return l;
}

void
con_lookup_cancel(struct con_lookup **lp)
{
	/* Its answers still come, and free it. */
	if (*lp != NULL)
		(*lp)->fn = NULL;
	*lp = NULL;
}
