/* Streams between two peers in one loop: credits, budgets, ends. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/stream.h"
#include "ipc/table.h"
#include "lib/log.h"
#include "tests/unit/unit.h"

enum { N_ENDS_MAX = 64 };

struct end {
	struct side *side;
	struct ipc_stream *s;
	struct ipc_budget budget;
	size_t got, held; /* received; of it not yet passed on */
	uint8_t next;     /* the next byte expected */
	uint8_t fill;     /* the next byte sent */
	size_t sent;
	unsigned firsts, lasts, rooms, opened;
	bool ended;
	uint16_t code;
	char text[64];
	bool keep; /* does not pass on by itself */
	bool free_in_piece;
};

struct side {
	struct ipc_peer *peer;
	enum ipc_phase phase;
	struct ipc_dispatch dispatch;
	struct ipc_handler handlers[16];
	struct end ends[N_ENDS_MAX];
	struct ipc_budget daemon;
	bool accept; /* makes a stream for each STREAM_OPEN */
	bool gone;
	char why[600];
};

static struct ev_loop *loop;
static struct side fe, clu;

static void
on_piece(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	struct end *x = arg;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i], x->next++);
	x->got += n;
	x->held += n;
	x->firsts += first;
	x->lasts += last;
	if (x->free_in_piece) {
		ipc_stream_free(&x->s);
		return;
	}
	if (!x->keep) {
		ipc_stream_consumed(x->s, x->held);
		x->held = 0;
	}
}

static void
on_opened(void *arg, const char *version)
{
	struct end *x = arg;

	x->opened++;
	snprintf(x->text, sizeof(x->text), "%s", version);
}

static void
on_room(void *arg)
{
	((struct end *)arg)->rooms++;
}

static void
on_end(void *arg, uint16_t code, const char *text)
{
	struct end *x = arg;

	assert_false(x->ended);
	x->ended = true;
	x->code = code;
	snprintf(x->text, sizeof(x->text), "%s", text);
	assert_null(ipc_stream_peer(x->s));
	assert_int_equal(ipc_stream_room(x->s), 0);
	ipc_stream_free(&x->s);
}

static const struct ipc_stream_ops ops = {on_piece, on_opened, on_room, on_end};

static struct end *
open_end(struct side *side, uint32_t stream)
{
	struct end *x = &side->ends[stream];

	memset(x, 0, sizeof(*x));
	x->side = side;
	x->budget =
	    (struct ipc_budget){&side->daemon, IPC_SESSION_BUDGET_BYTES, 0};
	x->s = ipc_stream_new(side->peer, 1, stream, &x->budget, &ops, x);
	return x;
}

static int
on_open(void *worker, struct ipc_in *in, struct err *e)
{
	struct side *side = worker;
	(void)e;

	if (side->accept)
		open_end(side, in->header.stream);
	return 0;
}

static int
on_stream(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	return ipc_stream_dispatch(in, e);
}

static int
on_other(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	return ipc_stream_dispatch(in, e); /* a mistake it must survive */
}

static void
on_gone(void *worker, struct ipc_peer *peer, const char *why)
{
	struct side *side = worker;

	(void)peer;
	side->gone = true;
	side->peer = NULL;
	snprintf(side->why, sizeof(side->why), "%s", why);
}

static void
side_init(struct side *s, enum ipc_role self, enum ipc_role other, int d, int c)
{
	static const struct ipc_handler all[] = {{IPC_STREAM_OPEN, on_open},
	    {IPC_STREAM_OPENED, on_stream}, {IPC_STREAM_DATA, on_stream},
	    {IPC_STREAM_END, on_stream}, {IPC_STREAM_CREDIT, on_stream},
	    {IPC_STREAM_RESET, on_stream}, {IPC_CONNECTED, on_other}};
	struct err e;

	memset(s, 0, sizeof(*s));
	memcpy(s->handlers, all, sizeof(all));
	s->phase = IPC_PHASE_RUN;
	s->accept = true;
	s->daemon.limit_bytes = 16 << 20;
	s->dispatch =
	    (struct ipc_dispatch){self, s->handlers, N_OF(all), on_gone};
	s->peer = ipc_peer_new(
	    loop, &s->dispatch, s, &s->phase, other, 0, "", d, c, &e);
	assert_non_null(s->peer);
}

static int
setup(void **state)
{
	int d[2], c[2];

	(void)state;
	log_set_level(LOG_LV_ERROR);
	loop = ev_loop_new();
	if (loop == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, d) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, c) < 0)
		return -1;
	side_init(&fe, IPC_FE, IPC_CLU, d[0], c[0]);
	side_init(&clu, IPC_CLU, IPC_FE, d[1], c[1]);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ENDS_MAX; i++) {
		ipc_stream_free(&fe.ends[i].s);
		ipc_stream_free(&clu.ends[i].s);
	}
	ipc_peer_free(&fe.peer);
	ipc_peer_free(&clu.peer);
	/* Whatever happened, every granted byte was given back. */
	assert_int_equal(fe.daemon.granted_bytes, 0);
	assert_int_equal(clu.daemon.granted_bytes, 0);
	ev_loop_free(&loop);
	return 0;
}

static void
turns(int n)
{
	for (int i = 0; i < n; i++)
		ev_loop_turn(loop, false);
}

/* A frontend's stream and its other end. */
static void
open_pair(uint32_t n, struct end **a, struct end **b)
{
	struct ipc_stream_open m = {{NULL, 0}};

	*a = open_end(&fe, n);
	*b = &clu.ends[n];
	assert_non_null((*a)->s);
	assert_int_equal(
	    ipc_send(fe.peer, IPC_STREAM_OPEN, 0, 1, n, &m, NULL, 0), 0);
	turns(4);
}

/* Sends up to n bytes of the counting pattern; how many went. */
static size_t
pump(struct end *x, size_t n, bool first, bool last)
{
	static uint8_t bytes[IPC_WINDOW_MAX_BYTES];
	size_t room = ipc_stream_room(x->s);

	n = n < room ? n : room;
	for (size_t i = 0; i < n; i++)
		bytes[i] = x->fill++;
	assert_int_equal(ipc_stream_send(x->s, bytes, n, first, last), 0);
	x->sent += n;
	return n;
}

static void
test_start_window(void **state)
{
	struct ipc_stream_opened opened = {"1.29.0"};
	struct end *a, *b;

	(void)state;
	open_pair(1, &a, &b);
	assert_non_null(b->s);
	assert_int_equal(ipc_stream_session(b->s), 1);
	assert_int_equal(ipc_stream_number(b->s), 1);
	/* The accepting side grants the start at once ... */
	assert_int_equal(ipc_stream_window(b->s), IPC_WINDOW_START_BYTES);
	assert_int_equal(ipc_stream_room(a->s), IPC_WINDOW_START_BYTES);
	/* ... which tells the opener that the stream is there. */
	assert_int_equal(ipc_stream_room(b->s), IPC_WINDOW_START_BYTES);
	assert_true(a->rooms > 0);
	ipc_send(clu.peer, IPC_STREAM_OPENED, 0, 1, 1, &opened, NULL, 0);
	turns(4);
	assert_int_equal(a->opened, 1);
	assert_string_equal(a->text, "1.29.0");
	assert_int_equal(fe.daemon.granted_bytes, IPC_WINDOW_START_BYTES);
	/* The pair is taken. */
	assert_null(ipc_stream_new(fe.peer, 1, 1, &a->budget, &ops, a));
}

/* Data sent together with STREAM_OPEN, before any credit could come. */
static void
test_floor_before_open(void **state)
{
	struct ipc_stream_open m = {{NULL, 0}};
	struct end *a = open_end(&fe, 2);

	(void)state;
	ipc_send(fe.peer, IPC_STREAM_OPEN, 0, 1, 2, &m, NULL, 0);
	assert_int_equal(pump(a, 1 << 20, true, true), IPC_WINDOW_FLOOR_BYTES);
	turns(6);
	assert_int_equal(clu.ends[2].got, IPC_WINDOW_FLOOR_BYTES);
	assert_int_equal(clu.ends[2].firsts, 1);
	assert_int_equal(clu.ends[2].lasts, 1);
}

static void
test_no_room(void **state)
{
	uint8_t byte = 0;
	struct end *a, *b;
	unsigned rooms;

	(void)state;
	open_pair(3, &a, &b);
	b->keep = true;
	while (ipc_stream_room(a->s) > 0)
		pump(a, 1000, false, false);
	assert_int_equal(
	    ipc_stream_send(a->s, &byte, 1, true, true), -ERR_TOO_BIG);
	turns(20);
	assert_int_equal(b->got, IPC_WINDOW_START_BYTES);
	assert_int_equal(ipc_stream_room(a->s), 0);
	assert_int_equal(ipc_stream_send(a->s, &byte, 0, true, true), 0);
	rooms = a->rooms;
	/* A little passed on is granted when nothing else is left. */
	ipc_stream_consumed(b->s, 10);
	b->held -= 10;
	turns(4);
	assert_true(ipc_stream_room(a->s) >= 10);
	assert_true(a->rooms > rooms);
	/* More than is held counts as all that is held. */
	ipc_stream_consumed(b->s, 1 << 30);
	b->held = 0;
	turns(4);
	assert_true(ipc_stream_room(a->s) <= ipc_stream_window(b->s));
}

/* A keen reader's window doubles to the maximum and stays there. */
static void
test_growth(void **state)
{
	struct end *a, *b;
	size_t biggest = 0;

	(void)state;
	open_pair(4, &a, &b);
	for (int i = 0; i < 400; i++) {
		while (ipc_stream_room(a->s) > 0)
			pump(a, 65536, false, false);
		turns(4);
		biggest = ipc_stream_window(b->s) > biggest
			      ? ipc_stream_window(b->s)
			      : biggest;
		assert_true(b->budget.granted_bytes <= b->budget.limit_bytes);
	}
	assert_int_equal(biggest, IPC_WINDOW_MAX_BYTES);
	turns(20);
	assert_int_equal(b->got, a->sent);
}

/* Many streams share one budget: starts shrink, the rest is refused. */
static void
test_budget(void **state)
{
	struct ipc_budget small = {NULL, 100 << 10, 0};
	struct ipc_stream *s[N_ENDS_MAX] = {NULL};
	struct end x = {.keep = true};
	size_t n = 0;

	(void)state;
	clu.accept = false;
	for (; n < N_ENDS_MAX; n++) {
		s[n] =
		    ipc_stream_new(fe.peer, 9, (uint32_t)n, &small, &ops, &x);
		if (s[n] == NULL)
			break;
		assert_true(small.granted_bytes <= small.limit_bytes);
	}
	assert_int_equal(n, 25); /* each counts on the floor */
	while (n > 0)
		ipc_stream_free(&s[--n]);
	assert_int_equal(small.granted_bytes, 0);
}

/* When the budget gets tight what had grown is taken back. */
static void
test_shrink(void **state)
{
	struct end *a, *b;

	(void)state;
	open_pair(5, &a, &b);
	for (int i = 0; i < 200; i++) {
		while (ipc_stream_room(a->s) > 0)
			pump(a, 65536, false, false);
		turns(4);
	}
	assert_int_equal(ipc_stream_window(b->s), IPC_WINDOW_MAX_BYTES);
	clu.daemon.limit_bytes = IPC_WINDOW_MAX_BYTES + 100;
	for (int i = 0; i < 100; i++) {
		while (ipc_stream_room(a->s) > 0)
			pump(a, 65536, false, false);
		turns(4);
	}
	assert_true(ipc_stream_window(b->s) < IPC_WINDOW_MAX_BYTES);
	turns(20);
	assert_int_equal(b->got, a->sent);
}

static void
test_ends(void **state)
{
	uint8_t byte = 0;
	struct end *a, *b;

	(void)state;
	/* In order: what was sent before the end arrives before it. */
	open_pair(6, &a, &b);
	pump(a, 5000, true, true);
	assert_int_equal(ipc_stream_end(a->s, 0, "done"), 0);
	ipc_stream_free(&a->s);
	turns(6);
	assert_true(b->ended);
	assert_int_equal(b->got, 5000);
	assert_int_equal(b->code, 0);
	assert_string_equal(b->text, "done");
	/* Reset. */
	open_pair(7, &a, &b);
	assert_int_equal(ipc_stream_reset(b->s, 3, "no"), 0);
	ipc_stream_free(&b->s);
	pump(a, 100, true, true); /* on its way when the reset comes */
	turns(6);
	assert_true(a->ended);
	assert_int_equal(a->code, 3);
	/* Freed inside a piece. */
	open_pair(8, &a, &b);
	b->free_in_piece = true;
	pump(a, 100, true, true);
	turns(6);
	assert_null(b->s);
	assert_int_equal(ipc_stream_send(a->s, &byte, 1, true, true), 0);
	turns(6); /* for a stream that is no more: ignored */
	assert_false(clu.gone);
	assert_false(fe.gone);
}

static void
test_peer_gone(void **state)
{
	uint8_t byte = 0;
	struct end *a[8], *b[8];

	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		open_pair(20 + i, &a[i], &b[i]);
	ipc_peer_end(clu.peer, "crashed");
	assert_int_equal(
	    ipc_stream_send(b[0]->s, &byte, 1, true, true), -ERR_CLOSED);
	turns(4);
	assert_true(clu.gone && fe.gone);
	for (int i = 0; i < 8; i++) {
		assert_true(a[i]->ended && b[i]->ended);
		assert_int_equal(a[i]->code, IPC_END_PEER_GONE);
		assert_string_equal(b[i]->text, "crashed");
	}
}

/* What a broken or hostile peer may try with credits. */
static void
test_breaches(void **state)
{
	struct ipc_stream_credit credit = {IPC_WINDOW_MAX_BYTES};
	struct end *a, *b;

	(void)state;
	open_pair(30, &a, &b);
	ipc_send(clu.peer, IPC_STREAM_CREDIT, 0, 1, 30, &credit, NULL, 0);
	turns(4);
	assert_true(fe.gone);
	assert_non_null(strstr(fe.why, "STREAM_CREDIT of"));
}

static void
test_overrun(void **state)
{
	static uint8_t bytes[60000];
	struct ipc_stream_data data = {{bytes, sizeof(bytes)}};
	struct end *a, *b;

	(void)state;
	open_pair(31, &a, &b);
	ipc_send(fe.peer, IPC_STREAM_DATA, 0, 1, 31, &data, NULL, 0);
	turns(4);
	assert_true(clu.gone);
	assert_non_null(
	    strstr(clu.why, "60000 where 32768 were granted") != NULL
		? ""
		: strstr(clu.why, "STREAM_DATA of"));
	assert_int_equal(b->got, 0);
}

/* Random sends, passes-on and turns; nothing lost, no budget broken. */
static void
history(unsigned seed)
{
	struct end *x[2][6];
	bool both = true;

	for (uint32_t i = 0; i < 6; i++) {
		open_pair(40 + i, &x[0][i], &x[1][i]);
		x[0][i]->keep = x[1][i]->keep = true;
	}
	for (int step = 0; step < 600; step++) {
		struct end *e = x[rand_r(&seed) % 2][rand_r(&seed) % 6];
		size_t n = (size_t)rand_r(&seed) % 90000;

		switch (rand_r(&seed) % 3) {
		case 0:
			pump(e, n, n & 1, n & 2);
			break;
		case 1:
			n = n < e->held ? n : e->held;
			e->held -= n;
			ipc_stream_consumed(e->s, n);
			break;
		default:
			turns(1 + (int)(n % 3));
		}
		assert_true(fe.daemon.granted_bytes <= fe.daemon.limit_bytes);
		assert_true(e->budget.granted_bytes <= e->budget.limit_bytes);
		assert_true(e->held <= ipc_stream_window(e->s));
	}
	for (int i = 0; i < 100 && both; i++) {
		for (int j = 0; j < 12; j++) {
			struct end *e = x[j / 6][j % 6];

			ipc_stream_consumed(e->s, e->held);
			e->held = 0;
		}
		turns(4);
	}
	for (int i = 0; i < 6; i++) {
		assert_int_equal(x[0][i]->sent, x[1][i]->got);
		assert_int_equal(x[1][i]->sent, x[0][i]->got);
		/* Everything passed on: all windows are open again. */
		assert_true(ipc_stream_room(x[0][i]->s) * 4 >=
			    ipc_stream_window(x[1][i]->s) * 3);
		ipc_stream_free(&x[0][i]->s);
		ipc_stream_free(&x[1][i]->s);
	}
}

static void
test_histories(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++)
		history(seed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(test_start_window),
	    T(test_floor_before_open),
	    T(test_no_room),
	    T(test_growth),
	    T(test_budget),
	    T(test_shrink),
	    T(test_ends),
	    T(test_peer_gone),
	    T(test_breaches),
	    T(test_overrun),
	    T(test_histories),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
