/*
 * Every row of the routing tables, both directions, for N = 1..8 children,
 * every default slot and every sender, from one list (rows.def).
 */
#include "config.h"

#include "tests/unit/route/rig.h"

#include <stdio.h>
#include <string.h>

enum want {
	WANT_ALL,
	WANT_SUBSCRIBE,
	WANT_OWN,
	WANT_DEFAULT,
	WANT_VERSION,
	WANT_READY,
	WANT_DROP,
	WANT_OPEN,
	WANT_REMAP,
	WANT_RESULT,
	WANT_FROM_DEFAULT,
	WANT_PONG,
	WANT_LOG,
	WANT_OPING,
	WANT_SWALLOW,
	WANT_LOSS,
};

#define DIR_CLIENT PM_CLIENT
#define DIR_DAEMON PM_DAEMON
#define ROW(dir, what, text) {DIR_##dir, WANT_##what, text},

static const struct row {
	enum pm_dir dir;
	enum want want;
	const char *json;
} rows[] = {
#include "tests/unit/route/rows.def"
};

/* Ids that take 1, 3, 5 and 9 bytes, before and after the arithmetic. */
static const uint64_t ids[] = {
    0, 1, 31, 250, 251, 8191, 65535, 65536, 0xffffffff, 0x100000000};

static struct route_config
config(int n)
{
	return (struct route_config){.split_children = n % 2 == 1};
}

/* ---- the client's messages ---- */

static void
client_to_some(const struct row *row, int n, int d, bool all)
{
	struct route_config cfg = config(n);
	struct buf b = rig_bytes(PM_CLIENT, row->json, 0);
	struct rig g;

	rig_init(&g, n, d, &cfg);
	if (row->want == WANT_READY) {
		rig_negotiate(&g, "1.29.0");
	}
	assert_true(rig_client_bytes(&g, buf_span(&b), b.len) <= 0);
	for (int s = 0; s < n; s++)
		if (all || s == d)
			rig_want_bytes(&g.child[s], buf_span(&b));
	if (strcmp(row->json, "'Close'") == 0) {
		assert_int_equal(g.drop, ROUTE_DROP_LEFT);
		g.drops--;
	}
	if (!all && cfg.split_children)
		assert_int_equal(g.last_path, ROUTE_STATEFUL);
	rig_want_nothing(&g);
	rig_free(&g);
	buf_free(&b);
}

static void
client_to_own(const struct row *row, int n, int d)
{
	struct route_config cfg = config(n);
	struct rig g;

	rig_init(&g, n, d, &cfg);
	for (int s = 0; s < n; s++) {
		for (size_t i = 0; i < N_OF(ids); i++) {
			uint64_t id = ids[i] * (uint64_t)n + (uint64_t)s;
			struct buf in = rig_bytes(PM_CLIENT, row->json, id);
			struct buf out =
			    rig_bytes(PM_CLIENT, row->json, ids[i]);

			rig_client_bytes(&g, buf_span(&in), in.len);
			rig_want_bytes(&g.child[s], buf_span(&out));
			buf_free(&in);
			buf_free(&out);
		}
	}
	rig_want_nothing(&g);
	rig_free(&g);
}

static void
client_dropped(const struct row *row, int n, int d)
{
	struct rig g;

	rig_init(&g, n, d, NULL);
	rig_client(&g, "%s", row->json);
	rig_want_nothing(&g);
	assert_int_equal(route_stats(g.r)->dropped_kind, 1);
	rig_free(&g);
}

static void
client_row(const struct row *row, int n, int d)
{
	switch (row->want) {
	case WANT_ALL:
	case WANT_SUBSCRIBE:
	case WANT_VERSION:
	case WANT_READY:
		client_to_some(row, n, d, true);
		return;
	case WANT_DEFAULT:
		client_to_some(row, n, d, false);
		return;
	case WANT_OWN:
		client_to_own(row, n, d);
		return;
	default:
		assert_int_equal(row->want, WANT_DROP);
		client_dropped(row, n, d);
	}
}

/* ---- the children's ---- */

static void
remapped(struct rig *g, const struct row *row, int n, int s)
{
	for (size_t i = 0; i < N_OF(ids); i++) {
		uint64_t id = ids[i] * (uint64_t)n + (uint64_t)s;
		struct buf in = rig_bytes(PM_DAEMON, row->json, ids[i]);
		struct buf out = rig_bytes(PM_DAEMON, row->json, id);

		assert_int_equal(
		    rig_child_bytes(g, s, buf_span(&in), in.len), 0);
		rig_want_bytes(&g->client, buf_span(&out));
		buf_free(&in);
		buf_free(&out);
	}
}

static void
from_default(struct rig *g, const struct row *row, int d, int s)
{
	struct buf b = rig_bytes(PM_DAEMON, row->json, 0);

	assert_int_equal(rig_child_bytes(g, s, buf_span(&b), b.len), 0);
	if (s == d)
		rig_want_bytes(&g->client, buf_span(&b));
	assert_int_equal(route_stats(g->r)->dropped_stateful, s != d);
	buf_free(&b);
}

static void
log_row(struct rig *g, const struct row *row, int d, int s)
{
	char prefix[16] = "";

	rig_child(g, s, "%s", row->json);
	assert_int_equal(route_stats(g->r)->dropped_logs, 1);
	rig_want_nothing(g);
	rig_client(g, "'ReadyForLogs'"); /* not negotiated: told to nobody */
	rig_child(g, s, "{'LogMessage':{'message':'hi','level':'Error'}}");
	if (s != d)
		snprintf(prefix, sizeof(prefix), "[c%d] ", s);
	rig_want_client(
	    g, "{'LogMessage':{'message':'%shi','level':'Error'}}", prefix);
}

static void
lost_row(struct rig *g, const struct row *row, int n, int d, int s)
{
	struct buf b = rig_bytes(PM_DAEMON, row->json, 0);

	assert_int_equal(
	    rig_child_bytes(g, s, buf_span(&b), b.len), -ERR_INVALID);
	buf_free(&b);
	assert_int_equal(g->fails[s], 1);
	assert_int_equal(g->fail[s], ROUTE_FAIL_CLOSED);
	assert_false(route_child_is_live(g->r, s));
	assert_int_equal(g->client_held[ROUTE_TRAFFIC], s == d);
	for (int i = 0; i < n; i++)
		assert_int_equal(route_child_is_live(g->r, i), i != s);
}

static void
daemon_row(const struct row *row, int n, int d, int s)
{
	struct route_config cfg = config(n);
	const struct route_stats *st;
	struct rig g;

	rig_init(&g, n, d, &cfg);
	st = route_stats(g.r);
	switch (row->want) {
	case WANT_OPEN:
	case WANT_REMAP:
		remapped(&g, row, n, s);
		break;
	case WANT_FROM_DEFAULT:
		from_default(&g, row, d, s);
		break;
	case WANT_LOG:
		log_row(&g, row, d, s);
		break;
	case WANT_LOSS:
		lost_row(&g, row, n, d, s);
		break;
	default:
		rig_child(&g, s, "%s", row->json);
		if (row->want == WANT_OPING)
			rig_want_child(&g, s, "{'OperatorPong':250}");
		assert_int_equal(st->dropped_pongs, row->want == WANT_PONG);
		assert_int_equal(st->dropped_results, row->want == WANT_RESULT);
		assert_int_equal(st->dropped_kind + st->dropped_stateful,
		    row->want == WANT_DROP);
	}
	rig_want_nothing(&g);
	rig_free(&g);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		for (int n = 1; n <= 8; n++) {
			for (int d = 0; d < n; d++) {
				if (rows[i].dir == PM_CLIENT) {
					client_row(&rows[i], n, d);
					continue;
				}
				for (int s = 0; s < n; s++)
					daemon_row(&rows[i], n, d, s);
			}
		}
	}
}

/* The path is by the same table; and the list misses no kind. */
static void
test_paths(void **state)
{
	bool seen[2][18] = {{false}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct buf b = rig_bytes(rows[i].dir, rows[i].json, 1);
		struct pm_route m;
		bool own = strstr(rows[i].json, "'Vpn'") != NULL ||
			   strstr(rows[i].json, "'ReverseDnsLookup'") != NULL;

		assert_int_equal(
		    pm_shallow(rows[i].dir, buf_data(&b), b.len, &m, NULL), 0);
		assert_int_equal(route_is_stateful(rows[i].dir, &m),
		    own || rows[i].want == WANT_DEFAULT ||
			rows[i].want == WANT_FROM_DEFAULT);
		seen[rows[i].dir][m.kind] = true;
		buf_free(&b);
	}
	for (int k = 0; k < PM_ClientMessage_COUNT; k++)
		assert_true(seen[PM_CLIENT][k]);
	for (int k = 0; k < PM_DaemonMessage_COUNT; k++)
		assert_true(seen[PM_DAEMON][k]);
}

/* Let through to a client that asked, once per question. */
static void
test_asked(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g, 2, 1, NULL);
	rig_client(&g, "{'ReverseDnsLookup':{'ip_address':'1.2.3.4'}}");
	rig_want_child(&g, 1, "{'ReverseDnsLookup':{'ip_address':'1.2.3.4'}}");
	for (int i = 0; i < 2; i++)
		rig_child(&g, 1,
		    "{'ReverseDnsLookup':{'Ok':{'hostname':{'Ok':''}}}}");
	rig_want_client(
	    &g, "{'ReverseDnsLookup':{'Ok':{'hostname':{'Ok':''}}}}");
	rig_child(&g, 1, "{'Vpn':{'Packet':''}}");
	rig_want_nothing(&g);
	rig_client(&g, "{'Vpn':'OpenSocket'}");
	rig_want_child(&g, 1, "{'Vpn':'OpenSocket'}");
	rig_child(&g, 1, "{'Vpn':{'Packet':''}}");
	rig_child(&g, 0, "{'Vpn':{'Packet':''}}");
	rig_want_client(&g, "{'Vpn':{'Packet':''}}");
	rig_want_nothing(&g);
	rig_free(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
