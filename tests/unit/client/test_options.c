/*
 * What a user writes: targets, ports, forwards, variables, whole command
 * lines; more wrong ones than right ones. And the tables that are printed.
 */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/exec.h"
#include "client/listen.h"
#include "client/table.h"
#include "tests/unit/unit.h"

static char *
repeat(const char *what, size_t n)
{
	size_t k = strlen(what);
	char *s = calloc(n, k + 1);

	for (size_t i = 0; i < n; i++)
		memcpy(s + i * k, what, k);
	return s;
}

static void
test_alias(void **state)
{
	static const struct {
		const char *text, *container, *alias;
	} rows[] = {
	    {"deployment/shop", NULL, "deployment.shop"},
	    {"deploy/shop", NULL, "deployment.shop"},
	    {"deployment.shop", NULL, "deployment.shop"},
	    {"pod/shop-1.a", NULL, "pod.shop-1.a"},
	    {"statefulset/db", "main", "statefulset.db.container.main"},
	    {"replicaset/r", NULL, "replicaset.r"},
	    {"service/s", NULL, "service.s"},
	    {"rollout/r", NULL, "rollout.r"},
	    {"job/j", NULL, "job.j"},
	    {"cronjob/j", NULL, "cronjob.j"},
	    {"targetless", NULL, "targetless"},
	    {"", NULL, NULL},
	    {"shop", NULL, NULL},
	    {"deployment", NULL, NULL},
	    {"deployment/", NULL, NULL},
	    {"/shop", NULL, NULL},
	    {"Deployment/shop", NULL, NULL},
	    {"deploymentx/shop", NULL, NULL},
	    {"daemonset/shop", NULL, NULL},
	    {"deployment/a/b", NULL, NULL},
	    {"deployment/..", NULL, NULL},
	    {"deployment/a b", NULL, NULL},
	    {"deployment/a?x=1", NULL, NULL},
	    {"deployment/a#b", NULL, NULL},
	    {"deployment/a%2f", NULL, NULL},
	    {"deployment/a\r\nb", NULL, NULL},
	    {"deployment/shop", "", NULL},
	    {"deployment/shop", "a/b", NULL},
	    {"deployment/shop", "a b", NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct cli_target t = {
		    .text = rows[i].text, .container = rows[i].container};
		struct buf b;
		struct err e = {0};
		int rc;

		buf_init(&b, 0);
		rc = cli_target_alias(&t, &b, &e);
		if ((rc == 0) != (rows[i].alias != NULL))
			fail_msg("%s: %d", rows[i].text, rc);
		if (rc == 0)
			assert_string_equal(buf_cstr(&b), rows[i].alias);
		else
			assert_true(strlen(e.text) > 10);
		buf_free(&b);
	}
}

static void
test_query(void **state)
{
	static const struct {
		struct cli_target t;
		const char *query; /* a prefix; NULL: refused */
	} rows[] = {
	    {{.key = "k"}, "connect=true&on_concurrent_steal=abort&key=k"},
	    {{.steal = "override", .key = "a b&c=d"},
		"connect=true&on_concurrent_steal=override&key=a+b%26c%3Dd"},
	    {{.steal = "continue", .single_cluster = true, .key = "k"},
		"connect=true&on_concurrent_steal=continue&"
		"multi_cluster=false&key=k"},
	    {{0}, "connect=true&on_concurrent_steal=abort&key="},
	    {{.steal = ""}, NULL},
	    {{.steal = "Abort"}, NULL},
	    {{.steal = "abort&key=x"}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct buf b;
		struct err e;

		buf_init(&b, 0);
		assert_int_equal(cli_target_query(&rows[i].t, &b, &e) == 0,
		    rows[i].query != NULL);
		if (rows[i].query != NULL)
			assert_memory_equal(
			    buf_cstr(&b), rows[i].query, strlen(rows[i].query));
		if (rows[i].query != NULL && rows[i].t.key == NULL)
			assert_int_equal(
			    b.len, strlen(rows[i].query) + 5); /* 5 digits */
		buf_free(&b);
	}
	assert_int_not_equal(cli_session_new_id(), cli_session_new_id());
}

static void
test_ports(void **state)
{
	static const char *const bad[] = {"", ":", "0", "80:0", "0:80", "65536",
	    "80:65536", "-1", "+80", "80:", ":80", "80:90:100", "http",
	    "80:http", " 80", "80 ", "8 0", "123456789", "0x50"};
	struct cli_ports ps;
	struct buf b;
	struct err e;

	(void)state;
	cli_ports_init(&ps);
	for (size_t i = 0; i < N_OF(bad); i++) {
		if (cli_ports_add(&ps, bad[i], true, &e) != -ERR_INVALID)
			fail_msg("%s", bad[i]);
		assert_non_null(strstr(e.text, "8080:18080"));
	}
	assert_int_equal(ps.count, 0);
	assert_int_equal(cli_ports_add(&ps, "80", true, &e), 0);
	assert_int_equal(cli_ports_add(&ps, "443:65535", false, &e), 0);
	assert_int_equal(cli_ports_add(&ps, "80:1", false, &e), -ERR_CONFLICT);
	assert_int_equal(cli_ports_local(&ps, true, 80), 80);
	assert_int_equal(cli_ports_local(&ps, false, 443), 65535);
	assert_int_equal(cli_ports_local(&ps, false, 80), 0);
	assert_int_equal(cli_ports_local(&ps, true, 443), 0);
	assert_int_equal(cli_ports_local(&ps, true, 81), 0);
	buf_init(&b, 0);
	cli_ports_describe(&ps, &b);
	assert_string_equal(buf_cstr(&b),
	    "steal 80 -> 127.0.0.1:80, mirror 443 -> 127.0.0.1:65535");
	buf_free(&b);
	cli_ports_free(&ps);
}

static void
test_forwards(void **state)
{
	static const struct {
		const char *text, *address;
		uint16_t local;
		const char *host;
		uint16_t port;
	} good[] = {
	    {"5432:db.internal:5432", "127.0.0.1", 5432, "db.internal", 5432},
	    {"0:a:1", "127.0.0.1", 0, "a", 1},
	    {"80:10.1.2.3:8080", "127.0.0.1", 80, "10.1.2.3", 8080},
	    {"0.0.0.0:80:a:8080", "0.0.0.0", 80, "a", 8080},
	    {"127.0.0.2:80:10.0.0.1:1", "127.0.0.2", 80, "10.0.0.1", 1},
	    {"80:[::1]:8080", "127.0.0.1", 80, "::1", 8080},
	    {"80:[fd00::1:2]:65535", "127.0.0.1", 80, "fd00::1:2", 65535},
	};
	static const char *const bad[] = {"", ":", "::", ":::", "80", "80:a",
	    "80:a:", "80:a:0", "80::1", "80:a:b", "a:b:80", "80:a:65536",
	    "65536:a:80", "-1:a:80", "80:::1:80", "80:[::1:80", "80:::1]:80",
	    "80:[]:80", "80:[a]:80", "80:[::g]:80", "80:a b:80", "80:a/b:80",
	    "1.2.3:80:a:80", "1.2.3.4.5:80:a:1", "1.2.3.4:a:80",
	    "1.2.3.4:1.2.3.4:80:a:80", "80:a:80:90"};
	struct cli_forward_spec s;
	char *host = repeat("a", 300), text[400];
	struct err e;

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		char address[INET_ADDRSTRLEN];

		if (cli_forward_parse(good[i].text, &s, &e) < 0)
			fail_msg("%s", e.text);
		inet_ntop(AF_INET, &s.address, address, sizeof(address));
		assert_string_equal(address, good[i].address);
		assert_int_equal(s.local, good[i].local);
		assert_string_equal(s.host, good[i].host);
		assert_int_equal(s.port, good[i].port);
	}
	for (size_t i = 0; i < N_OF(bad); i++) {
		if (cli_forward_parse(bad[i], &s, &e) != -ERR_INVALID)
			fail_msg("%s", bad[i]);
	}
	snprintf(text, sizeof(text), "80:%s:80", host);
	assert_int_equal(cli_forward_parse(text, &s, &e), -ERR_INVALID);
	free(host);
}

static void
test_variables(void **state)
{
	static const struct {
		const char *text, *variable;
	} rows[] = {
	    {"stock.internal", "TRIBUTARY_RESOLVED_STOCK_INTERNAL"},
	    {"Stock-1", "TRIBUTARY_RESOLVED_STOCK_1"},
	    {"a:B_1", "B_1"},
	    {"a:b", "b"},
	    {"", NULL},
	    {":X", NULL},
	    {"a:", NULL},
	    {"a:B C", NULL},
	    {"a:B=C", NULL},
	    {"a:B:C", NULL},
	    {"a:B-C", NULL},
	};
	char out[EXEC_VARIABLE_MAX], *name = repeat("n", 256);
	struct err e;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		int rc = cli_exec_variable(rows[i].text, out, sizeof(out), &e);

		if ((rc == 0) != (rows[i].variable != NULL))
			fail_msg("%s", rows[i].text);
		if (rc == 0)
			assert_string_equal(out, rows[i].variable);
	}
	assert_int_equal(
	    cli_exec_variable(name, out, sizeof(out), &e), -ERR_INVALID);
	name[255] = '\0';
	assert_int_equal(cli_exec_variable(name, out, sizeof(out), &e), 0);
	free(name);
}

/* A command line in one string; the program is behind "--". */
static int
parse_exec(struct exec *x, const char *line, int *code)
{
	static char words[512];
	static char *argv[64];
	int argc = 0;

	memset(x, 0, sizeof(*x));
	x->common.loop = ev_loop_new();
	cli_traffic_init(&x->traffic, x->common.loop);
	snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;
	return cli_exec_options(x, argc, argv, code);
}

static void
free_exec(struct exec *x)
{
	cli_traffic_free(&x->traffic);
	ev_loop_free(&x->common.loop);
}

static void
test_exec_good(void **state)
{
	struct exec x;
	int code;

	(void)state;
	assert_int_equal(
	    parse_exec(&x,
		"exec -t deployment/shop -n ns -c app --steal 8080:18080 "
		"--mirror 9000 --forward 0:db:5432 --file /etc/x:y:z "
		"--resolve db:DB --env-include A* --env-include B "
		"--env-exclude C --on-concurrent-steal override --key k "
		"--single-cluster --kubeconfig f --context c -- prog -q --x",
		&code),
	    0);
	assert_string_equal(x.target.text, "deployment/shop");
	assert_string_equal(x.target.namespace, "ns");
	assert_string_equal(x.target.container, "app");
	assert_string_equal(x.target.steal, "override");
	assert_string_equal(x.target.key, "k");
	assert_true(x.target.single_cluster);
	assert_string_equal(x.common.kubeconfig, "f");
	assert_string_equal(x.common.context, "c");
	assert_int_equal(cli_ports_local(&x.traffic.ports, true, 8080), 18080);
	assert_int_equal(cli_ports_local(&x.traffic.ports, false, 9000), 9000);
	assert_false(list_empty(&x.traffic.forwards.listeners));
	assert_int_equal(x.n_files, 1);
	assert_int_equal(x.n_names, 1);
	assert_int_equal(x.env.n_include, 2);
	assert_int_equal(x.env.n_exclude, 1);
	assert_string_equal(x.argv[0], "prog");
	assert_string_equal(x.argv[1], "-q");
	free_exec(&x);
	assert_int_equal(
	    parse_exec(&x, "exec --target=deployment/shop prog -n", &code), 0);
	assert_string_equal(x.argv[1], "-n");
	assert_null(x.target.namespace);
	free_exec(&x);
}

static void
test_exec_bad(void **state)
{
	static const struct {
		const char *line;
		int code;
	} rows[] = {
	    {"exec --help", CLI_OK},
	    {"exec", CLI_USAGE},
	    {"exec -t deployment/shop", CLI_USAGE},
	    {"exec -t deployment/shop --", CLI_USAGE},
	    {"exec -- prog", CLI_USAGE},
	    {"exec -t", CLI_USAGE},
	    {"exec -x -t deployment/shop prog", CLI_USAGE},
	    {"exec --nothing -t deployment/shop prog", CLI_USAGE},
	    {"exec --quiet=1 -t deployment/shop prog", CLI_USAGE},
	    {"exec -t d/s --steal 0 prog", CLI_USAGE},
	    {"exec -t d/s --steal 80 --mirror 80 prog", CLI_USAGE},
	    {"exec -t d/s --mirror x prog", CLI_USAGE},
	    {"exec -t d/s --forward 80 prog", CLI_USAGE},
	    {"exec -t d/s --file x:y prog", CLI_USAGE},
	    {"exec -t d/s --file /x prog", CLI_USAGE},
	    {"exec -t d/s --file /x: prog", CLI_USAGE},
	    {"exec -t d/s --resolve : prog", CLI_USAGE},
	    {"exec -t d/s --resolve a:b-c prog", CLI_USAGE},
	    {"exec -t d/s -n a/b prog", CLI_USAGE},
	    {"exec -t d/s -n .. prog", CLI_USAGE},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct exec x;
		int code = -1;

		if (parse_exec(&x, rows[i].line, &code) == 0 ||
		    code != rows[i].code)
			fail_msg("%s: %d", rows[i].line, code);
		free_exec(&x);
	}
}

static void
test_many(void **state)
{
	char line[4096] = "exec -t d/s";
	struct exec x;
	int code;

	(void)state;
	for (int i = 0; i < EXEC_LIST_MAX + 1; i++)
		strcat(line, " --resolve a");
	assert_true(strlen(line) > 512);
	memset(&x, 0, sizeof(x));
	{
		char *argv[EXEC_LIST_MAX * 2 + 8];
		int argc = 0;

		for (char *w = strtok(line, " "); w != NULL;
		     w = strtok(NULL, " "))
			argv[argc++] = w;
		argv[argc] = NULL;
		assert_int_equal(cli_exec_options(&x, argc, argv, &code), 1);
	}
	assert_int_equal(code, CLI_USAGE);
	assert_int_equal(x.n_names, EXEC_LIST_MAX);
}

static void
test_names(void **state)
{
	static const char *const good[] = {"a", "default", "A-1.b_c"};
	static const char *const bad[] = {"", ".", "..", ".a", "a/b", "a b",
	    "a?", "a#", "a%", "\n", "\xc3\xa4", "a:b", "a\\b"};
	char *name = repeat("n", 254);

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++)
		assert_true(cli_name_ok(good[i]));
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(cli_name_ok(bad[i]));
	assert_false(cli_name_ok(name));
	name[253] = '\0';
	assert_true(cli_name_ok(name));
	free(name);
}

static void
test_exit_codes(void **state)
{
	static const struct {
		enum err_code code;
		enum cli_exit exit;
	} rows[] = {{ERR_DENIED, CLI_DENIED}, {ERR_UNAUTHENTICATED, CLI_DENIED},
	    {ERR_INVALID, CLI_PROTOCOL}, {ERR_SYS, CLI_IO},
	    {ERR_NOMEM, CLI_INTERNAL}, {ERR_INTERNAL, CLI_INTERNAL},
	    {ERR_CLOSED, CLI_UNAVAILABLE}, {ERR_TIMEOUT, CLI_UNAVAILABLE},
	    {ERR_NOT_FOUND, CLI_UNAVAILABLE}, {ERR_CONFLICT, CLI_UNAVAILABLE}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(
		    cli_exit_of(&(struct err){.code = rows[i].code}),
		    rows[i].exit);
}

static void
print_table(struct cli_table *t, char *out, size_t cap)
{
	FILE *f = fmemopen(out, cap, "w");

	assert_non_null(f);
	cli_table_print(t, f);
	fclose(f);
	cli_table_free(t);
}

static void
test_table(void **state)
{
	static const char *const heads[] = {"A", "LONGER", "C", NULL};
	cJSON *list = cJSON_Parse("[\"x\", 80, {}, null, \"y\"]");
	struct cli_table t;
	char out[1024];

	(void)state;
	cli_table_init(&t, heads);
	cli_table_add(&t, "\xc3\xa4\xc3\xb6");
	cli_table_add(&t, NULL);
	cli_table_add(&t, "a\033[2J\nb");
	cli_table_add(&t, "wide cell");
	cli_table_add(&t, "");
	cli_table_add_list(&t, list);
	cli_table_add(&t, "short row");
	print_table(&t, out, sizeof(out));
	assert_string_equal(out, "A          LONGER  C\n"
				 "\xc3\xa4\xc3\xb6         -       a?[2J?b\n"
				 "wide cell  -       x, 80, y\n"
				 "short row          \n");
	cli_table_init(&t, heads);
	print_table(&t, out, sizeof(out));
	assert_string_equal(out, "A  LONGER  C\n");
	cJSON_Delete(list);
}

static void
test_ages(void **state)
{
	static const char *const heads[] = {"AGE", NULL};
	static const struct {
		int64_t s;
		const char *text;
	} rows[] = {{0, "0s"}, {-5, "0s"}, {59, "59s"}, {60, "1m0s"},
	    {3599, "59m59s"}, {3600, "1h0m"}, {86399, "23h59m"},
	    {86400, "1d0h"}, {1000000, "11d13h"}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct cli_table t;

		cli_table_init(&t, heads);
		cli_table_add_age(&t, rows[i].s);
		assert_string_equal(t.cells[0], rows[i].text);
		cli_table_free(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_alias),
	    cmocka_unit_test(test_query), cmocka_unit_test(test_ports),
	    cmocka_unit_test(test_forwards), cmocka_unit_test(test_variables),
	    cmocka_unit_test(test_exec_good), cmocka_unit_test(test_exec_bad),
	    cmocka_unit_test(test_many), cmocka_unit_test(test_names),
	    cmocka_unit_test(test_exit_codes), cmocka_unit_test(test_table),
	    cmocka_unit_test(test_ages)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
