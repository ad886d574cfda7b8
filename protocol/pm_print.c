/* pm_print: C types to JSON, by descriptor. */
#include <inttypes.h>
#include <stdio.h>

#include "protocol/pm_json.h"
#include "protocol/pm_text.h"

/* Beyond this a number would lose digits in JSON readers: a string then. */
#define JSON_EXACT_MAX ((uint64_t)1 << 53)

typedef int print_fn(struct buf *out, const struct pm_type *t, const void *v);

static print_fn *const printers[PM_K_COUNT];

static int
print_value(struct buf *out, const struct pm_type *t, const void *v)
{
	return printers[t->kind](out, t, v);
}

static int
print_digits(struct buf *out, const char *digits, bool exact)
{
	return buf_printf(out, exact ? "%s" : "\"%s\"", digits);
}

static int
print_u64_value(struct buf *out, uint64_t v)
{
	char digits[PM_ADDR_TEXT];

	pm_u128_print((struct pm_u128){0, v}, digits);
	return print_digits(out, digits, v < JSON_EXACT_MAX);
}

static int
print_i64_value(struct buf *out, int64_t v)
{
	char digits[PM_ADDR_TEXT];
	uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	snprintf(digits, sizeof(digits), "%" PRId64, v);
	return print_digits(out, digits, size < JSON_EXACT_MAX);
}

static int
print_unit(struct buf *out, const struct pm_type *t, const void *v)
{
	(void)t;
	(void)v;
	return pm_json_put(out, "null");
}

static int
print_bool(struct buf *out, const struct pm_type *t, const void *v)
{
	(void)t;
	return pm_json_put(out, *(const bool *)v ? "true" : "false");
}

static int
print_u8(struct buf *out, const struct pm_type *t, const void *v)
{
	(void)t;
	return print_u64_value(out, *(const uint8_t *)v);
}

static int
print_u16(struct buf *out, const struct pm_type *t, const void *v)
{
	(void)t;
	return print_u64_value(out, *(const uint16_t *)v);
}

static int
print_u32(struct buf *out, const struct pm_type *t, const void *v)
{
	(void)t;
	return print_u64_value(out, *(const uint32_t *)v);
}

static int
print_u64(struct buf *out, const struct pm_type *t, const void *v)
{
	(void)t;
	return print_u64_value(out, *(const uint64_t *)v);
}

static int
print_i32(struct buf *out, const struct pm_type *t, const void *v)
{
	(void)t;
	return print_i64_value(out, *(const int32_t *)v);
}

static int
print_i64(struct buf *out, const struct pm_type *t, const void *v)
{
	(void)t;
	return print_i64_value(out, *(const int64_t *)v);
}

static int
print_u128(struct buf *out, const struct pm_type *t, const void *v)
{
	const struct pm_u128 *n = v;
	char digits[PM_ADDR_TEXT];

	(void)t;
	pm_u128_print(*n, digits);
	return print_digits(out, digits, n->hi == 0 && n->lo < JSON_EXACT_MAX);
}

static int
print_uid(struct buf *out, const struct pm_type *t, const void *v)
{
	char text[PM_ADDR_TEXT];

	(void)t;
	pm_uid_print(v, text);
	return print_digits(out, text, false);
}

static int
print_text(struct buf *out, const struct pm_type *t, const void *v)
{
	const struct pm_str *s = v;

	(void)t;
	return pm_json_put_text(out, s->p, s->n);
}

static int
print_bytes(struct buf *out, const struct pm_type *t, const void *v)
{
	const struct span *s = v;

	(void)t;
	return pm_json_put_hex(out, s->p, s->n);
}

static int
print_ip(struct buf *out, const struct pm_type *t, const void *v)
{
	char text[PM_ADDR_TEXT];

	(void)t;
	pm_ip_print(v, text);
	return print_digits(out, text, false);
}

static int
print_sockaddr(struct buf *out, const struct pm_type *t, const void *v)
{
	char text[PM_ADDR_TEXT];

	(void)t;
	pm_sockaddr_print(v, text);
	return print_digits(out, text, false);
}

/* ---- what has parts ---- */

static int
print_key(struct buf *out, bool first, const char *name)
{
	return buf_printf(out, "%s\"%s\": ", first ? "" : ", ", name);
}

/* The fields in an object, or (without names) in a list, or one alone. */
static int
print_fields(struct buf *out, const struct pm_field *f, const void *v)
{
	bool named = f->name != NULL, alone = !named && f[1].type == NULL;
	const struct pm_field *first = f;
	int rc = alone ? 0 : pm_json_put(out, named ? "{" : "[");

	for (; rc == 0 && f->type != NULL; f++) {
		if (named)
			rc = print_key(out, f == first, f->name);
		else if (f != first)
			rc = pm_json_put(out, ", ");
		if (rc == 0)
			rc = print_value(out, f->type, pm_at(v, f->offset));
	}
	if (rc == 0 && !alone)
		rc = pm_json_put(out, named ? "}" : "]");
	return rc;
}

static int
print_struct(struct buf *out, const struct pm_type *t, const void *v)
{
	return print_fields(out, t->fields, v);
}

static int
print_enum(struct buf *out, const struct pm_type *t, const void *v)
{
	uint32_t tag = *(const uint32_t *)v;
	const struct pm_variant *variant;
	int rc;

	if (tag >= t->count)
		return -ERR_INVALID;
	variant = &t->variants[tag];
	if (variant->fields[0].type == NULL)
		return buf_printf(out, "\"%s\"", variant->name);
	rc = buf_printf(out, "{\"%s\": ", variant->name);
	if (rc == 0)
		rc = print_fields(out, variant->fields, v);
	return rc != 0 ? rc : pm_json_put(out, "}");
}

static int
print_opt(struct buf *out, const struct pm_type *t, const void *v)
{
	if (!*(const bool *)v)
		return pm_json_put(out, "null");
	return print_value(out, t->elem, pm_at(v, t->elem_offset));
}

static int
print_list(
    struct buf *out, const struct pm_type *elem, const void *items, size_t n)
{
	int rc = pm_json_put(out, "[");

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (i > 0)
			rc = pm_json_put(out, ", ");
		if (rc == 0)
			rc = print_value(
			    out, elem, pm_at(items, i * elem->size));
	}
	return rc != 0 ? rc : pm_json_put(out, "]");
}

static int
print_vec(struct buf *out, const struct pm_type *t, const void *v)
{
	const struct pm_vec *vec = v;

	return print_list(out, t->elem, vec->v, vec->n);
}

static int
print_two(struct buf *out, const struct pm_type *t, const void *v)
{
	return print_list(out, t->elem, v, 2);
}

static int
print_res(struct buf *out, const struct pm_type *t, const void *v)
{
	bool ok = *(const uint32_t *)v == PM_OK;
	int rc = pm_json_put(out, ok ? "{\"Ok\": " : "{\"Err\": ");

	if (rc == 0)
		rc = ok ? print_value(out, t->elem, pm_at(v, t->elem_offset))
			: print_value(out, &pm_type_ResponseError,
			      pm_at(v, t->err_offset));
	return rc != 0 ? rc : pm_json_put(out, "}");
}

static int
print_map(struct buf *out, const struct pm_type *t, const void *v)
{
	const struct pm_vec_pair *map = v;
	int rc = pm_json_put(out, "{");

	(void)t;
	for (size_t i = 0; rc == 0 && i < map->n; i++) {
		const struct pm_pair *p = &map->v[i];

		if (i > 0)
			rc = pm_json_put(out, ", ");
		if (rc == 0)
			rc = pm_json_put_text(out, p->key.p, p->key.n);
		if (rc == 0)
			rc = pm_json_put(out, ": ");
		if (rc == 0)
			rc = pm_json_put_text(out, p->value.p, p->value.n);
	}
	return rc != 0 ? rc : pm_json_put(out, "}");
}

/* Text where it is printable ASCII, else {"hex": ...}. */
static int
print_header_value(struct buf *out, const struct pm_type *t, const void *v)
{
	const struct span *s = v;
	int rc;

	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i] >= 0x20 && s->p[i] < 0x7f)
			continue;
		rc = pm_json_put(out, "{\"hex\": ");
		if (rc == 0)
			rc = print_bytes(out, t, v);
		return rc != 0 ? rc : pm_json_put(out, "}");
	}
	return pm_json_put_text(out, (const char *)s->p, s->n);
}

static print_fn *const printers[PM_K_COUNT] = {
    [PM_K_UNIT] = print_unit,
    [PM_K_BOOL] = print_bool,
    [PM_K_U8] = print_u8,
    [PM_K_U16] = print_u16,
    [PM_K_PORT] = print_u16,
    [PM_K_STATUS] = print_u16,
    [PM_K_U32] = print_u32,
    [PM_K_U64] = print_u64,
    [PM_K_CID] = print_u64,
    [PM_K_I32] = print_i32,
    [PM_K_I64] = print_i64,
    [PM_K_U128] = print_u128,
    [PM_K_UID] = print_uid,
    [PM_K_STR] = print_text,
    [PM_K_SEMVER] = print_text,
    [PM_K_METHOD] = print_text,
    [PM_K_URI] = print_text,
    [PM_K_HTTPVER] = print_text,
    [PM_K_HEADER_NAME] = print_text,
    [PM_K_BYTES] = print_bytes,
    [PM_K_HEADER_VALUE] = print_header_value,
    [PM_K_HEADERS] = print_vec,
    [PM_K_IP] = print_ip,
    [PM_K_SOCKADDR] = print_sockaddr,
    [PM_K_SET] = print_vec,
    [PM_K_MAP] = print_map,
    [PM_K_STRUCT] = print_struct,
    [PM_K_ENUM] = print_enum,
    [PM_K_OPT] = print_opt,
    [PM_K_VEC] = print_vec,
    [PM_K_TWO] = print_two,
    [PM_K_RES] = print_res,
};

static int
pm_print(const struct pm_type *t, const void *m, struct buf *out)
{
	size_t before = out->len;
	int rc = print_value(out, t, m);

	if (rc != 0)
		out->len = before;
	return rc;
}

int
pm_print_client(const struct pm_ClientMessage *m, struct buf *out)
{
	return pm_print(&pm_type_ClientMessage, m, out);
}

int
pm_print_daemon(const struct pm_DaemonMessage *m, struct buf *out)
{
	return pm_print(&pm_type_DaemonMessage, m, out);
}
