#include "config.h"

#include "agent/life.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/client.h"
#include "agent/control.h"
#include "agent/control_sock.h"
#include "agent/incoming.h"
#include "agent/listener.h"
#include "agent/pool.h"
#include "agent/sandbox.h"
#include "agent/target.h"
#include "agent/tls.h"
#include "lib/clock.h"
#include "net/tls_conn.h"

enum {
	CLIENTS_MAX = 1024,
	END_MAX_MS = 10000, /* whatever hangs, the process ends */
	THREADS_END_MS = 1000,
	LIVE_CHECK_MS = 200,
	LIVE_WAIT_MAX_MS = 10 * 60 * 1000,
};

struct life {
	struct agent a;
	int listen_fd; /* -1 once the listener has it */
	struct listener *listener;
	struct control *control;
	struct tls_ctx *tls;
	struct ev_signal *on_term, *on_int;
	struct ev_io *target_io;
	struct ev_timer *timer; /* first client, idle, then the end's limit */
	bool had_client;
	bool waiting; /* idle, for connections that pass through */
	uint64_t wait_until_ms;
	bool ending;
	int exit_code;
};

/* ---- the end ---- */

static void
on_drained(void *arg)
{
	struct life *l = arg;

	ev_loop_stop(l->a.loop);
}

/* Nothing new comes in; what runs may end (bounded); then the loop stops. */
static void
life_end(struct life *l, int exit_code)
{
	if (l->ending)
		return;
	l->ending = true;
	l->exit_code = exit_code;
	listener_free(&l->listener);
	control_free(&l->control);
	ev_io_free(&l->target_io);
	client_end_all(&l->a);
	ev_timer_set(l->timer, END_MAX_MS);
	if (l->a.incoming != NULL)
		incoming_shutdown(&l->a, on_drained, l);
	else
		ev_loop_stop(l->a.loop);
}

static void
on_signal(void *arg)
{
	log_info("told to end");
	life_end(arg, 0);
}

static void
on_target_end(void *arg, int ready)
{
	struct life *l = arg;
	char text[128];

	(void)ready;
	(void)ev_io_want(l->target_io, 0);
	snprintf(text, sizeof(text), "The target's process %d has ended.",
	    (int)l->a.target_pid);
	log_warn("%s", text);
	if (l->control != NULL)
		control_say(l->a.opt.control_fd, AGENT_CONTROL_ENDED, text);
	life_end(l, 0);
}

/* True while the end would cut what was redirected and still runs. */
static bool
must_wait(struct life *l)
{
	size_t live = incoming_live(&l->a);
	uint64_t now = clock_mono_ms();

	if (live == 0)
		return false;
	if (!l->waiting) {
		log_info("no client any more; connections still run count=%zu",
		    live);
		l->wait_until_ms = now + LIVE_WAIT_MAX_MS;
	}
	l->waiting = true;
	return now < l->wait_until_ms;
}

static void
on_timer(void *arg)
{
	struct life *l = arg;

	if (l->ending) {
		log_warn("the end took too long");
		ev_loop_stop(l->a.loop);
	} else if (!l->had_client) {
		log_error(
		    "no client came within %u s", l->a.opt.first_client_s);
		life_end(l, 1);
	} else if (l->a.client_count == 0 && must_wait(l)) {
		ev_timer_set(l->timer, LIVE_CHECK_MS);
	} else if (l->a.client_count == 0) {
		log_info("no client any more");
		life_end(l, 0);
	}
}

/* ---- clients ---- */

static void
on_client_fd(void *arg, int fd)
{
	struct life *l = arg;
	struct err e;

	if (l->a.client_count >= CLIENTS_MAX) {
		log_error("too many clients; one is refused");
		close(fd);
		return;
	}
	if (client_new(&l->a, fd, l->tls, &e) < 0) {
		log_error("a client is lost: %s", e.text);
		return;
	}
	l->had_client = true;
	l->waiting = false;
	ev_timer_cancel(l->timer);
}

static void
on_client_gone(void *arg)
{
	struct life *l = arg;
	const struct agent *a = &l->a;

	if (l->ending || a->client_count > 0 || a->opt.mode == AGENT_STANDALONE)
		return;
	ev_timer_set(l->timer, (uint64_t)a->opt.idle_ttl_s * 1000);
}

static void
on_control_end(void *arg)
{
	log_info("the supervisor has gone");
	life_end(arg, 0);
}

/* ---- the start ---- */

static int
watch(struct life *l, struct err *e)
{
	struct ev_loop *loop = l->a.loop;

	l->timer = ev_timer_new(loop, on_timer, l);
	l->on_term = ev_signal_new(loop, SIGTERM, on_signal, l);
	l->on_int = ev_signal_new(loop, SIGINT, on_signal, l);
	if (l->timer == NULL || l->on_term == NULL || l->on_int == NULL)
		return err_nomem(e);
	if (l->a.target_pidfd < 0)
		return 0;
	l->target_io = ev_io_new(loop, l->a.target_pidfd, on_target_end, l);
	if (l->target_io == NULL || ev_io_want(l->target_io, EV_WANT_READ) < 0)
		return err_nomem(e);
	return 0;
}

static int
read_env(struct agent *a, struct err *e)
{
	struct buf text;
	int rc = target_environ(a, &text, e);

	if (rc < 0)
		return rc;
	rc = env_table_init(&a->env, buf_data(&text), text.len);
	buf_free(&text);
	return rc < 0 ? err_nomem(e) : 0;
}

/* What must be done with the launcher's rights, the sandbox last. */
static int
prepare(struct life *l, struct err *e)
{
	static const struct control_cbs cbs = {on_client_fd, on_control_end};
	struct agent *a = &l->a;
	int rc;

	a->loop = ev_loop_new();
	if (a->loop == NULL)
		return err_nomem(e);
	rc = agent_sandbox_limits(e);
	/* The port is the agent's own, so it is opened before setns. */
	if (rc == 0 && a->opt.mode != AGENT_STANDALONE)
		rc = listener_open(a->opt.port, &l->listen_fd, e);
	if (rc == 0 && a->opt.tls_cert_pem != NULL &&
	    a->opt.mode != AGENT_STANDALONE) {
		l->tls = agent_tls_new(
		    a->opt.tls_cert_pem, a->tls_name, sizeof(a->tls_name), e);
		rc = l->tls == NULL ? -ERR_INVALID : 0;
	}
	if (rc == 0)
		rc = target_enter(a, e);
	if (rc == 0)
		rc = read_env(a, e);
	if (rc == 0 && a->opt.mode != AGENT_TARGETLESS)
		rc = incoming_init(a, e);
	if (rc < 0)
		return rc;
	a->pool = pool_new(a->loop, POOL_THREADS_MAX, e);
	if (a->pool == NULL)
		return -ERR_NOMEM;
	a->dns_env = (struct dns_env){
	    .loop = a->loop,
	    .pool = a->pool,
	    .root_fd = a->root_fd,
	    .attempts = a->opt.dns_attempts,
	    .timeout_s = a->opt.dns_timeout_s,
	};
	if (a->opt.mode == AGENT_STANDALONE) {
		l->control =
		    control_new(a->loop, a->opt.control_fd, &cbs, l, e);
		if (l->control == NULL)
			return -ERR_INVALID;
	}
	rc = watch(l, e);
	return rc < 0 ? rc : agent_sandbox_enter(e);
}

static int
open_doors(struct life *l, struct err *e)
{
	struct agent *a = &l->a;
	int fd = l->listen_fd;

	if (a->opt.mode == AGENT_STANDALONE) {
		control_say(
		    a->opt.control_fd, AGENT_CONTROL_READY, PACKAGE_VERSION);
		return control_start(l->control) < 0 ? err_nomem(e) : 0;
	}
	l->listen_fd = -1;
	l->listener = listener_start(a->loop, fd, on_client_fd, l);
	if (l->listener == NULL)
		return err_nomem(e);
	printf("agent ready - version %s\n", PACKAGE_VERSION);
	fflush(stdout);
	ev_timer_set(l->timer, (uint64_t)a->opt.first_client_s * 1000);
	return 0;
}

static void
say_failed(const struct life *l, const struct err *e)
{
	log_error("%s", e->text);
	if (l->a.opt.mode == AGENT_STANDALONE)
		control_say(l->a.opt.control_fd, AGENT_CONTROL_FAILED, e->text);
}

/* False when a thread hangs: the process can only exit then. */
static bool
life_free(struct life *l)
{
	struct agent *a = &l->a;
	bool clean = true;

	if (a->client_count > 0)
		client_end_all(a);
	if (a->incoming != NULL)
		incoming_deinit(a);
	if (a->pool != NULL)
		clean = pool_free(&a->pool, THREADS_END_MS) == 0;
	listener_free(&l->listener);
	if (l->listen_fd >= 0)
		close(l->listen_fd);
	control_free(&l->control);
	tls_ctx_free(&l->tls);
	ev_io_free(&l->target_io);
	ev_timer_free(&l->timer);
	ev_signal_free(&l->on_term);
	ev_signal_free(&l->on_int);
	env_table_free(&a->env);
	target_leave(a);
	if (clean)
		ev_loop_free(&a->loop);
	return clean;
}

int
agent_run(const struct agent_options *o)
{
	struct life *l = calloc(1, sizeof(*l));
	struct err e = {0};
	int code, rc;

	if (l == NULL)
		return 1;
	l->a.opt = *o;
	l->a.target_pidfd = l->a.root_fd = l->listen_fd = -1;
	list_init(&l->a.clients);
	l->a.on_client_gone = on_client_gone;
	l->a.on_client_gone_arg = l;
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	tzset(); /* reads its file now, before the sandbox */
	rc = prepare(l, &e);
	if (rc == 0)
		rc = open_doors(l, &e);
	if (rc < 0) {
		say_failed(l, &e);
		l->exit_code = 1;
	} else {
		ev_loop_run(l->a.loop);
	}
	code = l->exit_code;
	if (!life_free(l))
		_exit(code);
	free(l);
	return code;
}
