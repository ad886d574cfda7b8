/*
 * pm_encode: C types to bytes, by descriptor, in the shortest form. What no
 * peer would decode is refused here, where it can still be reported, instead
 * of killing the peer's session.
 */
#include "protocol/pm_text.h"
#include "protocol/pm_wire.h"

struct enc {
	struct buf *out;
	struct err *e;
	unsigned composites;
};

typedef int encode_fn(struct enc *c, const struct pm_type *t, const void *v);

static encode_fn *const encoders[PM_K_COUNT];

static int
enc_value(struct enc *c, const struct pm_type *t, const void *v)
{
	return encoders[t->kind](c, t, v);
}

static int
enc_raw(struct enc *c, const void *p, size_t n)
{
	int rc = n == 0 ? 0 : buf_append(c->out, p, n);

	if (rc != 0)
		err_set(c->e, (enum err_code) - rc,
		    "the message does not fit its buffer");
	return rc;
}

static int
enc_varint(struct enc *c, uint64_t v)
{
	uint8_t raw[17];

	return enc_raw(c, raw, pm_put_varint(raw, v));
}

static int
enc_unit(struct enc *c, const struct pm_type *t, const void *v)
{
	(void)c;
	(void)t;
	(void)v;
	return 0;
}

static int
enc_bool(struct enc *c, const struct pm_type *t, const void *v)
{
	uint8_t raw = *(const bool *)v ? 1 : 0;

	(void)t;
	return enc_raw(c, &raw, 1);
}

static int
enc_u8(struct enc *c, const struct pm_type *t, const void *v)
{
	(void)t;
	return enc_raw(c, v, 1);
}

static int
enc_u16(struct enc *c, const struct pm_type *t, const void *v)
{
	(void)t;
	return enc_varint(c, *(const uint16_t *)v);
}

static int
enc_status(struct enc *c, const struct pm_type *t, const void *v)
{
	unsigned status = *(const uint16_t *)v;

	if (status < PM_STATUS_MIN || status > PM_STATUS_MAX)
		return err_set(
		    c->e, ERR_INVALID, "%u is no HTTP status", status);
	return enc_u16(c, t, v);
}

static int
enc_u32(struct enc *c, const struct pm_type *t, const void *v)
{
	(void)t;
	return enc_varint(c, *(const uint32_t *)v);
}

static int
enc_u64(struct enc *c, const struct pm_type *t, const void *v)
{
	(void)t;
	return enc_varint(c, *(const uint64_t *)v);
}

static int
enc_i32(struct enc *c, const struct pm_type *t, const void *v)
{
	(void)t;
	return enc_varint(c, pm_zigzag(*(const int32_t *)v));
}

static int
enc_i64(struct enc *c, const struct pm_type *t, const void *v)
{
	(void)t;
	return enc_varint(c, pm_zigzag(*(const int64_t *)v));
}

static int
enc_u128(struct enc *c, const struct pm_type *t, const void *v)
{
	uint8_t raw[17];

	(void)t;
	return enc_raw(c, raw, pm_put_u128(raw, *(const struct pm_u128 *)v));
}

static int
enc_uid(struct enc *c, const struct pm_type *t, const void *v)
{
	struct pm_u128 n = pm_u128_of(v);

	return enc_u128(c, t, &n);
}

static int
enc_bytes(struct enc *c, const struct pm_type *t, const void *v)
{
	const struct span *s = v;
	int rc;

	(void)t;
	if (s->n > PM_LEN_MAX_BYTES)
		return err_set(c->e, ERR_TOO_BIG,
		    "%zu bytes are too many for one message", s->n);
	rc = enc_varint(c, s->n);
	return rc != 0 ? rc : enc_raw(c, s->p, s->n);
}

static int
enc_header_value(struct enc *c, const struct pm_type *t, const void *v)
{
	if (!pm_header_value_ok(*(const struct span *)v))
		return err_set(c->e, ERR_INVALID,
		    "a header value has a control character");
	return enc_bytes(c, t, v);
}

static int
enc_text(struct enc *c, const struct pm_type *t, const void *v)
{
	const struct pm_str *s = v;
	struct span raw = {(const uint8_t *)s->p, s->n};
	const char *wrong = pm_text_wrong(t->kind, *s);

	if (wrong != NULL)
		return err_set(c->e, ERR_INVALID, "the text is %s", wrong);
	return enc_bytes(c, t, &raw);
}

static int
enc_ip(struct enc *c, const struct pm_type *t, const void *v)
{
	const struct pm_ip *ip = v;
	int rc = enc_varint(c, ip->v6 ? 1 : 0);

	(void)t;
	return rc != 0 ? rc : enc_raw(c, ip->a, ip->v6 ? 16 : 4);
}

static int
enc_fields(struct enc *c, const struct pm_field *f, const void *v)
{
	int rc = 0;

	for (; rc == 0 && f->type != NULL; f++)
		rc = enc_value(c, f->type, pm_at(v, f->offset));
	return rc;
}

static int
enc_struct(struct enc *c, const struct pm_type *t, const void *v)
{
	return enc_fields(c, t->fields, v);
}

static int
enc_enum(struct enc *c, const struct pm_type *t, const void *v)
{
	uint32_t tag = *(const uint32_t *)v;
	int rc;

	if (tag >= t->count)
		return err_set(c->e, ERR_INVALID, "%s has no variant %u",
		    t->name, (unsigned)tag);
	rc = enc_varint(c, tag);
	return rc != 0 ? rc : enc_fields(c, t->variants[tag].fields, v);
}

static int
enc_opt(struct enc *c, const struct pm_type *t, const void *v)
{
	int rc = enc_bool(c, t, v);

	if (rc != 0 || !*(const bool *)v)
		return rc;
	return enc_value(c, t->elem, pm_at(v, t->elem_offset));
}

static int
enc_two(struct enc *c, const struct pm_type *t, const void *v)
{
	int rc = enc_value(c, t->elem, v);

	return rc != 0 ? rc : enc_value(c, t->elem, pm_at(v, t->elem->size));
}

static int
enc_res(struct enc *c, const struct pm_type *t, const void *v)
{
	uint32_t tag = *(const uint32_t *)v;
	int rc;

	if (tag > PM_ERR)
		return err_set(c->e, ERR_INVALID, "a result has no variant %u",
		    (unsigned)tag);
	rc = enc_varint(c, tag);
	if (rc != 0)
		return rc;
	if (tag == PM_OK)
		return enc_value(c, t->elem, pm_at(v, t->elem_offset));
	return enc_value(c, &pm_type_ResponseError, pm_at(v, t->err_offset));
}

static int
enc_vec(struct enc *c, const struct pm_type *t, const void *v)
{
	const struct pm_vec *vec = v;
	bool composite = t->elem == &pm_type_HttpFilter;
	int rc;

	if (composite && c->composites == PM_COMPOSITE_DEPTH)
		return err_set(c->e, ERR_INVALID,
		    "filters nest deeper than %d levels", PM_COMPOSITE_DEPTH);
	c->composites += composite;
	rc = enc_varint(c, vec->n);
	for (size_t i = 0; rc == 0 && i < vec->n; i++)
		rc = enc_value(c, t->elem, pm_at(vec->v, i * t->elem->size));
	c->composites -= composite;
	return rc;
}

static int
enc_headers(struct enc *c, const struct pm_type *t, const void *v)
{
	if (((const struct pm_headers *)v)->n > PM_HEADERS_MAX)
		return err_set(
		    c->e, ERR_INVALID, "more than %d headers", PM_HEADERS_MAX);
	return enc_vec(c, t, v);
}

static encode_fn *const encoders[PM_K_COUNT] = {
    [PM_K_UNIT] = enc_unit,
    [PM_K_BOOL] = enc_bool,
    [PM_K_U8] = enc_u8,
    [PM_K_U16] = enc_u16,
    [PM_K_PORT] = enc_u16,
    [PM_K_STATUS] = enc_status,
    [PM_K_U32] = enc_u32,
    [PM_K_U64] = enc_u64,
    [PM_K_CID] = enc_u64,
    [PM_K_I32] = enc_i32,
    [PM_K_I64] = enc_i64,
    [PM_K_U128] = enc_u128,
    [PM_K_UID] = enc_uid,
    [PM_K_STR] = enc_text,
    [PM_K_SEMVER] = enc_text,
    [PM_K_METHOD] = enc_text,
    [PM_K_URI] = enc_text,
    [PM_K_HTTPVER] = enc_text,
    [PM_K_HEADER_NAME] = enc_text,
    [PM_K_BYTES] = enc_bytes,
    [PM_K_HEADER_VALUE] = enc_header_value,
    [PM_K_HEADERS] = enc_headers,
    [PM_K_IP] = enc_ip,
    [PM_K_SOCKADDR] = enc_struct,
    [PM_K_SET] = enc_vec,
    [PM_K_MAP] = enc_vec,
    [PM_K_STRUCT] = enc_struct,
    [PM_K_ENUM] = enc_enum,
    [PM_K_OPT] = enc_opt,
    [PM_K_VEC] = enc_vec,
    [PM_K_TWO] = enc_two,
    [PM_K_RES] = enc_res,
};

static int
pm_encode(
    const struct pm_type *t, const void *m, struct buf *out, struct err *e)
{
	struct enc c = {.out = out, .e = e};
	size_t before = out->len;
	int rc = enc_value(&c, t, m);

	if (rc != 0)
		out->len = before;
	return rc;
}

int
pm_encode_client(
    const struct pm_ClientMessage *m, struct buf *out, struct err *e)
{
	return pm_encode(&pm_type_ClientMessage, m, out, e);
}

int
pm_encode_daemon(
    const struct pm_DaemonMessage *m, struct buf *out, struct err *e)
{
	return pm_encode(&pm_type_DaemonMessage, m, out, e);
}
