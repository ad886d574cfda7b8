/* env: the target's environment for a local program. */
#ifndef CLIENT_ENV_H
#define CLIENT_ENV_H

#include "client/session.h"

enum { CLI_ENV_PATTERNS = 64 };

struct cli_env {
	const char *include[CLI_ENV_PATTERNS]; /* borrowed */
	size_t n_include;
	const char *exclude[CLI_ENV_PATTERNS];
	size_t n_exclude;
	char **list; /* "NAME=value", owned; NULL-terminated */
	size_t n;
	size_t remote; /* how many came from the target */
};

/* Begins with the own environment. */
int cli_env_init(struct cli_env *env, struct err *e);
void cli_env_free(struct cli_env *env);
int cli_env_set(struct cli_env *env, struct pm_str name, struct pm_str value);
/* Asks for the target's variables: fn(arg, e or NULL). */
typedef void cli_env_fn(void *arg, const struct err *e);
int cli_env_fetch(struct cli_env *env, struct cli_session *s, cli_env_fn *fn,
    void *arg, struct err *e);
/* Must this one stay as it is here, unless it is asked for by name? */
bool cli_env_local(const char *name);

#endif
