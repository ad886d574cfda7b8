/*
 * API bodies against recorded ones (tests/captures): every key of a recorded
 * answer must be there with the same JSON type. And child sessions, kills,
 * lists over members.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "protocol/pm_scan.h"
#include "tests/unit/workers/own_rig.h"

#define OP "/apis/operator.metalbear.co/v1"
#define CHILDREN "/apis/mirrord.metalbear.co/v1alpha/mirrordclustersessions"
#define CHILD_NAME "mc-0000000000000abc-t"

static cJSON *
capture(const char *name)
{
	char path[512];
	static char text[1 << 20];
	struct err e;
	snprintf(
	    path, sizeof(path), TRIB_SRCDIR "/tests/captures/%s.json", name);
	FILE *f = fopen(path, "r");
	if (f == NULL)
		fail_msg("%s is missing", path);
	size_t n = fread(text, 1, sizeof(text), f);
	fclose(f);
	cJSON *o = json_parse(text, n, &e);
	assert_non_null(o);
	return o;
}

static int
type_of(const cJSON *o)
{
	int t = o->type & 0xff;
	return t == cJSON_True ? cJSON_False : t;
}

/* Labels are the user's: their names mean nothing. */
static bool
free_keys(const char *key)
{
	return key != NULL &&
	       (strcmp(key, "labels") == 0 || strcmp(key, "matchLabels") == 0 ||
		   strcmp(key, "selector") == 0);
}

static void
same_shape(const cJSON *want, const cJSON *got, const char *path)
{
	const cJSON *it;
	char sub[512];
	if (want->type == cJSON_NULL)
		return;
	if (got->type == cJSON_NULL && strstr(path, "filter") != NULL)
		return; /* nullable */
	if (type_of(want) != type_of(got))
		fail_msg("%s: another type", path);
	if (cJSON_IsArray(want) && cJSON_GetArraySize(want) > 0 &&
	    cJSON_GetArraySize(got) > 0) {
		snprintf(sub, sizeof(sub), "%s[]", path);
		same_shape(cJSON_GetArrayItem(want, 0),
		    cJSON_GetArrayItem(got, 0), sub);
	}
	if (!cJSON_IsObject(want))
		return;
	cJSON_ArrayForEach(it, want)
	{
		const cJSON *mine =
		    cJSON_GetObjectItemCaseSensitive(got, it->string);
		snprintf(sub, sizeof(sub), "%s.%s", path, it->string);
		if (mine != NULL)
			same_shape(it, mine, sub);
		else if (!free_keys(strrchr(path, '.') == NULL
					? NULL
					: strrchr(path, '.') + 1))
			fail_msg("%s is missing", sub);
	}
}

/* Replays the plain requests of a capture that are the own worker's. */
static int
replay(struct own_rig *t, const char *name)
{
	cJSON *all = capture(name);
	const cJSON *it;
	int n = 0;
	cJSON_ArrayForEach(it, all)
	{
		const cJSON *body =
		    cJSON_GetObjectItemCaseSensitive(it, "response_body");
		const char *method = json_str(it, "method", "");
		char path[1024], *query;
		int code;
		snprintf(path, sizeof(path), "%s", json_str(it, "path", ""));
		query = strchr(path, '?');
		if (query != NULL)
			*query++ = '\0';
		if (strcmp(method, "POST") == 0 || cJSON_IsNull(body) ||
		    strcmp(method, "DELETE") == 0 ||
		    strstr(path, "/proxy/") != NULL)
			continue;
		/* the recorded target is called web */
		char *web = strstr(path, "deployments/web");
		if (web != NULL)
			strcpy(web, "deployments/shop");
		/* one character more: "shop" */
		char q[1024];
		snprintf(q, sizeof(q), "%s", query == NULL ? "" : query);
		char *app = strstr(q, "app%3Dweb");
		if (app != NULL)
			strcpy(app, "app%3Dshop");
		cJSON *got = own_rig_api(
		    t, OWN_PEER_USER, "dev", method, path, q, NULL, &code);
		assert_int_equal(
		    code, (int)json_int(it, "response_status", 0, 999, 0));
		if (cJSON_IsObject(body))
			same_shape(body, got, path);
		cJSON_Delete(got);
		n++;
	}
	cJSON_Delete(all);
	return n;
}

static void
with_session(struct own_rig *t, uint64_t id)
{
	int fds[2];
	uint32_t h = own_rig_single(t, id, fds);
	struct ipc_session_sub sub = {.space = PM_SPACE_STEAL,
	    .port = 8080,
	    .added = 1,
	    .raw = {(const uint8_t *)"x", 1}};
	rig_send(t->fe, IPC_SESSION_SUB, 0, h, 1, &sub);
	rig_settle(&t->r);
	close(fds[0]);
	close(fds[1]);
}

static void
captures(void **state)
{
	static const char *const names[] = {
	    "ls", "exec_deployment", "session_commands"};
	struct own_rig t;
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	with_session(&t, 0x1a2b3c4d5e6f7081ull);
	for (size_t i = 0; i < N_OF(names); i++)
		assert_true(replay(&t, names[i]) > 0);
	own_rig_deinit(&t);
	/* recorded from a primary */
	own_rig_init(&t, OWN_RIG_PWD);
	struct ipc_peer_state st = {.connected = 1,
	    .operator_version = "3.250.0",
	    .fingerprint = "Zg=="};
	rig_send(t.east, IPC_PEER_STATE, 0, 0, 0, &st);
	rig_settle(&t.r);
	assert_int_equal(replay(&t, "operator_status"), 1);
	own_rig_deinit(&t);
}

static cJSON *
operator_object(struct own_rig *t)
{
	int code;
	cJSON *o = own_rig_api(t, OWN_PEER_USER, "dev", "GET",
	    OP "/mirrordoperators/operator", "", NULL, &code);
	assert_int_equal(code, 200);
	return o;
}

static bool
has_feature(const cJSON *o, const char *name)
{
	const cJSON *it;
	cJSON_ArrayForEach(it, json_at(o, "spec.supported_features"))
	{
		if (strcmp(it->valuestring, name) == 0)
			return true;
	}
	return false;
}

static void
features_and_identity(void **state)
{
	struct own_rig t;
	char fingerprint[128];
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	cJSON *o = operator_object(&t);
	assert_true(has_feature(o, "ProxyApi"));
	assert_true(has_feature(o, "MultiClusterRemote"));
	assert_false(has_feature(o, "MultiClusterPrimary"));
	assert_false(has_feature(o, "CopyTarget"));
	assert_false(has_feature(o, "LabelTargeting"));
	assert_null(json_at(o, "spec.operator_namespace"));
	assert_null(json_at(o, "spec.features"));
	snprintf(fingerprint, sizeof(fingerprint), "%s",
	    json_str(json_at(o, "spec.license"), "fingerprint", ""));
	assert_true(strlen(fingerprint) >= 16);
	cJSON_Delete(o);
	own_rig_restart(&t, OWN_RIG_SINGLE);
	o = operator_object(&t);
	assert_string_equal(
	    json_str(json_at(o, "spec.license"), "fingerprint", ""),
	    fingerprint);
	cJSON_Delete(o);
	own_rig_deinit(&t);
	own_rig_init(&t, OWN_RIG_HUB);
	struct ipc_peer_state st = {
	    .cluster = "west", .connected = 1, .operator_version = "3.250.0"};
	rig_send(t.east, IPC_PEER_STATE, 0, 0, 0, &st);
	rig_settle(&t.r);
	o = operator_object(&t);
	assert_true(has_feature(o, "MultiClusterPrimary"));
	assert_string_equal(
	    json_str(json_at(o, "spec"), "operator_namespace", ""), "mirrord");
	/* east spoke, whatever name it said */
	const cJSON *c = json_at(o, "status.connected_clusters");
	assert_int_equal(cJSON_GetArraySize(c), 2);
	assert_non_null(
	    cJSON_GetObjectItem(cJSON_GetArrayItem(c, 0), "connected"));
	assert_non_null(cJSON_GetObjectItem(cJSON_GetArrayItem(c, 1), "error"));
	cJSON_Delete(o);
	own_rig_deinit(&t);
}

static void
paths_and_queries(void **state)
{
	static const struct {
		const char *method, *path, *query;
		int code;
	} row[] = {
	    {"GET", "/version", "", 200},
	    {"GET", OP "/mirrordoperators", "", 200},
	    {"GET", OP "/mirrordoperators/other", "", 404},
	    {"GET", OP "/sessions", "", 200},
	    {"GET", OP "/sessions", "&&", 200},
	    {"GET", OP "/sessions", "fieldSelector=spec.session.key%3Dk1", 200},
	    {"GET", OP "/sessions", "fieldSelector=nope%3D1", 200},
	    {"GET", OP "/sessions", "fieldSelector=%zz", 400},
	    {"GET", OP "/sessions", "limit=x", 400},
	    {"GET", OP "/sessions/77", "", 404},
	    {"GET", OP "/sessions/mc-xyz", "", 404},
	    {"DELETE", OP "/sessions/77", "", 404},
	    {"DELETE", OP "/sessions/not-a-number", "", 404},
	    {"DELETE", OP "/sessions/inactive", "", 200},
	    {"DELETE", OP "/sessions", "", 200},
	    {"GET", OP "/targets", "", 200},
	    {"GET", OP "/namespaces/default/targets", "", 200},
	    {"GET", OP "/namespaces/default/targets/deploy.shop", "", 200},
	    {"GET", OP "/namespaces/default/targets/deployment.shop", "", 200},
	    {"GET",
		OP "/namespaces/default/targets/deployment.shop.container.app",
		"", 200},
	    {"GET",
		OP "/namespaces/default/targets/deployment.shop.container.no",
		"", 404},
	    {"GET", OP "/namespaces/default/targets/deployment.no", "", 404},
	    {"GET", OP "/namespaces/other/targets/deployment.shop", "", 404},
	    {"GET", OP "/namespaces/default/targets/shop", "", 400},
	    {"GET", OP "/namespaces/default/targets/targetless", "", 404},
	    {"GET", "/api/v1/namespaces", "", 200},
	    {"GET", "/api/v1/namespaces/default", "", 200},
	    {"GET", "/api/v1/namespaces/none", "", 404},
	    {"GET", "/api/v2/namespaces", "", 404},
	    {"GET", "/api/v1/pods", "", 200},
	    {"GET", "/api/v1/namespaces/default/pods/shop-1", "", 200},
	    {"GET", "/api/v1/namespaces/default/pods/shop-9", "", 404},
	    {"GET", "/api/v1/namespaces/default/pods",
		"labelSelector=app%3D%3D%3D", 400},
	    {"GET", "/api/v1/namespaces/default/pods", "continue=x", 400},
	    {"GET", "/api/v1/namespaces/default/secrets", "", 404},
	    {"GET", "/api/v1/namespaces/default/deployments", "", 404},
	    {"GET", "/apis/apps/v1/namespaces/default/deployments", "", 200},
	    {"GET", "/apis/apps/v2/namespaces/default/deployments", "", 404},
	    {"GET", "/apis/batch/v1/namespaces/default/cronjobs", "", 200},
	    {"GET", "/apis/argoproj.io/v1alpha1/namespaces/default/rollouts",
		"", 404},
	    {"GET", "/apis/argoproj.io/v1alpha1/namespaces/default/rollouts/x",
		"", 404},
	    {"POST", OP "/sessions", "", 404},
	    {"PATCH", "/version", "", 404},
	    {"GET", "/", "", 404},
	    {"GET", "//", "", 404},
	    {"GET", OP "/sessions/", "", 404},
	    {"GET", OP "//sessions", "", 404},
	};
	struct own_rig t;
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	for (size_t i = 0; i < N_OF(row); i++) {
		int code;
		cJSON *o = own_rig_api(&t, OWN_PEER_USER, "dev", row[i].method,
		    row[i].path, row[i].query, NULL, &code);
		if (code != row[i].code)
			fail_msg("%s %s?%s: %d", row[i].method, row[i].path,
			    row[i].query, code);
		if (code >= 400) {
			assert_string_equal(json_str(o, "kind", ""), "Status");
			assert_int_equal(json_int(o, "code", 0, 999, 0), code);
			assert_true(strlen(json_str(o, "message", "")) > 5);
		}
		cJSON_Delete(o);
	}
	own_rig_deinit(&t);
}

static int
n_items(struct own_rig *t, uint8_t peer, const char *user, const char *path,
    const char *query)
{
	int code;
	cJSON *o = own_rig_api(t, peer, user, "GET", path, query, NULL, &code);
	assert_int_equal(code, 200);
	int n = cJSON_GetArraySize(cJSON_GetObjectItem(o, "items"));
	cJSON_Delete(o);
	return n;
}

static void
selectors_and_pages(void **state)
{
	struct own_rig t;
	int code;
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
#define PODS(q) \
	n_items(&t, OWN_PEER_USER, "dev", "/api/v1/namespaces/default/pods", q)
	assert_int_equal(PODS(""), 2);
	assert_int_equal(PODS("labelSelector=app%3Dshop"), 2);
	assert_int_equal(PODS("labelSelector=app%3Dother"), 0);
	assert_int_equal(PODS("fieldSelector=metadata.name%3Dshop-2"), 1);
	own_rig_replica(&t, "shop-2", 0);
	assert_int_equal(PODS(""), 2);
	assert_int_equal(PODS("&fieldSelector=status.phase%3DRunning"), 1);
	own_rig_replica(&t, "shop-2", 1);
	cJSON *o = own_rig_api(&t, OWN_PEER_USER, "dev", "GET", "/api/v1/pods",
	    "limit=1", NULL, &code);
	assert_int_equal(
	    cJSON_GetArraySize(cJSON_GetObjectItem(o, "items")), 1);
	assert_string_equal(
	    json_str(cJSON_GetObjectItem(o, "metadata"), "continue", ""), "1");
	cJSON_Delete(o);
	assert_int_equal(PODS("limit=1&continue=1"), 1);
	assert_int_equal(PODS("limit=1&continue=2"), 0);
#undef PODS
	own_rig_deinit(&t);
}

static void
kills(void **state)
{
	static const struct {
		uint8_t peer;
		const char *user, *path;
		int code;
		bool gone;
	} row[] = {
	    {OWN_PEER_USER, "eve", OP "/sessions/77", 403, false},
	    {OWN_PEER_PRIMARY, "dev", OP "/sessions/77", 403, false},
	    {OWN_PEER_USER, "dev", OP "/sessions/78", 404, false},
	    {OWN_PEER_USER, "dev", OP "/namespaces/other/sessions/77", 404,
		false},
	    {OWN_PEER_USER, "eve", OP "/sessions", 200, false},
	    {OWN_PEER_USER, "dev", OP "/namespaces/other/sessions", 200, false},
	    {OWN_PEER_USER, "dev", OP "/sessions/77", 200, true},
	    {OWN_PEER_USER, "dev", OP "/sessions/119", 200, true},
	    {OWN_PEER_USER, "dev", OP "/sessions/mc-0000000000000077", 200,
		true},
	    {OWN_PEER_USER, "dev", OP "/sessions/mc-copy-77", 200, true},
	    {OWN_PEER_USER, "dev", OP "/namespaces/default/sessions/77", 200,
		true},
	    {OWN_PEER_ADMIN, "root", OP "/sessions/77", 200, true},
	    {OWN_PEER_ADMIN, "root", OP "/sessions", 200, true},
	    {OWN_PEER_USER, "dev", OP "/sessions/inactive", 200, true},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(row); i++) {
		struct own_rig t;
		int code;
		own_rig_init(&t, OWN_RIG_SINGLE);
		with_session(&t, 0x77);
		cJSON *o = own_rig_api(&t, row[i].peer, row[i].user, "DELETE",
		    row[i].path, "", "{}", &code);
		if (code != row[i].code)
			fail_msg("row %zu: %d", i, code);
		assert_string_equal(json_str(o, "status", ""),
		    code == 200 ? "Success" : "Failure");
		cJSON_Delete(o);
		rig_settle(&t.r);
		assert_int_equal(
		    !own_rig_record(&t, "sc-0000000000000077"), row[i].gone);
		own_rig_deinit(&t);
	}
}

/* ---- child sessions ---- */

static const char good_child[] =
    "{\"apiVersion\":\"mirrord.metalbear.co/v1alpha\",\"kind\":"
    "\"MirrordClusterSession\",\"metadata\":{\"name\":\"" CHILD_NAME
    "\"},\"spec\":{\"owner\":{\"userId\":\"a2V5\",\"username\":\"Dev\","
    "\"hostname\":\"laptop\",\"k8sUsername\":\"dev\"},\"namespace\":"
    "\"default\",\"target\":{\"apiVersion\":\"apps/v1\",\"kind\":"
    "\"Deployment\",\"name\":\"shop\",\"container\":\"\"},"
    "\"multiClusterParentName\":\"mc-0000000000000abc\"}}";

static int
create(struct own_rig *t, uint8_t peer, const char *user, const char *body)
{
	int code;
	cJSON_Delete(
	    own_rig_api(t, peer, user, "POST", CHILDREN, "", body, &code));
	rig_settle(&t->r);
	return code;
}

static void
bad_children(void **state)
{
	static const struct {
		const char *replace, *by;
		int code;
	} row[] = {
	    {"MirrordClusterSession\"", "Pod\"", 422},
	    {"\"" CHILD_NAME "\"", "\"mc-0000000000000def-t\"", 422},
	    {"\"" CHILD_NAME "\"", "\"../x\"", 422},
	    {"\"" CHILD_NAME "\"", "7", 422},
	    {"\"namespace\":\"default\"", "\"namespace\":\"\"", 422},
	    {"\"namespace\":\"default\"", "\"namespace\":\"other\"", 404},
	    {"\"Deployment\"", "\"Node\"", 422},
	    {"\"name\":\"shop\"", "\"name\":\"none\"", 404},
	    {"\"name\":\"shop\"", "\"name\":\"A/B\"", 422},
	    {"\"container\":\"\"", "\"container\":\"none\"", 404},
	    {"\"k8sUsername\":\"dev\"", "\"x\":1", 422},
	    {"\"multiClusterParentName\"", "\"x\"", 422},
	};
	struct own_rig t;
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	assert_int_equal(create(&t, OWN_PEER_USER, "dev", good_child), 403);
	assert_int_equal(create(&t, OWN_PEER_ADMIN, "root", good_child), 403);
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub", ""), 400);
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub", "{"), 400);
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub", "[]"), 422);
	for (size_t i = 0; i < N_OF(row); i++) {
		char body[2048];
		const char *at = strstr(good_child, row[i].replace);
		assert_non_null(at);
		snprintf(body, sizeof(body), "%.*s%s%s", (int)(at - good_child),
		    good_child, row[i].by, at + strlen(row[i].replace));
		int code = create(&t, OWN_PEER_PRIMARY, "hub", body);
		if (code != row[i].code)
			fail_msg("row %zu: %d", i, code);
		assert_int_equal(own_rig_files(&t, "run/t/sessions"), 0);
	}
	own_rig_deinit(&t);
}

static void
child_of_a_primary(void **state)
{
	struct own_rig t;
	int code;
	struct own_rig_open o = {.id = 0xabc,
	    .peer = OWN_PEER_PRIMARY,
	    .user = "hub",
	    .child = CHILD_NAME,
	    .params = "connect=true&is_default_cluster=true"};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub", good_child), 201);
	assert_true(own_rig_record(&t, CHILD_NAME));
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub", good_child), 409);
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub2", good_child), 409);
	/* a primary sees its own children */
	assert_int_equal(n_items(&t, OWN_PEER_PRIMARY, "hub", CHILDREN, ""), 1);
	assert_int_equal(
	    n_items(&t, OWN_PEER_PRIMARY, "hub2", CHILDREN, ""), 0);
	cJSON_Delete(own_rig_api(&t, OWN_PEER_PRIMARY, "hub2", "GET",
	    CHILDREN "/" CHILD_NAME, "", NULL, &code));
	assert_int_equal(code, 404);
	cJSON_Delete(own_rig_api(&t, OWN_PEER_PRIMARY, "hub2", "DELETE",
	    CHILDREN "/" CHILD_NAME, "", "{}", &code));
	assert_int_equal(code, 404);
	/* only it may join; ready when the agents are */
	own_rig_open(&t, t.fe, &o);
	rig_settle(&t.r);
	assert_int_equal(rig_count(t.fe, IPC_SESSION_OPENED), 0);
	close(own_rig_agent(&t, NULL));
	close(own_rig_agent(&t, NULL));
	own_rig_grant_sf(&t);
	(void)own_rig_expect_opened(&t, t.fe);
	o.user = "hub2";
	own_rig_open(&t, t.fe, &o);
	own_rig_expect_refused(&t, t.fe, 403, "Forbidden", "not a child");
	o.peer = OWN_PEER_USER;
	o.user = "dev";
	own_rig_open(&t, t.fe, &o);
	own_rig_expect_refused(&t, t.fe, 403, "Forbidden", "");
	/* listed as the user's session; removed by its primary */
	assert_int_equal(
	    n_items(&t, OWN_PEER_USER, "dev", OP "/sessions", ""), 1);
	cJSON_Delete(own_rig_api(&t, OWN_PEER_PRIMARY, "hub", "DELETE",
	    CHILDREN "/" CHILD_NAME, "", "{}", &code));
	assert_int_equal(code, 200);
	rig_settle(&t.r);
	assert_false(own_rig_record(&t, CHILD_NAME));
	/* not closed for ever: its primary may make it again */
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub", good_child), 201);
	own_rig_deinit(&t);
}

static void
child_killed_by_its_user(void **state)
{
	struct own_rig t;
	int code;
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub", good_child), 201);
	cJSON_Delete(own_rig_api(&t, OWN_PEER_USER, "eve", "DELETE",
	    OP "/sessions/ABC", "", "{}", &code));
	assert_int_equal(code, 403);
	cJSON_Delete(own_rig_api(&t, OWN_PEER_USER, "dev", "DELETE",
	    OP "/sessions/ABC", "", "{}", &code));
	assert_int_equal(code, 200);
	rig_settle(&t.r);
	/* its primary hears why, and ends the whole session */
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub", good_child), 410);
	own_rig_deinit(&t);
}

static void
unused_children_go(void **state)
{
	struct own_rig t;
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub", good_child), 201);
	close(own_rig_agent(&t, NULL));
	close(own_rig_agent(&t, NULL));
	own_rig_grant_sf(&t);
	own_rig_skip(&t, 29000);
	assert_true(own_rig_record(&t, CHILD_NAME));
	own_rig_skip(&t, 2000);
	assert_false(own_rig_record(&t, CHILD_NAME));
	own_rig_deinit(&t);
}

static struct rig_msg *
next_event(struct own_rig *t, const char *type)
{
	struct rig_msg *m = rig_expect(t->fe2, IPC_API_REPLY);
	char want[64];
	assert_int_equal(own_rig_number(m, "more"), 1);
	snprintf(want, sizeof(want), "{\"type\":\"%s\"", type);
	if (strncmp(buf_cstr(&m->data), want, strlen(want)) != 0)
		fail_msg("%s", buf_cstr(&m->data));
	return m;
}

static void
watch(void **state)
{
	struct own_rig t;
	struct ipc_api_request w = {.request = 9,
	    .peer = OWN_PEER_PRIMARY,
	    .user = "hub",
	    .method = "GET",
	    .path = CHILDREN,
	    .query = "watch=true"};
	(void)state;
	own_rig_init(&t, OWN_RIG_SINGLE);
	rig_send(t.fe2, IPC_API_REQUEST, 0, 0, 0, &w);
	assert_int_equal(create(&t, OWN_PEER_PRIMARY, "hub", good_child), 201);
	struct rig_msg *m = next_event(&t, "ADDED");
	rig_msg_free(&m);
	int code;
	cJSON_Delete(own_rig_api(&t, OWN_PEER_PRIMARY, "hub", "DELETE",
	    CHILDREN "/" CHILD_NAME, "", "{}", &code));
	rig_settle(&t.r);
	while (rig_count(t.fe2, IPC_API_REPLY) > 1) {
		m = next_event(&t, "MODIFIED");
		rig_msg_free(&m);
	}
	m = next_event(&t, "DELETED");
	rig_msg_free(&m);
	struct ipc_api_cancel c = {.request = 9};
	rig_send(t.fe2, IPC_API_CANCEL, 0, 0, 0, &c);
	rig_settle(&t.r);
	assert_true(list_empty(&own_rig_own(&t)->watches));
	own_rig_deinit(&t);
}

/* ---- over the members ---- */

static void
answer(struct own_rig *t, struct rig_peer *clu, int code, const char *body)
{
	struct rig_msg *q = rig_expect(clu, IPC_PEER_QUERY);
	struct ipc_peer_answer a = {
	    .request = (uint32_t)own_rig_number(q, "request"),
	    .code = (uint16_t)code,
	    .body = {(const uint8_t *)body, strlen(body)}};
	rig_msg_free(&q);
	rig_send(clu, IPC_PEER_ANSWER, 0, 0, 0, &a);
	(void)t;
}

#define TARGET_LIST(replica)                                               \
	"{\"items\":[{\"metadata\":{\"name\":\"deployment.shop\","         \
	"\"namespace\":\"default\"},\"spec\":{\"target\":{\"deployment\":" \
	"\"shop\",\"container\":\"app\"}},\"status\":{\"ports\":[8080],"   \
	"\"labels\":{\"app\":\"shop\"},\"replicas\":[{\"name\":\"" replica \
	"\",\"address\":\"10.0.0.1\",\"ready\":true}]}}]}"

static cJSON *
ask_hub(struct own_rig *t, const char *path, const char *query,
    const char *east, const char *west)
{
	struct ipc_api_request m = {.request = 4,
	    .user = "dev",
	    .method = "GET",
	    .path = path,
	    .query = query};
	struct err e;
	rig_send(t->fe, IPC_API_REQUEST, 0, 0, 0, &m);
	rig_settle(&t->r);
	answer(t, t->east, 200, east);
	rig_settle(&t->r);
	if (west != NULL) /* else it is silent: three seconds */
		answer(t, t->west, 200, west);
	struct rig_msg *r = rig_expect(t->fe, IPC_API_REPLY);
	cJSON *o = json_parse(buf_data(&r->data), r->data.len, &e);
	assert_non_null(o);
	rig_msg_free(&r);
	return o;
}

static void
merged_targets(void **state)
{
	struct own_rig t;
	(void)state;
	own_rig_init(&t, OWN_RIG_HUB);
	cJSON *o = ask_hub(&t, OP "/targets", "", TARGET_LIST("shop-1"),
	    TARGET_LIST("shop-w1"));
	cJSON *items = cJSON_GetObjectItem(o, "items");
	assert_int_equal(cJSON_GetArraySize(items), 1);
	assert_int_equal(cJSON_GetArraySize(json_at(
			     cJSON_GetArrayItem(items, 0), "status.clusters")),
	    2);
	cJSON_Delete(o);
	o = ask_hub(&t, "/api/v1/namespaces/default/pods",
	    "labelSelector=app%3Dshop", TARGET_LIST("shop-1"),
	    TARGET_LIST("shop-w1"));
	assert_int_equal(
	    cJSON_GetArraySize(cJSON_GetObjectItem(o, "items")), 2);
	cJSON_Delete(o);
	/* one answers nonsense: the other's are shown */
	o = ask_hub(&t, "/apis/apps/v1/namespaces/default/deployments", "",
	    TARGET_LIST("shop-1"), "{\"items\":[7,{},\"x\"]}");
	assert_int_equal(
	    cJSON_GetArraySize(cJSON_GetObjectItem(o, "items")), 1);
	cJSON_Delete(o);
	/* one is silent: partial, and it is named */
	o = ask_hub(&t, OP "/targets", "", TARGET_LIST("shop-1"), NULL);
	assert_int_equal(
	    cJSON_GetArraySize(cJSON_GetObjectItem(o, "items")), 1);
	assert_string_equal(
	    cJSON_GetArrayItem(json_at(o, "metadata.silentClusters"), 0)
		->valuestring,
	    "west");
	cJSON_Delete(o);
	own_rig_deinit(&t);
}

static void
folded_sessions(void **state)
{
	struct own_rig t;
	struct own_rig_open open = {.id = 0xabc};
	(void)state;
	own_rig_init(&t, OWN_RIG_HUB);
	own_rig_open(&t, t.fe, &open);
	rig_settle(&t.r);
#define ENTRY(id)                                                              \
	"{\"items\":[{\"metadata\":{\"name\":\"" id "\"},\"spec\":{"           \
	"\"session\":{\"duration_secs\":1,\"user\":\"u\",\"target\":\"t\"}}}]" \
	"}"
	cJSON *o = ask_hub(&t, OP "/sessions", "", ENTRY("ABC"), ENTRY("DEF"));
	assert_int_equal(
	    cJSON_GetArraySize(cJSON_GetObjectItem(o, "items")), 2);
	cJSON_Delete(o);
#undef ENTRY
	own_rig_deinit(&t);
}

int
main(void)
{
	log_init("test", LOG_LV_ERROR);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(captures),
	    cmocka_unit_test(features_and_identity),
	    cmocka_unit_test(paths_and_queries),
	    cmocka_unit_test(selectors_and_pages),
	    cmocka_unit_test(kills),
	    cmocka_unit_test(bad_children),
	    cmocka_unit_test(child_of_a_primary),
	    cmocka_unit_test(child_killed_by_its_user),
	    cmocka_unit_test(unused_children_go),
	    cmocka_unit_test(watch),
	    cmocka_unit_test(merged_targets),
	    cmocka_unit_test(folded_sessions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
