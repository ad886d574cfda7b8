/* main: the own worker's life, for dispatch.c. */
#ifndef WORKERS_OWN_MAIN_H
#define WORKERS_OWN_MAIN_H

#include "workers/own/own.h"

extern const struct sys_sandbox own_sandbox;
int own_prepare(struct worker *w, struct err *e);
int own_start(struct worker *w, struct err *e);
void own_on_peer(struct worker *w, struct ipc_peer *peer);
void own_on_peer_gone(struct worker *w, struct ipc_peer *peer, const char *why);
void own_reload(struct worker *w, cJSON *old_config);
void own_drain(struct worker *w, uint32_t deadline_ms);
void own_stop(struct worker *w);

#endif
