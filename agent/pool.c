#include "config.h"

#include "agent/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	POOL_IDLE_S = 10,
	POOL_STACK_BYTES = 256 * 1024,
	POOL_POKE_MS = 100,
	POOL_SIGNAL = SIGUSR1,
};

struct pool {
	struct ev_loop *loop;
	struct ev_io *io;
	struct ev_timer *poke; /* interrupts cancelled jobs again and again */
	int event_fd;
	size_t max_threads;
	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_cond_t ended;
	/* under lock: */
	struct list waiting;
	struct list running;
	struct list finished;
	size_t threads;
	size_t idle;
	size_t queued;
	size_t busy; /* jobs that run */
	bool stop;
};

static void
on_signal(int signo)
{
	(void)signo; /* only interrupts a system call */
}

static void
deadline_in(struct timespec *ts, unsigned ms)
{
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += ms / 1000;
	ts->tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
}

static void
pool_finish(struct pool *p, struct pool_job *job)
{
	uint64_t one = 1;

	list_push(&p->finished, &job->link);
	if (write(p->event_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: the loop is awake anyway */
}

/* The next job, or NULL when the thread shall end. Called locked. */
static struct pool_job *
pool_next(struct pool *p)
{
	struct timespec until;

	deadline_in(&until, POOL_IDLE_S * 1000);
	while (list_empty(&p->waiting)) {
		int rc;

		if (p->stop)
			return NULL;
		p->idle++;
		rc = pthread_cond_timedwait(&p->work, &p->lock, &until);
		p->idle--;
		if (rc == ETIMEDOUT && list_empty(&p->waiting))
			return NULL;
	}
	return LIST_ENTRY(p->waiting.next, struct pool_job, link);
}

static void *
pool_thread(void *arg)
{
	struct pool *p = arg;
	struct pool_job *job;

	pthread_mutex_lock(&p->lock);
	while ((job = pool_next(p)) != NULL) {
		list_remove(&job->link);
		p->queued--;
		list_push(&p->running, &job->link);
		p->busy++;
		job->running = true;
		job->thread = pthread_self();
		pthread_mutex_unlock(&p->lock);
		if (!atomic_load(&job->cancelled))
			job->run(job);
		pthread_mutex_lock(&p->lock);
		p->busy--;
		job->running = false;
		list_remove(&job->link);
		pool_finish(p, job);
	}
	p->threads--;
	pthread_cond_signal(&p->ended);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int
pool_start_thread(struct pool *p)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t t;
	int rc;

	if (pthread_attr_init(&attr) != 0)
		return -ERR_NOMEM;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, POOL_STACK_BYTES);
	/* The loop's thread alone takes the process's signals. */
	sigfillset(&all);
	sigdelset(&all, POOL_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&t, &attr, pool_thread, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc == 0 ? 0 : -ERR_NOMEM;
}

static void
pool_on_event(void *arg, int ready)
{
	struct pool *p = arg;
	struct list batch;
	uint64_t n;

	(void)ready;
	if (read(p->event_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	list_init(&batch);
	pthread_mutex_lock(&p->lock);
	while (!list_empty(&p->finished)) {
		struct list *node = p->finished.next;

		list_remove(node);
		list_push(&batch, node);
	}
	pthread_mutex_unlock(&p->lock);
	while (!list_empty(&batch)) {
		struct pool_job *job =
		    LIST_ENTRY(batch.next, struct pool_job, link);

		list_remove(&job->link);
		job->done(job);
	}
}

/* A signal can come before its system call starts: say it until it helps. */
static void
pool_on_poke(void *arg)
{
	struct pool *p = arg;
	bool again = false;

	pthread_mutex_lock(&p->lock);
	LIST_FOR_EACH (node, &p->running) {
		struct pool_job *job = LIST_ENTRY(node, struct pool_job, link);

		if (atomic_load(&job->cancelled)) {
			pthread_kill(job->thread, POOL_SIGNAL);
			again = true;
		}
	}
	pthread_mutex_unlock(&p->lock);
	if (again)
		ev_timer_set(p->poke, POOL_POKE_MS);
}

static int
pool_init_sync(struct pool *p)
{
	pthread_condattr_t ca;

	if (pthread_condattr_init(&ca) != 0)
		return -ERR_NOMEM;
	pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, &ca);
	pthread_cond_init(&p->ended, &ca);
	pthread_condattr_destroy(&ca);
	return 0;
}

static void
pool_destroy(struct pool *p)
{
	ev_io_free(&p->io);
	ev_timer_free(&p->poke);
	if (p->event_fd >= 0)
		close(p->event_fd);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

struct pool *
pool_new(struct ev_loop *loop, size_t max_threads, struct err *e)
{
	/* No SA_RESTART: that is the point. */
	struct sigaction sa = {.sa_handler = on_signal};
	struct pool *p = calloc(1, sizeof(*p));

	if (p == NULL || pool_init_sync(p) < 0) {
		free(p);
		err_nomem(e);
		return NULL;
	}
	p->loop = loop;
	p->max_threads = max_threads;
	list_init(&p->waiting);
	list_init(&p->running);
	list_init(&p->finished);
	sigaction(POOL_SIGNAL, &sa, NULL);
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->poke = ev_timer_new(loop, pool_on_poke, p);
	if (p->event_fd >= 0)
		p->io = ev_io_new(loop, p->event_fd, pool_on_event, p);
	if (p->poke == NULL || p->io == NULL ||
	    ev_io_want(p->io, EV_WANT_READ) < 0) {
		err_sys(e, errno, "cannot set up the threads' event");
		pool_destroy(p);
		return NULL;
	}
	return p;
}

int
pool_submit(struct pool *p, struct pool_job *job)
{
	int rc = 0;

	atomic_store(&job->cancelled, false);
	job->running = false;
	pthread_mutex_lock(&p->lock);
	if (p->stop) {
		pthread_mutex_unlock(&p->lock);
		return -ERR_CLOSED;
	}
	list_push(&p->waiting, &job->link);
	p->queued++;
	if (p->queued > p->idle && p->threads < p->max_threads) {
		rc = pool_start_thread(p);
		if (rc == 0)
			p->threads++;
		else if (p->threads > 0)
			rc = 0; /* a thread that is there will take it */
	}
	if (rc < 0) {
		list_remove(&job->link);
		p->queued--;
	} else {
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

void
pool_cancel(struct pool *p, struct pool_job *job)
{
	bool poke = false;

	atomic_store(&job->cancelled, true);
	pthread_mutex_lock(&p->lock);
	if (job->running) {
		poke = true;
	} else {
		bool waits = false;

		LIST_FOR_EACH (node, &p->waiting) {
			if (node == &job->link)
				waits = true;
		}
		if (waits) {
			list_remove(&job->link);
			p->queued--;
			pool_finish(p, job);
		}
	}
	pthread_mutex_unlock(&p->lock);
	if (poke)
		ev_timer_set(p->poke, 0);
}

size_t
pool_busy(struct pool *p)
{
	size_t n;

	pthread_mutex_lock(&p->lock);
	n = p->busy + p->queued;
	pthread_mutex_unlock(&p->lock);
	return n;
}

static void
pool_cancel_all(struct pool *p)
{
	LIST_FOR_EACH_SAFE (node, &p->waiting) {
		struct pool_job *job = LIST_ENTRY(node, struct pool_job, link);

		atomic_store(&job->cancelled, true);
		list_remove(&job->link);
		p->queued--;
		pool_finish(p, job);
	}
	LIST_FOR_EACH (node, &p->running) {
		struct pool_job *job = LIST_ENTRY(node, struct pool_job, link);

		atomic_store(&job->cancelled, true);
		pthread_kill(job->thread, POOL_SIGNAL);
	}
}

int
pool_free(struct pool **pp, unsigned wait_ms)
{
	struct pool *p = *pp;
	unsigned waited_ms = 0;
	struct timespec until;
	size_t left;

	if (p == NULL)
		return 0;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	while (p->threads > 0 && waited_ms <= wait_ms) {
		pool_cancel_all(p);
		deadline_in(&until, 20);
		if (pthread_cond_timedwait(&p->ended, &p->lock, &until) ==
		    ETIMEDOUT)
			waited_ms += 20;
	}
	pool_cancel_all(p);
	left = p->threads;
	pthread_mutex_unlock(&p->lock);
	pool_on_event(p, 0); /* the owners get their jobs back */
	if (left > 0)
		return -ERR_TIMEOUT;
	pool_destroy(p);
	*pp = NULL;
	return 0;
}
