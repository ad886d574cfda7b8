/*
 * API requests to the cluster. Connections are kept and used again; a request
 * that meets a connection the server has just closed is sent once more.
 */
#include "config.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "workers/cluster/cluster.h"

struct request {
	struct list node;
	struct clu *clu;
	struct clu_dial *dial;
	struct http_client *client;
	char method[8];
	char *path; /* owned */
	char *body; /* owned, may be NULL */
	size_t body_bytes;
	bool reused; /* client served an earlier request */
	clu_answer_fn *fn;
	void *arg;
};

int
clu_escape(char *out, size_t cap, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	size_t n = 0;

	for (const char *p = text; *p != '\0'; p++) {
		if (n + 4 > cap)
			return -ERR_TOO_BIG;
		if (strchr(plain, *p) != NULL)
			out[n++] = *p;
		else
			n += (size_t)snprintf(
			    out + n, cap - n, "%%%02X", (unsigned char)*p);
	}
	out[n] = '\0';
	return 0;
}

struct idle_client {
	struct list node;
	struct http_client *client;
};

static void request_begin(struct request *r);

static void
request_free(struct request *r)
{
	list_remove(&r->node);
	r->clu->n_requests--;
	clu_dial_cancel(&r->dial);
	http_client_free(&r->client);
	free(r->path);
	free(r->body);
	free(r);
}

static void
request_finish(struct request *r, const struct clu_answer *a)
{
	clu_answer_fn *fn = r->fn;
	void *arg = r->arg;

	fn(arg, a);
	request_free(r);
}

static void
request_fail(struct request *r, const char *why)
{
	struct clu_answer a = {0};

	snprintf(a.error, sizeof(a.error), "%s", why);
	request_finish(r, &a);
}

/* A client that may serve again waits in the pool; the server may close it
 * any time, then the next request finds it unusable. */
static void
pool_put(struct clu *clu, struct http_client **client)
{
	struct idle_client *i;

	if (!http_client_usable(*client) || clu->n_idle >= CLU_IDLE_CLIENTS)
		return;
	i = calloc(1, sizeof(*i));
	if (i == NULL)
		return;
	i->client = *client;
	*client = NULL;
	list_push(&clu->idle, &i->node);
	clu->n_idle++;
}

static struct http_client *
pool_get(struct clu *clu)
{
	while (!list_empty(&clu->idle)) {
		struct idle_client *i =
		    LIST_ENTRY(list_pop(&clu->idle), struct idle_client, node);
		struct http_client *client = i->client;

		free(i);
		clu->n_idle--;
		if (http_client_usable(client))
			return client;
		http_client_free(&client);
	}
	return NULL;
}

void
clu_requests_forget_idle(struct clu *clu)
{
	struct http_client *client;

	while ((client = pool_get(clu)) != NULL)
		http_client_free(&client);
}

static void
request_done(void *arg, struct http_client *client,
    const struct http_head *head, struct span body, const struct err *e)
{
	struct request *r = arg;
	struct clu_answer a = {0};

	(void)client;
	if (e != NULL && head == NULL && r->reused) {
		http_client_free(&r->client);
		r->reused = false;
		request_begin(r);
		return;
	}
	if (e != NULL) {
		request_fail(r, e->text);
		return;
	}
	a.code = head->status;
	a.body = body;
	if (a.code >= 400)
		status_parse(&a.status, a.code, body.p, body.n);
	r->fn(r->arg, &a);
	pool_put(r->clu, &r->client);
	request_free(r);
}

static void
request_send(struct request *r)
{
	static const struct http_client_cbs cbs = {.on_done = request_done};
	char auth[16500];
	struct http_pair fields[3] = {{"accept", "application/json"}};
	struct http_req req = {
	    .method = r->method,
	    .target = r->path,
	    .host = r->clu->host_port,
	    .fields = fields,
	    .content_type = r->body == NULL ? NULL : "application/json",
	    .body = {(const uint8_t *)r->body, r->body_bytes},
	    .timeout_ms = CLU_HANDSHAKE_MS,
	};
	struct err e;
	int rc;

	if (r->clu->token != NULL) {
		snprintf(auth, sizeof(auth), "Bearer %s", r->clu->token);
		fields[1] = (struct http_pair){"authorization", auth};
	}
	rc = http_client_send(r->client, &req, &cbs, r, &e);
	OPENSSL_cleanse(auth, sizeof(auth));
	if (rc < 0)
		request_fail(r, e.text);
}

static void
request_dialed(void *arg, struct tls_conn *conn, const struct err *e)
{
	struct request *r = arg;
	struct err why;

	r->dial = NULL;
	if (conn == NULL) {
		request_fail(r, e->text);
		return;
	}
	r->client = http_client_new(conn, &why);
	if (r->client == NULL)
		request_fail(r, why.text);
	else
		request_send(r);
}

static void
request_begin(struct request *r)
{
	struct err e;

	r->dial = clu_dial_start(r->clu, request_dialed, r, &e);
	if (r->dial == NULL)
		request_fail(r, e.text);
}

int
clu_request(struct clu *clu, const char *method, const char *path,
    const char *body, size_t n, clu_answer_fn *fn, void *arg, struct err *e)
{
	struct request *r;

	if (clu->n_requests >= CLU_MAX_REQUESTS)
		return err_set(e, ERR_TOO_BIG,
		    "too many requests to the cluster are under way");
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return err_nomem(e);
	r->clu = clu;
	list_push(&clu->requests, &r->node);
	clu->n_requests++;
	snprintf(r->method, sizeof(r->method), "%s", method);
	r->fn = fn;
	r->arg = arg;
	r->body_bytes = n;
	if (asprintf(&r->path, "%s%s", clu->prefix, path) < 0)
		r->path = NULL;
	r->body = body == NULL ? NULL : strndup(body, n);
	if (r->path == NULL || (body != NULL && r->body == NULL)) {
		request_free(r);
		return err_nomem(e);
	}
	r->client = pool_get(clu);
	if (r->client == NULL) {
		/* Its failure must not call back from in here. */
		r->dial = clu_dial_start(clu, request_dialed, r, e);
		if (r->dial == NULL) {
			request_free(r);
			return -ERR_CLOSED;
		}
		return 0;
	}
	r->reused = true;
	request_send(r);
	return 0;
}

void
clu_requests_free(struct clu *clu)
{
	LIST_FOR_EACH_SAFE (node, &clu->requests)
		request_fail(
		    LIST_ENTRY(node, struct request, node), "the daemon stops");
	clu_requests_forget_idle(clu);
}
