/*
 * pieces: bytes in. Scans what comes, finds the row of the table as soon as
 * the head is known, and then
 *  - gives whole messages to the row's handler (small kinds are kept until
 *    they are complete), or
 *  - passes pieces on as they come, with the connection id rewritten. The new
 *    id may be longer or shorter: the bytes are spliced, never patched.
 *
 * A client's message whose id comes last is kept whole, since its receiver is
 * not known before; a daemon's is passed on with the last bytes held back, so
 * that an id cut by the end of a piece is still rewritten.
 */
#include "config.h"

#include "route/pieces.h"

#include <stdlib.h>
#include <string.h>

/* An id is at most 9 bytes; while unknown, its first 8 may have come. */
enum { HOLD_BACK = 8 };

static void
in_init(struct route_in *in, int src, enum route_path path)
{
	/* All but the scan, which is large and set up by its own. */
	memset(&in->row, 0, sizeof(*in) - offsetof(struct route_in, row));
	pm_scan_init(&in->scan, src < 0 ? PM_CLIENT : PM_DAEMON);
	buf_init(&in->held, ROUTE_ASSEMBLE_MAX);
	in->src = src;
	in->slot = src;
	in->path = path;
}

void
rt_in_free(struct route_in **in)
{
	if (*in == NULL)
		return;
	buf_free(&(*in)->held);
	free(*in);
	*in = NULL;
}

static void
in_unpool(struct route *r, struct route_in *in)
{
	if (in->pooled > 0 && r->ops.pool_give != NULL)
		r->ops.pool_give(r->arg, in->pooled);
	in->pooled = 0;
}

void
rt_in_end(struct route *r, struct route_in **at)
{
	struct route_in *in = *at;

	if (in == NULL)
		return;
	in_unpool(r, in);
	rt_in_free(at);
}

void
rt_in_lose_child(struct route *r, int slot)
{
	for (int p = 0; p < ROUTE_PATHS; p++) {
		struct route_in **at = &r->child[slot]->in[p];

		if (*at == r->active)
			*at = NULL; /* in_take is at it, and frees it */
		else
			rt_in_free(at);
	}
	for (int p = 0; p < ROUTE_PATHS; p++) {
		struct route_in *in = r->in[p];

		if (in != NULL && in->mode == IN_PASS && in->slot == slot)
			in->mode = IN_SKIP;
	}
}

/* ---- what is wrong ---- */

int
rt_in_fail(
    struct route *r, struct route_in *in, enum err_code code, const char *what)
{
	if (in->src < 0) {
		rt_drop_client(r,
		    code == ERR_NOMEM     ? ROUTE_DROP_NOMEM
		    : code == ERR_INVALID ? ROUTE_DROP_PROTOCOL
					  : ROUTE_DROP_LIMIT,
		    "the client's message (%s) %s",
		    pm_kind_name(PM_CLIENT, pm_scan_route(&in->scan)->kind),
		    what);
		return -ERR_CLOSED;
	}
	rt_child_fail(r, in->src,
	    code == ERR_INVALID ? ROUTE_FAIL_PROTOCOL : ROUTE_FAIL_LIMIT,
	    "its message (%s) %s",
	    pm_kind_name(PM_DAEMON, pm_scan_route(&in->scan)->kind), what);
	return r->dead ? -ERR_CLOSED : -ERR_INVALID;
}

/* ---- bytes on ---- */

/* Bytes [from, to) of a followed by b, as at most two parts. */
static int
cat_slice(
    struct span a, struct span b, size_t from, size_t to, struct span *part)
{
	int n = 0;

	if (from < a.n && from < to)
		part[n++] =
		    (struct span){a.p + from, (to < a.n ? to : a.n) - from};
	if (to > a.n) {
		size_t at = from > a.n ? from - a.n : 0;

		if (to - a.n > at)
			part[n++] = (struct span){b.p + at, to - a.n - at};
	}
	return n;
}

static void
in_emit(struct route *r, struct route_in *in, const struct route_out *out)
{
	const struct pm_route *m = pm_scan_route(&in->scan);
	enum route_path path =
	    route_is_stateful(in->scan.dir, m) ? ROUTE_STATEFUL : ROUTE_TRAFFIC;

	in->began = true;
	if (in->src >= 0)
		rt_emit_client(r, in->src, in->path, path, out);
	else
		rt_emit_child(r, in->slot, path, out);
}

/* Keep bytes [from, ..) of held + b as the new held. */
static int
in_keep(struct route_in *in, struct span b, size_t from)
{
	size_t drop = from < in->held.len ? from : in->held.len;

	buf_consume(&in->held, drop);
	from -= drop;
	return b.n > from ? buf_append(&in->held, b.p + from, b.n - from) : 0;
}

/* Send on what is known to be right of held + b. */
static int
in_pass(struct route *r, struct route_in *in, struct span b)
{
	const struct pm_route *m = pm_scan_route(&in->scan);
	struct span a = buf_span(&in->held), part[ROUTE_PARTS_MAX];
	size_t to = a.n + b.n, at = 0;
	uint8_t id[17];
	int n = 0, rc;

	if (in->map && m->id_known) {
		size_t idx = (size_t)(m->id_offset - in->sent);

		if (!in->mapped) {
			rc = rt_in_map_up(r, in);
			if (rc < 0 || in->mode == IN_SKIP)
				return rc;
		}
		n = cat_slice(a, b, 0, idx, part);
		part[n++] = (struct span){id, pm_put_varint(id, in->id)};
		at = idx + m->id_len;
		in->map = false;
	} else if (in->map) {
		to -= to < HOLD_BACK ? to : HOLD_BACK;
	}
	n += cat_slice(a, b, at, to, part + n);
	in->sent += to;
	if (n > 0) {
		struct route_out out = {part, n, !in->began, in->complete};

		in_emit(r, in, &out);
	}
	if (r->dead)
		return -ERR_CLOSED;
	if (in_keep(in, b, to) < 0)
		return rt_in_fail(r, in, ERR_NOMEM, "finds no memory");
	return 0;
}

/* Keep bytes until more is known. */
static int
in_hold(struct route *r, struct route_in *in, struct span b)
{
	const struct pm_route *m = pm_scan_route(&in->scan);
	bool late = in->src < 0 && in->mode == IN_HEAD && m->id_last;
	size_t limit = late ? ROUTE_ASSEMBLE_MAX : ROUTE_WHOLE_MAX;

	if (b.n > limit - in->held.len) {
		if (in->row != NULL && in->row->handle == rt_on_log) {
			r->stats.dropped_logs++;
			in->mode = IN_SKIP;
			return 0;
		}
		return rt_in_fail(
		    r, in, ERR_TOO_BIG, "is larger than can be kept whole");
	}
	if (late && r->ops.pool_take != NULL) {
		if (!r->ops.pool_take(r->arg, b.n))
			return rt_in_fail(r, in, ERR_TOO_BIG,
			    "finds the daemon's pool empty");
		in->pooled += b.n;
	}
	if (buf_append(&in->held, b.p, b.n) < 0)
		return rt_in_fail(r, in, ERR_NOMEM, "finds no memory");
	return 0;
}

static int
in_whole(struct route *r, struct route_in *in, struct span b)
{
	struct span raw = b;

	if (!in->complete)
		return in_hold(r, in, b);
	if (in->held.len > 0) {
		int rc = in_hold(r, in, b);

		if (rc < 0)
			return rc;
		raw = buf_span(&in->held);
	}
	if (in->mode == IN_WHOLE)
		in->row->handle(r, in->src, pm_scan_route(&in->scan), raw);
	in->mode = IN_SKIP;
	return 0;
}

static int
in_feed(struct route *r, struct route_in *in, struct span b, bool last)
{
	struct err e;
	size_t used = b.n;
	int rc;

	if (in->complete)
		return 0; /* bytes behind a message do not count */
	rc = pm_scan_feed(&in->scan, b.p, b.n, &used, &e);
	if (rc != 0 && rc != -ERR_TRUNCATED)
		return rt_in_fail(r, in, ERR_INVALID, e.text);
	in->complete = rc == 0;
	if (last && !in->complete) /* before anybody gets a part of it */
		return rt_in_fail(r, in, ERR_INVALID, "ends early");
	b.n = used;
	if (in->mode == IN_HEAD && rt_in_head_is_enough(in)) {
		rc = rt_in_decide(r, in);
		if (rc < 0)
			return rc;
	}
	switch (in->mode) {
	case IN_HEAD:
		return in_hold(r, in, b);
	case IN_WHOLE:
		return in_whole(r, in, b);
	case IN_PASS:
		rc = in_pass(r, in, b);
		in_unpool(r, in);
		return rc;
	default:
		return 0;
	}
}

/* ---- the two ways in ---- */

/* One piece of a source whose unfinished message is kept at *at. */
static int
in_take(struct route *r, struct route_in **at, struct route_in *fresh,
    struct span b, bool first, bool last)
{
	struct route_in *in = *at;
	int rc;

	if (first != (in == NULL))
		return rt_in_fail(r, fresh, ERR_INVALID,
		    first ? "begins within another one" : "has no beginning");
	if (first && last) {
		rc = in_feed(r, fresh, b, true);
		in_unpool(r, fresh);
		buf_free(&fresh->held);
		return rc;
	}
	if (first) {
		in = malloc(sizeof(*in));
		if (in == NULL)
			return rt_in_fail(
			    r, fresh, ERR_NOMEM, "finds no memory");
		*in = *fresh;
		*at = in;
	}
	r->active = in;
	rc = in_feed(r, in, b, last);
	r->active = NULL;
	if (*at != in) /* the child was lost in between */
		rt_in_free(&in);
	else if (last || rc < 0)
		rt_in_end(r, at);
	return rc;
}

/* Both paths lead to one stream: a large message holds the other path. */
static void
hold_other_path(struct route *r, enum route_path path)
{
	const struct route_in *in = r->in[path];
	bool on = in != NULL && in->mode == IN_PASS && in->began;

	if (r->cfg.split_client && !r->cfg.split_children)
		rt_hold_client(r,
		    path == ROUTE_TRAFFIC ? ROUTE_STATEFUL : ROUTE_TRAFFIC,
		    HOLD_OTHER, on);
}

int
route_from_client(struct route *r, enum route_path path, const uint8_t *p,
    size_t n, bool first, bool last, uint64_t now_ms)
{
	struct route_in fresh;
	int rc;

	if (r->dead || r->gone)
		return -ERR_CLOSED;
	if ((unsigned)path >= ROUTE_PATHS ||
	    (path != ROUTE_TRAFFIC && !r->cfg.split_client))
		return -ERR_INTERNAL;
	if (r->hold[path] != 0)
		return ROUTE_LATER;
	rt_enter(r, now_ms);
	in_init(&fresh, -1, path);
	rc = in_take(r, &r->in[path], &fresh, (struct span){p, n}, first, last);
	hold_other_path(r, path);
	rt_leave(r);
	return r->dead ? -ERR_CLOSED : rc;
}

int
route_from_child(struct route *r, int slot, enum route_path path,
    const uint8_t *p, size_t n, bool first, bool last, uint64_t now_ms)
{
	struct child *c = rt_child_at(r, slot);
	struct route_in fresh;
	int rc;

	if (r->dead || r->gone)
		return -ERR_CLOSED;
	if (c == NULL || c->state == CHILD_DOWN)
		return -ERR_INVALID;
	if ((unsigned)path >= ROUTE_PATHS ||
	    (path != ROUTE_TRAFFIC && !r->cfg.split_children))
		return -ERR_INTERNAL;
	if (c->held[path])
		return ROUTE_LATER;
	rt_enter(r, now_ms);
	c->last_rx = now_ms;
	r->dirty |= r->pings.n > 0; /* a busy default has a deadline */
	in_init(&fresh, slot, path);
	rc = in_take(r, &c->in[path], &fresh, (struct span){p, n}, first, last);
	rt_ping_late(r);
	rt_leave(r);
	if (r->dead)
		return -ERR_CLOSED;
	return c->state == CHILD_DOWN ? -ERR_INVALID : rc;
}
