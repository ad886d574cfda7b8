/*
 * A WebSocket on a tls_conn. The parser lives in protocol/; this file owns the
 * connection, the order of what is sent, and the ways in which it ends.
 */
#include "config.h"

#include "net/ws_conn.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "net/ws_int.h"

enum {
	CLOSE_WAIT_MS = 2000,
	SUSPECT_MS = 20,
	PONGS_MAX = 512,
};

static void
ws_destroy(struct ws_conn *ws)
{
	tls_conn_free(&ws->conn);
	ev_timer_free(&ws->timer);
	free(ws->masks);
	free(ws->failure);
	free(ws);
}

static void
ws_end(struct ws_conn *ws, const struct err *e)
{
	bool clean = ws->close_got;
	static const struct err none;

	if (ws->ended || ws->freed)
		return;
	ws->ended = true;
	ev_timer_free(&ws->timer);
	if (ws->failure != NULL)
		e = ws->failure;
	else if (clean || (ws->dropping && e->code == ERR_CLOSED))
		e = &none; /* we asked for it */
	if (ws->bound)
		ws->cbs.on_close(ws->arg, ws, clean,
		    clean ? ws->close_code : WS_CLOSE_NO_STATUS, e);
}

static struct err *
err_copy(const struct err *e)
{
	struct err *copy = malloc(sizeof(*copy));

	if (copy != NULL)
		*copy = *e;
	return copy;
}

/* ---- ending */

/* The peer is silent: nothing can be flushed to it any more. */
static void
ws_silent(struct ws_conn *ws)
{
	struct err e = {0};

	err_set(&e, ERR_TIMEOUT,
	    "The peer did not answer a WebSocket Ping for %u ms.",
	    ws->opts.silence_ms);
	tls_conn_free(&ws->conn);
	if (!ws->bound) {
		ws->failure = err_copy(&e);
		ws->ended = true;
		return;
	}
	ws_end(ws, &e);
}

/*
 * When a peer that owes a Pong is given up. With rare Pings it may have been
 * idle for long before the Ping: what counts is since then.
 */
static uint64_t
ws_silent_at(const struct ws_conn *ws)
{
	uint64_t since = ws->heard_ms;

	if (ws->opts.ping_interval_ms >= ws->opts.silence_ms &&
	    since < ws->pinged_ms)
		since = ws->pinged_ms;
	return since + ws->opts.silence_ms;
}

static void
on_timer(void *arg)
{
	static const struct err gone = {
	    .code = ERR_CLOSED, .text = "The peer closed the connection."};
	struct ws_conn *ws = arg;
	uint64_t now = clock_mono_ms(), at;

	if (ws->ended) { /* before it was bound */
		ws->ended = false;
		ws_end(ws, &gone);
		return;
	}
	if (ws->close_sent) {
		tls_conn_shutdown(ws->conn); /* waited for long enough */
		return;
	}
	if (ws->paused) { /* we do not listen */
		ws->heard_ms = now;
		ws->pinged = false;
	}
	if (ws->pinged && now >= ws_silent_at(ws)) {
		/* We may have been stopped ourselves: read what waits first. */
		if (ws->suspect) {
			ws_silent(ws);
			return;
		}
		ws->suspect = true;
		ev_timer_set(ws->timer, SUSPECT_MS);
		return;
	}
	ws->suspect = false;
	if (now >= ws->ping_ms) {
		ws->ping_ms = now + ws->opts.ping_interval_ms;
		if (ws_put(ws, WS_PING, true, NULL, 0) == 0 && !ws->pinged) {
			ws->pinged = true;
			ws->pinged_ms = now;
		}
	}
	at = ws->ping_ms;
	if (ws->pinged && ws_silent_at(ws) < at)
		at = ws_silent_at(ws);
	ev_timer_set(ws->timer, at > now ? at - now : 1);
}

static void
ws_set_timer(struct ws_conn *ws, uint64_t delay_ms)
{
	if (ws->timer == NULL)
		ws->timer = ev_timer_new(ws->loop, on_timer, ws);
	if (ws->timer != NULL)
		ev_timer_set(ws->timer, delay_ms);
}

static void
ws_put_close(struct ws_conn *ws, uint16_t code, const char *reason)
{
	uint8_t payload[WS_CONTROL_MAX];
	size_t n = strnlen(reason, sizeof(payload) - 2);

	if (ws->close_sent || ws->dropping)
		return;
	payload[0] = (uint8_t)(code >> 8);
	payload[1] = (uint8_t)code;
	while (n > 0 && ((unsigned char)reason[n] & 0xc0) == 0x80)
		n--;
	memcpy(payload + 2, reason, n);
	(void)ws_put(ws, WS_CLOSE, true, payload,
	    code == WS_CLOSE_NO_STATUS ? 0 : n + 2);
	ws->close_sent = true;
}

void
ws_close(struct ws_conn *ws, uint16_t code, const char *reason)
{
	if (!ws_writable(ws))
		return;
	ws_put_close(ws, code, reason != NULL ? reason : "");
	tls_conn_resume_read(ws->conn); /* to see the peer's Close */
	ws_set_timer(ws, CLOSE_WAIT_MS);
	if (ws->timer == NULL)
		tls_conn_shutdown(ws->conn);
}

void
ws_drop(struct ws_conn *ws)
{
	if (ws->conn == NULL || ws->ended || ws->freed)
		return;
	ws->dropping = true;
	tls_conn_shutdown(ws->conn);
}

/* ---- receiving */

static void
ws_got_close(struct ws_conn *ws, struct span payload)
{
	struct span reason;
	struct err e = {0};
	uint16_t code;

	if (ws_close_parse(payload, &code, &reason, &e) < 0) {
		ws_put_close(ws, WS_CLOSE_PROTOCOL, "");
		code = WS_CLOSE_PROTOCOL;
	}
	ws->close_got = true;
	ws->close_code = code;
	/* Echo the code; an empty Close gets an empty one. */
	ws_put_close(ws, code, "");
	tls_conn_shutdown(ws->conn);
}

static void
ws_got_control(struct ws_conn *ws, const struct ws_event *ev)
{
	if (ev->opcode == WS_CLOSE)
		ws_got_close(ws, ev->bytes);
	else if (ev->opcode == WS_PING && ws_writable(ws) &&
		 ws->pongs++ < PONGS_MAX)
		/* A flood of Pings whose Pongs are not read gets no more. */
		(void)ws_put(ws, WS_PONG, true, ev->bytes.p, ev->bytes.n);
}

static void
ws_input(struct ws_conn *ws, struct buf *in)
{
	struct ws_event ev;
	struct err e = {0};
	size_t used;

	while (!ws->freed && !ws->close_got && !ws->dropping &&
	       ws->failure == NULL && (!ws->paused || ws->close_sent) &&
	       in->len > 0) {
		int rc = ws_parser_next(
		    &ws->parser, buf_data(in), in->len, &used, &ev, &e);

		if (rc < 0) {
			ws->failure = err_copy(&e);
			ws_put_close(ws, ws->parser.close_code, e.text);
			tls_conn_shutdown(ws->conn);
			return; /* on_close once the Close is out */
		}
		if (ev.kind == WS_EV_CONTROL)
			ws_got_control(ws, &ev);
		else if (ev.kind == WS_EV_PIECE && !ws->close_sent)
			ws->cbs.on_piece(
			    ws->arg, ws, ev.bytes, ev.first, ev.last);
		buf_consume(in, used);
		if (ev.kind == WS_EV_NONE)
			return;
	}
}

static void
on_read(void *arg, struct buf *in)
{
	struct ws_conn *ws = arg;

	ws->heard_ms = clock_mono_ms();
	ws->pinged = false;
	ws->in_cb = true;
	if (ws->bound)
		ws_input(ws, in);
	ws->in_cb = false;
	if (ws->freed)
		ws_destroy(ws);
}

static void
on_drained(void *arg)
{
	struct ws_conn *ws = arg;

	if (ws->bound && !ws->ended && ws->cbs.on_drained != NULL)
		ws->cbs.on_drained(ws->arg, ws);
}

static void
on_sent(void *arg, size_t n)
{
	struct ws_conn *ws = arg;

	ws->pongs = 0;
	if (ws->bound && !ws->ended && ws->cbs.on_sent != NULL)
		ws->cbs.on_sent(ws->arg, ws, n);
}

static void
on_conn_close(void *arg, const struct err *e)
{
	struct ws_conn *ws = arg;
	struct err gone;

	if (!ws->bound) { /* told when it is bound */
		ws->ended = true;
		return;
	}
	if (e->code == ERR_OK && !ws->close_got && !ws->dropping) {
		err_set(&gone, ERR_CLOSED,
		    "The peer closed the connection without a WebSocket "
		    "Close.");
		e = &gone;
	}
	ws_end(ws, e);
}

/* ---- making */

static const struct tls_conn_cbs CONN_CBS = {
    .on_ready = NULL, /* it is ready */
    .on_read = on_read,
    .on_drained = on_drained,
    .on_sent = on_sent,
    .on_close = on_conn_close,
};

struct ws_conn *
ws_conn_new(struct tls_conn *conn, enum ws_role role,
    const struct ws_conn_opts *opts, const struct ws_conn_cbs *cbs, void *arg,
    struct err *e)
{
	struct ws_conn *ws = calloc(1, sizeof(*ws));
	struct ws_policy policy = {.role = role};

	if (ws == NULL) {
		tls_conn_free(&conn);
		err_nomem(e);
		return NULL;
	}
	ws->loop = tls_conn_loop(conn);
	ws->conn = conn;
	ws->role = role;
	if (opts != NULL)
		ws->opts = *opts;
	policy.allow_text = ws->opts.allow_text;
	policy.max_frame_bytes = ws->opts.max_frame_bytes;
	policy.max_message_bytes = ws->opts.max_message_bytes;
	ws_parser_init(&ws->parser, &policy);
	ws->heard_ms = clock_mono_ms();
	if (ws_set_pings(ws, ws->opts.ping_interval_ms, ws->opts.silence_ms) <
	    0) {
		ws_destroy(ws);
		err_nomem(e);
		return NULL;
	}
	if (cbs == NULL)
		tls_conn_pause_read(conn);
	else
		ws_conn_bind(ws, cbs, arg);
	tls_conn_set_cbs(conn, &CONN_CBS, ws);
	return ws;
}

int
ws_set_pings(struct ws_conn *ws, uint32_t interval_ms, uint32_t silence_ms)
{
	if (ws->ended || ws->close_sent || ws->dropping)
		return 0; /* the timer has another task now */
	ws->opts.ping_interval_ms = interval_ms;
	ws->opts.silence_ms = silence_ms != 0 ? silence_ms : 2 * interval_ms;
	ws->pinged = false;
	if (interval_ms == 0) {
		ev_timer_free(&ws->timer);
		return 0;
	}
	ws->ping_ms = clock_mono_ms() + interval_ms;
	ws_set_timer(ws, interval_ms);
	return ws->timer == NULL ? -ERR_NOMEM : 0;
}

uint64_t
ws_heard_ms(const struct ws_conn *ws)
{
	return ws->heard_ms;
}

void
ws_conn_bind(struct ws_conn *ws, const struct ws_conn_cbs *cbs, void *arg)
{
	bool was_bound = ws->bound;

	ws->cbs = *cbs;
	ws->arg = arg;
	ws->bound = true;
	if (ws->ended && !was_bound)
		ws_set_timer(ws, 0); /* tell it, from the loop */
	else if (!was_bound && !ws->paused)
		tls_conn_resume_read(ws->conn);
}

void
ws_conn_free(struct ws_conn **wsp)
{
	struct ws_conn *ws = *wsp;

	*wsp = NULL;
	if (ws == NULL)
		return;
	if (ws->in_cb) {
		ws->freed = true;
		return;
	}
	ws_destroy(ws);
}

/* ---- small things */

bool
ws_sending(const struct ws_conn *ws)
{
	return ws->sending;
}

size_t
ws_queued(const struct ws_conn *ws)
{
	return ws->conn != NULL ? tls_conn_queued(ws->conn) : 0;
}

bool
ws_full(const struct ws_conn *ws)
{
	return ws->conn != NULL && tls_conn_full(ws->conn);
}

void
ws_pause(struct ws_conn *ws)
{
	ws->paused = true;
	if (ws->conn != NULL && !ws->close_sent)
		tls_conn_pause_read(ws->conn);
}

void
ws_resume(struct ws_conn *ws)
{
	ws->paused = false;
	if (ws->conn != NULL)
		tls_conn_resume_read(ws->conn);
}

struct tls_conn *
ws_conn_tls(const struct ws_conn *ws)
{
	return ws->conn;
}
