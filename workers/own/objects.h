/* objects: what API answers are made of. Owned by the caller. */
#ifndef WORKERS_OWN_OBJECTS_H
#define WORKERS_OWN_OBJECTS_H

#include "workers/own/own.h"

/* {"apiVersion", "kind", "metadata": {}, "items": []} */
cJSON *own_list_json(const char *api_version, const char *kind);
/* A Session as in status.sessions (operator-api §13). */
cJSON *own_session_json(const struct own_session *s);
/* An entry of status.multi_cluster_sessions. */
cJSON *own_multi_json(const struct own_session *s);

/* Kubernetes objects of a target. */
cJSON *own_workload_json(const struct own *own, const struct plat_target *t);
cJSON *own_pod_json(const struct own *own, const struct plat_target *t,
    const struct plat_replica *r);
cJSON *own_namespace_json(const char *name);

/* ---- selectors (Kubernetes' grammar) ---- */

/* 1 yes, 0 no, -ERR_INVALID with a sentence. labels may be NULL. */
int own_labels_match(const char *selector, const cJSON *labels, struct err *e);
/* Of metadata.name, metadata.namespace, status.phase, spec.session.key. */
int own_fields_match(const char *selector, const cJSON *object, struct err *e);

#endif
