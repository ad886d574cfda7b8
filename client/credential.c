#include "config.h"

#include "client/credential.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/str.h"

#define CREDENTIALS \
	"/apis/operator.metalbear.co/v1/mirrordclusteroperatorusercredentials"

enum { KEY_BYTES = 32, SIGNATURE_BYTES = 64, PEM_MAX_BYTES = 65536 };

/* ---- the request, DER by hand */

/* Wraps what stands in b in a tag with its length. */
static int
der_wrap(struct buf *b, uint8_t tag)
{
	uint8_t head[4] = {tag};
	size_t n = 2;

	if (b->len < 128) {
		head[1] = (uint8_t)b->len;
	} else if (b->len < 256) {
		head[1] = 0x81;
		head[n++] = (uint8_t)b->len;
	} else {
		head[1] = 0x82;
		head[n++] = (uint8_t)(b->len >> 8);
		head[n++] = (uint8_t)b->len;
	}
	return buf_splice(b, 0, 0, head, n);
}

static int
csr_info(struct buf *info, const char *cn, const uint8_t key[KEY_BYTES])
{
	static const uint8_t version[] = {0x02, 0x01, 0x00};
	static const uint8_t cn_oid[] = {0x06, 0x03, 0x55, 0x04, 0x03};
	static const uint8_t spki[] = {0x30, 0x2c, 0x30, 0x07, 0x06, 0x03, 0x2b,
	    0x65, 0x6e, 0x05, 0x00, 0x03, 0x21, 0x00};
	static const uint8_t attributes[] = {0xa0, 0x00};
	struct buf name, text;
	int rc;

	buf_init(&name, 0);
	buf_init(&text, 0);
	rc = buf_append(&text, cn, strlen(cn));
	rc |= der_wrap(&text, 0x0c);
	rc |= buf_append(&name, cn_oid, sizeof(cn_oid));
	rc |= buf_append(&name, buf_data(&text), text.len);
	rc |= der_wrap(&name, 0x30); /* attribute */
	rc |= der_wrap(&name, 0x31); /* RDN */
	rc |= der_wrap(&name, 0x30); /* name */
	rc |= buf_append(info, version, sizeof(version));
	rc |= buf_append(info, buf_data(&name), name.len);
	rc |= buf_append(info, spki, sizeof(spki));
	rc |= buf_append(info, key, KEY_BYTES);
	rc |= buf_append(info, attributes, sizeof(attributes));
	rc |= der_wrap(info, 0x30);
	buf_free(&name);
	buf_free(&text);
	return rc;
}

static int
csr_sign(struct buf *csr, EVP_PKEY *key)
{
	static const uint8_t algorithm[] = {
	    0x30, 0x07, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x05, 0x00};
	static const uint8_t bits[] = {0x03, 0x41, 0x00};
	uint8_t sig[SIGNATURE_BYTES];
	size_t n = sizeof(sig);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md != NULL &&
		  EVP_DigestSignInit(md, NULL, NULL, NULL, key) == 1 &&
		  EVP_DigestSign(md, sig, &n, buf_data(csr), csr->len) == 1;
	int rc;

	EVP_MD_CTX_free(md);
	if (!ok || n != sizeof(sig))
		return -1;
	rc = buf_append(csr, algorithm, sizeof(algorithm));
	rc |= buf_append(csr, bits, sizeof(bits));
	rc |= buf_append(csr, sig, sizeof(sig));
	return rc | der_wrap(csr, 0x30);
}

int
cli_csr_make(
    const char *common_name, EVP_PKEY *key, struct buf *out, struct err *e)
{
	uint8_t pub[KEY_BYTES];
	size_t n = sizeof(pub);
	struct buf der, b64;
	int rc;

	if (EVP_PKEY_get_raw_public_key(key, pub, &n) != 1)
		return err_set(e, ERR_INTERNAL, "no Ed25519 key");
	buf_init(&der, 0);
	buf_init(&b64, 0);
	rc = csr_info(&der, common_name, pub);
	if (rc == 0)
		rc = csr_sign(&der, key);
	if (rc == 0)
		rc = str_base64_encode(&b64, buf_data(&der), der.len, true);
	if (rc == 0)
		rc = buf_printf(out, "-----BEGIN CERTIFICATE REQUEST-----\r\n");
	for (size_t at = 0; rc == 0 && at < b64.len; at += 64)
		rc = buf_printf(out, "%.*s\r\n",
		    (int)(b64.len - at < 64 ? b64.len - at : 64),
		    (const char *)buf_data(&b64) + at);
	if (rc == 0)
		rc = buf_printf(out, "-----END CERTIFICATE REQUEST-----\r\n");
	buf_free(&der);
	buf_free(&b64);
	return rc == 0 ? 0 : err_nomem(e);
}

/* ---- where certificates are kept */

/* One file per operator and user: key and certificate, PEM. */
static int
store_path(const struct cli_api *api, char *out, size_t cap, struct err *e)
{
	const char *home = getenv("HOME");
	const char *print =
	    json_str(json_at(api->object, "spec.license"), "fingerprint", NULL);
	unsigned char md[SHA256_DIGEST_LENGTH];
	char name[1024], hex[33], dir[512];

	if (print == NULL)
		return err_set(e, ERR_INVALID,
		    "the operator names no license fingerprint");
	if (home == NULL || home[0] == '\0')
		return err_set(e, ERR_INVALID,
		    "HOME is not set; the client certificate is kept there");
	snprintf(name, sizeof(name), "%s\n%s\n%s", print, api->kube.server,
	    api->kube.context);
	SHA256((const unsigned char *)name, strlen(name), md);
	for (size_t i = 0; i < 16; i++)
		snprintf(hex + i * 2, 3, "%02x", md[i]);
	for (int i = 0; i < 2; i++) {
		if (str_fmt(dir, sizeof(dir), "%s/.tributary%s", home,
			i == 0 ? "" : "/credentials") < 0)
			return err_set(e, ERR_INVALID, "HOME is too long");
		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return err_sys(e, errno, "%s", dir);
	}
	return str_fmt(out, cap, "%s/%s.pem", dir, hex) < 0
		   ? err_set(e, ERR_INVALID, "HOME is too long")
		   : 0;
}

/* Sets api->client_der from a certificate that is valid now. */
static bool
use_cert(struct cli_api *api, X509 *cert)
{
	unsigned char *der = NULL;
	struct buf b;
	int n;

	if (cert == NULL ||
	    X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0 ||
	    X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
		return false;
	n = i2d_X509(cert, &der);
	if (n <= 0)
		return false;
	buf_init(&b, 0);
	str_base64_encode(&b, der, (size_t)n, true);
	free(api->client_der);
	api->client_der = buf_take(&b);
	buf_free(&b);
	OPENSSL_free(der);
	return api->client_der != NULL;
}

/* The key and, when valid, the certificate of the open file. */
static bool
store_read(struct cli_api *api, int fd, EVP_PKEY **key_r)
{
	FILE *f = fdopen(dup(fd), "r");
	X509 *cert;
	bool ok;

	*key_r = NULL;
	if (f == NULL)
		return false;
	*key_r = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	cert = *key_r == NULL ? NULL : PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	ok = use_cert(api, cert);
	X509_free(cert);
	return ok;
}

static int
store_write(int fd, EVP_PKEY *key, X509 *cert, const char *path, struct err *e)
{
	FILE *f;
	bool ok;

	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "%s", path);
	f = fdopen(dup(fd), "w");
	if (f == NULL)
		return err_sys(e, errno, "%s", path);
	ok = PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 &&
	     PEM_write_X509(f, cert) == 1;
	if (fclose(f) != 0 || !ok)
		return err_sys(e, errno, "%s", path);
	return 0;
}

static cJSON *
request_object(const struct cli_api *api, EVP_PKEY *key, struct err *e)
{
	char cn[128];
	struct buf csr;
	cJSON *v = cJSON_CreateObject(), *spec;

	str_fmt(cn, sizeof(cn), "%s",
	    api->host_name[0] != '\0' ? api->host_name : "client");
	for (char *c = cn; *c != '\0'; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
	buf_init(&csr, PEM_MAX_BYTES);
	if (v != NULL && cli_csr_make(cn, key, &csr, e) == 0) {
		cJSON_AddStringToObject(
		    v, "apiVersion", "operator.metalbear.co/v1");
		cJSON_AddStringToObject(
		    v, "kind", "MirrordClusterOperatorUserCredential");
		cJSON_AddStringToObject(cJSON_AddObjectToObject(v, "metadata"),
		    "generateName", "mirrord-operator-regular-cred-");
		spec = cJSON_AddObjectToObject(v, "spec");
		cJSON_AddStringToObject(spec, "csr", buf_cstr(&csr));
		cJSON_AddStringToObject(spec, "kind", "regular");
	} else {
		cJSON_Delete(v);
		v = NULL;
	}
	buf_free(&csr);
	return v;
}

static int
credential_make(
    struct cli_api *api, int fd, EVP_PKEY *key, const char *path, struct err *e)
{
	cJSON *ask = request_object(api, key, e);
	cJSON *answer =
	    ask == NULL ? NULL : cli_api_call(api, "POST", CREDENTIALS, ask, e);
	const char *pem =
	    json_str(json_at(answer, "status"), "certificate", NULL);
	BIO *bio = pem == NULL ? NULL : BIO_new_mem_buf(pem, -1);
	X509 *cert =
	    bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
	int rc = answer == NULL ? -(int)e->code : 0;

	if (rc == 0 && !use_cert(api, cert))
		rc = err_set(e, ERR_INVALID,
		    "no valid signed certificate in the operator's answer");
	if (rc == 0)
		rc = store_write(fd, key, cert, path, e);
	X509_free(cert);
	BIO_free(bio);
	cJSON_Delete(answer);
	cJSON_Delete(ask);
	return rc;
}

int
cli_credential_get(struct cli_api *api, struct err *e)
{
	EVP_PKEY *key = NULL;
	char path[600];
	int fd, rc = store_path(api, path, sizeof(path), e);

	if (rc < 0)
		return rc;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	/* Two commands at once ask for one certificate. */
	if (flock(fd, LOCK_EX) < 0 || fchmod(fd, 0600) < 0) {
		rc = err_sys(e, errno, "%s", path);
	} else if (!store_read(api, fd, &key)) {
		if (key == NULL)
			key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		rc = key == NULL
			 ? err_set(e, ERR_INTERNAL, "no key could be made")
			 : credential_make(api, fd, key, path, e);
	}
	EVP_PKEY_free(key);
	close(fd);
	return rc < 0 ? err_wrap(e, "client certificate") : 0;
}
