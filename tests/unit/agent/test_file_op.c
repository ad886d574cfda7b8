/* The table of file requests against the protocol's (spec §7.6, §10). */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/file_op.h"
#include "tests/unit/unit.h"

#define FD_BYTES "\xfb\x39\x30" /* 12345 */
enum { FD_VALUE = 12345 };

struct row {
	uint32_t request, response;
	bool has_fd, answered;
	const char *body; /* encoded, with the descriptor where there is one */
	size_t n;
};
#define ROW(req, rsp, fd, body)                                              \
	{                                                                    \
		PM_FileRequest_##req, PM_FileResponse_##rsp, fd, true, body, \
		    sizeof(body) - 1                                         \
	}
#define SILENT(req)                                             \
	{                                                       \
		PM_FileRequest_##req, 0, true, false, FD_BYTES, \
		    sizeof(FD_BYTES) - 1                        \
	}

static const struct row rows[] = {
    ROW(Open, Open, false, "\x01/\1\0\0\0\0\0"),
    ROW(OpenRelative, Open, true, FD_BYTES "\x01x\1\0\0\0\0\0"),
    ROW(Read, Read, true, FD_BYTES "\x01"),
    ROW(ReadLimited, ReadLimited, true, FD_BYTES "\x01\x02"),
    ROW(Seek, Seek, true, FD_BYTES "\0\x07"),
    ROW(Write, Write, true, FD_BYTES "\x02xy"),
    ROW(WriteLimited, WriteLimited, true, FD_BYTES "\x05\x02xy"),
    SILENT(Close),
    ROW(Access, Access, false, "\x01/\x04"),
    ROW(Xstat, Xstat, false, "\x01\x01/\0\x01"),
    ROW(Xstat, Xstat, true, "\x01\x01x\x01" FD_BYTES "\x01"),
    ROW(Xstat, Xstat, true, "\0\x01" FD_BYTES "\x01"),
    ROW(XstatFs, XstatFs, true, FD_BYTES),
    ROW(FdOpenDir, OpenDir, true, FD_BYTES),
    ROW(ReadDir, ReadDir, true, FD_BYTES),
    SILENT(CloseDir),
    ROW(GetDEnts64, GetDEnts64, true, FD_BYTES "\x64"),
    ROW(ReadLink, ReadLink, false, "\x01/"),
    ROW(ReadDirBatch, ReadDirBatch, true, FD_BYTES "\x64"),
    ROW(MakeDir, MakeDir, false, "\x01/\x01"),
    ROW(MakeDirAt, MakeDir, true, FD_BYTES "\x01x\x01"),
    ROW(RemoveDir, RemoveDir, false, "\x01/"),
    ROW(Unlink, Unlink, false, "\x01/"),
    ROW(UnlinkAt, Unlink, false, "\0\x01/\0"),
    ROW(UnlinkAt, Unlink, true, "\x01" FD_BYTES "\x01x\0"),
    ROW(StatFs, XstatFs, false, "\x01/"),
    ROW(XstatFsV2, XstatFsV2, true, FD_BYTES),
    ROW(StatFsV2, XstatFsV2, false, "\x01/"),
    ROW(Rename, Rename, false, "\x01/\x01/"),
    ROW(Ftruncate, Ftruncate, true, FD_BYTES "\x02"),
    ROW(Futimens, Futimens, true, FD_BYTES "\0"),
    ROW(Fchown, Fchown, true, FD_BYTES "\x01\x02"),
    ROW(Fchmod, Fchmod, true, FD_BYTES "\x01"),
};

static void
descriptors(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena, 0);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct pm_ClientMessage m;
		uint8_t bytes[64] = {
		    PM_ClientMessage_FileRequest, (uint8_t)rows[i].request};
		uint64_t fd = 0;
		size_t used;

		memcpy(bytes + 2, rows[i].body, rows[i].n);
		assert_int_equal(pm_decode_client(&arena, bytes, rows[i].n + 2,
				     &used, &m, NULL),
		    0);
		assert_int_equal(used, rows[i].n + 2);
		assert_int_equal(
		    file_op_fd(&m.u.FileRequest, &fd), rows[i].has_fd);
		if (rows[i].has_fd)
			assert_int_equal(fd, FD_VALUE);
	}
	arena_free(&arena);
}

static void
answers(void **state)
{
	bool seen[PM_FileRequest_COUNT] = {false};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		const struct op_row *r = file_op_row(rows[i].request);

		seen[rows[i].request] = true;
		assert_non_null(r);
		assert_int_equal(r->run != NULL, rows[i].answered);
		if (rows[i].answered)
			assert_int_equal(r->response, rows[i].response);
	}
	for (int i = 0; i < PM_FileRequest_COUNT; i++)
		assert_true(seen[i]);
	assert_null(file_op_row(PM_FileRequest_COUNT));
	assert_null(file_op_row(UINT32_MAX));
}

/* Whatever fails can be told: each answer encodes as an error. */
static void
errors(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PM_FileResponse_COUNT; i++) {
		struct file_op *op = calloc(1, sizeof(*op));
		struct pm_DaemonMessage m = {.tag = PM_DaemonMessage_File};
		struct buf b;

		assert_non_null(op);
		buf_init(&b, 0);
		/* What a half-done operation may have left behind. */
		memset(&op->resp, 0xee, sizeof(op->resp));
		op->resp.tag = i;
		op_fail(op, ENOENT);
		m.u.File = op->resp;
		assert_int_equal(pm_encode_daemon(&m, &b, NULL), 0);
		assert_memory_equal(buf_data(&b) + 2, "\x01\x04\x01\x04\0", 5);
		buf_clear(&b);
		op_fail_with(op, PM_ResponseError_NotFile, 7);
		m.u.File = op->resp;
		assert_int_equal(pm_encode_daemon(&m, &b, NULL), 0);
		assert_memory_equal(buf_data(&b) + 2, "\x01\x03\x07", 3);
		buf_free(&b);
		free(op);
	}
}

static void
paths(void **state)
{
	struct file_op op = {.resp.tag = PM_FileResponse_Open};
	const struct pm_res_OpenFileResponse *res = &op.resp.u.Open;
	static char longest[PATH_MAX];

	(void)state;
	arena_init(&op.arena, 0);
	assert_string_equal(op_path(&op, PM_STR("/a/b")), "/a/b");
	assert_string_equal(op_path(&op, PM_STR("a")), "a");
	assert_string_equal(op_path(&op, PM_STR("")), "");
	assert_string_equal(op_abs_path(&op, PM_STR("/")), "/");
	assert_int_equal(res->tag, PM_OK);
	assert_null(op_abs_path(&op, PM_STR("a")));
	assert_int_equal(res->u.Err.tag, PM_ResponseError_StripPrefix);
	assert_null(op_abs_path(&op, PM_STR("")));
	assert_null(op_path(&op, PM_STR("/a\0b")));
	assert_int_equal(res->u.Err.u.RemoteIO.raw_os_error.value, EINVAL);
	memset(longest, 'x', sizeof(longest));
	assert_null(op_path(&op, (struct pm_str){longest, PATH_MAX}));
	assert_int_equal(
	    res->u.Err.u.RemoteIO.raw_os_error.value, ENAMETOOLONG);
	assert_non_null(op_path(&op, (struct pm_str){longest, PATH_MAX - 1}));
	arena_free(&op.arena);
	arena_init(&op.arena, 1);
	assert_null(op_path(&op, PM_STR("/long enough to need memory")));
	assert_int_equal(res->u.Err.u.RemoteIO.raw_os_error.value, ENOMEM);
	arena_free(&op.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(descriptors),
	    cmocka_unit_test(answers),
	    cmocka_unit_test(errors),
	    cmocka_unit_test(paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
