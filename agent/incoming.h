/*
 * incoming: intercepted traffic; the hooks that the agent calls stand in
 * agent/agent.h. All state hangs off agent.incoming.
 */
#ifndef AGENT_INCOMING_H
#define AGENT_INCOMING_H

#include <stddef.h>

struct agent;

/*
 * Redirected connections that are still running. They end when the agent
 * does, so an agent without clients does well to wait for them.
 */
size_t incoming_live(const struct agent *a);

#endif
