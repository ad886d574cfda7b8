/*
 * http_server: the server's side of one HTTP/1.1 connection. One request at a
 * time; what a client pipelines waits in the input buffer. Malformed input is
 * answered with a Status and the connection ends; the handler never sees it.
 *
 * Life: http_conn_new takes a tls_conn. Each on_request is answered by exactly
 * one http_respond*, now or later, or by http_upgrade, or the connection ends
 * first: on_close. After on_close the owner frees the http_conn.
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "net/tls_conn.h"
#include "net/ws_conn.h"
#include "protocol/http.h"
#include "protocol/status.h"

struct http_conn;

struct http_conn_cbs {
	/*
	 * The head is whole, the body not read yet. Returns how many body
	 * bytes this request may have (413 otherwise). Optional; 1 MiB then.
	 */
	uint64_t (*body_limit)(void *arg, const struct http_head *head);
	/* head and body live until the answer is given (not until its end). */
	void (*on_request)(void *arg, struct http_conn *c,
	    const struct http_head *head, struct span body);
	/* While a streamed answer runs: the queue fell to the low mark. */
	void (*on_drained)(void *arg, struct http_conn *c);
	/* The end; a request that was not answered won't be. Free c. */
	void (*on_close)(void *arg, struct http_conn *c, const struct err *e);
};

struct http_conn_opts {
	uint32_t head_timeout_ms; /* 0 = 10 s, for a whole head once begun */
	uint32_t idle_timeout_ms; /* 0 = 120 s between requests */
	uint32_t body_timeout_ms; /* 0 = 30 s without progress */
	const char *server;       /* Server field; NULL = none */
};

/*
 * conn is taken over in any case. The callbacks conn was made with are
 * replaced; its handshake may be still under way.
 */
struct http_conn *http_conn_new(struct tls_conn *conn,
    const struct http_conn_opts *opts, const struct http_conn_cbs *cbs,
    void *arg, struct err *e);
void http_conn_free(struct http_conn **c);                 /* closes at once */
struct tls_conn *http_conn_tls(const struct http_conn *c); /* borrowed */
/* The request being served; NULL between requests. */
const struct http_head *http_conn_head(const struct http_conn *c);
/* No new request after the current one; an idle connection ends now. */
void http_conn_drain(struct http_conn *c);

struct http_extra { /* further fields of an answer */
	const char *name;
	const char *value;
};

/* A whole answer. extra ends with a NULL name, or is NULL. HEAD is handled.
 * -ERR_CONFLICT when no request waits. */
int http_respond(struct http_conn *c, int code, const char *content_type,
    const struct http_extra *extra, const void *body, size_t n);
/* A Failure Status. */
int http_respond_status(struct http_conn *c, enum status_reason r,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A Status with the code and text an error of ours stands for. */
int http_respond_err(struct http_conn *c, const struct err *e);

/* A streamed answer (a watch): begin, any number of pieces, end. */
int http_stream_begin(struct http_conn *c, int code, const char *content_type,
    const struct http_extra *extra);
/* -ERR_TOO_BIG when the client does not read: end the watch. */
int http_stream_write(struct http_conn *c, const void *p, size_t n);
int http_stream_end(struct http_conn *c);

/*
 * Answers an upgrade request with 101 (operator-api §9.2) and turns the
 * connection into a WebSocket. The caller has checked the request with
 * ws_check_request, which made accept. On success *c is freed and NULL, and
 * the ws_conn is the caller's. NULL with *e set: *c stays.
 */
struct ws_conn *http_upgrade(struct http_conn **c, const char *accept,
    const char *subprotocol, const struct http_extra *extra,
    const struct ws_conn_opts *opts, const struct ws_conn_cbs *cbs, void *arg,
    struct err *e);

#endif
