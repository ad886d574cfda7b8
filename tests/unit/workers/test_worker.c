/* What all workers share: START, ATTACH, DETACH, RELOAD, DRAIN, ALIVE. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "sys/landlock.h"
#include "tests/unit/unit.h"
#include "tests/unit/workers/rig.h"

static unsigned attached, detached, reloaded, drained;
static char last_level[16];

static void
on_attach(struct worker *w, struct ipc_peer *peer)
{
	(void)w;
	(void)peer;
	attached++;
}

static void
on_detach(struct worker *w, struct ipc_peer *peer, const char *why)
{
	/* It is no longer found, but still there to be asked. */
	assert_true(ipc_peer_role(peer) < IPC_N_ROLES);
	assert_non_null(why);
	assert_ptr_not_equal(
	    worker_peer(w, ipc_peer_role(peer), ipc_peer_index(peer)), peer);
	detached++;
}

static void
on_reload(struct worker *w, cJSON *old)
{
	snprintf(last_level, sizeof(last_level), "%s>%s",
	    json_str(old, "logLevel", "-"),
	    json_str(w->config, "logLevel", "-"));
	reloaded++;
}

static void
on_drain(struct worker *w, uint32_t deadline_ms)
{
	assert_int_equal(deadline_ms, 1234);
	drained++;
	worker_drained(w);
}

/* The shared rows of a connector's table: all that a worker must have. */
static const struct ipc_handler handlers[] = {
    {IPC_START, worker_on_start},
    {IPC_ATTACH, worker_on_attach},
    {IPC_DETACH, worker_on_detach},
    {IPC_RELOAD, worker_on_reload},
    {IPC_DRAIN, worker_on_drain},
    {IPC_ALIVE, worker_on_alive},
};
static const struct worker_ops ops = {
    .role = IPC_CON,
    .handlers = handlers,
    .n_handlers = N_OF(handlers),
    .on_attach = on_attach,
    .on_detach = on_detach,
    .on_reload = on_reload,
    .on_drain = on_drain,
};

static struct rig rig;
static struct rig_peer *sup;

static int
setup(void **state)
{
	(void)state;
	attached = detached = reloaded = drained = 0;
	rig_init(&rig, &ops, "{\"logLevel\":\"error\"}");
	sup = rig_attach(&rig, IPC_SUP, 0, "");
	log_set_level(LOG_LV_ERROR);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_deinit(&rig);
	return 0;
}

/* One shared handler, called as the peer would; its result. */
static int
handle(ipc_handler_fn *fn, const void *payload, int *fds, unsigned n,
    struct err *e)
{
	struct ipc_in in = {.payload = payload, .fds = fds, .n_fds = n};

	return fn(&rig.w, &in, e);
}

static void
test_attach(void **state)
{
	struct ipc_attach m = {IPC_CLU, 3, "west"};
	struct rig_peer *a, *b;
	int fds[2] = {-1, -1};
	struct err e;

	(void)state;
	a = rig_attach(&rig, IPC_CLU, 0, "east");
	b = rig_attach(&rig, IPC_OWN, 0, "hub");
	assert_int_equal(attached, 2);
	assert_int_equal(ipc_peer_index(worker_peer(&rig.w, IPC_CLU, 0)), 0);
	assert_ptr_equal(worker_peer_named(&rig.w, IPC_CLU, "east"),
	    worker_peer(&rig.w, IPC_CLU, 0));
	assert_null(worker_peer(&rig.w, IPC_CLU, 1));
	assert_null(worker_peer_named(&rig.w, IPC_CLU, "hub"));
	assert_null(worker_peer_named(&rig.w, IPC_FE, "east"));
	/* Without both descriptors, of nobody, too early. */
	assert_int_equal(
	    handle(worker_on_attach, &m, fds, 0, &e), -ERR_INVALID);
	assert_int_equal(
	    handle(worker_on_attach, &m, fds, 1, &e), -ERR_INVALID);
	m.role = IPC_SUP;
	assert_int_equal(
	    handle(worker_on_attach, &m, fds, 2, &e), -ERR_INVALID);
	m.role = IPC_N_ROLES;
	assert_int_equal(
	    handle(worker_on_attach, &m, fds, 2, &e), -ERR_INVALID);
	m.role = IPC_CLU;
	rig.w.phase = IPC_PHASE_START;
	assert_int_equal(
	    handle(worker_on_attach, &m, fds, 2, &e), -ERR_INVALID);
	rig.w.phase = IPC_PHASE_RUN;
	assert_int_equal(attached, 2);
	/* Its successor: the one before is let go first. */
	rig_attach(&rig, IPC_CLU, 0, "east");
	assert_int_equal(attached, 3);
	assert_int_equal(detached, 1);
	rig_settle(&rig);
	assert_true(a->gone);
	rig_detach(b);
	rig_settle(&rig);
	assert_int_equal(detached, 2);
	assert_null(worker_peer(&rig.w, IPC_OWN, 0));
}

static void
test_detach(void **state)
{
	struct ipc_detach m = {IPC_CLU, 7};
	struct rig_peer *a = rig_attach(&rig, IPC_CLU, 1, "west");

	(void)state;
	rig_send(sup, IPC_DETACH, 0, 0, 0, &m); /* nobody */
	m.role = 200;
	rig_send(sup, IPC_DETACH, 0, 0, 0, &m);
	rig_settle(&rig);
	assert_int_equal(detached, 0);
	m = (struct ipc_detach){IPC_CLU, 1};
	rig_send(sup, IPC_DETACH, 0, 0, 0, &m);
	rig_settle(&rig);
	assert_int_equal(detached, 1);
	assert_true(a->gone);
}

static struct span
text(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static void
test_start(void **state)
{
	struct ipc_start m = {.instance = "i", .config = text("{}")};
	struct err e;

	(void)state;
	m.table_hash = ipc_table_hash() + 1;
	assert_int_equal(
	    handle(worker_on_start, &m, NULL, 0, &e), -ERR_INVALID);
	assert_non_null(strstr(e.text, "another build"));
	rig.w.started = true;
	m.table_hash = ipc_table_hash();
	assert_int_equal(
	    handle(worker_on_start, &m, NULL, 0, &e), -ERR_INVALID);
	assert_non_null(strstr(e.text, "twice"));
}

static void
test_reload(void **state)
{
	static const char *const bad[] = {"", "{", "nonsense", "[1,"};
	struct ipc_reload m = {text("{\"logLevel\":\"debug\"}")};
	struct err e;

	(void)state;
	rig_send(sup, IPC_RELOAD, 0, 0, 0, &m);
	rig_settle(&rig);
	assert_int_equal(reloaded, 1);
	assert_string_equal(last_level, "error>debug");
	assert_int_equal(log_get_level(), LOG_LV_DEBUG);
	log_set_level(LOG_LV_ERROR);
	for (size_t i = 0; i < N_OF(bad); i++) {
		m.config = text(bad[i]);
		assert_true(handle(worker_on_reload, &m, NULL, 0, &e) < 0);
	}
	assert_int_equal(reloaded, 1);
	assert_string_equal(json_str(rig.w.config, "logLevel", ""), "debug");
}

static void
test_alive_and_drain(void **state)
{
	struct ipc_alive m = {99};
	struct ipc_drain d = {1234};
	struct rig_msg *r;

	(void)state;
	rig_send(sup, IPC_ALIVE, 0, 0, 0, &m);
	r = rig_expect(sup, IPC_ALIVE_ACK);
	assert_non_null(strstr(r->text, "number=0x63"));
	rig_msg_free(&r);
	rig_send(sup, IPC_DRAIN, 0, 0, 0, &d);
	rig_send(sup, IPC_DRAIN, 0, 0, 0, &d); /* said again: once */
	rig_settle(&rig);
	assert_int_equal(drained, 1);
	assert_int_equal(rig.w.phase, IPC_PHASE_DRAIN);
	assert_true(rig.w.quit);
}

static void
test_supervisor_gone(void **state)
{
	(void)state;
	rig_detach(sup);
	rig_settle(&rig);
	assert_true(rig.w.quit);
	assert_null(rig.w.sup);
}

static void
test_allow_dir(void **state)
{
	struct err e;

	(void)state;
	for (int i = 0; i < WORKER_MAX_RULES; i++)
		assert_int_equal(
		    worker_allow_dir(&rig.w, i, SYS_LANDLOCK_READ, &e), 0);
	assert_int_equal(
	    worker_allow_dir(&rig.w, 9, SYS_LANDLOCK_READ, &e), -ERR_TOO_BIG);
	assert_int_equal(rig.w.rules[2].fd, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(test_attach),
	    T(test_detach),
	    T(test_start),
	    T(test_reload),
	    T(test_alive_and_drain),
	    T(test_supervisor_gone),
	    T(test_allow_dir),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
