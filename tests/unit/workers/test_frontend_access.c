/* The rules: users or groups x namespaces x targets x verbs; deny is default.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "tests/unit/unit.h"
#include "workers/frontend/frontend.h"

struct ask {
	const char *user, *groups;
	enum fe_scope scope;
	const char *verb, *ns, *target;
	bool may;
};

#define ANY FE_SCOPE_ANY
#define NS FE_SCOPE_NS
#define TARGET FE_SCOPE_TARGET

static const char one_rule[] =
    "[{\"users\":[\"ann\",\"b*\"],\"groups\":[\"team-*\"],"
    "\"namespaces\":[\"shop\",\"dev-*\"],"
    "\"targets\":[\"deployment/*\",\"pod/x\"],\"verbs\":[\"get\",\"proxy\"]}]";

static const struct ask one_asks[] = {
    /* who */
    {"ann", "", ANY, "", NULL, NULL, true},
    {"bob", "", ANY, "", NULL, NULL, true},
    {"Ann", "", ANY, "", NULL, NULL, false},
    {"anna", "", ANY, "", NULL, NULL, false},
    {"", "", ANY, "", NULL, NULL, false},
    {"x", "team-a", ANY, "", NULL, NULL, true},
    {"x", "other\nteam-a", ANY, "", NULL, NULL, true},
    {"x", "other\nateam-a\n", ANY, "", NULL, NULL, false},
    {"x", "other", ANY, "", NULL, NULL, false},
    {"team-a", "", ANY, "", NULL, NULL, false}, /* a user, not a group */
    {"x", "ann", ANY, "", NULL, NULL, false},   /* a group, not a user */
    /* what and where */
    {"ann", "", NS, "get", "shop", NULL, true},
    {"ann", "", NS, "get", "dev-1", NULL, true},
    {"ann", "", NS, "get", "prod", NULL, false},
    {"ann", "", NS, "get", "shop2", NULL, false},
    {"ann", "", NS, "get", "", NULL, false},
    {"ann", "", NS, "get", NULL, NULL, false}, /* all of them */
    {"ann", "", NS, "delete", "shop", NULL, false},
    {"ann", "", NS, "ge", "shop", NULL, false},
    {"ann", "", NS, "", "shop", NULL, false},
    {"ann", "", NS, "admin", "shop", NULL, false},
    /* targets */
    {"ann", "", TARGET, "proxy", "shop", "deployment/a", true},
    {"ann", "", TARGET, "proxy", "shop", "pod/x", true},
    {"ann", "", TARGET, "proxy", "shop", "pod/xy", false},
    {"ann", "", TARGET, "proxy", "shop", "statefulset/a", false},
    {"ann", "", TARGET, "proxy", "shop", "deployment", false},
    {"ann", "", TARGET, "proxy", "shop", "", false},
    {"ann", "", TARGET, "proxy", "prod", "deployment/a", false},
    {"ann", "", TARGET, "list", "shop", "deployment/a", false},
};

static const char star_rules[] =
    "[{\"users\":[\"*\"],\"namespaces\":[\"*\"],\"targets\":[\"*\"],"
    "\"verbs\":[\"*\"]},{\"users\":[\"adm\"],\"verbs\":[\"admin\"]}]";

static const struct ask star_asks[] = {
    {"who", "", NS, "delete", "x", NULL, true},
    {"who", "", NS, "list", NULL, NULL, true},
    {"who", "", TARGET, "proxy", "x", "pod/y", true},
    {"who", "", NS, "admin", "x", NULL, false}, /* `*` never means it */
    {"adm", "", NS, "admin", "x", NULL, false}, /* in no namespace */
};

/* A rule in parts grants nothing by what it leaves out; parts of two rules
 * don't add up. */
static const char partial_rules[] =
    "[{\"users\":[\"u\"]},"
    "{\"users\":[\"v\"],\"namespaces\":[\"*\"],\"verbs\":[\"get\"]},"
    "{\"users\":[\"w\"],\"namespaces\":[\"a\"],\"targets\":[\"*\"],"
    "\"verbs\":[\"get\"]},"
    "{\"users\":[\"w\"],\"namespaces\":[\"b\"],\"targets\":[\"*\"],"
    "\"verbs\":[\"proxy\"]},"
    "{\"namespaces\":[\"*\"],\"targets\":[\"*\"],\"verbs\":[\"*\"]},"
    "{\"users\":[7,null],\"verbs\":[{}],\"namespaces\":\"*\"}]";

static const struct ask partial_asks[] = {
    {"u", "", ANY, "", NULL, NULL, true},
    {"u", "", NS, "get", "a", NULL, false},
    {"v", "", NS, "get", "a", NULL, true},
    {"v", "", TARGET, "get", "a", "pod/x", false},
    {"w", "", TARGET, "get", "a", "pod/x", true},
    {"w", "", TARGET, "proxy", "b", "pod/x", true},
    {"w", "", TARGET, "proxy", "a", "pod/x", false},
    {"w", "", TARGET, "get", "b", "pod/x", false},
    {"z", "", ANY, "", NULL, NULL, false},
    {"7", "", ANY, "", NULL, NULL, false},
};

static void
check(const char *rules, const struct ask *asks, size_t n)
{
	struct worker w = {0};
	struct fe *fe = calloc(1, sizeof(*fe));
	struct fe_identity *id = calloc(1, sizeof(*id));

	fe->w = &w;
	w.config = cJSON_CreateObject();
	if (rules != NULL)
		cJSON_AddItemToObject(
		    w.config, "allow", json_parse(rules, strlen(rules), NULL));
	for (size_t i = 0; i < n; i++) {
		const struct ask *a = &asks[i];

		id->peer = FE_USER;
		strcpy(id->user, a->user);
		strcpy(id->groups, a->groups);
		if (fe_allowed(fe, id, a->scope, a->verb, a->ns, a->target) !=
		    a->may)
			fail_msg("row %zu: %s (%s) %s %s %s", i, a->user,
			    a->groups, a->verb, a->ns == NULL ? "-" : a->ns,
			    a->target == NULL ? "-" : a->target);
	}
	cJSON_Delete(w.config);
	free(fe);
	free(id);
}

static void
one_rule_says_who_what_where(void **state)
{
	(void)state;
	check(one_rule, one_asks, N_OF(one_asks));
}

static void
stars(void **state)
{
	(void)state;
	check(star_rules, star_asks, N_OF(star_asks));
}

static void
what_is_left_out_is_denied(void **state)
{
	(void)state;
	check(partial_rules, partial_asks, N_OF(partial_asks));
}

static void
no_rules_no_rights(void **state)
{
	static const char *const none[] = {
	    NULL, "[]", "{}", "7", "[[],7,null]"};
	static const struct ask asks[] = {
	    {"ann", "team", ANY, "get", NULL, NULL, false},
	    {"ann", "team", NS, "get", "a", NULL, false},
	    {"ann", "team", TARGET, "get", "a", "pod/x", false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(none); i++)
		check(none[i], asks, N_OF(asks));
}

static void
admins_are_named(void **state)
{
	static const struct {
		const char *rules, *user, *groups;
		bool admin;
	} rows[] = {
	    {"[{\"users\":[\"a\"],\"verbs\":[\"admin\"]}]", "a", "", true},
	    {"[{\"users\":[\"a\"],\"verbs\":[\"*\"]}]", "a", "", false},
	    {"[{\"users\":[\"a\"],\"verbs\":[\"Admin\"]}]", "a", "", false},
	    {"[{\"groups\":[\"g\"],\"verbs\":[\"admin\"]}]", "b", "f\ng", true},
	    {"[{\"users\":[\"a\"],\"verbs\":[\"admin\"]}]", "b", "a", false},
	    {"[{\"verbs\":[\"admin\"]}]", "b", "a", false},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct worker w = {0};
		struct fe *fe = calloc(1, sizeof(*fe));
		struct fe_identity *id = calloc(1, sizeof(*id));

		fe->w = &w;
		w.config = cJSON_CreateObject();
		cJSON_AddItemToObject(w.config, "allow",
		    json_parse(rows[i].rules, strlen(rows[i].rules), NULL));
		strcpy(id->user, rows[i].user);
		strcpy(id->groups, rows[i].groups);
		if (fe_is_admin(fe, id) != rows[i].admin)
			fail_msg("row %zu", i);
		cJSON_Delete(w.config);
		free(fe);
		free(id);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_rule_says_who_what_where),
	    cmocka_unit_test(stars),
	    cmocka_unit_test(what_is_left_out_is_denied),
	    cmocka_unit_test(no_rules_no_rights),
	    cmocka_unit_test(admins_are_named),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
