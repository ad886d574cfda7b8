/*
 * The small encoders, what the encoder refuses, hostile counts and memory
 * limits, and JSON that is no message.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "lib/str.h"
#include "protocol/pm_msg.h"
#include "tests/unit/protocol/pm_rows.h"

/* out holds exactly these bytes; empties it for the next. */
static void
expect_hex(struct buf *out, int rc, const char *hex)
{
	struct buf text = {0};

	assert_int_equal(rc, 0);
	assert_int_equal(str_hex_encode(&text, buf_data(out), out->len), 0);
	assert_string_equal(buf_cstr(&text), hex);
	buf_free(&text);
	buf_clear(out);
}

static void
test_daemon_messages(void **state)
{
	struct buf b = {0};
	struct pm_ResponseError err = {PM_ResponseError_ForbiddenWithReason,
	    {.ForbiddenWithReason = {
		 .blocked_action = {PM_BlockedAction_Mirror, {.Mirror = 80}},
		 .reason = PM_STR("no")}}};

	(void)state;
	expect_hex(&b, pm_put_close(&b, PM_STR("bye")), "0003627965");
	expect_hex(&b, pm_put_pong(&b), "07");
	expect_hex(&b, pm_put_version_response(&b, PM_STR("1.29.0")),
	    "0b06312e32392e30");
	expect_hex(
	    &b, pm_put_operator_ping(&b, (struct pm_u128){0, 251}), "0dfbfb00");
	expect_hex(&b, pm_put_operator_ping(&b, (struct pm_u128){1, 2}),
	    "0dfe02000000000000000100000000000000");
	expect_hex(
	    &b, pm_put_log(&b, PM_LogLevel_Error, PM_STR("x")), "05017801");
	expect_hex(&b, pm_put_tcp_close(&b, PM_DaemonMessage_Tcp, 5), "010205");
	expect_hex(&b, pm_put_tcp_close(&b, PM_DaemonMessage_TcpSteal, 300),
	    "0202fb2c01");
	expect_hex(&b, pm_put_subscribe_ok(&b, PM_DaemonMessage_TcpSteal, 8080),
	    "020300fb901f");
	expect_hex(&b, pm_put_subscribe_err(&b, PM_DaemonMessage_Tcp, &err),
	    "0103010c015000026e6f");
	expect_hex(&b,
	    pm_put_outgoing_close(&b, PM_DaemonMessage_TcpOutgoing, 1),
	    "030201");
	expect_hex(&b,
	    pm_put_outgoing_close(&b, PM_DaemonMessage_UdpOutgoing, 2),
	    "040202");
	expect_hex(&b,
	    pm_put_outgoing_close(&b, PM_DaemonMessage_SeqpacketOutgoing, 3),
	    "0f0103");
	buf_free(&b);
}

static void
test_client_messages(void **state)
{
	struct buf b = {0};

	(void)state;
	expect_hex(&b, pm_put_client_close(&b), "00");
	expect_hex(&b, pm_put_ping(&b), "07");
	expect_hex(&b, pm_put_version(&b, PM_STR("1.2.2")), "0a05312e322e32");
	expect_hex(&b, pm_put_ready_for_logs(&b), "0b");
	expect_hex(
	    &b, pm_put_operator_pong(&b, (struct pm_u128){0, 7}), "0e07");
	expect_hex(&b,
	    pm_put_unsubscribe_connection(&b, PM_ClientMessage_Tcp, 7),
	    "010107");
	expect_hex(&b,
	    pm_put_unsubscribe_connection(&b, PM_ClientMessage_TcpSteal, 7),
	    "020107");
	expect_hex(&b, pm_put_unsubscribe_port(&b, PM_ClientMessage_Tcp, 80),
	    "010250");
	expect_hex(&b,
	    pm_put_unsubscribe_port(&b, PM_ClientMessage_TcpSteal, 80),
	    "020250");
	buf_free(&b);
}

static void
test_messages_refused(void **state)
{
	struct buf b = {0};
	struct pm_ResponseError err = {.tag = PM_ResponseError_COUNT};

	(void)state;
	assert_int_equal(buf_append(&b, "keep", 4), 0);
	assert_int_not_equal(pm_put_close(&b, PM_STR("\xff")), 0);
	assert_int_not_equal(pm_put_version(&b, PM_STR("1.2")), 0);
	assert_int_not_equal(pm_put_version_response(&b, PM_STR("")), 0);
	assert_int_not_equal(pm_put_log(&b, PM_LogLevel_COUNT, PM_STR("x")), 0);
	assert_int_not_equal(pm_put_log(&b, 0, PM_STR("\xed\xa0\x80")), 0);
	assert_int_not_equal(pm_put_tcp_close(&b, PM_DaemonMessage_File, 1), 0);
	assert_int_not_equal(pm_put_subscribe_ok(&b, 99, 1), 0);
	assert_int_not_equal(
	    pm_put_subscribe_err(&b, PM_DaemonMessage_Tcp, &err), 0);
	assert_int_not_equal(
	    pm_put_outgoing_close(&b, PM_DaemonMessage_Tcp, 1), 0);
	assert_int_not_equal(
	    pm_put_unsubscribe_connection(&b, PM_ClientMessage_Ping, 1), 0);
	assert_int_not_equal(
	    pm_put_unsubscribe_port(&b, PM_ClientMessage_Ping, 1), 0);
	assert_int_equal(b.len, 4); /* nothing half-written */
	buf_free(&b);
}

/* An HTTP response that is right but for what the caller changes. */
static struct pm_ClientMessage
response(struct pm_header *header, struct span *value)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpSteal};
	struct pm_InternalHttpResponse_bytes *r;

	*value = (struct span){(const uint8_t *)"v", 1};
	*header = (struct pm_header){PM_STR("x-a"), {1, value}};
	m.u.TcpSteal.tag = PM_LayerTcpSteal_HttpResponse;
	r = &m.u.TcpSteal.u.HttpResponse.internal_response;
	r->status = 200;
	r->version = PM_STR("HTTP/1.1");
	r->headers = (struct pm_headers){1, header};
	return m;
}

static void
test_encode_refuses(void **state)
{
	struct pm_header header;
	struct span value;
	struct buf b = {0};
	struct err e = {0};

	(void)state;
	for (int bad = 0; bad < 9; bad++) {
		struct pm_ClientMessage m = response(&header, &value);
		struct pm_InternalHttpResponse_bytes *r =
		    &m.u.TcpSteal.u.HttpResponse.internal_response;
		int want = -ERR_INVALID;

		if (bad == 0)
			want = 0; /* nothing wrong */
		else if (bad == 1)
			r->status = 99;
		else if (bad == 2)
			r->status = 1000;
		else if (bad == 3)
			r->version = PM_STR("HTTP/2");
		else if (bad == 4)
			header.name = PM_STR("a b");
		else if (bad == 5)
			value = (struct span){(const uint8_t *)"a\n", 2};
		else if (bad == 6)
			m.tag = PM_ClientMessage_COUNT;
		else if (bad == 7)
			m.u.TcpSteal.tag = 7;
		else
			r->headers.n = PM_HEADERS_MAX + 1;
		buf_clear(&b);
		assert_int_equal(pm_encode_client(&m, &b, &e), want);
		assert_int_equal(b.len > 0, want == 0);
	}
	buf_free(&b);
}

static void
test_encode_full(void **state)
{
	static const uint8_t body[4096];
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_Tcp,
	    .u.Tcp = {PM_DaemonTcp_Data, {.Data = {1, {body, sizeof(body)}}}}};
	struct buf b;

	(void)state;
	buf_init(&b, 2000);
	assert_int_equal(buf_append(&b, "keep", 4), 0);
	assert_int_equal(pm_encode_daemon(&m, &b, NULL), -ERR_TOO_BIG);
	assert_int_equal(b.len, 4);
	m.u.Tcp.u.Data.bytes.n = (size_t)PM_LEN_MAX_BYTES + 1;
	assert_int_equal(pm_encode_daemon(&m, &b, NULL), -ERR_TOO_BIG);
	assert_int_equal(b.len, 4);
	buf_free(&b);
}

/* Claims of every size in front of little: no memory goes by the claim. */
static void
test_claims(void **state)
{
	static const char *const t[] = {
	    "06fcffffff03",                    /* 2^26 set items */
	    "060004fd00000000000000800001",    /* few bytes, more claimed */
	    "06fd00000000010000000141",        /* 2^32 */
	    "06fdffffffffffffffff0141",        /* 2^64 - 1 */
	    "010350020 1fdffffffffffffffff00", /* filters */
	    "010350020 1fcffffff03000178",
	    "020550050000c808485454502f312e3100fcffffff0300",
	    "020450050000c808485454502f312e31fb0060 0161",
	};
	struct arena a;

	(void)state;
	arena_init(&a, 4096);
	for (size_t i = 0; i < N_OF(t); i++) {
		char hex[256];
		size_t n = 0;
		struct buf b = {0};
		struct message m;
		int rc;

		for (const char *c = t[i]; *c != '\0'; c++)
			if (*c != ' ')
				hex[n++] = *c;
		unhex(hex, n, &b);
		arena_reset(&a);
		rc = message_decode(
		    &a, PM_CLIENT, buf_data(&b), b.len, NULL, &m, NULL);
		assert_true(rc == -ERR_TRUNCATED || rc == -ERR_INVALID);
		buf_free(&b);
	}
	arena_free(&a);
}

/* A full arena is an error, at whichever allocation it comes. */
static void
test_memory(void **state)
{
	struct rows rows;

	(void)state;
	rows_load(&rows);
	for (size_t max = 16; max < 4096; max += 16)
		for (size_t i = 0; i < rows.n; i += max % 64 == 0 ? 1 : 7) {
			const struct row *r = &rows.v[i];
			struct arena a;
			struct message m;
			int rc;

			if (!r->valid || r->hex.len > 4000)
				continue;
			arena_init(&a, max);
			rc = message_decode(&a, r->dir, buf_data(&r->hex),
			    r->hex.len, NULL, &m, NULL);
			assert_true(rc == 0 || rc == -ERR_NOMEM);
			arena_reset(&a);
			rc = message_parse(
			    &a, r->dir, r->json.p, r->json.n, &m, NULL);
			assert_true(rc == 0 || rc == -ERR_NOMEM);
			arena_free(&a);
		}
	rows_free(&rows);
}

static void
test_json_refused(void **state)
{
	/* client messages, ' for " */
	static const char *const t[] = {"", " ", "null", "1", "[]", "{}",
	    "'ping'", "'Ping", "Ping", "'Ping' x", "'Ping''Ping'",
	    "{'Ping':null}", "{'Ping'}", "'Tcp'", "{'Tcp'}", "{'Tcp':}",
	    "{'Tcp':'Close'}", "{'Tcp':{'PortSubscribe':-1}}",
	    "{'Tcp':{'PortSubscribe':65536}}",
	    "{'Tcp':{'PortSubscribe':'65536'}}",
	    "{'Tcp':{'PortSubscribe':1.0}}", "{'Tcp':{'PortSubscribe':1e1}}",
	    "{'Tcp':{'PortSubscribe':01}}", "{'Tcp':{'PortSubscribe':''}}",
	    "{'Tcp':{'PortSubscribe':null}}", "{'Tcp':{'PortSubscribe':80}",
	    "{'Tcp':{'PortSubscribe':80}}}",
	    "{'Tcp':{'PortSubscribe':80},'Tcp':{'PortSubscribe':80}}",
	    "{'Tcp':{'PortSubscribe':80,'PortUnsubscribe':80}}",
	    "{'Tcp':{'PortSubscribeFilteredHttp':[80]}}",
	    "{'Tcp':{'PortSubscribeFilteredHttp':[80,{'Path':'x'},1]}}",
	    "{'Tcp':{'PortSubscribeFilteredHttp':80}}",
	    "{'Tcp':{'ConnectionUnsubscribe':18446744073709551616}}",
	    "{'TcpSteal':{'Data':{'connection_id':1}}}",
	    "{'TcpSteal':{'Data':{'connection_id':1,'bytes':'0'}}}",
	    "{'TcpSteal':{'Data':{'connection_id':1,'bytes':'0g'}}}",
	    "{'TcpSteal':{'Data':{'connection_id':1,'bytes':null}}}",
	    "{'TcpSteal':{'Data':{'connection_id':1,'connection_id':1}}}",
	    "{'TcpSteal':{'Data':{'bytes':'','connection_id':1,'x':1}}}",
	    "{'TcpSteal':{'Data':{'bytes':'','connection_id':1,}}}",
	    "{'TcpSteal':{'Data':[1,'']}}", "{'TcpSteal':{'Data':{}}}",
	    "{'PauseTargetRequest':1}", "{'PauseTargetRequest':tru}",
	    "{'PauseTargetRequest':'true'}", "{'SwitchProtocolVersion':'1.2'}",
	    "{'SwitchProtocolVersion':1}",
	    "{'GetAddrInfoRequest':{'node':'\\'}}",
	    "{'GetAddrInfoRequest':{'node':'\\x'}}",
	    "{'GetAddrInfoRequest':{'node':'\\u12'}}",
	    "{'GetAddrInfoRequest':{'node':'\\ud800'}}",
	    "{'GetAddrInfoRequest':{'node':'\\ud800\\u0041'}}",
	    "{'GetAddrInfoRequest':{'node':'\\udc00'}}",
	    "{'GetAddrInfoRequest':{'node':'\xff'}}",
	    "{'GetAddrInfoRequest':{'node':'\n'}}",
	    "{'GetEnvVarsRequest':{'env_vars_filter':[1],"
	    "'env_vars_select':[]}}",
	    "{'GetEnvVarsRequest':{'env_vars_filter':['a',],"
	    "'env_vars_select':[]}}",
	    "{'GetEnvVarsRequest':{'env_vars_filter':['a'"
	    "'b'],'env_vars_select':[]}}",
	    "{'GetEnvVarsRequest':{'env_vars_filter':{},"
	    "'env_vars_select':[]}}",
	    "{'FileRequest':{'Ftruncate':{'fd':1,"
	    "'length':9223372036854775808}}}",
	    "{'FileRequest':{'Ftruncate':{'fd':1,"
	    "'length':-9223372036854775809}}}",
	    "{'FileRequest':{'Futimens':{'fd':1,'times':[]}}}",
	    "{'FileRequest':{'Futimens':{'fd':1,'times':"
	    "[{'tv_sec':1,'tv_nsec':1}]}}}",
	    "{'OperatorPong':340282366920938463463374607431768211456}",
	    "{'OperatorPong':-1}", "{'ReverseDnsLookup':{'ip_address':''}}",
	    "{'ReverseDnsLookup':{'ip_address':'1.2.3'}}",
	    "{'TcpOutgoing':{'ConnectV2':{'uid':'x','remote_address':"
	    "{'Unix':'Unnamed'}}}}",
	    "{'TcpOutgoing':{'Connect':{'remote_address':{'Ip':'::1'}}}}"};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		struct buf text = {0};
		struct arena a;
		struct message m;
		struct err e = {0};

		arena_init(&a, 0);
		for (const char *c = t[i]; *c != '\0'; c++)
			assert_int_equal(buf_append_u8(&text,
					     *c == '\'' ? '"' : (uint8_t)*c),
			    0);
		print_message("%s\n", t[i]);
		assert_int_equal(message_parse(&a, PM_CLIENT,
				     (char *)buf_data(&text), text.len, &m, &e),
		    -ERR_INVALID);
		assert_in_range(e.offset, 0, text.len);
		assert_string_not_equal(e.text, "");
		buf_free(&text);
		arena_free(&a);
	}
}

/* Headers in JSON: order of members, hex values, repeated names. */
static void
test_json_headers(void **state)
{
	static const struct {
		const char *headers;
		const char *hex; /* NULL: refused */
	} t[] = {
	    {"[]", "00"},
	    {"[{'name':'X-A','values':['1']}]", "0103782d61010131"},
	    {"[{'values':['1'],'name':'x-a'}]", "0103782d61010131"},
	    {"[{'name':'a','values':[{'hex':'FF09'}]}]", "01016101 02ff09"},
	    {"[{'name':'a','values':['\\u00fc']}]", "01016101 02c3bc"},
	    {"[{'name':'a','values':['1']},{'name':'A','values':['2']}]",
		"010161010132"},
	    {"[{'name':'a','values':[]}]", "00"},
	    {"[{'name':'a','values':['\\n']}]", NULL},
	    {"[{'name':'a','values':[{'hex':'00'}]}]", NULL},
	    {"[{'name':'a','values':[{'Hex':'41'}]}]", NULL},
	    {"[{'name':'a','values':'1'}]", NULL},
	    {"[{'name':'a'}]", NULL},
	    {"[{'values':[]}]", NULL},
	    {"[{'name':'a','name':'b','values':[]}]", NULL},
	    {"[{'name':'','values':[]}]", NULL},
	    {"[{'name':'a b','values':[]}]", NULL},
	    {"{'a':'1'}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		struct buf text = {0}, out = {0}, want = {0};
		struct arena a;
		struct message m;
		char hex[128];
		size_t n = 0;
		int rc;

		arena_init(&a, 0);
		assert_int_equal(
		    buf_printf(&text,
			"{'TcpSteal':{'HttpResponse':{'port':1,"
			"'connection_id':2,'request_id':3,"
			"'internal_response':{'status':200,'version':"
			"'HTTP/1.1','headers':%s,'body':''}}}}",
			t[i].headers),
		    0);
		for (size_t k = 0; k < text.len; k++)
			if (buf_data(&text)[k] == '\'')
				buf_data(&text)[k] = '"';
		rc = message_parse(
		    &a, PM_CLIENT, (char *)buf_data(&text), text.len, &m, NULL);
		print_message("%s\n", t[i].headers);
		assert_int_equal(rc, t[i].hex == NULL ? -ERR_INVALID : 0);
		if (rc == 0) {
			assert_int_equal(message_encode(&m, &out, NULL), 0);
			for (const char *c = t[i].hex; *c != '\0'; c++)
				if (*c != ' ')
					hex[n++] = *c;
			unhex(hex, n, &want);
			/* 15 bytes in front, the empty body behind */
			assert_int_equal(out.len, 15 + want.len + 1);
			assert_memory_equal(
			    buf_data(&out) + 15, buf_data(&want), want.len);
		}
		buf_free(&text);
		buf_free(&out);
		buf_free(&want);
		arena_free(&a);
	}
}

static void
test_names(void **state)
{
	(void)state;
	assert_string_equal(pm_kind_name(PM_CLIENT, 2), "TcpSteal");
	assert_string_equal(pm_kind_name(PM_DAEMON, 15), "SeqpacketOutgoing");
	assert_string_equal(pm_kind_name(PM_DAEMON, 16), "?");
	assert_string_equal(pm_kind_name(PM_CLIENT, 255), "?");
	assert_string_equal(pm_sub_name(PM_CLIENT, 2, 3), "Data");
	assert_string_equal(pm_sub_name(PM_CLIENT, 2, 7), "?");
	assert_string_equal(pm_sub_name(PM_CLIENT, 7, 0), "?");
	assert_string_equal(pm_sub_name(PM_DAEMON, 8, 0), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_daemon_messages),
	    cmocka_unit_test(test_client_messages),
	    cmocka_unit_test(test_messages_refused),
	    cmocka_unit_test(test_encode_refuses),
	    cmocka_unit_test(test_encode_full),
	    cmocka_unit_test(test_claims),
	    cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_json_refused),
	    cmocka_unit_test(test_json_headers),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
