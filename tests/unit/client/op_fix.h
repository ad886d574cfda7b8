/*
 * op_fix: an operator for tests: a real HTTPS and WebSocket server on
 * loopback, on the test's own loop. What it answers the test says; what a
 * client sends is logged as one line of JSON per message.
 */
#ifndef TESTS_CLIENT_OP_FIX_H
#define TESTS_CLIENT_OP_FIX_H

#include "client/api.h"
#include "client/session.h"
#include "net/http_server.h"
#include "protocol/mirrord.h"
#include "tests/unit/net/net_fix.h"

enum { OP_CONNS = 64, OP_CANNED = 16 };

struct op_canned { /* answers to plain requests, first match */
	const char *method;
	const char *path; /* a prefix */
	int code;
	const char *body;
};

struct op {
	struct ev_loop *loop;
	struct fix_tls tls;
	int fd;
	struct ev_io *io;
	uint16_t port;
	struct http_conn *conns[OP_CONNS];
	const struct op_canned *canned; /* ends with a NULL method */
	struct buf requests;            /* "GET /path?query\n" each */
	/* the session's socket */
	struct ws_conn *ws;
	int refuse[8]; /* codes of the next upgrades, 0: accept; then 0s */
	const char *refuse_reason;
	size_t upgrades, accepted;
	char session_id[32];
	char client_der[4096];
	struct buf message;
	struct buf log; /* client messages, a line each */
	size_t n_messages;
	bool closed; /* the client's socket ended */
	const char *version;
	/* Optional: each message but SwitchProtocolVersion. */
	void (*on_client)(struct op *op, const struct pm_ClientMessage *m);
	void *arg;
	char dir[64];        /* a HOME of its own */
	char kubeconfig[96]; /* in it */
};

void op_start(struct op *op, struct ev_loop *loop);
void op_stop(struct op *op);
/* Sends a message; pieces > 1: as that many frames. */
void op_send(struct op *op, const struct pm_DaemonMessage *m);
void op_send_pieces(struct op *op, const struct pm_DaemonMessage *m, size_t n);
void op_send_raw(struct op *op, const void *p, size_t n);
void op_drop(struct op *op); /* cuts the session's socket */
/* Turns the loop until a logged message contains text; 5 s. */
void op_wait(struct op *op, const char *text);
/* How many logged messages contain text. */
size_t op_count(const struct op *op, const char *text);
/* An api that talks to it, by its kubeconfig. */
void op_api(struct op *op, struct cli_api *api);
void op_free_api(struct cli_api *api);

#endif
