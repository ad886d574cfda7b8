#include "config.h"

#include "client/env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/remote_err.h"
#include "lib/str.h"

/* What describes this machine and this terminal, not the service. */
static const char *const local_names[] = {
    "PATH",
    "HOME",
    "PWD",
    "OLDPWD",
    "SHELL",
    "SHLVL",
    "TERM",
    "COLORTERM",
    "USER",
    "LOGNAME",
    "HOSTNAME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "TEMP",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "MAIL",
    "SSH_*",
    "XDG_*",
    "DBUS_*",
    "GPG_*",
    "SUDO_*",
    "TMUX*",
    "_",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "KUBECONFIG",
    "TRIBUTARY_*",
    "MIRRORD_*",
};

struct fetch {
	struct cli_env *env;
	cli_env_fn *fn;
	void *arg;
};

bool
cli_env_local(const char *name)
{
	for (size_t i = 0; i < sizeof(local_names) / sizeof(local_names[0]);
	     i++) {
		if (str_wildcard(local_names[i], name))
			return true;
	}
	return false;
}

int
cli_env_set(struct cli_env *env, struct pm_str name, struct pm_str value)
{
	char *text = NULL, **list;
	size_t i;

	if (name.n == 0 || memchr(name.p, '=', name.n) != NULL ||
	    memchr(name.p, 0, name.n) != NULL ||
	    (value.n > 0 && memchr(value.p, 0, value.n) != NULL))
		return -ERR_INVALID;
	if (asprintf(&text, "%.*s=%.*s", (int)name.n, name.p, (int)value.n,
		value.p) < 0)
		return -ERR_NOMEM;
	for (i = 0; i < env->n; i++) {
		if (strncmp(env->list[i], text, name.n + 1) == 0)
			break;
	}
	if (i < env->n) {
		free(env->list[i]);
		env->list[i] = text;
		return 0;
	}
	list = realloc(env->list, (env->n + 2) * sizeof(*list));
	if (list == NULL) {
		free(text);
		return -ERR_NOMEM;
	}
	env->list = list;
	list[env->n++] = text;
	list[env->n] = NULL;
	return 0;
}

int
cli_env_init(struct cli_env *env, struct err *e)
{
	memset(env, 0, sizeof(*env));
	for (char **v = environ; *v != NULL; v++) {
		const char *eq = strchr(*v, '=');

		if (eq != NULL && eq != *v &&
		    cli_env_set(env, (struct pm_str){*v, (size_t)(eq - *v)},
			pm_str(eq + 1)) == -ERR_NOMEM)
			return err_nomem(e);
	}
	return 0;
}

void
cli_env_free(struct cli_env *env)
{
	for (size_t i = 0; i < env->n; i++)
		free(env->list[i]);
	free(env->list);
	memset(env, 0, sizeof(*env));
}

/* "*" takes what is the target's; it names nothing. */
static bool
is_named(const struct cli_env *env, const char *name)
{
	for (size_t i = 0; i < env->n_include; i++) {
		if (strcmp(env->include[i], "*") != 0 &&
		    str_wildcard(env->include[i], name))
			return true;
	}
	return false;
}

static bool
matches(const char *const *patterns, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (str_wildcard(patterns[i], name))
			return true;
	}
	return false;
}

static int
env_take(struct cli_env *env, const struct pm_vec_pair *vars)
{
	for (size_t i = 0; i < vars->n; i++) {
		const struct pm_pair *v = &vars->v[i];
		char *name = strndup(v->key.p, v->key.n);
		int rc;

		if (name == NULL)
			return -ERR_NOMEM;
		/* One that is asked for by --env-include comes all the same */
		rc = -ERR_INVALID;
		if (!matches(env->exclude, env->n_exclude, name) &&
		    (!cli_env_local(name) || is_named(env, name)))
			rc = cli_env_set(env, v->key, v->value);
		free(name);
		if (rc == 0)
			env->remote++;
		else if (rc == -ERR_NOMEM)
			return rc;
	}
	return 0;
}

static void
env_answer(void *arg, const struct pm_DaemonMessage *m)
{
	struct fetch *f = arg;
	struct err e = {0};

	if (m == NULL)
		err_set(&e, ERR_CLOSED, "the connection was lost");
	else if (m->u.GetEnvVarsResponse.tag != PM_OK)
		cli_remote_error(&m->u.GetEnvVarsResponse.u.Err,
		    "the target's environment can't be read", &e);
	else if (env_take(f->env, &m->u.GetEnvVarsResponse.u.Ok) < 0)
		err_nomem(&e);
	f->fn(f->arg, e.code == ERR_OK ? NULL : &e);
	free(f);
}

int
cli_env_fetch(struct cli_env *env, struct cli_session *s, cli_env_fn *fn,
    void *arg, struct err *e)
{
	struct pm_str include[CLI_ENV_PATTERNS], exclude[CLI_ENV_PATTERNS];
	struct pm_ClientMessage m = {.tag = PM_ClientMessage_GetEnvVarsRequest};
	struct fetch *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return err_nomem(e);
	*f = (struct fetch){env, fn, arg};
	env->remote = 0;
	include[0] = PM_STR("*");
	for (size_t i = 0; i < env->n_include; i++)
		include[i] = pm_str(env->include[i]);
	for (size_t i = 0; i < env->n_exclude; i++)
		exclude[i] = pm_str(env->exclude[i]);
	m.u.GetEnvVarsRequest.env_vars_select = (struct pm_vec_str){
	    env->n_include == 0 ? 1 : env->n_include, include};
	m.u.GetEnvVarsRequest.env_vars_filter =
	    (struct pm_vec_str){env->n_exclude, exclude};
	rc = cli_session_ask(s, CLI_Q_ENV, &m, env_answer, f);
	if (rc == 0)
		return 0;
	free(f);
	return err_set(
	    e, (enum err_code) - rc, "the environment can't be asked for");
}
