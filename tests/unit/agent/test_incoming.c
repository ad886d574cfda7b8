/* Stolen, mirrored and passed-through connections, with the real kernel. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/capability.h>

#include "agent/incoming.h"
#include "agent/incoming_priv.h"
#include "agent/mirror.h"
#include "agent/redirect.h"
#include "agent/steal.h"
#include "incoming_rig.h"

static void
peer_sends(int fd, const char *s)
{
	assert_int_equal(send(fd, s, strlen(s), MSG_NOSIGNAL), strlen(s));
}

static void
test_nobody_subscribed(void **state)
{
	struct rig *r = *state;
	int peer = rig_connect(r, 4, RIG_PORT), t = rig_accept(r, 4);

	assert_int_equal(incoming_live(&r->agent), 0); /* not through us */
	close(peer);
	close(t);
}

static void
check_steal(struct rig *r, int family, const char *announced)
{
	int peer;

	rig_steal(r, 0, RIG_PORT);
	rig_expect(r, 0, "S ok 8080\n");
	peer = rig_connect(r, family, RIG_PORT);
	rig_expect(r, 0, announced);
	peer_sends(peer, "question");
	rig_expect(r, 0, "S data 0 question\n");
	rig_data(r, 0, 0, "answer");
	rig_receives(r, peer, "answer");
	shutdown(peer, SHUT_WR);
	rig_expect(r, 0, "S eof 0\n");
	rig_data(r, 0, 0, "more");
	rig_receives(r, peer, "more");
	rig_expect_no(r, 0, "S close");
	rig_data(r, 0, 0, "");
	rig_receives(r, peer, "");
	rig_expect(r, 0, "S close 0\n");
	assert_int_equal(incoming_live(&r->agent), 0);
	close(peer);
}

static void
test_steal_v4(void **state)
{
	check_steal(*state, 4, "S new2 0 127.0.0.1 > 127.0.0.1:8080\n");
}

static void
test_steal_v6(void **state)
{
	check_steal(*state, 6, "S new2 0 ::1 > ::1:8080\n");
}

static void
test_versions_of_new_connection(void **state)
{
	static const struct {
		unsigned version[3];
		const char *announced;
	} cases[] = {
	    {{1, 2, 2}, "S new1 0 127.0.0.1"},
	    {{1, 19, 3}, "S new1 1 127.0.0.1"},
	    {{1, 19, 4}, "S new2 2 127.0.0.1"},
	    {{1, 29, 0}, "S new2 3 127.0.0.1"},
	    {{2, 0, 0}, "S new2 4 127.0.0.1"},
	};
	struct rig *r = *state;

	rig_steal(r, 0, RIG_PORT);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int peer;

		memcpy(r->client[0].version, cases[i].version,
		    sizeof(cases[i].version));
		peer = rig_connect(r, 4, RIG_PORT);
		rig_expect(r, 0, cases[i].announced);
		close(peer);
	}
}

static void
test_refused_filters(void **state)
{
	static const struct {
		bool steal;
		unsigned minor, patch;
		uint32_t type;
		const char *answer;
	} cases[] = {
	    {true, 29, 0, PM_StealType_FilteredHttp, "S forbidden-why 0 This"},
	    {true, 17, 0, PM_StealType_FilteredHttpEx,
		"S forbidden-why 0 This"},
	    {true, 16, 9, PM_StealType_FilteredHttpEx, "S forbidden 0\n"},
	    {true, 2, 2, PM_StealType_FilteredHttp, "S forbidden 0\n"},
	    {false, 29, 0, 0, "M forbidden-why 1 This agent cannot"},
	    {false, 17, 0, 0, "M forbidden-why 1 This agent cannot"},
	    {false, 16, 0, 0, "M forbidden 1\n"},
	    {false, 12, 0, 0, "M forbidden 1\n"},
	    {false, 11, 0, 0, "closing This agent cannot filter"},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pm_LayerTcpSteal s = {
		    .tag = PM_LayerTcpSteal_PortSubscribe};
		struct pm_LayerTcp m = {
		    .tag = PM_LayerTcp_PortSubscribeFilteredHttp};

		buf_clear(&r->client[0].journal);
		r->client[0].version[1] = cases[i].minor;
		r->client[0].version[2] = cases[i].patch;
		s.u.PortSubscribe.tag = cases[i].type;
		m.u.PortSubscribeFilteredHttp._0 = RIG_PORT;
		if (cases[i].steal)
			incoming_on_steal(&r->client[0].c, &s);
		else
			incoming_on_tcp(&r->client[0].c, &m);
		rig_expect(r, 0, cases[i].answer);
	}
	assert_null(incoming_table_find(&r->agent.incoming->table, RIG_PORT));
}

static void
test_replaced_stealer(void **state)
{
	struct rig *r = *state;
	int old, new;

	rig_steal(r, 0, RIG_PORT);
	old = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 0");
	rig_steal(r, 1, RIG_PORT);
	rig_expect(r, 1, "S ok 8080\n");
	new = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 1, "S new2 0");
	rig_unsteal(r, 0, RIG_PORT); /* holds nothing any more */
	peer_sends(old, "still yours");
	rig_expect(r, 0, "S data 0 still yours\n");
	rig_expect_no(r, 0, "S new2 1");
	close(new);
	new = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 1, "S new2 1");
	close(old);
	close(new);
}

static void
test_unsubscribe(void **state)
{
	struct rig *r = *state;
	int stolen, direct, t;

	rig_steal(r, 0, RIG_PORT);
	stolen = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 0");
	rig_unsteal(r, 0, RIG_PORT);
	assert_null(incoming_table_find(&r->agent.incoming->table, RIG_PORT));
	direct = rig_connect(r, 4, RIG_PORT);
	t = rig_accept(r, 4);
	peer_sends(stolen, "goes on");
	rig_expect(r, 0, "S data 0 goes on\n");
	rig_data(r, 0, 0, "and back");
	rig_receives(r, stolen, "and back");
	close(stolen);
	close(direct);
	close(t);
}

static void
test_linger(void **state)
{
	struct rig *r = *state;
	struct incoming_port *p;
	int peer, t;

	r->agent.opt.port_linger_s = 3600;
	rig_steal(r, 0, RIG_PORT);
	rig_unsteal(r, 0, RIG_PORT);
	p = incoming_table_find(&r->agent.incoming->table, RIG_PORT);
	assert_non_null(p);
	assert_true(p->redirected);
	peer = rig_connect(r, 4, RIG_PORT); /* redirected, nobody steals */
	t = rig_accept(r, 4);
	assert_int_equal(incoming_live(&r->agent), 1);
	peer_sends(peer, "through");
	rig_receives(r, t, "through");
	rig_steal(r, 1, RIG_PORT);
	rig_expect(r, 1, "S ok 8080\n");
	close(peer);
	close(t);
}

static void
test_mirror(void **state)
{
	struct rig *r = *state;
	int peer, t;

	rig_mirror(r, 0, RIG_PORT);
	rig_mirror(r, 1, RIG_PORT);
	rig_expect(r, 0, "M ok 8080\n");
	rig_expect(r, 1, "M ok 8080\n");
	peer = rig_connect(r, 6, RIG_PORT);
	t = rig_accept(r, 6);
	rig_expect(r, 0, "M new2 0 ::1 > ::1:8080\n");
	peer_sends(peer, "question");
	rig_receives(r, t, "question");
	peer_sends(t, "answer");
	rig_receives(r, peer, "answer");
	rig_expect(r, 0, "M data 0 question\n");
	rig_unmirror(r, 0, RIG_PORT); /* running connections go on */
	peer_sends(peer, "more");
	rig_expect(r, 0, "M data 0 more\n");
	rig_receives(r, t, "more");
	shutdown(peer, SHUT_WR);
	rig_receives(r, t, "");
	rig_expect(r, 0, "M eof 0\n");
	close(t);
	rig_receives(r, peer, "");
	rig_expect(r, 1, "M close 0\n");
	assert_null(strstr(buf_cstr(&r->client[1].journal), "answer"));
	close(peer);
}

static void
test_mirror_unsubscribes_a_connection(void **state)
{
	struct rig *r = *state;
	struct pm_LayerTcp m = {.tag = PM_LayerTcp_ConnectionUnsubscribe};
	int peer, t;

	rig_mirror(r, 0, RIG_PORT);
	rig_mirror(r, 1, RIG_PORT);
	peer = rig_connect(r, 4, RIG_PORT);
	t = rig_accept(r, 4);
	rig_expect(r, 0, "M new2 0");
	incoming_on_tcp(&r->client[0].c, &m);
	incoming_on_tcp(&r->client[0].c, &m); /* a dead id */
	peer_sends(peer, "x");
	rig_receives(r, t, "x");
	close(peer);
	rig_expect(r, 1, "M data 0 x\n");
	rig_expect_no(r, 0, "M data");
	rig_expect_no(r, 0, "M close");
	close(t);
}

static void
test_steal_and_mirror(void **state)
{
	struct rig *r = *state;
	int peer;

	rig_steal(r, 0, RIG_PORT);
	rig_mirror(r, 1, RIG_PORT);
	rig_mirror(r, 0, RIG_PORT);
	peer = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 0");
	rig_expect(r, 0, "M new2 0");
	rig_expect(r, 1, "M new2 0");
	peer_sends(peer, "both");
	rig_expect(r, 0, "S data 0 both\n");
	rig_expect(r, 0, "M data 0 both\n");
	rig_expect(r, 1, "M data 0 both\n");
	rig_data(r, 0, 0, "answer");
	rig_receives(r, peer, "answer");
	rig_data(r, 0, 0, "");
	close(peer);
	rig_expect(r, 1, "M eof 0\n");
	rig_expect(r, 1, "M close 0\n");
	rig_expect(r, 0, "S close 0\n");
}

static void
test_mirror_lags(void **state)
{
	struct rig *r = *state;
	int peer, t;

	rig_mirror(r, 0, RIG_PORT);
	rig_mirror(r, 1, RIG_PORT);
	peer = rig_connect(r, 4, RIG_PORT);
	t = rig_accept(r, 4);
	rig_expect(r, 0, "M new2 0");
	r->client[0].queued = MIRROR_LAG_BYTES;
	peer_sends(peer, "real");
	rig_receives(r, t, "real");
	rig_expect(r, 0, "M close 0\n");
	rig_expect_no(r, 0, "log");
	rig_drained(r, 0);
	rig_expect(r, 0, "log warn 1 mirrored connections were closed");
	rig_expect(r, 1, "M data 0 real\n");
	peer_sends(t, "goes on");
	rig_receives(r, peer, "goes on");
	close(t);
	close(peer);
	rig_expect(r, 1, "M close 0\n");
	rig_expect_no(r, 0, "M data");
}

static void
test_client_gone(void **state)
{
	struct rig *r = *state;
	int cut, complete, peer, t;

	rig_steal(r, 0, RIG_PORT);
	rig_mirror(r, 0, RIG_PORT);
	cut = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 0");
	complete = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 1");
	rig_data(r, 0, 0, "half an ans");
	rig_data(r, 0, 1, "whole");
	rig_data(r, 0, 1, "");
	rig_gone(r, 0);
	rig_receives(r, complete, "whole");
	rig_receives(r, complete, "");
	rig_receives(r, cut, "half an ans");
	rig_is_reset(r, cut);
	assert_null(incoming_table_find(&r->agent.incoming->table, RIG_PORT));
	peer = rig_connect(r, 4, RIG_PORT);
	t = rig_accept(r, 4);
	close(peer);
	close(t);
	close(cut);
	close(complete);
}

/* Announcing fails: the target answers instead. */
static void
test_lost_client_loses_no_connection(void **state)
{
	struct rig *r = *state;
	int peer, t;

	rig_steal(r, 0, RIG_PORT);
	r->client[0].lost = true;
	peer = rig_connect(r, 4, RIG_PORT);
	t = rig_accept(r, 4);
	peer_sends(peer, "hello");
	rig_receives(r, t, "hello");
	close(peer);
	close(t);
}

static void
test_connection_unsubscribe(void **state)
{
	struct rig *r = *state;
	int peer;

	rig_steal(r, 0, RIG_PORT);
	peer = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 0");
	rig_data(r, 0, 0, "last words");
	rig_drop(r, 0, 0);
	rig_drop(r, 0, 0); /* dead */
	rig_data(r, 0, 0, "unheard");
	rig_receives(r, peer, "last words");
	rig_receives(r, peer, "");
	peer_sends(peer, "unheard too");
	rig_expect_no(r, 0, "S data");
	close(peer);
	rig_expect_no(r, 0, "S close");
	assert_int_equal(incoming_live(&r->agent), 0);
}

static void
test_unknown_ids(void **state)
{
	struct rig *r = *state;
	struct pm_LayerTcpSteal http = {.tag = PM_LayerTcpSteal_HttpResponse};

	rig_data(r, 0, 0, "before any message");
	rig_drop(r, 0, 7);
	rig_unsteal(r, 0, RIG_PORT);
	rig_unmirror(r, 0, RIG_PORT);
	rig_steal(r, 0, RIG_PORT);
	rig_data(r, 0, UINT64_MAX, "x");
	rig_drop(r, 0, UINT64_MAX);
	rig_unsteal(r, 0, 1);
	incoming_on_steal(&r->client[0].c, &http);
	rig_expect_no(r, 0, "S close");
}

static void
test_peer_resets(void **state)
{
	struct rig *r = *state;
	int peer;

	rig_steal(r, 0, RIG_PORT);
	peer = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 0");
	incoming_abort_fd(peer);
	rig_expect(r, 0, "log warn The stolen connection from 127.0.0.1:");
	rig_expect(r, 0, "S close 0\n");
	rig_data(r, 0, 0, "too late");
	assert_int_equal(incoming_live(&r->agent), 0);
}

/* A client whose queue is full is sent nothing until there is room. */
static void
test_full_queue_pauses(void **state)
{
	struct rig *r = *state;
	int peer;

	rig_steal(r, 0, RIG_PORT);
	peer = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 0");
	r->client[0].queued = AGENT_QUEUE_SOFT_BYTES;
	peer_sends(peer, "later");
	rig_expect_no(r, 0, "S data");
	rig_drained(r, 0);
	rig_expect(r, 0, "S data 0 later\n");
	r->client[0].queued = AGENT_QUEUE_SOFT_BYTES;
	peer_sends(peer, "never");
	rig_settle(r);
	rig_gone(r, 0); /* while waiting */
	rig_is_reset(r, peer);
	close(peer);
}

static bool
is_held(struct rig *r, void *arg)
{
	return r->client[0].held == *(int *)arg;
}

/* Sends until the client is held; how much that took. */
static size_t
fill_until_held(struct rig *r)
{
	static char chunk[65537];
	size_t sent = 0;

	memset(chunk, 'z', sizeof(chunk) - 1);
	while (r->client[0].held == 0 && sent < 64u * 1024 * 1024) {
		rig_data(r, 0, 0, chunk);
		sent += sizeof(chunk) - 1;
	}
	assert_int_equal(r->client[0].held, 1);
	return sent;
}

static void
test_slow_peer_holds_the_client(void **state)
{
	struct rig *r = *state;
	static char sink[1 << 20];
	size_t sent, got = 0;
	int peer, none = 0;

	rig_steal(r, 0, RIG_PORT);
	peer = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 0");
	sent = fill_until_held(r);
	while (got < sent) {
		ssize_t n = recv(peer, sink, sizeof(sink), 0);

		if (n > 0)
			got += (size_t)n;
		else
			ev_loop_turn(r->agent.loop, true);
		assert_true(n != 0);
	}
	assert_true(rig_until(r, is_held, &none));
	assert_int_equal(r->client[0].holds, 1);
	rig_expect_no(r, 0, "S close");
	close(peer);
}

static void
test_stalled_peer_loses_its_connection(void **state)
{
	struct rig *r = *state;
	int peer, other, none = 0;

	rig_steal(r, 0, RIG_PORT);
	peer = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 0");
	other = rig_connect(r, 4, RIG_PORT);
	rig_expect(r, 0, "S new2 1");
	(void)fill_until_held(r);
	(void)rig_until(r, is_held, &none); /* as long as its patience */
	rig_expect(r, 0, "log warn The stolen connection from 127.0.0.1:");
	rig_expect(r, 0, "S close 0\n");
	assert_int_equal(r->client[0].held, 0);
	rig_data(r, 0, 1, "unharmed");
	rig_receives(r, other, "unharmed");
	close(peer);
	close(other);
}

static void
test_direct_connection_to_the_listener(void **state)
{
	struct rig *r = *state;
	uint16_t port = redirect_listen_port(r->agent.incoming->redirect);
	int peer;

	rig_steal(r, 0, port); /* not even then */
	for (int family = 4; family <= 6; family += 2) {
		peer = rig_connect(r, family, port);
		rig_is_reset(r, peer);
		close(peer);
	}
	rig_expect_no(r, 0, "S new2");
}

static void
test_target_refuses(void **state)
{
	struct rig *r = *state;
	int peer;

	rig_mirror(r, 0, RIG_OTHER_PORT); /* nobody listens there */
	peer = rig_connect(r, 4, RIG_OTHER_PORT);
	rig_is_reset(r, peer);
	rig_expect(r, 0, "M ok 8081\n");
	assert_int_equal(incoming_live(&r->agent), 0);
	close(peer);
}

static void
set_net_admin(bool on)
{
	struct __user_cap_header_struct h = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];

	assert_int_equal(syscall(SYS_capget, &h, d), 0);
	if (on)
		d[0].effective |= 1u << CAP_NET_ADMIN;
	else
		d[0].effective &= ~(1u << CAP_NET_ADMIN);
	assert_int_equal(syscall(SYS_capset, &h, d), 0);
}

/* A change that the kernel refuses is the client's bad luck only. */
static void
test_kernel_refuses(void **state)
{
	struct rig *r = *state;
	int peer, t;

	set_net_admin(false);
	rig_steal(r, 0, RIG_PORT);
	rig_mirror(r, 1, RIG_PORT);
	set_net_admin(true);
	rig_expect(r, 0, "log error The agent could not redirect port 8080");
	rig_expect(r, 0, "S failed 1\n");
	rig_expect(r, 1, "M failed 1\n");
	peer = rig_connect(r, 4, RIG_PORT);
	t = rig_accept(r, 4);
	close(peer);
	close(t);
	rig_steal(r, 0, RIG_PORT);
	rig_expect(r, 0, "S ok 8080\n");
}

static bool
port_is_gone(struct rig *r, void *arg)
{
	(void)arg;
	return incoming_table_find(&r->agent.incoming->table, RIG_PORT) == NULL;
}

static void
test_failed_removal_is_repeated(void **state)
{
	struct rig *r = *state;
	int peer, t;

	rig_steal(r, 0, RIG_PORT);
	set_net_admin(false);
	rig_unsteal(r, 0, RIG_PORT);
	set_net_admin(true);
	assert_false(port_is_gone(r, NULL));
	peer = rig_connect(r, 4, RIG_PORT); /* redirected still */
	t = rig_accept(r, 4);
	assert_int_equal(incoming_live(&r->agent), 1);
	assert_true(rig_until(r, port_is_gone, NULL));
	peer_sends(peer, "unharmed");
	rig_receives(r, t, "unharmed");
	close(peer);
	close(t);
}

static void
test_flush(void **state)
{
	struct rig *r = *state;
	int before, other, drained, t;

	before = rig_connect(r, 4, RIG_PORT);
	t = rig_accept(r, 4);
	other = rig_connect(r, 6, RIG_PORT);
	r->agent.opt.flush_connections = true;
	rig_mirror(r, 1, RIG_PORT);
	rig_is_reset(r, before);
	rig_is_reset(r, other);
	close(t);
	drained = rig_connect(r, 4, RIG_PORT); /* passes through */
	t = rig_accept(r, 4);
	rig_steal(r, 0, RIG_PORT);
	rig_is_reset(r, drained);
	close(t);
	close(before);
	close(other);
	close(drained);
}

static void
test_no_flush(void **state)
{
	struct rig *r = *state;
	int before = rig_connect(r, 4, RIG_PORT), t = rig_accept(r, 4);

	rig_steal(r, 0, RIG_PORT);
	peer_sends(before, "unharmed");
	rig_receives(r, t, "unharmed");
	close(before);
	close(t);
}

static bool
is_done(struct rig *r, void *arg)
{
	(void)arg;
	return r->done;
}

/* What is under way may finish; what comes then goes to the target. */
static void
test_shutdown_drains(void **state)
{
	struct rig *r = *state;
	int peer, direct, t, t2;

	rig_mirror(r, 0, RIG_PORT);
	peer = rig_connect(r, 4, RIG_PORT);
	t = rig_accept(r, 4);
	rig_gone(r, 0);
	incoming_shutdown(&r->agent, rig_done, r);
	peer_sends(peer, "question");
	rig_receives(r, t, "question");
	direct = rig_connect(r, 4, RIG_PORT);
	t2 = rig_accept(r, 4);
	assert_int_equal(incoming_live(&r->agent), 1);
	peer_sends(t, "answer");
	rig_receives(r, peer, "answer");
	assert_false(r->done);
	close(t);
	close(peer);
	assert_true(rig_until(r, is_done, NULL));
	close(direct);
	close(t2);
}

static void
test_shutdown_is_bounded(void **state)
{
	struct rig *r = *state;
	int peer, t;

	rig_mirror(r, 0, RIG_PORT);
	peer = rig_connect(r, 4, RIG_PORT);
	t = rig_accept(r, 4);
	incoming_shutdown(&r->agent, rig_done, r);
	rig_steal(r, 1, RIG_OTHER_PORT); /* too late */
	rig_expect(r, 1, "S failed");
	(void)rig_until(r, is_done, NULL);
	assert_true(rig_until(r, is_done, NULL));
	rig_is_reset(r, peer);
	close(peer);
	close(t);
}

static void
test_shutdown_of_an_idle_agent_is_at_once(void **state)
{
	struct rig *r = *state;

	incoming_shutdown(&r->agent, rig_done, r);
	assert_false(r->done); /* from the loop only */
	ev_loop_turn(r->agent.loop, true);
	ev_loop_turn(r->agent.loop, true);
	assert_true(r->done);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
	    T(test_nobody_subscribed),
	    T(test_steal_v4),
	    T(test_steal_v6),
	    T(test_versions_of_new_connection),
	    T(test_refused_filters),
	    T(test_replaced_stealer),
	    T(test_unsubscribe),
	    T(test_linger),
	    T(test_mirror),
	    T(test_mirror_unsubscribes_a_connection),
	    T(test_steal_and_mirror),
	    T(test_mirror_lags),
	    T(test_client_gone),
	    T(test_lost_client_loses_no_connection),
	    T(test_connection_unsubscribe),
	    T(test_unknown_ids),
	    T(test_peer_resets),
	    T(test_full_queue_pauses),
	    T(test_slow_peer_holds_the_client),
	    T(test_stalled_peer_loses_its_connection),
	    T(test_direct_connection_to_the_listener),
	    T(test_target_refuses),
	    T(test_kernel_refuses),
	    T(test_failed_removal_is_repeated),
	    T(test_flush),
	    T(test_no_flush),
	    T(test_shutdown_drains),
	    T(test_shutdown_is_bounded),
	    T(test_shutdown_of_an_idle_agent_is_at_once),
	};

	return cmocka_run_group_tests(tests, rig_enter_namespace, NULL);
}
