/*
 * incoming: subscriptions and what becomes of redirected connections. A
 * connection that was redirected and that nobody steals is passed on to the
 * target, always: so none is lost while subscriptions come and go, and a port
 * needs no state to drain. The kernel's set of ports follows the table here;
 * a change that fails is tried again, never fatal.
 */
#include "config.h"

#include "agent/incoming.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/incoming_priv.h"
#include "agent/incoming_wire.h"
#include "agent/mirror.h"
#include "agent/passthrough.h"
#include "agent/redirect.h"
#include "agent/sockdiag.h"
#include "agent/steal.h"
#include "lib/clock.h"
#include "lib/log.h"

enum {
	RETRY_MS = 1000,
	STOP_TICK_MS = 20,
	STOP_GRACE_MS = 300, /* for handshakes that are under way */
	STOP_LIMIT_MS = 5000,
};

static void incoming_sweep(struct incoming *in);
static void incoming_stop_turn(struct incoming *in);

/* The stealer, or else the target; a client lost just now does not count. */
static void
on_redirected(void *arg, int fd, const struct incoming_flow *flow)
{
	struct incoming *in = arg;
	struct incoming_port *p = incoming_table_find(&in->table, flow->port);

	in->last_accept_ms = clock_mono_ms();
	if (p != NULL && p->stealer != NULL && steal_start(in, fd, flow, p))
		return;
	passthrough_start(in, fd, flow, p);
}

static void
on_sweep(void *arg)
{
	struct incoming *in = arg;

	if (in->stopping)
		incoming_stop_turn(in);
	else
		incoming_sweep(in);
}

static int
incoming_setup(struct incoming *in, struct err *e)
{
	struct agent *a = in->agent;
	char comment[100];

	in->sweep = ev_timer_new(a->loop, on_sweep, in);
	if (in->sweep == NULL || half_pipes_init(&in->pipes) < 0)
		return err_nomem(e);
	snprintf(comment, sizeof(comment), "tributary-agent%s%.60s",
	    a->opt.name == NULL ? "" : " ",
	    a->opt.name == NULL ? "" : a->opt.name);
	return redirect_new(
	    &in->redirect, a->loop, a->gid, comment, on_redirected, in, e);
}

int
incoming_init(struct agent *a, struct err *e)
{
	struct incoming *in = calloc(1, sizeof(*in));
	int rc;

	if (in == NULL)
		return err_nomem(e);
	in->agent = a;
	incoming_table_init(&in->table);
	list_init(&in->clients);
	list_init(&in->passes);
	list_init(&in->steals);
	a->incoming = in;
	signal(SIGPIPE, SIG_IGN); /* splice(2) has no MSG_NOSIGNAL */
	rc = incoming_setup(in, e);
	if (rc < 0) {
		incoming_deinit(a);
		return rc;
	}
	log_info("traffic can be redirected table=%s listener=%u",
	    redirect_table(in->redirect), redirect_listen_port(in->redirect));
	return 0;
}

void
incoming_deinit(struct agent *a)
{
	struct incoming *in = a->incoming;

	if (in == NULL)
		return;
	LIST_FOR_EACH_SAFE (n, &in->clients)
		incoming_client_gone(
		    a, LIST_ENTRY(n, struct incoming_client, link)->client);
	steal_abort_all(in);
	passthrough_abort_all(in);
	redirect_free(&in->redirect);
	half_pipes_deinit(&in->pipes);
	ev_timer_free(&in->sweep);
	incoming_table_deinit(&in->table);
	free(in);
	a->incoming = NULL;
}

size_t
incoming_live(const struct agent *a)
{
	return a->incoming == NULL ? 0 : a->incoming->live;
}

/* NULL when memory is out. */
static struct incoming_client *
client_of(struct agent_client *c)
{
	struct incoming_client *ic = c->incoming;

	if (ic != NULL)
		return ic;
	ic = calloc(1, sizeof(*ic));
	if (ic == NULL)
		return NULL;
	ic->in = c->agent->incoming;
	ic->client = c;
	map_init(&ic->steals);
	map_init(&ic->taps);
	agent_wait_init(&ic->lag_wait, mirror_tell_lag, ic);
	list_push(&ic->in->clients, &ic->link);
	c->incoming = ic;
	return ic;
}

/* A port that nobody uses any more leaves the set, after its linger time. */
static void
port_left(void *arg, struct incoming_port *p)
{
	struct incoming *in = arg;

	if (!incoming_port_used(p))
		p->remove_at_ms = clock_mono_ms() +
				  (uint64_t)in->agent->opt.port_linger_s * 1000;
}

/* Some port that is due, or NULL; *next_r = when the next one will be. */
static struct incoming_port *
next_due(struct incoming *in, uint64_t now, uint64_t *next_r)
{
	struct incoming_port *p;
	size_t pos = 0;

	*next_r = UINT64_MAX;
	while ((p = map_next(&in->table.ports, &pos, NULL)) != NULL) {
		if (incoming_port_used(p))
			continue;
		if (p->remove_at_ms <= now)
			return p;
		if (p->remove_at_ms < *next_r)
			*next_r = p->remove_at_ms;
	}
	return NULL;
}

static void
incoming_sweep(struct incoming *in)
{
	uint64_t now = clock_mono_ms(), next;
	struct incoming_port *p;

	if (in->stopping)
		return; /* the whole set goes */
	while ((p = next_due(in, now, &next)) != NULL) {
		struct err e = {0};

		if (p->redirected &&
		    redirect_del(in->redirect, p->port, &e) < 0) {
			log_error("%s; trying again", e.text);
			p->remove_at_ms = now + RETRY_MS;
			continue;
		}
		if (p->redirected) {
			log_info("port no longer redirected port=%u", p->port);
			in->last_removal_ms = now;
		}
		incoming_table_remove(&in->table, p);
	}
	if (next != UINT64_MAX)
		ev_timer_set(in->sweep, next - now);
}

static bool
keep_own(void *arg, uint16_t peer_port)
{
	return passthrough_has_local_port(arg, peer_port);
}

/* What was connected before the port was redirected shall come back. */
static void
flush_old(struct incoming *in, uint16_t port)
{
	struct err e = {0};
	size_t count;

	if (sockdiag_flush(port, keep_own, in, &count, &e) < 0)
		log_warn("connections from before the subscription stay with "
			 "the target port=%u: %s",
		    port, e.text);
	else
		log_info("connections reset port=%u count=%zu", port, count);
}

static int
ensure_redirected(struct incoming *in, struct incoming_port *p, struct err *e)
{
	int rc;

	p->remove_at_ms = 0;
	if (p->redirected)
		return 0;
	rc = redirect_add(in->redirect, p->port, e);
	if (rc < 0)
		return rc;
	p->redirected = true;
	log_info("port redirected port=%u", p->port);
	if (in->agent->opt.flush_connections)
		flush_old(in, p->port);
	return 0;
}

static void
leave_port(struct incoming_client *ic, enum incoming_side side, uint16_t port)
{
	struct incoming *in = ic->in;
	struct incoming_port *p =
	    side == INCOMING_STEAL
		? incoming_table_unsteal(&in->table, port, ic)
		: incoming_table_unmirror(&in->table, port, ic);

	if (p == NULL)
		return;
	port_left(in, p);
	incoming_sweep(in);
}

static void
subscribe_failed(struct incoming_client *ic, enum incoming_side side,
    uint16_t port, const struct err *e)
{
	log_error("subscription failed client=%llu port=%u: %s",
	    (unsigned long long)ic->client->id, port, e->text);
	agent_client_log(ic->client, LOG_LV_ERROR,
	    "The agent could not redirect port %u: %s.", port, e->text);
	leave_port(ic, side, port);
	(void)wire_subscribe_failed(ic->client, side, e->sys_errno);
}

static void
subscribe(struct agent_client *c, enum incoming_side side, uint16_t port)
{
	struct incoming_client *ic = client_of(c);
	struct incoming_port *p = NULL;
	struct err e = {0};

	if (ic == NULL) {
		(void)wire_subscribe_failed(c, side, ENOMEM);
		return;
	}
	/* No redirect while stopping: the set has been emptied for good. */
	if (ic->in->stopping) {
		err_sys(&e, ESHUTDOWN, "the agent is about to end");
		subscribe_failed(ic, side, port, &e);
		return;
	}
	p = side == INCOMING_STEAL
		? incoming_table_steal(&ic->in->table, port, ic)
		: incoming_table_mirror(&ic->in->table, port, ic);
	if (p == NULL)
		(void)err_sys(&e, ENOMEM, "no memory for the subscription");
	if (p == NULL || ensure_redirected(ic->in, p, &e) < 0) {
		subscribe_failed(ic, side, port, &e);
		return;
	}
	if (side == INCOMING_STEAL && ic->in->agent->opt.flush_connections)
		passthrough_abort_port(ic->in, port);
	log_info("subscribed client=%llu port=%u how=%s",
	    (unsigned long long)c->id, port,
	    side == INCOMING_STEAL ? "steal" : "mirror");
	(void)wire_subscribed(c, side, port);
}

static void
unsubscribe(struct agent_client *c, enum incoming_side side, uint16_t port)
{
	struct incoming_client *ic = c->incoming;

	if (ic != NULL)
		leave_port(ic, side, port);
}

void
incoming_on_tcp(struct agent_client *c, const struct pm_LayerTcp *m)
{
	switch (m->tag) {
	case PM_LayerTcp_PortSubscribe:
		subscribe(c, INCOMING_MIRROR, m->u.PortSubscribe);
		break;
	case PM_LayerTcp_PortSubscribeFilteredHttp:
		(void)wire_refuse_mirror(c, m->u.PortSubscribeFilteredHttp._0);
		break;
	case PM_LayerTcp_PortUnsubscribe:
		unsubscribe(c, INCOMING_MIRROR, m->u.PortUnsubscribe);
		break;
	case PM_LayerTcp_ConnectionUnsubscribe:
		if (c->incoming != NULL)
			mirror_unsubscribe(
			    c->incoming, m->u.ConnectionUnsubscribe);
		break;
	default:
		break;
	}
}

void
incoming_on_steal(struct agent_client *c, const struct pm_LayerTcpSteal *m)
{
	const struct pm_StealType *type = &m->u.PortSubscribe;

	switch (m->tag) {
	case PM_LayerTcpSteal_PortSubscribe:
		if (type->tag == PM_StealType_All)
			subscribe(c, INCOMING_STEAL, type->u.All);
		else
			(void)wire_refuse_steal(c, type);
		break;
	case PM_LayerTcpSteal_PortUnsubscribe:
		unsubscribe(c, INCOMING_STEAL, m->u.PortUnsubscribe);
		break;
	case PM_LayerTcpSteal_ConnectionUnsubscribe:
		if (c->incoming != NULL)
			steal_unsubscribe(
			    c->incoming, m->u.ConnectionUnsubscribe);
		break;
	case PM_LayerTcpSteal_Data:
		if (c->incoming != NULL)
			steal_data(c->incoming, m->u.Data.connection_id,
			    m->u.Data.bytes.p, m->u.Data.bytes.n);
		break;
	default:
		/* HTTP responses: no request was ever sent as such. */
		break;
	}
}

void
incoming_client_gone(struct agent *a, struct agent_client *c)
{
	struct incoming_client *ic = c->incoming;
	struct incoming *in = a->incoming;

	if (ic == NULL)
		return;
	incoming_table_forget(&in->table, ic, port_left, in);
	incoming_sweep(in);
	steal_client_gone(ic);
	mirror_client_gone(ic);
	list_remove(&ic->link);
	free(ic);
	c->incoming = NULL;
}

/* Empties the kernel's set; later connections reach the target by themselves.
 */
static void
stop_redirecting(struct incoming *in, uint64_t now)
{
	struct err e = {0};

	if (in->cleared)
		return;
	if (redirect_clear(in->redirect, &e) < 0) {
		log_error("%s; trying again", e.text);
		return;
	}
	in->cleared = true;
	if (in->table.ports.count > 0)
		in->last_removal_ms = now;
}

static bool
quiet(const struct incoming *in, uint64_t now)
{
	return in->cleared && in->live == 0 &&
	       now >= in->last_accept_ms + STOP_GRACE_MS &&
	       now >= in->last_removal_ms + STOP_GRACE_MS;
}

static void
incoming_stop_turn(struct incoming *in)
{
	uint64_t now = clock_mono_ms();
	ev_fn *done = in->done;

	if (done == NULL)
		return;
	stop_redirecting(in, now);
	if (!quiet(in, now) && now < in->stop_by_ms) {
		ev_timer_set(in->sweep, STOP_TICK_MS);
		return;
	}
	if (in->live > 0)
		log_warn("connections cut at the end count=%zu", in->live);
	steal_abort_all(in);
	passthrough_abort_all(in);
	in->done = NULL;
	done(in->done_arg);
}

void
incoming_shutdown(struct agent *a, ev_fn *done, void *arg)
{
	struct incoming *in = a->incoming;

	in->stopping = true;
	in->stop_by_ms = clock_mono_ms() + STOP_LIMIT_MS;
	in->done = done;
	in->done_arg = arg;
	ev_timer_set(in->sweep, 0);
}
