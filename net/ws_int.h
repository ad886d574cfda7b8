/* A WebSocket's state; for ws_conn.c and ws_send.c. */
#ifndef NET_WS_INT_H
#define NET_WS_INT_H

#include "net/ws_conn.h"

struct ws_conn {
	struct ev_loop *loop;
	struct tls_conn *conn;
	enum ws_role role;
	struct ws_conn_opts opts;
	struct ws_conn_cbs cbs;
	void *arg;
	struct ws_parser parser;
	struct ev_timer *timer; /* pings, or the wait for a Close; or NULL */
	uint8_t *masks;         /* client: random bytes not used yet */
	size_t masks_left;
	bool bound;
	bool paused;  /* by the owner */
	bool sending; /* a message is under way */
	bool close_sent;
	bool close_got;      /* the peer's Close: what follows is not read */
	uint16_t close_code; /* of the peer */
	bool dropping;
	bool pinged;         /* a Ping is out, nothing came since */
	uint64_t pinged_ms;  /* the first one of those */
	uint64_t ping_ms;    /* when the next one is due */
	bool suspect;        /* silent for too long; one more look */
	uint64_t heard_ms;   /* when anything came last */
	unsigned pongs;      /* queued since anything was sent */
	struct err *failure; /* what to tell when the connection has ended */
	bool ended;          /* on_close was called, or waits to be bound */
	bool in_cb;          /* inside on_read */
	bool freed;
};

/* Queues one whole frame, control frames included. */
int ws_put(
    struct ws_conn *ws, uint8_t opcode, bool fin, const void *p, size_t n);
/* May data still be sent? */
bool ws_writable(const struct ws_conn *ws);

#endif
