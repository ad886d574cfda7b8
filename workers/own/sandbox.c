/* The own worker's system calls: sandbox.def as a filter. */
#include "config.h"

#include "sys/sandbox_rows.h"
#include "workers/own/main.h"

static const struct sys_sandbox_row rows[] = {
#include "sys/sandbox_base.def"
#include "workers/own/sandbox.def"
};

const struct sys_sandbox own_sandbox = {
    .role = "own",
    .rows = rows,
    .n_rows = SYS_ROWS(rows),
    .max_files = 16384,
    .max_file_bytes = 4 << 20,
};
