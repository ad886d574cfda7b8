/*
 * Agents from AGENT_START to AGENT_EXITED, with real processes: what the own
 * cluster's worker hears, what the agent inherits, and what happens when it is
 * asked for, stopped and lost at the wrong moment. And replicas that come and
 * go, which the same worker hears of.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/agents.h"
#include "supervisor/replicas.h"
#include "tests/unit/supervisor/sup_rig.h"

#define SHOP "deployment/default/shop"

#define HEAD                                      \
	"instance: unit\n"                        \
	"runDir: %s/run\n"                        \
	"stateDir: %s/state\n"                    \
	"workerUids: {first: 65300, count: 12}\n" \
	"agent: {program: %s/agent, logLevel: debug}\n"
#define REPLICAS(list)                                          \
	HEAD "targets:\n  - kind: deployment\n    name: shop\n" \
	     "    replicas:\n" list

static const char config[] = REPLICAS("      - {name: a, pidFile: %s/a.pid}\n"
				      "      - {name: b, pidFile: %s/b.pid}\n");

static struct sup_rig rig;
static struct sup_mate *own;
static uint32_t request;

static void
program(const char *text)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/agent", rig.dir);
	unlink(path); /* one that runs stays what it is */
	sup_rig_put(&rig, "agent", text, strlen(text));
	assert_int_equal(chmod(path, 0755), 0);
}

static void
pid_file(const char *name, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d\n", (int)pid);
	sup_rig_put(&rig, name, text, strlen(text));
}

static int
setup(void **state)
{
	struct err e;

	(void)state;
	sup_rig_init(&rig, config);
	pid_file("a.pid", getpid());
	assert_int_equal(sup_replicas_reload(rig.s.replicas, &e), 0);
	own = sup_rig_mate(&rig, IPC_OWN, 0, "unit", SUP_UP);
	sup_agents_owner_ready(rig.s.agents, own->w->peer);
	request = 0;
	return 0;
}

static bool
no_agents(void *arg)
{
	(void)arg;
	return sup_agents_count(rig.s.agents) == 0;
}

static int
teardown(void **state)
{
	(void)state;
	sup_agents_owner_gone(rig.s.agents); /* nobody asks any more */
	sup_agents_kill(rig.s.agents);
	sup_rig_until(&rig, no_agents, NULL);
	sup_rig_deinit(&rig);
	return 0;
}

/* AGENT_START as the worker says it. */
static void
start(const char *target, const char *replica)
{
	struct ipc_agent_start m = {++request, target, replica};

	ipc_send(own->peer, IPC_AGENT_START, 0, 0, 0, &m, NULL, 0);
	sup_rig_settle(&rig);
}

static void
stop(uint32_t agent)
{
	struct ipc_agent_stop m = {agent};

	ipc_send(own->peer, IPC_AGENT_STOP, 0, 0, 0, &m, NULL, 0);
	sup_rig_settle(&rig);
}

static bool
said(const char *text)
{
	return strstr(buf_cstr(&own->heard), text) != NULL;
}

static bool
one_exited(void *arg)
{
	(void)arg;
	return sup_rig_heard(own, "AGENT_EXITED") >= 1;
}

static bool
two_started(void *arg)
{
	(void)arg;
	return sup_rig_heard(own, "AGENT_STARTED") >= 2;
}

/* Each refusal is an answer to its request, and nothing stays behind. */
static void
test_refused(void **state)
{
	static const struct {
		const char *target, *replica, *text;
	} rows[] = {
	    {SHOP, "b", "does not run"},
	    {SHOP, "c", "is not configured"},
	    {SHOP, "", "is not configured"},
	    {SHOP, "a ", "is not configured"},
	    {"", "a", "is not configured"},
	    {"shop", "a", "is not configured"},
	    {"pod/default/shop", "a", "is not configured"},
	    {"deployment/other/shop", "a", "is not configured"},
	    {"deployment/default/shop/", "a", "is not configured"},
	    {"../../etc/passwd", "../a", "is not configured"},
	};

	(void)state;
	start(SHOP, "a"); /* no program at all */
	assert_true(said("set agent.program"));
	sup_rig_put(&rig, "agent", "#!/bin/sh\n", 10); /* cannot be executed */
	if (rig.s.root) {
		/* root may execute what has any x bit: there is none */
		buf_clear(&own->heard);
		start(SHOP, "a");
		assert_true(said("set agent.program"));
	}
	program("#!/bin/sh\nexit 0\n");
	for (size_t i = 0; i < N_OF(rows); i++) {
		char want[40];

		buf_clear(&own->heard);
		own->n_fds = 0;
		start(rows[i].target, rows[i].replica);
		snprintf(want, sizeof(want), "AGENT_STARTED request=%u agent=0",
		    request);
		if (!said(want) || !said(rows[i].text))
			fail_msg("row %zu: %s", i, buf_cstr(&own->heard));
		assert_int_equal(own->n_fds, 0);
		assert_int_equal(sup_agents_count(rig.s.agents), 0);
	}
	assert_string_equal(own->broke, "");
}

/* How an agent may end, in the words that the worker and the log get. */
static void
test_ends(void **state)
{
	static const struct {
		const char *program, *text;
	} rows[] = {
	    {"#!/bin/sh\nexit 0\n", "it exited with status 0"},
	    {"#!/bin/sh\nexit 3\n", "it exited with status 3"},
	    {"#!/bin/sh\nexit 127\n", "it could not be executed"},
	    {"#!/no/such/interpreter\n", "it could not be executed"},
	    {"\x7f"
	     "ELF no program",
		"it could not be executed"},
	    {"#!/bin/sh\nkill -SEGV $$\n", "it died of signal 11"},
	    {"#!/bin/sh\nkill -KILL $$\n", "it died of signal 9"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		buf_clear(&own->heard);
		program(rows[i].program);
		start(SHOP, "a");
		sup_rig_until(&rig, one_exited, NULL);
		if (!said(rows[i].text) || !sup_rig_logged(&rig, rows[i].text))
			fail_msg("row %zu: %s", i, buf_cstr(&own->heard));
		assert_int_equal(sup_agents_count(rig.s.agents), 0);
	}
}

/* Two descriptors, no more; its own session; nothing of our environment. */
static void
test_inherits(void **state)
{
	static const char *const text =
	    "#!/bin/sh\n"
	    "[ -e /proc/$$/fd/3 ] && [ -e /proc/$$/fd/4 ] || exit 11\n"
	    "[ -e /proc/$$/fd/5 ] && exit 12\n"
	    "[ \"$(env | grep -c TRIB_SECRET)\" = 0 ] || exit 13\n"
	    "[ \"$RUST_LOG\" = debug ] || exit 14\n"
	    "[ \"$7\" = deployment/default/shop/a ] || [ \"$6\" = "
	    "deployment/default/shop/a ] || exit 15\n"
	    "exit 42\n";

	(void)state;
	setenv("TRIB_SECRET", "x", 1);
	program(text);
	start(SHOP, "a");
	sup_rig_until(&rig, one_exited, NULL);
	unsetenv("TRIB_SECRET");
	if (!said("it exited with status 42"))
		fail_msg("%s", buf_cstr(&own->heard));
}

/* Takes no SIGTERM, and says when it has come so far. */
#define LASTS "#!/bin/sh\ntrap '' TERM\n: >\"$0.up\"\nexec sleep 60\n"

static bool
agent_is_up(void *arg)
{
	return access(arg, F_OK) == 0;
}

/* An agent that only a SIGKILL ends. */
static void
start_lasting(void)
{
	char path[100];

	program(LASTS);
	snprintf(path, sizeof(path), "%s/agent.up", rig.dir);
	start(SHOP, "a");
	sup_rig_until(&rig, agent_is_up, path);
}

/* Whoever asked has its descriptor already. */
static void
test_asked_twice(void **state)
{
	(void)state;
	start_lasting();
	assert_true(said("AGENT_STARTED request=1 agent=1"));
	start(SHOP, "a");
	/* The same one, and no second descriptor. */
	assert_true(said("AGENT_STARTED request=2 agent=1"));
	assert_int_equal(own->n_fds, 1);
	assert_int_equal(sup_agents_count(rig.s.agents), 1);
	stop(0);
	stop(2);
	stop(UINT32_MAX);
	assert_false(sup_rig_logged(&rig, "agent ended"));
}

/* Asked for while it ends: one answer, when there is another one. */
static void
test_asked_while_it_ends(void **state)
{
	(void)state;
	start_lasting();
	stop(1);
	stop(1);
	start(SHOP, "a");
	start(SHOP, "a"); /* the later request is the one that is answered */
	assert_int_equal(sup_rig_heard(own, "AGENT_STARTED"), 1);
	sup_agents_kill(rig.s.agents);
	sup_rig_until(&rig, two_started, NULL);
	assert_true(said("AGENT_EXITED agent=1"));
	assert_true(said("AGENT_STARTED request=3 agent=2"));
	assert_int_equal(sup_agents_count(rig.s.agents), 1);
}

/* The worker that asked is gone: its question too, and the next starts anew. */
static void
test_owner_dies(void **state)
{
	(void)state;
	start_lasting();
	stop(1);
	start(SHOP, "a");
	sup_agents_owner_gone(rig.s.agents);
	sup_agents_kill(rig.s.agents);
	sup_rig_until(&rig, no_agents, NULL);
	assert_int_equal(sup_rig_heard(own, "AGENT_STARTED"), 1);
	assert_int_equal(sup_rig_heard(own, "AGENT_EXITED"), 0);
	sup_agents_owner_ready(rig.s.agents, own->w->peer);
	start(SHOP, "a");
	assert_true(said("AGENT_STARTED request=3 agent=2"));
}

/* A child that is nobody's. */
static void
test_strangers(void **state)
{
	(void)state;
	sup_agents_reaped(rig.s.agents, 1, 0);
	sup_agents_reaped(rig.s.agents, -1, 9);
	assert_int_equal(sup_rig_heard(own, "AGENT_EXITED"), 0);
}

static void
reload(const char *text)
{
	sup_rig_config(&rig, text);
	sup_reload(&rig.s);
	sup_rig_settle(&rig);
}

static bool
b_is_gone(void *arg)
{
	(void)arg;
	sup_rig_settle(&rig);
	return said("its process ended");
}

/* What the worker hears of replicas: each change, once. */
static void
test_replicas(void **state)
{
	static const char only_b[] =
	    REPLICAS("      - {name: b, pidFile: %s/b.pid}\n");
	static const char moved[] =
	    REPLICAS("      - {name: b, pidFile: %s/other.pid}\n");
	struct err e;
	int status, fd;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		for (;;)
			pause();
	}
	assert_int_equal(sup_rig_heard(own, "REPLICA "), 2); /* at READY */
	buf_clear(&own->heard);
	reload(config);
	assert_int_equal(sup_rig_heard(own, "REPLICA "), 0); /* as it was */
	/* Asked for by name it is looked at at once. */
	pid_file("b.pid", pid);
	fd = sup_replica_pidfd(rig.s.replicas, SHOP, "b", &e);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(sup_rig_heard(own, "REPLICA "), 1);
	/* It ends: seen by its pidfd, without a look. */
	kill(pid, SIGKILL);
	sup_rig_until(&rig, b_is_gone, NULL);
	waitpid(pid, &status, 0);
	buf_clear(&own->heard);
	reload(only_b);
	assert_int_equal(sup_rig_heard(own, "REPLICA "), 1);
	assert_true(said("it is no longer configured"));
	assert_int_equal(
	    sup_replica_pidfd(rig.s.replicas, SHOP, "a", &e), -ERR_NOT_FOUND);
	/* The same name for another process: anew. */
	buf_clear(&own->heard);
	pid_file("other.pid", getpid());
	reload(moved);
	assert_int_equal(sup_rig_heard(own, "REPLICA "), 1);
	fd = sup_replica_pidfd(rig.s.replicas, SHOP, "b", &e);
	assert_true(fd >= 0);
	close(fd);
	buf_clear(&own->heard);
	reload(HEAD);
	assert_int_equal(sup_rig_heard(own, "REPLICA "), 1);
}

#define EACH(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    EACH(test_refused),
	    EACH(test_ends),
	    EACH(test_inherits),
	    EACH(test_asked_twice),
	    EACH(test_asked_while_it_ends),
	    EACH(test_owner_dies),
	    EACH(test_strangers),
	    EACH(test_replicas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
