/*
 * emit: bytes out. A message larger than a piece must not be cut into by
 * another one of the same stream, so while one is under way
 *  - to the client: every other source is held, own messages wait in pend;
 *  - to a child: own messages to it wait in the child's pend.
 * Both queues are bounded; what waits there is small by nature.
 */
#include "config.h"

#include "route/route_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
rt_drop_client(struct route *r, enum route_drop reason, const char *fmt, ...)
{
	char why[TEXT_MAX];
	va_list ap;

	if (r->dead || r->gone)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	r->dead = true;
	r->dirty = true;
	r->ops.drop_client(r->arg, reason, why);
}

void
rt_hold_client(
    struct route *r, enum route_path path, enum hold_why why, bool on)
{
	uint8_t was = r->hold[path];

	if (on)
		r->hold[path] |= (uint8_t)why;
	else
		r->hold[path] &= (uint8_t)~why;
	if ((was == 0) == (r->hold[path] == 0) || r->dead || r->gone)
		return;
	r->ops.hold_client(r->arg, path, r->hold[path] != 0);
}

void
rt_hold_client_all(struct route *r, enum hold_why why, bool on)
{
	rt_hold_client(r, ROUTE_TRAFFIC, why, on);
	if (r->cfg.split_client)
		rt_hold_client(r, ROUTE_STATEFUL, why, on);
}

/* ---- to a child ---- */

static enum route_path
child_stream(const struct route *r, enum route_path path)
{
	return r->cfg.split_children ? path : ROUTE_TRAFFIC;
}

/* pend holds records: 4 bytes length, then the message. */
static int
pend_put(struct buf *b, struct span msg)
{
	uint32_t n = (uint32_t)msg.n;
	int rc;

	rc = buf_reserve(b, sizeof(n) + msg.n);
	if (rc < 0)
		return rc;
	buf_append(b, &n, sizeof(n));
	return buf_append(b, msg.p, msg.n);
}

static bool
pend_get(const struct buf *b, struct span *msg)
{
	uint32_t n;

	if (b->base == NULL || b->len < sizeof(n))
		return false;
	memcpy(&n, buf_data(b), sizeof(n));
	*msg = (struct span){buf_data(b) + sizeof(n), n};
	return true;
}

static void
send_own_child(struct route *r, int slot, struct span msg)
{
	const struct route_out out = {&msg, 1, true, true};

	r->stats.to_children++;
	r->ops.to_child(r->arg, slot, ROUTE_TRAFFIC, &out);
}

void
rt_own_to_child(struct route *r, int slot, struct span msg)
{
	struct child *c = rt_child_at(r, slot);

	if (r->dead || r->gone || c == NULL || c->state == CHILD_DOWN)
		return;
	if (!c->busy[ROUTE_TRAFFIC]) {
		send_own_child(r, slot, msg);
		return;
	}
	if (pend_put(&c->pend, msg) < 0)
		rt_child_fail(r, slot, ROUTE_FAIL_LIMIT,
		    "it asks for answers faster than it takes them");
}

static void
flush_child(struct route *r, int slot)
{
	struct child *c = rt_child_at(r, slot);
	struct span msg;

	while (!r->dead && pend_get(&c->pend, &msg)) {
		send_own_child(r, slot, msg);
		buf_consume(&c->pend, sizeof(uint32_t) + msg.n);
	}
	buf_free(&c->pend);
}

void
rt_emit_child(struct route *r, int slot, enum route_path path,
    const struct route_out *out)
{
	struct child *c = rt_child_at(r, slot);
	enum route_path stream = child_stream(r, path);

	if (r->dead || r->gone || c == NULL || c->state == CHILD_DOWN)
		return;
	r->ops.to_child(r->arg, slot, path, out);
	if (!out->last) {
		c->busy[stream] = true;
		return;
	}
	r->stats.to_children++;
	if (c->busy[stream]) {
		c->busy[stream] = false;
		if (stream == ROUTE_TRAFFIC)
			flush_child(r, slot);
	}
}

/* ---- to the client ---- */

/* Hold or release every source but the one whose message is under way. */
static void
hold_others(struct route *r, bool on)
{
	for (int s = 0; s < r->cfg.n_slots; s++) {
		struct child *c = r->child[s];

		if (c == NULL || c->state == CHILD_DOWN)
			continue;
		for (int p = 0; p < (r->cfg.split_children ? 2 : 1); p++) {
			if (s == r->cut_slot && p == (int)r->cut_path)
				continue;
			if (c->held[p] == on)
				continue;
			c->held[p] = on;
			if (!on)
				rt_child_excuse(r, s); /* it could not speak */
			r->ops.hold_child(r->arg, s, (enum route_path)p, on);
		}
	}
}

static void
send_own_client(struct route *r, struct span msg)
{
	const struct route_out out = {&msg, 1, true, true};

	r->stats.to_client++;
	r->ops.to_client(r->arg, ROUTE_TRAFFIC, &out);
}

void
rt_own_to_client(struct route *r, struct span msg)
{
	if (r->dead || r->gone)
		return;
	if (r->cut_slot < 0) {
		send_own_client(r, msg);
		return;
	}
	if (pend_put(&r->pend, msg) < 0)
		rt_drop_client(r, ROUTE_DROP_LIMIT,
		    "too many answers wait behind one large message; the "
		    "client takes it too slowly");
}

static void
cut_begin(struct route *r, int slot, enum route_path path)
{
	r->cut_slot = slot;
	r->cut_path = path;
	hold_others(r, true);
}

static void
cut_end(struct route *r)
{
	struct span msg;

	r->cut_slot = -1;
	while (!r->dead && pend_get(&r->pend, &msg)) {
		send_own_client(r, msg);
		buf_consume(&r->pend, sizeof(uint32_t) + msg.n);
	}
	buf_free(&r->pend);
	hold_others(r, false);
}

void
rt_emit_client(struct route *r, int slot, enum route_path path,
    enum route_path out_path, const struct route_out *out)
{
	if (r->dead || r->gone)
		return;
	if (!out->last && r->cut_slot < 0)
		cut_begin(r, slot, path);
	r->ops.to_client(r->arg, out_path, out);
	if (!out->last)
		return;
	r->stats.to_client++;
	if (r->cut_slot >= 0)
		cut_end(r);
}

/* ---- Close for the connections of lost children ---- */

static int
dying_space(struct route *r, int slot, int i, int room)
{
	static const uint32_t tcp[IDS_SPACES] = {
	    PM_DaemonMessage_Tcp, PM_DaemonMessage_TcpSteal};
	struct ids *d = &r->child[slot]->dying[i];
	struct buf b;

	buf_init(&b, 64);
	while (d->n > 0 && room > 0 && !r->dead) {
		uint64_t id = d->open[d->n - 1] * (uint64_t)r->cfg.n_slots +
			      (uint64_t)slot;

		buf_clear(&b);
		if (pm_put_tcp_close(&b, tcp[i], id) < 0)
			break;
		rt_own_to_client(r, buf_span(&b));
		d->n--;
		room--;
	}
	buf_free(&b);
	if (d->n == 0)
		rt_ids_free(d);
	else
		r->dirty = true;
	return room;
}

void
rt_emit_dying(struct route *r)
{
	int room = DYING_PER_CALL;

	if (r->dead || r->gone || r->cut_slot >= 0)
		return;
	for (int s = 0; s < r->cfg.n_slots && room > 0; s++)
		for (int i = 0; i < IDS_SPACES && r->child[s] != NULL; i++)
			room = dying_space(r, s, i, room);
}
