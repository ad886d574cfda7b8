/*
 * replicas: which configured replicas run. A running one is watched by its
 * pidfd; one that does not is looked for once a second. The own cluster's
 * worker hears every change, and all of it when it starts.
 */
#ifndef SUPERVISOR_REPLICAS_H
#define SUPERVISOR_REPLICAS_H

#include "supervisor/sup.h"

struct sup_replicas;

struct sup_replicas *sup_replicas_new(struct sup *s);
void sup_replicas_free(struct sup_replicas **r);
/* The configuration changed: keeps what stayed the same. */
int sup_replicas_reload(struct sup_replicas *r, struct err *e);
/* The own cluster's worker is up: tell it everything. */
void sup_replicas_give(struct sup_replicas *r);
/*
 * A duplicate of the pidfd of a running replica; the caller closes it.
 * -ERR_NOT_FOUND with a sentence.
 */
int sup_replica_pidfd(struct sup_replicas *r, const char *target,
    const char *replica, struct err *e);

#endif
