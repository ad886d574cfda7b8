#include "config.h"

#include "client/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

/* Quiet is a log level: events are info, errors are errors. */
static void
cli_line(const char *fmt, va_list ap)
{
	char line[2048];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	if (n < 0)
		return;
	for (char *c = line; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 && *c != '\t')
			*c = ' '; /* texts of a server never steer a terminal */
	}
	fprintf(stderr, "tributary: %s\n", line);
}

void
cli_event(const char *fmt, ...)
{
	va_list ap;

	if (log_get_level() < LOG_LV_INFO)
		return;
	va_start(ap, fmt);
	cli_line(fmt, ap);
	va_end(ap);
}

void
cli_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cli_line(fmt, ap);
	va_end(ap);
}

void
cli_set_quiet(bool quiet)
{
	log_set_level(quiet ? LOG_LV_ERROR : LOG_LV_INFO);
}

int
cli_exit_of(const struct err *e)
{
	switch (e->code) {
	case ERR_DENIED:
	case ERR_UNAUTHENTICATED:
		return CLI_DENIED;
	case ERR_INVALID:
		return CLI_PROTOCOL;
	case ERR_SYS:
		return CLI_IO;
	case ERR_NOMEM:
	case ERR_INTERNAL:
		return CLI_INTERNAL;
	default:
		return CLI_UNAVAILABLE;
	}
}

bool
cli_name_ok(const char *name)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	size_t n = strlen(name);

	return n > 0 && n <= 253 && strspn(name, ok) == n && name[0] != '.';
}
