/*
 * What the supervisor does for workers that run: files for the connector,
 * listeners, their last words, a look at whether they hang; and what it does
 * about workers that say what they must not.
 */
#include "config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/supervisor/sup_rig.h"

enum { RESOLV_BYTES = 65536, HOSTS_BYTES = 524288 };

static const char config[] = "instance: unit\n"
			     "listen: [\"127.0.0.1:28999\"]\n"
			     "runDir: %s/run\n"
			     "stateDir: %s/state\n"
			     "resolver: {resolvConf: %s/r, hosts: %s/h}\n"
			     "workerUids: {first: 65300, count: 12}\n";

static struct sup_rig rig;
static struct sup_mate *fe, *con, *sec;

static int
setup(void **state)
{
	(void)state;
	sup_rig_init(&rig, config);
	fe = sup_rig_mate(&rig, IPC_FE, 0, "", SUP_UP);
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

static void
put(const char *name, size_t n)
{
	char *text = malloc(n + 1);

	assert_non_null(text);
	memset(text, '#', n + 1);
	sup_rig_put(&rig, name, text, n);
	free(text);
}

static void
test_resolver(void **state)
{
	(void)state;
	/* Nothing there, nothing new. */
	sup_resolver_check(&rig.s);
	assert_int_equal(sup_rig_heard(con, "RESOLVER"), 0);
	sup_rig_put(&rig, "r", "nameserver 10.0.0.1\n", 20);
	sup_resolver_check(&rig.s);
	sup_resolver_check(&rig.s);
	assert_int_equal(sup_rig_heard(con, "RESOLVER"), 1);
	assert_string_equal(
	    buf_cstr(&con->resolv_conf), "nameserver 10.0.0.1\n");
	assert_int_equal(con->hosts.len, 0);
	/* The same length, other bytes. */
	sup_rig_put(&rig, "r", "nameserver 10.0.0.2\n", 20);
	sup_resolver_check(&rig.s);
	assert_int_equal(sup_rig_heard(con, "RESOLVER"), 2);
	assert_string_equal(
	    buf_cstr(&con->resolv_conf), "nameserver 10.0.0.2\n");
	sup_rig_put(&rig, "h", "10.0.0.3 db\n", 12);
	sup_resolver_check(&rig.s);
	assert_int_equal(sup_rig_heard(con, "RESOLVER"), 3);
	assert_string_equal(buf_cstr(&con->hosts), "10.0.0.3 db\n");
	assert_int_equal(sup_rig_heard(fe, "RESOLVER"), 0);
	/* One that is not up gets it all when it is. */
	con->w->state = SUP_STARTING;
	sup_rig_put(&rig, "h", "", 0);
	sup_resolver_check(&rig.s);
	assert_int_equal(sup_rig_heard(con, "RESOLVER"), 3);
	sup_worker_ready(con->w, "");
	assert_int_equal(sup_rig_heard(con, "RESOLVER"), 4);
	assert_int_equal(con->hosts.len, 0);
	sup_resolver_give(fe->w); /* not for others */
	assert_int_equal(sup_rig_heard(fe, "RESOLVER"), 0);
}

/* Too long is not used at all, never a part of it; said once. */
static void
test_resolver_sizes(void **state)
{
	static const struct {
		const char *name;
		size_t n;
		bool used;
	} rows[] = {
	    {"r", RESOLV_BYTES, true},
	    {"r", RESOLV_BYTES + 1, false},
	    {"r", RESOLV_BYTES - 1, true},
	    {"r", 2 * RESOLV_BYTES, false},
	    {"h", HOSTS_BYTES, true},
	    {"h", HOSTS_BYTES + 1, false},
	    {"h", HOSTS_BYTES - 4096, true},
	    {"h", HOSTS_BYTES + 8192, false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct buf *b =
		    rows[i].name[0] == 'r' ? &con->resolv_conf : &con->hosts;

		buf_clear(&rig.log);
		put(rows[i].name, rows[i].n);
		sup_resolver_check(&rig.s);
		assert_int_equal(sup_rig_heard(con, "RESOLVER"), i + 1);
		if (b->len != (rows[i].used ? rows[i].n : 0))
			fail_msg("row %zu: %zu bytes", i, b->len);
		if (sup_rig_logged(&rig, "too long") == rows[i].used)
			fail_msg("row %zu: %s", i, buf_cstr(&rig.log));
		/* Every two seconds the same sentence would be noise. */
		buf_clear(&rig.log);
		sup_resolver_check(&rig.s);
		assert_int_equal(rig.log.len, 0);
	}
}

static void
test_resolver_odd_files(void **state)
{
	char path[100];

	(void)state;
	sup_rig_put(&rig, "r", "x", 1);
	sup_resolver_check(&rig.s);
	snprintf(path, sizeof(path), "%s/r", rig.dir);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(sup_rig_heard(con, "RESOLVER"), 1);
	assert_int_equal(con->resolv_conf.len, 1);
	sup_resolver_check(&rig.s);
	assert_int_equal(sup_rig_heard(con, "RESOLVER"), 2);
	assert_int_equal(con->resolv_conf.len, 0);
	assert_true(sup_rig_logged(&rig, "is not used"));
	rmdir(path);
	assert_int_equal(mkfifo(path, 0600), 0); /* does not block */
	sup_resolver_check(&rig.s);
	assert_int_equal(sup_rig_heard(con, "RESOLVER"), 2);
}

/* A loopback address of this process alone: nobody else takes its ports. */
static const char *
own_host(void)
{
	static char text[INET_ADDRSTRLEN];
	unsigned pid = (unsigned)getpid();

	snprintf(text, sizeof(text), "127.%u.%u.%u", 100 + (pid >> 16) % 100,
	    pid >> 8 & 0xff, pid & 0xff);
	return text;
}

/* A free port of it, held by the descriptor. */
static int
taken_port(uint16_t *port)
{
	struct sockaddr_in sa = {
	    .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(own_host())};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	*port = ntohs(sa.sin_port);
	return fd;
}

static int
listeners_on(uint16_t port, struct err *e)
{
	char text[600];

	snprintf(text, sizeof(text), "instance: unit\nlisten: [\"%s:%u\"]\n",
	    own_host(), port);
	cfg_free(&rig.s.cfg);
	sup_rig_config(&rig, text);
	if (sup_config_load(&rig.s, &rig.s.cfg) < 0)
		fail_msg("%s", buf_cstr(&rig.log));
	return sup_listeners_open(&rig.s, e);
}

static void
test_listeners(void **state)
{
	char path[104];
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct stat st;
	struct err e;
	uint16_t port;
	int fd = taken_port(&port), c;

	(void)state;
	assert_true(listeners_on(port, &e) < 0);
	assert_non_null(strstr(e.text, "cannot listen on 127."));
	assert_non_null(strstr(e.text, "change `listen`"));
	sup_listeners_free(&rig.s.listeners);
	close(fd);
	/* What a daemon that was killed left behind is no obstacle. */
	snprintf(path, sizeof(path), "%s/run/unit/control.sock", rig.dir);
	sup_rig_put(&rig, "run/unit/control.sock", "", 0);
	sup_rig_put(&rig, "run/unit/control.sock.new", "", 0);
	if (listeners_on(port, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(c);
	sup_listeners_give(fe->w);
	sup_listeners_give(con->w);
	sup_listeners_give(sec->w);
	assert_int_equal(sup_rig_heard(fe, "LISTENER kind=\"https\"") +
			     sup_rig_heard(fe, "LISTENER kind=https"),
	    1);
	assert_int_equal(fe->n_fds, 1);
	assert_int_equal(sup_rig_heard(con, "LISTENER"), 0);
	assert_int_equal(sup_rig_heard(sec, "LISTENER"), 1);
	assert_int_equal(sec->n_fds, 1);
	sup_listeners_free(&rig.s.listeners);
	assert_int_equal(stat(path, &st), -1);
}

static void
test_control_path_too_long(void **state)
{
	struct err e;
	uint16_t port;
	int fd = taken_port(&port);

	(void)state;
	close(fd);
	memset(rig.s.run_dir, 'd', 92);
	rig.s.run_dir[92] = '\0'; /* the name fits, the private one does not */
	assert_true(listeners_on(port, &e) < 0);
	assert_non_null(strstr(e.text, "shorten runDir"));
	sup_listeners_free(&rig.s.listeners);
	memset(rig.s.run_dir, 'd', 120);
	rig.s.run_dir[120] = '\0';
	assert_int_equal(listeners_on(port, &e), -ERR_TOO_BIG);
}

static void
look(void)
{
	ev_timer_set(rig.s.alive_timer, 0);
	sup_rig_settle(&rig);
}

/* Three looks without an answer. */
static void
test_hang(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(sup_watch_init(&rig.s, &e), 0);
	for (unsigned i = 1; i <= SUP_ALIVE_MISSED; i++) {
		struct ipc_alive_ack ack = {i};

		look();
		assert_int_equal(sup_rig_heard(fe, "ALIVE "), i);
		ipc_send(con->peer, IPC_ALIVE_ACK, 0, 0, 0, &ack, NULL, 0);
		ipc_send(sec->peer, IPC_ALIVE_ACK, 0, 0, 0, &ack, NULL, 0);
		sup_rig_settle(&rig);
	}
	assert_int_equal(fe->w->state, SUP_UP);
	look();
	sup_rig_gone(fe);
	assert_true(sup_rig_logged(&rig, "it hangs: no answer for 9 s"));
	assert_int_equal(con->w->state, SUP_UP);
	assert_int_equal(sec->w->state, SUP_UP);
	/* It is not looked at while it is down. */
	look();
	assert_int_equal(sup_rig_heard(fe, "ALIVE "), SUP_ALIVE_MISSED);
}

static void
accuse(struct sup_mate *from, unsigned role, uint32_t index)
{
	struct ipc_accuse m = {
	    .role = (uint8_t)role, .index = index, .text = "it lied"};

	ipc_send(from->peer, IPC_ACCUSE, 0, 0, 0, &m, NULL, 0);
	sup_rig_settle(&rig);
}

static void
test_accuse(void **state)
{
	(void)state;
	/* Of itself, and of one that is not there: nothing happens. */
	accuse(fe, IPC_FE, 0);
	accuse(fe, IPC_CLU, 7);
	assert_int_equal(fe->w->state, SUP_UP);
	accuse(fe, IPC_SEC, 0);
	sup_rig_gone(sec);
	assert_true(sup_rig_logged(&rig, "broke the contract with frontend"));
	assert_true(sup_rig_logged(&rig, "was killed: it lied"));
	/* The fourth within a minute: it is its own fault. */
	assert_string_equal(fe->broke, "");
	accuse(fe, IPC_CON, 0);
	assert_non_null(strstr(fe->broke, "accuses too many"));
	assert_int_equal(con->w->state, SUP_UP);
}

/* What nobody may say: the channel is ended with the reason. */
static void
test_nonsense(void **state)
{
	static const struct {
		enum ipc_type type;
		uint64_t value; /* level, number or role */
		const char *why;
	} rows[] = {
	    {IPC_LOG, LOG_LV_DEBUG + 1, "LOG of level"},
	    {IPC_LOG, 255, "LOG of level"},
	    {IPC_ALIVE_ACK, 1, "of the future"},
	    {IPC_ALIVE_ACK, UINT64_MAX, "of the future"},
	    {IPC_ACCUSE, IPC_SUP, "ACCUSE of nobody"},
	    {IPC_ACCUSE, IPC_N_ROLES, "ACCUSE of nobody"},
	};

	for (size_t i = 0; i < N_OF(rows); i++) {
		union {
			struct ipc_log log;
			struct ipc_alive_ack ack;
			struct ipc_accuse accuse;
		} m;

		if (i > 0)
			setup(state);
		memset(&m, 0, sizeof(m));
		if (rows[i].type == IPC_ALIVE_ACK)
			m.ack.number = rows[i].value;
		else if (rows[i].type == IPC_LOG)
			m.log.level = (uint8_t)rows[i].value;
		else if (rows[i].type == IPC_ACCUSE)
			m.accuse.role = (uint8_t)rows[i].value;
		ipc_send(fe->peer, rows[i].type, 0, 0, 0, &m, NULL, 0);
		sup_rig_settle(&rig);
		if (strstr(fe->broke, rows[i].why) == NULL)
			fail_msg("row %zu: %s", i, fe->broke);
		assert_string_equal(con->broke, "");
		if (i + 1 < N_OF(rows))
			teardown(state);
	}
}

/* What a worker writes to stderr, in these pieces, and the log's lines. */
static void
test_last_words(void **state)
{
	static char long_line[2600];
	const struct {
		const char *pieces[3];
		const char *text;
		unsigned lines;
	} rows[] = {
	    {{"one\ntwo\n"}, "secrets[%d]: stderr: two\n", 2},
	    {{"ha", "lf\n"}, "secrets[%d]: stderr: half\n", 1},
	    {{"no end"}, "secrets[%d]: stderr: no end\n", 1},
	    {{"\x1b[2J\a\n"}, "secrets[%d]: stderr:  [2J \n", 1},
	    {{"\n"}, "secrets[%d]: stderr: \n", 1},
	    {{long_line}, "secrets[%d]: stderr: xxxx", 1},
	    {{long_line, "\nafter\n"}, "secrets[%d]: stderr: after\n", 0},
	    {{""}, "", 0},
	};

	(void)state;
	memset(long_line, 'x', sizeof(long_line) - 1);
	for (size_t i = 0; i < N_OF(rows); i++) {
		char want[80], got[8192];
		FILE *file = tmpfile();
		int p[2], old = dup(STDERR_FILENO);
		unsigned lines = 0;
		ssize_t n;

		assert_non_null(file);
		assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
		dup2(fileno(file), STDERR_FILENO);
		rig.s.journal = true;
		assert_int_equal(sup_log_stderr(sec->w, p[0]), 0);
		for (size_t k = 0; k < 3 && rows[i].pieces[k] != NULL; k++) {
			assert_true(write(p[1], rows[i].pieces[k],
					strlen(rows[i].pieces[k])) >= 0);
			sup_rig_settle(&rig);
		}
		close(p[1]);
		sup_rig_settle(&rig);
		dup2(old, STDERR_FILENO);
		close(old);
		assert_int_equal(sec->w->stderr_fd, -1);
		n = pread(fileno(file), got, sizeof(got) - 1, 0);
		fclose(file);
		assert_true(n >= 0);
		got[n] = '\0';
		snprintf(want, sizeof(want), rows[i].text, (int)sec->pid);
		if (strstr(got, want) == NULL || strchr(got, '\x1b') != NULL)
			fail_msg("row %zu: %s", i, got);
		for (char *q = got; (q = strchr(q, '\n')) != NULL; q++)
			lines++;
		if (rows[i].lines != 0)
			assert_int_equal(lines, rows[i].lines);
	}
}

/* Told again what it has: READY is told to systemd and the shell once. */
static void
test_ready_once(void **state)
{
	char text[8];
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	rig.s.ready_fd = p[1];
	fe->w->state = SUP_STARTING;
	sup_check_ready(&rig.s);
	assert_int_equal(read(p[0], text, sizeof(text)), -1);
	fe->w->state = SUP_UP;
	sup_check_ready(&rig.s);
	sup_check_ready(&rig.s);
	assert_int_equal(read(p[0], text, sizeof(text)), 1);
	assert_int_equal(rig.s.ready_fd, -1);
	assert_true(sup_rig_logged(&rig, "ready: 3 workers"));
	close(p[0]);
}

#define EACH(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    EACH(test_resolver),
	    EACH(test_resolver_sizes),
	    EACH(test_resolver_odd_files),
	    EACH(test_listeners),
	    EACH(test_control_path_too_long),
	    EACH(test_hang),
	    EACH(test_accuse),
	    EACH(test_nonsense),
	    EACH(test_last_words),
	    EACH(test_ready_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
