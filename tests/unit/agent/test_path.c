/* Names below a root: what may be reached and what not. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/path.h"
#include "tests/unit/unit.h"

/*
 * top/secret is outside of top/root; links in the root try to reach it.
 */
static char top[64];
static struct path_at at;

static char *
full(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(full(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
setup(void **state)
{
	static const char *const dirs[] = {
	    "root", "root/etc", "root/data", "root/data/deep", "root/empty"};
	static const struct {
		const char *name, *to;
	} links[] = {
	    {"root/data/abs", "/etc/name"},
	    {"root/data/rel", "abs"},
	    {"root/data/up", "../../../../../etc/name"},
	    {"root/data/out", "../../secret"},
	    {"root/data/loop", "loop"},
	    {"root/data/nowhere", "/nowhere"},
	    {"root/data/d1", "/data/deep"},
	    {"root/data/d2", "d1"},
	    {"root/e", "/etc"},
	    {"root/e2", "/e"},
	};

	(void)state;
	strcpy(top, "/tmp/path.XXXXXX");
	assert_non_null(mkdtemp(top));
	for (size_t i = 0; i < N_OF(dirs); i++)
		assert_int_equal(mkdir(full(dirs[i]), 0755), 0);
	put("secret", "outside");
	put("root/etc/name", "inside");
	put("root/data/file", "file");
	put("root/data/deep/leaf", "leaf");
	for (size_t i = 0; i < N_OF(links); i++)
		assert_int_equal(symlink(links[i].to, full(links[i].name)), 0);
	at.root_fd = open(full("root"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	at.dir_fd = PATH_NO_DIR;
	return at.root_fd < 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	close(at.root_fd);
	if (pid == 0) {
		execlp("rm", "rm", "-rf", top, (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

/* What the name reads as, or the negative errno as text. */
static const char *
content(const struct path_at *where, const char *name)
{
	static char text[64];
	int fd = path_open(where, name, O_RDONLY, 0);
	ssize_t n;

	if (fd < 0) {
		snprintf(text, sizeof(text), "%s", strerrorname_np(-fd));
		return text;
	}
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		n = snprintf(text, sizeof(text), "%s", strerrorname_np(errno));
	close(fd);
	text[n] = '\0';
	return text;
}

static void
from_the_root(void **state)
{
	static const struct {
		const char *name, *want;
	} rows[] = {
	    {"/etc/name", "inside"},
	    {"etc/name", "inside"},
	    {"//etc///name", "inside"},
	    {"/./etc/./name", "inside"},
	    {"/../etc/name", "inside"},
	    {"/../../../../etc/name", "inside"},
	    {"/data/../etc/name", "inside"},
	    {"/data/abs", "inside"},
	    {"/data/rel", "inside"},
	    {"/data/up", "inside"},
	    {"/e/name", "inside"},
	    {"/e2/name", "inside"},
	    {"/e2/../data/rel", "inside"},
	    {"/data/d2/leaf", "leaf"},
	    {"/data/d2/../file", "file"},
	    {"/data/out", "ENOENT"},
	    {"/../secret", "ENOENT"},
	    {"/data/../../secret", "ENOENT"},
	    {"/data/d2/../../../secret", "ENOENT"},
	    {"/data/loop", "ELOOP"},
	    {"/data/nowhere", "ENOENT"},
	    {"/data/file/", "ENOTDIR"},
	    {"/data/file/..", "ENOTDIR"},
	    {"/data/none/../file", "ENOENT"},
	    {"/data", "EISDIR"},
	    {"", "ENOENT"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++)
		assert_string_equal(content(&at, rows[i].name), rows[i].want);
}

static void
from_a_directory(void **state)
{
	static const struct {
		const char *dir, *name, *want;
	} rows[] = {
	    {"/data", "file", "file"},
	    {"/data", "./deep/leaf", "leaf"},
	    {"/data", "deep/../file", "file"},
	    {"/data", "abs", "inside"},
	    {"/data", "rel", "inside"},
	    {"/data", "up", "inside"},
	    {"/data", "../etc/name", "inside"},
	    {"/data", "../../../../etc/name", "inside"},
	    {"/data", "/etc/name", "inside"},
	    {"/data", "d2/leaf", "leaf"},
	    {"/data/deep", "../file", "file"},
	    {"/data/deep", "../../etc/name", "inside"},
	    {"/data/d2", "../abs", "inside"},
	    {"/", "data/rel", "inside"},
	    {"/", "../etc/name", "inside"},
	    {"/data", "out", "ENOENT"},
	    {"/data", "../../secret", "ENOENT"},
	    {"/data/deep", "../../../secret", "ENOENT"},
	    {"/data", "loop", "ELOOP"},
	    {"/data", "", "ENOENT"},
	    {"/data", "file/../file", "ENOTDIR"},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct path_at in = at;

		in.dir_fd =
		    path_open(&at, rows[i].dir, O_RDONLY | O_DIRECTORY, 0);
		assert_true(in.dir_fd >= 0);
		assert_string_equal(content(&in, rows[i].name), rows[i].want);
		close(in.dir_fd);
	}
}

/* The directory moves, or goes, while it is open. */
static void
moving_directory(void **state)
{
	struct path_at in = at;
	char other[256];

	(void)state;
	in.dir_fd = path_open(&at, "/data/deep", O_RDONLY | O_DIRECTORY, 0);
	assert_true(in.dir_fd >= 0);
	snprintf(other, sizeof(other), "%s", full("root/moved"));
	assert_int_equal(rename(full("root/data/deep"), other), 0);
	assert_string_equal(content(&in, "leaf"), "leaf");
	assert_string_equal(content(&in, "../etc/name"), "inside");
	snprintf(other, sizeof(other), "%s", full("moved-out"));
	assert_int_equal(rename(full("root/moved"), other), 0);
	/* Now it is not in the root any more: nothing above it either. */
	assert_string_equal(content(&in, "../secret"), "ENOENT");
	close(in.dir_fd);
	in.dir_fd = path_open(&at, "/empty", O_RDONLY | O_DIRECTORY, 0);
	assert_int_equal(rmdir(full("root/empty")), 0);
	assert_string_equal(content(&in, "../etc/name"), "ENOENT");
	assert_string_equal(content(&in, "x"), "ENOENT");
	close(in.dir_fd);
}

static void
magic_links(void **state)
{
	struct path_at whole = {.dir_fd = PATH_NO_DIR};

	(void)state;
	whole.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(whole.root_fd >= 0);
	assert_string_equal(
	    content(&whole, "/proc/self/root/etc/passwd"), "ELOOP");
	assert_string_equal(
	    content(&whole, "/proc/self/cwd/Makefile"), "ELOOP");
	close(whole.root_fd);
}

static void
parents(void **state)
{
	static const struct {
		const char *path, *name;
		int rc;
	} rows[] = {
	    {"/data/new", "new", 0},
	    {"new", "new", 0},
	    {"/new", "new", 0},
	    {"/data/new/", "new/", 0},
	    {"/data/new///", "new///", 0},
	    {"data//new", "new", 0},
	    {"/e2/new", "new", 0},
	    {"/data/..", "..", 0},
	    {"/", ".", 0},
	    {"///", ".", 0},
	    {"/data/abs", "abs", 0},
	    {"", "", -ENOENT},
	    {"/none/new", "", -ENOENT},
	    {"/data/file/new", "", -ENOTDIR},
	    {"/data/loop/new", "", -ELOOP},
	    {"/data/out/new", "", -ENOENT},
	};
	struct path_last last;
	char *longest = test_malloc(PATH_MAX + 2);

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		assert_int_equal(
		    path_parent(&at, rows[i].path, &last), rows[i].rc);
		if (rows[i].rc < 0)
			continue;
		assert_string_equal(last.name, rows[i].name);
		close(last.fd);
	}
	memset(longest, 'x', PATH_MAX + 1);
	longest[PATH_MAX + 1] = '\0';
	assert_int_equal(path_parent(&at, longest, &last), -ENAMETOOLONG);
	test_free(longest);
}

static void
creation(void **state)
{
	struct stat st;
	int fd = path_open(&at, "/data/../../made", O_WRONLY | O_CREAT, 0640);

	(void)state;
	assert_true(fd >= 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	close(fd);
	assert_int_equal(stat(full("root/made"), &st), 0);
	assert_int_equal(stat(full("made"), &st), -1);
	assert_true(path_supported());
}

int
main(void)
{
#define WITH_ROOT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    WITH_ROOT(from_the_root),
	    WITH_ROOT(from_a_directory),
	    WITH_ROOT(moving_directory),
	    cmocka_unit_test(magic_links),
	    WITH_ROOT(parents),
	    WITH_ROOT(creation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
