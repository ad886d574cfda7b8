/*
 * A client socket in a frontend: from the upgrade request to its end, over
 * real TLS. The test is the client, the session controller, two clusters'
 * workers and the stateful worker.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "protocol/mirrord.h"
#include "tests/unit/workers/front.h"

#define FIRST IPC_FIRST
#define LAST IPC_LAST
#define TARGET                                                       \
	"/apis/operator.metalbear.co/v1/proxy/namespaces/a/targets/" \
	"deployment.shop?connect=true"
enum { HANDLE = 5, SESSION_ID = 77 };

/* A client: its handshake, then its WebSocket. */
struct client {
	struct ws_client *wait;
	struct ws_conn *ws;
	bool done; /* the handshake */
	int refused;
	struct status status;
	struct buf got; /* whole messages, back to back */
	size_t messages;
	bool within, closed, clean;
};

static struct front f;
static struct client c;
static uint32_t stream[2]; /* of each slot */
static size_t room;        /* on the stateful path, towards the client */

static int
setup(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	buf_init(&c.got, 0);
	front_init(&f, true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ws_client_cancel(&c.wait);
	ws_conn_free(&c.ws);
	buf_free(&c.got);
	front_deinit(&f);
	return 0;
}

static void
on_piece(void *arg, struct ws_conn *ws, struct span b, bool first, bool last)
{
	struct client *k = arg;

	(void)ws;
	assert_int_equal(first, !k->within);
	k->within = !last;
	k->messages += last;
	assert_int_equal(buf_append(&k->got, b.p, b.n), 0);
}

static void
on_close(void *arg, struct ws_conn *ws, bool clean, uint16_t code,
    const struct err *e)
{
	struct client *k = arg;

	(void)ws;
	(void)code;
	(void)e;
	k->closed = true;
	k->clean = clean;
	ws_conn_free(&k->ws);
}

static void
on_answer(void *arg, struct ws_conn *ws, const struct ws_refusal *r,
    const struct err *e)
{
	static const struct ws_conn_cbs cbs = {
	    .on_piece = on_piece, .on_close = on_close};
	struct client *k = arg;

	k->wait = NULL;
	k->done = true;
	k->ws = ws;
	if (ws != NULL)
		ws_conn_bind(ws, &cbs, k);
	if (r != NULL) {
		k->refused = r->http_code;
		k->status = r->status;
	}
	if (e != NULL)
		k->refused = -1;
}

static void
client_begin(struct client *k, enum front_who who, const char *target,
    const struct http_pair *fields)
{
	struct http_req req = {.method = "GET",
	    .target = target,
	    .host = "localhost",
	    .fields = fields,
	    .timeout_ms = 5000};
	struct err e;

	k->wait = ws_client_start(front_connect(&f, who), &req,
	    "v4.channel.k8s.io", NULL, on_answer, k, &e);
	assert_non_null(k->wait);
}

static const struct http_pair id_field[] = {
    {"x-session-id", "77"}, {"x-mirrord-mc-session", "child-1"}, {NULL, NULL}};

/* Waits until *done; the other workers' messages stay in their lists. */
static void
until(const bool *done, const char *what)
{
	front_until(&f, done, what);
}

static void
turns_until_messages(size_t n)
{
	uint64_t end_ms = clock_mono_ms() + 8000;

	while (c.messages < n) {
		if (clock_mono_ms() > end_ms || c.closed)
			fail_msg(
			    "%zu messages came, wanted %zu", c.messages, n);
		front_turn(&f);
	}
}

/* ---- refusals before the controller hears of it */

static void
refused_at_the_door(void **state)
{
	static const struct {
		const char *name;
		enum front_who who;
		const char *target;
		struct http_pair fields[4];
		int code;
		const char *text;
	} rows[] = {
	    {"a stranger", FRONT_NOBODY, TARGET, {{"x-session-id", "1"}}, 401,
		"kubeconfig"},
	    {"no session id", FRONT_HUB, TARGET, {{NULL, NULL}}, 400,
		"x-session-id"},
	    {"no number", FRONT_HUB, TARGET, {{"x-session-id", "0x12"}}, 400,
		"x-session-id"},
	    {"too large", FRONT_HUB, TARGET,
		{{"x-session-id", "18446744073709551616"}}, 400,
		"x-session-id"},
	    {"a user without x-client-der", FRONT_DEV, TARGET,
		{{"x-session-id", "1"}}, 401, "x-client-der"},
	    {"a user with nonsense in it", FRONT_DEV, TARGET,
		{{"x-session-id", "1"}, {"x-client-der", "AAAA"}}, 401,
		"x-client-der"},
	    {"a user with a child's name", FRONT_DEV, TARGET,
		{{"x-session-id", "1"}, {"x-mirrord-mc-session", "c"}}, 403,
		"primary"},
	    {"params that are no base64", FRONT_HUB, TARGET,
		{{"x-session-id", "1"}, {"x-mirrord-connect-params", "%%"}},
		400, "connect parameters"},
	    {"params with a broken escape", FRONT_HUB, TARGET "&a=%zz",
		{{"x-session-id", "1"}}, 400, "connect parameters"},
	    {"no target", FRONT_HUB,
		"/apis/operator.metalbear.co/v1/proxy/namespaces/a/targets/"
		"shop?connect=true",
		{{"x-session-id", "1"}}, 400, "deployment.shop"},
	    {"an empty name", FRONT_HUB,
		"/apis/operator.metalbear.co/v1/proxy/namespaces/a/targets/"
		"deployment.?connect=true",
		{{"x-session-id", "1"}}, 400, "deployment.shop"},
	    {"a target that is not served", FRONT_HUB,
		"/apis/operator.metalbear.co/v1/proxy/namespaces/a/copytargets/"
		"x?connect=true",
		{{"x-session-id", "1"}}, 501, "copy targets"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		memset(&c.status, 0, sizeof(c.status));
		c.done = false;
		client_begin(&c, rows[i].who, rows[i].target, rows[i].fields);
		until(&c.done, rows[i].name);
		if (c.refused != rows[i].code ||
		    strstr(c.status.message, rows[i].text) == NULL)
			fail_msg("%s: %d %s", rows[i].name, c.refused,
			    c.status.message);
		assert_int_equal(rig_count(f.own, IPC_SESSION_OPEN), 0);
	}
}

/* ---- the controller's part */

static uint32_t
expect_open(struct client *k)
{
	struct rig_msg *m;
	uint32_t request;

	client_begin(k, FRONT_HUB, TARGET "&a=b", id_field);
	m = front_expect(&f, f.own, IPC_SESSION_OPEN);
	assert_non_null(strstr(m->text, "session_id=0x4d"));
	assert_non_null(strstr(m->text, "peer=1 user=\"hub\""));
	assert_non_null(strstr(m->text, "namespace=\"a\""));
	assert_non_null(strstr(m->text, "target=\"deployment.shop\""));
	assert_non_null(strstr(m->text, "child=\"child-1\""));
	request = front_request(m);
	rig_msg_free(&m);
	return request;
}

static void
the_controller_refuses(void **state)
{
	static const struct {
		uint16_t code;
		const char *reason, *message;
		int want;
		const char *want_reason;
	} rows[] = {
	    {403, "Forbidden", "not yours", 403, "Forbidden"},
	    {404, "NotFound", "no target", 404, "NotFound"},
	    {410, "ReconnectNotPossible", "killed", 410,
		"ReconnectNotPossible"},
	    {410, "Gone", "killed", 410, "Gone"},
	    {422, "Invalid", "name", 422, "Invalid"},
	    {503, "", "starting", 503, "ServiceUnavailable"},
	    {599, "", "odd", 500, "InternalError"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct ipc_session_refused r = {.code = rows[i].code,
		    .reason = rows[i].reason,
		    .message = rows[i].message};

		c.done = false;
		r.request = expect_open(&c);
		rig_send(f.own, IPC_SESSION_REFUSED, 0, 0, 0, &r);
		until(&c.done, "the refusal");
		assert_int_equal(c.refused, rows[i].want);
		assert_string_equal(c.status.reason, rows[i].want_reason);
		assert_string_equal(c.status.message, rows[i].message);
	}
}

static void
a_client_that_leaves_is_cancelled(void **state)
{
	uint32_t request = expect_open(&c);
	struct rig_msg *m;

	(void)state;
	ws_client_cancel(&c.wait);
	m = front_expect(&f, f.own, IPC_SESSION_CANCEL);
	assert_int_equal(front_request(m), request);
	rig_msg_free(&m);
}

static void
opened(uint32_t request, const char *ready, const char *conditions)
{
	struct ipc_session_opened o = {.request = request,
	    .session_id = SESSION_ID,
	    .default_slot = 0,
	    .slots = "east\nwest",
	    .workers = "0\n1",
	    .ready = ready,
	    .conditions = conditions,
	    .settled = ""};

	rig_send(f.own, IPC_SESSION_OPENED, 0, HANDLE, 0, &o);
}

static uint32_t
expect_stream(struct rig_peer *p)
{
	struct rig_msg *m = front_expect(&f, p, IPC_STREAM_OPEN);
	uint32_t n = m->header.stream;

	assert_int_equal(m->header.session, HANDLE);
	rig_msg_free(&m);
	return n;
}

static void
stream_opened(struct rig_peer *p, uint32_t number)
{
	struct ipc_stream_opened o = {.version = "1.29.0"};

	rig_send(p, IPC_STREAM_OPENED, 0, HANDLE, number, &o);
}

static void
stream_end(struct rig_peer *p, uint32_t number, uint16_t code, const char *text)
{
	struct ipc_stream_end e = {.code = code, .text = text};

	rig_send(p, IPC_STREAM_END, 0, HANDLE, number, &e);
}

/* Up to the answer 101, both clusters in. */
static void
connect_client(struct client *k)
{
	struct rig_msg *m;

	room = IPC_WINDOW_FLOOR_BYTES;
	opened(expect_open(k), "11", "\n");
	stream[0] = expect_stream(f.clu[0]);
	stream[1] = expect_stream(f.clu[1]);
	assert_int_equal(expect_stream(f.sf), stream[0]);
	assert_int_equal(stream[0] >> FE_STREAM_INDEX_SHIFT, 1);
	assert_true(stream[0] != stream[1]);
	stream_opened(f.clu[1], stream[1]);
	stream_opened(f.clu[0], stream[0]);
	front_turns(&f, 30);
	assert_false(k->done); /* the stateful path is still to come */
	stream_opened(f.sf, stream[0]);
	until(&k->done, "the upgrade");
	assert_non_null(k->ws);
	m = front_expect(&f, f.own, IPC_SOCKET_UP);
	assert_int_equal(m->header.session, HANDLE);
	rig_msg_free(&m);
}

static void
send_bytes(struct rig_peer *p, uint32_t number, const void *bytes, size_t n,
    uint16_t flags)
{
	struct ipc_stream_data d = {.data = {bytes, n}};

	rig_send(p, IPC_STREAM_DATA, flags, HANDLE, number, &d);
}

static void
expect_bytes(struct rig_peer *p, const void *bytes, size_t n)
{
	struct rig_msg *m = front_expect(&f, p, IPC_STREAM_DATA);

	assert_int_equal(m->data.len, n);
	assert_memory_equal(buf_data(&m->data), bytes, n);
	rig_msg_free(&m);
}

static const uint8_t ping[] = {PM_ClientMessage_Ping};
static const uint8_t pong[] = {PM_DaemonMessage_Pong};
static const uint8_t env_q[] = {PM_ClientMessage_GetEnvVarsRequest, 0, 0};
static const uint8_t env_a[] = {PM_DaemonMessage_GetEnvVarsResponse, 0, 0};

static void
messages_both_ways(void **state)
{
	(void)state;
	connect_client(&c);
	/* one answer to one question, however many were asked */
	assert_int_equal(ws_send(c.ws, ping, sizeof(ping)), 0);
	expect_bytes(f.clu[0], ping, sizeof(ping));
	expect_bytes(f.clu[1], ping, sizeof(ping));
	send_bytes(f.clu[1], stream[1], pong, 1, FIRST | LAST);
	send_bytes(f.clu[0], stream[0], pong, 1, FIRST | LAST);
	turns_until_messages(1);
	front_turns(&f, 30);
	assert_int_equal(c.messages, 1);
	/* stateful ones to the default alone, by the stateful worker */
	assert_int_equal(ws_send(c.ws, env_q, sizeof(env_q)), 0);
	expect_bytes(f.sf, env_q, sizeof(env_q));
	send_bytes(f.sf, stream[0], env_a, sizeof(env_a), FIRST | LAST);
	turns_until_messages(2);
	assert_memory_equal(buf_data(&c.got), "\x07\x08\x00\x00", 4);
	assert_int_equal(rig_count(f.clu[0], IPC_STREAM_DATA), 0);
	assert_int_equal(rig_count(f.clu[1], IPC_STREAM_DATA), 0);
}

static uint8_t *
big_env(size_t n, size_t *len)
{
	static const uint8_t head[] = {
	    PM_DaemonMessage_GetEnvVarsResponse, 0, 1, 1, 'K', 252};
	uint8_t *p = malloc(sizeof(head) + 4 + n);
	uint32_t le = (uint32_t)n;

	memcpy(p, head, sizeof(head));
	memcpy(p + sizeof(head), &le, 4);
	for (size_t i = 0; i < n; i++)
		p[sizeof(head) + 4 + i] = (uint8_t)('a' + i % 23);
	*len = sizeof(head) + 4 + n;
	return p;
}

static size_t
room_taken(struct rig_peer *p)
{
	size_t n = 0;

	while (rig_count(p, IPC_STREAM_CREDIT) > 0) {
		struct rig_msg *m = rig_expect(p, IPC_STREAM_CREDIT);
		const char *at = strstr(m->text, "bytes=");

		n += strtoul(at + 6, NULL, 10);
		rig_msg_free(&m);
	}
	return n;
}

/* Sends bytes of one message from the stateful path as there is room. */
static void
send_big(const uint8_t *p, size_t n, size_t last_piece)
{
	size_t done = 0;
	uint64_t end_ms = clock_mono_ms() + 8000;

	while (done < n) {
		size_t k = n - done < 60000 ? n - done : 60000;

		room += room_taken(f.sf);
		k = k < room ? k : room;
		if (k == 0) {
			assert_true(clock_mono_ms() < end_ms);
			front_turn(&f);
			continue;
		}
		send_bytes(f.sf, stream[0], p + done, k,
		    (uint16_t)((done == 0 ? FIRST : 0) |
			       (done + k == n && last_piece != 0 ? LAST : 0)));
		done += k;
		room -= k;
	}
	if (last_piece == 0) /* an empty one ends it */
		send_bytes(f.sf, stream[0], "", 0, LAST);
}

static void
big_messages_in_pieces(void **state)
{
	static const size_t sizes[] = {100, 65526, 65527, 300000, 2000000};
	size_t at = 0, count = 0;

	(void)state;
	connect_client(&c);
	for (size_t i = 0; i < N_OF(sizes); i++) {
		for (size_t last = 0; last < 2; last++) {
			size_t len;
			uint8_t *p = big_env(sizes[i], &len);

			ws_send(c.ws, env_q, sizeof(env_q));
			expect_bytes(f.sf, env_q, sizeof(env_q));
			send_big(p, len, last);
			turns_until_messages(++count);
			assert_int_equal(c.got.len - at, len);
			assert_memory_equal(buf_data(&c.got) + at, p, len);
			at = c.got.len;
			free(p);
		}
	}
}

/* A client that reads nothing costs a window or two, and hears it all later,
 * also what its lost cluster said last. */
static void
a_client_that_does_not_read(void **state)
{
	static uint8_t filler[30000];
	struct fe *fe = f.r.w.state;
	size_t sent = 0, n = 0;
	uint64_t end_ms;

	(void)state;
	connect_client(&c);
	ws_pause(c.ws);
	memcpy(filler, "\x08\x00\x01\x01K\xfb", 6); /* a u16 length */
	filler[6] = (uint8_t)((sizeof(filler) - 8) & 0xff);
	filler[7] = (uint8_t)((sizeof(filler) - 8) >> 8);
	end_ms = clock_mono_ms() + 8000;
	/* kernel buffers are large on loopback */
	for (int quiet = 0; quiet < 200;) {
		assert_true(clock_mono_ms() < end_ms);
		front_turn(&f);
		room += room_taken(f.sf);
		if (room < sizeof(filler)) {
			quiet++;
			continue;
		}
		send_bytes(
		    f.sf, stream[0], filler, sizeof(filler), FIRST | LAST);
		room -= sizeof(filler);
		sent += sizeof(filler);
		n++;
		quiet = 0;
	}
	assert_true(fe->budget.granted_bytes <= 1 << 20);
	LIST_FOR_EACH (node, &fe->sockets) {
		struct fe_socket *k = LIST_ENTRY(node, struct fe_socket, node);

		assert_true(ws_queued(k->ws) < 1 << 20);
		assert_true(
		    k->children[0].path[ROUTE_STATEFUL].queue.payload_bytes <
		    1 << 20);
	}
	stream_end(f.sf, stream[0], 502, "its operator stops");
	front_turns(&f, 50);
	ws_resume(c.ws);
	turns_until_messages(n);
	assert_int_equal(c.got.len, sent);
}

/* ---- losses */

static void
a_lost_cluster_joins_again(void **state)
{
	uint32_t again;
	uint64_t from_ms;

	(void)state;
	connect_client(&c);
	stream_end(f.clu[1], stream[1], 502, "gone");
	from_ms = clock_mono_ms();
	again = expect_stream(f.clu[1]);
	assert_true(clock_mono_ms() - from_ms < 1500);
	assert_true(again != stream[1]);
	/* refused again and again: tried with a growing pause */
	for (int i = 0; i < 2; i++) {
		stream_end(f.clu[1], again, 503, "not yet");
		again = expect_stream(f.clu[1]);
	}
	assert_true(clock_mono_ms() - from_ms > 300);
	stream_opened(f.clu[1], again);
	stream[1] = again;
	front_turns(&f, 50);
	assert_false(c.closed);
	assert_int_equal(ws_send(c.ws, ping, 1), 0);
	expect_bytes(f.clu[0], ping, 1);
	expect_bytes(f.clu[1], ping, 1);
	/* the worker itself dies */
	rig_detach(f.clu[1]);
	front_turns(&f, 50);
	assert_false(c.closed);
	send_bytes(f.clu[0], stream[0], pong, 1, FIRST | LAST);
	turns_until_messages(1);
}

/* Let in and lost at once, again and again: no faster than any other. */
static void
a_child_that_flaps(void **state)
{
	uint64_t from_ms = clock_mono_ms();

	(void)state;
	connect_client(&c);
	for (int i = 0; i < 4; i++) {
		stream_end(f.clu[1], stream[1], 502, "gone");
		stream[1] = expect_stream(f.clu[1]);
		stream_opened(f.clu[1], stream[1]);
		front_turns(&f, 20);
	}
	/* at least the halves of 250, 500, 1000 and 2000 ms */
	assert_true(clock_mono_ms() - from_ms > 1800);
	assert_false(c.closed);
}

/* The session controller says it is up again: it is tried at once. */
static void
child_state_hurries(void **state)
{
	struct ipc_child_state s = {.slot = 1, .up = 0};
	uint32_t again;

	(void)state;
	opened(expect_open(&c), "10", "\ncluster west is away");
	stream[0] = expect_stream(f.clu[0]);
	expect_stream(f.sf);
	stream_opened(f.clu[0], stream[0]);
	stream_opened(f.sf, stream[0]);
	until(&c.done, "the upgrade without west");
	assert_non_null(c.ws);
	front_turns(&f, 100);
	assert_int_equal(rig_count(f.clu[1], IPC_STREAM_OPEN), 0);
	s.up = 1;
	rig_send(f.own, IPC_CHILD_STATE, 0, HANDLE, 0, &s);
	again = expect_stream(f.clu[1]);
	stream_opened(f.clu[1], again);
	front_turns(&f, 50);
	assert_false(c.closed);
	/* a slot that is none breaks the contract */
	s.slot = 2;
	rig_send(f.own, IPC_CHILD_STATE, 0, HANDLE, 0, &s);
	front_turns(&f, 50);
	assert_true(f.own->gone);
}

/* West fails while the client waits: it is let in without it. */
static void
only_the_default_is_needed(void **state)
{
	(void)state;
	opened(expect_open(&c), "11", "\n");
	stream[0] = expect_stream(f.clu[0]);
	stream[1] = expect_stream(f.clu[1]);
	expect_stream(f.sf);
	stream_opened(f.clu[0], stream[0]);
	stream_opened(f.sf, stream[0]);
	stream_end(f.clu[1], stream[1], 502, "no route");
	until(&c.done, "the upgrade without west");
	assert_non_null(c.ws);
	stream[1] = expect_stream(f.clu[1]); /* and it is tried again */
}

static void
the_default_is_needed(void **state)
{
	static const struct {
		uint16_t code;
		const char *text;
		int want;
	} rows[] = {
	    {403, "not yours", 403}, {502, "no route", 500}, {0, "", 500}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		c.done = false;
		opened(expect_open(&c), "11", "\n");
		stream[0] = expect_stream(f.clu[0]);
		stream[1] = expect_stream(f.clu[1]);
		expect_stream(f.sf);
		stream_opened(f.clu[1], stream[1]);
		stream_end(f.clu[0], stream[0], rows[i].code, rows[i].text);
		until(&c.done, "the refusal");
		assert_int_equal(c.refused, rows[i].want);
		/* nothing is left open: END, since RESET could come first */
		struct rig_msg *m = front_expect(&f, f.sf, IPC_STREAM_END);

		rig_msg_free(&m);
		front_turns(&f, 30);
		assert_true(map_get(&((struct fe *)f.r.w.state)->sessions,
				HANDLE) == NULL);
		while (rig_count(f.clu[1], IPC_STREAM_END) > 0) {
			m = rig_expect(f.clu[1], IPC_STREAM_END);
			rig_msg_free(&m);
		}
	}
}

/* Its socket goes without a Close, so that the client comes back. */
static void
a_lost_default_drops_the_client_when_it_is_back(void **state)
{
	uint32_t again;

	(void)state;
	connect_client(&c);
	stream_end(f.clu[0], stream[0], 502, "gone");
	again = expect_stream(f.clu[0]);
	assert_int_equal(expect_stream(f.sf), again);
	assert_false(c.closed);
	stream_opened(f.clu[0], again);
	stream_opened(f.sf, again);
	until(&c.closed, "the drop");
	assert_false(c.clean);
	struct rig_msg *m = front_expect(&f, f.own, IPC_SOCKET_DOWN);

	rig_msg_free(&m);
}

/* In order a default ends when both its paths have. */
static void
both_paths_end(void **state)
{
	(void)state;
	connect_client(&c);
	stream_end(f.clu[0], stream[0], 0, "over");
	front_turns(&f, 50);
	assert_int_equal(rig_count(f.clu[0], IPC_STREAM_OPEN), 0);
	send_bytes(f.sf, stream[0], env_a, sizeof(env_a), FIRST | LAST);
	turns_until_messages(1);
	stream_end(f.sf, stream[0], 0, "over");
	expect_stream(f.clu[0]);
}

/* ---- what children may not do */

static void
a_child_that_talks_nonsense(void **state)
{
	static const struct {
		const char *name;
		uint8_t bytes[4];
		size_t n;
		uint16_t flags;
	} rows[] = {
	    {"an unknown kind", {0x7e}, 1, FIRST | LAST},
	    {"an empty message", {0}, 0, FIRST | LAST},
	    {"a rest without a beginning", {PM_DaemonMessage_Pong}, 1, LAST},
	    {"half a message", {PM_DaemonMessage_Tcp}, 1, FIRST | LAST},
	};

	(void)state;
	connect_client(&c);
	for (size_t i = 0; i < N_OF(rows); i++) {
		send_bytes(f.clu[1], stream[1], rows[i].bytes, rows[i].n,
		    rows[i].flags);
		stream[1] = expect_stream(f.clu[1]); /* it is lost: again */
		stream_opened(f.clu[1], stream[1]);
		front_turns(&f, 50);
		if (c.closed)
			fail_msg("%s ended the client", rows[i].name);
	}
}

static void
broken_answers_of_the_controller(void **state)
{
	static const struct ipc_session_opened rows[] = {
	    {.slots = "", .workers = "", .ready = "", .default_slot = 0},
	    {.slots = "a\nb", .workers = "0\n1", .ready = "1"},
	    {.slots = "a\nb", .workers = "0", .ready = "11"},
	    {.slots = "a", .workers = "0", .ready = "1", .default_slot = 1},
	    {.slots = "a", .workers = "x", .ready = "1"},
	    {.slots = "a", .workers = "4294967296", .ready = "1"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct ipc_session_opened o = rows[i];

		c.done = false;
		o.request = expect_open(&c);
		rig_send(f.own, IPC_SESSION_OPENED, 0, HANDLE, 0, &o);
		until(&c.done, "the refusal");
		assert_int_equal(c.refused, 500);
		assert_null(
		    map_get(&((struct fe *)f.r.w.state)->sessions, HANDLE));
	}
}

/* ---- the end */

static void
session_ends(void **state)
{
	struct ipc_session_end e = {.close = 1, .text = "killed by root"};

	(void)state;
	connect_client(&c);
	rig_send(f.own, IPC_SESSION_END, 0, HANDLE, 0, &e);
	until(&c.closed, "the end");
	/* DaemonMessage Close(text), then the drop */
	assert_int_equal(c.messages, 1);
	assert_int_equal(buf_data(&c.got)[0], PM_DaemonMessage_Close);
	assert_memory_equal(buf_data(&c.got) + 2, "killed by root", 14);
	struct rig_msg *m = front_expect(&f, f.own, IPC_SOCKET_DOWN);

	rig_msg_free(&m);
	m = front_expect(&f, f.clu[0], IPC_STREAM_END);
	rig_msg_free(&m);
	m = front_expect(&f, f.clu[1], IPC_STREAM_END);
	rig_msg_free(&m);
	m = front_expect(&f, f.sf, IPC_STREAM_END);
	rig_msg_free(&m);
}

static void
session_drops(void **state)
{
	struct ipc_session_end e = {.close = 0, .text = "again"};

	(void)state;
	connect_client(&c);
	rig_send(f.own, IPC_SESSION_END, 0, HANDLE, 0, &e);
	until(&c.closed, "the drop");
	assert_int_equal(c.messages, 0);
	assert_false(c.clean);
}

static void
session_ends_while_connecting(void **state)
{
	(void)state;
	for (int close = 0; close < 2; close++) {
		struct ipc_session_end e = {
		    .close = (uint8_t)close, .text = "why"};

		c.done = false;
		opened(expect_open(&c), "11", "\n");
		expect_stream(f.clu[0]);
		rig_send(f.own, IPC_SESSION_END, 0, HANDLE, 0, &e);
		until(&c.done, "the refusal");
		assert_int_equal(c.refused, close ? 410 : 503);
		front_turns(&f, 30);
		expect_stream(f.clu[1]);
		expect_stream(f.sf);
	}
}

static void
the_client_says_close(void **state)
{
	static const uint8_t close[] = {PM_ClientMessage_Close};
	struct rig_msg *m;

	(void)state;
	connect_client(&c);
	ws_send(c.ws, close, 1);
	expect_bytes(f.clu[0], close, 1);
	expect_bytes(f.clu[1], close, 1);
	m = front_expect(&f, f.own, IPC_SOCKET_DOWN);
	rig_msg_free(&m);
	m = front_expect(&f, f.clu[1], IPC_STREAM_END);
	assert_non_null(strstr(m->text, "code=0"));
	rig_msg_free(&m);
}

static void
the_client_dies(void **state)
{
	struct rig_msg *m;

	(void)state;
	connect_client(&c);
	ws_conn_free(&c.ws);
	m = front_expect(&f, f.own, IPC_SOCKET_DOWN);
	rig_msg_free(&m);
	m = front_expect(&f, f.sf, IPC_STREAM_END);
	rig_msg_free(&m);
	front_turns(&f, 30);
	assert_true(list_empty(&((struct fe *)f.r.w.state)->sockets));
	assert_int_equal(((struct fe *)f.r.w.state)->budget.granted_bytes, 0);
}

/* Two sockets of one session: each its own streams, one session. */
static void
two_sockets(void **state)
{
	struct client d = {0};
	struct ipc_session_settled s = {.version = "1.20.0"};
	uint32_t first;

	(void)state;
	buf_init(&d.got, 0);
	connect_client(&c);
	first = stream[0];
	connect_client(&d);
	assert_true(stream[0] != first);
	rig_send(f.own, IPC_SESSION_SETTLED, 0, HANDLE, 0, &s);
	ws_conn_free(&d.ws);
	struct rig_msg *m = front_expect(&f, f.own, IPC_SOCKET_DOWN);

	rig_msg_free(&m);
	assert_false(c.closed);
	ws_send(c.ws, env_q, sizeof(env_q));
	m = front_expect(&f, f.sf, IPC_STREAM_DATA);
	assert_int_equal(m->header.stream, first);
	rig_msg_free(&m);
	buf_free(&d.got);
}

/* A new controller counts its handles anew: an old session is not found by
 * one of them. */
static void
a_lost_controller(void **state)
{
	struct client d = {0};
	struct fe *fe = f.r.w.state;
	uint32_t waiting;

	(void)state;
	buf_init(&d.got, 0);
	connect_client(&c);
	ws_pause(c.ws); /* so that the old socket stays a while */
	client_begin(&d, FRONT_HUB, TARGET, id_field);
	struct rig_msg *m = front_expect(&f, f.own, IPC_SESSION_OPEN);

	rig_msg_free(&m);
	rig_detach(f.own);
	until(&d.done, "the refusal of who waits");
	assert_int_equal(d.refused, 503);
	assert_null(map_get(&fe->sessions, HANDLE));
	f.own = rig_attach(&f.r, IPC_OWN, 0, "hub");
	f.own_answers = false;
	d.done = false;
	client_begin(&d, FRONT_HUB, TARGET,
	    (struct http_pair[]){{"x-session-id", "78"}, {NULL, NULL}});
	m = front_expect(&f, f.own, IPC_SESSION_OPEN);
	waiting = front_request(m);
	rig_msg_free(&m);
	struct ipc_session_opened o = {.request = waiting,
	    .session_id = 78,
	    .slots = "east",
	    .workers = "0",
	    .ready = "1"};

	rig_send(f.own, IPC_SESSION_OPENED, 0, HANDLE, 0, &o);
	stream[0] = expect_stream(f.clu[0]);
	stream_opened(f.clu[0], stream[0]);
	stream_opened(f.sf, expect_stream(f.sf));
	until(&d.done, "the new session");
	assert_non_null(d.ws);
	assert_int_equal(
	    ((struct fe_session *)map_get(&fe->sessions, HANDLE))->n_slots, 1);
	/* the new controller hears nothing of the old one's sockets */
	assert_int_equal(rig_count(f.own, IPC_SOCKET_DOWN), 0);
	ws_conn_free(&d.ws);
	front_turns(&f, 30);
	buf_free(&d.got);
}

static void
revoked_while_it_runs(void **state)
{
	struct fe *fe = f.r.w.state;
	char extra[200];
	struct fe_socket *k;

	(void)state;
	connect_client(&c);
	k = LIST_ENTRY(fe->sockets.next, struct fe_socket, node);
	snprintf(
	    extra, sizeof(extra), ",\"revoked\":[\"%s\"]", k->proof.serial);
	assert_true(k->proof.serial[0] != '\0');
	front_trust(&f, extra);
	until(&c.closed, "the end");
	assert_int_equal(c.messages, 1);
	assert_int_equal(buf_data(&c.got)[0], PM_DaemonMessage_Close);
}

/* ---- `diagnose latency`: a socket without a session */

#define PING_TARGET \
	"/apis/operator.metalbear.co/v1/mirrordoperators/operator/ping"

static void
ping_client(void)
{
	c.done = c.closed = false;
	client_begin(&c, FRONT_HUB, PING_TARGET, NULL);
	until(&c.done, "the upgrade");
	assert_non_null(c.ws);
}

static void
pings_are_answered_here(void **state)
{
	(void)state;
	ping_client();
	for (int i = 0; i < 3; i++)
		ws_send(c.ws, ping, 1);
	ws_send(c.ws, env_q, sizeof(env_q)); /* no business of it */
	ws_send(c.ws, ping, 1);
	turns_until_messages(4);
	assert_memory_equal(buf_data(&c.got), "\x07\x07\x07\x07", 4);
	assert_int_equal(rig_count(f.own, IPC_SESSION_OPEN), 0);
}

static void
pings_end(void **state)
{
	static const struct {
		const char *name;
		uint8_t bytes[2];
		size_t n;
		bool last;
	} rows[] = {
	    {"by Close", {PM_ClientMessage_Close}, 1, true},
	    {"by nonsense", {0x7e}, 1, true},
	    {"by an empty message", {0}, 0, true},
	    {"by a message in parts", {PM_ClientMessage_Ping}, 1, false},
	};
	struct fe *fe = f.r.w.state;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		ping_client();
		ws_send_piece(
		    c.ws, rows[i].bytes, rows[i].n, true, rows[i].last);
		until(&c.closed, rows[i].name);
		front_turns(&f, 20);
		assert_true(list_empty(&fe->pings));
	}
	ping_client(); /* from our side */
	fe_pings_drop(fe);
	until(&c.closed, "the drop");
	assert_false(c.clean);
}

/* Who asks and never reads costs no more than one queue. */
static void
pings_that_are_not_read(void **state)
{
	struct fe *fe = f.r.w.state;
	size_t sent = 0;

	(void)state;
	ping_client();
	ws_pause(c.ws);
	for (int i = 0; i < 2000; i++) {
		for (int k = 0; k < 500 && !ws_full(c.ws); k++)
			sent += ws_send(c.ws, ping, 1) == 0;
		front_turn(&f);
	}
	assert_true(sent > 1000);
	assert_false(c.closed);
	front_turns(&f, 50);
	assert_false(list_empty(&fe->pings));
	ws_resume(c.ws);
	turns_until_messages(sent);
}

/* ---- draining */

static bool
drained(void)
{
	return f.r.w.quit;
}

static void
drain(uint32_t deadline_ms)
{
	struct ipc_drain d = {.deadline_ms = deadline_ms};
	uint64_t end_ms = clock_mono_ms() + 8000;

	rig_send(f.sup, IPC_DRAIN, 0, 0, 0, &d);
	while (!drained()) {
		if (clock_mono_ms() > end_ms)
			fail_msg("it does not end");
		front_turn(&f);
	}
}

static void
draining_drops_clients_without_a_close(void **state)
{
	struct client d = {0};

	(void)state;
	buf_init(&d.got, 0);
	connect_client(&c);
	expect_open(&d); /* one still waits for the controller */
	drain(10000);
	until(&c.closed, "the drop");
	assert_false(c.clean);
	assert_int_equal(c.messages, 0);
	until(&d.done, "the answer to who waits");
	assert_int_equal(d.refused, 503);
	buf_free(&d.got);
}

static void
draining_is_bounded(void **state)
{
	struct http_client *h;
	struct front_answer out;
	uint64_t from_ms;

	(void)state;
	f.own_answers = false; /* an answer that never comes */
	h = front_begin(&f, FRONT_HUB, "GET", "/version", NULL, NULL, &out);
	struct rig_msg *m = front_expect(&f, f.own, IPC_API_REQUEST);

	rig_msg_free(&m);
	from_ms = clock_mono_ms();
	drain(600);
	assert_in_range(clock_mono_ms() - from_ms, 250, 3000);
	http_client_free(&h);
	front_answer_free(&out);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(refused_at_the_door),
	    T(the_controller_refuses),
	    T(a_client_that_leaves_is_cancelled),
	    T(messages_both_ways),
	    T(big_messages_in_pieces),
	    T(a_client_that_does_not_read),
	    T(a_lost_cluster_joins_again),
	    T(a_child_that_flaps),
	    T(child_state_hurries),
	    T(only_the_default_is_needed),
	    T(the_default_is_needed),
	    T(a_lost_default_drops_the_client_when_it_is_back),
	    T(both_paths_end),
	    T(a_child_that_talks_nonsense),
	    T(broken_answers_of_the_controller),
	    T(session_ends),
	    T(session_drops),
	    T(session_ends_while_connecting),
	    T(the_client_says_close),
	    T(the_client_dies),
	    T(two_sockets),
	    T(a_lost_controller),
	    T(revoked_while_it_runs),
	    T(pings_are_answered_here),
	    T(pings_end),
	    T(pings_that_are_not_read),
	    T(draining_drops_clients_without_a_close),
	    T(draining_is_bounded),
	};

	return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
