#include "config.h"

#include "ipc/table.h"

#include <string.h>

/* clang-format off */
#define S (1 << IPC_PHASE_START)
#define R (1 << IPC_PHASE_RUN)
#define D (1 << IPC_PHASE_DRAIN)
#define IPC_PHASES_S S
#define IPC_PHASES_SR (S | R)
#define IPC_PHASES_SRD (S | R | D)
#define IPC_PHASES_R R
#define IPC_PHASES_RD (R | D)

enum {
	IPC_PH_S = IPC_PHASES_S, IPC_PH_SR = IPC_PHASES_SR,
	IPC_PH_SRD = IPC_PHASES_SRD, IPC_PH_R = IPC_PHASES_R,
	IPC_PH_RD = IPC_PHASES_RD,
};
#undef S
#undef R
#undef D

/* The senders of a column as bits. */
enum {
	SUP = 1 << IPC_SUP, FE = 1 << IPC_FE, SF = 1 << IPC_SF,
	SEC = 1 << IPC_SEC, CON = 1 << IPC_CON, CLU = 1 << IPC_CLU,
	OWN = 1 << IPC_OWN,
};
#define NO 0
#define BY(senders) (senders)

/* The fields of each message; cur names the structure they lie in. */
#define IPC_FIELD(type, field, max)                                           \
	{IPC_T_##type, offsetof(cur, field), (max), #field},
#define IPC_MSG(NAME, name, ...)                                              \
	static const struct ipc_field *                                        \
	ipc_fields_##name(void)                                                \
	{                                                                      \
		typedef struct ipc_##name cur;                                 \
		static const struct ipc_field fields[] = {                     \
		    IPC_FIELDS_##name(IPC_FIELD) {IPC_T_u8, 0, 0, NULL}};      \
		_Static_assert(sizeof(cur) <= IPC_STRUCT_BYTES,                \
		    "raise IPC_STRUCT_BYTES");                                 \
		return fields;                                                 \
	}
#include "ipc/messages.def"
#undef IPC_MSG
#undef IPC_FIELD

/* Where a type stands in specs[]. */
enum {
#define IPC_MSG(NAME, ...) AT_##NAME,
#include "ipc/messages.def"
#undef IPC_MSG
	N_SPECS
};
_Static_assert((int)N_SPECS <= (int)IPC_N_SPECS_MAX, "raise IPC_N_SPECS_MAX");

struct ipc_row {
	struct ipc_spec spec;
	const struct ipc_field *(*fields)(void);
};

static const struct ipc_row rows[] = {
#define IPC_MSG(NAME, lower, id_, sock, ph, fds, sup, fe, sf, sec, con, clu,  \
	own)                                                                   \
	{{.id = (id_), .name = #NAME, .socket = IPC_SOCKET_##sock,             \
	     .phases = IPC_PH_##ph, .max_fds = (fds),                          \
	     .struct_bytes = sizeof(struct ipc_##lower),                       \
	     .senders = {sup, fe, sf, sec, con, clu, own}},                    \
	    ipc_fields_##lower},
#include "ipc/messages.def"
#undef IPC_MSG
};

/* Both tables as text, for the hash. */
static const char *const table_text[] = {
#define IPC_FIELD(type, field, max) #type " " #field " " #max ";"
#define IPC_MSG(NAME, name, ...)                                              \
	#NAME " " #__VA_ARGS__ ":" IPC_FIELDS_##name(IPC_FIELD),
#include "ipc/messages.def"
#undef IPC_MSG
#undef IPC_FIELD
};
/* clang-format on */

static const char *const role_names[IPC_N_ROLES] = {
    [IPC_SUP] = "supervisor",
    [IPC_FE] = "frontend",
    [IPC_SF] = "stateful",
    [IPC_SEC] = "secrets",
    [IPC_CON] = "connector",
    [IPC_CLU] = "cluster",
    [IPC_OWN] = "own",
};

const char *
ipc_role_name(enum ipc_role role)
{
	return (unsigned)role < IPC_N_ROLES ? role_names[role] : "unknown";
}

int
ipc_spec_index(uint16_t type)
{
	/* One byte a type: the ids are dense inside each group. */
	static const uint8_t at[0x1000] = {
#define IPC_MSG(NAME, ...) [IPC_##NAME] = AT_##NAME + 1,
#include "ipc/messages.def"
#undef IPC_MSG
	};

	return type < sizeof(at) ? (int)at[type] - 1 : -1;
}

const struct ipc_spec *
ipc_spec_at(size_t i)
{
	return i < N_SPECS ? &rows[i].spec : NULL;
}

const struct ipc_spec *
ipc_spec_find(uint16_t type)
{
	int i = ipc_spec_index(type);

	return i < 0 ? NULL : &rows[i].spec;
}

const struct ipc_field *
ipc_spec_fields(const struct ipc_spec *spec)
{
	return rows[ipc_spec_index(spec->id)].fields();
}

uint32_t
ipc_spec_max_payload(const struct ipc_spec *spec)
{
	static const uint8_t fixed[] = {[IPC_T_u8] = 1,
	    [IPC_T_u16] = 2,
	    [IPC_T_u32] = 4,
	    [IPC_T_u64] = 8,
	    [IPC_T_str] = 5,
	    [IPC_T_bytes] = 4};
	uint32_t n = 0;

	for (const struct ipc_field *f = ipc_spec_fields(spec); f->name != NULL;
	     f++)
		n += fixed[f->type] + f->max;
	return n;
}

const char *
ipc_type_name(uint16_t type)
{
	const struct ipc_spec *spec = ipc_spec_find(type);

	return spec != NULL ? spec->name : "?";
}

uint64_t
ipc_table_hash(void)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < N_SPECS; i++) {
		for (const char *p = table_text[i]; *p != '\0'; p++)
			h = (h ^ (uint8_t)*p) * 0x100000001b3u;
	}
	return h;
}
