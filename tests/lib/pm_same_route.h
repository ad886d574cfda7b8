/* pm_same_route: whether two scans tell the same, member by member. */
#ifndef TESTS_PM_SAME_ROUTE_H
#define TESTS_PM_SAME_ROUTE_H

#include "protocol/pm_scan.h"

static inline bool
same_route(const struct pm_route *a, const struct pm_route *b)
{
	return a->kind == b->kind && a->sub == b->sub && a->sub2 == b->sub2 &&
	       a->head_known == b->head_known && a->is_err == b->is_err &&
	       a->err_tag == b->err_tag && a->carries_id == b->carries_id &&
	       a->id_known == b->id_known && a->id_last == b->id_last &&
	       a->space == b->space && a->id == b->id &&
	       a->id_offset == b->id_offset && a->id_len == b->id_len &&
	       a->has_port == b->has_port && a->port == b->port &&
	       a->has_uid == b->has_uid &&
	       memcmp(a->uid.b, b->uid.b, sizeof(a->uid.b)) == 0 &&
	       a->since == b->since;
}

#endif
