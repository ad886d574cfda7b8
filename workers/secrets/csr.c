/*
 * csr: the certificate request of the CLI, read by hand.
 *
 * Its key has the identifier of X25519 though it is an Ed25519 key, so
 * OpenSSL's own request functions cannot verify it (spec/operator-api.md
 * §7.4). The request comes from the network through a frontend: nothing in it
 * is believed before its signature is.
 */
#include "config.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "lib/str.h"
#include "protocol/der.h"
#include "workers/secrets/secrets.h"

enum { MAX_DER_BYTES = 8192, SIGNATURE_BYTES = 64 };

static const uint8_t oid_ed25519[] = {0x2b, 0x65, 0x70};
static const uint8_t oid_x25519[] = {0x2b, 0x65, 0x6e};

static int
bad(struct err *e, const char *what)
{
	return err_set(
	    e, ERR_INVALID, "the certificate request is not usable: %s", what);
}

/* The base64 between the first BEGIN and END line of a request. */
static int
from_pem(struct span pem, struct buf *der, struct err *e)
{
	static const char *const labels[] = {
	    "CERTIFICATE REQUEST-----", "NEW CERTIFICATE REQUEST-----"};
	const char *begin, *end, *text;
	size_t n_begin = strlen("-----BEGIN ");
	struct buf copy;
	int rc = -ERR_INVALID;

	buf_init(&copy, 65536 + 1);
	if (memchr(pem.p, 0, pem.n) != NULL ||
	    buf_append(&copy, pem.p, pem.n) != 0 ||
	    (text = buf_cstr(&copy)) == NULL)
		goto out;
	begin = strstr(text, "-----BEGIN ");
	for (size_t i = 0; begin != NULL && i < 2; i++) {
		if (!str_starts(begin + n_begin, labels[i]))
			continue;
		begin += n_begin + strlen(labels[i]);
		end = strstr(begin, "-----END ");
		if (end != NULL &&
		    str_starts(end + strlen("-----END "), labels[i]))
			rc = str_base64_decode(
			    der, begin, (size_t)(end - begin));
		break;
	}
out:
	buf_free(&copy);
	return rc == 0 ? 0 : bad(e, "it is not PEM of a CERTIFICATE REQUEST");
}

static bool
signature_ok(const uint8_t *key, struct span text, struct span signature)
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(
	    EVP_PKEY_ED25519, NULL, key, SEC_KEY_BYTES);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = false;

	if (pkey != NULL && md != NULL &&
	    EVP_DigestVerifyInit(md, NULL, NULL, NULL, pkey) == 1)
		ok = EVP_DigestVerify(
			 md, signature.p, signature.n, text.p, text.n) == 1;
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return ok;
}

static int
take_key(struct span *info, struct sec_csr *out, struct err *e)
{
	struct span spki, oid, key;
	bool null;

	if (der_take(info, DER_SEQUENCE, &spki, NULL) != 0 ||
	    der_take_algorithm(&spki, &oid, &null) != 0 ||
	    der_take_bits(&spki, &key) != 0 || spki.n != 0)
		return bad(e, "its public key does not parse");
	if ((!der_equal(oid, oid_ed25519, sizeof(oid_ed25519)) &&
		!der_equal(oid, oid_x25519, sizeof(oid_x25519))) ||
	    key.n != SEC_KEY_BYTES)
		return bad(e, "its key is not an Ed25519 key");
	memcpy(out->key, key.p, SEC_KEY_BYTES);
	return 0;
}

static int
take_info(struct span info, struct sec_csr *out, struct err *e)
{
	struct span v;
	int rc;

	if (der_take(&info, DER_INTEGER, &v, NULL) != 0 || !der_equal(v, "", 1))
		return bad(e, "its version is not 0");
	if (der_take_name(&info, &out->subject, out->common_name,
		sizeof(out->common_name)) != 0)
		return bad(e, "its subject does not parse");
	if (out->common_name[0] == '\0')
		return bad(e, "its subject has no common name");
	rc = take_key(&info, out, e);
	if (rc != 0)
		return rc;
	/* attributes ask for what is not granted anyway */
	if (info.n != 0 &&
	    (der_take(&info, DER_CTX_0, &v, NULL) != 0 || info.n != 0))
		return bad(e, "its attributes do not parse");
	return 0;
}

static int
parse(struct span der, struct sec_csr *out, struct err *e)
{
	struct span outer, info, whole, oid, signature;
	bool null;
	int rc;

	if (der_take(&der, DER_SEQUENCE, &outer, NULL) != 0 || der.n != 0 ||
	    der_take(&outer, DER_SEQUENCE, &info, &whole) != 0 ||
	    der_take_algorithm(&outer, &oid, &null) != 0 ||
	    der_take_bits(&outer, &signature) != 0 || outer.n != 0)
		return bad(e, "it is not DER of a request");
	if (!der_equal(oid, oid_ed25519, sizeof(oid_ed25519)) ||
	    signature.n != SIGNATURE_BYTES)
		return bad(e, "it is not signed with Ed25519");
	rc = take_info(info, out, e);
	if (rc != 0)
		return rc;
	if (!signature_ok(out->key, whole, signature))
		return bad(e, "its signature is not that of its key");
	return 0;
}

int
sec_csr_parse(struct span pem, struct sec_csr *out, struct err *e)
{
	int rc;

	memset(out, 0, sizeof(*out));
	buf_init(&out->der, MAX_DER_BYTES);
	rc = from_pem(pem, &out->der, e);
	if (rc == 0)
		rc = parse(buf_span(&out->der), out, e);
	if (rc != 0)
		sec_csr_free(out);
	return rc;
}

void
sec_csr_free(struct sec_csr *csr)
{
	buf_free(&csr->der);
	memset(csr, 0, sizeof(*csr));
}

void
sec_key_id(const uint8_t key[SEC_KEY_BYTES], char *out)
{
	struct buf b;

	buf_init(&b, 64);
	out[0] = '\0';
	if (str_base64_encode(&b, key, SEC_KEY_BYTES, false) == 0 &&
	    buf_cstr(&b) != NULL)
		(void)str_fmt(out, 44, "%s", buf_cstr(&b));
	buf_free(&b);
}
