#include "config.h"

#include "protocol/x509_client.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "lib/str.h"
#include "protocol/der.h"

enum { ED25519_SIGNATURE_BYTES = 64 };

const uint8_t xc_identity_oid[XC_OID_BYTES] = {0x69, 0xaf, 0xf7, 0xbd, 0xa1,
    0x9e, 0xd9, 0x8a, 0xae, 0xcd, 0x8b, 0x91, 0x8e, 0xbe, 0xfa, 0xe4, 0xd0,
    0xde, 0x71};
static const uint8_t oid_ed25519[] = {0x2b, 0x65, 0x70};
static const uint8_t oid_x25519[] = {0x2b, 0x65, 0x6e};

/* What the TBS consists of; all borrowed from the decoded certificate. */
struct tbs {
	struct span whole;
	struct span front; /* version and serial number */
	struct span algorithm;
	struct span middle; /* issuer, validity, subject */
	struct span key_algorithm;
	struct span key;
	struct span rest; /* extensions */
	bool has_nulls;   /* both algorithms */
};

static int
bad(struct err *e, const char *what)
{
	return err_set(e, ERR_INVALID,
	    "x-client-der is not a client certificate (%s); get a new one",
	    what);
}

static int
take_serial(struct span *in, struct xc_identity *out)
{
	struct span v;
	char hex[XC_SERIAL_BYTES + 1];
	size_t n = 0, skip;

	if (der_take(in, DER_INTEGER, &v, NULL) != 0 || v.n == 0 ||
	    v.n > (XC_SERIAL_BYTES - 1) / 2 || v.p[0] >= 0x80)
		return -ERR_INVALID;
	for (; n < v.n; n++)
		(void)str_fmt(hex + n * 2, 3, "%02x", v.p[n]);
	skip = strspn(hex, "0");
	(void)str_fmt(out->serial, sizeof(out->serial), "%s",
	    hex[skip] == '\0' ? "0" : hex + skip);
	return 0;
}

/* The text of a UTF8String; cap with NUL. */
static int
take_text(struct span *in, char *out, size_t cap)
{
	struct span v;

	if (der_take(in, DER_UTF8_STRING, &v, NULL) != 0 ||
	    !str_utf8_valid(v.p, v.n) || memchr(v.p, 0, v.n) != NULL)
		return -ERR_INVALID;
	return str_fmt(out, cap, "%.*s", (int)v.n, (const char *)v.p) == 0
		   ? 0
		   : -ERR_INVALID;
}

static int
take_extension(struct span *in, struct xc_identity *out)
{
	struct span ext, oid, value, seq, critical;

	if (der_take(in, DER_SEQUENCE, &ext, NULL) != 0 ||
	    der_take(&ext, DER_OID, &oid, NULL) != 0)
		return -ERR_INVALID;
	if (der_peek(ext) == DER_BOOLEAN &&
	    der_take(&ext, DER_BOOLEAN, &critical, NULL) != 0)
		return -ERR_INVALID;
	if (der_take(&ext, DER_OCTET_STRING, &value, NULL) != 0 || ext.n != 0)
		return -ERR_INVALID;
	if (!der_equal(oid, xc_identity_oid, sizeof(xc_identity_oid)))
		return 0;
	if (der_take(&value, DER_SEQUENCE, &seq, NULL) != 0 || value.n != 0 ||
	    take_text(&seq, out->kind, sizeof(out->kind)) != 0 ||
	    take_text(&seq, out->user, sizeof(out->user)) != 0 || seq.n != 0)
		return -ERR_INVALID;
	return 0;
}

static int
take_extensions(struct span in, struct xc_identity *out)
{
	struct span outer, list;

	if (in.n == 0)
		return 0;
	if (der_take(&in, DER_CTX_3, &outer, NULL) != 0 || in.n != 0 ||
	    der_take(&outer, DER_SEQUENCE, &list, NULL) != 0 || outer.n != 0)
		return -ERR_INVALID;
	while (list.n > 0) {
		if (take_extension(&list, out) != 0)
			return -ERR_INVALID;
	}
	return 0;
}

static int
take_key(struct span *in, struct tbs *t, bool *has_null)
{
	struct span spki;

	if (der_take(in, DER_SEQUENCE, &spki, NULL) != 0 ||
	    der_take_algorithm(&spki, &t->key_algorithm, has_null) != 0 ||
	    der_take_bits(&spki, &t->key) != 0 || spki.n != 0 ||
	    t->key.n != XC_KEY_BYTES)
		return -ERR_INVALID;
	/* Both occur for an Ed25519 key (spec §7.4). */
	if (!der_equal(t->key_algorithm, oid_ed25519, sizeof(oid_ed25519)) &&
	    !der_equal(t->key_algorithm, oid_x25519, sizeof(oid_x25519)))
		return -ERR_INVALID;
	return 0;
}

static struct span
between(const uint8_t *from, const uint8_t *to)
{
	return (struct span){from, (size_t)(to - from)};
}

static int
take_tbs(struct span in, struct tbs *t, struct xc_identity *out)
{
	const uint8_t *start = in.p;
	struct span v, number;
	bool null_1, null_2;
	char issuer[XC_NAME_BYTES];

	if (der_take(&in, DER_CTX_0, &v, NULL) != 0 ||
	    der_take(&v, DER_INTEGER, &number, NULL) != 0 || v.n != 0 ||
	    number.n != 1 || number.p[0] > 2 || take_serial(&in, out) != 0)
		return -ERR_INVALID;
	t->front = between(start, in.p);
	if (der_take_algorithm(&in, &t->algorithm, &null_1) != 0)
		return -ERR_INVALID;
	start = in.p;
	if (der_take_name(&in, NULL, issuer, sizeof(issuer)) != 0 ||
	    der_take(&in, DER_SEQUENCE, &v, NULL) != 0 ||
	    der_take_time(&v, &out->not_before_s) != 0 ||
	    der_take_time(&v, &out->not_after_s) != 0 || v.n != 0 ||
	    der_take_name(
		&in, NULL, out->common_name, sizeof(out->common_name)) != 0)
		return -ERR_INVALID;
	t->middle = between(start, in.p);
	if (take_key(&in, t, &null_2) != 0)
		return -ERR_INVALID;
	t->rest = in;
	t->has_nulls = null_1 && null_2;
	return take_extensions(in, out);
}

/* The TBS as it was signed: with NULL in both AlgorithmIdentifiers. */
static int
signed_form(const struct tbs *t, struct buf *out)
{
	size_t key_at;
	int rc;

	if (t->has_nulls)
		return buf_append(out, t->whole.p, t->whole.n);
	rc = buf_append(out, t->front.p, t->front.n);
	if (rc == 0)
		rc = der_put_algorithm(out, t->algorithm);
	if (rc == 0)
		rc = buf_append(out, t->middle.p, t->middle.n);
	key_at = out->len;
	if (rc == 0)
		rc = der_put_algorithm(out, t->key_algorithm);
	if (rc == 0)
		rc = der_put_bits(out, t->key.p, t->key.n);
	if (rc == 0)
		rc = der_wrap(out, key_at, DER_SEQUENCE);
	if (rc == 0)
		rc = buf_append(out, t->rest.p, t->rest.n);
	return rc != 0 ? rc : der_wrap(out, 0, DER_SEQUENCE);
}

static bool
signature_ok(const char *ca_pem, struct span text, struct span signature)
{
	BIO *bio = BIO_new_mem_buf(ca_pem, -1);
	X509 *ca = NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = false;

	if (bio != NULL)
		ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (ca != NULL && md != NULL &&
	    EVP_PKEY_id(X509_get0_pubkey(ca)) == EVP_PKEY_ED25519 &&
	    EVP_DigestVerifyInit(md, NULL, NULL, NULL, X509_get0_pubkey(ca)) ==
		1)
		ok = EVP_DigestVerify(
			 md, signature.p, signature.n, text.p, text.n) == 1;
	EVP_MD_CTX_free(md);
	X509_free(ca);
	BIO_free(bio);
	ERR_clear_error();
	return ok;
}

static int
check_signature(const struct tbs *t, struct span algorithm,
    struct span signature, const char *ca_pem, struct err *e)
{
	struct buf text;
	bool ok;

	if (!der_equal(algorithm, oid_ed25519, sizeof(oid_ed25519)) ||
	    !der_equal(t->algorithm, oid_ed25519, sizeof(oid_ed25519)) ||
	    signature.n != ED25519_SIGNATURE_BYTES)
		return bad(e, "it is not signed with Ed25519");
	buf_init(&text, XC_MAX_BASE64_BYTES);
	if (signed_form(t, &text) != 0) {
		buf_free(&text);
		return err_nomem(e);
	}
	ok = signature_ok(ca_pem, buf_span(&text), signature);
	buf_free(&text);
	if (ok)
		return 0;
	return err_set(e, ERR_DENIED,
	    "the client certificate was not issued by this operator; remove "
	    "it from ~/.mirrord/credentials to get a new one");
}

static int
verify_der(struct span der, const char *ca_pem, int64_t now_s,
    struct xc_identity *out, struct err *e)
{
	struct span outer, tbs, algorithm, signature;
	struct buf id;
	struct tbs t = {0};
	bool null;
	int rc;

	if (der_take(&der, DER_SEQUENCE, &outer, NULL) != 0 || der.n != 0 ||
	    der_take(&outer, DER_SEQUENCE, &tbs, &t.whole) != 0 ||
	    der_take_algorithm(&outer, &algorithm, &null) != 0 ||
	    der_take_bits(&outer, &signature) != 0 || outer.n != 0)
		return bad(e, "its outer form is wrong");
	if (take_tbs(tbs, &t, out) != 0)
		return bad(e, "its content is wrong");
	rc = check_signature(&t, algorithm, signature, ca_pem, e);
	if (rc != 0)
		return rc;
	if (now_s < out->not_before_s || now_s > out->not_after_s)
		return err_set(e, ERR_TIMEOUT,
		    now_s > out->not_after_s
			? "the client certificate has expired; the next "
			  "command asks for a new one"
			: "the client certificate is not valid yet; check "
			  "the clocks");
	memcpy(out->public_key, t.key.p, XC_KEY_BYTES);
	buf_init(&id, 64);
	rc = str_base64_encode(&id, t.key.p, t.key.n, false);
	if (rc == 0 && buf_cstr(&id) != NULL)
		rc = str_fmt(
		    out->key_id, sizeof(out->key_id), "%s", buf_cstr(&id));
	buf_free(&id);
	return rc == 0 ? 0 : err_nomem(e);
}

int
xc_verify(const char *b64, const char *ca_pem, int64_t now_s,
    struct xc_identity *out, struct err *e)
{
	size_t n = strlen(b64);
	struct buf der;
	int rc;

	memset(out, 0, sizeof(*out));
	if (n == 0 || n > XC_MAX_BASE64_BYTES)
		return bad(e, "it is empty or too long");
	buf_init(&der, XC_MAX_BASE64_BYTES);
	if (str_base64_decode(&der, b64, n) != 0)
		rc = bad(e, "it is not base64");
	else
		rc = verify_der(buf_span(&der), ca_pem, now_s, out, e);
	buf_free(&der);
	return rc;
}
