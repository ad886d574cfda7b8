/*
 * mirrord: the messages of mirrord protocol 1.29.0 as C types, and the calls
 * that turn them into bytes and JSON and back. Who reads or writes a message
 * body uses this; who only routes messages uses protocol/pm_scan.h. Pure: no
 * sockets, no events, no globals. The input is not trusted in any way.
 *
 * All types come from protocol/mirrord.def; section numbers there and here
 * are those of the protocol reference. A type N of the protocol is:
 *   struct   struct pm_N with the same field names
 *   enum     struct pm_N { uint32_t tag; union {...} u; }, the tag being one
 *            of PM_N_Variant. One payload is u.Variant, two are u.Variant._0
 *            and ._1, named fields are u.Variant.field. An enum in which no
 *            variant has a payload has only the tag.
 *   opt<T>   struct pm_opt_T { bool some; T value; }
 *   vec<T>   struct pm_vec_T { size_t n; T *v; }
 *   res<T>   struct pm_res_T { uint32_t tag; u.Ok or u.Err }, PM_OK, PM_ERR
 *   T[2]     struct pm_two_T { T v[2]; }
 * Generic structs carry their parameter: pm_HttpRequest_InternalHttpBody.
 * Strings and bytes are borrowed: from the input or the arena after decoding,
 * from the caller while encoding.
 */
#ifndef PROTOCOL_MIRRORD_H
#define PROTOCOL_MIRRORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "protocol/pm_version.h"

/* ---- primitives (§2, §3) ---- */

struct pm_u128 {
	uint64_t hi, lo;
};

struct pm_ip {
	bool v6;
	uint8_t a[16]; /* network order; v4 uses the first four */
};

struct pm_sockaddr {
	struct pm_ip ip;
	uint16_t port;
};

struct pm_uid {
	uint8_t b[16]; /* the UUID's bytes, big-endian */
};

struct pm_unit {
	char none;
};

struct pm_vec_bytes {
	size_t n;
	struct span *v;
};

struct pm_header {
	struct pm_str name; /* a token in lower case, unique in its headers */
	struct pm_vec_bytes values;
};

struct pm_headers {
	size_t n;
	struct pm_header *v;
};

struct pm_vec_str { /* set<str>: unordered, unique after decoding */
	size_t n;
	struct pm_str *v;
};

struct pm_pair {
	struct pm_str key, value;
};

struct pm_vec_pair { /* map<str,str>: unordered, unique keys */
	size_t n;
	struct pm_pair *v;
};

#define PM_C_u8 uint8_t
#define PM_C_bool bool
#define PM_C_u16 uint16_t
#define PM_C_port uint16_t
#define PM_C_u32 uint32_t
#define PM_C_u64 uint64_t
#define PM_C_cid uint64_t
#define PM_C_i32 int32_t
#define PM_C_i64 int64_t
#define PM_C_u128 struct pm_u128
#define PM_C_uid struct pm_uid
#define PM_C_str struct pm_str
#define PM_C_bytes struct span
#define PM_C_semver struct pm_str
#define PM_C_method struct pm_str
#define PM_C_uri struct pm_str
#define PM_C_httpver struct pm_str
#define PM_C_status uint16_t
#define PM_C_headers struct pm_headers
#define PM_C_ip struct pm_ip
#define PM_C_sockaddr struct pm_sockaddr
#define PM_C_set struct pm_vec_str
#define PM_C_map struct pm_vec_pair
#define PM_C_unit struct pm_unit

/* ---- the variant indexes: PM_LogLevel_Warn ... ---- */

#define PM_ENUM(N) enum {
#define PM_V0(N, V, since) PM_##N##_##V,
#define PM_V1(N, V, A, since) PM_##N##_##V,
#define PM_V2(N, V, A, B, since) PM_##N##_##V,
#define PM_VN(N, V, since) PM_##N##_##V,
#define PM_VF(N, V, f, T)
#define PM_VE(N, V)
#define PM_ENUM_END(N) \
	PM_##N##_COUNT \
	}              \
	;
#define PM_PLAIN(N) PM_ENUM(N)
#define PM_PLAIN_END(N) PM_ENUM_END(N)
#include "protocol/mirrord.def"

enum { PM_OK = 0, PM_ERR = 1 }; /* tags of every pm_res_T */

/* ---- the types ---- */

#define P(kind) PM_C_##kind
#define S(N) struct pm_##N
#define PM_STRUCT(N) struct pm_##N {
#define PM_F(N, f, T) T f;
#define PM_END(N) \
	}         \
	;
#define PM_PLAIN(N)     \
	struct pm_##N { \
		uint32_t tag;
#define PM_PLAIN_END(N) \
	}               \
	;
#define PM_ENUM(N)            \
	struct pm_##N {       \
		uint32_t tag; \
		union {
#define PM_V0(N, V, since)
#define PM_V1(N, V, A, since) A V;
#define PM_V2(N, V, A, B, since) \
	struct {                 \
		A _0;            \
		B _1;            \
	} V;
#define PM_VN(N, V, since) struct {
#define PM_VF(N, V, f, T) T f;
#define PM_VE(N, V) \
	}           \
	V;
#define PM_ENUM_END(N) \
	}              \
	u;             \
	}              \
	;
#define PM_OPT(N, T)        \
	struct pm_opt_##N { \
		bool some;  \
		T value;    \
	};
#define PM_VEC(N, T)        \
	struct pm_vec_##N { \
		size_t n;   \
		T *v;       \
	};
#define PM_TWO(N, T)        \
	struct pm_two_##N { \
		T v[2];     \
	};
#define PM_RES(N, T)                                 \
	struct pm_res_##N {                          \
		uint32_t tag;                        \
		union {                              \
			T Ok;                        \
			struct pm_ResponseError Err; \
		} u;                                 \
	};
#include "protocol/mirrord.def"

/* ---- bytes ---- */

enum pm_dir {
	PM_CLIENT, /* client to daemon: struct pm_ClientMessage */
	PM_DAEMON, /* daemon to client: struct pm_DaemonMessage */
};

#define PM_COMPOSITE_DEPTH 32       /* nested HttpFilter Composites */
#define PM_HEADERS_MAX 24576        /* names of one header map */
#define PM_LEN_MAX_BYTES (64 << 20) /* one string or byte string */
#define PM_COUNT_MAX (64 << 20)     /* items of one list */

/*
 * Decodes the message at the front of n bytes. 0 with its length in *used_r
 * (may be NULL); bytes behind it are not looked at. -ERR_TRUNCATED: the input
 * ended early; on a stream wait for more (and find the end with pm_scan, so
 * that no byte is decoded twice), in a WebSocket message it is an error.
 * -ERR_INVALID: e->offset is the byte. -ERR_NOMEM: a is full. *out borrows
 * from p and a. Accepts and rejects what §14 says; never recurses deeper
 * than the types and PM_COMPOSITE_DEPTH.
 */
int pm_decode_client(struct arena *a, const uint8_t *p, size_t n,
    size_t *used_r, struct pm_ClientMessage *out, struct err *e);
int pm_decode_daemon(struct arena *a, const uint8_t *p, size_t n,
    size_t *used_r, struct pm_DaemonMessage *out, struct err *e);

/*
 * Appends the message's shortest form to out. -ERR_INVALID for what no peer
 * would accept (a tag out of range, text that is not UTF-8, a bad header or
 * version...), -ERR_TOO_BIG, -ERR_NOMEM; out is then as it was. e may be NULL.
 */
int pm_encode_client(
    const struct pm_ClientMessage *m, struct buf *out, struct err *e);
int pm_encode_daemon(
    const struct pm_DaemonMessage *m, struct buf *out, struct err *e);

/*
 * The newest `since` of all variants in the message: a peer below that
 * version cannot decode it. 0 when everybody can.
 */
uint32_t pm_since_client(const struct pm_ClientMessage *m);
uint32_t pm_since_daemon(const struct pm_DaemonMessage *m);

/* ---- JSON: one field tree per message ---- */

/*
 * Appends the message as one line of JSON without the newline: structs are
 * objects, variants "Name", {"Name": value}, {"Name": [a, b]}; byte strings
 * are hex; integers beyond 2^53-1 are decimal strings.
 */
int pm_print_client(const struct pm_ClientMessage *m, struct buf *out);
int pm_print_daemon(const struct pm_DaemonMessage *m, struct buf *out);
/* The reverse. -ERR_INVALID with e->offset in s; *out lives in a and s. */
int pm_parse_client(struct arena *a, const char *s, size_t n,
    struct pm_ClientMessage *out, struct err *e);
int pm_parse_daemon(struct arena *a, const char *s, size_t n,
    struct pm_DaemonMessage *out, struct err *e);

/* ---- small things ---- */

/* Variant names for logs: "TcpSteal", then "Data"; "?" when there is none. */
const char *pm_kind_name(enum pm_dir dir, unsigned kind);
const char *pm_sub_name(enum pm_dir dir, unsigned kind, unsigned sub);

/*
 * A varint (§2.1): the bytes written; at most 9, or 17 for pm_put_u128.
 */
unsigned pm_put_varint(uint8_t out[17], uint64_t v);
unsigned pm_put_u128(uint8_t out[17], struct pm_u128 v);
/*
 * Reads a u64 varint from n bytes: its length, -ERR_TRUNCATED, -ERR_INVALID.
 */
int pm_get_varint(const uint8_t *p, size_t n, uint64_t *v_r);

#endif
