/*
 * watch: a worker that does not answer ALIVE three times is hung and gets
 * killed; systemd's watchdog is answered as long as this loop turns.
 */
#include "config.h"

#include <stdio.h>

#include "supervisor/sup.h"

static void
watch_worker(struct sup_worker *w)
{
	struct ipc_alive m;
	char why[64];

	if (w->state != SUP_UP || w->peer == NULL)
		return;
	if (w->alive_sent - w->alive_seen >= SUP_ALIVE_MISSED) {
		snprintf(why, sizeof(why), "it hangs: no answer for %d s",
		    SUP_ALIVE_MISSED * SUP_ALIVE_MS / 1000);
		sup_worker_kill(w, why);
		return;
	}
	m.number = ++w->alive_sent;
	ipc_send(w->peer, IPC_ALIVE, 0, 0, 0, &m, NULL, 0);
}

static void
watch_on_alive(void *arg)
{
	struct sup *s = arg;

	LIST_FOR_EACH (node, &s->workers)
		watch_worker(LIST_ENTRY(node, struct sup_worker, link));
	ev_timer_set(s->alive_timer, SUP_ALIVE_MS);
}

static void
watch_on_watchdog(void *arg)
{
	struct sup *s = arg;

	sys_notify_send(&s->notify, "WATCHDOG=1");
	ev_timer_set(s->watchdog_timer, s->notify.watchdog_us / 2000);
}

static void
watch_on_files(void *arg)
{
	struct sup *s = arg;

	sup_resolver_check(s);
	sup_paths_credentials(s);
	ev_timer_set(s->files_timer, SUP_FILES_MS);
}

int
sup_watch_init(struct sup *s, struct err *e)
{
	s->alive_timer = ev_timer_new(s->loop, watch_on_alive, s);
	s->watchdog_timer = ev_timer_new(s->loop, watch_on_watchdog, s);
	s->files_timer = ev_timer_new(s->loop, watch_on_files, s);
	if (s->alive_timer == NULL || s->watchdog_timer == NULL ||
	    s->files_timer == NULL)
		return err_nomem(e);
	ev_timer_set(s->alive_timer, SUP_ALIVE_MS);
	ev_timer_set(s->files_timer, SUP_FILES_MS);
	if (s->notify.watchdog_us >= 2000)
		watch_on_watchdog(s);
	return 0;
}

void
sup_watch_deinit(struct sup *s)
{
	ev_timer_free(&s->alive_timer);
	ev_timer_free(&s->watchdog_timer);
	ev_timer_free(&s->files_timer);
}
