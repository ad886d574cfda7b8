/*
 * incoming_priv: what the files of intercepted traffic share. agent/incoming.c
 * owns all of it; agent/redirect.c brings redirected connections in, and each
 * becomes a passthrough (agent/passthrough.c) or a stolen connection
 * (agent/steal.c), either with mirrors (agent/mirror.c). Peers and clients
 * are not trusted.
 */
#ifndef AGENT_INCOMING_PRIV_H
#define AGENT_INCOMING_PRIV_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/agent.h"
#include "agent/incoming_table.h"
#include "agent/passthrough_half.h"
#include "lib/list.h"
#include "lib/map.h"

/* An address of either family; v4-mapped ones are kept as v4. */
union incoming_addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* One redirected connection: who called, and whom. */
struct incoming_flow {
	union incoming_addr peer;
	union incoming_addr orig; /* where the peer wanted to go */
	uint16_t port;            /* of orig */
};

struct redirect;

struct incoming {
	struct agent *agent;
	struct redirect *redirect;
	struct incoming_table table;
	struct half_pipes pipes;
	struct list clients; /* struct incoming_client.link */
	struct list passes;  /* struct passthrough.link */
	struct list steals;  /* struct steal.link */
	size_t live;         /* connections in passes and steals */
	uint64_t last_accept_ms;
	uint64_t last_removal_ms; /* a port left the kernel's set */
	struct ev_timer *sweep;   /* removes unused ports, drives shutdown */
	bool stopping;
	bool cleared; /* stopping: the kernel's set is empty */
	uint64_t stop_by_ms;
	ev_fn *done;
	void *done_arg;
};

/* What a client has here; made at its first message. */
struct incoming_client {
	struct list link;
	struct incoming *in;
	struct agent_client *client;
	struct map steals; /* connection id -> struct steal */
	struct map taps;   /* connection id -> struct mirror_tap */
	uint64_t next_steal_id;
	uint64_t next_mirror_id;
	struct agent_wait lag_wait; /* to tell of connections that lagged */
	size_t lagged;
};

uint16_t incoming_addr_port(const union incoming_addr *a);
socklen_t incoming_addr_len(const union incoming_addr *a);
bool incoming_addr_equal(
    const union incoming_addr *a, const union incoming_addr *b);
/* Turns a v4-mapped address into the v4 one. */
void incoming_addr_unmap(union incoming_addr *a);
/* "192.0.2.1:80" or "[2001:db8::1]:80". */
const char *incoming_addr_text(
    const union incoming_addr *a, char *out, size_t cap);

/* Closes with a reset, so that the peer does not take it for an orderly end. */
void incoming_abort_fd(int fd);
/* What every redirected or passed-through socket gets. */
void incoming_tune_fd(int fd);

#endif
