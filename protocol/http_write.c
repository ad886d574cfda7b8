/* Writers of heads and chunks; what could split a head is refused. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/http.h"

static const struct {
	int code;
	const char *reason;
} REASONS[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

const char *
http_reason(int code)
{
	for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++) {
		if (REASONS[i].code == code)
			return REASONS[i].reason;
	}
	return "Status";
}

int
http_put_request(struct buf *out, const char *method, const char *target)
{
	if (!http_is_token(method) || *target == '\0')
		return -ERR_INVALID;
	for (const char *c = target; *c != '\0'; c++) {
		if (*c < 0x21 || *c > 0x7e)
			return -ERR_INVALID;
	}
	return buf_printf(out, "%s %s HTTP/1.1\r\n", method, target);
}

int
http_put_status(struct buf *out, int code)
{
	if (code < 100 || code > 999)
		return -ERR_INVALID;
	return buf_printf(out, "HTTP/1.1 %d %s\r\n", code, http_reason(code));
}

int
http_put_field(struct buf *out, const char *name, const char *value)
{
	if (!http_is_token(name))
		return -ERR_INVALID;
	for (const char *c = value; *c != '\0'; c++) {
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return -ERR_INVALID;
	}
	return buf_printf(out, "%s: %s\r\n", name, value);
}

int
http_put_fieldf(struct buf *out, const char *name, const char *fmt, ...)
{
	char value[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(value))
		return -ERR_INVALID;
	return http_put_field(out, name, value);
}

int
http_put_end(struct buf *out)
{
	return buf_append(out, "\r\n", 2);
}

int
http_put_chunk(struct buf *out, const void *p, size_t n)
{
	int rc;

	if (n == 0)
		return 0; /* an empty chunk would end the body */
	rc = buf_reserve(out, n + 20);
	if (rc < 0)
		return rc;
	rc = buf_printf(out, "%zx\r\n", n);
	if (rc == 0)
		rc = buf_append(out, p, n);
	return rc < 0 ? rc : buf_append(out, "\r\n", 2);
}

int
http_put_last_chunk(struct buf *out)
{
	return buf_append(out, "0\r\n\r\n", 5);
}
