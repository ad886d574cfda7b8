/* What session.c (life) and session_io.c (messages) share. */
#ifndef CLIENT_SESSION_INT_H
#define CLIENT_SESSION_INT_H

#include "client/session.h"
#include "lib/list.h"

enum {
	SESSION_PING_MS = 30000,
	SESSION_MESSAGE_MAX = 64 << 20,
	SESSION_HANDSHAKE_MS = 330000, /* agents may have to be started */
	SESSION_TRIES = 10,
	SESSION_STABLE_MS = 10000, /* up that long: tries count anew */
	SESSION_PATIENCE_MS = 3000,
	SESSION_BYE_MS = 2000,
};

struct cli_session {
	struct cli_api *api;
	char *namespace, *target, *query; /* owned */
	uint64_t id;
	bool reconnect;
	const struct cli_session_ops *ops;
	void *arg;
	struct cli_dial *dial;
	struct ws_client *upgrade;
	struct ws_conn *ws;
	struct buf message; /* being assembled */
	struct list queue[CLI_QUEUES];
	struct ev_timer *timer; /* next ping, or next try */
	struct ev_timer *patience;
	unsigned tries;
	unsigned waited_s; /* for an upgrade under way */
	unsigned holds;
	uint64_t up_ms; /* since when */
	bool was_up;    /* at least once */
	bool up;
	bool pong_due; /* and nothing at all has come since */
	bool starting; /* the operator said it will be there soon */
	bool full;
	bool overflow; /* the timer ends this connection */
	bool closing;  /* being freed: nothing goes out any more */
	uint32_t version;
};

extern const struct ws_conn_cbs cli_session_ws;
/* The connection is gone (or was never made): try again, or give up. */
void cli_session_lost(struct cli_session *s, const struct err *e);
/* A refusal that no further try can change. */
void cli_session_over(struct cli_session *s, const struct err *e);
void cli_session_fail_queues(struct cli_session *s);

#endif
