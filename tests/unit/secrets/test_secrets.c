/* The secrets worker between frontends, cluster workers and an administrator.
 */
#include "config.h"

#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/str.h"
#include "protocol/x509_client.h"
#include "tests/unit/secrets/sec_fix.h"
#include "tests/unit/workers/rig.h"
#include "workers/secrets/secrets.h"

struct st {
	struct sec_fix fix;
	struct rig rig;
};

static void
st_start(struct st *t)
{
	char config[1024];

	snprintf(config, sizeof(config),
	    "{\"stateDir\": \"%s\", \"controlGroup\": \"root\", "
	    "\"advertise\": \"https://hub.lab:8443\", \"clusters\": ["
	    "{\"name\": \"east\", \"authType\": \"mtls\", \"caData\": \"\"},"
	    "{\"name\": \"west\", \"authType\": \"bearerToken\", \"caData\": "
	    "\"CA\"}, {\"name\": \"eks\", \"authType\": \"eks\"}]}",
	    t->fix.dir);
	rig_init(&t->rig, &sec_ops, config);
}

static void
st_init(struct st *t)
{
	memset(t, 0, sizeof(*t));
	sec_fix_init(&t->fix);
	st_start(t);
}

static void
st_deinit(struct st *t)
{
	rig_deinit(&t->rig);
	sec_fix_deinit(&t->fix);
}

/* ---- frontends ---- */

static cJSON *
trust_of(struct rig_peer *fe)
{
	struct rig_msg *m = rig_expect(fe, IPC_TRUST);
	cJSON *trust = json_parse(buf_data(&m->data), m->data.len, NULL);

	assert_non_null(trust);
	rig_msg_free(&m);
	return trust;
}

static void
test_trust_on_attach(void **state)
{
	struct st t;
	cJSON *trust;

	(void)state;
	st_init(&t);
	for (uint32_t i = 0; i < 2; i++) {
		struct rig_peer *fe = rig_attach(&t.rig, IPC_FE, i, "");

		trust = trust_of(fe);
		assert_true(str_starts(
		    json_str(trust, "loginCa", ""), "-----BEGIN CERT"));
		assert_true(str_starts(
		    json_str(trust, "credentialCa", ""), "-----BEGIN CERT"));
		assert_true(cJSON_IsArray(json_at(trust, "revoked")));
		assert_true(cJSON_IsArray(json_at(trust, "tokens")));
		cJSON_Delete(trust);
	}
	st_deinit(&t);
}

static void
test_sign_server(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct ipc_sign_server ask = {.request = 7};
	struct rig_peer *fe;
	struct rig_msg *m;
	struct buf spki;
	struct st t;
	X509 *x;

	(void)state;
	st_init(&t);
	fe = rig_attach(&t.rig, IPC_FE, 0, "");
	buf_init(&spki, 0);
	sec_fix_spki(key, &spki);
	ask.spki = buf_span(&spki);
	rig_send(fe, IPC_SIGN_SERVER, 0, 0, 0, &ask);
	m = rig_expect(fe, IPC_SERVER_SIGNED);
	assert_non_null(strstr(m->text, "request=7"));
	x = sec_fix_x509(buf_span(&m->data));
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), key), 1);
	assert_int_equal(X509_check_host(x, "hub.lab", 0, 0, NULL), 1);
	X509_free(x);
	rig_msg_free(&m);
	ask.spki.n--; /* broken: told, and the peer lives on */
	rig_send(fe, IPC_SIGN_SERVER, 0, 0, 0, &ask);
	m = rig_expect(fe, IPC_SERVER_SIGNED);
	assert_int_equal(m->data.len, 0);
	assert_non_null(strstr(m->text, "public key"));
	rig_msg_free(&m);
	buf_free(&spki);
	EVP_PKEY_free(key);
	st_deinit(&t);
}

/* *pem_r (owned) is the certificate, or NULL; the code otherwise. */
static int
sign_csr(struct rig_peer *fe, const char *file, const char *kind,
    const char *user, char **pem_r)
{
	char *csr = sec_fix_data(file);
	struct ipc_sign_csr ask = {.request = 1,
	    .csr_pem = {(const uint8_t *)csr, strlen(csr)},
	    .kind = kind,
	    .user = user};
	struct rig_msg *m;
	const char *code;
	int n;

	rig_send(fe, IPC_SIGN_CSR, 0, 0, 0, &ask);
	m = rig_expect(fe, IPC_CSR_SIGNED);
	code = strstr(m->text, "code=");
	assert_non_null(code);
	n = atoi(code + 5);
	*pem_r = m->data.len > 0
		     ? strndup((char *)buf_data(&m->data), m->data.len)
		     : NULL;
	rig_msg_free(&m);
	free(csr);
	return n;
}

static void
test_sign_csr(void **state)
{
	static const struct {
		const char *file, *kind, *user;
		int code;
	} rows[] = {
	    {"regular.csr", "regular", "ada", 200},
	    {"ci.csr", "ci", "ada", 200},
	    {"ci.csr", "", "ada", 422},
	    {"ci.csr", "root", "ada", 422},
	    {"ci.csr", "regular", "", 403},
	    {"foreign.b64", "regular", "ada", 422},
	};
	struct rig_peer *fe;
	struct st t;

	(void)state;
	st_init(&t);
	fe = rig_attach(&t.rig, IPC_FE, 0, "");
	for (size_t i = 0; i < N_OF(rows); i++) {
		char *pem;

		assert_int_equal(sign_csr(fe, rows[i].file, rows[i].kind,
				     rows[i].user, &pem),
		    rows[i].code);
		assert_int_equal(pem != NULL, rows[i].code == 200);
		free(pem);
	}
	st_deinit(&t);
}

/* ---- the administrator ---- */

/* One request to its reply, over the state of the worker. */
static cJSON *
ask(struct st *t, const char *line)
{
	cJSON *reply = sec_control_do(t->rig.w.state, line, strlen(line));

	assert_non_null(reply);
	assert_true(cJSON_IsBool(json_at(reply, "ok")));
	return reply;
}

static bool
ask_ok(struct st *t, const char *line)
{
	cJSON *reply = ask(t, line);
	bool ok = json_bool(reply, "ok", false);

	cJSON_Delete(reply);
	return ok;
}

static cJSON *
ask_kubeconfig(struct st *t, const char *user)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct buf spki, line;
	cJSON *reply;

	buf_init(&spki, 0);
	buf_init(&line, 0);
	sec_fix_spki(key, &spki);
	assert_int_equal(buf_printf(&line,
			     "{\"do\":\"kubeconfig\",\"user\":\"%s\","
			     "\"groups\":[\"dev\"],\"spki\":\"",
			     user),
	    0);
	assert_int_equal(
	    str_base64_encode(&line, buf_data(&spki), spki.len, true), 0);
	assert_int_equal(buf_printf(&line, "\"}"), 0);
	reply = ask(t, buf_cstr(&line));
	assert_true(json_bool(reply, "ok", false));
	buf_free(&spki);
	buf_free(&line);
	EVP_PKEY_free(key);
	return reply;
}

static void
test_control_refuses(void **state)
{
	static const char *const rows[] = {
	    "",
	    "{",
	    "[]",
	    "1",
	    "null",
	    "{}",
	    "{\"do\": 1}",
	    "{\"do\": \"nothing\"}",
	    "{\"do\": \"kubeconfig\"}",
	    "{\"do\": \"kubeconfig\", \"user\": \"ada\"}",
	    "{\"do\": \"kubeconfig\", \"user\": \"ada\", \"spki\": \"AAAA\"}",
	    "{\"do\": \"kubeconfig\", \"user\": \"ada\", \"spki\": \"%%\"}",
	    "{\"do\": \"token\"}",
	    "{\"do\": \"token\", \"user\": \"\"}",
	    "{\"do\": \"token\", \"user\": \"a b\"}",
	    "{\"do\": \"token\", \"user\": \"a\\nb\"}",
	    "{\"do\": \"token\", \"user\": 7}",
	    "{\"do\": \"token\", \"user\": \"a\", \"groups\": \"b\"}",
	    "{\"do\": \"token\", \"user\": \"a\", \"groups\": [1]}",
	    "{\"do\": \"token\", \"user\": \"a\", \"groups\": [\"\"]}",
	    "{\"do\": \"token\", \"user\": \"a\", \"ttlSecs\": 0}",
	    "{\"do\": \"token\", \"user\": \"a\", \"ttlSecs\": \"1\"}",
	    "{\"do\": \"token\", \"user\": \"a\", \"ttlSecs\": 1e12}",
	    "{\"do\": \"token\", \"user\": \"0123456789012345678901234567890"
	    "1234567890123456789012345678901234\"}",
	    "{\"do\": \"revoke\"}",
	    "{\"do\": \"revoke\", \"user\": \"a\", \"serial\": \"b\"}",
	    "{\"do\": \"revoke\", \"user\": \"nobody\"}",
	    "{\"do\": \"revoke\", \"serial\": \"0\"}",
	    "{\"do\": \"revoke\", \"serial\": "
	    "\"00000000000000000000000000000000\"}",
	};
	struct st t;

	(void)state;
	st_init(&t);
	for (size_t i = 0; i < N_OF(rows); i++) {
		cJSON *reply = ask(&t, rows[i]);

		assert_false(json_bool(reply, "ok", true));
		assert_true(strlen(json_str(reply, "error", "")) > 3);
		cJSON_Delete(reply);
	}
	st_deinit(&t);
}

/* The token works by its hash, which alone is kept and told. */
static void
test_token(void **state)
{
	struct rig_peer *fe;
	char hex[65], *file;
	unsigned char hash[32];
	const char *token;
	cJSON *reply, *trust, *one;
	struct st t;
	struct buf text;
	struct err e;

	(void)state;
	st_init(&t);
	fe = rig_attach(&t.rig, IPC_FE, 0, "");
	cJSON_Delete(trust_of(fe));
	reply = ask(&t, "{\"do\":\"token\",\"user\":\"robot\",\"groups\":"
			"[\"ci\"],\"ttlSecs\":600}");
	token = json_str(reply, "token", "");
	assert_true(strlen(token) > 40);
	SHA256((const unsigned char *)token, strlen(token), hash);
	for (int i = 0; i < 32; i++)
		snprintf(hex + i * 2, 3, "%02x", hash[i]);
	trust = trust_of(fe);
	one = cJSON_GetArrayItem(json_at(trust, "tokens"), 0);
	assert_string_equal(json_str(one, "sha256", ""), hex);
	assert_string_equal(json_str(one, "user", ""), "robot");
	assert_true(json_int(one, "expires", 0, INT64_C(1) << 40, 0) >
		    clock_wall_s() + 500);
	buf_init(&text, 0);
	assert_int_equal(
	    sec_file_read(t.fix.keys_fd, "state.json", 65536, &text, &e), 0);
	file = strdup(buf_cstr(&text));
	assert_non_null(strstr(file, hex));
	assert_null(strstr(file, token));
	free(file);
	buf_free(&text);
	cJSON_Delete(reply);
	cJSON_Delete(trust);
	assert_true(ask_ok(&t, "{\"do\":\"revoke\",\"user\":\"robot\"}"));
	trust = trust_of(fe);
	assert_int_equal(cJSON_GetArraySize(json_at(trust, "tokens")), 0);
	cJSON_Delete(trust);
	st_deinit(&t);
}

/* By the id that the list shows; a piece of a user's name is not enough. */
static void
test_token_by_id(void **state)
{
	char line[128];
	cJSON *reply;
	struct st t;

	(void)state;
	st_init(&t);
	cJSON_Delete(ask(&t, "{\"do\":\"token\",\"user\":\"robot\"}"));
	cJSON_Delete(ask(&t, "{\"do\":\"token\",\"user\":\"robot2\"}"));
	assert_false(ask_ok(&t, "{\"do\":\"revoke\",\"user\":\"rob\"}"));
	reply = ask(&t, "{\"do\":\"tokens\"}");
	assert_int_equal(cJSON_GetArraySize(json_at(reply, "tokens")), 2);
	snprintf(line, sizeof(line), "{\"do\":\"revoke\",\"serial\":\"%s\"}",
	    json_str(
		cJSON_GetArrayItem(json_at(reply, "tokens"), 0), "id", ""));
	cJSON_Delete(reply);
	assert_true(ask_ok(&t, line));
	assert_false(ask_ok(&t, line));
	assert_false(ask_ok(&t, "{\"do\":\"revoke\",\"user\":\"robot\"}"));
	assert_true(ask_ok(&t, "{\"do\":\"revoke\",\"user\":\"robot2\"}"));
	st_deinit(&t);
}

/* What would make TRUST too large is refused: revocations must get through. */
static void
test_tokens_are_bounded(void **state)
{
	struct buf line;
	struct st t;
	int n = 0;

	(void)state;
	st_init(&t);
	buf_init(&line, 0);
	assert_int_equal(
	    buf_printf(&line, "{\"do\":\"token\",\"user\":\"robot\","
			      "\"groups\":[\"first\""),
	    0);
	for (int i = 1; i < 32; i++)
		assert_int_equal(buf_printf(&line, ",\"%060d\"", i), 0);
	assert_int_equal(buf_printf(&line, "]}"), 0);
	while (n < 2000 && ask_ok(&t, buf_cstr(&line)))
		n++;
	assert_in_range(n, 100, 1024);
	assert_int_equal(
	    rig_count(rig_attach(&t.rig, IPC_FE, 0, ""), IPC_TRUST), 0);
	buf_free(&line);
	st_deinit(&t);
}

static bool
is_revoked(const cJSON *trust, const char *id)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, json_at(trust, "revoked"))
	{
		if (strcmp(v->valuestring, id) == 0)
			return true;
	}
	return false;
}

/* By user: login certificates, keys of client certificates and tokens. It is
 * told at once, and still known after a restart. */
static void
test_revoke_user(void **state)
{
	char *pem, *again, serial[64];
	struct rig_peer *fe;
	cJSON *reply, *trust;
	struct st t;

	(void)state;
	st_init(&t);
	fe = rig_attach(&t.rig, IPC_FE, 0, "");
	cJSON_Delete(trust_of(fe));
	reply = ask_kubeconfig(&t, "ada");
	snprintf(serial, sizeof(serial), "%s", json_str(reply, "serial", ""));
	cJSON_Delete(reply);
	cJSON_Delete(ask_kubeconfig(&t, "bob"));
	assert_int_equal(sign_csr(fe, "ci.csr", "regular", "ada", &pem), 200);
	reply = ask(&t, "{\"do\":\"revoke\",\"user\":\"ada\"}");
	assert_int_equal(json_int(reply, "revoked", 0, 100, 0), 2);
	cJSON_Delete(reply);
	for (int round = 0; round < 2; round++) {
		trust = trust_of(fe);
		assert_true(is_revoked(trust, serial));
		assert_true(is_revoked(
		    trust, "e26++9rcJuTKN4PbzO+z5W8jx+5r7y+9goRYWgRdukk"));
		assert_int_equal(
		    cJSON_GetArraySize(json_at(trust, "revoked")), 3);
		cJSON_Delete(trust);
		/* the revoked key gets no new certificate either */
		assert_int_equal(
		    sign_csr(fe, "ci.csr", "regular", "ada", &again), 403);
		assert_null(again);
		if (round == 1)
			break;
		rig_deinit(&t.rig);
		st_start(&t);
		fe = rig_attach(&t.rig, IPC_FE, 0, "");
	}
	assert_false(ask_ok(&t, "{\"do\":\"revoke\",\"user\":\"ada\"}"));
	assert_true(ask_ok(&t, "{\"do\":\"revoke\",\"user\":\"bob\"}"));
	free(pem);
	st_deinit(&t);
}

static void
test_revoke_one(void **state)
{
	char line[256], serial[64];
	struct rig_peer *fe;
	cJSON *reply, *trust, *list;
	struct st t;

	(void)state;
	st_init(&t);
	fe = rig_attach(&t.rig, IPC_FE, 0, "");
	cJSON_Delete(trust_of(fe));
	reply = ask_kubeconfig(&t, "ada");
	snprintf(serial, sizeof(serial), "%s", json_str(reply, "serial", ""));
	cJSON_Delete(reply);
	cJSON_Delete(ask_kubeconfig(&t, "ada"));
	snprintf(line, sizeof(line), "{\"do\":\"revoke\",\"serial\":\"%s\"}",
	    serial);
	assert_true(ask_ok(&t, line));
	trust = trust_of(fe);
	assert_true(is_revoked(trust, serial));
	assert_int_equal(cJSON_GetArraySize(json_at(trust, "revoked")), 1);
	cJSON_Delete(trust);
	reply = ask(&t, "{\"do\":\"certificates\"}");
	list = json_at(reply, "certificates");
	assert_int_equal(cJSON_GetArraySize(list), 2);
	assert_true(json_bool(cJSON_GetArrayItem(list, 0), "revoked", false));
	assert_false(json_bool(cJSON_GetArrayItem(list, 1), "revoked", true));
	cJSON_Delete(reply);
	st_deinit(&t);
}

/* One user cannot fill the store: his oldest certificate ends instead. */
static void
test_one_user_is_bounded(void **state)
{
	cJSON *reply;
	struct st t;

	(void)state;
	st_init(&t);
	for (int i = 0; i < 70; i++)
		cJSON_Delete(ask_kubeconfig(&t, "ada"));
	reply = ask(&t, "{\"do\":\"status\"}");
	assert_int_equal(json_int(reply, "issued", 0, 1000, 0), 64);
	assert_int_equal(json_int(reply, "revoked", 0, 1000, 0), 6);
	cJSON_Delete(reply);
	st_deinit(&t);
}

/* What has ended leaves; what does not parse stops the worker. */
static void
test_state_file(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = {
	    {"{\"issued\":[],\"revoked\":[{\"id\":\"a\",\"expires\":1}],"
	     "\"tokens\":[]}",
		true},
	    {"", false},
	    {"{}", false},
	    {"[]", false},
	    {"{\"issued\":[],\"revoked\":[1],\"tokens\":[]}", false},
	    {"{\"issued\":[],\"revoked\":{},\"tokens\":[]}", false},
	    {"{\"issued\":[],\"revoked\":[],\"tokens\":[]", false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct sec sec = {0};
		struct sec_fix f;
		struct err e;

		sec_fix_init(&f);
		sec.keys_fd = f.keys_fd;
		sec_fix_write(&f, "keys/state.json", rows[i].text);
		assert_int_equal(sec_store_open(&sec, &e) == 0, rows[i].ok);
		if (rows[i].ok)
			assert_false(sec_store_is_revoked(&sec, "a"));
		cJSON_Delete(sec.state);
		sec_fix_deinit(&f);
	}
}

/* ---- the control socket ---- */

static bool
has_line(void *arg)
{
	int fd = *(int *)arg;
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

/* A listening socket in the abstract name space, and a client of it. */
static int
control_pair(struct st *t)
{
	struct rig_peer *sup = rig_attach(&t->rig, IPC_SUP, 0, "");
	struct ipc_listener m = {.kind = "control", .address = "test"};
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr only = {.sa_family = AF_UNIX};

	assert_int_equal(bind(fd, &only, sizeof(only.sa_family)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	rig_send_fd(sup, IPC_LISTENER, &m, fd);
	close(fd);
	rig_settle(&t->rig);
	assert_int_equal(connect(client, (struct sockaddr *)&sa, n), 0);
	return client;
}

static void
test_control_socket(void **state)
{
	static const char two[] = "{\"do\":\"status\"}\n{\"do\":\"x\"}\n";
	char reply[8192] = "", *second;
	struct st t;
	ssize_t n;
	int fd;

	(void)state;
	st_init(&t);
	fd = control_pair(&t);
	/* byte by byte: lines are put together */
	for (const char *p = two; *p != '\0'; p++) {
		assert_int_equal(send(fd, p, 1, 0), 1);
		rig_settle(&t.rig);
	}
	rig_until(&t.rig, has_line, &fd);
	n = recv(fd, reply, sizeof(reply) - 1, 0);
	assert_true(n > 0);
	second = strchr(reply, '\n');
	assert_non_null(second);
	assert_non_null(strstr(reply, "\"ok\":true"));
	assert_non_null(strstr(second, "\"ok\":false"));
	close(fd);
	rig_settle(&t.rig);
	st_deinit(&t);
}

static void
test_control_socket_flood(void **state)
{
	char junk[4096], reply[512] = "";
	size_t sent = 0;
	struct st t;
	int fd;

	(void)state;
	st_init(&t);
	fd = control_pair(&t);
	memset(junk, 'x', sizeof(junk));
	while (sent < 200000) {
		ssize_t n = send(fd, junk, sizeof(junk), MSG_NOSIGNAL);

		if (n <= 0 && has_line(&fd))
			break;
		sent += n > 0 ? (size_t)n : 0;
		rig_settle(&t.rig);
	}
	assert_true(sent < 200000);
	assert_true(recv(fd, reply, sizeof(reply) - 1, 0) > 0);
	assert_non_null(strstr(reply, "too long"));
	close(fd);
	rig_settle(&t.rig);
	st_deinit(&t);
}

/* ---- credentials ---- */

/* A CREDENTIAL with a piece of this error, or with none. */
static void
expect_credential(struct rig_peer *clu, const char *cluster, const char *error)
{
	struct rig_msg *m = rig_expect(clu, IPC_CREDENTIAL);
	const char *want = error != NULL ? error : "error=\"\"";

	if (strstr(m->text, want) == NULL)
		fail_msg("%s\nbut wanted: %s", m->text, want);
	assert_non_null(strstr(m->text, cluster));
	rig_msg_free(&m);
}

static void
test_credential_only_to_its_cluster(void **state)
{
	struct rig_peer *east, *west, *own, *fe;
	struct rig_msg *m;
	struct st t;

	(void)state;
	memset(&t, 0, sizeof(t));
	sec_fix_init(&t.fix);
	sec_fix_write(&t.fix, "credentials/west/bearerToken", "secret-1\n");
	st_start(&t);
	own = rig_attach(&t.rig, IPC_OWN, 0, "hub");
	fe = rig_attach(&t.rig, IPC_FE, 0, "");
	east = rig_attach(&t.rig, IPC_CLU, 0, "east");
	west = rig_attach(&t.rig, IPC_CLU, 1, "west");
	m = rig_expect(west, IPC_CREDENTIAL);
	assert_int_equal(m->data.len, 8);
	assert_memory_equal(buf_data(&m->data), "secret-1", 8);
	rig_msg_free(&m);
	expect_credential(east, "east", "is missing");
	rig_settle(&t.rig);
	assert_int_equal(rig_count(own, IPC_CREDENTIAL), 0);
	assert_int_equal(rig_count(fe, IPC_CREDENTIAL), 0);
	assert_int_equal(rig_count(east, IPC_CREDENTIAL), 0);
	/* a new file is seen without a word from anybody, and only there */
	sec_fix_write(&t.fix, "credentials/west/bearerToken", "secret-22");
	m = rig_expect(west, IPC_CREDENTIAL);
	assert_memory_equal(buf_data(&m->data), "secret-22", 9);
	rig_msg_free(&m);
	assert_int_equal(rig_count(east, IPC_CREDENTIAL), 0);
	st_deinit(&t);
}

static void
test_credential_unknown_cluster(void **state)
{
	struct rig_peer *eks, *south;
	struct st t;

	(void)state;
	st_init(&t);
	eks = rig_attach(&t.rig, IPC_CLU, 2, "eks");
	south = rig_attach(&t.rig, IPC_CLU, 3, "south");
	expect_credential(eks, "eks", "works only with the platform");
	rig_settle(&t.rig);
	assert_int_equal(rig_count(south, IPC_CREDENTIAL), 0);
	st_deinit(&t);
}

static char *
jwt(int64_t exp_s)
{
	struct buf out;
	char claims[64];

	snprintf(claims, sizeof(claims), "{\"exp\":%lld}", (long long)exp_s);
	buf_init(&out, 0);
	assert_int_equal(buf_printf(&out, "eyJhbGciOiJub25lIn0."), 0);
	assert_int_equal(
	    str_base64_encode(&out, (uint8_t *)claims, strlen(claims), false),
	    0);
	assert_int_equal(buf_printf(&out, ".e30"), 0);
	return buf_take(&out);
}

static void
one_token(const char *text, const char *error)
{
	struct rig_peer *west;
	struct st t;

	memset(&t, 0, sizeof(t));
	sec_fix_init(&t.fix);
	sec_fix_write(&t.fix, "credentials/west/bearerToken", text);
	st_start(&t);
	west = rig_attach(&t.rig, IPC_CLU, 1, "west");
	expect_credential(west, "west", error);
	st_deinit(&t);
}

static void
test_tokens_of_files(void **state)
{
	char *good = jwt(clock_wall_s() + 600), *old = jwt(1000);

	(void)state;
	one_token(good, NULL);
	one_token("opaque", NULL);
	one_token("a.b.c", NULL);
	one_token("a..c \t\n", NULL);
	one_token(old, "expired");
	one_token("", "one token");
	one_token("\n\n", "one token");
	one_token("two words", "one token");
	one_token("two\nlines", "one token");
	free(good);
	free(old);
}

static void
one_pair(const char *cert, const char *key, const char *error)
{
	struct rig_peer *east;
	struct st t;

	memset(&t, 0, sizeof(t));
	sec_fix_init(&t.fix);
	if (cert != NULL)
		sec_fix_write(&t.fix, "credentials/east/tls.crt", cert);
	if (key != NULL)
		sec_fix_write(&t.fix, "credentials/east/tls.key", key);
	st_start(&t);
	east = rig_attach(&t.rig, IPC_CLU, 0, "east");
	expect_credential(east, "east", error);
	st_deinit(&t);
}

static void
test_pairs_of_files(void **state)
{
	struct buf cert, key, old, old_key, b64, b64_key;

	(void)state;
	buf_init(&cert, 0);
	buf_init(&key, 0);
	buf_init(&old, 0);
	buf_init(&old_key, 0);
	buf_init(&b64, 0);
	buf_init(&b64_key, 0);
	sec_fix_pair(10, &cert, &key);
	sec_fix_pair(-5, &old, &old_key);
	str_base64_encode(&b64, buf_data(&cert), cert.len, true);
	str_base64_encode(&b64_key, buf_data(&key), key.len, true);
	one_pair(buf_cstr(&cert), buf_cstr(&key), NULL);
	one_pair(buf_cstr(&b64), buf_cstr(&b64_key), NULL);
	one_pair(NULL, NULL, "is missing");
	one_pair(buf_cstr(&cert), NULL, "tls.key is missing");
	one_pair(NULL, buf_cstr(&key), "tls.crt is missing");
	one_pair(buf_cstr(&cert), buf_cstr(&old_key), "is not the key of");
	one_pair(buf_cstr(&old), buf_cstr(&old_key), "has expired");
	one_pair(buf_cstr(&key), buf_cstr(&key), "no certificate");
	one_pair("", "", "must be PEM");
	one_pair("REVNTy1DUlQ=", "REVNTy1LRVk=", "must be PEM");
	buf_free(&cert);
	buf_free(&key);
	buf_free(&old);
	buf_free(&old_key);
	buf_free(&b64);
	buf_free(&b64_key);
}

/* A link out of the directory is not followed. */
static void
test_credential_link(void **state)
{
	char from[256];
	struct rig_peer *west;
	struct st t;

	(void)state;
	memset(&t, 0, sizeof(t));
	sec_fix_init(&t.fix);
	sec_fix_write(&t.fix, "outside", "secret");
	sec_fix_write(&t.fix, "credentials/west/ca.crt", "");
	snprintf(
	    from, sizeof(from), "%s/credentials/west/bearerToken", t.fix.dir);
	assert_int_equal(symlink("../../outside", from), 0);
	st_start(&t);
	west = rig_attach(&t.rig, IPC_CLU, 1, "west");
	expect_credential(west, "west", "may not read");
	st_deinit(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_trust_on_attach),
	    cmocka_unit_test(test_sign_server),
	    cmocka_unit_test(test_sign_csr),
	    cmocka_unit_test(test_control_refuses),
	    cmocka_unit_test(test_token),
	    cmocka_unit_test(test_token_by_id),
	    cmocka_unit_test(test_tokens_are_bounded),
	    cmocka_unit_test(test_revoke_user),
	    cmocka_unit_test(test_revoke_one),
	    cmocka_unit_test(test_one_user_is_bounded),
	    cmocka_unit_test(test_state_file),
	    cmocka_unit_test(test_control_socket),
	    cmocka_unit_test(test_control_socket_flood),
	    cmocka_unit_test(test_credential_only_to_its_cluster),
	    cmocka_unit_test(test_credential_unknown_cluster),
	    cmocka_unit_test(test_tokens_of_files),
	    cmocka_unit_test(test_pairs_of_files),
	    cmocka_unit_test(test_credential_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
