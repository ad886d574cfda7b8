/* frontend: the context of a frontend worker, and what its files share. */
#ifndef WORKERS_FRONTEND_FRONTEND_H
#define WORKERS_FRONTEND_FRONTEND_H

#include <cjson/cJSON.h>
#include <openssl/evp.h>

#include "ipc/pieces.h"
#include "ipc/stream.h"
#include "lib/list.h"
#include "lib/map.h"
#include "net/http_server.h"
#include "net/tls_conn.h"
#include "net/ws_conn.h"
#include "protocol/params.h"
#include "protocol/status.h"
#include "protocol/x509_client.h"
#include "route/feed.h"
#include "route/route.h"
#include "workers/worker.h"

enum {
	FE_MAX_CONNS = 16384,
	FE_DAEMON_BUDGET_BYTES = 256 << 20,
	FE_POOL_BYTES = 64 << 20, /* client messages being assembled */
	FE_STREAM_INDEX_SHIFT = 24,
};

#define FE_PROTOCOL_VERSION "1.29.0"

/* Whom a request comes from, as its connection proved it (design §8). */
enum fe_peer { FE_NOBODY, FE_USER, FE_PRIMARY, FE_ADMIN };
/* The numbers of SESSION_OPEN.peer and API_REQUEST.peer. */
enum { FE_WIRE_USER = 0, FE_WIRE_PRIMARY = 1, FE_WIRE_ADMIN = 2 };

/* What somebody was let in by: whoever lives by it ends when it is revoked. */
struct fe_proof {
	char serial[64];              /* TLS certificate, lower hex, or "" */
	char token[65];               /* SHA-256 of a bearer token, or "" */
	char key_id[XC_KEY_ID_BYTES]; /* of x-client-der, or "" */
	char der_serial[XC_SERIAL_BYTES];
};

struct fe_identity {
	enum fe_peer peer;
	char user[256];
	char groups[4096]; /* one a line */
	struct fe_proof proof;
	char why[512]; /* why it is nobody */
};

struct fe {
	struct worker *w;
	struct list listeners;
	struct list conns;
	size_t n_conns;
	struct list sockets; /* struct fe_socket */
	struct list pings;   /* struct fe_ping */
	struct map sessions; /* handle -> struct fe_session */
	struct map calls;    /* request -> struct fe_call */
	uint32_t next_call;
	uint32_t next_stream;
	uint32_t next_socket;
	struct ipc_budget budget;
	size_t pool_bytes; /* taken for assembly */
	bool draining;
	uint64_t drain_until_ms;
	struct ev_timer *accept_again; /* when descriptors had run out */
	/* credentials */
	cJSON *trust;        /* TRUST of the secrets worker, or NULL */
	EVP_PKEY *key;       /* our own serving key, made here */
	struct tls_ctx *tls; /* NULL until a certificate is there */
	struct buf chain_pem;
	struct ev_timer *renew;
};

struct fe_listener {
	struct list node;
	struct fe *fe;
	int fd; /* owned */
	struct ev_io *io;
	char address[256];
};

/* One TCP connection of a peer while it speaks HTTP. */
struct fe_conn {
	struct list node;
	struct fe *fe;
	struct http_conn *http; /* owned */
	struct fe_call *call;   /* what the request under way waits for */
	struct fe_connect *connect;
	bool streaming;        /* a watch's answer has begun */
	struct fe_proof proof; /* of the last request */
};

/* A question to another worker. The owner gets exactly one on_done, or none
 * after fe_call_cancel. */
struct fe_call {
	struct fe *fe;
	uint32_t request;
	enum ipc_role role; /* whom it was sent to */
	uint16_t cancel;    /* IPC type that cancels it, or 0 */
	void *owner;
	/* m = NULL: the worker went away. Return true when more answers
	 * follow; else the call is freed after it. */
	bool (*on_done)(
	    void *owner, uint16_t type, const void *m, uint32_t session);
	void (*drop)(void *owner); /* optional: frees owner on a cancel */
};

/* main.c, sandbox.c */
extern const struct sys_sandbox fe_sandbox;
int fe_prepare(struct worker *w, struct err *e);
int fe_start(struct worker *w, struct err *e);
void fe_on_peer(struct worker *w, struct ipc_peer *peer);
void fe_on_peer_gone(struct worker *w, struct ipc_peer *peer, const char *why);
void fe_drain(struct worker *w, uint32_t deadline_ms);
void fe_stop(struct worker *w);
void fe_reload(struct worker *w, cJSON *old_config);

/* calls.c: NULL when out of memory or the worker is away. */
struct fe_call *fe_call_new(struct fe *fe, enum ipc_role role, uint16_t cancel,
    void *owner, bool (*on_done)(void *, uint16_t, const void *, uint32_t));
void fe_call_cancel(struct fe_call **call);
int fe_call_answer(struct fe *fe, uint32_t request, uint16_t type,
    const void *m, uint32_t session);
void fe_calls_peer_gone(struct fe *fe, enum ipc_role role);

/* listener.c */
int fe_listener_add(struct fe *fe, int fd, const char *address, struct err *e);
void fe_listeners_free(struct fe *fe);
/* Descriptors may be there again: listen on. */
void fe_listeners_again(void *fe);
void fe_conn_free(struct fe_conn *c);

/* trust.c: the serving certificate, CAs, revocation */
int fe_trust_set(struct fe *fe, struct span json, struct err *e);
int fe_cert_ask(struct fe *fe);
int fe_cert_set(struct fe *fe, struct span chain_pem, struct err *e);
void fe_trust_free(struct fe *fe);
bool fe_revoked(const struct fe *fe, const char *what);
int fe_trust_reload(struct fe *fe, struct err *e); /* new configuration */
bool fe_proof_holds(const struct fe *fe, const struct fe_proof *p);
const char *fe_credential_ca(const struct fe *fe);

/* identity.c: who is asking; access.c: whether he may */
void fe_identify(struct fe *fe, const struct tls_conn *tls,
    const struct http_head *head, struct fe_identity *out);
/* Whether a bearer token (by its hash) is known, and has not expired. */
bool fe_token_known(const struct fe *fe, const char *hash);
enum fe_scope { FE_SCOPE_ANY, FE_SCOPE_NS, FE_SCOPE_TARGET };
/* FE_SCOPE_ANY: any rule names him. FE_SCOPE_NS: one with the verb for ns, or
 * for all namespaces when ns is NULL. FE_SCOPE_TARGET: and for the target
 * ("kind/name"). */
bool fe_allowed(const struct fe *fe, const struct fe_identity *id,
    enum fe_scope scope, const char *verb, const char *ns, const char *target);
bool fe_is_admin(const struct fe *fe, const struct fe_identity *id);

/* api.c: requests to handlers by one table */
struct fe_request {
	struct fe *fe;
	struct fe_conn *conn;
	const struct http_head *head;
	struct span body;
	struct http_path path;
	struct fe_identity id;
	const char *ns;   /* of the path, or NULL */
	const char *name; /* last segment, or NULL */
};
void fe_api_request(
    struct fe_conn *c, const struct http_head *head, struct span body);

/* discovery.c */
void fe_do_discovery(struct fe_request *r);
/* credentials.c */
void fe_do_credential(struct fe_request *r);
void fe_do_certificate(struct fe_request *r);
/* forward.c */
void fe_do_forward(struct fe_request *r);
void fe_forward_end(struct fe_conn *c); /* a watch under way */
/* connect.c */
void fe_do_connect(struct fe_request *r);
void fe_do_ping(struct fe_request *r);
void fe_pings_check(struct fe *fe); /* ends those whose proof is revoked */
void fe_pings_drop(struct fe *fe);
void fe_pings_free(struct fe *fe);
void fe_do_unsupported(struct fe_request *r);
void fe_connect_abandon(struct fe_connect *c); /* its connection is gone */
/* Answers it with a Status, wherever it stands. */
void fe_connect_refuse(struct fe_connect *c, uint16_t code, const char *why);

/* connect.c, ping.c: WebSockets that begin as requests */
struct fe_socket;

/* session.c: what the frontend knows of a session; socket.c: its sockets */
struct fe_session {
	struct fe *fe;
	uint32_t handle;
	bool orphan; /* the controller that gave the handle is gone */
	uint64_t id;
	char *conditions; /* a line per slot, empty: none */
	char settled[64];
	int n_slots;
	int default_slot;
	struct fe_slot {
		char name[254];
		enum ipc_role role;
		uint32_t worker;
		bool ready;
	} * slots; /* owned */
	struct ipc_budget budget;
	struct list sockets;
};
/* Finds or makes it from SESSION_OPENED. -ERR_INVALID for a broken list. */
int fe_session_get(struct fe *fe, uint32_t handle,
    const struct ipc_session_opened *m, struct fe_session **out, struct err *e);
void fe_session_release(struct fe_session *s); /* frees it if unused */
/* Ends all its sockets: with DaemonMessage Close(text), or dropped. */
void fe_session_close(struct fe_session *s, bool close, const char *text);
/* Its handle means nothing any more; its sockets end as they are. */
void fe_session_orphan(struct fe_session *s);
void fe_sessions_orphan(struct fe *fe);
/* The session whose handle a message of the own worker names, or NULL. */
struct fe_session *fe_session_find(struct fe *fe, uint32_t handle);

/* socket.c, child.c: one client socket, its router and its streams */
struct fe_inlet {
	struct ipc_pieces queue; /* came, not routed yet */
	struct route_feed feed;
	struct fe_child *child;
	enum route_path path;
	struct ipc_stream *stream; /* owned */
	bool opened;
	struct ipc_pieces out; /* routed, not sent yet */
	uint64_t blocked_ms;   /* since when out waits for room, or 0 */
	bool ended; /* the other side ended it; queue is still to be routed */
	uint16_t end_code;
	char end_text[200];
};

struct fe_child {
	struct fe_socket *socket;
	int slot;
	struct fe_inlet path[ROUTE_PATHS]; /* STATEFUL: the default's only */
	bool up;                           /* the router was told so */
	bool failed; /* to be closed after the router's call */
	char why[200];
	uint32_t backoff_ms;
	uint64_t up_ms; /* since when it is up */
	struct ev_timer *rejoin;
};

struct fe_socket {
	struct list node;  /* fe->sockets */
	struct list snode; /* session->sockets */
	struct fe *fe;
	struct fe_session *session;
	struct fe_proof proof;
	uint32_t number;            /* tells it apart to the own worker */
	struct fe_connect *connect; /* until the upgrade is answered */
	struct ws_conn *ws;         /* owned, after it */
	struct route *route;
	struct fe_child *children; /* n_slots, owned */
	int n_slots;
	struct route_feed feed;    /* from the client */
	struct ipc_pieces pending; /* from the client, held by the router */
	struct ev_timer *tick;     /* the router's deadlines */
	struct ev_timer *kick;     /* acts put off from callbacks */
	char *params[2]; /* for traffic streams: default, other; owned */
	int next_child;  /* fairness: whose turn it is */
	bool started;
	bool ended; /* streams are closed, the route is dead */
	bool free_me;
};

/* Opens the streams; connect hears of the outcome by fe_connect_ready. */
struct fe_socket *fe_socket_new(struct fe_session *s,
    struct fe_connect *connect, const struct params *params, struct err *e);
/* The upgrade was answered: from now on ws is the client. */
extern const struct ws_conn_cbs fe_socket_ws_cbs;
void fe_socket_start(struct fe_socket *k, struct ws_conn *ws);
/* Ends it from here: with DaemonMessage Close(text), or without a word. */
void fe_socket_close(struct fe_socket *k, bool close, const char *text);
/* Ends streams and router; what is queued to the client is still sent. */
void fe_socket_end(struct fe_socket *k);
void fe_socket_free(struct fe_socket *k);
/* After every call into the router: acts its callbacks put off. */
void fe_socket_after(struct fe_socket *k);
void fe_socket_kick(struct fe_socket *k);
/* connect.c: all first streams are open (why NULL), or one failed. */
void fe_connect_ready(struct fe_connect *c, uint16_t code, const char *why);

/* client.c: nothing more may come from the client now. */
bool fe_client_blocked(const struct fe_socket *k);
/* Goes on with what the router did not want at first. */
void fe_client_pump(struct fe_socket *k);

/* child.c */
int fe_child_init(struct fe_socket *k, int slot, struct err *e);
void fe_child_deinit(struct fe_child *c);
int fe_child_open(struct fe_child *c);
void fe_child_close(struct fe_child *c, uint16_t code, const char *text);
void fe_child_lost(struct fe_child *c, const char *why);
bool fe_child_opened(const struct fe_child *c);
void fe_child_send(
    struct fe_child *c, enum route_path path, const struct route_out *out);
/* Routes what waits while the client takes it; true when some was. */
bool fe_inlet_pump(struct fe_inlet *in);
/* Bytes waiting for this child's streams. */
size_t fe_child_queued(const struct fe_child *c);
void fe_child_check(struct fe_child *c, uint64_t now_ms);
/* Its streams have ended and all that came is routed: it is lost. */
void fe_child_check_ended(struct fe_child *c);
void fe_child_rejoin_later(struct fe_child *c);

#endif
