/*
 * Pings and logs: one Pong per Ping, whatever the children do; who is told
 * what, and how.
 */
#include "config.h"

#include "tests/unit/route/rig.h"

/* ---- ping ---- */

static void
test_pong(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 3, 1, NULL);
	for (int i = 0; i < 3; i++) {
		rig_client(&g, "'Ping'");
		rig_want_all(&g, "'Ping'");
		rig_child(&g, 0, "'Pong'");
		rig_want_nothing(&g);
		rig_child(&g, 1, "'Pong'"); /* not held for child 2 */
		rig_want_client(&g, "'Pong'");
	}
	for (int i = 0; i < 3; i++)
		rig_child(&g, 2, "'Pong'");
	rig_want_nothing(&g);
	/* More than were asked for are swallowed, each. */
	for (int s = 0; s < 3; s++)
		rig_child(&g, s, "'Pong'");
	assert_int_equal(route_stats(g.r)->dropped_pongs, 3);
	rig_want_nothing(&g);
	/* Many at once. */
	for (int i = 0; i < 100; i++) {
		rig_client(&g, "'Ping'");
		g.now += i % 3;
	}
	rig_clear(&g);
	for (int i = 0; i < 150; i++)
		rig_child(&g, 1, "'Pong'");
	assert_int_equal(g.client.n, 100);
	rig_free(&g);
}

/* A busy default: Pong after 5 s, its own comes to nothing. */
static void
test_pong_busy(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, "'Ping'");
	rig_wait(&g, 1000);
	rig_client(&g, "'Ping'");
	rig_clear(&g);
	rig_wait(&g, 3999);
	rig_want_nothing(&g);
	rig_child(&g, 0, "{'TcpOutgoing':{'Close':1}}");
	rig_want_client(&g, "{'TcpOutgoing':{'Close':1}}");
	rig_want_nothing(&g);
	rig_wait(&g, 1);
	rig_want_client(&g, "'Pong'");
	rig_want_nothing(&g);
	rig_wait(&g, 1000);
	rig_want_client(&g, "'Pong'");
	rig_child(&g, 0, "'Pong'");
	rig_child(&g, 0, "'Pong'");
	rig_want_nothing(&g);
	rig_client(&g, "'Ping'");
	rig_child(&g, 0, "'Pong'");
	rig_want_client(&g, "'Pong'");
	rig_free(&g);
	/* Quiet, it gets none: it may be dead. */
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, "'Ping'");
	rig_child(&g, 1, "'Pong'");
	rig_clear(&g);
	rig_wait(&g, 15000);
	rig_want_nothing(&g);
	rig_child(&g, 0, "{'TcpOutgoing':{'Close':1}}");
	rig_want_client(&g, "{'TcpOutgoing':{'Close':1}}");
	rig_want_client(&g, "'Pong'");
	rig_free(&g);
}

static void
test_keepalive(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	for (int i = 0; i < 3; i++) {
		rig_wait(&g, 19999);
		rig_want_nothing(&g);
		rig_wait(&g, 1);
		rig_want_all(&g, "'Ping'");
		rig_child(&g, 0, "'Pong'");
		rig_child(&g, 1, "'Pong'");
		rig_want_nothing(&g); /* ours, not the client's */
	}
	/* The client's own count; its Pong comes behind ours. */
	rig_wait(&g, 20000);
	rig_client(&g, "'Ping'");
	rig_clear(&g);
	rig_child(&g, 0, "'Pong'");
	rig_want_nothing(&g);
	rig_child(&g, 0, "'Pong'");
	rig_want_client(&g, "'Pong'");
	rig_free(&g);
}

static void
test_silence(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 3, 0, NULL);
	g.waits[2] = true;   /* bytes of it that cannot be fed */
	rig_wait(&g, 20000); /* own Pings go out */
	for (int i = 0; i < 5; i++) {
		rig_wait(&g, 10000);
		for (int k = 0; k < 8; k++)
			rig_child(&g, 0, "'Pong'");
	}
	assert_int_equal(g.fails[1], 0);
	rig_wait(&g, 10000);
	assert_int_equal(g.fails[1], 1);
	assert_int_equal(g.fail[1], ROUTE_FAIL_SILENT);
	assert_int_equal(g.fails[0] + g.fails[2], 0);
	rig_free(&g);
}

/* ---- logs ---- */

static void
test_log_levels(void **state)
{
	static const struct {
		const char *version, *level, *want;
	} cases[] = {
	    {"1.13.3", "Info", "Warn"},
	    {"1.13.4", "Info", "Info"},
	    {"1.13.4-rc.1", "Info", "Warn"},
	    {"1.29.0", "Info", "Info"},
	    {"1.3.1", "Error", "Error"},
	    {"1.3.1", "Warn", "Warn"},
	};
	struct rig g;

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		rig_init(&g, 2, 1, NULL);
		rig_negotiate(&g, cases[i].version);
		rig_client(&g, "'ReadyForLogs'");
		rig_clear(&g);
		for (int s = 0; s < 2; s++)
			rig_child(&g, s,
			    "{'LogMessage':{'message':'m','level':'%s'}}",
			    cases[i].level);
		rig_want_client(&g,
		    "{'LogMessage':{'message':'[c0] m','level':'%s'}}",
		    cases[i].want);
		rig_want_client(&g,
		    "{'LogMessage':{'message':'m','level':'%s'}}",
		    cases[i].want);
		rig_want_nothing(&g);
		rig_free(&g);
	}
}

/* What others wrote must not become a message the client cannot read. */
static void
test_log_bytes(void **state)
{
	static const uint8_t log[] = {
	    PM_DaemonMessage_LogMessage, 2, 0xc3, 0x28, 0};
	static const uint8_t bye[] = {PM_DaemonMessage_Close, 2, 0xff, 'x'};
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_negotiate(&g, "1.29.0");
	rig_ready(&g);
	rig_child_bytes(&g, 1, (struct span){log, sizeof(log)}, 99);
	assert_int_equal(route_stats(g.r)->dropped_logs, 1);
	rig_child_bytes(&g, 1, (struct span){bye, sizeof(bye)}, 99);
	rig_want_log(&g, "Warn", "it said: ?x");
	rig_want_nothing(&g);
	rig_free(&g);
}

static void
test_conditions(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 3, 0, NULL);
	rig_negotiate(&g, "1.29.0");
	route_condition_set(g.r, 2, "West is missing.");
	rig_want_nothing(&g); /* not before ReadyForLogs */
	rig_ready(&g);
	rig_want_log(&g, "Warn", "West is missing.");
	route_condition_set(g.r, 1, "North is slow.");
	rig_want_log(&g, "Warn", "North is slow.");
	rig_ready(&g);
	rig_want_log(&g, "Warn", "North is slow.");
	rig_want_log(&g, "Warn", "West is missing.");
	route_condition_set(g.r, 1, NULL);
	route_condition_set(g.r, 99, "no such slot");
	rig_ready(&g);
	rig_want_log(&g, "Warn", "West is missing.");
	rig_want_nothing(&g);
	rig_free(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pong),
	    cmocka_unit_test(test_pong_busy),
	    cmocka_unit_test(test_keepalive),
	    cmocka_unit_test(test_silence),
	    cmocka_unit_test(test_log_levels),
	    cmocka_unit_test(test_log_bytes),
	    cmocka_unit_test(test_conditions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
