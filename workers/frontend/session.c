/* What a frontend knows of the sessions that have a socket here. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/str.h"
#include "workers/frontend/frontend.h"

struct fe_session *
fe_session_find(struct fe *fe, uint32_t handle)
{
	return map_get(&fe->sessions, handle);
}

/* The next line of *list into out; false when there is none or it is long. */
static bool
next_line(const char **list, char *out, size_t cap)
{
	size_t n = strcspn(*list, "\n");

	if (**list == '\0' || n >= cap)
		return false;
	memcpy(out, *list, n);
	out[n] = '\0';
	*list += (*list)[n] == '\n' ? n + 1 : n;
	return true;
}

static int
count_lines(const char *list)
{
	int n = *list != '\0';

	for (; *list != '\0'; list++)
		n += *list == '\n' && list[1] != '\0';
	return n;
}

/* Fills the slots from the three lists of SESSION_OPENED. */
static int
session_slots(
    struct fe_session *s, const struct ipc_session_opened *m, struct err *e)
{
	const char *names = m->slots, *workers = m->workers;
	char worker[32];
	uint64_t index;

	s->n_slots = count_lines(names);
	if (s->n_slots < 1 || s->n_slots > ROUTE_SLOTS_MAX ||
	    m->default_slot >= (uint32_t)s->n_slots ||
	    strlen(m->ready) != (size_t)s->n_slots)
		return err_set(e, ERR_INVALID, "SESSION_OPENED: its slots");
	s->slots = calloc((size_t)s->n_slots, sizeof(*s->slots));
	if (s->slots == NULL)
		return err_nomem(e);
	for (int i = 0; i < s->n_slots; i++) {
		struct fe_slot *slot = &s->slots[i];

		if (!next_line(&names, slot->name, sizeof(slot->name)) ||
		    slot->name[0] == '\0' ||
		    !next_line(&workers, worker, sizeof(worker)))
			return err_set(
			    e, ERR_INVALID, "SESSION_OPENED: slot %d", i);
		slot->role = IPC_OWN;
		if (strcmp(worker, "own") != 0) {
			if (!str_to_u64(worker, &index) || index > UINT32_MAX)
				return err_set(e, ERR_INVALID,
				    "SESSION_OPENED: worker of slot %d", i);
			slot->role = IPC_CLU;
			slot->worker = (uint32_t)index;
		}
		slot->ready = m->ready[i] == '1';
	}
	s->default_slot = (int)m->default_slot;
	return 0;
}

static void
session_free(struct fe_session *s)
{
	free(s->slots);
	free(s->conditions);
	free(s);
}

/* For a further socket: who is ready now, who is missing. */
static int
session_update(
    struct fe_session *s, const struct ipc_session_opened *m, struct err *e)
{
	char *conditions = strdup(m->conditions);

	if (conditions == NULL)
		return err_nomem(e);
	free(s->conditions);
	s->conditions = conditions;
	for (int i = 0; i < s->n_slots; i++)
		s->slots[i].ready = m->ready[i] == '1';
	return 0;
}

int
fe_session_get(struct fe *fe, uint32_t handle,
    const struct ipc_session_opened *m, struct fe_session **out, struct err *e)
{
	struct fe_session *s = map_get(&fe->sessions, handle);
	int rc;

	if (s != NULL && s->id == m->session_id &&
	    strlen(m->ready) == (size_t)s->n_slots) {
		*out = s;
		return session_update(s, m, e);
	}
	if (s != NULL) /* the handle was given anew */
		fe_session_orphan(s);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_nomem(e);
	rc = session_slots(s, m, e);
	s->conditions = strdup(m->conditions);
	if (rc == 0 &&
	    (s->conditions == NULL || map_put(&fe->sessions, handle, s) < 0))
		rc = err_nomem(e);
	if (rc < 0) {
		session_free(s);
		return rc;
	}
	s->fe = fe;
	s->handle = handle;
	s->id = m->session_id;
	snprintf(s->settled, sizeof(s->settled), "%s", m->settled);
	s->budget = (struct ipc_budget){
	    .parent = &fe->budget, .limit_bytes = IPC_SESSION_BUDGET_BYTES};
	list_init(&s->sockets);
	*out = s;
	return 0;
}

void
fe_session_release(struct fe_session *s)
{
	if (!list_empty(&s->sockets))
		return;
	if (!s->orphan)
		map_del(&s->fe->sessions, s->handle);
	session_free(s);
}

void
fe_session_orphan(struct fe_session *s)
{
	if (s->orphan)
		return;
	map_del(&s->fe->sessions, s->handle);
	s->orphan = true;
	LIST_FOR_EACH_SAFE (node, &s->sockets)
		fe_socket_close(LIST_ENTRY(node, struct fe_socket, snode),
		    false, "the session controller is restarting; try again");
}

void
fe_sessions_orphan(struct fe *fe)
{
	struct fe_session *s;
	size_t pos = 0;

	while ((s = map_next(&fe->sessions, &pos, NULL)) != NULL) {
		fe_session_orphan(s);
		pos = 0; /* the map has changed */
	}
}

void
fe_session_close(struct fe_session *s, bool close, const char *text)
{
	LIST_FOR_EACH_SAFE (node, &s->sockets) {
		struct fe_socket *k = LIST_ENTRY(node, struct fe_socket, snode);

		fe_socket_close(k, close, text);
	}
}
