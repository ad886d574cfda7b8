#include "config.h"

#include "workers/own/local.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"

static void on_later(void *arg);

int
own_local_slot(const struct own_local *l, const char *replica)
{
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		if (l->replica[i] != NULL &&
		    strcmp(l->replica[i], replica) == 0)
			return i;
	}
	return -1;
}

static struct own_agent *
agent_of(const struct own_local *l, int slot)
{
	return own_agent_get(l->s->own, l->target, l->replica[slot]);
}

/* ---- making and freeing ---- */

static struct own_local *
local_new(struct own_slot *slot)
{
	struct own_session *s = slot->s;
	struct own_local *l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	list_init(&l->streams);
	l->s = s;
	l->slot = slot;
	l->target = strdup("");
	l->later = ev_timer_new(s->own->w->loop, on_later, l);
	l->budget = (struct ipc_budget){
	    .parent = s->own->budget, .limit_bytes = IPC_SESSION_BUDGET_BYTES};
	if (l->target == NULL || l->later == NULL) {
		own_local_free(&l);
		return NULL;
	}
	return l;
}

void
own_local_end(struct own_local *l, const char *text)
{
	if (l == NULL)
		return;
	LIST_FOR_EACH_SAFE (n, &l->streams) {
		own_stream_end(LIST_ENTRY(n, struct own_stream, node), 0, text);
	}
}

void
own_local_free(struct own_local **lp)
{
	struct own_local *l = *lp;
	if (l == NULL)
		return;
	*lp = NULL;
	own_local_end(l, "the session is over");
	ev_timer_free(&l->later);
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++)
		free(l->replica[i]);
	free(l->target);
	free(l);
}

/* ---- replicas into slots ---- */

static void
assign(struct own_local *l, const struct plat_replica *r)
{
	if (own_local_slot(l, r->name) >= 0)
		return;
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		if (l->replica[i] == NULL) {
			l->replica[i] = strdup(r->name);
			return;
		}
	}
	if (!l->over_full)
		log_warn("session=%s target=%s has more than %d replicas: "
			 "the others do not take part",
		    l->s->name, l->target, OWN_REPLICA_SLOTS);
	l->over_full = true;
}

/* Slots of replicas that are not ready any more become free. */
static void
unassign(struct own_local *l, const struct plat_target *t)
{
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		if (l->replica[i] == NULL)
			continue;
		const struct plat_replica *r =
		    t == NULL ? NULL : plat_replica_find(t, l->replica[i]);
		if (r != NULL && r->ready)
			continue;
		LIST_FOR_EACH (n, &l->streams) {
			own_stream_replica(
			    LIST_ENTRY(n, struct own_stream, node), i, false);
		}
		free(l->replica[i]);
		l->replica[i] = NULL;
	}
}

/* The target, resolved by name every time: it may be reloaded. */
static struct plat_target *
resolve(struct own_local *l)
{
	struct own_session *s = l->s;
	struct plat_target *t =
	    own_find_target(s->own, s->ns, &s->target, &l->failed);
	if (t != NULL && strcmp(l->target, t->key) != 0 &&
	    own_text_set(&l->target, t->key) != 0)
		return NULL;
	return t;
}

void
own_local_ensure(struct own_slot *slot)
{
	struct own_session *s = slot->s;
	if (s->local == NULL)
		s->local = local_new(slot);
	struct own_local *l = s->local;
	if (l == NULL)
		return; /* tried again with the next tick */
	memset(&l->failed, 0, sizeof(l->failed));
	struct plat_target *t = resolve(l);
	unassign(l, t);
	for (size_t i = 0; t != NULL && i < t->n_replicas; i++) {
		if (t->replicas[i].ready)
			assign(l, &t->replicas[i]);
	}
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		struct own_agent *a =
		    l->replica[i] == NULL ? NULL : agent_of(l, i);
		if (a != NULL &&
		    (slot->state != OWN_SLOT_UP || !list_empty(&s->sockets) ||
			!list_empty(&s->waiters) || !list_empty(&l->streams)))
			own_agent_start(a);
	}
	if (slot->state != OWN_SLOT_UP || l->failed.code != 0)
		ev_timer_set(l->later, 0);
}

/* ---- what came of it, told from the loop ---- */

struct tally {
	int replicas, starting, up;
	const char *error;
};

static struct tally
count(const struct own_local *l)
{
	struct tally n = {.error = ""};
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		if (l->replica[i] == NULL)
			continue;
		const struct own_agent *a = agent_of(l, i);
		n.replicas++;
		if (a == NULL)
			continue;
		n.up += a->state == OWN_AGENT_UP;
		n.starting += a->state == OWN_AGENT_STARTING;
		if (a->error[0] != '\0')
			n.error = a->error;
	}
	return n;
}

int
own_local_stateful(struct own_local *l)
{
	struct own_session *s = l->s;
	int slot = own_local_slot(l, s->stateful_replica);
	struct own_agent *a = slot < 0 ? NULL : agent_of(l, slot);
	if (a != NULL && a->state == OWN_AGENT_UP)
		return slot;
	if (a != NULL && a->state == OWN_AGENT_STARTING)
		return -1; /* it is the stored one: worth to wait for */
	for (int i = 0; i < OWN_REPLICA_SLOTS; i++) {
		a = l->replica[i] == NULL ? NULL : agent_of(l, i);
		if (a == NULL || a->state != OWN_AGENT_UP)
			continue;
		(void)str_fmt(s->stateful_replica, sizeof(s->stateful_replica),
		    "%s", l->replica[i]);
		(void)own_session_save(s);
		return i;
	}
	return -1;
}

static void
no_replica(struct own_local *l)
{
	uint64_t now = clock_mono_ms();
	if (l->no_replica_since_ms == 0)
		l->no_replica_since_ms = now;
	(void)str_fmt(l->slot->error, sizeof(l->slot->error),
	    "no replica of %s is running", l->s->alias);
	if (now - l->no_replica_since_ms >= (uint64_t)OWN_NO_REPLICA_S * 1000)
		own_refuse(&l->failed, 422, "Invalid",
		    "no replica of %s in namespace %s is running in cluster "
		    "%s: start one and try again",
		    l->s->alias, l->s->ns, l->s->own->cfg.cluster);
}

static void
on_later(void *arg)
{
	struct own_local *l = arg;
	struct own_slot *slot = l->slot;
	struct tally n = count(l);
	if (slot->s->phase == OWN_TERMINATING)
		return;
	if (l->failed.code == 0 && n.replicas == 0)
		no_replica(l);
	else if (n.replicas > 0)
		l->no_replica_since_ms = 0;
	if (l->failed.code == 0 && n.replicas > 0 && n.up == 0 &&
	    n.starting == 0)
		own_refuse(&l->failed, 500, "InternalError",
		    "no agent could be started beside %s: %s", l->s->alias,
		    n.error[0] != '\0' ? n.error : "see the operator's log");
	if (l->failed.code != 0) {
		slot->state = OWN_SLOT_CREATED;
		own_slot_failed(
		    slot, l->failed.code, l->failed.reason, l->failed.message);
		return; /* l may be gone */
	}
	if (n.up == 0 || n.starting > 0 || own_local_stateful(l) < 0)
		return;
	if (slot->state != OWN_SLOT_UP)
		own_slot_reached(slot, OWN_SLOT_UP);
}

static void
tell_streams(struct own_local *l, const char *replica, bool up)
{
	int i = own_local_slot(l, replica);
	struct own_agent *a = i < 0 ? NULL : agent_of(l, i);
	if (a == NULL || a->state != (up ? OWN_AGENT_UP : OWN_AGENT_NONE))
		return;
	LIST_FOR_EACH_SAFE (k, &l->streams) {
		own_stream_replica(
		    LIST_ENTRY(k, struct own_stream, node), i, up);
	}
}

void
own_local_changed(struct own *own, const char *target, const char *replica)
{
	LIST_FOR_EACH_SAFE (n, &own->sessions) {
		struct own_session *s = LIST_ENTRY(n, struct own_session, node);
		struct own_local *l = s->local;
		if (l == NULL || s->phase == OWN_TERMINATING ||
		    strcmp(l->target, target) != 0)
			continue;
		tell_streams(l, replica, false);
		own_local_ensure(l->slot);
		tell_streams(l, replica, true);
		ev_timer_set(l->later, 0);
	}
}
