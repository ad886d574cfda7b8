#include "config.h"

#include <string.h>

#include "ipc/table.h"

enum { PRINT_TEXT_BYTES = 120 };

/* Text shortened, with control characters and quotes made harmless. */
static void
print_text(const char *s, struct buf *out)
{
	size_t n = strlen(s);

	buf_append_u8(out, '"');
	for (size_t i = 0; i < n && i < PRINT_TEXT_BYTES; i++) {
		uint8_t c = (uint8_t)s[i];

		if (c == '\n')
			buf_append(out, "\\n", 2);
		else if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
			buf_printf(out, "\\x%02x", c);
		else
			buf_append_u8(out, c);
	}
	buf_printf(
	    out, n > PRINT_TEXT_BYTES ? "\"+%zu" : "\"", n - PRINT_TEXT_BYTES);
}

static void
print_field(const struct ipc_field *f, const void *at, struct buf *out)
{
	buf_printf(out, " %s=", f->name);
	switch (f->type) {
	case IPC_T_u8:
		buf_printf(out, "%u", *(const uint8_t *)at);
		break;
	case IPC_T_u16:
		buf_printf(out, "%u", *(const uint16_t *)at);
		break;
	case IPC_T_u32:
		buf_printf(out, "%u", *(const uint32_t *)at);
		break;
	case IPC_T_u64:
		buf_printf(
		    out, "%#llx", (unsigned long long)*(const uint64_t *)at);
		break;
	case IPC_T_str:
		print_text(*(const char *const *)at != NULL
			       ? *(const char *const *)at
			       : "",
		    out);
		break;
	case IPC_T_bytes:
		/* Keys and tokens are bytes: only their length is told. */
		buf_printf(out, "<%zu bytes>", ((const struct span *)at)->n);
		break;
	}
}

void
ipc_print(const struct ipc_header *h, const void *payload, struct buf *out)
{
	const struct ipc_spec *spec = ipc_spec_find(h->type);

	buf_printf(out, "%s", ipc_type_name(h->type));
	if (h->session != 0 || h->stream != 0)
		buf_printf(out, " session=%u stream=%u", h->session, h->stream);
	if (h->flags != 0)
		buf_printf(out, "%s%s", h->flags & IPC_FIRST ? " first" : "",
		    h->flags & IPC_LAST ? " last" : "");
	if (spec == NULL)
		return;
	for (const struct ipc_field *f = ipc_spec_fields(spec); f->name != NULL;
	     f++)
		print_field(f, (const char *)payload + f->offset, out);
}
