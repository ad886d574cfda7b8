/*
 * api: requests that need the store or the platform, to handlers by one
 * table. The frontend has authenticated and authorised; here only what
 * depends on the object is checked (whose session it is).
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/calls.h"
#include "workers/own/handlers.h"

struct row {
	const char *method, *pattern;
	own_api_fn *fn;
};

static const struct row rows[] = {
#define API(method, pattern, fn) {method, pattern, fn},
#include "workers/own/api_table.def"
#undef API
};

/* ---- answers ---- */

void
own_api_free(struct own_api *a)
{
	list_remove(&a->node);
	for (size_t i = 0; i < a->n_answers; i++)
		cJSON_Delete(a->answers[i].body);
	free(a->answers);
	ev_timer_free(&a->timer);
	free(a->q.labels);
	free(a->q.fields);
	free(a->q.resume);
	free(a);
}

void
own_api_json(struct own_api *a, uint16_t code, cJSON *body)
{
	struct buf text;
	struct ipc_api_reply m = {.request = a->request, .code = code};
	static const char nomem[] =
	    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
	    "\"status\":\"Failure\",\"code\":500,\"reason\":"
	    "\"InternalError\",\"message\":\"the answer is too big\"}";
	buf_init(&text, 1 << 20);
	if (body != NULL && json_print(body, &text) == 0) {
		m.body = buf_span(&text);
	} else {
		m.code = 500;
		m.body =
		    (struct span){(const uint8_t *)nomem, sizeof(nomem) - 1};
	}
	(void)ipc_send(a->fe, IPC_API_REPLY, 0, 0, 0, &m, NULL, 0);
	buf_free(&text);
	cJSON_Delete(body);
	own_api_free(a);
}

static cJSON *
status_json(uint16_t code, const char *reason, const char *message)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "kind", "Status");
	cJSON_AddStringToObject(o, "apiVersion", "v1");
	cJSON_AddObjectToObject(o, "metadata");
	cJSON_AddStringToObject(
	    o, "status", reason == NULL ? "Success" : "Failure");
	if (reason != NULL)
		cJSON_AddStringToObject(o, "reason", reason);
	cJSON_AddStringToObject(o, "message", message);
	cJSON_AddNumberToObject(o, "code", code);
	return o;
}

void
own_api_status(
    struct own_api *a, uint16_t code, const char *reason, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	own_api_json(a, code, status_json(code, reason, text));
}

void
own_api_success(struct own_api *a, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	own_api_json(a, 200, status_json(200, NULL, text));
}

/* ---- paths ---- */

static bool
keep(
    struct own_api *a, const char *what, size_t what_n, const char *p, size_t n)
{
	static const struct {
		const char *name;
		size_t at, cap;
	} part[] = {
#define PART(f) \
	{#f, offsetof(struct own_api, f), sizeof(((struct own_api *)0)->f)}
	    PART(ns), PART(name), PART(plural), PART(group), PART(version)
#undef PART
	};
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		if (strlen(part[i].name) != what_n ||
		    memcmp(part[i].name, what, what_n) != 0)
			continue;
		if (n == 0 || n >= part[i].cap)
			return false;
		char *to = (char *)a + part[i].at;
		memcpy(to, p, n);
		to[n] = '\0';
		return true;
	}
	return false;
}

/* Segment by segment; {x} keeps one. */
static bool
matches(struct own_api *a, const char *pattern, const char *path)
{
	for (;;) {
		size_t pn = strcspn(pattern, "/"), n = strcspn(path, "/");
		bool take = pn > 2 && pattern[0] == '{';
		if (take ? !keep(a, pattern + 1, pn - 2, path, n)
			 : pn != n || memcmp(pattern, path, n) != 0)
			return false;
		pattern += pn;
		path += n;
		if (*pattern == '\0' || *path == '\0')
			return *pattern == *path;
		pattern++;
		path++;
	}
}

/* ---- queries ---- */

static int
decode(const char *p, size_t n, char **out)
{
	struct buf b;
	buf_init(&b, 0);
	int r = str_form_decode(&b, p, n);
	if (r != 0) {
		buf_free(&b);
		return r;
	}
	free(*out);
	*out = buf_take(&b);
	return *out == NULL ? -ERR_NOMEM : 0;
}

static int
query_pair(struct own_query *q, const char *p, size_t n)
{
	const char *eq = memchr(p, '=', n);
	size_t kn = eq == NULL ? n : (size_t)(eq - p);
	const char *v = eq == NULL ? p + n : eq + 1;
	size_t vn = n - (size_t)(v - p);
	char *text = NULL;
	uint64_t limit = 0;
	int r = 0;
	if (kn == 13 && memcmp(p, "labelSelector", kn) == 0)
		return decode(v, vn, &q->labels);
	if (kn == 13 && memcmp(p, "fieldSelector", kn) == 0)
		return decode(v, vn, &q->fields);
	if (kn == 8 && memcmp(p, "continue", kn) == 0)
		return decode(v, vn, &q->resume);
	if (kn == 5 &&
	    (memcmp(p, "limit", kn) == 0 || memcmp(p, "watch", kn) == 0)) {
		r = decode(v, vn, &text);
		if (r == 0 && p[0] == 'w')
			q->watch =
			    strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
		else if (r == 0 && str_to_u64(text, &limit) &&
			 limit <= UINT32_MAX)
			q->limit = (size_t)limit;
		else
			r = -ERR_INVALID;
		free(text);
	}
	return r; /* others mean nothing here */
}

static int
parse_query(struct own_query *q, const char *text)
{
	q->labels = strdup("");
	q->fields = strdup("");
	q->resume = strdup("");
	if (q->labels == NULL || q->fields == NULL || q->resume == NULL)
		return -ERR_NOMEM;
	while (*text != '\0') {
		size_t n = strcspn(text, "&");
		int r = n == 0 ? 0 : query_pair(q, text, n);
		if (r != 0)
			return r;
		text += n + (text[n] == '&');
	}
	return 0;
}

/* ---- the message ---- */

static own_api_fn *
find(struct own_api *a, const char *method, const char *path)
{
	path += *path == '/';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		a->ns[0] = a->name[0] = a->plural[0] = '\0';
		a->group[0] = a->version[0] = '\0';
		if (strcmp(rows[i].method, method) == 0 &&
		    matches(a, rows[i].pattern, path))
			return rows[i].fn;
	}
	return NULL;
}

static struct own_api *
api_new(struct own *own, struct ipc_in *in, const struct ipc_api_request *m)
{
	struct own_api *a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	list_init(&a->node);
	a->own = own;
	a->fe = in->peer;
	a->request = m->request;
	a->peer = m->peer;
	a->body = m->body;
	(void)str_fmt(a->user, sizeof(a->user), "%s", m->user);
	(void)str_fmt(a->key_id, sizeof(a->key_id), "%s", m->key_id);
	return a;
}

int
own_on_api_request(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_api_request *m = in->payload;
	struct own_api *a = api_new(own_of(worker), in, m);
	if (a == NULL)
		return err_nomem(e);
	int r = parse_query(&a->q, m->query);
	own_api_fn *fn = find(a, m->method, m->path);
	if (r == -ERR_NOMEM)
		own_api_status(a, 500, "InternalError", "out of memory");
	else if (r != 0)
		own_api_status(
		    a, 400, "BadRequest", "the query cannot be parsed");
	else if (fn == NULL)
		own_api_status(a, 404, "NotFound",
		    "the server could not find the requested resource");
	else
		fn(a);
	return 0;
}
