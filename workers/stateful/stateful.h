/* stateful: the context of the stateful worker. */
#ifndef WORKERS_STATEFUL_STATEFUL_H
#define WORKERS_STATEFUL_STATEFUL_H

#include "ipc/pieces.h"
#include "ipc/stream.h"
#include "lib/list.h"
#include "lib/map.h"
#include "workers/worker.h"

struct sf {
	struct worker *w;
	struct map sessions; /* handle -> struct sf_session */
	struct ipc_budget budget;
};

/* A session this worker was given, and where its stateful cluster is. */
struct sf_session {
	struct sf *sf;
	uint32_t handle;
	uint64_t id;
	char cluster[254];
	enum ipc_role role; /* IPC_CLU or IPC_OWN */
	uint32_t worker;
	struct ipc_budget budget;
	struct list flows;
};

/* One client socket's stateful flow: two streams and what waits between. */
struct sf_flow {
	struct list node;
	struct sf_session *session;
	struct ipc_stream *client;  /* to the frontend */
	struct ipc_stream *cluster; /* to the cluster worker */
	struct ipc_pieces to_cluster;
	struct ipc_pieces to_client;
	bool opened;       /* the cluster worker has its side */
	bool client_ended; /* end the cluster's side once flushed */
	bool cluster_ended;
	uint16_t end_code;
	char end_text[256];
};

extern const struct sys_sandbox sf_sandbox;
int sf_start(struct worker *w, struct err *e);
void sf_on_peer(struct worker *w, struct ipc_peer *peer);
void sf_on_peer_gone(struct worker *w, struct ipc_peer *peer, const char *why);
void sf_drain(struct worker *w, uint32_t deadline_ms);
void sf_stop(struct worker *w);

ipc_handler_fn sf_on_grant, sf_on_revoke, sf_on_stream_open;

/* Ends every flow of the session with text and forgets it. */
void sf_session_free(struct sf_session *s, const char *text);
/* Opens the pair of streams for in (a STREAM_OPEN of a frontend). */
int sf_flow_open(struct sf_session *s, struct ipc_in *in,
    const struct ipc_stream_open *open, struct err *e);
void sf_flow_free(struct sf_flow *f);

#endif
