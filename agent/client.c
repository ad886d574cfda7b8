#include "config.h"

#include "agent/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/client_state.h"
#include "lib/str.h"
#include "protocol/pm_msg.h"

enum {
	MESSAGE_MAX_BYTES = 17 * 1024 * 1024, /* a write of 16 MiB, and more */
	ARENA_MAX_BYTES = 8 * 1024 * 1024,    /* what messages decode to */
	STALL_MS = 10000,
};

/* ---- end ---- */

static void
client_free(struct client *c)
{
	struct agent *a = c->pub.agent;

	c->ending = true; /* nothing below may start anything */
	list_remove(&c->pub.link);
	a->client_count--;
	if (a->incoming != NULL)
		incoming_client_gone(a, &c->pub);
	files_free(&c->files);
	outgoing_free(&c->outgoing);
	dns_free(&c->dns);
	while (!list_empty(&c->waits))
		list_remove(c->waits.next);
	tls_conn_free(&c->conn);
	ev_timer_free(&c->kick);
	ev_timer_free(&c->stall);
	arena_free(&c->arena);
	buf_free(&c->out);
	log_info("client gone id=%llu clients=%zu",
	    (unsigned long long)c->pub.id, a->client_count);
	free(c);
}

static void
tell_gone(struct agent *a)
{
	if (a->on_client_gone != NULL)
		a->on_client_gone(a->on_client_gone_arg);
}

/*
 * Lets sources go on while there is room. Who waits again comes after all who
 * still wait; the mark in the list ends the turn.
 */
static void
wake_sources(struct client *c)
{
	list_push(&c->waits, &c->mark);
	while (!c->ending && c->waits.next != &c->mark &&
	       !agent_client_full(&c->pub)) {
		struct agent_wait *w =
		    LIST_ENTRY(c->waits.next, struct agent_wait, link);

		list_remove(&w->link);
		w->fn(w->arg);
	}
	list_remove(&c->mark);
}

/* From the loop: wakes sources, and frees a client that has ended. */
static void
on_kick(void *arg)
{
	struct client *c = arg;
	struct agent *a = c->pub.agent;

	wake_sources(c);
	if (!c->ending)
		return;
	client_free(c);
	tell_gone(a);
}

/* Never inside a call: whoever called still has the client in hand. */
static void
client_drop(struct client *c)
{
	c->ending = true;
	tls_conn_pause_read(c->conn);
	ev_timer_set(c->kick, 0);
}

void
client_end(struct agent_client *pub, const char *text)
{
	struct client *c = client_of(pub);

	if (c->ending)
		return;
	if (text == NULL || agent_client_refuse(pub, text) < 0) {
		client_drop(c);
		return;
	}
	/* on_close comes when all is sent, or soon if that takes too long. */
	c->ending = true;
	tls_conn_shutdown(c->conn);
}

void
client_end_all(struct agent *a)
{
	LIST_FOR_EACH_SAFE (node, &a->clients) {
		client_free(
		    client_of(LIST_ENTRY(node, struct agent_client, link)));
	}
	tell_gone(a);
}

/* ---- sending ---- */

bool
agent_client_at_least(const struct agent_client *pub, unsigned major,
    unsigned minor, unsigned patch)
{
	const struct client *c = (const struct client *)(const void *)pub;

	return pm_version_at_least(&c->version, PM_VER(major, minor, patch));
}

int
agent_client_send(struct agent_client *pub, const struct pm_DaemonMessage *m)
{
	struct client *c = client_of(pub);
	struct err e;
	int rc;

	if (c->ending)
		return -ERR_CLOSED;
	buf_clear(&c->out);
	rc = pm_encode_daemon(m, &c->out, &e);
	if (rc == 0)
		rc = tls_conn_write(c->conn, buf_data(&c->out), c->out.len);
	else
		log_error("client id=%llu: a message cannot be encoded: %s",
		    (unsigned long long)pub->id, e.text);
	if (rc < 0) {
		log_warn("client dropped id=%llu: %s",
		    (unsigned long long)pub->id,
		    rc == -ERR_TOO_BIG ? "it does not read its messages"
				       : err_code_name((enum err_code) - rc));
		client_drop(c);
	}
	if (c->out.cap > AGENT_QUEUE_SOFT_BYTES)
		buf_free(&c->out);
	return rc;
}

int
agent_client_refuse(struct agent_client *c, const char *text)
{
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_Close};

	m.u.Close = pm_str(text);
	return agent_client_send(c, &m);
}

size_t
agent_client_queued(const struct agent_client *pub)
{
	const struct client *c = (const struct client *)(const void *)pub;

	return tls_conn_queued(c->conn);
}

bool
agent_client_full(const struct agent_client *pub)
{
	return agent_client_queued(pub) >= AGENT_QUEUE_SOFT_BYTES;
}

void
agent_client_log(
    struct agent_client *pub, enum log_level level, const char *fmt, ...)
{
	static const uint32_t levels[] = {
	    [LOG_LV_ERROR] = PM_LogLevel_Error,
	    [LOG_LV_WARN] = PM_LogLevel_Warn,
	    [LOG_LV_INFO] = PM_LogLevel_Info,
	};
	struct client *c = client_of(pub);
	struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_LogMessage};
	char text[1024];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_at(level == LOG_LV_ERROR ? LOG_LV_WARN : level,
	    "client id=%llu: %s", (unsigned long long)pub->id, text);
	/* Logs give way: they are dropped where other messages wait. */
	if (!c->ready_for_logs || level > LOG_LV_INFO || agent_client_full(pub))
		return;
	n = strlen(text);
	while (n > 0 && !str_utf8_valid((const uint8_t *)text, n))
		n--; /* cut in the middle of a character */
	m.u.LogMessage.message = (struct pm_str){text, n};
	m.u.LogMessage.level.tag = levels[level];
	if (level == LOG_LV_INFO &&
	    !pm_version_at_least(&c->version, PM_SINCE_LOG_INFO))
		m.u.LogMessage.level.tag = PM_LogLevel_Warn;
	(void)agent_client_send(pub, &m);
}

/* ---- waiting for room ---- */

void
agent_wait_init(struct agent_wait *w, ev_fn *fn, void *arg)
{
	list_init(&w->link);
	w->fn = fn;
	w->arg = arg;
}

void
agent_wait_cancel(struct agent_wait *w)
{
	list_remove(&w->link);
}

void
agent_client_on_drain(struct agent_client *pub, struct agent_wait *w)
{
	struct client *c = client_of(pub);

	if (!list_empty(&w->link))
		return;
	list_push(&c->waits, &w->link);
	if (!agent_client_full(pub))
		ev_timer_set(c->kick, 0); /* nothing to drain: soon */
}

/* ---- receiving ---- */

static void
pause_reading(struct client *c)
{
	c->paused = true;
	tls_conn_pause_read(c->conn);
	if (agent_client_full(&c->pub))
		agent_client_on_drain(&c->pub, &c->read_wait);
	if (files_full(c->files) && !ev_timer_armed(c->stall))
		ev_timer_set(c->stall, STALL_MS);
}

void
client_unblock(struct agent_client *pub)
{
	struct client *c = client_of(pub);

	if (!c->paused || c->ending)
		return;
	c->paused = false;
	if (!files_full(c->files))
		ev_timer_cancel(c->stall);
	tls_conn_resume_read(c->conn); /* shows what is there, from the loop */
}

void
agent_client_hold(struct agent_client *pub)
{
	client_of(pub)->holds++;
}

void
agent_client_release(struct agent_client *pub)
{
	if (--client_of(pub)->holds == 0)
		client_unblock(pub);
}

static void
on_read_room(void *arg)
{
	client_unblock(arg);
}

static void
on_stall(void *arg)
{
	struct client *c = arg;

	if (!files_full(c->files))
		return;
	client_end(&c->pub,
	    "Too many file requests wait for remote files that do not answer. "
	    "Look for a FIFO or a file on a network file system that hangs in "
	    "the target, then start the session again.");
}

static bool
must_pause(struct client *c)
{
	return c->holds > 0 || agent_client_full(&c->pub) ||
	       files_full(c->files) || dns_full(c->dns);
}

/* One whole message of n bytes. */
static int
take_message(struct client *c, const uint8_t *p, size_t n)
{
	struct pm_ClientMessage m;
	struct err e;
	int rc;

	rc = pm_decode_client(&c->arena, p, n, NULL, &m, &e);
	if (rc < 0)
		log_warn("client id=%llu sent what is no message: %s at %llu",
		    (unsigned long long)c->pub.id, e.text,
		    (unsigned long long)e.offset);
	else
		rc = client_dispatch(c, &m, (struct span){p, n});
	arena_reset(&c->arena);
	return rc;
}

/* Finds the end of the message at the front; -ERR_TRUNCATED: not there yet. */
static int
scan_message(struct client *c, const struct buf *in)
{
	size_t done = pm_scan_offset(&c->scan), used;
	struct err e;
	int rc;

	rc = pm_scan_feed(
	    &c->scan, buf_data(in) + done, in->len - done, &used, &e);
	if (rc == -ERR_INVALID)
		log_warn("client id=%llu sent what is no message: %s at %llu",
		    (unsigned long long)c->pub.id, e.text,
		    (unsigned long long)e.offset);
	return rc;
}

static void
on_read(void *arg, struct buf *in)
{
	struct client *c = arg;
	int rc = 0;

	while (!c->ending && in->len > 0) {
		size_t n;

		if (must_pause(c)) {
			pause_reading(c);
			return;
		}
		rc = scan_message(c, in);
		if (rc == -ERR_TRUNCATED && in->len < MESSAGE_MAX_BYTES)
			return;
		if (rc < 0)
			break;
		n = pm_scan_offset(&c->scan);
		rc = take_message(c, buf_data(in), n);
		if (rc < 0)
			break;
		pm_scan_init(&c->scan, PM_CLIENT);
		buf_consume(in, n);
	}
	if (rc < 0 && !c->ending)
		client_drop(c);
}

static void
on_drained(void *arg)
{
	struct client *c = arg;

	ev_timer_set(c->kick, 0);
}

static void
on_ready(void *arg)
{
	struct client *c = arg;

	log_debug("client ready id=%llu", (unsigned long long)c->pub.id);
}

static void
on_close(void *arg, const struct err *e)
{
	struct client *c = arg;

	if (e->code != ERR_OK && e->code != ERR_CLOSED)
		log_info("client id=%llu: %s", (unsigned long long)c->pub.id,
		    e->text);
	client_drop(c);
}

/* ---- start ---- */

static int
client_init(struct client *c, struct agent *a)
{
	list_init(&c->pub.link);
	list_init(&c->waits);
	list_init(&c->mark);
	c->pub.agent = a;
	c->pub.id = a->next_client_id++;
	buf_init(&c->out, AGENT_QUEUE_HARD_BYTES);
	arena_init(&c->arena, ARENA_MAX_BYTES);
	pm_scan_init(&c->scan, PM_CLIENT);
	(void)str_fmt(
	    c->version_text, sizeof(c->version_text), "%s", PM_VERSION_ASSUMED);
	(void)pm_version_parse(pm_str(c->version_text), &c->version, NULL);
	agent_wait_init(&c->read_wait, on_read_room, c);
	c->kick = ev_timer_new(a->loop, on_kick, c);
	c->stall = ev_timer_new(a->loop, on_stall, c);
	c->files = files_new(&c->pub);
	c->outgoing = outgoing_new(&c->pub);
	c->dns = dns_new(&c->pub);
	if (c->kick == NULL || c->stall == NULL || c->files == NULL ||
	    c->outgoing == NULL || c->dns == NULL)
		return -ERR_NOMEM;
	return 0;
}

static void
client_deinit(struct client *c)
{
	files_free(&c->files);
	outgoing_free(&c->outgoing);
	dns_free(&c->dns);
	ev_timer_free(&c->kick);
	ev_timer_free(&c->stall);
	free(c);
}

int
client_new(struct agent *a, int fd, struct tls_ctx *tls, struct err *e)
{
	static const struct tls_conn_cbs cbs = {
	    .on_ready = on_ready,
	    .on_read = on_read,
	    .on_drained = on_drained,
	    .on_close = on_close,
	};
	const struct tls_conn_opts opts = {
	    .server_name = a->tls_name[0] == '\0' ? NULL : a->tls_name,
	    .in_max_bytes = MESSAGE_MAX_BYTES,
	    .out_low_bytes = AGENT_QUEUE_SOFT_BYTES / 2,
	    .out_high_bytes = AGENT_QUEUE_SOFT_BYTES,
	    .out_max_bytes = AGENT_QUEUE_HARD_BYTES,
	};
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL || client_init(c, a) < 0) {
		if (c != NULL)
			client_deinit(c);
		close(fd);
		return err_nomem(e);
	}
	c->conn = tls == NULL
		      ? tls_conn_plain_new(a->loop, fd, &opts, &cbs, c, e)
		      : tls_conn_new(a->loop, tls, fd, &opts, &cbs, c, e);
	if (c->conn == NULL) {
		client_deinit(c);
		return -ERR_SYS;
	}
	list_push(&a->clients, &c->pub.link);
	a->client_count++;
	log_info("client come id=%llu clients=%zu",
	    (unsigned long long)c->pub.id, a->client_count);
	return 0;
}
