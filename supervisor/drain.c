/*
 * drain: an orderly end, bounded. Workers end in the order in which they need
 * each other: who takes new work first, who the others ask last. Then the
 * agents, which clean up when the own cluster's worker is gone.
 */
#include "config.h"

#include <signal.h>

#include "lib/clock.h"
#include "supervisor/agents.h"
#include "supervisor/sup.h"

static const unsigned stages[] = {
    1U << IPC_FE,
    1U << IPC_SF | 1U << IPC_CLU,
    1U << IPC_OWN,
    1U << IPC_CON | 1U << IPC_SEC,
};
enum { N_STAGES = sizeof(stages) / sizeof(stages[0]) };

static bool
in_stage(const struct sup *s, const struct sup_worker *w)
{
	return w->pid > 0 && (stages[s->drain_stage] & (1U << w->role)) != 0;
}

/* Some of the present stage still run. */
static bool
stage_busy(const struct sup *s)
{
	LIST_FOR_EACH (node, &s->workers) {
		if (in_stage(s, LIST_ENTRY(node, struct sup_worker, link)))
			return true;
	}
	return false;
}

static void
stage_start(struct sup *s)
{
	uint64_t now = clock_mono_ms();
	struct ipc_drain m = {
	    .deadline_ms = s->drain_deadline_ms > now
			       ? (uint32_t)(s->drain_deadline_ms - now)
			       : 0};

	LIST_FOR_EACH (node, &s->workers) {
		struct sup_worker *w =
		    LIST_ENTRY(node, struct sup_worker, link);

		if (!in_stage(s, w))
			continue;
		if (w->state == SUP_UP && w->peer != NULL) {
			w->state = SUP_ENDING;
			ipc_send(w->peer, IPC_DRAIN, 0, 0, 0, &m, NULL, 0);
		} else if (w->state == SUP_STARTING) {
			sup_worker_kill(w, "the daemon ends");
		}
	}
}

/* Nothing waits any longer. */
static void
drain_kill(struct sup *s, const char *why)
{
	LIST_FOR_EACH (node, &s->workers) {
		struct sup_worker *w =
		    LIST_ENTRY(node, struct sup_worker, link);

		if (w->pid > 0)
			sup_worker_kill(w, why);
	}
}

void
sup_drain_on_timer(void *arg)
{
	struct sup *s = arg;

	if (s->drain_stage < N_STAGES) {
		log_warn("not all ended in time; killing the rest");
		drain_kill(s, "it did not end in time");
		return;
	}
	log_warn("agents killed: they did not clean up in time");
	sup_agents_kill(s->agents);
}

void
sup_drain_step(struct sup *s)
{
	if (s->phase != IPC_PHASE_DRAIN)
		return;
	while (s->drain_stage < N_STAGES && !stage_busy(s)) {
		s->drain_stage++;
		if (s->drain_stage < N_STAGES)
			stage_start(s);
		else
			ev_timer_set(s->drain_timer, SUP_AGENTS_END_MS);
	}
	if (s->drain_stage == N_STAGES && sup_agents_count(s->agents) == 0)
		ev_loop_stop(s->loop);
}

void
sup_drain(void *sup)
{
	struct sup *s = sup;

	if (s->phase == IPC_PHASE_DRAIN) {
		log_warn("asked to end again: ending at once");
		ev_timer_set(s->drain_timer, 0);
		return;
	}
	log_info("ending");
	sys_notify_send(&s->notify, "STOPPING=1");
	s->phase = IPC_PHASE_DRAIN;
	s->drain_stage = 0;
	s->drain_deadline_ms = clock_mono_ms() + SUP_DRAIN_MS;
	ev_timer_set(s->drain_timer, SUP_DRAIN_MS);
	stage_start(s);
	sup_drain_step(s);
}
