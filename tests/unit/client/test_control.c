/* The administrator's side: times, files, and a daemon played by the test. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/cmd_admin.h"
#include "client/control.h"
#include "lib/json.h"
#include "tests/unit/unit.h"

static void
test_ttl(void **state)
{
	static const struct {
		const char *text;
		int64_t secs; /* 0: refused */
	} rows[] = {{"90", 90}, {"90s", 90}, {"15m", 900}, {"12h", 43200},
	    {"30d", 2592000}, {"", 0}, {"0", 0}, {"0d", 0}, {"d", 0}, {"-1", 0},
	    {"1.5h", 0}, {"1h30m", 0}, {"1w", 0}, {" 1", 0}, {"99999999999", 0},
	    {"1 h", 0}};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		int64_t secs = 0;
		struct err e;

		assert_int_equal(cli_ttl_parse(rows[i].text, &secs, &e),
		    rows[i].secs == 0 ? -ERR_INVALID : 0);
		assert_true(secs == rows[i].secs);
	}
}

static void
test_files(void **state)
{
	char dir[] = "/tmp/test_control.XXXXXX", sub[64], path[128], text[16];
	struct stat st;
	struct err e;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(sub, sizeof(sub), "%s/east", dir);
	snprintf(path, sizeof(path), "%s/tls.key", sub);
	umask(0);
	for (int i = 0; i < 2; i++) { /* new, then replaced */
		assert_int_equal(
		    cli_file_write_in(sub, "tls.key", i == 0 ? "a" : "b", &e),
		    0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_int_equal(stat(sub, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), 1);
	assert_int_equal(text[0], 'b');
	close(fd);
	assert_true(cli_file_write("/nonexistent/x", "a", 1, &e) < 0);
	assert_true(cli_file_write_in("/nonexistent/x", "y", "a", &e) < 0);
	assert_true(cli_file_write_in(path, "y", "a", &e) < 0);
	unlink(path);
	rmdir(sub);
	assert_int_equal(rmdir(dir), 0); /* nothing was left beside */
}

/* A process that answers every connection with the same bytes. */
struct daemon {
	char dir[32], path[64];
	pid_t pid;
};

static void
daemon_start(struct daemon *d, const char *answer)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(d->dir, "/tmp/test_control.XXXXXX");
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->path, sizeof(d->path), "%s/control.sock", d->dir);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", d->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 4), 0);
	d->pid = fork();
	assert_true(d->pid >= 0);
	if (d->pid == 0) {
		int c = accept(fd, NULL, NULL);
		char line[4096];

		if (c >= 0 && read(c, line, sizeof(line)) > 0)
			(void)!write(c, answer, strlen(answer));
		_exit(0);
	}
	close(fd);
}

static void
daemon_stop(struct daemon *d)
{
	assert_int_equal(waitpid(d->pid, NULL, 0), d->pid);
	unlink(d->path);
	rmdir(d->dir);
}

static void
test_ask(void **state)
{
	static const struct {
		const char *answer;
		int code;
		const char *text;
	} rows[] = {
	    {"{\"ok\":true,\"a\":1}\n", 0, NULL},
	    {"{\"ok\":false,\"error\":\"a sentence\"}\n", ERR_DENIED,
		"a sentence"},
	    {"{\"error\":\"a sentence\"}\n", ERR_DENIED, "a sentence"},
	    {"{\"ok\":false}\n", ERR_DENIED, "refused"},
	    {"[]\n", ERR_DENIED, "refused"},
	    {"not JSON\n", ERR_INVALID, NULL},
	    {"{\"ok\":true}", ERR_CLOSED, "without an answer"},
	    {"", ERR_CLOSED, "without an answer"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct daemon d;
		struct cli_control c;
		cJSON *reply, *req = cJSON_CreateObject();
		struct err e = {0};

		daemon_start(&d, rows[i].answer);
		c = (struct cli_control){.path = d.path};
		assert_int_equal(
		    cli_control_ask(&c, req, &reply, &e), -rows[i].code);
		assert_int_equal(reply != NULL, rows[i].code == 0);
		if (rows[i].text != NULL)
			assert_non_null(strstr(e.text, rows[i].text));
		cJSON_Delete(reply);
		daemon_stop(&d);
	}
}

static void
test_nobody_there(void **state)
{
	struct cli_control c = {.path = "/nonexistent/control.sock"};
	char longer[300];
	cJSON *reply;
	struct err e;

	(void)state;
	assert_int_equal(cli_control_ask(&c, cJSON_CreateObject(), &reply, &e),
	    -ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "--instance"));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	c.path = longer;
	assert_int_equal(cli_control_ask(&c, cJSON_CreateObject(), &reply, &e),
	    -ERR_TOO_BIG);
}

static void
test_usage(void **state)
{
	static const struct {
		int (*fn)(int argc, char **argv);
		const char *args[6];
		int rc;
	} rows[] = {
	    {cli_cmd_kubeconfig, {"kubeconfig"}, CLI_USAGE},
	    {cli_cmd_kubeconfig, {"kubeconfig", "a", "b"}, CLI_USAGE},
	    {cli_cmd_kubeconfig, {"kubeconfig", "a", "--ttl", "x"}, CLI_USAGE},
	    {cli_cmd_kubeconfig,
		{"kubeconfig", "a", "--out=x", "--credentials=y"}, CLI_USAGE},
	    {cli_cmd_kubeconfig, {"kubeconfig", "--nothing"}, CLI_USAGE},
	    {cli_cmd_kubeconfig, {"kubeconfig", "--help"}, CLI_OK},
	    {cli_cmd_token, {"token"}, CLI_USAGE},
	    {cli_cmd_token, {"token", "a", "--list"}, CLI_USAGE},
	    {cli_cmd_token, {"token", "--help"}, CLI_OK},
	    {cli_cmd_revoke, {"revoke"}, CLI_USAGE},
	    {cli_cmd_revoke, {"revoke", "a", "--list"}, CLI_USAGE},
	    {cli_cmd_revoke, {"revoke", "a", "--serial", "b"}, CLI_USAGE},
	    {cli_cmd_revoke, {"revoke", "a", "--group", "b"}, CLI_USAGE},
	    {cli_cmd_revoke, {"revoke", "--help"}, CLI_OK},
	    {cli_cmd_check_config, {"check-config"}, CLI_USAGE},
	    {cli_cmd_check_config, {"check-config", "--x"}, CLI_USAGE},
	    {cli_cmd_check_config, {"check-config", "--help"}, CLI_OK},
	    {cli_cmd_check_config, {"check-config", "/nonexistent"},
		CLI_FAILED},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		char *argv[7] = {NULL};
		int argc = 0;

		for (; rows[i].args[argc] != NULL; argc++)
			argv[argc] = strdup(rows[i].args[argc]);
		optind = 0; /* getopt starts anew */
		assert_int_equal(rows[i].fn(argc, argv), rows[i].rc);
		while (argc > 0)
			free(argv[--argc]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ttl),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_ask),
	    cmocka_unit_test(test_nobody_there),
	    cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
