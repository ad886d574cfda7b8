/*
 * SIGHUP: a configuration with errors changes nothing; clusters come, change
 * and go; everybody who runs hears its own part. New clusters get a real
 * worker: this program is executed again as one.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/agents.h"
#include "supervisor/replicas.h"
#include "tests/unit/supervisor/sup_rig.h"
#include "workers/worker.h"

#define HEAD                              \
	"instance: unit\n"                \
	"listen: [\"127.0.0.1:28999\"]\n" \
	"runDir: %s/run\n"                \
	"stateDir: %s/state\n"            \
	"logLevel: info\n"                \
	"resolver: {resolvConf: %s/r, hosts: %s/h}\n"
#define UIDS "workerUids: {first: 65300, count: 9}\n"
#define MULTI "multiCluster: {clusterName: hub, defaultCluster: hub}\n"
#define EAST \
	"  - {name: east, server: \"https://127.0.0.1:9\", authType: mtls}\n"
#define WEST \
	"  - {name: west, server: \"https://127.0.0.1:9\", authType: mtls}\n"

static const char one[] = HEAD UIDS MULTI "clusters:\n" EAST;
static const char two[] = HEAD UIDS MULTI "clusters:\n" EAST WEST;
static const char none[] = HEAD UIDS MULTI "clusters: []\n";

static struct sup_rig rig;
static struct sup_mate *fe, *own, *east;

static int
setup(void **state)
{
	(void)state;
	sup_rig_init(&rig, one);
	fe = sup_rig_mate(&rig, IPC_FE, 0, "", SUP_UP);
	own = sup_rig_mate(&rig, IPC_OWN, 0, "hub", SUP_UP);
	east = sup_rig_mate(&rig, IPC_CLU, 0, "east", SUP_UP);
	sup_agents_owner_ready(rig.s.agents, own->w->peer);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sup_rig_deinit(&rig);
	return 0;
}

static void
reload(const char *config)
{
	sup_rig_config(&rig, config);
	sup_reload(&rig.s);
	sup_rig_settle(&rig);
}

static bool
has(struct buf *b, const char *text)
{
	return strstr(buf_cstr(b), text) != NULL;
}

/* Whatever is wrong, the old one stays and nobody hears of it. */
static void
test_bad_files(void **state)
{
	static const char *const rows[] = {
	    "- a list\n",
	    "instance: [\n",
	    "instance: unit\ninstance: unit\n",
	    "\tinstance: unit\n",
	    "listen: nowhere\n",
	    "logLevel: loud\n",
	    "frontends: 0\n",
	    HEAD UIDS MULTI "clusters:\n" EAST EAST,
	    HEAD UIDS "clusters:\n" EAST,
	    HEAD UIDS MULTI "clusters:\n  - {name: east, authType: mtls}\n",
	    HEAD UIDS MULTI "clusters:\n  - {name: ../x, server: "
			    "\"https://a\", authType: mtls}\n",
	    HEAD "workerUids: {first: 0, count: 9}\n",
	};
	const struct cfg *before = rig.s.cfg;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		buf_clear(&rig.log);
		reload(rows[i]);
		if (rig.s.cfg != before)
			fail_msg("taken: %s", rows[i]);
		assert_true(sup_rig_logged(&rig, "c.yaml:"));
		assert_true(sup_rig_logged(&rig, "the old one stays"));
	}
	sup_rig_put(&rig, "c.yaml", "\0\xff\xfe", 3);
	sup_reload(&rig.s);
	assert_int_equal(unlink(rig.s.opt.config_path), 0);
	sup_reload(&rig.s);
	assert_ptr_equal(rig.s.cfg, before);
	assert_int_equal(sup_rig_heard(fe, "RELOAD"), 0);
	assert_int_equal(sup_rig_heard(east, "RELOAD"), 0);
	assert_int_equal(sup_rig_heard(east, "DRAIN"), 0);
	assert_int_equal(east->w->state, SUP_UP);
}

/* Each its own part, by the state it is in. */
static void
test_who_hears(void **state)
{
	struct sup_mate *sec = sup_rig_mate(&rig, IPC_SF, 0, "", SUP_STARTING);
	struct sup_mate *con = sup_rig_mate(&rig, IPC_CON, 0, "", SUP_DOWN);
	static const char changed[] = HEAD UIDS MULTI
	    "clusters:\n  - {name: east, server: \"https://127.0.0.1:7\", "
	    "authType: mtls, namespace: other}\n";

	(void)state;
	reload(changed);
	assert_true(sup_rig_logged(&rig, "configuration reloaded"));
	assert_int_equal(sup_rig_heard(fe, "RELOAD"), 1);
	assert_int_equal(sup_rig_heard(own, "RELOAD"), 1);
	assert_int_equal(sup_rig_heard(east, "RELOAD"), 1);
	assert_true(has(&east->config, "127.0.0.1:7"));
	assert_true(has(&east->config, "other"));
	/* One that starts has the old part; it hears once it is ready. */
	assert_int_equal(sup_rig_heard(sec, "RELOAD"), 0);
	assert_true(sec->w->reload_due);
	sec->phase = IPC_PHASE_RUN;
	ipc_send(sec->peer, IPC_READY, 0, 0, 0, &(struct ipc_ready){"a note"},
	    NULL, 0);
	assert_int_equal(sup_rig_heard(sec, "RELOAD"), 1);
	assert_false(sec->w->reload_due);
	assert_int_equal(sec->w->state, SUP_UP);
	/* READY twice is once. */
	ipc_send(
	    sec->peer, IPC_READY, 0, 0, 0, &(struct ipc_ready){""}, NULL, 0);
	assert_int_equal(sup_rig_heard(sec, "RELOAD"), 1);
	assert_int_equal(con->w->state, SUP_DOWN);
	assert_false(con->w->reload_due);
}

/* Only a restart changes them: everybody goes on with the old value. */
static void
test_frozen(void **state)
{
	static const char *const rows[][2] = {
	    {"instance: other\nlisten: [\"127.0.0.1:28999\"]\n"
	     "runDir: %s/run\nstateDir: %s/state\n" UIDS,
		"`instance` changed"},
	    {"instance: unit\nlisten: [\"127.0.0.1:28998\"]\n"
	     "runDir: %s/run\nstateDir: %s/state\n" UIDS,
		"`listen` changed"},
	    {"instance: unit\nlisten: [\"127.0.0.1:28999\"]\n"
	     "runDir: %s/run2\nstateDir: %s/state\n" UIDS,
		"`runDir` changed"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		buf_clear(&rig.log);
		reload(rows[i][0]);
		if (!sup_rig_logged(&rig, rows[i][1]))
			fail_msg("%s: %s", rows[i][1], buf_cstr(&rig.log));
		assert_string_equal(cfg_str(rig.s.cfg, "instance"), "unit");
		assert_non_null(strstr(cfg_str(rig.s.cfg, "runDir"), "/run"));
		assert_null(strstr(cfg_str(rig.s.cfg, "runDir"), "/run2"));
	}
}

static void
test_cluster_goes(void **state)
{
	(void)state;
	reload(none);
	assert_int_equal(sup_rig_heard(east, "DRAIN"), 1);
	assert_int_equal(sup_rig_heard(east, "RELOAD"), 0);
	assert_int_equal(east->w->state, SUP_ENDING);
	assert_true(ev_timer_armed(east->w->timer));
	/* Asked again while it ends: not twice. */
	reload(none);
	assert_int_equal(sup_rig_heard(east, "DRAIN"), 1);
	sup_rig_die(east);
	assert_null(sup_worker_find(&rig.s, IPC_CLU, 0));
	assert_int_equal(sup_rig_heard(fe, "DETACH role=5 index=0"), 1);
	assert_int_equal(sup_rig_heard(own, "DETACH role=5 index=0"), 1);
}

/* Not ready yet: it is not asked. No process: nothing is left. */
static void
test_cluster_goes_early(void **state)
{
	(void)state;
	sup_rig_mate(&rig, IPC_CLU, 2, "down", SUP_DOWN);
	east->w->state = SUP_STARTING;
	reload(none);
	assert_null(sup_worker_find(&rig.s, IPC_CLU, 2));
	sup_rig_gone(east);
	assert_int_equal(sup_rig_heard(east, "DRAIN"), 0);
	assert_null(sup_worker_find(&rig.s, IPC_CLU, 0));
	assert_true(sup_rig_logged(&rig, "it is no longer configured"));
}

/* Removed and back before it ended: started again, not forgotten. */
static void
test_cluster_comes_back(void **state)
{
	struct sup_worker *w = east->w;

	(void)state;
	reload(none);
	assert_true(w->removed);
	reload(one);
	assert_false(w->removed);
	assert_int_equal(w->state, SUP_ENDING);
	sup_rig_die(east);
	assert_ptr_equal(sup_worker_find(&rig.s, IPC_CLU, 0), w);
	assert_int_equal(w->state, SUP_DOWN);
	assert_int_equal(w->backoff_ms, SUP_BACKOFF_FIRST_MS);
	assert_true(ev_timer_armed(w->timer));
	/* Its mates let go of the one that ended before they get the next. */
	assert_int_equal(sup_rig_heard(fe, "DETACH role=5 index=0"), 1);
}

static bool
west_is_up(void *arg)
{
	struct sup_worker *w = sup_worker_find(&rig.s, IPC_CLU, 1);

	(void)arg;
	return w != NULL && w->state == SUP_UP;
}

static bool
west_is_gone(void *arg)
{
	(void)arg;
	return sup_worker_find(&rig.s, IPC_CLU, 1) == NULL;
}

/* A real worker: sandboxed, joined with its mates, drained. */
static void
test_cluster_comes(void **state)
{
	(void)state;
	reload(two);
	assert_non_null(sup_worker_find(&rig.s, IPC_CLU, 1));
	sup_rig_until(&rig, west_is_up, NULL);
	assert_int_equal(sup_rig_heard(fe, "ATTACH role=5 index=1"), 1);
	assert_int_equal(sup_rig_heard(own, "ATTACH role=5 index=1"), 1);
	assert_int_equal(sup_rig_heard(east, "ATTACH"), 0);
	assert_true(sup_rig_logged(&rig, "cluster west["));
	reload(one);
	sup_rig_until(&rig, west_is_gone, NULL);
	assert_true(sup_rig_logged(&rig, "] ended"));
	assert_int_equal(sup_rig_heard(fe, "DETACH role=5 index=1"), 1);
	assert_int_equal(sup_rig_heard(east, "DRAIN"), 0);
	/* The same name again has the same number. */
	reload(two);
	sup_rig_until(&rig, west_is_up, NULL);
}

/* More clusters than users: those that fit run, the rest is named. */
static void
test_no_user_left(void **state)
{
	static const char many[] = HEAD UIDS MULTI
	    "clusters:\n" EAST
	    "  - {name: c1, server: \"https://a\", authType: mtls}\n"
	    "  - {name: c2, server: \"https://a\", authType: mtls}\n"
	    "  - {name: c3, server: \"https://a\", authType: mtls}\n"
	    "  - {name: c4, server: \"https://a\", authType: mtls}\n"
	    "  - {name: c5, server: \"https://a\", authType: mtls}\n";

	(void)state;
	if (!rig.s.root)
		skip();
	/* Without processes: in the phase of the end none is started. */
	reload(many);
	if (sup_rig_logged(&rig, "stays in force")) {
		/* The check of the file knew it already. */
		assert_true(sup_rig_logged(&rig, "workerUids"));
		return;
	}
	assert_true(sup_rig_logged(&rig, "workerUids.count is too small"));
	assert_int_equal(east->w->state, SUP_UP);
}

/* SIGHUP while ending is nothing. */
static void
test_not_while_ending(void **state)
{
	const struct cfg *before = rig.s.cfg;

	(void)state;
	rig.s.phase = IPC_PHASE_DRAIN;
	reload(two);
	assert_ptr_equal(rig.s.cfg, before);
	assert_null(sup_worker_find(&rig.s, IPC_CLU, 1));
}

#define EACH(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    EACH(test_bad_files),
	    EACH(test_who_hears),
	    EACH(test_frozen),
	    EACH(test_cluster_goes),
	    EACH(test_cluster_goes_early),
	    EACH(test_cluster_comes_back),
	    EACH(test_cluster_comes),
	    EACH(test_no_user_left),
	    EACH(test_not_while_ending),
	};

	if (argc == 3 && strcmp(argv[1], "--worker") == 0)
		return worker_main(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
