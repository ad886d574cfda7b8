/*
 * version: one protocol version for all (spec/multicluster.md 5.5, the
 * design's 7).
 *
 * The client's SwitchProtocolVersion goes to all as the lowest of its version,
 * ours, the session's and what is known of the children. When all have
 * answered, those that answered higher than the lowest are asked again; when
 * all agree the client gets its one answer. Until then nothing more is read
 * from it. The first negotiation settles the session's version; after that a
 * child with a lower one stays out.
 */
#include "config.h"

#include "route/route_int.h"

#include <stdio.h>
#include <string.h>

int
rt_version_set(char out[VERSION_BYTES], struct pm_str s, struct err *e)
{
	struct pm_version v;
	int rc = pm_version_parse(s, &v, e);

	if (rc < 0)
		return rc;
	if (v.build.n > 0) /* says nothing; drop it with its '+' */
		s.n -= v.build.n + 1;
	if (s.n >= VERSION_BYTES)
		return err_set(
		    e, ERR_TOO_BIG, "the version's text is too long");
	memset(out, 0, VERSION_BYTES);
	memcpy(out, s.p, s.n);
	return 0;
}

/* Both are versions. */
static int
text_cmp(const char *a, const char *b)
{
	struct pm_version va, vb;

	if (pm_version_parse(pm_str(a), &va, NULL) < 0 ||
	    pm_version_parse(pm_str(b), &vb, NULL) < 0)
		return 0;
	return pm_version_cmp(&va, &vb);
}

/* Lower *to to v if v is a version and lower. */
static void
lower_to(char to[VERSION_BYTES], const char *v)
{
	if (v[0] != '\0' && text_cmp(v, to) < 0)
		memcpy(to, v, VERSION_BYTES);
}

static void
ask_child(struct route *r, int slot, const char *version)
{
	struct child *c = r->child[slot];
	struct buf b;

	buf_init(&b, 256);
	c->versions_owed++;
	r->dirty = true;
	if (pm_put_version(&b, pm_str(version)) == 0)
		rt_own_to_child(r, slot, buf_span(&b));
	else
		rt_drop_client(r, ROUTE_DROP_NOMEM, "no memory for a message");
	buf_free(&b);
}

void
rt_on_switch_version(
    struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	struct span text = rt_text_of(raw);
	struct err e;

	(void)slot;
	(void)m;
	if (rt_version_set(r->target,
		(struct pm_str){(const char *)text.p, text.n}, &e) < 0) {
		rt_drop_client(r, ROUTE_DROP_PROTOCOL,
		    "the client's protocol version is unusable: %s", e.text);
		return;
	}
	lower_to(r->target, r->own_version);
	lower_to(r->target, r->settled);
	if (r->settled[0] == '\0') {
		FOR_EACH_LIVE(r, s)
		lower_to(r->target, r->child[s]->known_version);
	}
	r->negotiating = true;
	rt_hold_client_all(r, HOLD_VERSION, true);
	FOR_EACH_LIVE(r, s)
	{
		r->child[s]->version_deadline =
		    r->now + (s == r->cfg.default_slot ? r->cfg.default_ms
						       : r->cfg.answer_ms);
		ask_child(r, s, r->target);
	}
}

/* The lowest that all can do; false when one still owes its answer. */
static bool
lowest(const struct route *r, char m[VERSION_BYTES])
{
	memcpy(m, r->target, VERSION_BYTES);
	lower_to(m, r->settled);
	FOR_EACH_LIVE(r, s)
	{
		if (r->child[s]->versions_owed > 0)
			return false;
		lower_to(m, r->child[s]->version);
	}
	return true;
}

static void
answer_client(struct route *r)
{
	struct buf b;

	buf_init(&b, 256);
	if (pm_put_version_response(&b, pm_str(r->version)) == 0)
		rt_own_to_client(r, buf_span(&b));
	else
		rt_drop_client(r, ROUTE_DROP_NOMEM, "no memory for a message");
	buf_free(&b);
}

static void
negotiation_done(struct route *r)
{
	memcpy(r->version, r->target, VERSION_BYTES);
	r->negotiating = false;
	r->negotiated = true;
	if (r->settled[0] == '\0') {
		memcpy(r->settled, r->version, VERSION_BYTES);
		r->ops.settled(r->arg, r->settled);
	}
	answer_client(r);
	for (int s = 0; s < r->cfg.n_slots; s++)
		if (r->child[s] != NULL && r->child[s]->state == CHILD_JOINING)
			rt_version_join(r, s);
	rt_hold_client_all(r, HOLD_VERSION, false);
}

/* Once the session has a version, a cluster below it stays out. */
static bool
stays_out(const struct route *r, int slot, const char *version)
{
	const char *floor = r->negotiating ? r->target : r->version;

	return slot != r->cfg.default_slot && r->settled[0] != '\0' &&
	       text_cmp(version, floor) < 0;
}

static void
fail_version(struct route *r, int slot, const char *version)
{
	rt_child_fail(r, slot, ROUTE_FAIL_VERSION,
	    "it speaks protocol %s, this session has settled on %s; upgrade "
	    "its operator, or start a new session",
	    version, r->settled);
}

/* Another socket may have settled the version after a child answered. */
static bool
one_stays_out(struct route *r)
{
	FOR_EACH_LIVE(r, s)
	{
		struct child *c = r->child[s];

		if (c->versions_owed == 0 && stays_out(r, s, c->version)) {
			fail_version(r, s, c->version);
			return true;
		}
	}
	return false;
}

void
rt_version_progress(struct route *r)
{
	char m[VERSION_BYTES];
	bool again = false;

	if (!r->negotiating || r->dead ||
	    !rt_child_live(r, r->cfg.default_slot) || !lowest(r, m) ||
	    one_stays_out(r))
		return;
	memcpy(r->target, m, VERSION_BYTES);
	FOR_EACH_LIVE(r, s)
	{
		if (text_cmp(r->child[s]->version, m) > 0) {
			ask_child(r, s, m);
			again = true;
		}
	}
	if (!again)
		negotiation_done(r);
}

void
rt_on_version_response(
    struct route *r, int slot, const struct pm_route *m, struct span raw)
{
	struct span text = rt_text_of(raw);
	struct child *c = r->child[slot];
	char version[VERSION_BYTES];
	struct err e;

	(void)m;
	if (c->versions_owed == 0)
		return; /* nobody asked */
	if (rt_version_set(version,
		(struct pm_str){(const char *)text.p, text.n}, &e) < 0) {
		rt_child_fail(r, slot, ROUTE_FAIL_PROTOCOL,
		    "its protocol version is unusable: %s", e.text);
		return;
	}
	r->dirty = true;
	if (--c->versions_owed > 0)
		return; /* the answer to an older question */
	if (stays_out(r, slot, version)) {
		fail_version(r, slot, version);
		return;
	}
	memcpy(c->version, version, sizeof(version));
	if (c->state == CHILD_LIVE)
		rt_version_progress(r);
	else if (!r->negotiating)
		rt_child_take_part(r, slot);
}

/* A child that joins must agree with what this socket has negotiated. */
void
rt_version_join(struct route *r, int slot)
{
	struct child *c = r->child[slot];

	if (r->negotiating)
		return; /* again when it is done */
	if (!r->negotiated) {
		rt_child_take_part(r, slot);
		return;
	}
	c->version_deadline = r->now + r->cfg.answer_ms;
	ask_child(r, slot, r->version);
}

static uint64_t
child_version_deadline(const struct route *r, int slot)
{
	const struct child *c = r->child[slot];

	return c == NULL || c->state == CHILD_DOWN || c->versions_owed == 0
		   ? NEVER
		   : c->version_deadline;
}

void
rt_version_tick(struct route *r)
{
	for (int s = 0; s < r->cfg.n_slots; s++)
		if (child_version_deadline(r, s) <= r->now &&
		    !rt_child_waits(r, s))
			rt_child_fail(r, s, ROUTE_FAIL_SLOW,
			    "it does not answer about its protocol version");
}

uint64_t
rt_version_deadline(const struct route *r)
{
	uint64_t first = NEVER;

	for (int s = 0; s < r->cfg.n_slots; s++) {
		uint64_t d = child_version_deadline(r, s);

		if (d < first)
			first = d;
	}
	return first;
}

int
route_set_settled(struct route *r, const char *version, struct err *e)
{
	char v[VERSION_BYTES] = "";
	int rc = rt_version_set(v, pm_str(version), e);

	if (rc < 0)
		return rc;
	memcpy(r->settled, v, sizeof(v));
	if (r->negotiating)
		lower_to(r->target, v);
	return 0;
}

int
route_set_child_version(
    struct route *r, int slot, const char *version, struct err *e)
{
	struct child *c = rt_child_get(r, slot);

	if (c == NULL)
		return err_set(e, ERR_INVALID, "no slot %d", slot);
	c->known_version[0] = '\0';
	return version == NULL
		   ? 0
		   : rt_version_set(c->known_version, pm_str(version), e);
}

const char *
route_client_version(const struct route *r)
{
	return r->version;
}
