/*
 * Traffic of a session to and from real local sockets: steal, mirror,
 * forwards; half closes, programs that are late, that do not read, that go.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/traffic.h"
#include "tests/unit/client/op_fix.h"

struct world {
	struct ev_loop *loop;
	struct op op;
	struct cli_api api;
	struct cli_session *s;
	struct cli_traffic t;
	bool up, ports, ended, lost;
	struct err refused;
	int listener; /* the local program's */
	uint16_t port;
	int local; /* its connection */
};

static void
ports_done(void *arg, const struct err *e)
{
	struct world *w = arg;

	w->ports = true;
	w->refused = (struct err){0};
	if (e != NULL)
		w->refused = *e;
}

static void
on_up(void *arg, bool again)
{
	struct world *w = arg;

	(void)again;
	w->up = true;
	cli_traffic_up(&w->t, w->s);
	assert_int_equal(
	    cli_ports_subscribe(&w->t.ports, w->s, ports_done, w), 0);
}

static void
on_lost(void *arg, const char *why)
{
	struct world *w = arg;

	(void)why;
	w->lost = true;
	w->up = w->ports = false;
	cli_traffic_lost(&w->t);
}

static void
on_end(void *arg, const struct err *e)
{
	struct world *w = arg;

	(void)e;
	w->ended = true;
	cli_traffic_lost(&w->t);
}

static void
on_message(void *arg, const struct pm_DaemonMessage *m)
{
	cli_traffic_message(&((struct world *)arg)->t, m);
}

static void
on_flow(void *arg, bool full)
{
	cli_traffic_flow(&((struct world *)arg)->t, full);
}

static const struct cli_session_ops ops = {
    .on_up = on_up,
    .on_lost = on_lost,
    .on_end = on_end,
    .on_message = on_message,
    .on_flow = on_flow,
};

/* The operator agrees to every subscription and every connect. */
static void
agree(struct op *op, const struct pm_ClientMessage *m)
{
	struct pm_DaemonMessage r = {0};

	if (m->tag == PM_ClientMessage_TcpSteal &&
	    m->u.TcpSteal.tag == PM_LayerTcpSteal_PortSubscribe) {
		r.tag = PM_DaemonMessage_TcpSteal;
		r.u.TcpSteal.tag = PM_DaemonTcp_SubscribeResult;
		r.u.TcpSteal.u.SubscribeResult.u.Ok =
		    m->u.TcpSteal.u.PortSubscribe.u.All;
		op_send(op, &r);
	} else if (m->tag == PM_ClientMessage_Tcp &&
		   m->u.Tcp.tag == PM_LayerTcp_PortSubscribe) {
		r.tag = PM_DaemonMessage_Tcp;
		r.u.Tcp.tag = PM_DaemonTcp_SubscribeResult;
		r.u.Tcp.u.SubscribeResult.u.Ok = m->u.Tcp.u.PortSubscribe;
		op_send(op, &r);
	} else if (m->tag == PM_ClientMessage_TcpOutgoing &&
		   m->u.TcpOutgoing.tag == PM_LayerTcpOutgoing_ConnectV2) {
		r.tag = PM_DaemonMessage_TcpOutgoing;
		r.u.TcpOutgoing.tag = PM_DaemonTcpOutgoing_ConnectV2;
		r.u.TcpOutgoing.u.ConnectV2.uid =
		    m->u.TcpOutgoing.u.ConnectV2.uid;
		r.u.TcpOutgoing.u.ConnectV2.connect.u.Ok =
		    (struct pm_DaemonConnect){.connection_id = 5,
			.remote_address =
			    m->u.TcpOutgoing.u.ConnectV2.remote_address,
			.local_address =
			    m->u.TcpOutgoing.u.ConnectV2.remote_address};
		op_send(op, &r);
	}
}

static int
listen_local(uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_port = htons(*port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	cli_set_quiet(true);
	w->loop = ev_loop_new();
	w->listener = listen_local(&w->port);
	w->local = -1;
	op_start(&w->op, w->loop);
	w->op.on_client = agree;
	op_api(&w->op, &w->api);
	cli_traffic_init(&w->t, w->loop);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	cli_session_free(&w->s);
	cli_traffic_free(&w->t);
	cli_api_free(&w->api);
	op_stop(&w->op);
	if (w->listener >= 0)
		close(w->listener);
	if (w->local >= 0)
		close(w->local);
	ev_loop_free(&w->loop);
	free(w);
	return 0;
}

static void
add_port(struct world *w, bool steal)
{
	char text[32];
	struct err e;

	snprintf(text, sizeof(text), "80:%u", w->port);
	assert_int_equal(cli_ports_add(&w->t.ports, text, steal, &e), 0);
}

static void
go_up(struct world *w)
{
	const struct cli_session_opts o = {.namespace = "default",
	    .target = "deployment.shop",
	    .query = "connect=true",
	    .session_id = 1,
	    .reconnect = true};
	struct err e;

	w->s = cli_session_new(&w->api, &o, &ops, w, &e);
	fix_run(w->loop, &w->ports, 5000);
}

static void
on_late(void *arg)
{
	*(bool *)arg = true;
}

/* One turn of the loop that does not wait long. */
static void
turn(struct world *w)
{
	bool late = false;
	struct ev_timer *t = ev_timer_new(w->loop, on_late, &late);

	ev_timer_set(t, 5);
	ev_loop_turn(w->loop, true);
	ev_timer_free(&t);
}

static void
accept_local(struct world *w)
{
	for (int i = 0; i < 2000 && w->local < 0; i++) {
		turn(w);
		w->local = accept4(
		    w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	assert_true(w->local >= 0);
}

/* Reads n bytes of the local connection; 0: until its end. */
static size_t
read_local(struct world *w, char *out, size_t n)
{
	size_t got = 0;

	for (int i = 0; i < 4000; i++) {
		ssize_t k = recv(w->local, out + got, n - got, 0);

		if (k > 0)
			got += (size_t)k;
		if (got == n && n > 0)
			return got;
		if (k == 0)
			return got;
		turn(w);
	}
	fail_msg("%zu of %zu bytes", got, n);
	return 0;
}

static void
expect_local(struct world *w, const char *text)
{
	char got[64] = {0};

	assert_int_equal(read_local(w, got, strlen(text)), strlen(text));
	assert_string_equal(got, text);
}

static void
expect_end(struct world *w)
{
	char c;

	assert_int_equal(read_local(w, &c, 1), 0);
}

static struct pm_DaemonMessage
incoming(bool steal, uint32_t kind)
{
	struct pm_DaemonMessage m = {
	    .tag = steal ? PM_DaemonMessage_TcpSteal : PM_DaemonMessage_Tcp};

	m.u.TcpSteal.tag = kind;
	return m;
}

static void
send_new(struct world *w, bool steal, uint64_t id, uint16_t port)
{
	struct pm_DaemonMessage m =
	    incoming(steal, PM_DaemonTcp_NewConnectionV2);

	m.u.TcpSteal.u.NewConnectionV2.connection =
	    (struct pm_NewTcpConnectionV1){
		.connection_id = id, .destination_port = port};
	op_send(&w->op, &m);
}

static void
send_data(struct world *w, bool steal, uint64_t id, const void *p, size_t n)
{
	struct pm_DaemonMessage m = incoming(steal, PM_DaemonTcp_Data);

	m.u.TcpSteal.u.Data.connection_id = id;
	m.u.TcpSteal.u.Data.bytes = (struct span){p, n};
	op_send(&w->op, &m);
}

static void
send_close(struct world *w, bool steal, uint64_t id)
{
	struct pm_DaemonMessage m = incoming(steal, PM_DaemonTcp_Close);

	m.u.TcpSteal.u.Close.connection_id = id;
	op_send(&w->op, &m);
}

static void
test_steal(void **state)
{
	struct world *w = *state;

	add_port(w, true);
	go_up(w);
	assert_int_equal(w->refused.code, ERR_OK);
	send_new(w, true, 3, 80);
	send_data(w, true, 3, "ping", 4);
	accept_local(w);
	expect_local(w, "ping");
	assert_int_equal(send(w->local, "pong", 4, 0), 4);
	op_wait(&w->op, "706f6e67"); /* pong */
	send_data(w, true, 3, NULL, 0);
	expect_end(w);
	shutdown(w->local, SHUT_WR);
	op_wait(&w->op, "\"bytes\": \"\"");
	send_close(w, true, 3);
	fix_settle(w->loop, 20);
	assert_true(list_empty(&w->t.incoming.conns));
	assert_int_equal(op_count(&w->op, "ConnectionUnsubscribe"), 0);
}

/* The local side may end first and still hears the rest. */
static void
test_half_close(void **state)
{
	struct world *w = *state;

	add_port(w, true);
	go_up(w);
	send_new(w, true, 3, 80);
	accept_local(w);
	shutdown(w->local, SHUT_WR);
	op_wait(&w->op, "\"bytes\": \"\"");
	send_data(w, true, 3, "late", 4);
	expect_local(w, "late");
	send_data(w, true, 3, NULL, 0);
	expect_end(w);
}

/* What stands before the Close reaches the program, connected or not. */
static void
test_close_keeps_data(void **state)
{
	struct world *w = *state;
	char *big = calloc(1, 700000), *got = calloc(1, 700000);

	memset(big, 'x', 700000);
	add_port(w, true);
	go_up(w);
	send_new(w, true, 9, 80);
	send_data(w, true, 9, big, 700000);
	send_close(w, true, 9);
	accept_local(w);
	assert_int_equal(read_local(w, got, 700000), 700000);
	assert_memory_equal(big, got, 700000);
	expect_end(w);
	assert_true(list_empty(&w->t.incoming.conns));
	free(big);
	free(got);
}

/* The program listens some time after the first connection came. */
static void
test_late_program(void **state)
{
	struct world *w = *state;

	close(w->listener);
	add_port(w, true);
	go_up(w);
	send_new(w, true, 3, 80);
	send_data(w, true, 3, "ping", 4);
	fix_settle(w->loop, 250);
	w->listener = listen_local(&w->port);
	accept_local(w);
	expect_local(w, "ping");
}

static void
test_nobody_listens(void **state)
{
	struct world *w = *state;

	close(w->listener);
	w->listener = -1;
	add_port(w, true);
	go_up(w);
	send_new(w, true, 3, 80);
	for (int i = 0;
	     i < 3000 && op_count(&w->op, "ConnectionUnsubscribe") == 0; i++)
		turn(w);
	assert_int_equal(op_count(&w->op, "\"ConnectionUnsubscribe\": 3"), 1);
	assert_true(list_empty(&w->t.incoming.conns));
}

/* The program is gone in the middle: the operator hears of it. */
static void
test_program_resets(void **state)
{
	struct linger rst = {.l_onoff = 1};
	struct world *w = *state;

	add_port(w, true);
	go_up(w);
	send_new(w, true, 3, 80);
	accept_local(w);
	setsockopt(w->local, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
	close(w->local);
	w->local = -1;
	op_wait(&w->op, "ConnectionUnsubscribe");
	send_data(w, true, 3, "x", 1); /* under way: ignored */
	fix_settle(w->loop, 20);
	assert_true(w->up);
}

static void
test_mirror(void **state)
{
	struct world *w = *state;

	add_port(w, false);
	go_up(w);
	op_wait(&w->op, "{\"Tcp\": {\"PortSubscribe\": 80}}");
	send_new(w, false, 3, 80);
	send_data(w, false, 3, "copy", 4);
	accept_local(w);
	expect_local(w, "copy");
	assert_int_equal(send(w->local, "answer", 6, 0), 6);
	send_data(w, false, 3, "more", 4);
	expect_local(w, "more");
	send_close(w, false, 3);
	expect_end(w);
	assert_int_equal(op_count(&w->op, "TcpSteal"), 0);
	assert_int_equal(op_count(&w->op, "\"Data\""), 0);
}

/* Only ports that were asked for lead anywhere; ids of both kinds are apart;
 * unknown ids are ignored; an id twice is the newest's. */
static void
test_odd_messages(void **state)
{
	struct pm_DaemonMessage tls =
	    incoming(true, PM_DaemonTcp_NewConnectionV2);
	struct world *w = *state;

	add_port(w, true);
	go_up(w);
	send_new(w, true, 1, 81);
	op_wait(&w->op, "\"ConnectionUnsubscribe\": 1");
	send_new(w, false, 2, 80);
	op_wait(&w->op, "{\"Tcp\": {\"ConnectionUnsubscribe\": 2}}");
	tls.u.TcpSteal.u.NewConnectionV2.connection.connection_id = 4;
	tls.u.TcpSteal.u.NewConnectionV2.connection.destination_port = 80;
	tls.u.TcpSteal.u.NewConnectionV2.transport.tag =
	    PM_IncomingTrafficTransportType_Tls;
	op_send(&w->op, &tls);
	op_wait(&w->op, "\"ConnectionUnsubscribe\": 4");
	send_data(w, true, 99, "x", 1);
	send_close(w, true, 99);
	send_new(w, true, 5, 80);
	send_new(w, true, 5, 80);
	send_data(w, true, 5, "new", 3);
	fix_settle(w->loop, 50);
	assert_true(w->up);
	assert_false(w->ended);
}

/* Requests in place of connections are answered, not dropped. */
static void
test_http_requests(void **state)
{
	struct pm_DaemonMessage m =
	    incoming(true, PM_DaemonTcp_HttpRequestChunked);
	struct pm_ChunkedRequest *c = &m.u.TcpSteal.u.HttpRequestChunked;
	struct world *w = *state;

	add_port(w, true);
	go_up(w);
	c->tag = PM_ChunkedRequest_StartV2;
	c->u.StartV2.connection_id = 31;
	c->u.StartV2.request.method = PM_STR("GET");
	c->u.StartV2.request.uri = PM_STR("/");
	c->u.StartV2.request.version = PM_STR("HTTP/1.1");
	c->u.StartV2.metadata.u.V1.destination.port = 80;
	op_send(&w->op, &m);
	op_wait(&w->op, "\"connection_id\": 31");
	assert_int_equal(op_count(&w->op, "502"), 1);
	c->tag = PM_ChunkedRequest_Body; /* the rest of it is not */
	memset(&c->u, 0, sizeof(c->u));
	op_send(&w->op, &m);
	m = incoming(true, PM_DaemonTcp_HttpRequestFramed);
	m.u.TcpSteal.u.HttpRequestFramed.connection_id = 32;
	m.u.TcpSteal.u.HttpRequestFramed.internal_request.method =
	    PM_STR("GET");
	m.u.TcpSteal.u.HttpRequestFramed.internal_request.uri = PM_STR("/");
	m.u.TcpSteal.u.HttpRequestFramed.internal_request.version =
	    PM_STR("HTTP/1.1");
	op_send(&w->op, &m);
	op_wait(&w->op, "\"connection_id\": 32");
	assert_int_equal(op_count(&w->op, "502"), 2);
	assert_true(w->up);
}

/* A program that does not read holds the session; reading frees it. */
static void
test_slow_program(void **state)
{
	enum { PIECE = 60000, PIECES = 120 };
	struct world *w = *state;
	char *piece = calloc(1, PIECE), *got = calloc(1, PIECE);
	size_t sent = 0;

	add_port(w, true);
	go_up(w);
	send_new(w, true, 3, 80);
	accept_local(w);
	for (; sent < PIECES; sent++)
		send_data(w, true, 3, piece, PIECE);
	fix_settle(w->loop, 100);
	for (size_t i = 0; i < PIECES; i++)
		assert_int_equal(read_local(w, got, PIECE), PIECE);
	send_data(w, true, 3, NULL, 0);
	expect_end(w);
	assert_int_equal(op_count(&w->op, "ConnectionUnsubscribe"), 0);
	free(piece);
	free(got);
}

/* An operator that does not read stops the program's writes, loses nothing. */
static void
test_slow_operator(void **state)
{
	enum { BYTES = 6 << 20 };
	struct world *w = *state;
	char *block = calloc(1, 65536);
	size_t sent = 0;

	add_port(w, true);
	go_up(w);
	send_new(w, true, 3, 80);
	accept_local(w);
	ws_pause(w->op.ws);
	for (int i = 0; i < 300 && sent < BYTES; i++) {
		ssize_t n = send(w->local, block, 65536, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		turn(w);
	}
	assert_true(cli_session_full(w->s) || sent >= BYTES);
	ws_resume(w->op.ws);
	for (int i = 0; i < 5000 && sent < BYTES; i++) {
		ssize_t n = send(w->local, block, 65536, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		turn(w);
	}
	assert_true(sent >= BYTES);
	shutdown(w->local, SHUT_WR);
	op_wait(&w->op, "\"bytes\": \"\"");
	assert_true(w->op.log.len >= sent * 2); /* in hex */
	free(block);
}

/* Lost: every connection is closed, ports are subscribed again. */
static void
test_lost(void **state)
{
	struct world *w = *state;

	add_port(w, true);
	go_up(w);
	send_new(w, true, 3, 80);
	accept_local(w);
	op_drop(&w->op);
	fix_run(w->loop, &w->lost, 5000);
	expect_end(w);
	fix_run(w->loop, &w->ports, 5000);
	assert_int_equal(op_count(&w->op, "PortSubscribe"), 2);
	close(w->local);
	w->local = -1;
	send_new(w, true, 3, 80);
	send_data(w, true, 3, "again", 5);
	accept_local(w);
	expect_local(w, "again");
}

static const struct pm_ResponseError *refusal;

static void
refuse(struct op *op, const struct pm_ClientMessage *m)
{
	struct pm_DaemonMessage r =
	    incoming(true, PM_DaemonTcp_SubscribeResult);

	if (m->tag != PM_ClientMessage_TcpSteal)
		return;
	r.u.TcpSteal.u.SubscribeResult.tag = PM_ERR;
	r.u.TcpSteal.u.SubscribeResult.u.Err = *refusal;
	op_send(op, &r);
}

static void
test_refused(void **state)
{
	static const struct pm_ResponseError errors[] = {
	    {.tag = PM_ResponseError_PortAlreadyStolen,
		.u.PortAlreadyStolen = 80},
	    {.tag = PM_ResponseError_Forbidden},
	    {.tag = PM_ResponseError_ForbiddenWithReason,
		.u.ForbiddenWithReason = {.reason = {"not today", 9}}},
	    {.tag = PM_ResponseError_NotImplemented},
	    {.tag = PM_ResponseError_RemoteIO,
		.u.RemoteIO = {.raw_os_error = {true, EADDRINUSE}}},
	};
	static const struct {
		enum err_code code;
		const char *text;
	} want[] = {
	    {ERR_CONFLICT, "port 80 is stolen by another session"},
	    {ERR_DENIED, "a policy of the operator forbids"},
	    {ERR_DENIED, "not today"},
	    {ERR_UNSUPPORTED, "can't do that"},
	    {ERR_UNSUPPORTED, "in use"},
	};
	struct world *w = *state;

	add_port(w, true);
	w->op.on_client = refuse;
	for (size_t i = 0; i < N_OF(errors); i++) {
		refusal = &errors[i];
		w->ports = false;
		go_up(w);
		assert_int_equal(w->refused.code, want[i].code);
		assert_non_null(strstr(w->refused.text, want[i].text));
		cli_session_free(&w->s);
		cli_traffic_lost(&w->t);
	}
}

/* ---- forwards */

static uint16_t
add_forward(struct world *w, const char *to)
{
	struct cli_listener *l;
	char text[64];
	struct err e;

	snprintf(text, sizeof(text), "0:%s", to);
	if (cli_forwards_add(&w->t.forwards, text, &e) < 0)
		fail_msg("%s", e.text);
	l = LIST_ENTRY(w->t.forwards.listeners.prev, struct cli_listener, node);
	return l->spec.local;
}

static void
dial_forward(struct world *w, uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	w->local = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    connect(w->local, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(fcntl(w->local, F_SETFL, O_NONBLOCK), 0);
}

static struct pm_DaemonMessage
outgoing(uint32_t kind)
{
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_TcpOutgoing};

	m.u.TcpOutgoing.tag = kind;
	return m;
}

static void
send_read(struct world *w, const char *text)
{
	struct pm_DaemonMessage m = outgoing(PM_DaemonTcpOutgoing_Read);

	m.u.TcpOutgoing.u.Read.u.Ok.connection_id = 5;
	m.u.TcpOutgoing.u.Read.u.Ok.bytes =
	    (struct span){(const uint8_t *)text, strlen(text)};
	op_send(&w->op, &m);
}

static void
test_forward(void **state)
{
	struct pm_DaemonMessage end = outgoing(PM_DaemonTcpOutgoing_Close);
	struct world *w = *state;
	uint16_t port = add_forward(w, "10.1.2.3:5432");

	end.u.TcpOutgoing.u.Close = 5;
	go_up(w);
	dial_forward(w, port);
	assert_int_equal(send(w->local, "select", 6, 0), 6);
	op_wait(&w->op, "10.1.2.3");
	op_wait(&w->op, "73656c656374");
	send_read(w, "rows");
	expect_local(w, "rows");
	shutdown(w->local, SHUT_WR);
	op_wait(&w->op, "\"bytes\": \"\"");
	send_read(w, "tail");
	send_read(w, "");
	op_send(&w->op, &end);
	expect_local(w, "tail");
	expect_end(w);
	assert_true(list_empty(&w->t.forwards.conns));
	assert_int_equal(op_count(&w->op, "\"Close\""), 0);
}

/* A name is looked up in the target first. */
static void
test_forward_name(void **state)
{
	struct pm_LookupRecord records[] = {
	    {.name = {"db", 2}, .ip = {.v6 = true, .a = {[15] = 1}}},
	    {.name = {"db", 2}, .ip = {.a = {10, 9, 8, 7}}},
	};
	struct pm_DaemonMessage m = {
	    .tag = PM_DaemonMessage_GetAddrInfoResponse};
	struct world *w = *state;
	uint16_t port = add_forward(w, "db.internal:5432");

	m.u.GetAddrInfoResponse.u.Ok = (struct pm_vec_LookupRecord){2, records};
	go_up(w);
	dial_forward(w, port);
	op_wait(&w->op, "db.internal");
	op_send(&w->op, &m);
	op_wait(&w->op, "10.9.8.7");
	send_read(w, "hello");
	expect_local(w, "hello");
}

static void
test_forward_no_name(void **state)
{
	struct pm_DaemonMessage none = {
	    .tag = PM_DaemonMessage_GetAddrInfoResponse};
	struct world *w = *state;
	uint16_t port = add_forward(w, "db.internal:5432");

	go_up(w);
	dial_forward(w, port);
	op_wait(&w->op, "db.internal");
	op_send(&w->op, &none);
	expect_end(w);
	none.u.GetAddrInfoResponse.tag = PM_ERR;
	none.u.GetAddrInfoResponse.u.Err.tag = PM_ResponseError_DnsLookup;
	close(w->local);
	dial_forward(w, port);
	for (int i = 0; i < 1000 && op_count(&w->op, "db.internal") < 2; i++)
		turn(w);
	op_send(&w->op, &none);
	expect_end(w);
	assert_true(list_empty(&w->t.forwards.conns));
}

static void
ignore(struct op *op, const struct pm_ClientMessage *m)
{
	(void)op;
	(void)m;
}

/* Gone before the target has connected: the target is told afterwards. */
static void
test_forward_left(void **state)
{
	struct pm_DaemonMessage end = outgoing(PM_DaemonTcpOutgoing_Close);
	struct world *w = *state;
	uint16_t port = add_forward(w, "10.1.2.3:5432");

	go_up(w);
	w->op.on_client = ignore;
	dial_forward(w, port);
	op_wait(&w->op, "ConnectV2");
	op_drop(&w->op);
	expect_end(w);
	w->op.on_client = agree;
	w->ports = false;
	fix_run(w->loop, &w->ports, 5000);
	close(w->local);
	dial_forward(w, port);
	for (int i = 0; i < 1000 && op_count(&w->op, "ConnectV2") < 2; i++)
		turn(w);
	close(w->local);
	w->local = -1;
	op_wait(&w->op, "\"bytes\": \"\"");
	end.u.TcpOutgoing.u.Close = 5;
	op_send(&w->op, &end);
	fix_settle(w->loop, 30);
	assert_true(list_empty(&w->t.forwards.conns));
}

static void
test_forward_before_up(void **state)
{
	struct world *w = *state;

	dial_forward(w, add_forward(w, "10.1.2.3:5432"));
	expect_end(w);
}

static void
test_forward_taken(void **state)
{
	struct world *w = *state;
	char text[64];
	struct err e;

	snprintf(text, sizeof(text), "%u:a:1", w->port);
	assert_int_equal(cli_forwards_add(&w->t.forwards, text, &e), -ERR_SYS);
	assert_non_null(strstr(e.text, "in use"));
	assert_true(list_empty(&w->t.forwards.listeners));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {T(test_steal), T(test_half_close),
	    T(test_close_keeps_data), T(test_late_program),
	    T(test_nobody_listens), T(test_program_resets), T(test_mirror),
	    T(test_odd_messages), T(test_http_requests), T(test_slow_program),
	    T(test_slow_operator), T(test_lost), T(test_refused),
	    T(test_forward), T(test_forward_name), T(test_forward_no_name),
	    T(test_forward_left), T(test_forward_before_up),
	    T(test_forward_taken)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
