/* The command line and environment of the agent. */
#include "config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "agent/options.h"
#include "tests/unit/unit.h"

enum { ARGS_MAX = 12 };

static int
parse(struct agent_options *o, const char *const *args, struct err *e)
{
	char *argv[ARGS_MAX + 2] = {(char *)(uintptr_t) "tributary-agent"};
	int argc = 1;

	while (args[argc - 1] != NULL) {
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
		argc++;
	}
	return agent_options_parse(o, argc, argv, e);
}

static void
defaults(void **state)
{
	struct agent_options o;
	struct err e;

	(void)state;
	assert_int_equal(parse(&o, (const char *const[]){NULL}, &e), 0);
	assert_int_equal(o.mode, AGENT_TARGETLESS);
	assert_int_equal(o.port, 61337);
	assert_int_equal(o.first_client_s, 30);
	assert_int_equal(o.idle_ttl_s, 0);
	assert_int_equal(o.control_fd, -1);
	assert_int_equal(o.pidfd, -1);
	assert_null(o.container_id);
	assert_null(o.tls_cert_pem);
	assert_false(o.flush_connections);
	assert_int_equal(o.log_level, LOG_LV_ERROR);
}

static void
stock_lines(void **state)
{
	static const struct {
		const char *args[ARGS_MAX];
		enum agent_mode mode;
		unsigned port, secs;
		const char *id;
	} rows[] = {
	    {{"-l", "4000", "-t", "7", "targeted", "--container-id", "abc",
		 "--container-runtime", "docker"},
		AGENT_TARGETED, 4000, 7, "abc"},
	    {{"-l", "4000", "-t", "7", "targeted", "-c", "abc", "-r", "x"},
		AGENT_TARGETED, 4000, 7, "abc"},
	    {{"-l4001", "-t8", "ephemeral"}, AGENT_EPHEMERAL, 4001, 8, NULL},
	    {{"--communicate-port=4002", "--communication-timeout=9",
		 "targetless"},
		AGENT_TARGETLESS, 4002, 9, NULL},
	    {{"--communicate-port", "4003"}, AGENT_TARGETLESS, 4003, 30, NULL},
	    {{"ephemeral", "--mesh", "istio"}, AGENT_EPHEMERAL, 61337, 30,
		NULL},
	    {{"targeted", "--mesh=kuma", "--container-id=i"}, AGENT_TARGETED,
		61337, 30, "i"},
	    {{"--ipv6", "--is-mesh", "--test-error", "--metrics", "1.2.3.4:9",
		 "ephemeral"},
		AGENT_EPHEMERAL, 61337, 30, NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct agent_options o;
		struct err e;

		assert_int_equal(parse(&o, rows[i].args, &e), 0);
		assert_int_equal(o.mode, rows[i].mode);
		assert_int_equal(o.port, rows[i].port);
		assert_int_equal(o.first_client_s, rows[i].secs);
		if (rows[i].id == NULL)
			assert_null(o.container_id);
		else
			assert_string_equal(o.container_id, rows[i].id);
	}
}

static void
standalone_line(void **state)
{
	struct agent_options o;
	struct err e;

	(void)state;
	assert_int_equal(
	    parse(&o,
		(const char *const[]){"--control-fd", "3", "--target-pidfd",
		    "4", "--name", "shop/0", "--log-fd", "5", "--pod-ips",
		    "10.0.0.1,fd00::1", NULL},
		&e),
	    0);
	assert_int_equal(o.mode, AGENT_STANDALONE);
	assert_int_equal(o.control_fd, 3);
	assert_int_equal(o.pidfd, 4);
	assert_int_equal(o.log_fd, 5);
	assert_string_equal(o.name, "shop/0");
	assert_int_equal(o.pod_ip_count, 2);
	assert_int_equal(o.pod_ips[0].family, AF_INET);
	assert_int_equal(ntohl(o.pod_ips[0].u.v4.s_addr), 0x0a000001);
	assert_int_equal(o.pod_ips[1].family, AF_INET6);
}

static void
wrong_lines(void **state)
{
	static const char *const rows[][ARGS_MAX] = {
	    {"--nonsense"},
	    {"-x"},
	    {"--"},
	    {"-l"},
	    {"-l", "65536"},
	    {"-l", "-1"},
	    {"-l", ""},
	    {"-l", "80x"},
	    {"--communicate-port="},
	    {"-t", "1e3"},
	    {"-t", "99999999999999999999"},
	    {"--communication-timeout"},
	    {"both", "ephemeral"},
	    {"ephemeral", "targetless"},
	    {"targeted", "targeted"},
	    {"targeted"},
	    {"targeted", "--container-id"},
	    {"targeted", "--container-id", ""},
	    {"targeted", "--container-id", "x", "-l", "4000"},
	    {"--container-id", "x", "targeted"},
	    {"ephemeral", "--container-id", "x"},
	    {"targetless", "--mesh", "x"},
	    {"--ipv6=true"},
	    {"--is-mesh=1"},
	    {"--control-fd", "3"},
	    {"--target-pidfd", "4"},
	    {"--control-fd", "-3", "--target-pidfd", "4"},
	    {"--control-fd", "3", "--target-pidfd", "4", "targeted",
		"--container-id", "x"},
	    {"--pod-ips", ""},
	    {"--pod-ips", "10.0.0.1,"},
	    {"--pod-ips", "10.0.0.1 ,10.0.0.2"},
	    {"--pod-ips", "10.0.0.256"},
	    {"--pod-ips", "1,2,3"},
	    {"--pod-ips",
		"1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,"
		"1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,"
		"1.1.1.1,1.1.1.1,1.1.1.1"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct agent_options o;
		struct err e;
		size_t n;

		assert_int_equal(parse(&o, rows[i], &e), -ERR_INVALID);
		n = strlen(e.text);
		assert_true(n > 20);
		assert_int_equal(e.text[n - 1], '.');
	}
}

static void
environment(void **state)
{
	static const struct {
		const char *name, *value;
	} vars[] = {
	    {"RUST_LOG", "mirrord=debug,warn"},
	    {"MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS", "true"},
	    {"MIRRORD_AGENT_EXTERNAL_IP_FIX", "true"},
	    {"MIRRORD_AGENT_CLEAN_IPTABLES_ON_START", "true"},
	    {"MIRRORD_AGENT_UNUSED_PORT_LINGER_SECS", "4"},
	    {"MIRRORD_AGENT_IDLE_TTL", "33"},
	    {"MIRRORD_AGENT_DNS_ATTEMPTS", "3"},
	    {"MIRRORD_AGENT_DNS_TIMEOUT", "2"},
	    {"MIRRORD_AGENT_POD_IPS", "10.1.2.3,fd00::7"},
	    {"AGENT_OPERATOR_CERT_ENV", "pem"},
	    {"MIRRORD_AGENT_EPHEMERAL_TARGET_CONTAINER_ID", "cid"},
	};
	struct agent_options o;
	struct err e;

	(void)state;
	for (size_t i = 0; i < N_OF(vars); i++)
		setenv(vars[i].name, vars[i].value, 1);
	assert_int_equal(
	    parse(&o, (const char *const[]){"ephemeral", NULL}, &e), 0);
	assert_int_equal(o.log_level, LOG_LV_DEBUG);
	assert_true(o.flush_connections && o.external_ip_fix);
	assert_true(o.clean_on_start);
	assert_int_equal(o.port_linger_s, 4);
	assert_int_equal(o.idle_ttl_s, 33);
	assert_int_equal(o.dns_attempts, 3);
	assert_int_equal(o.dns_timeout_s, 2);
	assert_int_equal(o.pod_ip_count, 2);
	assert_string_equal(o.tls_cert_pem, "pem");
	assert_string_equal(o.container_id, "cid");
	for (size_t i = 0; i < N_OF(vars); i++)
		unsetenv(vars[i].name);
}

/* Malformed is as if it were not there. */
static void
malformed_environment(void **state)
{
	static const struct {
		const char *name, *value;
	} vars[] = {
	    {"RUST_LOG", "loud"},
	    {"MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS", "TRUE"},
	    {"MIRRORD_AGENT_EXTERNAL_IP_FIX", "1"},
	    {"MIRRORD_AGENT_IDLE_TTL", "-1"},
	    {"MIRRORD_AGENT_IDLE_TTL", "1.5"},
	    {"MIRRORD_AGENT_DNS_ATTEMPTS", "many"},
	    {"MIRRORD_AGENT_POD_IPS", "10.1.2.3,nonsense"},
	    {"MIRRORD_AGENT_POD_IPS", "10.1.2.3 fd00::7"},
	    {"MIRRORD_AGENT_UNUSED_PORT_LINGER_SECS", "0x10"},
	    {"AGENT_OPERATOR_CERT_ENV", ""},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(vars); i++) {
		struct agent_options o, want;
		struct err e;

		assert_int_equal(
		    parse(&want, (const char *const[]){NULL}, &e), 0);
		setenv(vars[i].name, vars[i].value, 1);
		assert_int_equal(parse(&o, (const char *const[]){NULL}, &e), 0);
		unsetenv(vars[i].name);
		assert_memory_equal(&o, &want, sizeof(o));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(stock_lines),
	    cmocka_unit_test(standalone_line),
	    cmocka_unit_test(wrong_lines),
	    cmocka_unit_test(environment),
	    cmocka_unit_test(malformed_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
