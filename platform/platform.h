/*
 * platform: what a cluster is (design §3): kinds and names of targets, the
 * targets there are, and where session records and closed ids are kept.
 *
 * The only platform so far is `standalone`: targets are those of the
 * configuration, records are small files on tmpfs, closed ids files in the
 * state directory. Callers see names, trees and lists, never paths.
 */
#ifndef PLATFORM_PLATFORM_H
#define PLATFORM_PLATFORM_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/list.h"

/* ---- kinds and aliases (multicluster §7, operator-api §9.1) ---- */

enum plat_kind {
	PLAT_DEPLOYMENT,
	PLAT_POD,
	PLAT_STATEFULSET,
	PLAT_REPLICASET,
	PLAT_SERVICE,
	PLAT_ROLLOUT,
	PLAT_JOB,
	PLAT_CRONJOB,
	PLAT_N_WORKLOADS,
	PLAT_TARGETLESS = PLAT_N_WORKLOADS,
	PLAT_LABEL,
	PLAT_N_KINDS
};

struct plat_kind_info {
	const char *alias;       /* "deployment": in aliases and settings */
	const char *kind;        /* "Deployment" */
	const char *api_version; /* "apps/v1" */
	const char *plural;      /* "deployments" */
	const char *target_key;  /* "stateful_set": key in spec.target */
};
const struct plat_kind_info *plat_kind_info(enum plat_kind kind);
/* By alias ("deploy" too); -1 when unknown. */
int plat_kind_by_alias(const char *alias);
int plat_kind_by_kind(const char *kind);     /* "Deployment" */
int plat_kind_by_plural(const char *plural); /* "deployments" */

enum { PLAT_NAME_MAX = 254 };

struct plat_alias {
	enum plat_kind kind;
	char name[PLAT_NAME_MAX];      /* "" for targetless and label */
	char container[PLAT_NAME_MAX]; /* "" = not named */
};

/*
 * Parses "<type>.<name>[.container.<c>]", "targetless" or "label".
 * -ERR_INVALID with a sentence for the user.
 */
int plat_alias_parse(
    const char *segment, struct plat_alias *out, struct err *e);
/* "deployment.web.container.app" */
int plat_alias_put(const struct plat_alias *a, struct buf *out);
/* A DNS subdomain as Kubernetes wants names of objects. */
bool plat_name_ok(const char *name);
/*
 * A cluster's name as part of an object's name (multicluster §2.2); out gets
 * at most 49 bytes and a NUL.
 */
void plat_cluster_label(const char *cluster, char out[64]);

/* ---- targets ---- */

struct plat_label {
	char *key, *value; /* owned */
};

struct plat_replica {
	char *name;    /* owned */
	char *address; /* owned; "" = not known */
	bool ready;
};

struct plat_target {
	struct list node;
	enum plat_kind kind;
	char *ns, *name, *container; /* owned */
	char *key;                   /* owned: "deployment/default/shop" */
	uint16_t *ports;
	size_t n_ports;
	struct plat_label *labels;
	size_t n_labels;
	struct plat_replica *replicas;
	size_t n_replicas;
	char **clusters; /* owned names: where it is */
	size_t n_clusters;
};

struct plat_targets {
	struct list list;
	size_t count;
};

void plat_targets_init(struct plat_targets *ts);
void plat_targets_free(struct plat_targets *ts);
/* Adds what the `targets` list of the configuration names, in cluster. */
int plat_targets_add_config(struct plat_targets *ts, const cJSON *targets,
    const char *cluster, struct err *e);
struct plat_target *plat_target_find(const struct plat_targets *ts,
    enum plat_kind kind, const char *ns, const char *name);
struct plat_target *plat_target_by_key(
    const struct plat_targets *ts, const char *key);
struct plat_replica *plat_replica_find(
    const struct plat_target *t, const char *name);
/* Copies ready and address of replicas that both have. */
void plat_targets_keep_state(
    struct plat_targets *now, const struct plat_targets *before);
int plat_replica_set(struct plat_replica *r, bool ready, const char *address);
size_t plat_target_n_ready(const struct plat_target *t);

/* Target and TargetItem as our API shows them; also what members answer. */
cJSON *plat_target_json(const struct plat_target *t);
/*
 * Adds an item of a member's TargetList to ts: merged into a target of the
 * same kind, namespace and name if there is one. Foreign input.
 */
int plat_targets_merge_json(struct plat_targets *ts, const cJSON *item,
    const char *cluster, struct err *e);
/* The same for every target of another list. */
int plat_targets_merge(
    struct plat_targets *ts, const struct plat_targets *from);

/* ---- the store ---- */

struct plat_store;

/*
 * Both descriptors are directories of the instance and are taken. NULL with
 * *e set.
 */
struct plat_store *plat_store_new(
    int sessions_dir_fd, int closed_dir_fd, struct err *e);
void plat_store_free(struct plat_store **s);

/* record is the callee's until it returns. */
typedef void plat_record_fn(void *arg, const char *name, const cJSON *record);
/*
 * Calls fn for each record. One that does not parse is renamed to
 * NAME.json.bad-TIME and named in a log line.
 */
int plat_store_load(
    struct plat_store *s, plat_record_fn *fn, void *arg, struct err *e);
/* Moves one record aside that parses but makes no sense; why is logged. */
void plat_store_set_aside(
    struct plat_store *s, const char *name, const char *why);
/* Atomic (tmp and rename), without fsync: records outlive us, not a boot. */
int plat_store_put(
    struct plat_store *s, const char *name, const cJSON *record, struct err *e);
/* 0 also when there was none. */
int plat_store_remove(struct plat_store *s, const char *name, struct err *e);

enum { PLAT_CLOSED_KEEP_S = 300 };

struct plat_closed {
	char reason[64];
	char message[512];
};
/*
 * Remembers an id ended by a person, a limit or a policy (write, fsync,
 * rename). key is the session's record name.
 */
int plat_closed_add(struct plat_store *s, const char *key,
    const struct plat_closed *c, int64_t now_s, struct err *e);
/* False when it is not there or older than PLAT_CLOSED_KEEP_S. */
bool plat_closed_find(struct plat_store *s, const char *key, int64_t now_s,
    struct plat_closed *out);
/* Removes what is too old. */
void plat_closed_expire(struct plat_store *s, int64_t now_s);

#endif
