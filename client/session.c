#include "config.h"

#include "client/session.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "lib/arena.h"
#include "lib/list.h"
#include "protocol/pm_version.h"

enum {
	SESSION_PING_MS = 30000,
	SESSION_MESSAGE_MAX = 64 << 20,
	SESSION_HANDSHAKE_MS = 330000, /* agents may have to be started */
	SESSION_TRIES = 10,
};

struct pending {
	struct list node;
	cli_answer_fn *fn;
	void *arg;
};

struct cli_session {
	struct cli_api *api;
	char *namespace, *target, *query; /* owned */
	uint64_t id;
	bool reconnect;
	const struct cli_session_ops *ops;
	void *arg;
	struct cli_dial *dial;
	struct ws_client *upgrade;
	struct ws_conn *ws;
	struct buf message; /* being assembled */
	struct list queue[CLI_QUEUES];
	struct ev_timer *timer; /* next ping, or next try */
	unsigned tries;
	bool was_up; /* at least once */
	bool up;
	bool pong_due; /* and nothing at all has come since */
	uint32_t version;
};

int
cli_session_backoff_ms(unsigned n)
{
	static const int ms[] = {0, 1000, 2000, 4000};

	if (n > SESSION_TRIES)
		return -1;
	return n < sizeof(ms) / sizeof(ms[0]) ? ms[n] : 8000;
}

static void session_connect(struct cli_session *s);

static void
session_fail_queues(struct cli_session *s)
{
	for (int q = 0; q < CLI_QUEUES; q++) {
		LIST_FOR_EACH_SAFE (node, &s->queue[q]) {
			struct pending *p =
			    LIST_ENTRY(node, struct pending, node);
			cli_answer_fn *fn = p->fn;
			void *arg = p->arg;

			list_remove(&p->node);
			free(p);
			if (fn != NULL)
				fn(arg, NULL);
		}
	}
}

/* The connection is gone (or was never made). */
static void
session_lost(struct cli_session *s, const struct err *e)
{
	bool final = !s->reconnect || !s->was_up;
	struct err copy = *e;
	int wait_ms;

	ws_conn_free(&s->ws);
	buf_free(&s->message);
	s->pong_due = false;
	if (s->up) {
		s->up = false;
		session_fail_queues(s);
		if (!final)
			s->ops->on_lost(s->arg, copy.text);
		s->tries = 0;
	}
	wait_ms = cli_session_backoff_ms(s->tries++);
	if (final || wait_ms < 0) {
		session_fail_queues(s);
		s->ops->on_end(s->arg, &copy);
		return;
	}
	ev_timer_set(s->timer, (uint64_t)wait_ms);
}

/* A refusal that no further try can change. */
static void
session_over(struct cli_session *s, const struct err *e)
{
	s->reconnect = false;
	session_lost(s, e);
}

int
cli_session_send(struct cli_session *s, const struct pm_ClientMessage *m)
{
	struct buf b;
	struct err e;
	int rc;

	if (s->ws == NULL)
		return -ERR_CLOSED;
	buf_init(&b, SESSION_MESSAGE_MAX);
	rc = pm_encode_client(m, &b, &e);
	if (rc == 0)
		rc = ws_send(s->ws, buf_data(&b), b.len);
	buf_free(&b);
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

/* -1: not an answer to anything. */
static int
queue_of(const struct pm_DaemonMessage *m)
{
	switch (m->tag) {
	case PM_DaemonMessage_File:
		return CLI_Q_FILE;
	case PM_DaemonMessage_GetAddrInfoResponse:
		return CLI_Q_DNS;
	case PM_DaemonMessage_GetEnvVarsResponse:
		return CLI_Q_ENV;
	case PM_DaemonMessage_SwitchProtocolVersionResponse:
		return CLI_Q_VERSION;
	case PM_DaemonMessage_Pong:
		return CLI_Q_PONG;
	case PM_DaemonMessage_TcpSteal:
		return m->u.TcpSteal.tag == PM_DaemonTcp_SubscribeResult
			   ? CLI_Q_STEAL
			   : -1;
	case PM_DaemonMessage_Tcp:
		return m->u.Tcp.tag == PM_DaemonTcp_SubscribeResult
			   ? CLI_Q_MIRROR
			   : -1;
	default:
		return -1;
	}
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
session_message(struct cli_session *s, const struct pm_DaemonMessage *m)
{
	struct pm_ClientMessage pong = {.tag = PM_ClientMessage_OperatorPong};
	int q = queue_of(m);
	struct pending *p;
	cli_answer_fn *fn;
	struct err e;
	void *arg;

	if (q >= 0) {
		if (list_empty(&s->queue[q])) {
			err_set(&e, ERR_INVALID,
			    "the operator answered a question nobody asked "
			    "(kind %u)",
			    (unsigned)m->tag);
			session_over(s, &e);
			return;
		}
		p = LIST_ENTRY(s->queue[q].next, struct pending, node);
		fn = p->fn;
		arg = p->arg;
		list_remove(&p->node);
		free(p);
		if (fn != NULL)
			fn(arg, m);
		return;
	}
	switch (m->tag) {
	case PM_DaemonMessage_Close:
		err_set(&e, ERR_CLOSED, "the operator ended the session: %.*s",
		    (int)m->u.Close.n, m->u.Close.p);
		session_over(s, &e);
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

	arena_init(&a, SESSION_MESSAGE_MAX);
	if (pm_decode_daemon(&a, p, n, NULL, &m, &e) < 0) {
		e.code = ERR_INVALID;
		err_wrap(&e, "a message of the operator can't be read");
		session_over(s, &e);
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
		session_over(s, &e);
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
	if (s->ops->on_drained != NULL)
		s->ops->on_drained(s->arg);
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
	session_lost(arg, &why);
}

static const struct ws_conn_cbs ws_cbs = {
    .on_piece = on_piece, .on_drained = on_drained, .on_close = on_close};

/* ---- coming up */

static void
session_versioned(void *arg, const struct pm_DaemonMessage *m)
{
	struct pm_ClientMessage ready = {.tag = PM_ClientMessage_ReadyForLogs};
	struct cli_session *s = arg;
	struct pm_version v;
	bool again = s->was_up;

	if (m == NULL)
		return; /* lost again */
	s->version = 0;
	if (pm_version_parse(m->u.SwitchProtocolVersionResponse, &v, NULL) == 0)
		s->version = PM_VER(v.major, v.minor, v.patch);
	if (s->version >= PM_SINCE_READY_FOR_LOGS)
		cli_session_send(s, &ready);
	s->up = s->was_up = true;
	s->tries = 0;
	ev_timer_set(s->timer, SESSION_PING_MS);
	s->ops->on_up(s->arg, again);
}

static void
session_upgraded(void *arg, struct ws_conn *ws,
    const struct ws_refusal *refusal, const struct err *e)
{
	struct pm_ClientMessage m = {
	    .tag = PM_ClientMessage_SwitchProtocolVersion,
	    .u.SwitchProtocolVersion = PM_STR(PM_VERSION_OWN)};
	struct cli_session *s = arg;
	struct err why;

	s->upgrade = NULL;
	if (ws != NULL) {
		s->ws = ws;
		buf_init(&s->message, SESSION_MESSAGE_MAX);
		ws_conn_bind(ws, &ws_cbs, s);
		cli_session_ask(s, CLI_Q_VERSION, &m, session_versioned, s);
		return;
	}
	if (refusal == NULL) {
		session_lost(s, e);
		return;
	}
	cli_api_refused(&refusal->status, refusal->http_code, &why);
	/* Passing states only: the rest will not get better. */
	if (refusal->http_code == 503 || refusal->http_code >= 500)
		session_lost(s, &why);
	else
		session_over(s, &why);
}

static void
session_dialed(void *arg, struct tls_conn *conn, const struct err *e)
{
	struct cli_session *s = arg;
	struct http_pair fields[CLI_API_FIELDS + 1];
	static const struct ws_conn_opts opts = {0};
	char auth[16500], id[24], *target = NULL;
	size_t n = 0;
	struct err why;

	s->dial = NULL;
	if (conn == NULL) {
		session_lost(s, e);
		return;
	}
	cli_api_fields(s->api, fields, auth, sizeof(auth));
	while (fields[n].name != NULL)
		n++;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)s->id);
	fields[n++] = (struct http_pair){"x-session-id", id};
	fields[n] = (struct http_pair){NULL, NULL};
	if (asprintf(&target,
		"%s/apis/operator.metalbear.co/v1/proxy/namespaces/%s/"
		"targets/%s?%s",
		s->api->prefix, s->namespace, s->target, s->query) < 0) {
		tls_conn_free(&conn);
		err_nomem(&why);
		session_lost(s, &why);
		return;
	}
	s->upgrade = ws_client_start(conn,
	    &(struct http_req){.method = "GET",
		.target = target,
		.host = s->api->host_port,
		.fields = fields,
		.timeout_ms = SESSION_HANDSHAKE_MS},
	    "v4.channel.k8s.io", &opts, session_upgraded, s, &why);
	free(target);
	if (s->upgrade == NULL)
		session_lost(s, &why);
}

static void
session_connect(struct cli_session *s)
{
	struct err e;

	s->dial = cli_dial_start(s->api, session_dialed, s, &e);
	if (s->dial == NULL)
		session_lost(s, &e);
}

static void
session_timer(void *arg)
{
	struct pm_ClientMessage ping = {.tag = PM_ClientMessage_Ping};
	struct cli_session *s = arg;
	struct err e;

	if (s->ws == NULL) {
		session_connect(s);
		return;
	}
	if (s->pong_due) {
		err_set(&e, ERR_TIMEOUT,
		    "the operator has been silent for %d s",
		    SESSION_PING_MS / 1000);
		session_lost(s, &e);
		return;
	}
	s->pong_due = true;
	ev_timer_set(s->timer, SESSION_PING_MS);
	cli_session_ask(s, CLI_Q_PONG, &ping, NULL, NULL);
}

struct cli_session *
cli_session_new(struct cli_api *api, const struct cli_session_opts *opts,
    const struct cli_session_ops *ops, void *arg, struct err *e)
{
	struct cli_session *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		err_nomem(e);
		return NULL;
	}
	s->api = api;
	s->ops = ops;
	s->arg = arg;
	s->reconnect = opts->reconnect;
	s->id = opts->session_id;
	for (int q = 0; q < CLI_QUEUES; q++)
		list_init(&s->queue[q]);
	buf_init(&s->message, SESSION_MESSAGE_MAX);
	s->namespace = strdup(opts->namespace);
	s->target = strdup(opts->target);
	s->query = strdup(opts->query);
	s->timer = ev_timer_new(api->loop, session_timer, s);
	if (s->namespace == NULL || s->target == NULL || s->query == NULL ||
	    s->timer == NULL) {
		cli_session_free(&s);
		err_nomem(e);
		return NULL;
	}
	ev_timer_set(s->timer, 0); /* the first try, from the loop */
	return s;
}

void
cli_session_free(struct cli_session **s)
{
	struct pm_ClientMessage bye = {.tag = PM_ClientMessage_Close};

	if (*s == NULL)
		return;
	if ((*s)->ws != NULL) {
		cli_session_send(*s, &bye);
		for (int i = 0; i < 20 && ws_queued((*s)->ws) > 0; i++)
			ev_loop_turn((*s)->api->loop, false);
	}
	ws_conn_free(&(*s)->ws);
	ws_client_cancel(&(*s)->upgrade);
	cli_dial_cancel(&(*s)->dial);
	session_fail_queues(*s);
	ev_timer_free(&(*s)->timer);
	buf_free(&(*s)->message);
	free((*s)->namespace);
	free((*s)->target);
	free((*s)->query);
	free(*s);
	*s = NULL;
}

bool
cli_session_full(const struct cli_session *s)
{
	return s->ws != NULL && ws_full(s->ws);
}

void
cli_session_pause(struct cli_session *s, bool pause)
{
	if (s->ws == NULL)
		return;
	if (pause)
		ws_pause(s->ws);
	else
		ws_resume(s->ws);
}

uint64_t
cli_session_id(const struct cli_session *s)
{
	return s->id;
}

uint32_t
cli_session_version(const struct cli_session *s)
{
	return s->version;
}
