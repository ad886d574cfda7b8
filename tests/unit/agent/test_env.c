/* The table of the target's environment and the choice from it. */
#include "config.h"

#include <string.h>

#include "agent/env.h"
#include "lib/buf.h"
#include "tests/unit/unit.h"

static const char *
value_of(const struct env_table *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->entries[i].name, name) == 0)
			return t->entries[i].value;
	}
	return NULL;
}

static void
table(void **state)
{
	static const char text[] =
	    "A=1\0B=x=y\0C=\0NOEQ\0=noname\0A=2\0D=\xff\xfe\0\xc3\x28=bad\0"
	    "\xc3\xa9=\xc3\xa9\0\0\0E=last";
	struct env_table t;

	(void)state;
	assert_int_equal(
	    env_table_init(&t, (const uint8_t *)text, sizeof(text) - 1), 0);
	assert_int_equal(t.count, 5);
	assert_string_equal(value_of(&t, "A"), "2"); /* the later wins */
	assert_string_equal(value_of(&t, "B"), "x=y");
	assert_string_equal(value_of(&t, "C"), "");
	assert_string_equal(value_of(&t, "\xc3\xa9"), "\xc3\xa9");
	assert_string_equal(value_of(&t, "E"), "last");
	assert_null(value_of(&t, "D"));
	assert_null(value_of(&t, "NOEQ"));
	env_table_free(&t);
	assert_int_equal(t.count, 0);
}

static void
empty_tables(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} rows[] = {{"", 0}, {"\0", 1}, {"\0\0\0", 3}, {"x", 1}, {"=", 1},
	    {"=\0=", 3}, {"\xff=\xff", 3}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct env_table t;

		assert_int_equal(env_table_init(&t,
				     (const uint8_t *)rows[i].text, rows[i].n),
		    0);
		assert_int_equal(t.count, 0);
		env_table_free(&t);
	}
}

static void
many_entries(void **state)
{
	struct env_table t;
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	for (int i = 0; i < 20000; i++) {
		assert_int_equal(buf_printf(&b, "N%d=%d", i % 5000, i), 0);
		assert_int_equal(buf_append_u8(&b, 0), 0);
	}
	assert_int_equal(env_table_init(&t, buf_data(&b), b.len), 0);
	assert_int_equal(t.count, 5000);
	assert_string_equal(value_of(&t, "N17"), "15017");
	env_table_free(&t);
	buf_free(&b);
}

static void
selection(void **state)
{
	static const struct {
		const char *include[3], *exclude[3];
		const char *name;
		bool want;
	} rows[] = {
	    {{NULL}, {NULL}, "FOO", true},
	    {{"FOO"}, {NULL}, "FOO", true},
	    {{"FO*"}, {NULL}, "FOO", true},
	    {{"F?O"}, {NULL}, "FOO", true},
	    {{"*"}, {NULL}, "", true},
	    {{"BAR", "FOO"}, {NULL}, "FOO", true},
	    {{NULL}, {"BAR"}, "FOO", true},
	    {{"FO*"}, {"FOOD"}, "FOO", true},
	    {{"foo"}, {NULL}, "FOO", false},
	    {{"FO"}, {NULL}, "FOO", false},
	    {{"F?"}, {NULL}, "FOO", false},
	    {{""}, {NULL}, "FOO", false},
	    {{NULL}, {"*"}, "FOO", false},
	    {{NULL}, {"FOO"}, "FOO", false},
	    {{"FOO"}, {"FOO"}, "FOO", false},
	    {{"*"}, {"BAR", "F*"}, "FOO", false},
	    /* withheld, whatever is asked */
	    {{NULL}, {NULL}, "PATH", false},
	    {{"PATH"}, {NULL}, "PATH", false},
	    {{"*"}, {NULL}, "HOME", false},
	    {{NULL}, {NULL}, "_JAVA_OPTIONS", false},
	    {{NULL}, {NULL}, "BUNDLER_ORIG_BUNDLER_ORIG_MANPATH", false},
	    {{NULL}, {NULL}, "RUST_LOG", false},
	    {{NULL}, {NULL}, "DOTNET_EnableDiagnostics", false},
	    {{NULL}, {NULL}, "GOPATH", false},
	    {{NULL}, {NULL}, "GOMODCACHE", false},
	    {{NULL}, {NULL}, "path", true},
	    {{NULL}, {NULL}, "PATHS", true},
	    {{NULL}, {NULL}, "GOPATH2", true},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct env_select s = {rows[i].include, 0, rows[i].exclude, 0};

		while (rows[i].include[s.include_count] != NULL)
			s.include_count++;
		while (rows[i].exclude[s.exclude_count] != NULL)
			s.exclude_count++;
		assert_int_equal(env_selected(&s, rows[i].name), rows[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(empty_tables),
	    cmocka_unit_test(many_entries),
	    cmocka_unit_test(selection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
