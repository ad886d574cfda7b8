/*
 * One connection's state; for tls_conn.c (what runs it) and tls_open.c (what
 * its owner calls).
 */
#ifndef NET_TLS_CONN_INT_H
#define NET_TLS_CONN_INT_H

#include "net/tls_int.h"

enum {
	CONN_READ_BYTES = 16 << 10, /* asked for at once */
	FLUSH_TIMEOUT_MS = 10000,   /* without any progress */
};

enum conn_state { HANDSHAKE, OPEN, FLUSHING, LINGER, CLOSED };

struct tls_conn {
	struct ev_loop *loop;
	struct ev_io *io;
	struct ev_timer *timer; /* handshake, flush or linger; or NULL */
	struct ev_timer *kick;  /* a turn without an event of the socket */
	struct tls_ctx *ctx;    /* a reference; NULL = plain */
	SSL *ssl;
	int fd;
	enum conn_state state;
	struct tls_conn_cbs cbs;
	void *arg;
	struct buf in, out;
	size_t low, high;
	size_t retry; /* bytes SSL_write must be repeated with */
	size_t ramp;  /* bytes sent since the last idle time */
	uint64_t last_sent_ms;
	uint32_t handshake_timeout_ms;
	struct tls_verdict verdict;
	struct err *untold; /* the end, when nobody was there to hear it */
	bool try_read;      /* there may be input */
	bool show;          /* show the input buffer even if nothing came */
	bool paused;
	bool eof;
	bool end_wanted; /* shutdown was asked for during the handshake */
	bool blocked;    /* waiting to go on writing, for the event below */
	bool blocked_on_read;
	bool read_on_write; /* and reading for a write event (key update) */
	bool above_low;     /* on_drained is owed */
	bool want_write;    /* what the handshake waits for */
	bool running;       /* inside conn_run */
	bool freed;         /* by a callback; conn_run frees */
};

/* An event of the socket: the event loop's callback. */
void conn_on_io(void *arg, int ready);
/* The zero-delay timer's callback. */
void conn_on_kick(void *arg);
/* Asks for a turn of the state machine soon, unless one is running. */
void conn_kick(struct tls_conn *c);
/* Neither ended nor freed. */
bool conn_live(const struct tls_conn *c);
/* Waits for the events that matter now. */
void conn_want(struct tls_conn *c);
/* Until a handshake, flush or linger is given up. */
void conn_set_timer(struct tls_conn *c, uint64_t delay_ms);
void conn_destroy(struct tls_conn *c);

#endif
