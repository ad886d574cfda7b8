/* Writing a client's request; for http_client.c and ws_client.c. */
#ifndef NET_HTTP_REQ_H
#define NET_HTTP_REQ_H

#include "net/http_client.h"

/*
 * Appends a whole request with its body. ws_key not NULL: a WebSocket upgrade
 * with that key. -ERR_INVALID for what can't stand in a head.
 */
int http_req_put(struct buf *out, const struct http_req *req,
    const char *ws_key, struct err *e);

#endif
