/*
 * leg: one agent's stream below a router. Messages lie back to back on it;
 * pm_scan finds where they end. What the agent sends is not trusted: a leg
 * whose bytes make no sense is given up.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/clock.h"
#include "workers/own/local.h"

enum { LEG_OUT_MAX = 4 << 20 };

static void on_io(void *arg, int ready);

static void
want(struct own_leg *leg)
{
	int w = leg->out.len > 0 ? EV_WANT_WRITE : 0;
	if (!leg->eof && leg->in.len <= ROUTE_WHOLE_MAX && leg->ready == 0 &&
	    leg->failed == NULL)
		w |= EV_WANT_READ;
	if (ev_io_wants(leg->io) != w)
		(void)ev_io_want(leg->io, w);
}

struct own_leg *
own_leg_new(struct own_stream *st, int slot, struct own_agent *a, struct err *e)
{
	struct own_leg *leg = calloc(1, sizeof(*leg));
	int fd = leg == NULL ? -1 : own_agent_stream(a, e);
	if (fd < 0) {
		free(leg);
		return NULL;
	}
	leg->st = st;
	leg->slot = slot;
	leg->agent = a;
	leg->fd = fd;
	buf_init(&leg->out, LEG_OUT_MAX);
	buf_init(&leg->in, 2 * ROUTE_WHOLE_MAX);
	pm_scan_init(&leg->scan, PM_DAEMON);
	leg->io = ev_io_new(a->own->w->loop, fd, on_io, leg);
	if (leg->io == NULL) {
		own_leg_free(&leg);
		(void)err_nomem(e);
		return NULL;
	}
	want(leg);
	return leg;
}

void
own_leg_free(struct own_leg **lp)
{
	struct own_leg *leg = *lp;
	if (leg == NULL)
		return;
	*lp = NULL;
	ev_io_free(&leg->io);
	own_agent_stream_end(leg->agent, leg->fd);
	buf_free(&leg->out);
	buf_free(&leg->in);
	free(leg);
}

static void
fail(struct own_leg *leg, const char *why)
{
	if (leg->failed == NULL)
		leg->failed = why;
	own_stream_kick(leg->st);
}

/* ---- towards the agent ---- */

static void
flush(struct own_leg *leg)
{
	while (leg->out.len > 0) {
		ssize_t n = write(leg->fd, buf_data(&leg->out), leg->out.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			buf_clear(&leg->out);
			fail(leg, "its agent closed the stream");
			return;
		}
		buf_consume(&leg->out, (size_t)n);
	}
	if (!own_leg_congested(leg))
		leg->stuck_since_ms = 0;
}

bool
own_leg_congested(const struct own_leg *leg)
{
	return leg->out.len > OWN_LEG_SOFT_BYTES;
}

void
own_leg_write(struct own_leg *leg, const struct route_out *out)
{
	struct iovec iov[4];
	size_t done = 0;
	if (leg->failed != NULL)
		return;
	if (leg->out.len == 0) {
		for (int i = 0; i < out->n_part; i++)
			iov[i] = (struct iovec){
			    (void *)(uintptr_t)out->part[i].p, out->part[i].n};
		ssize_t n = writev(leg->fd, iov, out->n_part);
		done = n > 0 ? (size_t)n : 0;
	}
	for (int i = 0; i < out->n_part; i++) {
		size_t skip = done < out->part[i].n ? done : out->part[i].n;
		done -= skip;
		if (buf_append(&leg->out, out->part[i].p + skip,
			out->part[i].n - skip) != 0) {
			fail(leg, "its agent takes nothing");
			return;
		}
	}
	if (own_leg_congested(leg) && leg->stuck_since_ms == 0)
		leg->stuck_since_ms = clock_mono_ms();
	want(leg);
}

/* ---- from the agent ---- */

/* How many bytes of in the router may have now: a whole message or a piece. */
static void
measure(struct own_leg *leg)
{
	size_t used = 0;
	struct err e = {0};
	int r = pm_scan_feed(&leg->scan, buf_data(&leg->in) + leg->scanned,
	    leg->in.len - leg->scanned, &used, &e);
	leg->scanned += used;
	if (r == 0) {
		leg->ready = leg->scanned;
		leg->ready_last = true;
	} else if (r != -ERR_TRUNCATED) {
		fail(leg, "its agent sent what is no message");
	} else {
		leg->scanned = leg->in.len;
		if (leg->within || leg->in.len > ROUTE_WHOLE_MAX) {
			leg->ready = leg->in.len;
			leg->ready_last = false;
		}
	}
}

static bool
client_has_room(const struct own_stream *st)
{
	return ipc_pieces_empty(&st->path[ROUTE_TRAFFIC].out) &&
	       ipc_pieces_empty(&st->path[ROUTE_STATEFUL].out);
}

void
own_leg_pump(struct own_leg *leg)
{
	struct own_stream *st = leg->st;
	while (leg->failed == NULL && !st->over && leg->in.len > 0 &&
	       client_has_room(st)) {
		if (leg->ready == 0)
			measure(leg);
		if (leg->ready == 0)
			break;
		int r = route_from_child(st->route, leg->slot, ROUTE_TRAFFIC,
		    buf_data(&leg->in), leg->ready, !leg->within,
		    leg->ready_last, clock_mono_ms());
		if (r != ROUTE_TAKEN)
			break;
		buf_consume(&leg->in, leg->ready);
		leg->within = !leg->ready_last;
		if (leg->ready_last)
			pm_scan_init(&leg->scan, PM_DAEMON);
		leg->ready = leg->scanned = 0;
	}
	if (leg->eof && leg->in.len == 0)
		fail(leg, "its agent ended the stream");
	want(leg);
}

static void
fill(struct own_leg *leg)
{
	size_t room = ROUTE_WHOLE_MAX + 1 - leg->in.len;
	if (leg->in.len > ROUTE_WHOLE_MAX || buf_reserve(&leg->in, room) != 0)
		return;
	ssize_t n = read(leg->fd, buf_tail(&leg->in), room);
	if (n > 0)
		buf_commit(&leg->in, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		leg->eof = true;
	/* what is cut off in the middle of a message is of no use */
	if (leg->eof && leg->ready == 0)
		fail(leg, "its agent ended the stream");
}

static void
on_io(void *arg, int ready)
{
	struct own_leg *leg = arg;
	bool was = own_leg_congested(leg);
	if (ready & EV_WANT_WRITE)
		flush(leg);
	if (ready & EV_WANT_READ)
		fill(leg);
	own_leg_pump(leg);
	if (was && !own_leg_congested(leg))
		own_stream_kick(leg->st);
}
