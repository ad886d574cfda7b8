/*
 * Every tests/config/NAME.yaml is loaded (with NAME.multicluster.yaml and
 * NAME.clusters.yaml as the vendor's files where they are there). What is
 * printed must be NAME.ok (problems, then the normal form) or NAME.bad
 * (problems). CFG_WRITE=1 writes the expectations anew: read the diff.
 */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/cfg.h"
#include "config/name.h"
#include "config/table.h"
#include "lib/buf.h"
#include "lib/json.h"
#include "lib/str.h"

#define DIR_PATH TRIB_SRCDIR "/tests/config/"

static char *
read_text(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text;
	size_t n;

	if (f == NULL)
		return NULL;
	text = calloc(1, 1 << 20);
	assert_non_null(text);
	n = fread(text, 1, (1 << 20) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void
path_of(char *out, size_t cap, const char *name, const char *suffix)
{
	assert_int_equal(str_fmt(out, cap, DIR_PATH "%s%s", name, suffix), 0);
}

/* The same environment on every machine. */
static int
load(const char *name, struct cfg **out, struct cfg_problems *problems)
{
	static char own[512], multi[512], clusters[512];
	struct cfg_env env = {.hostname = "host.lab"};

	path_of(own, sizeof own, name, ".yaml");
	path_of(multi, sizeof multi, name, ".multicluster.yaml");
	path_of(clusters, sizeof clusters, name, ".clusters.yaml");
	if (access(multi, F_OK) == 0)
		env.multicluster_config = multi;
	if (access(clusters, F_OK) == 0)
		env.clusters_config = clusters;
	return cfg_load(own, &env, out, problems);
}

/* Paths inside sentences, without the directory. */
static void
strip_dir(char *text)
{
	for (char *at; (at = strstr(text, DIR_PATH)) != NULL;)
		memmove(at, at + strlen(DIR_PATH),
		    strlen(at + strlen(DIR_PATH)) + 1);
}

/* Paths as in the source tree; the agent's default path as on Debian. */
static void
print(
    const struct cfg *cfg, const struct cfg_problems *problems, struct buf *out)
{
	cJSON *tree, *agent;
	char *text;

	for (size_t i = 0; i < problems->count; i++) {
		const struct cfg_problem *p = &problems->list[i];
		const char *base = strrchr(p->file, '/');

		strip_dir(p->text);
		assert_int_equal(
		    buf_printf(out, "%s:%u:%u: %s%s\n",
			base != NULL ? base + 1 : p->file, p->line, p->column,
			p->warning ? "warning: " : "", p->text),
		    0);
	}
	if (cfg == NULL)
		return;
	tree = cJSON_Duplicate(cfg_tree(cfg), true);
	agent = cJSON_GetObjectItem(tree, "agent");
	if (str_starts(json_str(agent, "program", ""), TRIB_LIBEXECDIR))
		cJSON_SetValuestring(
		    cJSON_GetObjectItem(agent, "program"), "AGENT");
	text = cJSON_Print(tree);
	assert_int_equal(buf_printf(out, "%s\n", text), 0);
	cJSON_free(text);
	cJSON_Delete(tree);
}

static void
check_one(const char *name)
{
	struct cfg_problems problems;
	struct cfg *cfg;
	struct buf out;
	char path[512];
	char *want;
	int rc = load(name, &cfg, &problems);

	buf_init(&out, 1 << 20);
	print(cfg, &problems, &out);
	assert_int_equal(rc == 0, cfg != NULL);
	assert_int_equal(rc == 0, problems.errors == 0);
	path_of(path, sizeof path, name, rc == 0 ? ".ok" : ".bad");
	if (getenv("CFG_WRITE") != NULL) {
		FILE *f = fopen(path, "we");

		assert_non_null(f);
		fputs(buf_cstr(&out), f);
		fclose(f);
	}
	want = read_text(path);
	if (want == NULL)
		fail_msg("%s: unexpected outcome:\n%s", name, buf_cstr(&out));
	assert_string_equal(buf_cstr(&out), want);
	free(want);
	buf_free(&out);
	cfg_problems_free(&problems);
	cfg_free(&cfg);
}

static void
test_pairs(void **state)
{
	DIR *dir = opendir(DIR_PATH);
	struct dirent *d;
	unsigned n = 0;

	(void)state;
	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		char name[256];

		if (!str_ends(d->d_name, ".yaml") ||
		    str_ends(d->d_name, ".multicluster.yaml") ||
		    str_ends(d->d_name, ".clusters.yaml"))
			continue;
		(void)str_fmt(name, sizeof name, "%.*s",
		    (int)(strlen(d->d_name) - 5), d->d_name);
		check_one(name);
		n++;
	}
	closedir(dir);
	assert_true(n >= 40);
}

/* The normal form, read again, is itself. */
static void
test_normal_form_is_stable(void **state)
{
	static const char *const names[] = {"01_empty", "02_hub",
	    "04_snake_case", "05_anchors", "06_helm_blanks", "08_names",
	    "63_vendor_ok"};
	char path[] = "/tmp/test_config.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < N_OF(names); i++) {
		struct cfg_env env = {.hostname = "host.lab"};
		struct cfg_problems problems;
		struct cfg *cfg, *again;
		cJSON *c;
		char *text;

		assert_int_equal(load(names[i], &cfg, &problems), 0);
		cfg_problems_free(&problems);
		c = cJSON_GetObjectItem(cfg_tree(cfg), "clusters");
		cJSON_ArrayForEach(c, c) cJSON_DeleteItemFromObject(
		    c, "isDefault"); /* false would contradict */
		text = cJSON_Print(cfg_tree(cfg));
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(
		    pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
		cJSON_free(text);
		if (cfg_load(path, &env, &again, &problems) != 0)
			cfg_problems_print(&problems, stderr);
		assert_non_null(again);
		c = cJSON_GetObjectItem(cfg_tree(again), "clusters");
		cJSON_ArrayForEach(c, c)
		    cJSON_DeleteItemFromObject(c, "isDefault");
		assert_true(
		    cJSON_Compare(cfg_tree(cfg), cfg_tree(again), true));
		cfg_problems_free(&problems);
		cfg_free(&cfg);
		cfg_free(&again);
	}
	close(fd);
	unlink(path);
}

/* What no worker may see: path of the key, and who does see it. */
static void
test_sections(void **state)
{
	static const struct {
		enum ipc_role role;
		const char *cluster;
		const char *there;
		const char *absent;
	} rows[] = {
	    {IPC_FE, NULL, "allow", "targets"},
	    {IPC_FE, NULL, "tls.certPem", "tls.certFile"},
	    {IPC_FE, NULL, "serverNames", "stateDir"},
	    {IPC_SF, NULL, "multiCluster.defaultCluster", "clusters"},
	    {IPC_SF, NULL, "clusterName", "allow"},
	    {IPC_SEC, NULL, "stateDir", "allow"},
	    {IPC_SEC, NULL, "clusters", "agent"},
	    {IPC_CON, NULL, "agent.podCidrs", "agent.program"},
	    {IPC_CON, NULL, "clusters", "multiCluster"},
	    {IPC_OWN, NULL, "agent.idleSecs", "tls"},
	    {IPC_OWN, NULL, "targets", "resolver"},
	    {IPC_CLU, "east", "cluster.server", "clusters"},
	    {IPC_CLU, "west", "cluster.authType", "cluster.caFile"},
	    {IPC_CLU, "east", "multiCluster.sessionTtlSecs", "stateDir"},
	};
	struct cfg_problems problems;
	struct cfg *cfg;

	(void)state;
	assert_int_equal(load("02_hub", &cfg, &problems), 0);
	for (size_t i = 0; i < N_OF(rows); i++) {
		cJSON *s = cfg_section(cfg, rows[i].role, rows[i].cluster);

		assert_non_null(s);
		assert_non_null(json_at(s, rows[i].there));
		assert_null(json_at(s, rows[i].absent));
		cJSON_Delete(s);
	}
	assert_null(cfg_section(cfg, IPC_CLU, "south"));
	assert_null(cfg_section(cfg, IPC_CLU, NULL));
	cfg_problems_free(&problems);
	cfg_free(&cfg);
}

static void
test_section_items(void **state)
{
	struct cfg_problems problems;
	struct cfg *cfg;
	cJSON *s, *one;

	(void)state;
	assert_int_equal(load("02_hub", &cfg, &problems), 0);
	s = cfg_section(cfg, IPC_FE, NULL);
	one = cJSON_GetArrayItem(cJSON_GetObjectItem(s, "clusters"), 0);
	assert_string_equal(json_str(one, "name", ""), "east");
	assert_int_equal(cJSON_GetArraySize(one), 1);
	cJSON_Delete(s);
	cfg_problems_free(&problems);
	cfg_free(&cfg);
	assert_int_equal(load("03_member", &cfg, &problems), 0);
	s = cfg_section(cfg, IPC_OWN, NULL);
	one = cJSON_GetArrayItem(cJSON_GetObjectItem(s, "targets"), 0);
	one = cJSON_GetArrayItem(cJSON_GetObjectItem(one, "replicas"), 1);
	assert_string_equal(json_str(one, "name", ""), "shop-2");
	assert_null(cJSON_GetObjectItem(one, "pid"));
	cJSON_Delete(s);
	cfg_problems_free(&problems);
	cfg_free(&cfg);
}

static struct cfg *
from_text(const char *text)
{
	char path[] = "/tmp/test_config.XXXXXX";
	struct cfg_env env = {.hostname = "host.lab"};
	struct cfg_problems problems;
	int fd = mkstemp(path);
	struct cfg *cfg;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	if (cfg_load(path, &env, &cfg, &problems) != 0)
		cfg_problems_print(&problems, stderr);
	assert_non_null(cfg);
	cfg_problems_free(&problems);
	unlink(path);
	return cfg;
}

static int64_t
worker_of(const struct cfg *cfg, const char *name)
{
	const cJSON *c;

	cJSON_ArrayForEach(c, cJSON_GetObjectItem(cfg_tree(cfg), "clusters"))
	{
		if (strcmp(json_str(c, "name", ""), name) == 0)
			return json_int(c, "worker", 0, 65535, -1);
	}
	return -1;
}

#define CLUSTER(n) "  - {name: " n ", server: https://" n ", authType: mtls}\n"
#define PRIMARY(more) \
	"multiCluster: {defaultCluster: default}\nclusters:\n" more

/* Numbers of running workers never move; a name that returns has its own. */
static void
test_worker_numbers(void **state)
{
	struct cfg *a = from_text(PRIMARY(CLUSTER("a") CLUSTER("b")));
	struct cfg *b = from_text(PRIMARY(CLUSTER("c") CLUSTER("b")));
	struct cfg *c =
	    from_text(PRIMARY(CLUSTER("d") CLUSTER("a") CLUSTER("b")));

	(void)state;
	assert_int_equal(worker_of(a, "a"), 0);
	assert_int_equal(worker_of(a, "b"), 1);
	assert_int_equal(cfg_keep_workers(b, a), 0);
	assert_int_equal(worker_of(b, "b"), 1);
	assert_int_equal(worker_of(b, "c"), 2);
	assert_int_equal(cfg_keep_workers(c, b), 0);
	assert_int_equal(worker_of(c, "a"), 0);
	assert_int_equal(worker_of(c, "b"), 1);
	assert_int_equal(worker_of(c, "d"), 3);
	cfg_free(&a);
	cfg_free(&b);
	cfg_free(&c);
}

static void
test_freeze(void **state)
{
	static const struct {
		const char *before, *now;
		size_t warnings;
		const char *path;  /* of a text that must be ... */
		const char *value; /* this */
	} rows[] = {
	    {"instance: a", "instance: a", 0, "instance", "a"},
	    {"instance: a", "instance: b", 1, "instance", "a"},
	    {"logLevel: info", "logLevel: debug", 0, "logLevel", "debug"},
	    {"runDir: /a", "{runDir: /b, logLevel: warn}", 1, "runDir", "/a"},
	    {"multiCluster: {clusterName: a, defaultCluster: a}",
		"multiCluster: {clusterName: b, defaultCluster: b}", 1,
		"multiCluster.clusterName", "a"},
	    {"multiCluster: {clusterName: a, defaultCluster: a}",
		"multiCluster: {clusterName: a, defaultCluster: a, "
		"sessionTtlSecs: 99}",
		0, "clusterName", "a"},
	    {"instance: a",
		"{instance: a, multiCluster: {clusterName: x, "
		"defaultCluster: x}}",
		1, "clusterName", "a"},
	    {"workerUids: {first: 5000}",
		"{workerUids: {first: 6000}, frontends: 2}", 2, "instance",
		"default"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct cfg *before = from_text(rows[i].before);
		struct cfg *now = from_text(rows[i].now);
		struct cfg_problems problems = {0};

		assert_int_equal(cfg_freeze(now, before, &problems), 0);
		assert_int_equal(problems.warnings, rows[i].warnings);
		assert_string_equal(cfg_str(now, rows[i].path), rows[i].value);
		cfg_problems_free(&problems);
		cfg_free(&before);
		cfg_free(&now);
	}
}

static void
test_object_names(void **state)
{
	static const struct {
		const char *raw, *name;
	} rows[] = {
	    {"east", "east"},
	    {"east-1", "east-1"},
	    {"abcdefghijklmnopqrstuvwxyzabcdefghijklmn",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmn"},
	    {"East", "east-4e2cd851"},
	    {"a_b", "a-b-648fa9b3"},
	    {"abcdefghijklmnopqrstuvwxyzabcdefghijklmno",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmn-175bc656"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char out[CFG_OBJECT_NAME_BYTES];

		cfg_object_name(rows[i].raw, out);
		assert_string_equal(out, rows[i].name);
	}
}

static void
test_cluster_names(void **state)
{
	static const struct {
		const char *raw;
		bool ok;
	} rows[] = {
	    {"east", true},
	    {"My EKS_1", true},
	    {"z\xc3\xbcrich", true},
	    {"", false},
	    {".", false},
	    {"..", false},
	    {"a/b", false},
	    {"a,b", false},
	    {"a\"b", false},
	    {"a'b", false},
	    {"a\nb", false},
	    {"---", false},
	    {"\xff\xfe", false},
	    {"\xc3\xbc", false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(
		    cfg_cluster_name_problem(rows[i].raw) == NULL, rows[i].ok);
}

/* Each row has a parent, a help text and, if a number, a sane default. */
static void
test_table(void **state)
{
	size_t n;
	const struct cfg_row *rows = cfg_rows(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const char *dot = strrchr(rows[i].path, '.');
		bool found = dot == NULL;

		assert_true(strlen(rows[i].help) > 3);
		assert_true(rows[i].type < CFG_N_TYPES);
		for (size_t j = 0; j < i && !found; j++) {
			char prefix[192];

			cfg_row_prefix(&rows[j], prefix, sizeof prefix);
			found =
			    strncmp(prefix, rows[i].path,
				(size_t)(dot - rows[i].path) + 1) == 0 &&
			    strlen(prefix) == (size_t)(dot - rows[i].path) + 1;
			/* a worker sees nothing inside what it does not see */
			if (found)
				assert_int_equal(rows[i].see & ~rows[j].see, 0);
		}
		assert_true(found);
	}
}

static void
test_setup_deadline(void **state)
{
	static const struct {
		const char *deadline;
		size_t warnings;
	} rows[] = {{NULL, 0}, {"90", 0}, {"91", 1}, {"180", 1}, {"x", 0}};
	char path[512];

	(void)state;
	path_of(path, sizeof path, "02_hub", ".yaml");
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct cfg_env env = {
		    .hostname = "h", .setup_deadline = rows[i].deadline};
		struct cfg_problems problems;
		struct cfg *cfg;

		assert_int_equal(cfg_load(path, &env, &cfg, &problems), 0);
		assert_int_equal(problems.warnings, rows[i].warnings);
		cfg_problems_free(&problems);
		cfg_free(&cfg);
	}
}

static void
test_unreadable(void **state)
{
	static const char *const paths[] = {
	    "/nonexistent/x.yaml", "/", "/dev/zero"};

	(void)state;
	for (size_t i = 0; i < N_OF(paths); i++) {
		struct cfg_env env = {.hostname = "h"};
		struct cfg_problems problems;
		struct cfg *cfg;

		assert_int_equal(
		    cfg_load(paths[i], &env, &cfg, &problems), -ERR_INVALID);
		assert_true(problems.errors > 0);
		assert_null(cfg);
		cfg_problems_free(&problems);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pairs),
	    cmocka_unit_test(test_normal_form_is_stable),
	    cmocka_unit_test(test_sections),
	    cmocka_unit_test(test_section_items),
	    cmocka_unit_test(test_worker_numbers),
	    cmocka_unit_test(test_freeze),
	    cmocka_unit_test(test_object_names),
	    cmocka_unit_test(test_cluster_names),
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_setup_deadline),
	    cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
