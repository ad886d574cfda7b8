/*
 * Certificates that our CA did sign but that are not what they should be: the
 * content is checked as well as the signature.
 */
#include "config.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "lib/str.h"
#include "protocol/der.h"
#include "protocol/x509_client.h"
#include "tests/unit/unit.h"

static const uint8_t ed25519[] = {0x2b, 0x65, 0x70};
static const uint8_t x25519[] = {0x2b, 0x65, 0x6e};
static const uint8_t rsa[] = {0x2a, 0x86, 0x48};
static const uint8_t common_name[] = {0x55, 0x04, 0x03};

/* What is put into one certificate; the zero value is a good one. */
struct recipe {
	const char *title;
	int code; /* wanted from xc_verify */
	bool no_version, v4, no_serial, negative_serial, long_serial;
	bool no_name, no_validity, swapped_times, trailing, outer_trailing;
	bool short_key, x25519_key, rsa_key, rsa_signature, bare_key;
	bool no_extensions, empty_kind, odd_extension, critical, twice;
	bool broken_extension, nul_user;
	int64_t from_s, to_s;
};

struct ca {
	EVP_PKEY *key;
	char *pem;
};

static void
ca_init(struct ca *ca)
{
	X509 *x = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	long n;

	ca->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	assert_int_equal(X509_set_pubkey(x, ca->key), 1);
	assert_true(X509_sign(x, ca->key, NULL) > 0);
	PEM_write_bio_X509(bio, x);
	n = BIO_get_mem_data(bio, &p);
	ca->pem = strndup(p, (size_t)n);
	BIO_free(bio);
	X509_free(x);
}

static void
ca_free(struct ca *ca)
{
	EVP_PKEY_free(ca->key);
	free(ca->pem);
}

static void
put_algorithm(struct buf *b, const uint8_t *oid, bool bare)
{
	size_t at = b->len;

	if (!bare) {
		der_put_algorithm(b, (struct span){oid, 3});
		return;
	}
	der_put(b, DER_OID, oid, 3);
	der_wrap(b, at, DER_SEQUENCE);
}

static void
put_name(struct buf *b, const char *text)
{
	size_t at = b->len;

	der_put(b, DER_OID, common_name, sizeof(common_name));
	der_put(b, DER_UTF8_STRING, text, strlen(text));
	der_wrap(b, at, DER_SEQUENCE);
	der_wrap(b, at, DER_SET);
	der_wrap(b, at, DER_SEQUENCE);
}

static void
put_front(struct buf *b, const struct recipe *r)
{
	static const uint8_t serial[40] = {1};
	const uint8_t version = r->v4 ? 3 : 2, negative = 0x80;
	size_t at = b->len;

	if (!r->no_version) {
		der_put(b, DER_INTEGER, &version, 1);
		der_wrap(b, at, DER_CTX_0);
	}
	if (r->negative_serial)
		der_put(b, DER_INTEGER, &negative, 1);
	else if (!r->no_serial)
		der_put(b, DER_INTEGER, serial, r->long_serial ? 40 : 8);
}

static void
put_key(struct buf *b, const struct recipe *r)
{
	static const uint8_t key[32] = {7};
	size_t at = b->len;

	put_algorithm(b,
	    r->x25519_key ? x25519
	    : r->rsa_key  ? rsa
			  : ed25519,
	    r->bare_key);
	der_put_bits(b, key, r->short_key ? 31 : 32);
	der_wrap(b, at, DER_SEQUENCE);
}

static void
put_identity(struct buf *b, const struct recipe *r)
{
	static const uint8_t yes = 0xff;
	size_t at = b->len, value;

	der_put(b, DER_OID, xc_identity_oid,
	    r->odd_extension ? XC_OID_BYTES - 1 : XC_OID_BYTES);
	if (r->critical)
		der_put(b, DER_BOOLEAN, &yes, 1);
	value = b->len;
	der_put(b, DER_UTF8_STRING, "regular", r->empty_kind ? 0 : 7);
	if (r->nul_user)
		der_put(b, DER_UTF8_STRING, "a\0b", 3);
	else if (!r->broken_extension)
		der_put(b, DER_UTF8_STRING, "ada", 3);
	der_wrap(b, value, DER_SEQUENCE);
	der_wrap(b, value, DER_OCTET_STRING);
	der_wrap(b, at, DER_SEQUENCE);
}

static void
put_tbs(struct buf *b, const struct recipe *r)
{
	size_t at;

	put_front(b, r);
	put_algorithm(b, r->rsa_signature ? rsa : ed25519, false);
	put_name(b, "the CA");
	at = b->len;
	if (!r->no_validity) {
		der_put_time(b, r->swapped_times ? 2000 : 1000 + r->from_s);
		der_put_time(b, r->swapped_times ? 1000 : 2000 + r->to_s);
		der_wrap(b, at, DER_SEQUENCE);
	}
	if (!r->no_name)
		put_name(b, "laptop");
	put_key(b, r);
	at = b->len;
	if (!r->no_extensions) {
		put_identity(b, r);
		if (r->twice)
			put_identity(b, r);
		der_wrap(b, at, DER_SEQUENCE);
		der_wrap(b, at, DER_CTX_3);
	}
	if (r->trailing)
		der_put(b, DER_NULL, NULL, 0);
	der_wrap(b, 0, DER_SEQUENCE);
}

static void
sign(struct buf *b, const struct recipe *r, EVP_PKEY *key)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t signature[64];
	size_t n = sizeof(signature);

	assert_int_equal(EVP_DigestSignInit(md, NULL, NULL, NULL, key), 1);
	assert_int_equal(
	    EVP_DigestSign(md, signature, &n, buf_data(b), b->len), 1);
	put_algorithm(b, ed25519, false);
	der_put_bits(b, signature, n);
	if (r->outer_trailing)
		der_put(b, DER_NULL, NULL, 0);
	der_wrap(b, 0, DER_SEQUENCE);
	EVP_MD_CTX_free(md);
}

static int
verify(const struct recipe *r, const struct ca *ca, struct xc_identity *id)
{
	struct buf der, b64;
	struct err e;
	int rc;

	buf_init(&der, 0);
	buf_init(&b64, 0);
	put_tbs(&der, r);
	sign(&der, r, ca->key);
	assert_int_equal(
	    str_base64_encode(&b64, buf_data(&der), der.len, true), 0);
	rc = xc_verify(buf_cstr(&b64), ca->pem, 1500, id, &e);
	if (rc != 0)
		assert_true(strlen(e.text) > 10);
	buf_free(&der);
	buf_free(&b64);
	return rc;
}

static void
test_good(void **state)
{
	static const struct recipe rows[] = {{.title = "plain"},
	    {.title = "the other identifier", .x25519_key = true},
	    {.title = "critical", .critical = true},
	    {.title = "foreign extension", .odd_extension = true},
	    {.title = "none", .no_extensions = true}};
	struct ca ca;

	(void)state;
	ca_init(&ca);
	for (size_t i = 0; i < N_OF(rows); i++) {
		bool ours = !rows[i].odd_extension && !rows[i].no_extensions;
		struct xc_identity id;

		assert_int_equal(verify(&rows[i], &ca, &id), 0);
		assert_string_equal(id.common_name, "laptop");
		assert_string_equal(id.kind, ours ? "regular" : "");
		assert_string_equal(id.user, ours ? "ada" : "");
		assert_string_equal(id.serial, "100000000000000");
		assert_int_equal(id.public_key[0], 7);
		assert_int_equal(id.not_before_s, 1000);
		assert_int_equal(id.not_after_s, 2000);
	}
	ca_free(&ca);
}

static void
test_bad(void **state)
{
	static const struct recipe rows[] = {
	    {"no version", ERR_INVALID, .no_version = true},
	    {"version 4", ERR_INVALID, .v4 = true},
	    {"no serial", ERR_INVALID, .no_serial = true},
	    {"negative serial", ERR_INVALID, .negative_serial = true},
	    {"long serial", ERR_INVALID, .long_serial = true},
	    {"no name", ERR_INVALID, .no_name = true},
	    {"no validity", ERR_INVALID, .no_validity = true},
	    {"ends before it begins", ERR_TIMEOUT, .swapped_times = true},
	    {"not yet", ERR_TIMEOUT, .from_s = 600, .to_s = 600},
	    {"no more", ERR_TIMEOUT, .from_s = -600, .to_s = -600},
	    {"trailing", ERR_INVALID, .trailing = true},
	    {"outer trailing", ERR_INVALID, .outer_trailing = true},
	    {"short key", ERR_INVALID, .short_key = true},
	    {"rsa key", ERR_INVALID, .rsa_key = true},
	    {"rsa signature", ERR_INVALID, .rsa_signature = true},
	    /* signed without the NULL: our CA never did */
	    {"bare key", ERR_DENIED, .bare_key = true},
	    {"half an extension", ERR_INVALID, .broken_extension = true},
	    {"NUL in the user", ERR_INVALID, .nul_user = true},
	};
	struct ca ca;

	(void)state;
	ca_init(&ca);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct xc_identity id;
		int rc = verify(&rows[i], &ca, &id);

		if (rc != -rows[i].code)
			fail_msg("%s: %d", rows[i].title, rc);
	}
	ca_free(&ca);
}

/* Another CA, a CA of another kind, and no CA at all. */
static void
test_wrong_ca(void **state)
{
	static const struct recipe good = {.title = "good"};
	struct xc_identity id;
	struct ca ca, other;
	EVP_PKEY *key;

	(void)state;
	ca_init(&ca);
	ca_init(&other);
	key = other.key;
	other.key = ca.key;
	assert_int_equal(verify(&good, &other, &id), -ERR_DENIED);
	other.key = key;
	free(other.pem);
	other.pem = strdup("-----BEGIN CERTIFICATE-----\n");
	assert_int_equal(verify(&good, &other, &id), -ERR_DENIED);
	free(other.pem);
	other.pem = strdup("");
	assert_int_equal(verify(&good, &other, &id), -ERR_DENIED);
	ca_free(&ca);
	ca_free(&other);
}

static void
test_too_long(void **state)
{
	char *text = malloc(XC_MAX_BASE64_BYTES + 2);
	struct xc_identity id;
	struct err e;

	(void)state;
	memset(text, 'A', XC_MAX_BASE64_BYTES + 1);
	text[XC_MAX_BASE64_BYTES + 1] = '\0';
	assert_int_equal(xc_verify(text, "", 0, &id, &e), -ERR_INVALID);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_wrong_ca),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
