/*
 * sandbox: what the agent gives up once it is in place: capabilities, core
 * files, and every system call that its table (agent/sandbox.def) has not.
 */
#ifndef AGENT_SANDBOX_H
#define AGENT_SANDBOX_H

#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"

/* Core files off, open files limited. Before anything is opened. */
int agent_sandbox_limits(struct err *e);
/* The last step of the start; no thread but the caller's exists yet. */
int agent_sandbox_enter(struct err *e);
/* The table with its reasons, and the capabilities that are kept. */
int agent_sandbox_print(struct buf *out);
/* The capabilities kept, as bits. */
uint64_t agent_sandbox_caps(void);

#endif
