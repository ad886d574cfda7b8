#include "config.h"

#include "incoming_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"

enum { WAIT_MS = 5000, TICK_MS = 10, SETTLE_MS = 60 };

/* ---- the client's side of the agent, as agent/incoming.c sees it ---- */

static struct rig_client *
rig_of(const struct agent_client *c)
{
	return (struct rig_client *)(void *)c; /* its first member */
}

bool
agent_client_at_least(const struct agent_client *c, unsigned major,
    unsigned minor, unsigned patch)
{
	const unsigned *v = rig_of(c)->version;

	if (v[0] != major)
		return v[0] > major;
	if (v[1] != minor)
		return v[1] > minor;
	return v[2] >= patch;
}

static const char *
ip_text(const struct pm_ip *ip, char *out)
{
	return inet_ntop(ip->v6 ? AF_INET6 : AF_INET, ip->a, out, 64);
}

static void
note_new(struct buf *j, char side, const char *what,
    const struct pm_NewTcpConnectionV1 *n)
{
	char from[64], to[64];

	assert_int_not_equal(n->source_port, 0);
	buf_printf(j, "%c %s %llu %s > %s:%u\n", side, what,
	    (unsigned long long)n->connection_id,
	    ip_text(&n->remote_address, from), ip_text(&n->local_address, to),
	    n->destination_port);
}

static void
note_data(struct rig_client *rc, char side, const struct pm_TcpData *d)
{
	buf_append(&rc->data, d->bytes.p, d->bytes.n);
	if (d->bytes.n == 0)
		buf_printf(&rc->journal, "%c eof %llu\n", side,
		    (unsigned long long)d->connection_id);
	else if (!rc->quiet_data)
		buf_printf(&rc->journal, "%c data %llu %.*s\n", side,
		    (unsigned long long)d->connection_id, (int)d->bytes.n,
		    (const char *)d->bytes.p);
}

static void
note_result(struct buf *j, char side, const struct pm_res_u16 *res)
{
	const struct pm_ResponseError *e = &res->u.Err;

	if (res->tag == PM_OK)
		buf_printf(j, "%c ok %u\n", side, res->u.Ok);
	else if (e->tag == PM_ResponseError_ForbiddenWithReason)
		buf_printf(j, "%c forbidden-why %u %.*s\n", side,
		    e->u.ForbiddenWithReason.blocked_action.tag,
		    (int)e->u.ForbiddenWithReason.reason.n,
		    e->u.ForbiddenWithReason.reason.p);
	else if (e->tag == PM_ResponseError_Forbidden)
		buf_printf(j, "%c forbidden %u\n", side,
		    e->u.Forbidden.blocked_action.tag);
	else if (e->tag == PM_ResponseError_RemoteIO)
		buf_printf(j, "%c failed %d\n", side,
		    e->u.RemoteIO.raw_os_error.value);
	else
		buf_printf(j, "%c error %u\n", side, e->tag);
}

int
agent_client_send(struct agent_client *c, const struct pm_DaemonMessage *m)
{
	struct rig_client *rc = rig_of(c);
	bool steal = m->tag == PM_DaemonMessage_TcpSteal;
	const struct pm_DaemonTcp *t = steal ? &m->u.TcpSteal : &m->u.Tcp;
	char side = steal ? 'S' : 'M';

	if (rc->lost)
		return -ERR_CLOSED;
	assert_true(steal || m->tag == PM_DaemonMessage_Tcp);
	switch (t->tag) {
	case PM_DaemonTcp_NewConnectionV1:
		note_new(&rc->journal, side, "new1", &t->u.NewConnectionV1);
		break;
	case PM_DaemonTcp_NewConnectionV2:
		note_new(&rc->journal, side, "new2",
		    &t->u.NewConnectionV2.connection);
		break;
	case PM_DaemonTcp_Data:
		note_data(rc, side, &t->u.Data);
		break;
	case PM_DaemonTcp_Close:
		buf_printf(&rc->journal, "%c close %llu\n", side,
		    (unsigned long long)t->u.Close.connection_id);
		break;
	case PM_DaemonTcp_SubscribeResult:
		note_result(&rc->journal, side, &t->u.SubscribeResult);
		break;
	default:
		fail_msg("unexpected message %u", t->tag);
	}
	return 0;
}

int
agent_client_refuse(struct agent_client *c, const char *text)
{
	buf_printf(&rig_of(c)->journal, "closing %s\n", text);
	return 0;
}

size_t
agent_client_queued(const struct agent_client *c)
{
	return rig_of(c)->queued;
}

bool
agent_client_full(const struct agent_client *c)
{
	return rig_of(c)->queued >= AGENT_QUEUE_SOFT_BYTES;
}

void
agent_client_log(
    struct agent_client *c, enum log_level level, const char *fmt, ...)
{
	struct rig_client *rc = rig_of(c);
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_printf(&rc->journal, "log %s %s\n", log_level_name(level), text);
}

void
agent_wait_init(struct agent_wait *w, ev_fn *fn, void *arg)
{
	list_init(&w->link);
	w->fn = fn;
	w->arg = arg;
}

void
agent_client_on_drain(struct agent_client *c, struct agent_wait *w)
{
	if (list_empty(&w->link))
		list_push(&rig_of(c)->waits, &w->link);
}

void
agent_wait_cancel(struct agent_wait *w)
{
	list_remove(&w->link);
}

void
agent_client_hold(struct agent_client *c)
{
	rig_of(c)->held++;
	rig_of(c)->holds++;
}

void
agent_client_release(struct agent_client *c)
{
	assert_true(rig_of(c)->held > 0);
	rig_of(c)->held--;
}

/* ---- the namespace and the agent in it ---- */

static void
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	close(fd);
}

static void
loopback_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

int
rig_enter_namespace(void **state)
{
	char map[32];
	unsigned uid = geteuid();

	(void)state;
	if (unshare(CLONE_NEWNET | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0) {
		print_message("skipped: no network namespace for this user: "
			      "%s\n",
		    strerror(errno));
		exit(77);
	}
	if (uid != 0) {
		snprintf(map, sizeof(map), "0 %u 1", uid);
		write_file("/proc/self/uid_map", map);
	}
	loopback_up();
	return 0;
}

static int
listen_on(int family, uint16_t port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
	    .sin6_port = htons(port),
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in v4 = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1, fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET)
		assert_int_equal(
		    bind(fd, (struct sockaddr *)&v4, sizeof(v4)), 0);
	else
		assert_int_equal(
		    bind(fd, (struct sockaddr *)&v6, sizeof(v6)), 0);
	assert_int_equal(listen(fd, 128), 0);
	return fd;
}

static void
on_tick(void *arg)
{
	struct rig *r = arg;

	ev_timer_set(r->tick, TICK_MS);
}

int
rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct err e = {0};

	assert_non_null(r);
	r->agent.loop = ev_loop_new();
	assert_non_null(r->agent.loop);
	list_init(&r->agent.clients);
	for (int i = 0; i < RIG_CLIENTS; i++) {
		struct rig_client *rc = &r->client[i];

		rc->c.agent = &r->agent;
		rc->c.id = (uint64_t)i;
		rc->version[0] = 1;
		rc->version[1] = 29;
		list_init(&rc->waits);
		buf_init(&rc->journal, 0);
		buf_init(&rc->data, 0);
	}
	r->target4 = listen_on(AF_INET, RIG_PORT);
	r->target6 = listen_on(AF_INET6, RIG_PORT);
	r->tick = ev_timer_new(r->agent.loop, on_tick, r);
	on_tick(r);
	if (incoming_init(&r->agent, &e) < 0) {
		print_message("skipped: %s\n", e.text);
		exit(77);
	}
	*state = r;
	return 0;
}

int
rig_teardown(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < RIG_CLIENTS; i++) {
		rig_gone(r, i);
		assert_int_equal(r->client[i].held, 0);
		buf_free(&r->client[i].journal);
		buf_free(&r->client[i].data);
	}
	incoming_deinit(&r->agent);
	assert_null(r->agent.incoming);
	close(r->target4);
	close(r->target6);
	ev_timer_free(&r->tick);
	ev_loop_free(&r->agent.loop);
	free(r);
	return 0;
}

/* ---- waiting ---- */

bool
rig_until(struct rig *r, rig_cond_fn *cond, void *arg)
{
	uint64_t end = clock_mono_ms() + WAIT_MS;

	while (!cond(r, arg)) {
		if (clock_mono_ms() > end)
			return false;
		ev_loop_turn(r->agent.loop, true);
	}
	return true;
}

void
rig_settle(struct rig *r)
{
	uint64_t end = clock_mono_ms() + SETTLE_MS;

	while (clock_mono_ms() < end)
		ev_loop_turn(r->agent.loop, true);
}

struct line {
	int client;
	const char *text;
};

static bool
has_line(struct rig *r, void *arg)
{
	const struct line *l = arg;
	const char *j = buf_cstr(&r->client[l->client].journal);
	const char *at = strstr(j, l->text);

	return at != NULL && (at == j || at[-1] == '\n');
}

void
rig_expect(struct rig *r, int client, const char *line)
{
	struct line l = {client, line};

	if (!rig_until(r, has_line, &l))
		fail_msg("client %d waits for \"%s\"; it has:\n%s", client,
		    line, buf_cstr(&r->client[client].journal));
}

void
rig_expect_no(struct rig *r, int client, const char *text)
{
	rig_settle(r);
	if (strstr(buf_cstr(&r->client[client].journal), text) != NULL)
		fail_msg("client %d must not have \"%s\":\n%s", client, text,
		    buf_cstr(&r->client[client].journal));
}

void
rig_done(void *arg)
{
	((struct rig *)arg)->done = true;
}

/* ---- what clients and peers do ---- */

void
rig_steal(struct rig *r, int client, uint16_t port)
{
	struct pm_LayerTcpSteal m = {.tag = PM_LayerTcpSteal_PortSubscribe};

	m.u.PortSubscribe.tag = PM_StealType_All;
	m.u.PortSubscribe.u.All = port;
	incoming_on_steal(&r->client[client].c, &m);
}

void
rig_mirror(struct rig *r, int client, uint16_t port)
{
	struct pm_LayerTcp m = {.tag = PM_LayerTcp_PortSubscribe};

	m.u.PortSubscribe = port;
	incoming_on_tcp(&r->client[client].c, &m);
}

void
rig_unsteal(struct rig *r, int client, uint16_t port)
{
	struct pm_LayerTcpSteal m = {.tag = PM_LayerTcpSteal_PortUnsubscribe};

	m.u.PortUnsubscribe = port;
	incoming_on_steal(&r->client[client].c, &m);
}

void
rig_unmirror(struct rig *r, int client, uint16_t port)
{
	struct pm_LayerTcp m = {.tag = PM_LayerTcp_PortUnsubscribe};

	m.u.PortUnsubscribe = port;
	incoming_on_tcp(&r->client[client].c, &m);
}

void
rig_data(struct rig *r, int client, uint64_t id, const char *s)
{
	struct pm_LayerTcpSteal m = {.tag = PM_LayerTcpSteal_Data};

	m.u.Data.connection_id = id;
	m.u.Data.bytes = (struct span){(const uint8_t *)s, strlen(s)};
	incoming_on_steal(&r->client[client].c, &m);
}

void
rig_drop(struct rig *r, int client, uint64_t id)
{
	struct pm_LayerTcpSteal m = {
	    .tag = PM_LayerTcpSteal_ConnectionUnsubscribe};

	m.u.ConnectionUnsubscribe = id;
	incoming_on_steal(&r->client[client].c, &m);
}

void
rig_gone(struct rig *r, int client)
{
	r->client[client].lost = true;
	incoming_client_gone(&r->agent, &r->client[client].c);
}

void
rig_drained(struct rig *r, int client)
{
	struct rig_client *rc = &r->client[client];

	rc->queued = 0;
	while (!list_empty(&rc->waits)) {
		struct agent_wait *w =
		    LIST_ENTRY(rc->waits.next, struct agent_wait, link);

		list_remove(&w->link);
		w->fn(w->arg);
	}
}

static bool
is_connected(struct rig *r, void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	(void)r;
	return getpeername(*(int *)arg, (struct sockaddr *)&ss, &len) == 0;
}

int
rig_connect(struct rig *r, int family, uint16_t port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
	    .sin6_port = htons(port),
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in v4 = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(
	    family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int rc;

	assert_true(fd >= 0);
	rc = family == 4 ? connect(fd, (struct sockaddr *)&v4, sizeof(v4))
			 : connect(fd, (struct sockaddr *)&v6, sizeof(v6));
	assert_true(rc == 0 || errno == EINPROGRESS);
	assert_true(rig_until(r, is_connected, &fd));
	return fd;
}

struct accepting {
	int listener, fd;
};

static bool
try_accept(struct rig *r, void *arg)
{
	struct accepting *a = arg;

	(void)r;
	a->fd = accept4(a->listener, NULL, NULL, SOCK_NONBLOCK);
	return a->fd >= 0;
}

int
rig_accept(struct rig *r, int family)
{
	struct accepting a = {
	    .listener = family == 4 ? r->target4 : r->target6};

	if (!rig_until(r, try_accept, &a))
		fail_msg("no connection reached the target");
	return a.fd;
}

struct receiving {
	int fd;
	char got[256];
	size_t n;
	size_t want;
	bool eof, failed;
};

static bool
try_receive(struct rig *r, void *arg)
{
	struct receiving *v = arg;
	ssize_t n = recv(v->fd, v->got + v->n, sizeof(v->got) - 1 - v->n, 0);

	(void)r;
	if (n > 0)
		v->n += (size_t)n;
	v->eof = n == 0;
	v->failed = n < 0 && errno != EAGAIN;
	return v->eof || v->failed || (v->want > 0 && v->n >= v->want);
}

void
rig_receives(struct rig *r, int fd, const char *want)
{
	struct receiving v = {.fd = fd, .want = strlen(want)};

	if (!rig_until(r, try_receive, &v) || v.failed ||
	    strcmp(v.got, want) != 0 || (v.want == 0 && !v.eof))
		fail_msg("wanted \"%s\", got \"%s\"%s%s", want, v.got,
		    v.eof ? " and the end" : "",
		    v.failed ? " and an error" : "");
}

void
rig_is_reset(struct rig *r, int fd)
{
	struct receiving v = {.fd = fd};

	if (!rig_until(r, try_receive, &v) || !v.failed)
		fail_msg("the connection was not reset");
}
