/*
 * One version for all: what is settled, who is asked again, who stays out.
 */
#include "config.h"

#include "tests/unit/route/rig.h"

#include <stdio.h>
#include <string.h>

/* Peers as they are found (the list). */
static const char *const versions[] = {"1.2.2", "1.3.0", "1.8.1", "1.19.0",
    "1.19.4", "1.22.0", "1.25.0", "1.29.0"};

static int
index_of(const char *v)
{
	for (size_t i = 0; i < N_OF(versions); i++)
		if (strcmp(versions[i], v) == 0)
			return (int)i;
	return -1;
}

/* A child of version c is asked for v. */
static void
child_answers(struct rig *g, int slot, const char *v, const char *c)
{
	const char *r = index_of(c) < index_of(v) ? c : v;

	rig_want_child(g, slot, "{'SwitchProtocolVersion':'%s'}", v);
	rig_child(g, slot, "{'SwitchProtocolVersionResponse':'%s'}", r);
}

/* Client × default × other: the lowest wins, all end up with it. */
static void
one_of_matrix(const char *client, const char *c0, const char *c1)
{
	const char *m = client;
	struct rig g;

	if (index_of(c0) < index_of(m))
		m = c0;
	if (index_of(c1) < index_of(m))
		m = c1;
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, "{'SwitchProtocolVersion':'%s'}", client);
	assert_true(g.client_held[ROUTE_TRAFFIC]);
	child_answers(&g, 1, client, c1);
	assert_int_equal(g.client.n, 0);
	child_answers(&g, 0, client, c0);
	for (int s = 0; s < 2; s++) {
		const char *c = s == 0 ? c0 : c1;

		if (index_of(c) > index_of(m) && index_of(client) > index_of(m))
			child_answers(&g, s, m, c);
	}
	rig_want_client(&g, "{'SwitchProtocolVersionResponse':'%s'}", m);
	assert_false(g.client_held[ROUTE_TRAFFIC]);
	assert_int_equal(g.settles, 1);
	assert_string_equal(g.settled, m);
	assert_string_equal(route_client_version(g.r), m);
	rig_client(&g, "'ReadyForLogs'");
	if (index_of(m) >= index_of("1.8.1")) /* >= 1.3.1 */
		rig_want_all(&g, "'ReadyForLogs'");
	rig_want_nothing(&g);
	rig_free(&g);
}

static void
test_matrix(void **state)
{
	(void)state;
	for (size_t a = 0; a < N_OF(versions); a++)
		for (size_t b = 0; b < N_OF(versions); b++)
			for (size_t c = 0; c < N_OF(versions); c++)
				one_of_matrix(
				    versions[a], versions[b], versions[c]);
}

/* What is asked of the children, by what is known before. */
static void
test_target(void **state)
{
	static const struct {
		const char *client, *own, *settled, *known, *want;
	} cases[] = {
	    {"1.29.0", NULL, NULL, NULL, "1.29.0"},
	    {"2.0.0", NULL, NULL, NULL, "1.29.0"},
	    {"1.29.0+build.7", NULL, NULL, NULL, "1.29.0"},
	    {"1.29.0-rc.1", NULL, NULL, NULL, "1.29.0-rc.1"},
	    {"1.30.0-rc.1", NULL, NULL, NULL, "1.29.0"},
	    {"1.29.0", "1.25.0", NULL, NULL, "1.25.0"},
	    {"1.29.0", NULL, NULL, "1.22.0", "1.22.0"},
	    {"1.19.0", NULL, NULL, "1.22.0", "1.19.0"},
	    {"1.29.0", NULL, "1.19.4", NULL, "1.19.4"},
	    {"1.8.1", NULL, "1.19.4", NULL, "1.8.1"},
	    /* Once settled, a low operator does not pull down the rest. */
	    {"1.29.0", NULL, "1.25.0", "1.22.0", "1.25.0"},
	};
	struct rig g;

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		struct route_config cfg = {
		    .own_version = cases[i].own, .settled = cases[i].settled};

		rig_new(&g, 3, 1, &cfg);
		assert_int_equal(
		    route_set_child_version(g.r, 2, cases[i].known, NULL), 0);
		rig_start(&g);
		rig_client(
		    &g, "{'SwitchProtocolVersion':'%s'}", cases[i].client);
		rig_want_all(
		    &g, "{'SwitchProtocolVersion':'%s'}", cases[i].want);
		for (int s = 0; s < 3; s++)
			rig_child(&g, s,
			    "{'SwitchProtocolVersionResponse':'%s'}",
			    cases[i].want);
		rig_want_client(&g, "{'SwitchProtocolVersionResponse':'%s'}",
		    cases[i].want);
		assert_int_equal(g.settles, cases[i].settled == NULL);
		rig_want_nothing(&g);
		rig_free(&g);
	}
}

/* While it is going on, nothing more is taken. */
static void
test_hold(void **state)
{
	static const uint8_t ping = PM_ClientMessage_Ping;
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_clear(&g);
	assert_int_equal(
	    route_from_client(g.r, ROUTE_TRAFFIC, &ping, 1, true, true, g.now),
	    ROUTE_LATER);
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	/* An answer too many counts for nothing. */
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.3.0'}");
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	rig_want_client(&g, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	assert_int_equal(
	    route_from_client(g.r, ROUTE_TRAFFIC, &ping, 1, true, true, g.now),
	    0);
	rig_want_all(&g, "'Ping'");
	rig_want_nothing(&g);
	rig_free(&g);
}

/* The latest wins; the session's version stays. */
static void
test_again(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 1, NULL);
	rig_negotiate(&g, "1.25.0");
	rig_negotiate(&g, "1.19.0");
	assert_string_equal(route_client_version(g.r), "1.19.0");
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_want_all(&g, "{'SwitchProtocolVersion':'1.25.0'}");
	for (int s = 0; s < 2; s++)
		rig_child(&g, s, "{'SwitchProtocolVersionResponse':'1.25.0'}");
	rig_want_client(&g, "{'SwitchProtocolVersionResponse':'1.25.0'}");
	assert_int_equal(g.settles, 1);
	rig_want_nothing(&g);
	rig_free(&g);
}

/* One that does not answer: out after 2 s, the default after 10 s. */
static void
test_slow(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 3, 0, NULL);
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	rig_child(&g, 2, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	rig_clear(&g);
	rig_wait(&g, 1999);
	assert_int_equal(g.client.n, 0);
	rig_wait(&g, 1);
	assert_int_equal(g.fail[1], ROUTE_FAIL_SLOW);
	rig_want_child(&g, 0, "{'SwitchProtocolVersion':'1.22.0'}");
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	rig_want_client(&g, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	rig_want_nothing(&g);
	rig_free(&g);
	/* What it said lies at the owner: it is not slow. */
	rig_init(&g, 2, 0, NULL);
	g.waits[0] = g.waits[1] = true;
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_wait(&g, 30000);
	assert_int_equal(g.fails[0] + g.fails[1], 0);
	g.waits[1] = false;
	rig_wait(&g, 2000);
	assert_int_equal(g.fail[1], ROUTE_FAIL_SLOW);
	rig_free(&g);
	/* One that answers anew each time, lower or higher, has no longer. */
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	rig_clear(&g);
	rig_wait(&g, 9999);
	assert_int_equal(g.fails[0], 0);
	rig_wait(&g, 1);
	assert_int_equal(g.fail[0], ROUTE_FAIL_SLOW);
	assert_true(g.client_held[ROUTE_TRAFFIC]);
	rig_wait(&g, 15000);
	assert_int_equal(g.drop, ROUTE_DROP_DEFAULT_LOST);
	rig_free(&g);
}

static void
test_lost_meanwhile(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 3, 0, NULL);
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	route_child_down(g.r, 2, "reset", g.now);
	rig_want_client(&g, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	rig_free(&g);
}

static const char *const bad[] = {"1.29", "v1.0.0", "", "1.0.0-", "01.0.0",
    "1.0.0-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "x"};

static void
put_version(struct buf *b, uint8_t kind, const char *v)
{
	buf_clear(b);
	buf_append_u8(b, kind);
	buf_append_u8(b, (uint8_t)strlen(v));
	buf_append(b, v, strlen(v));
}

static void
test_bad(void **state)
{
	struct buf b;
	struct rig g;

	(void)state;
	buf_init(&b, 0);
	for (size_t i = 0; i < N_OF(bad); i++) {
		rig_init(&g, 2, 0, NULL);
		put_version(&b, PM_ClientMessage_SwitchProtocolVersion, bad[i]);
		assert_int_equal(
		    rig_client_bytes(&g, buf_span(&b), b.len), -ERR_CLOSED);
		assert_int_equal(g.drop, ROUTE_DROP_PROTOCOL);
		rig_free(&g);
		rig_init(&g, 2, 0, NULL);
		rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
		put_version(
		    &b, PM_DaemonMessage_SwitchProtocolVersionResponse, bad[i]);
		assert_int_equal(
		    rig_child_bytes(&g, 1, buf_span(&b), b.len), -ERR_INVALID);
		assert_int_equal(g.fail[1], ROUTE_FAIL_PROTOCOL);
		rig_free(&g);
	}
	buf_free(&b);
}

/* ---- joining ---- */

static void
test_join(void **state)
{
	static const struct {
		const char *answer;
		bool in;
	} cases[] = {
	    {"1.25.0", true}, {"1.22.0", false},
	    {"1.29.0", true}, /* odd, but it was told what to speak */
	};
	struct rig g;

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		rig_init(&g, 3, 0, NULL);
		route_child_down(g.r, 2, "reset", g.now);
		rig_negotiate(&g, "1.25.0");
		rig_ready(&g);
		rig_want_log(&g, "Warn", "Lost c2: reset.");
		route_child_up(g.r, 2, g.now);
		assert_false(route_child_is_live(g.r, 2));
		/* Nothing for all goes there yet. */
		rig_client(&g, "'Ping'");
		rig_want_child(&g, 0, "'Ping'");
		rig_want_child(&g, 1, "'Ping'");
		rig_want_child(&g, 2, "{'SwitchProtocolVersion':'1.25.0'}");
		rig_want_nothing(&g);
		if (cases[i].in) {
			rig_child(&g, 2,
			    "{'SwitchProtocolVersionResponse':'%s'}",
			    cases[i].answer);
			rig_want_child(&g, 2, "'ReadyForLogs'");
			rig_want_log(&g, "Info", "c2 is back");
		} else {
			struct buf b = rig_bytes(PM_DAEMON,
			    "{'SwitchProtocolVersionResponse':'1.22.0'}", 0);

			assert_int_equal(
			    rig_child_bytes(&g, 2, buf_span(&b), b.len),
			    -ERR_INVALID);
			buf_free(&b);
			assert_int_equal(g.fail[2], ROUTE_FAIL_VERSION);
			rig_want_log(&g, "Warn", "1.22.0");
		}
		assert_int_equal(route_child_is_live(g.r, 2), cases[i].in);
		rig_want_nothing(&g);
		rig_free(&g);
	}
}

/* Told once, however often it tries for the same reason. */
static void
test_join_slow(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_negotiate(&g, "1.29.0");
	rig_ready(&g);
	route_child_down(g.r, 1, "reset", g.now);
	rig_want_log(&g, "Warn", "reset");
	for (int i = 1; i <= 3; i++) {
		route_child_up(g.r, 1, g.now);
		rig_want_child(&g, 1, "{'SwitchProtocolVersion':'1.29.0'}");
		rig_wait(&g, 2000);
		assert_int_equal(g.fails[1], i);
		if (i == 1)
			rig_want_log(&g, "Warn", "does not answer");
		rig_want_nothing(&g);
	}
	rig_free(&g);
}

/* The client negotiates again while a child joins. */
static void
test_join_while_negotiating(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_negotiate(&g, "1.29.0");
	route_child_down(g.r, 1, "reset", g.now);
	route_child_up(g.r, 1, g.now);
	rig_client(&g, "{'SwitchProtocolVersion':'1.22.0'}");
	rig_want_child(&g, 0, "{'SwitchProtocolVersion':'1.22.0'}");
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	rig_want_client(&g, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	rig_want_child(&g, 1, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_want_child(&g, 1, "{'SwitchProtocolVersion':'1.22.0'}");
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	assert_false(route_child_is_live(g.r, 1));
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	assert_true(route_child_is_live(g.r, 1));
	rig_want_nothing(&g);
	rig_free(&g);
}

/* ---- two sockets of one session ---- */

static void
test_later_socket(void **state)
{
	struct route_config cfg = {.settled = "1.25.0"};
	struct rig g;

	(void)state;
	/* A cluster below the session's version stays out here. */
	rig_init(&g, 3, 0, &cfg);
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_want_all(&g, "{'SwitchProtocolVersion':'1.25.0'}");
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.25.0'}");
	rig_child(&g, 2, "{'SwitchProtocolVersionResponse':'1.25.0'}");
	route_from_child(g.r, 1, ROUTE_TRAFFIC,
	    (const uint8_t *)"\x0b\x06"
			     "1.22.0",
	    8, true, true, g.now);
	assert_int_equal(g.fail[1], ROUTE_FAIL_VERSION);
	rig_want_client(&g, "{'SwitchProtocolVersionResponse':'1.25.0'}");
	rig_want_nothing(&g);
	rig_free(&g);
	/* The default cannot stay out: this socket speaks lower. */
	rig_init(&g, 2, 0, &cfg);
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.25.0'}");
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	rig_clear(&g);
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	rig_want_client(&g, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	assert_int_equal(g.settles, 0);
	rig_free(&g);
}

/* The other socket settles while this one negotiates. */
static void
test_settled_meanwhile(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	assert_int_equal(route_set_settled(g.r, "1.22.0", NULL), 0);
	rig_clear(&g);
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	rig_want_all(&g, "{'SwitchProtocolVersion':'1.22.0'}");
	for (int s = 0; s < 2; s++)
		rig_child(&g, s, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	rig_want_client(&g, "{'SwitchProtocolVersionResponse':'1.22.0'}");
	assert_int_equal(g.settles, 0);
	assert_int_equal(route_set_settled(g.r, "1.2", NULL), -ERR_INVALID);
	rig_want_nothing(&g);
	rig_free(&g);
	/* One that had answered below it stays out. */
	rig_init(&g, 3, 0, NULL);
	rig_client(&g, "{'SwitchProtocolVersion':'1.29.0'}");
	rig_child(&g, 1, "{'SwitchProtocolVersionResponse':'1.19.0'}");
	rig_child(&g, 0, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	route_set_settled(g.r, "1.29.0", NULL);
	rig_clear(&g);
	rig_child(&g, 2, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	assert_int_equal(g.fail[1], ROUTE_FAIL_VERSION);
	rig_want_client(&g, "{'SwitchProtocolVersionResponse':'1.29.0'}");
	rig_want_nothing(&g);
	rig_free(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_matrix),
	    cmocka_unit_test(test_target),
	    cmocka_unit_test(test_hold),
	    cmocka_unit_test(test_again),
	    cmocka_unit_test(test_slow),
	    cmocka_unit_test(test_lost_meanwhile),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_join),
	    cmocka_unit_test(test_join_slow),
	    cmocka_unit_test(test_join_while_negotiating),
	    cmocka_unit_test(test_later_socket),
	    cmocka_unit_test(test_settled_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
