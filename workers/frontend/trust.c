/*
 * The serving certificate and what the secrets worker told us to trust.
 *
 * The serving key is made in this process and never leaves it: the secrets
 * worker signs its public half. With tls.certFile the supervisor read the
 * administrator's own pair instead, and it came with our configuration.
 */
#include "config.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "workers/frontend/frontend.h"

enum { FE_CERT_RENEW_MS = 24 * 3600 * 1000 };

const char *
fe_credential_ca(const struct fe *fe)
{
	return fe->trust == NULL ? NULL
				 : json_str(fe->trust, "credentialCa", NULL);
}

bool
fe_revoked(const struct fe *fe, const char *what)
{
	const cJSON *list, *v;

	if (fe->trust == NULL || *what == '\0')
		return false;
	list = cJSON_GetObjectItemCaseSensitive(fe->trust, "revoked");
	cJSON_ArrayForEach(v, list)
	{
		if (cJSON_IsString(v) && strcmp(v->valuestring, what) == 0)
			return true;
	}
	return false;
}

bool
fe_proof_holds(const struct fe *fe, const struct fe_proof *p)
{
	return !fe_revoked(fe, p->serial) && !fe_revoked(fe, p->key_id) &&
	       !fe_revoked(fe, p->der_serial) &&
	       (p->token[0] == '\0' || fe_token_known(fe, p->token));
}

/* A context from the current pair and CA; the old one if that fails. */
static int
trust_new_ctx(struct fe *fe, struct err *e)
{
	const char *cert =
	    json_str(json_at(fe->w->config, "tls"), "certPem", NULL);
	const char *key =
	    json_str(json_at(fe->w->config, "tls"), "keyPem", NULL);
	const char *ca =
	    fe->trust == NULL ? NULL : json_str(fe->trust, "loginCa", NULL);
	struct tls_server_opts o = {0};
	struct tls_ctx *ctx;

	if (ca == NULL)
		return 0; /* TRUST is still to come */
	o.client_ca_pem = (struct span){(const uint8_t *)ca, strlen(ca)};
	if (cert != NULL && key != NULL && *cert != '\0') {
		o.cert_pem = (struct span){(const uint8_t *)cert, strlen(cert)};
		o.key_pem = (struct span){(const uint8_t *)key, strlen(key)};
	} else if (fe->chain_pem.len > 0) {
		o.cert_pem = buf_span(&fe->chain_pem);
		o.key = fe->key;
	} else {
		return 0; /* SERVER_SIGNED is still to come */
	}
	ctx = tls_ctx_server_new(&o, e);
	if (ctx == NULL)
		return err_wrap(e, "serving certificate");
	tls_ctx_free(&fe->tls);
	fe->tls = ctx;
	return 0;
}

/* Sockets and connections of people who lost their right end at once. */
static void
trust_drop_revoked(struct fe *fe)
{
	/* Connects under way are connections still, and end with them. */
	LIST_FOR_EACH_SAFE (node, &fe->conns) {
		struct fe_conn *c = LIST_ENTRY(node, struct fe_conn, node);

		if (!fe_proof_holds(fe, &c->proof))
			fe_conn_free(c);
	}
	LIST_FOR_EACH_SAFE (node, &fe->sockets) {
		struct fe_socket *k = LIST_ENTRY(node, struct fe_socket, node);

		if (!fe_proof_holds(fe, &k->proof))
			fe_socket_close(k, true,
			    "your certificate or token was revoked; ask the "
			    "administrator for a new one");
	}
	fe_pings_check(fe);
}

int
fe_trust_reload(struct fe *fe, struct err *e)
{
	trust_drop_revoked(fe); /* primaries have their tokens there */
	return trust_new_ctx(fe, e);
}

int
fe_trust_set(struct fe *fe, struct span json, struct err *e)
{
	cJSON *trust = json_parse(json.p, json.n, e);

	if (trust == NULL)
		return err_wrap(e, "TRUST");
	if (json_str(trust, "loginCa", NULL) == NULL ||
	    json_str(trust, "credentialCa", NULL) == NULL) {
		cJSON_Delete(trust);
		return err_set(e, ERR_INVALID, "TRUST without its CAs");
	}
	cJSON_Delete(fe->trust);
	fe->trust = trust;
	trust_drop_revoked(fe);
	return trust_new_ctx(fe, e);
}

int
fe_cert_set(struct fe *fe, struct span chain_pem, struct err *e)
{
	buf_clear(&fe->chain_pem);
	if (buf_append(&fe->chain_pem, chain_pem.p, chain_pem.n) < 0)
		return err_nomem(e);
	ev_timer_set(fe->renew, FE_CERT_RENEW_MS);
	return trust_new_ctx(fe, e);
}

static bool
cert_signed(void *owner, uint16_t type, const void *m, uint32_t session)
{
	const struct ipc_server_signed *s = m;
	struct fe *fe = owner;
	struct err e;

	(void)type;
	(void)session;
	if (s == NULL)
		return false; /* asked again when it is back */
	if (s->error[0] != '\0') {
		log_error("no serving certificate why=%s", s->error);
		ev_timer_set(fe->renew, 5000);
	} else if (fe_cert_set(fe, s->chain_pem, &e) < 0) {
		log_error("serving certificate unusable why=%s", e.text);
	}
	return false;
}

int
fe_cert_ask(struct fe *fe)
{
	struct ipc_sign_server m = {0};
	unsigned char *der = NULL;
	struct fe_call *call;
	int n;

	if (fe->key == NULL)
		fe->key = EVP_EC_gen("P-256");
	if (fe->key == NULL)
		return -ERR_INTERNAL;
	n = i2d_PUBKEY(fe->key, &der);
	if (n <= 0)
		return -ERR_INTERNAL;
	call = fe_call_new(fe, IPC_SEC, 0, fe, cert_signed);
	if (call != NULL) {
		m.request = call->request;
		m.spki = (struct span){der, (size_t)n};
		ipc_send(worker_peer(fe->w, IPC_SEC, 0), IPC_SIGN_SERVER, 0, 0,
		    0, &m, NULL, 0);
	}
	OPENSSL_free(der);
	return 0;
}

void
fe_trust_free(struct fe *fe)
{
	cJSON_Delete(fe->trust);
	EVP_PKEY_free(fe->key);
	tls_ctx_free(&fe->tls);
	buf_free(&fe->chain_pem);
	ev_timer_free(&fe->renew);
}
