/* The cluster worker's system calls: sandbox.def as a filter. */
#include "config.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "sys/sandbox_rows.h"
#include "workers/cluster/cluster.h"

static const struct sys_sandbox_row rows[] = {
#include "sys/sandbox_base.def"
#include "workers/cluster/sandbox.def"
};

const struct sys_sandbox clu_sandbox = {
    .role = "cluster",
    .rows = rows,
    .n_rows = SYS_ROWS(rows),
    .max_files = 16384,
};
