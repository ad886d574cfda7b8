/* Every row of the phase table: a phase, an event, what becomes of it. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "tests/unit/workers/own_rig.h"
#include "workers/own/local.h"

#define GONE (-1)

#define I OWN_INITIALIZING
#define P OWN_PENDING
#define R OWN_READY
#define S OWN_STORED
#define T OWN_TERMINATING

/*
 * From a session on two clusters whose children exist and cannot be reached
 * (no cluster worker is attached), so that removals stay pending and a
 * Terminating session stays to be seen.
 */
static const struct {
	enum own_phase from;
	enum own_event ev;
	bool ended, waiter;
	int to;
	int refused; /* code the waiter gets, 0 none */
} rows[] = {
    {I, OWN_EV_OPEN, false, true, I, 0},
    {I, OWN_EV_ASKED, false, true, P, 0},
    {I, OWN_EV_UP, false, true, R, 0},
    {I, OWN_EV_FAIL, false, true, T, 404},
    {I, OWN_EV_DEADLINE, false, true, T, 500},
    {I, OWN_EV_EXPIRE, false, true, T, 500},
    {I, OWN_EV_END, true, true, T, 410},
    {I, OWN_EV_EMPTY, false, true, I, 0},
    {P, OWN_EV_OPEN, false, true, P, 0},
    {P, OWN_EV_ASKED, false, true, P, 0},
    {P, OWN_EV_UP, false, true, R, 0},
    {P, OWN_EV_FAIL, false, true, T, 404},
    {P, OWN_EV_DEADLINE, false, true, T, 500},
    {P, OWN_EV_EXPIRE, false, true, T, 500},
    {P, OWN_EV_END, true, true, T, 410},
    {P, OWN_EV_EMPTY, false, true, P, 0},
    {R, OWN_EV_OPEN, false, false, R, 0},
    {R, OWN_EV_OPEN, false, true, P, 0}, /* the default is not up */
    {R, OWN_EV_ASKED, false, false, R, 0},
    {R, OWN_EV_UP, false, false, R, 0},
    {R, OWN_EV_FAIL, false, false, R, 0},
    {R, OWN_EV_DEADLINE, false, false, R, 0},
    {R, OWN_EV_EXPIRE, false, false, T, 0},
    {R, OWN_EV_END, true, false, T, 0},
    {R, OWN_EV_EMPTY, false, false, R, 0},
    {S, OWN_EV_OPEN, false, true, P, 0},
    {S, OWN_EV_ASKED, false, false, S, 0},
    {S, OWN_EV_UP, false, false, S, 0},
    {S, OWN_EV_FAIL, false, false, S, 0},
    {S, OWN_EV_DEADLINE, false, false, S, 0},
    {S, OWN_EV_EXPIRE, false, false, T, 0},
    {S, OWN_EV_END, true, false, T, 0},
    {S, OWN_EV_EMPTY, false, false, S, 0},
    {T, OWN_EV_OPEN, false, true, P, 0},  /* its TTL ran out: revived */
    {T, OWN_EV_OPEN, true, true, T, 410}, /* it was ended: stays so */
    {T, OWN_EV_ASKED, false, false, T, 0},
    {T, OWN_EV_UP, false, false, T, 0},
    {T, OWN_EV_FAIL, false, false, T, 0},
    {T, OWN_EV_DEADLINE, false, false, T, 0},
    {T, OWN_EV_EXPIRE, false, false, T, 0},
    {T, OWN_EV_END, true, false, T, 0},
    {T, OWN_EV_EMPTY, false, false, GONE, 0},
};

static struct own_session *
make(struct own_rig *t)
{
	struct own_session *s =
	    own_session_new(own_rig_own(t), OWN_PARENT, "mc-1");
	assert_non_null(s);
	s->id = 1;
	assert_int_equal(own_text_set(&s->user, "dev"), 0);
	assert_int_equal(own_text_set(&s->ns, "default"), 0);
	assert_int_equal(own_text_set(&s->alias, "deployment.shop"), 0);
	assert_int_equal(own_text_set(&s->params, "connect=true"), 0);
	assert_int_equal(
	    plat_alias_parse("deployment.shop", &s->target, NULL), 0);
	assert_int_equal(own_session_add_slot(s, "east"), 0);
	assert_int_equal(own_session_add_slot(s, "west"), 0);
	for (int i = 0; i < s->n_slots; i++)
		s->slots[i].state = OWN_SLOT_CREATED;
	s->setup_at_ms = clock_mono_ms();
	own_refuse(&s->failure, 404, "NotFound", "no such target");
	return s;
}

static void
add_waiter(struct own_rig *t, struct own_session *s)
{
	struct own_waiter *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	list_init(&w->node);
	w->fe = worker_peer(&t->r.w, IPC_FE, 0);
	w->request = 5;
	list_push(&s->waiters, &w->node);
}

static void
every_row(void **state)
{
	bool seen[OWN_N_PHASES][OWN_N_EVENTS] = {{false}};
	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct own_rig t;
		own_rig_init(&t, OWN_RIG_HUB);
		rig_detach(t.east);
		rig_detach(t.west);
		rig_settle(&t.r);
		struct own_session *s = make(&t);
		s->phase = rows[i].from;
		s->ended = rows[i].ended;
		strcpy(s->close_reason, rows[i].ended ? "Killed" : "");
		strcpy(s->close_text, rows[i].ended ? "by me" : "");
		if (rows[i].waiter)
			add_waiter(&t, s);
		own_event(s, rows[i].ev);
		rig_settle(&t.r);
		s = own_session_by_name(own_rig_own(&t), "mc-1");
		if ((s == NULL ? GONE : (int)s->phase) != rows[i].to)
			fail_msg("row %zu: phase %d", i,
			    s == NULL ? GONE : (int)s->phase);
		if (rows[i].refused != 0)
			own_rig_expect_refused(
			    &t, t.fe, rows[i].refused, "", "");
		assert_int_equal(rig_count(t.fe, IPC_SESSION_REFUSED), 0);
		/* a removal that has begun is in the store */
		if (rows[i].to == T && rows[i].from != T)
			assert_true(own_rig_record(&t, "mc-1"));
		seen[rows[i].from][rows[i].ev] = true;
		own_rig_deinit(&t);
	}
	for (int p = 0; p < OWN_N_PHASES; p++) {
		for (int e = 0; e < OWN_N_EVENTS; e++)
			assert_true(seen[p][e]);
	}
}

static void
names_of_phases(void **state)
{
	(void)state;
	for (int p = 0; p < OWN_N_PHASES; p++)
		assert_int_equal(
		    own_phase_parse(own_phase_name((enum own_phase)p)), p);
	assert_int_equal(own_phase_parse("ready"), -1);
	assert_int_equal(own_phase_parse(""), -1);
}

int
main(void)
{
	log_init("test", LOG_LV_ERROR);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_row),
	    cmocka_unit_test(names_of_phases),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
