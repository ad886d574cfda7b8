#include "config.h"

#include "agent/incoming_table.h"

#include <stdlib.h>

void
incoming_table_init(struct incoming_table *t)
{
	map_init(&t->ports);
}

static void
port_free(struct incoming_port *p)
{
	LIST_FOR_EACH_SAFE (n, &p->mirrors) {
		list_remove(n);
		free(LIST_ENTRY(n, struct incoming_mirror, link));
	}
	free(p);
}

void
incoming_table_deinit(struct incoming_table *t)
{
	struct incoming_port *p;
	size_t pos = 0;

	while ((p = map_next(&t->ports, &pos, NULL)) != NULL)
		port_free(p);
	map_free(&t->ports);
}

struct incoming_port *
incoming_table_find(const struct incoming_table *t, uint16_t port)
{
	return map_get(&t->ports, port);
}

static struct incoming_port *
find_or_add(struct incoming_table *t, uint16_t port)
{
	struct incoming_port *p = incoming_table_find(t, port);

	if (p != NULL)
		return p;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->port = port;
	list_init(&p->mirrors);
	if (map_put(&t->ports, port, p) < 0) {
		free(p);
		return NULL;
	}
	return p;
}

struct incoming_port *
incoming_table_steal(struct incoming_table *t, uint16_t port, void *who)
{
	struct incoming_port *p = find_or_add(t, port);

	if (p != NULL)
		p->stealer = who;
	return p;
}

static struct incoming_mirror *
find_mirror(const struct incoming_port *p, const void *who)
{
	LIST_FOR_EACH (n, &p->mirrors) {
		struct incoming_mirror *m =
		    LIST_ENTRY(n, struct incoming_mirror, link);

		if (m->who == who)
			return m;
	}
	return NULL;
}

struct incoming_port *
incoming_table_mirror(struct incoming_table *t, uint16_t port, void *who)
{
	struct incoming_port *p = find_or_add(t, port);
	struct incoming_mirror *m;

	if (p == NULL || find_mirror(p, who) != NULL)
		return p;
	m = calloc(1, sizeof(*m));
	if (m == NULL) {
		if (!incoming_port_used(p) && !p->redirected)
			incoming_table_remove(t, p);
		return NULL;
	}
	m->who = who;
	list_push(&p->mirrors, &m->link);
	return p;
}

static bool
leave_steal(struct incoming_port *p, const void *who)
{
	if (p->stealer != who || who == NULL)
		return false;
	p->stealer = NULL;
	return true;
}

static bool
leave_mirror(struct incoming_port *p, const void *who)
{
	struct incoming_mirror *m = find_mirror(p, who);

	if (m == NULL)
		return false;
	list_remove(&m->link);
	free(m);
	return true;
}

struct incoming_port *
incoming_table_unsteal(struct incoming_table *t, uint16_t port, void *who)
{
	struct incoming_port *p = incoming_table_find(t, port);

	return p != NULL && leave_steal(p, who) ? p : NULL;
}

struct incoming_port *
incoming_table_unmirror(struct incoming_table *t, uint16_t port, void *who)
{
	struct incoming_port *p = incoming_table_find(t, port);

	return p != NULL && leave_mirror(p, who) ? p : NULL;
}

bool
incoming_port_used(const struct incoming_port *p)
{
	return p->stealer != NULL || !list_empty(&p->mirrors);
}

void
incoming_table_forget(
    struct incoming_table *t, void *who, incoming_port_fn *touched, void *arg)
{
	struct incoming_port *p;
	size_t pos = 0;

	while ((p = map_next(&t->ports, &pos, NULL)) != NULL) {
		bool stole = leave_steal(p, who);
		bool mirrored = leave_mirror(p, who);

		if (stole || mirrored)
			touched(arg, p);
	}
}

void
incoming_table_remove(struct incoming_table *t, struct incoming_port *p)
{
	map_del(&t->ports, p->port);
	port_free(p);
}
