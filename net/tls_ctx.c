/*
 * TLS contexts. What may be decided once is decided here: versions, no
 * resumption (a revoked user must not come back by a ticket), small memory,
 * whom to trust.
 */
#include "config.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "net/tls_int.h"

enum { TLS_READ_BYTES = 32 << 10, ROOTS_MAX_BYTES = 16 << 20 };

static const unsigned char ALPN[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

/* Encrypted keys are not taken: a daemon has nobody to ask. */
static int
no_password(char *out, int cap, int rw, void *arg)
{
	(void)out;
	(void)cap;
	(void)rw;
	(void)arg;
	return -1;
}

static BIO *
span_bio(struct span s)
{
	return s.n > INT32_MAX ? NULL : BIO_new_mem_buf(s.p, (int)s.n);
}

/* Calls fn for each certificate of a PEM text; at least one must be there. */
static int
each_cert(struct span pem, int (*fn)(void *arg, size_t index, X509 *cert),
    void *arg, const char *what, struct err *e)
{
	BIO *bio = pem.n > 0 ? span_bio(pem) : NULL;
	size_t count = 0;
	int rc = bio != NULL ? 0 : tls_err_load(e, what);
	X509 *cert;

	while (rc == 0 && (cert = PEM_read_bio_X509(
			       bio, NULL, no_password, NULL)) != NULL) {
		if (fn(arg, count++, cert) != 1)
			rc = tls_err_load(e, what);
		X509_free(cert);
	}
	BIO_free(bio);
	if (rc == 0 && count == 0)
		return tls_err_load(e, what);
	ERR_clear_error(); /* the end of the text counts as an error there */
	return rc;
}

static int
add_chain(void *arg, size_t index, X509 *cert)
{
	SSL_CTX *ssl = arg;

	return index == 0 ? SSL_CTX_use_certificate(ssl, cert)
			  : (int)SSL_CTX_add1_chain_cert(ssl, cert);
}

static int
add_ca(void *arg, size_t index, X509 *cert)
{
	struct tls_ctx *ctx = arg;

	(void)index;
	if (ctx->server && SSL_CTX_add_client_CA(ctx->ssl, cert) != 1)
		return 0;
	return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx->ssl), cert);
}

static int
set_pin(void *arg, size_t index, X509 *cert)
{
	struct tls_ctx *ctx = arg;
	unsigned n = 0;

	return index > 0 ||
	       (X509_digest(cert, EVP_sha256(), ctx->pin, &n) == 1 &&
		   n == TLS_PIN_BYTES);
}

static int
use_identity(SSL_CTX *ssl, struct span cert_pem, struct span key_pem,
    EVP_PKEY *key, struct err *e)
{
	BIO *bio;
	int rc, ok;

	rc = each_cert(cert_pem, add_chain, ssl, "certificate", e);
	if (rc < 0)
		return rc;
	if (key != NULL) {
		ok = SSL_CTX_use_PrivateKey(ssl, key);
	} else {
		bio = span_bio(key_pem);
		key = bio != NULL ? PEM_read_bio_PrivateKey(
					bio, NULL, no_password, NULL)
				  : NULL;
		BIO_free(bio);
		ok = key != NULL && SSL_CTX_use_PrivateKey(ssl, key) == 1;
		EVP_PKEY_free(key);
	}
	if (ok != 1 || SSL_CTX_check_private_key(ssl) != 1)
		return tls_err_load(e, "private key");
	return 0;
}

static int
select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
    const unsigned char *in, unsigned in_n, void *arg)
{
	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto((unsigned char **)out, out_n, ALPN,
		sizeof(ALPN), in, in_n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/*
 * Notes what is wrong with a certificate. A server's ends the handshake, a
 * client's does not.
 */
static int
note_verdict(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(
	    store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_verdict *v = tls_conn_verdict(ssl);

	if (!ok && v->error == X509_V_OK) {
		v->error = X509_STORE_CTX_get_error(store);
		v->cert = X509_STORE_CTX_get_current_cert(store);
		if (v->cert != NULL)
			X509_up_ref(v->cert);
	}
	return ok || SSL_is_server(ssl);
}

static int
check_pin(X509_STORE_CTX *store, void *arg)
{
	const struct tls_ctx *ctx = arg;
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (leaf != NULL && X509_digest(leaf, EVP_sha256(), md, &n) == 1 &&
	    n == TLS_PIN_BYTES && memcmp(md, ctx->pin, n) == 0)
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	X509_STORE_CTX_set_current_cert(store, leaf);
	return note_verdict(0, store);
}

static struct tls_ctx *
ctx_new(bool server, struct err *e)
{
	struct tls_ctx *ctx = calloc(1, sizeof(*ctx));

	if (ctx == NULL) {
		err_nomem(e);
		return NULL;
	}
	ctx->refs = 1;
	ctx->server = server;
	ctx->ssl =
	    SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (ctx->ssl == NULL) {
		tls_err_load(e, "TLS library");
		tls_ctx_free(&ctx);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ctx->ssl, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx->ssl,
	    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx->ssl, 0);
	SSL_CTX_set_mode(ctx->ssl, SSL_MODE_RELEASE_BUFFERS |
				       SSL_MODE_ENABLE_PARTIAL_WRITE |
				       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Several records by one read; the buffer is given back when empty. */
	SSL_CTX_set_read_ahead(ctx->ssl, 1);
	SSL_CTX_set_default_read_buffer_len(ctx->ssl, TLS_READ_BYTES);
	/* As Go does: a configured CA is an anchor even if it is no root. */
	X509_VERIFY_PARAM_set_flags(
	    SSL_CTX_get0_param(ctx->ssl), X509_V_FLAG_PARTIAL_CHAIN);
	return ctx;
}

struct tls_ctx *
tls_ctx_server_new(const struct tls_server_opts *opts, struct err *e)
{
	struct tls_ctx *ctx = ctx_new(true, e);
	int rc;

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_alpn_select_cb(ctx->ssl, select_alpn, NULL);
	rc =
	    use_identity(ctx->ssl, opts->cert_pem, opts->key_pem, opts->key, e);
	if (rc == 0 && opts->client_ca_pem.n > 0) {
		rc = each_cert(opts->client_ca_pem, add_ca, ctx,
		    "CA certificate of clients", e);
		SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, note_verdict);
	}
	if (rc < 0)
		tls_ctx_free(&ctx);
	return ctx;
}

static int
client_trust(
    struct tls_ctx *ctx, const struct tls_client_opts *opts, struct err *e)
{
	ctx->verify = opts->verify;
	switch (opts->verify) {
	case TLS_VERIFY_CA:
		SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, note_verdict);
		return each_cert(
		    opts->ca_pem, add_ca, ctx, "CA certificate", e);
	case TLS_VERIFY_PIN:
		SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_cert_verify_callback(ctx->ssl, check_pin, ctx);
		return each_cert(
		    opts->pin_pem, set_pin, ctx, "pinned certificate", e);
	case TLS_VERIFY_NONE:
		SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_NONE, NULL);
		return 0;
	}
	return err_set(e, ERR_INVALID, "unknown way to verify a TLS server");
}

struct tls_ctx *
tls_ctx_client_new(const struct tls_client_opts *opts, struct err *e)
{
	struct tls_ctx *ctx = ctx_new(false, e);
	int rc;

	if (ctx == NULL)
		return NULL;
	rc = client_trust(ctx, opts, e);
	if (rc == 0 &&
	    SSL_CTX_set_alpn_protos(ctx->ssl, ALPN, sizeof(ALPN)) != 0)
		rc = err_nomem(e);
	if (rc == 0 && opts->cert_pem.n > 0)
		rc = use_identity(
		    ctx->ssl, opts->cert_pem, opts->key_pem, opts->key, e);
	if (rc < 0)
		tls_ctx_free(&ctx);
	return ctx;
}

struct tls_ctx *
tls_ctx_ref(struct tls_ctx *ctx)
{
	ctx->refs++;
	return ctx;
}

void
tls_ctx_free(struct tls_ctx **ctx)
{
	struct tls_ctx *c = *ctx;

	*ctx = NULL;
	if (c == NULL || --c->refs > 0)
		return;
	SSL_CTX_free(c->ssl);
	free(c);
}

static int
read_all(int fd, struct buf *out)
{
	for (;;) {
		ssize_t n;
		int rc = buf_reserve(out, 64 << 10);

		if (rc < 0)
			return rc;
		n = read(fd, buf_tail(out), 64 << 10);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -ERR_SYS;
		buf_commit(out, (size_t)n);
	}
}

int
tls_system_roots(struct buf *pem, struct err *e)
{
	static const char *const files[] = {
	    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
	    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
	    "/etc/ssl/ca-bundle.pem",             /* openSUSE */
	    "/etc/ssl/cert.pem",
	};

	buf_free(pem);
	buf_init(pem, ROOTS_MAX_BYTES);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int fd = open(files[i], O_RDONLY | O_CLOEXEC), rc;

		if (fd < 0)
			continue;
		rc = read_all(fd, pem);
		close(fd);
		if (rc == 0 && pem->len > 0)
			return 0;
		buf_clear(pem);
	}
	return err_set(e, ERR_NOT_FOUND,
	    "No bundle of public CA certificates was found on this machine; "
	    "install the package ca-certificates or configure the CA.");
}
