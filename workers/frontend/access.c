/*
 * Whether somebody may. `allow:` rules of users or groups x namespaces x
 * targets x verbs; what no rule allows is denied (design §8). The verb
 * "admin" is never meant by "*": it must be written out.
 */
#include "config.h"

#include <string.h>

#include "lib/json.h"
#include "lib/str.h"
#include "workers/frontend/frontend.h"

/* Any of the list's wildcards matches s. A missing list matches nothing. */
static bool
rule_list(const cJSON *rule, const char *key, const char *s)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(rule, key))
	{
		if (cJSON_IsString(v) && str_wildcard(v->valuestring, s))
			return true;
	}
	return false;
}

/* Rules for some namespaces say nothing about a list of all of them. */
static bool
rule_everywhere(const cJSON *rule)
{
	const cJSON *v;

	cJSON_ArrayForEach(
	    v, cJSON_GetObjectItemCaseSensitive(rule, "namespaces"))
	{
		if (cJSON_IsString(v) && strcmp(v->valuestring, "*") == 0)
			return true;
	}
	return false;
}

static bool
rule_groups(const cJSON *rule, const char *groups)
{
	while (*groups != '\0') {
		size_t n = strcspn(groups, "\n");
		char one[256];

		if (n < sizeof(one)) {
			memcpy(one, groups, n);
			one[n] = '\0';
			if (rule_list(rule, "groups", one))
				return true;
		}
		groups += groups[n] == '\n' ? n + 1 : n;
	}
	return false;
}

static bool
rule_verb(const cJSON *rule, const char *verb)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(rule, "verbs"))
	{
		if (!cJSON_IsString(v))
			continue;
		if (strcmp(v->valuestring, verb) == 0)
			return true;
		if (strcmp(v->valuestring, "*") == 0 &&
		    strcmp(verb, "admin") != 0)
			return true;
	}
	return false;
}

static bool
rule_about(const cJSON *rule, const struct fe_identity *id)
{
	return rule_list(rule, "users", id->user) ||
	       rule_groups(rule, id->groups);
}

bool
fe_allowed(const struct fe *fe, const struct fe_identity *id,
    enum fe_scope scope, const char *verb, const char *ns, const char *target)
{
	const cJSON *rules =
	    cJSON_GetObjectItemCaseSensitive(fe->w->config, "allow");
	const cJSON *rule;

	cJSON_ArrayForEach(rule, rules)
	{
		if (!rule_about(rule, id))
			continue;
		if (scope == FE_SCOPE_ANY)
			return true;
		if (!rule_verb(rule, verb))
			continue;
		if (ns != NULL ? !rule_list(rule, "namespaces", ns)
			       : !rule_everywhere(rule))
			continue;
		if (scope == FE_SCOPE_TARGET &&
		    !rule_list(rule, "targets", target))
			continue;
		return true;
	}
	return false;
}

bool
fe_is_admin(const struct fe *fe, const struct fe_identity *id)
{
	const cJSON *rules =
	    cJSON_GetObjectItemCaseSensitive(fe->w->config, "allow");
	const cJSON *rule;

	cJSON_ArrayForEach(rule, rules)
	{
		if (rule_about(rule, id) && rule_verb(rule, "admin"))
			return true;
	}
	return false;
}
