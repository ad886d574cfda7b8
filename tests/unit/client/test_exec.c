/*
 * The program itself, as a process, against an operator in the test: the
 * order of steps, losses before and after the program runs, signals, exit
 * codes, and what ls, status and session print.
 */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli.h"
#include "lib/str.h"
#include "tests/unit/client/op_fix.h"

struct run {
	struct ev_loop *loop;
	struct op op;
	pid_t pid;
	int fd; /* its output, both streams */
	struct ev_io *io;
	struct buf out;
	bool ended;
	size_t env_asked;
	bool drop_first; /* the connection, at the first question */
};

static void
on_output(void *arg, int ready)
{
	struct run *r = arg;
	char block[4096];
	ssize_t n = read(r->fd, block, sizeof(block));

	(void)ready;
	if (n > 0) {
		buf_append(&r->out, block, (size_t)n);
		return;
	}
	ev_io_want(r->io, 0);
	r->ended = true;
}

static void
answer(struct op *op, const struct pm_ClientMessage *m)
{
	static struct pm_pair pair = {{"CLUSTER", 7}, {"east", 4}};
	struct pm_DaemonMessage r = {
	    .tag = PM_DaemonMessage_GetEnvVarsResponse};
	struct run *run = op->arg;

	if (m->tag == PM_ClientMessage_GetEnvVarsRequest) {
		if (run->env_asked++ == 0 && run->drop_first) {
			op_drop(op);
			return;
		}
		r.u.GetEnvVarsResponse.u.Ok = (struct pm_vec_pair){1, &pair};
		op_send(op, &r);
	} else if (m->tag == PM_ClientMessage_TcpSteal) {
		r.tag = PM_DaemonMessage_TcpSteal;
		r.u.TcpSteal.tag = PM_DaemonTcp_SubscribeResult;
		r.u.TcpSteal.u.SubscribeResult.u.Ok = 80;
		op_send(op, &r);
	}
}

static int
setup(void **state)
{
	struct run *r = calloc(1, sizeof(*r));

	r->loop = ev_loop_new();
	r->fd = -1;
	op_start(&r->op, r->loop);
	r->op.on_client = answer;
	r->op.arg = r;
	setenv("KUBECONFIG", r->op.kubeconfig, 1);
	setenv("PATH", "/usr/bin:/bin", 1);
	*state = r;
	return 0;
}

static void
forget(struct run *r)
{
	ev_io_free(&r->io);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	buf_free(&r->out);
	r->ended = false;
}

static int
teardown(void **state)
{
	struct run *r = *state;

	if (r->pid > 0) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
	}
	forget(r);
	op_stop(&r->op);
	ev_loop_free(&r->loop);
	free(r);
	return 0;
}

/* Starts ./tributary with these words, NULL at the end. */
static void
start(struct run *r, const char *const *words)
{
	const char *argv[32] = {"./tributary"};
	int fds[2];

	for (size_t i = 0; words[i] != NULL; i++)
		argv[i + 1] = words[i];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	r->pid = fork();
	if (r->pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		execv(argv[0], (char *const *)argv);
		_exit(126);
	}
	close(fds[1]);
	r->fd = fds[0];
	r->io = ev_io_new(r->loop, r->fd, on_output, r);
	ev_io_want(r->io, EV_WANT_READ);
}

/* The same with a terminal of its own; what it prints comes from there too. */
static void
start_on_terminal(struct run *r, const char *const *words)
{
	const char *argv[32] = {"./tributary"};
	int slave;

	for (size_t i = 0; words[i] != NULL; i++)
		argv[i + 1] = words[i];
	r->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(r->fd >= 0);
	assert_int_equal(grantpt(r->fd), 0);
	assert_int_equal(unlockpt(r->fd), 0);
	r->pid = fork();
	if (r->pid == 0) {
		setsid();
		slave = open(ptsname(r->fd), O_RDWR); /* controls us now */
		for (int i = 0; i < 3; i++)
			dup2(slave, i);
		execv(argv[0], (char *const *)argv);
		_exit(126);
	}
	r->io = ev_io_new(r->loop, r->fd, on_output, r);
	ev_io_want(r->io, EV_WANT_READ);
}

static void
on_late(void *arg)
{
	*(bool *)arg = true;
}

static void
wait_for(struct run *r, const char *text)
{
	bool late = false;
	struct ev_timer *t = ev_timer_new(r->loop, on_late, &late);

	ev_timer_set(t, 10000);
	while (!late && strstr(buf_cstr(&r->out), text) == NULL)
		ev_loop_turn(r->loop, true);
	ev_timer_free(&t);
	if (late)
		fail_msg("no \"%s\" in: %s", text, buf_cstr(&r->out));
}

/* Runs to its end; its exit code. */
static int
finish(struct run *r)
{
	int status;

	fix_run(r->loop, &r->ended, 15000);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	r->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SHOP "exec", "-t", "deployment/shop"

static void
test_exit_code(void **state)
{
	struct run *r = *state;

	start(r, WORDS(SHOP, "--", "sh", "-c", "echo from $CLUSTER; exit 7"));
	assert_int_equal(finish(r), 7);
	assert_non_null(strstr(buf_cstr(&r->out), "from east"));
	assert_non_null(strstr(buf_cstr(&r->out), "west (not reached)"));
	assert_int_equal(op_count(&r->op, "\"Close\""), 1);
	assert_non_null(
	    strstr(buf_cstr(&r->op.requests), "DELETE /apis/operator"));
}

/* Ports first, then the program: it misses no connection. */
static void
test_order(void **state)
{
	struct run *r = *state;
	const char *ports, *started;

	start(r, WORDS(SHOP, "--steal", "80", "--", "true"));
	assert_int_equal(finish(r), 0);
	ports = strstr(buf_cstr(&r->out), "ports: steal 80");
	started = strstr(buf_cstr(&r->out), "started true");
	assert_non_null(ports);
	assert_non_null(started);
	assert_true(ports < started);
}

/* Lost before the program runs: the steps begin again, once it runs once. */
static void
test_lost_before(void **state)
{
	struct run *r = *state;

	r->drop_first = true;
	start(r, WORDS(SHOP, "--", "sh", "-c", "echo ran"));
	assert_int_equal(finish(r), 0);
	assert_int_equal(r->env_asked, 2);
	assert_non_null(strstr(buf_cstr(&r->out), "connection lost"));
	assert_non_null(strstr(buf_cstr(&r->out), "connected again"));
}

/* Lost later: the program goes on, ports are subscribed again. */
static void
test_lost_after(void **state)
{
	struct run *r = *state;

	start(r, WORDS(SHOP, "--steal", "80", "--", "sh", "-c",
		     "echo up; while :; do sleep 0.1; done"));
	wait_for(r, "up");
	op_drop(&r->op);
	wait_for(r, "connected again");
	for (int i = 0; i < 1000 && op_count(&r->op, "PortSubscribe") < 2; i++)
		ev_loop_turn(r->loop, true);
	assert_int_equal(op_count(&r->op, "PortSubscribe"), 2);
	assert_int_equal(r->env_asked, 1);
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 128 + SIGTERM);
}

/* The operator ends the session: the program is ended, by force at last. */
static void
test_ended(void **state)
{
	struct pm_DaemonMessage m = {
	    .tag = PM_DaemonMessage_Close, .u.Close = PM_STR("go away")};
	struct run *r = *state;

	start(r, WORDS(SHOP, "--", "sh", "-c",
		     "trap 'echo no' TERM; echo up; while :; do sleep 1; "
		     "done"));
	wait_for(r, "up");
	op_send(&r->op, &m);
	wait_for(r, "go away");
	assert_int_equal(finish(r), CLI_UNAVAILABLE);
	assert_non_null(strstr(buf_cstr(&r->out), "ended with code 137"));
}

static void
test_signals(void **state)
{
	static const int signals[] = {
	    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
	struct run *r = *state;

	for (size_t i = 0; i < N_OF(signals); i++) {
		char trap[128], want[32];

		snprintf(trap, sizeof(trap),
		    "trap 'echo got %d; exit %zu' %d; echo up; "
		    "while :; do sleep 0.05; done",
		    signals[i], 40 + i, signals[i]);
		snprintf(want, sizeof(want), "got %d", signals[i]);
		start(r, WORDS(SHOP, "--", "sh", "-c", trap));
		wait_for(r, "up\n");
		kill(r->pid, signals[i]);
		assert_int_equal(finish(r), 40 + (int)i);
		assert_non_null(strstr(buf_cstr(&r->out), want));
		forget(r);
	}
}

static size_t
occurrences(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

/* What the terminal sends to both of them comes to the program once; what is
 * sent to us alone comes to it too. */
static void
test_terminal(void **state)
{
	struct run *r = *state;

	start_on_terminal(
	    r, WORDS(SHOP, "--", "sh", "-c",
		   "trap 'echo got-one' INT; echo is-up; i=0; "
		   "while [ $i -lt 20 ]; do sleep 0.05; i=$((i + 1)); done; "
		   "echo first-over; "
		   "while :; do sleep 0.05; done"));
	wait_for(r, "is-up\r\n");
	assert_int_equal(write(r->fd, "\003", 1), 1);
	wait_for(r, "first-over\r\n");
	assert_int_equal(occurrences(buf_cstr(&r->out), "got-one\r\n"), 1);
	kill(r->pid, SIGINT);
	while (occurrences(buf_cstr(&r->out), "got-one\r\n") < 2)
		ev_loop_turn(r->loop, true);
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 128 + SIGTERM);
}

/* Killed outright, it does not leave the program without its session. */
static void
test_killed(void **state)
{
	struct run *r = *state;

	start(r, WORDS(SHOP, "--", "sh", "-c",
		     "trap 'echo told; exit' TERM; echo up; "
		     "while :; do sleep 0.05; done"));
	wait_for(r, "up\n");
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
	r->pid = 0;
	wait_for(r, "told");
	fix_run(r->loop, &r->ended, 5000);
}

/* Before there is a program a signal ends the command itself. */
static void
ignore(struct op *op, const struct pm_ClientMessage *m)
{
	(void)op;
	(void)m;
}

static void
test_early_signal(void **state)
{
	struct run *r = *state;

	r->op.on_client = ignore;
	start(r, WORDS(SHOP, "--", "echo", "never"));
	op_wait(&r->op, "GetEnvVars");
	kill(r->pid, SIGUSR1); /* means nothing yet */
	kill(r->pid, SIGINT);
	assert_int_equal(finish(r), 128 + SIGINT);
	assert_null(strstr(buf_cstr(&r->out), "never"));
}

static void
test_refusals(void **state)
{
	static const struct {
		int http, code;
	} rows[] = {{400, CLI_UNAVAILABLE}, {401, CLI_DENIED},
	    {403, CLI_DENIED}, {404, CLI_UNAVAILABLE}, {409, CLI_UNAVAILABLE},
	    {500, CLI_UNAVAILABLE}};
	struct run *r = *state;

	for (size_t i = 0; i < N_OF(rows); i++) {
		r->op.upgrades = 0;
		r->op.refuse[0] = rows[i].http;
		start(r, WORDS(SHOP, "--", "echo", "never"));
		assert_int_equal(finish(r), rows[i].code);
		assert_non_null(strstr(buf_cstr(&r->out), "because"));
		assert_null(strstr(buf_cstr(&r->out), "never"));
		forget(r);
	}
}

static void
test_usage(void **state)
{
	static const struct {
		const char *words[8];
		int code;
		const char *says;
	} rows[] = {
	    {{"exec", "--help"}, CLI_OK, "usage: tributary exec"},
	    {{"ls", "--help"}, CLI_OK, "usage: tributary ls"},
	    {{"status", "--help"}, CLI_OK, "usage: tributary status"},
	    {{"session", "--help"}, CLI_OK, "usage: tributary session"},
	    {{"port-forward", "--help"}, CLI_OK, "-R 80:8080"},
	    {{"ls", "x"}, CLI_USAGE, "one word too many"},
	    {{"ls", "-o", "xml"}, CLI_USAGE, "table and json"},
	    {{"status", "x"}, CLI_USAGE, "one word too many"},
	    {{"status", "-o"}, CLI_USAGE, "-o wants a value"},
	    {{"session"}, CLI_USAGE, "list or kill"},
	    {{"session", "stop"}, CLI_USAGE, "list or kill"},
	    {{"session", "list", "x"}, CLI_USAGE, "one word too many"},
	    {{"session", "kill"}, CLI_USAGE, "--all"},
	    {{"session", "kill", "1", "--all"}, CLI_USAGE, "--all"},
	    {{"session", "kill", "a/b"}, CLI_USAGE, "not a session id"},
	    {{"port-forward"}, CLI_USAGE, "which target"},
	    {{"port-forward", "-t", "pod/a"}, CLI_USAGE, "-L or -R"},
	    {{"port-forward", "-t", "pod/a", "-L", "80"}, CLI_USAGE,
		"LOCAL:HOST:PORT"},
	    {{"port-forward", "-t", "pod/a", "-R", "x"}, CLI_USAGE, "PORT"},
	    {{"port-forward", "-t", "pod/a", "-R", "1", "y"}, CLI_USAGE,
		"one word too many"},
	    {{"ls", "--kubeconfig", "/no/such"}, CLI_CONFIG, "/no/such"},
	    {{"ls", "--context", "x"}, CLI_CONFIG, "no context x"},
	    {{"nothing"}, CLI_USAGE, "no command nothing"},
	};
	struct run *r = *state;

	for (size_t i = 0; i < N_OF(rows); i++) {
		int code;

		start(r, rows[i].words);
		code = finish(r);
		if (code != rows[i].code ||
		    strstr(buf_cstr(&r->out), rows[i].says) == NULL)
			fail_msg("row %zu: %d, %s", i, code, buf_cstr(&r->out));
		forget(r);
	}
}

#define API "/apis/operator.metalbear.co/v1"

static const struct op_canned lists[] = {
    {"GET", API "/namespaces/default/targets", 200,
	"{\"metadata\":{\"silentClusters\":[\"west\"]},\"items\":[{"
	"\"metadata\":{\"name\":\"deployment.shop\",\"namespace\":\"default\"},"
	"\"spec\":{\"target\":{\"deployment\":\"shop\",\"container\":\"app\"}},"
	"\"status\":{\"ports\":[80,81],\"replicas\":[{\"ready\":true},{}],"
	"\"clusters\":[\"east\",\"west\"]}},7,{}]}"},
    {"GET", API "/namespaces/empty/targets", 200, "{\"items\":[]}"},
    {"GET", API "/targets", 403, "{\"code\":403,\"message\":\"not yours\"}"},
    {"GET", API "/sessions?fieldSelector=spec.session.key%3Da%5C%2Cb", 200,
	"{\"items\":[]}"},
    {"GET", API "/namespaces/default/sessions", 200,
	"{\"items\":[{\"metadata\":{\"name\":\"1A2B\"},\"spec\":{\"session\":{"
	"\"user\":\"dev\",\"target\":\"deployment/shop\",\"duration_secs\":61,"
	"\"locked_ports\":[{\"port\":80,\"kind\":\"steal\"}]}}}]}"},
    {"DELETE", API "/sessions/1A2B", 200,
	"{\"status\":\"Success\",\"message\":\"stopped it\"}"},
    {"DELETE", API "/sessions/3", 200,
	"{\"status\":\"Failure\",\"message\":\"can't\"}"},
    {"DELETE", API "/sessions/4", 404,
	"{\"code\":404,\"message\":\"there is none\"}"},
    {"DELETE", API "/sessions", 200, "{\"message\":\"2 stopped\"}"},
    {NULL, NULL, 0, NULL},
};

static void
test_commands(void **state)
{
	static const struct {
		const char *words[8];
		int code;
		const char *says;
	} rows[] = {
	    {{"ls"}, 0,
		"default    deployment/shop  app        80, 81  1/2    east, "
		"west"},
	    {{"ls"}, 0, "the cluster west does not answer"},
	    {{"ls", "-n", "empty"}, 0, "no targets"},
	    {{"ls", "-o", "json"}, 0, "\"silentClusters\":"},
	    {{"ls", "-A"}, CLI_DENIED, "not yours"},
	    {{"ls", "-n", "other"}, CLI_UNAVAILABLE, "nothing here"},
	    {{"status"}, 0, "primary, management only"},
	    {{"status"}, 0, "no? route"}, /* its escape is not passed on */
	    {{"status", "-o", "json"}, 0, "\"MirrordOperator\""},
	    {{"session", "list"}, 0,
		"1A2B  dev   deployment/shop  -          80 steal  -    1m1s"},
	    {{"session", "list", "-A", "--key", "a,b"}, 0, "no sessions"},
	    {{"session", "kill", "1A2B"}, 0, "1A2B: stopped it"},
	    {{"session", "kill", "3"}, CLI_FAILED, "can't"},
	    {{"session", "kill", "4", "1A2B"}, CLI_UNAVAILABLE, "stopped it"},
	    {{"session", "kill", "--all"}, 0, "2 stopped"},
	};
	struct run *r = *state;

	r->op.canned = lists;
	for (size_t i = 0; i < N_OF(rows); i++) {
		int code;

		start(r, rows[i].words);
		code = finish(r);
		if (code != rows[i].code ||
		    strstr(buf_cstr(&r->out), rows[i].says) == NULL)
			fail_msg("row %zu: %d, %s", i, code, buf_cstr(&r->out));
		forget(r);
	}
}

static void
test_port_forward(void **state)
{
	struct run *r = *state;

	start(r, WORDS("port-forward", "-t", "deployment/shop", "-L",
		     "0:db.internal:5432", "-R", "80:8080", "--steal"));
	wait_for(r, "ready");
	assert_non_null(
	    strstr(buf_cstr(&r->out), "steal 80 -> 127.0.0.1:8080"));
	assert_non_null(strstr(buf_cstr(&r->out), "db.internal:5432"));
	op_drop(&r->op);
	wait_for(r, "connected again");
	kill(r->pid, SIGINT);
	assert_int_equal(finish(r), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {T(test_exit_code), T(test_order),
	    T(test_lost_before), T(test_lost_after), T(test_ended),
	    T(test_signals), T(test_terminal), T(test_killed),
	    T(test_early_signal), T(test_refusals), T(test_usage),
	    T(test_commands), T(test_port_forward)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
