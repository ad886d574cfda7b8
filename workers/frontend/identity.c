/*
 * Who is asking. A TLS client certificate of the login CA, or a bearer token
 * known by its hash. x-client-der is no proof of anything here (design §8).
 */
#include "config.h"

#include <openssl/bn.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/str.h"
#include "workers/frontend/frontend.h"

/* The entry of `primaries:` with this certificate name or token hash. */
static const char *
identity_primary(const struct fe *fe, const char *key, const char *value)
{
	const cJSON *list =
	    cJSON_GetObjectItemCaseSensitive(fe->w->config, "primaries");
	const cJSON *v;

	if (*value == '\0')
		return NULL;
	cJSON_ArrayForEach(v, list)
	{
		const char *have = json_str(v, key, "");

		/* Hex digits may be of either case, names may not. */
		if (strcmp(have, value) == 0 ||
		    (strcmp(key, "tokenSha256") == 0 &&
			strcasecmp(have, value) == 0))
			return json_str(v, "name", value);
	}
	return NULL;
}

static bool
identity_add_group(struct fe_identity *id, const char *group, size_t n)
{
	size_t len = strlen(id->groups);

	if (memchr(group, '\n', n) != NULL || len + n + 2 > sizeof(id->groups))
		return false;
	if (len > 0)
		id->groups[len++] = '\n';
	memcpy(id->groups + len, group, n);
	id->groups[len + n] = '\0';
	return true;
}

/* CN is the user, each O a group, as in Kubernetes. */
static bool
identity_names(struct fe_identity *id, X509 *cert)
{
	X509_NAME *name = X509_get_subject_name(cert);

	for (int i = 0; i < X509_NAME_entry_count(name); i++) {
		X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
		unsigned char *text = NULL;
		int n =
		    ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
		bool ok = n >= 0 && memchr(text, 0, (size_t)n) == NULL;

		if (ok && nid == NID_commonName)
			ok = str_fmt(id->user, sizeof(id->user), "%s",
				 (char *)text) == 0;
		else if (ok && nid == NID_organizationName)
			ok = identity_add_group(id, (char *)text, (size_t)n);
		OPENSSL_free(text);
		if (!ok)
			return false;
	}
	return id->user[0] != '\0';
}

static void
identity_serial(struct fe_identity *id, X509 *cert)
{
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = bn == NULL ? NULL : BN_bn2hex(bn);
	const char *p = hex;

	if (hex != NULL) {
		while (*p == '0' && p[1] != '\0')
			p++;
		snprintf(id->proof.serial, sizeof(id->proof.serial), "%s", p);
		for (char *c = id->proof.serial; *c != '\0'; c++)
			*c = (char)(*c >= 'A' && *c <= 'F' ? *c + 32 : *c);
	}
	OPENSSL_free(hex);
	BN_free(bn);
}

static void
identity_by_cert(const struct fe *fe, X509 *cert, struct fe_identity *id)
{
	const char *primary;

	identity_serial(id, cert);
	if (!identity_names(id, cert)) {
		snprintf(id->why, sizeof(id->why),
		    "the client certificate has no usable common name");
		return;
	}
	if (fe_revoked(fe, id->proof.serial)) {
		snprintf(id->why, sizeof(id->why),
		    "the client certificate was revoked; ask the "
		    "administrator for a new one (tributary kubeconfig)");
		return;
	}
	primary = identity_primary(fe, "certificate", id->user);
	id->peer = primary != NULL ? FE_PRIMARY : FE_USER;
}

static void
token_hash(const char *token, char out[SHA256_DIGEST_LENGTH * 2 + 1])
{
	unsigned char md[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)token, strlen(token), md);
	for (size_t i = 0; i < sizeof(md); i++)
		snprintf(out + i * 2, 3, "%02x", md[i]);
}

static const cJSON *
token_entry(const struct fe *fe, const char *hash)
{
	const cJSON *list, *v;

	if (fe->trust == NULL)
		return NULL;
	list = cJSON_GetObjectItemCaseSensitive(fe->trust, "tokens");
	cJSON_ArrayForEach(v, list)
	{
		if (strcmp(json_str(v, "sha256", ""), hash) == 0)
			return v;
	}
	return NULL;
}

static bool
token_expired(const cJSON *entry)
{
	int64_t at_s = json_int(entry, "expires", 0, INT64_C(1) << 52, 0);

	return at_s != 0 && at_s < clock_wall_s();
}

bool
fe_token_known(const struct fe *fe, const char *hash)
{
	const cJSON *entry = token_entry(fe, hash);

	return identity_primary(fe, "tokenSha256", hash) != NULL ||
	       (entry != NULL && !token_expired(entry));
}

static void
identity_by_token(
    const struct fe *fe, const char *token, struct fe_identity *id)
{
	char hash[SHA256_DIGEST_LENGTH * 2 + 1];
	const char *primary;
	const cJSON *entry, *g;

	token_hash(token, hash);
	memcpy(id->proof.token, hash, sizeof(hash));
	snprintf(id->why, sizeof(id->why),
	    "the bearer token is not known here, or was revoked");
	primary = identity_primary(fe, "tokenSha256", hash);
	if (primary != NULL) {
		snprintf(id->user, sizeof(id->user), "%s", primary);
		id->peer = FE_PRIMARY;
		return;
	}
	entry = token_entry(fe, hash);
	if (entry == NULL)
		return;
	if (token_expired(entry)) {
		snprintf(id->why, sizeof(id->why),
		    "the bearer token has expired; ask for a new one");
		return;
	}
	snprintf(id->user, sizeof(id->user), "%s", json_str(entry, "user", ""));
	cJSON_ArrayForEach(g, cJSON_GetObjectItemCaseSensitive(entry, "groups"))
	{
		if (cJSON_IsString(g) && !identity_add_group(id, g->valuestring,
					     strlen(g->valuestring)))
			return;
	}
	primary = identity_primary(fe, "certificate", id->user);
	if (id->user[0] != '\0')
		id->peer = primary != NULL ? FE_PRIMARY : FE_USER;
}

void
fe_identify(struct fe *fe, const struct tls_conn *tls,
    const struct http_head *head, struct fe_identity *out)
{
	X509 *cert = tls_conn_peer_cert(tls);
	const char *auth =
	    head == NULL ? NULL : http_get(head, "authorization");
	struct err e;

	memset(out, 0, sizeof(*out));
	if (cert != NULL) {
		identity_by_cert(fe, cert, out);
	} else if (tls_conn_peer_error(tls, &e)) {
		snprintf(out->why, sizeof(out->why), "%s", e.text);
	} else if (auth != NULL && strncasecmp(auth, "bearer ", 7) == 0) {
		identity_by_token(fe, auth + 7, out);
	} else {
		snprintf(out->why, sizeof(out->why),
		    "this server wants a client certificate or a bearer "
		    "token; make one with `tributary kubeconfig`");
	}
	if (out->peer == FE_USER && fe_is_admin(fe, out))
		out->peer = FE_ADMIN;
}
