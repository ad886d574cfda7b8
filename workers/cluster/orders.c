/*
 * The controller's orders: child sessions on this cluster, and questions to
 * its API. The orders are typed, so that nobody can make this worker send a
 * request of his own with the cluster's credential.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/str.h"
#include "workers/cluster/cluster.h"

#define CHILD_PATH "/apis/mirrord.metalbear.co/v1alpha/mirrordclustersessions"
#define OPERATOR_PATH "/apis/operator.metalbear.co/v1"

/* An order under way. */
struct order {
	struct clu *clu;
	uint32_t request;
};

static struct ipc_peer *
controller(struct clu *clu)
{
	return worker_peer(clu->w, IPC_OWN, 0);
}

static struct order *
order_new(struct clu *clu, uint32_t request)
{
	struct order *o = calloc(1, sizeof(*o));

	if (o != NULL)
		*o = (struct order){.clu = clu, .request = request};
	return o;
}

/* What the controller is told of an answer. 0 of the peer is our 502. */
static const char *
answer_text(const struct clu_answer *a)
{
	if (a->code == 0)
		return a->error;
	return a->status.message[0] != '\0' ? a->status.message : "";
}

static uint16_t
answer_code(const struct clu_answer *a)
{
	if (a->code == 0)
		return 502;
	if (a->code >= 400 && a->status.is_status && a->status.code > 0)
		return (uint16_t)a->status.code;
	return (uint16_t)a->code;
}

static void
child_created(void *arg, const struct clu_answer *a)
{
	struct order *o = arg;
	struct ipc_child_created m = {
	    .request = o->request,
	    .code = answer_code(a),
	    .reason = a->code >= 400 ? a->status.reason : "",
	    .message = answer_text(a),
	};

	/* It exists: an earlier try of ours got through. */
	if (a->code == 409 && strcmp(a->status.reason, "AlreadyExists") == 0)
		m.code = 200;
	if (controller(o->clu) != NULL)
		ipc_send(controller(o->clu), IPC_CHILD_CREATED, 0, 0, 0, &m,
		    NULL, 0);
	free(o);
}

int
clu_on_child_create(void *worker, struct ipc_in *in, struct err *e)
{
	struct clu *clu = ((struct worker *)worker)->state;
	const struct ipc_child_create *m = in->payload;
	struct order *o = order_new(clu, m->request);
	struct clu_answer failed = {0};
	struct err why;

	if (o == NULL)
		return err_nomem(e);
	if (clu_request(clu, "POST", CHILD_PATH, (const char *)m->object.p,
		m->object.n, child_created, o, &why) < 0) {
		str_fmt(failed.error, sizeof(failed.error), "%s", why.text);
		child_created(o, &failed);
	}
	return 0;
}

static void
child_deleted(void *arg, const struct clu_answer *a)
{
	struct order *o = arg;
	struct ipc_child_deleted m = {
	    .request = o->request,
	    .code = answer_code(a),
	    .message = answer_text(a),
	};

	if (a->code == 404)
		m.code = 200; /* gone is gone */
	if (controller(o->clu) != NULL)
		ipc_send(controller(o->clu), IPC_CHILD_DELETED, 0, 0, 0, &m,
		    NULL, 0);
	free(o);
}

int
clu_on_child_delete(void *worker, struct ipc_in *in, struct err *e)
{
	struct clu *clu = ((struct worker *)worker)->state;
	const struct ipc_child_delete *m = in->payload;
	struct order *o = order_new(clu, m->request);
	struct clu_answer failed = {0};
	char path[2000], name[1900];
	struct err why;

	if (o == NULL)
		return err_nomem(e);
	clu_escape(name, sizeof(name), m->name); /* 600 bytes at most */
	snprintf(path, sizeof(path), CHILD_PATH "/%s", name);
	if (clu_request(clu, "DELETE", path, "{}", 2, child_deleted, o, &why) <
	    0) {
		str_fmt(failed.error, sizeof(failed.error), "%s", why.text);
		child_deleted(o, &failed);
	}
	return 0;
}

static void
query_answered(void *arg, const struct clu_answer *a)
{
	struct order *o = arg;
	struct ipc_peer_answer m = {
	    .request = o->request,
	    .code = answer_code(a),
	    .body = a->body,
	};

	if (controller(o->clu) != NULL)
		ipc_send(
		    controller(o->clu), IPC_PEER_ANSWER, 0, 0, 0, &m, NULL, 0);
	free(o);
}

int
clu_on_peer_query(void *worker, struct ipc_in *in, struct err *e)
{
	static const char *const what[] = {
	    "mirrordoperators/operator", "targets", "sessions"};
	struct clu *clu = ((struct worker *)worker)->state;
	const struct ipc_peer_query *m = in->payload;
	struct clu_answer failed = {0};
	struct order *o;
	char path[1000], ns[800];
	struct err why;

	if (m->what >= sizeof(what) / sizeof(what[0]))
		return err_set(
		    e, ERR_INVALID, "PEER_QUERY of kind %u", (unsigned)m->what);
	clu_escape(ns, sizeof(ns), m->namespace); /* 253 bytes at most */
	if (m->what == 0 || m->namespace[0] == '\0')
		snprintf(
		    path, sizeof(path), OPERATOR_PATH "/%s", what[m->what]);
	else
		snprintf(path, sizeof(path), OPERATOR_PATH "/namespaces/%s/%s",
		    ns, what[m->what]);
	o = order_new(clu, m->request);
	if (o == NULL)
		return err_nomem(e);
	if (clu_request(clu, "GET", path, NULL, 0, query_answered, o, &why) <
	    0) {
		str_fmt(failed.error, sizeof(failed.error), "%s", why.text);
		query_answered(o, &failed);
	}
	return 0;
}
