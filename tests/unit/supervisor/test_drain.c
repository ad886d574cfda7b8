/*
 * The orderly end: who is asked when, what happens to those that are late;
 * and slots from start to exit: back-off, kills, lost channels.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "supervisor/agents.h"
#include "tests/unit/supervisor/sup_rig.h"
#include "workers/worker.h"

static const char config[] =
    "instance: unit\n"
    "listen: [\"127.0.0.1:28999\"]\n"
    "runDir: %s/run\n"
    "stateDir: %s/state\n"
    "resolver: {resolvConf: %s/r, hosts: %s/h}\n"
    "workerUids: {first: 65300, count: 12}\n"
    "multiCluster: {clusterName: hub, defaultCluster: hub}\n"
    "clusters:\n"
    "  - {name: east, server: \"https://127.0.0.1:9\", authType: mtls}\n";

static struct sup_rig rig;
static struct sup_mate *fe, *sf, *clu, *own, *con, *sec;

static int
setup(void **state)
{
	(void)state;
	sup_rig_init(&rig, config);
	fe = sup_rig_mate(&rig, IPC_FE, 0, "", SUP_UP);
	sf = sup_rig_mate(&rig, IPC_SF, 0, "", SUP_UP);
	clu = sup_rig_mate(&rig, IPC_CLU, 0, "east", SUP_UP);
	own = sup_rig_mate(&rig, IPC_OWN, 0, "hub", SUP_UP);
	con = sup_rig_mate(&rig, IPC_CON, 0, "", SUP_UP);
	sec = sup_rig_mate(&rig, IPC_SEC, 0, "", SUP_UP);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sup_rig_deinit(&rig);
	return 0;
}

/* Exactly these roles were told to drain, once each. */
static void
assert_drained(unsigned roles)
{
	struct sup_mate *const all[] = {fe, sf, clu, own, con, sec};

	for (size_t i = 0; i < N_OF(all); i++) {
		unsigned want = (roles >> all[i]->w->role) & 1;

		if (sup_rig_heard(all[i], "DRAIN ") != want)
			fail_msg("%s, want %u", ipc_role_name(all[i]->w->role),
			    want);
	}
}

static void
test_stages(void **state)
{
	unsigned told = 1U << IPC_FE;

	(void)state;
	sup_drain(&rig.s);
	assert_int_equal(rig.s.phase, IPC_PHASE_DRAIN);
	assert_drained(told);
	sup_rig_die(fe);
	told |= 1U << IPC_SF | 1U << IPC_CLU;
	assert_drained(told);
	/* Both of a stage must be gone. */
	sup_rig_die(clu);
	assert_drained(told);
	sup_rig_die(sf);
	told |= 1U << IPC_OWN;
	assert_drained(told);
	sup_rig_die(own);
	told |= 1U << IPC_CON | 1U << IPC_SEC;
	assert_drained(told);
	/* None of them is started again. */
	assert_int_equal(fe->w->state, SUP_DOWN);
	assert_false(ev_timer_armed(fe->w->timer));
	sup_worker_start(fe->w);
	assert_int_equal(fe->w->state, SUP_DOWN);
	kill(sec->pid, SIGKILL);
	kill(con->pid, SIGKILL);
	sup_rig_run(&rig); /* the loop ends with the last */
	assert_int_equal(con->w->pid, 0);
	assert_int_equal(sec->w->pid, 0);
}

/* One that dies out of turn does not end the stage before. */
static void
test_out_of_turn(void **state)
{
	(void)state;
	sup_drain(&rig.s);
	sup_rig_die(own);
	sup_rig_die(con);
	assert_int_equal(sup_rig_heard(sf, "DRAIN "), 0);
	assert_int_equal(sup_rig_heard(sec, "DRAIN "), 0);
	sup_rig_die(fe);
	assert_int_equal(sup_rig_heard(sf, "DRAIN "), 1);
	sup_rig_die(sf);
	sup_rig_die(clu);
	/* The stage of the own worker is over before it began. */
	assert_int_equal(sup_rig_heard(sec, "DRAIN "), 1);
}

/* Not ready yet: killed in its turn, not asked. */
static void
test_starting(void **state)
{
	(void)state;
	sf->w->state = SUP_STARTING;
	sup_drain(&rig.s);
	assert_int_equal(sf->w->state, SUP_STARTING);
	sup_rig_die(fe);
	sup_rig_settle(&rig);
	assert_int_equal(sup_rig_heard(sf, "DRAIN "), 0);
	sup_rig_die(clu);
	sup_rig_gone(sf);
	assert_true(sup_rig_logged(&rig, "was killed: the daemon ends"));
	assert_int_equal(sup_rig_heard(own, "DRAIN "), 1);
}

/* The second SIGTERM kills whoever is left, in no order. */
static void
test_twice(void **state)
{
	(void)state;
	sup_drain(&rig.s);
	sup_drain(&rig.s);
	sup_rig_run(&rig);
	for (struct list *n = rig.mates.next; n != &rig.mates; n = n->next) {
		struct sup_mate *m = LIST_ENTRY(n, struct sup_mate, node);

		assert_int_equal(m->w->pid, 0);
	}
	assert_true(sup_rig_logged(&rig, "asked to end again"));
	assert_true(sup_rig_logged(&rig, "was killed: it did not end in time"));
}

/* Nobody there: it is over at once. */
static void
test_empty(void **state)
{
	struct sup_mate *const all[] = {fe, sf, clu, own, con, sec};

	(void)state;
	for (size_t i = 0; i < N_OF(all); i++)
		sup_rig_die(all[i]);
	sup_drain(&rig.s);
	assert_int_equal(rig.s.drain_stage, 4);
}

/* How long a worker waits for its next start. */
static void
test_backoff(void **state)
{
	static const unsigned waits[] = {
	    1000, 2000, 4000, 8000, 16000, 30000, 30000};
	struct sup_worker *w = con->w;

	(void)state;
	sup_rig_die(con);
	for (size_t i = 0; i < N_OF(waits); i++) {
		assert_int_equal(w->backoff_ms, waits[i]);
		assert_int_equal(w->state, SUP_DOWN);
		assert_true(ev_timer_armed(w->timer));
		w->started_ms = clock_mono_ms();
		sup_worker_died(w, 0);
	}
	/* Up long enough: anew. */
	w->started_ms = clock_mono_ms() - SUP_BACKOFF_RESET_MS;
	sup_worker_died(w, 0);
	assert_int_equal(w->backoff_ms, SUP_BACKOFF_FIRST_MS);
}

static bool
con_is_up(void *arg)
{
	(void)arg;
	return con->w->state == SUP_UP && con->w->pid > 0;
}

/* Started again by its timer: a real worker that joins its mates. */
static void
test_started_again(void **state)
{
	(void)state;
	sup_rig_die(con);
	assert_int_equal(sup_rig_heard(sec, "DETACH role=4 index=0"), 1);
	assert_int_equal(sup_rig_heard(fe, "DETACH"), 0); /* no mate */
	ev_timer_set(con->w->timer, 0);
	sup_rig_until(&rig, con_is_up, NULL);
	assert_int_equal(sup_rig_heard(sec, "ATTACH role=4 index=0"), 1);
	assert_int_equal(sup_rig_heard(own, "ATTACH role=4 index=0"), 1);
	assert_int_equal(sup_rig_heard(fe, "ATTACH"), 0);
	sup_worker_remove(con->w); /* a real one hears DRAIN and ends */
	sup_rig_settle(&rig);
}

/* What the log says of a death, by its cause. */
static void
test_deaths(void **state)
{
	static const struct {
		int status; /* as of waitpid */
		const char *why, *text;
	} rows[] = {
	    {0, "", "died with exit status 0"},
	    {7 << 8, "", "died with exit status 7"},
	    {SIGSEGV, "", "died of signal 11"},
	    {SIGSYS, "", "its sandbox forbids"},
	    {SIGKILL, "it hangs", "was killed: it hangs"},
	    {7 << 8, "it lied", "was killed: it lied"},
	};

	(void)state;
	sup_rig_die(con);
	for (size_t i = 0; i < N_OF(rows); i++) {
		buf_clear(&rig.log);
		snprintf(con->w->why, sizeof(con->w->why), "%s", rows[i].why);
		sup_worker_died(con->w, rows[i].status);
		if (!sup_rig_logged(&rig, rows[i].text))
			fail_msg("%s: %s", rows[i].text, buf_cstr(&rig.log));
	}
}

/* Its channel ends before its process: a while, then it is killed. */
static void
test_lost(void **state)
{
	(void)state;
	sup_worker_lost(sf->w);
	assert_int_equal(sf->w->state, SUP_ENDING);
	assert_true(ev_timer_armed(sf->w->timer));
	assert_int_equal(sup_rig_heard(own, "DETACH role=2 index=0"), 1);
	sup_worker_lost(sf->w); /* again: nothing more */
	assert_int_equal(sup_rig_heard(own, "DETACH role=2 index=0"), 1);
	ev_timer_set(sf->w->timer, 0);
	sup_rig_gone(sf);
	assert_true(sup_rig_logged(&rig, "was killed: it did not end") ||
		    sup_rig_logged(&rig, "was killed: it closed"));
	/* Without a process there is nothing to lose or kill. */
	sup_worker_lost(sf->w);
	sup_worker_kill(sf->w, "again");
	assert_int_equal(sf->w->state, SUP_DOWN);
}

/* READY does not come. */
static void
test_never_ready(void **state)
{
	(void)state;
	sf->w->state = SUP_STARTING;
	sf->w->joined = false;
	ev_timer_set(sf->w->timer, 0);
	sup_rig_gone(sf);
	assert_true(sup_rig_logged(&rig, "it did not get ready in time"));
	assert_int_equal(sup_rig_heard(own, "DETACH"), 0); /* never joined */
}

#define EACH(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    EACH(test_stages),
	    EACH(test_out_of_turn),
	    EACH(test_starting),
	    EACH(test_twice),
	    EACH(test_empty),
	    EACH(test_backoff),
	    EACH(test_started_again),
	    EACH(test_deaths),
	    EACH(test_lost),
	    EACH(test_never_ready),
	};

	if (argc == 3 && strcmp(argv[1], "--worker") == 0)
		return worker_main(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
