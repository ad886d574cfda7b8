/*
 * member: a remote cluster's operator in a test: real TLS, HTTP and WebSockets
 * (net/) on loopback connections that the test hands out in place of the
 * connector. What it is asked is kept as text; what it answers is set by rows.
 */
#ifndef TESTS_UNIT_WORKERS_MEMBER_H
#define TESTS_UNIT_WORKERS_MEMBER_H

#include "net/http_server.h"
#include "tests/unit/net/net_fix.h"
#include "tests/unit/workers/rig.h"

enum { MEMBER_ASKED_MAX = 64, MEMBER_SOCKETS_MAX = 16 };

struct member_socket {
	struct member *member;
	struct ws_conn *ws;
	struct buf got;  /* of all messages, back to back */
	size_t messages; /* whole ones */
	size_t pieces;
	bool within;
	bool closed, clean;
};

struct member {
	struct ev_loop *loop;
	struct fix_tls tls;
	/* the answer to API requests by path; the first row that fits */
	struct member_answer {
		const char *method, *path;
		int code;
		const char *body;
	} answers[16];
	size_t n_answers;
	int refuse; /* upgrades: 0 or the code of the Status */
	const char *refuse_text;
	bool mute;                     /* answers nothing at all */
	struct http_conn *conns[64];   /* owned, NULL = free */
	size_t n_conns;                /* accepted ever */
	char *asked[MEMBER_ASKED_MAX]; /* "METHOD target\nname: value\n..." */
	size_t n_asked;
	struct member_socket sockets[MEMBER_SOCKETS_MAX];
	size_t n_sockets;
};

void member_init(struct member *m, struct ev_loop *loop);
void member_deinit(struct member *m);
/* A connection to it: the descriptor of the asking side. */
int member_connect(struct member *m);
void member_answer(struct member *m, const char *method, const char *path,
    int code, const char *body);
/* The first request so far whose text has this in it, or NULL. */
const char *member_asked(const struct member *m, const char *what);

#endif
