/* pm_parse_prim: the kinds without parts, for pm_parse's table alone. */
#ifndef PROTOCOL_PM_PARSE_PRIM_H
#define PROTOCOL_PM_PARSE_PRIM_H

#include "protocol/pm_json.h"
#include "protocol/pm_type.h"

struct par {
	struct pm_json_in in;
	unsigned composites; /* nested right now */
};

/* Each reads one value of its kind: 0, or -ERR_INVALID, -ERR_NOMEM. */
int pm_par_unit(struct par *r, const struct pm_type *t, void *out);
int pm_par_bool(struct par *r, const struct pm_type *t, void *out);
int pm_par_u8(struct par *r, const struct pm_type *t, void *out);
int pm_par_u16(struct par *r, const struct pm_type *t, void *out);
int pm_par_status(struct par *r, const struct pm_type *t, void *out);
int pm_par_u32(struct par *r, const struct pm_type *t, void *out);
int pm_par_u64(struct par *r, const struct pm_type *t, void *out);
int pm_par_i32(struct par *r, const struct pm_type *t, void *out);
int pm_par_i64(struct par *r, const struct pm_type *t, void *out);
int pm_par_u128(struct par *r, const struct pm_type *t, void *out);
int pm_par_uid(struct par *r, const struct pm_type *t, void *out);
int pm_par_text(struct par *r, const struct pm_type *t, void *out);
int pm_par_bytes(struct par *r, const struct pm_type *t, void *out);
int pm_par_ip(struct par *r, const struct pm_type *t, void *out);
int pm_par_sockaddr(struct par *r, const struct pm_type *t, void *out);
int pm_par_header_value(struct par *r, const struct pm_type *t, void *out);

#endif
