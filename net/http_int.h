/* What http_server.c (input) and http_respond.c (output) share. */
#ifndef NET_HTTP_INT_H
#define NET_HTTP_INT_H

#include "net/http_server.h"

enum http_conn_state {
	HTTP_IDLE,      /* between requests, no byte of the next one yet */
	HTTP_HEAD,      /* a head has begun */
	HTTP_BODY,      /* its body is being read */
	HTTP_SERVING,   /* the handler has it */
	HTTP_STREAMING, /* a streamed answer is under way */
	HTTP_CLOSING,   /* the last answer is out; input is dropped */
};

struct http_conn {
	struct tls_conn *conn; /* NULL after an upgrade */
	struct ev_timer *timer;
	struct http_conn_opts opts;
	struct http_conn_cbs cbs;
	void *arg;
	enum http_conn_state state;
	struct http_parser parser;
	struct http_head head; /* kept a little longer than its answer */
	struct http_body body_state;
	struct buf body;
	bool served_one; /* a first request was answered */
	bool draining;
	bool ended; /* on_close was called */
	bool in_cb; /* inside on_read */
	bool freed;
};

/* The answer is complete: on to the next request, or to the end. */
void http_answered(struct http_conn *c, bool keep);
/* Answers what is not a request (any more) with a Status and closes. */
void http_refuse(struct http_conn *c, int code, const char *text);

#endif
