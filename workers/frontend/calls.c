/* Questions to other workers: by request number, with an owner each. */
#include "config.h"

#include <stdlib.h>

#include "workers/frontend/frontend.h"

struct fe_call *
fe_call_new(struct fe *fe, enum ipc_role role, uint16_t cancel, void *owner,
    bool (*on_done)(void *, uint16_t, const void *, uint32_t))
{
	struct fe_call *c;

	if (worker_peer(fe->w, role, 0) == NULL)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	*c = (struct fe_call){.fe = fe,
	    .role = role,
	    .cancel = cancel,
	    .owner = owner,
	    .on_done = on_done};
	do {
		c->request = ++fe->next_call;
	} while (c->request == 0 || map_get(&fe->calls, c->request) != NULL);
	if (map_put(&fe->calls, c->request, c) < 0) {
		free(c);
		return NULL;
	}
	return c;
}

static void
call_free(struct fe_call *c)
{
	map_del(&c->fe->calls, c->request);
	free(c);
}

void
fe_call_cancel(struct fe_call **call)
{
	struct fe_call *c = *call;
	struct ipc_peer *peer;

	if (c == NULL)
		return;
	*call = NULL;
	peer = worker_peer(c->fe->w, c->role, 0);
	if (peer != NULL && c->cancel != 0) {
		/* SESSION_CANCEL and API_CANCEL have the same one field. */
		struct ipc_api_cancel m = {.request = c->request};

		ipc_send(peer, c->cancel, 0, 0, 0, &m, NULL, 0);
	}
	if (c->drop != NULL)
		c->drop(c->owner);
	call_free(c);
}

int
fe_call_answer(struct fe *fe, uint32_t request, uint16_t type, const void *m,
    uint32_t session)
{
	struct fe_call *c = map_get(&fe->calls, request);

	/* An answer to a call that was cancelled meanwhile is no error. */
	if (c == NULL)
		return 0;
	if (!c->on_done(c->owner, type, m, session))
		call_free(c);
	return 0;
}

void
fe_calls_peer_gone(struct fe *fe, enum ipc_role role)
{
	struct fe_call *c;
	size_t pos = 0;

	while ((c = map_next(&fe->calls, &pos, NULL)) != NULL) {
		if (c->role != role)
			continue;
		c->on_done(c->owner, 0, NULL, 0);
		call_free(c);
		pos = 0; /* the map has changed */
	}
}
