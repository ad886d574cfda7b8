/*
 * E5: the request that begins a session's socket (spec/operator-api.md §9,
 * checks in the order of §20). All that can be refused is refused before the
 * upgrade, as a Status; the answer 101 comes when every needed child has its
 * stream.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/frontend/frontend.h"

#define SUBPROTOCOL "v4.channel.k8s.io"

struct fe_connect {
	struct fe *fe;
	struct fe_conn *conn; /* NULL: the peer went away meanwhile */
	struct fe_identity id;
	char accept[WS_ACCEPT_SIZE];
	char kind_name[600]; /* "deployment/shop" */
	uint64_t session_id;
	struct params params;
	char *query; /* the whole parameter text, owned */
	struct fe_socket *socket;
};

static void
connect_free(struct fe_connect *c)
{
	params_free(&c->params);
	free(c->query);
	if (c->conn != NULL)
		c->conn->connect = NULL;
	free(c);
}

void
fe_connect_abandon(struct fe_connect *c)
{
	c->conn = NULL;
	if (c->socket != NULL) {
		c->socket->connect = NULL;
		c->socket->free_me = true;
		fe_socket_end(c->socket);
		fe_socket_kick(c->socket);
	}
	connect_free(c);
}

/* "deploy.web.container.app" is "deployment/web" (§9.1). */
static int
target_name(const char *alias, char *out, size_t cap)
{
	const char *dot = strchr(alias, '.'), *end = NULL, *p;
	int n = dot == NULL ? 0 : (int)(dot - alias);

	if (strcmp(alias, "targetless") == 0 || strcmp(alias, "label") == 0)
		return str_fmt(out, cap, "%s", alias);
	if (dot == NULL || dot[1] == '\0')
		return -1;
	for (p = strstr(dot + 1, ".container."); p != NULL;
	     p = strstr(p + 1, ".container."))
		end = p;
	if (end == NULL)
		end = dot + strlen(dot);
	if (n == 6 && strncmp(alias, "deploy", 6) == 0) {
		alias = "deployment";
		n = 10;
	}
	return str_fmt(
	    out, cap, "%.*s/%.*s", n, alias, (int)(end - dot - 1), dot + 1);
}

/* Each check answers for itself and returns false when it refused. */

static bool
check_upgrade(struct fe_connect *c, struct fe_request *r)
{
	struct err e;
	int code = 400;

	if (ws_check_request(r->head, SUBPROTOCOL, c->accept, &code, &e) == 0)
		return true;
	http_respond_status(
	    r->conn->http, status_from_code(code), "%s", e.text);
	return false;
}

static bool
check_session_id(struct fe_connect *c, struct fe_request *r)
{
	const char *id = http_get(r->head, "x-session-id");

	if (id != NULL && str_to_u64(id, &c->session_id))
		return true;
	http_respond_status(r->conn->http, STATUS_BAD_REQUEST,
	    "the x-session-id header must be a decimal 64-bit number");
	return false;
}

/* Only who made a child session may join it (design §6). */
static bool
check_child(struct fe_connect *c, struct fe_request *r)
{
	if (c->id.peer == FE_PRIMARY ||
	    http_get(r->head, "x-mirrord-mc-session") == NULL)
		return true;
	http_respond_status(r->conn->http, STATUS_FORBIDDEN,
	    "the x-mirrord-mc-session header is for a primary cluster alone; "
	    "user \"%s\" is not listed in `primaries:`",
	    c->id.user);
	return false;
}

/* Standard base64, and nothing that a record or a header could not hold. */
static bool
is_base64(const char *s)
{
	return s[strspn(s,
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		   "0123456789+/=")] == '\0';
}

static bool
check_client_der(struct fe_connect *c, struct fe_request *r)
{
	const char *der, *ca = fe_credential_ca(r->fe);
	struct xc_identity id;
	struct err e;

	if (c->id.peer == FE_PRIMARY) {
		/* design §6: a member does not verify it */
		der = http_get(r->head, "x-client-der");
		if (der == NULL || is_base64(der))
			return true;
		http_respond_status(r->conn->http, STATUS_BAD_REQUEST,
		    "the x-client-der header is not base64");
		return false;
	}
	if (http_get_single(r->head, "x-client-der", &der, &e) < 0 ||
	    der == NULL || ca == NULL) {
		http_respond_status(r->conn->http, STATUS_UNAUTHORIZED,
		    "the x-client-der header with the client certificate is "
		    "missing; update the client");
		return false;
	}
	if (xc_verify(der, ca, clock_wall_s(), &id, &e) < 0) {
		http_respond_status(r->conn->http, STATUS_UNAUTHORIZED,
		    "x-client-der: %s", e.text);
		return false;
	}
	str_fmt(
	    c->id.proof.key_id, sizeof(c->id.proof.key_id), "%s", id.key_id);
	str_fmt(c->id.proof.der_serial, sizeof(c->id.proof.der_serial), "%s",
	    id.serial);
	if (!fe_proof_holds(r->fe, &c->id.proof)) {
		http_respond_status(r->conn->http, STATUS_UNAUTHORIZED,
		    "the client certificate in x-client-der was revoked");
		return false;
	}
	r->conn->proof = c->id.proof;
	return true;
}

static bool
check_params(struct fe_connect *c, struct fe_request *r)
{
	const char *header = http_get(r->head, "x-mirrord-connect-params");
	const char *reserved;
	struct buf text;
	struct err e = {.text = "out of memory; try again"};
	int rc;

	buf_init(&text, PARAMS_MAX_BYTES);
	if (header != NULL) {
		rc = params_from_header(header, &c->params, &e);
		if (rc == 0)
			rc = str_base64_decode(&text, header, strlen(header));
	} else {
		rc = params_parse(r->head->query, &c->params, &e);
		if (rc == 0)
			rc = buf_append(
			    &text, r->head->query, strlen(r->head->query));
	}
	c->query = rc == 0 ? buf_take(&text) : NULL;
	buf_free(&text);
	if (c->query == NULL) {
		http_respond_status(r->conn->http, STATUS_BAD_REQUEST,
		    "connect parameters: %s", e.text);
		return false;
	}
	reserved = params_reserved(&c->params);
	if (reserved != NULL && c->id.peer != FE_PRIMARY) {
		http_respond_status(r->conn->http, STATUS_FORBIDDEN,
		    "the parameter %s is for a primary cluster alone",
		    reserved);
		return false;
	}
	return true;
}

static bool
check_access(struct fe_connect *c, struct fe_request *r)
{
	if (target_name(r->name, c->kind_name, sizeof(c->kind_name)) < 0) {
		http_respond_status(r->conn->http, STATUS_BAD_REQUEST,
		    "\"%s\" is no target; write TYPE.NAME, for instance "
		    "deployment.shop",
		    r->name);
		return false;
	}
	if (c->id.peer == FE_PRIMARY ||
	    fe_allowed(
		r->fe, &c->id, FE_SCOPE_TARGET, "proxy", r->ns, c->kind_name))
		return true;
	http_respond_status(r->conn->http, STATUS_FORBIDDEN,
	    "user \"%s\" may not use target %s in namespace \"%s\"; an "
	    "`allow:` rule with the verb proxy would permit it",
	    c->id.user, c->kind_name, r->ns);
	return false;
}

static bool
check_features(struct fe_connect *c, struct fe_request *r)
{
	struct err e;

	if (params_refusal(&c->params, 0, &e) == 0)
		return true;
	http_respond_status(r->conn->http, STATUS_INVALID, "%s", e.text);
	return false;
}

static bool (*const checks[])(struct fe_connect *, struct fe_request *) = {
    check_upgrade,
    check_session_id,
    check_child,
    check_client_der,
    check_params,
    check_access,
    check_features,
};

/* ---- what the session controller says */

static void
connect_fail(
    struct fe_connect *c, int code, const char *reason, const char *message)
{
	enum status_reason r = status_from_code(code);
	struct fe_conn *conn = c->conn;

	if (code == 410 && strcmp(reason, "ReconnectNotPossible") == 0)
		r = STATUS_RECONNECT_NOT_POSSIBLE;
	log_info("connect refused user=%s target=%s code=%d why=%s", c->id.user,
	    c->kind_name, code, message);
	if (c->socket != NULL) {
		c->socket->connect = NULL;
		c->socket->free_me = true;
		fe_socket_end(c->socket);
		fe_socket_kick(c->socket);
	}
	connect_free(c);
	if (conn != NULL)
		http_respond_status(conn->http, r, "%s", message);
}

void
fe_connect_refuse(struct fe_connect *c, uint16_t code, const char *why)
{
	fe_call_cancel(&c->conn->call);
	connect_fail(c, code, "", why);
}

static void
connect_upgrade(struct fe_connect *c)
{
	static const struct ws_conn_opts opts = {0};
	struct fe_socket *k = c->socket;
	struct fe_conn *conn = c->conn;
	struct ws_conn *ws;
	struct err e;

	ws = http_upgrade(&conn->http, c->accept, SUBPROTOCOL, NULL, &opts,
	    &fe_socket_ws_cbs, k, &e);
	if (ws == NULL) {
		connect_fail(c, 500, "", e.text);
		return;
	}
	log_info("client socket user=%s session=%016llx target=%s", c->id.user,
	    (unsigned long long)c->session_id, c->kind_name);
	connect_free(c);
	fe_conn_free(conn); /* its http_conn is the WebSocket's now */
	fe_socket_start(k, ws);
}

void
fe_connect_ready(struct fe_connect *c, uint16_t code, const char *why)
{
	struct fe_socket *k = c->socket;

	if (k == NULL)
		return; /* fe_socket_new is still at it */
	if (why != NULL) {
		connect_fail(c, code, "", why);
		return;
	}
	/* Those that have a stream; one that lost it may join later. */
	for (int i = 0; i < k->n_slots; i++) {
		if (k->children[i].path[ROUTE_TRAFFIC].stream != NULL &&
		    !k->children[i].up)
			return;
	}
	if (k->children[k->session->default_slot].up)
		connect_upgrade(c);
}

static void
connect_opened(
    struct fe_connect *c, const struct ipc_session_opened *m, uint32_t handle)
{
	struct fe_session *s;
	struct err e;

	if (fe_session_get(c->fe, handle, m, &s, &e) < 0) {
		connect_fail(c, 500, "", e.text);
		return;
	}
	c->socket = fe_socket_new(s, c, &c->params, &e);
	if (c->socket == NULL)
		connect_fail(c, e.code == ERR_CLOSED ? 503 : 500, "", e.text);
	else
		c->socket->proof = c->id.proof;
}

static bool
connect_answer(void *owner, uint16_t type, const void *m, uint32_t session)
{
	struct fe_connect *c = owner;

	c->conn->call = NULL;
	if (m == NULL) {
		connect_fail(c, 503, "",
		    "the session controller is restarting; try again");
	} else if (type == IPC_SESSION_REFUSED) {
		const struct ipc_session_refused *f = m;

		connect_fail(c, f->code, f->reason, f->message);
	} else {
		connect_opened(c, m, session);
	}
	return false;
}

/* What a client says of itself: shown, stored and sent on, never believed. */
struct connect_texts {
	char name[256], hostname[256], version[64];
	char traceparent[256], baggage[8193];
};

/*
 * Copies a header as text that may stand in JSON and in a header again: one
 * odd name would break the list of sessions for everybody. cut: a long one is
 * shortened, else left out.
 */
static void
header_text(const struct http_head *h, const char *name, char *out, size_t cap,
    bool cut)
{
	const char *v = http_get(h, name);
	size_t n = v == NULL ? 0 : strlen(v);

	if (n >= cap)
		n = cut ? cap - 1 : 0;
	for (size_t i = 0; i < n; i++)
		out[i] = v[i] >= ' ' && v[i] < 0x7f ? v[i] : '?';
	out[n] = '\0';
}

static void
connect_texts(const struct http_head *h, struct connect_texts *t)
{
	header_text(h, "x-client-name", t->name, sizeof(t->name), true);
	header_text(
	    h, "x-client-hostname", t->hostname, sizeof(t->hostname), true);
	header_text(
	    h, "x-mirrord-cli-version", t->version, sizeof(t->version), true);
	header_text(
	    h, "traceparent", t->traceparent, sizeof(t->traceparent), false);
	header_text(h, "baggage", t->baggage, sizeof(t->baggage), false);
}

static void
connect_ask(struct fe_connect *c, struct fe_request *r)
{
	const struct http_head *h = r->head;
	struct connect_texts text;
	const char *child = http_get(h, "x-mirrord-mc-session");
	struct ipc_session_open m = {
	    .session_id = c->session_id,
	    .peer = c->id.peer == FE_PRIMARY ? FE_WIRE_PRIMARY : FE_WIRE_USER,
	    .user = c->id.user,
	    .groups = c->id.groups,
	    .key_id = c->id.proof.key_id,
	    .namespace = r->ns,
	    .target = r->name,
	    .child = c->id.peer == FE_PRIMARY ? child : NULL,
	    .params = {(const uint8_t *)c->query, strlen(c->query)},
	    .client_name = text.name,
	    .client_hostname = text.hostname,
	    .cli_version = text.version,
	    .client_der = http_get(h, "x-client-der"),
	    .traceparent = text.traceparent,
	    .baggage = text.baggage,
	};
	struct ipc_peer *own = worker_peer(c->fe->w, IPC_OWN, 0);

	connect_texts(h, &text);
	c->conn->call =
	    fe_call_new(c->fe, IPC_OWN, IPC_SESSION_CANCEL, c, connect_answer);
	if (c->conn->call == NULL) {
		connect_fail(c, 503, "",
		    "the session controller is not ready; try again");
		return;
	}
	m.request = c->conn->call->request;
	if (ipc_send(own, IPC_SESSION_OPEN, 0, 0, 0, &m, NULL, 0) < 0) {
		fe_call_cancel(&c->conn->call);
		connect_fail(c, 400, "", "a header of the request is too long");
	}
}

void
fe_do_connect(struct fe_request *r)
{
	struct fe_connect *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		http_respond_status(
		    r->conn->http, STATUS_INTERNAL, "out of memory; try again");
		return;
	}
	c->fe = r->fe;
	c->conn = r->conn;
	c->id = r->id;
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (!checks[i](c, r)) {
			connect_free(c);
			return;
		}
	}
	r->conn->connect = c;
	connect_ask(c, r);
}

void
fe_do_unsupported(struct fe_request *r)
{
	http_respond_status(r->conn->http, STATUS_NOT_IMPLEMENTED,
	    "this version of the operator has no %s yet; leave the feature "
	    "out of the configuration",
	    strstr(r->head->path, "copytargets") != NULL ? "copy targets"
	    : strstr(r->head->path, "branch") != NULL    ? "database branches"
						      : "preview environments");
}
