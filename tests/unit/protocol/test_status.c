/* Status objects: what is written, and what is made of a peer's answer. */
#include "config.h"

#include <string.h>

#include "lib/json.h"
#include "protocol/status.h"
#include "tests/unit/unit.h"

static void
test_exact_text(void **state)
{
	struct status_details d = {
	    .name = "deployment.web", .kind = "targets", .retry_after_s = 0};
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	assert_int_equal(status_put(&b, STATUS_CONFLICT, NULL, "m"), 0);
	assert_string_equal(buf_cstr(&b),
	    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
	    "\"status\":\"Failure\",\"code\":409,\"reason\":\"Conflict\","
	    "\"message\":\"m\"}");
	buf_clear(&b);
	assert_int_equal(status_put(&b, STATUS_NOT_FOUND, &d, "x"), 0);
	assert_non_null(strstr(buf_cstr(&b),
	    "\"details\":{\"name\":\"deployment.web\",\"kind\":\"targets\"}"));
	buf_clear(&b);
	assert_int_equal(status_put_success(&b, NULL), 0);
	assert_string_equal(buf_cstr(&b),
	    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
	    "\"status\":\"Success\"}");
	buf_free(&b);
}

/* Every reason: the code stands in the body, and none makes a CLI retry. */
static void
test_all_reasons(void **state)
{
	(void)state;
	for (int r = 0; r < STATUS_REASON_COUNT; r++) {
		struct status st;
		struct buf b;
		int code = status_code((enum status_reason)r);

		buf_init(&b, 0);
		assert_int_equal(status_putf(&b, (enum status_reason)r,
				     "why \"%s\" \\ %d", "q", r),
		    0);
		status_parse(&st, 200, buf_data(&b), b.len);
		assert_true(st.is_status);
		assert_false(st.success);
		assert_int_equal(st.code, code);
		assert_string_equal(
		    st.reason, status_reason_name((enum status_reason)r));
		assert_non_null(strstr(st.message, "why \"q\" \\ "));
		if (r != STATUS_STARTING)
			assert_true(code != 429 && code != 503 && code != 504);
		assert_int_equal(status_code(status_from_code(code)), code);
		buf_free(&b);
	}
	assert_int_equal(status_from_code(599), STATUS_INTERNAL);
	assert_int_equal(status_code(STATUS_REASON_COUNT), 500);
}

static void
test_errors_never_retry(void **state)
{
	(void)state;
	for (int c = ERR_OK; c <= ERR_INTERNAL + 3; c++) {
		int code = status_code(status_from_err((enum err_code)c));

		assert_true(
		    code >= 400 && code != 429 && code != 503 && code != 504);
	}
	assert_int_equal(status_from_err(ERR_DENIED), STATUS_FORBIDDEN);
	assert_int_equal(
	    status_from_err(ERR_UNAUTHENTICATED), STATUS_UNAUTHORIZED);
}

static void
test_parse(void **state)
{
	static const struct {
		const char *body;
		bool is_status, success;
		int code;
		const char *reason, *message;
	} rows[] = {
	    {"{}", true, false, 0, "", ""},
	    {"{\"status\":\"Success\"}", true, true, 0, "", ""},
	    {"{\"code\":410,\"reason\":\"ReconnectNotPossible\"}", true, false,
		410, "ReconnectNotPossible", ""},
	    {"{\"code\":\"410\",\"reason\":7,\"message\":null}", true, false, 0,
		"", ""},
	    {"{\"code\":1e99,\"message\":\"a\\nb\"}", true, false, 0, "",
		"a b"},
	    {"{\"code\":-1}", true, false, 0, "", ""},
	    {"", false, false, 404, "", ""},
	    {"[]", false, false, 404, "", "[]"},
	    {"not\x1bjson", false, false, 404, "", "not json"},
	    {"{\"code\":409", false, false, 404, "", "{\"code\":409"},
	    {"{} x", false, false, 404, "", "{} x"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct status st;

		status_parse(&st, 404, rows[i].body, strlen(rows[i].body));
		assert_int_equal(st.is_status, rows[i].is_status);
		assert_int_equal(st.success, rows[i].success);
		assert_int_equal(st.code, rows[i].code);
		assert_string_equal(st.reason, rows[i].reason);
		assert_string_equal(st.message, rows[i].message);
	}
}

/* Long texts are cut between characters; broken ones stay valid JSON. */
static void
test_hard_texts(void **state)
{
	struct buf b;
	struct status st;
	char text[1200];
	cJSON *v;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xbc", 2);
	text[sizeof(text) - 1] = '\0';
	text[sizeof(text) - 2] = '\0';
	buf_init(&b, 0);
	assert_int_equal(status_put(&b, STATUS_INTERNAL, NULL, text), 0);
	status_parse(&st, 500, buf_data(&b), b.len);
	assert_int_equal(strlen(st.message) % 2, 0);
	assert_true(strlen(st.message) > 400);
	buf_clear(&b);
	assert_int_equal(
	    status_put(&b, STATUS_INTERNAL, NULL, "bad \xff\xc3( byte"), 0);
	v = json_parse(buf_data(&b), b.len, NULL);
	assert_non_null(v);
	assert_string_equal(json_str(v, "message", ""), "bad \?\?( byte");
	cJSON_Delete(v);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exact_text),
	    cmocka_unit_test(test_all_reasons),
	    cmocka_unit_test(test_errors_never_retry),
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_hard_texts),
	};

	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
