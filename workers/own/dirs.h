/* dirs: the directories and the identity of the instance, found as root. */
#ifndef WORKERS_OWN_DIRS_H
#define WORKERS_OWN_DIRS_H

#include "workers/own/own.h"

/*
 * Makes what is missing of runDir/INSTANCE/sessions and
 * stateDir/INSTANCE/closed, gives both to the uid to come, and allows them.
 */
int own_dirs_open(struct own *own, struct err *e);
/* The fingerprint and subscription id, made once and kept in stateDir. */
int own_identity_load(struct own *own, struct err *e);

#endif
