#include "config.h"

#include "protocol/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "lib/str.h"

static const struct {
	int code;
	const char *name;
} REASONS[STATUS_REASON_COUNT] = {
    [STATUS_BAD_REQUEST] = {400, "BadRequest"},
    [STATUS_UNAUTHORIZED] = {401, "Unauthorized"},
    [STATUS_FORBIDDEN] = {403, "Forbidden"},
    [STATUS_NOT_FOUND] = {404, "NotFound"},
    [STATUS_METHOD_NOT_ALLOWED] = {405, "MethodNotAllowed"},
    [STATUS_NOT_ACCEPTABLE] = {406, "NotAcceptable"},
    [STATUS_REQUEST_TIMEOUT] = {408, "Timeout"},
    [STATUS_CONFLICT] = {409, "Conflict"},
    [STATUS_ALREADY_EXISTS] = {409, "AlreadyExists"},
    [STATUS_GONE] = {410, "Gone"},
    [STATUS_EXPIRED] = {410, "Expired"},
    [STATUS_RECONNECT_NOT_POSSIBLE] = {410, "ReconnectNotPossible"},
    [STATUS_TOO_LARGE] = {413, "RequestEntityTooLarge"},
    [STATUS_URI_TOO_LONG] = {414, "BadRequest"},
    [STATUS_UNSUPPORTED_MEDIA] = {415, "UnsupportedMediaType"},
    [STATUS_INVALID] = {422, "Invalid"},
    [STATUS_UPGRADE_REQUIRED] = {426, "BadRequest"},
    [STATUS_HEADERS_TOO_LARGE] = {431, "BadRequest"},
    [STATUS_INTERNAL] = {500, "InternalError"},
    [STATUS_NOT_IMPLEMENTED] = {501, "NotImplemented"},
    [STATUS_HTTP_VERSION] = {505, "BadRequest"},
    [STATUS_STARTING] = {503, "ServiceUnavailable"},
};

static const enum status_reason FROM_ERR[] = {
    [ERR_OK] = STATUS_INTERNAL,
    [ERR_NOMEM] = STATUS_INTERNAL,
    [ERR_SYS] = STATUS_INTERNAL,
    [ERR_INVALID] = STATUS_BAD_REQUEST,
    [ERR_TRUNCATED] = STATUS_BAD_REQUEST,
    [ERR_TOO_BIG] = STATUS_TOO_LARGE,
    [ERR_DENIED] = STATUS_FORBIDDEN,
    [ERR_UNAUTHENTICATED] = STATUS_UNAUTHORIZED,
    [ERR_NOT_FOUND] = STATUS_NOT_FOUND,
    [ERR_CONFLICT] = STATUS_CONFLICT,
    /* What lies behind us is gone or slow: 502 to 504 would be retried. */
    [ERR_CLOSED] = STATUS_INTERNAL,
    [ERR_TIMEOUT] = STATUS_INTERNAL,
    [ERR_UNSUPPORTED] = STATUS_BAD_REQUEST,
    [ERR_INTERNAL] = STATUS_INTERNAL,
};

int
status_code(enum status_reason r)
{
	return r < STATUS_REASON_COUNT ? REASONS[r].code : 500;
}

const char *
status_reason_name(enum status_reason r)
{
	return r < STATUS_REASON_COUNT ? REASONS[r].name : "InternalError";
}

enum status_reason
status_from_code(int code)
{
	for (size_t i = 0; i < STATUS_REASON_COUNT; i++) {
		if (REASONS[i].code == code)
			return (enum status_reason)i;
	}
	return STATUS_INTERNAL;
}

enum status_reason
status_from_err(enum err_code code)
{
	if ((size_t)code >= sizeof(FROM_ERR) / sizeof(FROM_ERR[0]))
		return STATUS_INTERNAL;
	return FROM_ERR[code];
}

static bool
put_details(cJSON *st, const struct status_details *d)
{
	cJSON *o;

	if (d == NULL)
		return true;
	o = cJSON_AddObjectToObject(st, "details");
	return o != NULL &&
	       (d->name == NULL ||
		   cJSON_AddStringToObject(o, "name", d->name) != NULL) &&
	       (d->group == NULL ||
		   cJSON_AddStringToObject(o, "group", d->group) != NULL) &&
	       (d->kind == NULL ||
		   cJSON_AddStringToObject(o, "kind", d->kind) != NULL) &&
	       (d->retry_after_s == 0 ||
		   cJSON_AddNumberToObject(
		       o, "retryAfterSeconds", d->retry_after_s) != NULL);
}

static bool
put_head(cJSON *st, const char *status)
{
	return st != NULL &&
	       cJSON_AddStringToObject(st, "kind", "Status") != NULL &&
	       cJSON_AddStringToObject(st, "apiVersion", "v1") != NULL &&
	       cJSON_AddObjectToObject(st, "metadata") != NULL &&
	       cJSON_AddStringToObject(st, "status", status) != NULL;
}

/* A message may quote what a peer sent: a JSON text is UTF-8 all the same. */
static bool
put_message(cJSON *st, const char *message)
{
	char ascii[1024];
	size_t n = 0;

	if (!str_utf8_valid((const uint8_t *)message, strlen(message))) {
		for (; *message != '\0' && n + 1 < sizeof(ascii); message++) {
			ascii[n] = '?';
			if ((unsigned char)*message < 0x80)
				ascii[n] = *message;
			n++;
		}
		ascii[n] = '\0';
		message = ascii;
	}
	return cJSON_AddStringToObject(st, "message", message) != NULL;
}

int
status_put(struct buf *out, enum status_reason r,
    const struct status_details *details, const char *message)
{
	cJSON *st = cJSON_CreateObject();
	bool ok = put_head(st, "Failure") &&
		  cJSON_AddNumberToObject(st, "code", status_code(r)) != NULL &&
		  cJSON_AddStringToObject(
		      st, "reason", status_reason_name(r)) != NULL &&
		  put_message(st, message) && put_details(st, details);
	int rc = ok ? json_print(st, out) : -ERR_NOMEM;

	cJSON_Delete(st);
	return rc;
}

int
status_putf(struct buf *out, enum status_reason r, const char *fmt, ...)
{
	char message[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	return status_put(out, r, NULL, message);
}

int
status_put_success(struct buf *out, const struct status_details *details)
{
	cJSON *st = cJSON_CreateObject();
	bool ok = put_head(st, "Success") && put_details(st, details);
	int rc = ok ? json_print(st, out) : -ERR_NOMEM;

	cJSON_Delete(st);
	return rc;
}

/* Copies n bytes of s, cut in front of a character that does not fit. */
static void
copy_text(char *out, size_t cap, const char *s, size_t n)
{
	if (n >= cap) {
		n = cap - 1;
		while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
			n--;
	}
	for (size_t i = 0; i < n; i++) { /* for logs and terminals */
		out[i] = s[i];
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			out[i] = ' ';
	}
	out[n] = '\0';
}

void
status_parse(struct status *out, int http_code, const void *body, size_t n)
{
	cJSON *v = n > 0 ? json_parse(body, n, NULL) : NULL;
	const char *message, *reason;

	memset(out, 0, sizeof(*out));
	out->code = http_code;
	if (!cJSON_IsObject(v)) {
		cJSON_Delete(v);
		copy_text(out->message, sizeof(out->message), body, n);
		return;
	}
	out->is_status = true;
	out->success = strcmp(json_str(v, "status", "Failure"), "Success") == 0;
	out->code = (int)json_int(v, "code", 0, 999, 0);
	reason = json_str(v, "reason", "");
	message = json_str(v, "message", "");
	copy_text(out->reason, sizeof(out->reason), reason, strlen(reason));
	copy_text(out->message, sizeof(out->message), message, strlen(message));
	cJSON_Delete(v);
}
