/* sec_fix: directories, keys and certificates for the tests of secrets. */
#ifndef TESTS_UNIT_SECRETS_SEC_FIX_H
#define TESTS_UNIT_SECRETS_SEC_FIX_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "lib/buf.h"
#include "tests/unit/unit.h"

struct sec_fix {
	char dir[64]; /* a fresh one, with keys/ and credentials/ */
	int keys_fd;
};

void sec_fix_init(struct sec_fix *f);
void sec_fix_deinit(struct sec_fix *f); /* removes all of it */
/* A file below the directory; text NULL removes it. */
void sec_fix_write(const struct sec_fix *f, const char *name, const char *text);
/* A file of tests/unit/secrets/data, NUL-terminated; owned. */
char *sec_fix_data(const char *name);
/* DER of the first PEM block. */
void sec_fix_der(struct span pem, struct buf *der);
X509 *sec_fix_x509(struct span pem);
/* The public half as DER. */
void sec_fix_spki(EVP_PKEY *key, struct buf *out);
/* A certificate of its own and its key, both PEM; ends in days (< 0: has
 * ended). */
void sec_fix_pair(int days, struct buf *cert, struct buf *key);

#endif
