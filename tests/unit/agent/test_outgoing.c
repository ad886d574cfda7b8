/* Outgoing connections against peers in the same process. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/unit/agent/rig.h"
#include "tests/unit/unit.h"

enum kind { TCP, UDP, SEQ };

static const uint32_t messages[] = {PM_DaemonMessage_TcpOutgoing,
    PM_DaemonMessage_UdpOutgoing, PM_DaemonMessage_SeqpacketOutgoing};

/* ---- peers ---- */

static int
listener(int type, uint16_t *port)
{
	struct sockaddr_in addr = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*port = ntohs(addr.sin_port);
	return fd;
}

static int
unix_listener(struct rig *r, int type, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(un.sun_path, rig_path(r, path));
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static struct pm_SocketAddress
ip(uint16_t port)
{
	struct pm_SocketAddress a = {.tag = PM_SocketAddress_Ip};

	a.u.Ip.port = port;
	memcpy(a.u.Ip.ip.a, "\x7f\0\0\x01", 4);
	return a;
}

static struct pm_SocketAddress
unix_path(const char *path)
{
	struct pm_SocketAddress a = {.tag = PM_SocketAddress_Unix};

	a.u.Unix.tag = PM_UnixAddr_Pathname;
	a.u.Unix.u.Pathname = pm_str(path);
	return a;
}

/* ---- the client's side ---- */

static void
ask_connect(struct rig *r, size_t c, enum kind kind, uint8_t uid,
    struct pm_SocketAddress to)
{
	struct pm_ClientMessage m;
	struct pm_LayerConnectV2 v2 = {.remote_address = to};

	memset(&m, 0, sizeof(m));
	v2.uid.b[15] = uid;
	if (kind == TCP) {
		m.tag = PM_ClientMessage_TcpOutgoing;
		m.u.TcpOutgoing.tag = PM_LayerTcpOutgoing_ConnectV2;
		m.u.TcpOutgoing.u.ConnectV2 = v2;
	} else if (kind == UDP) {
		m.tag = PM_ClientMessage_UdpOutgoing;
		m.u.UdpOutgoing.tag = PM_LayerUdpOutgoing_ConnectV2;
		m.u.UdpOutgoing.u.ConnectV2 = v2;
	} else {
		m.tag = PM_ClientMessage_SeqpacketOutgoing;
		m.u.SeqpacketOutgoing.tag = PM_LayerSeqpacket_ConnectV2;
		m.u.SeqpacketOutgoing.u.ConnectV2 = v2;
	}
	rig_send(r, c, &m);
}

static void
ask_connect_v1(struct rig *r, size_t c, struct pm_SocketAddress to)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpOutgoing};

	m.u.TcpOutgoing.tag = PM_LayerTcpOutgoing_Connect;
	m.u.TcpOutgoing.u.Connect.remote_address = to;
	rig_send(r, c, &m);
}

static void
tell_write(struct rig *r, size_t c, enum kind kind, uint64_t id, const void *p,
    size_t n)
{
	struct pm_ClientMessage m;
	struct pm_LayerWrite w = {.connection_id = id, .bytes = {p, n}};

	memset(&m, 0, sizeof(m));
	if (kind == TCP) {
		m.tag = PM_ClientMessage_TcpOutgoing;
		m.u.TcpOutgoing.tag = PM_LayerTcpOutgoing_Write;
		m.u.TcpOutgoing.u.Write = w;
	} else if (kind == UDP) {
		m.tag = PM_ClientMessage_UdpOutgoing;
		m.u.UdpOutgoing.tag = PM_LayerUdpOutgoing_Write;
		m.u.UdpOutgoing.u.Write = w;
	} else {
		m.tag = PM_ClientMessage_SeqpacketOutgoing;
		m.u.SeqpacketOutgoing.tag = PM_LayerSeqpacket_Write;
		m.u.SeqpacketOutgoing.u.Write = w;
	}
	rig_send(r, c, &m);
}

static void
tell_close(struct rig *r, size_t c, uint64_t id)
{
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_TcpOutgoing};

	m.u.TcpOutgoing.tag = PM_LayerTcpOutgoing_Close;
	m.u.TcpOutgoing.u.Close.connection_id = id;
	rig_send(r, c, &m);
}

/* The answer to a ConnectV2, taken out of its kind. */
static struct pm_DaemonConnectV2
decided(struct rig *r, size_t c, enum kind kind)
{
	struct pm_DaemonMessage m;

	rig_want(r, c, messages[kind], &m);
	if (kind == TCP) {
		assert_int_equal(
		    m.u.TcpOutgoing.tag, PM_DaemonTcpOutgoing_ConnectV2);
		return m.u.TcpOutgoing.u.ConnectV2;
	}
	if (kind == UDP) {
		assert_int_equal(
		    m.u.UdpOutgoing.tag, PM_DaemonUdpOutgoing_ConnectV2);
		return m.u.UdpOutgoing.u.ConnectV2;
	}
	assert_int_equal(
	    m.u.SeqpacketOutgoing.tag, PM_DaemonSeqpacket_ConnectV2);
	return m.u.SeqpacketOutgoing.u.ConnectV2;
}

static uint64_t
connected(struct rig *r, size_t c, enum kind kind, struct pm_SocketAddress to)
{
	struct pm_DaemonConnectV2 d;

	ask_connect(r, c, kind, 9, to);
	d = decided(r, c, kind);
	assert_int_equal(d.uid.b[15], 9);
	assert_int_equal(d.connect.tag, PM_OK);
	return d.connect.u.Ok.connection_id;
}

/* The next Read; NULL bytes and n 0 for an empty one. False: a Close. */
static bool
read_or_close(struct rig *r, size_t c, uint64_t id, struct span *bytes)
{
	struct pm_DaemonMessage m;

	rig_want(r, c, PM_DaemonMessage_TcpOutgoing, &m);
	if (m.u.TcpOutgoing.tag == PM_DaemonTcpOutgoing_Close) {
		assert_int_equal(m.u.TcpOutgoing.u.Close, id);
		return false;
	}
	assert_int_equal(m.u.TcpOutgoing.tag, PM_DaemonTcpOutgoing_Read);
	assert_int_equal(m.u.TcpOutgoing.u.Read.u.Ok.connection_id, id);
	*bytes = m.u.TcpOutgoing.u.Read.u.Ok.bytes;
	return true;
}

/* ---- tests ---- */

static void
tcp_both_ways(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	uint16_t port;
	int l = listener(SOCK_STREAM, &port), peer;
	struct span got;
	char text[16];

	for (uint64_t want = 0; want < 3; want++) {
		uint64_t id = connected(r, c, TCP, ip(port));

		assert_int_equal(id, want);
		peer = accept(l, NULL, NULL);
		tell_write(r, c, TCP, id, "question", 8);
		assert_true(rig_quiet(r, c));
		assert_int_equal(recv(peer, text, sizeof(text), 0), 8);
		assert_memory_equal(text, "question", 8);
		assert_int_equal(send(peer, "answer", 6, 0), 6);
		assert_true(read_or_close(r, c, id, &got));
		assert_int_equal(got.n, 6);
		assert_memory_equal(got.p, "answer", 6);
		/* the peer ends first: an empty Read, later a Close */
		assert_int_equal(shutdown(peer, SHUT_WR), 0);
		assert_true(read_or_close(r, c, id, &got));
		assert_int_equal(got.n, 0);
		tell_write(r, c, TCP, id, "more", 4);
		tell_write(r, c, TCP, id, "", 0);
		assert_false(read_or_close(r, c, id, &got));
		assert_int_equal(recv(peer, text, sizeof(text), 0), 4);
		assert_int_equal(recv(peer, text, sizeof(text), 0), 0);
		close(peer);
	}
	close(l);
}

static void
own_end_first(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	uint16_t port;
	int l = listener(SOCK_STREAM, &port), peer;
	uint64_t id = connected(r, c, TCP, ip(port));
	struct span got;
	char text[16];

	peer = accept(l, NULL, NULL);
	tell_write(r, c, TCP, id, "x", 1);
	tell_write(r, c, TCP, id, "", 0);
	tell_write(r, c, TCP, id, "after the end", 13); /* dropped */
	assert_true(rig_quiet(r, c));
	assert_int_equal(recv(peer, text, sizeof(text), MSG_WAITALL), 1);
	assert_int_equal(send(peer, "last", 4, 0), 4);
	close(peer);
	assert_true(read_or_close(r, c, id, &got));
	assert_int_equal(got.n, 4);
	assert_false(read_or_close(r, c, id, &got)); /* no empty Read */
	assert_true(rig_quiet(r, c));
	close(l);
}

static void
closed_by_the_client(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	uint16_t port;
	int l = listener(SOCK_STREAM, &port), peer;
	uint64_t id = connected(r, c, TCP, ip(port));
	char text[16];

	peer = accept(l, NULL, NULL);
	/* unread input must not turn the end into a reset */
	assert_int_equal(send(peer, "unread", 6, 0), 6);
	tell_write(r, c, TCP, id, "flushed", 7);
	tell_close(r, c, id);
	tell_close(r, c, id);
	tell_write(r, c, TCP, id, "gone", 4);
	for (int i = 0; i < 5; i++)
		ev_loop_turn(r->a.loop, true);
	assert_int_equal(recv(peer, text, sizeof(text), MSG_WAITALL), 7);
	assert_int_equal(recv(peer, text, sizeof(text), 0), 0);
	close(peer);
	close(l);
}

static void
datagrams(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	uint16_t port;
	int peer = listener(SOCK_DGRAM, &port);
	uint64_t id = connected(r, c, UDP, ip(port));
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct pm_DaemonMessage m;
	char text[32];

	tell_write(r, c, UDP, id, "one", 3);
	tell_write(r, c, UDP, id, "three", 5);
	assert_true(rig_quiet(r, c));
	assert_int_equal(recvfrom(peer, text, sizeof(text), 0,
			     (struct sockaddr *)&from, &len),
	    3);
	assert_int_equal(recv(peer, text, sizeof(text), 0), 5);
	for (int i = 0; i < 3; i++) /* an empty one cannot be told */
		assert_int_equal(sendto(peer, "abc", (size_t)i, 0,
				     (struct sockaddr *)&from, len),
		    i);
	for (size_t i = 1; i < 3; i++) {
		rig_want(r, c, PM_DaemonMessage_UdpOutgoing, &m);
		assert_int_equal(m.u.UdpOutgoing.u.Read.u.Ok.bytes.n, i);
	}
	tell_write(r, c, UDP, 77, "nobody", 6);
	close(peer);
	tell_write(r, c, UDP, id, "x", 1); /* refused, in time */
	rig_want(r, c, PM_DaemonMessage_UdpOutgoing, &m);
	assert_int_equal(m.u.UdpOutgoing.tag, PM_DaemonUdpOutgoing_Close);
	assert_int_equal(m.u.UdpOutgoing.u.Close, id);
}

static void
packets(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	int l = unix_listener(r, SOCK_SEQPACKET, "seq"), peer;
	uint64_t id = connected(r, c, SEQ, unix_path("/seq"));
	struct pm_DaemonMessage m;
	static char big[70000];
	char text[16];

	peer = accept(l, NULL, NULL);
	tell_write(r, c, SEQ, id, "ab", 2);
	tell_write(r, c, SEQ, id, "cde", 3);
	assert_true(rig_quiet(r, c));
	assert_int_equal(recv(peer, text, sizeof(text), 0), 2);
	assert_int_equal(recv(peer, text, sizeof(text), 0), 3);
	assert_int_equal(send(peer, "12345", 5, 0), 5);
	rig_want(r, c, PM_DaemonMessage_SeqpacketOutgoing, &m);
	assert_int_equal(m.u.SeqpacketOutgoing.u.Read.u.Ok.bytes.n, 5);
	/* one that cannot be told whole ends it */
	assert_int_equal(send(peer, big, sizeof(big), 0), sizeof(big));
	rig_want(r, c, PM_DaemonMessage_SeqpacketOutgoing, &m);
	assert_int_equal(m.u.SeqpacketOutgoing.tag, PM_DaemonSeqpacket_Close);
	close(peer);
	close(l);
}

static void
failures(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	uint16_t port;
	int l = listener(SOCK_STREAM, &port);
	const struct pm_SocketAddress unnamed = {
	    .tag = PM_SocketAddress_Unix, .u.Unix.tag = PM_UnixAddr_Unnamed};
	const struct {
		enum kind kind;
		struct pm_SocketAddress to;
		int number; /* 0 = none */
		uint32_t error;
	} rows[] = {
	    {TCP, ip(port), ECONNREFUSED,
		PM_ErrorKindInternal_ConnectionRefused},
	    {TCP, unix_path("/none"), ENOENT, PM_ErrorKindInternal_NotFound},
	    {TCP, unix_path("/etc/name"), ECONNREFUSED,
		PM_ErrorKindInternal_ConnectionRefused},
	    {TCP, unix_path(""), ENOENT, PM_ErrorKindInternal_NotFound},
	    {SEQ, unix_path("/none"), ENOENT, PM_ErrorKindInternal_NotFound},
	    {SEQ, ip(port), 0, PM_ErrorKindInternal_Other},
	    {UDP, unix_path("/none"), 0, PM_ErrorKindInternal_Other},
	    {TCP, unnamed, 0, PM_ErrorKindInternal_Other},
	    {UDP, unnamed, 0, PM_ErrorKindInternal_Other},
	    {SEQ, unnamed, 0, PM_ErrorKindInternal_Other},
	};

	close(l);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct pm_DaemonConnectV2 d;
		const struct pm_RemoteIOError *io = &d.connect.u.Err.u.RemoteIO;

		ask_connect(r, c, rows[i].kind, (uint8_t)i, rows[i].to);
		d = decided(r, c, rows[i].kind);
		assert_int_equal(d.uid.b[15], i);
		assert_int_equal(d.connect.tag, PM_ERR);
		assert_int_equal(
		    d.connect.u.Err.tag, PM_ResponseError_RemoteIO);
		assert_int_equal(io->raw_os_error.some, rows[i].number != 0);
		if (rows[i].number != 0)
			assert_int_equal(
			    io->raw_os_error.value, rows[i].number);
		assert_int_equal(io->kind.tag, rows[i].error);
	}
}

static void
old_connects(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	uint16_t port;
	int l = listener(SOCK_STREAM, &port);
	struct pm_DaemonMessage m;

	for (int i = 0; i < 30; i++) /* quick and slow ones by turns */
		ask_connect_v1(
		    r, c, i % 2 == 0 ? ip(port) : unix_path("/none"));
	for (uint64_t i = 0; i < 30; i++) {
		rig_want(r, c, PM_DaemonMessage_TcpOutgoing, &m);
		assert_int_equal(
		    m.u.TcpOutgoing.tag, PM_DaemonTcpOutgoing_Connect);
		assert_int_equal(m.u.TcpOutgoing.u.Connect.tag, i % 2);
		if (i % 2 == 0)
			assert_int_equal(
			    m.u.TcpOutgoing.u.Connect.u.Ok.connection_id,
			    i / 2);
	}
	/* the client leaves while some still wait */
	for (int i = 0; i < 30; i++)
		ask_connect_v1(r, c, unix_path("/none"));
	rig_hang_up(r, c);
	close(l);
}

/* Over its share a connection holds the client up, but not for long. */
static void
slow_peer(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	uint16_t port;
	int l = listener(SOCK_STREAM, &port), peer;
	uint64_t id = connected(r, c, TCP, ip(port)), start;
	size_t n = 16 * 1024 * 1024;
	uint8_t *bytes = calloc(1, n);
	struct pm_DaemonMessage m;
	struct span got;

	assert_non_null(bytes);
	peer = accept(l, NULL, NULL);
	tell_write(r, c, TCP, id, bytes, n);
	start = clock_mono_ms();
	rig_send_bytes(r, c, "\x07", 1);
	assert_false(read_or_close(r, c, id, &got));
	rig_want(r, c, PM_DaemonMessage_Pong, &m);
	assert_in_range(clock_mono_ms() - start, 900, 4000);
	assert_int_equal(r->a.outgoing_bytes, 0);
	free(bytes);
	close(peer);
	close(l);
}

/* One that reads in time gets every byte, in order. */
static void
late_peer(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r), n = 12 * 1024 * 1024, at = 0;
	uint16_t port;
	int l = listener(SOCK_STREAM, &port), peer;
	uint64_t id = connected(r, c, TCP, ip(port));
	uint32_t *bytes = calloc(n / 4, 4);
	uint8_t *back = malloc(n);
	uint64_t end = clock_mono_ms() + RIG_WAIT_MS;

	assert_true(bytes != NULL && back != NULL);
	for (uint32_t i = 0; i < n / 4; i++)
		bytes[i] = i;
	peer = accept(l, NULL, NULL);
	assert_int_equal(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
	tell_write(r, c, TCP, id, bytes, n);
	while (at < n) {
		ssize_t k = recv(peer, back + at, n - at, 0);

		assert_true(k > 0 || (k < 0 && errno == EAGAIN));
		at += k > 0 ? (size_t)k : 0;
		assert_true(clock_mono_ms() < end);
		ev_loop_turn(r->a.loop, false);
	}
	assert_memory_equal(bytes, back, n);
	assert_int_equal(r->a.outgoing_bytes, 0);
	free(bytes);
	free(back);
	close(peer);
	close(l);
}

/* A peer that sends more than the client takes is not read. */
static void
fast_peer(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r), sent = 0, came = 0;
	struct agent_client *ac =
	    LIST_ENTRY(r->a.clients.next, struct agent_client, link);
	uint16_t port;
	int l = listener(SOCK_STREAM, &port), peer;
	uint64_t id = connected(r, c, TCP, ip(port));
	uint64_t end = clock_mono_ms() + 500;
	static char chunk[65536];
	struct span got;

	peer = accept(l, NULL, NULL);
	assert_int_equal(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
	while (clock_mono_ms() < end) {
		ssize_t k = send(peer, chunk, sizeof(chunk), MSG_NOSIGNAL);

		sent += k > 0 ? (size_t)k : 0;
		ev_loop_turn(r->a.loop, false);
	}
	assert_true(agent_client_queued(ac) < AGENT_QUEUE_SOFT_BYTES + 70000);
	close(peer);
	while (read_or_close(r, c, id, &got)) {
		came += got.n;
		if (got.n == 0)
			tell_write(r, c, TCP, id, "", 0);
	}
	assert_int_equal(came, sent);
	close(l);
}

static void
too_many(void **state)
{
	struct rig *r = *state;
	size_t c = rig_connect(r);
	uint16_t port;
	int l = listener(SOCK_DGRAM, &port);
	struct pm_DaemonConnectV2 d;
	int ok = 0, number = 0;

	for (int i = 0; i < 2100; i++) {
		ask_connect(r, c, UDP, 1, ip(port));
		d = decided(r, c, UDP);
		if (d.connect.tag == PM_OK)
			ok++;
		else
			number = d.connect.u.Err.u.RemoteIO.raw_os_error.value;
	}
	assert_true(ok > 900 && ok <= 2048);
	assert_int_equal(number, EMFILE);
	close(l);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
	    T(tcp_both_ways),
	    T(own_end_first),
	    T(closed_by_the_client),
	    T(datagrams),
	    T(packets),
	    T(failures),
	    T(old_connects),
	    T(slow_peer),
	    T(late_peer),
	    T(fast_peer),
	    T(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
