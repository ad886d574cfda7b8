/* client_state: the inside of a client, for agent/client*.c only. */
#ifndef AGENT_CLIENT_STATE_H
#define AGENT_CLIENT_STATE_H

#include "agent/client.h"
#include "agent/dns.h"
#include "agent/files.h"
#include "agent/outgoing.h"
#include "lib/arena.h"
#include "net/tls_conn.h"
#include "protocol/pm_scan.h"

enum { CLIENT_VERSION_MAX = 128 };

struct client {
	struct agent_client pub; /* first */
	struct tls_conn *conn;
	struct pm_scan scan; /* where the next message ends */
	struct arena arena;  /* of the message at hand */
	struct buf out;      /* a message being encoded */
	char version_text[CLIENT_VERSION_MAX];
	struct pm_version version; /* borrows from version_text */
	bool ready_for_logs;
	bool ending; /* nothing more is read or queued */
	bool paused; /* reading waits for room somewhere */
	unsigned holds;
	struct list waits; /* struct agent_wait.link */
	struct list mark;  /* in waits, while sources are woken */
	struct agent_wait read_wait;
	struct ev_timer *kick;  /* what must not happen inside a call */
	struct ev_timer *stall; /* how long files may hold up reading */
	struct files *files;
	struct outgoing *outgoing;
	struct dns *dns;
};

static inline struct client *
client_of(struct agent_client *c)
{
	return (struct client *)(void *)c;
}

/* Does what a message asks. 0, or negative to drop the client. */
int client_dispatch(
    struct client *c, const struct pm_ClientMessage *m, struct span raw);

#endif
