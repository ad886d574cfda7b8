#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/yaml.h"

static void
on_problem(void *arg, const char *file, unsigned line, unsigned column,
    const char *text)
{
	struct buf *out = arg;

	assert_string_equal(file, "f");
	assert_int_equal(buf_printf(out, "%u:%u %s\n", line, column, text), 0);
}

/* "{a@1:1=x, b=[...]}": kind, place and text of every node. */
static void
show(const struct yml_node *n, struct buf *out)
{
	assert_true(n->line > 0 && n->column > 0);
	if (n->kind == YML_SCALAR) {
		assert_int_equal(
		    buf_printf(out, "%s%s", n->plain ? "" : "\"", n->text), 0);
		return;
	}
	assert_int_equal(buf_append(out, n->kind == YML_MAP ? "{" : "[", 1), 0);
	for (size_t i = 0; i < n->count; i++) {
		if (n->kind == YML_MAP)
			assert_int_equal(
			    buf_printf(out, "%s@%u:%u=", n->keys[i]->text,
				n->items[i]->line, n->items[i]->column),
			    0);
		show(n->items[i], out);
		assert_int_equal(buf_append(out, ";", 1), 0);
	}
	assert_int_equal(buf_append(out, n->kind == YML_MAP ? "}" : "]", 1), 0);
}

static void
test_trees(void **state)
{
	static const struct {
		const char *text, *tree;
	} rows[] = {
	    {"", NULL},
	    {"# only a comment\n", NULL},
	    {"a: 1\n", "{a@1:4=1;}"},
	    {"a:\n  b: \"x\"\n  c: [1, 2]\n",
		"{a@2:3={b@2:6=\"x;c@3:6=[1;2;];};}"},
	    {"- a\n- {b: ~}\n", "[a;{b@2:7=~;};]"},
	    {"a: &x [1]\nb: *x\n", "{a@1:4=[1;];b@2:4=[1;];}"},
	    {"a: &x 1\nb: &x 2\nc: *x\n", "{a@1:4=1;b@2:4=2;c@3:4=2;}"},
	    {"a: &x {k: &y 1}\nb: [*x, *y]\n",
		"{a@1:4={k@1:11=1;};b@2:4=[{k@2:5=1;};1;];}"},
	    {"a: |\n  two\n  lines\n", "{a@1:4=\"two\nlines\n;}"},
	    {"--- {a: b}\n...\n", "{a@1:9=b;}"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct yml_node *tree;
		struct buf out;

		buf_init(&out, 4096);
		assert_int_equal(
		    yml_parse("f", rows[i].text, strlen(rows[i].text),
			on_problem, &out, &tree),
		    0);
		if (tree != NULL)
			show(tree, &out);
		if (rows[i].tree == NULL)
			assert_null(tree);
		else
			assert_string_equal(buf_cstr(&out), rows[i].tree);
		yml_free(&tree);
		buf_free(&out);
	}
}

static void
test_bad(void **state)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
	    {"a: [", "2:1 This is not YAML"},
	    {"a: b: c\n", "1:5 This is not YAML"},
	    {"\xff\xfe", "1:1 This is not YAML"},
	    {"a: \x80\n", "1:1 This is not YAML"},
	    {"a: \"\\0\"\n", "1:4 This text holds a NUL"},
	    {"a: 1\na: 2\n", "2:1 The key `a` is given twice, first in line 1"},
	    {"a: 1\na: &x 2\nb: *x\n", "2:1 The key `a` is given twice"},
	    {"a: *x\n", "1:4 There is no finished value named &x"},
	    {"a: &x [*x]\n", "1:8 There is no finished value named &x"},
	    {"{[a]: b}\n", "1:2 A key must be a plain text"},
	    {"? &k a\n: b\n", "1:3 A key must be a plain text"},
	    {"a: 1\n--- \nb: 2\n", "2:1 A second document"},
	    {"%YAML 9.9\n---\na: b\n", "1:1 This is not YAML"},
	    {"'", "1:2 This is not YAML"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct yml_node *tree;
		struct buf out;

		buf_init(&out, 65536);
		assert_int_equal(
		    yml_parse("f", rows[i].text, strlen(rows[i].text),
			on_problem, &out, &tree),
		    -ERR_INVALID);
		if (strncmp(buf_cstr(&out), rows[i].problem,
			strlen(rows[i].problem)) != 0)
			assert_string_equal(buf_cstr(&out), rows[i].problem);
		yml_free(&tree);
		buf_free(&out);
	}
}

/* Every limit, one past it. */
static void
test_limits(void **state)
{
	static const struct {
		const char *head, *piece;
		size_t n;
		const char *tail;
		const char *problem; /* NULL: fine */
	} rows[] = {
	    {"[", "x,", 60000, "x]", NULL},
	    {"[", "x,", YML_MAX_NODES, "x]", "more than 65536 values"},
	    {"[", "&a x,", YML_MAX_ANCHORS, "x]", NULL},
	    {"[", "&a x,", YML_MAX_ANCHORS + 1, "x]", "anchors; use fewer"},
	    {"# ", "0123456789abcdef", 65536, "\n", "larger than"},
	    {"", "[", 33, "", "nested more than 32"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct yml_node *tree;
		struct buf text, out;

		buf_init(&text, 0);
		buf_init(&out, 65536);
		assert_int_equal(buf_printf(&text, "%s", rows[i].head), 0);
		for (size_t k = 0; k < rows[i].n; k++)
			assert_int_equal(buf_append(&text, rows[i].piece,
					     strlen(rows[i].piece)),
			    0);
		assert_int_equal(buf_printf(&text, "%s", rows[i].tail), 0);
		(void)yml_parse("f", (char *)buf_data(&text), text.len,
		    on_problem, &out, &tree);
		if (rows[i].problem == NULL)
			assert_int_equal(out.len, 0);
		else
			assert_non_null(
			    strstr(buf_cstr(&out), rows[i].problem));
		yml_free(&tree);
		buf_free(&text);
		buf_free(&out);
	}
}

/* Aliases of aliases: neither wide nor deep beyond the limits. */
static void
test_bombs(void **state)
{
	struct yml_node *tree;
	struct buf text, out;

	(void)state;
	buf_init(&text, 0);
	buf_init(&out, 65536);
	assert_int_equal(buf_printf(&text, "k0: &a0 [x]\n"), 0);
	for (unsigned i = 1; i < 60; i++)
		assert_int_equal(
		    buf_printf(&text, "k%u: &a%u [*a%u]\n", i, i, i - 1), 0);
	assert_int_equal(yml_parse("f", (char *)buf_data(&text), text.len,
			     on_problem, &out, &tree),
	    -ERR_INVALID);
	assert_non_null(strstr(buf_cstr(&out), "nested more than 32"));
	assert_null(tree);
	buf_free(&text);
	buf_free(&out);
}

static void
count_problem(void *arg, const char *file, unsigned line, unsigned column,
    const char *text)
{
	assert_non_null(file);
	assert_non_null(text);
	assert_int_equal(line + column, 0);
	++*(unsigned *)arg;
}

static void
test_unreadable_file(void **state)
{
	static const char *const bad[] = {"/nonexistent", "/"};

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		struct yml_node *tree;
		unsigned n = 0;

		assert_int_equal(
		    yml_parse_file(bad[i], count_problem, &n, &tree),
		    -ERR_INVALID);
		assert_int_equal(n, 1);
		assert_null(tree);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_trees),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_bombs),
	    cmocka_unit_test(test_unreadable_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
