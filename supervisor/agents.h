/*
 * agents: one process per replica with an agent, started by configured name.
 *
 * The own cluster's worker asks AGENT_START(target, replica) and gets
 * AGENT_STARTED with one end of the agent's control socket; whoever holds
 * that descriptor holds the agent: its end of file means clean up and exit.
 * An agent that is already running for the replica is answered with its
 * number and no descriptor (the asker has it). One that is still cleaning up
 * for an owner that died is waited for, then a new one is started.
 */
#ifndef SUPERVISOR_AGENTS_H
#define SUPERVISOR_AGENTS_H

#include "supervisor/sup.h"

struct sup_agents;

struct sup_agents *sup_agents_new(struct sup *s);
void sup_agents_free(struct sup_agents **a);
void sup_agent_start(struct sup_agents *a, uint32_t request, const char *target,
    const char *replica);
/* SIGTERM; AGENT_EXITED follows. An unknown number is ignored. */
void sup_agent_stop(struct sup_agents *a, uint32_t agent);
/* The own cluster's worker is up (again), or died. */
void sup_agents_owner_ready(struct sup_agents *a, struct ipc_peer *owner);
void sup_agents_owner_gone(struct sup_agents *a);
/* A child that is no worker ended. */
void sup_agents_reaped(struct sup_agents *a, pid_t pid, int status);
size_t sup_agents_count(const struct sup_agents *a);
/* What is left at the end of all patience. */
void sup_agents_kill(struct sup_agents *a);

#endif
