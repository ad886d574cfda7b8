/*
 * x509_credential: a certificate as the CLI keeps it.
 *
 * Written by hand because the CLI re-encodes what it stores: only with an
 * explicit NULL in all three AlgorithmIdentifiers do the signed bytes come
 * back (spec/operator-api.md §7.5), and OpenSSL writes none for Ed25519.
 */
#include "config.h"

#include <openssl/err.h>
#include <string.h>

#include "lib/str.h"
#include "protocol/der.h"
#include "protocol/x509_client.h"
#include "workers/secrets/secrets.h"

enum { SIGNATURE_BYTES = 64, PEM_COLUMNS = 64, MAX_CERT_BYTES = 16384 };

static const uint8_t oid_ed25519[] = {0x2b, 0x65, 0x70};
static const struct span ed25519 = {oid_ed25519, sizeof(oid_ed25519)};

/* The first failure of a row of appends; -1 of buf means the same. */
#define TRY(call)                   \
	do {                        \
		int rc_ = (call);   \
		if (rc_ != 0)       \
			return rc_; \
	} while (0)

static int
put_version_and_serial(struct buf *out, const uint8_t *serial)
{
	static const uint8_t v3 = 2;
	size_t from = out->len;

	TRY(der_put(out, DER_INTEGER, &v3, 1));
	TRY(der_wrap(out, from, DER_CTX_0));
	return der_put(out, DER_INTEGER, serial, SEC_SERIAL_BYTES);
}

static int
put_issuer(struct buf *out, const struct sec_ca *ca)
{
	unsigned char *der = NULL;
	int n = i2d_X509_NAME(X509_get_subject_name(ca->cert), &der), rc;

	if (n <= 0)
		return -ERR_NOMEM;
	rc = buf_append(out, der, (size_t)n);
	OPENSSL_free(der);
	return rc;
}

static int
put_validity(struct buf *out, const struct sec_credential *c)
{
	size_t from = out->len;

	TRY(der_put_time(out, c->not_before_s));
	TRY(der_put_time(out, c->not_after_s));
	return der_wrap(out, from, DER_SEQUENCE);
}

static int
put_key(struct buf *out, const uint8_t *key)
{
	size_t from = out->len;

	TRY(der_put_algorithm(out, ed25519));
	TRY(der_put_bits(out, key, SEC_KEY_BYTES));
	return der_wrap(out, from, DER_SEQUENCE);
}

/* Who asked and for what, for whoever reads x-client-der later. */
static int
put_extensions(struct buf *out, const struct sec_credential *c)
{
	size_t from = out->len, value;

	TRY(der_put(out, DER_OID, xc_identity_oid, sizeof(xc_identity_oid)));
	value = out->len;
	TRY(der_put(out, DER_UTF8_STRING, c->kind, strlen(c->kind)));
	TRY(der_put(out, DER_UTF8_STRING, c->user, strlen(c->user)));
	TRY(der_wrap(out, value, DER_SEQUENCE));
	TRY(der_wrap(out, value, DER_OCTET_STRING));
	TRY(der_wrap(out, from, DER_SEQUENCE));
	TRY(der_wrap(out, from, DER_SEQUENCE));
	return der_wrap(out, from, DER_CTX_3);
}

static int
put_tbs(
    struct buf *out, const struct sec_ca *ca, const struct sec_credential *c)
{
	TRY(put_version_and_serial(out, c->serial));
	TRY(der_put_algorithm(out, ed25519));
	TRY(put_issuer(out, ca));
	TRY(put_validity(out, c));
	TRY(buf_append(out, c->csr->subject.p, c->csr->subject.n));
	TRY(put_key(out, c->csr->key));
	TRY(put_extensions(out, c));
	return der_wrap(out, 0, DER_SEQUENCE);
}

static int
sign(struct buf *out, EVP_PKEY *key)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t signature[SIGNATURE_BYTES];
	size_t n = sizeof(signature);
	bool ok =
	    md != NULL && EVP_DigestSignInit(md, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestSign(md, signature, &n, buf_data(out), out->len) == 1;

	EVP_MD_CTX_free(md);
	ERR_clear_error();
	if (!ok)
		return -ERR_INTERNAL;
	TRY(der_put_algorithm(out, ed25519));
	TRY(der_put_bits(out, signature, n));
	return der_wrap(out, 0, DER_SEQUENCE);
}

static int
put_pem(struct buf *out, const struct buf *der)
{
	struct buf text;
	int rc;

	buf_init(&text, 2 * MAX_CERT_BYTES);
	rc = str_base64_encode(&text, buf_data(der), der->len, true);
	if (rc == 0)
		rc = buf_printf(out, "-----BEGIN CERTIFICATE-----\r\n");
	for (size_t i = 0; rc == 0 && i < text.len; i += PEM_COLUMNS) {
		size_t n = text.len - i;

		rc = buf_append(out, buf_data(&text) + i,
		    n < PEM_COLUMNS ? n : PEM_COLUMNS);
		if (rc == 0)
			rc = buf_append(out, "\r\n", 2);
	}
	if (rc == 0)
		rc = buf_printf(out, "-----END CERTIFICATE-----\r\n");
	buf_free(&text);
	return rc;
}

int
sec_sign_credential(const struct sec_ca *ca, const struct sec_credential *c,
    struct buf *out, struct err *e)
{
	struct buf der;
	int rc;

	buf_init(&der, MAX_CERT_BYTES);
	rc = put_tbs(&der, ca, c);
	if (rc == 0)
		rc = sign(&der, ca->key);
	if (rc == 0)
		rc = put_pem(out, &der);
	buf_free(&der);
	if (rc != 0)
		return err_set(e,
		    rc == -ERR_TOO_BIG ? ERR_TOO_BIG : ERR_INTERNAL,
		    "the certificate could not be made");
	return 0;
}
