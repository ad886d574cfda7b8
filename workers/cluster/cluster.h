/* cluster: the context of a worker for one remote cluster. */
#ifndef WORKERS_CLUSTER_CLUSTER_H
#define WORKERS_CLUSTER_CLUSTER_H

#include "ipc/pieces.h"
#include "ipc/stream.h"
#include "lib/list.h"
#include "lib/map.h"
#include "net/http_client.h"
#include "net/tls_conn.h"
#include "net/ws_conn.h"
#include "route/route.h"
#include "workers/worker.h"

enum {
	CLU_DAEMON_BUDGET_BYTES = 64 << 20,
	CLU_MAX_REQUESTS = 4096,
	CLU_IDLE_CLIENTS = 2,
	CLU_PING_MS = 2000, /* on one stream: is the cluster there? */
	CLU_SILENCE_MS = 5000,
	CLU_PING_OTHERS_MS = 30000,
	CLU_HANDSHAKE_MS = 10000,
};

struct clu {
	struct worker *w;
	struct ipc_budget budget;
	/* where the cluster is: from its `server` URL */
	char host[256];
	char host_port[300]; /* the Host field */
	char prefix[256];    /* of every path, "" or "/a/b" */
	/* the credential of this cluster, the only one here */
	struct tls_ctx *tls; /* NULL: none yet, or unusable */
	char *token;         /* owned, wiped; NULL without */
	struct buf roots;    /* the system's CAs, read before the filter */
	char credential_error[512];
	uint64_t credential_expires_s;
	/* what is known of the peer */
	char operator_version[64];
	char protocol_version[64];
	char fingerprint[128];
	char features[4096]; /* one a line */
	bool connected;
	struct ev_timer *health;
	uint32_t health_ms;
	/* connections being made: request -> struct clu_dial */
	struct map dials;
	uint32_t next_dial;
	struct list idle; /* struct clu_request's kept-alive clients */
	size_t n_idle;
	struct list requests;
	size_t n_requests;
	struct map sessions; /* handle -> struct clu_session */
	struct clu_child *pinging;
};

/* A session this worker was given (GRANT). */
struct clu_session {
	struct clu *clu;
	uint32_t handle;
	uint64_t id;
	char *fields[9]; /* owned copies, see enum */
	struct ipc_budget budget;
	struct list children; /* one stream each */
	struct clu_child *anchor;
};

enum clu_field {
	CLU_CHILD,
	CLU_NAMESPACE,
	CLU_TARGET,
	CLU_PARAMS,
	CLU_CLIENT_NAME,
	CLU_CLIENT_HOSTNAME,
	CLU_CLI_VERSION,
	CLU_CLIENT_DER,
	CLU_TRACE, /* traceparent '\n' baggage */
};

/* ---- dial.c: connections by way of the connector */

struct clu_dial;
/* Exactly one call: a connection (handshake under way), or e. */
typedef void clu_dial_fn(void *arg, struct tls_conn *conn, const struct err *e);
struct clu_dial *clu_dial_start(
    struct clu *clu, clu_dial_fn *fn, void *arg, struct err *e);
void clu_dial_cancel(struct clu_dial **d);
void clu_dials_gone(struct clu *clu, const char *why);
ipc_handler_fn clu_on_connected;

/* ---- request.c: one API request */

struct clu_answer {
	int code; /* HTTP; 0 when nothing came */
	struct span body;
	struct status status; /* of the body when code >= 400 */
	char error[512];      /* when code is 0 */
};
typedef void clu_answer_fn(void *arg, const struct clu_answer *a);
/* body may be NULL. The callback comes exactly once when 0 is returned, at the
 * latest from clu_requests_free. */
int clu_request(struct clu *clu, const char *method, const char *path,
    const char *body, size_t n, clu_answer_fn *fn, void *arg, struct err *e);
void clu_requests_free(struct clu *clu);
/* text as one segment of a path. -ERR_TOO_BIG. */
int clu_escape(char *out, size_t cap, const char *text);
/* Connections made with an older credential are not used again. */
void clu_requests_forget_idle(struct clu *clu);

/* ---- credential.c */
int clu_server_parse(struct clu *clu, const char *url, struct err *e);
ipc_handler_fn clu_on_credential;

/* ---- orders.c, health.c: what the controller asks for */
ipc_handler_fn clu_on_child_create, clu_on_child_delete, clu_on_peer_query;
void clu_health_start(struct clu *clu);
void clu_tell_state(struct clu *clu, const char *error);
bool clu_peer_has(const struct clu *clu, const char *feature);

/* ---- session.c */
ipc_handler_fn clu_on_grant, clu_on_revoke, clu_on_anchor, clu_on_stream_open;
void clu_session_free(struct clu_session *s, const char *text);

/* ---- child.c: one stream to the child */
struct clu_path {
	struct clu_child *child;
	enum route_path path;
	struct ipc_stream *stream; /* owned; NULL before it joins and after */
	bool joined;
	bool ended;
	struct ipc_pieces in;  /* from the daemon, for the child */
	struct ipc_pieces out; /* from the child, for the daemon */
};

struct clu_child {
	struct list node;
	struct clu_session *session;
	uint32_t number;
	bool anchor;
	struct clu_dial *dial;     /* first this */
	struct ws_client *upgrade; /* then this */
	struct ws_conn *ws;        /* then this */
	struct clu_path path[ROUTE_PATHS];
	int sending;      /* path whose message is under way, or -1 */
	int receiving;    /* the same from the child */
	uint8_t head[16]; /* a message's first bytes, too few to know it */
	size_t head_len;
	char *params; /* owned; NULL: the session's */
	struct ev_timer *later;
	bool closing; /* no more is sent to it */
	bool over;    /* it is gone; what it said still waits for the daemon */
	uint16_t over_code;
	char over_text[256];
};

/* open.c */
struct clu_child *clu_child_new(
    struct clu_session *s, uint32_t number, bool anchor, struct err *e);
/* child.c. params: of the traffic path; may come after the other's join. */
int clu_child_join(struct clu_child *c, enum route_path path,
    struct ipc_peer *peer, struct span params, struct err *e);
ws_client_fn clu_child_upgraded;
void clu_child_later(void *child); /* its timer */
/* The stream is lost, or was never there; what it said still goes out. */
void clu_child_fail(struct clu_child *c, uint16_t code, const char *reason,
    const char *message);
void clu_child_silent(struct clu_child *c); /* ends it, from the loop */
void clu_anchor_tell_up(struct clu_child *c);
/* Ends both paths with code and text and frees the child. */
void clu_child_free(struct clu_child *c, uint16_t code, const char *text);
struct clu_child *clu_child_find(struct clu_session *s, uint32_t number);

/* ---- ping.c */
void clu_ping_promote(struct clu *clu); /* when nobody is pinged often */
void clu_ping_silent(struct clu *clu);  /* a stream found the peer silent */

/* ---- main.c, sandbox.c */
extern const struct sys_sandbox clu_sandbox;
int clu_prepare(struct worker *w, struct err *e);
int clu_start(struct worker *w, struct err *e);
void clu_on_peer(struct worker *w, struct ipc_peer *peer);
void clu_on_peer_gone(struct worker *w, struct ipc_peer *peer, const char *why);
void clu_reload(struct worker *w, cJSON *old_config);
void clu_drain(struct worker *w, uint32_t deadline_ms);
void clu_stop(struct worker *w);

#endif
