/*
 * session_io: messages of a session, out and in. A reply belongs to the
 * oldest request of its queue; one that nobody asked for ends the session, as
 * everything after it could belong to somebody else.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/session_int.h"
#include "lib/arena.h"

struct pending {
	struct list node;
	cli_answer_fn *fn;
	void *arg;
};

/* Takes a request out of its queue and answers it. */
static void
pending_answer(struct list *node, const struct pm_DaemonMessage *m)
{
	struct pending *p = LIST_ENTRY(node, struct pending, node);
	cli_answer_fn *fn = p->fn;
	void *arg = p->arg;

	list_remove(&p->node);
	free(p);
	if (fn != NULL)
		fn(arg, m);
}

void
cli_session_fail_queues(struct cli_session *s)
{
	for (int q = 0; q < CLI_QUEUES; q++) {
		/* Nobody can ask anew now, see cli_session_send. */
		LIST_FOR_EACH_SAFE (node, &s->queue[q])
			pending_answer(node, NULL);
	}
}

int
cli_session_send(struct cli_session *s, const struct pm_ClientMessage *m)
{
	struct buf b;
	struct err e;
	int rc;

	if (s->ws == NULL || s->closing || s->overflow)
		return -ERR_CLOSED;
	buf_init(&b, SESSION_MESSAGE_MAX);
	rc = pm_encode_client(m, &b, &e);
	if (rc == 0)
		rc = ws_send(s->ws, buf_data(&b), b.len);
	buf_free(&b);
	if (rc == -ERR_TOO_BIG || rc == -ERR_NOMEM) {
		s->overflow = true;
		ev_timer_set(s->timer, 0);
	}
	if (rc == 0 && !s->full && ws_full(s->ws)) {
		s->full = true;
		if (s->ops->on_flow != NULL)
			s->ops->on_flow(s->arg, true);
	}
	return rc;
}

int
cli_session_ask(struct cli_session *s, enum cli_queue q,
    const struct pm_ClientMessage *m, cli_answer_fn *fn, void *arg)
{
	struct pending *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ERR_NOMEM;
	rc = cli_session_send(s, m);
	if (rc < 0) {
		free(p);
		return rc;
	}
	p->fn = fn;
	p->arg = arg;
	list_push(&s->queue[q], &p->node);
	return 0;
}

/* ---- what comes */

static const struct {
	uint32_t kind;
	enum cli_queue queue;
} answers[] = {
    {PM_DaemonMessage_File, CLI_Q_FILE},
    {PM_DaemonMessage_GetAddrInfoResponse, CLI_Q_DNS},
    {PM_DaemonMessage_GetEnvVarsResponse, CLI_Q_ENV},
    {PM_DaemonMessage_SwitchProtocolVersionResponse, CLI_Q_VERSION},
    {PM_DaemonMessage_Pong, CLI_Q_PONG},
};

/* -1: not an answer to anything. */
static int
queue_of(const struct pm_DaemonMessage *m)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (answers[i].kind == m->tag)
			return answers[i].queue;
	}
	if (m->tag == PM_DaemonMessage_TcpSteal &&
	    m->u.TcpSteal.tag == PM_DaemonTcp_SubscribeResult)
		return CLI_Q_STEAL;
	if (m->tag == PM_DaemonMessage_Tcp &&
	    m->u.Tcp.tag == PM_DaemonTcp_SubscribeResult)
		return CLI_Q_MIRROR;
	return -1;
}

static void
session_log(const struct pm_LogMessage *log)
{
	static const char *const level[] = {"warning", "error", "note"};

	cli_event("%s from the operator: %.*s",
	    log->level.tag < 3 ? level[log->level.tag] : "note",
	    (int)log->message.n, log->message.p);
}

static void
session_answer(
    struct cli_session *s, enum cli_queue q, const struct pm_DaemonMessage *m)
{
	struct err e;

	if (!list_empty(&s->queue[q])) {
		pending_answer(s->queue[q].next, m);
		return;
	}
	err_set(&e, ERR_INVALID,
	    "the operator answered a question nobody asked (%s)",
	    pm_kind_name(PM_DAEMON, m->tag));
	cli_session_over(s, &e);
}

static void
session_message(struct cli_session *s, const struct pm_DaemonMessage *m)
{
	struct pm_ClientMessage pong = {.tag = PM_ClientMessage_OperatorPong};
	int q = queue_of(m);
	struct err e;

	if (q >= 0) {
		session_answer(s, (enum cli_queue)q, m);
		return;
	}
	switch (m->tag) {
	case PM_DaemonMessage_Close:
		err_set(&e, ERR_CLOSED, "the operator ended the session: %.*s",
		    (int)m->u.Close.n, m->u.Close.p);
		cli_session_over(s, &e);
		break;
	case PM_DaemonMessage_LogMessage:
		session_log(&m->u.LogMessage);
		break;
	case PM_DaemonMessage_OperatorPing:
		pong.u.OperatorPong = m->u.OperatorPing;
		cli_session_send(s, &pong);
		break;
	default:
		s->ops->on_message(s->arg, m);
	}
}

static void
session_decode(struct cli_session *s, const uint8_t *p, size_t n)
{
	struct pm_DaemonMessage m;
	struct arena a;
	struct err e;
	size_t used = 0;
	int rc;

	arena_init(&a, SESSION_MESSAGE_MAX);
	rc = pm_decode_daemon(&a, p, n, &used, &m, &e);
	if (rc == 0 && used != n)
		rc = err_set(&e, ERR_INVALID, "bytes follow it");
	if (rc < 0) {
		e.code = ERR_INVALID;
		err_wrap(&e, "a message of the operator can't be read");
		cli_session_over(s, &e);
	} else {
		session_message(s, &m);
	}
	arena_free(&a);
}

static void
on_piece(
    void *arg, struct ws_conn *ws, struct span bytes, bool first, bool last)
{
	struct cli_session *s = arg;
	struct buf whole;
	struct err e;

	(void)ws;
	s->pong_due = false;
	if (first && last) {
		session_decode(s, bytes.p, bytes.n);
		return;
	}
	if (buf_append(&s->message, bytes.p, bytes.n) < 0) {
		err_set(
		    &e, ERR_TOO_BIG, "a message of the operator is too large");
		cli_session_over(s, &e);
		return;
	}
	if (!last)
		return;
	/* The handler may lose the connection, and the buffer with it. */
	whole = s->message;
	buf_init(&s->message, SESSION_MESSAGE_MAX);
	session_decode(s, buf_data(&whole), whole.len);
	buf_free(&whole);
}

static void
on_drained(void *arg, struct ws_conn *ws)
{
	struct cli_session *s = arg;

	(void)ws;
	if (!s->full)
		return;
	s->full = false;
	if (s->ops->on_flow != NULL)
		s->ops->on_flow(s->arg, false);
}

static void
on_close(void *arg, struct ws_conn *ws, bool clean, uint16_t code,
    const struct err *e)
{
	struct err why;

	(void)ws;
	(void)code;
	if (clean || e == NULL)
		err_set(&why, ERR_CLOSED, "the operator closed the connection");
	else
		why = *e;
	cli_session_lost(arg, &why);
}

const struct ws_conn_cbs cli_session_ws = {
    .on_piece = on_piece, .on_drained = on_drained, .on_close = on_close};
