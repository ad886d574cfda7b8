/* main: `tributaryd -n` and `tributary check-config`. */
#include "config.h"

#include <stdio.h>

#include "config/cfg.h"

int
cfg_check_main(const char *path)
{
	struct cfg_env env = cfg_env_of_process();
	struct cfg_problems problems;
	struct cfg *cfg;
	int rc = cfg_load(path, &env, &cfg, &problems);

	cfg_problems_print(&problems, stderr);
	if (rc == 0)
		printf("%s: configuration OK, %zu warning%s\n", path,
		    problems.warnings, problems.warnings == 1 ? "" : "s");
	else if (rc == -ERR_INVALID)
		fprintf(stderr, "%s: %zu error%s, %zu warning%s\n", path,
		    problems.errors, problems.errors == 1 ? "" : "s",
		    problems.warnings, problems.warnings == 1 ? "" : "s");
	else
		fprintf(stderr, "%s: there is not enough memory to check it\n",
		    path);
	cfg_free(&cfg);
	cfg_problems_free(&problems);
	return rc == 0 ? 0 : 1;
}
