/*
 * The program's environment, the certificate request, files and names: what
 * the steps of exec ask a target for, against an operator the test plays.
 */
#include "config.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/credential.h"
#include "client/dns.h"
#include "client/env.h"
#include "client/files.h"
#include "client/remote_err.h"
#include "lib/str.h"
#include "tests/unit/client/op_fix.h"

struct world {
	struct ev_loop *loop;
	struct op op;
	struct cli_api api;
	struct cli_session *s;
	struct cli_env env;
	bool up, done;
	struct err e;
	struct pm_ip ip;
	char local[96];
};

static void
on_up(void *arg, bool again)
{
	(void)again;
	((struct world *)arg)->up = true;
}

static void
on_text(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static void
on_err(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
}

static void
on_message(void *arg, const struct pm_DaemonMessage *m)
{
	(void)arg;
	(void)m;
}

static const struct cli_session_ops ops = {.on_up = on_up,
    .on_lost = on_text,
    .on_end = on_err,
    .on_message = on_message};

static int
setup(void **state)
{
	const struct cli_session_opts o = {.namespace = "default",
	    .target = "deployment.shop",
	    .query = "connect=true",
	    .session_id = 1,
	    .reconnect = true};
	struct world *w = calloc(1, sizeof(*w));
	struct err e;

	cli_set_quiet(true);
	w->loop = ev_loop_new();
	op_start(&w->op, w->loop);
	op_api(&w->op, &w->api);
	w->s = cli_session_new(&w->api, &o, &ops, w, &e);
	fix_run(w->loop, &w->up, 5000);
	str_fmt(w->local, sizeof(w->local), "%s/copy", w->op.dir);
	w->op.arg = w;
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	cli_session_free(&w->s);
	cli_env_free(&w->env);
	cli_api_free(&w->api);
	op_stop(&w->op);
	ev_loop_free(&w->loop);
	free(w);
	return 0;
}

static void
done(void *arg, const struct err *e)
{
	struct world *w = arg;

	w->done = true;
	w->e = (struct err){0};
	if (e != NULL)
		w->e = *e;
}

static const char *
value(const struct cli_env *env, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->list[i], name, n) == 0 &&
		    env->list[i][n] == '=')
			return env->list[i] + n + 1;
	}
	return NULL;
}

/* ---- environment */

static void
test_local_names(void **state)
{
	static const char *const local[] = {"PATH", "HOME", "PWD", "SHELL",
	    "TERM", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_", "TMPDIR",
	    "DISPLAY", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "HOSTNAME",
	    "LD_PRELOAD", "KUBECONFIG", "MIRRORD_X", "_"};
	static const char *const remote[] = {"PATHS", "MYPATH", "CLUSTER",
	    "LANGX", "HOME_DIR", "path", "LCALL", "SSH", "", "A_", "DB_URL",
	    "KUBERNETES_SERVICE_HOST"};

	(void)state;
	for (size_t i = 0; i < N_OF(local); i++) {
		if (!cli_env_local(local[i]))
			fail_msg("%s", local[i]);
	}
	for (size_t i = 0; i < N_OF(remote); i++) {
		if (cli_env_local(remote[i]))
			fail_msg("%s", remote[i]);
	}
}

static void
test_set(void **state)
{
	static const struct {
		struct pm_str name, value;
		int rc;
	} rows[] = {
	    {{"A", 1}, {"1", 1}, 0},
	    {{"AB", 2}, {"", 0}, 0},
	    {{"A", 1}, {"2=3", 3}, 0},
	    {{"", 0}, {"x", 1}, -ERR_INVALID},
	    {{"A=B", 3}, {"x", 1}, -ERR_INVALID},
	    {{"A\0B", 3}, {"x", 1}, -ERR_INVALID},
	    {{"C", 1}, {"x\0y", 3}, -ERR_INVALID},
	};
	struct cli_env env = {0};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(
		    cli_env_set(&env, rows[i].name, rows[i].value), rows[i].rc);
	assert_int_equal(env.n, 2);
	assert_string_equal(value(&env, "A"), "2=3");
	assert_string_equal(value(&env, "AB"), "");
	assert_null(env.list[2]);
	cli_env_free(&env);
}

static void
answer_env(struct op *op, const struct pm_ClientMessage *m)
{
	static struct pm_pair pairs[] = {
	    {{"CLUSTER", 7}, {"east", 4}},
	    {{"PATH", 4}, {"/remote", 7}},
	    {{"HOME", 4}, {"/remote", 7}},
	    {{"SECRET", 6}, {"s", 1}},
	    {{"ODD\0NAME", 8}, {"x", 1}},
	    {{"ODD", 3}, {"x\0y", 3}},
	};
	struct pm_DaemonMessage r = {
	    .tag = PM_DaemonMessage_GetEnvVarsResponse};

	if (m->tag != PM_ClientMessage_GetEnvVarsRequest)
		return;
	r.u.GetEnvVarsResponse.u.Ok = (struct pm_vec_pair){N_OF(pairs), pairs};
	op_send(op, &r);
}

static void
test_fetch_env(void **state)
{
	struct world *w = *state;
	struct err e;

	setenv("PATH", "/local", 1);
	setenv("CLUSTER", "mine", 1);
	assert_int_equal(cli_env_init(&w->env, &e), 0);
	w->op.on_client = answer_env;
	w->env.include[w->env.n_include++] = "HOME";
	w->env.include[w->env.n_include++] = "*";
	w->env.exclude[w->env.n_exclude++] = "SEC*";
	assert_int_equal(cli_env_fetch(&w->env, w->s, done, w, &e), 0);
	fix_run(w->loop, &w->done, 5000);
	assert_int_equal(w->e.code, ERR_OK);
	assert_string_equal(value(&w->env, "CLUSTER"), "east");
	assert_string_equal(value(&w->env, "HOME"), "/remote");
	assert_string_equal(value(&w->env, "PATH"), "/local");
	assert_null(value(&w->env, "SECRET"));
	assert_null(value(&w->env, "ODD"));
	assert_int_equal(op_count(&w->op, "SEC*"), 1);
}

static void
answer_refused(struct op *op, const struct pm_ClientMessage *m)
{
	struct pm_DaemonMessage env = {
	    .tag = PM_DaemonMessage_GetEnvVarsResponse};
	struct pm_DaemonMessage dns = {
	    .tag = PM_DaemonMessage_GetAddrInfoResponse};
	struct pm_ResponseError why = {.tag = PM_ResponseError_SystemFailure,
	    .u.SystemFailure = {.message = {"no such luck", 12}}};

	if (m->tag == PM_ClientMessage_ReadyForLogs)
		return;
	env.u.GetEnvVarsResponse.tag = dns.u.GetAddrInfoResponse.tag = PM_ERR;
	env.u.GetEnvVarsResponse.u.Err = why;
	dns.u.GetAddrInfoResponse.u.Err = why;
	op_send(op, m->tag == PM_ClientMessage_GetEnvVarsRequest ? &env : &dns);
}

static void
test_fetch_env_fails(void **state)
{
	struct world *w = *state;
	struct err e;

	w->op.on_client = answer_refused;
	assert_int_equal(cli_env_fetch(&w->env, w->s, done, w, &e), 0);
	fix_run(w->loop, &w->done, 5000);
	assert_non_null(strstr(w->e.text, "no such luck"));
	assert_int_not_equal(w->e.code, ERR_CLOSED);
	w->op.on_client = NULL;
	w->done = false;
	assert_int_equal(cli_env_fetch(&w->env, w->s, done, w, &e), 0);
	op_drop(&w->op);
	fix_run(w->loop, &w->done, 5000);
	assert_int_equal(w->e.code, ERR_CLOSED);
	assert_int_equal(
	    cli_env_fetch(&w->env, w->s, done, w, &e), -ERR_CLOSED);
}

/* ---- names */

static void
resolved(void *arg, const struct pm_ip *ip, const struct err *e)
{
	struct world *w = arg;

	done(arg, e);
	if (ip != NULL)
		w->ip = *ip;
}

static void
test_ip_text(void **state)
{
	static const char *const good[] = {
	    "1.2.3.4", "0.0.0.0", "::", "::1", "fe80::1"};
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "1.2.3.256",
	    "a", ":", ":::", "[::1]", "1.2.3.4:80", "::1%lo"};
	struct pm_ip ip;
	char text[64];

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		assert_true(cli_ip_parse(good[i], &ip));
		cli_ip_print(&ip, text, sizeof(text));
		assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(cli_ip_parse(bad[i], &ip));
	cli_ip_print(&ip, text, 2);
	assert_string_equal(text, "");
}

static void
test_lookup(void **state)
{
	struct world *w = *state;
	char name[300];
	struct err e;

	assert_int_equal(cli_dns_lookup(w->s, "10.0.0.1", resolved, w, &e), 0);
	assert_true(w->done);
	assert_int_equal(op_count(&w->op, "GetAddrInfo"), 0);
	w->op.on_client = answer_refused;
	w->done = false;
	assert_int_equal(cli_dns_lookup(w->s, "db", resolved, w, &e), 0);
	fix_run(w->loop, &w->done, 5000);
	assert_non_null(strstr(w->e.text, "no such luck"));
	assert_int_equal(op_count(&w->op, "GetAddrInfoRequestV2"), 1);
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	assert_int_equal(
	    cli_dns_lookup(w->s, name, resolved, w, &e), -ERR_INVALID);
}

/* ---- files */

static struct {
	size_t pieces;
	bool refuse_open, refuse_read, wrong;
} file;

static void
answer_file(struct op *op, const struct pm_ClientMessage *m)
{
	struct pm_DaemonMessage r = {.tag = PM_DaemonMessage_File};
	const struct pm_ResponseError why = {.tag = PM_ResponseError_RemoteIO,
	    .u.RemoteIO = {.raw_os_error = {true, 2}}};

	if (m->tag != PM_ClientMessage_FileRequest ||
	    m->u.FileRequest.tag == PM_FileRequest_Close)
		return;
	if (m->u.FileRequest.tag == PM_FileRequest_Open) {
		r.u.File.tag = PM_FileResponse_Open;
		r.u.File.u.Open.u.Ok.fd = 12;
		if (file.refuse_open) {
			r.u.File.u.Open.tag = PM_ERR;
			r.u.File.u.Open.u.Err = why;
		}
	} else {
		r.u.File.tag =
		    file.wrong ? PM_FileResponse_Open : PM_FileResponse_Read;
		if (file.refuse_read) {
			r.u.File.u.Read.tag = PM_ERR;
			r.u.File.u.Read.u.Err = why;
		} else if (!file.wrong && file.pieces > 0) {
			file.pieces--;
			r.u.File.u.Read.u.Ok.bytes =
			    (struct span){(const uint8_t *)"piece", 5};
		}
	}
	op_send(op, &r);
}

static void
fetch(struct world *w)
{
	struct err e;

	w->op.on_client = answer_file;
	w->done = false;
	assert_int_equal(
	    cli_file_fetch(w->s, "/etc/shop", w->local, done, w, &e), 0);
	fix_run(w->loop, &w->done, 5000);
}

/* Nothing but the file itself is left in the directory. */
static void
assert_files(struct world *w, const char *want)
{
	char command[160];

	snprintf(command, sizeof(command),
	    "[ \"$(ls %s | grep copy | tr '\\n' ' ')\" = \"%s\" ]", w->op.dir,
	    want);
	setenv("PATH", "/usr/bin:/bin", 1);
	assert_int_equal(system(command), 0);
}

static void
test_file(void **state)
{
	struct world *w = *state;
	struct stat st;
	char got[32] = {0};
	FILE *f;

	memset(&file, 0, sizeof(file));
	file.pieces = 3;
	fetch(w);
	assert_int_equal(w->e.code, ERR_OK);
	assert_int_equal(stat(w->local, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	f = fopen(w->local, "r");
	assert_int_equal(fread(got, 1, sizeof(got), f), 15);
	fclose(f);
	assert_string_equal(got, "piecepiecepiece");
	op_wait(&w->op, "\"Close\": {\"fd\": 12}");
	fetch(w); /* an empty one, over the other */
	assert_int_equal(stat(w->local, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_files(w, "copy ");
}

static void
test_file_fails(void **state)
{
	struct world *w = *state;
	struct err e;

	memset(&file, 0, sizeof(file));
	file.refuse_open = true;
	fetch(w);
	assert_int_equal(w->e.code, ERR_NOT_FOUND);
	assert_non_null(strstr(w->e.text, "/etc/shop"));
	assert_files(w, "");
	file.refuse_open = false;
	file.refuse_read = true;
	fetch(w);
	assert_int_equal(w->e.code, ERR_NOT_FOUND);
	assert_files(w, "");
	op_wait(&w->op, "\"Close\"");
	file.refuse_read = false;
	file.wrong = true;
	fetch(w);
	assert_int_equal(w->e.code, ERR_INVALID);
	assert_int_equal(cli_file_fetch(w->s, "/etc/shop",
			     "/no/such/directory/x", done, w, &e),
	    -ERR_SYS);
	w->op.on_client = NULL;
	w->done = false;
	assert_int_equal(
	    cli_file_fetch(w->s, "/etc/shop", w->local, done, w, &e), 0);
	op_drop(&w->op);
	fix_run(w->loop, &w->done, 5000);
	assert_int_equal(w->e.code, ERR_CLOSED);
	assert_files(w, "");
}

/* ---- what a target's refusal says */

static void
test_remote_errors(void **state)
{
	static const struct {
		struct pm_ResponseError why;
		enum err_code code;
		const char *says;
	} rows[] = {
	    {{.tag = PM_ResponseError_RemoteIO,
		 .u.RemoteIO.raw_os_error = {true, 13}},
		ERR_UNSUPPORTED, "it: Permission denied"},
	    {{.tag = PM_ResponseError_RemoteIO,
		 .u.RemoteIO.raw_os_error = {true, -1}},
		ERR_NOT_FOUND, "there is none"},
	    {{.tag = PM_ResponseError_RemoteIO,
		 .u.RemoteIO.kind.tag = PM_ErrorKindInternal_TimedOut},
		ERR_UNSUPPORTED, "timed out"},
	    {{.tag = PM_ResponseError_RemoteIO,
		 .u.RemoteIO.kind.tag = PM_ErrorKindInternal_Unknown},
		ERR_UNSUPPORTED, "an input or output error"},
	    {{.tag = PM_ResponseError_DnsLookup}, ERR_NOT_FOUND, "no address"},
	    {{.tag = PM_ResponseError_Forbidden,
		 .u.Forbidden.policy_name = {true, {"p1", 2}}},
		ERR_DENIED, "policy p1"},
	    {{.tag = PM_ResponseError_Forbidden}, ERR_DENIED, "a policy"},
	    {{.tag = PM_ResponseError_NotImplemented}, ERR_UNSUPPORTED,
		"can't do that"},
	    {{.tag = PM_ResponseError_OpenLocal}, ERR_UNSUPPORTED,
		"error kind"},
	    {{.tag = PM_ResponseError_IdsExhausted}, ERR_UNSUPPORTED,
		"error kind 0"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e;

		assert_int_equal(cli_remote_error(&rows[i].why, "it", &e),
		    -(int)rows[i].code);
		if (strstr(e.text, rows[i].says) == NULL)
			fail_msg("%s", e.text);
	}
}

/* ---- the certificate request */

/* The request of a capture of the stock CLI (host name "vm"). */
static const char captured[] =
    "MIGQMEICAQAwDTELMAkGA1UEAwwCdm0wLDAHBgMrZW4FAAMhAPbkQuiNIyHPxM1U\r\n"
    "BSfOxtG7ChB2w0JZDYx9NiMzLbBHoAAwBwYDK2VwBQADQQBmUIwKzvxr9GiD7cXX\r\n"
    "dn8XO35dBJJ3+61pamIlZtMl/CVE1u+DH4fL9NB6GspmiKSsimGR8n/x/8TwNc97\r\n"
    "PbgN\r\n";

enum {
	CSR_BYTES = 147,
	KEY_AT = 37,
	SIG_AT = 83,
	CSR_MAX = 1024,
	INFO_AT = 3,
	INFO_BYTES = 68
};

/* Its DER in out; returns how long it is. */
static size_t
csr_der(const char *pem, uint8_t out[CSR_MAX])
{
	const char *p = strstr(pem, "-----\r\n");
	const char *end = strstr(pem, "-----END");
	struct buf der;
	size_t n;

	p = p == NULL || p > end ? pem : p + 7;
	buf_init(&der, 0);
	assert_int_equal(str_base64_decode(&der, p,
			     end == NULL ? strlen(p) : (size_t)(end - p)),
	    0);
	n = der.len;
	assert_true(n > 4 && n <= CSR_MAX);
	memcpy(out, buf_data(&der), n);
	buf_free(&der);
	return n;
}

/* All but key and signature are the stock CLI's bytes; the signature is good
 * over exactly the info. */
static void
test_csr(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	uint8_t pub[32], der[CSR_MAX], want[CSR_MAX];
	size_t n = sizeof(pub);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct buf pem;
	struct err e;

	(void)state;
	buf_init(&pem, 0);
	assert_int_equal(cli_csr_make("vm", key, &pem, &e), 0);
	assert_true(str_starts(
	    buf_cstr(&pem), "-----BEGIN CERTIFICATE REQUEST-----\r\n"));
	assert_true(str_ends(
	    buf_cstr(&pem), "\r\n-----END CERTIFICATE REQUEST-----\r\n"));
	assert_int_equal(csr_der(buf_cstr(&pem), der), CSR_BYTES);
	assert_int_equal(csr_der(captured, want), CSR_BYTES);
	EVP_PKEY_get_raw_public_key(key, pub, &n);
	assert_memory_equal(der + KEY_AT, pub, 32);
	assert_int_equal(EVP_DigestVerifyInit(md, NULL, NULL, NULL, key), 1);
	assert_int_equal(
	    EVP_DigestVerify(md, der + SIG_AT, 64, der + INFO_AT, INFO_BYTES),
	    1);
	memcpy(der + KEY_AT, want + KEY_AT, 32);
	assert_memory_equal(der, want, SIG_AT);
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
	buf_free(&pem);
}

/* How long the outermost SEQUENCE says it is. */
static size_t
der_length(const uint8_t *der)
{
	if (der[1] < 0x80)
		return 2 + der[1];
	if (der[1] == 0x81)
		return 3 + der[2];
	return 4 + (size_t)der[2] * 256 + der[3];
}

/* Long names need longer lengths; another kind of key is refused. */
static void
test_csr_names(void **state)
{
	static const size_t lengths[] = {0, 1, 63, 100, 127, 128, 200, 300};
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	EVP_PKEY *ec = EVP_EC_gen("P-256");
	uint8_t der[CSR_MAX];
	char name[301];
	struct buf pem;
	struct err e;
	size_t n;

	(void)state;
	for (size_t i = 0; i < N_OF(lengths); i++) {
		memset(name, 'n', lengths[i]);
		name[lengths[i]] = '\0';
		buf_init(&pem, 0);
		assert_int_equal(cli_csr_make(name, key, &pem, &e), 0);
		n = csr_der(buf_cstr(&pem), der);
		assert_int_equal(der_length(der), n);
		buf_free(&pem);
	}
	buf_init(&pem, 0);
	assert_true(cli_csr_make("vm", ec, &pem, &e) < 0);
	buf_free(&pem);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ec);
}

/* ---- where the certificate is kept */

static void
stored(struct world *w, char *path, size_t cap)
{
	char command[160];
	FILE *p;

	setenv("PATH", "/usr/bin:/bin", 1);
	snprintf(command, sizeof(command), "ls %s/.tributary/credentials/*.pem",
	    w->op.dir);
	p = popen(command, "r");
	assert_non_null(fgets(path, (int)cap, p));
	path[strcspn(path, "\n")] = '\0';
	pclose(p);
}

/* Whatever stands in the file, a certificate comes of it. */
static void
test_store(void **state)
{
	static const char *const texts[] = {"", "garbage", "-----BEGIN",
	    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"};
	struct world *w = *state;
	char path[160];
	struct stat st;
	struct err e;

	assert_int_equal(cli_api_operator(&w->api, &e), 0);
	assert_int_equal(cli_credential_get(&w->api, &e), 0);
	stored(w, path, sizeof(path));
	for (size_t i = 0; i < N_OF(texts); i++) {
		FILE *f = fopen(path, "w");

		fputs(texts[i], f);
		fclose(f);
		chmod(path, 0644);
		if (cli_credential_get(&w->api, &e) < 0)
			fail_msg("%s", e.text);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_true(st.st_size > 100);
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_true(cli_credential_get(&w->api, &e) < 0);
	setenv("HOME", "/no/such/home", 1);
	assert_true(cli_credential_get(&w->api, &e) < 0);
	unsetenv("HOME");
	assert_true(cli_credential_get(&w->api, &e) < 0);
	assert_non_null(strstr(e.text, "HOME"));
}

static void
test_bad_certificates(void **state)
{
	static const char path[] =
	    "/apis/operator.metalbear.co/v1/mirrordclusteroperatorusercred";
	static const struct op_canned rows[][2] = {
	    {{"POST", path, 201, "{}"}, {0}},
	    {{"POST", path, 201, "{\"status\":{}}"}, {0}},
	    {{"POST", path, 201, "{\"status\":{\"certificate\":7}}"}, {0}},
	    {{"POST", path, 201, "{\"status\":{\"certificate\":\"x\"}}"}, {0}},
	    {{"POST", path, 403, "{\"code\":403,\"message\":\"no\"}"}, {0}},
	};
	struct world *w = *state;
	struct err e;

	assert_int_equal(cli_api_operator(&w->api, &e), 0);
	for (size_t i = 0; i < N_OF(rows); i++) {
		w->op.canned = rows[i];
		assert_true(cli_credential_get(&w->api, &e) < 0);
		assert_null(w->api.client_der);
		assert_non_null(strstr(e.text, "client certificate"));
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_local_names),
	    cmocka_unit_test(test_set), T(test_fetch_env),
	    T(test_fetch_env_fails), cmocka_unit_test(test_ip_text),
	    T(test_lookup), T(test_file), T(test_file_fails),
	    cmocka_unit_test(test_remote_errors), cmocka_unit_test(test_csr),
	    cmocka_unit_test(test_csr_names), T(test_store),
	    T(test_bad_certificates)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
