/* Kinds, aliases, targets and the store of the standalone platform. */
#include "config.h"

/* clang-format off */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "platform/platform.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static void
test_alias(void **state)
{
	static const struct {
		const char *in;
		int kind; /* -1 = refused */
		const char *name, *container, *out;
	} row[] = {
	    {"deployment.web", PLAT_DEPLOYMENT, "web", "", "deployment.web"},
	    {"deploy.web", PLAT_DEPLOYMENT, "web", "", "deployment.web"},
	    {"deployment.web.container.app", PLAT_DEPLOYMENT, "web", "app",
		"deployment.web.container.app"},
	    {"pod.a.b", PLAT_POD, "a.b", "", "pod.a.b"},
	    {"pod.a.container.b.container.c", PLAT_POD, "a.container.b", "c",
		"pod.a.container.b.container.c"},
	    {"statefulset.db-0", PLAT_STATEFULSET, "db-0", "",
		"statefulset.db-0"},
	    {"replicaset.x", PLAT_REPLICASET, "x", "", "replicaset.x"},
	    {"service.x", PLAT_SERVICE, "x", "", "service.x"},
	    {"rollout.x", PLAT_ROLLOUT, "x", "", "rollout.x"},
	    {"job.x", PLAT_JOB, "x", "", "job.x"},
	    {"cronjob.x", PLAT_CRONJOB, "x", "", "cronjob.x"},
	    {"targetless", PLAT_TARGETLESS, "", "", "targetless"},
	    {"label", PLAT_LABEL, "", "", "label"},
	    {"", -1, NULL, NULL, NULL},
	    {".", -1, NULL, NULL, NULL},
	    {"deployment", -1, NULL, NULL, NULL},
	    {"deployment.", -1, NULL, NULL, NULL},
	    {"deployment..", -1, NULL, NULL, NULL},
	    {"deployment.Web", -1, NULL, NULL, NULL},
	    {"deployment.-web", -1, NULL, NULL, NULL},
	    {"deployment.web-", -1, NULL, NULL, NULL},
	    {"deployment.a..b", -1, NULL, NULL, NULL},
	    {"deployment.web/../x", -1, NULL, NULL, NULL},
	    {"deployment.web.container.", -1, NULL, NULL, NULL},
	    {"deployment.web.container.A", -1, NULL, NULL, NULL},
	    {"deployment.container.app", PLAT_DEPLOYMENT, "container.app", "",
		"deployment.container.app"},
	    {"daemonset.x", -1, NULL, NULL, NULL},
	    {"Deployment.x", -1, NULL, NULL, NULL},
	    {"targetless.x", -1, NULL, NULL, NULL},
	    {"label.x", -1, NULL, NULL, NULL},
	    {"averyveryveryveryverylongkindofatarget.x", -1, NULL, NULL, NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(row); i++) {
		struct plat_alias a;
		struct err e = {0};
		int r = plat_alias_parse(row[i].in, &a, &e);
		if (row[i].kind < 0) {
			assert_int_equal(r, -ERR_INVALID);
			assert_true(strlen(e.text) > 10);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(a.kind, row[i].kind);
		assert_string_equal(a.name, row[i].name);
		assert_string_equal(a.container, row[i].container);
		struct buf b;
		buf_init(&b, 0);
		assert_int_equal(plat_alias_put(&a, &b), 0);
		assert_string_equal(buf_cstr(&b), row[i].out);
		buf_free(&b);
	}
	char longname[600] = "deployment.";
	memset(longname + 11, 'a', 500);
	struct plat_alias a;
	assert_int_equal(plat_alias_parse(longname, &a, NULL), -ERR_INVALID);
}

static void
test_cluster_label(void **state)
{
	static const struct {
		const char *in, *out; /* out NULL: only checked for form */
	} row[] = {
	    {"east", "east"},
	    {"eu-1", "eu-1"},
	    {"East", NULL},
	    {"a_b", NULL},
	    {"arn:aws:eks:eu-west-1:1234:cluster/Some_Cluster-with-long-name",
		NULL},
	    {"x-", NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(row); i++) {
		char out[64];
		plat_cluster_label(row[i].in, out);
		assert_true(plat_name_ok(out));
		assert_true(strlen(out) <= 49);
		if (row[i].out != NULL)
			assert_string_equal(out, row[i].out);
	}
	char a[64], b[64];
	plat_cluster_label("East", a);
	plat_cluster_label("eAst", b);
	assert_string_not_equal(a, b);
}

static cJSON *
parse(const char *s)
{
	struct err e = {0};
	cJSON *j = json_parse(s, strlen(s), &e);
	assert_non_null(j);
	return j;
}

static void
test_targets_config(void **state)
{
	static const struct {
		const char *json;
		int result;
	} row[] = {
	    {"[]", 0},
	    {"[{\"kind\":\"deployment\",\"name\":\"shop\",\"container\":\"a\","
	     "\"ports\":[80,0,70000],\"labels\":{\"x\":\"y\"},"
	     "\"replicas\":[{\"name\":\"r1\"},{\"name\":\"r1\"},"
	     "{\"name\":\"R\"}]}]",
		0},
	    {"[{\"kind\":\"label\",\"name\":\"x\"}]", -ERR_INVALID},
	    {"[{\"kind\":\"deployment\"}]", -ERR_INVALID},
	    {"[{\"kind\":\"deployment\",\"name\":\"a/b\"}]", -ERR_INVALID},
	    {"[{\"name\":\"x\"}]", -ERR_INVALID},
	    {"[1]", -ERR_INVALID},
	    {"[{\"kind\":\"pod\",\"name\":\"x\"},{\"kind\":\"pod\",\"name\":"
	     "\"x\"}]",
		-ERR_CONFLICT},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(row); i++) {
		struct plat_targets ts;
		plat_targets_init(&ts);
		cJSON *j = parse(row[i].json);
		struct err e = {0};
		assert_int_equal(
		    plat_targets_add_config(&ts, j, "east", &e), row[i].result);
		if (i == 1) {
			struct plat_target *t = plat_target_find(
			    &ts, PLAT_DEPLOYMENT, "default", "shop");
			assert_non_null(t);
			assert_ptr_equal(t,
			    plat_target_by_key(&ts, "deployment/default/shop"));
			assert_int_equal(t->n_ports, 1);
			assert_int_equal(t->n_replicas, 1);
			assert_int_equal(t->n_labels, 1);
			assert_int_equal(plat_target_n_ready(t), 0);
			assert_int_equal(
			    plat_replica_set(&t->replicas[0], true, "10.0.0.1"),
			    0);
			assert_int_equal(plat_target_n_ready(t), 1);
			assert_null(plat_replica_find(t, "r2"));
		}
		cJSON_Delete(j);
		plat_targets_free(&ts);
	}
}

static void
test_targets_reload_keeps_state(void **state)
{
	(void)state;
	struct plat_targets a, b;
	plat_targets_init(&a);
	plat_targets_init(&b);
	cJSON *j = parse("[{\"kind\":\"pod\",\"name\":\"x\",\"replicas\":"
			 "[{\"name\":\"r\"},{\"name\":\"s\"}]}]");
	assert_int_equal(plat_targets_add_config(&a, j, "c", NULL), 0);
	assert_int_equal(plat_targets_add_config(&b, j, "c", NULL), 0);
	cJSON_Delete(j);
	struct plat_target *t = plat_target_by_key(&a, "pod/default/x");
	assert_int_equal(plat_replica_set(&t->replicas[1], true, "::1"), 0);
	plat_targets_keep_state(&b, &a);
	t = plat_target_by_key(&b, "pod/default/x");
	assert_false(t->replicas[0].ready);
	assert_true(t->replicas[1].ready);
	assert_string_equal(t->replicas[1].address, "::1");
	plat_targets_free(&a);
	plat_targets_free(&b);
}

static void
test_targets_merge(void **state)
{
	(void)state;
	struct plat_targets east, all;
	plat_targets_init(&east);
	plat_targets_init(&all);
	cJSON *j = parse("[{\"kind\":\"statefulset\",\"name\":\"db\","
			 "\"container\":\"pg\",\"ports\":[5432],\"replicas\":"
			 "[{\"name\":\"db-0\"}]}]");
	assert_int_equal(plat_targets_add_config(&east, j, "east", NULL), 0);
	cJSON_Delete(j);
	assert_int_equal(plat_targets_merge(&all, &east), 0);
	struct plat_target *t =
	    plat_target_by_key(&east, "statefulset/default/db");
	cJSON *item = plat_target_json(t);
	assert_int_equal(plat_targets_merge_json(&all, item, "west", NULL), 0);
	cJSON_Delete(item);
	assert_int_equal(all.count, 1);
	t = plat_target_by_key(&all, "statefulset/default/db");
	assert_int_equal(t->n_clusters, 2);
	assert_string_equal(t->clusters[1], "west");
	assert_string_equal(t->container, "pg");
	assert_int_equal(t->ports[0], 5432);
	/* a foreign operator shows no status */
	item = parse("{\"metadata\":{\"namespace\":\"n\"},\"spec\":{"
		     "\"target\":{\"pod\":\"p\",\"container\":null}}}");
	assert_int_equal(plat_targets_merge_json(&all, item, "x", NULL), 0);
	cJSON_Delete(item);
	static const char *bad[] = {
	    "{}",
	    "[]",
	    "7",
	    "{\"metadata\":{\"namespace\":\"n\"}}",
	    "{\"metadata\":{\"namespace\":\"n\"},\"spec\":{\"target\":7}}",
	    "{\"metadata\":{},\"spec\":{\"target\":{\"pod\":\"p\"}}}",
	    "{\"metadata\":{\"namespace\":\"n\"},\"spec\":{\"target\":{"
	    "\"pod\":\"../p\"}}}",
	};
	for (size_t i = 0; i < N_OF(bad); i++) {
		item = parse(bad[i]);
		assert_int_equal(plat_targets_merge_json(&all, item, "x", NULL),
		    -ERR_INVALID);
		cJSON_Delete(item);
	}
	assert_int_equal(all.count, 2);
	plat_targets_free(&all);
	plat_targets_free(&east);
}

struct dirs {
	char root[64], sessions[96], closed[96];
	struct plat_store *store;
};

static int
setup_dirs(void **state)
{
	struct dirs *d = calloc(1, sizeof(*d));
	strcpy(d->root, "/tmp/trib-plat-XXXXXX");
	assert_non_null(mkdtemp(d->root));
	snprintf(d->sessions, sizeof(d->sessions), "%s/sessions", d->root);
	snprintf(d->closed, sizeof(d->closed), "%s/closed", d->root);
	assert_int_equal(mkdir(d->sessions, 0700), 0);
	assert_int_equal(mkdir(d->closed, 0700), 0);
	d->store = plat_store_new(
	    open(d->sessions, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    open(d->closed, O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL);
	assert_non_null(d->store);
	*state = d;
	return 0;
}

static void
remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	for (struct dirent *de; dir != NULL && (de = readdir(dir)) != NULL;) {
		if (strcmp(de->d_name, ".") != 0 &&
		    strcmp(de->d_name, "..") != 0 &&
		    unlinkat(dirfd(dir), de->d_name, 0) != 0)
			(void)unlinkat(dirfd(dir), de->d_name, AT_REMOVEDIR);
	}
	if (dir != NULL)
		closedir(dir);
	(void)rmdir(path);
}

static int
teardown_dirs(void **state)
{
	struct dirs *d = *state;
	plat_store_free(&d->store);
	remove_dir(d->sessions);
	remove_dir(d->closed);
	remove_dir(d->root);
	free(d);
	return 0;
}

static void
put_file(const char *dir, const char *file, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int
count_files(const char *dir, const char *part)
{
	DIR *d = opendir(dir);
	int n = 0;
	for (struct dirent *de; (de = readdir(d)) != NULL;)
		n += strstr(de->d_name, part) != NULL;
	closedir(d);
	return n;
}

struct seen {
	int n;
	char names[256];
};

static void
on_record(void *arg, const char *name, const cJSON *record)
{
	struct seen *s = arg;
	s->n++;
	strcat(s->names, name);
	strcat(s->names, json_str(record, "x", "?"));
}

static void
test_store_round_trip(void **state)
{
	struct dirs *d = *state;
	struct err e = {0};
	cJSON *j = parse("{\"x\":\"=1\"}");
	assert_int_equal(plat_store_put(d->store, "mc-1", j, &e), 0);
	assert_int_equal(plat_store_put(d->store, "mc-1", j, &e), 0);
	static const char *bad[] = {"", "../x", "a/b", "A", ".x", "x."};
	for (size_t i = 0; i < N_OF(bad); i++) {
		assert_int_equal(
		    plat_store_put(d->store, bad[i], j, &e), -ERR_INVALID);
		assert_int_equal(
		    plat_store_remove(d->store, bad[i], &e), -ERR_INVALID);
	}
	cJSON_Delete(j);
	struct seen s = {0};
	assert_int_equal(plat_store_load(d->store, on_record, &s, &e), 0);
	assert_string_equal(s.names, "mc-1=1");
	assert_int_equal(plat_store_remove(d->store, "mc-1", &e), 0);
	assert_int_equal(plat_store_remove(d->store, "mc-1", &e), 0);
	memset(&s, 0, sizeof(s));
	assert_int_equal(plat_store_load(d->store, on_record, &s, &e), 0);
	assert_int_equal(s.n, 0);
}

static void
test_store_corruption(void **state)
{
	struct dirs *d = *state;
	struct err e = {0};
	put_file(d->sessions, "good.json", "{\"x\":\"ok\"}");
	put_file(d->sessions, "empty.json", "");
	put_file(d->sessions, "cut.json", "{\"x\":");
	put_file(d->sessions, "list.json", "[]");
	put_file(d->sessions, "tail.json", "{} {}");
	put_file(d->sessions, "binary.json", "\001\002\377");
	put_file(d->sessions, ".left.json.tmp", "{\"x\":\"half\"}");
	put_file(d->sessions, "other.txt", "not ours");
	char path[256];
	snprintf(path, sizeof(path), "%s/link.json", d->sessions);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	snprintf(path, sizeof(path), "%s/dir.json", d->sessions);
	assert_int_equal(mkdir(path, 0700), 0);
	struct seen s = {0};
	assert_int_equal(plat_store_load(d->store, on_record, &s, &e), 0);
	assert_string_equal(s.names, "goodok");
	assert_int_equal(count_files(d->sessions, ".bad-"), 7);
	assert_int_equal(count_files(d->sessions, ".tmp"), 0);
	assert_int_equal(count_files(d->sessions, "other.txt"), 1);
	/* what parses but makes no sense */
	plat_store_set_aside(d->store, "good", "no owner");
	memset(&s, 0, sizeof(s));
	assert_int_equal(plat_store_load(d->store, on_record, &s, &e), 0);
	assert_int_equal(s.n, 0);
	assert_int_equal(count_files(d->sessions, ".bad-"), 8);
}

static void
test_closed(void **state)
{
	struct dirs *d = *state;
	struct plat_closed c = {.reason = "Killed", .message = "by root"}, got;
	assert_false(plat_closed_find(d->store, "mc-1", 1000, &got));
	assert_int_equal(plat_closed_add(d->store, "mc-1", &c, 1000, NULL), 0);
	assert_int_equal(plat_closed_add(d->store, "mc-2", &c, 1200, NULL), 0);
	assert_int_equal(
	    plat_closed_add(d->store, "../x", &c, 1, NULL), -ERR_INVALID);
	assert_true(plat_closed_find(d->store, "mc-1", 1299, &got));
	assert_string_equal(got.reason, "Killed");
	assert_string_equal(got.message, "by root");
	assert_false(plat_closed_find(d->store, "../x", 1299, &got));
	assert_false(plat_closed_find(d->store, "mc-1", 1300, &got));
	assert_true(plat_closed_find(d->store, "mc-2", 1300, &got));
	put_file(d->closed, "junk.json", "{");
	put_file(d->closed, ".x.json.tmp", "{");
	plat_closed_expire(d->store, 1400);
	assert_int_equal(count_files(d->closed, "json"), 1);
	plat_closed_expire(d->store, 1500);
	assert_int_equal(count_files(d->closed, "json"), 0);
	/* the clock was set back by an hour */
	assert_int_equal(plat_closed_add(d->store, "mc-3", &c, 9000, NULL), 0);
	assert_false(plat_closed_find(d->store, "mc-3", 5400, &got));
}

static void
test_names(void **state)
{
	static const char *good[] = {"a", "a-b", "a.b", "0", "shop-1.x"};
	static const char *bad[] = {"", "A", "-a", "a-", "a.", ".a", "a..b",
	    "a/b", "a b", "\xc3\xa4", "a.-b"};
	(void)state;
	for (size_t i = 0; i < N_OF(good); i++)
		assert_true(plat_name_ok(good[i]));
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(plat_name_ok(bad[i]));
	for (int k = 0; k < PLAT_N_WORKLOADS; k++) {
		const struct plat_kind_info *i =
		    plat_kind_info((enum plat_kind)k);
		assert_int_equal(plat_kind_by_kind(i->kind), k);
		assert_int_equal(plat_kind_by_plural(i->plural), k);
		assert_int_equal(plat_kind_by_alias(i->alias), k);
	}
	assert_int_equal(plat_kind_by_kind("Node"), -1);
	assert_int_equal(plat_kind_by_plural("nodes"), -1);
}

int
main(void)
{
	log_init("test", LOG_LV_ERROR);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_alias),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_cluster_label),
	    cmocka_unit_test(test_targets_config),
	    cmocka_unit_test(test_targets_reload_keeps_state),
	    cmocka_unit_test(test_targets_merge),
	    cmocka_unit_test_setup_teardown(
		test_store_round_trip, setup_dirs, teardown_dirs),
	    cmocka_unit_test_setup_teardown(
		test_store_corruption, setup_dirs, teardown_dirs),
	    cmocka_unit_test_setup_teardown(
		test_closed, setup_dirs, teardown_dirs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
