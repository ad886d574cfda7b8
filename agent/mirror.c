#include "config.h"

#include "agent/mirror.h"

#include <stdlib.h>

#include "agent/incoming_wire.h"

struct mirror_tap {
	struct list set_link; /* in mirror_set.taps */
	struct incoming_client *owner;
	uint64_t id; /* key in owner->taps */
	uint16_t port;
	bool eof;
};

void
mirror_init(struct mirror_set *s)
{
	list_init(&s->taps);
}

static void
tap_free(struct mirror_tap *t)
{
	list_remove(&t->set_link);
	map_del(&t->owner->taps, t->id);
	free(t);
}

static void
attach_one(struct mirror_set *s, struct incoming_client *ic,
    const struct incoming_flow *flow)
{
	struct mirror_tap *t = calloc(1, sizeof(*t));

	if (t == NULL || map_put(&ic->taps, ic->next_mirror_id, t) < 0) {
		log_error("out of memory: a connection is not mirrored "
			  "client=%llu",
		    (unsigned long long)ic->client->id);
		free(t);
		return;
	}
	t->owner = ic;
	t->id = ic->next_mirror_id++;
	t->port = flow->port;
	list_push(&s->taps, &t->set_link);
	if (wire_new_connection(ic->client, INCOMING_MIRROR, t->id, flow) < 0)
		tap_free(t);
}

void
mirror_attach(struct mirror_set *s, const struct incoming_port *p,
    const struct incoming_flow *flow)
{
	if (p == NULL)
		return;
	LIST_FOR_EACH (n, &p->mirrors)
		attach_one(
		    s, LIST_ENTRY(n, struct incoming_mirror, link)->who, flow);
}

/* The log message waits for its turn: now it would only be dropped. */
static void
tap_lagged(struct mirror_tap *t)
{
	struct incoming_client *ic = t->owner;

	log_warn("mirror lags, its connection ends client=%llu id=%llu "
		 "port=%u",
	    (unsigned long long)ic->client->id, (unsigned long long)t->id,
	    t->port);
	(void)wire_close(ic->client, INCOMING_MIRROR, t->id);
	tap_free(t);
	ic->lagged++;
	agent_client_on_drain(ic->client, &ic->lag_wait);
}

void
mirror_tell_lag(void *incoming_client)
{
	struct incoming_client *ic = incoming_client;

	agent_client_log(ic->client, LOG_LV_WARN,
	    "%zu mirrored connections were closed because their data arrived "
	    "faster than they were read; the connections themselves went on.",
	    ic->lagged);
	ic->lagged = 0;
}

void
mirror_data(void *arg, const uint8_t *p, size_t n)
{
	struct mirror_set *s = arg;

	LIST_FOR_EACH_SAFE (node, &s->taps) {
		struct mirror_tap *t =
		    LIST_ENTRY(node, struct mirror_tap, set_link);
		struct agent_client *c = t->owner->client;

		if (agent_client_queued(c) + n > MIRROR_LAG_BYTES)
			tap_lagged(t);
		else if (wire_data(c, INCOMING_MIRROR, t->id, p, n) < 0)
			tap_free(t);
	}
}

void
mirror_eof(struct mirror_set *s)
{
	LIST_FOR_EACH_SAFE (node, &s->taps) {
		struct mirror_tap *t =
		    LIST_ENTRY(node, struct mirror_tap, set_link);

		if (t->eof)
			continue;
		t->eof = true;
		if (wire_data(
			t->owner->client, INCOMING_MIRROR, t->id, NULL, 0) < 0)
			tap_free(t);
	}
}

void
mirror_end(struct mirror_set *s)
{
	LIST_FOR_EACH_SAFE (node, &s->taps) {
		struct mirror_tap *t =
		    LIST_ENTRY(node, struct mirror_tap, set_link);

		(void)wire_close(t->owner->client, INCOMING_MIRROR, t->id);
		tap_free(t);
	}
}

void
mirror_unsubscribe(struct incoming_client *ic, uint64_t id)
{
	struct mirror_tap *t = map_get(&ic->taps, id);

	if (t != NULL)
		tap_free(t);
}

void
mirror_client_gone(struct incoming_client *ic)
{
	struct mirror_tap *t;
	size_t pos = 0;

	while ((t = map_next(&ic->taps, &pos, NULL)) != NULL) {
		list_remove(&t->set_link);
		free(t);
	}
	map_free(&ic->taps);
	agent_wait_cancel(&ic->lag_wait);
}
