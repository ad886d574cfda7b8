/* Errors, clocks, JSON access, logs and the event loop. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/ev.h"
#include "lib/json.h"
#include "lib/log.h"
#include "tests/unit/unit.h"

static void
errors_carry_context(void **state)
{
	char longer[2000];
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, ERR_INVALID, "field %d", 3), -ERR_INVALID);
	assert_string_equal(e.text, "field 3");
	assert_int_equal(err_wrap(&e, "file %s", "x"), -ERR_INVALID);
	assert_string_equal(e.text, "file x: field 3");
	assert_int_equal(err_sys(&e, ENOENT, "open"), -ERR_SYS);
	assert_int_equal(e.sys_errno, ENOENT);
	assert_string_equal(e.text, "open: No such file or directory");
	/* Without somebody who wants to know, and longer than fits. */
	assert_int_equal(err_set(NULL, ERR_TOO_BIG, "x"), -ERR_TOO_BIG);
	assert_int_equal(err_sys(NULL, EIO, "x"), -ERR_SYS);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_set(&e, ERR_INVALID, "%s", longer);
	err_wrap(&e, "%s", longer);
	assert_true(strlen(e.text) < sizeof(e.text));
	assert_string_equal(err_code_name(ERR_CLOSED), "closed");
	assert_string_equal(err_code_name((enum err_code)999), "unknown");
}

static void
times_as_text(void **state)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: refused */
	} rows[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"2026-01-02T03:04:05Z", 1767323045000000},
	    {"2026-01-02T03:04:05.000006Z", 1767323045000006},
	    {"2026-01-02T03:04:05.5Z", 1767323045500000},
	    {"2026-01-02T03:04:05.123456789Z", 1767323045123456},
	    {"2026-01-02T03:04:05", -1},
	    {"2026-01-02T03:04:05+01:00", -1},
	    {"2026-13-02T03:04:05Z", -1},
	    {"yesterday", -1},
	    {"", -1},
	};
	char out[40];

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(
		    clock_parse_rfc3339_us(rows[i].text), rows[i].us);
	clock_rfc3339(1767323045, out, sizeof(out));
	assert_string_equal(out, "2026-01-02T03:04:05Z");
	clock_rfc3339_us(1767323045000006, out, sizeof(out));
	assert_string_equal(out, "2026-01-02T03:04:05.000006Z");
	assert_true(clock_mono_us() <= clock_mono_us());
}

static void
json_from_outside(void **state)
{
	static const char *const bad[] = {
	    "", "{", "{\"a\":}", "[1,", "nul", "{} x", "\"", "{\"a\":1}}"};
	const char *good = " {\"s\":\"t\",\"n\":7,\"f\":1.5,\"b\":true,"
			   "\"o\":{\"p\":{\"q\":\"deep\"}},\"z\":null} \n";
	struct buf out;
	struct err e;
	cJSON *v;

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		assert_null(json_parse(bad[i], strlen(bad[i]), &e));
		assert_int_equal(e.code, ERR_INVALID);
	}
	v = json_parse(good, strlen(good), &e);
	assert_non_null(v);
	assert_string_equal(json_str(v, "s", ""), "t");
	assert_string_equal(json_str(v, "n", "dflt"), "dflt");
	assert_string_equal(json_str(v, "none", "dflt"), "dflt");
	assert_true(json_bool(v, "b", false));
	assert_false(json_bool(v, "s", false));
	assert_int_equal(json_int(v, "n", 0, 10, -1), 7);
	assert_int_equal(json_int(v, "n", 0, 6, -1), -1);
	assert_int_equal(json_int(v, "f", 0, 10, -1), -1);
	assert_string_equal(json_str(json_at(v, "o.p"), "q", ""), "deep");
	assert_null(json_at(v, "o.x.q"));
	assert_null(json_at(NULL, "o"));
	buf_init(&out, 0);
	assert_int_equal(json_print(json_at(v, "o"), &out), 0);
	assert_string_equal(buf_cstr(&out), "{\"p\":{\"q\":\"deep\"}}");
	buf_free(&out);
	cJSON_Delete(v);
}

static void
sink(void *arg, enum log_level lv, const char *line)
{
	(void)lv;
	strncat(arg, line, 200);
}

static void
logs_are_clean_lines(void **state)
{
	char got[1024] = "";

	(void)state;
	log_init("test", LOG_LV_INFO);
	log_set_sink(sink, got);
	log_info("a\nb\x1b[31m%s", "c\x7f");
	log_debug("not this");
	log_set_level(LOG_LV_DEBUG);
	log_debug("this");
	log_set_sink(NULL, NULL);
	assert_string_equal(got, "a b [31mc this");
	assert_int_equal(log_level_parse("warn"), LOG_LV_WARN);
	assert_int_equal(log_level_parse("loud"), -1);
	assert_string_equal(log_level_name(LOG_LV_ERROR), "error");
}

struct seen {
	struct ev_loop *loop;
	struct ev_io *io;
	int fd;
	int reads, timers;
};

static void
on_io(void *arg, int ready)
{
	struct seen *s = arg;
	char c;

	assert_true(ready & EV_WANT_READ);
	if (read(s->fd, &c, 1) == 1)
		s->reads++;
	if (s->reads == 2)
		ev_loop_stop(s->loop);
}

static void
on_timer(void *arg)
{
	struct seen *s = arg;

	s->timers++;
	ev_loop_stop(s->loop);
}

static void
loops_turn(void **state)
{
	struct seen s = {.loop = ev_loop_new()};
	struct ev_timer *t;
	int fds[2];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	s.fd = fds[0];
	s.io = ev_io_new(s.loop, fds[0], on_io, &s);
	assert_int_equal(write(fds[1], "ab", 2), 2);
	ev_loop_turn(s.loop, false);
	assert_int_equal(s.reads, 0); /* it wanted nothing yet */
	assert_int_equal(ev_io_want(s.io, EV_WANT_READ), 0);
	assert_int_equal(ev_io_wants(s.io), EV_WANT_READ);
	ev_loop_run(s.loop);
	assert_int_equal(s.reads, 2);

	t = ev_timer_new(s.loop, on_timer, &s);
	ev_timer_set(t, 60000);
	assert_true(ev_timer_armed(t));
	ev_timer_set(t, 1); /* moved, not added */
	ev_loop_run(s.loop);
	assert_int_equal(s.timers, 1);
	assert_false(ev_timer_armed(t));
	ev_timer_set(t, 0);
	ev_timer_cancel(t);
	ev_loop_turn(s.loop, false);
	assert_int_equal(s.timers, 1);
	ev_timer_free(&t);
	ev_timer_free(&t);
	ev_io_free(&s.io);
	ev_loop_free(&s.loop);
	ev_loop_free(&s.loop);
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(errors_carry_context),
	    cmocka_unit_test(times_as_text),
	    cmocka_unit_test(json_from_outside),
	    cmocka_unit_test(logs_are_clean_lines),
	    cmocka_unit_test(loops_turn),
	};

	return cmocka_run_group_tests_name("misc", tests, NULL, NULL);
}
