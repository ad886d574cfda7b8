/* What tls_ctx.c, tls_err.c and tls_conn.c share. */
#ifndef NET_TLS_INT_H
#define NET_TLS_INT_H

#include <openssl/ssl.h>

#include "net/tls_conn.h"

enum { TLS_PIN_BYTES = 32 };

struct tls_ctx {
	SSL_CTX *ssl;
	unsigned refs; /* the creator's and one per connection */
	bool server;
	enum tls_verify verify;
	uint8_t pin[TLS_PIN_BYTES]; /* SHA-256 of the pinned certificate */
};

struct tls_ctx *tls_ctx_ref(struct tls_ctx *ctx);

/* Why a peer's certificate did not verify; kept in its connection. */
struct tls_verdict {
	int error;  /* X509_V_OK */
	X509 *cert; /* the one at fault, owned */
};

struct tls_verdict *tls_conn_verdict(SSL *ssl);

/* The reason of a failed SSL call, as a sentence with what to do. Empties
 * OpenSSL's error queue. what: "handshake", "read", "write". */
int tls_err_set(
    struct err *e, SSL *ssl, int ssl_error, int sys_errno, const char *what);
/* The same for a failure to load a key or certificate. */
int tls_err_load(struct err *e, const char *what);
/* Why the peer's certificate did not verify. */
int tls_err_verify(struct err *e, SSL *ssl);

#endif
