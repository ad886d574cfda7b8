/*
 * session: the client's socket to the operator: one WebSocket that comes back
 * by itself under the same session id, the request queues of
 * spec/protocol.md §9, and a Ping every 30 s.
 *
 * Everything is called from the loop. A cli_session is freed from outside of
 * its callbacks only (on_end is where a command decides to end).
 */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "client/api.h"
#include "protocol/mirrord.h"

struct cli_session;

/* Replies come in the order of the requests within each of these. */
enum cli_queue {
	CLI_Q_FILE,
	CLI_Q_DNS,
	CLI_Q_ENV,
	CLI_Q_STEAL,
	CLI_Q_MIRROR,
	CLI_Q_VERSION,
	CLI_Q_PONG,
	CLI_QUEUES,
};

/* m NULL: the connection was lost before the answer. */
typedef void cli_answer_fn(void *arg, const struct pm_DaemonMessage *m);

struct cli_session_ops {
	/* Version settled, logs asked for. again: after a loss; all ids,
	 * descriptors and subscriptions of before are void. */
	void (*on_up)(void *arg, bool again);
	void (*on_lost)(void *arg, const char *why);
	/* The session is over for good; e says why. */
	void (*on_end)(void *arg, const struct err *e);
	/* Tcp, TcpSteal, TcpOutgoing... but SubscribeResults. */
	void (*on_message)(void *arg, const struct pm_DaemonMessage *m);
	/* Optional: the queue to the operator is full, has room again. */
	void (*on_flow)(void *arg, bool full);
};

struct cli_session_opts {
	const char *namespace;
	const char *target; /* "deployment.shop[.container.c]" */
	const char *query;  /* connect parameters, form-encoded */
	uint64_t session_id;
	bool reconnect; /* come back after a loss */
};

/* Strings are copied. */
struct cli_session *cli_session_new(struct cli_api *api,
    const struct cli_session_opts *opts, const struct cli_session_ops *ops,
    void *arg, struct err *e);
/*
 * Says Close to the operator and waits until that is sent (turns the loop, at
 * most 2 s). Who still waits for an answer is told, no other callback comes.
 */
void cli_session_free(struct cli_session **s);
/* -ERR_CLOSED while the connection is down. A queue that overflows ends the
 * connection: no message is ever left out of a stream. */
int cli_session_send(struct cli_session *s, const struct pm_ClientMessage *m);
int cli_session_ask(struct cli_session *s, enum cli_queue q,
    const struct pm_ClientMessage *m, cli_answer_fn *fn, void *arg);
bool cli_session_full(const struct cli_session *s);
/* Nothing is read from the operator while anybody holds. Counted. */
void cli_session_hold(struct cli_session *s, bool hold);
bool cli_session_is_up(const struct cli_session *s);
uint64_t cli_session_id(const struct cli_session *s);
/* A release version as PM_VER, settled on this connection. */
uint32_t cli_session_version(const struct cli_session *s);
/* The wait before try number n (from 0) after a loss, ms (operator-api §11);
 * 0 at once, negative: no more tries. */
int cli_session_backoff_ms(unsigned n);

#endif
