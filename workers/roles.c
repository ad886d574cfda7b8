#include "config.h"

#include <string.h>

#include "workers/worker.h"

static const struct worker_ops *const roles[IPC_N_ROLES] = {
#define WORKER_ROLE(role, ops) [role] = &ops,
#include "workers/roles.def"
#undef WORKER_ROLE
};

const struct worker_ops *
worker_ops_of(enum ipc_role role)
{
	return (unsigned)role < IPC_N_ROLES ? roles[role] : NULL;
}

int
worker_main(const char *role)
{
	for (int r = 0; r < IPC_N_ROLES; r++) {
		const struct worker_ops *ops = worker_ops_of((enum ipc_role)r);

		if (ops != NULL &&
		    strcmp(ipc_role_name((enum ipc_role)r), role) == 0)
			return worker_run(ops);
	}
	return 2;
}
