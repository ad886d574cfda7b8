/*
 * Messages in pieces: every split of every mapped kind, large messages that
 * hold everybody else, and everything that can be wrong with a message.
 */
#include "config.h"

#include "tests/unit/route/rig.h"

#include "protocol/pm_msg.h"

#include <stdlib.h>
#include <string.h>

static struct span
body(size_t n)
{
	static uint8_t bytes[2 << 20];

	assert_true(n <= sizeof(bytes));
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	return (struct span){bytes, n};
}

static struct buf
encode_daemon(const struct pm_DaemonMessage *m)
{
	struct buf b;

	buf_init(&b, 0);
	assert_int_equal(pm_encode_daemon(m, &b, NULL), 0);
	return b;
}

/* Id first, then n bytes. */
static struct buf
steal_data(uint64_t id, size_t n)
{
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_TcpSteal};

	m.u.TcpSteal.tag = PM_DaemonTcp_Data;
	m.u.TcpSteal.u.Data.connection_id = id;
	m.u.TcpSteal.u.Data.bytes = body(n);
	return encode_daemon(&m);
}

/* A body of n bytes, the id behind it. */
static struct buf
steal_request(uint64_t id, size_t n)
{
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_TcpSteal};
	struct pm_HttpRequest_bytes *h = &m.u.TcpSteal.u.HttpRequest;

	m.u.TcpSteal.tag = PM_DaemonTcp_HttpRequest;
	h->internal_request.method = pm_str("POST");
	h->internal_request.uri = pm_str("/");
	h->internal_request.version = pm_str("HTTP/1.1");
	h->internal_request.body = body(n);
	h->connection_id = id;
	h->port = 80;
	return encode_daemon(&m);
}

static struct buf
file_read(size_t n)
{
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_File};

	m.u.File.tag = PM_FileResponse_Read;
	m.u.File.u.Read.tag = PM_OK;
	m.u.File.u.Read.u.Ok.bytes = body(n);
	m.u.File.u.Read.u.Ok.read_amount = n;
	return encode_daemon(&m);
}

static struct buf
client_data(uint64_t id, size_t n)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpSteal};
	struct buf b;

	m.u.TcpSteal.tag = PM_LayerTcpSteal_Data;
	m.u.TcpSteal.u.Data.connection_id = id;
	m.u.TcpSteal.u.Data.bytes = body(n);
	buf_init(&b, 0);
	assert_int_equal(pm_encode_client(&m, &b, NULL), 0);
	return b;
}

static struct buf
client_chunk(uint64_t id, size_t n)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpSteal};
	struct pm_InternalHttpBodyFrame frame = {
	    .tag = PM_InternalHttpBodyFrame_Data};
	struct pm_ChunkedResponse *c = &m.u.TcpSteal.u.HttpResponseChunked;
	struct buf b;

	frame.u.Data = body(n);
	m.u.TcpSteal.tag = PM_LayerTcpSteal_HttpResponseChunked;
	c->tag = PM_ChunkedResponse_Body;
	c->u.Body.frames.n = 1;
	c->u.Body.frames.v = &frame;
	c->u.Body.connection_id = id;
	buf_init(&b, 0);
	assert_int_equal(pm_encode_client(&m, &b, NULL), 0);
	return b;
}

/* ---- every split ---- */

#define ROW(dir, what, text) {#dir, #what, text},
static const struct row {
	const char *dir, *want, *json;
} rows[] = {
#include "tests/unit/route/rows.def"
};

static void
split_daemon(struct rig *g, const char *json, int n, uint64_t id)
{
	struct buf in = rig_bytes(PM_DAEMON, json, id);
	struct buf out = rig_bytes(PM_DAEMON, json, id * (uint64_t)n + 1);

	for (size_t cut = 1; cut < in.len; cut++) {
		const uint8_t *p = buf_data(&in);

		route_from_child(
		    g->r, 1, ROUTE_TRAFFIC, p, cut, true, false, g->now);
		assert_int_equal(
		    route_from_child(g->r, 1, ROUTE_TRAFFIC, p + cut,
			in.len - cut, false, true, g->now),
		    0);
		rig_want_bytes(&g->client, buf_span(&out));
	}
	for (size_t piece = 1; piece <= 9; piece++) {
		assert_int_equal(
		    rig_child_bytes(g, 1, buf_span(&in), piece), 0);
		rig_want_bytes(&g->client, buf_span(&out));
	}
	buf_free(&in);
	buf_free(&out);
}

static void
split_client(struct rig *g, const char *json, int n, uint64_t id)
{
	struct buf in = rig_bytes(PM_CLIENT, json, id * (uint64_t)n + 1);
	struct buf out = rig_bytes(PM_CLIENT, json, id);

	for (size_t cut = 1; cut < in.len; cut++) {
		const uint8_t *p = buf_data(&in);

		route_from_client(
		    g->r, ROUTE_TRAFFIC, p, cut, true, false, g->now);
		assert_int_equal(route_from_client(g->r, ROUTE_TRAFFIC, p + cut,
				     in.len - cut, false, true, g->now),
		    0);
		rig_want_bytes(&g->child[1], buf_span(&out));
	}
	for (size_t piece = 1; piece <= 9; piece++) {
		assert_int_equal(rig_client_bytes(g, buf_span(&in), piece), 0);
		rig_want_bytes(&g->child[1], buf_span(&out));
	}
	buf_free(&in);
	buf_free(&out);
}

static void
test_every_split(void **state)
{
	static const uint64_t ids[] = {0, 100, 250, 60000, 0xfffffff0};
	struct rig g;

	(void)state;
	for (int n = 2; n <= 3; n++) {
		rig_init(&g, n, 0, NULL);
		for (size_t i = 0; i < N_OF(rows); i++) {
			const struct row *row = &rows[i];

			for (size_t k = 0; k < N_OF(ids); k++) {
				if (strcmp(row->want, "OPEN") == 0 ||
				    strcmp(row->want, "REMAP") == 0)
					split_daemon(&g, row->json, n, ids[k]);
				if (strcmp(row->want, "OWN") == 0)
					split_client(&g, row->json, n, ids[k]);
			}
		}
		rig_want_nothing(&g);
		rig_free(&g);
	}
}

/* Handled kinds in pieces: kept until complete. */
static void
test_handled_split(void **state)
{
	static const char *const all[] = {
	    "'Ping'",
	    "{'TcpSteal':{'PortSubscribe':{'FilteredHttp':[80,'x: y']}}}",
	    "{'Tcp':{'PortUnsubscribe':8080}}",
	};
	struct rig g;

	(void)state;
	rig_init(&g, 3, 1, NULL);
	for (size_t i = 0; i < N_OF(all); i++) {
		struct buf b = rig_bytes(PM_CLIENT, all[i], 0);

		for (size_t piece = 1; piece <= b.len; piece++) {
			assert_int_equal(
			    rig_client_bytes(&g, buf_span(&b), piece), 0);
			for (int s = 0; s < 3; s++)
				rig_want_bytes(&g.child[s], buf_span(&b));
		}
		buf_free(&b);
	}
	rig_want_nothing(&g);
	rig_free(&g);
}

/* ---- large ones ---- */

static void
test_large_passes(void **state)
{
	struct {
		struct buf in, out;
	} m[3];
	struct rig g;

	(void)state;
	rig_init(&g, 4, 2, NULL);
	m[0].in = steal_data(77, 300000);
	m[0].out = steal_data(77 * 4 + 2, 300000);
	m[1].in = steal_request(63, 300000);
	m[1].out = steal_request(63 * 4 + 2, 300000);
	m[2].in = file_read(1 << 20);
	m[2].out = file_read(1 << 20);
	for (size_t i = 0; i < N_OF(m); i++) {
		static const size_t pieces[] = {65536, 32768, 4099, 100000};

		for (size_t k = 0; k < N_OF(pieces); k++) {
			g.client.pieces = 0;
			assert_int_equal(rig_child_bytes(&g, 2,
					     buf_span(&m[i].in), pieces[k]),
			    0);
			rig_want_bytes(&g.client, buf_span(&m[i].out));
			/* Passed as it came: not collected before. */
			assert_true(
			    (size_t)g.client.pieces >= m[i].in.len / pieces[k]);
			assert_false(g.child_held[0][ROUTE_TRAFFIC]);
		}
		buf_free(&m[i].in);
		buf_free(&m[i].out);
	}
	rig_want_nothing(&g);
	rig_free(&g);
}

/* While one is under way: the others wait, own messages come behind it. */
static void
test_large_holds(void **state)
{
	struct buf big = file_read(200000);
	const uint8_t *p = buf_data(&big);
	uint8_t pong = PM_DaemonMessage_Pong;
	struct rig g;

	(void)state;
	rig_init(&g, 3, 0, NULL);
	rig_client(&g, "'Ping'");
	rig_clear(&g);
	route_from_child(g.r, 0, ROUTE_TRAFFIC, p, 65536, true, false, g.now);
	assert_true(g.child_held[1][0] && g.child_held[2][0]);
	assert_false(g.child_held[0][0]);
	assert_true(route_child_held(g.r, 1, ROUTE_TRAFFIC));
	assert_int_equal(route_from_child(g.r, 1, ROUTE_TRAFFIC, &pong, 1, true,
			     true, g.now),
	    ROUTE_LATER);
	/* One that comes up meanwhile waits, too. */
	route_child_down(g.r, 2, "reset", g.now);
	g.child_held[2][0] = false;
	route_child_up(g.r, 2, g.now);
	assert_true(g.child_held[2][0]);
	rig_wait(&g, 4000); /* nobody is slow by our own doing */
	assert_int_equal(g.fails[2], 0);
	route_from_child(
	    g.r, 0, ROUTE_TRAFFIC, p + 65536, 65536, false, false, g.now);
	route_from_child(g.r, 0, ROUTE_TRAFFIC, p + 131072, big.len - 131072,
	    false, true, g.now);
	rig_want_bytes(&g.client, buf_span(&big));
	assert_false(g.child_held[1][0] || g.child_held[2][0]);
	rig_child(&g, 0, "'Pong'");
	rig_want_client(&g, "'Pong'");
	rig_want_nothing(&g);
	buf_free(&big);
	rig_free(&g);
}

static void
test_own_behind_large(void **state)
{
	struct route_config cfg = {.split_children = true};
	struct buf big = file_read(100000);
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, &cfg);
	rig_client(&g, "{'TcpSteal':{'PortSubscribe':{'All':80}}}");
	rig_child(&g, 0, "{'TcpSteal':{'SubscribeResult':{'Ok':80}}}");
	rig_clear(&g);
	route_from_child(
	    g.r, 0, ROUTE_STATEFUL, buf_data(&big), 65536, true, false, g.now);
	assert_true(g.child_held[0][ROUTE_TRAFFIC]);
	assert_true(g.child_held[1][ROUTE_STATEFUL]);
	rig_wait(&g, 2000); /* the merge ends without child 1 */
	assert_int_equal(g.client.n, 0);
	route_from_child(g.r, 0, ROUTE_STATEFUL, buf_data(&big) + 65536,
	    big.len - 65536, false, true, g.now);
	rig_want_bytes(&g.client, buf_span(&big));
	rig_want_client(&g, "{'TcpSteal':{'SubscribeResult':{'Ok':80}}}");
	rig_want_nothing(&g);
	buf_free(&big);
	rig_free(&g);
}

static void
test_cut(void **state)
{
	struct buf big = steal_data(1, 100000);
	struct rig g;

	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		rig_init(&g, 3, 0, NULL);
		route_from_child(g.r, 1, ROUTE_TRAFFIC, buf_data(&big), 65536,
		    true, false, g.now);
		route_child_down(g.r, lost + 1, "reset", g.now);
		assert_int_equal(g.drops, lost == 0);
		if (lost == 0)
			assert_int_equal(g.drop, ROUTE_DROP_CUT);
		else /* it was somebody else */
			assert_int_equal(
			    route_from_child(g.r, 1, ROUTE_TRAFFIC,
				buf_data(&big) + 65536, big.len - 65536, false,
				true, g.now),
			    0);
		rig_free(&g);
	}
	buf_free(&big);
}

/* To a child: an OperatorPong waits behind the client's large message. */
static void
test_child_busy(void **state)
{
	struct buf in = client_data(5 * 2 + 1, 200000);
	struct buf out = client_data(5, 200000);
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	route_from_client(
	    g.r, ROUTE_TRAFFIC, buf_data(&in), 65536, true, false, g.now);
	rig_child(&g, 1, "{'OperatorPing':7}");
	rig_child(&g, 0, "{'OperatorPing':8}");
	rig_want_child(&g, 0, "{'OperatorPong':8}");
	assert_int_equal(g.child[1].n, 0);
	route_from_client(g.r, ROUTE_TRAFFIC, buf_data(&in) + 65536,
	    in.len - 65536, false, true, g.now);
	rig_want_bytes(&g.child[1], buf_span(&out));
	rig_want_child(&g, 1, "{'OperatorPong':7}");
	/* One that asks on and on while it takes nothing is given up. */
	route_from_client(
	    g.r, ROUTE_TRAFFIC, buf_data(&in), 65536, true, false, g.now);
	for (int i = 0; i < 20000 && g.fails[1] == 0; i++) {
		struct buf b = rig_bytes(PM_DAEMON, "{'OperatorPing':7}", 0);

		rig_child_bytes(&g, 1, buf_span(&b), b.len);
		buf_free(&b);
	}
	assert_int_equal(g.fail[1], ROUTE_FAIL_LIMIT);
	/* The rest of its message goes nowhere; the next one is clean. */
	assert_int_equal(
	    route_from_client(g.r, ROUTE_TRAFFIC, buf_data(&in) + 65536,
		in.len - 65536, false, true, g.now),
	    0);
	assert_int_equal(g.child[1].n, 0);
	rig_client(&g, "{'FileRequest':{'Close':{'fd':1}}}");
	rig_want_child(&g, 0, "{'FileRequest':{'Close':{'fd':1}}}");
	rig_want_nothing(&g);
	buf_free(&in);
	buf_free(&out);
	rig_free(&g);
}

/* Two paths from a frontend lead to one agent. */
static void
test_split_client(void **state)
{
	struct route_config cfg = {.split_client = true};
	struct buf big = client_data(0, 100000);
	struct buf env = rig_bytes(PM_CLIENT,
	    "{'GetEnvVarsRequest':{'env_vars_filter':[],"
	    "'env_vars_select':[]}}",
	    0);
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, &cfg);
	route_from_client(
	    g.r, ROUTE_TRAFFIC, buf_data(&big), 65536, true, false, g.now);
	assert_true(g.client_held[ROUTE_STATEFUL]);
	assert_int_equal(route_from_client(g.r, ROUTE_STATEFUL, buf_data(&env),
			     env.len, true, true, g.now),
	    ROUTE_LATER);
	route_from_client(g.r, ROUTE_TRAFFIC, buf_data(&big) + 65536,
	    big.len - 65536, false, true, g.now);
	assert_false(g.client_held[ROUTE_STATEFUL]);
	assert_int_equal(route_from_client(g.r, ROUTE_STATEFUL, buf_data(&env),
			     env.len, true, true, g.now),
	    0);
	rig_want_bytes(&g.child[0], buf_span(&big));
	rig_want_bytes(&g.child[0], buf_span(&env));
	rig_want_nothing(&g);
	/* Each kind has its path. */
	assert_int_equal(route_from_client(g.r, ROUTE_TRAFFIC, buf_data(&env),
			     env.len, true, true, g.now),
	    -ERR_CLOSED);
	assert_int_equal(g.drop, ROUTE_DROP_PROTOCOL);
	buf_free(&big);
	buf_free(&env);
	rig_free(&g);
}

/* ---- limits ---- */

static void
test_assembly(void **state)
{
	static const struct {
		size_t body;
		long pool;
		bool ok;
	} cases[] = {
	    {70000, 0, true},
	    {(1 << 20) - 64, 0, true},
	    {(1 << 20) + 70000, 0, false},
	    {300000, 200000, false},
	    {300000, 400000, true},
	};
	struct rig g;

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		struct buf in = client_chunk(4, cases[i].body);
		struct buf out = client_chunk(1, cases[i].body);

		rig_init(&g, 3, 0, NULL);
		g.pool_limit = cases[i].pool;
		assert_int_equal(rig_client_bytes(&g, buf_span(&in), 65536),
		    cases[i].ok ? 0 : -ERR_CLOSED);
		if (cases[i].ok) {
			assert_int_equal(g.pooled, 0);
			rig_want_bytes(&g.child[1], buf_span(&out));
			rig_want_nothing(&g);
		} else {
			assert_int_equal(g.drop, ROUTE_DROP_LIMIT);
		}
		rig_free(&g);
		buf_free(&in);
		buf_free(&out);
	}
}

static void
test_late_in_pieces(void **state)
{
	/* The client's late id is of a lost child: nothing goes out. */
	struct buf in = client_chunk(1, 200000);
	struct rig g;

	(void)state;
	rig_init(&g, 2, 0, NULL);
	route_child_down(g.r, 1, "reset", g.now);
	assert_int_equal(rig_client_bytes(&g, buf_span(&in), 65536), 0);
	assert_int_equal(route_stats(g.r)->dropped_late, 1);
	rig_want_nothing(&g);
	rig_free(&g);
	buf_free(&in);
}

static void
test_too_large_to_handle(void **state)
{
	struct buf b;
	struct rig g;
	uint8_t n[17];

	(void)state;
	buf_init(&b, 0);
	buf_append(&b, "\x02\x00\x01\x50", 4); /* steal, filtered, port 80 */
	buf_append(&b, n, pm_put_varint(n, 100000));
	buf_append(&b, body(100000).p, 100000);
	rig_init(&g, 2, 0, NULL);
	assert_int_equal(
	    rig_client_bytes(&g, buf_span(&b), 40000), -ERR_CLOSED);
	assert_int_equal(g.drop, ROUTE_DROP_LIMIT);
	rig_free(&g);
	/* A log line of that size is dropped, its child stays. */
	buf_clear(&b);
	buf_append(&b, "\x05", 1);
	buf_append(&b, n, pm_put_varint(n, 100000));
	buf_append(&b, body(100000).p, 100000);
	buf_append(&b, "\x00", 1);
	rig_init(&g, 2, 0, NULL);
	rig_client(&g, "'ReadyForLogs'");
	assert_int_equal(rig_child_bytes(&g, 1, buf_span(&b), 40000), 0);
	assert_int_equal(route_stats(g.r)->dropped_logs, 1);
	rig_want_nothing(&g);
	rig_free(&g);
	buf_free(&b);
}

/* ---- what is wrong ---- */

static void
test_bad(void **state)
{
	static const struct {
		const char *bytes;
		size_t n, piece;
	} bad[] = {
	    {"\x12", 1, 1},                 /* unknown kind */
	    {"\xff", 1, 1},                 /* reserved */
	    {"\x02\x09", 2, 2},             /* unknown sub kind */
	    {"\x02\x09", 2, 1},             /* the same in pieces */
	    {"\x02\x03\x05", 3, 3},         /* ends within Data */
	    {"\x02\x03\x05\x09\x01", 5, 2}, /* ends within its bytes */
	    {"\x02\x06\x01", 3, 1},         /* ends before the id */
	    {"\x02\x01\xfe\0\0\0", 6, 3},   /* id marker too wide */
	    {"", 0, 1},                     /* nothing at all */
	};
	struct rig g;

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		struct span s = {(const uint8_t *)bad[i].bytes, bad[i].n};

		rig_init(&g, 2, 0, NULL);
		assert_int_equal(
		    rig_client_bytes(&g, s, bad[i].piece), -ERR_CLOSED);
		assert_int_equal(g.drop, ROUTE_DROP_PROTOCOL);
		assert_true(route_is_dead(g.r));
		assert_int_equal(route_next_deadline(g.r), UINT64_MAX);
		rig_free(&g);
		rig_init(&g, 2, 0, NULL);
		assert_true(rig_child_bytes(&g, 1, s, bad[i].piece) < 0);
		if (g.drops == 0 || bad[i].piece >= bad[i].n) {
			assert_int_equal(g.fail[1], ROUTE_FAIL_PROTOCOL);
			rig_client(&g, "'Ping'");
			rig_want_child(&g, 0, "'Ping'");
		} else { /* it had begun to reach the client */
			assert_int_equal(g.drop, ROUTE_DROP_CUT);
		}
		rig_free(&g);
	}
}

static void
test_framing(void **state)
{
	static const uint8_t data[] = {2, 3, 2, 2, 'h', 'i', 0xff, 0xff};
	struct rig g;

	(void)state;
	/* Bytes behind the message do not count, whole or in pieces. */
	rig_init(&g, 1, 0, NULL);
	for (size_t piece = 1; piece <= sizeof(data); piece++) {
		rig_client_bytes(&g, (struct span){data, sizeof(data)}, piece);
		rig_want_bytes(&g.child[0], (struct span){data, 6});
	}
	rig_want_nothing(&g);
	/* A beginning within a message; a piece of none. */
	route_from_client(g.r, ROUTE_TRAFFIC, data, 2, true, false, g.now);
	assert_int_equal(
	    route_from_client(g.r, ROUTE_TRAFFIC, data, 6, true, true, g.now),
	    -ERR_CLOSED);
	rig_free(&g);
	rig_init(&g, 2, 0, NULL);
	assert_int_equal(route_from_child(g.r, 1, ROUTE_TRAFFIC, data, 6, false,
			     true, g.now),
	    -ERR_INVALID);
	assert_int_equal(g.fail[1], ROUTE_FAIL_PROTOCOL);
	/* A slot that is not there, or not up; a path that is not there. */
	assert_int_equal(
	    route_from_child(g.r, 1, ROUTE_TRAFFIC, data, 6, true, true, g.now),
	    -ERR_INVALID);
	assert_int_equal(
	    route_from_child(g.r, 9, ROUTE_TRAFFIC, data, 6, true, true, g.now),
	    -ERR_INVALID);
	assert_int_equal(route_from_child(g.r, 0, ROUTE_STATEFUL, data, 6, true,
			     true, g.now),
	    -ERR_INTERNAL);
	rig_free(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_split),
	    cmocka_unit_test(test_handled_split),
	    cmocka_unit_test(test_large_passes),
	    cmocka_unit_test(test_large_holds),
	    cmocka_unit_test(test_own_behind_large),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_child_busy),
	    cmocka_unit_test(test_split_client),
	    cmocka_unit_test(test_assembly),
	    cmocka_unit_test(test_late_in_pieces),
	    cmocka_unit_test(test_too_large_to_handle),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_framing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
