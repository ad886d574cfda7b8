/*
 * fuzz_route: the input drives a client, its children and the clock of one
 * router. The owner below checks what every owner relies on: messages are
 * framed, whole ones parse, holds alternate, nothing comes after the end,
 * never a Pong too many.
 *
 * First byte: slots, default, paths. Then operations: one byte (low three
 * bits the kind, then first, last, and three bits of slot), for bytes a length
 * and as many bytes.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "protocol/mirrord.h"
#include "route/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { SLOTS = 8, BIG = 70000 };

enum op {
	OP_CLIENT,
	OP_CHILD,
	OP_STATEFUL,
	OP_UP,
	OP_DOWN,
	OP_TIME,
	OP_BIG,
	OP_OTHER
};

struct sink {
	struct buf part;
	bool open;
};

struct owner {
	struct route_config cfg;
	struct sink client[ROUTE_PATHS], child[SLOTS][ROUTE_PATHS];
	bool client_held[ROUTE_PATHS], child_held[SLOTS][ROUTE_PATHS];
	bool up[SLOTS];
	bool dropped;
	long pings, pongs, pooled;
};

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
sink_reset(struct sink *s)
{
	buf_free(&s->part);
	s->open = false;
}

static uint8_t
sink_put(struct sink *s, enum pm_dir dir, const struct route_out *out)
{
	struct pm_route m;

	check(out->first == !s->open);
	check(out->n_part > 0 && out->n_part <= ROUTE_PARTS_MAX);
	for (int i = 0; i < out->n_part; i++) {
		check(out->part[i].n > 0);
		check(
		    buf_append(&s->part, out->part[i].p, out->part[i].n) == 0);
	}
	s->open = !out->last;
	if (!out->last)
		return PM_NONE;
	check(pm_shallow(dir, buf_data(&s->part), s->part.len, &m, NULL) == 0);
	buf_free(&s->part);
	return m.kind;
}

static void
on_to_child(
    void *arg, int slot, enum route_path path, const struct route_out *out)
{
	struct owner *o = arg;

	check(!o->dropped && o->up[slot]);
	if (!o->cfg.split_children)
		path = ROUTE_TRAFFIC;
	sink_put(&o->child[slot][path], PM_CLIENT, out);
}

static void
on_to_client(void *arg, enum route_path path, const struct route_out *out)
{
	struct owner *o = arg;

	check(!o->dropped);
	if (!o->cfg.split_client)
		path = ROUTE_TRAFFIC;
	if (sink_put(&o->client[path], PM_DAEMON, out) == PM_DaemonMessage_Pong)
		check(++o->pongs <= o->pings);
}

static void
on_hold_client(void *arg, enum route_path path, bool hold)
{
	struct owner *o = arg;

	check(!o->dropped && o->client_held[path] != hold);
	o->client_held[path] = hold;
}

static void
on_hold_child(void *arg, int slot, enum route_path path, bool hold)
{
	struct owner *o = arg;

	check(o->up[slot] && o->child_held[slot][path] != hold);
	o->child_held[slot][path] = hold;
}

static void
on_settled(void *arg, const char *version)
{
	(void)arg;
	check(version[0] != '\0');
}

static int
on_may_subscribe(void *arg, enum pm_space space, uint16_t port, struct span raw)
{
	(void)arg;
	(void)space;
	(void)raw;
	return port % 7 == 3 ? -ERR_CONFLICT : 0;
}

static void
on_drop_client(void *arg, enum route_drop reason, const char *why)
{
	struct owner *o = arg;

	(void)reason;
	(void)why;
	check(!o->dropped);
	o->dropped = true;
}

static void
child_gone(struct owner *o, int slot)
{
	o->up[slot] = false;
	for (int p = 0; p < ROUTE_PATHS; p++) {
		o->child_held[slot][p] = false;
		sink_reset(&o->child[slot][p]);
	}
}

static void
on_child_failed(void *arg, int slot, enum route_fail reason, const char *why)
{
	struct owner *o = arg;

	(void)reason;
	(void)why;
	check(o->up[slot]);
	child_gone(o, slot);
}

static bool
on_pool_take(void *arg, size_t n)
{
	struct owner *o = arg;

	o->pooled += (long)n;
	return true;
}

static void
on_pool_give(void *arg, size_t n)
{
	struct owner *o = arg;

	o->pooled -= (long)n;
	check(o->pooled >= 0);
}

static const struct route_ops ops = {
    .to_child = on_to_child,
    .to_client = on_to_client,
    .hold_client = on_hold_client,
    .hold_child = on_hold_child,
    .settled = on_settled,
    .may_subscribe = on_may_subscribe,
    .drop_client = on_drop_client,
    .child_failed = on_child_failed,
    .pool_take = on_pool_take,
    .pool_give = on_pool_give,
};

/* A message too large to move whole, of either direction. */
static void
feed_big(struct route *r, struct owner *o, int slot, uint8_t what, uint64_t now)
{
	static uint8_t big[BIG + 16];
	uint8_t head[8] = {2, 1, (uint8_t)(what >> 3), 0xfc, 0x70, 0x11, 1, 0};

	if (what % 2 == 0)
		head[1] = 3; /* the client's Data */
	memcpy(big, head, sizeof(head));
	if (what % 2 == 0)
		route_from_client(r, ROUTE_TRAFFIC, big, ROUTE_WHOLE_MAX, true,
		    what % 4 == 0, now);
	else if (o->up[slot])
		route_from_child(r, slot, ROUTE_TRAFFIC, big, ROUTE_WHOLE_MAX,
		    true, false, now);
}

static void
other(struct route *r, int slot, uint8_t what, uint64_t now)
{
	switch (what % 5) {
	case 0:
		route_start(r, now);
		return;
	case 1:
		route_condition_set(r, slot, "something is missing");
		return;
	case 2:
		route_set_name(r, slot, "a new name");
		return;
	case 3:
		route_set_settled(r, "1.22.0", NULL);
		return;
	default:
		if (what > 250)
			route_close(r, "the end", now);
	}
}

static void
pass_time(struct route *r, uint64_t *now, uint8_t by)
{
	uint64_t end = *now + (uint64_t)by * 40;

	for (int i = 0; route_next_deadline(r) <= end; i++) {
		check(i < 100000);
		if (route_next_deadline(r) > *now)
			*now = route_next_deadline(r);
		route_tick(r, *now);
	}
	*now = end;
}

static void
feed(struct route *r, struct owner *o, uint8_t op, int slot, const uint8_t *p,
    size_t n, uint64_t now)
{
	bool first = op & 8, last = op & 16;
	enum route_path path =
	    (op & 7) == OP_STATEFUL ? ROUTE_STATEFUL : ROUTE_TRAFFIC;

	if ((op & 7) != OP_CLIENT) {
		if (o->up[slot])
			route_from_child(r, slot, path, p, n, first, last, now);
		return;
	}
	/* Counted as soon as it may be one: the last byte decides. */
	o->pings++;
	route_from_client(r,
	    o->cfg.split_client && slot % 2 == 1 ? ROUTE_STATEFUL
						 : ROUTE_TRAFFIC,
	    p, n, first, last, now);
}

static void
run(struct route *r, struct owner *o, const uint8_t *p, size_t n)
{
	uint64_t now = 1;

	while (n >= 2) {
		uint8_t op = p[0], arg = p[1];
		int slot = (op >> 5) % o->cfg.n_slots;

		p += 2;
		n -= 2;
		switch (op & 7) {
		case OP_UP:
			if (!o->up[slot] && !o->dropped) {
				o->up[slot] = true;
				route_child_up(r, slot, now);
			}
			break;
		case OP_DOWN:
			if (o->up[slot]) {
				route_child_down(r, slot, "down", now);
				child_gone(o, slot);
			}
			break;
		case OP_TIME:
			pass_time(r, &now, arg);
			break;
		case OP_BIG:
			feed_big(r, o, slot, arg, now);
			break;
		case OP_OTHER:
			other(r, slot, arg, now);
			break;
		default:
			if (arg > n)
				arg = (uint8_t)n;
			feed(r, o, op, slot, p, arg, now);
			p += arg;
			n -= arg;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct owner o;
	struct route *r;

	if (n < 1)
		return 0;
	log_set_level(LOG_LV_ERROR);
	memset(&o, 0, sizeof(o));
	o.client_held[0] = o.client_held[1] = true;
	o.cfg.n_slots = 1 + (p[0] & 7);
	o.cfg.default_slot = (p[0] >> 3 & 7) % o.cfg.n_slots;
	o.cfg.split_children = p[0] & 64;
	o.cfg.split_client = p[0] & 128;
	o.cfg.prefix_logs = true;
	o.cfg.own_version = PM_VERSION_OWN;
	r = route_new(&o.cfg, &ops, &o, NULL);
	check(r != NULL);
	for (int s = 0; s < o.cfg.n_slots; s++) {
		o.up[s] = true;
		route_child_up(r, s, 0);
	}
	route_start(r, 0);
	run(r, &o, p + 1, n - 1);
	route_free(&r);
	check(o.pooled == 0);
	for (int path = 0; path < ROUTE_PATHS; path++)
		sink_reset(&o.client[path]);
	for (int s = 0; s < SLOTS; s++)
		child_gone(&o, s);
	return 0;
}
