/* ports: which ports of the target come here, and the subscriptions. */
#ifndef CLIENT_PORTS_H
#define CLIENT_PORTS_H

#include "client/session.h"
#include "lib/list.h"

struct cli_ports {
	struct list list;
	size_t count;
	unsigned waiting; /* subscriptions not answered yet */
	struct err failed;
	/* All are answered: e says which was refused, NULL when none. */
	void (*on_done)(void *arg, const struct err *e);
	void *arg;
};

void cli_ports_init(struct cli_ports *ps);
void cli_ports_free(struct cli_ports *ps);
/* "PORT" or "PORT:LOCAL". -ERR_INVALID, -ERR_CONFLICT for one given twice. */
int cli_ports_add(
    struct cli_ports *ps, const char *text, bool steal, struct err *e);
/*
 * Subscribes every port; on_done comes once, at once when there is none, never
 * when the connection is lost before. -ERR_NOMEM.
 */
int cli_ports_subscribe(struct cli_ports *ps, struct cli_session *s,
    void (*on_done)(void *, const struct err *), void *arg);
/* Where a connection to port goes; 0: that port is not ours. */
uint16_t cli_ports_local(const struct cli_ports *ps, bool steal, uint16_t port);
/* "steal 8080 -> 127.0.0.1:18080, mirror 9 -> ..." for an event line. */
void cli_ports_describe(const struct cli_ports *ps, struct buf *out);

#endif
