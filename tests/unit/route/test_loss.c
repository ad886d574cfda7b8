/*
 * Children that come and go: Close for each open connection, no id that
 * reaches a stranger, the default's loss; beginning and end of a router.
 */
#include "config.h"

#include "tests/unit/route/rig.h"

#include <stdio.h>
#include <string.h>

#define NEW                                                     \
	"{'TcpSteal':{'NewConnectionV1':{'connection_id':%llu," \
	"'remote_address':'1.2.3.4','destination_port':80,"     \
	"'source_port':9,'local_address':'1.2.3.5'}}}"
#define CLOSE "{'%s':{'Close':{'connection_id':%llu}}}"
#define DATA "{'TcpSteal':{'Data':{'connection_id':%llu,'bytes':'%s'}}}"
#define LEAVE "{'TcpSteal':{'ConnectionUnsubscribe':%llu}}"

typedef unsigned long long ull;

/* ---- loss of an other ---- */

static void
test_close_open(void **state)
{
	struct rig g;

	(void)state;
	for (int n = 2; n <= 8; n++) {
		int s = n - 1;

		rig_init(&g, n, 0, NULL);
		rig_negotiate(&g, "1.29.0");
		rig_ready(&g);
		for (ull id = 0; id < 5; id++)
			rig_child(&g, s, NEW, id);
		rig_child(&g, s, CLOSE, "TcpSteal", 1ull);
		rig_client(&g, LEAVE, 3ull * (ull)n + (ull)s);
		rig_child(&g, s,
		    "{'Tcp':{'HttpRequestChunked':{'StartV2':"
		    "{'connection_id':7,'request_id':0,'request':{'method':"
		    "'GET','uri':'/','headers':[],'version':'HTTP/1.1',"
		    "'body':{'frames':[],'is_last':true}},'metadata':{'V1':"
		    "{'source':'1.2.3.4:5','destination':'1.2.3.5:80'}},"
		    "'transport':'Tcp'}}}}");
		rig_clear(&g);
		route_child_down(g.r, s, "reset", g.now);
		rig_want_log(&g, "Warn", "Its open connections are closed");
		rig_want_client(&g, CLOSE, "Tcp", 7ull * (ull)n + (ull)s);
		rig_want_client(&g, CLOSE, "TcpSteal", 4ull * (ull)n + (ull)s);
		rig_want_client(&g, CLOSE, "TcpSteal", 2ull * (ull)n + (ull)s);
		rig_want_client(&g, CLOSE, "TcpSteal", (ull)s);
		rig_want_nothing(&g);
		assert_false(g.client_held[ROUTE_TRAFFIC]);
		rig_free(&g);
	}
}

/* Agents count from 0 again: the client never sees an id twice. */
static void
test_epochs(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	for (ull epoch = 0; epoch < 4; epoch++) {
		ull base = epoch * 10;

		for (ull id = 0; id < 10; id++) {
			rig_child(&g, 1, DATA, id, "61");
			rig_want_client(&g, DATA, (base + id) * 2 + 1, "61");
			rig_client(&g, DATA, (base + id) * 2 + 1, "62");
			rig_want_child(&g, 1, DATA, id, "62");
		}
		/* The client's late answers to the agents before it. */
		for (ull id = 0; id < base; id++) {
			rig_client(&g, DATA, id * 2 + 1, "63");
			rig_client(&g, LEAVE, id * 2 + 1);
		}
		rig_want_nothing(&g);
		route_child_down(g.r, 1, "reset", g.now);
		assert_int_equal(
		    route_get_base(g.r, 1, PM_SPACE_STEAL), base + 10);
		assert_int_equal(route_get_base(g.r, 1, PM_SPACE_MIRROR), 0);
		route_child_up(g.r, 1, g.now);
	}
	assert_int_equal(route_stats(g.r)->dropped_late, 2 * (10 + 20 + 30));
	rig_free(&g);
}

static void
test_bases(void **state)
{
	struct rig g;

	(void)state;
	rig_new(&g, 3, 0, NULL);
	assert_int_equal(route_set_base(g.r, 2, PM_SPACE_STEAL, 1000), 0);
	assert_int_equal(route_set_base(g.r, 2, PM_SPACE_STEAL, 5), 0);
	assert_int_equal(
	    route_set_base(g.r, 3, PM_SPACE_STEAL, 5), -ERR_INVALID);
	assert_int_equal(route_set_base(g.r, 2, PM_SPACE_TCP, 5), -ERR_INVALID);
	rig_start(&g);
	assert_int_equal(
	    route_set_base(g.r, 2, PM_SPACE_STEAL, 5000), -ERR_INVALID);
	rig_child(&g, 2, DATA, 1ull, "61");
	rig_want_client(&g, DATA, 1001ull * 3 + 2, "61");
	rig_client(&g, DATA, 999ull * 3 + 2, "61");
	rig_want_nothing(&g);
	rig_free(&g);
}

/* An id that does not fit is its child's fault. */
static void
test_overflow(void **state)
{
	static const struct {
		int n;
		uint64_t base, id;
		bool ok;
	} cases[] = {
	    {1, 0, UINT64_MAX - 1, true},
	    {1, 0, UINT64_MAX, false},
	    {1, 1, UINT64_MAX - 1, false},
	    {2, 0, UINT64_MAX / 2, true},
	    {2, 0, UINT64_MAX / 2 + 1, false},
	    {2, 2, UINT64_MAX / 2 - 3, true},
	    {8, 0, UINT64_MAX / 8, true},
	    {8, 0, UINT64_MAX / 8 + 1, false},
	    {3, UINT64_MAX - 1, 5, false},
	};
	struct rig g;

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		struct buf b = rig_bytes(PM_DAEMON,
		    "{'TcpSteal':{'Data':{'connection_id':$,'bytes':''}}}",
		    cases[i].id);
		int last = cases[i].n - 1;

		rig_new(&g, cases[i].n, 0, NULL);
		route_set_base(g.r, last, PM_SPACE_STEAL, cases[i].base);
		rig_start(&g);
		assert_int_equal(rig_child_bytes(&g, last, buf_span(&b), b.len),
		    cases[i].ok ? 0 : -ERR_INVALID);
		assert_int_equal(g.fails[last], !cases[i].ok);
		assert_int_equal(g.client.n, cases[i].ok);
		buf_free(&b);
		rig_free(&g);
	}
}

/* More open connections than are kept: refused one by one, not the child. */
static void
test_many_open(void **state)
{
	struct rig g;
	ull id;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	for (id = 0; id < 8192; id++)
		rig_child(&g, 1, NEW, id);
	assert_int_equal(g.client.n, 8192);
	rig_child(&g, 1, NEW, id);
	rig_want_child(&g, 1, LEAVE, id);
	assert_int_equal(g.client.n, 8192);
	assert_int_equal(route_stats(g.r)->refused_conns, 1);
	rig_child(&g, 1, CLOSE, "TcpSteal", 17ull);
	rig_child(&g, 1, NEW, id + 1);
	assert_int_equal(g.client.n, 8194);
	rig_clear(&g);
	/* Their Closes leave a bounded number at a time. */
	route_child_down(g.r, 1, "reset", g.now);
	assert_int_equal(g.client.n, 1024);
	assert_int_equal(route_next_deadline(g.r), g.now);
	route_child_up(g.r, 1, g.now); /* back before all are told */
	rig_child(&g, 1, NEW, 0ull);
	rig_wait(&g, 0);
	assert_int_equal(g.client.n, 8193);
	assert_int_equal(g.drops, 0);
	rig_free(&g);
}

/* ---- loss of the default ---- */

static void
test_default_lost(void **state)
{
	static const uint8_t ping = PM_ClientMessage_Ping;
	struct rig g;

	(void)state;
	for (int back = 0; back < 2; back++) {
		rig_init(&g, 2, 1, NULL);
		rig_negotiate(&g, "1.29.0");
		rig_ready(&g);
		route_child_down(g.r, 1, "reset", g.now);
		assert_true(g.client_held[ROUTE_TRAFFIC]);
		rig_want_log(&g, "Warn", "Lost c1, which serves files");
		assert_int_equal(route_from_client(g.r, ROUTE_TRAFFIC, &ping, 1,
				     true, true, g.now),
		    ROUTE_LATER);
		rig_child(&g, 0, DATA, 0ull, "61"); /* the rest serve */
		rig_want_client(&g, DATA, 0ull, "61");
		rig_wait(&g, 14999);
		assert_int_equal(g.drops, 0);
		if (back)
			route_child_up(g.r, 1, g.now);
		else
			rig_wait(&g, 1);
		assert_int_equal(g.drop, ROUTE_DROP_DEFAULT_LOST);
		assert_int_equal(g.client.n, 0); /* without a word */
		assert_int_equal(route_from_client(g.r, ROUTE_TRAFFIC, &ping, 1,
				     true, true, g.now),
		    -ERR_CLOSED);
		rig_free(&g);
	}
}

/* In the middle of everything that waits for it. */
static void
test_default_lost_busy(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, "'Ping'");
	rig_client(&g, "{'TcpSteal':{'PortSubscribe':{'All':80}}}");
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_child(&g, 1, "'Pong'");
	rig_child(&g, 1, "{'TcpSteal':{'SubscribeResult':{'Ok':80}}}");
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	route_child_down(g.r, 0, "reset", g.now);
	assert_int_equal(g.client.n, 0);
	rig_wait(&g, 14999);
	assert_int_equal(g.client.n, 0);
	assert_int_equal(g.drops, 0);
	rig_wait(&g, 1);
	assert_int_equal(g.drop, ROUTE_DROP_DEFAULT_LOST);
	rig_free(&g);
}

/* Up again without a word that it was down. */
static void
test_replaced(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_negotiate(&g, "1.29.0");
	rig_child(&g, 1, NEW, 0ull);
	rig_clear(&g);
	for (int i = 0; i < 2; i++) { /* once live, once joining */
		route_child_up(g.r, 1, g.now);
		if (i == 0)
			rig_want_client(&g, CLOSE, "TcpSteal", 1ull);
		rig_want_child(&g, 1, "{'SwitchProtocolVersion':'1.29.0'}");
		rig_want_nothing(&g);
	}
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	assert_true(route_child_is_live(g.r, 1));
	route_child_up(g.r, 0, g.now);
	assert_int_equal(g.drop, ROUTE_DROP_DEFAULT_LOST);
	rig_free(&g);
}

/* ---- the beginning and the end ---- */

static void
test_start(void **state)
{
	static const uint8_t ping = PM_ClientMessage_Ping;
	struct rig g;

	(void)state;
	rig_new(&g, 2, 0, NULL);
	assert_true(route_client_held(g.r, ROUTE_TRAFFIC));
	assert_int_equal(
	    route_from_client(g.r, ROUTE_TRAFFIC, &ping, 1, true, true, g.now),
	    ROUTE_LATER);
	route_child_up(g.r, 1, g.now);
	route_start(g.r, g.now);
	assert_true(g.client_held[ROUTE_TRAFFIC]);
	rig_wait(&g, 14999);
	assert_int_equal(g.drops, 0);
	route_child_up(g.r, 0, g.now); /* the default at last */
	assert_false(g.client_held[ROUTE_TRAFFIC]);
	rig_client(&g, "'Ping'");
	rig_want_all(&g, "'Ping'");
	rig_free(&g);
	rig_new(&g, 2, 0, NULL);
	route_start(g.r, g.now);
	rig_wait(&g, 15000);
	assert_int_equal(g.drop, ROUTE_DROP_DEFAULT_LOST);
	rig_free(&g);
}

static void
test_end(void **state)
{
	static const uint8_t ping = PM_ClientMessage_Ping;
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	route_close(g.r, "killed by an administrator", g.now);
	rig_want_client(&g, "{'Close':'killed by an administrator'}");
	assert_int_equal(g.drop, ROUTE_DROP_CLOSED);
	route_child_down(g.r, 0, "reset", g.now);
	route_child_up(g.r, 0, g.now);
	route_tick(g.r, g.now + 100000);
	route_condition_set(g.r, 1, "late");
	route_close(g.r, "again", g.now);
	rig_free(&g);
	rig_init(&g, 2, 0, NULL);
	route_client_gone(g.r);
	route_child_down(g.r, 1, "reset", g.now);
	assert_int_equal(
	    route_from_client(g.r, ROUTE_TRAFFIC, &ping, 1, true, true, g.now),
	    -ERR_CLOSED);
	assert_int_equal(route_next_deadline(g.r), UINT64_MAX);
	rig_want_nothing(&g);
	rig_free(&g);
}

static void
test_config(void **state)
{
	static const struct {
		int n, d;
		const char *own, *settled;
	} bad[] = {
	    {0, 0, "1.29.0", NULL},
	    {65, 0, "1.29.0", NULL},
	    {2, 2, "1.29.0", NULL},
	    {2, -1, "1.29.0", NULL},
	    {2, 0, "1.29", NULL},
	    {2, 0, "1.29.0", "x"},
	};
	struct route_ops ops = {0};
	struct err e;

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		struct route_config cfg = {.n_slots = bad[i].n,
		    .default_slot = bad[i].d,
		    .own_version = bad[i].own,
		    .settled = bad[i].settled};

		assert_null(route_new(&cfg, &ops, NULL, &e));
		assert_int_equal(e.code, ERR_INVALID);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_close_open),
	    cmocka_unit_test(test_epochs),
	    cmocka_unit_test(test_bases),
	    cmocka_unit_test(test_overflow),
	    cmocka_unit_test(test_many_open),
	    cmocka_unit_test(test_default_lost),
	    cmocka_unit_test(test_default_lost_busy),
	    cmocka_unit_test(test_replaced),
	    cmocka_unit_test(test_start),
	    cmocka_unit_test(test_end),
	    cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
