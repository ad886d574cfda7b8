/* Values one by one, and the look-up of keys. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "config/table.h"
#include "config/types.h"
#include "tests/unit/unit.h"

struct value {
	const char *text;
	bool ok;
};

static const struct cfg_row *
row_of(const char *path)
{
	size_t n;
	const struct cfg_row *rows = cfg_rows(&n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(rows[i].path, path) == 0)
			return &rows[i];
	}
	fail_msg("there is no row %s", path);
	return NULL;
}

static void
check(const char *path, const struct value *values, size_t n)
{
	const struct cfg_row *row = row_of(path);

	for (size_t i = 0; i < n; i++) {
		if (cfg_type_ok(row, values[i].text) != values[i].ok)
			fail_msg("%s: `%s` was %s", path, values[i].text,
			    values[i].ok ? "refused" : "taken");
	}
}

static void
test_numbers(void **state)
{
	static const struct value port[] = {{"1", true}, {"65535", true},
	    {"0", false}, {"65536", false}, {"-1", false}, {"+1", false},
	    {"1 ", false}, {" 1", false}, {"0x10", false}, {"1e3", false},
	    {"", false}, {"18446744073709551616", false}};
	static const struct value flag[] = {{"true", true}, {"false", true},
	    {"True", false}, {"yes", false}, {"on", false}, {"1", false},
	    {"", false}, {"truefalse", false}};

	(void)state;
	check("targets[].ports", port, N_OF(port));
	check("multiCluster.managementOnly", flag, N_OF(flag));
}

static void
test_names(void **state)
{
	static const struct value name[] = {{"a", true}, {"a-1", true},
	    {"1a", true}, {"-a", false}, {"a-", false}, {"A", false},
	    {"a_b", false}, {"a.b", false}, {"a/b", false}, {"", false},
	    {"\xc3\xa4", false}};
	static const struct value object[] = {{"a.b", true}, {"a-b.c", true},
	    {"a..b", false}, {".a", false}, {"a.", false}, {"a b", false}};
	static const struct value text[] = {{"any thing: \xc3\xa4", true},
	    {"", false}, {"a\nb", false}, {"a\x7f", false}};

	(void)state;
	check("instance", name, N_OF(name));
	check("targets[].name", object, N_OF(object));
	check("targets[].replicas[].unit", text, N_OF(text));
}

static void
test_choices(void **state)
{
	static const struct value kind[] = {{"mtls", true}, {"aks", true},
	    {"bearerToken", true}, {"mtl", false}, {"tls", false},
	    {"mtls|eks", false}, {"|", false}, {"MTLS", false}, {"", false},
	    {"bearertoken", false}};

	(void)state;
	check("clusters[].authType", kind, N_OF(kind));
}

static void
test_places(void **state)
{
	static const struct value path[] = {{"/a", true}, {"/a/b..c", true},
	    {"/", true}, {"a", false}, {"./a", false}, {"/a/../b", false},
	    {"/a/..", false}, {"", false}, {"/a\n", false}};
	static const struct value listen[] = {{"0.0.0.0:1", true},
	    {"[::]:65535", true}, {"[fd00::1]:8443", true}, {":1", false},
	    {"::1", false}, {"[::1]", false}, {"[::1]8443", false},
	    {"1.2.3.4", false}, {"1.2.3.4:0", false}, {"1.2.3.4:65536", false},
	    {"host:1", false}, {"[1.2.3.4]:1", false}, {"1.2.3:1", false},
	    {"]:1", false}, {"", false}};
	static const struct value host[] = {{"a", true}, {"a.b-c", true},
	    {"10.0.0.1", true}, {"::1", true}, {"a_b", true}, {"a..b", false},
	    {".a", false}, {"a.", false}, {"-a", false}, {"a-", false},
	    {"a-.b", false}, {"1.2.3", false}, {"a b", false}, {"", false},
	    {"a/b", false}};

	(void)state;
	check("runDir", path, N_OF(path));
	check("listen", listen, N_OF(listen));
	check("serverNames", host, N_OF(host));
}

static void
test_urls_and_networks(void **state)
{
	static const struct value url[] = {{"https://a", true},
	    {"https://a:1", true}, {"https://[::1]:1/p", true},
	    {"https://[::1]", true}, {"https://a/", true}, {"http://a", false},
	    {"https://", false}, {"https:///p", false}, {"https://a:", false},
	    {"https://a:x", false}, {"https://a b", false},
	    {"https://u@a", false}, {"https://a?q", false},
	    {"https://a#f", false}, {"https://a\\b", false},
	    {"https://::1", false}, {"a", false}};
	static const struct value cidr[] = {{"10.0.0.0/8", true},
	    {"0.0.0.0/0", true}, {"fd00::/128", true}, {"10.0.0.0", false},
	    {"10.0.0.0/33", false}, {"fd00::/129", false}, {"/8", false},
	    {"10.0.0/8", false}, {"10.0.0.0/", false}, {"10.0.0.0/-1", false}};

	(void)state;
	check("clusters[].server", url, N_OF(url));
	check("agent.podCidrs", cidr, N_OF(cidr));
}

static void
test_secrets_of_texts(void **state)
{
	static const struct value ca[] = {{"-----BEGIN CERTIFICATE", true},
	    {"AAAA", true}, {"%", false}, {"", false}};
	static const struct value sha[] = {
	    {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		true},
	    {"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
		false},
	    {"0123456789abcdef", false}, {"", false}};
	static const struct value target[] = {{"*", true}, {"a/b", true},
	    {"*/*", true}, {"deployment/shop-*", true}, {"a", false},
	    {"/b", false}, {"a/", false}, {"a/b/c", false}, {"", false}};

	(void)state;
	check("clusters[].caData", ca, N_OF(ca));
	check("primaries[].tokenSha256", sha, N_OF(sha));
	check("allow[].targets", target, N_OF(target));
}

/* What a message says is wanted is never empty and names the range. */
static void
test_wants(void **state)
{
	size_t n;
	const struct cfg_row *rows = cfg_rows(&n);
	char text[256];

	(void)state;
	for (size_t i = 0; i < n; i++) {
		cfg_type_wants(&rows[i], text, sizeof(text));
		assert_true(strlen(text) > 5);
	}
	cfg_type_wants(row_of("frontends"), text, sizeof(text));
	assert_string_equal(text, "a whole number from 1 to 64");
	cfg_type_wants(row_of("logLevel"), text, sizeof(text));
	assert_string_equal(text, "one of error, warn, info, debug");
}

static void
test_find(void **state)
{
	static const struct {
		const char *prefix, *key, *path; /* NULL: unknown */
	} rows[] = {
	    {"", "instance", "instance"},
	    {"", "runDir", "runDir"},
	    {"", "run_dir", "runDir"},
	    {"", "rundir", NULL},
	    {"", "RunDir", NULL},
	    {"", "run_Dir", NULL},
	    {"", "clusterName", NULL}, /* INTERNAL */
	    {"", "multiCluster.clusterName", NULL},
	    {"multiCluster.", "clusterName", "multiCluster.clusterName"},
	    {"multiCluster.", "sessionSetupDeadlineSeconds",
		"multiCluster.remoteSessionTimeoutSecs"},
	    {"multiCluster.", "session_setup_deadline_seconds",
		"multiCluster.remoteSessionTimeoutSecs"},
	    {"clusters[].", "worker", NULL},
	    {"clusters[].", "auth_type", "clusters[].authType"},
	    {"targets[].replicas[].", "pid_file",
		"targets[].replicas[].pidFile"},
	    {"targets[].", "pidFile", NULL},
	    {"primaries[].", "token_sha256", "primaries[].tokenSha256"},
	    {"primaries[].", "token_sha_256", NULL},
	    {"", "", NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		const struct cfg_row *row =
		    cfg_row_find(rows[i].prefix, rows[i].key);

		if (rows[i].path == NULL)
			assert_null(row);
		else if (row == NULL)
			fail_msg(
			    "%s%s is unknown", rows[i].prefix, rows[i].key);
		else
			assert_string_equal(row->path, rows[i].path);
	}
}

static void
test_like(void **state)
{
	static const struct {
		const char *prefix, *key, *like;
	} rows[] = {
	    {"", "instnace", "instance"},
	    {"", "RUNDIR", "runDir"},
	    {"", "multicluster", "multiCluster"},
	    {"", "target", "targets"},
	    {"clusters[].", "autType", "authType"},
	    {"", "xyzzy", NULL},
	    {"clusters[].", "wroker", NULL},
	};
	char big[300];

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		const struct cfg_row *row =
		    cfg_row_like(rows[i].prefix, rows[i].key);

		if (rows[i].like == NULL)
			assert_null(row);
		else
			assert_string_equal(cfg_row_key(row), rows[i].like);
	}
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_null(cfg_row_like("", big));
}

static void
test_split(void **state)
{
	static const struct {
		const char *text, *host;
		unsigned port;
	} rows[] = {{"a:1", "a", 1}, {"[::1]:22", "::1", 22},
	    {"10.0.0.1:443", "10.0.0.1", 443}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char host[256];
		unsigned port = 0;

		assert_true(cfg_split_address(rows[i].text, host, &port));
		assert_string_equal(host, rows[i].host);
		assert_int_equal(port, rows[i].port);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_choices),
	    cmocka_unit_test(test_places),
	    cmocka_unit_test(test_urls_and_networks),
	    cmocka_unit_test(test_secrets_of_texts),
	    cmocka_unit_test(test_wants),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_like),
	    cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
