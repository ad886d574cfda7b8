/* ev: the event loop. The only file that knows libevent's names. */
#ifndef LIB_EV_H
#define LIB_EV_H

#include <stdbool.h>
#include <stdint.h>

struct ev_loop;
struct ev_io;
struct ev_timer;
struct ev_soon;
struct ev_signal;
struct event_base;

enum { EV_WANT_READ = 1, EV_WANT_WRITE = 2 };

typedef void ev_io_fn(void *arg, int ready);
typedef void ev_fn(void *arg);

struct ev_loop *ev_loop_new(void);
void ev_loop_free(struct ev_loop **loop);
int ev_loop_run(struct ev_loop *loop); /* until ev_loop_stop */
/* One turn; waits for an event when block is set. For tests. */
int ev_loop_turn(struct ev_loop *loop, bool block);
void ev_loop_stop(struct ev_loop *loop);
struct event_base *ev_loop_base(struct ev_loop *loop);

/* Watches fd (borrowed, never closed here). Starts wanting nothing. */
struct ev_io *ev_io_new(struct ev_loop *loop, int fd, ev_io_fn *fn, void *arg);
int ev_io_want(struct ev_io *io, int want);
int ev_io_wants(const struct ev_io *io);
void ev_io_free(struct ev_io **io);

/* One-shot. Setting an armed timer moves it. */
struct ev_timer *ev_timer_new(struct ev_loop *loop, ev_fn *fn, void *arg);
void ev_timer_set(struct ev_timer *t, uint64_t delay_ms);
void ev_timer_cancel(struct ev_timer *t);
bool ev_timer_armed(const struct ev_timer *t);
void ev_timer_free(struct ev_timer **t);

/* Runs fn once in this turn, after what is ready now; no system call. */
struct ev_soon *ev_soon_new(struct ev_loop *loop, ev_fn *fn, void *arg);
void ev_soon_set(struct ev_soon *s); /* more than once is once */
void ev_soon_free(struct ev_soon **s);

struct ev_signal *ev_signal_new(
    struct ev_loop *loop, int signo, ev_fn *fn, void *arg);
void ev_signal_free(struct ev_signal **s);

#endif
