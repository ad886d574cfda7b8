/* resolv.conf, hosts and the names to ask for. */
#include "config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dns_conf.h"
#include "tests/unit/unit.h"

static const char *
server(const struct dns_conf *c, size_t i)
{
	static char text[INET6_ADDRSTRLEN];
	const struct sockaddr_in *v4 = (const void *)&c->servers[i];
	const struct sockaddr_in6 *v6 = (const void *)&c->servers[i];

	if (v4->sin_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
	return text;
}

static void
parse(struct dns_conf *c, const char *text)
{
	dns_conf_parse(c, text, strlen(text));
}

static void
usual(void **state)
{
	struct dns_conf c;

	(void)state;
	parse(&c,
	    "# comment\n; other\nnameserver 10.0.0.10\n"
	    "nameserver\tfd00::a # trailing\n"
	    "search ns.svc.cluster.local svc.cluster.local. cluster.local\n"
	    "options ndots:5 timeout:3 attempts:4 rotate edns0\n");
	assert_int_equal(c.server_count, 2);
	assert_string_equal(server(&c, 0), "10.0.0.10");
	assert_string_equal(server(&c, 1), "fd00::a");
	assert_int_equal(c.search_count, 3);
	assert_string_equal(c.search[1], "svc.cluster.local");
	assert_int_equal(c.ndots, 5);
	assert_int_equal(c.timeout_ms, 3000);
	assert_int_equal(c.attempts, 4);
	assert_false(c.use_tcp);
}

static void
details(void **state)
{
	static const struct {
		const char *text;
		size_t servers, search;
		unsigned ndots, timeout_ms, attempts;
		bool tcp;
	} rows[] = {
	    {"", 1, 0, 1, 5000, 2, false}, /* 127.0.0.1 */
	    {"nameserver 1.1.1.1", 1, 0, 1, 5000, 2, false},
	    {"nameserver 1.1.1.1\r\nsearch a\r\n", 1, 1, 1, 5000, 2, false},
	    {"domain a\nsearch b c\n", 1, 2, 1, 5000, 2, false},
	    {"search b c\ndomain a\n", 1, 1, 1, 5000, 2, false},
	    {"search a\nsearch\n", 1, 1, 1, 5000, 2, false},
	    {"search .\n", 1, 0, 1, 5000, 2, false},
	    {"options use-vc", 1, 0, 1, 5000, 2, true},
	    {"options ndots:99 timeout:99 attempts:99", 1, 0, 15, 30000, 5,
		false},
	    {"options ndots:0 timeout:0 attempts:0", 1, 0, 0, 1000, 1, false},
	    {"options ndots: timeout:x attempts:-1 ndots", 1, 0, 1, 5000, 2,
		false},
	    {"options\nsearch", 1, 0, 1, 5000, 2, false},
	    {"optionsndots:3\nnameserverx 1.2.3.4\n", 1, 0, 1, 5000, 2, false},
	    {" nameserver 1.2.3.4\n", 1, 0, 1, 5000, 2, false},
	    {"nameserver\nnameserver nonsense\nnameserver 1.2.3\n", 1, 0, 1,
		5000, 2, false},
	    {"nameserver 1.1.1.1\nnameserver 1.1.1.1\nnameserver 1.1.1.1\n"
	     "nameserver 1.1.1.1\nnameserver 1.1.1.1\nnameserver 1.1.1.1\n"
	     "nameserver 1.1.1.1\nnameserver 1.1.1.1\nnameserver 1.1.1.1\n",
		DNS_SERVERS_MAX, 0, 1, 5000, 2, false},
	    {"search a b c d e f g h i j k l m n o p q r s t\n", 1,
		DNS_SEARCH_MAX, 1, 5000, 2, false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct dns_conf c;

		parse(&c, rows[i].text);
		assert_int_equal(c.server_count, rows[i].servers);
		assert_int_equal(c.search_count, rows[i].search);
		assert_int_equal(c.ndots, rows[i].ndots);
		assert_int_equal(c.timeout_ms, rows[i].timeout_ms);
		assert_int_equal(c.attempts, rows[i].attempts);
		assert_int_equal(c.use_tcp, rows[i].tcp);
	}
}

static void
absurd_lines(void **state)
{
	size_t n = 200000;
	char *text = malloc(n + 64);
	struct dns_conf c;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', n);
	memcpy(text, "nameserver ", 11);
	strcpy(text + n, "\nnameserver 9.9.9.9");
	dns_conf_parse(&c, text, strlen(text));
	assert_int_equal(c.server_count, 1);
	assert_string_equal(server(&c, 0), "9.9.9.9");
	memset(text, 0, n); /* NULs */
	dns_conf_parse(&c, text, n);
	assert_int_equal(c.server_count, 1);
	free(text);
}

static void
hosts(void **state)
{
	static const char text[] = "127.0.0.1 localhost\n"
				   "::1 localhost ip6-localhost\n"
				   "10.0.0.1\tDb.Example.  db # comment db2\n"
				   "10.0.0.2 db\n"
				   "fe80::1%eth0 zone\n"
				   "# 10.9.9.9 hidden\n"
				   "nonsense name\n"
				   "10.0.0.3\n"
				   "10.0.0.4 bad\xff ok . .x x..y z..\r\n"
				   "10.0.0.5 last";
	static const struct {
		const char *name;
		int family;
		size_t count;
		const char *first;
	} rows[] = {
	    {"localhost", AF_INET, 1, "localhost."},
	    {"LOCALHOST", AF_INET6, 1, "LOCALHOST."},
	    {"db", AF_INET, 2, "db."},
	    {"db.", AF_INET, 2, "db."},
	    {"db.example", AF_INET, 1, "db.example."},
	    {"zone", AF_INET6, 1, "zone."},
	    {"ok", AF_INET, 1, "ok."},
	    {"last", AF_INET, 1, "last."},
	    {"db", AF_INET6, 0, NULL},
	    {"db2", AF_INET, 0, NULL},
	    {"hidden", AF_INET, 0, NULL},
	    {"name", AF_INET, 0, NULL},
	    {"", AF_INET, 0, NULL},
	    {".", AF_INET, 0, NULL},
	    {"d", AF_INET, 0, NULL},
	    {"dbx", AF_INET, 0, NULL},
	};
	struct dns_record found[4];
	struct dns_addr addr;
	struct dns_hosts h;

	(void)state;
	assert_int_equal(dns_hosts_parse(&h, text, sizeof(text) - 1), 0);
	for (size_t i = 0; i < N_OF(rows); i++) {
		assert_int_equal(
		    dns_hosts_find(&h, rows[i].name, rows[i].family, found, 4),
		    rows[i].count);
		if (rows[i].count > 0)
			assert_string_equal(found[0].name, rows[i].first);
	}
	assert_int_equal(dns_hosts_find(&h, "db", AF_INET, found, 1), 1);
	assert_true(dns_addr_parse("10.0.0.1", &addr));
	assert_string_equal(dns_hosts_name(&h, &addr), "db.example");
	assert_true(dns_addr_parse("10.0.0.99", &addr));
	assert_null(dns_hosts_name(&h, &addr));
	dns_hosts_free(&h);
	assert_int_equal(dns_hosts_parse(&h, "", 0), 0);
	assert_int_equal(dns_hosts_find(&h, "x", AF_INET, found, 4), 0);
	dns_hosts_free(&h);
}

static void
addresses(void **state)
{
	static const struct {
		const char *text;
		int family; /* 0 = no address */
	} rows[] = {{"1.2.3.4", AF_INET}, {"::", AF_INET6},
	    {"fe80::1%lo", AF_INET6}, {"::ffff:1.2.3.4", AF_INET6}, {"", 0},
	    {"1.2.3", 0}, {"1.2.3.4%lo", 0}, {"1.2.3.256", 0}, {"01.2.3.4", 0},
	    {"g::1", 0}, {"localhost", 0}, {"1.2.3.4.", 0}, {":", 0},
	    {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:ddd",
		0}};
	struct dns_addr a, b;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		assert_int_equal(
		    dns_addr_parse(rows[i].text, &a), rows[i].family != 0);
		if (rows[i].family != 0)
			assert_int_equal(a.family, rows[i].family);
	}
	assert_true(dns_addr_parse("1.2.3.4", &a));
	assert_true(dns_addr_parse("1.2.3.5", &b));
	assert_true(dns_addr_equal(&a, &a));
	assert_false(dns_addr_equal(&a, &b));
	assert_true(dns_addr_parse("::1.2.3.4", &b));
	assert_false(dns_addr_equal(&a, &b));
}

static void
candidates(void **state)
{
	static const struct {
		const char *name;
		const char *want[5];
	} rows[] = {
	    {"web", {"web.a.b.", "web.c.", "web."}},
	    {"web.shop", {"web.shop.a.b.", "web.shop.c.", "web.shop."}},
	    {"x.y.z", {"x.y.z.", "x.y.z.a.b.", "x.y.z.c."}},
	    {"web.", {"web."}},
	    {".", {"."}},
	    {"", {NULL}},
	};
	struct dns_conf c;
	char out[DNS_NAME_MAX + 1], longest[DNS_NAME_MAX + 1];

	(void)state;
	parse(&c, "search a.b c\noptions ndots:2\n");
	for (size_t i = 0; i < N_OF(rows); i++) {
		size_t n = 0;

		while (dns_candidate(&c, rows[i].name, n, out)) {
			assert_true(n < 5 && rows[i].want[n] != NULL);
			assert_string_equal(out, rows[i].want[n]);
			n++;
		}
		assert_null(rows[i].want[n]);
	}
	/* fits alone, not with a search domain */
	memset(longest, 'x', sizeof(longest));
	longest[DNS_NAME_MAX - 1] = '\0';
	assert_true(dns_candidate(&c, longest, 0, out));
	assert_string_equal(out, "");
	assert_true(dns_candidate(&c, longest, 2, out));
	assert_int_equal(strlen(out), DNS_NAME_MAX);
	assert_false(dns_candidate(&c, longest, 3, out));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(usual),
	    cmocka_unit_test(details),
	    cmocka_unit_test(absurd_lines),
	    cmocka_unit_test(hosts),
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(candidates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
