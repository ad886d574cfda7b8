/*
 * frame: the codec, driven by the table. Reading trusts nothing: every length
 * is checked against the field's limit and against the bytes that are there;
 * text has its NUL where it belongs and nowhere else.
 */
#include "config.h"

#include <string.h>

#include "ipc/table.h"

static uint64_t
le_read(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = n; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

static void
le_write(uint8_t *p, size_t n, uint64_t v)
{
	for (size_t i = 0; i < n; i++, v >>= 8)
		p[i] = (uint8_t)v;
}

void
ipc_header_read(const uint8_t *p, struct ipc_header *h)
{
	h->type = (uint16_t)le_read(p, 2);
	h->flags = p[2];
	h->n_fds = p[3];
	h->length = (uint32_t)le_read(p + 4, 4);
	h->session = (uint32_t)le_read(p + 8, 4);
	h->stream = (uint32_t)le_read(p + 12, 4);
}

/* Bytes of an integer on the wire; 0 for text and bytes. */
static size_t
int_bytes(enum ipc_field_type type)
{
	static const uint8_t n[] = {[IPC_T_u8] = 1,
	    [IPC_T_u16] = 2,
	    [IPC_T_u32] = 4,
	    [IPC_T_u64] = 8,
	    [IPC_T_str] = 0,
	    [IPC_T_bytes] = 0};

	return n[type];
}

static void
int_store(enum ipc_field_type type, void *at, uint64_t v)
{
	if (type == IPC_T_u8)
		*(uint8_t *)at = (uint8_t)v;
	else if (type == IPC_T_u16)
		*(uint16_t *)at = (uint16_t)v;
	else if (type == IPC_T_u32)
		*(uint32_t *)at = (uint32_t)v;
	else
		*(uint64_t *)at = v;
}

static uint64_t
int_load(enum ipc_field_type type, const void *at)
{
	if (type == IPC_T_u8)
		return *(const uint8_t *)at;
	if (type == IPC_T_u16)
		return *(const uint16_t *)at;
	if (type == IPC_T_u32)
		return *(const uint32_t *)at;
	return *(const uint64_t *)at;
}

struct reader {
	const struct ipc_spec *spec;
	const uint8_t *start;
	const uint8_t *p;
	size_t n;
};

static int
read_broken(struct reader *r, const struct ipc_field *f, const char *what,
    struct err *e)
{
	int rc =
	    err_set(e, ERR_INVALID, "%s.%s %s", r->spec->name, f->name, what);

	if (e != NULL)
		e->offset = (uint64_t)(r->p - r->start);
	return rc;
}

/* A length, and as many bytes behind it (one more for text). */
static int
read_text(struct reader *r, const struct ipc_field *f, void *at, struct err *e)
{
	bool str = f->type == IPC_T_str;
	uint64_t n;

	if (r->n < 4)
		return read_broken(r, f, "is cut off", e);
	n = le_read(r->p, 4);
	if (n > f->max)
		return read_broken(r, f, "is longer than its limit", e);
	if (n + (str ? 1 : 0) > r->n - 4)
		return read_broken(r, f, "is cut off", e);
	r->p += 4;
	r->n -= 4;
	if (!str) {
		*(struct span *)at = (struct span){r->p, n};
	} else if (r->p[n] != '\0') {
		return read_broken(r, f, "does not end with a NUL", e);
	} else if (memchr(r->p, '\0', n) != NULL) {
		return read_broken(r, f, "has a NUL inside", e);
	} else {
		*(const char **)at = (const char *)r->p;
		n++;
	}
	r->p += n;
	r->n -= n;
	return 0;
}

int
ipc_payload_read(const struct ipc_spec *spec, const uint8_t *p, size_t n,
    void *payload_r, struct err *e)
{
	struct reader r = {spec, p, p, n};

	for (const struct ipc_field *f = ipc_spec_fields(spec); f->name != NULL;
	     f++) {
		void *at = (char *)payload_r + f->offset;
		size_t width = int_bytes(f->type);

		if (width == 0) {
			int rc = read_text(&r, f, at, e);

			if (rc < 0)
				return rc;
			continue;
		}
		if (r.n < width)
			return read_broken(&r, f, "is cut off", e);
		int_store(f->type, at, le_read(r.p, width));
		r.p += width;
		r.n -= width;
	}
	if (r.n > 0)
		return err_set(e, ERR_INVALID, "%s has %zu bytes too many",
		    spec->name, r.n);
	return 0;
}

static int
write_field(const struct ipc_spec *spec, const struct ipc_field *f,
    const void *at, struct buf *out, struct err *e)
{
	size_t width = int_bytes(f->type);
	struct span s;
	uint8_t le[8];
	int rc;

	if (width > 0) {
		le_write(le, width, int_load(f->type, at));
		return buf_append(out, le, width);
	}
	if (f->type == IPC_T_str) {
		const char *text = *(const char *const *)at;

		s.p = (const uint8_t *)(text != NULL ? text : "");
		s.n = strlen((const char *)s.p);
	} else {
		s = *(const struct span *)at;
	}
	if (s.n > f->max)
		return err_set(e, ERR_TOO_BIG,
		    "%s.%s has %zu bytes, its limit is %u", spec->name, f->name,
		    s.n, f->max);
	le_write(le, 4, s.n);
	rc = buf_append(out, le, 4);
	if (rc == 0)
		rc = buf_append(out, s.p, s.n);
	if (rc == 0 && f->type == IPC_T_str)
		rc = buf_append_u8(out, 0);
	return rc;
}

int
ipc_frame_write(const struct ipc_spec *spec, uint8_t flags, uint8_t n_fds,
    uint32_t session, uint32_t stream, const void *payload, struct buf *out,
    struct err *e)
{
	uint8_t head[IPC_HEADER_BYTES] = {0};
	size_t before = out->len;
	int rc;

	err_set(e, ERR_NOMEM, "%s: no room to queue it", spec->name);
	rc = buf_append(out, head, sizeof(head));
	for (const struct ipc_field *f = ipc_spec_fields(spec);
	     rc == 0 && f->name != NULL; f++)
		rc = write_field(
		    spec, f, (const char *)payload + f->offset, out, e);
	if (rc < 0) {
		out->len = before;
		return rc;
	}
	le_write(head, 2, spec->id);
	head[2] = flags;
	head[3] = n_fds;
	le_write(head + 4, 4, out->len - before - sizeof(head));
	le_write(head + 8, 4, session);
	le_write(head + 12, 4, stream);
	memcpy(buf_data(out) + before, head, sizeof(head));
	return 0;
}

int
ipc_encode(enum ipc_type type, uint16_t flags, uint32_t session,
    uint32_t stream, const void *payload, struct buf *out)
{
	const struct ipc_spec *spec = ipc_spec_find((uint16_t)type);

	if (spec == NULL || flags > UINT8_MAX)
		return -ERR_INVALID;
	return ipc_frame_write(
	    spec, (uint8_t)flags, 0, session, stream, payload, out, NULL);
}

int
ipc_decode(const uint8_t *p, size_t n, struct ipc_header *header_r,
    void *payload_r, size_t *used_r, struct err *e)
{
	const struct ipc_spec *spec;

	if (n < IPC_HEADER_BYTES)
		return err_set(e, ERR_TRUNCATED, "a header has 16 bytes");
	ipc_header_read(p, header_r);
	spec = ipc_spec_find(header_r->type);
	if (spec == NULL)
		return err_set(e, ERR_INVALID, "unknown message type %#06x",
		    header_r->type);
	if (header_r->length > ipc_spec_max_payload(spec))
		return err_set(e, ERR_INVALID, "%s is too long", spec->name);
	if (n - IPC_HEADER_BYTES < header_r->length)
		return err_set(
		    e, ERR_TRUNCATED, "%s is not complete", spec->name);
	*used_r = IPC_HEADER_BYTES + header_r->length;
	return ipc_payload_read(
	    spec, p + IPC_HEADER_BYTES, header_r->length, payload_r, e);
}
