/*
 * The connector between played peers: what it may connect to, for whom; names
 * from the hosts text, from a name server of the test's own, and not at all.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "tests/unit/unit.h"
#include "tests/unit/workers/rig.h"
#include "workers/connector/connector.h"

/* ---- pure parts ---- */

static void
test_url(void **state)
{
	static const struct {
		const char *url, *host;
		uint16_t port;
	} good[] = {
	    {"https://a", "a", 443},
	    {"https://a.b.c/", "a.b.c", 443},
	    {"https://a:8443/x:1", "a", 8443},
	    {"https://10.0.0.1:65535?q", "10.0.0.1", 65535},
	    {"https://[::1]", "::1", 443},
	    {"https://[fd00::2]:6443/", "fd00::2", 6443},
	};
	static const char *const bad[] = {"", "http://a", "https://",
	    "https:///x", "https://:1", "https://a:", "https://a:0",
	    "https://a:65536", "https://a:1x", "https://[::1", "https://[]:1",
	    "https://[::1]x", "https://[::1]:", "https://u@h", "https://a:-1",
	    "https://u:p@h:1", "ftp://a", "a:1"};
	struct con_endpoint e;
	char big[400] = "https://";

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		assert_int_equal(con_url_parse(good[i].url, &e), 0);
		assert_string_equal(e.host, good[i].host);
		assert_int_equal(e.port, good[i].port);
	}
	for (size_t i = 0; i < N_OF(bad); i++) {
		if (con_url_parse(bad[i], &e) == 0)
			fail_msg("%s was accepted", bad[i]);
	}
	memset(big + 8, 'a', 300);
	assert_int_equal(con_url_parse(big, &e), -ERR_INVALID);
}

static void
test_cidr(void **state)
{
	static const struct {
		const char *cidr, *ip;
		bool in;
	} rows[] = {
	    {"10.0.0.0/8", "10.255.0.1", true},
	    {"10.0.0.0/8", "11.0.0.1", false},
	    {"10.1.2.0/23", "10.1.3.9", true},
	    {"10.1.2.0/23", "10.1.4.0", false},
	    {"0.0.0.0/0", "1.2.3.4", true},
	    {"1.2.3.4/32", "1.2.3.4", true},
	    {"1.2.3.4/32", "1.2.3.5", false},
	    {"fd00::/8", "fdff::1", true},
	    {"fd00::/8", "fe00::1", false},
	    {"::/0", "::1", true},
	    {"::/0", "1.2.3.4", false},
	    {"0.0.0.0/0", "::1", false},
	    {"::ffff:0:0/96", "1.2.3.4", false},
	    {"10.0.0.0", "10.0.0.0", false},
	    {"10.0.0.0/33", "10.0.0.0", false},
	    {"10.0.0.0/-1", "10.0.0.0", false},
	    {"10.0.0.0/8x", "10.0.0.0", false},
	    {"10.0.0/8", "10.0.0.0", false},
	    {"fd00::/129", "fd00::", false},
	    {"", "10.0.0.0", false},
	    {"/8", "10.0.0.0", false},
	};
	struct con_ip ip;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		assert_true(con_ip_parse(rows[i].ip, &ip));
		if (con_cidr_contains(rows[i].cidr, &ip) != rows[i].in)
			fail_msg("%s in %s", rows[i].ip, rows[i].cidr);
	}
	assert_false(con_ip_parse("1.2.3", &ip));
	assert_false(con_ip_parse("a", &ip));
	assert_false(con_ip_parse("", &ip));
	assert_false(con_ip_parse("1.2.3.4 ", &ip));
}

static struct span
text(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static void
test_resolv_conf(void **state)
{
	struct con_resolv r;

	(void)state;
	con_resolv_parse(text("# comment\nnameserver 10.0.0.1\r\n"
			      "nameserver\tfd00::53 ; more\n"
			      "nameserver nonsense\nnameserver\n"
			      "search a.example b.example # c\n"
			      "options ndots:5 timeout:1 attempts:99 rotate\n"
			      "nameserver 10.0.0.3\nnameserver 10.0.0.4"),
	    &r);
	assert_int_equal(r.n_servers, 3);
	assert_string_equal(r.servers[0], "10.0.0.1");
	assert_string_equal(r.servers[1], "[fd00::53]");
	assert_string_equal(r.servers[2], "10.0.0.3");
	assert_int_equal(r.n_search, 2);
	assert_string_equal(r.search[1], "b.example");
	assert_string_equal(r.ndots, "5");
	assert_string_equal(r.timeout, "1");
	assert_string_equal(r.attempts, ""); /* out of bounds */
	con_resolv_parse(
	    text("search a b c d e f g h\ndomain z\noptions ndots:x\n"), &r);
	assert_int_equal(r.n_search, 1);
	assert_string_equal(r.search[0], "z");
	assert_string_equal(r.ndots, "");
	con_resolv_parse(text(""), &r);
	assert_int_equal(r.n_servers, 0);
	con_resolv_parse((struct span){(const uint8_t *)"\0\0\n\0", 4}, &r);
	assert_int_equal(r.n_servers, 0);
}

static void
test_hosts(void **state)
{
	const char *hosts = "127.0.0.1 localhost\n"
			    "::1 localhost ip6-localhost # loop\n"
			    "10.0.0.9   api.example  API\n"
			    "nonsense api.example\n10.0.0.9 api.example\n"
			    "10.0.0.10\n";
	struct con_addresses a = {.n = 0};
	char many[1600] = "";
	size_t used = 0;

	(void)state;
	assert_true(con_hosts_find(text(hosts), "localhost", &a));
	assert_int_equal(a.n, 2);
	assert_int_equal(a.ip[1].family, AF_INET6);
	a.n = 0;
	assert_true(con_hosts_find(text(hosts), "api", &a));
	assert_true(con_hosts_find(text(hosts), "API.EXAMPLE", &a));
	assert_int_equal(a.n, 1); /* an address once */
	a.n = 0;
	assert_false(con_hosts_find(text(hosts), "api.exampl", &a));
	assert_false(con_hosts_find(text(hosts), "10.0.0.9", &a));
	assert_false(con_hosts_find(text(""), "x", &a));
	for (int i = 0; i < 40; i++)
		used += (size_t)snprintf(
		    many + used, sizeof(many) - used, "10.9.0.%d many\n", i);
	assert_true(con_hosts_find(text(many), "many", &a));
	assert_int_equal(a.n, CON_ADDRESSES_MAX);
}

/* ---- the worker ---- */

static struct rig rig;
static struct rig_peer *sup, *sec, *clu, *own;
static int listener, dns_fd;
static uint16_t port, dns_port;

static int
bound(int family, int type, uint16_t *port_r)
{
	struct sockaddr_in sa = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(sa);
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*port_r = ntohs(sa.sin_port);
	return fd;
}

static int
setup(void **state)
{
	char config[700];

	(void)state;
	log_set_level(LOG_LV_ERROR);
	listener = bound(AF_INET, SOCK_STREAM, &port);
	assert_int_equal(listen(listener, 16), 0);
	dns_fd = bound(AF_INET, SOCK_DGRAM, &dns_port);
	snprintf(config, sizeof(config),
	    "{\"clusters\":["
	    "{\"name\":\"east\",\"server\":\"https://127.0.0.1:%u\"},"
	    "{\"name\":\"west\",\"server\":\"https://west.example:%u\"},"
	    "{\"name\":\"nowhere\",\"server\":\"https://127.0.0.1:1\"},"
	    "{\"name\":\"broken\",\"server\":\"ftp://x\"}],"
	    "\"agent\":{\"podCidrs\":[\"127.0.0.0/16\",\"fd00::/8\"]}}",
	    port, port);
	rig_init(&rig, &con_ops, config);
	sec = rig_attach(&rig, IPC_SEC, 0, "");
	clu = rig_attach(&rig, IPC_CLU, 0, "east");
	own = rig_attach(&rig, IPC_OWN, 0, "hub");
	sup = rig_attach(&rig, IPC_SUP, 0, "");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_deinit(&rig);
	close(listener);
	close(dns_fd);
	return 0;
}

static void
resolver(const char *conf, const char *hosts)
{
	struct ipc_resolver m = {text(conf), text(hosts)};

	rig_send(sup, IPC_RESOLVER, 0, 0, 0, &m);
	rig_settle(&rig);
}

/* The answer to one CONNECT, as text; the descriptor in *fd_r (or -1). */
static const char *
ask(struct rig_peer *p, uint8_t kind, const char *name, uint16_t to, int *fd_r)
{
	static char answer[1500];
	struct ipc_connect m = {77, kind, name, to};
	struct rig_msg *r;

	rig_send(p, IPC_CONNECT, 0, 0, 0, &m);
	r = rig_expect(p, IPC_CONNECTED);
	snprintf(answer, sizeof(answer), "%s", r->text);
	assert_non_null(strstr(answer, "request=77"));
	*fd_r = r->fd;
	r->fd = -1;
	rig_msg_free(&r);
	return answer;
}

static void
assert_refused(struct rig_peer *p, uint8_t kind, const char *name, uint16_t to,
    const char *why)
{
	int fd;
	const char *got = ask(p, kind, name, to, &fd);

	assert_int_equal(fd, -1);
	if (strstr(got, why) == NULL)
		fail_msg("%s: %s", name, got);
}

static void
assert_connected(
    struct rig_peer *p, uint8_t kind, const char *name, uint16_t to)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	int fd;
	const char *got = ask(p, kind, name, to, &fd);

	if (fd < 0)
		fail_msg("%s: %s", name, got);
	assert_non_null(strstr(got, "address=\"127.0.0.1:"));
	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	assert_int_equal(ntohs(peer.sin_port), port);
	close(fd);
}

static void
test_who_may_what(void **state)
{
	(void)state;
	resolver("", "127.0.0.1 west.example\n");
	assert_connected(clu, CON_CLUSTER, "east", 0);
	assert_connected(sec, CON_CLUSTER, "east", 0);
	assert_connected(sec, CON_CLUSTER, "west", 0);
	assert_connected(own, CON_POD, "127.0.0.1", port);
	assert_refused(clu, CON_CLUSTER, "west", 0, "may not connect to west");
	assert_refused(own, CON_CLUSTER, "east", 0, "connects to no cluster");
	assert_refused(sec, CON_CLUSTER, "south", 0, "is not configured");
	assert_refused(sec, CON_CLUSTER, "broken", 0, "is malformed");
	assert_refused(sec, CON_CLUSTER, "", 0, "is not configured");
	assert_refused(sec, CON_SERVICE, "sts", 0, "no service sts");
	assert_refused(sec, 9, "x", 0, "unknown kind");
	assert_refused(clu, CON_POD, "127.0.0.1", port, "only the own cluster");
	assert_refused(sec, CON_POD, "127.0.0.1", port, "only the own cluster");
	assert_refused(own, CON_POD, "127.0.0.1", 1023, "is below 1024");
	assert_refused(own, CON_POD, "127.1.0.1", port, "outside");
	assert_refused(own, CON_POD, "10.0.0.1", port, "outside");
	assert_refused(own, CON_POD, "::1", port, "outside");
	assert_refused(own, CON_POD, "west.example", port, "must be a literal");
	assert_refused(own, CON_POD, "", port, "must be a literal");
}

static void
test_failures(void **state)
{
	(void)state;
	resolver("", "");
	assert_refused(sec, CON_CLUSTER, "nowhere", 0,
	    "cannot connect to 127.0.0.1 port 1: 127.0.0.1:1: Connection "
	    "refused");
	/* Neither a name server nor a line in hosts. */
	assert_refused(
	    sec, CON_CLUSTER, "west", 0, "cannot connect to west.example");
	/* The second address works. */
	resolver("", "127.0.0.77 west.example\n127.0.0.1 west.example\n");
	assert_connected(sec, CON_CLUSTER, "west", 0);
}

static void
test_limit_and_cancel(void **state)
{
	struct ipc_connect m = {1, CON_CLUSTER, "west", 0};
	struct con *con = rig.w.state;
	int n = 0;

	(void)state;
	/* A name server that never answers keeps them waiting. */
	resolver("nameserver 127.0.0.99\n", "");
	for (uint32_t i = 0; i < CON_DIALS_PER_PEER + 5; i++) {
		m.request = i;
		rig_send(sec, IPC_CONNECT, 0, 0, 0, &m);
	}
	rig_settle(&rig);
	for (; rig_count(sec, IPC_CONNECTED) > 0; n++) {
		struct rig_msg *r = rig_expect(sec, IPC_CONNECTED);

		assert_non_null(strstr(r->text, "too many connects"));
		rig_msg_free(&r);
	}
	assert_int_equal(n, 5);
	assert_false(list_empty(&con->dials));
	rig_detach(sec);
	rig_settle(&rig);
	assert_true(list_empty(&con->dials));
	/* New texts while nothing is under way, and while something is. */
	rig_send(clu, IPC_CONNECT, 0, 0, 0, &m);
	resolver("nameserver 127.0.0.98\n", "");
}

/* Answers one question of the connector's: the header turned, one record. */
static bool
dns_answer(uint16_t want_type, const void *rdata, uint16_t n)
{
	uint8_t q[512], head[12] = {0xc0, 12, 0, (uint8_t)want_type, 0, 1, 0, 0,
			    0, 60, 0, (uint8_t)n};
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t got =
	    recvfrom(dns_fd, q, 400, 0, (struct sockaddr *)&from, &len);
	uint16_t type;

	if (got < 17)
		return false;
	type = (uint16_t)(q[got - 4] << 8 | q[got - 3]);
	q[2] = 0x81;
	q[3] = 0x80;
	q[7] = type == want_type;
	if (type == want_type) {
		memcpy(q + got, head, 12);
		memcpy(q + got + 12, rdata, n);
		got += 12 + n;
	}
	assert_int_equal(
	    sendto(dns_fd, q, (size_t)got, 0, (struct sockaddr *)&from, len),
	    got);
	return true;
}

static bool
dns_answered(void *arg)
{
	static const uint8_t address[4] = {127, 0, 0, 1};
	unsigned *n = arg;

	*n += dns_answer(1, address, 4);
	return *n >= 2; /* A and AAAA */
}

/* resolv.conf knows no port: the test's server is where servers are. */
static bool
dns_on_53(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_port = htons(53),
	    .sin_addr = {htonl(0x7f003535)}}; /* 127.0.53.53 */

	close(dns_fd);
	dns_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return bind(dns_fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
}

static void
test_name_server(void **state)
{
	struct ipc_connect m = {5, CON_CLUSTER, "west", 0};
	struct rig_msg *r;
	unsigned n = 0;

	(void)state;
	if (!dns_on_53())
		skip(); /* no right to that port */
	resolver("nameserver 127.0.53.53\n", "");
	rig_send(sec, IPC_CONNECT, 0, 0, 0, &m);
	rig_until(&rig, dns_answered, &n);
	r = rig_expect(sec, IPC_CONNECTED);
	assert_true(r->fd >= 0);
	rig_msg_free(&r);
	/* A name that is not there. */
	n = 0;
	rig_send(sec, IPC_CONNECT, 0, 0, 0, &m);
	while (n < 2) {
		uint8_t q[512];
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t got =
		    recvfrom(dns_fd, q, 400, 0, (struct sockaddr *)&from, &len);

		ev_loop_turn(rig.w.loop, false);
		if (got < 17)
			continue;
		n++;
		q[2] = 0x81;
		q[3] = 0x83; /* NXDOMAIN */
		assert_int_equal(sendto(dns_fd, q, (size_t)got, 0,
				     (struct sockaddr *)&from, len),
		    got);
	}
	r = rig_expect(sec, IPC_CONNECTED);
	assert_int_equal(r->fd, -1);
	assert_non_null(strstr(r->text, "name does not exist"));
	rig_msg_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_url),
	    cmocka_unit_test(test_cidr),
	    cmocka_unit_test(test_resolv_conf),
	    cmocka_unit_test(test_hosts),
	    cmocka_unit_test_setup_teardown(test_who_may_what, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_limit_and_cancel, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_name_server, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
