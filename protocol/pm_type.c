/* pm_type: the descriptor tables. Nothing here but data. */
#include "protocol/pm_type.h"

#define LEAF(k, K, T)                               \
	static const struct pm_type pm_type_##k = { \
	    .kind = PM_K_##K, .name = #k, .size = sizeof(T)};

LEAF(unit, UNIT, struct pm_unit)
LEAF(bool, BOOL, bool)
LEAF(u8, U8, uint8_t)
LEAF(u16, U16, uint16_t)
LEAF(port, PORT, uint16_t)
LEAF(status, STATUS, uint16_t)
LEAF(u32, U32, uint32_t)
LEAF(u64, U64, uint64_t)
LEAF(cid, CID, uint64_t)
LEAF(i32, I32, int32_t)
LEAF(i64, I64, int64_t)
LEAF(u128, U128, struct pm_u128)
LEAF(uid, UID, struct pm_uid)
LEAF(str, STR, struct pm_str)
LEAF(semver, SEMVER, struct pm_str)
LEAF(method, METHOD, struct pm_str)
LEAF(uri, URI, struct pm_str)
LEAF(httpver, HTTPVER, struct pm_str)
LEAF(header_name, HEADER_NAME, struct pm_str)
LEAF(bytes, BYTES, struct span)
LEAF(header_value, HEADER_VALUE, struct span)
LEAF(ip, IP, struct pm_ip)

/* Primitives with parts, told in terms of others so that a scan can step. */
static const struct pm_field pm_f_pair[] = {
    {"key", offsetof(struct pm_pair, key), &pm_type_str},
    {"value", offsetof(struct pm_pair, value), &pm_type_str},
    {NULL, 0, NULL},
};
static const struct pm_type pm_type_pair = {.kind = PM_K_STRUCT,
    .name = "pair",
    .size = sizeof(struct pm_pair),
    .fields = pm_f_pair};
static const struct pm_type pm_type_values = {.kind = PM_K_VEC,
    .name = "values",
    .size = sizeof(struct pm_vec_bytes),
    .elem = &pm_type_header_value};
static const struct pm_field pm_f_header[] = {
    {"name", offsetof(struct pm_header, name), &pm_type_header_name},
    {"values", offsetof(struct pm_header, values), &pm_type_values},
    {NULL, 0, NULL},
};
static const struct pm_type pm_type_header = {.kind = PM_K_STRUCT,
    .name = "header",
    .size = sizeof(struct pm_header),
    .fields = pm_f_header};
static const struct pm_field pm_f_sockaddr[] = {
    {"ip", offsetof(struct pm_sockaddr, ip), &pm_type_ip},
    {"port", offsetof(struct pm_sockaddr, port), &pm_type_u16},
    {NULL, 0, NULL},
};
static const struct pm_type pm_type_sockaddr = {.kind = PM_K_SOCKADDR,
    .name = "sockaddr",
    .size = sizeof(struct pm_sockaddr),
    .fields = pm_f_sockaddr};
static const struct pm_type pm_type_headers = {.kind = PM_K_HEADERS,
    .name = "headers",
    .size = sizeof(struct pm_headers),
    .elem = &pm_type_header};
static const struct pm_type pm_type_set = {.kind = PM_K_SET,
    .name = "set",
    .size = sizeof(struct pm_vec_str),
    .elem = &pm_type_str};
static const struct pm_type pm_type_map = {.kind = PM_K_MAP,
    .name = "map",
    .size = sizeof(struct pm_vec_pair),
    .elem = &pm_type_pair};

/* ---- every defined type may refer to every other: declare them ---- */

#define PM_DECLARE(N) extern const struct pm_type pm_type_##N;
#define PM_STRUCT(N) PM_DECLARE(N)
#define PM_F(N, f, T)
#define PM_END(N)
#define PM_ENUM(N) PM_DECLARE(N)
#define PM_ENUM_END(N)
#define PM_PLAIN(N) PM_DECLARE(N)
#define PM_PLAIN_END(N)
#define PM_V0(N, V, since)
#define PM_V1(N, V, A, since)
#define PM_V2(N, V, A, B, since)
#define PM_VN(N, V, since)
#define PM_VF(N, V, f, T)
#define PM_VE(N, V)
#define PM_OPT(N, T) PM_DECLARE(opt_##N)
#define PM_VEC(N, T) PM_DECLARE(vec_##N)
#define PM_TWO(N, T) PM_DECLARE(two_##N)
#define PM_RES(N, T) PM_DECLARE(res_##N)
#include "protocol/mirrord.def"

/* ---- the tables ---- */

#define P(kind) &pm_type_##kind
#define S(N) &pm_type_##N
#define FIELDS (const struct pm_field[])
#define LAST                  \
	{                     \
		NULL, 0, NULL \
	}

#define PM_STRUCT(N) static const struct pm_field pm_f_##N[] = {
#define PM_F(N, f, T) {#f, offsetof(struct pm_##N, f), T},
#define PM_END(N)                                                \
	LAST                                                     \
	}                                                        \
	;                                                        \
	const struct pm_type pm_type_##N = {.kind = PM_K_STRUCT, \
	    .name = #N,                                          \
	    .size = sizeof(struct pm_##N),                       \
	    .fields = pm_f_##N};
#define PM_ENUM(N) static const struct pm_variant pm_v_##N[] = {
#define PM_V0(N, V, since) {#V, FIELDS{LAST}, false, since},
#define PM_V1(N, V, A, since)                                              \
	{#V, FIELDS{{NULL, offsetof(struct pm_##N, u.V), A}, LAST}, false, \
	    since},
#define PM_V2(N, V, A, B, since)                                   \
	{#V,                                                       \
	    FIELDS{{NULL, offsetof(struct pm_##N, u.V._0), A},     \
		{NULL, offsetof(struct pm_##N, u.V._1), B}, LAST}, \
	    false, since},
#define PM_VN(N, V, since_)                                                  \
	{                                                                    \
		.name = #V, .named = true, .since = since_, .fields = FIELDS \
		{
#define PM_VF(N, V, f, T) {#f, offsetof(struct pm_##N, u.V.f), T},
#define PM_VE(N, V) \
	LAST        \
	}           \
	}           \
	,
#define PM_ENUM_END(N)                                         \
	}                                                      \
	;                                                      \
	const struct pm_type pm_type_##N = {.kind = PM_K_ENUM, \
	    .name = #N,                                        \
	    .size = sizeof(struct pm_##N),                     \
	    .variants = pm_v_##N,                              \
	    .count = PM_##N##_COUNT};
#define PM_PLAIN(N) PM_ENUM(N)
#define PM_PLAIN_END(N) PM_ENUM_END(N)
#define PM_OPT(N, T)                                              \
	const struct pm_type pm_type_opt_##N = {.kind = PM_K_OPT, \
	    .name = "opt_" #N,                                    \
	    .size = sizeof(struct pm_opt_##N),                    \
	    .elem = T,                                            \
	    .elem_offset = offsetof(struct pm_opt_##N, value)};
#define PM_VEC(N, T)                                                      \
	_Static_assert(                                                   \
	    offsetof(struct pm_vec_##N, v) == offsetof(struct pm_vec, v), \
	    "walkers see every vec alike");                               \
	const struct pm_type pm_type_vec_##N = {.kind = PM_K_VEC,         \
	    .name = "vec_" #N,                                            \
	    .size = sizeof(struct pm_vec_##N),                            \
	    .elem = T};
#define PM_TWO(N, T)                                              \
	const struct pm_type pm_type_two_##N = {.kind = PM_K_TWO, \
	    .name = "two_" #N,                                    \
	    .size = sizeof(struct pm_two_##N),                    \
	    .elem = T,                                            \
	    .elem_offset = offsetof(struct pm_two_##N, v)};
#define PM_RES(N, T)                                              \
	const struct pm_type pm_type_res_##N = {.kind = PM_K_RES, \
	    .name = "res_" #N,                                    \
	    .size = sizeof(struct pm_res_##N),                    \
	    .elem = T,                                            \
	    .elem_offset = offsetof(struct pm_res_##N, u.Ok),     \
	    .err_offset = offsetof(struct pm_res_##N, u.Err)};
#include "protocol/mirrord.def"

const struct pm_type *
pm_type_of(enum pm_dir dir)
{
	return dir == PM_CLIENT ? &pm_type_ClientMessage
				: &pm_type_DaemonMessage;
}

static const struct pm_variant *
pm_variant_at(const struct pm_type *t, unsigned index)
{
	return index < t->count ? &t->variants[index] : NULL;
}

const char *
pm_kind_name(enum pm_dir dir, unsigned kind)
{
	const struct pm_variant *v = pm_variant_at(pm_type_of(dir), kind);

	return v == NULL ? "?" : v->name;
}

const char *
pm_sub_name(enum pm_dir dir, unsigned kind, unsigned sub)
{
	const struct pm_variant *v = pm_variant_at(pm_type_of(dir), kind);

	if (v == NULL || v->fields[0].type == NULL ||
	    v->fields[0].type->kind != PM_K_ENUM)
		return "?";
	v = pm_variant_at(v->fields[0].type, sub);
	return v == NULL ? "?" : v->name;
}
