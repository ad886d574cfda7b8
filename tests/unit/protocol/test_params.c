/* Connect parameters: shapes, who may send them, what each child gets. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/str.h"
#include "protocol/params.h"
#include "tests/unit/unit.h"

/* name=value encoded, as a client would. */
static void
put_pair(struct buf *b, const char *name, const char *value)
{
	if (b->len > 0)
		buf_append_u8(b, '&');
	buf_printf(b, "%s=", name);
	assert_int_equal(str_form_encode(b, value, strlen(value)), 0);
}

static const struct {
	const char *name, *value;
	bool ok;
} VALUES[] = {
    {"connect", "true", true},
    {"connect", "false", false},
    {"connect", "1", false},
    {"on_concurrent_steal", "abort", true},
    {"on_concurrent_steal", "continue", true},
    {"on_concurrent_steal", "override", true},
    {"on_concurrent_steal", "Abort", false},
    {"on_concurrent_steal", "", false},
    {"profile", "no-steal", true},
    {"profile", "", true},
    {"profile", "\xff", false},
    {"label_target", "{\"labels\":{\"app\":\"web\"}}", true},
    {"label_target", "{\"labels\":{\"a\":\"b\"},\"container\":\"c\"}", true},
    {"label_target", "{\"labels\":{\"a\":\"b\"},\"container\":null}", true},
    {"label_target", "{\"labels\":{}}", false},
    {"label_target", "{\"labels\":[]}", false},
    {"label_target", "{\"labels\":{\"a\":1}}", false},
    {"label_target", "{\"labels\":{\"a\":\"b\"},\"container\":7}", false},
    {"label_target", "{}", false},
    {"label_target", "[]", false},
    {"label_target", "app=web", false},
    {"kafka_splits", "{\"topic\":{\"k\":\"v\"}}", true},
    {"sqs_splits", "{}", true},
    {"rmq_splits", "{\"q\":{}}", true},
    {"gcp_pubsub_splits", "{\"q\":\"v\"}", false},
    {"azure_service_bus_splits", "{\"q\":{\"a\":1}}", false},
    {"redis_pubsub_splits", "[{}]", false},
    {"temporal_splits", "{", false},
    {"bullmq_splits", "", false},
    {"kafka_jq_filters", "{\"q\":\".a\"}", true},
    {"sqs_jq_filters", "{\"q\":null}", false},
    {"bullmq_jq_filters", "\"x\"", false},
    {"rmq_jq_filters", "{\"*\":\".x\"}", true},
    {"kafka_protobuf_decoding",
	"{\"q\":{\"descriptor_base64\":\"A\",\"message_type\":\"p.M\"}}", true},
    {"kafka_protobuf_decoding", "{\"q\":{\"message_type\":\"p.M\"}}", false},
    {"kafka_protobuf_decoding", "{\"q\":\"x\"}", false},
    {"queue_modes", "{\"topic\":\"mirror\"}", true},
    {"queue_modes", "{\"topic\":\"steal\"}", true},
    {"queue_modes", "{\"topic\":\"other\"}", false},
    {"branch_name", "feat/x", true},
    {"pg_branch_names", "[\"a\",\"b\"]", true},
    {"mysql_branch_names", "[]", true},
    {"mongodb_branch_names", "[1]", false},
    {"branch_db_names", "[\"\"]", false},
    {"branch_db_names", "{}", false},
    {"session_ci_info", "{}", true},
    {"session_ci_info", "{\"provider\":\"p\",\"pipeline\":null}", true},
    {"session_ci_info", "{\"triggeredBy\":[]}", false},
    {"up_session_info", "{\"autoQueueSplitting\":true}", true},
    {"up_session_info", "{\"autoQueueSplitting\":1}", false},
    {"up_session_info", "true", false},
    {"is_default_cluster", "true", true},
    {"is_default_cluster", "yes", false},
    {"multi_cluster", "false", true},
    {"multi_cluster", "", false},
    {"sqs_output_queues", "{\"a\":\"b\"}", true},
    {"rmq_output_queues", "[\"a\"]", false},
    {"output_tmp_resources", "[{\"queueId\":\"q\",\"topic\":{\"a\":\"b\"}}]",
	true},
    {"output_tmp_resources", "[{\"topic\":{}}]", false},
    {"output_tmp_resources", "[{\"queueId\":\"q\",\"topic\":[]}]", false},
    {"output_tmp_resources", "{}", false},
    {"key", "1f3ab", true},
    {"header_filter", "^x-user: dev$", true},
};

static void
test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(VALUES); i++) {
		struct params p;
		struct err e = {0};
		struct buf q;
		int rc;

		buf_init(&q, 0);
		put_pair(&q, VALUES[i].name, VALUES[i].value);
		rc = params_parse(buf_cstr(&q), &p, &e);
		if ((rc == 0) != VALUES[i].ok)
			fail_msg("%s=%s: %d %s", VALUES[i].name,
			    VALUES[i].value, rc, e.text);
		if (rc < 0) {
			assert_int_equal(rc, -ERR_INVALID);
			assert_non_null(strstr(e.text, VALUES[i].name));
		}
		assert_int_equal(p.unknown_count, 0);
		params_free(&p);
		buf_free(&q);
	}
}

static void
test_bad_queries(void **state)
{
	static const struct {
		const char *query;
		int rc;
	} rows[] = {
	    {"connect=true&connect=true", -ERR_INVALID},
	    {"key=a&profile=b&key=a", -ERR_INVALID},
	    {"key=%", -ERR_INVALID},
	    {"key=%00", -ERR_INVALID},
	    {"%zz=a", -ERR_INVALID},
	    {"kafka_splits=%7B%7D%7D", -ERR_INVALID},
	    {"", 0},
	    {"?", 0},
	    {"&connect=true&", 0},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct params p;
		struct err e = {0};

		assert_int_equal(
		    params_parse(rows[i].query, &p, &e), rows[i].rc);
		params_free(&p);
	}
}

static void
test_bounds(void **state)
{
	struct params p;
	struct err e = {0};
	struct buf q;
	char *deep;

	(void)state;
	buf_init(&q, 4 << 20);
	for (int i = 0; i < 20; i++)
		buf_printf(&q, "&unknown%d=%d", i, i);
	assert_int_equal(params_parse(buf_cstr(&q), &p, &e), 0);
	assert_int_equal(p.unknown_count, 20);
	assert_string_equal(p.unknown[0], "unknown0");
	params_free(&p);
	for (int i = 0; i < 300; i++)
		buf_printf(&q, "&u%d=%d", i, i);
	assert_int_equal(params_parse(buf_cstr(&q), &p, &e), -ERR_TOO_BIG);
	buf_clear(&q);
	buf_printf(&q, "key=");
	for (size_t i = 0; i < PARAMS_MAX_BYTES; i++)
		buf_append_u8(&q, 'k');
	assert_int_equal(params_parse(buf_cstr(&q), &p, &e), -ERR_TOO_BIG);
	buf_clear(&q);
	/* A protobuf descriptor of 256 KiB is taken. */
	buf_printf(&q, "kafka_protobuf_decoding=%%7B%%22q%%22%%3A%%7B%%22"
		       "message_type%%22%%3A%%22m%%22%%2C%%22descriptor_"
		       "base64%%22%%3A%%22");
	for (size_t i = 0; i < 256 << 10; i++)
		buf_append_u8(&q, 'A');
	buf_printf(&q, "%%22%%7D%%7D");
	if (params_parse(buf_cstr(&q), &p, &e) != 0)
		fail_msg("%s", e.text);
	params_free(&p);
	buf_clear(&q);
	deep = malloc(50001);
	assert_non_null(deep);
	memset(deep, '[', 50000);
	deep[50000] = '\0';
	put_pair(&q, "branch_db_names", deep);
	assert_int_equal(params_parse(buf_cstr(&q), &p, &e), -ERR_INVALID);
	free(deep);
	buf_free(&q);
}

static void
test_header(void **state)
{
	static const struct {
		const char *value;
		int rc;
		const char *key;
	} rows[] = {
	    /* from a capture of the stock client */
	    {"Y29ubmVjdD10cnVlJm9uX2NvbmN1cnJlbnRfc3RlYWw9YWJvcnQmYnJhbmNoX25h"
	     "bWU9ZmVhdCUyRngma2V5PWI4NTQ4",
		0, "b8548"},
	    {"a2V5PWE=", 0, "a"},
	    {"a2V5PWE", 0, "a"},
	    {"", 0, NULL},
	    {"a2V5P*E=", -ERR_INVALID, NULL},
	    {"a2V5PWEAYQ==", -ERR_INVALID, NULL}, /* a NUL */
	    {"a", -ERR_INVALID, NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct params p;
		struct err e = {0};

		assert_int_equal(
		    params_from_header(rows[i].value, &p, &e), rows[i].rc);
		if (rows[i].key != NULL)
			assert_string_equal(p.value[PARAM_KEY], rows[i].key);
		else
			assert_null(p.value[PARAM_KEY]);
		params_free(&p);
	}
}

static void
test_typed(void **state)
{
	struct params p;
	struct err e = {0};

	(void)state;
	assert_int_equal(params_parse("on_concurrent_steal=override&"
				      "multi_cluster=false&is_default_cluster"
				      "=true",
			     &p, &e),
	    0);
	assert_int_equal(p.on_concurrent_steal, PARAMS_STEAL_OVERRIDE);
	assert_false(params_bool(&p, PARAM_MULTI_CLUSTER, true));
	assert_true(params_bool(&p, PARAM_IS_DEFAULT_CLUSTER, false));
	assert_string_equal(params_reserved(&p), "is_default_cluster");
	params_free(&p);
	assert_int_equal(params_parse("connect=true&key=a", &p, &e), 0);
	assert_int_equal(p.on_concurrent_steal, PARAMS_STEAL_ABORT);
	assert_true(params_bool(&p, PARAM_MULTI_CLUSTER, true));
	assert_null(params_reserved(&p));
	params_free(&p);
}

static void
test_refusals(void **state)
{
	static const struct {
		const char *query;
		unsigned can;
		const char *names; /* what the sentence names; NULL: taken */
	} rows[] = {
	    {"connect=true&on_concurrent_steal=abort&key=a&branch_name=x&"
	     "profile=p&multi_cluster=false",
		0, NULL},
	    {"session_ci_info=%7B%7D", 0, NULL},
	    {"pg_branch_names=%5B%22a%22%5D", 0, "db_branches"},
	    {"branch_db_names=%5B%22a%22%5D", 0, "db_branches"},
	    {"pg_branch_names=%5B%22a%22%5D", 1U << PARAM_NEEDS_BRANCHES, NULL},
	    {"sqs_splits=%7B%22q%22%3A%7B%7D%7D", 0, "split_queues"},
	    {"queue_modes=%7B%22q%22%3A%22mirror%22%7D", 0, "split_queues"},
	    {"sqs_jq_filters=%7B%22*%22%3A%22.%22%7D&"
	     "up_session_info=%7B%22autoQueueSplitting%22%3Atrue%7D",
		0, NULL},
	    {"sqs_jq_filters=%7B%22*%22%3A%22.%22%7D&"
	     "up_session_info=%7B%22autoQueueSplitting%22%3Afalse%7D",
		0, "split_queues"},
	    {"label_target=%7B%22labels%22%3A%7B%22a%22%3A%22b%22%7D%7D", 0,
		"label_target"},
	    {"header_filter=x", 0, "http_filter"},
	    {"header_filter=x", 1U << PARAM_NEEDS_HTTP_FILTER, NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct params p;
		struct err e = {0};
		int rc;

		if (params_parse(rows[i].query, &p, &e) < 0)
			fail_msg("%s: %s", rows[i].query, e.text);
		rc = params_refusal(&p, rows[i].can, &e);
		if ((rc < 0) != (rows[i].names != NULL))
			fail_msg("%s: %d", rows[i].query, rc);
		if (rc < 0)
			assert_non_null(strstr(e.text, rows[i].names));
		params_free(&p);
	}
}

#define USER                                                                 \
	"connect=true&on_concurrent_steal=override&profile=p+q&"             \
	"kafka_splits=%7B%22t%22%3A%7B%7D%7D&sqs_splits=%7B+%7D&"            \
	"branch_name=feat%2Fx&pg_branch_names=%5B%22a%22%2C%22b%22%5D&"      \
	"branch_db_names=%5B%22b%22%2C%22c%22%5D&session_ci_info=%7B%7D&"    \
	"up_session_info=%7B%22autoQueueSplitting%22%3Atrue%7D&"             \
	"is_default_cluster=true&sqs_output_queues=%7B%22x%22%3A%22y%22%7D&" \
	"multi_cluster=true&key=k&header_filter=h&unknown=1&"                \
	"label_target=%7B%22labels%22%3A%7B%22a%22%3A%22b%22%7D%7D"

#define ALL_HEAD                                                 \
	"connect=true&on_concurrent_steal=override&profile=p+q&" \
	"kafka_splits=%7B%22t%22%3A%7B%7D%7D&"
#define UP_INFO "up_session_info=%7B%22autoQueueSplitting%22%3Atrue%7D&"

static void
test_children(void **state)
{
	static const struct params_extra unified = {.unified_branches = true};
	static const struct params_extra queues = {
	    .sqs_output_queues = "{\"o\":\"s\"}",
	    .rmq_output_queues = "{}",
	    .output_tmp_resources = "[{\"queueId\":\"q\"}]"};
	static const struct {
		enum params_child child;
		const struct params_extra *extra;
		const char *want;
	} rows[] = {
	    {PARAMS_FOR_DEFAULT, NULL,
		ALL_HEAD
		"branch_name=feat%2Fx&pg_branch_names=%5B%22a%22%2C%22b%22%5D&"
		"branch_db_names=%5B%22b%22%2C%22c%22%5D&" UP_INFO
		"is_default_cluster=true&multi_cluster=false&key=k&"
		"header_filter=h"},
	    {PARAMS_FOR_DEFAULT, &unified,
		ALL_HEAD "branch_name=feat%2Fx&" UP_INFO
			 "is_default_cluster=true&multi_cluster=false&key=k&"
			 "header_filter=h&branch_db_names="
			 "%5B%22a%22%2C%22b%22%2C%22c%22%5D"},
	    {PARAMS_FOR_DEFAULT_PLAIN, &unified,
		ALL_HEAD "branch_name=feat%2Fx&" UP_INFO
			 "is_default_cluster=true&multi_cluster=false&key=k&"
			 "header_filter=h"},
	    {PARAMS_FOR_DEFAULT_STATEFUL, NULL,
		"pg_branch_names=%5B%22a%22%2C%22b%22%5D&"
		"branch_db_names=%5B%22b%22%2C%22c%22%5D"},
	    {PARAMS_FOR_DEFAULT_STATEFUL, &unified,
		"branch_db_names=%5B%22a%22%2C%22b%22%2C%22c%22%5D"},
	    {PARAMS_FOR_OTHER, NULL,
		ALL_HEAD UP_INFO
		"is_default_cluster=false&multi_cluster=false&key=k&"
		"header_filter=h"},
	    {PARAMS_FOR_OTHER, &queues,
		ALL_HEAD UP_INFO
		"is_default_cluster=false&"
		"sqs_output_queues=%7B%22o%22%3A%22s%22%7D&"
		"multi_cluster=false&output_tmp_resources="
		"%5B%7B%22queueId%22%3A%22q%22%7D%5D&key=k&header_filter=h"},
	};
	struct params p;
	struct err e = {0};

	(void)state;
	if (params_parse(USER, &p, &e) < 0)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct params again;
		struct buf out;

		buf_init(&out, 0);
		assert_int_equal(params_put_query(&p, rows[i].child,
				     rows[i].extra, &out, &e),
		    0);
		assert_string_equal(buf_cstr(&out), rows[i].want);
		assert_int_equal(params_parse(buf_cstr(&out), &again, &e), 0);
		params_free(&again);
		buf_free(&out);
	}
	params_free(&p);
}

/* A child's query that has no room fails and says so. */
static void
test_no_room(void **state)
{
	struct params p;
	struct err e = {0};
	struct buf out;

	(void)state;
	assert_int_equal(params_parse("connect=true&key=abc", &p, &e), 0);
	buf_init(&out, 30);
	assert_int_equal(params_put_query(&p, PARAMS_FOR_OTHER, NULL, &out, &e),
	    -ERR_TOO_BIG);
	buf_free(&out);
	params_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_bad_queries),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_header),
	    cmocka_unit_test(test_typed),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_children),
	    cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests_name("params", tests, NULL, NULL);
}
