/*
 * Client certificates for the CLI: E3 and E4 of spec/operator-api.md §7. The
 * request is taken apart here and signed by the secrets worker.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "workers/frontend/frontend.h"

/* What is needed to answer once the secrets worker has signed. */
struct cred {
	struct fe_conn *conn;
	cJSON *object; /* E3's object, owned; NULL for E4 */
};

static void
cred_free(void *arg)
{
	struct cred *c = arg;

	cJSON_Delete(c->object);
	free(c);
}

static void
cred_respond(struct cred *c, const char *pem, size_t n)
{
	char *text = strndup(pem, n);
	cJSON *v, *meta, *status;
	struct buf out;

	buf_init(&out, 0);
	if (c->object == NULL) {
		v = cJSON_CreateString(text == NULL ? "" : text);
	} else {
		v = c->object;
		meta = cJSON_GetObjectItemCaseSensitive(v, "metadata");
		if (!cJSON_HasObjectItem(meta, "name"))
			cJSON_AddStringToObject(meta, "name",
			    json_str(meta, "generateName", "credential"));
		status = cJSON_AddObjectToObject(v, "status");
		cJSON_AddStringToObject(
		    status, "certificate", text == NULL ? "" : text);
	}
	if (text == NULL || v == NULL || json_print(v, &out) < 0)
		http_respond_status(
		    c->conn->http, STATUS_INTERNAL, "out of memory; try again");
	else
		http_respond(c->conn->http, c->object == NULL ? 200 : 201,
		    "application/json", NULL, buf_data(&out), out.len);
	if (c->object == NULL)
		cJSON_Delete(v);
	buf_free(&out);
	free(text);
}

static bool
cred_signed(void *owner, uint16_t type, const void *m, uint32_t session)
{
	const struct ipc_csr_signed *s = m;
	struct cred *c = owner;

	(void)type;
	(void)session;
	c->conn->call = NULL;
	if (s == NULL)
		http_respond_status(c->conn->http, STATUS_STARTING,
		    "the certificate authority is restarting; try again");
	else if (s->code != 0 && s->code != 200)
		http_respond_status(
		    c->conn->http, status_from_code(s->code), "%s", s->error);
	else
		cred_respond(c, (const char *)s->certificate_pem.p,
		    s->certificate_pem.n);
	cred_free(c);
	return false;
}

/* Takes object. */
static void
cred_ask(struct fe_request *r, cJSON *object, struct span csr, const char *kind)
{
	struct cred *c = calloc(1, sizeof(*c));
	struct ipc_sign_csr m = {
	    .csr_pem = csr, .kind = kind, .user = r->id.user};

	if (c != NULL)
		r->conn->call = fe_call_new(r->fe, IPC_SEC, 0, c, cred_signed);
	if (c == NULL || r->conn->call == NULL) {
		free(c);
		cJSON_Delete(object);
		http_respond_status(r->conn->http, STATUS_STARTING,
		    "the certificate authority is not ready; try again");
		return;
	}
	c->conn = r->conn;
	c->object = object;
	r->conn->call->drop = cred_free;
	m.request = r->conn->call->request;
	if (ipc_send(worker_peer(r->fe->w, IPC_SEC, 0), IPC_SIGN_CSR, 0, 0, 0,
		&m, NULL, 0) < 0) {
		fe_call_cancel(&r->conn->call); /* frees c */
		http_respond_status(r->conn->http, STATUS_BAD_REQUEST,
		    "the certificate request is larger than 64 KiB");
	}
}

void
fe_do_credential(struct fe_request *r)
{
	struct err e;
	cJSON *object = json_parse(r->body.p, r->body.n, &e);
	const cJSON *spec;
	const char *csr, *kind;

	if (object == NULL) {
		http_respond_status(r->conn->http, STATUS_BAD_REQUEST,
		    "the body is %s", e.text);
		return;
	}
	spec = cJSON_GetObjectItemCaseSensitive(object, "spec");
	csr = json_str(spec, "csr", NULL);
	kind = json_str(spec, "kind", NULL);
	if (csr == NULL || kind == NULL ||
	    !cJSON_IsObject(
		cJSON_GetObjectItemCaseSensitive(object, "metadata"))) {
		cJSON_Delete(object);
		http_respond_status(r->conn->http, STATUS_INVALID,
		    "metadata, spec.csr and spec.kind are needed");
		return;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(object, "status");
	cred_ask(
	    r, object, (struct span){(const uint8_t *)csr, strlen(csr)}, kind);
}

/* E4's body is raw PEM, or a JSON string that holds it. */
void
fe_do_certificate(struct fe_request *r)
{
	cJSON *v = NULL;
	struct span csr = r->body;

	if (csr.n > 0 && csr.p[0] == '"') {
		v = json_parse(csr.p, csr.n, NULL);
		if (!cJSON_IsString(v)) {
			cJSON_Delete(v);
			http_respond_status(r->conn->http, STATUS_BAD_REQUEST,
			    "the body is neither PEM nor a JSON string");
			return;
		}
		csr = (struct span){
		    (const uint8_t *)v->valuestring, strlen(v->valuestring)};
	}
	cred_ask(r, NULL, csr, "regular");
	cJSON_Delete(v);
}
