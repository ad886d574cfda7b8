/*
 * files: certificates that the configuration names or holds. The files belong
 * to the administrator; what they hold goes to workers as PEM.
 */
#include "config.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "config/internal.h"
#include "lib/buf.h"
#include "lib/json.h"
#include "lib/str.h"

enum { MAX_PEM_BYTES = 262144, MAX_TLS_BYTES = 65535 };

/* The file as a text; NULL with the problem reported. Owned. */
static char *
slurp(
    struct cfg_load *l, const struct yml_node *at, const char *path, size_t max)
{
	FILE *f = fopen(path, "re");
	char *text;
	size_t n;

	if (f == NULL) {
		cfg_error(l, at,
		    "%.200s cannot be opened (%s); check the path and its "
		    "permissions.",
		    path, strerror(errno));
		return NULL;
	}
	text = calloc(1, max + 2);
	if (text == NULL) {
		l->nomem = true;
		fclose(f);
		return NULL;
	}
	n = fread(text, 1, max + 1, f);
	if (ferror(f) || n == 0 || n > max || memchr(text, 0, n) != NULL) {
		cfg_error(l, at,
		    "%.200s is empty, too large or not a text file; it must "
		    "hold PEM.",
		    path);
		OPENSSL_cleanse(text, max + 2);
		free(text);
		text = NULL;
	}
	fclose(f);
	return text;
}

static X509 *
first_certificate(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *x = NULL;

	if (bio != NULL)
		x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	ERR_clear_error();
	return x;
}

static bool
has_certificate(const char *pem)
{
	X509 *x = first_certificate(pem);

	X509_free(x);
	return x != NULL;
}

/* A key in an encrypted file is not asked for. */
static int
no_password(char *out, int cap, int writing, void *arg)
{
	(void)out, (void)cap, (void)writing, (void)arg;
	return -1;
}

static EVP_PKEY *
private_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = NULL;

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

static void
set_text(struct cfg_load *l, cJSON *obj, const char *key, const char *text)
{
	cJSON *v = cJSON_CreateString(text);

	if (v == NULL || !cJSON_ReplaceItemInObjectCaseSensitive(obj, key, v)) {
		cJSON_Delete(v);
		l->nomem = true;
	}
}

static const char *
cluster_name(const cJSON *cluster)
{
	const char *name = json_str(cluster, "name", "");

	return name[0] != '\0' ? name : "the cluster";
}

/* base64 of PEM becomes PEM; what is neither stays, to fail when used. */
static void
decode_ca(struct cfg_load *l, cJSON *cluster, size_t i)
{
	const char *ca = json_str(cluster, "caData", "");
	struct buf out;

	buf_init(&out, MAX_PEM_BYTES);
	if (!str_starts(ca, "-----BEGIN") &&
	    str_base64_decode(&out, ca, strlen(ca)) == 0 &&
	    memchr(buf_data(&out), 0, out.len) == NULL &&
	    buf_cstr(&out) != NULL &&
	    strstr((char *)buf_data(&out), "-----BEGIN") != NULL)
		set_text(l, cluster, "caData", buf_cstr(&out));
	buf_free(&out);
	if (!has_certificate(json_str(cluster, "caData", "")))
		cfg_warn(l, cfg_node(l, "clusters[%zu].caData", i),
		    "`caData` holds no certificate, so %.100s cannot be "
		    "reached; put its CA there, as PEM or base64 of PEM.",
		    cluster_name(cluster));
}

static void
read_ca(struct cfg_load *l, cJSON *cluster, size_t i)
{
	const char *file = json_str(cluster, "caFile", "");
	const struct yml_node *at = cfg_node(l, "clusters[%zu].caFile", i);
	char *pem;

	if (file[0] != '\0' && json_str(cluster, "caData", "")[0] != '\0') {
		cfg_error(l, at,
		    "Both `caFile` and `caData` are given; remove one of "
		    "the two.");
		return;
	}
	if (json_str(cluster, "caData", "")[0] != '\0') {
		decode_ca(l, cluster, i);
		return;
	}
	if (file[0] == '\0')
		return;
	pem = slurp(l, at, file, MAX_PEM_BYTES);
	if (pem == NULL)
		return;
	if (has_certificate(pem))
		set_text(l, cluster, "caData", pem);
	else
		cfg_error(l, at,
		    "%.200s holds no PEM certificate; write the CA of %.100s "
		    "there.",
		    file, cluster_name(cluster));
	free(pem);
}

static void
check_tls(
    struct cfg_load *l, cJSON *tls, const char *cert_pem, const char *key_pem)
{
	X509 *cert = first_certificate(cert_pem);
	EVP_PKEY *key = private_key(key_pem);

	if (cert == NULL)
		cfg_error(l, cfg_node(l, "tls.certFile"),
		    "`certFile` holds no PEM certificate; write the serving "
		    "certificate and its chain there.");
	if (key == NULL)
		cfg_error(l, cfg_node(l, "tls.keyFile"),
		    "`keyFile` holds no PEM private key without a password; "
		    "write the key of `certFile` there.");
	if (cert != NULL && key != NULL) {
		if (X509_check_private_key(cert, key) == 1) {
			set_text(l, tls, "certPem", cert_pem);
			set_text(l, tls, "keyPem", key_pem);
		} else {
			cfg_error(l, cfg_node(l, "tls.keyFile"),
			    "The key in `keyFile` is not that of the first "
			    "certificate in `certFile`; give the two that "
			    "belong together.");
		}
	}
	ERR_clear_error();
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void
read_tls(struct cfg_load *l, cJSON *tls)
{
	const char *cert_file = json_str(tls, "certFile", "");
	const char *key_file = json_str(tls, "keyFile", "");
	char *cert, *key;

	if (cert_file[0] == '\0' && key_file[0] == '\0')
		return;
	if (cert_file[0] == '\0' || key_file[0] == '\0') {
		cfg_error(l, cfg_node(l, "tls"),
		    "`certFile` and `keyFile` belong together; give both or "
		    "neither.");
		return;
	}
	cert = slurp(l, cfg_node(l, "tls.certFile"), cert_file, MAX_TLS_BYTES);
	key = slurp(l, cfg_node(l, "tls.keyFile"), key_file, MAX_TLS_BYTES);
	if (cert != NULL && key != NULL)
		check_tls(l, tls, cert, key);
	free(cert);
	if (key != NULL)
		OPENSSL_cleanse(key, strlen(key));
	free(key);
}

void
cfg_read_files(struct cfg_load *l)
{
	cJSON *clusters = cJSON_GetObjectItem(l->tree, "clusters"), *cluster;
	size_t i = 0;

	read_tls(l, cJSON_GetObjectItem(l->tree, "tls"));
	cJSON_ArrayForEach(cluster, clusters) read_ca(l, cluster, i++);
}
