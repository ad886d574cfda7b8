/* One client: what it is answered, and what it cannot do to others. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/client.h"
#include "tests/unit/agent/rig.h"
#include "tests/unit/unit.h"

static struct agent_client *
first(struct rig *r)
{
	return LIST_ENTRY(r->a.clients.next, struct agent_client, link);
}

static void
ping(struct rig *r, size_t c)
{
	struct pm_DaemonMessage m;

	rig_send_bytes(r, c, "\x07", 1);
	rig_want(r, c, PM_DaemonMessage_Pong, &m);
}

static void
versions(void **state)
{
	static const struct {
		const char *theirs, *answer;
		bool knows_1_17, knows_1_29;
	} rows[] = {
	    {"1.2.2", "1.2.2", false, false},
	    {"1.16.9", "1.16.9", false, false},
	    {"1.17.0", "1.17.0", true, false},
	    {"1.29.0", "1.29.0", true, true},
	    {"1.29.1", "1.29.0", true, true},
	    {"2.0.0", "1.29.0", true, true},
	    {"99999999.0.0", "1.29.0", true, true},
	    {"1.29.0+build.7", "1.29.0+build.7", true, true},
	    /* a pre-release knows nothing, as in existing peers */
	    {"1.29.0-rc.1", "1.29.0-rc.1", false, false},
	    {"2.0.0-rc.1", "1.29.0", false, false},
	};
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_DaemonMessage m;

	assert_false(agent_client_at_least(first(r), 1, 3, 0));
	assert_true(agent_client_at_least(first(r), 1, 2, 2));
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct pm_ClientMessage v = {
		    .tag = PM_ClientMessage_SwitchProtocolVersion};

		v.u.SwitchProtocolVersion = pm_str(rows[i].theirs);
		rig_send(r, c, &v);
		rig_want(
		    r, c, PM_DaemonMessage_SwitchProtocolVersionResponse, &m);
		if (strchr(rows[i].theirs, '+') == NULL)
			assert_true(pm_str_eq(m.u.SwitchProtocolVersionResponse,
			    pm_str(rows[i].answer)));
		assert_int_equal(agent_client_at_least(first(r), 1, 17, 0),
		    rows[i].knows_1_17);
		assert_int_equal(agent_client_at_least(first(r), 1, 29, 0),
		    rows[i].knows_1_29);
	}
}

static void
environment(void **state)
{
	static const struct {
		const char *bytes;
		size_t n, want;
	} rows[] = {
	    {"\x06\0\0", 3, 3},
	    {"\x06\0\x01\x03"
	     "FO*",
		7, 2},
	    {"\x06\x01\x03"
	     "FOO\x01\x03"
	     "FO*",
		11, 1},
	    {"\x06\x01\x01*\0", 5, 0},
	    {"\x06\0\x01\x04PATH", 8, 0},
	    {"\x06\0\x01\x04"
	     "FO\0*",
		8, 0},
	    {"\x06\0\x01\0", 4, 0},
	};
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_DaemonMessage m;

	for (size_t i = 0; i < N_OF(rows); i++) {
		rig_send_bytes(r, c, rows[i].bytes, rows[i].n);
		rig_want(r, c, PM_DaemonMessage_GetEnvVarsResponse, &m);
		assert_int_equal(m.u.GetEnvVarsResponse.tag, PM_OK);
		assert_int_equal(m.u.GetEnvVarsResponse.u.Ok.n, rows[i].want);
	}
}

/* Refused by Close, but the stream goes on (spec B.11). */
static void
refusals(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {
	    {"\x09\x01", 2},         /* pause */
	    {"\x0c\0", 2},           /* VPN */
	    {"\x0c\x02\x01x", 4},    /* a VPN packet */
	    {"\x01\0\x50", 3},       /* mirror: this rig has no target */
	    {"\x02\0\0\x50", 4},     /* steal */
	    {"\x02\x03\x07\x01x", 5} /* data for it */
	};
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_DaemonMessage m;

	for (size_t i = 0; i < N_OF(rows); i++) {
		rig_send_bytes(r, c, rows[i].bytes, rows[i].n);
		rig_want(r, c, PM_DaemonMessage_Close, &m);
		assert_true(m.u.Close.n > 30);
		assert_int_equal(m.u.Close.p[m.u.Close.n - 1], '.');
		ping(r, c);
	}
	/* OperatorPong, share keys, ReadyForLogs: no answer at all */
	rig_send_bytes(r, c, "\x0e\x05", 2);
	rig_send_bytes(r, c, "\x11\0\x01k", 4);
	rig_send_bytes(r, c, "\x11\x01\x01k", 4);
	rig_send_bytes(r, c, "\x0b", 1);
	ping(r, c);
}

static bool
all_gone(struct rig *r, void *arg)
{
	return r->a.client_count == *(size_t *)arg;
}

static void
broken_streams(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {
	    {"\0", 1},     /* Close: an orderly one */
	    {"\x12", 1},   /* no such kind */
	    {"\xff", 1},   /* reserved */
	    {"\xfd\0", 2}, /* too wide for an index */
	    {"\x09\x02", 2}, {"\x0a\x04\x31.29", 6}, {"\x05\x1e", 2},
	    {"\x03\x03\xff", 3}, {"\x05\0\x02\xff\xfe\x01\0\0\0\0\0", 11},
	    {"\x0a\xfb\xff\xff", 4}, /* a long version: waits */
	};
	struct rig *r = *state;
	size_t good = rig_connect(r), left = 1;
	struct pm_DaemonMessage m;

	for (size_t i = 0; i < N_OF(rows); i++) {
		size_t c = rig_connect(r);

		ping(r, c);
		rig_send_bytes(r, c, rows[i].bytes, rows[i].n);
		if (i + 1 == N_OF(rows)) {
			assert_true(rig_quiet(r, c));
			rig_hang_up(r, c);
		} else {
			assert_false(rig_next(r, c, &m));
		}
		rig_until(r, all_gone, &left);
		ping(r, good);
	}
}

static void
messages_in_pieces(void **state)
{
	static const char all[] = "\x0a\x06"
				  "1.29.0"
				  "\x07"
				  "\x06\0\x01\x03"
				  "FOO"
				  "\x07";
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_DaemonMessage m;

	for (size_t i = 0; i < sizeof(all) - 1; i++) {
		rig_send_bytes(r, c, all + i, 1);
		ev_loop_turn(r->a.loop, false);
	}
	rig_want(r, c, PM_DaemonMessage_SwitchProtocolVersionResponse, &m);
	rig_want(r, c, PM_DaemonMessage_Pong, &m);
	rig_want(r, c, PM_DaemonMessage_GetEnvVarsResponse, &m);
	rig_want(r, c, PM_DaemonMessage_Pong, &m);
}

static void
logs(void **state)
{
	static const struct {
		const char *version;
		enum log_level level;
		uint32_t want;
	} rows[] = {
	    {"1.29.0", LOG_LV_ERROR, PM_LogLevel_Error},
	    {"1.29.0", LOG_LV_WARN, PM_LogLevel_Warn},
	    {"1.29.0", LOG_LV_INFO, PM_LogLevel_Info},
	    {"1.13.4", LOG_LV_INFO, PM_LogLevel_Info},
	    {"1.13.3", LOG_LV_INFO, PM_LogLevel_Warn},
	    {"1.4.0", LOG_LV_INFO, PM_LogLevel_Warn},
	};
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_DaemonMessage m;
	char longest[3000];

	agent_client_log(first(r), LOG_LV_WARN, "Nobody asked yet.");
	assert_true(rig_quiet(r, c));
	rig_send_bytes(r, c, "\x0b", 1);
	ping(r, c);
	assert_true(rig_quiet(r, c)); /* what was said before is gone */
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct pm_ClientMessage v = {
		    .tag = PM_ClientMessage_SwitchProtocolVersion};

		v.u.SwitchProtocolVersion = pm_str(rows[i].version);
		rig_send(r, c, &v);
		rig_want(
		    r, c, PM_DaemonMessage_SwitchProtocolVersionResponse, &m);
		agent_client_log(first(r), rows[i].level, "Row %zu.", i);
		rig_want(r, c, PM_DaemonMessage_LogMessage, &m);
		assert_int_equal(m.u.LogMessage.level.tag, rows[i].want);
	}
	agent_client_log(first(r), LOG_LV_DEBUG, "Never sent.");
	assert_true(rig_quiet(r, c));
	/* cut between two characters, never inside one */
	for (size_t i = 0; i + 2 < sizeof(longest); i += 2)
		memcpy(longest + i, "\xc3\xa9", 2);
	longest[sizeof(longest) - 2] = '\0';
	agent_client_log(first(r), LOG_LV_WARN, "x%s", longest);
	rig_want(r, c, PM_DaemonMessage_LogMessage, &m);
	assert_true(m.u.LogMessage.message.n > 1000);
}

/* ---- queues ---- */

struct source {
	struct agent_wait wait;
	struct rig *r;
	unsigned calls, *clock, last;
	bool greedy;
};

static int
send_bytes(struct agent_client *c, size_t n)
{
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_TcpOutgoing};
	uint8_t *bytes = calloc(1, n);
	int rc;

	assert_non_null(bytes);
	m.u.TcpOutgoing.tag = PM_DaemonTcpOutgoing_Read;
	m.u.TcpOutgoing.u.Read.u.Ok.bytes = (struct span){bytes, n};
	rc = agent_client_send(c, &m);
	free(bytes);
	return rc;
}

static void
on_room(void *arg)
{
	struct source *s = arg;
	struct agent_client *c = first(s->r);

	s->calls++;
	s->last = ++*s->clock;
	if (s->greedy) {
		(void)send_bytes(c, AGENT_QUEUE_SOFT_BYTES / 2);
		agent_client_on_drain(c, &s->wait);
	}
}

static void
drain_client(struct rig *r, size_t c, unsigned messages)
{
	struct pm_DaemonMessage m;

	while (messages-- > 0)
		rig_want(r, c, PM_DaemonMessage_TcpOutgoing, &m);
}

static void
waiting_for_room(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct source s[4];
	unsigned tick = 0;

	for (int i = 0; i < 4; i++) {
		s[i] = (struct source){.r = r, .clock = &tick};
		agent_wait_init(&s[i].wait, on_room, &s[i]);
	}
	/* With room the call comes soon, but never inside on_drain. */
	agent_client_on_drain(first(r), &s[0].wait);
	agent_client_on_drain(first(r), &s[0].wait);
	assert_int_equal(s[0].calls, 0);
	ev_loop_turn(r->a.loop, true);
	assert_int_equal(s[0].calls, 1);
	/* Without it, after the client has read. */
	assert_int_equal(send_bytes(first(r), 2 * AGENT_QUEUE_SOFT_BYTES), 0);
	assert_true(agent_client_full(first(r)));
	assert_true(agent_client_queued(first(r)) >= AGENT_QUEUE_SOFT_BYTES);
	for (int i = 3; i >= 0; i--)
		agent_client_on_drain(first(r), &s[i].wait);
	agent_wait_cancel(&s[1].wait);
	for (int i = 0; i < 8; i++)
		ev_loop_turn(r->a.loop, true);
	assert_int_equal(s[0].calls + s[2].calls + s[3].calls, 1);
	drain_client(r, c, 1);
	assert_true(rig_quiet(r, c));
	assert_int_equal(s[1].calls, 0);
	/* in the order they came */
	assert_true(s[3].last < s[2].last && s[2].last < s[0].last);
	assert_false(agent_client_full(first(r)));
}

static void
taking_turns(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct source s[3];
	unsigned tick = 0;

	assert_int_equal(send_bytes(first(r), 2 * AGENT_QUEUE_SOFT_BYTES), 0);
	for (int i = 0; i < 3; i++) {
		s[i] = (struct source){.r = r, .clock = &tick, .greedy = true};
		agent_wait_init(&s[i].wait, on_room, &s[i]);
		agent_client_on_drain(first(r), &s[i].wait);
	}
	drain_client(r, c, 61);
	for (int i = 0; i < 3; i++)
		assert_in_range(s[i].calls, 18, 24);
	rig_hang_up(r, c); /* waits end without a call */
	size_t none = 0;

	rig_until(r, all_gone, &none);
	assert_true(list_empty(&s[0].wait.link));
}

static void
hard_limit(void **state)
{
	struct rig *r = *state;
	size_t good = rig_connect(r), c = rig_connect(r), left = 1;
	struct agent_client *bad =
	    LIST_ENTRY(r->a.clients.prev, struct agent_client, link);
	int rc = 0;

	for (int i = 0; i < 100 && rc == 0; i++)
		rc = send_bytes(bad, 1024 * 1024);
	assert_int_equal(rc, -ERR_TOO_BIG);
	assert_int_equal(r->a.client_count, 2); /* not inside the call */
	assert_int_equal(send_bytes(bad, 1), -ERR_CLOSED);
	rig_until(r, all_gone, &left);
	ping(r, good);
	(void)c;
}

/* A client that is not read sends no more than the socket holds. */
static void
holding(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_DaemonMessage m;
	unsigned sent = 0;

	ping(r, c);
	agent_client_hold(first(r));
	agent_client_hold(first(r));
	rig_send_bytes(r, c, "\x07", 1);
	assert_true(rig_quiet(r, c));
	agent_client_release(first(r));
	assert_true(rig_quiet(r, c));
	agent_client_release(first(r));
	rig_want(r, c, PM_DaemonMessage_Pong, &m);
	/* the same by itself, when it does not read its answers */
	while (sent < 100000000 && rig_offer(r, c, "\x06\0\0\x06\0\0", 6))
		sent++;
	assert_true(sent < 100000000);
	assert_true(
	    agent_client_queued(first(r)) < AGENT_QUEUE_SOFT_BYTES + 4096);
	for (unsigned i = 0; i < 2 * sent; i++)
		rig_want(r, c, PM_DaemonMessage_GetEnvVarsResponse, &m);
	ping(r, c);
}

static void
ends(void **state)
{
	struct rig *r = *state;
	size_t a = rig_connect(r), b = rig_connect(r), left = 1;
	struct pm_DaemonMessage m;

	client_end(first(r), "The reason is told.");
	client_end(first(r), "Once.");
	rig_want(r, a, PM_DaemonMessage_Close, &m);
	assert_true(pm_str_eq(m.u.Close, PM_STR("The reason is told.")));
	assert_false(rig_next(r, a, &m));
	rig_hang_up(r, a);
	rig_until(r, all_gone, &left);
	client_end(first(r), NULL);
	assert_false(rig_next(r, b, &m));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
	    T(versions),
	    T(environment),
	    T(refusals),
	    T(broken_streams),
	    T(messages_in_pieces),
	    T(logs),
	    T(waiting_for_room),
	    T(taking_turns),
	    T(hard_limit),
	    T(holding),
	    T(ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
