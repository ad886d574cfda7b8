/*
 * Every row of the endpoint table, by everybody: who gets in, and what a
 * stranger, a wrong method, an unknown path, a broken body are told. Over
 * real TLS; the other workers are played.
 */
#include "config.h"

#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "tests/unit/workers/front.h"

#define OP "/apis/operator.metalbear.co/v1/"
#define CHILD "/apis/mirrord.metalbear.co/v1alpha/mirrordclustersessions"

static struct front f;

static int
setup(void **state)
{
	(void)state;
	front_init(&f, true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	front_deinit(&f);
	return 0;
}

/* One request; its code. The body stays in last. */
static struct front_answer last;

static int
code_of(enum front_who who, const char *method, const char *target)
{
	front_answer_free(&last);
	front_ask(&f, who, method, target, NULL,
	    strcmp(method, "POST") == 0 ? "{}" : NULL, &last);
	return last.code;
}

static bool
said(const char *text)
{
	return strstr(buf_cstr(&last.body), text) != NULL;
}

static void
every_row_for_everybody(void **state)
{
	static const struct {
		const char *method, *path;
		int code[FRONT_N]; /* nobody, eve, dev, root, hub, false */
	} rows[] = {
	    {"GET", "/health", {200, 200, 200, 200, 200, 200}},
	    {"HEAD", "/health", {200, 200, 200, 200, 200, 200}},
	    {"POST", "/health", {401, 404, 404, 404, 404, 401}},
	    {"GET", "/version", {401, 403, 200, 200, 200, 401}},
	    {"GET", "/api", {401, 403, 200, 200, 200, 401}},
	    {"GET", "/apis", {401, 403, 200, 200, 200, 401}},
	    {"GET", "/api/v1", {401, 403, 200, 200, 200, 401}},
	    {"GET", "/apis/apps", {401, 403, 200, 200, 200, 401}},
	    {"GET", "/apis/apps/v1", {401, 403, 200, 200, 200, 401}},
	    {"GET", "/apis/apps/v2", {401, 403, 404, 404, 404, 401}},
	    {"GET", "/apis/none", {401, 403, 404, 404, 404, 401}},
	    {"GET", OP "mirrordoperators", {401, 403, 200, 200, 200, 401}},
	    {"GET", OP "mirrordoperators/operator",
		{401, 403, 200, 200, 200, 401}},
	    {"HEAD", OP "mirrordoperators/operator",
		{401, 403, 200, 200, 200, 401}},
	    {"PUT", OP "mirrordoperators/operator",
		{401, 405, 405, 405, 405, 401}},
	    {"GET", OP "mirrordoperators/operator/ping",
		{401, 403, 400, 400, 400, 401}}, /* no upgrade */
	    {"GET", OP "mirrordoperators/other",
		{401, 404, 404, 404, 404, 401}},
	    {"POST", OP "mirrordoperators/operator/certificate",
		{401, 403, 200, 200, 200, 401}},
	    {"POST", OP "mirrordclusteroperatorusercredentials",
		{401, 403, 422, 422, 422, 401}}, /* an empty object */
	    {"GET", OP "proxy/namespaces/a/targets/deployment.shop",
		{401, 400, 400, 400, 400, 401}}, /* no upgrade */
	    {"GET", OP "namespaces/a/targets/deployment.shop",
		{401, 403, 200, 200, 200, 401}},
	    {"GET", OP "namespaces/b/targets/deployment.shop",
		{401, 403, 403, 200, 200, 401}},
	    {"GET", OP "targets", {401, 403, 403, 200, 200, 401}},
	    {"GET", OP "namespaces/a/targets", {401, 403, 200, 200, 200, 401}},
	    {"GET", OP "namespaces/b/targets", {401, 403, 403, 200, 200, 401}},
	    {"GET", OP "sessions", {401, 403, 403, 200, 200, 401}},
	    {"GET", OP "namespaces/a/sessions", {401, 403, 200, 200, 200, 401}},
	    {"GET", OP "namespaces/b/sessions", {401, 403, 403, 200, 200, 401}},
	    {"GET", OP "namespaces/a/sessions/1",
		{401, 403, 200, 200, 200, 401}},
	    {"DELETE", OP "sessions", {401, 403, 200, 200, 200, 401}},
	    {"DELETE", OP "sessions/1", {401, 403, 200, 200, 200, 401}},
	    {"DELETE", OP "namespaces/a/sessions",
		{401, 403, 200, 200, 200, 401}},
	    {"DELETE", OP "namespaces/b/sessions/1",
		{401, 403, 403, 200, 200, 401}},
	    {"PATCH", OP "sessions/1", {401, 405, 405, 405, 405, 401}},
	    {"GET", OP "namespaces/a/copytargets",
		{401, 403, 501, 501, 501, 401}},
	    {"POST", OP "namespaces/a/copytargets",
		{401, 403, 501, 501, 501, 401}},
	    {"GET", OP "namespaces/a/copytargets/x",
		{401, 403, 501, 501, 501, 401}},
	    {"GET", OP "proxy/namespaces/a/copytargets/x",
		{401, 403, 501, 501, 501, 401}},
	    {"POST", OP "branchcredentials", {401, 403, 501, 501, 501, 401}},
	    {"POST", OP "previewsecretmounts", {401, 403, 501, 501, 501, 401}},
	    {"GET", CHILD, {401, 403, 403, 403, 200, 401}},
	    {"POST", CHILD, {401, 403, 403, 403, 200, 401}},
	    {"GET", CHILD "/x", {401, 403, 403, 403, 200, 401}},
	    {"DELETE", CHILD "/x", {401, 403, 403, 403, 200, 401}},
	    {"PUT", CHILD "/x", {401, 405, 405, 405, 405, 401}},
	    {"GET", "/api/v1/namespaces", {401, 403, 403, 200, 200, 401}},
	    {"GET", "/api/v1/namespaces/a", {401, 403, 200, 200, 200, 401}},
	    {"GET", "/api/v1/namespaces/b", {401, 403, 403, 200, 200, 401}},
	    {"GET", "/api/v1/pods", {401, 403, 403, 200, 200, 401}},
	    {"GET", "/api/v1/namespaces/a/pods",
		{401, 403, 200, 200, 200, 401}},
	    {"GET", "/api/v1/namespaces/a/pods/x",
		{401, 403, 200, 200, 200, 401}},
	    {"GET", "/apis/apps/v1/deployments",
		{401, 403, 403, 200, 200, 401}},
	    {"GET", "/apis/apps/v1/namespaces/a/deployments",
		{401, 403, 200, 200, 200, 401}},
	    {"GET", "/apis/apps/v1/namespaces/b/deployments/x",
		{401, 403, 403, 200, 200, 401}},
	    {"POST", "/apis/apps/v1/namespaces/a/deployments",
		{401, 405, 405, 405, 405, 401}},
	    /* no such thing */
	    {"GET", "/", {401, 404, 404, 404, 404, 401}},
	    {"GET", "/nothing", {401, 404, 404, 404, 404, 401}},
	    {"GET", "/api/v1/namespaces/a/pods/x/log",
		{401, 404, 404, 404, 404, 401}},
	    {"GET", "/health2", {401, 404, 404, 404, 404, 401}},
	    {"GET", "/apis//apps", {401, 400, 400, 400, 400, 401}},
	    {"GET", "/apis/../health", {401, 400, 400, 400, 400, 401}},
	    {"GET", "/apis/%2e%2e/x", {401, 400, 400, 400, 400, 401}},
	    {"GET", "/apis/a%2fb", {401, 400, 400, 400, 400, 401}},
	};
	bool ok = true;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		for (int who = 0; who < FRONT_N; who++) {
			int code = code_of(
			    (enum front_who)who, rows[i].method, rows[i].path);

			if (code == rows[i].code[who])
				continue;
			ok = false;
			print_error("%s %s by %d: %d, wanted %d\n",
			    rows[i].method, rows[i].path, who, code,
			    rows[i].code[who]);
		}
	}
	assert_true(ok);
}

/* Refusals are Status objects whose code is the answer's. */
static void
refusals_are_statuses(void **state)
{
	static const struct {
		enum front_who who;
		const char *method, *path, *reason, *text;
		int code;
	} rows[] = {
	    {FRONT_NOBODY, "GET", "/version", "Unauthorized",
		"tributary kubeconfig", 401},
	    {FRONT_FALSE, "GET", "/version", "Unauthorized", "", 401},
	    {FRONT_EVE, "GET", "/version", "Forbidden", "allow:", 403},
	    {FRONT_DEV, "GET", CHILD, "Forbidden", "dev", 403},
	    {FRONT_DEV, "GET", "/nothing", "NotFound", "/nothing", 404},
	    {FRONT_DEV, "PATCH", "/version", "MethodNotAllowed", "PATCH", 405},
	    {FRONT_DEV, "POST", OP "branchcredentials", "NotImplemented",
		"database branches", 501},
	    {FRONT_DEV, "GET", OP "namespaces/a/copytargets", "NotImplemented",
		"copy targets", 501},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct status st;

		assert_int_equal(
		    code_of(rows[i].who, rows[i].method, rows[i].path),
		    rows[i].code);
		status_parse(
		    &st, last.code, buf_data(&last.body), last.body.len);
		assert_true(st.is_status);
		assert_int_equal(st.code, rows[i].code);
		assert_string_equal(st.reason, rows[i].reason);
		if (strstr(st.message, rows[i].text) == NULL)
			fail_msg("%s: %s", rows[i].path, st.message);
	}
}

static void
what_goes_to_the_controller(void **state)
{
	struct http_pair fields[] = {
	    {"x-client-der", "bm90IGEgY2VydA=="}, {NULL, NULL}};

	(void)state;
	assert_int_equal(
	    code_of(FRONT_DEV, "GET", "/version?timeout=3s&a=%20"), 200);
	assert_true(said("user=\\\"dev\\\"") || said("user=\"dev\""));
	assert_true(said("peer=0"));
	assert_true(said("method=\"GET\" path=\"/version\""));
	assert_true(said("query=\"timeout=3s&a=%20\""));
	code_of(FRONT_ROOT, "GET", "/version");
	assert_true(said("peer=2 user=\"root\""));
	code_of(FRONT_HUB, "GET", CHILD);
	assert_true(said("peer=1 user=\"hub\""));
	/* a key id is only believed from a certificate of ours */
	front_answer_free(&last);
	front_ask(&f, FRONT_DEV, "GET", "/version", fields, NULL, &last);
	assert_true(said("key_id=\"\""));
}

/* ---- tokens */

static void
sha256_hex(const char *text, char out[65])
{
	unsigned char md[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)text, strlen(text), md);
	for (size_t i = 0; i < sizeof(md); i++)
		snprintf(out + 2 * i, 3, "%02x", md[i]);
}

static void
bearer_tokens(void **state)
{
	static const struct {
		const char *name, *value;
		int code;
	} rows[] = {
	    {"of a user", "Bearer one", 200},
	    {"in lower case", "bearer one", 200},
	    {"of a group", "Bearer grouped", 200},
	    {"of nobody with a rule", "Bearer idle", 403},
	    {"that has expired", "Bearer old", 401},
	    {"that is not known", "Bearer other", 401},
	    {"with more behind it", "Bearer one ", 200}, /* OWS is no part */
	    {"another scheme", "Basic one", 401},
	    {"no token", "Bearer", 401},
	    {"an empty one", "Bearer ", 401},
	};
	static const struct {
		const char *token, *user, *groups;
		int64_t expires;
	} tokens[] = {
	    {"one", "dev", "", 0},
	    {"grouped", "gina", "\"other\",\"team\"", 4102444800},
	    {"idle", "ida", "", 0},
	    {"old", "dev", "", 1000},
	};
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	buf_printf(&b, ",\"tokens\":[");
	for (size_t i = 0; i < N_OF(tokens); i++) {
		char hex[65];

		sha256_hex(tokens[i].token, hex);
		buf_printf(&b,
		    "%s{\"sha256\":\"%s\",\"user\":\"%s\",\"groups\":[%s],"
		    "\"expires\":%lld}",
		    i == 0 ? "" : ",", hex, tokens[i].user, tokens[i].groups,
		    (long long)tokens[i].expires);
	}
	buf_printf(&b, "]");
	front_trust(&f, buf_cstr(&b));
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct http_pair fields[] = {
		    {"authorization", rows[i].value}, {NULL, NULL}};

		front_answer_free(&last);
		front_ask(&f, FRONT_NOBODY, "GET", "/api/v1/namespaces/a/pods",
		    fields, NULL, &last);
		if (last.code != rows[i].code)
			fail_msg("a token %s: %d", rows[i].name, last.code);
	}
	/* a primary's, from the configuration, its hash in either case */
	front_answer_free(&last);
	front_ask(&f, FRONT_NOBODY, "GET", CHILD,
	    (struct http_pair[]){
		{"authorization", "Bearer hub-token"}, {NULL, NULL}},
	    NULL, &last);
	assert_int_equal(last.code, 200);
	assert_true(said("user=\"hub2\""));
	/* revoked: not there any more */
	front_trust(&f, "");
	front_answer_free(&last);
	front_ask(&f, FRONT_NOBODY, "GET", "/version",
	    (struct http_pair[]){{"authorization", "Bearer one"}, {NULL, NULL}},
	    NULL, &last);
	assert_int_equal(last.code, 401);
	buf_free(&b);
}

/* ---- certificates for the CLI */

static void
credentials_are_signed(void **state)
{
	static const struct {
		const char *name, *path, *body;
		int code;
		const char *want;
	} rows[] = {
	    {"E3", OP "mirrordclusteroperatorusercredentials",
		"{\"metadata\":{\"generateName\":\"dev\"},\"spec\":{\"csr\":"
		"\"C\",\"kind\":\"ci\"},\"status\":{\"certificate\":\"own\"}}",
		201, "\"certificate\":\"PEM\""},
	    {"no metadata", OP "mirrordclusteroperatorusercredentials",
		"{\"spec\":{\"csr\":\"C\",\"kind\":\"ci\"}}", 422, "needed"},
	    {"no csr", OP "mirrordclusteroperatorusercredentials",
		"{\"metadata\":{},\"spec\":{\"kind\":\"ci\"}}", 422, "needed"},
	    {"no kind", OP "mirrordclusteroperatorusercredentials",
		"{\"metadata\":{},\"spec\":{\"csr\":\"C\"}}", 422, "needed"},
	    {"csr is a number", OP "mirrordclusteroperatorusercredentials",
		"{\"metadata\":{},\"spec\":{\"csr\":1,\"kind\":\"ci\"}}", 422,
		"needed"},
	    {"no JSON", OP "mirrordclusteroperatorusercredentials", "{", 400,
		"body"},
	    {"a list", OP "mirrordclusteroperatorusercredentials", "[]", 422,
		"needed"},
	    {"E4 with PEM", OP "mirrordoperators/operator/certificate",
		"-----BEGIN", 200, "\"PEM\""},
	    {"E4 with a JSON string",
		OP "mirrordoperators/operator/certificate", "\"-----BEGIN\"",
		200, "\"PEM\""},
	    {"E4 with half a string",
		OP "mirrordoperators/operator/certificate", "\"-----BEGIN", 400,
		"neither"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		front_answer_free(&last);
		front_ask(&f, FRONT_DEV, "POST", rows[i].path, NULL,
		    rows[i].body, &last);
		if (last.code != rows[i].code || !said(rows[i].want) ||
		    said("\"own\""))
			fail_msg("%s: %d %s", rows[i].name, last.code,
			    buf_cstr(&last.body));
	}
}

/* Asks for a certificate; the answer is the test's to give. */
static struct http_client *
ask_signature(uint32_t *request)
{
	struct http_client *c;
	struct rig_msg *m;

	f.own_answers = false;
	front_answer_free(&last);
	c = front_begin(&f, FRONT_DEV, "POST",
	    OP "mirrordoperators/operator/certificate", NULL, "x", &last);
	m = front_expect(&f, f.sec, IPC_SIGN_CSR);
	assert_non_null(strstr(m->text, "user=\"dev\""));
	*request = front_request(m);
	rig_msg_free(&m);
	return c;
}

static void
a_refused_signature_is_told(void **state)
{
	struct ipc_csr_signed a = {.code = 422, .error = "weak key"};
	struct http_client *c = ask_signature(&a.request);

	(void)state;
	rig_send(f.sec, IPC_CSR_SIGNED, 0, 0, 0, &a);
	front_until(&f, &last.done, "the refusal");
	assert_int_equal(last.code, 422);
	assert_true(said("weak key"));
	http_client_free(&c);
}

static void
an_answer_to_nobody_does_no_harm(void **state)
{
	struct ipc_csr_signed a = {0};
	struct http_client *c = ask_signature(&a.request);

	(void)state;
	http_client_free(&c);
	front_turns(&f, 100);
	rig_send(f.sec, IPC_CSR_SIGNED, 0, 0, 0, &a);
	front_turns(&f, 100);
	assert_false(f.sec->gone);
	f.own_answers = true;
	assert_int_equal(code_of(FRONT_DEV, "GET", "/version"), 200);
}

static void
a_dead_authority_is_told(void **state)
{
	uint32_t request;
	struct http_client *c = ask_signature(&request);

	(void)state;
	rig_detach(f.sec);
	front_until(&f, &last.done, "the answer");
	assert_int_equal(last.code, 503);
	assert_true(said("restarting"));
	http_client_free(&c);
	assert_int_equal(code_of(FRONT_DEV, "POST",
			     OP "mirrordoperators/operator/certificate"),
	    503);
}

/* ---- the controller's answers */

static void
a_dead_controller_is_told(void **state)
{
	struct http_client *c;
	struct rig_msg *m;

	(void)state;
	f.own_answers = false;
	front_answer_free(&last);
	c = front_begin(&f, FRONT_DEV, "GET", "/version", NULL, NULL, &last);
	m = front_expect(&f, f.own, IPC_API_REQUEST);
	rig_msg_free(&m);
	rig_detach(f.own);
	front_until(&f, &last.done, "the answer");
	assert_int_equal(last.code, 503);
	http_client_free(&c);
	assert_int_equal(code_of(FRONT_DEV, "GET", "/version"), 503);
	assert_true(said("not ready"));
}

/* A watch: pieces until the end; its watcher may go any time. */
static void
watches(void **state)
{
	struct ipc_api_reply a = {.code = 200, .more = 1};
	struct http_client *c;
	struct rig_msg *m;

	(void)state;
	f.own_answers = false;
	for (int leaves = 0; leaves < 2; leaves++) {
		front_answer_free(&last);
		c = front_begin(&f, FRONT_HUB, "GET", CHILD "?watch=true", NULL,
		    NULL, &last);
		m = front_expect(&f, f.own, IPC_API_REQUEST);
		a.request = front_request(m);
		rig_msg_free(&m);
		a.more = 1;
		a.body = (struct span){(const uint8_t *)"one,", 4};
		rig_send(f.own, IPC_API_REPLY, 0, 0, 0, &a);
		rig_send(f.own, IPC_API_REPLY, 0, 0, 0, &a);
		front_turns(&f, 100);
		assert_false(last.done);
		if (leaves) {
			http_client_free(&c);
			m = front_expect(&f, f.own, IPC_API_CANCEL);
			assert_int_equal(front_request(m), a.request);
			rig_msg_free(&m);
			continue;
		}
		a.more = 0;
		a.body = (struct span){(const uint8_t *)"two", 3};
		rig_send(f.own, IPC_API_REPLY, 0, 0, 0, &a);
		front_until(&f, &last.done, "the end");
		assert_string_equal(buf_cstr(&last.body), "one,one,two");
		http_client_free(&c);
	}
}

/* Who does not read his watch loses it; nothing grows without a bound. */
static void
a_watcher_that_does_not_read(void **state)
{
	static uint8_t block[1 << 20];
	struct ipc_api_reply a = {
	    .code = 200, .more = 1, .body = {block, sizeof(block)}};
	struct http_client *c;
	struct rig_msg *m;
	int sent = 0;

	(void)state;
	f.own_answers = false;
	front_answer_free(&last);
	c = front_begin(
	    &f, FRONT_HUB, "GET", CHILD "?watch=true", NULL, NULL, &last);
	m = front_expect(&f, f.own, IPC_API_REQUEST);
	a.request = front_request(m);
	rig_msg_free(&m);
	http_client_pause(c);
	while (rig_count(f.own, IPC_API_CANCEL) == 0) {
		assert_true(sent++ < 64);
		rig_send(f.own, IPC_API_REPLY, 0, 0, 0, &a);
		front_turns(&f, 50);
	}
	http_client_free(&c);
	front_turns(&f, 50);
	rig_send(f.own, IPC_API_REPLY, 0, 0, 0, &a); /* it was on its way */
	front_turns(&f, 50);
	assert_false(f.own->gone);
}

/* ---- the serving certificate */

static bool
serves(enum front_who who)
{
	struct http_client *c;
	struct front_answer out;
	bool ok;

	c = front_begin(&f, who, "GET", "/health", NULL, NULL, &out);
	front_until(&f, &out.done, "an answer or the lack of one");
	ok = out.code == 200;
	http_client_free(&c);
	front_answer_free(&out);
	return ok;
}

static void
reload_takes_a_new_certificate(void **state)
{
	struct fix_cert other;
	cJSON *config = cJSON_Duplicate(f.r.w.config, true);
	cJSON *tls = cJSON_GetObjectItem(config, "tls");
	struct buf out;
	struct ipc_reload m;

	(void)state;
	assert_true(serves(FRONT_DEV));
	fix_cert_make(&other, &(struct fix_cert_opts){.cn = "other",
				  .san = "DNS:elsewhere",
				  .issuer = &f.tls.ca,
				  .from_s = -60,
				  .to_s = 3600});
	cJSON_ReplaceItemInObject(
	    tls, "certPem", cJSON_CreateString(buf_cstr(&other.cert_pem)));
	for (int half = 1; half >= 0; half--) {
		/* a certificate without its key is refused, the old stays */
		if (!half)
			cJSON_ReplaceItemInObject(tls, "keyPem",
			    cJSON_CreateString(buf_cstr(&other.key_pem)));
		buf_init(&out, 0);
		json_print(config, &out);
		m.config = buf_span(&out);
		rig_send(f.sup, IPC_RELOAD, 0, 0, 0, &m);
		rig_settle(&f.r);
		assert_int_equal(serves(FRONT_DEV), half);
		buf_free(&out);
	}
	cJSON_Delete(config);
	fix_cert_free(&other);
}

static void
revoked_certificates_are_out(void **state)
{
	struct front_answer out;
	struct http_client *c;
	char extra[200], serial[64] = "";
	struct fe_conn *conn;
	struct rig_msg *m;

	(void)state;
	f.own_answers = false;
	c = front_begin(&f, FRONT_DEV, "GET", "/version", NULL, NULL, &out);
	m = front_expect(&f, f.own, IPC_API_REQUEST);
	rig_msg_free(&m);
	conn = LIST_ENTRY(
	    ((struct fe *)f.r.w.state)->conns.next, struct fe_conn, node);
	memcpy(serial, conn->proof.serial, sizeof(serial));
	assert_true(serial[0] != '\0');
	snprintf(extra, sizeof(extra), ",\"revoked\":[\"%s\"]", serial);
	front_trust(&f, extra);
	front_until(&f, &out.done, "the end of the connection");
	assert_int_equal(out.code, 0);
	http_client_free(&c);
	front_answer_free(&out);
	f.own_answers = true;
	assert_int_equal(code_of(FRONT_DEV, "GET", "/version"), 401);
	assert_true(said("revoked"));
	assert_int_equal(code_of(FRONT_ROOT, "GET", "/version"), 200);
}

/* The serving key is made in the worker; its public half is signed. */
static void
serves_with_a_signed_key(void **state)
{
	struct ipc_server_signed a = {.error = "no CA"};
	struct fix_cert cert;
	struct rig_msg *m;
	const unsigned char *p;
	EVP_PKEY *key;

	(void)state;
	front_deinit(&f);
	front_init(&f, false);
	m = front_expect(&f, f.sec, IPC_SIGN_SERVER);
	assert_false(serves(FRONT_DEV)); /* refused, not left hanging */
	p = buf_data(&m->data);
	key = d2i_PUBKEY(NULL, &p, (long)m->data.len);
	assert_non_null(key);
	a.request = front_request(m);
	rig_msg_free(&m);
	fix_cert_make(&cert, &(struct fix_cert_opts){.cn = "hub",
				 .san = "DNS:localhost",
				 .issuer = &f.tls.ca,
				 .key = key,
				 .from_s = -60,
				 .to_s = 3600});
	a.error = "";
	a.chain_pem = buf_span(&cert.cert_pem);
	rig_send(f.sec, IPC_SERVER_SIGNED, 0, 0, 0, &a);
	rig_settle(&f.r);
	assert_true(serves(FRONT_DEV));
	/* again, unasked or nonsense: what serves goes on */
	a.chain_pem = (struct span){(const uint8_t *)"x", 1};
	rig_send(f.sec, IPC_SERVER_SIGNED, 0, 0, 0, &a);
	rig_settle(&f.r);
	assert_true(serves(FRONT_DEV));
	/* a secrets worker that comes back is asked again */
	rig_detach(f.sec);
	rig_settle(&f.r);
	f.sec = rig_attach(&f.r, IPC_SEC, 0, "");
	m = front_expect(&f, f.sec, IPC_SIGN_SERVER);
	rig_msg_free(&m);
	fix_cert_free(&cert);
	EVP_PKEY_free(key);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(every_row_for_everybody),
	    T(refusals_are_statuses),
	    T(what_goes_to_the_controller),
	    T(bearer_tokens),
	    T(credentials_are_signed),
	    T(a_refused_signature_is_told),
	    T(an_answer_to_nobody_does_no_harm),
	    T(a_dead_authority_is_told),
	    T(a_dead_controller_is_told),
	    T(watches),
	    T(a_watcher_that_does_not_read),
	    T(reload_takes_a_new_certificate),
	    T(revoked_certificates_are_out),
	    T(serves_with_a_signed_key),
	};
	int rc = cmocka_run_group_tests_name("api", tests, NULL, NULL);

	front_answer_free(&last);
	return rc;
}
