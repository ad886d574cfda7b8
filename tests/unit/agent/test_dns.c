/* Lookups of a client: files of its target, order, limits. */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/agent/rig.h"
#include "tests/unit/unit.h"

/* Nothing listens there, and that is said at once. */
#define NO_SERVER "nameserver 127.0.0.99\noptions timeout:1 attempts:1\n"

static void
ask(struct rig *r, size_t c, const char *name, size_t n, uint32_t family)
{
	struct pm_ClientMessage m = {
	    .tag = PM_ClientMessage_GetAddrInfoRequestV2};

	m.u.GetAddrInfoRequestV2.node = (struct pm_str){name, n};
	m.u.GetAddrInfoRequestV2.family.tag = family;
	rig_send(r, c, &m);
}

static void
answered(struct rig *r, size_t c, struct pm_res_DnsLookup *res)
{
	struct pm_DaemonMessage m;

	rig_want(r, c, PM_DaemonMessage_GetAddrInfoResponse, &m);
	*res = m.u.GetAddrInfoResponse;
}

static void
without_servers(void **state)
{
	static const struct {
		const char *name;
		size_t n;
		uint32_t family;
		size_t count;   /* 0 = an error: */
		uint32_t error; /* PM_ResolveErrorKindInternal_... */
	} rows[] = {
#define NAME(s) s, sizeof(s) - 1
	    {NAME("db"), PM_AddressFamily_Ipv4Only, 1, 0},
	    {NAME("DB."), PM_AddressFamily_Ipv6Only, 1, 0},
	    {NAME("db"), PM_AddressFamily_Both, 2, 0},
	    {NAME("db"), PM_AddressFamily_Any, 1, 0},
	    {NAME("db"), PM_AddressFamily_UnknownAddressFamilyFromNewerClient,
		2, 0},
	    {NAME("10.0.0.1"), PM_AddressFamily_Any, 1, 0},
	    {NAME("::1"), PM_AddressFamily_Both, 1, 0},
	    {NAME("localhost"), PM_AddressFamily_Both, 1, 0},
	    {NAME("localhost"), PM_AddressFamily_Ipv6Only, 1, 0},
	    {NAME("10.0.0.1"), PM_AddressFamily_Ipv6Only, 0,
		PM_ResolveErrorKindInternal_NoRecordsFound},
	    {NAME("other"), PM_AddressFamily_Any, 0,
		PM_ResolveErrorKindInternal_NoConnections},
	    {NAME("localhost.evil"), PM_AddressFamily_Any, 0,
		PM_ResolveErrorKindInternal_NoConnections},
	    {NAME(""), PM_AddressFamily_Any, 0,
		PM_ResolveErrorKindInternal_Message},
	    {NAME("a\0b"), PM_AddressFamily_Any, 0,
		PM_ResolveErrorKindInternal_Message},
	    {NAME("a..b"), PM_AddressFamily_Any, 0,
		PM_ResolveErrorKindInternal_Proto},
	};
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_res_DnsLookup res;
	char longest[300];

	rig_file(r, "etc/resolv.conf", NO_SERVER);
	for (size_t i = 0; i < N_OF(rows); i++) {
		ask(r, c, rows[i].name, rows[i].n, rows[i].family);
		answered(r, c, &res);
		assert_int_equal(res.tag, rows[i].count == 0);
		if (rows[i].count > 0)
			assert_int_equal(res.u.Ok.n, rows[i].count);
		else
			assert_int_equal(
			    res.u.Err.u.DnsLookup.kind.tag, rows[i].error);
	}
	memset(longest, 'x', sizeof(longest));
	ask(r, c, longest, sizeof(longest), PM_AddressFamily_Both);
	answered(r, c, &res);
	assert_int_equal(res.u.Err.u.DnsLookup.kind.tag,
	    PM_ResolveErrorKindInternal_Message);
}

static void
no_files(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_res_DnsLookup res;

	ask(r, c, "x", 1, PM_AddressFamily_Both);
	answered(r, c, &res);
	assert_int_equal(res.u.Err.u.DnsLookup.kind.tag,
	    PM_ResolveErrorKindInternal_NotFound);
	ask(r, c, "db", 2, PM_AddressFamily_Both);
	answered(r, c, &res);
	assert_int_equal(res.u.Ok.n, 2);
	assert_int_equal(unlink(rig_path(r, "etc/hosts")), 0);
	ask(r, c, "localhost", 9, PM_AddressFamily_Both);
	answered(r, c, &res);
	assert_int_equal(res.u.Ok.n, 1);
	/* what is no file is no configuration, and hangs nothing */
	assert_int_equal(mkfifo(rig_path(r, "etc/resolv.conf"), 0600), 0);
	assert_int_equal(mkfifo(rig_path(r, "etc/hosts"), 0600), 0);
	ask(r, c, "db", 2, PM_AddressFamily_Both);
	answered(r, c, &res);
	assert_int_equal(res.u.Err.u.DnsLookup.kind.tag,
	    PM_ResolveErrorKindInternal_NotFound);
}

static void
reverse(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *want; /* NULL = no such name */
	} rows[] = {
	    {"\x0f\0\x0a\x07\x07\x07", 6, "db"},
	    {"\x0f\x01\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07", 18, "db"},
	    {"\x0f\0\x0a\x07\x07\x08", 6, NULL},
	};
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_DaemonMessage m;
	const struct pm_res_str *host = &m.u.ReverseDnsLookup.u.Ok.hostname;

	rig_file(r, "etc/resolv.conf", NO_SERVER);
	for (size_t i = 0; i < N_OF(rows); i++) {
		rig_send_bytes(r, c, rows[i].bytes, rows[i].n);
		rig_want(r, c, PM_DaemonMessage_ReverseDnsLookup, &m);
		assert_int_equal(m.u.ReverseDnsLookup.tag, PM_OK);
		assert_int_equal(host->tag, rows[i].want == NULL);
		if (rows[i].want != NULL)
			assert_true(
			    pm_str_eq(host->u.Ok, pm_str(rows[i].want)));
	}
}

/* A thousand requests at once, quick and slow ones: in order, each once. */
static void
order(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	struct pm_res_DnsLookup res;
	struct pm_DaemonMessage m;

	rig_file(r, "etc/resolv.conf", NO_SERVER);
	for (int i = 0; i < 1000; i++) {
		if (i % 3 == 0)
			ask(r, c, "other", 5, PM_AddressFamily_Ipv4Only);
		else
			ask(r, c, "db", 2,
			    i % 3 == 1 ? PM_AddressFamily_Ipv4Only
				       : PM_AddressFamily_Both);
	}
	for (size_t i = 0; i < 1000; i++) {
		answered(r, c, &res);
		assert_int_equal(res.tag, i % 3 == 0);
		if (i % 3 != 0)
			assert_int_equal(res.u.Ok.n, i % 3);
	}
	rig_send_bytes(r, c, "\x07", 1);
	rig_want(r, c, PM_DaemonMessage_Pong, &m);
	/* and a client that leaves in the middle */
	for (int i = 0; i < 100; i++)
		ask(r, c, "other", 5, PM_AddressFamily_Both);
	rig_hang_up(r, c);
	for (int i = 0; i < 5; i++)
		ev_loop_turn(r->a.loop, true);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
	    T(without_servers),
	    T(no_files),
	    T(reverse),
	    T(order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
