/* err: one error value that carries context up to the worker's top. */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#include <stdint.h>

enum err_code {
	ERR_OK = 0,
	ERR_NOMEM,     /* an allocation failed */
	ERR_SYS,       /* a system call failed, see sys_errno */
	ERR_INVALID,   /* input breaks its format or a rule */
	ERR_TRUNCATED, /* input ended early: wait for more on a stream */
	ERR_TOO_BIG,   /* a limit was reached */
	ERR_DENIED,    /* the peer may not do this */
	ERR_UNAUTHENTICATED,
	ERR_NOT_FOUND,
	ERR_CONFLICT,
	ERR_CLOSED, /* the peer went away */
	ERR_TIMEOUT,
	ERR_UNSUPPORTED,
	ERR_INTERNAL,
};

struct err {
	enum err_code code;
	int sys_errno;
	uint64_t offset; /* byte or item where the input is wrong, if any */
	char text[496];
};

/*
 * Each setter fills *e (which may be NULL) and returns -code, so that a
 * failing function ends with `return err_set(e, ERR_INVALID, "...")`.
 */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As err_set with ERR_SYS; appends the text of errnum. */
int err_sys(struct err *e, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Put "context: " in front of the text. Returns -e->code. */
int err_wrap(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int err_nomem(struct err *e);
/* A short lower-case name of a code, for logs. */
const char *err_code_name(enum err_code code);

#endif
