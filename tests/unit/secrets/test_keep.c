/* Files, a changed configuration, the end, and who may not ask. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/json.h"
#include "tests/unit/secrets/sec_fix.h"
#include "tests/unit/workers/rig.h"
#include "workers/secrets/secrets.h"

static void
test_write_and_read(void **state)
{
	static const char *const texts[] = {"first", "a longer second", ""};
	struct sec_fix f;
	struct stat st;
	char path[128];
	struct err e;

	(void)state;
	sec_fix_init(&f);
	for (size_t i = 0; i < N_OF(texts); i++) {
		struct buf b;

		buf_init(&b, 0);
		assert_int_equal(sec_file_write(f.keys_fd, "x", texts[i],
				     strlen(texts[i]), &e),
		    0);
		assert_int_equal(sec_file_read(f.keys_fd, "x", 100, &b, &e), 0);
		assert_string_equal(buf_cstr(&b), texts[i]);
		sec_buf_wipe(&b);
		assert_null(b.base);
	}
	snprintf(path, sizeof(path), "%s/keys/x", f.dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(path, sizeof(path), "%s/keys/x.new", f.dir);
	assert_int_equal(access(path, F_OK), -1);
	sec_fix_deinit(&f);
}

static void
test_read_refuses(void **state)
{
	static const struct {
		const char *name;
		int code;
	} rows[] = {
	    {"missing", ERR_NOT_FOUND},
	    {"directory", ERR_INVALID},
	    {"link", ERR_SYS},
	    {"large", ERR_TOO_BIG},
	    {"fifo", ERR_INVALID},
	    {"../keys", ERR_INVALID},
	};
	struct sec_fix f;
	char path[128];

	(void)state;
	sec_fix_init(&f);
	sec_fix_write(&f, "keys/large", "0123456789a");
	snprintf(path, sizeof(path), "%s/keys/directory", f.dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/keys/link", f.dir);
	assert_int_equal(symlink("large", path), 0);
	snprintf(path, sizeof(path), "%s/keys/fifo", f.dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct err e = {0};
		struct buf b;

		buf_init(&b, 0);
		assert_int_equal(
		    sec_file_read(f.keys_fd, rows[i].name, 10, &b, &e),
		    -rows[i].code);
		assert_true(e.text[0] != '\0');
		sec_buf_wipe(&b);
	}
	sec_fix_deinit(&f);
}

/* A name already taken by something else is not written through. */
static void
test_write_refuses(void **state)
{
	struct sec_fix f;
	char path[128];
	struct stat st;
	struct err e;

	(void)state;
	sec_fix_init(&f);
	sec_fix_write(&f, "outside", "untouched");
	snprintf(path, sizeof(path), "%s/keys/x.new", f.dir);
	assert_int_equal(symlink("../outside", path), 0);
	assert_true(sec_file_write(f.keys_fd, "x", "secret", 6, &e) < 0);
	snprintf(path, sizeof(path), "%s/outside", f.dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 9);
	sec_fix_deinit(&f);
}

static void
start(struct rig *r, const struct sec_fix *f, const char *clusters)
{
	char config[1024];

	snprintf(config, sizeof(config),
	    "{\"stateDir\": \"%s\", \"controlGroup\": \"root\", "
	    "\"advertise\": \"https://a:1\", \"clusters\": [%s]}",
	    f->dir, clusters);
	memset(r, 0, sizeof(*r));
	rig_init(r, &sec_ops, config);
}

#define TOKEN_CLUSTER(name) \
	"{\"name\": \"" name "\", \"authType\": \"bearerToken\"}"

/* A cluster that is new gets its credential; one that is gone gets none. */
static void
test_reload(void **state)
{
	struct rig_peer *sup, *east, *west;
	struct ipc_reload m = {0};
	struct rig_msg *got;
	struct sec_fix f;
	char config[512];
	struct rig r;

	(void)state;
	sec_fix_init(&f);
	sec_fix_write(&f, "credentials/east/bearerToken", "one");
	sec_fix_write(&f, "credentials/west/bearerToken", "two");
	start(&r, &f, TOKEN_CLUSTER("east"));
	sup = rig_attach(&r, IPC_SUP, 0, "");
	east = rig_attach(&r, IPC_CLU, 0, "east");
	west = rig_attach(&r, IPC_CLU, 1, "west");
	got = rig_expect(east, IPC_CREDENTIAL);
	rig_msg_free(&got);
	rig_settle(&r);
	assert_int_equal(rig_count(west, IPC_CREDENTIAL), 0);
	snprintf(config, sizeof(config),
	    "{\"stateDir\": \"%s\", \"advertise\": \"https://b:1\", "
	    "\"clusters\": [" TOKEN_CLUSTER("west") "]}",
	    f.dir);
	m.config = (struct span){(const uint8_t *)config, strlen(config)};
	rig_send(sup, IPC_RELOAD, 0, 0, 0, &m);
	got = rig_expect(west, IPC_CREDENTIAL);
	assert_memory_equal(buf_data(&got->data), "two", 3);
	rig_msg_free(&got);
	sec_fix_write(&f, "credentials/east/bearerToken", "three");
	sec_fix_write(&f, "credentials/west/bearerToken", "fourth");
	got = rig_expect(west, IPC_CREDENTIAL);
	rig_msg_free(&got);
	assert_int_equal(rig_count(east, IPC_CREDENTIAL), 0);
	rig_deinit(&r);
	sec_fix_deinit(&f);
}

/* A cluster worker that is back is told again. */
static void
test_cluster_worker_returns(void **state)
{
	struct rig_msg *got;
	struct sec_fix f;
	struct rig r;

	(void)state;
	sec_fix_init(&f);
	sec_fix_write(&f, "credentials/east/bearerToken", "one");
	start(&r, &f, TOKEN_CLUSTER("east"));
	for (int i = 0; i < 3; i++) {
		struct rig_peer *east = rig_attach(&r, IPC_CLU, 0, "east");

		got = rig_expect(east, IPC_CREDENTIAL);
		assert_memory_equal(buf_data(&got->data), "one", 3);
		rig_msg_free(&got);
		rig_detach(east);
		rig_settle(&r);
	}
	rig_deinit(&r);
	sec_fix_deinit(&f);
}

/* Names that are no directory's are never opened. */
static void
test_names_of_clusters(void **state)
{
	struct rig_peer *up;
	struct sec_fix f;
	struct rig r;

	(void)state;
	sec_fix_init(&f);
	sec_fix_write(&f, "bearerToken", "outside");
	start(&r, &f,
	    TOKEN_CLUSTER("..") "," TOKEN_CLUSTER(".") "," TOKEN_CLUSTER(
		"") "," TOKEN_CLUSTER("a/b"));
	up = rig_attach(&r, IPC_CLU, 0, "..");
	rig_settle(&r);
	assert_int_equal(rig_count(up, IPC_CREDENTIAL), 0);
	rig_deinit(&r);
	sec_fix_deinit(&f);
}

/* Messages that are not for it end the peer that sent them. */
static void
test_wrong_messages(void **state)
{
	struct rig_peer *con;
	struct ipc_connected c = {.request = 1};
	struct sec_fix f;
	struct rig r;

	(void)state;
	sec_fix_init(&f);
	start(&r, &f, "");
	con = rig_attach(&r, IPC_CON, 0, "");
	rig_send(con, IPC_CONNECTED, 0, 0, 0, &c);
	rig_settle(&r);
	assert_true(con->gone);
	rig_deinit(&r);
	sec_fix_deinit(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_write_and_read),
	    cmocka_unit_test(test_read_refuses),
	    cmocka_unit_test(test_write_refuses),
	    cmocka_unit_test(test_reload),
	    cmocka_unit_test(test_cluster_worker_returns),
	    cmocka_unit_test(test_names_of_clusters),
	    cmocka_unit_test(test_wrong_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
