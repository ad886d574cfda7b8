/* Reading and writing one descriptor, with or without TLS; for tls_conn.c. */
#ifndef NET_TLS_IO_H
#define NET_TLS_IO_H

#include "net/tls_int.h"

enum tls_io_result {
	TLS_IO_OK,
	TLS_IO_WANT_READ,
	TLS_IO_WANT_WRITE,
	TLS_IO_EOF,
	TLS_IO_ERROR, /* e is set */
};

/* ssl NULL = plain. *n in: room or bytes; out: done. */
enum tls_io_result tls_io_read(
    SSL *ssl, int fd, void *p, size_t *n, struct err *e);
enum tls_io_result tls_io_write(
    SSL *ssl, int fd, const void *p, size_t *n, struct err *e);
/* One step of the handshake; plain: is the socket connected? */
enum tls_io_result tls_io_handshake(SSL *ssl, int fd, struct err *e);
/* Tells the peer that no more is sent. */
enum tls_io_result tls_io_end(SSL *ssl, int fd);

#endif
