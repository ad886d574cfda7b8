/*
 * The session over a real TLS WebSocket: version, queues, logs, losses, every
 * way to end, against an operator the test plays.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/clusters.h"
#include "client/credential.h"
#include "client/session.h"
#include "client/target.h"
#include "tests/unit/client/op_fix.h"

struct world {
	struct ev_loop *loop;
	struct op op;
	struct cli_api api;
	struct cli_session *s;
	size_t ups, losts, ends, messages;
	bool up, lost, ended, again, message, answered;
	struct err end;
	char order[64]; /* of answers */
	uint32_t kind;
};

static void
on_up(void *arg, bool again)
{
	struct world *w = arg;

	w->ups++;
	w->up = true;
	w->again = again;
}

static void
on_lost(void *arg, const char *why)
{
	struct world *w = arg;

	assert_true(strlen(why) > 0);
	w->losts++;
	w->lost = true;
	w->up = false;
}

static void
on_end(void *arg, const struct err *e)
{
	struct world *w = arg;

	w->ends++;
	w->ended = true;
	w->end = *e;
}

static void
on_message(void *arg, const struct pm_DaemonMessage *m)
{
	struct world *w = arg;

	w->messages++;
	w->message = true;
	w->kind = m->tag;
}

static const struct cli_session_ops ops = {
    .on_up = on_up,
    .on_lost = on_lost,
    .on_end = on_end,
    .on_message = on_message,
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	cli_set_quiet(true);
	w->loop = ev_loop_new();
	op_start(&w->op, w->loop);
	op_api(&w->op, &w->api);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	cli_session_free(&w->s);
	cli_api_free(&w->api);
	op_stop(&w->op);
	ev_loop_free(&w->loop);
	free(w);
	return 0;
}

static void
open_session(struct world *w, bool reconnect)
{
	const struct cli_session_opts o = {.namespace = "default",
	    .target = "deployment.shop",
	    .query = "connect=true",
	    .session_id = 77,
	    .reconnect = reconnect};
	struct err e;

	w->s = cli_session_new(&w->api, &o, &ops, w, &e);
	assert_non_null(w->s);
}

static void
go_up(struct world *w)
{
	open_session(w, true);
	fix_run(w->loop, &w->up, 5000);
	op_wait(&w->op, "ReadyForLogs");
}

static void
test_up(void **state)
{
	struct world *w = *state;

	go_up(w);
	assert_int_equal(w->ups, 1);
	assert_false(w->again);
	assert_string_equal(w->op.session_id, "77");
	assert_int_equal(cli_session_id(w->s), 77);
	assert_int_equal(cli_session_version(w->s), PM_VER(1, 29, 0));
	assert_non_null(strstr(buf_cstr(&w->op.requests),
	    "GET /apis/operator.metalbear.co/v1/proxy/namespaces/default/"
	    "targets/deployment.shop?connect=true\n"));
	cli_session_free(&w->s);
	op_wait(&w->op, "Close");
	fix_run(w->loop, &w->op.closed, 5000);
}

static void
test_old_version(void **state)
{
	struct world *w = *state;

	w->op.version = "1.3.0";
	open_session(w, true);
	fix_run(w->loop, &w->up, 5000);
	fix_settle(w->loop, 50);
	assert_int_equal(cli_session_version(w->s), PM_VER(1, 3, 0));
	assert_int_equal(op_count(&w->op, "ReadyForLogs"), 0);
}

static void
answer(void *arg, const struct pm_DaemonMessage *m)
{
	struct world *w = arg;

	strcat(w->order, m == NULL                         ? "-"
			 : m->tag == PM_DaemonMessage_File ? "f"
							   : "e");
	w->answered = true;
}

static void
ask(struct world *w, enum cli_queue q)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_GetEnvVarsRequest};

	if (q == CLI_Q_FILE) {
		m.tag = PM_ClientMessage_FileRequest;
		m.u.FileRequest.tag = PM_FileRequest_Read;
	}
	assert_int_equal(cli_session_ask(w->s, q, &m, answer, w), 0);
}

static const struct pm_DaemonMessage env_reply = {
    .tag = PM_DaemonMessage_GetEnvVarsResponse};
static const struct pm_DaemonMessage file_reply = {.tag = PM_DaemonMessage_File,
    .u.File = {.tag = PM_FileResponse_Read,
	.u.Read = {
	    .tag = PM_ERR, .u.Err = {.tag = PM_ResponseError_NotImplemented}}}};

/* Queues are independent of each other, each is in order. */
static void
test_queues(void **state)
{
	struct world *w = *state;

	go_up(w);
	ask(w, CLI_Q_FILE);
	ask(w, CLI_Q_ENV);
	ask(w, CLI_Q_FILE);
	op_wait(&w->op, "GetEnvVars");
	op_send(&w->op, &env_reply);
	op_send(&w->op, &file_reply);
	op_send_pieces(&w->op, &file_reply, 3);
	while (strlen(w->order) < 3) {
		w->answered = false;
		fix_run(w->loop, &w->answered, 5000);
	}
	assert_string_equal(w->order, "eff");
	assert_int_equal(w->ends, 0);
}

static void
test_unasked(void **state)
{
	static const uint32_t kinds[] = {PM_DaemonMessage_Pong,
	    PM_DaemonMessage_GetEnvVarsResponse, PM_DaemonMessage_TcpSteal,
	    PM_DaemonMessage_Tcp};
	struct world *w = *state;

	for (size_t i = 0; i < N_OF(kinds); i++) {
		struct pm_DaemonMessage m = {.tag = kinds[i]};

		if (kinds[i] == PM_DaemonMessage_Tcp)
			m.u.Tcp.tag = PM_DaemonTcp_SubscribeResult;
		if (kinds[i] == PM_DaemonMessage_TcpSteal)
			m.u.TcpSteal.tag = PM_DaemonTcp_SubscribeResult;
		w->up = w->ended = false;
		go_up(w);
		op_send(&w->op, &m);
		fix_run(w->loop, &w->ended, 5000);
		assert_int_equal(w->end.code, ERR_INVALID);
		assert_non_null(strstr(w->end.text, "nobody asked"));
		cli_session_free(&w->s);
	}
	assert_int_equal(w->losts, 0);
}

/* What can't be decoded ends the session: nothing after it can be trusted. */
static void
test_garbage(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {{"\xff", 1}, {"", 0}, {"\x63", 1}, {"\x07\x00", 2},
	    {"\x00\x05"
	     "ab",
		4}};
	struct world *w = *state;

	for (size_t i = 0; i < N_OF(rows); i++) {
		w->up = w->ended = false;
		go_up(w);
		op_send_raw(&w->op, rows[i].bytes, rows[i].n);
		fix_run(w->loop, &w->ended, 5000);
		assert_int_equal(w->end.code, ERR_INVALID);
		assert_int_equal(cli_exit_of(&w->end), CLI_PROTOCOL);
		cli_session_free(&w->s);
	}
}

static void
test_operator_ping(void **state)
{
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_OperatorPing,
	    .u.OperatorPing = {.hi = 0, .lo = 4711}};
	struct world *w = *state;

	go_up(w);
	op_send(&w->op, &m);
	op_wait(&w->op, "OperatorPong");
	op_wait(&w->op, "4711");
}

static void
test_messages(void **state)
{
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_TcpOutgoing,
	    .u.TcpOutgoing = {.tag = PM_DaemonTcpOutgoing_Close}};
	struct pm_DaemonMessage log = {.tag = PM_DaemonMessage_LogMessage};
	struct world *w = *state;

	log.u.LogMessage.message = PM_STR("west is lost\033[2J");
	go_up(w);
	op_send(&w->op, &log);
	op_send(&w->op, &m);
	fix_run(w->loop, &w->message, 5000);
	assert_int_equal(w->messages, 1);
	assert_int_equal(w->kind, PM_DaemonMessage_TcpOutgoing);
}

static void
test_close(void **state)
{
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_Close,
	    .u.Close = PM_STR("killed by admin")};
	struct world *w = *state;

	go_up(w);
	ask(w, CLI_Q_ENV);
	op_send(&w->op, &m);
	fix_run(w->loop, &w->ended, 5000);
	assert_non_null(strstr(w->end.text, "killed by admin"));
	assert_int_equal(w->losts, 0);
	assert_string_equal(w->order, "-");
	fix_settle(w->loop, 100);
	assert_int_equal(w->op.upgrades, 1);
}

/* Lost: at once again with the same id; who waited is told. */
static void
test_reconnect(void **state)
{
	struct world *w = *state;

	go_up(w);
	ask(w, CLI_Q_ENV);
	op_wait(&w->op, "GetEnvVars");
	op_drop(&w->op);
	fix_run(w->loop, &w->lost, 5000);
	assert_string_equal(w->order, "-");
	assert_int_equal(
	    cli_session_send(
		w->s, &(struct pm_ClientMessage){.tag = PM_ClientMessage_Ping}),
	    -ERR_CLOSED);
	fix_run(w->loop, &w->up, 5000);
	assert_true(w->again);
	assert_int_equal(w->op.accepted, 2);
	assert_string_equal(w->op.session_id, "77");
	assert_int_equal(w->ends, 0);
}

/* A failure in between is tried over; the second try comes after 1 s. */
static void
test_reconnect_500(void **state)
{
	struct world *w = *state;

	go_up(w);
	w->op.refuse[1] = 500;
	op_drop(&w->op);
	fix_run(w->loop, &w->lost, 5000);
	fix_run(w->loop, &w->up, 5000);
	assert_int_equal(w->op.upgrades, 3);
	assert_int_equal(w->losts, 1);
}

static void
test_reconnect_refused(void **state)
{
	static const struct {
		int http;
		enum err_code code;
		enum cli_exit exit;
	} rows[] = {
	    {400, ERR_UNSUPPORTED, CLI_UNAVAILABLE},
	    {401, ERR_UNAUTHENTICATED, CLI_DENIED},
	    {403, ERR_DENIED, CLI_DENIED},
	    {404, ERR_NOT_FOUND, CLI_UNAVAILABLE},
	    {409, ERR_CONFLICT, CLI_UNAVAILABLE},
	    {410, ERR_CLOSED, CLI_UNAVAILABLE},
	};
	struct world *w = *state;

	w->op.refuse_reason = "ReconnectNotPossible";
	for (size_t i = 0; i < N_OF(rows); i++) {
		w->up = w->lost = w->ended = false;
		w->op.upgrades = 0;
		w->op.refuse[1] = rows[i].http;
		go_up(w);
		op_drop(&w->op);
		fix_run(w->loop, &w->ended, 5000);
		assert_int_equal(w->end.code, rows[i].code);
		assert_int_equal(cli_exit_of(&w->end), rows[i].exit);
		assert_non_null(strstr(w->end.text, "because"));
		assert_int_equal(w->op.upgrades, 2);
		cli_session_free(&w->s);
	}
}

/* The first connection is not tried over, but for a 503. */
static void
test_first_refused(void **state)
{
	static const int codes[] = {400, 403, 404, 409, 410, 500};
	struct world *w = *state;

	for (size_t i = 0; i < N_OF(codes); i++) {
		w->op.upgrades = 0;
		w->op.refuse[0] = codes[i];
		w->ended = false;
		open_session(w, true);
		fix_run(w->loop, &w->ended, 5000);
		assert_int_equal(w->op.upgrades, 1);
		cli_session_free(&w->s);
	}
	assert_int_equal(w->ups, 0);
	assert_int_equal(w->losts, 0);
}

static void
test_first_503(void **state)
{
	struct world *w = *state;

	w->op.refuse[0] = 503;
	open_session(w, true);
	fix_run(w->loop, &w->up, 5000);
	assert_false(w->again);
	assert_int_equal(w->op.upgrades, 2);
}

static void
test_no_reconnect(void **state)
{
	struct world *w = *state;

	open_session(w, false);
	fix_run(w->loop, &w->up, 5000);
	op_drop(&w->op);
	fix_run(w->loop, &w->ended, 5000);
	assert_int_equal(w->op.upgrades, 1);
	assert_int_equal(w->losts, 0);
}

/* Freed at any point: nothing is called afterwards, nothing leaks. */
static void
test_free_anywhere(void **state)
{
	struct world *w = *state;

	for (size_t turns = 0; turns < 12; turns++) {
		open_session(w, true);
		for (size_t i = 0; i < turns; i++)
			ev_loop_turn(w->loop, false);
		cli_session_free(&w->s);
		w->ups = 0;
		fix_settle(w->loop, 10);
		assert_int_equal(w->ups, 0);
		assert_int_equal(w->ends, 0);
	}
}

static void
test_free_while_asking(void **state)
{
	struct world *w = *state;

	go_up(w);
	ask(w, CLI_Q_ENV);
	ask(w, CLI_Q_FILE);
	cli_session_free(&w->s);
	assert_string_equal(w->order, "--");
}

/* While somebody holds, nothing is read; two holders are two. */
static void
test_hold(void **state)
{
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_TcpOutgoing,
	    .u.TcpOutgoing = {.tag = PM_DaemonTcpOutgoing_Close}};
	struct world *w = *state;

	go_up(w);
	cli_session_hold(w->s, true);
	cli_session_hold(w->s, true);
	op_send(&w->op, &m);
	fix_settle(w->loop, 50);
	cli_session_hold(w->s, false);
	fix_settle(w->loop, 50);
	assert_int_equal(w->messages, 0);
	cli_session_hold(w->s, false);
	fix_run(w->loop, &w->message, 5000);
}

static void
test_schedule(void **state)
{
	static const int ms[] = {
	    0, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000, 8000, 8000};

	(void)state;
	for (unsigned i = 0; i < N_OF(ms); i++)
		assert_int_equal(cli_session_backoff_ms(i), ms[i]);
	assert_true(cli_session_backoff_ms(N_OF(ms)) < 0);
	assert_true(cli_session_backoff_ms(1000) < 0);
}

/* A certificate is asked for once and kept, 0600, per operator. */
static void
test_credential(void **state)
{
	struct world *w = *state;
	struct err e;
	char *first;

	assert_int_equal(cli_api_operator(&w->api, &e), 0);
	assert_int_equal(cli_credential_get(&w->api, &e), 0);
	assert_non_null(w->api.client_der);
	first = strdup(w->api.client_der);
	assert_int_equal(cli_credential_get(&w->api, &e), 0);
	assert_string_equal(first, w->api.client_der);
	free(first);
	assert_null(
	    strstr(strstr(buf_cstr(&w->op.requests), "POST") + 1, "POST"));
	go_up(w);
	assert_string_equal(w->op.client_der, w->api.client_der);
}

static void
test_calls(void **state)
{
	static const struct op_canned canned[] = {
	    {"GET", "/ok", 200, "{\"a\":1}"},
	    {"GET", "/empty", 200, ""},
	    {"GET", "/html", 200, "<html>"},
	    {"GET", "/moved", 302, ""},
	    {"GET", "/no", 403, "{\"code\":403,\"message\":\"never\"}"},
	    {"GET", "/odd", 404, "{}"},
	    {"GET", "/text", 500, "it broke"},
	    {NULL, NULL, 0, NULL},
	};
	static const struct {
		const char *path;
		enum err_code code;
		const char *text;
	} rows[] = {
	    {"/ok", ERR_OK, NULL},
	    {"/empty", ERR_OK, NULL},
	    {"/html", ERR_INVALID, ""},
	    {"/moved", ERR_UNSUPPORTED, "302"},
	    {"/no", ERR_DENIED, "never"},
	    {"/odd", ERR_NOT_FOUND, ""},
	    {"/text", ERR_CLOSED, "it broke"},
	    {"/other", ERR_NOT_FOUND, "nothing here"},
	};
	struct world *w = *state;

	w->op.canned = canned;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		cJSON *v = cli_api_call(&w->api, "GET", rows[i].path, NULL, &e);

		assert_int_equal(v == NULL, rows[i].code != ERR_OK);
		if (v == NULL && e.code != rows[i].code)
			fail_msg("%s: %s", rows[i].path, e.text);
		if (v == NULL)
			assert_non_null(strstr(e.text, rows[i].text));
		cJSON_Delete(v);
	}
}

static void
never(void *arg, cJSON *answer_, const struct err *e)
{
	(void)arg;
	(void)answer_;
	(void)e;
	fail_msg("cancelled");
}

static void
test_call_cancel(void **state)
{
	struct world *w = *state;

	for (size_t turns = 0; turns < 6; turns++) {
		struct err e;
		struct cli_call *c = cli_call_start(
		    &w->api, "GET", "/slow", NULL, never, NULL, &e);

		for (size_t i = 0; i < turns / 2; i++)
			ev_loop_turn(w->loop, false);
		cli_call_cancel(&c);
		assert_null(c);
	}
	fix_settle(w->loop, 20);
	w->api.stop = true;
	{
		struct err e;

		assert_null(cli_api_call(&w->api, "GET", "/", NULL, &e));
		assert_int_equal(e.code, ERR_CLOSED);
	}
}

static void
test_unreachable(void **state)
{
	struct world *w = *state;
	struct err e;

	strcpy(w->api.port, "1");
	assert_null(cli_api_call(&w->api, "GET", "/", NULL, &e));
	assert_int_equal(cli_exit_of(&e), CLI_UNAVAILABLE);
	strcpy(w->api.host, "no.such.name.invalid");
	assert_null(cli_api_call(&w->api, "GET", "/", NULL, &e));
	assert_int_equal(e.code, ERR_NOT_FOUND);
	open_session(w, true);
	fix_run(w->loop, &w->ended, 5000);
}

static void
test_clusters(void **state)
{
	static const struct {
		const char *json;
		bool found;
		const char *text;
	} rows[] = {
	    {"{\"status\":{\"multi_cluster_sessions\":[{\"id\":\"mc-4D\","
	     "\"clusters\":[\"east\",\"west\"]}]}}",
		true, "east, west"},
	    {"{\"status\":{\"multi_cluster_sessions\":[{\"id\":\"4d\","
	     "\"clusters\":[]}]}}",
		true, ""},
	    {"{\"status\":{\"multi_cluster_sessions\":[{\"id\":\"mc-4E\"}]}}",
		false, ""},
	    {"{\"status\":{\"multi_cluster_sessions\":[{\"id\":7}]}}", false,
		""},
	    {"{\"status\":{}}", false, ""},
	    {"{}", false, ""},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		cJSON *v = cJSON_Parse(rows[i].json);
		struct buf b;

		buf_init(&b, 0);
		assert_non_null(v);
		assert_int_equal(cli_clusters_of(v, 0x4d, &b), rows[i].found);
		assert_string_equal(buf_cstr(&b), rows[i].text);
		buf_free(&b);
		cJSON_Delete(v);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {T(test_up), T(test_old_version),
	    T(test_queues), T(test_unasked), T(test_garbage),
	    T(test_operator_ping), T(test_messages), T(test_close),
	    T(test_reconnect), T(test_reconnect_500), T(test_reconnect_refused),
	    T(test_first_refused), T(test_first_503), T(test_no_reconnect),
	    T(test_free_anywhere), T(test_free_while_asking), T(test_hold),
	    cmocka_unit_test(test_schedule), T(test_credential), T(test_calls),
	    T(test_call_cancel), T(test_unreachable),
	    cmocka_unit_test(test_clusters)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
