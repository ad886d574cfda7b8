/* pm_parse_prim: numbers, text and bytes from JSON. */
#include "protocol/pm_parse_prim.h"

#include "protocol/pm_text.h"

int
pm_par_unit(struct par *r, const struct pm_type *t, void *out)
{
	memset(out, 0, t->size);
	return pm_json_word(&r->in, "null");
}

int
pm_par_bool(struct par *r, const struct pm_type *t, void *out)
{
	bool v = pm_json_peek(&r->in) == 't';

	(void)t;
	*(bool *)out = v;
	return pm_json_word(&r->in, v ? "true" : "false");
}

/* An integer in -neg_max ... max as its size and sign. */
static int
par_integer(struct par *r, struct pm_u128 neg_max, struct pm_u128 max,
    struct pm_u128 *size, bool *negative)
{
	struct pm_json_in *in = &r->in;
	struct pm_str s;
	int rc = pm_json_integer(in, &s);

	if (rc != 0)
		return rc;
	*negative = s.n > 0 && s.p[0] == '-';
	if (*negative) {
		s = (struct pm_str){s.p + 1, s.n - 1};
		max = neg_max;
	}
	if (!pm_u128_parse(s, size))
		return pm_json_bad(in, "an integer expected");
	if (size->hi > max.hi || (size->hi == max.hi && size->lo > max.lo))
		return pm_json_bad(in, "the integer is out of range");
	return 0;
}

static int
par_unsigned(struct par *r, uint64_t max, uint64_t *out)
{
	struct pm_u128 v = {0, 0};
	bool negative;
	int rc = par_integer(r, v, (struct pm_u128){0, max}, &v, &negative);

	*out = v.lo;
	return rc;
}

/* bits: 32 or 64 */
static int
par_signed(struct par *r, unsigned bits, int64_t *out)
{
	uint64_t limit = (uint64_t)1 << (bits - 1);
	struct pm_u128 v = {0, 0};
	bool negative = false;
	int rc = par_integer(r, (struct pm_u128){0, limit},
	    (struct pm_u128){0, limit - 1}, &v, &negative);

	*out = (int64_t)(negative ? 0 - v.lo : v.lo);
	return rc;
}

int
pm_par_u8(struct par *r, const struct pm_type *t, void *out)
{
	uint64_t v = 0;
	int rc = par_unsigned(r, UINT8_MAX, &v);

	(void)t;
	*(uint8_t *)out = (uint8_t)v;
	return rc;
}

int
pm_par_u16(struct par *r, const struct pm_type *t, void *out)
{
	uint64_t v = 0;
	int rc = par_unsigned(r, UINT16_MAX, &v);

	(void)t;
	*(uint16_t *)out = (uint16_t)v;
	return rc;
}

int
pm_par_status(struct par *r, const struct pm_type *t, void *out)
{
	int rc = pm_par_u16(r, t, out);
	unsigned v = *(uint16_t *)out;

	if (rc == 0 && (v < PM_STATUS_MIN || v > PM_STATUS_MAX))
		rc = pm_json_bad(&r->in, "%u is no HTTP status", v);
	return rc;
}

int
pm_par_u32(struct par *r, const struct pm_type *t, void *out)
{
	uint64_t v = 0;
	int rc = par_unsigned(r, UINT32_MAX, &v);

	(void)t;
	*(uint32_t *)out = (uint32_t)v;
	return rc;
}

int
pm_par_u64(struct par *r, const struct pm_type *t, void *out)
{
	(void)t;
	return par_unsigned(r, UINT64_MAX, out);
}

int
pm_par_i32(struct par *r, const struct pm_type *t, void *out)
{
	int64_t v = 0;
	int rc = par_signed(r, 32, &v);

	(void)t;
	*(int32_t *)out = (int32_t)v;
	return rc;
}

int
pm_par_i64(struct par *r, const struct pm_type *t, void *out)
{
	(void)t;
	return par_signed(r, 64, out);
}

int
pm_par_u128(struct par *r, const struct pm_type *t, void *out)
{
	struct pm_u128 none = {0, 0}, all = {UINT64_MAX, UINT64_MAX};
	bool negative;

	(void)t;
	return par_integer(r, none, all, out, &negative);
}

int
pm_par_uid(struct par *r, const struct pm_type *t, void *out)
{
	struct pm_str s;
	int rc = pm_json_text(&r->in, &s);

	(void)t;
	if (rc == 0 && !pm_uid_parse(s, out))
		rc = pm_json_bad(&r->in, "the text is no UUID");
	return rc;
}

int
pm_par_text(struct par *r, const struct pm_type *t, void *out)
{
	struct pm_str *s = out;
	const char *wrong;
	int rc = pm_json_text(&r->in, s);

	if (rc != 0)
		return rc;
	wrong = pm_text_wrong(t->kind, *s);
	if (wrong != NULL)
		return pm_json_bad(&r->in, "the text is %s", wrong);
	if (pm_text_normalise(t->kind, r->in.a, s) != 0)
		return err_nomem(r->in.e);
	return 0;
}

static int
par_nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int
pm_par_bytes(struct par *r, const struct pm_type *t, void *out)
{
	struct span *b = out;
	struct pm_str s;
	uint8_t *p;
	int hi, lo, rc = pm_json_text(&r->in, &s);

	(void)t;
	if (rc != 0)
		return rc;
	if (s.n % 2 != 0)
		return pm_json_bad(&r->in, "an odd number of hex digits");
	p = arena_alloc(r->in.a, s.n / 2);
	if (p == NULL)
		return err_nomem(r->in.e);
	for (size_t i = 0; i < s.n / 2; i++) {
		hi = par_nibble(s.p[2 * i]);
		lo = par_nibble(s.p[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return pm_json_bad(&r->in, "hex digits expected");
		p[i] = (uint8_t)(hi << 4 | lo);
	}
	*b = (struct span){p, s.n / 2};
	return 0;
}

int
pm_par_ip(struct par *r, const struct pm_type *t, void *out)
{
	struct pm_str s;
	int rc = pm_json_text(&r->in, &s);

	(void)t;
	if (rc == 0 && !pm_ip_parse(s, out))
		rc = pm_json_bad(&r->in, "the text is no IP address");
	return rc;
}

int
pm_par_sockaddr(struct par *r, const struct pm_type *t, void *out)
{
	struct pm_str s;
	int rc = pm_json_text(&r->in, &s);

	(void)t;
	if (rc == 0 && !pm_sockaddr_parse(s, out))
		rc = pm_json_bad(&r->in, "the text is no address with port");
	return rc;
}

/* "text", or {"hex": "..."} for any bytes. */
int
pm_par_header_value(struct par *r, const struct pm_type *t, void *out)
{
	struct span *b = out;
	struct pm_str s;
	int rc;

	if (!pm_json_take(&r->in, '{')) {
		rc = pm_json_text(&r->in, &s);
		*b = (struct span){(const uint8_t *)s.p, s.n};
	} else {
		rc = pm_json_text(&r->in, &s);
		if (rc == 0 && !pm_str_eq(s, PM_STR("hex")))
			rc = pm_json_bad(&r->in, "\"hex\" expected");
		if (rc == 0)
			rc = pm_json_expect(&r->in, ':');
		if (rc == 0)
			rc = pm_par_bytes(r, t, b);
		if (rc == 0)
			rc = pm_json_expect(&r->in, '}');
	}
	if (rc == 0 && !pm_header_value_ok(*b))
		rc = pm_json_bad(
		    &r->in, "a header value has a control character");
	return rc;
}
