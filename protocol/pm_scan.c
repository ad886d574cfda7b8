/*
 * pm_scan: a pushdown machine over the descriptor tables. What comes next is
 * `type`, else what the top level says. A value is a number or a raw byte
 * (gathered in num[] over pieces if need be) that is then acted on, or a run
 * of bytes to skip, or a new level.
 */
#include "protocol/pm_scan.h"

#include "protocol/pm_scan_route.h"
#include "protocol/pm_type.h"
#include "protocol/pm_wire.h"

static int
scan_bad(struct pm_scan *s, struct err *e, const char *why)
{
	s->failed = true;
	err_set(e, ERR_INVALID, "%s", why);
	if (e != NULL)
		e->offset = s->offset - s->num_len;
	return -ERR_INVALID;
}

/* ---- acting on a number ---- */

static int
scan_push(struct pm_scan *s, const struct pm_field *fields,
    const struct pm_type *item, uint64_t left, struct err *e)
{
	if (item != NULL && left == 0)
		return 0;
	if (s->top == PM_SCAN_LEVELS)
		return scan_bad(s, e, "the message nests too deeply");
	s->level[s->top++] = (struct pm_scan_level){fields, item, left};
	return 0;
}

static int
scan_enum(
    struct pm_scan *s, const struct pm_type *t, uint64_t index, struct err *e)
{
	const struct pm_variant *v;

	if (index >= t->count)
		return scan_bad(s, e, "an enum has no such variant");
	v = &t->variants[index];
	if (v->since > s->route.since)
		s->route.since = v->since;
	pm_scan_head_index(s, v, (uint8_t)index);
	return scan_push(s, v->fields, NULL, 0, e);
}

static int
scan_res(
    struct pm_scan *s, const struct pm_type *t, uint64_t index, struct err *e)
{
	if (index > PM_ERR)
		return scan_bad(s, e, "a result has no such variant");
	s->type = index == PM_OK ? t->elem : &pm_type_ResponseError;
	pm_scan_result(s, t, index == PM_ERR);
	return 0;
}

static int
scan_opt(
    struct pm_scan *s, const struct pm_type *t, uint64_t some, struct err *e)
{
	if (some > 1)
		return scan_bad(s, e, "a byte is no option mark");
	s->type = some == 1 ? t->elem : NULL;
	return 0;
}

static int
scan_bool(struct pm_scan *s, const struct pm_type *t, uint64_t v, struct err *e)
{
	(void)t;
	return v > 1 ? scan_bad(s, e, "a byte is no truth value") : 0;
}

static int
scan_ip(struct pm_scan *s, const struct pm_type *t, uint64_t v, struct err *e)
{
	(void)t;
	if (v > 1)
		return scan_bad(s, e, "there is no such address family");
	s->skip = v == 1 ? 16 : 4;
	return 0;
}

static int
scan_status(
    struct pm_scan *s, const struct pm_type *t, uint64_t v, struct err *e)
{
	(void)t;
	if (v < PM_STATUS_MIN || v > PM_STATUS_MAX)
		return scan_bad(s, e, "a number is no HTTP status");
	return 0;
}

static int
scan_len(struct pm_scan *s, const struct pm_type *t, uint64_t n, struct err *e)
{
	(void)t;
	if (n > PM_LEN_MAX_BYTES)
		return scan_bad(s, e, "a length is over the limit");
	s->skip = n;
	return 0;
}

static int
scan_items(
    struct pm_scan *s, const struct pm_type *t, uint64_t n, struct err *e)
{
	uint64_t max = t->kind == PM_K_HEADERS ? PM_HEADERS_MAX : PM_COUNT_MAX;

	if (n > max)
		return scan_bad(s, e, "a count is over the limit");
	if (t->elem == &pm_type_HttpFilter) {
		if (s->composites == PM_COMPOSITE_DEPTH)
			return scan_bad(s, e, "filters nest too deeply");
		s->composites += n > 0;
	}
	return scan_push(s, NULL, t->elem, n, e);
}

static int
scan_port(struct pm_scan *s, const struct pm_type *t, uint64_t v, struct err *e)
{
	(void)t;
	(void)e;
	s->route.has_port = true;
	s->route.port = (uint16_t)v;
	return 0;
}

static int
scan_cid(struct pm_scan *s, const struct pm_type *t, uint64_t v, struct err *e)
{
	(void)t;
	(void)e;
	pm_scan_id(s, v);
	return 0;
}

static int
scan_uid(struct pm_scan *s, const struct pm_type *t, uint64_t v, struct err *e)
{
	(void)t;
	(void)v; /* too narrow for it */
	(void)e;
	s->route.has_uid = true;
	s->route.uid = pm_uid_of(pm_varint_value(s->num));
	return 0;
}

static int
scan_ignore(
    struct pm_scan *s, const struct pm_type *t, uint64_t v, struct err *e)
{
	(void)s;
	(void)t;
	(void)v;
	(void)e;
	return 0;
}

/* How each kind begins, and what its number means. */
struct scan_rule {
	uint8_t widest; /* enum pm_marker; 0: a raw byte */
	int (*act)(
	    struct pm_scan *, const struct pm_type *, uint64_t, struct err *);
};

static const struct scan_rule scan_rules[PM_K_COUNT] = {
    [PM_K_BOOL] = {0, scan_bool},
    [PM_K_U8] = {0, scan_ignore},
    [PM_K_U16] = {PM_M_U16, scan_ignore},
    [PM_K_PORT] = {PM_M_U16, scan_port},
    [PM_K_STATUS] = {PM_M_U16, scan_status},
    [PM_K_U32] = {PM_M_U32, scan_ignore},
    [PM_K_U64] = {PM_M_U64, scan_ignore},
    [PM_K_CID] = {PM_M_U64, scan_cid},
    [PM_K_I32] = {PM_M_U32, scan_ignore},
    [PM_K_I64] = {PM_M_U64, scan_ignore},
    [PM_K_U128] = {PM_M_U128, scan_ignore},
    [PM_K_UID] = {PM_M_U128, scan_uid},
    [PM_K_STR] = {PM_M_U64, scan_len},
    [PM_K_SEMVER] = {PM_M_U64, scan_len},
    [PM_K_METHOD] = {PM_M_U64, scan_len},
    [PM_K_URI] = {PM_M_U64, scan_len},
    [PM_K_HTTPVER] = {PM_M_U64, scan_len},
    [PM_K_HEADER_NAME] = {PM_M_U64, scan_len},
    [PM_K_BYTES] = {PM_M_U64, scan_len},
    [PM_K_HEADER_VALUE] = {PM_M_U64, scan_len},
    [PM_K_HEADERS] = {PM_M_U64, scan_items},
    [PM_K_IP] = {PM_M_U32, scan_ip},
    [PM_K_SET] = {PM_M_U64, scan_items},
    [PM_K_MAP] = {PM_M_U64, scan_items},
    [PM_K_ENUM] = {PM_M_U32, scan_enum},
    [PM_K_OPT] = {0, scan_opt},
    [PM_K_VEC] = {PM_M_U64, scan_items},
    [PM_K_RES] = {PM_M_U32, scan_res},
};

/* ---- stepping ---- */

/* Takes the type of the next value from the levels; done when there is none. */
static void
scan_next(struct pm_scan *s)
{
	while (s->top > 0) {
		struct pm_scan_level *l = &s->level[s->top - 1];

		if (l->item != NULL && l->left > 0) {
			l->left--;
			s->type = l->item;
			return;
		}
		if (l->fields != NULL && l->fields->type != NULL) {
			s->type = l->fields->type;
			l->fields++;
			return;
		}
		if (l->item == &pm_type_HttpFilter)
			s->composites--;
		s->top--;
	}
	s->done = true;
}

/* Opens the values that begin without a number. True when it was one. */
static bool
scan_open(struct pm_scan *s, int *rc, struct err *e)
{
	const struct pm_type *t = s->type;

	switch (t->kind) {
	case PM_K_UNIT:
		break;
	case PM_K_STRUCT:
	case PM_K_SOCKADDR:
		*rc = scan_push(s, t->fields, NULL, 0, e);
		break;
	case PM_K_TWO:
		*rc = scan_push(s, NULL, t->elem, 2, e);
		break;
	default:
		return false;
	}
	s->type = NULL;
	return true;
}

/*
 * Gathers the number that begins s->type, at most to the end of the piece;
 * *p moves. 0 when it is whole, -ERR_TRUNCATED, -ERR_INVALID.
 */
static int
scan_gather(
    struct pm_scan *s, const uint8_t **p, const uint8_t *end, struct err *e)
{
	uint8_t widest = scan_rules[s->type->kind].widest;
	unsigned want;

	do {
		if (*p == end)
			return -ERR_TRUNCATED;
		s->num[s->num_len++] = *(*p)++;
		s->offset++;
		want = widest == 0 ? 1 : pm_varint_len(s->num[0]);
		if (want == 0 || (want > 1 && s->num[0] > widest))
			return scan_bad(s, e, "a number marker is too wide");
	} while (s->num_len < want);
	return 0;
}

static int
scan_number(
    struct pm_scan *s, const uint8_t **p, const uint8_t *end, struct err *e)
{
	const struct pm_type *t = s->type;
	const struct scan_rule *rule = &scan_rules[t->kind];
	uint64_t v;
	int rc = scan_gather(s, p, end, e);

	if (rc != 0)
		return rc;
	v = rule->widest == 0 ? s->num[0] : pm_varint_value(s->num).lo;
	s->type = NULL;
	rc = rule->act(s, t, v, e);
	s->num_len = 0;
	return rc;
}

static void
scan_skip(struct pm_scan *s, const uint8_t **p, const uint8_t *end)
{
	uint64_t n = (uint64_t)(end - *p);

	if (n > s->skip)
		n = s->skip;
	*p += n;
	s->skip -= n;
	s->offset += n;
}

static int
scan_step(
    struct pm_scan *s, const uint8_t **p, const uint8_t *end, struct err *e)
{
	int rc = 0;

	if (s->skip > 0) {
		scan_skip(s, p, end);
		return s->skip > 0 ? -ERR_TRUNCATED : 0;
	}
	if (s->type == NULL) {
		scan_next(s);
		return 0;
	}
	if (scan_open(s, &rc, e))
		return rc;
	return scan_number(s, p, end, e);
}

void
pm_scan_init(struct pm_scan *s, enum pm_dir dir)
{
	/* the levels need no clearing: top guards them */
	memset(s, 0, offsetof(struct pm_scan, level));
	s->dir = dir;
	s->type = pm_type_of(dir);
	s->route.kind = s->route.sub = s->route.sub2 = PM_NONE;
	s->route.err_tag = PM_NONE;
}

int
pm_scan_feed(struct pm_scan *s, const uint8_t *p, size_t n, size_t *used_r,
    struct err *e)
{
	static const uint8_t nothing;
	const uint8_t *at, *end;
	int rc = 0;

	if (n == 0) /* p may be NULL then */
		p = &nothing;
	at = p;
	end = p + n;
	if (s->failed)
		return scan_bad(s, e, "the stream was given up before");
	while (rc == 0 && !s->done)
		rc = scan_step(s, &at, end, e);
	if (rc == 0 && used_r != NULL)
		*used_r = (size_t)(at - p);
	if (rc == -ERR_TRUNCATED) {
		err_set(e, ERR_TRUNCATED, "the message ends early");
		if (e != NULL)
			e->offset = s->offset;
	}
	return rc;
}

const struct pm_route *
pm_scan_route(const struct pm_scan *s)
{
	return &s->route;
}

uint64_t
pm_scan_offset(const struct pm_scan *s)
{
	return s->offset;
}

int
pm_shallow(enum pm_dir dir, const uint8_t *p, size_t n, struct pm_route *out,
    struct err *e)
{
	struct pm_scan s;
	int rc;

	pm_scan_init(&s, dir);
	rc = pm_scan_feed(&s, p, n, NULL, e);
	*out = s.route;
	return rc;
}
