/* sign: what frontends ask for: their own certificate, and the CLI's. */
#include "config.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/secrets/secrets.h"

enum {
	DAY_S = 24 * 3600,
	SERVER_TTL_S = 90 * DAY_S,
	REGULAR_TTL_S = 90 * DAY_S,
	CI_TTL_S = 365 * DAY_S, /* a CI key cannot renew its certificate */
	CLOCK_SLACK_S = 3600,
};

static int
sign_server(struct sec *sec, struct span spki, struct buf *out, struct err *e)
{
	char serial[SEC_HEX_SERIAL_BYTES];
	struct sec_leaf leaf = {.user = "tributaryd", .ttl_s = SERVER_TTL_S};
	cJSON *hosts = sec_server_hosts(sec->w->config);
	int64_t expires_s;
	int rc;

	leaf.hosts = hosts;
	leaf.key = sec_public_key(spki, e);
	if (leaf.key == NULL)
		rc = -ERR_INVALID;
	else if (hosts == NULL)
		rc = err_nomem(e);
	else
		rc = sec_sign_leaf(
		    &sec->login, &leaf, out, serial, &expires_s, e);
	EVP_PKEY_free(leaf.key);
	cJSON_Delete(hosts);
	if (rc == 0)
		log_info("serving certificate signed serial=%s", serial);
	return rc;
}

int
sec_on_sign_server(void *worker, struct ipc_in *in, struct err *e)
{
	struct sec *sec = ((struct worker *)worker)->state;
	const struct ipc_sign_server *m = in->payload;
	struct ipc_server_signed reply = {.request = m->request};
	struct err why = {0};
	struct buf pem;
	int rc;

	(void)e;
	buf_init(&pem, SEC_MAX_FILE_BYTES);
	if (sign_server(sec, m->spki, &pem, &why) == 0)
		reply.chain_pem = buf_span(&pem);
	else
		reply.error = why.text;
	rc = ipc_send(in->peer, IPC_SERVER_SIGNED, 0, 0, 0, &reply, NULL, 0);
	buf_free(&pem);
	return rc;
}

/* Signs and remembers. */
static int
sign_credential(struct sec *sec, const struct sec_csr *csr, const char *kind,
    const char *user, struct buf *out, struct err *e)
{
	int64_t now_s = clock_wall_s();
	bool ci = strcmp(kind, "ci") == 0;
	struct sec_credential c = {.csr = csr,
	    .kind = kind,
	    .user = user,
	    .not_before_s = now_s - CLOCK_SLACK_S,
	    .not_after_s = now_s + (ci ? CI_TTL_S : REGULAR_TTL_S)};
	char key_id[44], serial[SEC_HEX_SERIAL_BYTES];
	int rc;

	sec_key_id(csr->key, key_id);
	if (sec_store_is_revoked(sec, key_id))
		return err_set(e, ERR_DENIED,
		    "this key was revoked; remove ~/.mirrord/credentials so "
		    "that a new key is made");
	if (sec_serial_new(c.serial) != 0)
		return err_set(e, ERR_INTERNAL, "no random numbers");
	for (size_t i = 0; i < SEC_SERIAL_BYTES; i++)
		(void)str_fmt(serial + i * 2, 3, "%02x", c.serial[i]);
	rc = sec_sign_credential(&sec->credential, &c, out, e);
	if (rc == 0)
		rc = sec_store_issued(
		    sec, serial, key_id, user, NULL, kind, c.not_after_s, e);
	if (rc == 0)
		log_info("client certificate user=%s name=%s kind=%s "
			 "serial=%s",
		    user, csr->common_name, kind, serial);
	return rc;
}

static int
sign_csr(struct sec *sec, const struct ipc_sign_csr *m, struct buf *out,
    struct err *e)
{
	struct sec_csr csr;
	int rc;

	if (strcmp(m->kind, "regular") != 0 && strcmp(m->kind, "ci") != 0)
		return err_set(
		    e, ERR_INVALID, "spec.kind must be regular or ci");
	if (m->user[0] == '\0')
		return err_set(e, ERR_DENIED, "nobody asked for it");
	rc = sec_csr_parse(m->csr_pem, &csr, e);
	if (rc != 0)
		return rc;
	rc = sign_credential(sec, &csr, m->kind, m->user, out, e);
	sec_csr_free(&csr);
	return rc;
}

static uint16_t
http_code(const struct err *e)
{
	switch (e->code) {
	case ERR_INVALID:
		return 422;
	case ERR_DENIED:
		return 403;
	case ERR_TOO_BIG:
		return 429;
	default:
		return 500;
	}
}

int
sec_on_sign_csr(void *worker, struct ipc_in *in, struct err *e)
{
	struct sec *sec = ((struct worker *)worker)->state;
	const struct ipc_sign_csr *m = in->payload;
	struct ipc_csr_signed reply = {.request = m->request, .code = 200};
	struct err why = {0};
	struct buf pem;
	int rc;

	(void)e;
	buf_init(&pem, SEC_MAX_FILE_BYTES);
	if (sign_csr(sec, m, &pem, &why) == 0) {
		reply.certificate_pem = buf_span(&pem);
	} else {
		reply.code = http_code(&why);
		reply.error = why.text;
		log_warn(
		    "no client certificate user=%s why=%s", m->user, why.text);
	}
	rc = ipc_send(in->peer, IPC_CSR_SIGNED, 0, 0, 0, &reply, NULL, 0);
	buf_free(&pem);
	return rc;
}
