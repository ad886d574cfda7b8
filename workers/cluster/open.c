/*
 * How a child stream comes to be: a connection by way of the connector, then
 * the upgrade request with the session's headers and this cluster's
 * credential. What the user gave goes into the path escaped: it must not
 * become a query of ours.
 */
#include "config.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/str.h"
#include "workers/cluster/cluster.h"

/* Base64 of the query for x-mirrord-connect-params, or NULL. */
static char *
child_params_header(const char *query)
{
	struct buf b;
	char *out;

	buf_init(&b, 0);
	str_base64_encode(&b, (const uint8_t *)query, strlen(query), true);
	out = buf_take(&b);
	buf_free(&b);
	return out;
}

struct child_request {
	struct http_pair fields[12];
	size_t n;
	char id[24];
	char auth[16500];
	char trace[300];
	char *params; /* owned */
};

static void
field_add(struct child_request *q, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		q->fields[q->n++] = (struct http_pair){name, value};
}

static void
child_fields(struct clu_child *c, struct child_request *q, const char *query)
{
	struct clu_session *s = c->session;
	const char *baggage = strchr(s->fields[CLU_TRACE], '\n');

	snprintf(q->id, sizeof(q->id), "%llu", (unsigned long long)s->id);
	field_add(q, "x-session-id", q->id);
	field_add(q, "x-mirrord-mc-session", s->fields[CLU_CHILD]);
	field_add(q, "x-client-name", s->fields[CLU_CLIENT_NAME]);
	field_add(q, "x-client-hostname", s->fields[CLU_CLIENT_HOSTNAME]);
	field_add(q, "x-mirrord-cli-version", s->fields[CLU_CLI_VERSION]);
	field_add(q, "x-client-der", s->fields[CLU_CLIENT_DER]);
	str_fmt(q->trace, sizeof(q->trace), "%.*s",
	    (int)(baggage - s->fields[CLU_TRACE]), s->fields[CLU_TRACE]);
	field_add(q, "traceparent", q->trace);
	field_add(q, "baggage", baggage + 1);
	if (s->clu->token != NULL) {
		snprintf(q->auth, sizeof(q->auth), "Bearer %s", s->clu->token);
		field_add(q, "authorization", q->auth);
	}
	if (clu_peer_has(s->clu, "ConnectParamsInHeader")) {
		q->params = child_params_header(query);
		field_add(q, "x-mirrord-connect-params", q->params);
	}
}

static struct ws_client *
child_upgrade(struct clu_child *c, struct tls_conn *conn, struct err *e)
{
	struct clu_session *s = c->session;
	struct clu *clu = s->clu;
	const char *query =
	    c->params != NULL ? c->params : s->fields[CLU_PARAMS];
	char ns[800], name[2000];
	struct ws_conn_opts opts = {
	    .ping_interval_ms = CLU_PING_OTHERS_MS,
	    .silence_ms = CLU_SILENCE_MS,
	};
	struct child_request *q = calloc(1, sizeof(*q));
	struct ws_client *up = NULL;
	char *target = NULL;

	if (q == NULL)
		goto out;
	child_fields(c, q, query);
	if (clu_escape(ns, sizeof(ns), s->fields[CLU_NAMESPACE]) < 0 ||
	    clu_escape(name, sizeof(name), s->fields[CLU_TARGET]) < 0)
		goto out;
	if (asprintf(&target,
		"%s/apis/operator.metalbear.co/v1/proxy/namespaces/%s/"
		"targets/%s?%s",
		clu->prefix, ns, name,
		q->params != NULL ? "connect=true" : query) < 0) {
		target = NULL;
		goto out;
	}
	up = ws_client_start(conn,
	    &(struct http_req){.method = "GET",
		.target = target,
		.host = clu->host_port,
		.fields = q->fields,
		.timeout_ms = 0},
	    "v4.channel.k8s.io", &opts, clu_child_upgraded, c, e);
	conn = NULL;
out:
	if (conn != NULL) {
		tls_conn_free(&conn);
		err_nomem(e);
	}
	if (q != NULL) {
		free(q->params);
		OPENSSL_cleanse(q->auth, sizeof(q->auth));
	}
	free(q);
	free(target);
	return up;
}

static void
child_dialed(void *arg, struct tls_conn *conn, const struct err *e)
{
	struct clu_child *c = arg;
	struct err why;

	c->dial = NULL;
	if (conn == NULL) {
		clu_child_fail(c, 502, "", e->text);
		return;
	}
	c->upgrade = child_upgrade(c, conn, &why);
	if (c->upgrade == NULL)
		clu_child_fail(c, 502, "", why.text);
}

struct clu_child *
clu_child_new(
    struct clu_session *s, uint32_t number, bool anchor, struct err *e)
{
	struct clu_child *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		err_nomem(e);
		return NULL;
	}
	c->session = s;
	c->number = number;
	c->anchor = anchor;
	c->sending = c->receiving = -1;
	for (int i = 0; i < ROUTE_PATHS; i++) {
		c->path[i].child = c;
		c->path[i].path = (enum route_path)i;
		ipc_pieces_init(&c->path[i].in, IPC_WINDOW_MAX_BYTES);
		ipc_pieces_init(&c->path[i].out, 2 * IPC_WINDOW_MAX_BYTES);
	}
	list_push(&s->children, &c->node);
	c->later = ev_timer_new(s->clu->w->loop, clu_child_later, c);
	if (c->later == NULL) {
		err_nomem(e);
		clu_child_free(c, 500, "out of memory");
		return NULL;
	}
	c->dial = clu_dial_start(s->clu, child_dialed, c, e);
	if (c->dial == NULL) {
		clu_child_free(c, 502, e->text);
		return NULL;
	}
	return c;
}
