/*
 * Subscriptions: the merge table of spec/multicluster.md 5.6 with every
 * combination of answers of three children, order, replacement, retry and
 * replay.
 */
#include "config.h"

#include "tests/unit/route/rig.h"

#include <stdio.h>
#include <string.h>

#define SUB "{'TcpSteal':{'PortSubscribe':{'All':%d}}}"
#define UNSUB "{'TcpSteal':{'PortUnsubscribe':%d}}"
#define OK "{'TcpSteal':{'SubscribeResult':{'Ok':%d}}}"
#define ERR(e) "{'TcpSteal':{'SubscribeResult':{'Err':" e "}}}"
#define STOLEN ERR("{'PortAlreadyStolen':80}")
/* Policy names tell whose answer it is. */
#define POLICY                                                     \
	ERR("{'Forbidden':{'blocked_action':{'Steal':{'All':80}}," \
	    "'policy_name':'p%d'}}")
#define OTHER                                              \
	ERR("{'SystemFailure':{'can_retry':true,'code':1," \
	    "'message':'m%d'}}")

enum what { A_OK, A_STOLEN, A_POLICY, A_OTHER, A_NONE, A_COUNT };

static void
answer(struct rig *g, int slot, enum what what)
{
	switch (what) {
	case A_OK:
		rig_child(g, slot, OK, 80);
		return;
	case A_STOLEN:
		rig_child(g, slot, STOLEN);
		return;
	case A_POLICY:
		rig_child(g, slot, POLICY, slot);
		return;
	case A_OTHER:
		rig_child(g, slot, OTHER, slot);
		return;
	default:
		return;
	}
}

/* The slot whose error the client gets, or -1: Ok. Slot 0 is the default. */
static int
winner(const enum what a[3])
{
	static const enum what order[] = {A_POLICY, A_STOLEN};
	static const int came[] = {0, 2, 1}; /* the default counts first */

	for (size_t k = 0; k < N_OF(order); k++)
		for (size_t i = 0; i < N_OF(came); i++)
			if (a[came[i]] == order[k])
				return came[i];
	return a[0] == A_OTHER ? 0 : -1;
}

static void
want_refused(struct rig *g, const enum what a[3], int by)
{
	if (a[by] == A_POLICY)
		rig_want_client(g, POLICY, by);
	else if (a[by] == A_STOLEN)
		rig_want_client(g, STOLEN);
	else
		rig_want_client(g, OTHER, by);
	assert_int_equal(g->subs_added, 0);
	assert_int_equal(g->subs_gone, 1);
	for (int s = 0; s < 3; s++) {
		if (a[s] == A_NONE) /* says Ok at last: undone, too */
			rig_child(g, s, OK, 80);
		if (a[s] == A_OK || a[s] == A_NONE)
			rig_want_child(g, s, UNSUB, 80);
	}
	rig_wait(g, 10000); /* nothing is tried again */
	rig_want_nothing(g);
}

static void
want_accepted(struct rig *g, const enum what a[3])
{
	for (int s = 1; s < 3; s++)
		if (a[s] != A_OK)
			rig_want_log(g, "Warn", s == 1 ? "c1 " : "c2 ");
	rig_want_client(g, OK, 80);
	assert_int_equal(g->subs_added, 1);
	rig_want_nothing(g);
	rig_wait(g, 300);
	for (int s = 1; s < 3; s++) {
		if (a[s] == A_OK)
			continue;
		if (a[s] == A_OTHER) /* asked again */
			rig_want_child(g, s, SUB, 80);
		rig_child(g, s, OK, 80);
		rig_want_log(g, "Info", s == 1 ? "c1: port 80" : "c2: port 80");
	}
	rig_want_nothing(g);
}

static void
one_merge(const enum what a[3])
{
	struct rig g;
	int by = winner(a);

	rig_init(&g, 3, 0, NULL);
	rig_negotiate(&g, "1.29.0");
	rig_ready(&g);
	rig_client(&g, SUB, 80);
	rig_want_all(&g, SUB, 80);
	for (int s = 2; s >= 0; s--)
		answer(&g, s, a[s]);
	/* Only the default's policy error is not waited with. */
	if (a[1] == A_NONE || a[2] == A_NONE) {
		if (a[0] != A_POLICY)
			rig_want_nothing(&g);
		rig_wait(&g, 2000);
	}
	if (by >= 0)
		want_refused(&g, a, by);
	else
		want_accepted(&g, a);
	assert_int_equal(route_stats(g.r)->dropped_results, 0);
	rig_free(&g);
}

static void
test_merge(void **state)
{
	(void)state;
	for (int a = 0; a < A_NONE; a++)
		for (int b = 0; b < A_COUNT; b++)
			for (int c = 0; c < A_COUNT; c++)
				one_merge((enum what[3]){
				    (enum what)a, (enum what)b, (enum what)c});
}

/* "First received": among others, not the lowest slot. */
static void
test_first_of_others(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 3, 0, NULL);
	rig_client(&g, SUB, 80);
	rig_child(&g, 2, POLICY, 2);
	rig_child(&g, 1, POLICY, 1);
	rig_child(&g, 0, OK, 80);
	rig_want_client(&g, POLICY, 2);
	rig_free(&g);
}

static void
test_default_silent(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, SUB, 80);
	rig_child(&g, 1, OK, 80);
	rig_clear(&g);
	g.waits[0] = true;
	rig_wait(&g, 15000);
	g.waits[0] = false; /* it has 10 s again since 10 s */
	rig_want_nothing(&g);
	rig_wait(&g, 4999);
	assert_int_equal(g.fails[0], 0);
	rig_clear(&g);
	rig_wait(&g, 1);
	assert_int_equal(g.fail[0], ROUTE_FAIL_SLOW);
	assert_true(g.client_held[ROUTE_TRAFFIC]);
	rig_free(&g);
}

/* Answers leave in the order of the requests, per space. */
static void
test_order(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	for (int port = 1; port <= 3; port++)
		rig_client(&g, SUB, port);
	rig_client(&g, "{'Tcp':{'PortSubscribe':9}}");
	for (int port = 1; port <= 3; port++)
		rig_child(&g, 0, OK, port);
	/* Errors without a port belong to the request of that place. */
	rig_child(&g, 1, OK, 1);
	rig_want_client(&g, OK, 1);
	for (int s = 0; s < 2; s++)
		rig_child(&g, s, "{'Tcp':{'SubscribeResult':{'Ok':9}}}");
	rig_want_client(&g, "{'Tcp':{'SubscribeResult':{'Ok':9}}}");
	rig_child(&g, 1, POLICY, 7);
	rig_want_client(&g, POLICY, 7);
	rig_child(&g, 1, OK, 3);
	rig_want_client(&g, OK, 3);
	rig_clear(&g);
	/* One too many is for nobody. */
	rig_child(&g, 1, OK, 3);
	assert_int_equal(route_stats(g.r)->dropped_results, 1);
	rig_want_nothing(&g);
	rig_free(&g);
}

/* A later answer waits for an earlier one that is not complete. */
static void
test_order_late(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, SUB, 1);
	rig_wait(&g, 1000);
	g.locked_port = 2;
	rig_client(&g, SUB, 2); /* our own locks say no at once */
	rig_want_all(&g, SUB, 1);
	rig_child(&g, 0, OK, 1);
	rig_want_nothing(&g);
	rig_wait(&g, 1000);
	rig_want_client(&g, OK, 1);
	rig_want_client(&g, "{'TcpSteal':{'SubscribeResult':{'Err':"
			    "{'PortAlreadyStolen':2}}}}");
	rig_want_nothing(&g);
	assert_int_equal(g.subs_gone, 0);
	rig_free(&g);
}

static void
test_unsubscribe(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, SUB, 80);
	rig_child(&g, 0, OK, 80);
	rig_child(&g, 1, OK, 80);
	rig_clear(&g);
	rig_client(&g, UNSUB, 80);
	rig_want_all(&g, UNSUB, 80);
	assert_int_equal(g.subs_gone, 1);
	route_child_down(g.r, 1, "reset", g.now);
	route_child_up(g.r, 1, g.now);
	rig_want_nothing(&g); /* nothing to replay */
	/* Before it was answered: the client gets its answer all the same. */
	rig_client(&g, SUB, 81);
	rig_client(&g, UNSUB, 81);
	rig_want_all(&g, SUB, 81);
	rig_want_all(&g, UNSUB, 81);
	rig_child(&g, 0, OK, 81);
	rig_child(&g, 1, STOLEN);
	rig_want_client(&g, STOLEN);
	rig_want_nothing(&g);
	assert_int_equal(g.subs_gone, 2);
	/* Of a port nobody has: told to all, nothing else. */
	rig_client(&g, UNSUB, 1);
	rig_want_all(&g, UNSUB, 1);
	assert_int_equal(g.subs_gone, 2);
	rig_free(&g);
}

/* A second subscription of a port replaces the filter of the first. */
static void
test_replace(void **state)
{
	static const char *const f =
	    "{'TcpSteal':{'PortSubscribe':{'FilteredHttp':[80,'x']}}}";
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, SUB, 80);
	rig_client(&g, "%s", f);
	rig_want_all(&g, SUB, 80);
	rig_want_all(&g, "%s", f);
	rig_child(&g, 0, OK, 80);
	rig_child(&g, 1, POLICY, 1);
	/* The first is refused, but the second holds the port: no undoing. */
	rig_want_client(&g, POLICY, 1);
	rig_want_nothing(&g);
	rig_child(&g, 0, OK, 80);
	rig_child(&g, 1, OK, 80);
	rig_want_client(&g, OK, 80);
	rig_want_nothing(&g);
	assert_int_equal(g.subs_added, 1);
	assert_int_equal(g.subs_gone, 0);
	route_child_down(g.r, 1, "reset", g.now);
	route_child_up(g.r, 1, g.now);
	rig_want_child(&g, 1, "%s", f); /* the second alone */
	rig_want_nothing(&g);
	rig_free(&g);
}

/* ---- retry and replay ---- */

static void
test_backoff(void **state)
{
	struct route_config cfg = {.keepalive_ms = 1000000};
	struct rig g;
	uint64_t last, gap;

	(void)state;
	rig_init(&g, 2, 0, &cfg);
	rig_negotiate(&g, "1.29.0");
	rig_ready(&g);
	rig_client(&g, SUB, 80);
	rig_child(&g, 0, OK, 80);
	rig_child(&g, 1, OTHER, 1);
	rig_want_log(&g, "Warn", "c1 answered with an error about port 80");
	rig_clear(&g);
	last = g.now;
	for (int i = 0; i < 10; i++) {
		while (g.child[1].n == 0 && g.now - last < 5000)
			rig_wait(&g, 10);
		gap = g.now - last;
		assert_in_range(gap, i < 4 ? (188u << i) : 3000u,
		    i < 4 ? (260u << i) : 4010u);
		last = g.now;
		rig_want_child(&g, 1, SUB, 80);
		rig_child(&g, 1, STOLEN);
	}
	rig_wait(&g, 4000);
	rig_want_child(&g, 1, SUB, 80);
	rig_child(&g, 1, OK, 80);
	rig_want_log(&g, "Info", "stolen there too now");
	rig_want_nothing(&g);
	rig_free(&g);
}

/* A refusal by policy after the client was told Ok is the last word. */
static void
test_late_policy(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_negotiate(&g, "1.29.0");
	rig_ready(&g);
	rig_client(&g, SUB, 80);
	rig_child(&g, 0, OK, 80);
	rig_wait(&g, 2000);
	rig_want_log(&g, "Warn", "c1 has not answered yet about port 80");
	rig_want_client(&g, OK, 80);
	rig_child(&g, 1, POLICY, 1);
	rig_want_log(&g, "Warn", "policy");
	rig_clear(&g);
	rig_wait(&g, 10000);
	rig_want_nothing(&g);
	rig_free(&g);
}

static void
test_replay(void **state)
{
	static const int ports[] = {80, 81, 82};
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_negotiate(&g, "1.29.0");
	rig_ready(&g);
	for (size_t i = 0; i < N_OF(ports); i++) {
		rig_client(&g, SUB, ports[i]);
		rig_child(&g, 0, OK, ports[i]);
		rig_child(&g, 1, OK, ports[i]);
	}
	rig_client(&g, UNSUB, 81);
	route_child_down(g.r, 1, "reset", g.now);
	rig_clear(&g);
	/* Made while it is away: replayed, too. */
	rig_client(&g, "{'Tcp':{'PortSubscribe':90}}");
	rig_child(&g, 0, "{'Tcp':{'SubscribeResult':{'Ok':90}}}");
	rig_want_client(&g, "{'Tcp':{'SubscribeResult':{'Ok':90}}}");
	rig_clear(&g);
	route_child_up(g.r, 1, g.now);
	rig_want_child(&g, 1, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	rig_want_child(&g, 1, "'ReadyForLogs'");
	rig_want_child(&g, 1, SUB, 80);
	rig_want_child(&g, 1, SUB, 82);
	rig_want_child(&g, 1, "{'Tcp':{'PortSubscribe':90}}");
	rig_want_log(&g, "Info", "c1 is back");
	/* The answers are not for the client. */
	rig_child(&g, 1, OK, 80);
	rig_child(&g, 1, OTHER, 1);
	rig_want_log(&g, "Warn", "c1 answered with an error about port 82");
	rig_child(&g, 1, "{'Tcp':{'SubscribeResult':{'Ok':90}}}");
	rig_want_nothing(&g);
	rig_wait(&g, 300);
	rig_want_child(&g, 1, SUB, 82);
	assert_int_equal(g.lives[1], 2);
	rig_free(&g);
}

/* Lost in the middle of a merge, and back before its end. */
static void
test_lost_in_merge(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 3, 0, NULL);
	rig_client(&g, SUB, 80);
	rig_child(&g, 0, OK, 80);
	rig_clear(&g);
	route_child_down(g.r, 1, "reset", g.now);
	route_child_up(g.r, 1, g.now);
	rig_want_child(&g, 1, SUB, 80);
	rig_want_nothing(&g);
	rig_child(&g, 2, OK, 80);
	rig_want_client(&g, OK, 80); /* without child 1 */
	rig_child(&g, 1, OK, 80);
	rig_want_nothing(&g);
	rig_free(&g);
}

/* ---- limits ---- */

static void
test_limits(void **state)
{
	struct buf b;
	struct rig g;
	int i;

	(void)state;
	rig_init(&g, 1, 0, NULL);
	for (i = 0; g.drops == 0 && i < 1000; i++) {
		b = rig_bytes(
		    PM_CLIENT, "{'TcpSteal':{'PortSubscribe':{'All':80}}}", 0);
		rig_client_bytes(&g, buf_span(&b), b.len);
		buf_free(&b);
	}
	assert_int_equal(i, ROUTE_SUBS_MAX + 1);
	assert_int_equal(g.drop, ROUTE_DROP_LIMIT);
	rig_free(&g);
	/* Done with, they count no more. */
	rig_init(&g, 1, 0, NULL);
	for (i = 0; i < 1000; i++) {
		rig_client(&g, SUB, i);
		rig_child(&g, 0, OK, i);
		rig_client(&g, UNSUB, i);
		rig_clear(&g);
	}
	assert_int_equal(g.drops, 0);
	rig_free(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_merge),
	    cmocka_unit_test(test_first_of_others),
	    cmocka_unit_test(test_default_silent),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_order_late),
	    cmocka_unit_test(test_unsubscribe),
	    cmocka_unit_test(test_replace),
	    cmocka_unit_test(test_backoff),
	    cmocka_unit_test(test_late_policy),
	    cmocka_unit_test(test_replay),
	    cmocka_unit_test(test_lost_in_merge),
	    cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
