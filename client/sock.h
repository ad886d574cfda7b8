/* sock: one local TCP connection with a bounded queue and half closes. */
#ifndef CLIENT_SOCK_H
#define CLIENT_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/ev.h"

enum { CLI_SOCK_QUEUE_BYTES = 4 << 20, CLI_SOCK_READ_BYTES = 65536 };

struct cli_sock;

struct cli_sock_ops {
	void (*on_data)(void *arg, const uint8_t *p, size_t n);
	void (*on_eof)(void *arg);       /* the peer sends no more */
	void (*on_connected)(void *arg); /* optional */
	void (*on_drained)(void *arg);   /* optional: the queue is empty */
	/* The end, once; free it. errnum 0: both sides finished. */
	void (*on_close)(void *arg, int errnum);
};

/* fd is taken; connecting: not connected yet. NULL: closed. */
struct cli_sock *cli_sock_new(struct ev_loop *loop, int fd, bool connecting,
    const struct cli_sock_ops *ops, void *arg);
/* A non-blocking connect to 127.0.0.1:port (::1 when that refuses). -errno. */
int cli_sock_connect_local(uint16_t port, bool v6);
void cli_sock_free(struct cli_sock **s);
/* -ERR_TOO_BIG over CLI_SOCK_QUEUE_BYTES: close it. */
int cli_sock_write(struct cli_sock *s, const void *p, size_t n);
void cli_sock_shut(struct cli_sock *s); /* no more writes; FIN when sent */
size_t cli_sock_queued(const struct cli_sock *s);
void cli_sock_pause(struct cli_sock *s, bool pause);

#endif
