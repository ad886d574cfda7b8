/* x509_login: certificates of the login CA, for users and for frontends. */
#include "config.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/str.h"
#include "workers/secrets/secrets.h"

enum { CLOCK_SLACK_S = 3600, MAX_HOSTS = 256 };

int
sec_serial_new(uint8_t out[SEC_SERIAL_BYTES])
{
	if (RAND_bytes(out, SEC_SERIAL_BYTES) != 1)
		return -ERR_INTERNAL;
	out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
	return 0;
}

void
sec_serial_text(const X509 *cert, char *out)
{
	const ASN1_INTEGER *n = X509_get0_serialNumber(cert);
	const unsigned char *p = ASN1_STRING_get0_data(n);
	int len = ASN1_STRING_length(n);

	out[0] = '\0';
	for (int i = 0; i < len && i < SEC_SERIAL_BYTES; i++)
		(void)str_fmt(out + i * 2, 3, "%02x", p[i]);
}

EVP_PKEY *
sec_public_key(struct span spki, struct err *e)
{
	const unsigned char *p = spki.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.n);
	bool whole = key != NULL && p == spki.p + spki.n;
	char group[32] = "";
	int id = key == NULL ? 0 : EVP_PKEY_id(key);

	ERR_clear_error();
	if (id == EVP_PKEY_EC)
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	if (whole &&
	    (id == EVP_PKEY_ED25519 || strcmp(group, "prime256v1") == 0 ||
		strcmp(group, "secp384r1") == 0 ||
		(id == EVP_PKEY_RSA && EVP_PKEY_bits(key) >= 2048 &&
		    EVP_PKEY_bits(key) <= 8192)))
		return key;
	EVP_PKEY_free(key);
	(void)err_set(e, ERR_INVALID,
	    "the public key is not one of P-256, P-384, Ed25519 and RSA of "
	    "2048 bits or more; make another one");
	return NULL;
}

static int
add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	int ok = x != NULL && X509_add_ext(cert, x, -1) == 1;

	X509_EXTENSION_free(x);
	return ok;
}

/* One subjectAltName, a DNS name or an address. */
static GENERAL_NAME *
alt_name(const char *host)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
	ASN1_IA5STRING *dns = ip == NULL ? ASN1_IA5STRING_new() : NULL;

	ERR_clear_error();
	if (g != NULL && ip != NULL) {
		GENERAL_NAME_set0_value(g, GEN_IPADD, ip);
		return g;
	}
	if (g != NULL && dns != NULL && ASN1_STRING_set(dns, host, -1) == 1) {
		GENERAL_NAME_set0_value(g, GEN_DNS, dns);
		return g;
	}
	GENERAL_NAME_free(g);
	ASN1_OCTET_STRING_free(ip);
	ASN1_IA5STRING_free(dns);
	return NULL;
}

static int
add_hosts(X509 *cert, const cJSON *hosts)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	const cJSON *h;
	int ok = names != NULL;

	cJSON_ArrayForEach(h, hosts)
	{
		GENERAL_NAME *g = ok ? alt_name(h->valuestring) : NULL;

		if (g == NULL || sk_GENERAL_NAME_push(names, g) <= 0) {
			GENERAL_NAME_free(g);
			ok = 0;
		}
	}
	if (ok)
		ok = X509_add1_ext_i2d(
			 cert, NID_subject_alt_name, names, 0, 0) == 1;
	GENERAL_NAMES_free(names);
	return ok;
}

static int
set_subject(X509 *cert, const struct sec_leaf *leaf)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	const cJSON *g;
	int ok = X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
		     (const unsigned char *)leaf->user, -1, -1, 0) == 1;

	cJSON_ArrayForEach(g, leaf->groups)
	{
		ok = ok &&
		     X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
			 (const unsigned char *)g->valuestring, -1, -1, 0) == 1;
	}
	return ok;
}

static int
fill(X509 *cert, const struct sec_ca *ca, const struct sec_leaf *leaf,
    int64_t now_s)
{
	uint8_t serial[SEC_SERIAL_BYTES];
	bool server = leaf->hosts != NULL;
	BIGNUM *bn = NULL;
	X509V3_CTX ctx;
	int ok;

	if (sec_serial_new(serial) == 0)
		bn = BN_bin2bn(serial, sizeof(serial), NULL);
	X509V3_set_ctx(&ctx, ca->cert, cert, NULL, NULL, 0);
	ok = bn != NULL && X509_set_version(cert, 2) == 1 &&
	     BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL &&
	     ASN1_TIME_set(X509_getm_notBefore(cert), now_s - CLOCK_SLACK_S) &&
	     ASN1_TIME_set(X509_getm_notAfter(cert), now_s + leaf->ttl_s) &&
	     set_subject(cert, leaf) &&
	     X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) == 1 &&
	     X509_set_pubkey(cert, leaf->key) == 1 &&
	     add_extension(
		 cert, &ctx, NID_basic_constraints, "critical,CA:FALSE") &&
	     add_extension(
		 cert, &ctx, NID_key_usage, "critical,digitalSignature") &&
	     add_extension(cert, &ctx, NID_ext_key_usage,
		 server ? "serverAuth" : "clientAuth") &&
	     add_extension(cert, &ctx, NID_subject_key_identifier, "hash") &&
	     add_extension(cert, &ctx, NID_authority_key_identifier, "keyid") &&
	     (!server || add_hosts(cert, leaf->hosts));
	BN_free(bn);
	return ok;
}

int
sec_sign_leaf(const struct sec_ca *ca, const struct sec_leaf *leaf,
    struct buf *out, char *serial, int64_t *expires_s, struct err *e)
{
	int64_t now_s = clock_wall_s();
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n = 0;
	int rc;

	if (cert != NULL && bio != NULL && fill(cert, ca, leaf, now_s) &&
	    X509_sign(cert, ca->key, EVP_sha256()) > 0 &&
	    PEM_write_bio_X509(bio, cert) == 1)
		n = BIO_get_mem_data(bio, &p);
	if (n > 0) {
		rc = buf_append(out, p, (size_t)n);
		sec_serial_text(cert, serial);
		*expires_s = now_s + leaf->ttl_s;
	} else {
		rc = err_set(e, ERR_INTERNAL, "signing failed: %s",
		    ERR_error_string(ERR_get_error(), NULL));
		ERR_clear_error();
	}
	BIO_free(bio);
	X509_free(cert);
	return rc == -ERR_NOMEM ? err_nomem(e) : rc;
}

/* "[ADDRESS]:PORT", "HOST:PORT/PATH" or "HOST" to its host. */
static bool
host_of(const char *text, char *out, size_t cap)
{
	const char *end;

	if (str_starts(text, "https://"))
		text += strlen("https://");
	if (*text == '[') {
		end = strchr(++text, ']');
		return end != NULL &&
		       str_fmt(out, cap, "%.*s", (int)(end - text), text) == 0;
	}
	return str_fmt(out, cap, "%.*s", (int)strcspn(text, ":/"), text) == 0;
}

static void
add_host(cJSON *list, const char *host)
{
	const cJSON *h;

	if (*host == '\0' || strcmp(host, "::") == 0 ||
	    strcmp(host, "0.0.0.0") == 0 ||
	    cJSON_GetArraySize(list) >= MAX_HOSTS)
		return;
	cJSON_ArrayForEach(h, list)
	{
		if (strcmp(h->valuestring, host) == 0)
			return;
	}
	cJSON_AddItemToArray(list, cJSON_CreateString(host));
}

cJSON *
sec_server_hosts(const cJSON *config)
{
	static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
	cJSON *list = cJSON_CreateArray();
	char host[256];
	const cJSON *v;

	if (host_of(json_str(config, "advertise", ""), host, sizeof(host)))
		add_host(list, host);
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(config, "listen"))
	{
		if (cJSON_IsString(v) &&
		    host_of(v->valuestring, host, sizeof(host)))
			add_host(list, host);
	}
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(config, "serverNames"))
	{
		if (cJSON_IsString(v))
			add_host(list, v->valuestring);
	}
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		add_host(list, always[i]);
	return list;
}
