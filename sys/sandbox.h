/*
 * sandbox: what a process of the daemon may ask of the kernel, as a table.
 *
 * Each worker has a sandbox.def with one row per call and a reason in each
 * row; the table becomes the seccomp filter (anything else kills the process)
 * and `tributaryd --print-sandbox`. Rows that all workers need stand in
 * sys/sandbox_base.def. In workers/x/sandbox.c:
 *
 *   #include "sys/sandbox_rows.h"
 *   static const struct sys_sandbox_row rows[] = {
 *   #include "sys/sandbox_base.def"
 *   #include "workers/x/sandbox.def"
 *   };
 *   const struct sys_sandbox x_sandbox = {"x", rows, SYS_ROWS(rows),
 *       .max_files = 1024};
 *
 * A sandbox.def holds
 *   SYS(call, "reason")                             whatever its arguments
 *   SYS_ARG(call, index, value, "reason")           one argument (32 bits)
 * equal SYS_ARG2(call, i1, v1, i2, v2, "reason")        two arguments equal
 *   SYS_MASK(call, index, mask, value, "reason")    (argument & mask) == value
 *   SYS_SELF(call, index, "reason")                 argument is the own pid
 *   SYS_SANITIZER(call, "reason")                   sanitizer builds only
 */
#ifndef SYS_SANDBOX_H
#define SYS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"

struct sys_sandbox_arg {
	unsigned index;
	bool self; /* value is the own pid, known when applied */
	uint64_t mask;
	uint64_t value;
};

struct sys_sandbox_row {
	const char *call;
	int number; /* libseccomp's; negative where this machine lacks it */
	bool sanitizer;
	unsigned n_args;
	struct sys_sandbox_arg args[2];
	const char *args_text; /* the condition as written in the table */
	const char *reason;
};

struct sys_sandbox {
	const char *role;
	const struct sys_sandbox_row *rows;
	size_t n_rows;
	/* rlimits; 0 = none at all */
	unsigned max_files;
	uint64_t max_file_bytes;
	bool connects; /* Landlock leaves outgoing TCP alone */
};
#define SYS_ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

enum sys_sandbox_mode {
	SYS_SANDBOX_KILL,
	/* For developers: the call is named on stderr, then SIGSYS kills. */
	SYS_SANDBOX_TRAP,
};

/*
 * Loads the filter for this process and all its threads; no_new_privs is set
 * first. There is no way back. Rows for sanitizers count only in their builds.
 */
int sys_sandbox_apply(
    const struct sys_sandbox *sb, enum sys_sandbox_mode mode, struct err *e);
/* The table as text, one line a row. */
int sys_sandbox_print(const struct sys_sandbox *sb, struct buf *out);
/* Core files off, open files and file sizes limited as the table says. */
int sys_sandbox_limits(const struct sys_sandbox *sb, struct err *e);

#endif
