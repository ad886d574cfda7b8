/*
 * incoming_table: who is subscribed to which port. Pure bookkeeping; the
 * agent never refuses a subscription (spec/agent.md B.6.8): the newest
 * stealer of a port replaces the one before, mirrors stand side by side and
 * beside a stealer. Subscribers are opaque pointers.
 */
#ifndef AGENT_INCOMING_TABLE_H
#define AGENT_INCOMING_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/list.h"
#include "lib/map.h"

struct incoming_mirror {
	struct list link; /* in incoming_port.mirrors */
	void *who;
};

struct incoming_port {
	uint16_t port;
	bool redirected;       /* in the kernel's set */
	uint64_t remove_at_ms; /* when unused: leave the set then */
	void *stealer;         /* NULL = nobody */
	struct list mirrors;   /* struct incoming_mirror.link */
};

struct incoming_table {
	struct map ports; /* port -> struct incoming_port, owned */
};

void incoming_table_init(struct incoming_table *t);
void incoming_table_deinit(struct incoming_table *t);
/* NULL when nobody is subscribed and the port has left the kernel's set. */
struct incoming_port *incoming_table_find(
    const struct incoming_table *t, uint16_t port);
/* NULL when memory is out; the table is then as it was. */
struct incoming_port *incoming_table_steal(
    struct incoming_table *t, uint16_t port, void *who);
/* Mirroring twice is once. */
struct incoming_port *incoming_table_mirror(
    struct incoming_table *t, uint16_t port, void *who);
/* NULL when who held nothing there, else the port, which may be unused. */
struct incoming_port *incoming_table_unsteal(
    struct incoming_table *t, uint16_t port, void *who);
struct incoming_port *incoming_table_unmirror(
    struct incoming_table *t, uint16_t port, void *who);
bool incoming_port_used(const struct incoming_port *p);
/* who holds nothing any more; touched is called for each port it left. */
typedef void incoming_port_fn(void *arg, struct incoming_port *p);
void incoming_table_forget(
    struct incoming_table *t, void *who, incoming_port_fn *touched, void *arg);
/* Frees an unused port's entry. */
void incoming_table_remove(struct incoming_table *t, struct incoming_port *p);

#endif
