/*
 * ca: the two certificate authorities (design §8).
 *
 * The login CA has a P-256 key, which OpenSSL, Go and rustls all take; the
 * credential CA an Ed25519 key, because the certificates the CLI asks for
 * must have no algorithm parameters but NULL (spec/operator-api.md §7.5).
 */
#include "config.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/secrets/secrets.h"

enum { CA_TTL_DAYS = 3650, CLOCK_SLACK_S = 3600 };

static const struct {
	const char *title;
	const char *key_file;
	const char *cert_file;
	const char *algorithm;
	const char *group;
} kinds[] = {
    [SEC_CA_LOGIN] = {"login CA", "login-ca.key", "login-ca.crt", "EC",
	"P-256"},
    [SEC_CA_CREDENTIAL] = {"credential CA", "credential-ca.key",
	"credential-ca.crt", "ED25519", NULL},
};

static int
no_password(char *out, int cap, int writing, void *arg)
{
	(void)out;
	(void)cap;
	(void)writing;
	(void)arg;
	return -1;
}

static int
add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	int ok = x != NULL && X509_add_ext(cert, x, -1) == 1;

	X509_EXTENSION_free(x);
	return ok;
}

static int
fill(X509 *cert, EVP_PKEY *key, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	uint8_t serial[SEC_SERIAL_BYTES];
	BIGNUM *bn = NULL;
	X509V3_CTX ctx;
	int ok;

	if (sec_serial_new(serial) == 0)
		bn = BN_bin2bn(serial, sizeof(serial), NULL);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	ok = bn != NULL && X509_set_version(cert, 2) == 1 &&
	     BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL &&
	     X509_gmtime_adj(X509_getm_notBefore(cert), -CLOCK_SLACK_S) &&
	     X509_time_adj_ex(X509_getm_notAfter(cert), CA_TTL_DAYS, 0, NULL) &&
	     X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
		 (const unsigned char *)name, -1, -1, 0) == 1 &&
	     X509_set_issuer_name(cert, subject) == 1 &&
	     X509_set_pubkey(cert, key) == 1 &&
	     add_extension(cert, &ctx, NID_basic_constraints,
		 "critical,CA:TRUE,pathlen:0") &&
	     add_extension(
		 cert, &ctx, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	     add_extension(cert, &ctx, NID_subject_key_identifier, "hash");
	BN_free(bn);
	return ok;
}

static X509 *
self_signed(EVP_PKEY *key, const char *name)
{
	/* Ed25519 brings its own digest */
	const EVP_MD *md =
	    EVP_PKEY_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
	X509 *cert = X509_new();

	if (cert != NULL && fill(cert, key, name) &&
	    X509_sign(cert, key, md) > 0)
		return cert;
	X509_free(cert);
	return NULL;
}

static int
write_key(int keys_fd, const char *file, EVP_PKEY *key, struct err *e)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *p = NULL;
	long n = 0;
	int rc;

	if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(
			       bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		n = BIO_get_mem_data(bio, &p);
	rc = n > 0 ? sec_file_write(keys_fd, file, p, (size_t)n, e)
		   : err_nomem(e);
	if (n > 0)
		OPENSSL_cleanse(p, (size_t)n);
	BIO_free(bio);
	return rc;
}

/* The certificate's PEM into ca->pem. */
static int
to_pem(struct sec_ca *ca)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n = 0;
	int rc = -ERR_NOMEM;

	if (bio != NULL && PEM_write_bio_X509(bio, ca->cert) == 1)
		n = BIO_get_mem_data(bio, &p);
	if (n > 0)
		rc = buf_append(&ca->pem, p, (size_t)n);
	BIO_free(bio);
	return rc;
}

static int
make(struct sec_ca *ca, enum sec_ca_kind kind, int keys_fd,
    const char *instance, struct err *e)
{
	char name[128];
	int rc;

	(void)str_fmt(name, sizeof(name), "Tributary %s %.40s",
	    kinds[kind].title, instance);
	ca->key = kinds[kind].group != NULL
		      ? EVP_PKEY_Q_keygen(NULL, NULL, kinds[kind].algorithm,
			    kinds[kind].group)
		      : EVP_PKEY_Q_keygen(NULL, NULL, kinds[kind].algorithm);
	if (ca->key != NULL)
		ca->cert = self_signed(ca->key, name);
	if (ca->cert == NULL || to_pem(ca) != 0)
		return err_set(e, ERR_INTERNAL, "making the %s failed: %s",
		    kinds[kind].title, ERR_error_string(ERR_get_error(), NULL));
	/* the key last: without it, both are made anew */
	rc = sec_file_write(
	    keys_fd, kinds[kind].cert_file, buf_data(&ca->pem), ca->pem.len, e);
	if (rc == 0)
		rc = write_key(keys_fd, kinds[kind].key_file, ca->key, e);
	if (rc == 0)
		log_info("made the %s", kinds[kind].title);
	return rc;
}

static int
parse(struct sec_ca *ca, enum sec_ca_kind kind, struct buf *key_pem,
    struct err *e)
{
	BIO *key = BIO_new_mem_buf(buf_data(key_pem), (int)key_pem->len);
	BIO *cert = BIO_new_mem_buf(buf_data(&ca->pem), (int)ca->pem.len);

	if (key != NULL)
		ca->key = PEM_read_bio_PrivateKey(key, NULL, no_password, NULL);
	if (cert != NULL)
		ca->cert = PEM_read_bio_X509(cert, NULL, no_password, NULL);
	BIO_free(key);
	BIO_free(cert);
	if (ca->key != NULL && ca->cert != NULL &&
	    X509_check_private_key(ca->cert, ca->key) == 1)
		return 0;
	ERR_clear_error();
	return err_set(e, ERR_INVALID,
	    "keys/%s and keys/%s do not belong together or are damaged; "
	    "restore them, or remove both to start with a new %s (all its "
	    "certificates end)",
	    kinds[kind].key_file, kinds[kind].cert_file, kinds[kind].title);
}

int
sec_ca_open(struct sec_ca *ca, enum sec_ca_kind kind, int keys_fd,
    const char *instance, struct err *e)
{
	struct buf key;
	int rc;

	buf_init(&key, SEC_MAX_FILE_BYTES + 1);
	buf_init(&ca->pem, SEC_MAX_FILE_BYTES + 1);
	rc = sec_file_read(
	    keys_fd, kinds[kind].key_file, SEC_MAX_FILE_BYTES, &key, e);
	if (rc == -ERR_NOT_FOUND)
		return make(ca, kind, keys_fd, instance, e);
	if (rc == 0)
		rc = sec_file_read(keys_fd, kinds[kind].cert_file,
		    SEC_MAX_FILE_BYTES, &ca->pem, e);
	if (rc == 0)
		rc = parse(ca, kind, &key, e);
	sec_buf_wipe(&key);
	return rc;
}

void
sec_ca_free(struct sec_ca *ca)
{
	EVP_PKEY_free(ca->key);
	X509_free(ca->cert);
	buf_free(&ca->pem);
	memset(ca, 0, sizeof(*ca));
}
