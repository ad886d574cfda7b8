/* control_ops: what an administrator may ask, one function per `do`. */
#include "config.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/secrets/secrets.h"

enum {
	DEFAULT_TTL_S = 90 * 24 * 3600,
	MIN_TTL_S = 60,
	TOKEN_BYTES = 32,
	MAX_SPKI_BYTES = 4096,
	TOKEN_ID_BYTES = 16,
};

/* Letters of names: what a header, a file name and a log line can bear. */
static bool
name_ok(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > SEC_NAME_MAX ||
	    !str_utf8_valid((const uint8_t *)s, n))
		return false;
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	}
	return true;
}

struct who {
	const char *user;
	const cJSON *groups;
	int64_t ttl_s;
};

static int
take_who(const cJSON *req, struct who *out, struct err *e)
{
	const cJSON *g;

	out->user = json_str(req, "user", "");
	out->groups = cJSON_GetObjectItemCaseSensitive(req, "groups");
	out->ttl_s =
	    json_int(req, "ttlSecs", MIN_TTL_S, SEC_MAX_TTL_S, DEFAULT_TTL_S);
	if (!name_ok(out->user))
		return err_set(e, ERR_INVALID,
		    "`user` must be 1 to %d characters without blanks",
		    SEC_NAME_MAX);
	if (out->groups != NULL && !cJSON_IsArray(out->groups))
		return err_set(
		    e, ERR_INVALID, "`groups` must be a list of names");
	if (cJSON_GetArraySize(out->groups) > SEC_MAX_GROUPS)
		return err_set(e, ERR_INVALID, "at most %d groups are possible",
		    SEC_MAX_GROUPS);
	cJSON_ArrayForEach(g, out->groups)
	{
		if (!cJSON_IsString(g) || !name_ok(g->valuestring))
			return err_set(e, ERR_INVALID,
			    "a group must be 1 to %d characters without "
			    "blanks",
			    SEC_NAME_MAX);
	}
	if (cJSON_GetObjectItemCaseSensitive(req, "ttlSecs") != NULL &&
	    json_int(req, "ttlSecs", MIN_TTL_S, SEC_MAX_TTL_S, -1) < 0)
		return err_set(e, ERR_INVALID,
		    "`ttlSecs` must be a whole number from %d to %d", MIN_TTL_S,
		    SEC_MAX_TTL_S);
	return 0;
}

static int
take_key(const cJSON *req, EVP_PKEY **out, struct err *e)
{
	const char *b64 = json_str(req, "spki", "");
	struct buf der;

	*out = NULL;
	buf_init(&der, MAX_SPKI_BYTES);
	if (*b64 != '\0' && str_base64_decode(&der, b64, strlen(b64)) == 0)
		*out = sec_public_key(buf_span(&der), e);
	else
		(void)err_set(e, ERR_INVALID,
		    "`spki` must be base64 of a public key (DER)");
	buf_free(&der);
	return *out != NULL ? 0 : -ERR_INVALID;
}

static int
do_kubeconfig(struct sec *sec, const cJSON *req, cJSON *reply, struct err *e)
{
	char serial[SEC_HEX_SERIAL_BYTES];
	struct sec_leaf leaf = {0};
	int64_t expires_s = 0;
	struct who who;
	struct buf pem;
	int rc = take_who(req, &who, e);

	if (rc == 0)
		rc = take_key(req, &leaf.key, e);
	if (rc != 0)
		return rc;
	leaf.user = who.user;
	leaf.groups = who.groups;
	leaf.ttl_s = who.ttl_s;
	buf_init(&pem, SEC_MAX_FILE_BYTES);
	rc = sec_sign_leaf(&sec->login, &leaf, &pem, serial, &expires_s, e);
	if (rc == 0) /* remembered before it is given away */
		rc = sec_store_issued(sec, serial, "", who.user, who.groups,
		    "login", expires_s, e);
	if (rc == 0 && buf_cstr(&pem) != NULL) {
		cJSON_AddStringToObject(reply, "certificate", buf_cstr(&pem));
		cJSON_AddStringToObject(reply, "ca", buf_cstr(&sec->login.pem));
		cJSON_AddStringToObject(
		    reply, "server", json_str(sec->w->config, "advertise", ""));
		cJSON_AddStringToObject(reply, "instance", sec->w->instance);
		cJSON_AddStringToObject(reply, "serial", serial);
		cJSON_AddNumberToObject(reply, "expires", (double)expires_s);
		log_info(
		    "login certificate user=%s serial=%s", who.user, serial);
	}
	EVP_PKEY_free(leaf.key);
	buf_free(&pem);
	return rc;
}

static int
do_token(struct sec *sec, const cJSON *req, cJSON *reply, struct err *e)
{
	uint8_t bytes[TOKEN_BYTES], hash[SHA256_DIGEST_LENGTH];
	char token[8 + 2 * TOKEN_BYTES + 1] = "trib_";
	char hex[2 * SHA256_DIGEST_LENGTH + 1];
	int64_t expires_s;
	struct who who;
	int rc = take_who(req, &who, e);

	if (rc != 0)
		return rc;
	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return err_set(e, ERR_INTERNAL, "no random numbers");
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)str_fmt(token + 5 + i * 2, 3, "%02x", bytes[i]);
	SHA256((unsigned char *)token, strlen(token), hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		(void)str_fmt(hex + i * 2, 3, "%02x", hash[i]);
	expires_s = clock_wall_s() + who.ttl_s;
	rc = sec_store_add_token(sec, hex, who.user, who.groups, expires_s, e);
	if (rc == 0) {
		cJSON_AddStringToObject(reply, "token", token);
		cJSON_AddStringToObject(reply, "sha256", hex);
		cJSON_AddStringToObject(
		    reply, "server", json_str(sec->w->config, "advertise", ""));
		cJSON_AddStringToObject(reply, "ca", buf_cstr(&sec->login.pem));
		cJSON_AddNumberToObject(reply, "expires", (double)expires_s);
		log_info("token user=%s id=%.16s", who.user, hex);
		sec_trust_broadcast(sec);
	}
	OPENSSL_cleanse(bytes, sizeof(bytes));
	OPENSSL_cleanse(token, sizeof(token));
	return rc;
}

static int
do_revoke(struct sec *sec, const cJSON *req, cJSON *reply, struct err *e)
{
	const char *user = json_str(req, "user", "");
	const char *serial = json_str(req, "serial", "");
	size_t n = 1;
	int rc;

	if ((*user == '\0') == (*serial == '\0'))
		return err_set(
		    e, ERR_INVALID, "give either `user` or `serial`");
	rc = *user != '\0' ? sec_store_revoke_user(sec, user, &n, e)
			   : sec_store_revoke_id(sec, serial, e);
	if (rc != 0)
		return rc;
	log_info("revoked user=%s serial=%s", user, serial);
	cJSON_AddNumberToObject(reply, "revoked", (double)n);
	sec_trust_broadcast(sec);
	return 0;
}

static int
do_tokens(struct sec *sec, const cJSON *req, cJSON *reply, struct err *e)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "tokens");
	const cJSON *v;

	(void)req;
	(void)e;
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(sec->state, "tokens"))
	{
		cJSON *one = cJSON_Duplicate(v, true);
		char id[TOKEN_ID_BYTES + 1];

		(void)str_fmt(
		    id, sizeof(id), "%.16s", json_str(v, "sha256", ""));
		cJSON_DeleteItemFromObjectCaseSensitive(one, "sha256");
		cJSON_AddStringToObject(one, "id", id);
		cJSON_AddItemToArray(list, one);
	}
	return 0;
}

static int
do_certificates(struct sec *sec, const cJSON *req, cJSON *reply, struct err *e)
{
	cJSON *list = cJSON_AddArrayToObject(reply, "certificates");
	const cJSON *v;

	(void)req;
	(void)e;
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(sec->state, "issued"))
	{
		cJSON *one = cJSON_Duplicate(v, true);

		cJSON_AddBoolToObject(one, "revoked",
		    sec_store_is_revoked(sec, json_str(v, "serial", "")));
		cJSON_AddItemToArray(list, one);
	}
	return 0;
}

static int
do_status(struct sec *sec, const cJSON *req, cJSON *reply, struct err *e)
{
	static const char *const counts[] = {"issued", "revoked", "tokens"};
	unsigned frontends = 0;

	(void)req;
	(void)e;
	cJSON_AddStringToObject(reply, "instance", sec->w->instance);
	cJSON_AddStringToObject(
	    reply, "server", json_str(sec->w->config, "advertise", ""));
	cJSON_AddStringToObject(reply, "ca", buf_cstr(&sec->login.pem));
	for (uint32_t i = 0; i < 64; i++)
		frontends += worker_peer(sec->w, IPC_FE, i) != NULL;
	cJSON_AddNumberToObject(reply, "frontends", frontends);
	for (size_t i = 0; i < 3; i++)
		cJSON_AddNumberToObject(reply, counts[i],
		    cJSON_GetArraySize(
			cJSON_GetObjectItem(sec->state, counts[i])));
	cJSON_AddItemToObject(reply, "clusters", sec_watch_status(sec));
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(
	    struct sec *sec, const cJSON *req, cJSON *reply, struct err *e);
} ops[] = {
    {"kubeconfig", do_kubeconfig},
    {"token", do_token},
    {"revoke", do_revoke},
    {"tokens", do_tokens},
    {"certificates", do_certificates},
    {"status", do_status},
};

static int
run(struct sec *sec, const cJSON *req, cJSON *reply, struct err *e)
{
	const char *what = json_str(req, "do", "");

	if (!cJSON_IsObject(req))
		return err_set(e, ERR_INVALID, "a request is a JSON object");
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strcmp(ops[i].name, what) == 0)
			return ops[i].fn(sec, req, reply, e);
	}
	return err_set(e, ERR_INVALID,
	    "`do` must be one of kubeconfig, "
	    "token, revoke, tokens, certificates, status");
}

cJSON *
sec_control_do(struct sec *sec, const char *line, size_t n)
{
	cJSON *reply = cJSON_CreateObject(), *req;
	struct err e = {0};
	int rc = -ERR_INVALID;

	req = json_parse(line, n, &e);
	if (req != NULL)
		rc = run(sec, req, reply, &e);
	cJSON_Delete(req);
	if (rc != 0) {
		cJSON_Delete(reply);
		reply = cJSON_CreateObject();
		cJSON_AddStringToObject(reply, "error", e.text);
	}
	cJSON_AddBoolToObject(reply, "ok", rc == 0);
	return reply;
}
