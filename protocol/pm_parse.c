/*
 * pm_parse: JSON to C types, by descriptor; the reverse of pm_print. Object
 * members may stand in any order, each exactly once.
 */
#include "protocol/pm_parse_prim.h"
#include "protocol/pm_text.h"

typedef int parse_fn(struct par *r, const struct pm_type *t, void *out);

static parse_fn *const parsers[PM_K_COUNT];

static int
par_value(struct par *r, const struct pm_type *t, void *out)
{
	return parsers[t->kind](r, t, out);
}

/* ---- what has parts ---- */

static int
par_find_field(const struct pm_field *f, struct pm_str name)
{
	for (int i = 0; f[i].type != NULL; i++)
		if (pm_str_eq(name, pm_str(f[i].name)))
			return i;
	return -1;
}

static int
par_check_all(struct par *r, const struct pm_field *f, uint32_t seen)
{
	for (unsigned i = 0; f[i].type != NULL; i++)
		if ((seen & 1u << i) == 0)
			return pm_json_bad(
			    &r->in, "member \"%s\" is missing", f[i].name);
	return 0;
}

/* One member of an object, name and value. */
static int
par_member(struct par *r, const struct pm_field *f, void *out, uint32_t *seen)
{
	struct pm_str name;
	int i, rc = pm_json_text(&r->in, &name);

	if (rc != 0)
		return rc;
	i = par_find_field(f, name);
	if (i < 0)
		return pm_json_bad(&r->in, "there is no member \"%.*s\" here",
		    name.n < 64 ? (int)name.n : 64, name.p);
	if ((*seen & 1u << i) != 0)
		return pm_json_bad(
		    &r->in, "member \"%s\" is there twice", f[i].name);
	*seen |= 1u << i;
	rc = pm_json_expect(&r->in, ':');
	return rc != 0 ? rc : par_value(r, f[i].type, pm_at(out, f[i].offset));
}

static int
par_object(struct par *r, const struct pm_field *f, void *out)
{
	uint32_t seen = 0;
	int rc = pm_json_expect(&r->in, '{');

	if (rc != 0)
		return rc;
	if (pm_json_take(&r->in, '}'))
		return par_check_all(r, f, seen);
	do {
		rc = par_member(r, f, out, &seen);
		if (rc == 0)
			rc = pm_json_more(&r->in, '}');
	} while (rc == 1);
	return rc != 0 ? rc : par_check_all(r, f, seen);
}

/* A list of exactly the fields; one field stands alone. */
static int
par_tuple(struct par *r, const struct pm_field *f, void *out)
{
	int rc;

	if (f[1].type == NULL)
		return par_value(r, f->type, pm_at(out, f->offset));
	rc = pm_json_expect(&r->in, '[');
	for (; rc == 0; f++) {
		rc = par_value(r, f->type, pm_at(out, f->offset));
		if (rc != 0)
			return rc;
		if (f[1].type == NULL)
			return pm_json_expect(&r->in, ']');
		rc = pm_json_expect(&r->in, ',');
	}
	return rc;
}

static int
par_struct(struct par *r, const struct pm_type *t, void *out)
{
	return par_object(r, t->fields, out);
}

static int
par_variant_index(
    struct par *r, const struct pm_type *t, struct pm_str name, uint32_t *tag)
{
	for (*tag = 0; *tag < t->count; (*tag)++)
		if (pm_str_eq(name, pm_str(t->variants[*tag].name)))
			return 0;
	*tag = 0;
	return pm_json_bad(&r->in, "%s has no variant \"%.*s\"", t->name,
	    name.n < 64 ? (int)name.n : 64, name.p);
}

static int
par_enum(struct par *r, const struct pm_type *t, void *out)
{
	bool object = pm_json_take(&r->in, '{');
	const struct pm_variant *v;
	struct pm_str name;
	uint32_t *tag = out;
	int rc = pm_json_text(&r->in, &name);

	if (rc == 0)
		rc = par_variant_index(r, t, name, tag);
	if (rc != 0)
		return rc;
	v = &t->variants[*tag];
	if (object != (v->fields[0].type != NULL))
		return pm_json_bad(&r->in, "variant \"%s\" has %s", v->name,
		    object ? "no value" : "a value, as {\"name\": value}");
	if (!object)
		return 0;
	rc = pm_json_expect(&r->in, ':');
	if (rc == 0)
		rc = v->named ? par_object(r, v->fields, out)
			      : par_tuple(r, v->fields, out);
	return rc != 0 ? rc : pm_json_expect(&r->in, '}');
}

static int
par_opt(struct par *r, const struct pm_type *t, void *out)
{
	bool some = pm_json_peek(&r->in) != 'n';

	*(bool *)out = some;
	if (!some)
		return pm_json_word(&r->in, "null");
	return par_value(r, t->elem, pm_at(out, t->elem_offset));
}

/* A list of anything; *n items of `size` bytes at the pointer returned. */
static int
par_list(struct par *r, const struct pm_type *elem, struct pm_vec *out,
    int (*item)(struct par *, const struct pm_type *, void *), char close)
{
	size_t cap = 0, size = elem->size;
	int rc = 0;

	*out = (struct pm_vec){0, NULL};
	if (pm_json_take(&r->in, close))
		return 0;
	do {
		if (out->n == cap) {
			out->v = arena_grow(
			    r->in.a, out->v, cap * size, (cap * 2 + 4) * size);
			if (out->v == NULL)
				return err_nomem(r->in.e);
			cap = cap * 2 + 4;
		}
		rc = item(r, elem, pm_at(out->v, out->n * size));
		out->n++;
		if (rc == 0)
			rc = pm_json_more(&r->in, close);
	} while (rc == 1);
	return rc;
}

static int
par_vec(struct par *r, const struct pm_type *t, void *out)
{
	bool composite = t->elem == &pm_type_HttpFilter;
	int rc = pm_json_expect(&r->in, '[');

	if (rc == 0 && composite && r->composites == PM_COMPOSITE_DEPTH)
		rc = pm_json_bad(&r->in, "filters nest deeper than %d levels",
		    PM_COMPOSITE_DEPTH);
	if (rc != 0)
		return rc;
	r->composites += composite;
	rc = par_list(r, t->elem, out, par_value, ']');
	r->composites -= composite;
	return rc;
}

static int
par_set(struct par *r, const struct pm_type *t, void *out)
{
	int rc = par_vec(r, t, out);

	if (rc == 0 && pm_set_fold(r->in.a, out) != 0)
		rc = err_nomem(r->in.e);
	return rc;
}

static int
par_pair(struct par *r, const struct pm_type *t, void *out)
{
	struct pm_pair *p = out;
	int rc = pm_json_text(&r->in, &p->key);

	(void)t;
	if (rc == 0)
		rc = pm_json_expect(&r->in, ':');
	return rc != 0 ? rc : pm_json_text(&r->in, &p->value);
}

static int
par_map(struct par *r, const struct pm_type *t, void *out)
{
	int rc = pm_json_expect(&r->in, '{');

	if (rc == 0)
		rc = par_list(r, t->elem, out, par_pair, '}');
	if (rc == 0 && pm_map_fold(r->in.a, out) != 0)
		rc = err_nomem(r->in.e);
	return rc;
}

static int
par_two(struct par *r, const struct pm_type *t, void *out)
{
	int rc = pm_json_expect(&r->in, '[');

	if (rc == 0)
		rc = par_value(r, t->elem, out);
	if (rc == 0)
		rc = pm_json_expect(&r->in, ',');
	if (rc == 0)
		rc = par_value(r, t->elem, pm_at(out, t->elem->size));
	return rc != 0 ? rc : pm_json_expect(&r->in, ']');
}

static int
par_res(struct par *r, const struct pm_type *t, void *out)
{
	uint32_t *tag = out;
	struct pm_str name;
	int rc = pm_json_expect(&r->in, '{');

	if (rc == 0)
		rc = pm_json_text(&r->in, &name);
	if (rc != 0)
		return rc;
	*tag = pm_str_eq(name, PM_STR("Ok")) ? PM_OK : PM_ERR;
	if (*tag == PM_ERR && !pm_str_eq(name, PM_STR("Err")))
		return pm_json_bad(&r->in, "\"Ok\" or \"Err\" expected");
	rc = pm_json_expect(&r->in, ':');
	if (rc == 0)
		rc = *tag == PM_OK
			 ? par_value(r, t->elem, pm_at(out, t->elem_offset))
			 : par_value(r, &pm_type_ResponseError,
			       pm_at(out, t->err_offset));
	return rc != 0 ? rc : pm_json_expect(&r->in, '}');
}

static int
par_headers(struct par *r, const struct pm_type *t, void *out)
{
	struct pm_headers *h = out;
	int rc = par_vec(r, t, out);

	if (rc == 0 && h->n > PM_HEADERS_MAX)
		rc =
		    pm_json_bad(&r->in, "more than %d headers", PM_HEADERS_MAX);
	if (rc == 0 && pm_headers_fold(r->in.a, h) != 0)
		rc = err_nomem(r->in.e);
	return rc;
}

static parse_fn *const parsers[PM_K_COUNT] = {
    [PM_K_UNIT] = pm_par_unit,
    [PM_K_BOOL] = pm_par_bool,
    [PM_K_U8] = pm_par_u8,
    [PM_K_U16] = pm_par_u16,
    [PM_K_PORT] = pm_par_u16,
    [PM_K_STATUS] = pm_par_status,
    [PM_K_U32] = pm_par_u32,
    [PM_K_U64] = pm_par_u64,
    [PM_K_CID] = pm_par_u64,
    [PM_K_I32] = pm_par_i32,
    [PM_K_I64] = pm_par_i64,
    [PM_K_U128] = pm_par_u128,
    [PM_K_UID] = pm_par_uid,
    [PM_K_STR] = pm_par_text,
    [PM_K_SEMVER] = pm_par_text,
    [PM_K_METHOD] = pm_par_text,
    [PM_K_URI] = pm_par_text,
    [PM_K_HTTPVER] = pm_par_text,
    [PM_K_HEADER_NAME] = pm_par_text,
    [PM_K_BYTES] = pm_par_bytes,
    [PM_K_HEADER_VALUE] = pm_par_header_value,
    [PM_K_HEADERS] = par_headers,
    [PM_K_IP] = pm_par_ip,
    [PM_K_SOCKADDR] = pm_par_sockaddr,
    [PM_K_SET] = par_set,
    [PM_K_MAP] = par_map,
    [PM_K_STRUCT] = par_struct,
    [PM_K_ENUM] = par_enum,
    [PM_K_OPT] = par_opt,
    [PM_K_VEC] = par_vec,
    [PM_K_TWO] = par_two,
    [PM_K_RES] = par_res,
};

static int
pm_parse(const struct pm_type *t, struct arena *a, const char *s, size_t n,
    void *out, struct err *e)
{
	struct par r = {.composites = 0};
	int rc;

	pm_json_in_init(&r.in, a, s, n, e);
	memset(out, 0, t->size);
	rc = par_value(&r, t, out);
	return rc != 0 ? rc : pm_json_end(&r.in);
}

int
pm_parse_client(struct arena *a, const char *s, size_t n,
    struct pm_ClientMessage *out, struct err *e)
{
	return pm_parse(&pm_type_ClientMessage, a, s, n, out, e);
}

int
pm_parse_daemon(struct arena *a, const char *s, size_t n,
    struct pm_DaemonMessage *out, struct err *e)
{
	return pm_parse(&pm_type_DaemonMessage, a, s, n, out, e);
}
