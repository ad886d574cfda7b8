/*
 * Is the cluster silent? One stream of those to it is pinged often, the others
 * rarely (design §7). When it ends, another takes its place; when it found
 * silence, all that have heard nothing either are given up with it.
 */
#include "config.h"

#include "lib/clock.h"
#include "lib/log.h"
#include "workers/cluster/cluster.h"

static bool
ping_candidate(const struct clu_child *c)
{
	return c->ws != NULL && !c->closing;
}

void
clu_ping_promote(struct clu *clu)
{
	struct clu_session *s;
	size_t pos = 0;

	if (clu->pinging != NULL)
		return;
	while ((s = map_next(&clu->sessions, &pos, NULL)) != NULL) {
		LIST_FOR_EACH (node, &s->children) {
			struct clu_child *c =
			    LIST_ENTRY(node, struct clu_child, node);

			if (!ping_candidate(c) ||
			    ws_set_pings(c->ws, CLU_PING_MS, CLU_SILENCE_MS) <
				0)
				continue;
			clu->pinging = c;
			return;
		}
	}
}

void
clu_ping_silent(struct clu *clu)
{
	uint64_t now = clock_mono_ms();
	struct clu_session *s;
	size_t pos = 0, n = 0;

	while ((s = map_next(&clu->sessions, &pos, NULL)) != NULL) {
		LIST_FOR_EACH (node, &s->children) {
			struct clu_child *c =
			    LIST_ENTRY(node, struct clu_child, node);

			/* Heard within a ping's time it may well live. */
			if (!ping_candidate(c) ||
			    now - ws_heard_ms(c->ws) <
				CLU_SILENCE_MS - CLU_PING_MS)
				continue;
			clu_child_silent(c);
			n++;
		}
	}
	log_warn("the cluster does not answer streams_given_up=%zu", n + 1);
	clu_requests_forget_idle(clu);
	clu_health_start(clu);
}
