/* Sessions of one cluster: opening, joining, ending, time, restarts. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "tests/unit/workers/own_rig.h"

#define ID 0x1a2b3c4d5e6f7081ull
#define RECORD "sc-1a2b3c4d5e6f7081"

static void
socket_up(struct own_rig *t, struct rig_peer *fe, uint32_t h, uint32_t stream)
{
	struct ipc_socket_up m = {.request = 1};
	rig_send(fe, IPC_SOCKET_UP, 0, h, stream, &m);
	rig_settle(&t->r);
}

static void
socket_down(struct own_rig *t, struct rig_peer *fe, uint32_t h, uint32_t stream)
{
	struct ipc_socket_down m = {.text = "gone"};
	rig_send(fe, IPC_SOCKET_DOWN, 0, h, stream, &m);
	rig_settle(&t->r);
}

static void
opens_and_joins(void **state)
{
	struct own_rig t;
	struct own_rig_open o = {.id = ID};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	own_rig_open(&t, t.fe, &o);
	own_rig_open(&t, t.fe2, &o); /* waits for the same setup */
	rig_settle(&t.r);
	assert_true(own_rig_record(&t, RECORD));
	int a = own_rig_agent(&t, NULL), b = own_rig_agent(&t, NULL);
	assert_int_equal(rig_count(t.fe, IPC_SESSION_OPENED), 0);
	own_rig_grant_sf(&t);
	struct rig_msg *m = rig_expect(t.fe, IPC_SESSION_OPENED);
	uint32_t h = m->header.session;
	assert_non_null(strstr(m->text, "slots=\"t\""));
	assert_non_null(strstr(m->text, "workers=\"own\""));
	assert_non_null(strstr(m->text, "ready=\"1\""));
	assert_int_equal(own_rig_number(m, "session_id"), ID);
	rig_msg_free(&m);
	assert_int_equal(own_rig_expect_opened(&t, t.fe2), h);
	own_rig_open(&t, t.fe2, &o); /* ready: joins at once */
	assert_int_equal(own_rig_expect_opened(&t, t.fe2), h);
	assert_int_equal(rig_count(t.sup, IPC_AGENT_START), 0);
	close(a);
	close(b);
	own_rig_deinit(&t);
}

static void
refuses(void **state)
{
	static const struct {
		struct own_rig_open o;
		int code;
		const char *reason, *part;
	} row[] = {
	    {{.target = "deployment.nope"}, 404, "NotFound", "of cluster t"},
	    {{.ns = "elsewhere"}, 404, "NotFound", "namespace elsewhere"},
	    {{.target = "deployment.shop.container.x"}, 404, "NotFound",
		"no container x"},
	    {{.target = "daemonset.x"}, 400, "BadRequest", "no kind"},
	    {{.target = "deployment"}, 400, "BadRequest", "needs a name"},
	    {{.ns = "Bad_Name"}, 400, "BadRequest", "no namespace"},
	    {{.target = "targetless"}, 422, "Invalid", "without a target"},
	    {{.target = "label"}, 422, "Invalid", "by label"},
	    {{.params = "connect=true&is_default_cluster=true"}, 403,
		"Forbidden", "is_default_cluster"},
	    {{.params = "connect=true&on_concurrent_steal=x"}, 400,
		"BadRequest", "on_concurrent_steal"},
	    {{.params = "connect=true&pg_branch_names=%5B%22b%22%5D"}, 422,
		"Invalid", ""},
	    {{.params = "connect=true&sqs_splits=%7B%22q%22:%7B%22a%22:%22b%"
			"22%7D%7D"},
		422, "Invalid", ""},
	    {{.child = "mc-1-east"}, 403, "Forbidden", "primary"},
	    {{.peer = OWN_PEER_PRIMARY}, 403, "Forbidden", "must name"},
	    {{.peer = OWN_PEER_PRIMARY, .child = "mc-1-east"}, 404, "NotFound",
		"mc-1-east"},
	};
	struct own_rig t;
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	for (size_t i = 0; i < N_OF(row); i++) {
		struct own_rig_open o = row[i].o;
		o.id = 7 + i;
		own_rig_open(&t, t.fe, &o);
		own_rig_expect_refused(
		    &t, t.fe, row[i].code, row[i].reason, row[i].part);
		rig_settle(&t.r);
		assert_int_equal(own_rig_files(&t, "run/t/sessions"), 0);
	}
	own_rig_deinit(&t);
}

static void
is_bound_to_user_and_key(void **state)
{
	struct own_rig t;
	struct own_rig_open other_user = {.id = ID, .user = "eve"};
	struct own_rig_open other_key = {.id = ID, .key_id = "b3RoZXI"};
	struct own_rig_open other_target = {.id = ID, .target = "job.migrate"};
	struct own_rig_open other_ns = {.id = ID, .ns = "other"};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	own_rig_single(&t, ID, NULL);
	own_rig_open(&t, t.fe, &other_user);
	own_rig_expect_refused(&t, t.fe, 403, "Forbidden", "another user");
	own_rig_open(&t, t.fe, &other_key);
	own_rig_expect_refused(&t, t.fe, 403, "Forbidden", "another key");
	own_rig_open(&t, t.fe, &other_target);
	own_rig_expect_refused(&t, t.fe, 409, "Conflict", "another target");
	own_rig_open(&t, t.fe, &other_ns);
	own_rig_expect_refused(&t, t.fe, 409, "Conflict", "namespace default");
	/* nor may they resume it later, or kill it */
	own_rig_restart(&t, OWN_RIG_SINGLE);
	own_rig_open(&t, t.fe, &other_user);
	own_rig_expect_refused(&t, t.fe, 403, "Forbidden", "another user");
	int code;
	cJSON_Delete(own_rig_api(&t, OWN_PEER_USER, "eve", "DELETE",
	    "/apis/operator.metalbear.co/v1/sessions/1A2B3C4D5E6F7081", "",
	    "{}", &code));
	assert_int_equal(code, 403);
	assert_true(own_rig_record(&t, RECORD));
	own_rig_deinit(&t);
}

static void
ends_after_the_ttl(void **state)
{
	struct own_rig t;
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	uint32_t h = own_rig_single(&t, ID, NULL);
	socket_up(&t, t.fe, h, 1);
	socket_up(&t, t.fe2, h, 1);
	own_rig_skip(&t, 600000); /* as long as a socket is open */
	assert_true(own_rig_record(&t, RECORD));
	socket_down(&t, t.fe, h, 1);
	own_rig_skip(&t, 89000);
	own_rig_skip(&t, 89000);
	assert_true(own_rig_record(&t, RECORD));
	rig_detach(t.fe2); /* its frontend dies: its socket is down */
	rig_settle(&t.r);
	own_rig_skip(&t, 88000);
	assert_true(own_rig_record(&t, RECORD));
	own_rig_skip(&t, 3000);
	assert_false(own_rig_record(&t, RECORD));
	assert_int_equal(rig_count(t.sf, IPC_REVOKE), 1);
	/* the same id starts a new session */
	struct own_rig_open o = {.id = ID, .user = "another"};
	own_rig_open(&t, t.fe, &o);
	own_rig_grant_sf(&t);
	assert_int_not_equal(own_rig_expect_opened(&t, t.fe), h);
	own_rig_deinit(&t);
}

static void
heartbeat_is_rare(void **state)
{
	struct own_rig t;
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	uint32_t h = own_rig_single(&t, ID, NULL);
	socket_up(&t, t.fe, h, 1);
	struct own_session *s = own_session_by_handle(own_rig_own(&t), h);
	int64_t stamp = s->stamp_us;
	own_rig_skip(&t, 10000);
	own_rig_skip(&t, 10000);
	assert_int_equal(s->stamp_us, stamp); /* a third of the TTL is 30 s */
	own_rig_skip(&t, 11000);
	assert_true(s->stamp_us > stamp);
	own_rig_deinit(&t);
}

static void
killed_ids_stay_closed(void **state)
{
	struct own_rig t;
	struct own_rig_open o = {.id = ID};
	int code;
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	uint32_t h = own_rig_single(&t, ID, NULL);
	socket_up(&t, t.fe, h, 1);
	cJSON_Delete(own_rig_api(&t, OWN_PEER_USER, "dev", "DELETE",
	    "/apis/operator.metalbear.co/v1/sessions/1885667171979194497", "",
	    "{}", &code));
	assert_int_equal(code, 200);
	struct rig_msg *m = rig_expect(t.fe, IPC_SESSION_END);
	assert_int_equal(own_rig_number(m, "close"), 1);
	assert_non_null(strstr(m->text, "stopped by dev"));
	rig_msg_free(&m);
	rig_settle(&t.r);
	assert_false(own_rig_record(&t, RECORD));
	own_rig_open(&t, t.fe, &o);
	own_rig_expect_refused(
	    &t, t.fe, 410, "ReconnectNotPossible", "stopped by dev");
	own_rig_restart(&t, OWN_RIG_SINGLE);
	own_rig_open(&t, t.fe, &o);
	own_rig_expect_refused(
	    &t, t.fe, 410, "ReconnectNotPossible", "stopped by dev");
	own_rig_skip(&t, 301000);
	own_rig_open(&t, t.fe, &o);
	(void)own_rig_agent(&t, NULL);
	(void)own_rig_agent(&t, NULL);
	own_rig_grant_sf(&t);
	(void)own_rig_expect_opened(&t, t.fe);
	own_rig_deinit(&t);
}

static void
survives_a_restart(void **state)
{
	struct own_rig t;
	struct own_rig_open o = {.id = ID};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	uint32_t h = own_rig_single(&t, ID, NULL);
	socket_up(&t, t.fe, h, 1);
	struct ipc_session_settled v = {.version = "1.20.0"};
	rig_send(t.fe, IPC_SESSION_SETTLED, 0, h, 1, &v);
	rig_settle(&t.r);
	own_rig_restart(&t, OWN_RIG_SINGLE);
	assert_true(own_rig_record(&t, RECORD));
	own_rig_open(&t, t.fe, &o);
	(void)own_rig_agent(&t, NULL);
	(void)own_rig_agent(&t, NULL);
	own_rig_grant_sf(&t);
	struct rig_msg *m = rig_expect(t.fe, IPC_SESSION_OPENED);
	assert_non_null(strstr(m->text, "settled=\"1.20.0\""));
	rig_msg_free(&m);
	/* nobody comes back to the next one: it expires from the store alone */
	own_rig_restart(&t, OWN_RIG_SINGLE);
	own_rig_skip(&t, 91000);
	assert_false(own_rig_record(&t, RECORD));
	own_rig_deinit(&t);
}

static void
bad_records_are_set_aside(void **state)
{
	static const char *bad[] = {"", "{", "[]", "{}", "{\"kind\":\"Pod\"}",
	    "{\"kind\":\"MirrordClusterSession\",\"metadata\":{\"name\":"
	    "\"x\"}}",
	    "{\"kind\":\"MirrordMultiClusterSession\",\"metadata\":{\"name\":"
	    "\"x\",\"annotations\":{\"tributary.dev/session-id\":\"1\"}},"
	    "\"spec\":{}}"};
	struct own_rig t;
	char path[256];
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	for (size_t i = 0; i < N_OF(bad); i++) {
		snprintf(
		    path, sizeof(path), "%s/run/t/sessions/x.json", t.root);
		FILE *f = fopen(path, "w");
		fputs(bad[i], f);
		fclose(f);
		own_rig_restart(&t, OWN_RIG_SINGLE);
		assert_false(own_rig_record(&t, "x"));
		assert_int_equal(own_rig_own(&t)->n_sessions, 0);
	}
	assert_true(own_rig_files(&t, "run/t/sessions") >= 1);
	own_rig_deinit(&t);
}

static void
agents_that_fail(void **state)
{
	struct own_rig t;
	struct own_rig_open o = {.id = ID};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	own_rig_open(&t, t.fe, &o);
	(void)own_rig_agent(&t, NULL);
	(void)own_rig_agent(&t, "no such process");
	own_rig_grant_sf(&t);
	(void)own_rig_expect_opened(&t, t.fe); /* one is enough */
	own_rig_deinit(&t);

	own_rig_init(&t, OWN_RIG_SINGLE);
	own_rig_open(&t, t.fe, &o);
	own_rig_grant_sf(&t);
	for (int i = 0; i < 6; i++) {
		rig_settle(&t.r);
		while (rig_count(t.sup, IPC_AGENT_START) > 0)
			(void)own_rig_agent(&t, "no such process");
		own_rig_skip(&t, 5000);
	}
	own_rig_expect_refused(
	    &t, t.fe, 500, "InternalError", "no such process");
	assert_int_equal(own_rig_files(&t, "run/t/sessions"), 0);
	own_rig_deinit(&t);
}

static void
setup_has_a_deadline(void **state)
{
	struct own_rig t;
	struct own_rig_open o = {.id = ID};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	own_rig_open(&t, t.fe, &o); /* nobody starts an agent */
	rig_settle(&t.r);
	own_rig_skip(&t, 119000);
	assert_int_equal(rig_count(t.fe, IPC_SESSION_REFUSED), 0);
	own_rig_skip(&t, 2000);
	own_rig_expect_refused(&t, t.fe, 500, "SetupDeadlineExceeded", "120 s");
	own_rig_deinit(&t);
}

static void
no_replica_runs(void **state)
{
	struct own_rig t;
	struct own_rig_open o = {.id = ID};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	own_rig_replica(&t, "shop-1", 0);
	own_rig_replica(&t, "shop-2", 0);
	own_rig_open(&t, t.fe, &o);
	own_rig_grant_sf(&t);
	own_rig_skip(&t, 61000);
	own_rig_skip(&t, 1000);
	own_rig_expect_refused(&t, t.fe, 422, "Invalid", "no replica");
	own_rig_open(&t, t.fe, &o);
	own_rig_grant_sf(&t);
	own_rig_skip(&t, 10000);
	own_rig_replica(&t, "shop-2", 1); /* in time */
	(void)own_rig_agent(&t, NULL);
	(void)own_rig_expect_opened(&t, t.fe);
	own_rig_deinit(&t);
}

static void
cancel_forgets_the_waiter(void **state)
{
	struct own_rig t;
	struct own_rig_open o = {.id = ID};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	own_rig_open(&t, t.fe, &o);
	struct ipc_session_cancel c = {.request = t.request};
	rig_send(t.fe, IPC_SESSION_CANCEL, 0, 0, 0, &c);
	(void)own_rig_agent(&t, NULL);
	(void)own_rig_agent(&t, NULL);
	own_rig_grant_sf(&t);
	assert_int_equal(rig_count(t.fe, IPC_SESSION_OPENED), 0);
	own_rig_skip(&t, 91000);
	assert_false(own_rig_record(&t, RECORD));
	own_rig_deinit(&t);
}

static void
stateful_worker_comes_back(void **state)
{
	struct own_rig t;
	struct own_rig_open o = {.id = ID};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	uint32_t h = own_rig_single(&t, ID, NULL);
	rig_detach(t.sf);
	rig_settle(&t.r);
	own_rig_open(&t, t.fe, &o);
	rig_settle(&t.r);
	assert_int_equal(rig_count(t.fe, IPC_SESSION_OPENED), 0);
	t.sf = rig_attach(&t.r, IPC_SF, 0, "");
	own_rig_grant_sf(&t);
	assert_int_equal(own_rig_expect_opened(&t, t.fe), h);
	own_rig_deinit(&t);
}

static void
long_texts_are_refused(void **state)
{
	struct own_rig t;
	char params[1200] = "connect=true&key=";
	struct own_rig_open o = {.id = ID, .params = params};
	(void)state;
	memset(params + 17, 'k', 254);
	own_rig_init(&t, OWN_RIG_SINGLE);
	own_rig_open(&t, t.fe, &o);
	own_rig_expect_refused(&t, t.fe, 400, "BadRequest", "too long");
	own_rig_deinit(&t);
}

static void
time_limit_and_clock(void **state)
{
	struct own_rig t;
	struct own_rig_open o = {.id = ID};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	own_rig_own(&t)->cfg.max_time_s = 3600;
	uint32_t h = own_rig_single(&t, ID, NULL);
	socket_up(&t, t.fe, h, 1);
	own_rig_skip(&t, 3599000 - 2000);
	assert_true(own_rig_record(&t, RECORD));
	own_rig_skip(&t, 3000); /* connected or not */
	assert_false(own_rig_record(&t, RECORD));
	own_rig_open(&t, t.fe, &o);
	own_rig_expect_refused(
	    &t, t.fe, 410, "ReconnectNotPossible", "limit of time");
	own_rig_deinit(&t);
	/* a clock that is set back keeps nothing alive for ever */
	own_rig_init(&t, OWN_RIG_SINGLE);
	h = own_rig_single(&t, ID, NULL);
	own_session_by_handle(own_rig_own(&t), h)->stamp_us += 86400000000;
	own_rig_skip(&t, 1000);
	own_rig_skip(&t, 91000);
	assert_false(own_rig_record(&t, RECORD));
	own_rig_deinit(&t);
}

static void
reload_takes_a_target_away(void **state)
{
	struct own_rig t;
	struct own_rig_open other = {.id = ID + 1};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	own_rig_single(&t, ID, NULL);
	cJSON *old = t.r.w.config;
	t.r.w.config = cJSON_Duplicate(old, 1);
	cJSON_ReplaceItemInObject(t.r.w.config, "targets", cJSON_CreateArray());
	own_ops.on_reload(&t.r.w, old);
	cJSON_Delete(old);
	rig_settle(&t.r);
	own_rig_open(&t, t.fe, &other);
	own_rig_expect_refused(&t, t.fe, 404, "NotFound", "not a target");
	/* what makes no sense changes nothing */
	old = t.r.w.config;
	t.r.w.config = cJSON_Duplicate(old, 1);
	cJSON *bad = json_parse("[{\"kind\":\"x\"}]", 14, NULL);
	cJSON_ReplaceItemInObject(t.r.w.config, "targets", bad);
	own_ops.on_reload(&t.r.w, old);
	cJSON_Delete(old);
	assert_int_equal(own_rig_own(&t)->targets.count, 0);
	own_rig_deinit(&t);
}

int
main(void)
{
	log_init("test", LOG_LV_ERROR);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(opens_and_joins),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(is_bound_to_user_and_key),
	    cmocka_unit_test(ends_after_the_ttl),
	    cmocka_unit_test(heartbeat_is_rare),
	    cmocka_unit_test(killed_ids_stay_closed),
	    cmocka_unit_test(survives_a_restart),
	    cmocka_unit_test(bad_records_are_set_aside),
	    cmocka_unit_test(agents_that_fail),
	    cmocka_unit_test(setup_has_a_deadline),
	    cmocka_unit_test(no_replica_runs),
	    cmocka_unit_test(cancel_forgets_the_waiter),
	    cmocka_unit_test(stateful_worker_comes_back),
	    cmocka_unit_test(long_texts_are_refused),
	    cmocka_unit_test(time_limit_and_clock),
	    cmocka_unit_test(reload_takes_a_target_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
