#include "config.h"

#include "net/tls_io.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static enum tls_io_result
sys_result(struct err *e, int errnum)
{
	if (errnum == EAGAIN || errnum == EWOULDBLOCK)
		return TLS_IO_WANT_READ;
	err_set(e, ERR_CLOSED, "The connection broke: %s.", strerror(errnum));
	e->sys_errno = errnum;
	return TLS_IO_ERROR;
}

static enum tls_io_result
ssl_result(SSL *ssl, int ret, int errnum, const char *what, struct err *e)
{
	int error = SSL_get_error(ssl, ret);

	switch (error) {
	case SSL_ERROR_WANT_READ:
		return TLS_IO_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_IO_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_IO_EOF;
	default:
		tls_err_set(e, ssl, error, errnum, what);
		return TLS_IO_ERROR;
	}
}

enum tls_io_result
tls_io_read(SSL *ssl, int fd, void *p, size_t *n, struct err *e)
{
	ssize_t got;
	int ret;

	if (ssl != NULL) {
		ERR_clear_error();
		errno = 0;
		ret = SSL_read_ex(ssl, p, *n, n);
		return ret == 1 ? TLS_IO_OK
				: ssl_result(ssl, ret, errno, "read", e);
	}
	do {
		got = read(fd, p, *n);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return sys_result(e, errno);
	*n = (size_t)got;
	return got == 0 ? TLS_IO_EOF : TLS_IO_OK;
}

enum tls_io_result
tls_io_write(SSL *ssl, int fd, const void *p, size_t *n, struct err *e)
{
	enum tls_io_result r;
	ssize_t put;
	int ret;

	if (ssl != NULL) {
		ERR_clear_error();
		errno = 0;
		ret = SSL_write_ex(ssl, p, *n, n);
		return ret == 1 ? TLS_IO_OK
				: ssl_result(ssl, ret, errno, "write", e);
	}
	do {
		put = send(fd, p, *n, MSG_NOSIGNAL);
	} while (put < 0 && errno == EINTR);
	if (put >= 0) {
		*n = (size_t)put;
		return TLS_IO_OK;
	}
	r = sys_result(e, errno);
	return r == TLS_IO_WANT_READ ? TLS_IO_WANT_WRITE : r;
}

static enum tls_io_result
plain_connected(int fd, struct err *e)
{
	int error = 0;
	socklen_t len = sizeof(error);

	/* Not a socket (a pipe, a terminal): nothing to wait for. */
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ||
	    error == 0)
		return TLS_IO_OK;
	err_set(e, ERR_CLOSED,
	    "The connection could not be made: %s; check the address and that "
	    "the peer runs.",
	    strerror(error));
	e->sys_errno = error;
	return TLS_IO_ERROR;
}

enum tls_io_result
tls_io_handshake(SSL *ssl, int fd, struct err *e)
{
	int ret;

	if (ssl == NULL)
		return plain_connected(fd, e);
	ERR_clear_error();
	errno = 0;
	ret = SSL_do_handshake(ssl);
	return ret == 1 ? TLS_IO_OK
			: ssl_result(ssl, ret, errno, "handshake", e);
}

enum tls_io_result
tls_io_end(SSL *ssl, int fd)
{
	struct err ignored;
	int ret;

	if (ssl != NULL) {
		ERR_clear_error();
		errno = 0;
		ret = SSL_shutdown(ssl);
		if (ret < 0 && ssl_result(ssl, ret, errno, "shutdown",
				   &ignored) == TLS_IO_WANT_WRITE)
			return TLS_IO_WANT_WRITE;
		ERR_clear_error();
	}
	shutdown(fd, SHUT_WR);
	return TLS_IO_OK;
}
