/*
 * open: SESSION_OPEN. A frontend asks for a session on behalf of an
 * authenticated user, or of a primary that names a child it made here. Joins
 * one that is there, or stores a new one before anything else happens.
 *
 * Refusals are definite answers (never 429, 503 or 504, which the client
 * repeats silently for minutes), each a sentence that says what to do.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/handlers.h"
#include "workers/own/local.h"
#include "workers/own/own.h"

static int
refuse(struct own_refusal *r)
{
	return r->code == 0 ? 0 : -ERR_DENIED;
}

/* ---- checks of a new session ---- */

/* What is sent on to every child must fit there with all the rest. */
enum { KEY_MAX = 253, FILTER_MAX = 4096, PARAMS_MAX = 80 << 10 };

static bool
too_long(const char *text, size_t max)
{
	return text != NULL && strlen(text) > max;
}

static int
check_params(const struct own *own, const struct ipc_session_open *m,
    struct params *p, struct own_refusal *r)
{
	struct err e = {0};
	char *text = strndup((const char *)m->params.p, m->params.n);
	int rc = text == NULL ? -ERR_NOMEM : params_parse(text, p, &e);
	free(text);
	(void)own;
	if (rc == -ERR_NOMEM)
		own_refuse(r, 500, "InternalError", "out of memory");
	else if (rc != 0)
		own_refuse(r, 400, "BadRequest", "%s", e.text);
	if (rc != 0)
		return rc;
	const char *reserved = params_reserved(p);
	if (reserved != NULL && m->peer != OWN_PEER_PRIMARY)
		own_refuse(r, 403, "Forbidden",
		    "the parameter %s may be sent by a primary only", reserved);
	else if (params_refusal(p, 0, &e) != 0)
		own_refuse(r, 422, "Invalid", "%s", e.text);
	else if (too_long(p->value[PARAM_KEY], KEY_MAX) ||
		 too_long(p->value[PARAM_HEADER_FILTER], FILTER_MAX) ||
		 m->params.n > PARAMS_MAX)
		own_refuse(r, 400, "BadRequest",
		    "the session's key, header filter or parameters are too "
		    "long: shorten them");
	if (r->code != 0)
		params_free(p);
	return refuse(r);
}

static int
check_target(const struct own *own, const struct ipc_session_open *m,
    struct plat_alias *a, struct own_refusal *r)
{
	struct err e = {0};
	(void)own;
	if (plat_alias_parse(m->target, a, &e) != 0)
		own_refuse(r, 400, "BadRequest", "%s", e.text);
	else if (!plat_name_ok(m->namespace))
		own_refuse(r, 400, "BadRequest",
		    "\"%s\" is no namespace: choose one with -n", m->namespace);
	else if (a->kind == PLAT_TARGETLESS)
		own_refuse(r, 422, "Invalid",
		    "sessions without a target are not there yet: choose a "
		    "target with -t (`mirrord ls` lists them)");
	else if (a->kind == PLAT_LABEL)
		own_refuse(r, 422, "Invalid",
		    "targets chosen by label are not there yet: name one "
		    "with -t (`mirrord ls` lists them)");
	return refuse(r);
}

/* multicluster §1: single or multi. */
static enum own_kind
decide(const struct own *own, const struct params *p, struct own_refusal *r)
{
	if (!own->cfg.multi)
		return OWN_SINGLE;
	if (params_bool(p, PARAM_MULTI_CLUSTER, true))
		return OWN_PARENT;
	if (own->cfg.management_only)
		own_refuse(r, 422, "Invalid",
		    "this primary is management-only and has no targets of "
		    "its own: leave multi_cluster=false away");
	return OWN_SINGLE;
}

struct plat_target *
own_find_target(const struct own *own, const char *ns,
    const struct plat_alias *a, struct own_refusal *r)
{
	const char *kind = plat_kind_info(a->kind)->alias;
	struct plat_target *t =
	    plat_target_find(&own->targets, a->kind, ns, a->name);
	if (t == NULL)
		own_refuse(r, 404, "NotFound",
		    "%s/%s is not a target in namespace %s of cluster %s: "
		    "see `mirrord ls`",
		    kind, a->name, ns, own->cfg.cluster);
	else if (a->container[0] != '\0' &&
		 strcmp(a->container, t->container) != 0) {
		own_refuse(r, 404, "NotFound",
		    "%s/%s has no container %s in cluster %s: it is called %s",
		    kind, a->name, a->container, own->cfg.cluster,
		    t->container);
		t = NULL;
	}
	return t;
}

/* ---- making one ---- */

static int
set_client(struct own_session *s, const struct ipc_session_open *m)
{
	int r = 0;
	char *params = strndup((const char *)m->params.p, m->params.n);
	if (params == NULL)
		return -ERR_NOMEM;
	r |= own_text_set(&s->params, params);
	r |= own_text_set(&s->cli_version, m->cli_version);
	r |= own_text_set(&s->client_name, m->client_name);
	r |= own_text_set(&s->client_hostname, m->client_hostname);
	r |= own_text_set(&s->client_der, m->client_der);
	r |= own_text_set(&s->traceparent, m->traceparent);
	r |= own_text_set(&s->baggage, m->baggage);
	free(params);
	return r;
}

static int
set_owner(struct own_session *s, const struct ipc_session_open *m,
    const struct params *p)
{
	int r = 0;
	s->id = m->session_id;
	r |= own_text_set(&s->user, m->user);
	r |= own_text_set(&s->groups, m->groups);
	r |= own_text_set(&s->key_id, m->key_id);
	r |= own_text_set(&s->ns, m->namespace);
	r |= own_text_set(&s->alias, m->target);
	r |= own_text_set(&s->key, p->value[PARAM_KEY]);
	r |= own_text_set(&s->header_filter, p->value[PARAM_HEADER_FILTER]);
	return r;
}

/* The own cluster first, then the remote ones in their order. */
static int
set_slots(struct own_session *s)
{
	const struct own_settings *c = &s->own->cfg;
	int r = 0;
	bool own_too = s->kind != OWN_PARENT || !c->management_only;
	if (own_too)
		r |= own_session_add_slot(s, c->cluster);
	for (size_t i = 0; s->kind == OWN_PARENT && i < c->n_clusters; i++)
		r |= own_session_add_slot(s, c->clusters[i].name);
	for (int i = 0; r == 0 && i < s->n_slots; i++) {
		if (strcmp(s->slots[i].cluster, c->default_cluster) == 0)
			s->default_slot = i;
	}
	return r != 0 || s->n_slots == 0 ? -ERR_INVALID : 0;
}

static struct own_session *
make(struct own *own, const struct ipc_session_open *m, enum own_kind kind,
    const struct plat_alias *a, const struct params *p, struct own_refusal *r)
{
	char name[64];
	if (own->n_sessions >= OWN_MAX_SESSIONS) {
		own_refuse(r, 500, "InternalError",
		    "there are %d sessions, no more are taken: end some with "
		    "`mirrord session stop`",
		    OWN_MAX_SESSIONS);
		return NULL;
	}
	own_name_of_id(kind, m->session_id, name);
	struct own_session *s = own_session_new(own, kind, name);
	if (s != NULL)
		s->target = *a;
	/* the record is first: a crash from here on leaves nothing behind */
	if (s != NULL && set_client(s, m) == 0 && set_owner(s, m, p) == 0 &&
	    set_slots(s) == 0 && own_session_save(s) == 0)
		return s;
	own_refuse(r, 500, "InternalError",
	    "the session cannot be stored: see the operator's log");
	own_session_free(s);
	return NULL;
}

static struct own_session *
open_new(
    struct own *own, const struct ipc_session_open *m, struct own_refusal *r)
{
	struct params p;
	struct plat_alias a;
	struct own_session *s = NULL;
	if (check_target(own, m, &a, r) != 0 ||
	    check_params(own, m, &p, r) != 0)
		return NULL;
	enum own_kind kind = decide(own, &p, r);
	if (r->code == 0)
		s = make(own, m, kind, &a, &p, r);
	params_free(&p);
	return s;
}

/* ---- finding one ---- */

static bool
closed(const struct own *own, const char *name, struct own_refusal *r)
{
	struct plat_closed c;
	if (!plat_closed_find(own->store, name, clock_wall_s(), &c))
		return false;
	own_refuse(r, 410, "ReconnectNotPossible", "%s", c.message);
	return true;
}

static struct own_session *
open_user(
    struct own *own, const struct ipc_session_open *m, struct own_refusal *r)
{
	char multi[64], single[64];
	struct own_session *s = own_session_by_id(own, m->session_id);
	own_name_of_id(OWN_PARENT, m->session_id, multi);
	own_name_of_id(OWN_SINGLE, m->session_id, single);
	if (m->child[0] != '\0')
		own_refuse(r, 403, "Forbidden",
		    "only a primary may join a child session");
	else if (s != NULL && !own_same_owner(s, m->user, m->key_id))
		own_refuse(r, 403, "Forbidden",
		    "the session belongs to another user or another key");
	else if (closed(own, multi, r) || closed(own, single, r))
		return NULL;
	else if (s != NULL && (strcmp(s->alias, m->target) != 0 ||
				  strcmp(s->ns, m->namespace) != 0))
		own_refuse(r, 409, "Conflict",
		    "the session is on %s in namespace %s: start a new one "
		    "for another target",
		    s->alias, s->ns);
	if (r->code != 0)
		return NULL;
	if (s == NULL)
		return open_new(own, m, r);
	if (set_client(s, m) != 0)
		own_refuse(r, 500, "InternalError", "out of memory");
	return r->code == 0 ? s : NULL;
}

static struct own_session *
open_child(
    struct own *own, const struct ipc_session_open *m, struct own_refusal *r)
{
	struct params p;
	struct own_session *s = own_session_by_name(own, m->child);
	if (m->child[0] == '\0')
		own_refuse(r, 403, "Forbidden",
		    "a primary must name the child session it made");
	else if (s != NULL &&
		 (s->kind != OWN_CHILD || strcmp(s->primary, m->user) != 0))
		own_refuse(r, 403, "Forbidden",
		    "the session %s is not a child of this primary", m->child);
	else if (s == NULL && !closed(own, m->child, r))
		own_refuse(r, 404, "NotFound",
		    "there is no child session %s: create it first", m->child);
	if (s == NULL || r->code != 0 || check_params(own, m, &p, r) != 0)
		return NULL;
	if (p.value[PARAM_KEY] != NULL)
		(void)own_text_set(&s->key, p.value[PARAM_KEY]);
	params_free(&p);
	s->id = m->session_id;
	if (set_client(s, m) != 0)
		own_refuse(r, 500, "InternalError", "out of memory");
	return r->code == 0 ? s : NULL;
}

/* ---- the messages ---- */

static int
add_waiter(struct own_session *s, struct ipc_in *in, uint32_t request)
{
	struct own_waiter *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ERR_NOMEM;
	list_init(&w->node);
	w->fe = in->peer;
	w->request = request;
	list_push(&s->waiters, &w->node);
	return 0;
}

void
own_session_begin(struct own_session *s)
{
	s->setup_at_ms = clock_mono_ms();
	own_grant_sf(s);
	own_slots_step(s);
	own_slots_check(s);
}

int
own_on_session_open(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_session_open *m = in->payload;
	struct own *own = own_of(worker);
	struct own_refusal r = {0};
	(void)e;
	struct own_session *s = m->peer == OWN_PEER_PRIMARY
				    ? open_child(own, m, &r)
				    : open_user(own, m, &r);
	if (s != NULL && add_waiter(s, in, m->request) != 0)
		own_refuse(&r, 500, "InternalError", "out of memory");
	if (r.code != 0) {
		struct ipc_session_refused no = {.request = m->request,
		    .code = r.code,
		    .reason = r.reason,
		    .message = r.message};
		log_info("session refused id=%016llx user=%s code=%u why=%s",
		    (unsigned long long)m->session_id, m->user, r.code,
		    r.message);
		(void)ipc_send(
		    in->peer, IPC_SESSION_REFUSED, 0, 0, 0, &no, NULL, 0);
		return 0;
	}
	if (s->phase == OWN_INITIALIZING && s->setup_at_ms == 0)
		own_session_begin(s);
	else
		own_event(s, OWN_EV_OPEN);
	return 0;
}

int
own_on_session_cancel(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_session_cancel *m = in->payload;
	struct own *own = own_of(worker);
	(void)e;
	LIST_FOR_EACH (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		LIST_FOR_EACH_SAFE (k, &s->waiters) {
			struct own_waiter *w =
			    LIST_ENTRY(k, struct own_waiter, node);
			if (w->fe == in->peer && w->request == m->request) {
				list_remove(k);
				free(w);
			}
		}
	}
	return 0;
}
