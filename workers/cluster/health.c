/* Is the cluster there, and what can its operator do? (multicluster §15) */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/cluster/cluster.h"

enum { CLU_HEALTH_RETRY_MS = 2000 };

bool
clu_peer_has(const struct clu *clu, const char *feature)
{
	const char *p = clu->features;
	size_t n = strlen(feature);

	for (; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
		if (strncmp(p, feature, n) == 0 &&
		    (p[n] == '\n' || p[n] == '\0'))
			return true;
	}
	return false;
}

void
clu_tell_state(struct clu *clu, const char *error)
{
	struct ipc_peer *own = worker_peer(clu->w, IPC_OWN, 0);
	struct ipc_peer_state m = {
	    .cluster = clu->w->name,
	    .connected = clu->connected && error[0] == '\0',
	    .operator_version = clu->operator_version,
	    .protocol_version = clu->protocol_version,
	    .fingerprint = clu->fingerprint,
	    .features = clu->features,
	    .credential_expires_s = clu->credential_expires_s,
	    .error = error,
	};

	if (own != NULL)
		ipc_send(own, IPC_PEER_STATE, 0, 0, 0, &m, NULL, 0);
}

static void
health_read(struct clu *clu, const cJSON *spec)
{
	const cJSON *v;
	size_t len = 0;

	str_fmt(clu->operator_version, sizeof(clu->operator_version), "%s",
	    json_str(spec, "operator_version", ""));
	str_fmt(clu->protocol_version, sizeof(clu->protocol_version), "%s",
	    json_str(spec, "protocol_version", ""));
	str_fmt(clu->fingerprint, sizeof(clu->fingerprint), "%s",
	    json_str(json_at(spec, "license"), "fingerprint", ""));
	clu->features[0] = '\0';
	cJSON_ArrayForEach(
	    v, cJSON_GetObjectItemCaseSensitive(spec, "supported_features"))
	{
		size_t n;

		if (!cJSON_IsString(v) || strchr(v->valuestring, '\n') != NULL)
			continue;
		n = strlen(v->valuestring);
		if (len + n + 2 > sizeof(clu->features))
			break;
		if (len > 0)
			clu->features[len++] = '\n';
		memcpy(clu->features + len, v->valuestring, n + 1);
		len += n;
	}
}

static void
health_answer(void *arg, const struct clu_answer *a)
{
	struct clu *clu = arg;
	bool was = clu->connected;
	struct err e = {0};
	cJSON *v = NULL;

	if (a->code == 0)
		err_set(&e, ERR_CLOSED, "%s", a->error);
	else if (a->code != 200)
		err_set(&e, ERR_DENIED, "its operator answered %d: %s", a->code,
		    a->status.message);
	else
		v = json_parse(a->body.p, a->body.n, &e);
	clu->connected = v != NULL;
	if (v != NULL)
		health_read(clu, cJSON_GetObjectItemCaseSensitive(v, "spec"));
	cJSON_Delete(v);
	if (clu->connected && !was)
		log_info("cluster reached operator=%s protocol=%s",
		    clu->operator_version, clu->protocol_version);
	else if (!clu->connected && was)
		log_warn("cluster not reached why=%s", e.text);
	clu_tell_state(clu, e.text);
	ev_timer_set(
	    clu->health, clu->connected ? clu->health_ms : CLU_HEALTH_RETRY_MS);
}

static void
health_check(void *arg)
{
	struct clu *clu = arg;
	struct err e;

	if (clu_request(clu, "GET",
		"/apis/operator.metalbear.co/v1/mirrordoperators/operator",
		NULL, 0, health_answer, clu, &e) < 0) {
		clu->connected = false;
		clu_tell_state(clu, e.text);
		ev_timer_set(clu->health, CLU_HEALTH_RETRY_MS);
	}
}

void
clu_health_start(struct clu *clu)
{
	if (clu->health == NULL)
		clu->health = ev_timer_new(clu->w->loop, health_check, clu);
	if (clu->health != NULL)
		ev_timer_set(clu->health, 0);
}
