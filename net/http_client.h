/*
 * http_client: the client's side of an HTTP/1.1 connection, over a connected
 * tls_conn: one request at a time, kept alive between them; and the WebSocket
 * handshake. What the peer sends is bounded and checked like any input.
 */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "net/tls_conn.h"
#include "net/ws_conn.h"
#include "protocol/http.h"
#include "protocol/status.h"

struct http_pair {
	const char *name;
	const char *value;
};

struct http_req { /* all borrowed for the call only */
	const char *method;
	const char *target;             /* "/path?query" */
	const char *host;               /* Host field */
	const struct http_pair *fields; /* ends with a NULL name; may be NULL */
	const char *content_type;       /* with a body */
	struct span body;
	/*
	 * The answer's body is collected up to this many bytes (more is an
	 * error); 0 = 1 MiB. With on_body it is not collected and unlimited.
	 */
	size_t collect_max_bytes;
	uint32_t timeout_ms; /* until the head came; 0 = 30 s */
};

struct http_client;

struct http_client_cbs {
	/* Optional. The head came (never a 1xx). */
	void (*on_head)(
	    void *arg, struct http_client *c, const struct http_head *h);
	/* Optional: pieces of the body as they come. */
	void (*on_body)(void *arg, struct http_client *c, struct span piece);
	/*
	 * The request is done: e NULL, head and the collected body are there
	 * during the call. Or it failed: e set, head is NULL if none came; the
	 * client can't be used further. Another request may be sent from
	 * inside if http_client_usable; freeing is allowed too.
	 */
	void (*on_done)(void *arg, struct http_client *c,
	    const struct http_head *head, struct span body,
	    const struct err *e);
};

/* conn is taken over in any case; it may be still in its handshake. */
struct http_client *http_client_new(struct tls_conn *conn, struct err *e);
void http_client_free(struct http_client **c); /* no callback */
/*
 * Sends a request. -ERR_CONFLICT while another runs, -ERR_CLOSED when the
 * connection can't be used again, -ERR_INVALID for a bad method, target or
 * field. Callbacks come from the loop only. cbs is copied.
 */
int http_client_send(struct http_client *c, const struct http_req *req,
    const struct http_client_cbs *cbs, void *arg, struct err *e);
/* No request runs and the connection lives: another one may be sent. */
bool http_client_usable(const struct http_client *c);
void http_client_pause(struct http_client *c); /* stop reading a stream */
void http_client_resume(struct http_client *c);

/* ---- WebSocket handshake */

struct ws_client; /* a handshake under way */

struct ws_refusal { /* the peer answered, but not with 101 */
	int http_code;
	struct status status; /* of the body, see status_parse */
	const struct http_head *head;
};

/*
 * The end of the handshake: exactly one of ws (the caller's from now on; its
 * callbacks begin when it is bound, see ws_conn_bind), refusal and e is not
 * NULL. The struct ws_client is gone after this call.
 */
typedef void ws_client_fn(void *arg, struct ws_conn *ws,
    const struct ws_refusal *refusal, const struct err *e);

/*
 * Sends an Upgrade request with req's target, host and fields over conn, taken
 * over in any case. req->timeout_ms is for the whole handshake. NULL with *e.
 */
struct ws_client *ws_client_start(struct tls_conn *conn,
    const struct http_req *req, const char *subprotocol,
    const struct ws_conn_opts *opts, ws_client_fn *fn, void *arg,
    struct err *e);
void ws_client_cancel(struct ws_client **c); /* no callback */

#endif
