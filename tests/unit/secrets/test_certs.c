/* Requests of the CLI, the certificates made of them, and the CAs. */
#include "config.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/clock.h"
#include "lib/str.h"
#include "protocol/der.h"
#include "protocol/x509_client.h"
#include "tests/unit/secrets/sec_fix.h"
#include "workers/secrets/secrets.h"

static struct span
text_span(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static void
open_cas(struct sec_fix *f, struct sec_ca *login, struct sec_ca *credential)
{
	struct err e;

	memset(login, 0, sizeof(*login));
	memset(credential, 0, sizeof(*credential));
	assert_int_equal(
	    sec_ca_open(login, SEC_CA_LOGIN, f->keys_fd, "t", &e), 0);
	assert_int_equal(
	    sec_ca_open(credential, SEC_CA_CREDENTIAL, f->keys_fd, "t", &e), 0);
}

/* ---- requests ---- */

static void
test_csr_of_the_stock_cli(void **state)
{
	static const struct {
		const char *file, *name;
	} rows[] = {{"regular.csr", "vm"}, {"ci.csr", "mirrord-ci@Lab Org"},
	    {"legacy.csr", "vm"}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char *pem = sec_fix_data(rows[i].file), id[44];
		struct sec_csr csr;
		struct err e;

		assert_int_equal(sec_csr_parse(text_span(pem), &csr, &e), 0);
		assert_string_equal(csr.common_name, rows[i].name);
		sec_key_id(csr.key, id);
		assert_int_equal(strlen(id), 43);
		sec_csr_free(&csr);
		free(pem);
	}
}

/* A well-formed Ed25519 request, as OpenSSL makes them. */
static void
test_csr_of_openssl(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509_REQ *req = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	struct sec_csr csr;
	struct err e;
	char *p;
	long n;

	(void)state;
	X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN",
	    MBSTRING_UTF8, (const unsigned char *)"laptop", -1, -1, 0);
	X509_REQ_set_pubkey(req, key);
	assert_true(X509_REQ_sign(req, key, NULL) > 0);
	PEM_write_bio_X509_REQ(bio, req);
	n = BIO_get_mem_data(bio, &p);
	assert_int_equal(
	    sec_csr_parse((struct span){(uint8_t *)p, (size_t)n}, &csr, &e), 0);
	assert_string_equal(csr.common_name, "laptop");
	sec_csr_free(&csr);
	BIO_free(bio);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
}

static void
test_csr_bad_text(void **state)
{
	static const char *const rows[] = {
	    "",
	    "hello",
	    "-----BEGIN CERTIFICATE REQUEST-----",
	    "-----BEGIN CERTIFICATE REQUEST----------END CERTIFICATE "
	    "REQUEST-----",
	    "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n",
	    "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END "
	    "CERTIFICATE-----",
	    "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
	    "-----BEGIN CERTIFICATE REQUEST-----\n$$$\n-----END CERTIFICATE "
	    "REQUEST-----",
	    "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE "
	    "REQUEST-----",
	    "-----BEGIN CERTIFICATE REQUEST-----\nMIQAAAAA\n-----END "
	    "CERTIFICATE REQUEST-----",
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct sec_csr csr;
		struct err e = {0};

		assert_int_equal(
		    sec_csr_parse(text_span(rows[i]), &csr, &e), -ERR_INVALID);
		assert_true(e.text[0] != '\0');
		assert_null(csr.der.base);
	}
}

static void
to_pem(const uint8_t *p, size_t n, struct buf *out)
{
	buf_clear(out);
	assert_int_equal(
	    buf_printf(out, "-----BEGIN CERTIFICATE REQUEST-----\n"), 0);
	assert_int_equal(str_base64_encode(out, p, n, true), 0);
	assert_int_equal(
	    buf_printf(out, "\n-----END CERTIFICATE REQUEST-----\n"), 0);
}

/* Every single bit of a good request is covered: none may be turned. */
static void
test_csr_every_bit_counts(void **state)
{
	char *pem = sec_fix_data("regular.csr");
	struct buf der, text;

	(void)state;
	buf_init(&der, 0);
	buf_init(&text, 0);
	sec_fix_der(text_span(pem), &der);
	for (size_t bit = 0; bit < der.len * 8; bit++) {
		struct sec_csr csr;
		struct err e;

		buf_data(&der)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		to_pem(buf_data(&der), der.len, &text);
		assert_int_equal(
		    sec_csr_parse(buf_span(&text), &csr, &e), -ERR_INVALID);
		buf_data(&der)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < der.len; n++) {
		struct sec_csr csr;
		struct err e;

		to_pem(buf_data(&der), n, &text);
		assert_int_equal(
		    sec_csr_parse(buf_span(&text), &csr, &e), -ERR_INVALID);
	}
	buf_free(&der);
	buf_free(&text);
	free(pem);
}

/* ---- certificates of the credential CA ---- */

/* As the CLI's library writes it again: `nulls` or none, all else the same. */
static void
reencode(struct span der, bool nulls, struct buf *out)
{
	struct span outer, tbs, oid, bits, spki, v, whole;
	bool had;
	size_t at, key_at;

	assert_int_equal(der_take(&der, DER_SEQUENCE, &outer, NULL), 0);
	assert_int_equal(der_take(&outer, DER_SEQUENCE, &tbs, NULL), 0);
	while (tbs.n > 0) {
		struct span try = tbs;

		if (der_take_algorithm(&try, &oid, &had) == 0) {
			tbs = try;
			at = out->len;
			der_put(out, DER_OID, oid.p, oid.n);
			if (nulls)
				der_put(out, DER_NULL, NULL, 0);
			der_wrap(out, at, DER_SEQUENCE);
			continue;
		}
		assert_int_equal(der_take(&tbs, der_peek(tbs), &v, &whole), 0);
		spki = v;
		if (whole.p[0] == DER_SEQUENCE &&
		    der_take_algorithm(&spki, &oid, &had) == 0 &&
		    der_take_bits(&spki, &bits) == 0) {
			key_at = out->len;
			der_put(out, DER_OID, oid.p, oid.n);
			if (nulls)
				der_put(out, DER_NULL, NULL, 0);
			der_wrap(out, key_at, DER_SEQUENCE);
			der_put_bits(out, bits.p, bits.n);
			der_wrap(out, key_at, DER_SEQUENCE);
			continue;
		}
		assert_int_equal(buf_append(out, whole.p, whole.n), 0);
	}
	der_wrap(out, 0, DER_SEQUENCE);
	assert_int_equal(der_take_algorithm(&outer, &oid, &had), 0);
	assert_int_equal(der_take_bits(&outer, &bits), 0);
	at = out->len;
	der_put(out, DER_OID, oid.p, oid.n);
	if (nulls)
		der_put(out, DER_NULL, NULL, 0);
	der_wrap(out, at, DER_SEQUENCE);
	der_put_bits(out, bits.p, bits.n);
	der_wrap(out, 0, DER_SEQUENCE);
}

static void
issue(const struct sec_ca *ca, const char *file, const char *kind,
    int64_t from_s, int64_t to_s, struct buf *pem)
{
	char *csr_pem = sec_fix_data(file);
	struct sec_credential c = {.kind = kind,
	    .user = "ada",
	    .not_before_s = from_s,
	    .not_after_s = to_s};
	struct sec_csr csr;
	struct err e;

	assert_int_equal(sec_csr_parse(text_span(csr_pem), &csr, &e), 0);
	c.csr = &csr;
	assert_int_equal(sec_serial_new(c.serial), 0);
	assert_int_equal(sec_sign_credential(ca, &c, pem, &e), 0);
	sec_csr_free(&csr);
	free(csr_pem);
}

static int
verify(struct span der, const struct sec_ca *ca, struct xc_identity *id,
    struct err *e)
{
	struct buf b64, pem = ca->pem;
	int rc;

	buf_init(&b64, 0);
	assert_int_equal(str_base64_encode(&b64, der.p, der.n, true), 0);
	rc = xc_verify(buf_cstr(&b64), buf_cstr(&pem), clock_wall_s(), id, e);
	buf_free(&b64);
	return rc;
}

static void
test_credential_comes_back_as_it_went(void **state)
{
	struct sec_ca login, ca;
	struct xc_identity id;
	struct buf pem, der, again, bare;
	struct sec_fix f;
	int64_t now_s = clock_wall_s();
	struct err e;

	(void)state;
	sec_fix_init(&f);
	open_cas(&f, &login, &ca);
	buf_init(&pem, 0);
	buf_init(&der, 0);
	buf_init(&again, 0);
	buf_init(&bare, 0);
	issue(&ca, "ci.csr", "ci", now_s - 3600, now_s + 3600, &pem);
	assert_non_null(strstr(buf_cstr(&pem), "-----\r\n"));
	sec_fix_der(buf_span(&pem), &der);
	reencode(buf_span(&der), true, &again);
	assert_int_equal(again.len, der.len);
	assert_memory_equal(buf_data(&again), buf_data(&der), der.len);
	reencode(buf_span(&der), false, &bare);
	assert_int_equal(bare.len, der.len - 6);
	/* the two forms name the same owner */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    verify(i == 0 ? buf_span(&der) : buf_span(&bare), &ca, &id,
			&e),
		    0);
		assert_string_equal(id.common_name, "mirrord-ci@Lab Org");
		assert_string_equal(id.kind, "ci");
		assert_string_equal(id.user, "ada");
		assert_string_equal(
		    id.key_id, "e26++9rcJuTKN4PbzO+z5W8jx+5r7y+9goRYWgRdukk");
		assert_int_equal(strlen(id.serial), 32);
		assert_true(id.not_after_s == now_s + 3600);
	}
	buf_free(&pem);
	buf_free(&der);
	buf_free(&again);
	buf_free(&bare);
	sec_ca_free(&login);
	sec_ca_free(&ca);
	sec_fix_deinit(&f);
}

static void
test_credential_is_x509(void **state)
{
	struct sec_ca login, ca;
	struct sec_fix f;
	struct buf pem;
	X509 *x;

	(void)state;
	sec_fix_init(&f);
	open_cas(&f, &login, &ca);
	buf_init(&pem, 0);
	/* beyond 2050 the form of the time changes */
	issue(&ca, "regular.csr", "regular", 1700000000, 2600000000, &pem);
	x = sec_fix_x509(buf_span(&pem));
	assert_int_equal(X509_get_version(x), 2);
	assert_int_equal(
	    ASN1_STRING_type(X509_get0_notBefore(x)), V_ASN1_UTCTIME);
	assert_int_equal(
	    ASN1_STRING_type(X509_get0_notAfter(x)), V_ASN1_GENERALIZEDTIME);
	assert_int_equal(X509_NAME_cmp(X509_get_issuer_name(x),
			     X509_get_subject_name(ca.cert)),
	    0);
	X509_free(x);
	buf_free(&pem);
	sec_ca_free(&login);
	sec_ca_free(&ca);
	sec_fix_deinit(&f);
}

static void
test_credential_refused(void **state)
{
	static const struct {
		int64_t from_s, to_s; /* from now */
		int code;
	} rows[] = {{-7200, -3600, ERR_TIMEOUT}, {3600, 7200, ERR_TIMEOUT},
	    {-3600, 3600, ERR_OK}};
	char *foreign = sec_fix_data("foreign.b64");
	struct sec_ca login, ca;
	struct xc_identity id;
	struct sec_fix f;
	struct err e;

	(void)state;
	sec_fix_init(&f);
	open_cas(&f, &login, &ca);
	for (size_t i = 0; i < N_OF(rows); i++) {
		int64_t now_s = clock_wall_s();
		struct buf pem, der;

		buf_init(&pem, 0);
		buf_init(&der, 0);
		issue(&ca, "regular.csr", "regular", now_s + rows[i].from_s,
		    now_s + rows[i].to_s, &pem);
		sec_fix_der(buf_span(&pem), &der);
		assert_int_equal(
		    verify(buf_span(&der), &ca, &id, &e), -rows[i].code);
		/* the login CA's certificate verifies nothing here */
		assert_int_equal(
		    verify(buf_span(&der), &login, &id, &e), -ERR_DENIED);
		buf_free(&pem);
		buf_free(&der);
	}
	foreign[strcspn(foreign, "\n")] = '\0';
	assert_int_equal(
	    xc_verify(foreign, buf_cstr(&ca.pem), clock_wall_s(), &id, &e),
	    -ERR_DENIED);
	free(foreign);
	sec_ca_free(&login);
	sec_ca_free(&ca);
	sec_fix_deinit(&f);
}

/* No bit may be turned but those nobody reads. */
static void
test_credential_every_bit_counts(void **state)
{
	struct sec_ca login, ca;
	int64_t now_s = clock_wall_s();
	struct xc_identity id;
	struct buf pem, der;
	struct sec_fix f;
	struct err e;

	(void)state;
	sec_fix_init(&f);
	open_cas(&f, &login, &ca);
	buf_init(&pem, 0);
	buf_init(&der, 0);
	issue(&ca, "regular.csr", "regular", now_s - 10, now_s + 3600, &pem);
	sec_fix_der(buf_span(&pem), &der);
	for (size_t bit = 0; bit < der.len * 8; bit += 3) {
		buf_data(&der)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(verify(buf_span(&der), &ca, &id, &e) < 0);
		buf_data(&der)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < der.len; n += 5)
		assert_true(
		    verify((struct span){buf_data(&der), n}, &ca, &id, &e) < 0);
	buf_free(&pem);
	buf_free(&der);
	sec_ca_free(&login);
	sec_ca_free(&ca);
	sec_fix_deinit(&f);
}

static void
test_client_der_bad_text(void **state)
{
	static const char *const rows[] = {"", "=", "AAAA", "MAA=", "%%%",
	    "MIIB", "MIHYMIGJoAMCAQICAxEiMzAHBgMrZXAFADAX"};
	struct xc_identity id;
	struct err e;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(
		    xc_verify(rows[i], "no CA", 0, &id, &e), -ERR_INVALID);
}

/* ---- the authorities ---- */

static void
test_ca_outlives_a_restart(void **state)
{
	static const char *const files[] = {"keys/login-ca.key",
	    "keys/login-ca.crt", "keys/credential-ca.key",
	    "keys/credential-ca.crt"};
	struct sec_ca a[2], b[2];
	struct sec_fix f;
	struct stat st;
	char path[128];

	(void)state;
	sec_fix_init(&f);
	open_cas(&f, &a[0], &a[1]);
	open_cas(&f, &b[0], &b[1]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(X509_cmp(a[i].cert, b[i].cert), 0);
		assert_int_equal(EVP_PKEY_eq(a[i].key, b[i].key), 1);
		assert_int_equal(X509_check_ca(a[i].cert), 1);
		assert_true(
		    (X509_get_key_usage(a[i].cert) & KU_KEY_CERT_SIGN) != 0);
		sec_ca_free(&a[i]);
		sec_ca_free(&b[i]);
	}
	for (size_t i = 0; i < N_OF(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", f.dir, files[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	sec_fix_deinit(&f);
}

/* Damage is told and never papered over with a new CA. */
static void
test_ca_damaged(void **state)
{
	static const struct {
		const char *file, *text;
	} rows[] = {{"keys/login-ca.crt", NULL}, {"keys/login-ca.crt", "x"},
	    {"keys/login-ca.key", ""}, {"keys/login-ca.key", "-----BEGIN"}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct sec_ca a, b;
		struct sec_fix f;
		struct err e;

		sec_fix_init(&f);
		open_cas(&f, &a, &b);
		sec_ca_free(&a);
		sec_ca_free(&b);
		sec_fix_write(&f, rows[i].file, rows[i].text);
		assert_true(
		    sec_ca_open(&a, SEC_CA_LOGIN, f.keys_fd, "t", &e) < 0);
		sec_ca_free(&a);
		sec_fix_deinit(&f);
	}
}

static bool
chain_ok(const struct sec_ca *ca, X509 *leaf, int purpose, const char *host)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok;

	X509_STORE_add_cert(store, ca->cert);
	X509_STORE_CTX_init(ctx, store, leaf, NULL);
	X509_STORE_CTX_set_purpose(ctx, purpose);
	X509_VERIFY_PARAM_set_flags(
	    X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
	ok = X509_verify_cert(ctx) == 1;
	if (ok && host != NULL)
		ok = X509_check_host(leaf, host, 0, 0, NULL) == 1 ||
		     X509_check_ip_asc(leaf, host, 0) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return ok;
}

static X509 *
leaf_new(const struct sec_ca *ca, const cJSON *hosts, const cJSON *groups)
{
	struct sec_leaf leaf = {
	    .user = "ada", .groups = groups, .hosts = hosts, .ttl_s = 3600};
	char serial[SEC_HEX_SERIAL_BYTES], text[SEC_HEX_SERIAL_BYTES];
	int64_t expires_s;
	struct buf pem;
	struct err e;
	X509 *x;

	leaf.key = EVP_EC_gen("P-256");
	buf_init(&pem, 0);
	assert_int_equal(
	    sec_sign_leaf(ca, &leaf, &pem, serial, &expires_s, &e), 0);
	x = sec_fix_x509(buf_span(&pem));
	sec_serial_text(x, text);
	assert_string_equal(text, serial);
	assert_true(serial[0] != '0');
	buf_free(&pem);
	EVP_PKEY_free(leaf.key);
	return x;
}

static void
test_leaves(void **state)
{
	cJSON *config =
	    cJSON_Parse("{\"advertise\": \"https://hub.lab:8443\", \"listen\": "
			"[\"[fd00::1]:8443\", \"0.0.0.0:1\"], \"serverNames\": "
			"[\"10.9.0.1\", \"hub.lab\"]}");
	static const char *const good[] = {
	    "hub.lab", "fd00::1", "10.9.0.1", "localhost", "127.0.0.1"};
	cJSON *hosts = sec_server_hosts(config);
	cJSON *groups = cJSON_Parse("[\"dev\", \"ops\"]");
	struct sec_ca login, credential;
	struct sec_fix f;
	X509 *server, *user;

	(void)state;
	sec_fix_init(&f);
	open_cas(&f, &login, &credential);
	assert_int_equal(cJSON_GetArraySize(hosts), 6);
	server = leaf_new(&login, hosts, NULL);
	user = leaf_new(&login, NULL, groups);
	for (size_t i = 0; i < N_OF(good); i++)
		assert_true(
		    chain_ok(&login, server, X509_PURPOSE_SSL_SERVER, good[i]));
	assert_false(
	    chain_ok(&login, server, X509_PURPOSE_SSL_SERVER, "other"));
	assert_false(
	    chain_ok(&login, server, X509_PURPOSE_SSL_SERVER, "0.0.0.0"));
	assert_false(chain_ok(&login, server, X509_PURPOSE_SSL_CLIENT, NULL));
	assert_true(chain_ok(&login, user, X509_PURPOSE_SSL_CLIENT, NULL));
	assert_false(chain_ok(&login, user, X509_PURPOSE_SSL_SERVER, NULL));
	assert_false(
	    chain_ok(&credential, user, X509_PURPOSE_SSL_CLIENT, NULL));
	assert_int_equal(X509_check_ca(user), 0);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(user)), 3);
	X509_free(server);
	X509_free(user);
	cJSON_Delete(config);
	cJSON_Delete(hosts);
	cJSON_Delete(groups);
	sec_ca_free(&login);
	sec_ca_free(&credential);
	sec_fix_deinit(&f);
}

static void
test_public_keys(void **state)
{
	EVP_PKEY *keys[] = {EVP_EC_gen("P-256"), EVP_EC_gen("P-384"),
	    EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_RSA_gen(2048),
	    EVP_RSA_gen(1024), EVP_EC_gen("secp256k1"), EVP_EC_gen("P-224"),
	    EVP_PKEY_Q_keygen(NULL, NULL, "X25519")};
	static const bool good[] = {
	    true, true, true, true, false, false, false, false};
	struct err e;

	(void)state;
	for (size_t i = 0; i < N_OF(keys); i++) {
		EVP_PKEY *key;
		struct buf der;

		buf_init(&der, 0);
		sec_fix_spki(keys[i], &der);
		key = sec_public_key(buf_span(&der), &e);
		assert_int_equal(key != NULL, good[i]);
		EVP_PKEY_free(key);
		/* one byte more, one byte less */
		assert_int_equal(buf_append_u8(&der, 0), 0);
		assert_null(sec_public_key(buf_span(&der), &e));
		der.len -= 2;
		assert_null(sec_public_key(buf_span(&der), &e));
		buf_free(&der);
		EVP_PKEY_free(keys[i]);
	}
	assert_null(sec_public_key((struct span){NULL, 0}, &e));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_csr_of_the_stock_cli),
	    cmocka_unit_test(test_csr_of_openssl),
	    cmocka_unit_test(test_csr_bad_text),
	    cmocka_unit_test(test_csr_every_bit_counts),
	    cmocka_unit_test(test_credential_comes_back_as_it_went),
	    cmocka_unit_test(test_credential_is_x509),
	    cmocka_unit_test(test_credential_refused),
	    cmocka_unit_test(test_credential_every_bit_counts),
	    cmocka_unit_test(test_client_der_bad_text),
	    cmocka_unit_test(test_ca_outlives_a_restart),
	    cmocka_unit_test(test_ca_damaged),
	    cmocka_unit_test(test_leaves),
	    cmocka_unit_test(test_public_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
