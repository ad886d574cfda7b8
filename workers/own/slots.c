/*
 * slots: the children of a session, each driven step by step towards what the
 * session's phase wants: up, kept, or gone.
 *
 *   None -> Creating -> Created -> Granting -> Granted -> Anchoring -> Up
 *   any  -> Deleting -> None
 *
 * A child exists from Created on and is removed by name, from what is stored.
 * The own cluster's child takes the same steps without messages.
 */
#include "config.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/handlers.h"
#include "workers/own/local.h"
#include "workers/own/own.h"

bool
own_slots_all_up(const struct own_session *s)
{
	for (int i = 0; i < s->n_slots; i++) {
		if (s->slots[i].state != OWN_SLOT_UP)
			return false;
	}
	return s->sf_granted;
}

bool
own_slots_can_serve(const struct own_session *s)
{
	return s->slots[s->default_slot].state == OWN_SLOT_UP && s->sf_granted;
}

bool
own_slots_all_gone(const struct own_session *s)
{
	for (int i = 0; i < s->n_slots; i++) {
		if (s->slots[i].state != OWN_SLOT_NONE)
			return false;
	}
	return true;
}

/* ---- one step of one slot ---- */

static void
ask_create(struct own_slot *slot, struct ipc_peer *clu)
{
	cJSON *o = own_child_json(slot);
	struct buf text;
	buf_init(&text, 0);
	if (o != NULL && json_print(o, &text) == 0) {
		struct ipc_child_create m = {
		    .request = own_next_request(slot->s->own),
		    .name = slot->child,
		    .object = buf_span(&text),
		};
		slot->request = m.request;
		slot->state = OWN_SLOT_CREATING;
		(void)ipc_send(
		    clu, IPC_CHILD_CREATE, 0, slot->s->handle, 0, &m, NULL, 0);
	}
	buf_free(&text);
	cJSON_Delete(o);
}

static void
ask_grant(struct own_slot *slot, struct ipc_peer *clu)
{
	if (own_grant(slot->s, slot, clu) == 0)
		slot->state = OWN_SLOT_GRANTING;
}

static void
ask_anchor(struct own_slot *slot, struct ipc_peer *clu, bool open)
{
	struct ipc_anchor m = {.open = open};
	slot->anchor_wanted = open;
	(void)ipc_send(clu, IPC_ANCHOR, 0, slot->s->handle, 0, &m, NULL, 0);
}

static void
step_own_up(struct own_slot *slot)
{
	if (slot->state == OWN_SLOT_NONE)
		slot->state = OWN_SLOT_CREATED;
	own_local_ensure(slot);
}

static void
step_up(struct own_slot *slot, struct ipc_peer *clu)
{
	switch (slot->state) {
	case OWN_SLOT_NONE:
		/* what was only found in the store is not made anew */
		if (slot->s->phase != OWN_STORED)
			ask_create(slot, clu);
		break;
	case OWN_SLOT_CREATED:
		ask_grant(slot, clu);
		break;
	case OWN_SLOT_GRANTED:
		ask_anchor(slot, clu, true);
		slot->state = OWN_SLOT_ANCHORING;
		break;
	default: /* an answer is under way */
		break;
	}
}

static void
ask_delete(struct own_slot *slot, struct ipc_peer *clu)
{
	struct ipc_child_delete m = {
	    .request = own_next_request(slot->s->own),
	    .name = slot->child,
	};
	slot->request = m.request;
	if (slot->state > OWN_SLOT_CREATED)
		own_revoke(slot->s, clu, "the session is over");
	slot->state = OWN_SLOT_DELETING;
	slot->anchor_wanted = false;
	(void)ipc_send(
	    clu, IPC_CHILD_DELETE, 0, slot->s->handle, 0, &m, NULL, 0);
}

static bool
given_up(struct own_slot *slot, uint64_t now)
{
	if (now - slot->s->removing_since_ms <
	    (uint64_t)OWN_DELETE_GIVE_UP_S * 1000)
		return false;
	log_warn("session=%s cluster=%s cannot be reached for %d s: its child "
		 "%s is left to its own TTL",
	    slot->s->name, slot->cluster, OWN_DELETE_GIVE_UP_S, slot->child);
	slot->state = OWN_SLOT_NONE;
	return true;
}

static void
step_gone(struct own_slot *slot, struct ipc_peer *clu, uint64_t now)
{
	if (slot->own) {
		own_local_free(&slot->s->local);
		slot->state = OWN_SLOT_NONE;
		return;
	}
	if (slot->state == OWN_SLOT_NONE || given_up(slot, now))
		return;
	/* Creating: whether it exists is known soon */
	if (clu != NULL && slot->state != OWN_SLOT_DELETING &&
	    slot->state != OWN_SLOT_CREATING)
		ask_delete(slot, clu);
}

static void
slot_step(struct own_slot *slot, uint64_t now)
{
	struct own_session *s = slot->s;
	struct ipc_peer *clu = slot->own ? NULL : own_clu(s->own, slot->worker);
	bool gone = s->phase == OWN_TERMINATING;
	if (!slot->own && clu == NULL && !gone && s->phase != OWN_STORED)
		(void)str_fmt(slot->error, sizeof(slot->error),
		    "its worker is not running or it is not configured");
	if (slot->retry_at_ms > now && !(gone && slot->own))
		return;
	if (gone)
		step_gone(slot, clu, now);
	else if (slot->own && s->phase != OWN_STORED)
		step_own_up(slot);
	else if (!slot->own && clu != NULL)
		step_up(slot, clu);
}

void
own_slots_step(struct own_session *s)
{
	uint64_t now = clock_mono_ms();
	for (int i = 0; i < s->n_slots; i++)
		slot_step(&s->slots[i], now);
}

void
own_slots_check(struct own_session *s)
{
	if (s->phase == OWN_TERMINATING) {
		if (own_slots_all_gone(s))
			own_event(s, OWN_EV_EMPTY);
		return;
	}
	if (s->phase == OWN_INITIALIZING) {
		for (int i = 0; i < s->n_slots; i++) {
			if (s->slots[i].state == OWN_SLOT_NONE)
				return;
		}
		own_event(s, OWN_EV_ASKED);
	}
	if (own_slots_all_up(s) ||
	    (s->phase == OWN_READY && own_slots_can_serve(s)))
		own_event(s, OWN_EV_UP);
}

/* ---- what comes of it ---- */

static bool
definite(uint16_t code)
{
	return code >= 400 && code < 500 && code != 401 && code != 408 &&
	       code != 429;
}

static void
back_off(struct own_slot *slot, uint32_t max_ms)
{
	uint64_t now = clock_mono_ms();
	slot->backoff_ms = slot->backoff_ms == 0 ? 500 : slot->backoff_ms * 2;
	if (slot->backoff_ms > max_ms)
		slot->backoff_ms = max_ms;
	/* jitter, so that many sessions do not knock at once */
	uint32_t jitter = (uint32_t)(clock_mono_us() % 256);
	slot->retry_at_ms = now + slot->backoff_ms + jitter;
	if (slot->failing_since_ms == 0)
		slot->failing_since_ms = now;
}

static void
setup_failed(struct own_slot *slot, uint16_t code, const char *reason,
    const char *message)
{
	struct own_session *s = slot->s;
	bool retried = code == 429 || code > 500 || code == 0;
	if (s->kind == OWN_PARENT)
		own_refuse(&s->failure, retried ? 500 : code,
		    retried || reason[0] == '\0' ? "InternalError" : reason,
		    "cluster %s: %s", slot->cluster, message);
	else
		own_refuse(&s->failure, retried ? 500 : code,
		    reason[0] == '\0' ? "InternalError" : reason, "%s",
		    message);
	own_event(s, OWN_EV_FAIL);
}

/*
 * A step of this slot failed. code 0: it could not be reached. While a
 * session is being set up this ends it, at once when the answer is definite;
 * afterwards the slot is tried again, for ever, or the session ends when the
 * member says that its part was ended on purpose. May free the session.
 */
void
own_slot_failed(struct own_slot *slot, uint16_t code, const char *reason,
    const char *message)
{
	struct own_session *s = slot->s;
	uint64_t now = clock_mono_ms();
	(void)str_fmt(slot->error, sizeof(slot->error), "%s", message);
	log_warn("session=%s cluster=%s code=%u reason=%s error=%s", s->name,
	    slot->cluster, code, reason, message);
	if (code == 410 && strcmp(reason, "ReconnectNotPossible") == 0 &&
	    s->phase != OWN_TERMINATING) {
		char text[512];
		(void)str_fmt(text, sizeof(text), "ended by cluster %s: %s",
		    slot->cluster, message);
		own_session_end(s, "ClusterLost", text);
		return;
	}
	if (code == 404 && s->phase == OWN_READY)
		slot->state = OWN_SLOT_NONE; /* it is made again */
	back_off(slot, OWN_RETRY_MAX_MS);
	bool setup = s->phase == OWN_INITIALIZING || s->phase == OWN_PENDING;
	if (setup && (definite(code) || now - slot->failing_since_ms >=
					    OWN_UNREACHABLE_S * 1000))
		setup_failed(slot, code, reason, message);
}

/* The slot that waits for this answer. Requests are numbered per process. */
static struct own_slot *
slot_of(struct own *own, uint32_t request, enum own_slot_state state)
{
	LIST_FOR_EACH (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		for (int i = 0; i < s->n_slots; i++) {
			if (!s->slots[i].own && s->slots[i].state == state &&
			    s->slots[i].request == request)
				return &s->slots[i];
		}
	}
	return NULL;
}

static struct own_slot *
slot_of_peer(struct own *own, struct ipc_in *in)
{
	struct own_session *s = own_session_by_handle(own, in->header.session);
	uint32_t worker = ipc_peer_index(in->peer);
	for (int i = 0; s != NULL && i < s->n_slots; i++) {
		if (!s->slots[i].own && s->slots[i].worker == worker)
			return &s->slots[i];
	}
	return NULL;
}

void
own_slot_reached(struct own_slot *slot, enum own_slot_state state)
{
	slot->state = state;
	slot->retry_at_ms = 0;
	slot->request = 0;
	if (state == OWN_SLOT_UP) {
		slot->backoff_ms = 0;
		slot->failing_since_ms = 0;
		slot->error[0] = '\0';
		if (!list_empty(&slot->s->sockets))
			own_slots_anchor(slot->s, false);
	}
	own_slots_step(slot->s);
	own_slots_check(slot->s);
}

int
own_on_child_created(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_child_created *m = in->payload;
	struct own_slot *slot =
	    slot_of(own_of(worker), m->request, OWN_SLOT_CREATING);
	(void)e;
	if (slot == NULL)
		return 0;
	if (m->code < 300 ||
	    (m->code == 409 && strcmp(m->reason, "AlreadyExists") == 0)) {
		/* known to exist before anything else happens */
		slot->state = OWN_SLOT_CREATED;
		(void)own_session_save(slot->s);
		own_slot_reached(slot, OWN_SLOT_CREATED);
		return 0;
	}
	slot->state = OWN_SLOT_NONE;
	own_slot_failed(slot, m->code, m->reason, m->message);
	return 0;
}

int
own_on_child_deleted(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_child_deleted *m = in->payload;
	struct own_slot *slot =
	    slot_of(own_of(worker), m->request, OWN_SLOT_DELETING);
	(void)e;
	if (slot == NULL)
		return 0;
	if (m->code < 300 || m->code == 404 || m->code == 410) {
		own_slot_reached(slot, OWN_SLOT_NONE);
		return 0;
	}
	slot->state = OWN_SLOT_CREATED;
	(void)str_fmt(slot->error, sizeof(slot->error), "%s", m->message);
	back_off(slot, OWN_DELETE_RETRY_MAX_MS);
	return 0;
}

/* GRANTED of a cluster worker; the stateful worker's is in grants.c. */
int
own_slots_granted(struct own *own, struct ipc_in *in)
{
	struct own_slot *slot = slot_of_peer(own, in);
	if (slot == NULL || slot->state != OWN_SLOT_GRANTING)
		return 0;
	own_slot_reached(slot, OWN_SLOT_GRANTED);
	return 0;
}

int
own_on_anchor_state(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_anchor_state *m = in->payload;
	struct own_slot *slot = slot_of_peer(own_of(worker), in);
	(void)e;
	if (slot == NULL || slot->s->phase == OWN_TERMINATING ||
	    slot->state < OWN_SLOT_GRANTED || slot->state > OWN_SLOT_UP)
		return 0;
	if (m->up) {
		own_tell_child_state(slot, true, "");
		own_slot_reached(slot, OWN_SLOT_UP);
		return 0;
	}
	slot->state = OWN_SLOT_GRANTED;
	own_tell_child_state(slot, false, m->message);
	own_slot_failed(slot, m->code, m->reason, m->message);
	return 0;
}

/* ---- cluster workers come and go ---- */

void
own_slots_clu_attached(struct own *own, struct ipc_peer *clu)
{
	uint32_t worker = ipc_peer_index(clu);
	LIST_FOR_EACH_SAFE (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		for (int i = 0; i < s->n_slots; i++) {
			if (!s->slots[i].own && s->slots[i].worker == worker)
				s->slots[i].retry_at_ms = 0;
		}
		own_slots_step(s);
		own_slots_check(s);
	}
}

void
own_slots_clu_gone(struct own *own, uint32_t worker)
{
	LIST_FOR_EACH (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		for (int i = 0; i < s->n_slots; i++) {
			struct own_slot *slot = &s->slots[i];
			if (slot->own || slot->worker != worker ||
			    slot->state == OWN_SLOT_NONE)
				continue;
			/* Creating: perhaps it exists; create again is safe,
			 * and so is delete */
			slot->state = OWN_SLOT_CREATED;
			slot->request = 0;
			slot->anchor_wanted = false;
			(void)str_fmt(slot->error, sizeof(slot->error),
			    "its worker died and is being restarted");
			own_tell_child_state(slot, false, slot->error);
		}
	}
}

/* Anchors follow the sockets: held while there is none (design §6). */
void
own_slots_anchor(struct own_session *s, bool hold)
{
	for (int i = 0; i < s->n_slots; i++) {
		struct own_slot *slot = &s->slots[i];
		struct ipc_peer *clu =
		    slot->own ? NULL : own_clu(s->own, slot->worker);
		if (clu != NULL && slot->state == OWN_SLOT_UP &&
		    slot->anchor_wanted != hold)
			ask_anchor(slot, clu, hold);
	}
}
