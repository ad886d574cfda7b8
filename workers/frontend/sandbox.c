/* The frontend worker's system calls: sandbox.def as a filter. */
#include "config.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "sys/sandbox_rows.h"
#include "workers/frontend/frontend.h"

static const struct sys_sandbox_row rows[] = {
#include "sys/sandbox_base.def"
#include "workers/frontend/sandbox.def"
};

const struct sys_sandbox fe_sandbox = {
    .role = "frontend",
    .rows = rows,
    .n_rows = SYS_ROWS(rows),
    .max_files = 20480,
};
