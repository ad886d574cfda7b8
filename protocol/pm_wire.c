/* pm_wire: primitive encodings of the mirrord protocol. */
#include "protocol/pm_wire.h"

#include <stdarg.h>
#include <stdio.h>

unsigned
pm_varint_len(uint8_t first)
{
	static const uint8_t wide[] = {3, 5, 9, 17, 0};

	return first < PM_M_U16 ? 1 : wide[first - PM_M_U16];
}

static uint64_t
pm_le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

struct pm_u128
pm_varint_value(const uint8_t *p)
{
	unsigned len = pm_varint_len(p[0]);

	if (len == 1)
		return (struct pm_u128){0, p[0]};
	if (len == 17)
		return (struct pm_u128){pm_le(p + 9, 8), pm_le(p + 1, 8)};
	return (struct pm_u128){0, pm_le(p + 1, len - 1)};
}

static unsigned
pm_put_le(uint8_t *out, uint8_t marker, uint64_t v, unsigned n)
{
	out[0] = marker;
	for (unsigned i = 0; i < n; i++)
		out[1 + i] = (uint8_t)(v >> 8 * i);
	return 1 + n;
}

unsigned
pm_put_varint(uint8_t out[17], uint64_t v)
{
	if (v < PM_M_U16)
		return pm_put_le(out, (uint8_t)v, 0, 0);
	if (v <= UINT16_MAX)
		return pm_put_le(out, PM_M_U16, v, 2);
	if (v <= UINT32_MAX)
		return pm_put_le(out, PM_M_U32, v, 4);
	return pm_put_le(out, PM_M_U64, v, 8);
}

unsigned
pm_put_u128(uint8_t out[17], struct pm_u128 v)
{
	if (v.hi == 0)
		return pm_put_varint(out, v.lo);
	/* the marker of the low half is overwritten behind the high one */
	pm_put_le(out + 8, 0, v.hi, 8);
	pm_put_le(out, PM_M_U128, v.lo, 8);
	return 17;
}

struct pm_uid
pm_uid_of(struct pm_u128 v)
{
	struct pm_uid uid;

	for (unsigned i = 0; i < 8; i++) {
		uid.b[7 - i] = (uint8_t)(v.hi >> 8 * i);
		uid.b[15 - i] = (uint8_t)(v.lo >> 8 * i);
	}
	return uid;
}

struct pm_u128
pm_u128_of(const struct pm_uid *uid)
{
	struct pm_u128 v = {0, 0};

	for (int i = 0; i < 8; i++) {
		v.hi = v.hi << 8 | uid->b[i];
		v.lo = v.lo << 8 | uid->b[8 + i];
	}
	return v;
}

int
pm_get_varint(const uint8_t *p, size_t n, uint64_t *v_r)
{
	struct pm_in in = {p, p, p + n, NULL};
	int rc = pm_in_u64(&in, PM_M_U64, v_r);

	return rc != 0 ? rc : (int)(in.p - p);
}

int
pm_in_bad(struct pm_in *in, const uint8_t *at, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(in->e, ERR_INVALID, "%s", text);
	if (in->e != NULL)
		in->e->offset = (uint64_t)(at - in->base);
	return -ERR_INVALID;
}

static int
pm_in_short(struct pm_in *in)
{
	err_set(in->e, ERR_TRUNCATED, "the message ends early");
	if (in->e != NULL)
		in->e->offset = (uint64_t)(in->end - in->base);
	return -ERR_TRUNCATED;
}

int
pm_in_byte(struct pm_in *in, uint8_t *v_r)
{
	if (in->p == in->end)
		return pm_in_short(in);
	*v_r = *in->p++;
	return 0;
}

int
pm_in_raw(struct pm_in *in, size_t n, const uint8_t **p_r)
{
	if (n > (size_t)(in->end - in->p))
		return pm_in_short(in);
	*p_r = in->p;
	in->p += n;
	return 0;
}

int
pm_in_u128(struct pm_in *in, enum pm_marker widest, struct pm_u128 *v_r)
{
	unsigned len;

	if (in->p == in->end)
		return pm_in_short(in);
	len = pm_varint_len(in->p[0]);
	if (len == 0)
		return pm_in_bad(in, in->p, "ff is no number marker");
	if (len > 1 && in->p[0] > widest)
		return pm_in_bad(in, in->p,
		    "number marker %02x is too wide for this field", in->p[0]);
	if (len > (size_t)(in->end - in->p))
		return pm_in_short(in);
	*v_r = pm_varint_value(in->p);
	in->p += len;
	return 0;
}

int
pm_in_u64(struct pm_in *in, enum pm_marker widest, uint64_t *v_r)
{
	struct pm_u128 v = {0, 0};
	int rc = pm_in_u128(in, widest, &v);

	if (rc == 0)
		*v_r = v.lo;
	return rc;
}

int
pm_in_span(struct pm_in *in, struct span *v_r)
{
	const uint8_t *at = in->p;
	uint64_t n = 0;
	int rc = pm_in_u64(in, PM_M_U64, &n);

	if (rc != 0)
		return rc;
	if (n > PM_LEN_MAX_BYTES)
		return pm_in_bad(in, at, "a length of %llu is over the limit",
		    (unsigned long long)n);
	v_r->n = (size_t)n;
	return pm_in_raw(in, v_r->n, &v_r->p);
}
