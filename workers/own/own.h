/*
 * own: the own cluster's worker (design §4-§7). Session controller, store,
 * API objects, agents and the routers over replicas.
 *
 * One context per process, made in prepare. Frontends ask; cluster workers
 * and the stateful worker get orders; the supervisor starts agents. Nothing
 * here opens a path but below the two directories of the store, and nothing
 * connects. What other workers send is checked by ipc/ for form and here for
 * sense: a request that makes none is answered with a refusal, never trusted.
 *
 *   session.c  the sessions there are          record.c  their stored form
 *   phases.c   phases x events, the table      slots.c   children, one a slot
 *   open.c     SESSION_OPEN                    grants.c  who may work on it
 *   sockets.c  client sockets, heartbeat       ttl.c     the clock
 *   local.c    the own cluster's part          agents.c  agents of replicas
 *   stream.c   child streams, stream_route.c, leg.c
 *   locks.c    port locks
 *   api.c      API requests by table           objects_*.c  what they show
 */
#ifndef WORKERS_OWN_OWN_H
#define WORKERS_OWN_OWN_H

#include <cjson/cJSON.h>

#include "ipc/ipc.h"
#include "lib/list.h"
#include "lib/map.h"
#include "platform/platform.h"
#include "protocol/params.h"
#include "workers/worker.h"

enum {
	OWN_PEER_USER = 0,
	OWN_PEER_PRIMARY = 1,
	OWN_PEER_ADMIN = 2,
};

enum {
	OWN_NO_REPLICA_S = 15,      /* wait for a ready replica */
	OWN_UNREACHABLE_S = 10,     /* a start fails after so long */
	OWN_DELETE_GIVE_UP_S = 600, /* then the child is left to its own TTL */
	OWN_RETRY_MAX_MS = 4000,    /* cap of re-join back-off (design §7) */
	OWN_DELETE_RETRY_MAX_MS = 30000,
	OWN_MAX_SESSIONS = 4096,
	OWN_MAX_SUBS = 256,
	OWN_LISTED_MAX = 1000, /* sessions in one answer: it has 1 MiB */
	OWN_MAX_CLUSTERS = 255,
};

/* ---- settings ---- */

struct own_cluster {
	char *name;      /* owned */
	uint32_t worker; /* index of its cluster worker */
};

struct own_settings {
	char cluster[254]; /* the own cluster's name */
	bool multi;        /* we are a primary */
	bool management_only;
	char default_cluster[254];
	struct own_cluster *clusters; /* remote ones; owned */
	size_t n_clusters;
	int64_t ttl_s, setup_s, child_unused_s, max_time_s; /* 0 = none */
	int64_t agent_idle_s;
};

/* What is known of a remote cluster (PEER_STATE). */
struct own_peer_info {
	struct list node;
	char cluster[254];
	bool connected;
	char operator_version[64], protocol_version[64];
	char fingerprint[128];
	char error[1024];
	int64_t credential_expires_s;
	int64_t checked_us;
};

/* ---- sessions ---- */

enum own_kind {
	OWN_SINGLE, /* an ordinary session of the own cluster */
	OWN_PARENT, /* a multi-cluster session */
	OWN_CHILD,  /* created here by a primary */
	OWN_N_KINDS
};

enum own_phase {
	OWN_INITIALIZING, /* stored, children not all asked for */
	OWN_PENDING,      /* asked for, not all ready */
	OWN_READY,
	OWN_STORED, /* found in the store, nobody came back yet */
	OWN_TERMINATING,
	OWN_N_PHASES
};
const char *own_phase_name(enum own_phase p);
int own_phase_parse(const char *name); /* -1 */

enum own_event {
	OWN_EV_OPEN,     /* a client wants in */
	OWN_EV_ASKED,    /* every child was asked for */
	OWN_EV_UP,       /* all that the start policy wants are up */
	OWN_EV_FAIL,     /* one that it wants cannot come up */
	OWN_EV_DEADLINE, /* setup took too long */
	OWN_EV_EXPIRE,   /* the TTL is over */
	OWN_EV_END,      /* by a person, a limit or a policy */
	OWN_EV_EMPTY,    /* no child is left */
	OWN_N_EVENTS
};

/* A refusal, as the client will see it. */
struct own_refusal {
	uint16_t code;
	char reason[64];
	char message[1024];
};
void own_refuse(struct own_refusal *r, uint16_t code, const char *reason,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

enum own_slot_state {
	OWN_SLOT_NONE, /* no child there */
	OWN_SLOT_CREATING,
	OWN_SLOT_CREATED, /* it exists; nobody may work on it yet */
	OWN_SLOT_GRANTING,
	OWN_SLOT_GRANTED, /* streams may be opened */
	OWN_SLOT_ANCHORING,
	OWN_SLOT_UP,
	OWN_SLOT_DELETING,
	OWN_SLOT_N_STATES
};

/* A child of a session: one cluster. */
struct own_slot {
	struct own_session *s;
	int index;
	char *cluster; /* owned */
	char *child;   /* owned: record name of the child */
	bool own;      /* here, in this process */
	uint32_t worker;
	enum own_slot_state state;
	bool anchor_wanted;   /* what ANCHOR last said */
	bool told_up;         /* CHILD_STATE last said */
	uint32_t request;     /* of the answer awaited, 0 = none */
	uint64_t retry_at_ms; /* 0 = now */
	uint32_t backoff_ms;
	uint64_t failing_since_ms; /* 0 = not */
	char error[512];
};

struct own_waiter { /* a SESSION_OPEN not answered yet */
	struct list node;
	struct ipc_peer *fe;
	uint32_t request;
};

struct own_socket {
	struct list node;
	struct ipc_peer *fe;
	uint32_t stream;
	uint32_t request;
};

struct own_sub {
	struct list node;
	struct ipc_peer *fe;
	uint32_t stream;
	uint8_t space;
	uint16_t port;
};

struct own_session {
	struct list node;
	struct own *own;
	enum own_kind kind;
	enum own_phase phase;
	char name[PLAT_NAME_MAX]; /* of its record */
	uint64_t id;
	uint32_t handle;
	/* owned texts, never NULL */
	char *user, *key_id, *groups, *ns, *alias;
	char *key, *header_filter, *cli_version;
	char *client_name, *client_hostname, *client_der;
	char *traceparent, *baggage;
	char *parent;  /* OWN_CHILD: the parent's name */
	char *primary; /* OWN_CHILD: the primary that made it */
	char *params;  /* the query, with branch names: never stored */
	struct plat_alias target;
	char settled[64];
	char stateful_replica[PLAT_NAME_MAX];
	int64_t created_us;
	int64_t stamp_us;     /* connectedTimestamp: the TTL counts from it */
	uint64_t setup_at_ms; /* start of a setup under way */
	bool used;            /* OWN_CHILD: had a stream */
	bool deleted;         /* OWN_CHILD: by its primary */
	bool recorded;
	/* How it ends. */
	bool ended; /* by a person, a limit or a policy */
	char close_reason[64], close_text[512];
	uint64_t removing_since_ms;
	struct own_slot *slots; /* owned */
	int n_slots, default_slot;
	bool sf_granted, sf_asked;
	struct list waiters, sockets, subs;
	struct own_local *local;    /* the own cluster's part, or NULL */
	struct own_refusal failure; /* why a setup failed */
};

struct own {
	struct worker *w;
	struct plat_store *store;
	struct plat_targets targets;
	struct own_settings cfg;
	char fingerprint[64], subscription_id[64];
	struct list sessions;
	size_t n_sessions;
	struct map by_handle;
	uint32_t next_handle, next_request;
	struct list peers;  /* struct own_peer_info */
	struct list agents; /* struct own_agent */
	struct list calls;  /* API requests that wait for members */
	struct list watches;
	struct list locks;
	struct ipc_budget *budget; /* of all streams */
	struct ev_timer *tick;
	int64_t closed_swept_s;
	uint64_t version; /* resourceVersion of the last change */
	int64_t started_us;
	bool draining;
};

/* settings.c */
int own_settings_load(
    struct own_settings *c, const struct worker *w, struct err *e);
void own_settings_free(struct own_settings *c);

/* main.c */
uint32_t own_next_request(struct own *own);
struct ipc_peer *own_clu(const struct own *own, uint32_t worker);
struct ipc_peer *own_sf(const struct own *own);
void own_drain_check(struct own *own);

/* session.c */
struct own_session *own_session_new(
    struct own *own, enum own_kind kind, const char *name);
/* Frees it and everything that belongs to it; its record stays. */
void own_session_free(struct own_session *s);
struct own_session *own_session_by_name(
    const struct own *own, const char *name);
struct own_session *own_session_by_handle(
    const struct own *own, uint32_t handle);
/* Sessions of users (not children) by their id. */
struct own_session *own_session_by_id(const struct own *own, uint64_t id);
int own_text_set(char **text, const char *value);
int own_session_add_slot(struct own_session *s, const char *cluster);
void own_name_of_id(enum own_kind kind, uint64_t id, char out[64]);
bool own_same_owner(
    const struct own_session *s, const char *user, const char *key_id);

/* record.c */
cJSON *own_record_json(const struct own_session *s);
/* Makes a session of a record; NULL with *e set: it makes no sense. */
struct own_session *own_record_load(
    struct own *own, const char *name, const cJSON *record, struct err *e);
int own_session_save(struct own_session *s); /* logs a failure */
/* The child of a slot as its cluster gets it. */
cJSON *own_child_json(const struct own_slot *slot);

/* phases.c */
void own_event(struct own_session *s, enum own_event ev);
void own_answer_waiters(struct own_session *s);
/* End it by a person, a limit or a policy; the id is remembered. */
void own_session_end(
    struct own_session *s, const char *reason, const char *text);

/* slots.c */
void own_slots_step(struct own_session *s); /* towards what the phase wants */
/* A step of this slot went well. May free the session. */
void own_slot_reached(struct own_slot *slot, enum own_slot_state state);
void own_slot_failed(struct own_slot *slot, uint16_t code, const char *reason,
    const char *message);
void own_slots_clu_attached(struct own *own, struct ipc_peer *clu);
void own_slots_clu_gone(struct own *own, uint32_t worker);
/* Every cluster, and the stateful worker. */
bool own_slots_all_up(const struct own_session *s);
/* The default, and the stateful worker. */
bool own_slots_can_serve(const struct own_session *s);
/* Tells the phase table when all are up, or gone. May free s. */
void own_slots_check(struct own_session *s);
/* Lets the members keep the children while no client socket is open. */
void own_slots_anchor(struct own_session *s, bool hold);
bool own_slots_all_gone(const struct own_session *s);

int own_slots_granted(struct own *own, struct ipc_in *in);

/* grants.c */
int own_grant(
    struct own_session *s, const struct own_slot *slot, struct ipc_peer *to);
void own_grant_sf(struct own_session *s);
void own_revoke(struct own_session *s, struct ipc_peer *to, const char *text);

/* open.c */
/* Starts the setup of a new, stored session. May free it. */
void own_session_begin(struct own_session *s);
int own_params_text(const struct own_session *s, enum params_child which,
    struct buf *out, struct err *e);
/* The own target of an alias, or NULL with a 404 in *r. */
struct plat_target *own_find_target(const struct own *own, const char *ns,
    const struct plat_alias *a, struct own_refusal *r);

/* sockets.c */
void own_sockets_fe_gone(struct own *own, struct ipc_peer *fe);
/* SESSION_END to every frontend that has to do with it. */
void own_sockets_end(struct own_session *s, bool close, const char *text);
void own_tell_child_state(struct own_slot *slot, bool up, const char *text);
void own_heartbeat(struct own_session *s, bool force);

/* ttl.c */
void own_tick(void *arg);
void own_tick_arm(struct own *own);

/* children_api.c */
void own_watch_changed(const struct own_session *s, const char *type);

#endif
