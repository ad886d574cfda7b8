/*
 * sock: one local TCP connection with a bounded queue and half closes. What
 * is written to it may wait for a program that is still starting: a dial to
 * a local port is tried again while nobody listens there.
 */
#ifndef CLIENT_SOCK_H
#define CLIENT_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/ev.h"
#include "lib/list.h"

enum {
	CLI_SOCK_QUEUE_BYTES = 8 << 20, /* hard limit of the queue */
	CLI_SOCK_HIGH_BYTES = 1 << 20,  /* above it: full, until */
	CLI_SOCK_LOW_BYTES = 256 << 10, /* it is down to this */
	CLI_SOCK_READ_BYTES = 65536,
	CLI_SOCK_STALL_MS = 10000, /* full or lingering without progress */
	CLI_SOCK_RETRY_MS = 100,
	CLI_SOCK_TRIES = 50, /* of a dial, both address families each */
};

/* Sockets of one owner; those that linger are kept here. */
struct cli_socks {
	struct ev_loop *loop;
	struct list lingering;
};

struct cli_sock;

/* A callback may call anything here, cli_sock_free of its socket included. */
struct cli_sock_ops {
	void (*on_data)(void *arg, const uint8_t *p, size_t n);
	void (*on_eof)(void *arg); /* the peer sends no more */
	/* Optional: the queue is down to the low mark after it was full. */
	void (*on_drained)(void *arg);
	/* The end, once; free it. errnum 0: both sides finished; ETIMEDOUT:
	 * the peer does not read; ECONNREFUSED: nobody listens. */
	void (*on_close)(void *arg, int errnum);
};

void cli_socks_init(struct cli_socks *set, struct ev_loop *loop);
void cli_socks_free(struct cli_socks *set); /* cuts off what lingers */
/* A connected descriptor, taken over in any case. NULL: no memory. */
struct cli_sock *cli_sock_new(
    struct cli_socks *set, int fd, const struct cli_sock_ops *ops, void *arg);
/*
 * Connects to port on 127.0.0.1 or ::1, from the loop, again and again for 5 s
 * while that is refused. Can be written to at once.
 */
struct cli_sock *cli_sock_dial(struct cli_socks *set, uint16_t port,
    const struct cli_sock_ops *ops, void *arg);
void cli_sock_free(struct cli_sock **s); /* closes at once */
/*
 * Lets go of it in order: what is queued goes out, then a FIN; what still comes
 * is dropped; it closes by itself. No callback comes any more.
 */
void cli_sock_linger(struct cli_sock **s);
/* -ERR_TOO_BIG over CLI_SOCK_QUEUE_BYTES: close it. */
int cli_sock_write(struct cli_sock *s, const void *p, size_t n);
void cli_sock_shut(struct cli_sock *s);       /* FIN when the queue is sent */
bool cli_sock_full(const struct cli_sock *s); /* above high, not yet at low */
void cli_sock_pause(struct cli_sock *s, bool pause); /* reading */

#endif
