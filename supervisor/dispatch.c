/* What workers say to the supervisor. */
#include "config.h"

#include <string.h>

#include "lib/clock.h"
#include "supervisor/agents.h"
#include "supervisor/sup.h"

static int
sup_on_ready(void *arg, struct ipc_in *in, struct err *e)
{
	const struct ipc_ready *m = in->payload;

	(void)arg;
	(void)e;
	sup_worker_ready(ipc_peer_data(in->peer), m->note);
	return 0;
}

static int
sup_on_log(void *arg, struct ipc_in *in, struct err *e)
{
	const struct ipc_log *m = in->payload;

	(void)arg;
	if (m->level > LOG_LV_DEBUG)
		return err_set(e, ERR_INVALID, "LOG of level %u", m->level);
	sup_log_worker(
	    ipc_peer_data(in->peer), (enum log_level)m->level, m->text);
	return 0;
}

static int
sup_on_alive_ack(void *arg, struct ipc_in *in, struct err *e)
{
	const struct ipc_alive_ack *m = in->payload;
	struct sup_worker *w = ipc_peer_data(in->peer);

	(void)arg;
	if (m->number > w->alive_sent)
		return err_set(e, ERR_INVALID, "ALIVE_ACK of the future");
	if (m->number > w->alive_seen)
		w->alive_seen = m->number;
	return 0;
}

static int
sup_on_agent_start(void *arg, struct ipc_in *in, struct err *e)
{
	const struct ipc_agent_start *m = in->payload;
	struct sup *s = arg;

	(void)e;
	sup_agent_start(s->agents, m->request, m->target, m->replica);
	return 0;
}

static int
sup_on_agent_stop(void *arg, struct ipc_in *in, struct err *e)
{
	const struct ipc_agent_stop *m = in->payload;
	struct sup *s = arg;

	(void)e;
	sup_agent_stop(s->agents, m->agent);
	return 0;
}

/*
 * One worker says that another broke the contract. Both are known by their
 * sockets; who is right is not known, so the accused is ended and one that
 * accuses again and again is ended too.
 */
static int
sup_on_accuse(void *arg, struct ipc_in *in, struct err *e)
{
	const struct ipc_accuse *m = in->payload;
	struct sup_worker *from = ipc_peer_data(in->peer), *w;
	struct sup *s = arg;

	if (m->role == IPC_SUP || m->role >= IPC_N_ROLES)
		return err_set(e, ERR_INVALID, "ACCUSE of nobody");
	if (clock_mono_ms() - from->accused_ms > SUP_ACCUSE_WINDOW_MS) {
		from->accused_ms = clock_mono_ms();
		from->accusations = 0;
	}
	if (++from->accusations > SUP_ACCUSE_MAX)
		return err_set(e, ERR_INVALID, "it accuses too many others");
	w = sup_worker_find(s, (enum ipc_role)m->role, m->index);
	if (w == NULL || w == from || w->state != SUP_UP)
		return 0; /* it is ending already */
	log_error("%s[%d] broke the contract with %s: %s", sup_worker_label(w),
	    (int)w->pid, ipc_role_name(from->role), m->text);
	sup_worker_kill(w, m->text);
	return 0;
}

#define IPC_MSG(                                                    \
    NAME, name, id, sock, ph, fds, sup, fe, sf, sec, con, clu, own) \
	IPC_KEEP_IF(sup)(IPC_##NAME, sup_on_##name)
const struct ipc_handler sup_handlers[] = {
#include "ipc/messages.def"
};
#undef IPC_MSG
const size_t sup_n_handlers = sizeof(sup_handlers) / sizeof(sup_handlers[0]);
