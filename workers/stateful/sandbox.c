/* The stateful worker's system calls: sandbox.def as a filter. */
#include "config.h"

#include "sys/sandbox_rows.h"
#include "workers/stateful/stateful.h"

static const struct sys_sandbox_row rows[] = {
#include "sys/sandbox_base.def"
#include "workers/stateful/sandbox.def"
};

const struct sys_sandbox sf_sandbox = {
    .role = "stateful",
    .rows = rows,
    .n_rows = SYS_ROWS(rows),
    .max_files = 256,
};
