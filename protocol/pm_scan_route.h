/* pm_scan_route: the route's part of a scan; for pm_scan.c alone. */
#ifndef PROTOCOL_PM_SCAN_ROUTE_H
#define PROTOCOL_PM_SCAN_ROUTE_H

#include "protocol/pm_scan.h"
#include "protocol/pm_type.h"

/* The enum index of variant v was read, in the head or in the body. */
void pm_scan_head_index(
    struct pm_scan *s, const struct pm_variant *v, uint8_t index);
/* The index of a result of type t was read. */
void pm_scan_result(struct pm_scan *s, const struct pm_type *t, bool is_err);
/* The connection id was read; its bytes are the last num_len eaten. */
void pm_scan_id(struct pm_scan *s, uint64_t id);

#endif
