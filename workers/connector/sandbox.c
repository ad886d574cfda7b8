#include "config.h"

#include <netinet/tcp.h>

#include "sys/sandbox_rows.h"
#include "workers/connector/connector.h"

/* clang-format off */
static const struct sys_sandbox_row rows[] = {
#include "sys/sandbox_base.def"
#include "workers/connector/sandbox.def"
};
/* clang-format on */

const struct sys_sandbox con_sandbox = {
    .role = "connector",
    .rows = rows,
    .n_rows = SYS_ROWS(rows),
    .max_files = 4096,
    .connects = true,
};
