/* incoming: stolen and mirrored connections, to a local port. */
#ifndef CLIENT_INCOMING_H
#define CLIENT_INCOMING_H

#include "client/session.h"
#include "lib/list.h"

struct cli_incoming {
	struct ev_loop *loop;
	struct cli_session *session;
	struct list ports;
	struct list conns;
	unsigned waiting; /* subscriptions not answered yet */
	struct err failed;
	/* All are answered: e says which was refused, NULL when none. */
	void (*on_done)(void *arg, const struct err *e);
	void *arg;
};

void cli_incoming_init(struct cli_incoming *in, struct ev_loop *loop);
void cli_incoming_free(struct cli_incoming *in);
/* "PORT" or "PORT:LOCAL". -ERR_INVALID. */
int cli_incoming_add(
    struct cli_incoming *in, const char *text, bool steal, struct err *e);
/* Subscribes every port; on_done comes from the loop. */
void cli_incoming_subscribe(struct cli_incoming *in,
    struct cli_session *session, void (*on_done)(void *, const struct err *),
    void *arg);
/* Tcp and TcpSteal messages; false: not for here. */
bool cli_incoming_message(
    struct cli_incoming *in, const struct pm_DaemonMessage *m);
void cli_incoming_reset(struct cli_incoming *in); /* close all connections */
void cli_incoming_drained(struct cli_incoming *in);
/* "steal 8080 -> 127.0.0.1:18080, mirror 9" for an event line. */
void cli_incoming_describe(const struct cli_incoming *in, struct buf *out);

#endif
