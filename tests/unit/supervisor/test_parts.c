/* The supervisor's parts that need no worker: tables, addresses, paths. */
#include "config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/agents.h"
#include "supervisor/listeners.h"
#include "supervisor/replicas.h"
#include "supervisor/sup.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/trib-sup-XXXXXX";
static struct sup s;

static const char config_text[] =
    "instance: unit\n"
    "listen: [\"127.0.0.1:%d\"]\n"
    "runDir: %s/run\n"
    "stateDir: %s/state\n"
    "frontends: 2\n"
    "workerUids: {first: 65300, count: 12}\n"
    "resolver: {resolvConf: %s/resolv.conf, hosts: %s/hosts}\n"
    "targets:\n"
    "  - kind: deployment\n"
    "    name: shop\n"
    "    replicas:\n"
    "      - {name: shop-1, pidFile: %s/pid}\n"
    "      - {name: shop-2, pidFile: %s/none}\n"
    "agent: {program: %s/agent}\n";

static void
put(const char *name, const char *text, mode_t mode)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int
setup(void **state)
{
	struct cfg_problems problems;
	struct cfg_env env = {.hostname = "unit"};
	char text[2048], path[128];

	(void)state;
	log_set_level(LOG_LV_ERROR);
	if (mkdtemp(dir) == NULL)
		return -1;
	chmod(dir, 0755);
	snprintf(text, sizeof(text), config_text, 28999, dir, dir, dir, dir,
	    dir, dir, dir);
	put("c.yaml", text, 0600);
	snprintf(path, sizeof(path), "%s/c.yaml", dir);
	memset(&s, 0, sizeof(s));
	s.lock_fd = s.ready_fd = -1;
	s.root = geteuid() == 0;
	s.phase = IPC_PHASE_RUN;
	list_init(&s.workers);
	s.loop = ev_loop_new();
	if (cfg_load(path, &env, &s.cfg, &problems) < 0) {
		cfg_problems_print(&problems, stderr);
		return -1;
	}
	cfg_problems_free(&problems);
	return s.loop == NULL;
}

static int
forget(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int
teardown(void **state)
{
	(void)state;
	sup_agents_free(&s.agents);
	sup_replicas_free(&s.replicas);
	sup_resolver_free(&s.resolver);
	sup_listeners_free(&s.listeners);
	sup_paths_deinit(&s);
	cfg_free(&s.cfg);
	ev_loop_free(&s.loop);
	return nftw(dir, forget, 8, FTW_DEPTH | FTW_PHYS);
}

static void
test_topology(void **state)
{
	static const char *const rows[] = {
	    /* S FE SF SEC CON CLU OWN */
	    [IPC_SUP] = ".......",
	    [IPC_FE] = "..XX.XX",
	    [IPC_SF] = ".X...XX",
	    [IPC_SEC] = ".X..XXX",
	    [IPC_CON] = "...X.XX",
	    [IPC_CLU] = ".XXXX.X",
	    [IPC_OWN] = ".XXXXX.",
	};

	(void)state;
	for (int a = 0; a < IPC_N_ROLES; a++) {
		for (int b = 0; b < IPC_N_ROLES; b++) {
			bool want = rows[a][b] == 'X';

			if (sup_topology_mates(
				(enum ipc_role)a, (enum ipc_role)b) != want)
				fail_msg("%s and %s",
				    ipc_role_name((enum ipc_role)a),
				    ipc_role_name((enum ipc_role)b));
		}
	}
}

static void
test_uids(void **state)
{
	static const struct {
		enum ipc_role role;
		uint32_t index;
		uid_t uid;
	} rows[] = {
	    {IPC_SEC, 0, 65300},
	    {IPC_OWN, 0, 65301},
	    {IPC_CON, 0, 65302},
	    {IPC_SF, 0, 65303},
	    {IPC_FE, 0, 65304},
	    {IPC_FE, 1, 65305},
	    {IPC_CLU, 0, 65306},
	    {IPC_CLU, 5, 65311},
	    {IPC_CLU, 6, 0}, /* the range is used up */
	    {IPC_CLU, UINT32_MAX, 0},
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_int_equal(
		    sup_worker_uid(s.cfg, rows[i].role, rows[i].index),
		    rows[i].uid);
	if (!s.root)
		return;
	assert_null(sup_worker_add(&s, IPC_CLU, 6, "seven", &e));
	assert_non_null(strstr(e.text, "workerUids.count is too small"));
	assert_true(list_empty(&s.workers));
}

static void
test_listen_parse(void **state)
{
	static const char *const good[] = {"127.0.0.1:1", "0.0.0.0:65535",
	    "[::]:8443", "[::1]:0", "[fd00::1]:443"};
	static char long_host[80];
	const char *const bad[] = {"", ":", ":1", "127.0.0.1",
	    "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1 ",
	    "host:1", "[::1:1", "::1]:1", "[]:1", "1.2.3:4", "[1.2.3.4.5]:6",
	    long_host};
	struct sockaddr_storage sa;
	socklen_t len;

	(void)state;
	memset(long_host, '0', sizeof(long_host) - 3);
	memcpy(long_host + sizeof(long_host) - 3, ":1", 3);
	for (size_t i = 0; i < N_OF(good); i++) {
		assert_int_equal(sup_listen_parse(good[i], &sa, &len), 0);
		assert_int_equal(
		    sa.ss_family, good[i][0] == '[' ? AF_INET6 : AF_INET);
		assert_int_equal(len, good[i][0] == '['
					  ? sizeof(struct sockaddr_in6)
					  : sizeof(struct sockaddr_in));
	}
	for (size_t i = 0; i < N_OF(bad); i++) {
		if (sup_listen_parse(bad[i], &sa, &len) == 0)
			fail_msg("%s was accepted", bad[i]);
	}
}

static void
test_paths_and_lock(void **state)
{
	struct sup second = s;
	struct stat st;
	struct err e;
	char path[200];

	(void)state;
	assert_int_equal(sup_paths_init(&s, &e), 0);
	snprintf(path, sizeof(path), "%s/run/unit", dir);
	assert_string_equal(s.run_dir, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	second.lock_fd = -1;
	assert_int_equal(sup_paths_init(&second, &e), -ERR_CONFLICT);
	assert_non_null(strstr(e.text, "runs already (pid "));
	sup_paths_deinit(&second);
	/* A released lock can be had again; the file stays. */
	sup_paths_deinit(&s);
	second.lock_fd = -1;
	assert_int_equal(sup_paths_init(&second, &e), 0);
	sup_paths_deinit(&second);
	assert_int_equal(sup_paths_init(&s, &e), 0);
}

static mode_t
mode_of(const char *name, gid_t *gid)
{
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(stat(path, &st), 0);
	*gid = st.st_gid;
	return st.st_mode & 07777;
}

static void
test_credentials(void **state)
{
	char path[200], other[200];
	gid_t gid;

	(void)state;
	if (!s.root)
		skip();
	snprintf(path, sizeof(path), "%s/state/unit/credentials", dir);
	mkdir(path, 0750);
	snprintf(path, sizeof(path), "%s/state/unit/credentials/east", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	put("state/unit/credentials/east/tls.key", "key", 0600);
	put("state/unit/credentials/east/notes", "mine", 0600);
	put("secret", "root's", 0600);
	/* A second name of another file, and a symbolic one: never touched. */
	snprintf(other, sizeof(other), "%s/secret", dir);
	snprintf(
	    path, sizeof(path), "%s/state/unit/credentials/east/tls.crt", dir);
	assert_int_equal(link(other, path), 0);
	snprintf(path, sizeof(path),
	    "%s/state/unit/credentials/east/bearerToken", dir);
	assert_int_equal(symlink("/etc/shadow", path), 0);
	sup_paths_credentials(&s);
	assert_int_equal(mode_of("state/unit/credentials/east", &gid), 0750);
	assert_int_equal(gid, 65300);
	assert_int_equal(
	    mode_of("state/unit/credentials/east/tls.key", &gid), 0640);
	assert_int_equal(gid, 65300);
	assert_int_equal(
	    mode_of("state/unit/credentials/east/notes", &gid), 0600);
	assert_int_equal(gid, 0);
	assert_int_equal(mode_of("secret", &gid), 0600);
	assert_int_equal(gid, 0);
}

static void
test_resolver(void **state)
{
	struct err e;

	(void)state;
	/* Missing files are empty ones; a change is seen; too long is none. */
	assert_int_equal(sup_resolver_init(&s, &e), 0);
	put("resolv.conf", "nameserver 10.0.0.1\n", 0644);
	put("hosts", "127.0.0.1 localhost\n", 0644);
	sup_resolver_check(&s);
	sup_resolver_check(&s);
}

static void
test_replicas(void **state)
{
	struct err e;
	char pid[16];
	int fd;

	(void)state;
	s.replicas = sup_replicas_new(&s);
	assert_non_null(s.replicas);
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	put("pid", pid, 0644);
	assert_int_equal(sup_replicas_reload(s.replicas, &e), 0);
	fd = sup_replica_pidfd(
	    s.replicas, "deployment/default/shop", "shop-1", &e);
	assert_true(fd >= 0);
	close(fd);
	fd = sup_replica_pidfd(
	    s.replicas, "deployment/default/shop", "shop-2", &e);
	assert_int_equal(fd, -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "does not run"));
	fd = sup_replica_pidfd(
	    s.replicas, "deployment/default/shop", "shop-3", &e);
	assert_int_equal(fd, -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "is not configured"));
	fd = sup_replica_pidfd(s.replicas, "pod/default/shop", "shop-1", &e);
	assert_int_equal(fd, -ERR_NOT_FOUND);
	/* A second look at the same configuration keeps what is watched. */
	assert_int_equal(sup_replicas_reload(s.replicas, &e), 0);
	fd = sup_replica_pidfd(
	    s.replicas, "deployment/default/shop", "shop-1", &e);
	assert_true(fd >= 0);
	close(fd);
}

/* What the own cluster's worker would hear. */
struct owner {
	struct ipc_peer *peer;
	enum ipc_phase phase;
	struct ipc_dispatch dispatch;
	unsigned started, exited, fds;
	uint32_t agent;
	char error[600];
	int control;
};

static int
owner_on_started(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_agent_started *m = in->payload;
	struct owner *o = worker;

	(void)e;
	o->started++;
	o->fds += in->n_fds;
	o->agent = m->agent;
	snprintf(o->error, sizeof(o->error), "%s", m->error);
	if (in->n_fds > 0) {
		o->control = in->fds[0];
		in->fds[0] = -1;
	}
	return 0;
}

static int
owner_on_exited(void *worker, struct ipc_in *in, struct err *e)
{
	struct owner *o = worker;

	(void)in;
	(void)e;
	o->exited++;
	return 0;
}

static int
owner_on_replica(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	(void)in;
	(void)e;
	return 0;
}

static const struct ipc_handler owner_handlers[] = {
    {IPC_AGENT_STARTED, owner_on_started},
    {IPC_AGENT_EXITED, owner_on_exited},
    {IPC_REPLICA, owner_on_replica},
};

/* Reaps what ended, until the owner heard of n exits. */
static void
until_exited(struct owner *o, unsigned n)
{
	for (int i = 0; i < 2000 && o->exited < n; i++) {
		sup_reap(&s);
		ev_loop_turn(s.loop, false);
		if (o->exited < n)
			usleep(5000);
	}
	assert_int_equal(o->exited, n);
}

static void
ask(struct owner *o, const char *replica)
{
	o->error[0] = '\0';
	sup_agent_start(s.agents, 1, "deployment/default/shop", replica);
	for (int i = 0; i < 4; i++)
		ev_loop_turn(s.loop, false);
}

static void
test_agents(void **state)
{
	static const char *const script =
	    "#!/bin/sh\n"
	    "[ \"$1 $2 $3 $4 $5\" = "
	    "\"--control-fd 3 --target-pidfd 4 --name\" ] || exit 9\n"
	    "[ -e /proc/self/fd/3 ] && [ -e /proc/self/fd/4 ] || exit 8\n"
	    "exec cat <&3 >/dev/null\n"; /* until the owner lets go */
	struct owner o = {.phase = IPC_PHASE_RUN, .control = -1};
	struct ipc_dispatch sup_d = {IPC_SUP, NULL, 0, NULL};
	int sv[2];
	struct ipc_peer *to;
	uint32_t first;
	struct err e;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	o.dispatch = (struct ipc_dispatch){
	    IPC_OWN, owner_handlers, N_OF(owner_handlers), NULL};
	o.peer = ipc_peer_new(
	    s.loop, &o.dispatch, &o, &o.phase, IPC_SUP, 0, "", sv[0], -1, &e);
	to = ipc_peer_new(
	    s.loop, &sup_d, &s, &s.phase, IPC_OWN, 0, "", sv[1], -1, &e);
	s.agents = sup_agents_new(&s);
	sup_agents_owner_ready(s.agents, to);
	/* No program, no such replica, one that does not run. */
	ask(&o, "shop-1");
	assert_int_equal(o.fds, 0);
	assert_non_null(strstr(o.error, "set agent.program"));
	put("agent", script, 0755);
	ask(&o, "shop-9");
	assert_non_null(strstr(o.error, "is not configured"));
	ask(&o, "shop-2");
	assert_non_null(strstr(o.error, "does not run"));
	assert_int_equal(sup_agents_count(s.agents), 0);
	/* One that does; again does no harm. */
	ask(&o, "shop-1");
	assert_string_equal(o.error, "");
	assert_int_equal(o.fds, 1);
	first = o.agent;
	ask(&o, "shop-1");
	assert_int_equal(o.agent, first);
	assert_int_equal(o.fds, 1);
	assert_int_equal(sup_agents_count(s.agents), 1);
	/* Whoever holds the control descriptor holds the agent. */
	close(o.control);
	until_exited(&o, 1);
	assert_int_equal(sup_agents_count(s.agents), 0);
	/* Asked for while the one before still ends: after it, another. */
	ask(&o, "shop-1");
	sup_agent_stop(s.agents, o.agent);
	sup_agent_stop(s.agents, 12345); /* nobody's */
	first = o.agent;
	ask(&o, "shop-1");
	assert_int_equal(o.fds, 2);
	close(o.control);
	until_exited(&o, 2);
	for (int i = 0; i < 4; i++)
		ev_loop_turn(s.loop, false);
	assert_int_equal(o.fds, 3);
	assert_true(o.agent != first);
	/* The owner dies: its end of the control socket goes with it. */
	sup_agents_owner_gone(s.agents);
	close(o.control);
	for (int i = 0; i < 2000 && sup_agents_count(s.agents) > 0; i++) {
		sup_reap(&s);
		usleep(5000);
	}
	assert_int_equal(sup_agents_count(s.agents), 0);
	ipc_peer_free(&to);
	ipc_peer_free(&o.peer);
}

/* What the daemon wrote to stderr since it was turned into a file. */
static char *
stderr_text(int file, int old)
{
	char *text = calloc(1, 1 << 20);

	assert_non_null(text);
	dup2(old, STDERR_FILENO);
	assert_true(pread(file, text, (1 << 20) - 1, 0) > 0);
	return text;
}

static void
test_log_limit(void **state)
{
	struct sup_worker w = {.sup = &s, .role = IPC_FE, .stderr_fd = -1};
	FILE *file = tmpfile();
	int old = dup(STDERR_FILENO);
	char big[3000], *text;
	size_t lines = 0;

	(void)state;
	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	log_set_level(LOG_LV_INFO);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (int i = 0; i < 1000; i++)
		sup_log_worker(&w, LOG_LV_DEBUG, "below the level");
	assert_int_equal(w.limit.dropped, 0);
	s.journal = true;
	sup_log_worker(&w, LOG_LV_INFO, "control\n\x1b[31mcharacters");
	sup_log_worker(&w, LOG_LV_ERROR, big);
	for (int i = 0; i < 400; i++)
		sup_log_worker(&w, LOG_LV_INFO, "again");
	assert_true(w.limit.dropped > 150);
	text = stderr_text(fileno(file), old);
	assert_non_null(strstr(text, "<6>frontend 0[0]: control  [31mchar"));
	assert_null(strchr(text, '\x1b'));
	assert_null(strstr(text, "below"));
	for (char *p = text; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_true(lines >= 200 && lines < 250);
	log_set_level(LOG_LV_ERROR);
	free(text);
	fclose(file);
	close(old);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_topology),
	    cmocka_unit_test(test_uids),
	    cmocka_unit_test(test_listen_parse),
	    cmocka_unit_test(test_paths_and_lock),
	    cmocka_unit_test(test_credentials),
	    cmocka_unit_test(test_resolver),
	    cmocka_unit_test(test_replicas),
	    cmocka_unit_test(test_agents),
	    cmocka_unit_test(test_log_limit),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
