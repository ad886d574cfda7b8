/* Who holds which port, step by step. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/incoming_table.h"

static char who_a, who_b, who_c;

static void *
who(char name)
{
	return name == 'a' ? &who_a : name == 'b' ? &who_b : &who_c;
}

static void
count_touched(void *arg, struct incoming_port *p)
{
	(void)p;
	++*(int *)arg;
}

/* "8080 a/bc" = stolen by a, mirrored by b and c; "-" = unknown port. */
static void
describe(const struct incoming_table *t, uint16_t port, char *out, size_t cap)
{
	struct incoming_port *p = incoming_table_find(t, port);
	size_t n = 0;

	if (p == NULL) {
		snprintf(out, cap, "-");
		return;
	}
	for (const char *s = "abc"; *s != '\0'; s++) {
		if (p->stealer == who(*s))
			out[n++] = *s;
	}
	out[n++] = '/';
	LIST_FOR_EACH (node, &p->mirrors) {
		void *w = LIST_ENTRY(node, struct incoming_mirror, link)->who;

		for (const char *s = "abc"; *s != '\0'; s++) {
			if (w == who(*s))
				out[n++] = *s;
		}
	}
	out[n] = '\0';
}

/* With its '!' and the blank behind it. */
static size_t
step_len(const char *s)
{
	size_t n = 3;

	n += s[n] == '!';
	return n + (s[n] == ' ');
}

/*
 * A script is steps of three letters, blanks between them: what (s steal, u
 * unsteal, m mirror, n unmirror, f forget, r remove), who, port digit; '!'
 * behind one says that the step must find nothing to do.
 */
static void
run_script(struct incoming_table *t, const char *s)
{
	for (; *s != '\0'; s += step_len(s)) {
		uint16_t port = (uint16_t)(s[2] - '0');
		void *w = who(s[1]), *got = t;
		int touched = 0;

		switch (s[0]) {
		case 's':
			got = incoming_table_steal(t, port, w);
			break;
		case 'u':
			got = incoming_table_unsteal(t, port, w);
			break;
		case 'm':
			got = incoming_table_mirror(t, port, w);
			break;
		case 'n':
			got = incoming_table_unmirror(t, port, w);
			break;
		case 'f':
			incoming_table_forget(t, w, count_touched, &touched);
			assert_int_equal(touched, port);
			break;
		case 'r':
			incoming_table_remove(t, incoming_table_find(t, port));
			break;
		default:
			fail_msg("unknown step %s", s);
		}
		if (s[3] == '!')
			assert_null(got);
		else
			assert_non_null(got);
	}
}

static void
test_scripts(void **state)
{
	static const struct {
		const char *steps, *port1, *port2;
	} cases[] = {
	    {"", "-", "-"},
	    {"sa1", "a/", "-"},
	    {"sa1 sa1", "a/", "-"},
	    {"sa1 sb1", "b/", "-"},      /* newest wins */
	    {"sa1 sb1 ua1!", "b/", "-"}, /* the replaced has nothing */
	    {"sa1 sb1 ub1", "/", "-"},   /* and gets nothing back */
	    {"sa1 ua1 ua1!", "/", "-"},
	    {"sa1 ua1 sa1", "a/", "-"},
	    {"ua1!", "-", "-"},
	    {"na1!", "-", "-"},
	    {"ma1", "/a", "-"},
	    {"ma1 ma1", "/a", "-"}, /* twice is once */
	    {"ma1 ma1 na1 na1!", "/", "-"},
	    {"ma1 mb1 mc1", "/abc", "-"},
	    {"ma1 mb1 nc1!", "/ab", "-"},
	    {"ma1 sb1", "b/a", "-"}, /* both at once */
	    {"ma1 sa1", "a/a", "-"},
	    {"ma1 sa1 ua1", "/a", "-"},
	    {"ma1 sa1 na1", "a/", "-"},
	    {"ma1 na1 sb1", "b/", "-"},
	    {"sa1 sb2", "a/", "b/"}, /* ports are separate */
	    {"sa1 sb2 ua2!", "a/", "b/"},
	    {"sa1 na1!", "a/", "-"}, /* the sides are separate */
	    {"ma1 ua1!", "/a", "-"},
	    {"sa1 sa2 ma1 fa2", "/", "/"},
	    {"sa1 mb1 fa1", "/b", "-"},
	    {"sa1 mb1 fc0", "a/b", "-"},
	    {"ma1 mb1 ma2 fa2", "/b", "/"},
	    {"sa1 sb1 fa0", "b/", "-"},
	    {"sa1 ua1 ra1", "-", "-"},
	    {"sa1 sa2 ua1 ra1", "-", "a/"},
	};
	char got[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct incoming_table t;

		incoming_table_init(&t);
		run_script(&t, cases[i].steps);
		describe(&t, 1, got, sizeof(got));
		assert_string_equal(got, cases[i].port1);
		describe(&t, 2, got, sizeof(got));
		assert_string_equal(got, cases[i].port2);
		incoming_table_deinit(&t);
	}
}

static void
test_used(void **state)
{
	struct incoming_table t;
	struct incoming_port *p;

	(void)state;
	incoming_table_init(&t);
	p = incoming_table_steal(&t, 80, who('a'));
	assert_true(incoming_port_used(p));
	(void)incoming_table_mirror(&t, 80, who('b'));
	(void)incoming_table_unsteal(&t, 80, who('a'));
	assert_true(incoming_port_used(p));
	(void)incoming_table_unmirror(&t, 80, who('b'));
	assert_false(incoming_port_used(p));
	incoming_table_deinit(&t);
}

/* The extreme ports are ordinary keys; so are all of them at once. */
static void
test_every_port(void **state)
{
	struct incoming_table t;

	(void)state;
	incoming_table_init(&t);
	for (unsigned i = 0; i <= 65535; i++)
		assert_non_null(
		    incoming_table_steal(&t, (uint16_t)i, who('a')));
	for (unsigned i = 0; i <= 65535; i++)
		assert_int_equal(incoming_table_find(&t, (uint16_t)i)->port, i);
	for (unsigned i = 0; i <= 65535; i += 2)
		incoming_table_remove(&t, incoming_table_find(&t, (uint16_t)i));
	assert_null(incoming_table_find(&t, 0));
	assert_non_null(incoming_table_find(&t, 65535));
	incoming_table_deinit(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scripts),
	    cmocka_unit_test(test_used),
	    cmocka_unit_test(test_every_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
