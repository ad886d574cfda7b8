#include "config.h"

#include "lib/ev.h"

#include <event2/event.h>
#include <stdlib.h>

#include "lib/err.h"

struct ev_loop {
	struct event_base *base;
};

struct ev_io {
	struct ev_loop *loop;
	struct event *read_ev;
	struct event *write_ev;
	ev_io_fn *fn;
	void *arg;
	int want;
};

struct ev_timer {
	struct event *ev;
	ev_fn *fn;
	void *arg;
};

struct ev_soon {
	struct event *ev;
	ev_fn *fn;
	void *arg;
};

struct ev_signal {
	struct event *ev;
	ev_fn *fn;
	void *arg;
};

struct ev_loop *
ev_loop_new(void)
{
	struct ev_loop *loop = calloc(1, sizeof(*loop));
	struct event_config *cfg;

	if (loop == NULL)
		return NULL;
	cfg = event_config_new();
	if (cfg != NULL) {
		event_config_set_flag(cfg, EVENT_BASE_FLAG_PRECISE_TIMER);
		event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV);
		loop->base = event_base_new_with_config(cfg);
		event_config_free(cfg);
	}
	if (loop->base == NULL) {
		free(loop);
		return NULL;
	}
	return loop;
}

void
ev_loop_free(struct ev_loop **loop)
{
	if (*loop == NULL)
		return;
	event_base_free((*loop)->base);
	free(*loop);
	*loop = NULL;
}

int
ev_loop_run(struct ev_loop *loop)
{
	return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

int
ev_loop_turn(struct ev_loop *loop, bool block)
{
	return event_base_loop(
	    loop->base, EVLOOP_ONCE | (block ? 0 : EVLOOP_NONBLOCK));
}

void
ev_loop_stop(struct ev_loop *loop)
{
	event_base_loopbreak(loop->base);
}

struct event_base *
ev_loop_base(struct ev_loop *loop)
{
	return loop->base;
}

static void
ev_io_ready(evutil_socket_t fd, short what, void *arg)
{
	struct ev_io *io = arg;

	(void)fd;
	io->fn(io->arg, what & EV_READ ? EV_WANT_READ : EV_WANT_WRITE);
}

struct ev_io *
ev_io_new(struct ev_loop *loop, int fd, ev_io_fn *fn, void *arg)
{
	struct ev_io *io = calloc(1, sizeof(*io));

	if (io == NULL)
		return NULL;
	io->loop = loop;
	io->fn = fn;
	io->arg = arg;
	io->read_ev =
	    event_new(loop->base, fd, EV_READ | EV_PERSIST, ev_io_ready, io);
	io->write_ev =
	    event_new(loop->base, fd, EV_WRITE | EV_PERSIST, ev_io_ready, io);
	if (io->read_ev == NULL || io->write_ev == NULL)
		ev_io_free(&io);
	return io;
}

static int
ev_io_toggle(struct event *ev, bool have, bool want)
{
	if (have == want)
		return 0;
	return want ? event_add(ev, NULL) : event_del(ev);
}

int
ev_io_want(struct ev_io *io, int want)
{
	if (ev_io_toggle(io->read_ev, io->want & EV_WANT_READ,
		want & EV_WANT_READ) < 0 ||
	    ev_io_toggle(io->write_ev, io->want & EV_WANT_WRITE,
		want & EV_WANT_WRITE) < 0)
		return -ERR_SYS;
	io->want = want;
	return 0;
}

int
ev_io_wants(const struct ev_io *io)
{
	return io->want;
}

void
ev_io_free(struct ev_io **io)
{
	if (*io == NULL)
		return;
	if ((*io)->read_ev != NULL)
		event_free((*io)->read_ev);
	if ((*io)->write_ev != NULL)
		event_free((*io)->write_ev);
	free(*io);
	*io = NULL;
}

static void
ev_timer_ready(evutil_socket_t fd, short what, void *arg)
{
	struct ev_timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg);
}

struct ev_timer *
ev_timer_new(struct ev_loop *loop, ev_fn *fn, void *arg)
{
	struct ev_timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->fn = fn;
	t->arg = arg;
	t->ev = event_new(loop->base, -1, 0, ev_timer_ready, t);
	if (t->ev == NULL) {
		free(t);
		return NULL;
	}
	return t;
}

void
ev_timer_set(struct ev_timer *t, uint64_t delay_ms)
{
	struct timeval tv = {.tv_sec = (time_t)(delay_ms / 1000),
	    .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000)};

	event_add(t->ev, &tv);
}

void
ev_timer_cancel(struct ev_timer *t)
{
	if (t != NULL)
		event_del(t->ev);
}

bool
ev_timer_armed(const struct ev_timer *t)
{
	return event_pending(t->ev, EV_TIMEOUT, NULL) != 0;
}

void
ev_timer_free(struct ev_timer **t)
{
	if (*t == NULL)
		return;
	event_free((*t)->ev);
	free(*t);
	*t = NULL;
}

static void
ev_signal_ready(evutil_socket_t signo, short what, void *arg)
{
	struct ev_signal *s = arg;

	(void)signo;
	(void)what;
	s->fn(s->arg);
}

struct ev_signal *
ev_signal_new(struct ev_loop *loop, int signo, ev_fn *fn, void *arg)
{
	struct ev_signal *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->fn = fn;
	s->arg = arg;
	s->ev = evsignal_new(loop->base, signo, ev_signal_ready, s);
	if (s->ev == NULL || event_add(s->ev, NULL) < 0)
		ev_signal_free(&s);
	return s;
}

void
ev_signal_free(struct ev_signal **s)
{
	if (*s == NULL)
		return;
	if ((*s)->ev != NULL)
		event_free((*s)->ev);
	free(*s);
	*s = NULL;
}

static void
ev_soon_ready(evutil_socket_t fd, short what, void *arg)
{
	struct ev_soon *s = arg;

	(void)fd;
	(void)what;
	s->fn(s->arg);
}

struct ev_soon *
ev_soon_new(struct ev_loop *loop, ev_fn *fn, void *arg)
{
	struct ev_soon *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->fn = fn;
	s->arg = arg;
	s->ev = event_new(loop->base, -1, 0, ev_soon_ready, s);
	if (s->ev == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void
ev_soon_set(struct ev_soon *s)
{
	event_active(s->ev, EV_TIMEOUT, 0);
}

void
ev_soon_free(struct ev_soon **s)
{
	if (*s == NULL)
		return;
	event_free((*s)->ev);
	free(*s);
	*s = NULL;
}
