/* The frontend's decisions: rules, proofs, what it takes from SESSION_OPENED.
 */
#include "config.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "workers/frontend/frontend.h"

struct fix {
	struct worker w;
	struct fe fe;
};

static void
fix_init(struct fix *x, const char *config, const char *trust)
{
	struct err e;

	memset(x, 0, sizeof(*x));
	x->w.config = json_parse(config, strlen(config), &e);
	assert_non_null(x->w.config);
	x->fe.w = &x->w;
	if (trust != NULL)
		x->fe.trust = json_parse(trust, strlen(trust), &e);
	list_init(&x->fe.sockets);
	map_init(&x->fe.sessions);
}

static void
fix_deinit(struct fix *x)
{
	cJSON_Delete(x->w.config);
	cJSON_Delete(x->fe.trust);
	map_free(&x->fe.sessions);
}

/* ---- allow rules ---- */

static const char rules[] =
    "{\"allow\":["
    "{\"users\":[\"ada\"],\"namespaces\":[\"*\"],\"targets\":[\"*\"],"
    "\"verbs\":[\"*\"]},"
    "{\"users\":[\"root*\"],\"namespaces\":[\"*\"],\"targets\":[\"*\"],"
    "\"verbs\":[\"*\",\"admin\"]},"
    "{\"groups\":[\"team\"],\"namespaces\":[\"dev\",\"dev-*\"],"
    "\"targets\":[\"deployment/*\"],\"verbs\":[\"proxy\",\"list\"]},"
    "{\"users\":[\"eve\"],\"namespaces\":[],\"targets\":[],\"verbs\":[]},"
    "{\"users\":[\"bob\"],\"verbs\":[\"*\"]},"
    "{\"namespaces\":[\"*\"],\"targets\":[\"*\"],\"verbs\":[\"*\"]},"
    "{\"users\":\"mallory\",\"namespaces\":\"*\",\"targets\":\"*\","
    "\"verbs\":\"*\"},7,null]}";

static const struct {
	const char *user, *groups;
	enum fe_scope scope;
	const char *verb, *ns, *target;
	bool yes;
} asked[] = {
    /* the whole of it */
    {"ada", "", FE_SCOPE_ANY, "get", NULL, NULL, true},
    {"ada", "", FE_SCOPE_NS, "list", "dev", NULL, true},
    {"ada", "", FE_SCOPE_NS, "list", NULL, NULL, true},
    {"ada", "", FE_SCOPE_TARGET, "proxy", "dev", "pod/x", true},
    /* names are whole and exact */
    {"Ada", "", FE_SCOPE_ANY, "get", NULL, NULL, false},
    {"ad", "", FE_SCOPE_ANY, "get", NULL, NULL, false},
    {"adam", "", FE_SCOPE_ANY, "get", NULL, NULL, false},
    {"", "", FE_SCOPE_ANY, "get", NULL, NULL, false},
    {"*", "", FE_SCOPE_ANY, "get", NULL, NULL, false},
    {"root-1", "", FE_SCOPE_NS, "get", "dev", NULL, true},
    {"aroot", "", FE_SCOPE_ANY, "get", NULL, NULL, false},
    /* groups: one a line, whole */
    {"x", "team", FE_SCOPE_NS, "list", "dev", NULL, true},
    {"x", "a\nteam\nb", FE_SCOPE_NS, "list", "dev-2", NULL, true},
    {"x", "a\nb\nteam", FE_SCOPE_TARGET, "proxy", "dev", "deployment/w", true},
    {"x", "teams\nteam ", FE_SCOPE_ANY, "list", NULL, NULL, false},
    {"x", "\n\n", FE_SCOPE_ANY, "list", NULL, NULL, false},
    {"team", "", FE_SCOPE_ANY, "list", NULL, NULL, false},
    /* another verb, namespace, kind */
    {"x", "team", FE_SCOPE_NS, "get", "dev", NULL, false},
    {"x", "team", FE_SCOPE_NS, "*", "dev", NULL, false},
    {"x", "team", FE_SCOPE_NS, "list", "prod", NULL, false},
    {"x", "team", FE_SCOPE_NS, "list", "devel", NULL, false},
    {"x", "team", FE_SCOPE_NS, "list", "", NULL, false},
    {"x", "team", FE_SCOPE_TARGET, "proxy", "dev", "pod/w", false},
    {"x", "team", FE_SCOPE_TARGET, "proxy", "dev", "deployment", false},
    {"x", "team", FE_SCOPE_TARGET, "proxy", "dev", "", false},
    /* some namespaces are not all of them */
    {"x", "team", FE_SCOPE_NS, "list", NULL, NULL, false},
    /* rules that name nothing allow nothing */
    {"eve", "", FE_SCOPE_NS, "get", "dev", NULL, false},
    {"eve", "", FE_SCOPE_TARGET, "proxy", "dev", "pod/x", false},
    {"bob", "", FE_SCOPE_NS, "get", "dev", NULL, false},
    {"bob", "", FE_SCOPE_NS, "get", NULL, NULL, false},
    {"bob", "", FE_SCOPE_TARGET, "proxy", "dev", "pod/x", false},
    {"mallory", "", FE_SCOPE_ANY, "get", NULL, NULL, false},
    {"nobody", "", FE_SCOPE_NS, "get", "dev", NULL, false},
    {"nobody", "", FE_SCOPE_ANY, "get", NULL, NULL, false},
    /* `*` is no administrator */
    {"ada", "", FE_SCOPE_NS, "admin", "dev", NULL, false},
    {"root", "", FE_SCOPE_NS, "admin", "dev", NULL, true},
};

static void
identity_set(struct fe_identity *id, const char *user, const char *groups)
{
	memset(id, 0, sizeof(*id));
	id->peer = FE_USER;
	snprintf(id->user, sizeof(id->user), "%s", user);
	snprintf(id->groups, sizeof(id->groups), "%s", groups);
}

static void
test_rules(void **state)
{
	struct fe_identity id;
	struct fix x;

	(void)state;
	fix_init(&x, rules, NULL);
	for (size_t i = 0; i < N_OF(asked); i++) {
		bool yes;

		identity_set(&id, asked[i].user, asked[i].groups);
		yes = fe_allowed(&x.fe, &id, asked[i].scope, asked[i].verb,
		    asked[i].ns, asked[i].target);
		if (yes != asked[i].yes)
			fail_msg("row %zu: %s %s %s", i, asked[i].user,
			    asked[i].verb, asked[i].ns ? asked[i].ns : "-");
	}
	fix_deinit(&x);
}

static void
test_admins(void **state)
{
	static const struct {
		const char *user, *groups;
		bool yes;
	} who[] = {
	    {"root", "", true},
	    {"root-7", "x", true},
	    {"ada", "", false},
	    {"admin", "admin", false},
	    {"x", "team", false},
	    {"", "", false},
	};
	struct fe_identity id;
	struct fix x;

	(void)state;
	fix_init(&x, rules, NULL);
	for (size_t i = 0; i < N_OF(who); i++) {
		identity_set(&id, who[i].user, who[i].groups);
		assert_int_equal(fe_is_admin(&x.fe, &id), who[i].yes);
	}
	fix_deinit(&x);
	for (size_t i = 0; i < 3; i++) {
		static const char *const none[] = {
		    "{}", "{\"allow\":[]}", "{\"allow\":\"*\"}"};

		fix_init(&x, none[i], NULL);
		identity_set(&id, "root", "team");
		assert_false(fe_is_admin(&x.fe, &id));
		assert_false(
		    fe_allowed(&x.fe, &id, FE_SCOPE_ANY, "get", NULL, NULL));
		fix_deinit(&x);
	}
}

/* ---- proofs ---- */

#define HASH_A \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B \
	"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HASH_C \
	"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static const char trust[] =
    "{\"loginCa\":\"x\",\"credentialCa\":\"y\","
    "\"revoked\":[\"1a2b\",\"keyid\",\"5e\",7],"
    "\"tokens\":[{\"sha256\":\"" HASH_A "\",\"user\":\"ada\"},"
    "{\"sha256\":\"" HASH_B "\",\"user\":\"bob\",\"expires\":1000}]}";
static const char primaries[] =
    "{\"primaries\":[{\"name\":\"hub\",\"tokenSha256\":\"" HASH_C "\"}]}";

static void
test_proofs(void **state)
{
	static const struct {
		struct fe_proof proof;
		bool holds;
	} rows[] = {
	    {{.serial = "1a2c"}, true}, {{.serial = "1a2b"}, false},
	    {{.serial = "1a2"}, true}, {{.serial = "1a2b5"}, true},
	    {{.serial = "1a2c", .key_id = "keyid"}, false},
	    {{.serial = "1a2c", .key_id = "key", .der_serial = "5e"}, false},
	    {{.token = HASH_A}, true}, {{.token = HASH_B}, false}, /* expired */
	    {{.token = HASH_C}, true},  /* a primary's */
	    {{.token = "dddd"}, false}, /* not known any more */
	    {{.token = HASH_A, .key_id = "keyid"}, false},
	    {{.serial = ""}, true}, /* it proved nothing: nothing to lose */
	};
	struct fix x;

	(void)state;
	fix_init(&x, primaries, trust);
	for (size_t i = 0; i < N_OF(rows); i++) {
		if (fe_proof_holds(&x.fe, &rows[i].proof) != rows[i].holds)
			fail_msg("row %zu", i);
	}
	assert_false(fe_revoked(&x.fe, ""));
	fix_deinit(&x);
	/* before TRUST came nothing is revoked, and no token is known */
	fix_init(&x, "{}", NULL);
	assert_false(fe_revoked(&x.fe, "1a2b"));
	assert_false(fe_token_known(&x.fe, HASH_A));
	assert_null(fe_credential_ca(&x.fe));
	fix_deinit(&x);
}

/* ---- SESSION_OPENED ---- */

static const struct {
	const char *slots, *workers, *ready;
	uint32_t default_slot;
	int n; /* 0: refused */
} opened[] = {
    {"east\nwest", "0\n1", "11", 1, 2},
    {"hub\neast\n", "own\n0\n", "10", 0, 2},
    {"one", "own", "1", 0, 1},
    {"", "", "", 0, 0},
    {"east\nwest", "0\n1", "11", 2, 0},
    {"east\nwest", "0\n1", "11", UINT32_MAX, 0},
    {"east\nwest", "0\n1", "1", 0, 0},
    {"east\nwest", "0\n1", "111", 0, 0},
    {"east\nwest", "0", "11", 0, 0},
    {"east\nwest", "0\n", "11", 0, 0},
    {"east\n\nwest", "0\n1\n2", "111", 0, 0},
    {"east", "-1", "1", 0, 0},
    {"east", "4294967296", "1", 0, 0},
    {"east", "OWN", "1", 0, 0},
    {"east", "0123456789012345678901234567890123456789", "1", 0, 0},
};

static void
test_session_opened(void **state)
{
	struct fix x;

	(void)state;
	fix_init(&x, "{}", NULL);
	for (size_t i = 0; i < N_OF(opened); i++) {
		struct ipc_session_opened m = {.session_id = 7,
		    .slots = opened[i].slots,
		    .workers = opened[i].workers,
		    .ready = opened[i].ready,
		    .default_slot = opened[i].default_slot,
		    .conditions = "",
		    .settled = ""};
		struct fe_session *s = NULL;
		struct err e;
		int rc = fe_session_get(&x.fe, (uint32_t)i + 1, &m, &s, &e);

		if ((rc == 0) != (opened[i].n > 0))
			fail_msg("row %zu", i);
		if (rc != 0) {
			assert_null(map_get(&x.fe.sessions, i + 1));
			continue;
		}
		assert_int_equal(s->n_slots, opened[i].n);
		assert_int_equal(s->slots[0].ready, opened[i].ready[0] == '1');
		fe_session_release(s); /* no socket uses it */
		assert_null(map_get(&x.fe.sessions, i + 1));
	}
	fix_deinit(&x);
}

static void
test_too_many_slots(void **state)
{
	char slots[4 * (ROUTE_SLOTS_MAX + 1) + 1] = "";
	char workers[4 * (ROUTE_SLOTS_MAX + 1) + 1] = "";
	char ready[ROUTE_SLOTS_MAX + 2] = "";
	struct ipc_session_opened m = {.slots = slots,
	    .workers = workers,
	    .ready = ready,
	    .conditions = "",
	    .settled = ""};
	struct fe_session *s = NULL;
	struct fix x;
	struct err e;

	(void)state;
	for (int i = 0; i <= ROUTE_SLOTS_MAX; i++) {
		strcat(slots, "c\n");
		strcat(workers, "0\n");
		strcat(ready, "1");
	}
	fix_init(&x, "{}", NULL);
	assert_true(fe_session_get(&x.fe, 1, &m, &s, &e) < 0);
	slots[strlen(slots) - 2] = workers[strlen(workers) - 2] = '\0';
	ready[ROUTE_SLOTS_MAX] = '\0';
	assert_int_equal(fe_session_get(&x.fe, 1, &m, &s, &e), 0);
	assert_int_equal(s->n_slots, ROUTE_SLOTS_MAX);
	fe_session_release(s);
	fix_deinit(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_admins),
	    cmocka_unit_test(test_proofs),
	    cmocka_unit_test(test_session_opened),
	    cmocka_unit_test(test_too_many_slots),
	};

	return cmocka_run_group_tests_name("frontend", tests, NULL, NULL);
}
