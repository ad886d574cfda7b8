/*
 * kinds: the handlers of the table that need a few lines only.
 */
#include "config.h"

#include "route/route_int.h"

#include <string.h>

/* Where the payload begins: behind the kind, which may be over-long. */
static size_t
payload_at(struct span raw)
{
	uint64_t kind;
	int n = pm_get_varint(raw.p, raw.n, &kind);

	return n < 0 ? raw.n : (size_t)n;
}

struct span
rt_text_of(struct span raw)
{
	size_t at = payload_at(raw);
	uint64_t n;
	int k = pm_get_varint(raw.p + at, raw.n - at, &n);

	if (k < 0 || n > raw.n - at - (size_t)k)
		return (struct span){NULL, 0};
	return (struct span){raw.p + at + k, (size_t)n};
}

/* The client leaves: tell all, then everything ends. */
void
rt_on_close_client(
    struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	(void)slot;
	(void)m;
	for (int s = 0; s < r->cfg.n_slots; s++) {
		struct child *c = r->child[s];

		/* Behind a message cut short a Close would be its body. */
		if (c != NULL && !c->busy[ROUTE_TRAFFIC])
			rt_own_to_child(r, s, raw);
	}
	rt_drop_client(r, ROUTE_DROP_LEFT, "the client said goodbye");
}

/* Answered here, so that latency is measured hop by hop. */
void
rt_on_operator_ping(
    struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	uint8_t msg[18] = {PM_ClientMessage_OperatorPong};
	size_t at = payload_at(raw), n = raw.n - at;

	(void)m;
	if (n > sizeof(msg) - 1)
		return; /* no u128 is longer; the scan made sure */
	memcpy(msg + 1, raw.p + at, n);
	rt_own_to_child(r, slot, (struct span){msg, n + 1});
}

void
rt_on_close_daemon(
    struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	struct span text = rt_text_of(raw);

	(void)m;
	if (text.n > 200)
		text.n = 200;
	rt_child_fail(r, slot, ROUTE_FAIL_CLOSED, "it said: %.*s", (int)text.n,
	    text.p == NULL ? "" : (const char *)text.p);
}

/*
 * Reverse look-ups and VPN messages are fatal for a client that did not begin
 * with them, so each is let through only to one that did.
 */
bool
rt_admit_reverse_dns(struct route *r, int slot)
{
	(void)slot;
	if (r->reverse_dns < UINT32_MAX)
		r->reverse_dns++;
	return true;
}

bool
rt_admit_reverse_dns_reply(struct route *r, int slot)
{
	(void)slot;
	if (r->reverse_dns == 0)
		return false;
	r->reverse_dns--;
	return true;
}

bool
rt_admit_vpn(struct route *r, int slot)
{
	(void)slot;
	r->vpn = true;
	return true;
}

bool
rt_admit_vpn_reply(struct route *r, int slot)
{
	(void)slot;
	return r->vpn;
}
