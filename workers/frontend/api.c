/*
 * Requests to handlers, by one table: who may, and what does it. Nothing is
 * looked at before the peer is known: without a valid credential every path
 * but /health is a 401 (design §8).
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "workers/frontend/frontend.h"

/* What allows a request. */
enum api_need {
	NEED_RULE,    /* any allow rule names the user */
	NEED_NS,      /* a rule with the verb in this namespace; in all of
		       * them when the path names none */
	NEED_CONNECT, /* checked by the handler, after its parameters */
	NEED_PRIMARY, /* a primary, nobody else */
};

#define OP "apis/operator.metalbear.co/v1/"
#define CHILD "apis/mirrord.metalbear.co/v1alpha/mirrordclustersessions"
#define GET "GET"
#define POST "POST"
#define DEL "DELETE"

struct api_row {
	const char *method;
	const char *pattern; /* `*` one segment, `**` any rest, `{ns}` */
	enum api_need need;
	const char *verb;
	void (*fn)(struct fe_request *r);
};

static void do_target(struct fe_request *r);

/* clang-format off */
static const struct api_row rows[] = {
    {GET, "version", NEED_RULE, "get", fe_do_forward},
    /* discovery */
    {GET, "api", NEED_RULE, "get", fe_do_discovery},
    {GET, "apis", NEED_RULE, "get", fe_do_discovery},
    {GET, "api/v1", NEED_RULE, "get", fe_do_discovery},
    {GET, "apis/*", NEED_RULE, "get", fe_do_discovery},
    {GET, "apis/*/*", NEED_RULE, "get", fe_do_discovery},
    /* the operator's own API, spec/operator-api.md §2 */
    {GET, OP "mirrordoperators", NEED_RULE, "get", fe_do_forward},
    {GET, OP "mirrordoperators/operator", NEED_RULE, "get", fe_do_forward},
    {GET, OP "mirrordoperators/operator/ping", NEED_RULE, "get", fe_do_ping},
    {POST, OP "mirrordoperators/operator/certificate", NEED_RULE, "create", fe_do_certificate},
    {POST, OP "mirrordclusteroperatorusercredentials", NEED_RULE, "create", fe_do_credential},
    {GET, OP "proxy/namespaces/{ns}/targets/*", NEED_CONNECT, "proxy", fe_do_connect},
    {GET, OP "namespaces/{ns}/targets/*", NEED_CONNECT, "get", do_target},
    {GET, OP "targets", NEED_NS, "list", fe_do_forward},
    {GET, OP "namespaces/{ns}/targets", NEED_NS, "list", fe_do_forward},
    {GET, OP "sessions", NEED_NS, "list", fe_do_forward},
    {GET, OP "sessions/*", NEED_NS, "list", fe_do_forward},
    {GET, OP "namespaces/{ns}/sessions", NEED_NS, "list", fe_do_forward},
    {GET, OP "namespaces/{ns}/sessions/*", NEED_NS, "list", fe_do_forward},
    {DEL, OP "sessions", NEED_RULE, "delete", fe_do_forward},
    {DEL, OP "sessions/*", NEED_RULE, "delete", fe_do_forward},
    {DEL, OP "namespaces/{ns}/sessions", NEED_NS, "delete", fe_do_forward},
    {DEL, OP "namespaces/{ns}/sessions/*", NEED_NS, "delete", fe_do_forward},
    /* known, not done yet: refused with a sentence */
    {GET, OP "proxy/namespaces/{ns}/copytargets/*", NEED_NS, "proxy", fe_do_unsupported},
    {GET, OP "namespaces/{ns}/copytargets/*", NEED_NS, "get", fe_do_unsupported},
    {GET, OP "namespaces/{ns}/copytargets", NEED_NS, "list", fe_do_unsupported},
    {POST, OP "namespaces/{ns}/copytargets", NEED_NS, "create", fe_do_unsupported},
    {POST, OP "branchcredentials", NEED_RULE, "create", fe_do_unsupported},
    {POST, OP "previewsecretmounts", NEED_RULE, "create", fe_do_unsupported},
    /* child sessions, for primaries */
    {GET, CHILD, NEED_PRIMARY, "list", fe_do_forward},
    {POST, CHILD, NEED_PRIMARY, "create", fe_do_forward},
    {GET, CHILD "/*", NEED_PRIMARY, "get", fe_do_forward},
    {DEL, CHILD "/*", NEED_PRIMARY, "delete", fe_do_forward},
    /* as much of Kubernetes as the CLI needs, standalone */
    {GET, "api/v1/namespaces", NEED_NS, "list", fe_do_forward},
    {GET, "api/v1/namespaces/{ns}", NEED_NS, "get", fe_do_forward},
    {GET, "api/v1/*", NEED_NS, "list", fe_do_forward},
    {GET, "api/v1/namespaces/{ns}/*", NEED_NS, "list", fe_do_forward},
    {GET, "api/v1/namespaces/{ns}/*/*", NEED_NS, "get", fe_do_forward},
    {GET, "apis/*/*/*", NEED_NS, "list", fe_do_forward},
    {GET, "apis/*/*/namespaces/{ns}/*", NEED_NS, "list", fe_do_forward},
    {GET, "apis/*/*/namespaces/{ns}/*/*", NEED_NS, "get", fe_do_forward},
};
/* clang-format on */

/* The one answer that needs no credential. */
static bool
is_health(const struct http_head *head)
{
	return strcmp(head->path, "/health") == 0 &&
	       (strcmp(head->method, GET) == 0 ||
		   strcmp(head->method, "HEAD") == 0);
}

/* E5' is a connect without /proxy; without an upgrade it is E7. */
static void
do_target(struct fe_request *r)
{
	if (r->head->upgrade)
		fe_do_connect(r);
	else if (r->id.peer == FE_PRIMARY ||
		 fe_allowed(r->fe, &r->id, FE_SCOPE_NS, "get", r->ns, NULL))
		fe_do_forward(r);
	else
		http_respond_status(r->conn->http, STATUS_FORBIDDEN,
		    "user \"%s\" may not get targets in namespace \"%s\"",
		    r->id.user, r->ns);
}

/* Matches the path; remembers where {ns} and the last `*` stand. */
static bool
row_matches(const struct api_row *row, struct fe_request *r)
{
	const char *p = row->pattern;
	size_t i = 0;

	r->ns = r->name = NULL;
	for (; *p != '\0'; i++) {
		size_t n = strcspn(p, "/");
		const char *seg = i < r->path.count ? r->path.seg[i] : NULL;

		if (seg == NULL)
			return false;
		if (n == 4 && strncmp(p, "{ns}", n) == 0)
			r->ns = seg;
		else if (n == 1 && *p == '*')
			r->name = seg;
		else if (strlen(seg) != n || strncmp(p, seg, n) != 0)
			return false;
		p += p[n] == '/' ? n + 1 : n;
	}
	return i == r->path.count;
}

/* NULL with *other set when only the method does not fit. */
static const struct api_row *
row_find(struct fe_request *r, bool *other)
{
	*other = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *m = r->head->method;

		if (!row_matches(&rows[i], r))
			continue;
		if (strcmp(m, rows[i].method) == 0 ||
		    (strcmp(m, "HEAD") == 0 &&
			strcmp(rows[i].method, GET) == 0))
			return &rows[i];
		*other = true;
	}
	return NULL;
}

static bool
row_permits(const struct api_row *row, const struct fe_request *r)
{
	bool primary = r->id.peer == FE_PRIMARY;

	switch (row->need) {
	case NEED_CONNECT:
		return true;
	case NEED_PRIMARY:
		return primary;
	case NEED_RULE:
		return primary || fe_allowed(r->fe, &r->id, FE_SCOPE_ANY,
				      row->verb, NULL, NULL);
	case NEED_NS:
		return primary || fe_allowed(r->fe, &r->id, FE_SCOPE_NS,
				      row->verb, r->ns, NULL);
	}
	return false;
}

static void
api_run(struct fe_request *r)
{
	struct http_conn *http = r->conn->http;
	bool other;
	const struct api_row *row = row_find(r, &other);

	if (row == NULL && other)
		http_respond_status(http, STATUS_METHOD_NOT_ALLOWED,
		    "%s is not possible on %s", r->head->method, r->head->path);
	else if (row == NULL)
		http_respond_status(http, STATUS_NOT_FOUND,
		    "the server has no %s", r->head->path);
	else if (!row_permits(row, r))
		http_respond_status(http, STATUS_FORBIDDEN,
		    "user \"%s\" may not %s %s; an `allow:` rule of the "
		    "server's configuration would permit it",
		    r->id.user, row->verb, r->head->path);
	else if (r->fe->draining)
		http_respond_status(http, STATUS_STARTING,
		    "the server is stopping; try again in a moment");
	else
		row->fn(r);
}

void
fe_api_request(
    struct fe_conn *c, const struct http_head *head, struct span body)
{
	struct fe_request r = {
	    .fe = c->fe, .conn = c, .head = head, .body = body};
	struct err e;

	log_debug("request method=%s path=%s", head->method, head->path);
	if (is_health(head)) {
		http_respond(c->http, 200, "text/plain", NULL, "ok\n", 3);
		return;
	}
	fe_identify(r.fe, http_conn_tls(c->http), head, &r.id);
	c->proof = r.id.proof;
	if (r.id.peer == FE_NOBODY) {
		http_respond_status(
		    c->http, STATUS_UNAUTHORIZED, "%s", r.id.why);
		return;
	}
	if (http_path_parse(head->path, &r.path, &e) < 0) {
		http_respond_status(
		    c->http, STATUS_BAD_REQUEST, "path: %s", e.text);
		return;
	}
	api_run(&r);
	http_path_free(&r.path);
}
