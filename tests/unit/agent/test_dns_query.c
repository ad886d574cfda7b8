/* Questions to name servers that live in the same loop and misbehave. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/dns_query.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

enum manner {
	ANSWER,
	SILENT,
	WRONG_ID,   /* then the right one */
	WRONG_NAME, /* then the right one */
	GARBAGE,
	SERVFAIL,
	REFUSED,
	NXDOMAIN,
	TRUNCATED,  /* whole over TCP */
	TCP_CLOSES, /* truncated, and TCP ends early */
	TCP_DRIPS,  /* whole over TCP, byte by byte */
	TCP_LIES,   /* truncated, and another answer over TCP */
};

struct server {
	struct ev_loop *loop;
	enum manner manner;
	int udp, tcp, conn;
	struct ev_io *udp_io, *tcp_io, *conn_io;
	struct sockaddr_in addr;
	unsigned asked;
	uint8_t last; /* of the address that it answers */
	uint8_t reply[600];
	size_t reply_n, reply_at;
};

/* The question with an answer to it behind; n of the reply. */
static size_t
make_reply(struct server *s, const uint8_t *q, size_t n, unsigned flags,
    unsigned rcode, unsigned answers)
{
	static const uint8_t rr[] = {
	    0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0};
	uint8_t *p = s->reply + 2;

	assert_true(n < 500);
	memcpy(p, q, n);
	p[2] = (uint8_t)(0x81 | flags);
	p[3] = (uint8_t)(0x80 | rcode);
	p[7] = (uint8_t)answers;
	if (answers > 0) {
		memcpy(p + n, rr, sizeof(rr));
		p[n + sizeof(rr)] = s->last;
		n += sizeof(rr) + 1;
	}
	s->reply[0] = (uint8_t)(n >> 8);
	s->reply[1] = (uint8_t)n;
	s->reply_n = n + 2;
	s->reply_at = 0;
	return n;
}

static void
on_udp(void *arg, int ready)
{
	struct server *s = arg;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t q[512];
	size_t n;
	ssize_t got =
	    recvfrom(s->udp, q, sizeof(q), 0, (struct sockaddr *)&from, &len);

	(void)ready;
	assert_true(got > 12);
	s->asked++;
	n = make_reply(s, q, (size_t)got, 0, 0, 1);
	switch (s->manner) {
	case SILENT:
		return;
	case WRONG_ID:
		s->reply[2] ^= 0x55;
		s->reply[2 + n - 1] = 66;
		(void)sendto(
		    s->udp, s->reply + 2, n, 0, (struct sockaddr *)&from, len);
		n = make_reply(s, q, (size_t)got, 0, 0, 1);
		break;
	case WRONG_NAME:
		s->reply[2 + 13] ^= 1;
		(void)sendto(
		    s->udp, s->reply + 2, n, 0, (struct sockaddr *)&from, len);
		n = make_reply(s, q, (size_t)got, 0, 0, 1);
		break;
	case GARBAGE:
		n = 20;
		break;
	case SERVFAIL:
		n = make_reply(s, q, (size_t)got, 0, 2, 0);
		break;
	case REFUSED:
		n = make_reply(s, q, (size_t)got, 0, 5, 0);
		break;
	case NXDOMAIN:
		n = make_reply(s, q, (size_t)got, 0, 3, 0);
		break;
	case TRUNCATED:
	case TCP_CLOSES:
	case TCP_DRIPS:
	case TCP_LIES:
		n = make_reply(s, q, (size_t)got, 2, 0, 0);
		break;
	case ANSWER:
		break;
	}
	(void)sendto(s->udp, s->reply + 2, n, 0, (struct sockaddr *)&from, len);
}

static void
end_conn(struct server *s)
{
	ev_io_free(&s->conn_io);
	if (s->conn >= 0)
		close(s->conn);
	s->conn = -1;
}

static void
on_conn(void *arg, int ready)
{
	struct server *s = arg;
	uint8_t q[512];
	ssize_t got;

	if ((ready & EV_WANT_WRITE) != 0) {
		size_t k =
		    s->manner == TCP_DRIPS ? 1 : s->reply_n - s->reply_at;

		got = send(s->conn, s->reply + s->reply_at, k, MSG_NOSIGNAL);
		s->reply_at += got > 0 ? (size_t)got : 0;
		if (got < 0 || s->reply_at == s->reply_n)
			end_conn(s);
		return;
	}
	got = recv(s->conn, q, sizeof(q), 0);
	if (got <= 2 || s->manner == TCP_CLOSES) {
		end_conn(s);
		return;
	}
	assert_int_equal(q[0] << 8 | q[1], got - 2);
	make_reply(s, q + 2, (size_t)got - 2, 0, 0, 1);
	if (s->manner == TCP_LIES)
		s->reply[2] ^= 0x55;
	ev_io_want(s->conn_io, EV_WANT_WRITE);
}

static void
on_tcp(void *arg, int ready)
{
	struct server *s = arg;

	(void)ready;
	end_conn(s);
	s->conn = accept(s->tcp, NULL, NULL);
	s->asked++;
	s->conn_io = ev_io_new(s->loop, s->conn, on_conn, s);
	ev_io_want(s->conn_io, EV_WANT_READ);
}

/* UDP and TCP on one port of loopback. */
static void
server_start(struct server *s, struct ev_loop *loop, enum manner manner)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->manner = manner;
	s->conn = -1;
	s->last = (uint8_t)manner;
	for (int tries = 0; tries < 20; tries++) {
		socklen_t len = sizeof(s->addr);

		s->addr = (struct sockaddr_in){.sin_family = AF_INET,
		    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		s->tcp = socket(AF_INET, SOCK_STREAM, 0);
		s->udp = socket(AF_INET, SOCK_DGRAM, 0);
		assert_int_equal(
		    bind(s->tcp, (struct sockaddr *)&s->addr, len), 0);
		assert_int_equal(listen(s->tcp, 8), 0);
		assert_int_equal(
		    getsockname(s->tcp, (struct sockaddr *)&s->addr, &len), 0);
		if (bind(s->udp, (struct sockaddr *)&s->addr, len) == 0)
			break;
		close(s->tcp);
		close(s->udp);
	}
	s->udp_io = ev_io_new(loop, s->udp, on_udp, s);
	s->tcp_io = ev_io_new(loop, s->tcp, on_tcp, s);
	ev_io_want(s->udp_io, EV_WANT_READ);
	ev_io_want(s->tcp_io, EV_WANT_READ);
}

static void
server_stop(struct server *s)
{
	end_conn(s);
	ev_io_free(&s->udp_io);
	ev_io_free(&s->tcp_io);
	close(s->udp);
	close(s->tcp);
}

struct asker {
	struct dns_query *q;
	bool over, free_inside;
	int rc;
	unsigned rcode;
	size_t count;
	uint8_t last;
};

static void
on_answer(void *arg, int rc, const struct dns_answer *a)
{
	struct asker *k = arg;

	assert_false(k->over);
	k->over = true;
	k->rc = rc;
	assert_int_equal(rc == 0, a != NULL);
	if (a != NULL) {
		k->rcode = a->rcode;
		k->count = a->count;
		k->last = a->count > 0 ? a->records[0].addr.a[3] : 0;
	}
	if (k->free_inside)
		dns_query_free(&k->q);
}

static void
ask(struct ev_loop *loop, const struct dns_conf *conf, struct asker *k)
{
	uint64_t end = clock_mono_ms() + 8000;

	k->q = dns_query_new(loop, conf, "a.test.", DNS_TYPE_A, on_answer, k);
	assert_non_null(k->q);
	assert_false(k->over); /* never from inside */
	while (!k->over) {
		assert_true(clock_mono_ms() < end);
		ev_loop_turn(loop, true);
	}
	dns_query_free(&k->q);
	assert_null(k->q);
}

struct row {
	enum manner servers[3]; /* then SILENT-terminated by n */
	size_t n;
	int rc;
	unsigned rcode;
	size_t count;
	unsigned asked; /* in all */
};

static void
run_row(const struct row *row, bool use_tcp, bool free_inside)
{
	struct ev_loop *loop = ev_loop_new();
	struct asker k = {.free_inside = free_inside};
	struct server s[3];
	struct dns_conf conf = {.attempts = 2,
	    .timeout_ms = 60,
	    .server_count = row->n,
	    .use_tcp = use_tcp};
	unsigned asked = 0;

	for (size_t i = 0; i < row->n; i++) {
		server_start(&s[i], loop, row->servers[i]);
		memcpy(&conf.servers[i], &s[i].addr, sizeof(s[i].addr));
	}
	ask(loop, &conf, &k);
	assert_int_equal(k.rc, row->rc);
	assert_int_equal(k.rcode, row->rcode);
	assert_int_equal(k.count, row->count);
	for (size_t i = 0; i < row->n; i++) {
		asked += s[i].asked;
		server_stop(&s[i]);
	}
	if (row->asked > 0)
		assert_int_equal(asked, row->asked);
	ev_loop_free(&loop);
}

static void
manners(void **state)
{
	static const struct row rows[] = {
	    {{ANSWER}, 1, 0, 0, 1, 1},
	    {{WRONG_ID}, 1, 0, 0, 1, 1},
	    {{WRONG_NAME}, 1, 0, 0, 1, 1},
	    {{NXDOMAIN, ANSWER}, 2, 0, 3, 0, 1}, /* it knows that */
	    {{SILENT, ANSWER}, 2, 0, 0, 1, 2},
	    {{GARBAGE, ANSWER}, 2, 0, 0, 1, 2},
	    {{SERVFAIL, ANSWER}, 2, 0, 0, 1, 2},
	    {{REFUSED, SERVFAIL, ANSWER}, 3, 0, 0, 1, 3},
	    {{TRUNCATED}, 1, 0, 0, 1, 2},
	    {{TCP_DRIPS}, 1, 0, 0, 1, 2},
	    {{TCP_CLOSES, ANSWER}, 2, 0, 0, 1, 3},
	    {{TCP_LIES, ANSWER}, 2, 0, 0, 1, 3},
	    /* all attempts with all servers, and what is said then */
	    {{SILENT}, 1, -ERR_TIMEOUT, 0, 0, 2},
	    {{SILENT, SILENT}, 2, -ERR_TIMEOUT, 0, 0, 4},
	    {{GARBAGE}, 1, -ERR_INVALID, 0, 0, 2},
	    {{GARBAGE, SILENT}, 2, -ERR_TIMEOUT, 0, 0, 4},
	    {{SERVFAIL}, 1, 0, 2, 0, 2},
	    {{SERVFAIL, SILENT}, 2, 0, 2, 0, 4},
	    {{REFUSED}, 1, 0, 5, 0, 2},
	    {{TCP_CLOSES}, 1, -ERR_INVALID, 0, 0, 4},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		run_row(&rows[i], false, i % 2 == 0);
}

static void
over_tcp_only(void **state)
{
	static const struct row rows[] = {
	    {{ANSWER}, 1, 0, 0, 1, 1},
	    {{TCP_DRIPS}, 1, 0, 0, 1, 1},
	    {{TCP_CLOSES, ANSWER}, 2, 0, 0, 1, 2},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		run_row(&rows[i], true, true);
}

static void
nobody_there(void **state)
{
	struct ev_loop *loop = ev_loop_new();
	struct dns_conf conf = {
	    .attempts = 5, .timeout_ms = 5000, .server_count = 2};
	struct asker k = {0};
	struct server s;
	uint64_t start = clock_mono_ms();

	(void)state;
	server_start(&s, loop, ANSWER);
	memcpy(&conf.servers[0], &s.addr, sizeof(s.addr));
	memcpy(&conf.servers[1], &s.addr, sizeof(s.addr));
	server_stop(&s);
	ask(loop, &conf, &k);
	assert_int_equal(k.rc, -ERR_CLOSED);
	assert_true(clock_mono_ms() - start < 1000); /* at once */
	ev_loop_free(&loop);
}

static void
wrong_names(void **state)
{
	static const char *const names[] = {"", "a..b.", ".a."};
	struct ev_loop *loop = ev_loop_new();
	struct dns_conf conf;
	char longest[DNS_NAME_MAX + 3];

	(void)state;
	dns_conf_parse(&conf, "", 0);
	for (size_t i = 0; i < N_OF(names); i++) {
		struct asker k = {0};

		k.q = dns_query_new(
		    loop, &conf, names[i], DNS_TYPE_A, on_answer, &k);
		assert_non_null(k.q);
		ev_loop_turn(loop, true);
		assert_true(k.over);
		assert_int_equal(k.rc, -ERR_INVALID);
		dns_query_free(&k.q);
	}
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_null(
	    dns_query_new(loop, &conf, longest, DNS_TYPE_A, on_answer, NULL));
	ev_loop_free(&loop);
}

static void
given_up(void **state)
{
	struct ev_loop *loop = ev_loop_new();
	struct dns_conf conf = {
	    .attempts = 2, .timeout_ms = 5000, .server_count = 1};
	struct asker k = {0};
	struct server s;

	(void)state;
	server_start(&s, loop, SILENT);
	memcpy(&conf.servers[0], &s.addr, sizeof(s.addr));
	k.q = dns_query_new(loop, &conf, "a.test.", DNS_TYPE_A, on_answer, &k);
	dns_query_free(&k.q); /* before it starts */
	k.q = dns_query_new(loop, &conf, "a.test.", DNS_TYPE_A, on_answer, &k);
	while (s.asked == 0)
		ev_loop_turn(loop, true);
	dns_query_free(&k.q); /* while it waits */
	dns_query_free(&k.q);
	ev_loop_turn(loop, false);
	assert_false(k.over);
	server_stop(&s);
	ev_loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(manners),
	    cmocka_unit_test(over_tcp_only),
	    cmocka_unit_test(nobody_there),
	    cmocka_unit_test(wrong_names),
	    cmocka_unit_test(given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
