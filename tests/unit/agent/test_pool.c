/* Threads: results come back, what hangs is given up, limits hold. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/pool.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

struct work {
	struct pool_job job;
	int in, fd;
	bool ran;
	int out;
	unsigned *done;
	unsigned *order;
	unsigned turn;
};

static struct ev_loop *loop;

static void
square(struct pool_job *job)
{
	struct work *w = LIST_ENTRY(job, struct work, job);

	w->ran = true;
	w->out = w->in * w->in;
}

/* Hangs until a byte comes, or it is cancelled. */
static void
hang(struct pool_job *job)
{
	struct work *w = LIST_ENTRY(job, struct work, job);
	ssize_t n;
	char c;

	w->ran = true;
	do {
		n = read(w->fd, &c, 1);
	} while (n < 0 && errno == EINTR && !atomic_load(&job->cancelled));
	w->out = n == 1 ? 1 : -errno;
}

static void
finished(struct pool_job *job)
{
	struct work *w = LIST_ENTRY(job, struct work, job);

	w->turn = (*w->done)++;
}

static void
until(const unsigned *count, unsigned want)
{
	uint64_t end = clock_mono_ms() + 5000;

	while (*count < want && clock_mono_ms() < end)
		ev_loop_turn(loop, true);
	assert_int_equal(*count, want);
}

static void
on_tick(void *arg)
{
	struct ev_timer **t = arg;

	ev_timer_set(*t, 20); /* so that no turn waits for ever */
}

static struct ev_timer *tick;

static int
setup(void **state)
{
	(void)state;
	loop = ev_loop_new();
	tick = ev_timer_new(loop, on_tick, &tick);
	ev_timer_set(tick, 20);
	return loop == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	ev_timer_free(&tick);
	ev_loop_free(&loop);
	return 0;
}

static void
results(void **state)
{
	enum { N = 2000 };
	struct work *w = calloc(N, sizeof(*w));
	struct pool *p;
	unsigned done = 0;
	struct err e;

	(void)state;
	assert_non_null(w);
	p = pool_new(loop, 8, &e);
	assert_non_null(p);
	for (int i = 0; i < N; i++) {
		w[i].in = i;
		w[i].done = &done;
		w[i].job.run = square;
		w[i].job.done = finished;
		assert_int_equal(pool_submit(p, &w[i].job), 0);
	}
	until(&done, N);
	for (int i = 0; i < N; i++)
		assert_int_equal(w[i].out, i * i);
	assert_int_equal(pool_busy(p), 0);
	assert_int_equal(pool_free(&p, 1000), 0);
	assert_null(p);
	free(w);
}

static void
hanging_jobs(void **state)
{
	enum { N = 8 };
	struct work w[N] = {0}, quick = {.in = 7};
	struct pool *p;
	unsigned done = 0;
	struct err e;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	p = pool_new(loop, N + 1, &e);
	for (int i = 0; i < N; i++) {
		w[i].fd = fds[0];
		w[i].done = &done;
		w[i].job.run = hang;
		w[i].job.done = finished;
		assert_int_equal(pool_submit(p, &w[i].job), 0);
	}
	quick.done = &done;
	quick.job.run = square;
	quick.job.done = finished;
	assert_int_equal(pool_submit(p, &quick.job), 0);
	until(&done, 1);
	assert_int_equal(quick.out, 49);
	assert_int_equal(pool_busy(p), N);
	/* half of them are given up, one gets its byte */
	for (int i = 0; i < N / 2; i++)
		pool_cancel(p, &w[i].job);
	until(&done, 1 + N / 2);
	for (int i = 0; i < N / 2; i++)
		assert_int_equal(w[i].out, -EINTR);
	assert_int_equal(write(fds[1], "x", 1), 1);
	until(&done, 2 + N / 2);
	/* the rest ends with the pool */
	assert_int_equal(pool_free(&p, 3000), 0);
	assert_int_equal(done, N + 1);
	close(fds[0]);
	close(fds[1]);
}

/* With all threads taken a job waits, and may be cancelled unrun. */
static void
waiting_jobs(void **state)
{
	struct work stuck = {0}, first = {.in = 2}, second = {.in = 3};
	struct work *all[] = {&stuck, &first, &second};
	struct pool *p;
	unsigned done = 0;
	struct err e;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	p = pool_new(loop, 1, &e);
	stuck.fd = fds[0];
	for (int i = 0; i < 3; i++) {
		all[i]->done = &done;
		all[i]->job.run = i == 0 ? hang : square;
		all[i]->job.done = finished;
		assert_int_equal(pool_submit(p, &all[i]->job), 0);
	}
	pool_cancel(p, &first.job);
	until(&done, 1);
	assert_false(first.ran);
	assert_int_equal(pool_busy(p), 2);
	assert_int_equal(write(fds[1], "x", 1), 1);
	until(&done, 3);
	assert_true(stuck.ran && second.ran);
	assert_int_equal(second.out, 9);
	assert_true(stuck.turn < second.turn);
	assert_int_equal(pool_free(&p, 1000), 0);
	close(fds[0]);
	close(fds[1]);
}

/* A done function may give new work; at the end it is refused. */
static struct pool *chain_pool;
static int chain_rc;

static void
chain_done(struct pool_job *job)
{
	struct work *w = LIST_ENTRY(job, struct work, job);

	(*w->done)++;
	if (w->in++ < 100)
		chain_rc = pool_submit(chain_pool, &w->job);
}

static void
chains(void **state)
{
	struct work w = {0}, late = {0};
	unsigned done = 0;
	struct err e;
	int fds[2];

	(void)state;
	chain_pool = pool_new(loop, 4, &e);
	w.done = &done;
	w.job.run = square;
	w.job.done = chain_done;
	assert_int_equal(pool_submit(chain_pool, &w.job), 0);
	until(&done, 101);
	assert_int_equal(pipe(fds), 0);
	late.fd = fds[0];
	late.done = &done;
	late.job.run = hang;
	late.job.done = chain_done;
	assert_int_equal(pool_submit(chain_pool, &late.job), 0);
	chain_rc = 0;
	assert_int_equal(pool_free(&chain_pool, 3000), 0);
	assert_int_equal(chain_rc, -ERR_CLOSED);
	close(fds[0]);
	close(fds[1]);
}

static void
nothing_to_free(void **state)
{
	struct pool *p = NULL;
	struct err e;

	(void)state;
	assert_int_equal(pool_free(&p, 10), 0);
	p = pool_new(loop, 4, &e);
	assert_non_null(p);
	assert_int_equal(pool_free(&p, 10), 0);
}

int
main(void)
{
#define WITH_LOOP(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    WITH_LOOP(results),
	    WITH_LOOP(hanging_jobs),
	    WITH_LOOP(waiting_jobs),
	    WITH_LOOP(chains),
	    WITH_LOOP(nothing_to_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
