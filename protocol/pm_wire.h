/* pm_wire: bounded reading of the primitive encodings (§2). */
#ifndef PROTOCOL_PM_WIRE_H
#define PROTOCOL_PM_WIRE_H

#include "protocol/mirrord.h"

/* The markers of §2.1: how many bytes follow the first one. */
enum pm_marker {
	PM_M_U16 = 0xfb,
	PM_M_U32 = 0xfc,
	PM_M_U64 = 0xfd,
	PM_M_U128 = 0xfe,
};

struct pm_in {
	const uint8_t *base, *p, *end;
	struct err *e; /* may be NULL */
};

/* The varint's length told by its first byte: 1, 3, 5, 9, 17; ff gives 0. */
unsigned pm_varint_len(uint8_t first);
/* The value of a whole varint of pm_varint_len bytes. */
struct pm_u128 pm_varint_value(const uint8_t *p);

/* A UUID is the varint of its big-endian value. */
struct pm_uid pm_uid_of(struct pm_u128 v);
struct pm_u128 pm_u128_of(const struct pm_uid *uid);

/* Each returns 0, -ERR_TRUNCATED or -ERR_INVALID with in->e set. */
int pm_in_byte(struct pm_in *in, uint8_t *v_r);
int pm_in_raw(struct pm_in *in, size_t n, const uint8_t **p_r);
/* widest: the widest marker that fits the field's type. */
int pm_in_u128(struct pm_in *in, enum pm_marker widest, struct pm_u128 *v_r);
int pm_in_u64(struct pm_in *in, enum pm_marker widest, uint64_t *v_r);
/* A length and that many bytes. */
int pm_in_span(struct pm_in *in, struct span *v_r);
/* -ERR_INVALID at a byte. */
int pm_in_bad(struct pm_in *in, const uint8_t *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static inline uint64_t
pm_zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static inline int64_t
pm_unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

#endif
