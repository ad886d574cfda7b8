/*
 * stream: credits of one stream in both directions.
 *
 * Of what this side grants, every byte is in one of three states, which
 * together are the window, which alone is charged to the budget:
 *   outstanding   granted, not yet received
 *   held          received, not yet passed on by the owner
 *   pending       passed on, to be granted again
 * A sender that sends more than is outstanding breaks the contract and costs
 * its peer.
 */
#include "config.h"

#include "ipc/stream.h"

#include <stdlib.h>

#include "ipc/peer_priv.h"
#include "lib/clock.h"

enum {
	STREAM_FRAME_BYTES = 65536,
	/* A whole window passed on in less: a larger one saves waits. */
	STREAM_FAST_MS = 100,
};

struct ipc_stream {
	struct ipc_peer *peer; /* NULL when dead */
	uint32_t session;
	uint32_t stream;
	struct ipc_budget *budget;
	const struct ipc_stream_ops *ops;
	void *arg;
	size_t room; /* what the other side granted */
	size_t window;
	size_t outstanding;
	size_t held;
	size_t pending;
	bool confirmed;   /* the other side has the stream */
	size_t passed_on; /* since marked_ms */
	uint64_t marked_ms;
};

static size_t
budget_left(const struct ipc_budget *b)
{
	size_t left = SIZE_MAX;

	for (; b != NULL; b = b->parent) {
		size_t here = b->limit_bytes > b->granted_bytes
				  ? b->limit_bytes - b->granted_bytes
				  : 0;

		left = here < left ? here : left;
	}
	return left;
}

static void
budget_charge(struct ipc_budget *b, size_t n)
{
	for (; b != NULL; b = b->parent)
		b->granted_bytes += n;
}

static void
budget_give_back(struct ipc_budget *b, size_t n)
{
	for (; b != NULL; b = b->parent)
		b->granted_bytes -= n;
}

/* The budget is nearly used up somewhere on the way to its root. */
static bool
budget_tight(const struct ipc_budget *b)
{
	for (; b != NULL; b = b->parent) {
		if (b->granted_bytes > b->limit_bytes - b->limit_bytes / 8)
			return true;
	}
	return false;
}

static void
stream_grow(struct ipc_stream *s, size_t n)
{
	budget_charge(s->budget, n);
	s->window += n;
	s->pending += n;
}

static void
stream_send_credit(struct ipc_stream *s)
{
	struct ipc_stream_credit m = {.bytes = (uint32_t)s->pending};

	if (s->pending == 0 || s->peer == NULL)
		return;
	s->outstanding += s->pending;
	s->pending = 0;
	/* When it cannot be sent the peer is being ended. */
	ipc_send(
	    s->peer, IPC_STREAM_CREDIT, 0, s->session, s->stream, &m, NULL, 0);
}

/* The other side has the stream: raise the floor to the start. */
static void
stream_confirm(struct ipc_stream *s)
{
	size_t share;

	if (s->confirmed)
		return;
	s->confirmed = true;
	share = budget_left(s->budget) / 4;
	if (share > IPC_WINDOW_START_BYTES)
		share = IPC_WINDOW_START_BYTES;
	if (share > s->window)
		stream_grow(s, share - s->window);
	stream_send_credit(s);
}

struct ipc_stream *
ipc_stream_new(struct ipc_peer *peer, uint32_t session, uint32_t stream,
    struct ipc_budget *budget, const struct ipc_stream_ops *ops, void *arg)
{
	uint64_t key = ipc_stream_key(session, stream);
	struct ipc_stream *s;

	if (peer == NULL || peer->ended || map_get(&peer->streams, key) ||
	    budget_left(budget) < IPC_WINDOW_FLOOR_BYTES)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL || map_put(&peer->streams, key, s) < 0) {
		free(s);
		return NULL;
	}
	s->peer = peer;
	s->session = session;
	s->stream = stream;
	s->budget = budget;
	s->ops = ops;
	s->arg = arg;
	s->room = IPC_WINDOW_FLOOR_BYTES;
	stream_grow(s, IPC_WINDOW_FLOOR_BYTES);
	s->outstanding = s->pending;
	s->pending = 0;
	if (peer->opening == key)
		stream_confirm(s);
	return s;
}

static void
stream_detach(struct ipc_stream *s)
{
	if (s->peer == NULL)
		return;
	map_del(&s->peer->streams, ipc_stream_key(s->session, s->stream));
	s->peer = NULL;
}

void
ipc_stream_free(struct ipc_stream **sp)
{
	struct ipc_stream *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	stream_detach(s);
	budget_give_back(s->budget, s->window);
	free(s);
}

size_t
ipc_stream_room(const struct ipc_stream *s)
{
	return s->peer != NULL && !s->peer->ended ? s->room : 0;
}

int
ipc_stream_send(
    struct ipc_stream *s, const uint8_t *p, size_t n, bool first, bool last)
{
	if (s->peer == NULL || s->peer->ended)
		return -ERR_CLOSED;
	if (n > s->room)
		return -ERR_TOO_BIG;
	s->room -= n;
	do {
		size_t part = n < STREAM_FRAME_BYTES ? n : STREAM_FRAME_BYTES;
		struct ipc_stream_data m = {.data = {p, part}};
		uint16_t flags = (uint16_t)((first ? IPC_FIRST : 0) |
					    (last && part == n ? IPC_LAST : 0));
		int rc = ipc_send(s->peer, IPC_STREAM_DATA, flags, s->session,
		    s->stream, &m, NULL, 0);

		if (rc < 0)
			return rc;
		p += part;
		n -= part;
		first = false;
	} while (n > 0);
	return 0;
}

/* In tight times the growth goes back, as far as it is not in use. */
static void
stream_shrink(struct ipc_stream *s)
{
	size_t back;

	if (s->window <= IPC_WINDOW_START_BYTES)
		return;
	back = s->window - IPC_WINDOW_START_BYTES;
	back = back < s->pending ? back : s->pending;
	s->window -= back;
	s->pending -= back;
	budget_give_back(s->budget, back);
}

/* A stream that is used, by a reader that keeps up, gets a larger window. */
static void
stream_tune(struct ipc_stream *s)
{
	size_t more = s->window;
	uint64_t now;
	bool fast;

	if (budget_tight(s->budget)) {
		stream_shrink(s);
		return;
	}
	if (s->passed_on < s->window || !s->confirmed)
		return;
	now = clock_mono_ms();
	fast = now - s->marked_ms < STREAM_FAST_MS;
	s->marked_ms = now;
	s->passed_on = 0;
	if (more > IPC_WINDOW_MAX_BYTES - s->window)
		more = IPC_WINDOW_MAX_BYTES - s->window;
	if (fast && more <= budget_left(s->budget) / 4)
		stream_grow(s, more);
}

void
ipc_stream_consumed(struct ipc_stream *s, size_t n)
{
	if (n > s->held)
		n = s->held;
	s->held -= n;
	s->pending += n;
	s->passed_on += n;
	if (s->pending < s->window / 4 &&
	    (s->outstanding > 0 || s->pending == 0))
		return;
	stream_tune(s);
	stream_send_credit(s);
}

int
ipc_stream_end(struct ipc_stream *s, uint16_t code, const char *text)
{
	struct ipc_stream_end m = {.code = code, .text = text};

	return ipc_send(
	    s->peer, IPC_STREAM_END, 0, s->session, s->stream, &m, NULL, 0);
}

int
ipc_stream_reset(struct ipc_stream *s, uint16_t code, const char *text)
{
	struct ipc_stream_reset m = {.code = code, .text = text};

	return ipc_send(
	    s->peer, IPC_STREAM_RESET, 0, s->session, s->stream, &m, NULL, 0);
}

uint32_t
ipc_stream_session(const struct ipc_stream *s)
{
	return s->session;
}

uint32_t
ipc_stream_number(const struct ipc_stream *s)
{
	return s->stream;
}

struct ipc_peer *
ipc_stream_peer(const struct ipc_stream *s)
{
	return s->peer;
}

size_t
ipc_stream_window(const struct ipc_stream *s)
{
	return s->window;
}

static int
on_data(struct ipc_stream *s, struct ipc_in *in, struct err *e)
{
	const struct ipc_stream_data *m = in->payload;

	if (m->data.n > s->outstanding)
		return err_set(e, ERR_INVALID,
		    "STREAM_DATA of %zu bytes where %zu were granted",
		    m->data.n, s->outstanding);
	s->outstanding -= m->data.n;
	s->held += m->data.n;
	s->ops->on_piece(s->arg, m->data.p, m->data.n,
	    in->header.flags & IPC_FIRST, in->header.flags & IPC_LAST);
	return 0;
}

static int
on_credit(struct ipc_stream *s, struct ipc_in *in, struct err *e)
{
	const struct ipc_stream_credit *m = in->payload;

	if (m->bytes > IPC_WINDOW_MAX_BYTES - s->room)
		return err_set(e, ERR_INVALID,
		    "STREAM_CREDIT of %u bytes on top of %zu", m->bytes,
		    s->room);
	s->room += m->bytes;
	if (s->ops->on_room != NULL)
		s->ops->on_room(s->arg);
	return 0;
}

static int
on_opened(struct ipc_stream *s, struct ipc_in *in, struct err *e)
{
	const struct ipc_stream_opened *m = in->payload;

	(void)e;
	if (s->ops->on_opened != NULL)
		s->ops->on_opened(s->arg, m->version);
	return 0;
}

static int
on_end(struct ipc_stream *s, struct ipc_in *in, struct err *e)
{
	const struct ipc_stream_end *m = in->payload;

	(void)e;
	stream_detach(s);
	s->ops->on_end(s->arg, m->code, m->text);
	return 0;
}

static int
on_reset(struct ipc_stream *s, struct ipc_in *in, struct err *e)
{
	const struct ipc_stream_reset *m = in->payload;

	(void)e;
	stream_detach(s);
	s->ops->on_end(s->arg, m->code, m->text);
	return 0;
}

int
ipc_stream_dispatch(struct ipc_in *in, struct err *e)
{
	static const struct {
		uint16_t type;
		int (*fn)(struct ipc_stream *, struct ipc_in *, struct err *);
	} table[] = {
	    {IPC_STREAM_DATA, on_data},
	    {IPC_STREAM_CREDIT, on_credit},
	    {IPC_STREAM_OPENED, on_opened},
	    {IPC_STREAM_END, on_end},
	    {IPC_STREAM_RESET, on_reset},
	};
	struct ipc_stream *s = map_get(&in->peer->streams,
	    ipc_stream_key(in->header.session, in->header.stream));

	if (s == NULL)
		return 0; /* it may just have ended */
	stream_confirm(s);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].type == in->header.type)
			return table[i].fn(s, in, e);
	}
	return err_set(e, ERR_INTERNAL, "%s is not about a stream",
	    ipc_type_name(in->header.type));
}

void
ipc_streams_peer_gone(struct ipc_peer *peer, const char *why)
{
	size_t pos = 0;
	struct ipc_stream *s;

	/* A callback may free any stream of the peer: begin anew each time. */
	while ((s = map_next(&peer->streams, &pos, NULL)) != NULL) {
		stream_detach(s);
		s->ops->on_end(s->arg, IPC_END_PEER_GONE, why);
		pos = 0;
	}
}
