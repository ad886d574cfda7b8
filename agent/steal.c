#include "config.h"

#include "agent/steal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/incoming_wire.h"
#include "agent/mirror.h"
#include "lib/log.h"

enum {
	HOLD_ENDS_BELOW_BYTES = STEAL_PEER_BYTES - 64 * 1024,
	/* A held client's messages that were already on their way. */
	OUT_MAX_BYTES = STEAL_PEER_BYTES + 8 * 1024 * 1024,
	FAREWELL_MS = 5000,
};

struct steal {
	struct list link; /* in incoming.steals */
	struct incoming *in;
	struct incoming_client *owner; /* NULL: the id is dead */
	uint64_t id;                   /* key in owner->steals */
	struct incoming_flow flow;
	int fd;
	struct ev_io *io;
	struct mirror_set mirrors;
	struct buf out;         /* from the client, for the peer */
	struct agent_wait room; /* for room in the client's queue */
	struct ev_timer *timer; /* while holding, or after the id's death */
	bool peer_eof;          /* the peer has half-closed */
	bool client_eof;        /* the client has */
	bool shut;              /* and the peer was told */
	bool paused;            /* waiting for room */
	bool holding;           /* the client */
};

static void
release_client(struct steal *s)
{
	if (!s->holding)
		return;
	s->holding = false;
	ev_timer_cancel(s->timer);
	agent_client_release(s->owner->client);
}

/* The client hears nothing more of this id. */
static void
disown(struct steal *s)
{
	if (s->owner == NULL)
		return;
	release_client(s);
	agent_wait_cancel(&s->room);
	map_del(&s->owner->steals, s->id);
	s->owner = NULL;
}

static void
steal_free(struct steal *s, bool abort)
{
	disown(s);
	list_remove(&s->link);
	s->in->live--;
	mirror_end(&s->mirrors);
	ev_io_free(&s->io);
	ev_timer_free(&s->timer);
	buf_free(&s->out);
	if (s->fd >= 0 && abort)
		incoming_abort_fd(s->fd);
	else if (s->fd >= 0)
		close(s->fd);
	free(s);
}

static void
steal_failed(struct steal *s, const char *why)
{
	char peer[80];

	incoming_addr_text(&s->flow.peer, peer, sizeof(peer));
	log_info("stolen connection ends peer=%s port=%u: %s", peer,
	    s->flow.port, why);
	if (s->owner != NULL) {
		struct agent_client *c = s->owner->client;

		agent_client_log(c, LOG_LV_WARN,
		    "The stolen connection from %s to port %u ended early: %s.",
		    peer, s->flow.port, why);
		(void)wire_close(c, INCOMING_STEAL, s->id);
	}
	steal_free(s, true);
}

static void
steal_finished(struct steal *s)
{
	if (s->owner != NULL)
		(void)wire_close(s->owner->client, INCOMING_STEAL, s->id);
	steal_free(s, false);
}

/* False when s is gone, as in all functions here that return bool. */
static bool
steal_settle(struct steal *s)
{
	int want = 0;

	if (s->peer_eof && s->shut) {
		steal_finished(s);
		return false;
	}
	if (!s->peer_eof && !s->paused)
		want |= EV_WANT_READ;
	if (s->out.len > 0)
		want |= EV_WANT_WRITE;
	if (ev_io_want(s->io, want) < 0) {
		steal_failed(s, "the agent is out of memory");
		return false;
	}
	return true;
}

static void
on_patience_over(void *arg)
{
	struct steal *s = arg;

	if (s->owner == NULL)
		steal_free(s, true);
	else
		steal_failed(s, "the peer does not read what it is sent");
}

static bool
arm_timer(struct steal *s, uint64_t delay_ms)
{
	if (s->timer == NULL)
		s->timer =
		    ev_timer_new(s->in->agent->loop, on_patience_over, s);
	if (s->timer == NULL)
		return false;
	ev_timer_set(s->timer, delay_ms);
	return true;
}

static bool
hold_or_release(struct steal *s)
{
	if (s->owner == NULL)
		return true;
	if (s->holding && s->out.len < HOLD_ENDS_BELOW_BYTES) {
		release_client(s);
	} else if (!s->holding && s->out.len > STEAL_PEER_BYTES) {
		if (!arm_timer(s, STEAL_PATIENCE_MS)) {
			steal_failed(s, "the agent is out of memory");
			return false;
		}
		s->holding = true;
		agent_client_hold(s->owner->client);
	}
	return true;
}

/* Writes what the socket takes. */
static bool
steal_flush(struct steal *s)
{
	while (s->out.len > 0) {
		ssize_t n = send(s->fd, buf_data(&s->out), s->out.len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			steal_failed(s, strerror(errno));
			return false;
		}
		buf_consume(&s->out, (size_t)n);
	}
	if (s->out.len == 0 && s->client_eof && !s->shut) {
		s->shut = true;
		if (shutdown(s->fd, SHUT_WR) < 0 && errno != ENOTCONN) {
			steal_failed(s, strerror(errno));
			return false;
		}
	}
	return hold_or_release(s);
}

static void
on_room(void *arg)
{
	struct steal *s = arg;

	s->paused = false;
	(void)steal_settle(s);
}

static void
pause_reading(struct steal *s)
{
	s->paused = true;
	agent_client_on_drain(s->owner->client, &s->room);
}

static void
steal_peer_sent(struct steal *s, size_t n)
{
	if (n == 0) {
		s->peer_eof = true;
		mirror_eof(&s->mirrors);
	} else {
		mirror_data(&s->mirrors, s->in->pipes.scratch, n);
	}
	/* A lost client's connections end with steal_client_gone. */
	if (s->owner != NULL)
		(void)wire_data(s->owner->client, INCOMING_STEAL, s->id,
		    s->in->pipes.scratch, n);
}

static bool
steal_read(struct steal *s)
{
	ssize_t n;

	if (s->owner != NULL && agent_client_full(s->owner->client)) {
		pause_reading(s);
		return true;
	}
	n = recv(s->fd, s->in->pipes.scratch, HALF_CHUNK_BYTES, MSG_DONTWAIT);
	if (n >= 0) {
		steal_peer_sent(s, (size_t)n);
		return true;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return true;
	steal_failed(s, strerror(errno));
	return false;
}

static void
on_io(void *arg, int ready)
{
	struct steal *s = arg;
	bool alive = ready == EV_WANT_READ ? steal_read(s) : steal_flush(s);

	if (alive)
		(void)steal_settle(s);
}

static struct steal *
steal_new(struct incoming *in, int fd, const struct incoming_flow *flow,
    struct incoming_client *ic)
{
	struct steal *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->io = ev_io_new(in->agent->loop, fd, on_io, s);
	if (s->io == NULL || map_put(&ic->steals, ic->next_steal_id, s) < 0) {
		ev_io_free(&s->io);
		free(s);
		return NULL;
	}
	s->in = in;
	s->owner = ic;
	s->id = ic->next_steal_id++;
	s->flow = *flow;
	s->fd = fd;
	mirror_init(&s->mirrors);
	buf_init(&s->out, OUT_MAX_BYTES);
	agent_wait_init(&s->room, on_room, s);
	list_push(&in->steals, &s->link);
	in->live++;
	return s;
}

bool
steal_start(struct incoming *in, int fd, const struct incoming_flow *flow,
    const struct incoming_port *p)
{
	struct incoming_client *ic = p->stealer;
	struct steal *s = steal_new(in, fd, flow, ic);

	if (s == NULL)
		return false;
	if (wire_new_connection(ic->client, INCOMING_STEAL, s->id, flow) < 0 ||
	    ev_io_want(s->io, EV_WANT_READ) < 0) {
		s->fd = -1;
		steal_free(s, false);
		return false;
	}
	mirror_attach(&s->mirrors, p, flow);
	return true;
}

void
steal_data(struct incoming_client *ic, uint64_t id, const uint8_t *p, size_t n)
{
	struct steal *s = map_get(&ic->steals, id);

	if (s == NULL || s->client_eof)
		return;
	if (n == 0) {
		s->client_eof = true;
	} else if (buf_append(&s->out, p, n) < 0) {
		steal_failed(s, "more data are waiting for the peer than the "
				"agent can hold");
		return;
	}
	if (steal_flush(s))
		(void)steal_settle(s);
}

/* No client any more: the peer gets what is left, and then the end. */
static void
steal_farewell(struct steal *s)
{
	disown(s);
	s->paused = false;
	s->client_eof = true;
	mirror_end(&s->mirrors);
	if (!arm_timer(s, FAREWELL_MS)) {
		steal_free(s, true);
		return;
	}
	if (steal_flush(s))
		(void)steal_settle(s);
}

void
steal_unsubscribe(struct incoming_client *ic, uint64_t id)
{
	struct steal *s = map_get(&ic->steals, id);

	if (s != NULL)
		steal_farewell(s);
}

void
steal_client_gone(struct incoming_client *ic)
{
	LIST_FOR_EACH_SAFE (n, &ic->in->steals) {
		struct steal *s = LIST_ENTRY(n, struct steal, link);

		if (s->owner != ic)
			continue;
		if (s->client_eof) {
			steal_farewell(s);
		} else {
			disown(s);
			steal_free(s, true);
		}
	}
	map_free(&ic->steals);
}

void
steal_abort_all(struct incoming *in)
{
	LIST_FOR_EACH_SAFE (n, &in->steals) {
		struct steal *s = LIST_ENTRY(n, struct steal, link);

		disown(s);
		steal_free(s, true);
	}
}
