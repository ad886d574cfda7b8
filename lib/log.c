#include "config.h"

#include "lib/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"

/* The one mutable global of a process beside signal flags. */
static struct {
	char name[64];
	enum log_level max;
	log_sink_fn *sink;
	void *sink_arg;
} log_ctx = {.max = LOG_LV_INFO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void
log_init(const char *name, enum log_level max)
{
	snprintf(log_ctx.name, sizeof(log_ctx.name), "%s", name);
	log_ctx.max = max;
}

void
log_set_sink(log_sink_fn *fn, void *arg)
{
	log_ctx.sink = fn;
	log_ctx.sink_arg = arg;
}

void
log_set_level(enum log_level max)
{
	log_ctx.max = max;
}

enum log_level
log_get_level(void)
{
	return log_ctx.max;
}

int
log_level_parse(const char *s)
{
	for (int i = 0; i < 4; i++) {
		if (strcmp(s, level_names[i]) == 0)
			return i;
	}
	return -1;
}

const char *
log_level_name(enum log_level lv)
{
	return (unsigned)lv < 4 ? level_names[lv] : "unknown";
}

/* Control characters never reach a terminal or a log file. */
static void
log_clean(char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
	}
}

void
log_at(enum log_level lv, const char *fmt, ...)
{
	char line[1024], out[1200], when[32];
	va_list ap;
	int n;

	if (lv > log_ctx.max)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_clean(line);
	if (log_ctx.sink != NULL) {
		log_ctx.sink(log_ctx.sink_arg, lv, line);
		return;
	}
	clock_rfc3339_us(clock_wall_us(), when, sizeof(when));
	n = snprintf(out, sizeof(out), "%s %s[%d] %s: %s\n", when, log_ctx.name,
	    (int)getpid(), log_level_name(lv), line);
	if (n > 0 && write(STDERR_FILENO, out, (size_t)n) < 0)
		return; /* nowhere left to complain */
}
