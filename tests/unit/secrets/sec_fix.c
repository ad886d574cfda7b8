#include "config.h"

#include "tests/unit/secrets/sec_fix.h"

#include <fcntl.h>
#include <ftw.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/str.h"

void
sec_fix_init(struct sec_fix *f)
{
	char path[128];

	strcpy(f->dir, "/tmp/test_secrets.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir,
		    i == 0 ? "credentials" : "keys");
		assert_int_equal(mkdir(path, 0700), 0);
	}
	f->keys_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->keys_fd >= 0);
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void
sec_fix_deinit(struct sec_fix *f)
{
	close(f->keys_fd);
	assert_int_equal(nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void
sec_fix_write(const struct sec_fix *f, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	if (text == NULL) {
		assert_int_equal(remove(path), 0);
		return;
	}
	if (strchr(name, '/') != NULL) {
		char *slash = strrchr(path, '/');

		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
}

char *
sec_fix_data(const char *name)
{
	char path[512], *text = calloc(1, 65536);
	FILE *f;

	assert_non_null(text);
	snprintf(path, sizeof(path), TRIB_SRCDIR "/tests/unit/secrets/data/%s",
	    name);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}

void
sec_fix_der(struct span pem, struct buf *der)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	char *name, *header;
	unsigned char *p;
	long n;

	assert_int_equal(PEM_read_bio(bio, &name, &header, &p, &n), 1);
	assert_int_equal(buf_append(der, p, (size_t)n), 0);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(p);
	BIO_free(bio);
}

X509 *
sec_fix_x509(struct span pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(x);
	return x;
}

void
sec_fix_spki(EVP_PKEY *key, struct buf *out)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	assert_true(n > 0);
	assert_int_equal(buf_append(out, der, (size_t)n), 0);
	OPENSSL_free(der);
}

static void
take_bio(BIO *bio, struct buf *out)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	assert_true(n > 0);
	assert_int_equal(buf_append(out, p, (size_t)n), 0);
	BIO_free(bio);
}

void
sec_fix_pair(int days, struct buf *cert, struct buf *key)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *a = BIO_new(BIO_s_mem()), *b = BIO_new(BIO_s_mem());

	assert_non_null(pkey);
	assert_non_null(x);
	X509_gmtime_adj(X509_getm_notBefore(x), -86400L * 10);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400L * days);
	assert_int_equal(X509_set_pubkey(x, pkey), 1);
	assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(a, x), 1);
	assert_int_equal(
	    PEM_write_bio_PrivateKey(b, pkey, NULL, NULL, 0, NULL, NULL), 1);
	take_bio(a, cert);
	take_bio(b, key);
	X509_free(x);
	EVP_PKEY_free(pkey);
}
