/* kinds: the kinds of targets and the alias grammar, from one table. */
#include "config.h"

#include "platform/platform.h"

#include <ctype.h>
#include <string.h>

#include "lib/str.h"

static const struct plat_kind_info kinds[PLAT_N_KINDS] = {
    [PLAT_DEPLOYMENT] = {"deployment", "Deployment", "apps/v1", "deployments",
	"deployment"},
    [PLAT_POD] = {"pod", "Pod", "v1", "pods", "pod"},
    [PLAT_STATEFULSET] = {"statefulset", "StatefulSet", "apps/v1",
	"statefulsets", "stateful_set"},
    [PLAT_REPLICASET] = {"replicaset", "ReplicaSet", "apps/v1", "replicasets",
	"replica_set"},
    [PLAT_SERVICE] = {"service", "Service", "v1", "services", "service"},
    [PLAT_ROLLOUT] = {"rollout", "Rollout", "argoproj.io/v1alpha1", "rollouts",
	"rollout"},
    [PLAT_JOB] = {"job", "Job", "batch/v1", "jobs", "job"},
    [PLAT_CRONJOB] = {"cronjob", "CronJob", "batch/v1", "cronjobs", "cron_job"},
    [PLAT_TARGETLESS] = {"targetless", "", "", "", "targetless"},
    [PLAT_LABEL] = {"label", "", "", "", "labels"},
};

const struct plat_kind_info *
plat_kind_info(enum plat_kind kind)
{
	return &kinds[kind];
}

int
plat_kind_by_alias(const char *alias)
{
	if (strcmp(alias, "deploy") == 0)
		return PLAT_DEPLOYMENT;
	for (int i = 0; i < PLAT_N_KINDS; i++) {
		if (strcmp(alias, kinds[i].alias) == 0)
			return i;
	}
	return -1;
}

int
plat_kind_by_kind(const char *kind)
{
	for (int i = 0; i < PLAT_N_WORKLOADS; i++) {
		if (strcmp(kind, kinds[i].kind) == 0)
			return i;
	}
	return -1;
}

int
plat_kind_by_plural(const char *plural)
{
	for (int i = 0; i < PLAT_N_WORKLOADS; i++) {
		if (strcmp(plural, kinds[i].plural) == 0)
			return i;
	}
	return -1;
}

static bool
alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool
plat_name_ok(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n >= PLAT_NAME_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (alnum(name[i]))
			continue;
		bool inner = i > 0 && i + 1 < n;
		if (!inner || (name[i] != '-' && name[i] != '.'))
			return false;
		/* "a..b" and "a.-b" are no subdomains */
		if (name[i] == '.' && !alnum(name[i + 1]))
			return false;
	}
	return true;
}

/* The last occurrence of needle in s, or NULL. */
static const char *
last_of(const char *s, const char *needle)
{
	const char *found = NULL;
	for (const char *p = s; (p = strstr(p, needle)) != NULL; p++)
		found = p;
	return found;
}

static int
copy_name(char out[PLAT_NAME_MAX], const char *s, size_t n, const char *what,
    struct err *e)
{
	if (n < PLAT_NAME_MAX) {
		memcpy(out, s, n);
		out[n] = '\0';
		if (plat_name_ok(out))
			return 0;
	}
	return err_set(e, ERR_INVALID,
	    "the target's %s is not a name: use lower-case letters, digits, "
	    "'-' and '.'",
	    what);
}

int
plat_alias_parse(const char *segment, struct plat_alias *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	const char *dot = strchr(segment, '.');
	char type[32];
	size_t n = dot == NULL ? strlen(segment) : (size_t)(dot - segment);
	if (n >= sizeof(type))
		n = sizeof(type) - 1;
	memcpy(type, segment, n);
	type[n] = '\0';
	int kind = plat_kind_by_alias(type);
	if (kind < 0)
		return err_set(e, ERR_INVALID,
		    "\"%s\" is no kind of target: use deployment, pod, "
		    "statefulset, replicaset, service, rollout, job or cronjob",
		    type);
	out->kind = (enum plat_kind)kind;
	bool bare = kind >= PLAT_N_WORKLOADS;
	if (bare != (dot == NULL))
		return err_set(e, ERR_INVALID, "a target of kind %s %s a name",
		    type, bare ? "has no" : "needs");
	if (bare)
		return 0;
	const char *name = dot + 1;
	const char *c = last_of(name, ".container.");
	if (c == NULL)
		return copy_name(out->name, name, strlen(name), "name", e);
	int r = copy_name(out->name, name, (size_t)(c - name), "name", e);
	if (r != 0)
		return r;
	c += strlen(".container.");
	return copy_name(out->container, c, strlen(c), "container", e);
}

int
plat_alias_put(const struct plat_alias *a, struct buf *out)
{
	if (a->kind >= PLAT_N_WORKLOADS)
		return buf_printf(out, "%s", kinds[a->kind].alias);
	return buf_printf(out, "%s.%s%s%s", kinds[a->kind].alias, a->name,
	    a->container[0] != '\0' ? ".container." : "", a->container);
}

/*
 * FNV-1a in place of the proposal's SHA-256: the name needs to be stable and
 * unlikely to meet another of the same configuration, nothing more.
 */
static uint32_t
hash32(const char *s)
{
	uint32_t h = 2166136261u;
	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

void
plat_cluster_label(const char *cluster, char out[64])
{
	size_t n = 0;
	bool changed = false;
	for (const char *p = cluster; *p != '\0'; p++) {
		if (n == 40) {
			changed = true;
			break;
		}
		char c = (char)tolower((unsigned char)*p);
		if (!alnum(c) && c != '-')
			c = '-';
		changed = changed || c != *p;
		out[n++] = c;
	}
	out[n] = '\0';
	if (changed)
		(void)str_fmt(out + n, 64 - n, "-%08x", hash32(cluster));
	else if (n > 0 && out[n - 1] == '-')
		(void)str_fmt(out + n, 64 - n, "x");
}
