/* Certificates named or held by the configuration, with real ones. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/cfg.h"
#include "lib/json.h"
#include "lib/str.h"
#include "tests/unit/secrets/sec_fix.h"

struct pair {
	struct buf cert, key;
};

static void
pair_init(struct pair *p)
{
	buf_init(&p->cert, 0);
	buf_init(&p->key, 0);
	sec_fix_pair(10, &p->cert, &p->key);
}

static void
pair_free(struct pair *p)
{
	buf_free(&p->cert);
	buf_free(&p->key);
}

/* The configuration, or NULL with the text of the first problem. */
static struct cfg *
load(const struct sec_fix *f, const char *text, char *first, size_t cap)
{
	struct cfg_env env = {.hostname = "host.lab"};
	struct cfg_problems problems;
	char path[128];
	struct cfg *cfg;

	sec_fix_write(f, "t.yaml", text);
	snprintf(path, sizeof(path), "%s/t.yaml", f->dir);
	first[0] = '\0';
	(void)cfg_load(path, &env, &cfg, &problems);
	if (problems.count > 0)
		snprintf(first, cap, "%s", problems.list[0].text);
	cfg_problems_free(&problems);
	return cfg;
}

static void
tls_text(const struct sec_fix *f, const char *cert, const char *key, char *out,
    size_t cap)
{
	snprintf(out, cap, "tls: {certFile: %s/%s, keyFile: %s/%s}\n", f->dir,
	    cert, f->dir, key);
}

static void
test_own_certificate(void **state)
{
	static const struct {
		const char *cert, *key;
		const char *problem; /* NULL: fine */
	} rows[] = {
	    {"a.crt", "a.key", NULL},
	    {"a.crt", "b.key", "is not that of the first certificate"},
	    {"b.crt", "a.key", "is not that of the first certificate"},
	    {"a.key", "a.key", "holds no PEM certificate"},
	    {"a.crt", "a.crt", "holds no PEM private key"},
	    {"none", "a.key", "cannot be opened"},
	    {"empty", "a.key", "is empty"},
	};
	struct pair a, b;
	struct sec_fix f;

	(void)state;
	sec_fix_init(&f);
	pair_init(&a);
	pair_init(&b);
	sec_fix_write(&f, "a.crt", buf_cstr(&a.cert));
	sec_fix_write(&f, "a.key", buf_cstr(&a.key));
	sec_fix_write(&f, "b.crt", buf_cstr(&b.cert));
	sec_fix_write(&f, "b.key", buf_cstr(&b.key));
	sec_fix_write(&f, "empty", "");
	for (size_t i = 0; i < N_OF(rows); i++) {
		char text[512], first[512];
		struct cfg *cfg;

		tls_text(&f, rows[i].cert, rows[i].key, text, sizeof(text));
		cfg = load(&f, text, first, sizeof(first));
		assert_int_equal(cfg != NULL, rows[i].problem == NULL);
		if (rows[i].problem != NULL &&
		    strstr(first, rows[i].problem) == NULL)
			assert_string_equal(first, rows[i].problem);
		if (cfg != NULL) {
			cJSON *fe = cfg_section(cfg, IPC_FE, NULL);
			cJSON *own = cfg_section(cfg, IPC_OWN, NULL);

			assert_string_equal(
			    cfg_str(cfg, "tls.certPem"), buf_cstr(&a.cert));
			assert_string_equal(
			    json_str(json_at(fe, "tls"), "keyPem", ""),
			    buf_cstr(&a.key));
			assert_null(json_at(own, "tls"));
			cJSON_Delete(fe);
			cJSON_Delete(own);
		}
		cfg_free(&cfg);
	}
	pair_free(&a);
	pair_free(&b);
	sec_fix_deinit(&f);
}

/* Whatever way a CA is given, the worker gets PEM. */
static void
test_cluster_ca(void **state)
{
	struct buf b64, text;
	struct sec_fix f;
	struct pair a;

	(void)state;
	sec_fix_init(&f);
	pair_init(&a);
	sec_fix_write(&f, "ca.crt", buf_cstr(&a.cert));
	buf_init(&b64, 0);
	assert_int_equal(
	    str_base64_encode(&b64, buf_data(&a.cert), a.cert.len, true), 0);
	for (int form = 0; form < 2; form++) {
		const cJSON *cluster;
		char first[512];
		struct cfg *cfg;
		cJSON *clu;

		buf_init(&text, 0);
		assert_int_equal(
		    buf_printf(&text,
			"multiCluster: {defaultCluster: e}\nclusters:\n"
			"  - {name: e, server: https://e, authType: mtls, "),
		    0);
		assert_int_equal(
		    form == 0
			? buf_printf(&text, "caFile: %s/ca.crt}\n", f.dir)
			: buf_printf(&text, "caData: %s}\n", buf_cstr(&b64)),
		    0);
		cfg = load(&f, buf_cstr(&text), first, sizeof(first));
		assert_string_equal(first, "");
		assert_non_null(cfg);
		clu = cfg_section(cfg, IPC_CLU, "e");
		cluster = json_at(clu, "cluster");
		assert_string_equal(
		    json_str(cluster, "caData", ""), buf_cstr(&a.cert));
		cJSON_Delete(clu);
		cfg_free(&cfg);
		buf_free(&text);
	}
	buf_free(&b64);
	pair_free(&a);
	sec_fix_deinit(&f);
}

static void
test_cluster_ca_bad(void **state)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
	    {"x", "holds no PEM certificate"},
	    {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"holds no PEM certificate"},
	    {"", "is empty"},
	};
	struct sec_fix f;

	(void)state;
	sec_fix_init(&f);
	for (size_t i = 0; i < N_OF(rows); i++) {
		char text[512], first[512];
		struct cfg *cfg;

		sec_fix_write(&f, "ca.crt", rows[i].text);
		snprintf(text, sizeof(text),
		    "multiCluster: {defaultCluster: e}\nclusters: [{name: e, "
		    "server: https://e, authType: mtls, caFile: %s/ca.crt}]\n",
		    f.dir);
		cfg = load(&f, text, first, sizeof(first));
		assert_null(cfg);
		assert_non_null(strstr(first, rows[i].problem));
	}
	sec_fix_deinit(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_own_certificate),
	    cmocka_unit_test(test_cluster_ca),
	    cmocka_unit_test(test_cluster_ca_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
