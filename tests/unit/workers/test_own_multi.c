/* Multi-cluster sessions: parents, children on members, losses, removals. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "tests/unit/workers/own_rig.h"

#define ID 0xabcull
#define PARENT "mc-0000000000000abc"

struct mt {
	struct own_rig t;
	uint32_t handle;
};

/* Answers CHILD_CREATE; the name must be the parent's with the cluster's. */
static void
create(struct own_rig *t, struct rig_peer *clu, const char *child, int code,
    const char *reason, const char *message)
{
	struct rig_msg *m = rig_expect(clu, IPC_CHILD_CREATE);
	char name[300];
	struct ipc_child_created a = {
	    .request = (uint32_t)own_rig_number(m, "request"),
	    .code = (uint16_t)code,
	    .reason = reason,
	    .message = message,
	};
	snprintf(name, sizeof(name), "name=\"%s\"", child);
	assert_non_null(strstr(m->text, name));
	rig_msg_free(&m);
	rig_send(clu, IPC_CHILD_CREATED, 0, 0, 0, &a);
	rig_settle(&t->r);
}

static void
grant(struct own_rig *t, struct rig_peer *clu, const char *param)
{
	struct rig_msg *m = rig_expect(clu, IPC_GRANT);
	struct ipc_granted g = {.session_id = ID};
	if (param != NULL &&
	    strstr((const char *)buf_cstr(&m->data), param) == NULL)
		fail_msg("%s", buf_cstr(&m->data));
	rig_send(clu, IPC_GRANTED, 0, m->header.session, 0, &g);
	rig_msg_free(&m);
	rig_settle(&t->r);
}

static void
anchor(struct own_rig *t, struct rig_peer *clu, bool open)
{
	struct rig_msg *m = rig_expect(clu, IPC_ANCHOR);
	assert_int_equal(own_rig_number(m, "open"), open);
	rig_msg_free(&m);
	(void)t;
}

static void
anchor_is(struct mt *m, struct rig_peer *clu, bool up, int code,
    const char *reason, const char *text)
{
	struct ipc_anchor_state a = {.up = up,
	    .code = (uint16_t)code,
	    .reason = reason,
	    .message = text};
	rig_send(clu, IPC_ANCHOR_STATE, 0, m->handle, 0, &a);
	rig_settle(&m->t.r);
}

static uint32_t
handle_of(struct own_rig *t)
{
	struct own_session *s = own_session_by_id(own_rig_own(t), ID);
	return s == NULL ? 0 : s->handle;
}

static void
open_and_begin(struct mt *m, int mode)
{
	struct own_rig_open o = {.id = ID};
	own_rig_init(&m->t, mode);
	own_rig_open(&m->t, m->t.fe, &o);
	rig_settle(&m->t.r);
	m->handle = handle_of(&m->t);
	assert_true(own_rig_record(&m->t, PARENT));
}

static void
hub_up(struct mt *m)
{
	struct own_rig *t = &m->t;
	open_and_begin(m, OWN_RIG_HUB);
	create(t, t->east, PARENT "-east", 201, "", "");
	create(t, t->west, PARENT "-west", 201, "", "");
	grant(t, t->east, "is_default_cluster=true");
	grant(t, t->west, "is_default_cluster=false");
	own_rig_grant_sf(t);
	anchor(t, t->east, true);
	anchor(t, t->west, true);
	anchor_is(m, t->west, true, 0, "", "");
	assert_int_equal(rig_count(t->fe, IPC_SESSION_OPENED), 0);
	anchor_is(m, t->east, true, 0, "", "");
	assert_int_equal(own_rig_expect_opened(t, t->fe), m->handle);
}

static void
socket_up(struct mt *m, uint32_t stream)
{
	struct ipc_socket_up up = {.request = 1};
	rig_send(m->t.fe, IPC_SOCKET_UP, 0, m->handle, stream, &up);
	rig_settle(&m->t.r);
}

static void
socket_down(struct mt *m, uint32_t stream)
{
	struct ipc_socket_down down = {.text = ""};
	rig_send(m->t.fe, IPC_SOCKET_DOWN, 0, m->handle, stream, &down);
	rig_settle(&m->t.r);
}

static void
ready_when_all_are(void **state)
{
	struct mt m;
	struct own_rig_open o = {.id = ID};
	(void)state;
	hub_up(&m);
	own_rig_open(&m.t, m.t.fe2, &o);
	struct rig_msg *g = rig_expect(m.t.fe2, IPC_SESSION_OPENED);
	assert_non_null(strstr(g->text, "slots=\"east\\nwest\""));
	assert_non_null(strstr(g->text, "workers=\"0\\n1\""));
	assert_non_null(strstr(g->text, "ready=\"11\""));
	assert_int_equal(own_rig_number(g, "default_slot"), 0);
	rig_msg_free(&g);
	own_rig_deinit(&m.t);
}

static void
children_get_what_they_may_know(void **state)
{
	struct mt m;
	struct err e;
	(void)state;
	open_and_begin(&m, OWN_RIG_HUB);
	struct rig_msg *c = rig_expect(m.t.west, IPC_CHILD_CREATE);
	cJSON *o = json_parse(buf_data(&c->data), c->data.len, &e);
	assert_string_equal(json_str(o, "kind", ""), "MirrordClusterSession");
	cJSON *spec = cJSON_GetObjectItem(o, "spec");
	assert_string_equal(
	    json_str(spec, "multiClusterParentName", ""), PARENT);
	assert_string_equal(json_str(spec, "namespace", ""), "default");
	assert_string_equal(json_str(spec, "key", ""), "k1");
	cJSON *owner = cJSON_GetObjectItem(spec, "owner");
	assert_string_equal(json_str(owner, "k8sUsername", ""), "dev");
	assert_string_equal(json_str(owner, "userId", ""), "a2V5");
	cJSON *target = cJSON_GetObjectItem(spec, "target");
	assert_string_equal(json_str(target, "kind", ""), "Deployment");
	assert_string_equal(json_str(target, "apiVersion", ""), "apps/v1");
	cJSON_Delete(o);
	rig_msg_free(&c);
	own_rig_deinit(&m.t);
}

static void
anchors_follow_the_sockets(void **state)
{
	struct mt m;
	(void)state;
	hub_up(&m);
	socket_up(&m, 1);
	anchor(&m.t, m.t.east, false);
	anchor(&m.t, m.t.west, false);
	socket_up(&m, 2);
	socket_down(&m, 1);
	assert_int_equal(rig_count(m.t.east, IPC_ANCHOR), 0);
	socket_down(&m, 2);
	anchor(&m.t, m.t.east, true);
	anchor(&m.t, m.t.west, true);
	own_rig_deinit(&m.t);
}

static void
start_fails(void **state)
{
	static const struct {
		int code;
		const char *reason, *message;
		int want;
		const char *want_reason, *part;
	} row[] = {
	    {404, "NotFound", "deployment/shop is not a target", 404,
		"NotFound", "cluster west: deployment/shop"},
	    {403, "Forbidden", "not a primary", 403, "Forbidden",
		"cluster west: not a primary"},
	    {422, "Invalid", "bad", 422, "Invalid", "cluster west"},
	    {409, "Conflict", "taken", 409, "Conflict", "cluster west"},
	    {410, "ReconnectNotPossible", "killed there", 410,
		"ReconnectNotPossible", "killed there"},
	};
	(void)state;
	for (size_t i = 0; i < N_OF(row); i++) {
		struct mt m;
		open_and_begin(&m, OWN_RIG_HUB);
		create(&m.t, m.t.east, PARENT "-east", 201, "", "");
		create(&m.t, m.t.west, PARENT "-west", row[i].code,
		    row[i].reason, row[i].message);
		own_rig_expect_refused(
		    &m.t, m.t.fe, row[i].want, row[i].want_reason, row[i].part);
		/* what was made is removed */
		struct rig_msg *d = rig_expect(m.t.east, IPC_CHILD_DELETE);
		struct ipc_child_deleted gone = {
		    .request = (uint32_t)own_rig_number(d, "request"),
		    .code = 200};
		rig_msg_free(&d);
		assert_true(own_rig_record(&m.t, PARENT));
		rig_send(m.t.east, IPC_CHILD_DELETED, 0, 0, 0, &gone);
		rig_settle(&m.t.r);
		assert_false(own_rig_record(&m.t, PARENT));
		own_rig_deinit(&m.t);
	}
}

static void
unreachable_member_is_tried_for_a_while(void **state)
{
	struct mt m;
	(void)state;
	open_and_begin(&m, OWN_RIG_HUB);
	for (int i = 0; i < 12 && rig_count(m.t.fe, IPC_SESSION_REFUSED) == 0;
	     i++) {
		rig_settle(&m.t.r);
		while (rig_count(m.t.west, IPC_CHILD_CREATE) > 0)
			create(&m.t, m.t.west, PARENT "-west", 502, "",
			    "connection refused");
		own_rig_skip(&m.t, 1500);
	}
	/* never a code that the client repeats silently */
	own_rig_expect_refused(&m.t, m.t.fe, 500, "InternalError",
	    "cluster west: connection refused");
	own_rig_deinit(&m.t);
}

static void
forced_single_on_management_only(void **state)
{
	struct own_rig t;
	struct own_rig_open o = {
	    .id = ID, .params = "connect=true&multi_cluster=false"};
	(void)state;
	own_rig_init(&t, OWN_RIG_HUB);
	own_rig_open(&t, t.fe, &o);
	own_rig_expect_refused(&t, t.fe, 422, "Invalid", "management-only");
	own_rig_deinit(&t);
	/* with workloads of its own it is a session of one cluster */
	own_rig_init(&t, OWN_RIG_PWD);
	own_rig_open(&t, t.fe, &o);
	(void)own_rig_agent(&t, NULL);
	(void)own_rig_agent(&t, NULL);
	own_rig_grant_sf(&t);
	struct rig_msg *g = rig_expect(t.fe, IPC_SESSION_OPENED);
	assert_non_null(strstr(g->text, "slots=\"hub\""));
	rig_msg_free(&g);
	assert_int_equal(rig_count(t.east, IPC_CHILD_CREATE), 0);
	own_rig_deinit(&t);
}

static void
own_cluster_is_a_child_too(void **state)
{
	struct mt m;
	(void)state;
	open_and_begin(&m, OWN_RIG_PWD);
	create(&m.t, m.t.east, PARENT "-east", 201, "", "");
	create(&m.t, m.t.west, PARENT "-west", 200, "", "");
	grant(&m.t, m.t.east, "is_default_cluster=false");
	grant(&m.t, m.t.west, NULL);
	own_rig_grant_sf(&m.t);
	anchor_is(&m, m.t.east, true, 0, "", "");
	anchor_is(&m, m.t.west, true, 0, "", "");
	(void)own_rig_agent(&m.t, NULL);
	(void)own_rig_agent(&m.t, NULL);
	struct rig_msg *g = rig_expect(m.t.fe, IPC_SESSION_OPENED);
	assert_non_null(strstr(g->text, "slots=\"hub\\neast\\nwest\""));
	assert_non_null(strstr(g->text, "workers=\"own\\n0\\n1\""));
	rig_msg_free(&g);
	own_rig_deinit(&m.t);
}

static int
pending_deletes(struct mt *m)
{
	rig_settle(&m->t.r);
	return rig_count(m->t.east, IPC_CHILD_DELETE) +
	       rig_count(m->t.west, IPC_CHILD_DELETE);
}

static void
answer_delete(struct mt *m, struct rig_peer *clu, int code)
{
	struct rig_msg *d = rig_expect(clu, IPC_CHILD_DELETE);
	struct ipc_child_deleted a = {
	    .request = (uint32_t)own_rig_number(d, "request"),
	    .code = (uint16_t)code,
	    .message = code == 502 ? "no route" : ""};
	rig_msg_free(&d);
	rig_send(clu, IPC_CHILD_DELETED, 0, 0, 0, &a);
	rig_settle(&m->t.r);
}

static void
ttl_removes_children_then_parent(void **state)
{
	struct mt m;
	(void)state;
	hub_up(&m);
	own_rig_skip(&m.t, 91000);
	assert_int_equal(pending_deletes(&m), 2);
	answer_delete(&m, m.t.east, 200);
	assert_true(own_rig_record(&m.t, PARENT));
	/* the other cannot be reached: asked again, later and later */
	answer_delete(&m, m.t.west, 502);
	assert_true(own_rig_record(&m.t, PARENT));
	own_rig_skip(&m.t, 2000);
	answer_delete(&m, m.t.west, 502);
	own_rig_skip(&m.t, 3000);
	answer_delete(&m, m.t.west, 404);
	assert_false(own_rig_record(&m.t, PARENT));
	own_rig_deinit(&m.t);
}

static void
unreachable_children_are_given_up(void **state)
{
	struct mt m;
	(void)state;
	hub_up(&m);
	own_rig_skip(&m.t, 91000);
	answer_delete(&m, m.t.east, 200);
	rig_detach(m.t.west);
	rig_settle(&m.t.r);
	own_rig_skip(&m.t, 500000);
	assert_true(own_rig_record(&m.t, PARENT));
	own_rig_skip(&m.t, 101000);
	assert_false(own_rig_record(&m.t, PARENT));
	own_rig_deinit(&m.t);
}

static void
removal_goes_on_after_a_restart(void **state)
{
	struct mt m;
	(void)state;
	hub_up(&m);
	own_rig_skip(&m.t, 91000);
	answer_delete(&m, m.t.east, 200);
	own_rig_restart(&m.t, OWN_RIG_HUB); /* before west answered */
	assert_true(own_rig_record(&m.t, PARENT));
	own_rig_skip(&m.t, 1000);
	answer_delete(&m, m.t.west, 200);
	while (rig_count(m.t.east, IPC_CHILD_DELETE) > 0)
		answer_delete(&m, m.t.east, 404);
	assert_false(own_rig_record(&m.t, PARENT));
	own_rig_deinit(&m.t);
}

static void
restart_holds_anchors_and_resumes(void **state)
{
	struct mt m;
	struct own_rig_open o = {.id = ID};
	(void)state;
	hub_up(&m);
	own_rig_restart(&m.t, OWN_RIG_HUB);
	own_rig_skip(&m.t, 1000);
	m.handle = handle_of(&m.t);
	/* nothing is made anew, but what is there is kept */
	assert_int_equal(rig_count(m.t.east, IPC_CHILD_CREATE), 0);
	grant(&m.t, m.t.east, NULL);
	anchor(&m.t, m.t.east, true);
	anchor_is(&m, m.t.east, true, 0, "", "");
	grant(&m.t, m.t.west, NULL);
	/* west has lost its child meanwhile */
	anchor(&m.t, m.t.west, true);
	anchor_is(&m, m.t.west, false, 404, "NotFound", "no such child");
	own_rig_grant_sf(&m.t);
	own_rig_open(&m.t, m.t.fe, &o);
	rig_settle(&m.t.r);
	own_rig_skip(&m.t, 2000);
	anchor(&m.t, m.t.west, true);
	anchor_is(&m, m.t.west, true, 0, "", "");
	assert_int_equal(own_rig_expect_opened(&m.t, m.t.fe), m.handle);
	own_rig_deinit(&m.t);
}

static void
revived_while_being_removed(void **state)
{
	struct mt m;
	struct own_rig_open o = {.id = ID};
	(void)state;
	hub_up(&m);
	own_rig_skip(&m.t, 91000);
	own_rig_open(&m.t, m.t.fe, &o); /* its user is back, just too late */
	rig_settle(&m.t.r);
	answer_delete(&m, m.t.east, 200);
	answer_delete(&m, m.t.west, 200);
	create(&m.t, m.t.east, PARENT "-east", 201, "", "");
	create(&m.t, m.t.west, PARENT "-west", 201, "", "");
	grant(&m.t, m.t.east, NULL);
	grant(&m.t, m.t.west, NULL);
	own_rig_grant_sf(&m.t);
	anchor_is(&m, m.t.east, true, 0, "", "");
	anchor_is(&m, m.t.west, true, 0, "", "");
	(void)own_rig_expect_opened(&m.t, m.t.fe);
	own_rig_deinit(&m.t);
}

static void
cluster_worker_dies_and_comes_back(void **state)
{
	struct mt m;
	struct own_rig_open o = {.id = ID};
	(void)state;
	hub_up(&m);
	socket_up(&m, 1);
	rig_detach(m.t.west);
	struct rig_msg *c = rig_expect(m.t.fe, IPC_CHILD_STATE);
	assert_int_equal(own_rig_number(c, "slot"), 1);
	assert_int_equal(own_rig_number(c, "up"), 0);
	rig_msg_free(&c);
	/* the default is there: a second socket is served without west */
	own_rig_open(&m.t, m.t.fe, &o);
	c = rig_expect(m.t.fe, IPC_SESSION_OPENED);
	assert_non_null(strstr(c->text, "ready=\"10\""));
	assert_non_null(strstr(c->text, "being restarted"));
	rig_msg_free(&c);
	m.t.west = rig_attach(&m.t.r, IPC_CLU, 1, "west");
	grant(&m.t, m.t.west, NULL);
	anchor(&m.t, m.t.west, true);
	anchor_is(&m, m.t.west, true, 0, "", "");
	c = rig_expect(m.t.fe, IPC_CHILD_STATE);
	assert_int_equal(own_rig_number(c, "up"), 1);
	rig_msg_free(&c);
	anchor(&m.t, m.t.west, false); /* there is a socket */
	own_rig_deinit(&m.t);
}

static void
child_that_is_gone_is_made_again(void **state)
{
	struct mt m;
	(void)state;
	hub_up(&m);
	socket_up(&m, 1);
	anchor(&m.t, m.t.west, false);
	/* a stream to it was refused: it ran out while the link was down */
	anchor_is(&m, m.t.west, false, 404, "NotFound", "no such child");
	anchor_is(&m, m.t.west, false, 404, "NotFound", "no such child");
	struct rig_msg *c = rig_expect(m.t.fe, IPC_CHILD_STATE);
	assert_int_equal(own_rig_number(c, "up"), 0);
	rig_msg_free(&c);
	own_rig_skip(&m.t, 2000);
	create(&m.t, m.t.west, PARENT "-west", 201, "", "");
	grant(&m.t, m.t.west, NULL);
	anchor(&m.t, m.t.west, true);
	anchor_is(&m, m.t.west, true, 0, "", "");
	c = rig_expect(m.t.fe, IPC_CHILD_STATE);
	assert_int_equal(own_rig_number(c, "up"), 1);
	rig_msg_free(&c);
	anchor(&m.t, m.t.west, false);
	own_rig_deinit(&m.t);
}

static void
ended_by_a_member(void **state)
{
	struct mt m;
	struct own_rig_open o = {.id = ID};
	(void)state;
	hub_up(&m);
	socket_up(&m, 1);
	anchor_is(&m, m.t.east, false, 410, "ReconnectNotPossible",
	    "port 8080 was taken over by bob");
	struct rig_msg *e = rig_expect(m.t.fe, IPC_SESSION_END);
	assert_non_null(strstr(e->text, "taken over by bob"));
	rig_msg_free(&e);
	own_rig_open(&m.t, m.t.fe, &o);
	own_rig_expect_refused(
	    &m.t, m.t.fe, 410, "ReconnectNotPossible", "taken over by bob");
	own_rig_deinit(&m.t);
}

static void
branch_names_are_not_stored(void **state)
{
	struct mt m;
	char path[300], text[20000];
	(void)state;
	hub_up(&m);
	/* as if branches were there: the record must not show them */
	struct own_session *s =
	    own_session_by_handle(own_rig_own(&m.t), m.handle);
	assert_int_equal(
	    own_text_set(&s->params, "connect=true&key=k1&pg_branch_names="
				     "%5B%22secret-branch%22%5D"),
	    0);
	assert_int_equal(own_session_save(s), 0);
	snprintf(
	    path, sizeof(path), "%s/run/t/sessions/" PARENT ".json", m.t.root);
	FILE *f = fopen(path, "r");
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	assert_null(strstr(text, "secret-branch"));
	assert_non_null(strstr(text, "MirrordMultiClusterSession"));
	own_rig_deinit(&m.t);
}

int
main(void)
{
	log_init("test", LOG_LV_ERROR);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ready_when_all_are),
	    cmocka_unit_test(children_get_what_they_may_know),
	    cmocka_unit_test(anchors_follow_the_sockets),
	    cmocka_unit_test(start_fails),
	    cmocka_unit_test(unreachable_member_is_tried_for_a_while),
	    cmocka_unit_test(forced_single_on_management_only),
	    cmocka_unit_test(own_cluster_is_a_child_too),
	    cmocka_unit_test(ttl_removes_children_then_parent),
	    cmocka_unit_test(unreachable_children_are_given_up),
	    cmocka_unit_test(removal_goes_on_after_a_restart),
	    cmocka_unit_test(restart_holds_anchors_and_resumes),
	    cmocka_unit_test(revived_while_being_removed),
	    cmocka_unit_test(cluster_worker_dies_and_comes_back),
	    cmocka_unit_test(child_that_is_gone_is_made_again),
	    cmocka_unit_test(ended_by_a_member),
	    cmocka_unit_test(branch_names_are_not_stored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
