/*
 * pm_type: the descriptors of all protocol types, expanded from mirrord.def.
 * Private to protocol/: the walkers follow them instead of knowing messages.
 */
#ifndef PROTOCOL_PM_TYPE_H
#define PROTOCOL_PM_TYPE_H

#include "protocol/mirrord.h"

enum pm_kind {
	PM_K_UNIT,
	PM_K_BOOL,
	PM_K_U8,
	PM_K_U16,
	PM_K_PORT, /* u16: the port of a subscription */
	PM_K_STATUS,
	PM_K_U32,
	PM_K_U64,
	PM_K_CID, /* u64: the connection id */
	PM_K_I32,
	PM_K_I64,
	PM_K_U128,
	PM_K_UID,
	PM_K_STR,
	PM_K_SEMVER,
	PM_K_METHOD,
	PM_K_URI,
	PM_K_HTTPVER,
	PM_K_HEADER_NAME,
	PM_K_BYTES,
	PM_K_HEADER_VALUE, /* bytes without control characters */
	PM_K_HEADERS,
	PM_K_IP,
	PM_K_SOCKADDR,
	PM_K_SET,
	PM_K_MAP,
	PM_K_STRUCT,
	PM_K_ENUM,
	PM_K_OPT,
	PM_K_VEC,
	PM_K_TWO,
	PM_K_RES,
	PM_K_COUNT
};

struct pm_type;

struct pm_field {
	const char *name; /* NULL in a tuple variant */
	size_t offset;    /* in the struct or enum it belongs to */
	const struct pm_type *type;
};

struct pm_variant {
	const char *name;
	const struct pm_field *fields; /* ends with type NULL */
	bool named;
	uint32_t since; /* PM_VER, 0 = always */
};

struct pm_type {
	enum pm_kind kind;
	const char *name;
	size_t size;                       /* of the C type */
	const struct pm_field *fields;     /* struct; ends with type NULL */
	const struct pm_variant *variants; /* enum */
	uint32_t count;                    /* of variants */
	const struct pm_type *elem;        /* opt, vec, two, res: T */
	size_t elem_offset;                /* opt.value, res.u.Ok, two.v[0] */
	size_t err_offset;                 /* res.u.Err */
};

extern const struct pm_type pm_type_ClientMessage;
extern const struct pm_type pm_type_DaemonMessage;
extern const struct pm_type pm_type_HttpFilter;
extern const struct pm_type pm_type_ResponseError;

const struct pm_type *pm_type_of(enum pm_dir dir);

enum { PM_STATUS_MIN = 100, PM_STATUS_MAX = 999 };

/* The layout shared by all vec<T>, for walkers that know T only at run time. */
struct pm_vec {
	size_t n;
	void *v;
};

static inline void *
pm_at(const void *base, size_t offset)
{
	return (char *)base + offset;
}

#endif
