/*
 * cmd_kubeconfig: a user's way in. The key is made here and only its public
 * half travels to the daemon, which answers with a certificate of its login
 * CA.
 */
#include "config.h"

#include <getopt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/cmd_admin.h"
#include "client/control.h"
#include "lib/buf.h"
#include "lib/json.h"
#include "lib/str.h"

static const char usage[] =
    "usage: tributary kubeconfig USER [options]\n"
    "\n"
    "Writes a kubeconfig with a fresh key and a certificate for USER, for\n"
    "tributary, kubectl and mirrord. Run it on the daemon's host, as root or\n"
    "as a member of the group tributary.\n"
    "\n"
    "  --group GROUP      a group of the user; may be repeated\n"
    "  --ttl TIME         how long the certificate is valid (90d)\n"
    "  --out FILE         where to, mode 0600 (standard output)\n"
    "  --credentials DIR  tls.crt, tls.key and ca.crt instead, as a primary\n"
    "                     wants them under credentials/CLUSTER\n"
    "  --instance NAME    which daemon (default)\n"
    "  --control PATH     its control socket\n"
    "\n"
    "examples:\n"
    "  tributary kubeconfig ada --group dev --out ada.kubeconfig\n"
    "  tributary kubeconfig hub --instance east --credentials \\\n"
    "      /var/lib/tributaryd/hub/credentials/east\n";

struct options {
	struct cli_control control;
	const char *user;
	const char *out;
	const char *credentials;
	cJSON *groups; /* owned */
	int64_t ttl_s; /* 0: the daemon's choice */
};

/* CLI_OK, or the exit code. *help: it was asked for. */
static int
parse(int argc, char **argv, struct options *o, bool *help)
{
	static const struct option longs[] = {
	    {"group", required_argument, NULL, 'g'},
	    {"ttl", required_argument, NULL, 't'},
	    {"out", required_argument, NULL, 'o'},
	    {"credentials", required_argument, NULL, 'c'},
	    {"instance", required_argument, NULL, 'i'},
	    {"control", required_argument, NULL, 's'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct err e;
	int c;

	while ((c = getopt_long(argc, argv, "ho:", longs, NULL)) != -1) {
		if (c == 'g')
			cJSON_AddItemToArray(
			    o->groups, cJSON_CreateString(optarg));
		else if (c == 'o')
			o->out = optarg;
		else if (c == 'c')
			o->credentials = optarg;
		else if (c == 'i')
			o->control.instance = optarg;
		else if (c == 's')
			o->control.path = optarg;
		else if (c == 'h')
			*help = true;
		else if (c != 't')
			return CLI_USAGE;
		else if (cli_ttl_parse(optarg, &o->ttl_s, &e) != 0) {
			cli_error("--ttl: %s", e.text);
			return CLI_USAGE;
		}
	}
	if (*help)
		return CLI_OK;
	if (argc - optind != 1 || (o->out != NULL && o->credentials != NULL))
		return CLI_USAGE;
	o->user = argv[optind];
	return CLI_OK;
}

/* Base64 of the public key's DER. */
static int
public_half(EVP_PKEY *key, struct buf *out)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der), rc = -ERR_NOMEM;

	if (n > 0)
		rc = str_base64_encode(out, der, (size_t)n, true);
	OPENSSL_free(der);
	return rc;
}

static cJSON *
request_new(const struct options *o, EVP_PKEY *key)
{
	cJSON *req = cJSON_CreateObject();
	struct buf spki;

	buf_init(&spki, 0);
	if (public_half(key, &spki) == 0 && buf_cstr(&spki) != NULL)
		cJSON_AddStringToObject(req, "spki", buf_cstr(&spki));
	buf_free(&spki);
	cJSON_AddStringToObject(req, "do", "kubeconfig");
	cJSON_AddStringToObject(req, "user", o->user);
	cJSON_AddItemToObject(req, "groups", cJSON_Duplicate(o->groups, true));
	if (o->ttl_s != 0)
		cJSON_AddNumberToObject(req, "ttlSecs", (double)o->ttl_s);
	return req;
}

/* The private key as PEM; owned, OPENSSL_cleanse it. */
static char *
key_pem(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL, *text = NULL;
	long n = 0;

	if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(
			       bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		n = BIO_get_mem_data(bio, &p);
	if (n > 0) {
		text = strndup(p, (size_t)n);
		OPENSSL_cleanse(p, (size_t)n);
	}
	BIO_free(bio);
	return text;
}

/* `key: "text"`; a JSON string is a YAML string. */
static int
put_text(struct buf *out, const char *key, const char *text)
{
	cJSON *v = cJSON_CreateString(text);
	int rc = v != NULL ? buf_printf(out, "%s: ", key) : -ERR_NOMEM;

	if (rc == 0)
		rc = json_print(v, out);
	cJSON_Delete(v);
	return rc == 0 ? buf_append(out, "\n", 1) : rc;
}

static int
put_data(struct buf *out, const char *key, const char *text)
{
	int rc = buf_printf(out, "%s: ", key);

	if (rc == 0)
		rc = str_base64_encode(
		    out, (const uint8_t *)text, strlen(text), true);
	return rc == 0 ? buf_append(out, "\n", 1) : rc;
}

static int
put_kubeconfig(
    struct buf *out, const cJSON *reply, const char *user, const char *key)
{
	const char *cluster = json_str(reply, "instance", "tributary");
	int rc = buf_printf(out, "apiVersion: v1\nkind: Config\nclusters:\n");

	rc = rc != 0 ? rc : put_text(out, "- name", cluster);
	rc = rc != 0 ? rc : buf_printf(out, "  cluster:\n");
	rc = rc != 0
		 ? rc
		 : put_text(out, "    server", json_str(reply, "server", ""));
	rc = rc != 0 ? rc
		     : put_data(out, "    certificate-authority-data",
			   json_str(reply, "ca", ""));
	rc = rc != 0 ? rc : buf_printf(out, "users:\n");
	rc = rc != 0 ? rc : put_text(out, "- name", user);
	rc = rc != 0 ? rc : buf_printf(out, "  user:\n");
	rc = rc != 0 ? rc
		     : put_data(out, "    client-certificate-data",
			   json_str(reply, "certificate", ""));
	rc = rc != 0 ? rc : put_data(out, "    client-key-data", key);
	rc = rc != 0 ? rc : buf_printf(out, "contexts:\n");
	rc = rc != 0 ? rc : put_text(out, "- name", cluster);
	rc = rc != 0 ? rc : buf_printf(out, "  context:\n");
	rc = rc != 0 ? rc : put_text(out, "    cluster", cluster);
	rc = rc != 0 ? rc : put_text(out, "    user", user);
	rc = rc != 0 ? rc : buf_printf(out, "    namespace: default\n");
	return rc != 0 ? rc : put_text(out, "current-context", cluster);
}

static int
write_kubeconfig(
    const struct options *o, const cJSON *reply, const char *key, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, 0);
	rc = buf_reserve(&text, 65536); /* the key is not copied by growing */
	if (rc == 0)
		rc = put_kubeconfig(&text, reply, o->user, key);
	if (rc != 0)
		(void)err_nomem(e);
	else if (o->out != NULL)
		rc = cli_file_write(o->out, buf_data(&text), text.len, e);
	else if (fwrite(buf_data(&text), 1, text.len, stdout) != text.len ||
		 fflush(stdout) != 0)
		rc = err_set(e, ERR_SYS, "cannot write to standard output");
	if (text.base != NULL)
		OPENSSL_cleanse(text.base, text.cap);
	buf_free(&text);
	return rc;
}

static int
write_credentials(
    const struct options *o, const cJSON *reply, const char *key, struct err *e)
{
	int rc = cli_file_write_in(
	    o->credentials, "ca.crt", json_str(reply, "ca", ""), e);

	if (rc == 0)
		rc = cli_file_write_in(o->credentials, "tls.key", key, e);
	if (rc == 0)
		rc = cli_file_write_in(o->credentials, "tls.crt",
		    json_str(reply, "certificate", ""), e);
	return rc;
}

static int
run(const struct options *o, struct err *e)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	char *pem = key != NULL ? key_pem(key) : NULL;
	cJSON *reply = NULL;
	int rc;

	if (pem == NULL) {
		EVP_PKEY_free(key);
		return err_set(e, ERR_INTERNAL, "no key could be made");
	}
	rc = cli_control_ask(&o->control, request_new(o, key), &reply, e);
	if (rc == 0)
		rc = o->credentials != NULL
			 ? write_credentials(o, reply, pem, e)
			 : write_kubeconfig(o, reply, pem, e);
	cJSON_Delete(reply);
	OPENSSL_cleanse(pem, strlen(pem));
	free(pem);
	EVP_PKEY_free(key);
	return rc;
}

int
cli_cmd_kubeconfig(int argc, char **argv)
{
	struct options o = {
	    .control.instance = "default", .groups = cJSON_CreateArray()};
	bool help = false;
	struct err e = {0};
	int rc = parse(argc, argv, &o, &help);

	if (help)
		fputs(usage, stdout);
	else if (rc == CLI_USAGE)
		fputs(usage, stderr);
	else if (run(&o, &e) != 0) {
		cli_error("%s", e.text);
		rc = cli_exit_of(&e);
	}
	cJSON_Delete(o.groups);
	return rc;
}
