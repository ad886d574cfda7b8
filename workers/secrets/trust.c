/* trust: what the frontends believe (TRUST), told again on every change. */
#include "config.h"

#include <string.h>

#include "lib/json.h"
#include "lib/log.h"
#include "workers/secrets/secrets.h"

static bool
add_pem(cJSON *trust, const char *key, struct sec_ca *ca)
{
	const char *pem = buf_cstr(&ca->pem);

	return pem != NULL && cJSON_AddStringToObject(trust, key, pem) != NULL;
}

static bool
add_revoked(cJSON *trust, const cJSON *state)
{
	cJSON *list = cJSON_AddArrayToObject(trust, "revoked");
	const cJSON *v;

	cJSON_ArrayForEach(v, cJSON_GetObjectItem(state, "revoked"))
	{
		cJSON *id = cJSON_CreateString(json_str(v, "id", ""));

		if (id == NULL || !cJSON_AddItemToArray(list, id)) {
			cJSON_Delete(id);
			return false;
		}
	}
	return list != NULL;
}

static bool
add_tokens(cJSON *trust, const cJSON *state)
{
	cJSON *list =
	    cJSON_Duplicate(cJSON_GetObjectItem(state, "tokens"), true);

	if (list != NULL && cJSON_AddItemToObject(trust, "tokens", list))
		return true;
	cJSON_Delete(list);
	return false;
}

static int
make(struct sec *sec, struct buf *out)
{
	cJSON *trust = cJSON_CreateObject();
	int rc = -ERR_NOMEM;

	if (trust != NULL && add_pem(trust, "loginCa", &sec->login) &&
	    add_pem(trust, "credentialCa", &sec->credential) &&
	    add_revoked(trust, sec->state) && add_tokens(trust, sec->state))
		rc = json_print(trust, out);
	cJSON_Delete(trust);
	return rc;
}

static void
send_to(struct ipc_peer *peer, const struct buf *text)
{
	struct ipc_trust m = {.trust = buf_span(text)};

	if (ipc_send(peer, IPC_TRUST, 0, 0, 0, &m, NULL, 0) != 0)
		log_error("TRUST could not be sent frontend=%u bytes=%zu",
		    ipc_peer_index(peer), text->len);
}

void
sec_trust_send(struct sec *sec, struct ipc_peer *peer)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	if (make(sec, &text) == 0)
		send_to(peer, &text);
	else
		log_error("TRUST could not be made: over its limit");
	buf_free(&text);
}

void
sec_trust_broadcast(struct sec *sec)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	if (make(sec, &text) != 0) {
		log_error("TRUST could not be made: over its limit");
		buf_free(&text);
		return;
	}
	for (uint32_t i = 0; i < 64; i++) {
		struct ipc_peer *peer = worker_peer(sec->w, IPC_FE, i);

		if (peer != NULL)
			send_to(peer, &text);
	}
	buf_free(&text);
}
