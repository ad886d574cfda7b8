#include "config.h"

#include "agent/dns.h"

#include <stdlib.h>
#include <string.h>

#include "agent/client.h"
#include "agent/dns_lookup.h"

enum { RUNNING_MAX = 16, WAITING_MAX = 512 };

enum { QUEUE_NAMES, QUEUE_ADDRS, QUEUES };

struct request {
	struct list link;
	struct dns *dns;
	int queue;
	/* what is asked */
	struct dns_addr addr;
	enum dns_family family;
	char name[DNS_NAME_MAX + 1];
	size_t name_len; /* longer than it can be: no name */
	/* how it goes */
	struct dns_lookup *lookup;
	bool started;
	bool done;
	struct dns_result
	    *result; /* owned, as long as needed; NULL: no memory */
};

struct dns {
	struct agent_client *client;
	struct list queues[QUEUES];
	size_t count;
	size_t running;
};

struct dns *
dns_new(struct agent_client *c)
{
	struct dns *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->client = c;
	for (int i = 0; i < QUEUES; i++)
		list_init(&d->queues[i]);
	return d;
}

static void
request_free(struct request *r)
{
	list_remove(&r->link);
	r->dns->count--;
	dns_lookup_free(&r->lookup);
	free(r->result);
	free(r);
}

/* ---- answers; a result of NULL: there was no memory ---- */

static struct pm_ResponseError
error_of(const struct dns_result *r)
{
	static const uint32_t kinds[] = {
	    [DNS_NO_RECORDS] = PM_ResolveErrorKindInternal_NoRecordsFound,
	    [DNS_NO_CONNECTIONS] = PM_ResolveErrorKindInternal_NoConnections,
	    [DNS_TIMEOUT] = PM_ResolveErrorKindInternal_Timeout,
	    [DNS_PROTO] = PM_ResolveErrorKindInternal_Proto,
	    [DNS_NO_CONFIG] = PM_ResolveErrorKindInternal_NotFound,
	    /* PermissionDenied would end the client's whole session. */
	    [DNS_CONFIG_DENIED] = PM_ResolveErrorKindInternal_NotFound,
	    [DNS_BAD_NAME] = PM_ResolveErrorKindInternal_Message,
	    [DNS_NO_MEMORY] = PM_ResolveErrorKindInternal_Unknown,
	};
	enum dns_status status = r == NULL ? DNS_NO_MEMORY : r->status;
	struct pm_ResponseError e;

	memset(&e, 0, sizeof(e));
	e.tag = PM_ResponseError_DnsLookup;
	e.u.DnsLookup.kind.tag = kinds[status];
	if (status == DNS_NO_RECORDS)
		e.u.DnsLookup.kind.u.NoRecordsFound = (uint16_t)r->rcode;
	if (status == DNS_BAD_NAME)
		e.u.DnsLookup.kind.u.Message =
		    PM_STR("this is not a name that DNS can look up");
	return e;
}

static void
put_ip(struct pm_ip *out, const struct dns_addr *a)
{
	memset(out, 0, sizeof(*out));
	out->v6 = a->family == AF_INET6;
	memcpy(out->a, a->a, out->v6 ? 16 : 4);
}

static int
answer_name(struct dns *d, const struct dns_result *r)
{
	struct pm_LookupRecord records[DNS_RESULTS_MAX];
	struct pm_DaemonMessage m;

	memset(&m, 0, sizeof(m));
	m.tag = PM_DaemonMessage_GetAddrInfoResponse;
	if (r == NULL || r->status != DNS_OK) {
		m.u.GetAddrInfoResponse.tag = PM_ERR;
		m.u.GetAddrInfoResponse.u.Err = error_of(r);
		return agent_client_send(d->client, &m);
	}
	for (size_t i = 0; i < r->count; i++) {
		records[i].name = pm_str(r->records[i].name);
		put_ip(&records[i].ip, &r->records[i].addr);
	}
	m.u.GetAddrInfoResponse.u.Ok.n = r->count;
	m.u.GetAddrInfoResponse.u.Ok.v = records;
	return agent_client_send(d->client, &m);
}

static int
answer_addr(struct dns *d, const struct dns_result *r)
{
	struct pm_DaemonMessage m;
	struct pm_res_str *host = &m.u.ReverseDnsLookup.u.Ok.hostname;

	memset(&m, 0, sizeof(m));
	m.tag = PM_DaemonMessage_ReverseDnsLookup;
	if (r != NULL && r->status == DNS_OK) {
		host->u.Ok = pm_str(r->host);
	} else {
		host->tag = PM_ERR;
		host->u.Err = error_of(r);
	}
	return agent_client_send(d->client, &m);
}

static void
deliver(struct dns *d, int queue)
{
	LIST_FOR_EACH_SAFE (node, &d->queues[queue]) {
		struct request *r = LIST_ENTRY(node, struct request, link);
		int rc;

		if (!r->done)
			return;
		rc = queue == QUEUE_NAMES ? answer_name(d, r->result)
					  : answer_addr(d, r->result);
		request_free(r);
		if (rc < 0)
			return;
	}
}

/* ---- lookups ---- */

static void start_more(struct dns *d);

static struct dns_result *
result_copy(const struct dns_result *result)
{
	size_t n = offsetof(struct dns_result, records) +
		   result->count * sizeof(result->records[0]);
	struct dns_result *copy = malloc(n);

	if (copy != NULL)
		memcpy(copy, result, n);
	return copy;
}

static void
on_result(void *arg, const struct dns_result *result)
{
	struct request *r = arg;
	struct dns *d = r->dns;
	bool was_full = dns_full(d);

	r->result = result_copy(result);
	r->done = true;
	dns_lookup_free(&r->lookup);
	d->running--;
	deliver(d, r->queue);
	start_more(d);
	if (was_full && !dns_full(d))
		client_unblock(d->client);
}

static void
request_start(struct request *r)
{
	const struct dns_env *env = &r->dns->client->agent->dns_env;

	r->started = true;
	r->lookup = r->queue == QUEUE_NAMES
			? dns_lookup_name(env, r->name, r->name_len, r->family,
			      on_result, r)
			: dns_lookup_addr(env, &r->addr, on_result, r);
	if (r->lookup != NULL) {
		r->dns->running++;
		return;
	}
	r->done = true; /* without a result: no memory */
}

static void
start_more(struct dns *d)
{
	for (int q = 0; q < QUEUES; q++) {
		LIST_FOR_EACH (node, &d->queues[q]) {
			struct request *r =
			    LIST_ENTRY(node, struct request, link);

			if (d->running >= RUNNING_MAX)
				break;
			if (!r->started)
				request_start(r);
		}
		deliver(d, q);
	}
}

static struct request *
request_new(struct dns *d, int queue)
{
	struct request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->dns = d;
	r->queue = queue;
	list_push(&d->queues[queue], &r->link);
	d->count++;
	return r;
}

int
dns_request(struct dns *d, struct pm_str node, uint32_t family)
{
	static const enum dns_family families[PM_AddressFamily_COUNT] = {
	    [PM_AddressFamily_Ipv4Only] = DNS_V4,
	    [PM_AddressFamily_Ipv6Only] = DNS_V6,
	    [PM_AddressFamily_Both] = DNS_BOTH,
	    [PM_AddressFamily_Any] = DNS_ANY,
	    [PM_AddressFamily_UnknownAddressFamilyFromNewerClient] = DNS_BOTH,
	};
	struct request *r = request_new(d, QUEUE_NAMES);

	if (r == NULL)
		return -ERR_NOMEM;
	r->family =
	    family < PM_AddressFamily_COUNT ? families[family] : DNS_BOTH;
	r->name_len = node.n;
	if (node.n > 0 && node.n < sizeof(r->name))
		memcpy(r->name, node.p, node.n);
	start_more(d);
	return 0;
}

int
dns_reverse(struct dns *d, const struct pm_ip *ip)
{
	struct request *r = request_new(d, QUEUE_ADDRS);

	if (r == NULL)
		return -ERR_NOMEM;
	r->addr.family = ip->v6 ? AF_INET6 : AF_INET;
	memcpy(r->addr.a, ip->a, ip->v6 ? 16 : 4);
	start_more(d);
	return 0;
}

bool
dns_full(const struct dns *d)
{
	return d->count >= WAITING_MAX;
}

void
dns_free(struct dns **dp)
{
	struct dns *d = *dp;

	if (d == NULL)
		return;
	for (int q = 0; q < QUEUES; q++) {
		LIST_FOR_EACH_SAFE (node, &d->queues[q]) {
			request_free(LIST_ENTRY(node, struct request, link));
		}
	}
	free(d);
	*dp = NULL;
}
