/* forward: local listeners whose connections leave from the target. */
#ifndef CLIENT_FORWARD_H
#define CLIENT_FORWARD_H

#include "client/session.h"
#include "lib/list.h"

struct cli_forwards {
	struct ev_loop *loop;
	struct cli_session *session;
	struct list listeners;
	struct list conns;
};

void cli_forwards_init(struct cli_forwards *f, struct ev_loop *loop);
void cli_forwards_free(struct cli_forwards *f);
/* "[ADDRESS:]LOCAL:HOST:PORT", listens at once. -ERR_INVALID, -ERR_SYS. */
int cli_forwards_add(struct cli_forwards *f, const char *text, struct err *e);
/* TcpOutgoing messages; false: not for here. */
bool cli_forwards_message(
    struct cli_forwards *f, const struct pm_DaemonMessage *m);
void cli_forwards_reset(struct cli_forwards *f);
void cli_forwards_drained(struct cli_forwards *f);

#endif
