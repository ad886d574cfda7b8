#include "config.h"

#include "lib/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
err_fill(struct err *e, enum err_code code, const char *fmt, va_list ap)
{
	memset(e, 0, sizeof(*e));
	e->code = code;
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
}

int
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (e != NULL) {
		va_start(ap, fmt);
		err_fill(e, code, fmt, ap);
		va_end(ap);
	}
	return -(int)code;
}

int
err_sys(struct err *e, int errnum, const char *fmt, ...)
{
	char why[128];
	va_list ap;
	size_t n;

	if (e == NULL)
		return -ERR_SYS;
	va_start(ap, fmt);
	err_fill(e, ERR_SYS, fmt, ap);
	va_end(ap);
	e->sys_errno = errnum;
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s",
	    strerror_r(errnum, why, sizeof(why)));
	return -ERR_SYS;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
	char old[sizeof(e->text)], head[sizeof(e->text)];
	va_list ap;

	if (e == NULL)
		return -ERR_INTERNAL;
	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	snprintf(e->text, sizeof(e->text), "%.200s: %.290s", head, old);
	return -(int)e->code;
}

int
err_nomem(struct err *e)
{
	return err_set(e, ERR_NOMEM, "out of memory");
}

const char *
err_code_name(enum err_code code)
{
	static const char *const names[] = {
	    [ERR_OK] = "ok",
	    [ERR_NOMEM] = "out of memory",
	    [ERR_SYS] = "system error",
	    [ERR_INVALID] = "invalid",
	    [ERR_TRUNCATED] = "truncated",
	    [ERR_TOO_BIG] = "too big",
	    [ERR_DENIED] = "denied",
	    [ERR_UNAUTHENTICATED] = "unauthenticated",
	    [ERR_NOT_FOUND] = "not found",
	    [ERR_CONFLICT] = "conflict",
	    [ERR_CLOSED] = "closed",
	    [ERR_TIMEOUT] = "timed out",
	    [ERR_UNSUPPORTED] = "unsupported",
	    [ERR_INTERNAL] = "internal error",
	};

	if ((unsigned)code >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[code];
}
