/*
 * cfg: tributaryd.yaml, checked and normalised (issue 3 §2).
 *
 * Used by the supervisor (start, -n, reload) and by `tributary check-config`;
 * that is why it has a room of its own above lib/. Everything a key is stands
 * in config/table.def. What comes out is one JSON tree in which every key is
 * present with its default, lists are always lists, and caFile has become
 * caData; cfg_section cuts from it what a worker may see.
 *
 * Nothing here connects anywhere: a remote that is down is no configuration
 * error.
 */
#ifndef CONFIG_CFG_H
#define CONFIG_CFG_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ipc/ipc.h"
#include "lib/err.h"

struct cfg;

struct cfg_problem {
	char *file;    /* owned */
	unsigned line; /* 1-based; 0: the file as a whole */
	unsigned column;
	bool warning;
	char *text; /* owned: a whole sentence that says what to change */
};

struct cfg_problems {
	struct cfg_problem *list;
	size_t count;
	size_t errors;
	size_t warnings;
};

/* What the configuration depends on besides the file. NULL = not set. */
struct cfg_env {
	const char *multicluster_config; /* MIRRORD_MULTICLUSTER_CONFIG */
	const char *clusters_config;     /* MIRRORD_CLUSTERS_CONFIG */
	const char
	    *setup_deadline; /* OPERATOR_SESSION_SETUP_DEADLINE_SECONDS */
	char hostname[256];  /* for the default of advertise */
};
/* From the process: its environment (borrowed) and gethostname. */
struct cfg_env cfg_env_of_process(void);

/*
 * Reads path (NULL: only the vendor files) and what env names, checks
 * everything and collects EVERY problem. 0: *out is a configuration to start
 * with (there may be warnings). -ERR_INVALID: problems->errors > 0 and *out is
 * NULL. -ERR_NOMEM. The caller frees both.
 */
int cfg_load(const char *path, const struct cfg_env *env, struct cfg **out,
    struct cfg_problems *problems);
void cfg_free(struct cfg **cfg);
void cfg_problems_free(struct cfg_problems *problems);
/* "FILE:LINE:COLUMN: sentence", one a line, in the order of the files. */
void cfg_problems_print(const struct cfg_problems *problems, FILE *out);

/* The whole normalised tree; borrowed. */
const cJSON *cfg_tree(const struct cfg *cfg);
/* By dotted path: "runDir", "workerUids.first". "" / 0 when there is none. */
const char *cfg_str(const struct cfg *cfg, const char *path);
int64_t cfg_int(const struct cfg *cfg, const char *path);
/* The own cluster's name: multiCluster.clusterName, else the instance. */
const char *cfg_cluster_name(const struct cfg *cfg);

/*
 * What a worker may see (column `see` of the table). cluster: the name of the
 * remote cluster for IPC_CLU, which then finds its entry as "cluster"; NULL
 * for the others. Owned by the caller; NULL when out of memory or when there
 * is no such cluster.
 */
cJSON *cfg_section(
    const struct cfg *cfg, enum ipc_role role, const char *cluster);

/*
 * Worker numbers of remote clusters (clusters[].worker) start as positions.
 * On reload, before a section is cut: names that were there keep theirs, a
 * removed name's stays reserved for it, a new name gets the next. -ERR_NOMEM.
 */
int cfg_keep_workers(struct cfg *now, const struct cfg *before);
/*
 * Warns of keys that changed although only a restart changes them, and puts
 * their old values into now, so that both sides agree. -ERR_NOMEM.
 */
int cfg_freeze(
    struct cfg *now, const struct cfg *before, struct cfg_problems *problems);

/*
 * `tributaryd -n` and `tributary check-config FILE`: prints problems to
 * stderr. Exit code: 0 usable (warnings or none), 1 not.
 */
int cfg_check_main(const char *path);

#endif
