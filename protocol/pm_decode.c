/*
 * pm_decode: bytes to C types, by descriptor. One function per kind; they call
 * each other through a table, as deep as the types nest.
 */
#include "protocol/pm_text.h"
#include "protocol/pm_wire.h"

struct dec {
	struct pm_in in;
	struct arena *a;
	unsigned composites; /* nested right now */
};

typedef int decode_fn(struct dec *d, const struct pm_type *t, void *out);

static decode_fn *const decoders[PM_K_COUNT];

static int
dec_value(struct dec *d, const struct pm_type *t, void *out)
{
	return decoders[t->kind](d, t, out);
}

static int
dec_nomem(struct dec *d)
{
	return err_set(d->in.e, ERR_NOMEM,
	    "the message needs more memory than one message may have");
}

static int
dec_unit(struct dec *d, const struct pm_type *t, void *out)
{
	(void)d;
	memset(out, 0, t->size);
	return 0;
}

static int
dec_flag(struct dec *d, const char *what, bool *out)
{
	const uint8_t *at = d->in.p;
	uint8_t v = 0;
	int rc = pm_in_byte(&d->in, &v);

	if (rc == 0 && v > 1)
		rc = pm_in_bad(&d->in, at, "%02x is no %s", v, what);
	*out = v == 1;
	return rc;
}

static int
dec_bool(struct dec *d, const struct pm_type *t, void *out)
{
	(void)t;
	return dec_flag(d, "truth value", out);
}

static int
dec_u8(struct dec *d, const struct pm_type *t, void *out)
{
	(void)t;
	return pm_in_byte(&d->in, out);
}

static int
dec_u16(struct dec *d, const struct pm_type *t, void *out)
{
	uint64_t v = 0;
	int rc = pm_in_u64(&d->in, PM_M_U16, &v);

	(void)t;
	*(uint16_t *)out = (uint16_t)v;
	return rc;
}

static int
dec_status(struct dec *d, const struct pm_type *t, void *out)
{
	const uint8_t *at = d->in.p;
	int rc = dec_u16(d, t, out);
	unsigned v = *(uint16_t *)out;

	if (rc == 0 && (v < PM_STATUS_MIN || v > PM_STATUS_MAX))
		rc = pm_in_bad(&d->in, at, "%u is no HTTP status", v);
	return rc;
}

static int
dec_u32(struct dec *d, const struct pm_type *t, void *out)
{
	uint64_t v = 0;
	int rc = pm_in_u64(&d->in, PM_M_U32, &v);

	(void)t;
	*(uint32_t *)out = (uint32_t)v;
	return rc;
}

static int
dec_u64(struct dec *d, const struct pm_type *t, void *out)
{
	(void)t;
	return pm_in_u64(&d->in, PM_M_U64, out);
}

static int
dec_i32(struct dec *d, const struct pm_type *t, void *out)
{
	uint64_t v = 0;
	int rc = pm_in_u64(&d->in, PM_M_U32, &v);

	(void)t;
	*(int32_t *)out = (int32_t)pm_unzigzag(v);
	return rc;
}

static int
dec_i64(struct dec *d, const struct pm_type *t, void *out)
{
	uint64_t v = 0;
	int rc = pm_in_u64(&d->in, PM_M_U64, &v);

	(void)t;
	*(int64_t *)out = pm_unzigzag(v);
	return rc;
}

static int
dec_u128(struct dec *d, const struct pm_type *t, void *out)
{
	(void)t;
	return pm_in_u128(&d->in, PM_M_U128, out);
}

static int
dec_uid(struct dec *d, const struct pm_type *t, void *out)
{
	struct pm_uid *uid = out;
	struct pm_u128 v = {0, 0};
	int rc = pm_in_u128(&d->in, PM_M_U128, &v);

	(void)t;
	*uid = pm_uid_of(v);
	return rc;
}

static int
dec_bytes(struct dec *d, const struct pm_type *t, void *out)
{
	(void)t;
	return pm_in_span(&d->in, out);
}

static int
dec_header_value(struct dec *d, const struct pm_type *t, void *out)
{
	const uint8_t *at = d->in.p;
	int rc = dec_bytes(d, t, out);

	if (rc == 0 && !pm_header_value_ok(*(struct span *)out))
		rc = pm_in_bad(
		    &d->in, at, "a header value has a control character");
	return rc;
}

static int
dec_text(struct dec *d, const struct pm_type *t, void *out)
{
	const uint8_t *at = d->in.p;
	struct pm_str *s = out;
	struct span raw = {0};
	const char *wrong;
	int rc = pm_in_span(&d->in, &raw);

	if (rc != 0)
		return rc;
	*s = (struct pm_str){(const char *)raw.p, raw.n};
	wrong = pm_text_wrong(t->kind, *s);
	if (wrong != NULL)
		return pm_in_bad(&d->in, at, "the text is %s", wrong);
	return pm_text_normalise(t->kind, d->a, s) != 0 ? dec_nomem(d) : 0;
}

static int
dec_ip(struct dec *d, const struct pm_type *t, void *out)
{
	const uint8_t *at = d->in.p, *raw = NULL;
	struct pm_ip *ip = out;
	uint64_t v = 0;
	int rc = pm_in_u64(&d->in, PM_M_U32, &v);

	(void)t;
	if (rc == 0 && v > 1)
		rc = pm_in_bad(
		    &d->in, at, "there is no address family %u", (unsigned)v);
	if (rc == 0)
		rc = pm_in_raw(&d->in, v == 1 ? 16 : 4, &raw);
	if (rc != 0)
		return rc;
	memset(ip, 0, sizeof(*ip));
	ip->v6 = v == 1;
	memcpy(ip->a, raw, v == 1 ? 16 : 4);
	return 0;
}

static int
dec_fields(struct dec *d, const struct pm_field *f, void *out)
{
	int rc = 0;

	for (; rc == 0 && f->type != NULL; f++)
		rc = dec_value(d, f->type, pm_at(out, f->offset));
	return rc;
}

static int
dec_struct(struct dec *d, const struct pm_type *t, void *out)
{
	return dec_fields(d, t->fields, out);
}

static int
dec_index(struct dec *d, const char *what, uint32_t count, uint32_t *tag)
{
	const uint8_t *at = d->in.p;
	uint64_t v = 0;
	int rc = pm_in_u64(&d->in, PM_M_U32, &v);

	if (rc == 0 && v >= count)
		rc = pm_in_bad(
		    &d->in, at, "%s has no variant %u", what, (unsigned)v);
	*tag = (uint32_t)v;
	return rc;
}

static int
dec_enum(struct dec *d, const struct pm_type *t, void *out)
{
	uint32_t *tag = out; /* the first member of every enum */
	int rc = dec_index(d, t->name, t->count, tag);

	return rc != 0 ? rc : dec_fields(d, t->variants[*tag].fields, out);
}

static int
dec_opt(struct dec *d, const struct pm_type *t, void *out)
{
	bool *some = out;
	int rc = dec_flag(d, "option mark", some);

	if (rc != 0 || !*some)
		return rc;
	return dec_value(d, t->elem, pm_at(out, t->elem_offset));
}

static int
dec_two(struct dec *d, const struct pm_type *t, void *out)
{
	int rc = dec_value(d, t->elem, out);

	return rc != 0 ? rc : dec_value(d, t->elem, pm_at(out, t->elem->size));
}

static int
dec_res(struct dec *d, const struct pm_type *t, void *out)
{
	uint32_t *tag = out;
	int rc = dec_index(d, "a result", 2, tag);

	if (rc != 0)
		return rc;
	if (*tag == PM_OK)
		return dec_value(d, t->elem, pm_at(out, t->elem_offset));
	return dec_value(d, &pm_type_ResponseError, pm_at(out, t->err_offset));
}

/* The room doubles with the items that are really there. */
static int
dec_items(
    struct dec *d, const struct pm_type *t, uint64_t count, struct pm_vec *out)
{
	size_t size = t->elem->size, cap = 0, want;
	int rc = 0;

	for (out->n = 0; rc == 0 && out->n < count; out->n++) {
		if (out->n == cap) {
			want = cap == 0 ? 4 : cap * 2;
			want = want > count ? (size_t)count : want;
			out->v =
			    arena_grow(d->a, out->v, cap * size, want * size);
			if (out->v == NULL)
				return dec_nomem(d);
			cap = want;
		}
		rc = dec_value(d, t->elem, pm_at(out->v, out->n * size));
	}
	return rc;
}

static int
dec_list(struct dec *d, const struct pm_type *t, uint64_t max, void *out)
{
	const uint8_t *at = d->in.p;
	uint64_t count = 0;
	int rc = pm_in_u64(&d->in, PM_M_U64, &count);

	*(struct pm_vec *)out = (struct pm_vec){0, NULL};
	if (rc == 0 && count > max)
		rc = pm_in_bad(&d->in, at, "a count of %llu is over the limit",
		    (unsigned long long)count);
	return rc != 0 ? rc : dec_items(d, t, count, out);
}

static int
dec_vec(struct dec *d, const struct pm_type *t, void *out)
{
	bool composite = t->elem == &pm_type_HttpFilter;
	int rc;

	if (composite && d->composites == PM_COMPOSITE_DEPTH)
		return pm_in_bad(&d->in, d->in.p,
		    "filters nest deeper than %d levels", PM_COMPOSITE_DEPTH);
	d->composites += composite;
	rc = dec_list(d, t, PM_COUNT_MAX, out);
	d->composites -= composite;
	return rc;
}

static int
dec_set(struct dec *d, const struct pm_type *t, void *out)
{
	int rc = dec_list(d, t, PM_COUNT_MAX, out);

	if (rc == 0 && pm_set_fold(d->a, out) != 0)
		rc = dec_nomem(d);
	return rc;
}

static int
dec_map(struct dec *d, const struct pm_type *t, void *out)
{
	int rc = dec_list(d, t, PM_COUNT_MAX, out);

	if (rc == 0 && pm_map_fold(d->a, out) != 0)
		rc = dec_nomem(d);
	return rc;
}

static int
dec_headers(struct dec *d, const struct pm_type *t, void *out)
{
	int rc = dec_list(d, t, PM_HEADERS_MAX, out);

	if (rc == 0 && pm_headers_fold(d->a, out) != 0)
		rc = dec_nomem(d);
	return rc;
}

static decode_fn *const decoders[PM_K_COUNT] = {
    [PM_K_UNIT] = dec_unit,
    [PM_K_BOOL] = dec_bool,
    [PM_K_U8] = dec_u8,
    [PM_K_U16] = dec_u16,
    [PM_K_PORT] = dec_u16,
    [PM_K_STATUS] = dec_status,
    [PM_K_U32] = dec_u32,
    [PM_K_U64] = dec_u64,
    [PM_K_CID] = dec_u64,
    [PM_K_I32] = dec_i32,
    [PM_K_I64] = dec_i64,
    [PM_K_U128] = dec_u128,
    [PM_K_UID] = dec_uid,
    [PM_K_STR] = dec_text,
    [PM_K_SEMVER] = dec_text,
    [PM_K_METHOD] = dec_text,
    [PM_K_URI] = dec_text,
    [PM_K_HTTPVER] = dec_text,
    [PM_K_HEADER_NAME] = dec_text,
    [PM_K_BYTES] = dec_bytes,
    [PM_K_HEADER_VALUE] = dec_header_value,
    [PM_K_HEADERS] = dec_headers,
    [PM_K_IP] = dec_ip,
    [PM_K_SOCKADDR] = dec_struct,
    [PM_K_SET] = dec_set,
    [PM_K_MAP] = dec_map,
    [PM_K_STRUCT] = dec_struct,
    [PM_K_ENUM] = dec_enum,
    [PM_K_OPT] = dec_opt,
    [PM_K_VEC] = dec_vec,
    [PM_K_TWO] = dec_two,
    [PM_K_RES] = dec_res,
};

static int
pm_decode(const struct pm_type *t, struct arena *a, const uint8_t *p, size_t n,
    size_t *used_r, void *out, struct err *e)
{
	static const uint8_t nothing;
	struct dec d = {.a = a};
	int rc;

	if (n == 0) /* p may be NULL then */
		p = &nothing;
	d.in = (struct pm_in){p, p, p + n, e};
	memset(out, 0, t->size);
	rc = dec_value(&d, t, out);
	if (rc == 0 && used_r != NULL)
		*used_r = (size_t)(d.in.p - p);
	return rc;
}

int
pm_decode_client(struct arena *a, const uint8_t *p, size_t n, size_t *used_r,
    struct pm_ClientMessage *out, struct err *e)
{
	return pm_decode(&pm_type_ClientMessage, a, p, n, used_r, out, e);
}

int
pm_decode_daemon(struct arena *a, const uint8_t *p, size_t n, size_t *used_r,
    struct pm_DaemonMessage *out, struct err *e)
{
	return pm_decode(&pm_type_DaemonMessage, a, p, n, used_r, out, e);
}
