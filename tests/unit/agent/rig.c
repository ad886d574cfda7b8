#include "config.h"

#include "tests/unit/agent/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/client.h"
#include "agent/pool.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

static void
on_tick(void *arg)
{
	struct rig *r = arg;

	ev_timer_set(r->tick, 10); /* so that no turn waits for ever */
}

const char *
rig_path(struct rig *r, const char *path)
{
	static char full[256];

	snprintf(full, sizeof(full), "%s/%s", r->root, path);
	return full;
}

void
rig_file(struct rig *r, const char *path, const char *text)
{
	FILE *f = fopen(rig_path(r, path), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

int
rig_setup(void **state)
{
	static const char env[] = "CLUSTER=east\0FOO=foo\0FOBAR=bar\0PATH=/x";
	struct rig *r = calloc(1, sizeof(*r));
	struct err e;

	assert_non_null(r);
	*state = r;
	signal(SIGPIPE, SIG_IGN);
	log_init("rig", LOG_LV_ERROR);
	strcpy(r->root, "/tmp/agentrig.XXXXXX");
	assert_non_null(mkdtemp(r->root));
	assert_int_equal(mkdir(rig_path(r, "etc"), 0755), 0);
	rig_file(r, "etc/hosts", "10.7.7.7 db\nfd00::7 db\n");
	rig_file(r, "etc/name", "inside\n");
	r->a.loop = ev_loop_new();
	r->a.opt.mode = AGENT_STANDALONE;
	r->a.target_pidfd = -1;
	r->a.root_fd = open(r->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	list_init(&r->a.clients);
	r->a.pool = pool_new(r->a.loop, 16, &e);
	r->a.dns_env = (struct dns_env){
	    .loop = r->a.loop, .pool = r->a.pool, .root_fd = r->a.root_fd};
	assert_int_equal(
	    env_table_init(&r->a.env, (const uint8_t *)env, sizeof(env)), 0);
	r->tick = ev_timer_new(r->a.loop, on_tick, r);
	ev_timer_set(r->tick, 10);
	for (size_t i = 0; i < RIG_CLIENTS; i++)
		r->c[i].fd = -1;
	return 0;
}

int
rig_teardown(void **state)
{
	struct rig *r = *state;
	pid_t pid;
	int status;

	client_end_all(&r->a);
	assert_int_equal(r->a.client_count, 0);
	assert_int_equal(r->a.outgoing_bytes, 0);
	assert_int_equal(pool_free(&r->a.pool, 3000), 0);
	for (size_t i = 0; i < r->n_clients; i++) {
		if (r->c[i].fd >= 0)
			close(r->c[i].fd);
		buf_free(&r->c[i].in);
		arena_free(&r->c[i].arena);
	}
	ev_timer_free(&r->tick);
	env_table_free(&r->a.env);
	close(r->a.root_fd);
	ev_loop_free(&r->a.loop);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", r->root, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	free(r);
	return 0;
}

size_t
rig_connect(struct rig *r)
{
	struct rig_client *c = &r->c[r->n_clients];
	int sv[2];
	struct err e;

	assert_true(r->n_clients < RIG_CLIENTS);
	assert_int_equal(socketpair(AF_UNIX,
			     SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv),
	    0);
	assert_int_equal(client_new(&r->a, sv[1], NULL, &e), 0);
	c->fd = sv[0];
	buf_init(&c->in, 0);
	arena_init(&c->arena, 0);
	return r->n_clients++;
}

void
rig_hang_up(struct rig *r, size_t c)
{
	close(r->c[c].fd);
	r->c[c].fd = -1;
}

static void
turn(struct rig *r, uint64_t end)
{
	assert_true(clock_mono_ms() < end);
	ev_loop_turn(r->a.loop, true);
}

bool
rig_offer(struct rig *r, size_t c, const void *p, size_t n)
{
	ssize_t sent = send(r->c[c].fd, p, n, MSG_NOSIGNAL);

	assert_true(sent == (ssize_t)n || (sent < 0 && errno == EAGAIN));
	ev_loop_turn(r->a.loop, false);
	return sent >= 0;
}

void
rig_send_bytes(struct rig *r, size_t c, const void *p, size_t n)
{
	uint64_t end = clock_mono_ms() + RIG_WAIT_MS;
	const char *at = p;

	while (n > 0) {
		ssize_t sent = send(r->c[c].fd, at, n, MSG_NOSIGNAL);

		if (sent > 0) {
			at += sent;
			n -= (size_t)sent;
		} else {
			assert_int_equal(errno, EAGAIN);
			turn(r, end);
		}
	}
}

void
rig_send(struct rig *r, size_t c, const struct pm_ClientMessage *m)
{
	struct buf b;
	struct err e;

	buf_init(&b, 0);
	assert_int_equal(pm_encode_client(m, &b, &e), 0);
	rig_send_bytes(r, c, buf_data(&b), b.len);
	buf_free(&b);
}

static bool
take(struct rig_client *c, struct pm_DaemonMessage *m)
{
	size_t used;
	int rc;

	if (c->in.len == 0)
		return false;
	arena_reset(&c->arena);
	/* What is decoded must outlive the buffer's front. */
	rc = pm_decode_daemon(
	    &c->arena, buf_data(&c->in), c->in.len, &used, m, NULL);
	if (rc < 0) {
		assert_int_equal(rc, -ERR_TRUNCATED);
		return false;
	}
	arena_reset(&c->arena);
	uint8_t *copy = arena_dup(&c->arena, buf_data(&c->in), used);

	assert_non_null(copy);
	assert_int_equal(
	    pm_decode_daemon(&c->arena, copy, used, NULL, m, NULL), 0);
	buf_consume(&c->in, used);
	return true;
}

/* Reads what is there. */
static void
fill(struct rig_client *c)
{
	ssize_t n;

	do {
		assert_int_equal(buf_reserve(&c->in, 65536), 0);
		n = recv(c->fd, buf_tail(&c->in), 65536, 0);
		if (n > 0)
			buf_commit(&c->in, (size_t)n);
	} while (n > 0);
	if (n == 0 || errno == ECONNRESET)
		c->gone = true;
}

bool
rig_next(struct rig *r, size_t i, struct pm_DaemonMessage *m)
{
	uint64_t end = clock_mono_ms() + RIG_WAIT_MS;
	struct rig_client *c = &r->c[i];

	while (!take(c, m)) {
		if (c->gone)
			return false;
		fill(c);
		if (take(c, m))
			return true;
		if (!c->gone)
			turn(r, end);
	}
	return true;
}

void
rig_want(struct rig *r, size_t c, uint32_t kind, struct pm_DaemonMessage *m)
{
	assert_true(rig_next(r, c, m));
	assert_int_equal(m->tag, kind);
}

bool
rig_quiet(struct rig *r, size_t i)
{
	struct pm_DaemonMessage m;

	for (int k = 0; k < 12; k++)
		ev_loop_turn(r->a.loop, true);
	fill(&r->c[i]);
	return !take(&r->c[i], &m);
}

void
rig_until(struct rig *r, bool (*cond)(struct rig *r, void *arg), void *arg)
{
	uint64_t end = clock_mono_ms() + RIG_WAIT_MS;

	while (!cond(r, arg))
		turn(r, end);
}
