/*
 * ipc_pieces: what waits keeps its bytes, its order and its boundaries, costs
 * no more than its payload, and goes out as far as there is room.
 */
#include "config.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ipc/pieces.h"

enum { SESSION = 3, STREAM = 9 };

/* ---- the queue alone */

struct piece {
	size_t n;
	bool first, last;
};

static void
push_all(struct ipc_pieces *q, const struct piece *p, size_t count)
{
	static uint8_t bytes[1 << 20];

	for (size_t i = 0; i < count; i++)
		assert_int_equal(
		    ipc_pieces_push(q, bytes, p[i].n, p[i].first, p[i].last),
		    0);
}

static void
joins_pieces_of_one_message_only(void **state)
{
	static const struct {
		const char *name;
		struct piece in[4];
		size_t n_in;
		struct piece out[4];
		size_t n_out;
	} rows[] = {
	    {"a whole message", {{5, true, true}}, 1, {{5, true, true}}, 1},
	    {"two messages stay two", {{5, true, true}, {6, true, true}}, 2,
		{{5, true, true}, {6, true, true}}, 2},
	    {"pieces become one",
		{{1, true, false}, {1, false, false}, {1, false, true}}, 3,
		{{3, true, true}}, 1},
	    {"an empty last piece joins", {{4, true, false}, {0, false, true}},
		2, {{4, true, true}}, 1},
	    {"an empty message stays", {{0, true, true}, {2, true, true}}, 2,
		{{0, true, true}, {2, true, true}}, 2},
	    {"a rest without its beginning", {{3, false, true}}, 1,
		{{3, false, true}}, 1},
	    {"large ones don't join",
		{{16384, true, false}, {1, false, false}, {2, false, true}}, 3,
		{{16384, true, false}, {3, false, true}}, 2},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct ipc_pieces q;
		struct span s;
		bool first, last;

		ipc_pieces_init(&q, 1 << 20);
		assert_true(ipc_pieces_empty(&q));
		push_all(&q, rows[i].in, rows[i].n_in);
		for (size_t k = 0; k < rows[i].n_out; k++) {
			if (!ipc_pieces_front(&q, &s, &first, &last) ||
			    s.n != rows[i].out[k].n ||
			    first != rows[i].out[k].first ||
			    last != rows[i].out[k].last)
				fail_msg("%s: piece %zu", rows[i].name, k);
			ipc_pieces_pop(&q, s.n);
		}
		assert_true(ipc_pieces_empty(&q));
		assert_int_equal(q.payload_bytes, 0);
		assert_false(ipc_pieces_front(&q, &s, &first, &last));
		ipc_pieces_free(&q);
	}
}

/* A piece taken in parts; what comes meanwhile joins its rest. */
static void
pops_parts(void **state)
{
	struct ipc_pieces q;
	struct span s;
	bool first, last;

	(void)state;
	ipc_pieces_init(&q, 1024);
	assert_int_equal(
	    ipc_pieces_push(&q, (const uint8_t *)"abcdef", 6, true, false), 0);
	ipc_pieces_pop(&q, 0); /* nothing was taken: nothing goes */
	assert_true(ipc_pieces_front(&q, &s, &first, &last));
	assert_true(first && !last && s.n == 6);
	ipc_pieces_pop(&q, 2);
	assert_true(ipc_pieces_front(&q, &s, &first, &last));
	assert_true(!first && !last && s.n == 4);
	assert_memory_equal(s.p, "cdef", 4);
	assert_int_equal(
	    ipc_pieces_push(&q, (const uint8_t *)"gh", 2, false, true), 0);
	assert_true(ipc_pieces_front(&q, &s, &first, &last));
	assert_true(!first && last && s.n == 6);
	assert_memory_equal(s.p, "cdefgh", 6);
	assert_int_equal(q.payload_bytes, 6);
	ipc_pieces_pop(&q, 6);
	assert_true(ipc_pieces_empty(&q));
	ipc_pieces_free(&q);
}

static void
is_bounded(void **state)
{
	static const struct {
		const char *name;
		struct piece p;
		size_t least, most; /* pieces that fit */
	} rows[] = {
	    {"empty messages", {0, true, true}, 100, 100000},
	    {"one byte messages", {1, true, true}, 2048, 100000},
	    {"large messages", {1000, true, true}, 4, 13},
	    {"one message in small pieces", {1, false, false}, 4096, 20000},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct ipc_pieces q;
		size_t n = 0;

		ipc_pieces_init(&q, 4096);
		while (n <= rows[i].most &&
		       ipc_pieces_push(&q, (const uint8_t[1000]){0},
			   rows[i].p.n, rows[i].p.first, rows[i].p.last) == 0)
			n++;
		if (n < rows[i].least || n > rows[i].most)
			fail_msg("%s: %zu fit", rows[i].name, n);
		ipc_pieces_free(&q);
	}
}

/* ---- with a stream: the frontend's end is under test, the other is played */

struct duo {
	struct ev_loop *loop;
	struct ipc_peer *peer[2];
	struct ipc_stream *out, *in;
	struct ipc_budget budget;
	struct buf got;
	size_t messages;
	bool open; /* within a message */
	bool hold; /* the reader grants nothing */
};

static int
ignore(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	return ipc_stream_dispatch(in, e);
}

static const struct ipc_handler handlers[] = {
#define IPC_MSG(NAME, ...) {IPC_##NAME, ignore},
#include "ipc/messages.def"
#undef IPC_MSG
};

static void
gone(void *worker, struct ipc_peer *peer, const char *why)
{
	(void)worker;
	(void)peer;
	fail_msg("a peer broke the contract: %s", why);
}

static void
duo_piece(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	struct duo *d = arg;

	assert_int_equal(first, !d->open);
	d->open = !last;
	d->messages += last;
	assert_int_equal(buf_append(&d->got, p, n), 0);
	if (!d->hold)
		ipc_stream_consumed(d->in, n);
}

static void
duo_end(void *arg, uint16_t code, const char *text)
{
	(void)arg;
	(void)code;
	(void)text;
}

static void
duo_init(struct duo *d)
{
	static const struct ipc_stream_ops ops = {
	    .on_piece = duo_piece, .on_end = duo_end};
	static const enum ipc_phase phase = IPC_PHASE_RUN;
	static const struct ipc_dispatch side[2] = {
	    {IPC_FE, handlers, N_OF(handlers), gone},
	    {IPC_CLU, handlers, N_OF(handlers), gone}};
	int data[2], ctrl[2];
	struct err e;

	memset(d, 0, sizeof(*d));
	buf_init(&d->got, 0);
	d->budget.limit_bytes = 1 << 20;
	d->loop = ev_loop_new();
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, data), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ctrl), 0);
	for (int i = 0; i < 2; i++) {
		d->peer[i] = ipc_peer_new(d->loop, &side[i], d, &phase,
		    i == 0 ? IPC_CLU : IPC_FE, 0, "", data[i], ctrl[i], &e);
		assert_non_null(d->peer[i]);
	}
	d->out =
	    ipc_stream_new(d->peer[0], SESSION, STREAM, &d->budget, &ops, d);
	d->in =
	    ipc_stream_new(d->peer[1], SESSION, STREAM, &d->budget, &ops, d);
	assert_non_null(d->out);
	assert_non_null(d->in);
}

static void
duo_turn(struct duo *d)
{
	for (int i = 0; i < 20; i++)
		ev_loop_turn(d->loop, false);
}

static void
duo_deinit(struct duo *d)
{
	ipc_stream_free(&d->out);
	ipc_stream_free(&d->in);
	ipc_peer_free(&d->peer[0]);
	ipc_peer_free(&d->peer[1]);
	ev_loop_free(&d->loop);
	buf_free(&d->got);
}

static uint8_t
pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

/* Whatever the sizes: all comes out, in order, with its boundaries. */
static void
sends_all_in_order(void **state)
{
	static const size_t sizes[] = {
	    1, 0, 4095, 4096, 4097, 70000, 0, 300000};
	static const size_t cuts[] = {1000, 4096, 65536, 400000};
	static uint8_t bytes[300000];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = pattern(i);
	for (size_t c = 0; c < N_OF(cuts); c++) {
		struct duo d;
		struct ipc_pieces q;
		size_t at = 0;

		duo_init(&d);
		ipc_pieces_init(&q, 1 << 20);
		for (size_t i = 0; i < N_OF(sizes); i++) {
			size_t done = 0, n;

			do {
				n = sizes[i] - done < cuts[c] ? sizes[i] - done
							      : cuts[c];
				assert_true(
				    ipc_pieces_send(&q, d.out, bytes + done, n,
					done == 0, done + n == sizes[i]) >= 0);
				done += n;
			} while (done < sizes[i]);
			for (int t = 0; !ipc_pieces_empty(&q); t++) {
				assert_true(t < 1000);
				duo_turn(&d);
				assert_true(ipc_pieces_flush(&q, d.out) >= 0);
			}
			duo_turn(&d);
			assert_int_equal(d.messages, i + 1);
			assert_int_equal(d.got.len - at, sizes[i]);
			assert_memory_equal(
			    buf_data(&d.got) + at, bytes, sizes[i]);
			at = d.got.len;
		}
		ipc_pieces_free(&q);
		duo_deinit(&d);
	}
}

/* A reader that takes nothing gets one window, then the queue its bound. */
static void
stops_at_the_window(void **state)
{
	static uint8_t block[4096];
	struct duo d;
	struct ipc_pieces q;
	ssize_t rc = 0;
	size_t sent = 0, n = 0;

	(void)state;
	duo_init(&d);
	d.hold = true;
	ipc_pieces_init(&q, 65536);
	while (rc >= 0 && n++ < 1000) {
		rc = ipc_pieces_send(
		    &q, d.out, block, sizeof(block), true, true);
		sent += rc > 0 ? (size_t)rc : 0;
		duo_turn(&d);
	}
	assert_int_equal(rc, -ERR_TOO_BIG);
	assert_true(sent <= IPC_WINDOW_START_BYTES);
	assert_true(q.payload_bytes >= 65536);
	assert_true(q.payload_bytes <= 2 * 65536 + 4096);
	ipc_pieces_free(&q);
	duo_deinit(&d);
}

static void
a_dead_stream_sends_nothing(void **state)
{
	struct duo d;
	struct ipc_pieces q;
	ssize_t rc;

	(void)state;
	duo_init(&d);
	ipc_pieces_init(&q, 65536);
	ipc_stream_end(d.in, 0, "bye");
	duo_turn(&d);
	rc = ipc_pieces_send(&q, d.out, (const uint8_t *)"x", 1, true, true);
	assert_int_equal(rc, 0); /* no room: it waits */
	assert_int_equal(ipc_pieces_flush(&q, d.out), 0);
	rc = ipc_pieces_send(&q, d.out, NULL, 0, true, true);
	assert_true(rc <= 0);
	ipc_pieces_free(&q);
	duo_deinit(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(joins_pieces_of_one_message_only),
	    cmocka_unit_test(pops_parts),
	    cmocka_unit_test(is_bounded),
	    cmocka_unit_test(sends_all_in_order),
	    cmocka_unit_test(stops_at_the_window),
	    cmocka_unit_test(a_dead_stream_sends_nothing),
	};

	return cmocka_run_group_tests_name("pieces", tests, NULL, NULL);
}
