/* errkind: system errors as clients know them (spec/protocol.md §8). */
#ifndef AGENT_ERRKIND_H
#define AGENT_ERRKIND_H

#include "protocol/mirrord.h"

/* RemoteIO with the number and its kind. */
struct pm_ResponseError errkind_io(int sys_errno);
/* RemoteIO of a PM_ErrorKindInternal_... that has no number. */
struct pm_ResponseError errkind_plain(uint32_t kind);
uint32_t errkind_of(int sys_errno);

#endif
