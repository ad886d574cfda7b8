/*
 * session: the life of the connection: dial, upgrade, version, up; lost and
 * back again. Ordinary commands see on_up, on_lost and on_end only.
 */
#include "config.h"

#include "client/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/session_int.h"
#include "lib/clock.h"
#include "protocol/pm_version.h"

int
cli_session_backoff_ms(unsigned n)
{
	static const int ms[] = {0, 1000, 2000, 4000};

	if (n > SESSION_TRIES)
		return -1;
	return n < sizeof(ms) / sizeof(ms[0]) ? ms[n] : 8000;
}

void
cli_session_lost(struct cli_session *s, const struct err *e)
{
	/* The first connection is the user's to repeat. */
	bool final = !s->reconnect || (!s->was_up && !s->starting);
	bool was_up = s->up;
	struct err copy = *e;
	int wait_ms;

	ws_conn_free(&s->ws);
	buf_free(&s->message);
	ev_timer_cancel(s->timer);
	ev_timer_cancel(s->patience);
	s->up = s->pong_due = s->full = s->overflow = false;
	/* One that is lost again at once is no success. */
	if (was_up && clock_mono_ms() - s->up_ms >= SESSION_STABLE_MS)
		s->tries = 0;
	wait_ms = cli_session_backoff_ms(s->tries++);
	cli_session_fail_queues(s);
	if (final || wait_ms < 0) {
		s->reconnect = false;
		s->ops->on_end(s->arg, &copy);
		return;
	}
	if (was_up)
		s->ops->on_lost(s->arg, copy.text);
	else
		cli_event("not yet: %s", copy.text);
	ev_timer_set(s->timer, (uint64_t)wait_ms);
}

void
cli_session_over(struct cli_session *s, const struct err *e)
{
	s->reconnect = false;
	cli_session_lost(s, e);
}

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
	s->up_ms = clock_mono_ms();
	s->ops->on_up(s->arg, again);
}

/* What the operator says, and where to look then. */
static void
session_refused(const struct ws_refusal *r, struct err *e)
{
	struct err why;
	const char *hint = "";

	cli_api_refused(&r->status, r->http_code, &why);
	if (why.code == ERR_NOT_FOUND)
		hint = "; `tributary ls` lists what there is";
	else if (r->http_code >= 500)
		hint = "; `tributary status` shows the clusters";
	err_set(e, why.code, "%s%s", why.text, hint);
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
	ev_timer_cancel(s->patience);
	if (ws != NULL) {
		s->ws = ws;
		ws_conn_bind(ws, &cli_session_ws, s);
		if (s->holds > 0)
			ws_pause(ws);
		s->pong_due = true; /* the version is to come as soon */
		ev_timer_set(s->timer, SESSION_PING_MS);
		cli_session_ask(s, CLI_Q_VERSION, &m, session_versioned, s);
		return;
	}
	if (refusal == NULL) {
		cli_session_lost(s, e);
		return;
	}
	session_refused(refusal, &why);
	s->starting = refusal->http_code == 503 || refusal->http_code == 429;
	/* Passing states only: the rest will not get better. */
	if (s->starting || refusal->http_code >= 500)
		cli_session_lost(s, &why);
	else
		cli_session_over(s, &why);
}

/* The path with its query; owned by the caller. NULL: no memory. */
static char *
session_target(const struct cli_session *s)
{
	char *target;

	if (asprintf(&target,
		"%s/apis/operator.metalbear.co/v1/proxy/namespaces/%s/"
		"targets/%s?%s",
		s->api->prefix, s->namespace, s->target, s->query) < 0)
		return NULL;
	return target;
}

static void
session_dialed(void *arg, struct tls_conn *conn, const struct err *e)
{
	static const struct ws_conn_opts opts = {0};
	struct cli_session *s = arg;
	struct http_pair fields[CLI_API_FIELDS + 1];
	char auth[CLI_API_AUTH], id[24], *target;
	size_t n = 0;
	struct err why;

	s->dial = NULL;
	if (conn == NULL) {
		cli_session_lost(s, e);
		return;
	}
	cli_api_fields(s->api, fields, auth, sizeof(auth));
	while (fields[n].name != NULL)
		n++;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)s->id);
	fields[n++] = (struct http_pair){"x-session-id", id};
	fields[n] = (struct http_pair){NULL, NULL};
	target = session_target(s);
	if (target == NULL) {
		tls_conn_free(&conn);
		err_nomem(&why);
		cli_session_lost(s, &why);
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
		cli_session_lost(s, &why);
}

static void
session_connect(struct cli_session *s)
{
	struct err e;

	s->waited_s = 0;
	s->starting = false;
	s->dial = cli_dial_start(s->api, session_dialed, s, &e);
	if (s->dial == NULL)
		cli_session_lost(s, &e);
	else
		ev_timer_set(s->patience, SESSION_PATIENCE_MS);
}

static void
session_patience(void *arg)
{
	struct cli_session *s = arg;

	s->waited_s += SESSION_PATIENCE_MS / 1000;
	cli_event(s->upgrade == NULL
		      ? "still connecting to the operator (%u s)"
		      : "the operator is still preparing the session (%u s)",
	    s->waited_s);
	ev_timer_set(s->patience, SESSION_PATIENCE_MS);
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
	if (s->overflow) {
		err_set(
		    &e, ERR_TOO_BIG, "the operator does not take what is sent");
		cli_session_lost(s, &e);
		return;
	}
	ev_timer_set(s->timer, SESSION_PING_MS);
	if (s->holds > 0)
		return; /* it is us who do not listen */
	if (s->pong_due) {
		err_set(&e, ERR_TIMEOUT,
		    "the operator has been silent for %d s",
		    SESSION_PING_MS / 1000);
		cli_session_lost(s, &e);
		return;
	}
	s->pong_due = true;
	cli_session_ask(s, CLI_Q_PONG, &ping, NULL, NULL);
}

/* ---- made and freed */

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
	s->patience = ev_timer_new(api->loop, session_patience, s);
	if (s->namespace == NULL || s->target == NULL || s->query == NULL ||
	    s->timer == NULL || s->patience == NULL) {
		cli_session_free(&s);
		err_nomem(e);
		return NULL;
	}
	ev_timer_set(s->timer, 0); /* the first try, from the loop */
	return s;
}

static void
bye_closed(void *arg, struct ws_conn *ws, bool clean, uint16_t code,
    const struct err *e)
{
	(void)ws;
	(void)clean;
	(void)code;
	(void)e;
	*(bool *)arg = true;
}

static void
bye_piece(
    void *arg, struct ws_conn *ws, struct span bytes, bool first, bool last)
{
	(void)arg;
	(void)ws;
	(void)bytes;
	(void)first;
	(void)last;
}

static void
bye_late(void *arg)
{
	*(bool *)arg = true;
}

/* Close, so that the operator ends the session now and not by its TTL. */
static void
session_bye(struct cli_session *s)
{
	static const struct ws_conn_cbs cbs = {
	    .on_piece = bye_piece, .on_close = bye_closed};
	struct pm_ClientMessage bye = {.tag = PM_ClientMessage_Close};
	bool done = false;
	struct ev_timer *late = ev_timer_new(s->api->loop, bye_late, &done);

	cli_session_send(s, &bye);
	s->closing = true;
	ev_timer_cancel(s->timer);
	cli_session_fail_queues(s);
	if (late == NULL)
		return;
	ev_timer_set(late, SESSION_BYE_MS);
	ws_conn_bind(s->ws, &cbs, &done);
	ws_resume(s->ws);
	ws_drop(s->ws);
	while (!done)
		ev_loop_turn(s->api->loop, true);
	ev_timer_free(&late);
}

void
cli_session_free(struct cli_session **sp)
{
	struct cli_session *s = *sp;

	if (s == NULL)
		return;
	if (s->ws != NULL)
		session_bye(s);
	s->closing = true;
	cli_session_fail_queues(s);
	ws_conn_free(&s->ws);
	ws_client_cancel(&s->upgrade);
	cli_dial_cancel(&s->dial);
	ev_timer_free(&s->timer);
	ev_timer_free(&s->patience);
	buf_free(&s->message);
	free(s->namespace);
	free(s->target);
	free(s->query);
	free(s);
	*sp = NULL;
}

bool
cli_session_full(const struct cli_session *s)
{
	return s->full;
}

void
cli_session_hold(struct cli_session *s, bool hold)
{
	if (hold)
		s->holds++;
	else if (s->holds > 0)
		s->holds--;
	if (s->ws == NULL || s->closing)
		return;
	if (hold && s->holds == 1)
		ws_pause(s->ws);
	else if (!hold && s->holds == 0)
		ws_resume(s->ws);
}

bool
cli_session_is_up(const struct cli_session *s)
{
	return s->up;
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
