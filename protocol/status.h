/*
 * status: Kubernetes Status objects, the only form of refusal the stock CLI
 * understands (operator-api §3, §21). The code in the BODY decides, and 429,
 * 503 and 504 make the CLI retry for minutes, so no reason here maps to one of
 * them but STATUS_STARTING, which is for states that pass within seconds.
 */
#ifndef PROTOCOL_STATUS_H
#define PROTOCOL_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "lib/err.h"

enum status_reason {
	STATUS_BAD_REQUEST,            /* 400 BadRequest */
	STATUS_UNAUTHORIZED,           /* 401 Unauthorized */
	STATUS_FORBIDDEN,              /* 403 Forbidden */
	STATUS_NOT_FOUND,              /* 404 NotFound */
	STATUS_METHOD_NOT_ALLOWED,     /* 405 MethodNotAllowed */
	STATUS_NOT_ACCEPTABLE,         /* 406 NotAcceptable */
	STATUS_REQUEST_TIMEOUT,        /* 408 Timeout */
	STATUS_CONFLICT,               /* 409 Conflict */
	STATUS_ALREADY_EXISTS,         /* 409 AlreadyExists */
	STATUS_GONE,                   /* 410 Gone */
	STATUS_EXPIRED,                /* 410 Expired (a watch) */
	STATUS_RECONNECT_NOT_POSSIBLE, /* 410 ReconnectNotPossible */
	STATUS_TOO_LARGE,              /* 413 RequestEntityTooLarge */
	STATUS_URI_TOO_LONG,           /* 414 BadRequest */
	STATUS_UNSUPPORTED_MEDIA,      /* 415 UnsupportedMediaType */
	STATUS_INVALID,                /* 422 Invalid */
	STATUS_UPGRADE_REQUIRED,       /* 426 BadRequest */
	STATUS_HEADERS_TOO_LARGE,      /* 431 BadRequest */
	STATUS_INTERNAL,               /* 500 InternalError */
	STATUS_NOT_IMPLEMENTED,        /* 501 NotImplemented */
	STATUS_HTTP_VERSION,           /* 505 BadRequest */
	STATUS_STARTING, /* 503 ServiceUnavailable, passes in seconds */
	STATUS_REASON_COUNT,
};

int status_code(enum status_reason r);
const char *status_reason_name(enum status_reason r);
/* For an HTTP code chosen elsewhere; STATUS_INTERNAL when there is none. */
enum status_reason status_from_code(int code);
/* What an error of our own means to a user of the API. */
enum status_reason status_from_err(enum err_code code);

/* What a Status is about; members may be NULL. */
struct status_details {
	const char *name, *group, *kind;
	int retry_after_s;
};

/* Appends a Failure (message: a whole sentence). -ERR_NOMEM, -ERR_TOO_BIG. */
int status_put(struct buf *out, enum status_reason r,
    const struct status_details *details, const char *message);
int status_putf(struct buf *out, enum status_reason r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* {"status":"Success"} with optional details (answers to DELETE). */
int status_put_success(struct buf *out, const struct status_details *details);

/* What a peer answered. */
struct status {
	bool is_status; /* the body was a JSON object */
	bool success;
	int code; /* from the body; the HTTP status when is_status is false */
	char reason[64];
	char message[480]; /* cut at a UTF-8 boundary when longer */
};

/* Never fails: any body is made the best of, as the stock CLI does. */
void status_parse(
    struct status *out, int http_code, const void *body, size_t n);

#endif
