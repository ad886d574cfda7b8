/*
 * Requests that need the store or the platform go to the own cluster's
 * worker; its answers come back as they are.
 */
#include "config.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/str.h"
#include "workers/frontend/frontend.h"

void
fe_forward_end(struct fe_conn *c)
{
	if (!c->streaming)
		return;
	c->streaming = false;
	http_stream_end(c->http);
	fe_call_cancel(&c->call);
}

/* Negative: the watcher does not read; he starts over later. */
static int
forward_more(struct fe_conn *c, const struct ipc_api_reply *m)
{
	int rc = 0;

	if (!c->streaming) {
		rc = http_stream_begin(
		    c->http, m->code, "application/json", NULL);
		c->streaming = rc == 0;
	}
	if (rc == 0 && m->body.n > 0)
		rc = http_stream_write(c->http, m->body.p, m->body.n);
	return rc;
}

static void
forward_give_up(struct fe_conn *c, uint32_t request)
{
	struct ipc_peer *own = worker_peer(c->fe->w, IPC_OWN, 0);
	struct ipc_api_cancel m = {.request = request};

	if (own != NULL)
		ipc_send(own, IPC_API_CANCEL, 0, 0, 0, &m, NULL, 0);
	c->call = NULL; /* freed by who called us */
	c->streaming = false;
	http_stream_end(c->http);
}

static bool
forward_reply(void *owner, uint16_t type, const void *m, uint32_t session)
{
	const struct ipc_api_reply *a = m;
	struct fe_conn *c = owner;

	(void)type;
	(void)session;
	if (a != NULL && a->more && forward_more(c, a) == 0)
		return true;
	if (a != NULL && a->more) {
		forward_give_up(c, a->request);
		return false;
	}
	c->call = NULL;
	if (c->streaming) {
		c->streaming = false;
		if (a != NULL && a->body.n > 0)
			http_stream_write(c->http, a->body.p, a->body.n);
		http_stream_end(c->http);
	} else if (a == NULL) {
		http_respond_status(c->http, STATUS_STARTING,
		    "the session controller is restarting; try again");
	} else {
		http_respond(c->http, a->code, "application/json", NULL,
		    a->body.p, a->body.n);
	}
	return false;
}

static uint8_t
wire_peer(enum fe_peer peer)
{
	if (peer == FE_PRIMARY)
		return FE_WIRE_PRIMARY;
	return peer == FE_ADMIN ? FE_WIRE_ADMIN : FE_WIRE_USER;
}

/* The caller's key id, when it showed a certificate of ours. */
static void
forward_key_id(const struct fe_request *r, char *out, size_t cap)
{
	const char *der = http_get(r->head, "x-client-der");
	const char *ca = fe_credential_ca(r->fe);
	struct xc_identity id;

	out[0] = '\0';
	if (der != NULL && ca != NULL &&
	    xc_verify(der, ca, clock_wall_s(), &id, NULL) == 0)
		str_fmt(out, cap, "%s", id.key_id);
}

void
fe_do_forward(struct fe_request *r)
{
	char key_id[128];
	struct ipc_api_request m = {
	    .peer = wire_peer(r->id.peer),
	    .user = r->id.user,
	    .groups = r->id.groups,
	    .key_id = key_id,
	    .method = r->head->method,
	    .path = r->head->path,
	    .query = r->head->query,
	    .body = r->body,
	};

	forward_key_id(r, key_id, sizeof(key_id));
	r->conn->call =
	    fe_call_new(r->fe, IPC_OWN, IPC_API_CANCEL, r->conn, forward_reply);
	if (r->conn->call == NULL) {
		http_respond_status(r->conn->http, STATUS_STARTING,
		    "the session controller is not ready; try again");
		return;
	}
	m.request = r->conn->call->request;
	if (ipc_send(worker_peer(r->fe->w, IPC_OWN, 0), IPC_API_REQUEST, 0, 0,
		0, &m, NULL, 0) < 0) {
		fe_call_cancel(&r->conn->call);
		http_respond_status(r->conn->http, STATUS_BAD_REQUEST,
		    "the request's path, query or body is too long");
	}
}
