/*
 * front: a frontend in a test, on a real listener with real TLS; the test is
 * its other workers and its clients.
 */
#ifndef TESTS_UNIT_WORKERS_FRONT_H
#define TESTS_UNIT_WORKERS_FRONT_H

#include "net/http_client.h"
#include "tests/unit/net/net_fix.h"
#include "tests/unit/workers/rig.h"
#include "workers/frontend/frontend.h"

/* How somebody shows who he is. */
enum front_who {
	FRONT_NOBODY, /* no certificate */
	FRONT_EVE,    /* a certificate, no rule */
	FRONT_DEV,    /* namespace "a", target deployment/shop */
	FRONT_ROOT,   /* everything, admin too */
	FRONT_HUB,    /* a primary */
	FRONT_FALSE,  /* a certificate of another CA */
	FRONT_N,
};

struct front {
	struct rig r;
	struct fix_tls tls; /* server and login CA */
	struct fix_cert certs[FRONT_N];
	struct tls_ctx *ctx[FRONT_N];
	struct rig_peer *sup, *sec, *own, *sf, *clu[2];
	uint16_t port;
	bool own_answers; /* API_REQUEST by 200 and what it was */
};

/* An answer, or the lack of one. */
struct front_answer {
	int code; /* 0: no answer, see error */
	struct buf body;
	struct err error;
	bool done;
};

/* own_pair: the administrator's certificate is in the configuration; else the
 * secrets worker is asked for one. */
void front_init(struct front *f, bool own_pair);
void front_deinit(struct front *f);
/* trust: members besides the CAs, ",\"revoked\":[..]" or "". */
void front_trust(struct front *f, const char *extra);
/* A connection of who to the listener. */
struct tls_conn *front_connect(struct front *f, enum front_who who);
/* Turns the loop and plays the workers that answer by themselves. */
void front_turn(struct front *f);
void front_turns(struct front *f, int n);
/* Plays on until a message of this type is there; takes it. */
struct rig_msg *front_expect(
    struct front *f, struct rig_peer *p, enum ipc_type type);
uint32_t front_request(const struct rig_msg *m); /* its `request` field */
void front_until(struct front *f, const bool *done, const char *what);
/* Sends a request on a connection of its own; *out is filled later. */
struct http_client *front_begin(struct front *f, enum front_who who,
    const char *method, const char *target, const struct http_pair *fields,
    const char *body, struct front_answer *out);
/* ... and waits for the answer. fields and body may be NULL. */
void front_ask(struct front *f, enum front_who who, const char *method,
    const char *target, const struct http_pair *fields, const char *body,
    struct front_answer *out);
void front_answer_free(struct front_answer *a);

#endif
