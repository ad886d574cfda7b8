#include "config.h"

#include "tests/unit/supervisor/sup_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "supervisor/agents.h"
#include "supervisor/replicas.h"
#include "sys/identity.h"

enum { SUP_RIG_LIMIT_MS = 5000 };

static void
rig_log(void *arg, enum log_level lv, const char *line)
{
	struct sup_rig *r = arg;

	(void)lv;
	assert_int_equal(buf_append(&r->log, line, strlen(line)), 0);
	assert_int_equal(buf_append(&r->log, "\n", 1), 0);
}

void
sup_rig_put(struct sup_rig *r, const char *name, const void *text, size_t n)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

void
sup_rig_config(struct sup_rig *r, const char *config)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	for (const char *p = config, *q; *p != '\0'; p = q) {
		q = strstr(p, "%s");
		if (q == NULL)
			q = p + strlen(p);
		assert_int_equal(buf_append(&text, p, (size_t)(q - p)), 0);
		if (*q == '\0')
			continue;
		assert_int_equal(buf_append(&text, r->dir, strlen(r->dir)), 0);
		q += 2;
	}
	sup_rig_put(r, "c.yaml", buf_data(&text), text.len);
	buf_free(&text);
}

static void
rig_on_gone(void *arg, struct ipc_peer *peer, const char *why)
{
	struct sup_worker *w = ipc_peer_data(peer);
	struct sup_rig *r = arg;

	w->peer = NULL;
	LIST_FOR_EACH (node, &r->mates) {
		struct sup_mate *m = LIST_ENTRY(node, struct sup_mate, node);

		if (m->w == w)
			snprintf(m->broke, sizeof(m->broke), "%s", why);
	}
}

void
sup_rig_init(struct sup_rig *r, const char *config)
{
	static char path[80];
	struct err e;

	memset(r, 0, sizeof(*r));
	list_init(&r->mates);
	buf_init(&r->log, 1 << 20);
	snprintf(r->dir, sizeof(r->dir), "/tmp/trib-sup-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	chmod(r->dir, 0755);
	r->s.lock_fd = r->s.ready_fd = r->s.notify.fd = -1;
	r->s.root = geteuid() == 0;
	r->s.phase = IPC_PHASE_RUN;
	list_init(&r->s.workers);
	r->s.loop = ev_loop_new();
	assert_non_null(r->s.loop);
	r->s.dispatch = (struct ipc_dispatch){
	    IPC_SUP, sup_handlers, sup_n_handlers, rig_on_gone};
	log_set_sink(rig_log, r);
	log_set_level(LOG_LV_INFO);
	sup_rig_config(r, config);
	snprintf(path, sizeof(path), "%s/c.yaml", r->dir);
	r->s.opt.config_path = path;
	if (sup_config_load(&r->s, &r->s.cfg) < 0)
		fail_msg("%s", (const char *)buf_data(&r->log));
	assert_int_equal(sup_paths_init(&r->s, &e), 0);
	assert_int_equal(sup_resolver_init(&r->s, &e), 0);
	r->s.agents = sup_agents_new(&r->s);
	r->s.replicas = sup_replicas_new(&r->s);
	r->s.drain_timer = ev_timer_new(r->s.loop, sup_drain_on_timer, &r->s);
	r->child = ev_signal_new(r->s.loop, SIGCHLD, sup_reap, &r->s);
	assert_non_null(r->child);
}

static int
forget(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void
mate_free(struct sup_mate *m)
{
	list_remove(&m->node);
	ipc_peer_free(&m->peer);
	buf_free(&m->heard);
	buf_free(&m->config);
	buf_free(&m->resolv_conf);
	buf_free(&m->hosts);
	free(m);
}

void
sup_rig_deinit(struct sup_rig *r)
{
	ev_signal_free(&r->child);
	LIST_FOR_EACH_SAFE (node, &r->s.workers) {
		struct sup_worker *w =
		    LIST_ENTRY(node, struct sup_worker, link);
		int status;

		if (w->pid > 0) {
			kill(w->pid, SIGKILL);
			waitpid(w->pid, &status, 0);
		}
		sup_worker_free(&w);
	}
	LIST_FOR_EACH_SAFE (node, &r->mates)
		mate_free(LIST_ENTRY(node, struct sup_mate, node));
	sup_watch_deinit(&r->s);
	sup_agents_free(&r->s.agents);
	sup_replicas_free(&r->s.replicas);
	ev_timer_free(&r->s.drain_timer);
	sup_resolver_free(&r->s.resolver);
	sup_listeners_free(&r->s.listeners);
	sup_paths_deinit(&r->s);
	cfg_free(&r->s.cfg);
	ev_loop_free(&r->s.loop);
	log_set_sink(NULL, NULL);
	buf_free(&r->log);
	nftw(r->dir, forget, 8, FTW_DEPTH | FTW_PHYS);
}

static void
keep(struct buf *b, struct span bytes)
{
	buf_clear(b);
	assert_int_equal(buf_append(b, bytes.p, bytes.n), 0);
}

static int
mate_hears(void *arg, struct ipc_in *in, struct err *e)
{
	struct sup_mate *m = arg;

	(void)e;
	ipc_print(&in->header, in->payload, &m->heard);
	assert_int_equal(buf_append(&m->heard, "\n", 1), 0);
	m->n_fds += in->n_fds;
	if (in->header.type == IPC_RELOAD)
		keep(&m->config,
		    ((const struct ipc_reload *)in->payload)->config);
	if (in->header.type == IPC_RESOLVER) {
		const struct ipc_resolver *p = in->payload;

		keep(&m->resolv_conf, p->resolv_conf);
		keep(&m->hosts, p->hosts);
	}
	return 0;
}

static const struct ipc_handler mate_handlers[] = {
#define IPC_MSG(NAME, ...) {IPC_##NAME, mate_hears},
#include "ipc/messages.def"
#undef IPC_MSG
};

static pid_t
idle_process(void)
{
	pid_t parent = getpid(), pid = fork();
	struct err e;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (sys_die_with_parent(parent, &e) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	return pid;
}

static void
mate_on_gone(void *arg, struct ipc_peer *peer, const char *why)
{
	struct sup_mate *m = arg;

	(void)peer;
	(void)why;
	m->peer = NULL;
}

struct sup_mate *
sup_rig_mate(struct sup_rig *r, enum ipc_role role, uint32_t index,
    const char *name, enum sup_worker_state state)
{
	struct sup_mate *m = calloc(1, sizeof(*m));
	struct err e;
	int sv[2];

	assert_non_null(m);
	m->rig = r;
	m->phase = state == SUP_STARTING ? IPC_PHASE_START : IPC_PHASE_RUN;
	m->dispatch = (struct ipc_dispatch){
	    role, mate_handlers, N_OF(mate_handlers), mate_on_gone};
	buf_init(&m->heard, 1 << 20);
	buf_init(&m->config, 1 << 20);
	buf_init(&m->resolv_conf, 1 << 20);
	buf_init(&m->hosts, 1 << 20);
	list_push(&r->mates, &m->node);
	m->w = sup_worker_find(&r->s, role, index);
	if (m->w == NULL)
		m->w = sup_worker_add(&r->s, role, index, name, &e);
	assert_non_null(m->w);
	m->w->state = state;
	m->w->joined = state == SUP_UP;
	if (state == SUP_DOWN)
		return m;
	m->w->pid = m->pid = idle_process();
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	m->w->peer = ipc_peer_new(r->s.loop, &r->s.dispatch, r, &r->s.phase,
	    role, index, name, sv[0], -1, &e);
	m->peer = ipc_peer_new(r->s.loop, &m->dispatch, m, &m->phase, IPC_SUP,
	    0, "", sv[1], -1, &e);
	assert_non_null(m->w->peer);
	assert_non_null(m->peer);
	ipc_peer_set_data(m->w->peer, m->w);
	return m;
}

void
sup_rig_settle(struct sup_rig *r)
{
	for (int i = 0; i < 8; i++)
		ev_loop_turn(r->s.loop, false);
}

void
sup_rig_until(struct sup_rig *r, bool (*fn)(void *arg), void *arg)
{
	uint64_t end = clock_mono_ms() + SUP_RIG_LIMIT_MS;

	while (!fn(arg)) {
		if (clock_mono_ms() > end)
			fail_msg("waited in vain; the log:\n%.*s",
			    (int)r->log.len, (const char *)buf_data(&r->log));
		ev_loop_turn(r->s.loop, false);
		poll(NULL, 0, 1); /* the child needs the processor too */
	}
}

static void
rig_on_late(void *arg)
{
	struct sup_rig *r = arg;

	r->late = true;
	ev_loop_stop(r->s.loop);
}

void
sup_rig_run(struct sup_rig *r)
{
	struct ev_timer *guard = ev_timer_new(r->s.loop, rig_on_late, r);

	ev_timer_set(guard, SUP_RIG_LIMIT_MS);
	ev_loop_run(r->s.loop);
	ev_timer_free(&guard);
	assert_false(r->late);
}

unsigned
sup_rig_heard(struct sup_mate *m, const char *what)
{
	unsigned n = 0;

	sup_rig_settle(m->rig);
	for (const char *p = buf_cstr(&m->heard); *p != '\0';
	     p = strchr(p, '\n') + 1) {
		if (strncmp(p, what, strlen(what)) == 0)
			n++;
	}
	return n;
}

bool
sup_rig_logged(const struct sup_rig *r, const char *text)
{
	return memmem(buf_data(&r->log), r->log.len, text, strlen(text)) !=
	       NULL;
}

static bool
is_reaped(void *arg)
{
	struct sup_mate *m = arg;

	return kill(m->pid, 0) < 0 && errno == ESRCH;
}

void
sup_rig_die(struct sup_mate *m)
{
	kill(m->pid, SIGKILL);
	sup_rig_gone(m);
}

void
sup_rig_gone(struct sup_mate *m)
{
	sup_rig_until(m->rig, is_reaped, m);
}
