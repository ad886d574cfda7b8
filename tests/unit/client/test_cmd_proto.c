/*
 * `tributary proto` as a process: lines in, lines out, exit codes. The program
 * is the one just built, in the directory the tests run in.
 */
#include "tests/unit/unit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"

struct run {
	struct buf out; /* standard output */
	int status;     /* the exit code, -1 when it died */
};

static void
child(char *const argv[], int in, int out)
{
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	execv(argv[0], argv);
	_exit(127);
}

/* Feeds the input and reads the output at once: either may be large. */
static void
pump(int in, int out, const char *p, size_t n, struct buf *got)
{
	struct pollfd fds[2] = {{in, POLLOUT, 0}, {out, POLLIN, 0}};
	char block[65536];
	ssize_t k;

	while (fds[1].fd >= 0) {
		if (n == 0 && fds[0].fd >= 0) {
			close(in);
			fds[0].fd = -1;
		}
		assert_int_not_equal(poll(fds, 2, 60000), 0);
		if (fds[0].fd >= 0 && fds[0].revents != 0) {
			k = write(in, p, n < 65536 ? n : 65536);
			k = k < 0 ? (ssize_t)n : k; /* it does not read on */
			p += k;
			n -= (size_t)k;
		}
		if (fds[1].revents == 0)
			continue;
		k = read(out, block, sizeof(block));
		if (k <= 0)
			fds[1].fd = -1;
		else
			assert_int_equal(buf_append(got, block, (size_t)k), 0);
	}
}

static struct run
run(const char *const *args, const char *input, size_t n)
{
	struct run r = {.status = -1};
	char program[] = "./tributary", *argv[8] = {program};
	int in[2], out[2], status;
	pid_t pid;

	for (int i = 0; i < 6 && args[i] != NULL; i++)
		argv[i + 1] = (char *)args[i];
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	buf_init(&r.out, (size_t)512 << 20);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0)
		child(argv, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	signal(SIGPIPE, SIG_IGN);
	pump(in[1], out[0], input, n, &r.out);
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		r.status = WEXITSTATUS(status);
	return r;
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
expect(const char *const *args, const char *input, const char *output)
{
	struct run r = run(args, input, strlen(input));

	assert_int_equal(r.status, 0);
	assert_string_equal(buf_cstr(&r.out), output);
	buf_free(&r.out);
}

static void
test_decode(void **state)
{
	(void)state;
	expect(ARGS("proto", "decode", "--client"), "07\n010050\n",
	    "\"Ping\"\n{\"Tcp\": {\"PortSubscribe\": 80}}\n");
	expect(ARGS("proto", "decode", "--daemon"), "0003C3BC22\n07",
	    "{\"Close\": \"\xc3\xbc\\\"\"}\n\"Pong\"\n");
	/* surplus bytes, white space at the end */
	expect(ARGS("proto", "decode", "--client"), "07deadbeef \r\n",
	    "\"Ping\"\n");
	expect(ARGS("proto", "decode", "--client"), "", "");
}

static void
test_encode(void **state)
{
	(void)state;
	expect(ARGS("proto", "encode", "--client"),
	    "\"Ping\"\n {\"Tcp\" :{\"PortSubscribe\":80} }\r\n",
	    "07\n010050\n");
	expect(ARGS("proto", "encode", "--daemon"),
	    "{\"Close\":\"a\\u0000b\"}\n", "0003610062\n");
	expect(ARGS("proto", "encode", "--daemon"),
	    "{\"OperatorPing\":\"340282366920938463463374607431768211455\"}",
	    "0dfeffffffffffffffffffffffffffffffff\n");
}

/* One line of error each, with the offset, and the next line is read. */
static void
test_errors(void **state)
{
	static const struct {
		const char *verb, *line, *offset;
	} t[] = {
	    {"decode", "", "0"},
	    {"decode", "ff", "0"},
	    {"decode", "0902", "1"},
	    {"decode", "0203050a41", "5"},
	    {"decode", "0", "0"},
	    {"decode", "0g", "0"},
	    {"decode", "07 07", "1"},
	    {"decode", "070", "1"},
	    {"decode", "\xc3\xbc", "0"},
	    {"decode", "050002fffe", "2"},
	    {"encode", "", "0"},
	    {"encode", "{", "1"},
	    {"encode", "\"Pong\"", "6"},
	    {"encode", "{\"Tcp\":{\"PortSubscribe\":99999}}", "29"},
	    {"encode", "\"Ping\" \"Ping\"", "7"},
	    {"encode", "\xff", "0"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		struct buf in = {0};
		struct run r;
		char *text, want[64];

		assert_int_equal(buf_printf(&in, "%s\n%s\n", t[i].line,
				     t[i].verb[0] == 'd' ? "07" : "\"Ping\""),
		    0);
		r = run(ARGS("proto", t[i].verb, "--client"),
		    (char *)buf_data(&in), in.len);
		text = buf_take(&r.out);
		print_message("%s %s: %s", t[i].verb, t[i].line, text);
		assert_int_equal(r.status, 0);
		assert_int_equal(strncmp(text, "{\"error\": \"", 11), 0);
		snprintf(want, sizeof(want), "\"offset\": %s}\n", t[i].offset);
		assert_non_null(strstr(text, want));
		assert_string_equal(strchr(text, '\n') + 1,
		    t[i].verb[0] == 'd' ? "\"Ping\"\n" : "07\n");
		free(text);
		buf_free(&in);
	}
}

/* A NUL in a line is no end of it. */
static void
test_nul(void **state)
{
	struct run r =
	    run(ARGS("proto", "decode", "--client"), "07\0\n07\n", 7);

	(void)state;
	assert_int_equal(r.status, 0);
	assert_int_equal(strncmp(buf_cstr(&r.out), "{\"error\": ", 10), 0);
	assert_non_null(strstr(buf_cstr(&r.out), "\n\"Ping\"\n"));
	buf_free(&r.out);
}

/* A message of 20 MB there and back. */
static void
test_long_line(void **state)
{
	enum { BODY = 20 << 20 };
	char *hex = malloc(2 * BODY + 32);
	size_t head = strlen("020305fc00004001");
	struct run json, back;

	(void)state;
	assert_non_null(hex);
	memcpy(hex, "020305fc00004001", head + 1);
	memset(hex + head, 'a', 2 * (size_t)BODY);
	hex[head + 2 * (size_t)BODY] = '\n';
	json = run(ARGS("proto", "decode", "--client"), hex,
	    head + 2 * (size_t)BODY + 1);
	assert_int_equal(json.status, 0);
	assert_in_range(json.out.len, 2 * BODY, 2 * BODY + 200);
	back = run(ARGS("proto", "encode", "--client"),
	    (char *)buf_data(&json.out), json.out.len);
	assert_int_equal(back.status, 0);
	assert_int_equal(back.out.len, head + 2 * (size_t)BODY + 1);
	assert_memory_equal(buf_data(&back.out), hex, back.out.len);
	buf_free(&json.out);
	buf_free(&back.out);
	free(hex);
}

static void
test_usage(void **state)
{
	static const struct {
		const char *args[6];
		int status;
	} t[] = {
	    {{"proto", "--help"}, 0},
	    {{"proto", "decode", "--help"}, 0},
	    {{"--help"}, 0},
	    {{"proto"}, 2},
	    {{"proto", "decode"}, 2},
	    {{"proto", "decode", "--server"}, 2},
	    {{"proto", "recode", "--client"}, 2},
	    {{"proto", "decode", "--client", "--daemon"}, 2},
	    {{"proto", "--client", "decode"}, 2},
	    {{"nonsense"}, 2},
	    {{NULL}, 2},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(t); i++) {
		struct run r = run(t[i].args, "", 0);

		assert_int_equal(r.status, t[i].status);
		assert_int_equal(r.out.len > 0, t[i].status == 0);
		buf_free(&r.out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_decode),
	    cmocka_unit_test(test_encode),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_nul),
	    cmocka_unit_test(test_long_line),
	    cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
