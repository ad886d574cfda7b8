/*
 * tls_conn: one TLS (or plain) connection on the event loop, over a connected
 * non-blocking descriptor it owns. OpenSSL's SSL on our own events: we size
 * the records, bound the queue and keep an idle connection small. Everything
 * above (HTTP, WebSocket) sees the same interface with and without TLS.
 *
 * Rules for callbacks: they run from the loop, never from inside
 * tls_conn_new. A callback may call anything here, tls_conn_free included.
 * After on_close nothing more is called; the owner frees the connection.
 * The program ignores SIGPIPE (OpenSSL writes with write(2)).
 */
#ifndef NET_TLS_CONN_H
#define NET_TLS_CONN_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/ev.h"

/* ---- contexts: immutable; to reload make a new one for new connections */

struct tls_ctx;

struct tls_server_opts {
	struct span cert_pem; /* leaf first, then its chain */
	struct span key_pem;  /* or key */
	EVP_PKEY *key;        /* borrowed, instead of key_pem */
	/*
	 * CAs of client certificates; empty = none are asked for. A client
	 * certificate is always optional. One that does not verify does not
	 * end the handshake: tls_conn_peer_cert is NULL then and
	 * tls_conn_peer_error says why, so that the answer can be a 401 that
	 * names the remedy.
	 */
	struct span client_ca_pem;
};

enum tls_verify {
	TLS_VERIFY_CA,   /* chain to ca_pem, and the name */
	TLS_VERIFY_PIN,  /* exactly this certificate, any name, any date */
	TLS_VERIFY_NONE, /* kubeconfig's insecure-skip-tls-verify; warn! */
};

struct tls_client_opts {
	enum tls_verify verify;
	struct span ca_pem;   /* TLS_VERIFY_CA; tls_system_roots for public */
	struct span pin_pem;  /* TLS_VERIFY_PIN */
	struct span cert_pem; /* client certificate and key, or empty */
	struct span key_pem;
	EVP_PKEY *key; /* borrowed, instead of key_pem */
};

/* NULL with *e set. Both: TLS 1.2 or newer, ALPN http/1.1, no resumption. */
struct tls_ctx *tls_ctx_server_new(
    const struct tls_server_opts *opts, struct err *e);
struct tls_ctx *tls_ctx_client_new(
    const struct tls_client_opts *opts, struct err *e);
/* Connections made from it go on. */
void tls_ctx_free(struct tls_ctx **ctx);
/* Reads the system's CA bundle (before the sandbox is on). */
int tls_system_roots(struct buf *pem, struct err *e);

/* ---- connections */

struct tls_conn;

struct tls_conn_cbs {
	/* Optional: the handshake is done (plain: the socket is connected). */
	void (*on_ready)(void *arg);
	/*
	 * New bytes stand at the end of in. Take some or all from its front
	 * by buf_consume; the rest is shown again with what comes next. While
	 * in is over in_max_bytes nothing more is read.
	 */
	void (*on_read)(void *arg, struct buf *in);
	/* The queue fell to the low-water mark after it was above it. */
	void (*on_drained)(void *arg);
	/* Optional: n bytes of the queue went to the kernel (for credit). */
	void (*on_sent)(void *arg, size_t n);
	/*
	 * Optional: the peer will send no more, but may still read. Without
	 * it an end of input is an on_close. Shut down or free in time.
	 */
	void (*on_eof)(void *arg);
	/*
	 * The end, once. e->code is ERR_OK after an orderly end of both sides,
	 * ERR_CLOSED when the peer went away, else what went wrong.
	 */
	void (*on_close)(void *arg, const struct err *e);
};

struct tls_conn_opts {
	const char *server_name; /* client: SNI and the name or IP to check */
	uint32_t handshake_timeout_ms; /* 0 = 10 s */
	size_t in_max_bytes;           /* 0 = 1 MiB */
	size_t out_low_bytes;          /* 0 = 64 KiB */
	size_t out_high_bytes;         /* 0 = 256 KiB */
	size_t out_max_bytes;          /* 0 = 8 MiB: over it writing fails */
};

/*
 * fd is taken over in any case (closed on failure). opts may be NULL for a
 * server. The context decides the role. NULL with *e set.
 */
struct tls_conn *tls_conn_new(struct ev_loop *loop, struct tls_ctx *ctx, int fd,
    const struct tls_conn_opts *opts, const struct tls_conn_cbs *cbs, void *arg,
    struct err *e);
/* The same without TLS. fd may be still connecting. */
struct tls_conn *tls_conn_plain_new(struct ev_loop *loop, int fd,
    const struct tls_conn_opts *opts, const struct tls_conn_cbs *cbs, void *arg,
    struct err *e);
/* Closes at once, without flushing. Harmless inside callbacks. */
void tls_conn_free(struct tls_conn **c);
/*
 * Hands the connection to another owner: what stands in the input buffer is
 * shown to the new on_read at once (from the loop). cbs is copied. A connection
 * may be made with empty callbacks and bound later: nothing is lost, the end
 * included.
 */
void tls_conn_set_cbs(
    struct tls_conn *c, const struct tls_conn_cbs *cbs, void *arg);

/*
 * Queues bytes; all or nothing. -ERR_TOO_BIG over out_max_bytes, -ERR_CLOSED
 * after a shutdown or the end. Sent when the running callback returns, or in
 * the loop's next turn, so that small writes share a record. Never calls a
 * callback. Allowed before on_ready.
 */
int tls_conn_write(struct tls_conn *c, const void *p, size_t n);
int tls_conn_writev(struct tls_conn *c, const struct span *v, size_t count);
size_t tls_conn_queued(const struct tls_conn *c); /* bytes not sent yet */
bool tls_conn_full(const struct tls_conn *c);     /* at the high-water mark */
void tls_conn_set_water(
    struct tls_conn *c, size_t low_bytes, size_t high_bytes);

void tls_conn_pause_read(struct tls_conn *c);
/* What is still in the input buffer is shown again, from the loop. */
void tls_conn_resume_read(struct tls_conn *c);
void tls_conn_show(struct tls_conn *c); /* the same without a pause */

/*
 * Orderly: sends what is queued, then the end; waits for the peer's end
 * (bounded: 10 s without progress, 2 s after all is sent), then on_close.
 * Input that comes meanwhile is dropped.
 */
void tls_conn_shutdown(struct tls_conn *c);

bool tls_conn_is_ready(const struct tls_conn *c);
bool tls_conn_is_tls(const struct tls_conn *c);
int tls_conn_fd(const struct tls_conn *c); /* borrowed */
struct ev_loop *tls_conn_loop(const struct tls_conn *c);
/* The peer's verified certificate, borrowed; NULL without one. */
X509 *tls_conn_peer_cert(const struct tls_conn *c);
/* A client certificate came but did not verify: true, with *e set. */
bool tls_conn_peer_error(const struct tls_conn *c, struct err *e);

#endif
