/*
 * Random histories: agents that all count their connections from 0, a client,
 * losses, pieces, pings, subscriptions and passing time, from seeds
 * (arguments: first and last, or a fixed set). Checked all the time: every byte
 * arrives at the connection it was sent on, in order, once; no connection id
 * comes twice; never a Pong too many. At the end nothing is owed or stuck.
 */
#include "config.h"

#include "tests/unit/route/rig.h"

#include "protocol/pm_msg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNS = 4096, OUT = 512, STEPS = 6000 };

/* One connection at an agent; its number is in its peer's address. */
struct conn {
	int slot;
	uint64_t agent_id, client_id;
	enum pm_space space;
	bool at_agent;  /* the agent has it open */
	bool at_client; /* the client was told, and neither closed nor left */
	bool known;     /* the client was told */
	uint32_t up_sent, up_got, down_sent, down_got;
};

/* Messages a source has made; the first may be half fed. */
struct outbox {
	struct buf msg[OUT];
	int head, n;
	size_t at;
};

struct agent {
	bool up;
	uint64_t next_id[2];
	struct outbox out;
};

struct world {
	struct rig g;
	uint64_t rand;
	struct conn conn[CONNS];
	int n_conn;
	struct agent agent[8];
	struct outbox out; /* the client's */
	int pings, pongs, subs, results, files, file_answers;
	bool ended; /* the router dropped the client, as it may */
};

static uint32_t
rnd(struct world *w, uint32_t n)
{
	w->rand = w->rand * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->rand >> 33) % n;
}

/* ---- outboxes ---- */

static void
out_put(struct outbox *o, struct buf b)
{
	assert_true(o->n < OUT);
	o->msg[(o->head + o->n++) % OUT] = b;
}

static void
out_clear(struct outbox *o)
{
	for (; o->n > 0; o->n--, o->head = (o->head + 1) % OUT)
		buf_free(&o->msg[o->head]);
	o->at = 0;
}

/* Feed one piece of the first message. src -1 = the client. */
static bool
out_feed(struct world *w, struct outbox *o, int src)
{
	const struct buf *b = &o->msg[o->head];
	size_t left = b->len - o->at, n = left;
	const uint8_t *p = buf_data(b) + o->at;
	bool first = o->at == 0, last;
	int rc;

	if (left > ROUTE_WHOLE_MAX || !first || rnd(w, 8) == 0)
		n = 1 + rnd(w, 40000);
	if (n > left)
		n = left;
	last = n == left;
	if (src < 0)
		rc = route_from_client(
		    w->g.r, ROUTE_TRAFFIC, p, n, first, last, w->g.now);
	else
		rc = route_from_child(
		    w->g.r, src, ROUTE_TRAFFIC, p, n, first, last, w->g.now);
	if (rc == ROUTE_LATER || w->g.drops > 0)
		return false;
	assert_int_equal(rc, 0);
	o->at += n;
	if (last) {
		buf_free(&o->msg[o->head]);
		o->head = (o->head + 1) % OUT;
		o->n--;
		o->at = 0;
	}
	return true;
}

/* ---- contents: connection, place in its stream, bytes made of both ---- */

static uint8_t
byte_of(uint32_t conn, uint32_t seq, size_t i)
{
	uint64_t h = ((uint64_t)conn << 32 | seq) * 0x9e3779b97f4a7c15u + i;

	return (uint8_t)((h * 0xff51afd7ed558ccdu) >> 56);
}

static struct span
content(struct world *w, uint32_t conn, uint32_t seq)
{
	static uint8_t b[200000];
	size_t n = 8 + (rnd(w, 12) == 0 ? rnd(w, 190000) : rnd(w, 200));

	memcpy(b, &conn, 4);
	memcpy(b + 4, &seq, 4);
	for (size_t i = 8; i < n; i++)
		b[i] = byte_of(conn, seq, i);
	return (struct span){b, n};
}

static void
check_content(struct span s, uint32_t conn, uint32_t seq)
{
	uint32_t v;

	assert_true(s.n >= 8);
	memcpy(&v, s.p, 4);
	assert_int_equal(v, conn);
	memcpy(&v, s.p + 4, 4);
	assert_int_equal(v, seq);
	for (size_t i = 8; i < s.n; i++)
		assert_int_equal(s.p[i], byte_of(conn, seq, i));
}

/* ---- messages ---- */

static struct buf
daemon_msg(const struct pm_DaemonMessage *m)
{
	struct buf b;

	buf_init(&b, 0);
	assert_int_equal(pm_encode_daemon(m, &b, NULL), 0);
	return b;
}

static struct buf
client_msg(const struct pm_ClientMessage *m)
{
	struct buf b;

	buf_init(&b, 0);
	assert_int_equal(pm_encode_client(m, &b, NULL), 0);
	return b;
}

static struct pm_DaemonMessage
daemon_tcp(const struct conn *c, uint32_t tag)
{
	struct pm_DaemonMessage m;

	memset(&m, 0, sizeof(m));
	m.tag = c->space == PM_SPACE_STEAL ? PM_DaemonMessage_TcpSteal
					   : PM_DaemonMessage_Tcp;
	m.u.TcpSteal.tag = tag;
	return m;
}

static void
agent_opens(struct world *w, int slot)
{
	struct agent *a = &w->agent[slot];
	struct conn *c = &w->conn[w->n_conn];
	struct pm_NewTcpConnectionV1 *v;
	struct pm_DaemonMessage m;

	/* It has no subscription before it takes part. */
	if (!route_child_is_live(w->g.r, slot) || w->n_conn == CONNS ||
	    a->out.n >= OUT / 2)
		return;
	memset(c, 0, sizeof(*c));
	c->slot = slot;
	c->space = rnd(w, 4) == 0 ? PM_SPACE_MIRROR : PM_SPACE_STEAL;
	c->agent_id = a->next_id[c->space == PM_SPACE_STEAL]++;
	c->at_agent = true;
	m = daemon_tcp(c, PM_DaemonTcp_NewConnectionV1);
	v = &m.u.TcpSteal.u.NewConnectionV1;
	v->connection_id = c->agent_id;
	memcpy(v->remote_address.a, &w->n_conn, 4);
	out_put(&a->out, daemon_msg(&m));
	w->n_conn++;
}

/* Data, or the same bytes as a request whose id comes last. */
static void
agent_sends(struct world *w, int i)
{
	struct conn *c = &w->conn[i];
	struct agent *a = &w->agent[c->slot];
	struct pm_DaemonMessage m;
	struct span s;

	if (!c->at_agent || !a->up || a->out.n >= OUT / 2)
		return;
	s = content(w, (uint32_t)i, c->up_sent++);
	if (rnd(w, 2) == 0) {
		m = daemon_tcp(c, PM_DaemonTcp_Data);
		m.u.TcpSteal.u.Data.connection_id = c->agent_id;
		m.u.TcpSteal.u.Data.bytes = s;
	} else {
		struct pm_HttpRequest_bytes *h;

		m = daemon_tcp(c, PM_DaemonTcp_HttpRequest);
		h = &m.u.TcpSteal.u.HttpRequest;
		h->internal_request.method = pm_str("PUT");
		h->internal_request.uri = pm_str("/");
		h->internal_request.version = pm_str("HTTP/1.1");
		h->internal_request.body = s;
		h->connection_id = c->agent_id;
	}
	out_put(&a->out, daemon_msg(&m));
}

static void
agent_closes(struct world *w, int i)
{
	struct conn *c = &w->conn[i];
	struct agent *a = &w->agent[c->slot];
	struct pm_DaemonMessage m;

	if (!c->at_agent || !a->up || a->out.n >= OUT / 2)
		return;
	m = daemon_tcp(c, PM_DaemonTcp_Close);
	m.u.TcpSteal.u.Close.connection_id = c->agent_id;
	out_put(&a->out, daemon_msg(&m));
	c->at_agent = false;
}

static void
client_sends(struct world *w, int i)
{
	struct conn *c = &w->conn[i];
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpSteal};

	if (!c->at_client || c->space != PM_SPACE_STEAL || w->out.n >= OUT / 2)
		return;
	m.u.TcpSteal.tag = PM_LayerTcpSteal_Data;
	m.u.TcpSteal.u.Data.connection_id = c->client_id;
	m.u.TcpSteal.u.Data.bytes = content(w, (uint32_t)i, c->down_sent++);
	out_put(&w->out, client_msg(&m));
}

static void
client_leaves(struct world *w, int i)
{
	struct conn *c = &w->conn[i];
	struct buf b;

	if (!c->at_client || w->out.n >= OUT / 2)
		return;
	buf_init(&b, 0);
	pm_put_unsubscribe_connection(&b,
	    c->space == PM_SPACE_STEAL ? PM_ClientMessage_TcpSteal
				       : PM_ClientMessage_Tcp,
	    c->client_id);
	out_put(&w->out, b);
	c->at_client = false;
}

static void
client_asks(struct world *w)
{
	static const char *const what[] = {"'Ping'",
	    "{'TcpSteal':{'PortSubscribe':{'All':80}}}",
	    "{'TcpSteal':{'PortUnsubscribe':80}}",
	    "{'FileRequest':{'Read':{'remote_fd':1,'buffer_size':3}}}",
	    "{'TcpSteal':{'PortSubscribe':{'FilteredHttp':[81,'x']}}}"};
	uint32_t k = rnd(w, N_OF(what));

	if (w->out.n >= OUT / 2)
		return;
	w->pings += k == 0;
	w->subs += k == 1 || k == 4;
	w->files += k == 3;
	out_put(&w->out, rig_bytes(PM_CLIENT, what[k], 0));
}

/* ---- what arrives ---- */

static struct conn *
conn_of(struct world *w, enum pm_space space, uint64_t client_id)
{
	struct conn *found = NULL;

	for (int i = 0; i < w->n_conn; i++) {
		struct conn *c = &w->conn[i];

		if (c->known && c->space == space &&
		    c->client_id == client_id) {
			assert_null(found);
			found = c;
		}
	}
	assert_non_null(found);
	return found;
}

static void
client_gets_bytes(
    struct world *w, enum pm_space space, uint64_t id, struct span s)
{
	struct conn *c = conn_of(w, space, id);

	check_content(s, (uint32_t)(c - w->conn), c->up_got++);
}

static void
client_gets_tcp(
    struct world *w, enum pm_space space, const struct pm_DaemonTcp *t)
{
	struct conn *c;
	uint32_t i;

	switch (t->tag) {
	case PM_DaemonTcp_NewConnectionV1:
		memcpy(&i, t->u.NewConnectionV1.remote_address.a, 4);
		c = &w->conn[i];
		assert_false(c->known);
		c->known = c->at_client = true;
		c->client_id = t->u.NewConnectionV1.connection_id;
		assert_ptr_equal(conn_of(w, space, c->client_id), c);
		return;
	case PM_DaemonTcp_Data:
		client_gets_bytes(
		    w, space, t->u.Data.connection_id, t->u.Data.bytes);
		return;
	case PM_DaemonTcp_HttpRequest:
		client_gets_bytes(w, space, t->u.HttpRequest.connection_id,
		    t->u.HttpRequest.internal_request.body);
		return;
	case PM_DaemonTcp_Close:
		conn_of(w, space, t->u.Close.connection_id)->at_client = false;
		return;
	default:
		assert_int_equal(t->tag, PM_DaemonTcp_SubscribeResult);
		w->results++;
	}
}

static void
client_gets(struct world *w, struct span s)
{
	struct pm_DaemonMessage m;
	struct arena a;

	arena_init(&a, 1 << 20);
	assert_int_equal(pm_decode_daemon(&a, s.p, s.n, NULL, &m, NULL), 0);
	if (m.tag == PM_DaemonMessage_Tcp)
		client_gets_tcp(w, PM_SPACE_MIRROR, &m.u.Tcp);
	else if (m.tag == PM_DaemonMessage_TcpSteal)
		client_gets_tcp(w, PM_SPACE_STEAL, &m.u.TcpSteal);
	else if (m.tag == PM_DaemonMessage_Pong)
		w->pongs++;
	else if (m.tag == PM_DaemonMessage_File)
		w->file_answers++;
	assert_true(w->pongs <= w->pings);
	assert_true(w->results <= w->subs);
	assert_true(w->file_answers <= w->files);
	arena_free(&a);
}

static struct conn *
agents_conn(struct world *w, int slot, enum pm_space space, uint64_t id)
{
	/* The newest: agents begin at 0 again. */
	for (int i = w->n_conn - 1; i >= 0; i--) {
		struct conn *c = &w->conn[i];

		if (c->slot == slot && c->space == space && c->agent_id == id)
			return c;
	}
	fail_msg("child %d never had connection %" PRIu64, slot, id);
	return NULL;
}

static void
agent_answers(struct world *w, int slot, const char *json)
{
	out_put(&w->agent[slot].out, rig_bytes(PM_DAEMON, json, 0));
}

static void
agent_gets_steal(struct world *w, int slot, const struct pm_LayerTcpSteal *t)
{
	struct conn *c;

	switch (t->tag) {
	case PM_LayerTcpSteal_Data:
		c = agents_conn(
		    w, slot, PM_SPACE_STEAL, t->u.Data.connection_id);
		check_content(
		    t->u.Data.bytes, (uint32_t)(c - w->conn), c->down_got++);
		return;
	case PM_LayerTcpSteal_ConnectionUnsubscribe:
		agents_conn(w, slot, PM_SPACE_STEAL, t->u.ConnectionUnsubscribe)
		    ->at_agent = false;
		return;
	case PM_LayerTcpSteal_PortSubscribe:
		if (rnd(w, 6) == 0)
			agent_answers(w, slot,
			    "{'TcpSteal':{'SubscribeResult':{'Err':"
			    "'NotImplemented'}}}");
		else if (rnd(w, 6) != 0 || slot == 0)
			agent_answers(w, slot,
			    "{'TcpSteal':{'SubscribeResult':{'Ok':80}}}");
		else /* late, but an answer */
			agent_answers(w, slot,
			    "{'TcpSteal':{'SubscribeResult':{'Err':"
			    "{'PortAlreadyStolen':80}}}}");
		return;
	default:
		return;
	}
}

static void
agent_gets(struct world *w, int slot, struct span s)
{
	struct pm_ClientMessage m;
	struct arena a;

	arena_init(&a, 1 << 20);
	assert_int_equal(pm_decode_client(&a, s.p, s.n, NULL, &m, NULL), 0);
	switch (m.tag) {
	case PM_ClientMessage_Ping:
		agent_answers(w, slot, "'Pong'");
		break;
	case PM_ClientMessage_SwitchProtocolVersion:
		agent_answers(
		    w, slot, "{'SwitchProtocolVersionResponse':'1.29.0'}");
		break;
	case PM_ClientMessage_FileRequest:
		assert_int_equal(slot, 0);
		agent_answers(w, slot,
		    "{'File':{'Read':{'Ok':{'bytes':'00','read_amount':1}}}}");
		break;
	case PM_ClientMessage_Tcp:
		if (m.u.Tcp.tag == PM_LayerTcp_ConnectionUnsubscribe)
			agents_conn(w, slot, PM_SPACE_MIRROR,
			    m.u.Tcp.u.ConnectionUnsubscribe)
			    ->at_agent = false;
		break;
	case PM_ClientMessage_TcpSteal:
		agent_gets_steal(w, slot, &m.u.TcpSteal);
		break;
	default:
		break;
	}
	arena_free(&a);
}

static void
deliver(struct world *w)
{
	const struct buf *b;

	while ((b = rig_next(&w->g.client)) != NULL)
		client_gets(w, buf_span(b));
	for (int s = 0; s < w->g.cfg.n_slots; s++)
		while ((b = rig_next(&w->g.child[s])) != NULL)
			agent_gets(w, s, buf_span(b));
	if (w->g.drops > 0)
		w->ended = true;
}

/* ---- the steps ---- */

static void
lose(struct world *w, int slot)
{
	struct agent *a = &w->agent[slot];

	a->up = false;
	out_clear(&a->out);
	for (int i = 0; i < w->n_conn; i++)
		if (w->conn[i].slot == slot)
			w->conn[i].at_agent = false;
	route_child_down(w->g.r, slot, "lost by the test", w->g.now);
	for (int p = 0; p < ROUTE_PATHS; p++) {
		w->g.child_held[slot][p] = false;
		w->g.child[slot].open[p] = false;
		buf_free(&w->g.child[slot].part[p]);
	}
}

static void
come_up(struct world *w, int slot)
{
	w->agent[slot].up = true;
	memset(w->agent[slot].next_id, 0, sizeof(w->agent[slot].next_id));
	route_child_up(w->g.r, slot, w->g.now);
}

/* A child the router gave up is a lost one. */
static void
notice_fails(struct world *w)
{
	for (int s = 0; s < w->g.cfg.n_slots; s++) {
		if (w->g.fails[s] == 0)
			continue;
		w->g.fails[s] = 0;
		if (w->agent[s].up)
			lose(w, s);
	}
}

static void
feed_some(struct world *w)
{
	int src = (int)rnd(w, (uint32_t)w->g.cfg.n_slots + 1) - 1;
	struct outbox *o = src < 0 ? &w->out : &w->agent[src].out;

	if (o->n > 0 && (src < 0 || w->agent[src].up))
		out_feed(w, o, src);
}

static void
step(struct world *w)
{
	int slot = (int)rnd(w, (uint32_t)w->g.cfg.n_slots);
	int conn = w->n_conn > 0 ? (int)rnd(w, (uint32_t)w->n_conn) : -1;
	uint32_t what = rnd(w, 100);

	if (what < 8 && w->agent[slot].up)
		agent_opens(w, slot);
	else if (what < 25 && conn >= 0)
		agent_sends(w, conn);
	else if (what < 29 && conn >= 0)
		agent_closes(w, conn);
	else if (what < 45 && conn >= 0)
		client_sends(w, conn);
	else if (what < 47 && conn >= 0)
		client_leaves(w, conn);
	else if (what < 51)
		client_asks(w);
	else if (what < 53)
		rig_wait(&w->g, rnd(w, 300));
	else if (what == 53 && slot != 0 && w->agent[slot].up)
		lose(w, slot);
	else if (what == 54 && !w->agent[slot].up)
		come_up(w, slot);
	else
		feed_some(w);
	deliver(w);
	if (!w->ended)
		notice_fails(w);
}

/* Everything that was sent has arrived. */
static bool
quiet(const struct world *w)
{
	if (w->out.n > 0)
		return false;
	for (int s = 0; s < w->g.cfg.n_slots; s++)
		if (w->agent[s].out.n > 0)
			return false;
	return true;
}

static void
settle_down(struct world *w)
{
	for (int s = 0; s < w->g.cfg.n_slots; s++)
		if (!w->agent[s].up)
			come_up(w, s);
	for (int round = 0; round < 3 && !w->ended; round++) {
		for (int i = 0; i < 100000 && !quiet(w) && !w->ended; i++) {
			feed_some(w);
			deliver(w);
		}
		assert_true(quiet(w) || w->ended);
		if (!w->ended)
			rig_wait(&w->g, 2500); /* merges end */
		deliver(w);
	}
}

static void
check_end(struct world *w)
{
	assert_false(w->g.client_held[ROUTE_TRAFFIC]);
	assert_int_equal(w->pongs, w->pings);
	assert_int_equal(w->results, w->subs);
	assert_int_equal(w->file_answers, w->files);
	for (int s = 0; s < w->g.cfg.n_slots; s++) {
		assert_true(route_child_is_live(w->g.r, s));
		assert_false(w->g.child_held[s][ROUTE_TRAFFIC]);
	}
	for (int i = 0; i < w->n_conn; i++) {
		const struct conn *c = &w->conn[i];

		/* Closed here, closed there; left there, left here. */
		assert_int_equal(c->at_agent, c->at_client);
		if (!c->at_agent)
			continue;
		assert_int_equal(c->up_got, c->up_sent);
		assert_int_equal(c->down_got, c->down_sent);
	}
}

/* Whether it came to its end (a large message cut off ends it early). */
static bool
history(uint64_t seed, int n, int steps)
{
	struct world *w = calloc(1, sizeof(*w));
	bool whole;

	assert_non_null(w);
	w->rand = seed * 2654435761u + 1;
	rig_new(&w->g, n, 0, NULL);
	for (int s = 0; s < n; s++)
		come_up(w, s);
	route_start(w->g.r, w->g.now);
	out_put(&w->out,
	    rig_bytes(PM_CLIENT, "{'SwitchProtocolVersion':'1.29.0'}", 0));
	for (int i = 0; i < steps && !w->ended; i++)
		step(w);
	if (!w->ended)
		settle_down(w);
	whole = !w->ended;
	if (whole)
		check_end(w);
	else
		assert_int_equal(w->g.drop, ROUTE_DROP_CUT);
	out_clear(&w->out);
	for (int s = 0; s < n; s++)
		out_clear(&w->agent[s].out);
	rig_free(&w->g);
	free(w);
	return whole;
}

static uint64_t first_seed = 1, last_seed = 48;

static void
test_histories(void **state)
{
	int whole = 0;

	(void)state;
	for (uint64_t seed = first_seed; seed <= last_seed; seed++) {
		int n = 1 + (int)(seed % 8);

		print_message("seed %" PRIu64 "\r", seed);
		whole += history(seed, n, STEPS / n);
	}
	/* Most end by themselves: the test is not about being cut off. */
	print_message("%d ended by themselves\n", whole);
	assert_true(last_seed - first_seed < 10 || whole > 20);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_histories),
	};

	if (argc > 1)
		first_seed = last_seed = strtoull(argv[1], NULL, 10);
	if (argc > 2)
		last_seed = strtoull(argv[2], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
