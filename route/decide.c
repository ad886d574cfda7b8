/*
 * decide: where a message goes, as soon as its head is known, and what its
 * connection id becomes.
 */
#include "config.h"

#include "lib/log.h"
#include "route/pieces.h"

/* ---- ids ---- */

/* The agent's id is out of room: it loses this connection at once. */
static void
in_refuse(struct route *r, struct route_in *in, uint64_t agent_id)
{
	struct buf b;

	buf_init(&b, 64);
	r->stats.refused_conns++;
	if (pm_put_unsubscribe_connection(&b,
		pm_scan_route(&in->scan)->space == PM_SPACE_MIRROR
		    ? PM_ClientMessage_Tcp
		    : PM_ClientMessage_TcpSteal,
		agent_id) == 0)
		rt_own_to_child(r, in->src, buf_span(&b));
	buf_free(&b);
	in->mode = IN_SKIP;
}

static bool
opens_id(const struct route_row *row, const struct pm_route *m)
{
	if (!(row->flags & ROW_OPEN))
		return false;
	return row->open_sub2 == 0 ||
	       (m->sub2 < 8 && (row->open_sub2 & (1u << m->sub2)) != 0);
}

int
rt_in_map_up(struct route *r, struct route_in *in)
{
	const struct pm_route *m = pm_scan_route(&in->scan);
	struct ids *s;
	uint64_t value;
	int rc;

	s = &r->child[in->src]->ids[rt_ids_index(m->space)];
	if (rt_ids_to_client(s, r->cfg.n_slots, in->src, m->id, &in->id) < 0)
		return rt_in_fail(r, in, ERR_INVALID,
		    "carries a connection id that is too large");
	in->mapped = true;
	value = m->id + s->base;
	if (in->row->flags & ROW_CLOSE)
		rt_ids_close(s, value);
	if (!opens_id(in->row, m))
		return 0;
	rc = rt_ids_open(s, value);
	if (rc == 0)
		return 0;
	if (in->began)
		return rt_in_fail(r, in, ERR_TOO_BIG,
		    "opens more connections than can be kept");
	in_refuse(r, in, m->id);
	return 0;
}

/* The client's id, now known, becomes the child's; finds the child. */
static void
map_down(struct route *r, struct route_in *in)
{
	const struct pm_route *m = pm_scan_route(&in->scan);
	int slot = (int)(m->id % (uint64_t)r->cfg.n_slots);
	struct child *c = rt_child_at(r, slot);
	int i = rt_ids_index(m->space);

	if (c == NULL || c->state != CHILD_LIVE ||
	    !rt_ids_to_agent(&c->ids[i], r->cfg.n_slots, m->id, &in->id)) {
		r->stats.dropped_late++;
		in->mode = IN_SKIP;
		return;
	}
	if (in->row->flags & ROW_CLOSE)
		rt_ids_close(&c->ids[i], in->id + c->ids[i].base);
	in->slot = slot;
	in->mapped = true;
	in->mode = IN_PASS;
}

/* ---- where it goes ---- */

bool
rt_in_head_is_enough(const struct route_in *in)
{
	const struct pm_route *m = pm_scan_route(&in->scan);

	if (!m->head_known)
		return false;
	if (!(rt_table_row(in->scan.dir, m)->flags & ROW_MAP) || m->id_known)
		return true;
	return in->src >= 0 && m->id_last;
}

static void
skip_kind(struct route *r, struct route_in *in)
{
	r->stats.dropped_kind++;
	in->mode = IN_SKIP;
	log_debug("message dropped session=%llx slot=%d kind=%s",
	    (unsigned long long)r->cfg.session_id, in->src,
	    pm_kind_name(in->scan.dir, pm_scan_route(&in->scan)->kind));
}

static bool
is_stateful(const struct route_row *row)
{
	return row->dest == DEST_DEFAULT || row->dest == DEST_FROM_DEFAULT;
}

/* A frontend sends each kind on its path; else two could meet at a child. */
static bool
wrong_path(const struct route *r, const struct route_in *in)
{
	return (in->src < 0 ? r->cfg.split_client : r->cfg.split_children) &&
	       is_stateful(in->row) != (in->path == ROUTE_STATEFUL);
}

static bool
is_unwanted(struct route *r, const struct route_in *in)
{
	return in->row->dest == DEST_DROP ||
	       (in->row->admit != NULL && !in->row->admit(r, in->src));
}

static int
decide_client(struct route *r, struct route_in *in)
{
	if (wrong_path(r, in))
		return rt_in_fail(r, in, ERR_INVALID, "came on the wrong path");
	if (is_unwanted(r, in)) {
		skip_kind(r, in);
	} else if (in->row->handle != NULL) {
		in->mode = IN_WHOLE;
	} else if (in->row->dest == DEST_OWN) {
		in->map = true;
		map_down(r, in);
	} else {
		in->slot = r->cfg.default_slot;
		in->mode = rt_child_live(r, in->slot) ? IN_PASS : IN_SKIP;
	}
	return 0;
}

static void
skip_stateful(struct route *r, struct route_in *in)
{
	r->stats.dropped_stateful++;
	in->mode = IN_SKIP;
	log_debug("answer of a child that was not asked session=%llx slot=%d",
	    (unsigned long long)r->cfg.session_id, in->src);
}

/* A child that only joins takes no part in anything else yet. */
static bool
is_too_early(const struct route *r, const struct route_in *in)
{
	return !rt_child_live(r, in->src) && !(in->row->flags & ROW_JOINING);
}

static int
decide_child(struct route *r, struct route_in *in)
{
	const struct pm_route *m = pm_scan_route(&in->scan);
	const struct route_row *row = in->row;

	if (is_stateful(row) && in->src != r->cfg.default_slot)
		skip_stateful(r, in);
	else if (wrong_path(r, in) || is_too_early(r, in) || is_unwanted(r, in))
		skip_kind(r, in);
	else if (row->handle != NULL)
		in->mode = IN_WHOLE;
	else
		in->mode = IN_PASS;
	in->map = in->mode == IN_PASS && (row->flags & ROW_MAP) != 0;
	if (in->map && m->id_known)
		return rt_in_map_up(r, in);
	return 0;
}

int
rt_in_decide(struct route *r, struct route_in *in)
{
	in->row = rt_table_row(in->scan.dir, pm_scan_route(&in->scan));
	return in->src >= 0 ? decide_child(r, in) : decide_client(r, in);
}
