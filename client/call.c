/* call: one request to the operator's API and its answer. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/api.h"
#include "lib/json.h"

enum { CALL_TRIES = 15, CALL_RETRY_MS = 1000, CALL_ANSWER_MAX = 16 << 20 };

struct cli_call {
	struct cli_api *api;
	const char *method;
	char *path;
	struct buf body;
	struct cli_dial *dial;
	struct http_client *client;
	struct ev_timer *retry;
	unsigned tries;
	cli_call_fn *fn;
	void *arg;
};

void
cli_call_cancel(struct cli_call **call)
{
	struct cli_call *c = *call;

	if (c == NULL)
		return;
	cli_dial_cancel(&c->dial);
	http_client_free(&c->client);
	ev_timer_free(&c->retry);
	buf_free(&c->body);
	free(c->path);
	free(c);
	*call = NULL;
}

static void
call_finish(struct cli_call *c, cJSON *answer, const struct err *e)
{
	cli_call_fn *fn = c->fn;
	void *arg = c->arg;
	struct err copy = {0};

	if (answer == NULL)
		copy = *e;
	cli_call_cancel(&c);
	fn(arg, answer, answer == NULL ? &copy : NULL);
}

static void
call_done(void *arg, struct http_client *client, const struct http_head *head,
    struct span body, const struct err *failed)
{
	struct cli_call *c = arg;
	cJSON *answer = NULL;
	struct status s;
	struct err e = {0};

	(void)client;
	if (failed != NULL) {
		call_finish(c, NULL, failed);
		return;
	}
	if ((head->status == 503 || head->status == 429) &&
	    ++c->tries < CALL_TRIES) {
		http_client_free(&c->client);
		ev_timer_set(c->retry, CALL_RETRY_MS);
		return;
	}
	if (head->status >= 300) {
		status_parse(&s, head->status, body.p, body.n);
		cli_api_refused(&s, head->status, &e);
	} else if (body.n == 0) {
		answer = cJSON_CreateObject();
	} else {
		answer = json_parse(body.p, body.n, &e);
	}
	if (answer == NULL && e.code == ERR_OK)
		err_nomem(&e);
	call_finish(c, answer, &e);
}

static void
call_dialed(void *arg, struct tls_conn *conn, const struct err *failed)
{
	static const struct http_client_cbs cbs = {.on_done = call_done};
	struct cli_call *c = arg;
	struct http_pair fields[CLI_API_FIELDS];
	char auth[CLI_API_AUTH], target[4600];
	struct http_req req = {
	    .method = c->method,
	    .target = target,
	    .host = c->api->host_port,
	    .fields = fields,
	    .content_type = c->body.len > 0 ? "application/json" : NULL,
	    .body = buf_span(&c->body),
	    .collect_max_bytes = CALL_ANSWER_MAX,
	};
	struct err e;

	c->dial = NULL;
	if (conn == NULL) {
		call_finish(c, NULL, failed);
		return;
	}
	cli_api_fields(c->api, fields, auth, sizeof(auth));
	snprintf(target, sizeof(target), "%s%s", c->api->prefix, c->path);
	c->client = http_client_new(conn, &e);
	if (c->client == NULL ||
	    http_client_send(c->client, &req, &cbs, c, &e) < 0)
		call_finish(c, NULL, &e);
}

static void
call_try(void *arg)
{
	struct cli_call *c = arg;
	struct err e;

	c->dial = cli_dial_start(c->api, call_dialed, c, &e);
	if (c->dial == NULL)
		call_finish(c, NULL, &e);
}

struct cli_call *
cli_call_start(struct cli_api *api, const char *method, const char *path,
    const cJSON *body, cli_call_fn *fn, void *arg, struct err *e)
{
	struct cli_call *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		err_nomem(e);
		return NULL;
	}
	*c = (struct cli_call){
	    .api = api, .method = method, .fn = fn, .arg = arg};
	buf_init(&c->body, 0);
	c->path = strdup(path);
	c->retry = ev_timer_new(api->loop, call_try, c);
	if (c->path == NULL || c->retry == NULL ||
	    (body != NULL && json_print(body, &c->body) < 0)) {
		cli_call_cancel(&c);
		err_nomem(e);
		return NULL;
	}
	ev_timer_set(c->retry, 0); /* the first try, from the loop */
	return c;
}

/* ---- start to end */

struct waiting {
	cJSON *answer;
	struct err *e;
	bool done;
};

static void
waiting_done(void *arg, cJSON *answer, const struct err *e)
{
	struct waiting *w = arg;

	w->done = true;
	w->answer = answer;
	if (answer == NULL)
		*w->e = *e;
}

cJSON *
cli_api_call(struct cli_api *api, const char *method, const char *path,
    const cJSON *body, struct err *e)
{
	struct waiting w = {.e = e};
	struct cli_call *c =
	    cli_call_start(api, method, path, body, waiting_done, &w, e);

	while (c != NULL && !w.done && !api->stop)
		ev_loop_turn(api->loop, true);
	if (c != NULL && !w.done) {
		cli_call_cancel(&c);
		err_set(e, ERR_CLOSED, "stopped by a signal");
	}
	return w.answer;
}
