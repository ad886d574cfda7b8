/* forward: local listeners whose connections leave from the target. */
#ifndef CLIENT_FORWARD_H
#define CLIENT_FORWARD_H

#include "client/listen.h"
#include "client/session.h"
#include "client/sock.h"
#include "lib/list.h"
#include "lib/map.h"

struct cli_forwards {
	struct cli_socks socks;
	struct cli_session *session; /* NULL: connections are refused */
	struct list listeners;
	struct list conns;
	struct map by_id; /* connected ones */
	bool full;        /* the session takes no more for now */
};

void cli_forwards_init(struct cli_forwards *f, struct ev_loop *loop);
void cli_forwards_free(struct cli_forwards *f);
/* "[ADDRESS:]LOCAL:HOST:PORT", listens at once. -ERR_INVALID, -ERR_SYS. */
int cli_forwards_add(struct cli_forwards *f, const char *text, struct err *e);
/* An event line for each listener. */
void cli_forwards_say(const struct cli_forwards *f);
/* TcpOutgoing messages; false: not for here. */
bool cli_forwards_message(
    struct cli_forwards *f, const struct pm_DaemonMessage *m);
void cli_forwards_reset(struct cli_forwards *f);
void cli_forwards_flow(struct cli_forwards *f, bool full);

#endif
