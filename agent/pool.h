/*
 * pool: threads for calls that may block for ever (files, names of files).
 *
 * A thread is started when a job waits and none is idle, up to a limit, and
 * ends after some idle seconds. A job belongs to whoever embeds it; run() is
 * called on a thread and may touch nothing but the job, done() later on the
 * loop. A job that hangs holds one thread and nothing else.
 */
#ifndef AGENT_POOL_H
#define AGENT_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"
#include "lib/ev.h"
#include "lib/list.h"

struct pool;
struct pool_job;
typedef void pool_fn(struct pool_job *job);

struct pool_job {
	struct list link;
	pool_fn *run;
	pool_fn *done;
	atomic_bool cancelled;
	bool running;     /* under the pool's lock */
	pthread_t thread; /* while running */
};

/* Jobs that hang at the same time can be as many as this. */
enum { POOL_THREADS_MAX = 128, POOL_THREADS_SPARE = 96 };

struct pool *pool_new(struct ev_loop *loop, size_t max_threads, struct err *e);
/*
 * Queues job with run and done set. -ERR_NOMEM when there is no thread and
 * none can be started, -ERR_CLOSED inside pool_free: neither function is
 * called then.
 */
int pool_submit(struct pool *p, struct pool_job *job);
/*
 * The result is not wanted: a job that waits is not run, one that runs is
 * interrupted (its system calls fail with EINTR) until it returns. done() is
 * called in either case, from the loop.
 */
void pool_cancel(struct pool *p, struct pool_job *job);
/* Jobs that run now or wait for a thread. */
size_t pool_busy(struct pool *p);
/*
 * Cancels all and waits up to wait_ms for the threads. 0, or -ERR_TIMEOUT
 * when one hangs where no signal reaches it: the pool is then left as it is,
 * and the process should exit.
 */
int pool_free(struct pool **p, unsigned wait_ms);

#endif
