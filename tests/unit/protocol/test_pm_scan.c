/* What the scan tells of each message of §10, and where it stops. */
#include "tests/unit/protocol/pm_rows.h"
#include "tests/unit/unit.h"

#define NONE PM_NONE
#define NO_ID PM_SPACE_NONE

static struct rows rows;

static void
test_routes(void **state)
{
	static const struct {
		enum pm_dir dir;
		const char *hex;
		uint8_t kind, sub, sub2;
		enum pm_space space;
		unsigned id, id_offset, id_len;
		bool id_last;
	} t[] = {
	    {PM_CLIENT, "00", 0, NONE, NONE, NO_ID, 0, 0, 0, false},
	    {PM_CLIENT, "07", 7, NONE, NONE, NO_ID, 0, 0, 0, false},
	    {PM_CLIENT, "010109", 1, 1, NONE, PM_SPACE_MIRROR, 9, 2, 1, false},
	    {PM_CLIENT, "0201fbff00", 2, 1, NONE, PM_SPACE_STEAL, 255, 2, 3,
		false},
	    {PM_CLIENT, "0203050241ff", 2, 3, NONE, PM_SPACE_STEAL, 5, 2, 1,
		false},
	    {PM_CLIENT, "020450fb010000c808485454502f312e310000", 2, 4, NONE,
		PM_SPACE_STEAL, 1, 3, 3, false},
	    {PM_CLIENT, "0206005007 00c808485454502f312e310000", 2, 6, 0,
		PM_SPACE_STEAL, 7, 4, 1, false},
	    {PM_CLIENT, "020601010002414201fc0500000000", 2, 6, 1,
		PM_SPACE_STEAL, 5, 9, 5, true},
	    {PM_CLIENT, "0206020800", 2, 6, 2, PM_SPACE_STEAL, 8, 3, 1, false},
	    {PM_CLIENT, "0301030141", 3, 1, NONE, PM_SPACE_TCP, 3, 2, 1, false},
	    {PM_CLIENT, "040204", 4, 2, NONE, PM_SPACE_UDP, 4, 2, 1, false},
	    {PM_CLIENT, "10000500", 16, 0, NONE, PM_SPACE_SEQ, 5, 2, 1, false},
	    {PM_CLIENT, "100106", 16, 1, NONE, PM_SPACE_SEQ, 6, 2, 1, false},
	    {PM_CLIENT, "02000050", 2, 0, 0, NO_ID, 0, 0, 0, false},
	    {PM_CLIENT, "0c01", 12, 1, NONE, NO_ID, 0, 0, 0, false},
	    {PM_DAEMON, "07", 7, NONE, NONE, NO_ID, 0, 0, 0, false},
	    {PM_DAEMON, "0100030001020304050600ffffffff", 1, 0, NONE,
		PM_SPACE_MIRROR, 3, 2, 1, false},
	    {PM_DAEMON, "0207030001020304050600ffffffff00", 2, 7, NONE,
		PM_SPACE_STEAL, 3, 2, 1, false},
	    {PM_DAEMON, "01020a", 1, 2, NONE, PM_SPACE_MIRROR, 10, 2, 1, false},
	    {PM_DAEMON, "020403474554012f0008485454502f312e3100050050", 2, 4,
		NONE, PM_SPACE_STEAL, 5, 19, 1, true},
	    {PM_DAEMON, "01060003474554012f0008485454502f312e310005 0050", 1, 6,
		0, PM_SPACE_MIRROR, 5, 20, 1, true},
	    {PM_DAEMON, "02060100010b00", 2, 6, 1, PM_SPACE_STEAL, 11, 5, 1,
		true},
	    {PM_DAEMON, "0206040c000161", 2, 6, 4, PM_SPACE_STEAL, 12, 3, 1,
		false},
	    {PM_DAEMON, "03010007024142", 3, 1, NONE, PM_SPACE_TCP, 7, 3, 1,
		false},
	    {PM_DAEMON, "040208", 4, 2, NONE, PM_SPACE_UDP, 8, 2, 1, false},
	    {PM_DAEMON, "0f000009024142", 15, 0, NONE, PM_SPACE_SEQ, 9, 3, 1,
		false},
	    {PM_DAEMON, "0f010a", 15, 1, NONE, PM_SPACE_SEQ, 10, 2, 1, false},
	    {PM_DAEMON, "060300fb0001", 6, 3, NONE, NO_ID, 0, 0, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		char hex[256];
		size_t n = 0;
		struct buf b = {0};
		struct pm_route r;

		for (const char *c = t[i].hex; *c != '\0'; c++)
			if (*c != ' ')
				hex[n++] = *c;
		unhex(hex, n, &b);
		print_message("%s\n", t[i].hex);
		assert_int_equal(
		    pm_shallow(t[i].dir, buf_data(&b), b.len, &r, NULL), 0);
		assert_true(r.head_known);
		assert_int_equal(r.kind, t[i].kind);
		assert_int_equal(r.sub, t[i].sub);
		assert_int_equal(r.sub2, t[i].sub2);
		assert_int_equal(r.space, t[i].space);
		assert_int_equal(r.carries_id, t[i].space != NO_ID);
		assert_int_equal(r.id_known, t[i].space != NO_ID);
		assert_int_equal(r.id, t[i].id);
		assert_int_equal(r.id_offset, t[i].id_offset);
		assert_int_equal(r.id_len, t[i].id_len);
		assert_int_equal(r.id_last, t[i].id_last);
		buf_free(&b);
	}
}

/* The bytes of a message given as JSON with ' for ". */
static void
from_json(enum pm_dir dir, const char *json, struct buf *out)
{
	struct buf text = {0};
	struct arena a;
	struct message m;
	struct err e = {0};

	arena_init(&a, 0);
	for (const char *c = json; *c != '\0'; c++)
		assert_int_equal(
		    buf_append_u8(&text, *c == '\'' ? '"' : (uint8_t)*c), 0);
	if (message_parse(&a, dir, (char *)buf_data(&text), text.len, &m, &e) !=
		0 ||
	    message_encode(&m, out, &e) != 0)
		fail_msg("%s: %s at %d", json, e.text, (int)e.offset);
	buf_free(&text);
	arena_free(&a);
}

static void
test_results(void **state)
{
	static const struct {
		enum pm_dir dir;
		const char *json;
		bool is_err;
		uint8_t err_tag;
		int port; /* -1: none */
	} t[] = {
	    {PM_DAEMON, "{'Tcp':{'SubscribeResult':{'Ok':80}}}", false, NONE,
		80},
	    {PM_DAEMON,
		"{'TcpSteal':{'SubscribeResult':{'Err':"
		"{'PortAlreadyStolen':8080}}}}",
		true, PM_ResponseError_PortAlreadyStolen, 8080},
	    {PM_DAEMON,
		"{'TcpSteal':{'SubscribeResult':{'Err':{'Forbidden':"
		"{'blocked_action':{'Steal':{'FilteredHttp':[81,'x']}},"
		"'policy_name':null}}}}}",
		true, PM_ResponseError_Forbidden, 81},
	    {PM_DAEMON,
		"{'Tcp':{'SubscribeResult':{'Err':{'ForbiddenWithReason':"
		"{'blocked_action':{'Mirror':82},'policy_name':'p',"
		"'reason':'r'}}}}}",
		true, PM_ResponseError_ForbiddenWithReason, 82},
	    {PM_DAEMON, "{'Tcp':{'SubscribeResult':{'Err':'NotImplemented'}}}",
		true, PM_ResponseError_NotImplemented, -1},
	    {PM_DAEMON, "{'TcpOutgoing':{'Connect':{'Err':{'NotFile':1}}}}",
		true, PM_ResponseError_NotFile, -1},
	    {PM_DAEMON,
		"{'UdpOutgoing':{'ConnectV2':{'uid':"
		"'00000000-0000-0000-0000-000000000005','connect':"
		"{'Err':'OpenLocal'}}}}",
		true, PM_ResponseError_OpenLocal, -1},
	    {PM_DAEMON, "{'File':{'Rename':{'Err':{'IdsExhausted':'x'}}}}",
		true, PM_ResponseError_IdsExhausted, -1},
	    {PM_DAEMON, "{'File':{'Rename':{'Ok':null}}}", false, NONE, -1},
	    {PM_DAEMON, "{'GetEnvVarsResponse':{'Ok':{'A':'B'}}}", false, NONE,
		-1},
	    /* the outer result counts, not the one inside */
	    {PM_DAEMON,
		"{'ReverseDnsLookup':{'Ok':{'hostname':"
		"{'Err':'NotImplemented'}}}}",
		false, NONE, -1},
	    {PM_DAEMON, "{'ReverseDnsLookup':{'Err':'NotImplemented'}}", true,
		PM_ResponseError_NotImplemented, -1},
	    {PM_CLIENT, "{'Tcp':{'PortSubscribe':8080}}", false, NONE, 8080},
	    {PM_CLIENT,
		"{'Tcp':{'PortSubscribeFilteredHttp':[81,{'Path':'x'}]}}",
		false, NONE, 81},
	    {PM_CLIENT, "{'Tcp':{'PortUnsubscribe':0}}", false, NONE, 0},
	    {PM_CLIENT, "{'TcpSteal':{'PortSubscribe':{'All':83}}}", false,
		NONE, 83},
	    {PM_CLIENT,
		"{'TcpSteal':{'PortSubscribe':{'FilteredHttpEx':"
		"[84,{'Method':{'Other':'x'}}]}}}",
		false, NONE, 84},
	    {PM_CLIENT,
		"{'UdpOutgoing':{'Connect':{'remote_address':"
		"{'Ip':'1.2.3.4:53'}}}}",
		false, NONE, -1},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		struct buf b = {0};
		struct pm_route r;

		from_json(t[i].dir, t[i].json, &b);
		print_message("%s\n", t[i].json);
		assert_int_equal(
		    pm_shallow(t[i].dir, buf_data(&b), b.len, &r, NULL), 0);
		assert_true(r.head_known);
		assert_int_equal(r.is_err, t[i].is_err);
		assert_int_equal(r.err_tag, t[i].err_tag);
		assert_false(r.carries_id);
		assert_int_equal(r.has_port, t[i].port >= 0);
		if (r.has_port)
			assert_int_equal(r.port, t[i].port);
		buf_free(&b);
	}
}

/* ConnectV2's head is complete only behind the uid and the result. */
static void
test_connect_v2(void **state)
{
	struct buf b = {0};
	struct pm_route r;
	size_t n;

	(void)state;
	from_json(PM_DAEMON,
	    "{'TcpOutgoing':{'ConnectV2':{'uid':"
	    "'01234567-89ab-cdef-0123-456789abcdef','connect':{'Ok':"
	    "{'connection_id':300,'remote_address':{'Ip':'[::1]:80'},"
	    "'local_address':{'Unix':{'Abstract':'00ff'}}}}}}}",
	    &b);
	for (n = 0; n < b.len; n++) {
		assert_int_equal(
		    pm_shallow(PM_DAEMON, buf_data(&b), n, &r, NULL),
		    -ERR_TRUNCATED);
		assert_int_equal(r.has_uid, n >= 19);
		assert_int_equal(r.head_known, n >= 20);
		assert_int_equal(r.carries_id, n >= 20);
		assert_int_equal(r.id_known, n >= 23);
	}
	assert_int_equal(r.id, 300);
	assert_int_equal(r.uid.b[0], 0x01);
	assert_int_equal(r.uid.b[15], 0xef);
	assert_int_equal(r.space, PM_SPACE_TCP);
	assert_int_equal(r.since, PM_SINCE_CONNECT_V2);
	buf_free(&b);
}

/* Another id in its place gives the same message with that id. */
static void
test_rewrite(void **state)
{
	static const uint64_t ids[] = {0, 250, 251, 65536, UINT64_MAX};
	struct arena a;
	size_t done = 0;

	(void)state;
	arena_init(&a, 0);
	for (size_t i = 0; i < rows.n; i++) {
		const struct row *r = &rows.v[i];
		struct pm_route was, is;
		struct buf b = {0};
		struct message m;
		uint8_t raw[17];

		if (!r->valid || r->odd || r->hex.len > 2000)
			continue;
		assert_int_equal(pm_shallow(r->dir, buf_data(&r->hex),
				     r->hex.len, &was, NULL),
		    0);
		assert_int_equal(was.id_known, was.carries_id);
		for (size_t k = 0; was.id_known && k < 5; k++, done++) {
			buf_clear(&b);
			arena_reset(&a);
			assert_int_equal(
			    buf_append(&b, buf_data(&r->hex), r->hex.len), 0);
			assert_int_equal(
			    buf_splice(&b, was.id_offset, was.id_len, raw,
				pm_put_varint(raw, ids[k])),
			    0);
			assert_int_equal(
			    pm_shallow(r->dir, buf_data(&b), b.len, &is, NULL),
			    0);
			assert_int_equal(is.id, ids[k]);
			assert_int_equal(is.id_offset, was.id_offset);
			assert_int_equal(is.space, was.space);
			assert_int_equal(
			    message_decode(&a, r->dir, buf_data(&b), b.len,
				NULL, &m, NULL),
			    0);
		}
		buf_free(&b);
	}
	assert_in_range(done, 500, 100000);
	arena_free(&a);
}

static void
test_bad(void **state)
{
	static const struct {
		enum pm_dir dir;
		const char *hex;
		unsigned offset;
	} t[] = {
	    {PM_CLIENT, "12", 0},
	    {PM_CLIENT, "ff", 0},
	    {PM_CLIENT, "fd0100000000000000", 0},
	    {PM_CLIENT, "0104", 1},
	    {PM_CLIENT, "0100fc00000000", 2},
	    {PM_CLIENT, "0101fe", 2},
	    {PM_CLIENT, "0902", 1},
	    {PM_CLIENT, "050902", 2},
	    {PM_CLIENT, "030002", 2},
	    {PM_CLIENT, "03000002", 3},
	    {PM_CLIENT, "0203fd0000000000000000fd0000008000000000", 11},
	    {PM_CLIENT, "0203fcffffffffff", 7},
	    {PM_CLIENT, "020450050063", 5},
	    {PM_CLIENT, "0d0161000500", 4},
	    {PM_CLIENT, "020450050000c800fb0160", 5},
	    {PM_CLIENT, "020450050000fbc800", 5},
	    {PM_DAEMON, "10", 0},
	    {PM_DAEMON, "010302", 2},
	    {PM_DAEMON, "0600010e", 3},
	    {PM_DAEMON, "0800fe", 2},
	    {PM_DAEMON, "08 00fd00000008 00000000", 2},
	    {PM_DAEMON, "0204 0141 0141 fb0160", 6},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		char hex[256];
		size_t n = 0, used = 7;
		struct buf b = {0};
		struct pm_scan s;
		struct err e = {0};

		for (const char *c = t[i].hex; *c != '\0'; c++)
			if (*c != ' ')
				hex[n++] = *c;
		unhex(hex, n, &b);
		print_message("%s\n", t[i].hex);
		pm_scan_init(&s, t[i].dir);
		assert_int_equal(
		    pm_scan_feed(&s, buf_data(&b), b.len, &used, &e),
		    -ERR_INVALID);
		assert_int_equal(e.offset, t[i].offset);
		assert_string_not_equal(e.text, "");
		/* a broken stream stays broken */
		assert_int_equal(
		    pm_scan_feed(&s, buf_data(&b), b.len, &used, &e),
		    -ERR_INVALID);
		assert_int_equal(
		    pm_scan_feed(&s, NULL, 0, NULL, NULL), -ERR_INVALID);
		buf_free(&b);
	}
}

/* Composite filters n deep; the innermost list is empty. */
static void
nested(struct buf *b, unsigned n)
{
	static const uint8_t head[] = {1, 3, 80}, level[] = {2, 0, 1};

	buf_clear(b);
	assert_int_equal(buf_append(b, head, sizeof(head)), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(buf_append(b, level, sizeof(level)), 0);
	buf_data(b)[b->len - 1] = 0;
}

static void
test_depth(void **state)
{
	struct arena a;
	struct buf b = {0}, out = {0}, text = {0};
	struct message m;
	struct pm_route r;

	(void)state;
	arena_init(&a, 0);
	for (unsigned n = 1; n < 200; n++) {
		int want = n <= PM_COMPOSITE_DEPTH ? 0 : -ERR_INVALID;

		nested(&b, n);
		arena_reset(&a);
		assert_int_equal(message_decode(&a, PM_CLIENT, buf_data(&b),
				     b.len, NULL, &m, NULL),
		    want);
		assert_int_equal(
		    pm_shallow(PM_CLIENT, buf_data(&b), b.len, &r, NULL), want);
		if (want != 0)
			continue;
		buf_clear(&out);
		buf_clear(&text);
		assert_int_equal(message_encode(&m, &out, NULL), 0);
		assert_int_equal(out.len, b.len);
		assert_int_equal(message_print(&m, &text), 0);
		assert_int_equal(
		    message_parse(&a, PM_CLIENT, (char *)buf_data(&text),
			text.len, &m, NULL),
		    0);
	}
	/* a million levels must cost nothing */
	nested(&b, 1000000);
	assert_int_equal(
	    message_decode(&a, PM_CLIENT, buf_data(&b), b.len, NULL, &m, NULL),
	    -ERR_INVALID);
	assert_int_equal(
	    pm_shallow(PM_CLIENT, buf_data(&b), b.len, &r, NULL), -ERR_INVALID);
	/* siblings do not count as depth */
	from_json(PM_CLIENT,
	    "{'Tcp':{'PortSubscribeFilteredHttp':[1,{'Composite':{'all':true,"
	    "'filters':[{'Composite':{'all':true,'filters':[]}},{'Composite':"
	    "{'all':true,'filters':[{'Path':''}]}}]}}]}}",
	    &out);
	buf_free(&b);
	buf_free(&out);
	buf_free(&text);
	arena_free(&a);
}

/* Many messages in one stream, in pieces of every size. */
static void
test_stream(void **state)
{
	struct buf all = {0};
	size_t want = 0;

	(void)state;
	for (size_t i = 0; i < rows.n; i++) {
		const struct row *r = &rows.v[i];

		if (!r->valid || r->dir != PM_DAEMON || r->hex.len > 4000)
			continue;
		want++;
		assert_int_equal(
		    buf_append(&all, buf_data(&r->hex), r->consumed), 0);
	}
	for (size_t piece = 1; piece < 300; piece += 13) {
		struct pm_scan s;
		size_t at = 0, got = 0;

		pm_scan_init(&s, PM_DAEMON);
		while (at < all.len) {
			size_t n = all.len - at < piece ? all.len - at : piece;
			size_t used = n;
			int rc = pm_scan_feed(
			    &s, buf_data(&all) + at, n, &used, NULL);

			assert_true(rc == 0 || rc == -ERR_TRUNCATED);
			if (rc == 0) {
				pm_scan_init(&s, PM_DAEMON);
				got++;
			}
			at += used;
		}
		assert_int_equal(got, want);
	}
	buf_free(&all);
}

static int
load(void **state)
{
	(void)state;
	rows_load(&rows);
	return 0;
}

static int
unload(void **state)
{
	(void)state;
	rows_free(&rows);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_routes),
	    cmocka_unit_test(test_results),
	    cmocka_unit_test(test_connect_v2),
	    cmocka_unit_test(test_rewrite),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_stream),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
