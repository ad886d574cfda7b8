/*
 * pm_scan_route: what a scan tells the router. The head (kind to err_tag) is
 * read off the indexes as they come; where an id will be is known from the
 * tables as soon as the head is.
 */
#include "protocol/pm_scan_route.h"

/* What the head of the message (kind to err_tag) still waits for. */
enum pm_head {
	HEAD_KIND,
	HEAD_SUB,
	HEAD_SUB2,
	HEAD_RESULT,
	HEAD_ERR_TAG,
	HEAD_DONE
};

static enum pm_space
scan_space(enum pm_dir dir, uint8_t kind)
{
	static const uint8_t spaces[2][PM_ClientMessage_COUNT] = {
	    [PM_CLIENT] = {[PM_ClientMessage_Tcp] = PM_SPACE_MIRROR,
		[PM_ClientMessage_TcpSteal] = PM_SPACE_STEAL,
		[PM_ClientMessage_TcpOutgoing] = PM_SPACE_TCP,
		[PM_ClientMessage_UdpOutgoing] = PM_SPACE_UDP,
		[PM_ClientMessage_SeqpacketOutgoing] = PM_SPACE_SEQ},
	    [PM_DAEMON] = {[PM_DaemonMessage_Tcp] = PM_SPACE_MIRROR,
		[PM_DaemonMessage_TcpSteal] = PM_SPACE_STEAL,
		[PM_DaemonMessage_TcpOutgoing] = PM_SPACE_TCP,
		[PM_DaemonMessage_UdpOutgoing] = PM_SPACE_UDP,
		[PM_DaemonMessage_SeqpacketOutgoing] = PM_SPACE_SEQ},
	};

	return (enum pm_space)spaces[dir][kind];
}

/*
 * Looks for a connection id in a value of type t. Ids never sit in lists or
 * below enums that come after the head. *late: something of any length was
 * passed on the way.
 */
static bool
scan_has_id(const struct pm_type *t, bool *late)
{
	const struct pm_field *f;

	switch (t->kind) {
	case PM_K_CID:
		return true;
	case PM_K_STRUCT:
		for (f = t->fields; f->type != NULL; f++)
			if (scan_has_id(f->type, late))
				return true;
		return false;
	case PM_K_STR:
	case PM_K_METHOD:
	case PM_K_URI:
	case PM_K_BYTES:
	case PM_K_HEADERS:
	case PM_K_VEC:
		*late = true;
		return false;
	default:
		return false;
	}
}

/* The head is complete and the value that follows has this type (or NULL). */
static void
scan_head_done(struct pm_scan *s, const struct pm_type *next)
{
	s->head = HEAD_DONE;
	s->route.head_known = true;
	if (next == NULL)
		return;
	s->route.carries_id = scan_has_id(next, &s->route.id_last);
	if (!s->route.carries_id)
		s->route.id_last = false;
}

static bool
scan_has_result(const struct pm_type *t)
{
	const struct pm_field *f;

	if (t->kind != PM_K_STRUCT)
		return t->kind == PM_K_RES;
	for (f = t->fields; f->type != NULL; f++)
		if (f->type->kind == PM_K_RES)
			return true;
	return false;
}

/* An index of the head was read: what does its payload still add to it? */
void
pm_scan_head_index(struct pm_scan *s, const struct pm_variant *v, uint8_t index)
{
	const struct pm_type *next = v->fields[0].type;
	bool leaf = next == NULL || v->named;

	switch ((enum pm_head)s->head) {
	case HEAD_KIND:
		s->route.kind = index;
		break;
	case HEAD_SUB:
		s->route.sub = index;
		break;
	case HEAD_SUB2:
		s->route.sub2 = index;
		break;
	case HEAD_ERR_TAG:
		s->route.err_tag = index;
		scan_head_done(s, NULL);
		return;
	default: /* some index of the body */
		return;
	}
	if (!leaf && next->kind == PM_K_ENUM && s->head < HEAD_SUB2)
		s->head++;
	else if (!leaf && scan_has_result(next))
		s->head = HEAD_RESULT;
	else
		scan_head_done(s, leaf ? NULL : next);
}

void
pm_scan_id(struct pm_scan *s, uint64_t id)
{
	struct pm_route *r = &s->route;

	r->id_known = true;
	r->space = scan_space(s->dir, r->kind);
	r->id = id;
	r->id_len = s->num_len;
	r->id_offset = s->offset - s->num_len;
}

void
pm_scan_result(struct pm_scan *s, const struct pm_type *t, bool is_err)
{
	if (s->head != HEAD_RESULT)
		return;
	s->route.is_err = is_err;
	if (is_err)
		s->head = HEAD_ERR_TAG;
	else
		scan_head_done(s, t->elem);
}
