/*
 * The worker of a remote cluster, between a controller, a secrets worker, a
 * connector, frontends and a stateful worker that the test plays, and a member
 * that really speaks TLS, HTTP and WebSocket.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/stream.h"
#include "lib/clock.h"
#include "protocol/mirrord.h"
#include "tests/unit/workers/member.h"
#include "workers/cluster/cluster.h"

#define FIRST IPC_FIRST
#define LAST IPC_LAST
enum { SESSION = 5, STREAM = 0x01000001 };

static const char operator_json[] =
    "{\"spec\":{\"operator_version\":\"3.1.0\",\"protocol_version\":\"1.29.0\","
    "\"supported_features\":[\"ProxyApi\",\"ConnectParamsInHeader\"]}}";
static const char old_operator_json[] =
    "{\"spec\":{\"operator_version\":\"3.0.0\"}}";

struct ct {
	struct rig r;
	struct member m;
	struct rig_peer *own, *sec, *con, *fe, *sf;
	bool no_connections; /* the connector fails all */
};

static void
ct_init(struct ct *t, const char *op)
{
	memset(t, 0, sizeof(*t));
	rig_init(&t->r, &clu_ops,
	    "{\"cluster\":{\"server\":\"https://localhost:8443/pre/\"}}");
	memcpy(t->r.w.name, "east", 5);
	member_init(&t->m, t->r.w.loop);
	member_answer(&t->m, "GET", "/mirrordoperators/operator", 200, op);
	t->own = rig_attach(&t->r, IPC_OWN, 0, "hub");
	t->sec = rig_attach(&t->r, IPC_SEC, 0, "");
	t->con = rig_attach(&t->r, IPC_CON, 0, "");
	t->fe = rig_attach(&t->r, IPC_FE, 1, "");
	t->sf = rig_attach(&t->r, IPC_SF, 0, "");
}

static void
ct_end(struct ct *t)
{
	member_deinit(&t->m); /* while there is a loop */
	rig_deinit(&t->r);
}

/* Plays the connector: every CONNECT gets a connection to the member. */
static void
ct_dial(struct ct *t)
{
	while (t->con->peer != NULL && rig_count(t->con, IPC_CONNECT) > 0) {
		struct rig_msg *m = rig_expect(t->con, IPC_CONNECT);
		const char *at = strstr(m->text, "request=");
		struct ipc_connected c = {.address = "127.0.0.1:8443"};
		int fd;

		assert_non_null(strstr(m->text, "name=\"east\""));
		assert_non_null(strstr(m->text, "kind=0"));
		assert_non_null(at);
		c.request = (uint32_t)strtoul(at + 8, NULL, 10);
		if (t->no_connections) {
			c.error = "no route to host";
			rig_send(t->con, IPC_CONNECTED, 0, 0, 0, &c);
		} else {
			fd = member_connect(&t->m);
			rig_send_fd(t->con, IPC_CONNECTED, &c, fd);
			close(fd);
		}
		rig_msg_free(&m);
	}
}

/* Turns and dials until fn says so; fails after 8 s. */
static void
ct_until(struct ct *t, bool (*fn)(struct ct *t), const char *what)
{
	uint64_t end_ms = clock_mono_ms() + 8000;

	while (!fn(t)) {
		if (clock_mono_ms() > end_ms)
			fail_msg("%s did not come", what);
		ct_dial(t);
		ev_loop_turn(t->r.w.loop, false);
	}
}

/* The next message of a type, dialling meanwhile. */
static struct rig_msg *
ct_expect(struct ct *t, struct rig_peer *p, enum ipc_type type)
{
	uint64_t end_ms = clock_mono_ms() + 8000;

	while (rig_count(p, type) == 0) {
		if (clock_mono_ms() > end_ms)
			fail_msg("no %s came", ipc_type_name(type));
		ct_dial(t);
		ev_loop_turn(t->r.w.loop, false);
	}
	return rig_expect(p, type);
}

static void
ct_expect_text(
    struct ct *t, struct rig_peer *p, enum ipc_type type, const char *text)
{
	struct rig_msg *m = ct_expect(t, p, type);

	if (strstr(m->text, text) == NULL)
		fail_msg("%s has no %s", m->text, text);
	rig_msg_free(&m);
}

static void
ct_settle(struct ct *t, unsigned ms)
{
	uint64_t end_ms = clock_mono_ms() + ms;

	do {
		ct_dial(t);
		ev_loop_turn(t->r.w.loop, false);
	} while (clock_mono_ms() < end_ms);
}

/* ---- credentials and health */

static void
give_credential(struct ct *t, const char *token)
{
	struct ipc_credential c = {.cluster = "east",
	    .kind = token == NULL ? "mtls" : "bearer",
	    .ca_pem = buf_span(&t->m.tls.ca.cert_pem),
	    .expires_s = 4102444800};

	if (token == NULL) {
		c.cert_pem = buf_span(&t->m.tls.client.cert_pem);
		c.key_pem = buf_span(&t->m.tls.client.key_pem);
	} else {
		c.token = (struct span){(const uint8_t *)token, strlen(token)};
	}
	rig_send(t->sec, IPC_CREDENTIAL, 0, 0, 0, &c);
}

static struct rig_msg *
last_state(struct ct *t)
{
	struct rig_msg *m = ct_expect(t, t->own, IPC_PEER_STATE);

	while (rig_count(t->own, IPC_PEER_STATE) > 0) {
		rig_msg_free(&m);
		m = rig_expect(t->own, IPC_PEER_STATE);
	}
	return m;
}

static void
drop_states(struct ct *t)
{
	rig_settle(&t->r);
	while (rig_count(t->own, IPC_PEER_STATE) > 0) {
		struct rig_msg *m = rig_expect(t->own, IPC_PEER_STATE);

		rig_msg_free(&m);
	}
}

/* With a credential and a reached cluster. */
static void
ct_ready(struct ct *t)
{
	drop_states(t);
	give_credential(t, NULL);
	ct_expect_text(t, t->own, IPC_PEER_STATE, "connected=1");
}

static void
says_what_it_lacks_before_a_credential(void **state)
{
	struct ct t;
	struct ipc_peer_query q = {.request = 9};

	(void)state;
	ct_init(&t, operator_json);
	ct_expect_text(&t, t.own, IPC_PEER_STATE, "no credential has come");
	rig_send(t.own, IPC_PEER_QUERY, 0, 0, 0, &q);
	ct_expect_text(&t, t.own, IPC_PEER_ANSWER, "request=9 code=502");
	assert_int_equal(rig_count(t.con, IPC_CONNECT), 0);
	ct_end(&t);
}

static void
reaches_the_cluster_and_tells_what_it_is(void **state)
{
	struct ct t;
	struct rig_msg *m;

	(void)state;
	ct_init(&t, operator_json);
	drop_states(&t);
	give_credential(&t, NULL);
	m = ct_expect(&t, t.own, IPC_PEER_STATE);
	assert_non_null(strstr(m->text, "cluster=\"east\" connected=1"));
	assert_non_null(strstr(m->text, "operator_version=\"3.1.0\""));
	assert_non_null(strstr(m->text, "protocol_version=\"1.29.0\""));
	assert_non_null(strstr(m->text, "ProxyApi\\nConnectParamsInHeader"));
	rig_msg_free(&m);
	/* by its prefix, its name, and without a token */
	assert_non_null(member_asked(&t.m, "GET /pre/apis/operator."));
	assert_non_null(strstr(t.m.asked[0], "localhost:8443"));
	assert_null(strstr(t.m.asked[0], "uthorization"));
	ct_end(&t);
}

static void
sends_a_token(void **state)
{
	struct ct t;

	(void)state;
	ct_init(&t, operator_json);
	drop_states(&t);
	give_credential(&t, "secret-token");
	ct_expect_text(&t, t.own, IPC_PEER_STATE, "connected=1");
	assert_non_null(
	    member_asked(&t.m, "authorization: Bearer secret-token"));
	/* the next one replaces it on new and on kept connections */
	give_credential(&t, "newer-token");
	ct_expect_text(&t, t.own, IPC_PEER_STATE, "connected=1");
	assert_non_null(
	    member_asked(&t.m, "authorization: Bearer newer-token"));
	ct_end(&t);
}

static void
health_answers(void **state)
{
	static const struct {
		int code;
		const char *body, *want;
	} rows[] = {
	    {403,
		"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":"
		"\"Failure\",\"message\":\"not you\",\"reason\":\"Forbidden\","
		"\"code\":403}",
		"answered 403: not you"},
	    {500, "oops", "answered 500"},
	    {200, "{\"spec\":", "connected=0"},
	    {200, "[]", "connected=1"},
	    {200, "{\"spec\":{\"operator_version\":7}}", "connected=1"},
	    {200, "{\"spec\":{\"supported_features\":[1,\"a\\nb\",\"C\"]}}",
		"features=\"C\""},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct ct t;

		ct_init(&t, operator_json);
		t.m.n_answers = 0;
		member_answer(
		    &t.m, "GET", "/operator", rows[i].code, rows[i].body);
		drop_states(&t);
		give_credential(&t, NULL);
		ct_expect_text(&t, t.own, IPC_PEER_STATE, rows[i].want);
		ct_end(&t);
	}
}

static void
bad_credentials(void **state)
{
	static const struct {
		const char *name;
		struct ipc_credential c;
		const char *want;
		bool broken; /* the contract: the peer is ended */
	} rows[] = {
	    {"of another cluster", {.cluster = "west"}, NULL, true},
	    {"an error", {.cluster = "east", .error = "tls.crt is missing"},
		"credential of cluster east: tls.crt is missing", false},
	    {"no PEM", {.cluster = "east", .ca_pem = {(const uint8_t *)"x", 1}},
		"credential of cluster east", false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct ct t;

		ct_init(&t, operator_json);
		drop_states(&t);
		rig_send(t.sec, IPC_CREDENTIAL, 0, 0, 0, &rows[i].c);
		if (rows[i].want != NULL)
			ct_expect_text(&t, t.own, IPC_PEER_STATE, rows[i].want);
		ct_settle(&t, 20);
		assert_int_equal(t.sec->gone, rows[i].broken);
		ct_end(&t);
	}
}

/* What works is kept when what comes is unusable. */
static void
keeps_the_old_credential(void **state)
{
	struct ipc_credential bad = {.cluster = "east", .error = "expired"};
	struct ipc_peer_query q = {.request = 3, .what = 1, .namespace = "a/b"};
	struct ct t;

	(void)state;
	ct_init(&t, operator_json);
	member_answer(&t.m, "GET", "/targets", 200, "{\"items\":[]}");
	ct_ready(&t);
	rig_send(t.sec, IPC_CREDENTIAL, 0, 0, 0, &bad);
	ct_expect_text(&t, t.own, IPC_PEER_STATE, "expired");
	rig_send(t.own, IPC_PEER_QUERY, 0, 0, 0, &q);
	ct_expect_text(&t, t.own, IPC_PEER_ANSWER, "request=3 code=200");
	assert_non_null(member_asked(&t.m, "/namespaces/a%2Fb/targets\n"));
	ct_end(&t);
}

static void
a_stranger_is_not_trusted(void **state)
{
	struct ct t;
	struct ipc_credential c = {.cluster = "east"};

	(void)state;
	ct_init(&t, operator_json);
	drop_states(&t);
	c.ca_pem = buf_span(&t.m.tls.other_ca.cert_pem);
	rig_send(t.sec, IPC_CREDENTIAL, 0, 0, 0, &c);
	ct_expect_text(&t, t.own, IPC_PEER_STATE, "connected=0");
	assert_int_equal(t.m.n_asked, 0);
	ct_end(&t);
}

static void
tells_a_new_controller_and_tries_again(void **state)
{
	struct ct t;
	struct rig_msg *m;

	(void)state;
	ct_init(&t, operator_json);
	t.no_connections = true;
	drop_states(&t);
	give_credential(&t, NULL);
	ct_expect_text(&t, t.own, IPC_PEER_STATE, "no route to host");
	t.no_connections = false;
	ct_expect_text(&t, t.own, IPC_PEER_STATE, "connected=1");
	rig_detach(t.own);
	ct_settle(&t, 10);
	t.own = rig_attach(&t.r, IPC_OWN, 0, "hub");
	m = last_state(&t);
	assert_non_null(strstr(m->text, "connected=1"));
	rig_msg_free(&m);
	ct_end(&t);
}

/* ---- the controller's orders */

#define STATUS(code, reason, message)                                 \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{}," \
	"\"status\":\"Failure\",\"message\":\"" message               \
	"\",\"reason\":\"" reason "\",\"code\":" #code "}"

static void
orders(void **state)
{
	static const struct {
		const char *name;
		enum ipc_type type;
		int http;
		const char *body, *want;
	} rows[] = {
	    {"created", IPC_CHILD_CREATE, 201, "{}", "code=201"},
	    {"an earlier try got through", IPC_CHILD_CREATE, 409,
		STATUS(409, "AlreadyExists", "there"), "code=200"},
	    {"a conflict of another kind", IPC_CHILD_CREATE, 409,
		STATUS(409, "Conflict", "busy"),
		"code=409 reason=\"Conflict\" message=\"busy\""},
	    {"not a primary", IPC_CHILD_CREATE, 403,
		STATUS(403, "Forbidden", "no"),
		"code=403 reason=\"Forbidden\" message=\"no\""},
	    {"the body's code counts", IPC_CHILD_CREATE, 400,
		STATUS(422, "Invalid", "name"), "code=422 reason=\"Invalid\""},
	    {"no Status", IPC_CHILD_CREATE, 502, "<html>", "code=502"},
	    {"an empty answer", IPC_CHILD_CREATE, 500, "", "code=500"},
	    {"deleted", IPC_CHILD_DELETE, 200, "{}", "code=200"},
	    {"gone already", IPC_CHILD_DELETE, 404,
		STATUS(404, "NotFound", "gone"), "code=200"},
	    {"delete refused", IPC_CHILD_DELETE, 403,
		STATUS(403, "Forbidden", "no"), "code=403 message=\"no\""},
	    {"delete fails", IPC_CHILD_DELETE, 503,
		STATUS(503, "ServiceUnavailable", "soon"), "code=503"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		bool create = rows[i].type == IPC_CHILD_CREATE;
		struct ipc_child_create c = {.request = 7,
		    .name = "c1",
		    .object = {(const uint8_t *)"{\"a\":1}", 7}};
		struct ipc_child_delete d = {.request = 7, .name = "c1/../x"};
		struct rig_msg *m;
		struct ct t;

		ct_init(&t, operator_json);
		member_answer(&t.m, create ? "POST" : "DELETE",
		    "/mirrordclustersessions", rows[i].http, rows[i].body);
		ct_ready(&t);
		rig_send(t.own, rows[i].type, 0, 0, 0,
		    create ? (const void *)&c : (const void *)&d);
		m = ct_expect(
		    &t, t.own, create ? IPC_CHILD_CREATED : IPC_CHILD_DELETED);
		if (strstr(m->text, "request=7") == NULL ||
		    strstr(m->text, rows[i].want) == NULL)
			fail_msg("%s: %s", rows[i].name, m->text);
		rig_msg_free(&m);
		if (create)
			assert_non_null(member_asked(&t.m, "{\"a\":1}"));
		else
			assert_non_null(member_asked(
			    &t.m, "/mirrordclustersessions/c1%2F..%2Fx\n"));
		ct_end(&t);
	}
}

static void
orders_fail_with_the_connector(void **state)
{
	struct ipc_child_create c = {
	    .request = 1, .name = "c", .object = {(const uint8_t *)"{}", 2}};
	struct ct t;

	(void)state;
	ct_init(&t, operator_json);
	ct_ready(&t);
	t.m.mute = true;
	/* under way on a kept connection, then without a connector */
	rig_send(t.own, IPC_CHILD_CREATE, 0, 0, 0, &c);
	ct_settle(&t, 20);
	c.request = 2;
	rig_send(t.own, IPC_CHILD_CREATE, 0, 0, 0, &c);
	rig_settle(&t.r);
	assert_int_equal(rig_count(t.con, IPC_CONNECT), 1);
	rig_detach(t.con);
	ct_expect_text(&t, t.own, IPC_CHILD_CREATED, "request=2 code=502");
	c.request = 3;
	rig_send(t.own, IPC_CHILD_CREATE, 0, 0, 0, &c);
	ct_expect_text(&t, t.own, IPC_CHILD_CREATED, "connector is restarting");
	ct_end(&t); /* and the first one leaks nothing */
}

static void
a_kept_connection_that_died_is_replaced(void **state)
{
	struct ipc_peer_query q = {.request = 3, .what = 2};
	struct ct t;

	(void)state;
	ct_init(&t, operator_json);
	member_answer(&t.m, "GET", "/sessions", 200, "{\"items\":[]}");
	ct_ready(&t);
	assert_int_equal(t.m.n_conns, 1);
	for (size_t i = 0; i < N_OF(t.m.conns); i++)
		http_conn_free(&t.m.conns[i]);
	rig_send(t.own, IPC_PEER_QUERY, 0, 0, 0, &q);
	ct_expect_text(&t, t.own, IPC_PEER_ANSWER, "code=200");
	assert_int_equal(t.m.n_conns, 2);
	ct_end(&t);
}

static void
unknown_questions_end_the_peer(void **state)
{
	struct ipc_peer_query q = {.request = 3, .what = 3};
	struct ct t;

	(void)state;
	ct_init(&t, operator_json);
	rig_send(t.own, IPC_PEER_QUERY, 0, 0, 0, &q);
	ct_settle(&t, 20);
	assert_true(t.own->gone);
	ct_end(&t);
}

/* ---- sessions */

static void
grant(struct ct *t, uint32_t handle)
{
	struct ipc_grant g = {.session_id = 77,
	    .child = "child-77",
	    .cluster = "east",
	    .namespace = "default",
	    .target = "deployment.shop?x=1",
	    .params = {(const uint8_t *)"connect=true&a=b", 16},
	    .client_name = "dev",
	    .client_hostname = "laptop",
	    .cli_version = "3.9",
	    .client_der = "REVS",
	    .traceparent = "00-1",
	    .baggage = "k=v"};

	rig_send(t->own, IPC_GRANT, 0, handle, 0, &g);
	ct_expect_text(t, t->own, IPC_GRANTED, "session_id");
}

static void
ct_granted(struct ct *t, const char *op)
{
	ct_init(t, op);
	ct_ready(t);
	grant(t, SESSION);
}

static void
anchor(struct ct *t, bool open)
{
	struct ipc_anchor a = {.open = open};

	rig_send(t->own, IPC_ANCHOR, 0, SESSION, 0, &a);
}

static bool
socket_closed(struct ct *t)
{
	return t->m.n_sockets > 0 && t->m.sockets[t->m.n_sockets - 1].closed;
}

static void
anchors_come_and_go(void **state)
{
	struct ct t;
	const char *asked;

	(void)state;
	ct_granted(&t, operator_json);
	anchor(&t, true);
	ct_expect_text(&t, t.own, IPC_ANCHOR_STATE, "up=1");
	anchor(&t, true); /* again: told again, no second stream */
	ct_expect_text(&t, t.own, IPC_ANCHOR_STATE, "up=1");
	assert_int_equal(t.m.n_sockets, 1);
	asked = member_asked(&t.m, "/proxy/");
	assert_non_null(strstr(asked,
	    "GET /pre/apis/operator.metalbear.co/v1/proxy/namespaces/default/"
	    "targets/deployment.shop%3Fx%3D1?connect=true\n"));
	assert_non_null(strstr(asked, "x-session-id: 77\n"));
	assert_non_null(strstr(asked, "x-mirrord-mc-session: child-77\n"));
	assert_non_null(strstr(asked, "x-client-name: dev\n"));
	assert_non_null(strstr(asked, "x-client-hostname: laptop\n"));
	assert_non_null(strstr(asked, "x-mirrord-cli-version: 3.9\n"));
	assert_non_null(strstr(asked, "x-client-der: REVS\n"));
	assert_non_null(strstr(asked, "traceparent: 00-1\n"));
	assert_non_null(strstr(asked, "baggage: k=v\n"));
	assert_non_null(strstr(
	    asked, "x-mirrord-connect-params: Y29ubmVjdD10cnVlJmE9Yg==\n"));
	anchor(&t, false);
	ct_until(&t, socket_closed, "the end of the anchor");
	anchor(&t, false); /* harmless */
	anchor(&t, true);
	ct_expect_text(&t, t.own, IPC_ANCHOR_STATE, "up=1");
	ws_conn_free(&t.m.sockets[1].ws); /* the member dies */
	ct_expect_text(&t, t.own, IPC_ANCHOR_STATE, "up=0 code=502");
	ct_end(&t);
}

static void
anchors_are_refused(void **state)
{
	static const struct {
		int code;
		const char *want;
	} rows[] = {
	    {403, "up=0 code=403 reason=\"Forbidden\" message=\"because\""},
	    {404, "up=0 code=404 reason=\"NotFound\""},
	    {501, "up=0 code=501 reason=\"NotImplemented\""},
	    {503, "up=0 code=503"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct ct t;

		ct_granted(&t, operator_json);
		t.m.refuse = rows[i].code;
		t.m.refuse_text = "because";
		anchor(&t, true);
		ct_expect_text(&t, t.own, IPC_ANCHOR_STATE, rows[i].want);
		ct_end(&t);
	}
}

static void
old_operators_get_the_query(void **state)
{
	struct ct t;

	(void)state;
	ct_granted(&t, old_operator_json);
	anchor(&t, true);
	ct_expect_text(&t, t.own, IPC_ANCHOR_STATE, "up=1");
	assert_non_null(
	    member_asked(&t.m, "deployment.shop%3Fx%3D1?connect=true&a=b\n"));
	assert_null(member_asked(&t.m, "x-mirrord-connect-params"));
	ct_end(&t);
}

/* ---- streams */

static void
stream_open(
    struct rig_peer *p, uint32_t session, uint32_t stream, const char *params)
{
	struct ipc_stream_open o = {
	    .params = {(const uint8_t *)params, strlen(params)}};

	rig_send(p, IPC_STREAM_OPEN, 0, session, stream, &o);
}

/* Both paths of a socket's stream, opened. */
static void
ct_streaming(struct ct *t)
{
	ct_granted(t, operator_json);
	stream_open(t->sf, SESSION, STREAM, "");
	stream_open(t->fe, SESSION, STREAM, "connect=true&mine=1");
	ct_expect_text(t, t->fe, IPC_STREAM_OPENED, "1.29.0");
	ct_expect_text(t, t->sf, IPC_STREAM_OPENED, "1.29.0");
	assert_int_equal(t->m.n_sockets, 1);
}

static void
send_bytes(struct rig_peer *p, const void *bytes, size_t n, uint16_t flags)
{
	struct ipc_stream_data d = {.data = {bytes, n}};

	rig_send(p, IPC_STREAM_DATA, flags, SESSION, STREAM, &d);
}

static void
expect_bytes(struct ct *t, struct rig_peer *p, const void *bytes, size_t n)
{
	struct rig_msg *m = ct_expect(t, p, IPC_STREAM_DATA);

	assert_int_equal(m->data.len, n);
	assert_memory_equal(buf_data(&m->data), bytes, n);
	assert_int_equal(m->header.flags, FIRST | LAST);
	rig_msg_free(&m);
}

static size_t wanted;
static bool
member_got(struct ct *t)
{
	return t->m.sockets[0].messages >= wanted;
}

static const uint8_t pong[] = {PM_DaemonMessage_Pong};
/* Ok of an empty map */
static const uint8_t env[] = {PM_DaemonMessage_GetEnvVarsResponse, 0, 0};

static void
two_paths_are_one_stream(void **state)
{
	struct ct t;

	(void)state;
	ct_streaming(&t);
	/* the traffic path's own parameters, though it came second */
	assert_non_null(member_asked(
	    &t.m, "x-mirrord-connect-params: Y29ubmVjdD10cnVlJm1pbmU9MQ==\n"));
	/* towards the child: whole messages, whichever path they came on */
	send_bytes(t.fe, "aaa", 3, FIRST);
	ct_settle(&t, 10);
	send_bytes(t.sf, "BB", 2, FIRST | LAST);
	ct_settle(&t, 10);
	assert_int_equal(t.m.sockets[0].messages, 0);
	send_bytes(t.fe, "aa", 2, LAST);
	wanted = 2;
	ct_until(&t, member_got, "two messages");
	assert_int_equal(t.m.sockets[0].got.len, 7);
	assert_memory_equal(buf_data(&t.m.sockets[0].got), "aaaaaBB", 7);
	/* from the child: by kind */
	assert_int_equal(ws_send(t.m.sockets[0].ws, pong, sizeof(pong)), 0);
	assert_int_equal(ws_send(t.m.sockets[0].ws, env, sizeof(env)), 0);
	expect_bytes(&t, t.fe, pong, sizeof(pong));
	expect_bytes(&t, t.sf, env, sizeof(env));
	ct_end(&t);
}

/* A head that is cut anywhere is put together before its path is chosen. */
static void
cut_heads(void **state)
{
	struct ct t;
	struct rig_msg *m;
	struct ws_conn *ws;

	(void)state;
	ct_streaming(&t);
	ws = t.m.sockets[0].ws;
	assert_int_equal(ws_send_piece(ws, env, 0, true, false), 0);
	assert_int_equal(ws_send_piece(ws, env, 1, false, false), 0);
	assert_int_equal(ws_send_piece(ws, env + 1, 2, false, false), 0);
	assert_int_equal(ws_send_piece(ws, NULL, 0, false, true), 0);
	assert_int_equal(ws_send(ws, pong, 1), 0);
	expect_bytes(&t, t.fe, pong, 1);
	ct_settle(&t, 20);
	size_t n = 0;
	bool last = false;

	while (rig_count(t.sf, IPC_STREAM_DATA) > 0) {
		m = rig_expect(t.sf, IPC_STREAM_DATA);
		assert_int_equal((m->header.flags & FIRST) != 0, n == 0);
		n += m->data.len;
		last = (m->header.flags & LAST) != 0;
		rig_msg_free(&m);
	}
	assert_int_equal(n, sizeof(env));
	assert_true(last);
	ct_end(&t);
}

/* Ok of a map with one entry whose value has n bytes. */
static uint8_t *
big_env(size_t n, size_t *len)
{
	static const uint8_t head[] = {
	    PM_DaemonMessage_GetEnvVarsResponse, 0, 1, 1, 'K', 252};
	uint8_t *p = malloc(sizeof(head) + 4 + n);
	uint32_t le = (uint32_t)n;

	assert_non_null(p);
	memcpy(p, head, sizeof(head));
	memcpy(p + sizeof(head), &le, 4);
	for (size_t i = 0; i < n; i++)
		p[sizeof(head) + 4 + i] = (uint8_t)('a' + i % 26);
	*len = sizeof(head) + 4 + n;
	return p;
}

static void
credit(struct rig_peer *p, size_t n)
{
	struct ipc_stream_credit c = {.bytes = (uint32_t)n};

	if (n > 0)
		rig_send(p, IPC_STREAM_CREDIT, 0, SESSION, STREAM, &c);
}

/* A message larger than any window comes in pieces, as it is taken. */
static void
big_answers_come_in_pieces(void **state)
{
	struct ct t;
	size_t len, got = 0;
	uint8_t *big = big_env(600000, &len);
	bool last = false;

	(void)state;
	ct_streaming(&t);
	assert_int_equal(
	    ws_send_piece(t.m.sockets[0].ws, big, len, true, true), 0);
	while (!last) {
		struct rig_msg *m = ct_expect(&t, t.sf, IPC_STREAM_DATA);

		assert_int_equal((m->header.flags & FIRST) != 0, got == 0);
		assert_true(got + m->data.len <= len);
		assert_memory_equal(buf_data(&m->data), big + got, m->data.len);
		got += m->data.len;
		last = (m->header.flags & LAST) != 0;
		credit(t.sf, m->data.len);
		rig_msg_free(&m);
	}
	assert_int_equal(got, len);
	assert_int_equal(rig_count(t.fe, IPC_STREAM_DATA), 0);
	free(big);
	ct_end(&t);
}

/* One that is not taken stops the reading of the child; nothing grows. */
static void
a_slow_reader_stops_the_child(void **state)
{
	struct ct t;
	size_t len, got = 0;
	uint8_t *big = big_env(4 << 20, &len);
	struct clu_session *s;

	(void)state;
	ct_streaming(&t);
	assert_int_equal(
	    ws_send_piece(t.m.sockets[0].ws, big, len, true, true), 0);
	ct_settle(&t, 300);
	while (rig_count(t.sf, IPC_STREAM_DATA) > 0) {
		struct rig_msg *m = rig_expect(t.sf, IPC_STREAM_DATA);

		got += m->data.len;
		rig_msg_free(&m);
	}
	assert_true(got <= IPC_WINDOW_START_BYTES);
	s = map_get(&((struct clu *)t.r.w.state)->sessions, SESSION);
	LIST_FOR_EACH (node, &s->children) {
		struct clu_child *c = LIST_ENTRY(node, struct clu_child, node);

		assert_true(
		    c->path[ROUTE_STATEFUL].out.payload_bytes < 1 << 20);
	}
	free(big);
	ct_end(&t);
}

static void
end(struct rig_peer *p, uint16_t code)
{
	struct ipc_stream_end e = {.code = code, .text = "left"};

	rig_send(p, IPC_STREAM_END, 0, SESSION, STREAM, &e);
}

static void
ends_in_order_when_both_paths_have(void **state)
{
	struct ct t;

	(void)state;
	ct_streaming(&t);
	send_bytes(t.fe, "last", 4, FIRST | LAST);
	end(t.fe, 0);
	ct_settle(&t, 30);
	assert_false(t.m.sockets[0].closed);
	send_bytes(t.sf, "words", 5, FIRST | LAST);
	end(t.sf, 0);
	ct_until(&t, socket_closed, "the end");
	assert_true(t.m.sockets[0].clean);
	assert_int_equal(t.m.sockets[0].messages, 2);
	ct_end(&t);
}

/* Every other way to end: the child hears no orderly end, and no stream is
 * left behind that would keep it alive. */
static void
other_ends_are_drops(void **state)
{
	enum how { RESET, CODE, CUT, PEER_GONE, REVOKE };
	static const enum how hows[] = {RESET, CODE, CUT, PEER_GONE, REVOKE};

	(void)state;
	for (size_t i = 0; i < N_OF(hows); i++) {
		struct ipc_stream_reset r = {.code = 500, .text = "away"};
		struct ipc_revoke v = {.text = "killed"};
		struct ct t;

		ct_streaming(&t);
		switch (hows[i]) {
		case RESET:
			rig_send(
			    t.fe, IPC_STREAM_RESET, 0, SESSION, STREAM, &r);
			break;
		case CODE:
			end(t.fe, 500);
			break;
		case CUT: /* both in order, but within a message */
			send_bytes(t.fe, "begun", 5, FIRST);
			end(t.fe, 0);
			end(t.sf, 0);
			break;
		case PEER_GONE:
			rig_detach(t.fe);
			break;
		case REVOKE:
			rig_send(t.own, IPC_REVOKE, 0, SESSION, 0, &v);
			break;
		}
		ct_until(&t, socket_closed, "the end");
		assert_false(t.m.sockets[0].clean);
		if (hows[i] != CUT)
			ct_expect_text(&t, t.sf, IPC_STREAM_END, "");
		ct_end(&t);
	}
}

/* What the child said before it went away is delivered first. */
static void
last_words_arrive(void **state)
{
	struct ct t;
	size_t len, got = 0;
	uint8_t *big = big_env(200000, &len);
	struct rig_msg *m;

	(void)state;
	ct_streaming(&t);
	assert_int_equal(
	    ws_send_piece(t.m.sockets[0].ws, big, len, true, true), 0);
	ct_settle(&t, 50);
	ws_drop(t.m.sockets[0].ws);
	ct_until(&t, socket_closed, "the drop");
	ct_settle(&t, 20);
	while (got < len) {
		m = ct_expect(&t, t.sf, IPC_STREAM_DATA);
		got += m->data.len;
		credit(t.sf, m->data.len);
		rig_msg_free(&m);
	}
	m = ct_expect(&t, t.sf, IPC_STREAM_END);
	assert_non_null(strstr(m->text, "code=502"));
	rig_msg_free(&m);
	ct_expect_text(&t, t.fe, IPC_STREAM_END, "code=502");
	free(big);
	ct_end(&t);
}

static void
nonsense_from_the_child_loses_it(void **state)
{
	static const struct {
		const char *name;
		uint8_t bytes[3];
		size_t n;
	} rows[] = {
	    {"an unknown kind", {0x7f}, 1},
	    {"no kind at all", {0}, 0},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct ct t;

		ct_streaming(&t);
		ws_send_piece(
		    t.m.sockets[0].ws, rows[i].bytes, rows[i].n, true, true);
		ct_expect_text(&t, t.fe, IPC_STREAM_END, "code=502");
		ct_expect_text(&t, t.sf, IPC_STREAM_END, "code=502");
		ct_end(&t);
	}
}

static void
streams_are_refused(void **state)
{
	struct ct t;

	(void)state;
	ct_granted(&t, operator_json);
	stream_open(t.fe, SESSION + 1, STREAM, "");
	ct_expect_text(&t, t.fe, IPC_STREAM_RESET, "not known here");
	t.m.refuse = 409;
	t.m.refuse_text = "port taken";
	stream_open(t.fe, SESSION, STREAM, "");
	ct_expect_text(
	    &t, t.fe, IPC_STREAM_END, "code=409 text=\"port taken\"");
	t.m.refuse = 0;
	t.no_connections = true;
	stream_open(t.fe, SESSION, STREAM + 1, "");
	ct_expect_text(
	    &t, t.fe, IPC_STREAM_END, "code=502 text=\"no route to host\"");
	t.no_connections = false;
	stream_open(t.fe, SESSION, STREAM + 2, "");
	ct_expect_text(&t, t.fe, IPC_STREAM_OPENED, "");
	stream_open(t.fe, SESSION, STREAM + 2, ""); /* twice */
	ct_expect_text(&t, t.fe, IPC_STREAM_RESET, "");
	rig_detach(t.con);
	ct_settle(&t, 10);
	stream_open(t.fe, SESSION, STREAM + 3, "");
	ct_expect_text(&t, t.fe, IPC_STREAM_RESET, "connector is restarting");
	ct_end(&t);
}

/* Before the child is there: what is given up leaves nothing behind. */
static void
given_up_while_it_opens(void **state)
{
	struct ct t;

	(void)state;
	ct_granted(&t, operator_json);
	t.m.mute = true;
	stream_open(t.fe, SESSION, STREAM, "");
	stream_open(t.sf, SESSION, STREAM, "");
	ct_settle(&t, 50);
	end(t.fe, 500);
	ct_expect_text(&t, t.sf, IPC_STREAM_END, "code=500");
	struct clu_session *s =
	    map_get(&((struct clu *)t.r.w.state)->sessions, SESSION);

	assert_true(list_empty(&s->children));
	/* in order, before a connection was there at all */
	stream_open(t.fe, SESSION, STREAM, "");
	rig_settle(&t.r);
	end(t.fe, 0);
	rig_settle(&t.r);
	assert_true(list_empty(&s->children));
	ct_end(&t);
}

static void
a_lost_controller_takes_its_sessions_along(void **state)
{
	struct ct t;

	(void)state;
	ct_streaming(&t);
	rig_detach(t.own);
	ct_until(&t, socket_closed, "the end");
	ct_expect_text(&t, t.fe, IPC_STREAM_END, "controller restarts");
	stream_open(t.fe, SESSION, STREAM + 1, "");
	ct_expect_text(&t, t.fe, IPC_STREAM_RESET, "not known here");
	ct_end(&t);
}

/* ---- silence */

static struct clu_child *
pinging(struct ct *t)
{
	return ((struct clu *)t->r.w.state)->pinging;
}

static bool
has_pinging(struct ct *t)
{
	return pinging(t) != NULL;
}

static void
another_stream_is_pinged_when_the_first_ends(void **state)
{
	struct ct t;
	struct clu_child *first;

	(void)state;
	ct_granted(&t, operator_json);
	anchor(&t, true);
	ct_expect_text(&t, t.own, IPC_ANCHOR_STATE, "up=1");
	first = pinging(&t);
	assert_non_null(first);
	assert_true(first->anchor);
	stream_open(t.fe, SESSION, STREAM, "");
	ct_expect_text(&t, t.fe, IPC_STREAM_OPENED, "");
	assert_ptr_equal(pinging(&t), first);
	anchor(&t, false);
	ct_settle(&t, 20);
	assert_non_null(pinging(&t));
	assert_false(pinging(&t)->anchor);
	end(t.fe, 0);
	ct_until(&t, socket_closed, "the end");
	ct_settle(&t, 20);
	assert_null(pinging(&t));
	stream_open(t.fe, SESSION, STREAM, "");
	ct_until(&t, has_pinging, "a new one");
	ct_end(&t);
}

static bool
both_lost(struct ct *t)
{
	return rig_count(t->fe, IPC_STREAM_END) == 1 &&
	       rig_count(t->own, IPC_ANCHOR_STATE) == 1;
}

/* The member's process is stopped: all its streams end within the limit. */
static void
a_silent_cluster_loses_all_its_streams(void **state)
{
	struct ct t;
	uint64_t from_ms, took_ms;

	(void)state;
	ct_granted(&t, operator_json);
	anchor(&t, true);
	ct_expect_text(&t, t.own, IPC_ANCHOR_STATE, "up=1");
	stream_open(t.fe, SESSION, STREAM, "");
	ct_expect_text(&t, t.fe, IPC_STREAM_OPENED, "");
	ws_pause(t.m.sockets[0].ws);
	ws_pause(t.m.sockets[1].ws);
	t.m.mute = true;
	from_ms = clock_mono_ms();
	ct_until(&t, both_lost, "the end of both");
	took_ms = clock_mono_ms() - from_ms;
	assert_in_range(took_ms, 4000, 6500);
	ct_expect_text(&t, t.own, IPC_ANCHOR_STATE, "does not answer");
	ct_end(&t);
}

/* ---- what its configuration says */

static void
server_urls(void **state)
{
	static const struct {
		const char *url, *host, *host_port, *prefix; /* NULL: error */
	} rows[] = {
	    {"https://a.example", "a.example", "a.example", ""},
	    {"https://a.example/", "a.example", "a.example", ""},
	    {"https://a:8443", "a", "a:8443", ""},
	    {"https://a:8443/x/y//", "a", "a:8443", "/x/y"},
	    {"https://[::1]:8443/p", "::1", "[::1]:8443", "/p"},
	    {"https://[::1", NULL, NULL, NULL},
	    {"http://a", NULL, NULL, NULL},
	    {"https://", NULL, NULL, NULL},
	    {"https:///x", NULL, NULL, NULL},
	    {"a:8443", NULL, NULL, NULL},
	    {"", NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct clu *clu = calloc(1, sizeof(*clu));
		struct err e;
		int rc = clu_server_parse(clu, rows[i].url, &e);

		if ((rc == 0) != (rows[i].host != NULL))
			fail_msg("%s: %d", rows[i].url, rc);
		if (rc == 0) {
			assert_string_equal(clu->host, rows[i].host);
			assert_string_equal(clu->host_port, rows[i].host_port);
			assert_string_equal(clu->prefix, rows[i].prefix);
		}
		free(clu);
	}
}

static void
escapes(void **state)
{
	static const struct {
		const char *in, *out;
		size_t cap;
	} rows[] = {
	    {"deployment.shop-1_a~", "deployment.shop-1_a~", 64},
	    {"a b/c?d#e%", "a%20b%2Fc%3Fd%23e%25", 64},
	    {"\r\nX: y", "%0D%0AX%3A%20y", 64},
	    {"\xc3\xa9", "%C3%A9", 64},
	    {"", "", 64},
	    {"abcdef", NULL, 6},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char out[64];
		int rc = clu_escape(out, rows[i].cap, rows[i].in);

		assert_int_equal(rc, rows[i].out == NULL ? -ERR_TOO_BIG : 0);
		if (rc == 0)
			assert_string_equal(out, rows[i].out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(server_urls),
	    cmocka_unit_test(escapes),
	    cmocka_unit_test(says_what_it_lacks_before_a_credential),
	    cmocka_unit_test(reaches_the_cluster_and_tells_what_it_is),
	    cmocka_unit_test(sends_a_token),
	    cmocka_unit_test(health_answers),
	    cmocka_unit_test(bad_credentials),
	    cmocka_unit_test(keeps_the_old_credential),
	    cmocka_unit_test(a_stranger_is_not_trusted),
	    cmocka_unit_test(tells_a_new_controller_and_tries_again),
	    cmocka_unit_test(orders),
	    cmocka_unit_test(orders_fail_with_the_connector),
	    cmocka_unit_test(a_kept_connection_that_died_is_replaced),
	    cmocka_unit_test(unknown_questions_end_the_peer),
	    cmocka_unit_test(anchors_come_and_go),
	    cmocka_unit_test(anchors_are_refused),
	    cmocka_unit_test(old_operators_get_the_query),
	    cmocka_unit_test(two_paths_are_one_stream),
	    cmocka_unit_test(cut_heads),
	    cmocka_unit_test(big_answers_come_in_pieces),
	    cmocka_unit_test(a_slow_reader_stops_the_child),
	    cmocka_unit_test(ends_in_order_when_both_paths_have),
	    cmocka_unit_test(other_ends_are_drops),
	    cmocka_unit_test(last_words_arrive),
	    cmocka_unit_test(nonsense_from_the_child_loses_it),
	    cmocka_unit_test(streams_are_refused),
	    cmocka_unit_test(given_up_while_it_opens),
	    cmocka_unit_test(a_lost_controller_takes_its_sessions_along),
	    cmocka_unit_test(another_stream_is_pinged_when_the_first_ends),
	    cmocka_unit_test(a_silent_cluster_loses_all_its_streams),
	};

	return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
