/* Kubeconfigs: every way to say who and where, and the many wrong ones. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/api.h"
#include "client/kubeconfig_read.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/tributary-test-XXXXXX";

#define HEAD                                                             \
	"current-context: t\n"                                           \
	"contexts:\n"                                                    \
	"- {name: t, context: {cluster: c, user: u, namespace: shop}}\n" \
	"- {name: bare, context: {cluster: c}}\n"                        \
	"- {name: lost, context: {cluster: none, user: u}}\n"            \
	"- {name: odd, context: 7}\n"
#define CLUSTER "clusters:\n- name: c\n  cluster:\n    server: https://h:1\n"
#define USER "users:\n- name: u\n  user:\n"

static const char *
put(const char *name, const char *text)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static void
test_good(void **state)
{
	static const char text[] =
	    HEAD CLUSTER "    certificate-authority-data: Y2EK\n"
			 "    tls-server-name: hub.lab\n" USER
			 "    client-certificate-data: Y2VydA==\n"
			 "    client-key-data: a2V5\n"
			 "    token: secret\n";
	struct cli_kube k;
	struct err e;

	(void)state;
	if (cli_kube_read(put("good", text), NULL, &k, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(k.server, "https://h:1");
	assert_string_equal(k.namespace, "shop");
	assert_string_equal(k.context, "t");
	assert_string_equal(k.token, "secret");
	assert_string_equal(k.tls_server_name, "hub.lab");
	assert_string_equal(buf_cstr(&k.ca_pem), "ca\n");
	assert_string_equal(buf_cstr(&k.cert_pem), "cert");
	assert_string_equal(buf_cstr(&k.key_pem), "key");
	assert_false(k.insecure);
	cli_kube_free(&k);
	assert_int_equal(cli_kube_read(put("good", text), "bare", &k, &e), 0);
	assert_string_equal(k.namespace, "default");
	assert_null(k.token);
	assert_int_equal(k.cert_pem.len, 0);
	cli_kube_free(&k);
}

/* Files are relative to the kubeconfig, whatever the working directory is. */
static void
test_files(void **state)
{
	struct cli_kube k;
	struct err e;
	char text[1024];

	(void)state;
	put("ca.crt", "the ca");
	put("u.crt", "the cert");
	snprintf(text, sizeof(text),
	    HEAD CLUSTER "    certificate-authority: ca.crt\n"
			 "    insecure-skip-tls-verify: true\n" USER
			 "    client-certificate: %s/u.crt\n"
			 "    client-key: u.crt\n"
			 "    tokenFile: %s/token\n",
	    dir, dir);
	put("token", "from a file\n");
	if (cli_kube_read(put("files", text), NULL, &k, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(buf_cstr(&k.ca_pem), "the ca");
	assert_string_equal(buf_cstr(&k.cert_pem), "the cert");
	assert_string_equal(buf_cstr(&k.key_pem), "the cert");
	assert_string_equal(k.token, "from a file");
	assert_true(k.insecure);
	cli_kube_free(&k);
}

static void
test_bad(void **state)
{
	static const struct {
		const char *text, *context, *says;
	} rows[] = {
	    {"", NULL, ""},
	    {"just text", NULL, "not a kubeconfig"},
	    {"- a list", NULL, "not a kubeconfig"},
	    {"a: [1, 2", NULL, ":1:"},
	    {"a: 1\n\tb: 2\n", NULL, ":2:"},
	    {"contexts: []\n", NULL, "current-context"},
	    {"current-context: ''\n", NULL, "current-context"},
	    {"current-context: x\n", NULL, "no context x"},
	    {"current-context: x\ncontexts: 7\n", NULL, "no context x"},
	    {"current-context: x\ncontexts: [7, {name: [x]}]\n", NULL,
		"no context x"},
	    {HEAD, NULL, "no known cluster"},
	    {HEAD CLUSTER, "lost", "no known cluster"},
	    {HEAD CLUSTER, "odd", "no known cluster"},
	    {HEAD CLUSTER, "missing", "no context missing"},
	    {HEAD "clusters:\n- {name: c, cluster: {}}\n", NULL,
		"no https server"},
	    {HEAD "clusters:\n- {name: c, cluster: {server: ''}}\n", NULL,
		"no https server"},
	    {HEAD "clusters:\n- {name: c, cluster: {server: 'http://h'}}\n",
		NULL, "no https server"},
	    {HEAD "clusters:\n- {name: c, cluster: {server: [https://h]}}\n",
		NULL, "no https server"},
	    {HEAD CLUSTER "    certificate-authority-data: '***'\n", NULL,
		"not base64"},
	    {HEAD CLUSTER "    certificate-authority: /no/such/file\n", NULL,
		"/no/such/file"},
	    {HEAD CLUSTER "    certificate-authority: /\n", NULL, "/"},
	    {HEAD CLUSTER USER "    client-certificate-data: '!'\n", NULL,
		"not base64"},
	    {HEAD CLUSTER USER "    client-key: /no/such/key\n", NULL,
		"/no/such/key"},
	    {HEAD CLUSTER USER "    tokenFile: /no/such/token\n", NULL,
		"/no/such/token"},
	    {HEAD CLUSTER USER "    exec: {command: aws}\n", NULL,
		"exec plugin"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct cli_kube k;
		struct err e = {0};

		if (cli_kube_read(
			put("bad", rows[i].text), rows[i].context, &k, &e) >= 0)
			fail_msg("row %zu is accepted", i);
		if (strstr(e.text, rows[i].says) == NULL)
			fail_msg("row %zu: %s", i, e.text);
		assert_null(k.server);
	}
}

static void
test_where(void **state)
{
	struct cli_kube k;
	struct err e;
	char text[256];

	(void)state;
	assert_true(cli_kube_read("/no/such/config", NULL, &k, &e) < 0);
	assert_non_null(strstr(e.text, "/no/such/config"));
	snprintf(text, sizeof(text), "%s:/other", put("env", HEAD CLUSTER));
	setenv("KUBECONFIG", text, 1);
	assert_int_equal(cli_kube_read(NULL, NULL, &k, &e), 0);
	cli_kube_free(&k);
	unsetenv("KUBECONFIG");
	snprintf(text, sizeof(text), "%s/.kube", dir);
	mkdir(text, 0700);
	setenv("HOME", dir, 1);
	assert_true(cli_kube_read(NULL, NULL, &k, &e) < 0);
	put(".kube/config", HEAD CLUSTER);
	assert_int_equal(cli_kube_read(NULL, NULL, &k, &e), 0);
	cli_kube_free(&k);
}

static void
test_servers(void **state)
{
	static const struct {
		const char *server, *host, *port, *host_port, *prefix;
	} rows[] = {
	    {"https://h", "h", "443", "h", ""},
	    {"https://h/", "h", "443", "h", ""},
	    {"https://h:8443", "h", "8443", "h:8443", ""},
	    {"https://h:8443/a/b/", "h", "8443", "h:8443", "/a/b"},
	    {"https://[::1]:8443/x", "::1", "8443", "[::1]:8443", "/x"},
	    {"https://[::1]", "::1", "443", "[::1]", ""},
	    {"https://", NULL, NULL, NULL, NULL},
	    {"https://:8443", NULL, NULL, NULL, NULL},
	    {"https:///path", NULL, NULL, NULL, NULL},
	    {"https://h:123456789", NULL, NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct cli_api api;
		struct err e = {0};
		char text[1024];
		int rc;

		snprintf(text, sizeof(text),
		    HEAD "clusters:\n- name: c\n  cluster:\n    server: '%s'\n"
			 "    insecure-skip-tls-verify: true\n",
		    rows[i].server);
		rc = cli_api_init(&api, NULL, put("server", text), NULL, &e);
		if ((rc == 0) != (rows[i].host != NULL))
			fail_msg("%s: %s", rows[i].server, e.text);
		if (rc == 0) {
			assert_string_equal(api.host, rows[i].host);
			assert_string_equal(api.port, rows[i].port);
			assert_string_equal(api.host_port, rows[i].host_port);
			assert_string_equal(api.prefix, rows[i].prefix);
		}
		cli_api_free(&api);
	}
}

/* A key that is none is found when the context is made, not by a crash. */
static void
test_bad_key(void **state)
{
	static const char text[] =
	    HEAD CLUSTER USER "    client-certificate-data: Y2VydA==\n"
			      "    client-key-data: a2V5\n";
	struct cli_api api;
	struct err e = {0};

	(void)state;
	assert_true(cli_api_init(&api, NULL, put("key", text), NULL, &e) < 0);
	assert_true(strlen(e.text) > 0);
	cli_api_free(&api);
}

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
remove_dir(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good),
	    cmocka_unit_test(test_files), cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_where), cmocka_unit_test(test_servers),
	    cmocka_unit_test(test_bad_key)};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
