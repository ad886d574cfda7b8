/* table: messages.def and payloads.def as data, for the files of ipc/ only. */
#ifndef IPC_TABLE_H
#define IPC_TABLE_H

#include "ipc/ipc.h"

enum ipc_field_type {
	IPC_T_u8,
	IPC_T_u16,
	IPC_T_u32,
	IPC_T_u64,
	IPC_T_str,
	IPC_T_bytes
};

struct ipc_field {
	enum ipc_field_type type;
	uint32_t offset; /* in the C structure */
	uint32_t max;    /* of str and bytes, in bytes */
	const char *name;
};

enum ipc_socket { IPC_SOCKET_D, IPC_SOCKET_C };

struct ipc_spec {
	uint16_t id;
	const char *name;
	enum ipc_socket socket;
	uint8_t phases; /* bits of 1 << enum ipc_phase */
	uint8_t max_fds;
	uint16_t struct_bytes;
	/* by receiving role: bits of 1 << enum ipc_role that may send it */
	uint8_t senders[IPC_N_ROLES];
};

/* NULL for an unknown type. */
const struct ipc_spec *ipc_spec_find(uint16_t type);
/* The i-th message in the table's order; NULL past the end. */
const struct ipc_spec *ipc_spec_at(size_t i);
/* Its place in that order; -1 for an unknown type. */
int ipc_spec_index(uint16_t type);
enum { IPC_N_SPECS_MAX = 128 };
/* Its fields in wire order; the one behind the last has no name. */
const struct ipc_field *ipc_spec_fields(const struct ipc_spec *spec);
/* The longest payload the fields allow. */
uint32_t ipc_spec_max_payload(const struct ipc_spec *spec);

/* ---- the codec in its two steps ---- */

/* p has IPC_HEADER_BYTES. */
void ipc_header_read(const uint8_t *p, struct ipc_header *h);
/* All of the payload, nothing behind it. -ERR_INVALID names the field. */
int ipc_payload_read(const struct ipc_spec *spec, const uint8_t *p, size_t n,
    void *payload_r, struct err *e);
/* Header and payload appended to out, for a frame with n_fds descriptors. */
int ipc_frame_write(const struct ipc_spec *spec, uint8_t flags, uint8_t n_fds,
    uint32_t session, uint32_t stream, const void *payload, struct buf *out,
    struct err *e);

#endif
