/*
 * life: the agent from its start to its end: what is set up in which order,
 * when it says that it is ready, and the four ways it ends (spec/agent.md
 * A.8): told to, no client came, the last client left, the target ended.
 */
#ifndef AGENT_LIFE_H
#define AGENT_LIFE_H

#include "agent/options.h"

/* Runs until the end; the exit code of the process. */
int agent_run(const struct agent_options *o);

#endif
