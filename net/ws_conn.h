/*
 * ws_conn: a WebSocket connection, either role, on a tls_conn. Messages come
 * and go in pieces: a big one is never assembled here. It never sends a
 * control frame of its own accord but a Close when asked to and, towards
 * foreign operators, pings when told so (operator-api §9.3: the stock client
 * dies of them). A Ping is answered with a Pong, an empty Close by an empty
 * Close, then the connection ends.
 */
#ifndef NET_WS_CONN_H
#define NET_WS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "net/tls_conn.h"
#include "protocol/ws.h"

struct ws_conn;

struct ws_conn_cbs {
	/*
	 * A part of a message, valid during the call. Parts of one message
	 * come in order; first and last mark its ends; the last one may be
	 * empty. May pause, write, close or free.
	 */
	void (*on_piece)(void *arg, struct ws_conn *ws, struct span bytes,
	    bool first, bool last);
	/* The queue fell to the low-water mark after it was above it. */
	void (*on_drained)(void *arg, struct ws_conn *ws);
	/* Optional: n bytes of the queue, frame heads included, were sent. */
	void (*on_sent)(void *arg, struct ws_conn *ws, size_t n);
	/*
	 * The end, once. clean: the peer sent a Close (code says which one,
	 * WS_CLOSE_NO_STATUS if empty) or answered ours; otherwise e says what
	 * happened (ERR_CLOSED: just gone, e.g. a killed client). The owner
	 * frees ws.
	 */
	void (*on_close)(void *arg, struct ws_conn *ws, bool clean,
	    uint16_t code, const struct err *e);
};

struct ws_conn_opts {
	bool allow_text;
	uint64_t max_frame_bytes;   /* 0 = 16 MiB */
	uint64_t max_message_bytes; /* 0 = 64 MiB */
	/*
	 * Send a Ping that often and give up when nothing at all came for
	 * silence_ms (with an interval longer than that: after a Ping). 0 =
	 * never: always so towards a stock client.
	 */
	uint32_t ping_interval_ms;
	uint32_t silence_ms; /* 0 = twice ping_interval_ms */
};

/*
 * Takes conn over in any case. cbs is copied; NULL cbs = not bound yet:
 * nothing is read until ws_conn_bind. NULL with *e set.
 */
struct ws_conn *ws_conn_new(struct tls_conn *conn, enum ws_role role,
    const struct ws_conn_opts *opts, const struct ws_conn_cbs *cbs, void *arg,
    struct err *e);
void ws_conn_bind(struct ws_conn *ws, const struct ws_conn_cbs *cbs, void *arg);
void ws_conn_free(struct ws_conn **ws); /* closes at once; no callback */

/*
 * Queues one piece of a binary message as one frame (pieces over 16 MiB are
 * not accepted); first and last mark the message's ends. All or nothing:
 * -ERR_TOO_BIG when the queue is full, -ERR_CLOSED after a close,
 * -ERR_CONFLICT when first does not fit what is under way.
 */
int ws_send_piece(
    struct ws_conn *ws, const void *p, size_t n, bool first, bool last);
/* The same from up to 16 places, gathered into one frame. */
int ws_send_piecev(struct ws_conn *ws, const struct span *v, size_t count,
    bool first, bool last);
int ws_send(struct ws_conn *ws, const void *p, size_t n); /* a whole message */
/* The same as a text message (conformance tests). */
int ws_send_text(
    struct ws_conn *ws, const void *p, size_t n, bool first, bool last);
bool ws_sending(const struct ws_conn *ws); /* a message is under way */

size_t ws_queued(const struct ws_conn *ws); /* bytes not sent yet */
bool ws_full(const struct ws_conn *ws);     /* at the high-water mark */
void ws_pause(struct ws_conn *ws);          /* no on_piece until ws_resume */
void ws_resume(struct ws_conn *ws);

/*
 * Orderly: sends what is queued, then a Close (WS_CLOSE_NO_STATUS: an empty
 * one), waits shortly for the peer's, ends. on_close follows.
 */
void ws_close(struct ws_conn *ws, uint16_t code, const char *reason);
/*
 * Sends what is queued, then ends the connection without a Close: what makes
 * a stock client reconnect, and how a session ends after the protocol's own
 * Close message. on_close follows. To cut it off at once: ws_conn_free.
 */
void ws_drop(struct ws_conn *ws);

/* Another rhythm of Pings from now on. -ERR_NOMEM. */
int ws_set_pings(struct ws_conn *ws, uint32_t interval_ms, uint32_t silence_ms);
/* When anything came last (monotonic). */
uint64_t ws_heard_ms(const struct ws_conn *ws);

struct tls_conn *ws_conn_tls(const struct ws_conn *ws); /* borrowed */

#endif
