/* tributaryd.yaml from memory: any text ends in a tree or in problems. */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/cfg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cfg_env env = {.hostname = "host"};
	struct cfg_problems problems;
	struct cfg *cfg;
	char path[64];
	int fd = memfd_create("config", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	/* the same text also as a vendor's file, when it begins so */
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (n > 0 && data[0] == 'c')
		env.clusters_config = path;
	if (n > 0 && data[0] == 'm')
		env.multicluster_config = path;
	if (write(fd, data, n) == (ssize_t)n) {
		(void)cfg_load(path, &env, &cfg, &problems);
		if ((cfg == NULL) != (problems.errors > 0))
			abort();
		for (int role = 0; cfg != NULL && role < IPC_N_ROLES; role++)
			cJSON_Delete(
			    cfg_section(cfg, (enum ipc_role)role, NULL));
		cfg_problems_free(&problems);
		cfg_free(&cfg);
	}
	close(fd);
	return 0;
}
