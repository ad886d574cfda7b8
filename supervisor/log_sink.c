/*
 * log_sink: the daemon's log. Workers send lines over IPC and write last
 * words to stderr, a pipe that ends here; both are text of a process that may
 * have been taken over, so control characters go and a flood is counted, not
 * written.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syslog.h>
#include <unistd.h>

#include "lib/clock.h"
#include "supervisor/sup.h"

#undef LOG_DEBUG /* syslog's; ours is enum log_level */

enum {
	LOG_BURST_LINES = 200,
	LOG_LINES_PER_S = 50,
	LOG_STDERR_BYTES = 4096,
};

/* Whether stderr is the very stream that JOURNAL_STREAM names. */
static bool
stderr_is_journal(void)
{
	const char *env = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return env != NULL && sscanf(env, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
	       st.st_ino == ino;
}

static void
log_write(
    const struct sup *s, enum log_level lv, const char *who, const char *text)
{
	static const int priority[] = {3, 4, 6, 7};
	char out[1500], when[32];
	int n;

	if (s->journal) {
		n = snprintf(out, sizeof(out), "<%d>%s%s%s\n", priority[lv],
		    who, *who != '\0' ? ": " : "", text);
	} else {
		clock_rfc3339_us(clock_wall_us(), when, sizeof(when));
		n = snprintf(out, sizeof(out), "%s tributaryd[%d] %s: %s%s%s\n",
		    when, (int)getpid(), log_level_name(lv), who,
		    *who != '\0' ? ": " : "", text);
	}
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(out)) {
		n = (int)sizeof(out) - 1;
		out[n - 1] = '\n';
	}
	if (write(STDERR_FILENO, out, (size_t)n) < 0)
		return; /* nowhere left to complain */
}

static void
log_own(void *arg, enum log_level lv, const char *line)
{
	log_write(arg, lv, "", line);
}

void
sup_log_init(struct sup *s)
{
	s->journal = stderr_is_journal();
	log_set_sink(log_own, s);
}

static bool
limit_take(struct sup_worker *w, const char *who)
{
	struct sup_log_limit *l = &w->limit;
	uint64_t now = clock_mono_ms();
	uint64_t more = (now - l->filled_ms) * LOG_LINES_PER_S / 1000;
	char text[64];

	if (l->filled_ms == 0) {
		l->tokens = LOG_BURST_LINES;
		l->filled_ms = now;
	} else if (more > 0) {
		l->tokens = l->tokens + more > LOG_BURST_LINES
				? LOG_BURST_LINES
				: l->tokens + (unsigned)more;
		l->filled_ms = now;
	}
	if (l->tokens == 0) {
		l->dropped++;
		return false;
	}
	l->tokens--;
	if (l->dropped > 0) {
		snprintf(
		    text, sizeof(text), "%u lines were dropped", l->dropped);
		l->dropped = 0;
		log_write(w->sup, LOG_LV_WARN, who, text);
	}
	return true;
}

void
sup_log_worker(struct sup_worker *w, enum log_level level, const char *text)
{
	char clean[1200], who[320];
	size_t n = 0;

	if (level > log_get_level())
		return;
	snprintf(who, sizeof(who), "%s[%d]", sup_worker_label(w), (int)w->pid);
	if (!limit_take(w, who))
		return;
	for (; *text != '\0' && n + 1 < sizeof(clean); text++) {
		unsigned char c = (unsigned char)*text;

		clean[n++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
	}
	clean[n] = '\0';
	log_write(w->sup, level, who, clean);
}

/* Every whole line; the rest too when all is said or it gets too long. */
static void
stderr_lines(struct sup_worker *w, bool all)
{
	struct buf *b = &w->stderr_text;

	while (b->len > 0) {
		const uint8_t *nl = memchr(buf_data(b), '\n', b->len);
		size_t n = nl != NULL ? (size_t)(nl - buf_data(b)) : b->len;
		char line[1100];

		if (nl == NULL && !all && b->len < sizeof(line))
			return;
		snprintf(line, sizeof(line), "stderr: %.*s",
		    (int)(n < 1000 ? n : 1000), (const char *)buf_data(b));
		sup_log_worker(w, LOG_LV_WARN, line);
		buf_consume(b, nl != NULL ? n + 1 : n);
	}
}

static void
stderr_on_ready(void *arg, int ready)
{
	struct sup_worker *w = arg;
	char text[LOG_STDERR_BYTES];
	ssize_t n = read(w->stderr_fd, text, sizeof(text));

	(void)ready;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || buf_append(&w->stderr_text, text, (size_t)n) < 0) {
		sup_log_stderr_end(w);
		return;
	}
	stderr_lines(w, false);
}

int
sup_log_stderr(struct sup_worker *w, int fd)
{
	sup_log_stderr_end(w);
	w->stderr_fd = fd;
	buf_init(&w->stderr_text, 4 * LOG_STDERR_BYTES);
	w->stderr_io = ev_io_new(w->sup->loop, fd, stderr_on_ready, w);
	if (w->stderr_io == NULL)
		return -ERR_NOMEM;
	return ev_io_want(w->stderr_io, EV_WANT_READ);
}

void
sup_log_stderr_end(struct sup_worker *w)
{
	char text[LOG_STDERR_BYTES];
	ssize_t n;

	if (w->stderr_fd < 0)
		return;
	/* What a dead worker left in the pipe; it is non-blocking. */
	while ((n = read(w->stderr_fd, text, sizeof(text))) > 0) {
		if (buf_append(&w->stderr_text, text, (size_t)n) < 0)
			break;
		stderr_lines(w, false);
	}
	stderr_lines(w, true);
	ev_io_free(&w->stderr_io);
	buf_free(&w->stderr_text);
	close(w->stderr_fd);
	w->stderr_fd = -1;
}
