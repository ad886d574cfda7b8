#include "config.h"

#include "client/target.h"

#include <openssl/rand.h>
#include <string.h>

#include "client/cli.h"
#include "client/clusters.h"
#include "client/credential.h"
#include "client/session.h"
#include "lib/json.h"
#include "lib/str.h"

enum { LEAVE_MS = 2000 };

static const char *const kinds[] = {"deployment", "deploy", "pod", "rollout",
    "job", "cronjob", "statefulset", "service", "replicaset"};

int
cli_target_alias(const struct cli_target *t, struct buf *out, struct err *e)
{
	size_t n = strcspn(t->text, "/.");
	const char *kind = NULL, *name;

	if (strcmp(t->text, "targetless") == 0)
		return buf_printf(out, "targetless");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strlen(kinds[i]) == n && strncmp(kinds[i], t->text, n) == 0)
			kind = kinds[i];
	}
	name = t->text[n] == '\0' ? "" : t->text + n + 1;
	if (kind == NULL || !cli_name_ok(name))
		return err_set(e, ERR_INVALID,
		    "\"%s\" is not a target; write KIND/NAME, for instance "
		    "deployment/shop (`tributary ls` lists them)",
		    t->text);
	if (t->container != NULL && !cli_name_ok(t->container))
		return err_set(e, ERR_INVALID,
		    "\"%s\" is not the name of a container", t->container);
	if (strcmp(kind, "deploy") == 0)
		kind = "deployment";
	if (buf_printf(out, "%s.%s", kind, name) < 0 ||
	    (t->container != NULL &&
		buf_printf(out, ".container.%s", t->container) < 0))
		return err_nomem(e);
	return 0;
}

int
cli_target_query(const struct cli_target *t, struct buf *out, struct err *e)
{
	const char *steal = t->steal == NULL ? "abort" : t->steal;
	uint32_t r = 0;

	if (strcmp(steal, "abort") != 0 && strcmp(steal, "continue") != 0 &&
	    strcmp(steal, "override") != 0)
		return err_set(e, ERR_INVALID,
		    "--on-concurrent-steal is abort, continue or override");
	buf_printf(out, "connect=true&on_concurrent_steal=%s", steal);
	if (t->single_cluster)
		buf_printf(out, "&multi_cluster=false");
	if (t->key != NULL) {
		buf_printf(out, "&key=");
		str_form_encode(out, t->key, strlen(t->key));
	} else {
		RAND_bytes((unsigned char *)&r, sizeof(r));
		buf_printf(out, "&key=%05x", r & 0xfffff);
	}
	return 0;
}

uint64_t
cli_session_new_id(void)
{
	uint64_t id = 0;

	RAND_bytes((unsigned char *)&id, sizeof(id));
	return id == 0 ? 1 : id;
}

struct cli_session *
cli_target_connect(struct cli_api *api, const struct cli_target *t,
    const struct cli_session_ops *ops, void *arg, bool reconnect, struct err *e)
{
	struct cli_session_opts o = {.session_id = cli_session_new_id()};
	struct cli_session *s = NULL;
	struct buf alias, query;

	buf_init(&alias, 2048);
	buf_init(&query, 8192);
	if (cli_target_alias(t, &alias, e) == 0 &&
	    cli_target_query(t, &query, e) == 0 &&
	    cli_api_operator(api, e) == 0 && cli_credential_get(api, e) == 0) {
		cli_clusters_known(api);
		o.namespace =
		    t->namespace != NULL ? t->namespace : api->kube.namespace;
		o.target = buf_cstr(&alias);
		o.query = buf_cstr(&query);
		o.reconnect = reconnect;
		cli_event("connecting to %s in namespace %s (session %016llX)",
		    t->text, o.namespace, (unsigned long long)o.session_id);
		s = cli_session_new(api, &o, ops, arg, e);
	}
	buf_free(&alias);
	buf_free(&query);
	return s;
}

struct leaving {
	struct cli_call *call;
	bool done;
};

static void
leave_done(void *arg, cJSON *answer, const struct err *e)
{
	struct leaving *l = arg;

	(void)e; /* its TTL ends it then */
	cJSON_Delete(answer);
	l->call = NULL;
	l->done = true;
}

static void
leave_late(void *arg)
{
	((struct leaving *)arg)->done = true;
}

static void
leave(struct cli_api *api, uint64_t id)
{
	struct leaving l = {0};
	struct ev_timer *late = ev_timer_new(api->loop, leave_late, &l);
	cJSON *body = cJSON_CreateObject();
	char path[128];
	struct err e;

	str_fmt(path, sizeof(path), CLI_API_GROUP "/sessions/%llX",
	    (unsigned long long)id);
	if (late != NULL) {
		ev_timer_set(late, LEAVE_MS);
		l.call = cli_call_start(
		    api, "DELETE", path, body, leave_done, &l, &e);
	}
	while (l.call != NULL && !l.done)
		ev_loop_turn(api->loop, true);
	cli_call_cancel(&l.call);
	ev_timer_free(&late);
	cJSON_Delete(body);
}

void
cli_target_leave(struct cli_api *api, struct cli_session **s)
{
	uint64_t id;
	bool up;

	if (*s == NULL)
		return;
	up = cli_session_is_up(*s);
	id = cli_session_id(*s);
	cli_session_free(s);
	if (up)
		leave(api, id);
}
