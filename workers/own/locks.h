/*
 * locks: who steals which port of which target (operator-api §10
 * on_concurrent_steal). A lock belongs to one child stream.
 */
#ifndef WORKERS_OWN_LOCKS_H
#define WORKERS_OWN_LOCKS_H

#include "workers/own/local.h"

/*
 * May st steal this port? Takes the lock when it may. abort: -ERR_CONFLICT;
 * override: the sessions that have it are ended; continue: both have it.
 */
int own_lock_take(struct own_stream *st, uint16_t port);
void own_lock_drop(struct own_stream *st, uint16_t port);
void own_locks_drop_all(const struct own_stream *st);
/* [{port, kind, filter}] of a session, for records and listings. */
cJSON *own_locks_json(const struct own_session *s);

#endif
