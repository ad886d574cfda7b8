/* Label and field selectors. */
#include "config.h"

#include <string.h>

#include "lib/json.h"
#include "tests/unit/unit.h"
#include "workers/own/objects.h"

static cJSON *
parse(const char *text)
{
	struct err e;
	cJSON *o = json_parse(text, strlen(text), &e);
	assert_non_null(o);
	return o;
}

static void
labels(void **state)
{
	static const struct {
		const char *selector;
		int want;
	} row[] = {
	    {"", 1},
	    {"app=web", 1},
	    {"app==web", 1},
	    {"app = web", 1},
	    {"app=shop", 0},
	    {"app!=web", 0},
	    {"app!=mirrord", 1},
	    {"none!=x", 1},
	    {"none=x", 0},
	    {"app!=mirrord,!operator.metalbear.co/owner", 1},
	    {"app=web,tier=front", 1},
	    {"app=web,tier=back", 0},
	    {"app in (a,web)", 1},
	    {"app in (a, b)", 0},
	    {"app in(web)", 1},
	    {"app notin (a,b)", 1},
	    {"app notin (web)", 0},
	    {"none notin (x)", 1},
	    {"none in (x)", 0},
	    {"app", 1},
	    {"none", 0},
	    {"!app", 0},
	    {"!none", 1},
	    {"empty=", 1},
	    {"app=", 0},
	    {"mirrord-branch-id in (a),!x", 0},
	    {"app.kubernetes.io/name=shop", 1},
	    {"app.kubernetes.io/name in (shop)", 1},
	    {"!app.kubernetes.io/name", 0},
	    {"app.kubernetes=x", 0}, /* a key is a key, not a path */
	    {"in", 0},
	    {"in=x", 0},
	    {"in in (x)", 0},
	    {"notin notin (x)", 1},
	    {"app=in", 0},
	    {"app in (web", -ERR_INVALID},
	    {"app in (web;)", -ERR_INVALID},
	    {"app in ((web))", -ERR_INVALID},
	    {"app in (web))", -ERR_INVALID},
	    {"app notin", -ERR_INVALID},
	    {"app notin web", -ERR_INVALID},
	    {"app=web=front", -ERR_INVALID},
	    {"app===web", -ERR_INVALID},
	    {"app!!=web", -ERR_INVALID},
	    {"!!app", -ERR_INVALID},
	    {"! app=web", -ERR_INVALID},
	    {"app>1", -ERR_INVALID},
	    {"app=we\tb", -ERR_INVALID},
	    {"app=w\xc3\xa4", -ERR_INVALID},
	    {"app=%77eb", -ERR_INVALID},
	    {"(app)", -ERR_INVALID},
	    {"=web", -ERR_INVALID},
	    {"app=web tier", -ERR_INVALID},
	    {"app in web", -ERR_INVALID},
	    {"app in (web", -ERR_INVALID},
	    {"app in web)", -ERR_INVALID},
	    {"app=web;x", -ERR_INVALID},
	    {"!", -ERR_INVALID},
	    {",", -ERR_INVALID},
	    {"app,,tier", -ERR_INVALID},
	    {"app=\"web\"", -ERR_INVALID},
	};
	cJSON *o = parse("{\"app\":\"web\",\"tier\":\"front\",\"empty\":\"\","
			 "\"app.kubernetes.io/name\":\"shop\"}");
	(void)state;
	for (size_t i = 0; i < N_OF(row); i++) {
		struct err e = {0};
		int r = own_labels_match(row[i].selector, o, &e);
		if (r != row[i].want)
			fail_msg("\"%s\": %d", row[i].selector, r);
	}
	assert_int_equal(own_labels_match("app!=x", NULL, NULL), 1);
	assert_int_equal(own_labels_match("app=x", NULL, NULL), 0);
	char long_key[1000];
	memset(long_key, 'a', sizeof(long_key) - 1);
	long_key[sizeof(long_key) - 1] = '\0';
	assert_int_equal(own_labels_match(long_key, o, NULL), -ERR_INVALID);
	char many[600] = "";
	for (int i = 0; i < 100; i++)
		strcat(many, "app,");
	assert_int_equal(own_labels_match(many, o, NULL), -ERR_INVALID);
	cJSON_Delete(o);
}

static void
fields(void **state)
{
	static const struct {
		const char *selector;
		int want;
	} row[] = {
	    {"", 1},
	    {"status.phase=Running", 1},
	    {"status.phase==Running", 1},
	    {"status.phase!=Running", 0},
	    {"status.phase=Pending", 0},
	    {"metadata.name=shop-1", 1},
	    {"metadata.name=shop-1,metadata.namespace=default", 1},
	    {"metadata.name=shop-1,metadata.namespace=other", 0},
	    {"spec.session.key=k1\\,a\\=b\\\\", 1},
	    {"spec.session.key=k1", 0},
	    {"spec.session.key=k1\\,a\\=b", 0},
	    {"spec.session.key=k1\\", -ERR_INVALID},
	    {"spec.session.key=k1=b", -ERR_INVALID},
	    {"spec.session.key=k\\1", -ERR_INVALID},
	    {"spec.nodeName=x", -ERR_INVALID},
	    {"status.phase", -ERR_INVALID},
	    {"=x", -ERR_INVALID},
	    {"status.phase!=", 1},
	    {"metadata.name=", 0},
	    {"metadata.namespace!=other,status.phase!=Pending", 1},
	    {"spec.session.key!=k1\\,a\\=b\\\\,status.phase=Running", 0},
	    {"spec.session.key=\\", -ERR_INVALID},
	    {"spec.session.key=a\\nb", -ERR_INVALID},
	    {"spec.session", -ERR_INVALID},
	    {"spec.session=x", -ERR_INVALID},
	    {"status=x", -ERR_INVALID},
	    {"status.phase>=x", -ERR_INVALID},
	    {"!status.phase", -ERR_INVALID},
	    {"status.phase in (Running)", -ERR_INVALID},
	    {",", -ERR_INVALID},
	    {"status.phase=Running,,", -ERR_INVALID},
	    {"nonsense", -ERR_INVALID},
	};
	cJSON *o = parse("{\"metadata\":{\"name\":\"shop-1\",\"namespace\":"
			 "\"default\"},\"status\":{\"phase\":\"Running\"},"
			 "\"spec\":{\"session\":{\"key\":\"k1,a=b\\\\\"}}}");
	(void)state;
	for (size_t i = 0; i < N_OF(row); i++) {
		struct err e = {0};
		int r = own_fields_match(row[i].selector, o, &e);
		if (r != row[i].want)
			fail_msg("\"%s\": %d", row[i].selector, r);
		if (r < 0)
			assert_true(strlen(e.text) > 10);
	}
	cJSON_Delete(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(labels),
	    cmocka_unit_test(fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
