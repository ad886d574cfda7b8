/* The secrets worker's system calls: sandbox.def as a filter. */
#include "config.h"

#include "sys/sandbox_rows.h"
#include "workers/secrets/secrets.h"

static const struct sys_sandbox_row rows[] = {
#include "sys/sandbox_base.def"
#include "workers/secrets/sandbox.def"
};

const struct sys_sandbox sec_sandbox = {
    .role = "secrets",
    .rows = rows,
    .n_rows = SYS_ROWS(rows),
    .max_files = 256,
    .max_file_bytes = 16 << 20,
};
