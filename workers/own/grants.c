/*
 * grants: who may work on a session. A cluster worker gets what its own child
 * needs and may know, the stateful worker what the default child needs.
 */
#include "config.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "workers/own/handlers.h"
#include "workers/own/own.h"

int
own_params_text(const struct own_session *s, enum params_child which,
    struct buf *out, struct err *e)
{
	struct params p;
	int r = params_parse(s->params, &p, e);
	if (r != 0)
		return r;
	r = params_put_query(&p, which, NULL, out, e);
	params_free(&p);
	return r;
}

static enum params_child
params_of(const struct own_session *s, const struct own_slot *slot,
    const struct ipc_peer *to)
{
	if (ipc_peer_role(to) == IPC_SF)
		return PARAMS_FOR_DEFAULT_STATEFUL;
	return slot->index == s->default_slot ? PARAMS_FOR_DEFAULT_PLAIN
					      : PARAMS_FOR_OTHER;
}

int
own_grant(
    struct own_session *s, const struct own_slot *slot, struct ipc_peer *to)
{
	struct buf params;
	struct err e = {0};
	buf_init(&params, 0);
	int r = own_params_text(s, params_of(s, slot, to), &params, &e);
	if (r != 0) {
		log_error(
		    "session=%s cannot be granted why=%s", s->name, e.text);
		buf_free(&params);
		return r;
	}
	struct ipc_grant m = {
	    .session_id = s->id,
	    .child = slot->child,
	    .cluster = slot->cluster,
	    .worker = slot->worker,
	    .namespace = s->ns,
	    .target = s->alias,
	    .params = buf_span(&params),
	    .client_name = s->client_name,
	    .client_hostname = s->client_hostname,
	    .cli_version = s->cli_version,
	    .client_der = s->client_der,
	    .traceparent = s->traceparent,
	    .baggage = s->baggage,
	};
	r = ipc_send(to, IPC_GRANT, 0, s->handle, 0, &m, NULL, 0);
	buf_free(&params);
	return r;
}

void
own_grant_sf(struct own_session *s)
{
	struct ipc_peer *sf = own_sf(s->own);
	if (sf == NULL || s->sf_granted || s->sf_asked ||
	    s->phase == OWN_TERMINATING)
		return;
	s->sf_asked = own_grant(s, &s->slots[s->default_slot], sf) == 0;
}

void
own_revoke(struct own_session *s, struct ipc_peer *to, const char *text)
{
	struct ipc_revoke m = {.text = text};
	if (to != NULL)
		(void)ipc_send(to, IPC_REVOKE, 0, s->handle, 0, &m, NULL, 0);
}

int
own_on_granted(void *worker, struct ipc_in *in, struct err *e)
{
	struct own *own = own_of(worker);
	(void)e;
	if (ipc_peer_role(in->peer) == IPC_CLU)
		return own_slots_granted(own, in);
	struct own_session *s = own_session_by_handle(own, in->header.session);
	if (s == NULL || !s->sf_asked)
		return 0;
	s->sf_granted = true;
	own_slots_check(s);
	return 0;
}
