/*
 * redirect: the listener that redirected connections come to, and the kernel
 * rules that bring them. Used by agent/incoming.c only.
 */
#ifndef AGENT_REDIRECT_H
#define AGENT_REDIRECT_H

#include <stdint.h>

#include "agent/incoming_priv.h"
#include "lib/err.h"

struct redirect;

/* A redirected connection; fd is non-blocking and now the callee's. */
typedef void redirect_fn(void *arg, int fd, const struct incoming_flow *flow);

/*
 * Listens (dual-stack, or IPv4 where there is no IPv6) and makes the table,
 * in the network namespace of the calling thread; fn is called on the loop.
 */
int redirect_new(struct redirect **r_r, struct ev_loop *loop, uint32_t gid,
    const char *comment, redirect_fn *fn, void *arg, struct err *e);
/* Removes the rules, then closes the listener. */
void redirect_free(struct redirect **r);
/* In force when they return. */
int redirect_add(struct redirect *r, uint16_t port, struct err *e);
int redirect_del(struct redirect *r, uint16_t port, struct err *e);
int redirect_clear(struct redirect *r, struct err *e);
uint16_t redirect_listen_port(const struct redirect *r);
const char *redirect_table(const struct redirect *r);

#endif
