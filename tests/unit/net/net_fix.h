/* Real certificates, sockets and a bounded loop for the tests of net/. */
#ifndef TESTS_NET_FIX_H
#define TESTS_NET_FIX_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "lib/buf.h"
#include "lib/ev.h"
#include "net/tls_conn.h"
#include "tests/unit/unit.h"

/* A certificate with its key, as PEM too. */
struct fix_cert {
	X509 *x509;
	EVP_PKEY *key;
	struct buf cert_pem, key_pem;
};

struct fix_cert_opts {
	const char *cn;
	const char *san;               /* "DNS:a,IP:127.0.0.1" or NULL */
	const struct fix_cert *issuer; /* NULL = self-signed */
	EVP_PKEY *key; /* borrowed, a public one; NULL = a new pair */
	bool ca;
	long from_s, to_s; /* relative to now */
};

void fix_cert_make(struct fix_cert *c, const struct fix_cert_opts *o);
void fix_cert_free(struct fix_cert *c);

/* A connected pair of non-blocking stream sockets over loopback TCP. */
void fix_pair(int fd[2]);

/*
 * Turns the loop until *done, at most limit_ms; fails the test at the limit.
 */
void fix_run(struct ev_loop *loop, const bool *done, unsigned limit_ms);
/* Turns the loop while anything happens, at least once, at most ms. */
void fix_settle(struct ev_loop *loop, unsigned ms);

/* One CA, a server certificate for localhost and 127.0.0.1, contexts. */
struct fix_tls {
	struct fix_cert ca, server, client, other_ca;
	struct tls_ctx *server_ctx, *client_ctx, *anon_ctx;
};

void fix_tls_make(struct fix_tls *f);
void fix_tls_free(struct fix_tls *f);

#endif
