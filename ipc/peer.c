/*
 * peer: the other side of a pair of sockets. What comes from it is checked
 * against the table before any handler sees it; the first broken rule ends the
 * peer. Peers are freed only when no callback of theirs is on the stack.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/peer_priv.h"
#include "lib/log.h"

/* Bytes read from one socket before others have their turn. */
enum { PEER_TURN_BYTES = 256 << 10 };

static void
peer_release(struct ipc_peer *p)
{
	ipc_pipe_deinit(&p->pipes[IPC_SOCKET_D]);
	ipc_pipe_deinit(&p->pipes[IPC_SOCKET_C]);
	ev_soon_free(&p->soon);
	map_free(&p->streams);
	free(p->name);
	free(p);
}

static void
peer_enter(struct ipc_peer *p)
{
	p->busy++;
}

/* False when the peer is no more. */
static bool
peer_leave(struct ipc_peer *p)
{
	if (--p->busy > 0 || !p->freed)
		return true;
	peer_release(p);
	return false;
}

void
ipc_peer_free(struct ipc_peer **peer)
{
	struct ipc_peer *p = *peer;

	*peer = NULL;
	if (p == NULL || p->freed)
		return;
	p->ended = p->freed = p->gone_told = true;
	peer_enter(p);
	ipc_streams_peer_gone(p, "the peer was let go");
	peer_leave(p);
}

static void
peer_end(struct ipc_peer *p, const struct err *why)
{
	if (p->ended)
		return;
	p->ended = true;
	p->why = *why;
	ev_soon_set(p->soon);
}

void
ipc_peer_end(struct ipc_peer *peer, const char *why)
{
	struct err e;

	err_set(&e, ERR_CLOSED, "%s", why);
	peer_end(peer, &e);
}

bool
ipc_peer_broke(const struct ipc_peer *peer)
{
	return peer->broke;
}

/* What a frame's header alone can break. */
static int
header_check(struct ipc_peer *p, enum ipc_socket socket,
    const struct ipc_header *h, const struct ipc_spec **spec_r, struct err *e)
{
	const struct ipc_spec *spec = ipc_spec_find(h->type);
	enum ipc_role self = p->dispatch->self;

	*spec_r = spec;
	if (spec == NULL)
		return err_set(
		    e, ERR_INVALID, "unknown message type %#06x", h->type);
	if (p->pipes[IPC_SOCKET_C].fd >= 0 && spec->socket != socket)
		return err_set(e, ERR_INVALID, "%s came on the %s socket",
		    spec->name, socket == IPC_SOCKET_D ? "data" : "control");
	if ((spec->senders[self] & (1U << p->role)) == 0)
		return err_set(e, ERR_DENIED, "%s may not be sent by %s to %s",
		    spec->name, ipc_role_name(p->role), ipc_role_name(self));
	if ((spec->phases & (1U << *p->phase)) == 0)
		return err_set(
		    e, ERR_INVALID, "%s came in the wrong phase", spec->name);
	if (h->length > ipc_spec_max_payload(spec))
		return err_set(e, ERR_INVALID,
		    "%s has %u bytes, more than its fields allow", spec->name,
		    h->length);
	if (h->n_fds > spec->max_fds)
		return err_set(e, ERR_INVALID,
		    "%s carries %u descriptors, %u are allowed", spec->name,
		    h->n_fds, spec->max_fds);
	if ((h->flags & ~(IPC_FIRST | IPC_LAST)) != 0)
		return err_set(
		    e, ERR_INVALID, "%s has unknown flags", spec->name);
	if (p->handler_at[ipc_spec_index(h->type)] < 0)
		return err_set(
		    e, ERR_INVALID, "%s has no handler here", spec->name);
	return 0;
}

/* Runs the handler of one whole frame; payload lies behind the header. */
static int
frame_handle(struct ipc_peer *p, struct ipc_pipe *pipe,
    const struct ipc_header *h, const struct ipc_spec *spec, struct err *e)
{
	union {
		uint64_t align;
		char bytes[IPC_STRUCT_BYTES];
	} payload;
	int fds[IPC_MAX_FDS] = {-1, -1, -1, -1};
	struct ipc_in in = {.peer = p,
	    .header = *h,
	    .payload = &payload,
	    .fds = fds,
	    .n_fds = h->n_fds};
	int rc = ipc_payload_read(spec, buf_data(&pipe->in) + IPC_HEADER_BYTES,
	    h->length, &payload, e);

	if (rc < 0)
		return rc;
	memcpy(fds, pipe->in_fds, h->n_fds * sizeof(int));
	pipe->n_in_fds -= h->n_fds;
	memmove(pipe->in_fds, pipe->in_fds + h->n_fds,
	    pipe->n_in_fds * sizeof(int));
	p->opening = h->type == IPC_STREAM_OPEN
			 ? ipc_stream_key(h->session, h->stream)
			 : 0;
	err_set(e, ERR_INTERNAL, "%s was refused by its handler", spec->name);
	rc = p->dispatch->handlers[p->handler_at[ipc_spec_index(h->type)]].fn(
	    p->worker, &in, e);
	p->opening = 0;
	for (unsigned i = 0; i < IPC_MAX_FDS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	return rc;
}

/* All whole frames that are there. */
static int
frames_handle(struct ipc_peer *p, enum ipc_socket socket, struct err *e)
{
	struct ipc_pipe *pipe = &p->pipes[socket];
	const struct ipc_spec *spec;
	struct ipc_header h;
	int rc;

	while (!p->ended && pipe->in.len >= IPC_HEADER_BYTES) {
		ipc_header_read(buf_data(&pipe->in), &h);
		rc = header_check(p, socket, &h, &spec, e);
		if (rc < 0)
			return rc;
		/* Descriptors come with the first byte of their frame. */
		if (pipe->n_in_fds < h.n_fds)
			return err_set(e, ERR_INVALID,
			    "%s came without its descriptors", spec->name);
		if (pipe->in.len - IPC_HEADER_BYTES < h.length) {
			if (pipe->n_in_fds > h.n_fds)
				return err_set(e, ERR_INVALID,
				    "%s came with more descriptors than it "
				    "declares",
				    spec->name);
			return 0;
		}
		rc = frame_handle(p, pipe, &h, spec, e);
		if (rc < 0)
			return rc;
		buf_consume(&pipe->in, IPC_HEADER_BYTES + h.length);
	}
	if (pipe->in.len == 0 && pipe->n_in_fds > 0 && !p->ended)
		return err_set(
		    e, ERR_INVALID, "descriptors came that no frame declares");
	if (pipe->in.len == 0 && pipe->in.cap > 2 * IPC_PIPE_CHUNK_BYTES)
		buf_free(&pipe->in);
	return 0;
}

/*
 * Reads and handles one turn's worth; the loop tells again when there is more.
 * last: all that the other side wrote before it went, within the bound that
 * its own queue has. Ends the peer at the first error.
 */
static void
socket_read(struct ipc_peer *p, enum ipc_socket socket, bool last)
{
	struct ipc_pipe *pipe = &p->pipes[socket];
	size_t total = 0, max = last ? IPC_QUEUE_MAX_BYTES : PEER_TURN_BYTES;
	struct err e;

	while (!p->ended && total < max) {
		size_t before = pipe->in.len, got;
		int rc = ipc_pipe_recv(pipe, &e);

		if (rc == 0)
			return;
		if (rc == -ERR_CLOSED && socket == IPC_SOCKET_C)
			socket_read(p, IPC_SOCKET_D, true);
		got = rc > 0 ? pipe->in.len - before : 0;
		total += got;
		if (rc > 0)
			rc = frames_handle(p, socket, &e);
		if (rc < 0) {
			p->broke |= e.code != ERR_CLOSED && !p->ended;
			peer_end(p, &e);
		}
		if (!last && got < IPC_PIPE_CHUNK_BYTES)
			return;
	}
}

static void
peer_flush(struct ipc_peer *p)
{
	struct err e;

	for (int i = IPC_SOCKET_C; i >= IPC_SOCKET_D && !p->ended; i--) {
		if (p->pipes[i].fd < 0 || ipc_pipe_flush(&p->pipes[i]) >= 0)
			continue;
		/* Hear what it said before it went. */
		socket_read(p, IPC_SOCKET_D, true);
		err_set(&e, ERR_CLOSED, IPC_WHY_CLOSED);
		peer_end(p, &e);
	}
}

static void
peer_on_soon(void *arg)
{
	struct ipc_peer *p = arg;

	peer_enter(p);
	if (!p->ended)
		peer_flush(p);
	if (p->ended && !p->gone_told) {
		p->gone_told = true;
		for (int i = 0; i < 2; i++) {
			if (p->pipes[i].fd >= 0)
				ev_io_want(p->pipes[i].io, 0);
		}
		ipc_streams_peer_gone(p, p->why.text);
		if (p->dispatch->on_gone != NULL)
			p->dispatch->on_gone(p->worker, p, p->why.text);
		p->freed = true;
	}
	peer_leave(p);
}

static void
peer_on_ready(struct ipc_peer *p, enum ipc_socket socket, int ready)
{
	peer_enter(p);
	if (!p->ended && (ready & EV_WANT_WRITE))
		ev_soon_set(p->soon);
	if (!p->ended && (ready & EV_WANT_READ))
		socket_read(p, socket, false);
	peer_leave(p);
}

static void
peer_on_data(void *arg, int ready)
{
	peer_on_ready(arg, IPC_SOCKET_D, ready);
}

static void
peer_on_control(void *arg, int ready)
{
	peer_on_ready(arg, IPC_SOCKET_C, ready);
}

static void
handlers_index(struct ipc_peer *p)
{
	memset(p->handler_at, -1, sizeof(p->handler_at));
	for (size_t i = 0; i < p->dispatch->n_handlers && i < INT8_MAX; i++) {
		int at = ipc_spec_index(p->dispatch->handlers[i].type);

		if (at >= 0)
			p->handler_at[at] = (int8_t)i;
	}
}

struct ipc_peer *
ipc_peer_new(struct ev_loop *loop, const struct ipc_dispatch *d, void *worker,
    const enum ipc_phase *phase, enum ipc_role role, uint32_t index,
    const char *name, int data_fd, int ctrl_fd, struct err *e)
{
	struct ipc_peer *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		close(data_fd);
		if (ctrl_fd >= 0)
			close(ctrl_fd);
		err_nomem(e);
		return NULL;
	}
	p->loop = loop;
	p->dispatch = d;
	p->worker = worker;
	p->phase = phase;
	p->role = role;
	p->index = index;
	p->name = strdup(name != NULL ? name : "");
	p->pipes[IPC_SOCKET_C].fd = -1;
	map_init(&p->streams);
	handlers_index(p);
	p->soon = ev_soon_new(loop, peer_on_soon, p);
	int rc = ipc_pipe_init(
	    &p->pipes[IPC_SOCKET_D], loop, data_fd, peer_on_data, p);
	if (ctrl_fd >= 0) {
		int rc2 = ipc_pipe_init(
		    &p->pipes[IPC_SOCKET_C], loop, ctrl_fd, peer_on_control, p);

		rc = rc < 0 ? rc : rc2;
	}
	if (rc < 0 || p->soon == NULL || p->name == NULL) {
		peer_release(p);
		err_set(e, ERR_SYS, "cannot set up the sockets to %s %u",
		    ipc_role_name(role), index);
		return NULL;
	}
	return p;
}

enum ipc_role
ipc_peer_role(const struct ipc_peer *peer)
{
	return peer->role;
}

uint32_t
ipc_peer_index(const struct ipc_peer *peer)
{
	return peer->index;
}

const char *
ipc_peer_name(const struct ipc_peer *peer)
{
	return peer->name;
}

void
ipc_peer_set_data(struct ipc_peer *peer, void *data)
{
	peer->data = data;
}

void *
ipc_peer_data(const struct ipc_peer *peer)
{
	return peer->data;
}

size_t
ipc_peer_queued_bytes(const struct ipc_peer *peer)
{
	return peer->pipes[0].out.len + peer->pipes[1].out.len;
}

int
ipc_peer_flush(struct ipc_peer *peer)
{
	int rc = 0;

	for (int i = IPC_SOCKET_C; i >= IPC_SOCKET_D && rc == 0; i--) {
		if (peer->pipes[i].fd >= 0 && !peer->ended)
			rc = ipc_pipe_flush(&peer->pipes[i]);
	}
	return rc;
}

int
ipc_send(struct ipc_peer *peer, enum ipc_type type, uint16_t flags,
    uint32_t session, uint32_t stream, const void *payload, const int *fds,
    unsigned n_fds)
{
	const struct ipc_spec *spec = ipc_spec_find((uint16_t)type);
	enum ipc_socket s = IPC_SOCKET_D;
	struct err e;
	int rc;

	if (peer == NULL || peer->ended)
		return -ERR_CLOSED;
	if (spec == NULL || n_fds > spec->max_fds || flags > UINT8_MAX ||
	    (spec->senders[peer->role] & (1U << peer->dispatch->self)) == 0) {
		log_error("a message that the table forbids was not sent "
			  "type=%s to=%s",
		    ipc_type_name((uint16_t)type), ipc_role_name(peer->role));
		return -ERR_DENIED;
	}
	if (spec->socket == IPC_SOCKET_C && peer->pipes[IPC_SOCKET_C].fd >= 0)
		s = IPC_SOCKET_C;
	rc = ipc_pipe_queue(&peer->pipes[s], spec, (uint8_t)flags, session,
	    stream, payload, fds, n_fds, &e);
	if (rc < 0 && e.code != ERR_TOO_BIG) {
		/* A lost message is a broken contract; the queue is full or
		 * there is no memory: begin anew. */
		peer_end(peer, &e);
		return rc;
	}
	if (rc < 0) {
		log_error("a message was not sent: %s", e.text);
		return rc;
	}
	if (ipc_peer_queued_bytes(peer) > IPC_QUEUE_MAX_BYTES) {
		ipc_peer_end(peer, "it does not read: its queue is full");
		return -ERR_TOO_BIG;
	}
	ev_soon_set(peer->soon);
	return 0;
}
