/* The sessions this worker was given, and the streams asked for them. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "workers/cluster/cluster.h"

static void
session_forget(struct clu_session *s)
{
	map_del(&s->clu->sessions, s->handle);
	for (size_t i = 0; i < sizeof(s->fields) / sizeof(s->fields[0]); i++)
		free(s->fields[i]);
	free(s);
}

void
clu_session_free(struct clu_session *s, const char *text)
{
	LIST_FOR_EACH_SAFE (node, &s->children)
		clu_child_free(
		    LIST_ENTRY(node, struct clu_child, node), 0, text);
	session_forget(s);
}

static int
session_fields(struct clu_session *s, const struct ipc_grant *m)
{
	const char *values[] = {
	    [CLU_CHILD] = m->child,
	    [CLU_NAMESPACE] = m->namespace,
	    [CLU_TARGET] = m->target,
	    [CLU_CLIENT_NAME] = m->client_name,
	    [CLU_CLIENT_HOSTNAME] = m->client_hostname,
	    [CLU_CLI_VERSION] = m->cli_version,
	    [CLU_CLIENT_DER] = m->client_der,
	};
	char *trace = NULL;
	int rc = 0;

	for (size_t i = 0; i < sizeof(s->fields) / sizeof(s->fields[0]); i++) {
		free(s->fields[i]);
		s->fields[i] = NULL;
	}
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		s->fields[i] = strdup(values[i] == NULL ? "" : values[i]);
		rc |= s->fields[i] == NULL;
	}
	free(s->fields[CLU_PARAMS]);
	s->fields[CLU_PARAMS] = strndup((const char *)m->params.p, m->params.n);
	if (asprintf(&trace, "%s\n%s", m->traceparent, m->baggage) < 0)
		trace = NULL;
	s->fields[CLU_TRACE] = trace;
	return rc != 0 || trace == NULL || s->fields[CLU_PARAMS] == NULL
		   ? -ERR_NOMEM
		   : 0;
}

int
clu_on_grant(void *worker, struct ipc_in *in, struct err *e)
{
	struct clu *clu = ((struct worker *)worker)->state;
	const struct ipc_grant *m = in->payload;
	struct clu_session *s = map_get(&clu->sessions, in->header.session);
	struct ipc_granted done = {.session_id = m->session_id};

	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL ||
		    map_put(&clu->sessions, in->header.session, s) < 0) {
			free(s);
			return err_nomem(e);
		}
		s->clu = clu;
		s->handle = in->header.session;
		s->budget = (struct ipc_budget){.parent = &clu->budget,
		    .limit_bytes = IPC_SESSION_BUDGET_BYTES};
		list_init(&s->children);
	}
	s->id = m->session_id;
	if (session_fields(s, m) < 0) {
		clu_session_free(s, "out of memory");
		return err_nomem(e);
	}
	return ipc_send(in->peer, IPC_GRANTED, 0, s->handle, 0, &done, NULL, 0);
}

int
clu_on_revoke(void *worker, struct ipc_in *in, struct err *e)
{
	struct clu *clu = ((struct worker *)worker)->state;
	const struct ipc_revoke *m = in->payload;
	struct clu_session *s = map_get(&clu->sessions, in->header.session);

	(void)e;
	if (s != NULL)
		clu_session_free(s, m->text);
	return 0;
}

int
clu_on_anchor(void *worker, struct ipc_in *in, struct err *e)
{
	struct clu *clu = ((struct worker *)worker)->state;
	const struct ipc_anchor *m = in->payload;
	struct clu_session *s = map_get(&clu->sessions, in->header.session);
	struct err why;

	if (s == NULL)
		return err_set(e, ERR_NOT_FOUND, "ANCHOR of session %u",
		    (unsigned)in->header.session);
	if (!m->open && s->anchor != NULL) {
		clu_child_free(s->anchor, 0, "the anchor is not needed");
	} else if (m->open && s->anchor == NULL) {
		struct ipc_anchor_state down = {.code = 502};

		s->anchor = clu_child_new(s, 0, true, &why);
		if (s->anchor != NULL)
			return 0;
		down.message = why.text;
		return ipc_send(in->peer, IPC_ANCHOR_STATE, 0, s->handle, 0,
		    &down, NULL, 0);
	} else if (m->open) {
		clu_anchor_tell_up(s->anchor); /* asked again */
	}
	return 0;
}

static int
stream_refuse(struct ipc_in *in, uint16_t code, const char *why)
{
	struct ipc_stream_reset m = {.code = code, .text = why};

	return ipc_send(in->peer, IPC_STREAM_RESET, 0, in->header.session,
	    in->header.stream, &m, NULL, 0);
}

int
clu_on_stream_open(void *worker, struct ipc_in *in, struct err *e)
{
	struct clu *clu = ((struct worker *)worker)->state;
	const struct ipc_stream_open *m = in->payload;
	struct clu_session *s = map_get(&clu->sessions, in->header.session);
	enum route_path path =
	    ipc_peer_role(in->peer) == IPC_SF ? ROUTE_STATEFUL : ROUTE_TRAFFIC;
	struct clu_child *c;
	struct err why;
	bool fresh;

	(void)e;
	if (s == NULL)
		return stream_refuse(in, 404, "the session is not known here");
	/* Both paths of one client socket carry the same number. */
	c = clu_child_find(s, in->header.stream);
	fresh = c == NULL;
	if (fresh)
		c = clu_child_new(s, in->header.stream, false, &why);
	if (c == NULL)
		return stream_refuse(in, 502, why.text);
	if (clu_child_join(c, path, in->peer,
		path == ROUTE_TRAFFIC ? m->params : (struct span){NULL, 0},
		&why) < 0) {
		if (fresh) /* nobody would ever end it */
			clu_child_free(c, 500, why.text);
		return stream_refuse(in, 500, why.text);
	}
	return 0;
}
