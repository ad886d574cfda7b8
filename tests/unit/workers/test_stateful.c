/* The stateful worker between a frontend and a cluster worker. */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "ipc/stream.h"
#include "tests/unit/workers/rig.h"

#define FIRST IPC_FIRST
#define LAST IPC_LAST
enum { SESSION = 7, STREAM = 0x01000005 };

struct st {
	struct rig r;
	struct rig_peer *own, *fe, *clu;
};

static void
st_init(struct st *t)
{
	rig_init(&t->r, &sf_ops, "{}");
	t->own = rig_attach(&t->r, IPC_OWN, 0, "hub");
	t->fe = rig_attach(&t->r, IPC_FE, 1, "");
	t->clu = rig_attach(&t->r, IPC_CLU, 3, "east");
}

static void
st_grant(struct st *t, uint32_t worker)
{
	struct ipc_grant g = {
	    .session_id = 99, .cluster = "east", .worker = worker};
	struct rig_msg *m;

	rig_send(t->own, IPC_GRANT, 0, SESSION, 0, &g);
	m = rig_expect(t->own, IPC_GRANTED);
	assert_int_equal(m->header.session, SESSION);
	rig_msg_free(&m);
}

static void
st_open(struct st *t)
{
	struct ipc_stream_open o = {.params = {(const uint8_t *)"a=b", 3}};
	struct ipc_stream_opened up = {.version = "1.29.0"};
	struct rig_msg *m;

	rig_send(t->fe, IPC_STREAM_OPEN, 0, SESSION, STREAM, &o);
	m = rig_expect(t->clu, IPC_STREAM_OPEN);
	assert_int_equal(m->header.stream, STREAM);
	assert_non_null(strstr(m->text, "params"));
	rig_msg_free(&m);
	rig_send(t->clu, IPC_STREAM_OPENED, 0, SESSION, STREAM, &up);
	m = rig_expect(t->fe, IPC_STREAM_OPENED);
	assert_non_null(strstr(m->text, "1.29.0"));
	rig_msg_free(&m);
}

static void
send_data(struct rig_peer *p, const char *text, uint16_t flags)
{
	struct ipc_stream_data d = {
	    .data = {(const uint8_t *)text, strlen(text)}};

	rig_send(p, IPC_STREAM_DATA, flags, SESSION, STREAM, &d);
}

static void
expect_data(struct rig_peer *p, const char *text, uint16_t flags)
{
	struct rig_msg *m = rig_expect(p, IPC_STREAM_DATA);

	assert_int_equal(m->data.len, strlen(text));
	assert_memory_equal(buf_data(&m->data), text, strlen(text));
	assert_int_equal(m->header.flags, flags);
	rig_msg_free(&m);
}

static void
passes_messages_both_ways(void **state)
{
	struct st t;

	(void)state;
	st_init(&t);
	st_grant(&t, 3);
	st_open(&t);
	send_data(t.fe, "question", FIRST | LAST);
	expect_data(t.clu, "question", FIRST | LAST);
	send_data(t.clu, "ans", FIRST);
	send_data(t.clu, "wer", LAST);
	expect_data(t.fe, "ans", FIRST);
	expect_data(t.fe, "wer", LAST);
	rig_deinit(&t.r);
}

static void
grants_only_what_the_other_side_took(void **state)
{
	static char block[8192];
	struct st t;
	struct rig_msg *m;
	size_t sent = 0, got = 0;

	(void)state;
	memset(block, 'x', sizeof(block) - 1);
	st_init(&t);
	st_grant(&t, 3);
	st_open(&t);
	/* The cluster's side never grants more than it starts with, so that
	 * the frontend's window must close too. */
	while (sent < IPC_WINDOW_START_BYTES - sizeof(block)) {
		send_data(t.fe, block, FIRST | LAST);
		sent += strlen(block);
		rig_settle(&t.r);
	}
	while (rig_count(t.clu, IPC_STREAM_DATA) > 0) {
		m = rig_expect(t.clu, IPC_STREAM_DATA);
		got += m->data.len;
		rig_msg_free(&m);
	}
	assert_true(got > 0 && got < sent);
	assert_true(got <= IPC_WINDOW_START_BYTES);
	rig_deinit(&t.r);
}

static void
ends_in_order(void **state)
{
	struct ipc_stream_end end = {.code = 0, .text = "left"};
	struct st t;
	struct rig_msg *m;

	(void)state;
	st_init(&t);
	st_grant(&t, 3);
	st_open(&t);
	send_data(t.fe, "last words", FIRST | LAST);
	rig_send(t.fe, IPC_STREAM_END, 0, SESSION, STREAM, &end);
	expect_data(t.clu, "last words", FIRST | LAST);
	m = rig_expect(t.clu, IPC_STREAM_END);
	assert_non_null(strstr(m->text, "left"));
	rig_msg_free(&m);
	rig_deinit(&t.r);
}

static void
a_lost_cluster_worker_ends_the_flow(void **state)
{
	struct st t;

	(void)state;
	st_init(&t);
	st_grant(&t, 3);
	st_open(&t);
	rig_detach(t.clu);
	rig_settle(&t.r);
	assert_true(rig_count(t.fe, IPC_STREAM_RESET) +
			rig_count(t.fe, IPC_STREAM_END) ==
		    1);
	rig_deinit(&t.r);
}

static void
refuses_a_stream_it_has_no_grant_for(void **state)
{
	struct ipc_stream_open o = {0};
	struct st t;
	struct rig_msg *m;

	(void)state;
	st_init(&t);
	rig_send(t.fe, IPC_STREAM_OPEN, 0, SESSION, STREAM, &o);
	m = rig_expect(t.fe, IPC_STREAM_RESET);
	assert_non_null(strstr(m->text, "not known"));
	rig_msg_free(&m);
	assert_false(t.fe->gone);
	rig_deinit(&t.r);
}

static void
refuses_while_the_cluster_worker_is_away(void **state)
{
	struct ipc_stream_open o = {0};
	struct st t;
	struct rig_msg *m;

	(void)state;
	st_init(&t);
	st_grant(&t, 4);
	rig_send(t.fe, IPC_STREAM_OPEN, 0, SESSION, STREAM, &o);
	m = rig_expect(t.fe, IPC_STREAM_RESET);
	assert_non_null(strstr(m->text, "away"));
	rig_msg_free(&m);
	rig_deinit(&t.r);
}

static void
revoke_ends_all_flows(void **state)
{
	struct ipc_revoke rev = {.text = "killed"};
	struct st t;
	struct rig_msg *m;

	(void)state;
	st_init(&t);
	st_grant(&t, 3);
	st_open(&t);
	rig_send(t.own, IPC_REVOKE, 0, SESSION, 0, &rev);
	m = rig_expect(t.fe, IPC_STREAM_END);
	rig_msg_free(&m);
	m = rig_expect(t.clu, IPC_STREAM_END);
	rig_msg_free(&m);
	rig_deinit(&t.r);
}

/* Fills the window towards p until its sender has something waiting. */
static void
stuff(struct st *t, struct rig_peer *from, size_t bytes)
{
	static char block[4097];
	size_t sent = 0;

	memset(block, 'x', sizeof(block) - 1);
	while (sent < bytes) {
		send_data(from, block, FIRST | LAST);
		sent += sizeof(block) - 1;
		rig_settle(&t->r);
	}
}

static size_t
drain_data(struct rig_peer *p)
{
	size_t n = 0;

	while (rig_count(p, IPC_STREAM_DATA) > 0) {
		struct rig_msg *m = rig_expect(p, IPC_STREAM_DATA);

		n += m->data.len;
		rig_msg_free(&m);
	}
	return n;
}

static void
grant_credit(struct rig_peer *p, uint32_t bytes)
{
	struct ipc_stream_credit c = {.bytes = bytes};

	rig_send(p, IPC_STREAM_CREDIT, 0, SESSION, STREAM, &c);
}

/* One side has left while its last words wait for the other; what the other
 * sends meanwhile goes nowhere, and is granted again. */
static void
a_side_that_left_is_sent_nothing(void **state)
{
	static const struct {
		bool up; /* the frontend's side left */
		uint16_t code;
	} rows[] = {{true, 0}, {false, 0}, {false, 502}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct ipc_stream_end end = {
		    .code = rows[i].code, .text = "left"};
		struct st t;
		struct rig_peer *from, *to;
		struct rig_msg *m;
		size_t got;

		st_init(&t);
		st_grant(&t, 3);
		st_open(&t);
		from = rows[i].up ? t.fe : t.clu;
		to = rows[i].up ? t.clu : t.fe;
		stuff(&t, from, 24576);
		rig_send(from, IPC_STREAM_END, 0, SESSION, STREAM, &end);
		rig_settle(&t.r);
		got = drain_data(to);
		assert_true(got < 24576);
		assert_int_equal(rig_count(to, IPC_STREAM_END), 0);
		send_data(to, "to nobody", FIRST | LAST);
		rig_settle(&t.r);
		grant_credit(to, 65536);
		m = rig_expect(to, IPC_STREAM_END);
		assert_non_null(strstr(m->text, "left"));
		assert_non_null(
		    strstr(m->text, rows[i].code == 0 ? "code=0" : "code=502"));
		rig_msg_free(&m);
		assert_int_equal(got + drain_data(to), 24576);
		rig_deinit(&t.r);
	}
}

/* A reset of a stream that is not opened yet must not overtake STREAM_OPEN. */
static void
an_early_loss_follows_the_open(void **state)
{
	struct ipc_stream_open o = {0};
	struct ipc_stream_end end = {.code = 500, .text = "given up"};
	struct st t;
	struct rig_msg *m;

	(void)state;
	st_init(&t);
	st_grant(&t, 3);
	rig_send(t.fe, IPC_STREAM_OPEN, 0, SESSION, STREAM, &o);
	rig_send(t.fe, IPC_STREAM_END, 0, SESSION, STREAM, &end);
	m = rig_expect(t.clu, IPC_STREAM_OPEN);
	rig_msg_free(&m);
	m = rig_expect(t.clu, IPC_STREAM_END);
	assert_non_null(strstr(m->text, "given up"));
	rig_msg_free(&m);
	assert_int_equal(rig_count(t.clu, IPC_STREAM_RESET), 0);
	rig_deinit(&t.r);
}

/* A new controller counts its handles from one again. */
static void
a_lost_controller_takes_its_sessions_along(void **state)
{
	struct ipc_stream_open o = {0};
	struct st t;
	struct rig_msg *m;

	(void)state;
	st_init(&t);
	st_grant(&t, 3);
	st_open(&t);
	rig_detach(t.own);
	m = rig_expect(t.clu, IPC_STREAM_END);
	rig_msg_free(&m);
	m = rig_expect(t.fe, IPC_STREAM_END);
	rig_msg_free(&m);
	rig_send(t.fe, IPC_STREAM_OPEN, 0, SESSION, STREAM + 1, &o);
	m = rig_expect(t.fe, IPC_STREAM_RESET);
	assert_non_null(strstr(m->text, "not known"));
	rig_msg_free(&m);
	rig_deinit(&t.r);
}

static void
the_same_stream_twice_is_refused(void **state)
{
	struct ipc_stream_open o = {0};
	struct st t;
	struct rig_msg *m;

	(void)state;
	st_init(&t);
	st_grant(&t, 3);
	st_open(&t);
	rig_send(t.fe, IPC_STREAM_OPEN, 0, SESSION, STREAM, &o);
	m = rig_expect(t.fe, IPC_STREAM_RESET);
	rig_msg_free(&m);
	rig_settle(&t.r);
	assert_int_equal(rig_count(t.clu, IPC_STREAM_OPEN), 0);
	assert_false(t.fe->gone);
	rig_deinit(&t.r);
}

/* Every rule of a frame that one worker can break towards another. */
static void
a_broken_frame_is_reported_to_the_supervisor(void **state)
{
	static const struct {
		const char *what;
		uint8_t frame[24];
		size_t n;
	} rows[] = {
	    {"unknown type", {0xff, 0x7f}, 16},
	    {"a length over the type's limit",
		{0x03, 0x07, 0, 0, 0xff, 0xff, 0xff, 0x7f}, 16},
	    {"nobody may send it: GRANT of a frontend", {0x01, 0x06}, 16},
	    {"trailing bytes", {0x03, 0x06, 0, 0, 8}, 24},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct rig_peer *sup;
		struct rig_msg *m;
		struct rig r;
		int fd;

		rig_init(&r, &sf_ops, "{}");
		sup = rig_attach(&r, IPC_SUP, 0, "");
		fd = rig_attach_raw(&r, IPC_FE, 4, "");
		assert_int_equal(
		    write(fd, rows[i].frame, rows[i].n), rows[i].n);
		m = rig_expect(sup, IPC_ACCUSE);
		assert_non_null(strstr(m->text, "index=4"));
		rig_msg_free(&m);
		close(fd);
		close(r.raw_ctrl);
		rig_deinit(&r);
	}
}

static void
a_peer_that_just_leaves_is_not_accused(void **state)
{
	struct rig_peer *sup;
	struct rig r;
	int fd;

	(void)state;
	rig_init(&r, &sf_ops, "{}");
	sup = rig_attach(&r, IPC_SUP, 0, "");
	fd = rig_attach_raw(&r, IPC_FE, 4, "");
	close(fd);
	close(r.raw_ctrl);
	rig_settle(&r);
	assert_int_equal(rig_count(sup, IPC_ACCUSE), 0);
	rig_deinit(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(passes_messages_both_ways),
	    cmocka_unit_test(grants_only_what_the_other_side_took),
	    cmocka_unit_test(ends_in_order),
	    cmocka_unit_test(a_lost_cluster_worker_ends_the_flow),
	    cmocka_unit_test(refuses_a_stream_it_has_no_grant_for),
	    cmocka_unit_test(refuses_while_the_cluster_worker_is_away),
	    cmocka_unit_test(revoke_ends_all_flows),
	    cmocka_unit_test(a_broken_frame_is_reported_to_the_supervisor),
	    cmocka_unit_test(a_peer_that_just_leaves_is_not_accused),
	    cmocka_unit_test(a_side_that_left_is_sent_nothing),
	    cmocka_unit_test(an_early_loss_follows_the_open),
	    cmocka_unit_test(a_lost_controller_takes_its_sessions_along),
	    cmocka_unit_test(the_same_stream_twice_is_refused),
	};

	return cmocka_run_group_tests_name("stateful", tests, NULL, NULL);
}
