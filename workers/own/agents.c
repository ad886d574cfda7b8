/*
 * agents: one beside each replica that is wanted, shared by all sessions on
 * it. The supervisor starts it by configured names and passes its control
 * descriptor; a stream is a descriptor sent over that. Closing the control
 * descriptor tells the agent to clean up and exit.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/control.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/own/handlers.h"
#include "workers/own/local.h"

static void on_idle(void *arg);

struct own_agent *
own_agent_get(struct own *own, const char *target, const char *replica)
{
	LIST_FOR_EACH (n, &own->agents) {
		struct own_agent *a = LIST_ENTRY(n, struct own_agent, node);
		if (strcmp(a->target, target) == 0 &&
		    strcmp(a->replica, replica) == 0)
			return a;
	}
	struct own_agent *a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	list_init(&a->node);
	a->own = own;
	a->control_fd = -1;
	a->target = strdup(target);
	a->replica = strdup(replica);
	a->idle = ev_timer_new(own->w->loop, on_idle, a);
	if (a->target == NULL || a->replica == NULL || a->idle == NULL) {
		free(a->target);
		free(a->replica);
		ev_timer_free(&a->idle);
		free(a);
		return NULL;
	}
	list_push(&own->agents, &a->node);
	return a;
}

/* Back to no agent; its streams end by themselves (end-of-file). */
static void
forget(struct own_agent *a, const char *error)
{
	if (a->control_fd >= 0)
		(void)close(a->control_fd);
	a->control_fd = -1;
	a->state = OWN_AGENT_NONE;
	a->request = a->number = 0;
	(void)str_fmt(a->error, sizeof(a->error), "%s", error);
	ev_timer_cancel(a->idle);
	if (error[0] == '\0')
		return;
	a->backoff_ms = a->backoff_ms == 0 ? 250 : a->backoff_ms * 2;
	if (a->backoff_ms > OWN_RETRY_MAX_MS)
		a->backoff_ms = OWN_RETRY_MAX_MS;
	a->retry_at_ms = clock_mono_ms() + a->backoff_ms;
}

void
own_agents_free(struct own *own)
{
	LIST_FOR_EACH_SAFE (n, &own->agents) {
		struct own_agent *a = LIST_ENTRY(n, struct own_agent, node);
		forget(a, "");
		list_remove(n);
		ev_timer_free(&a->idle);
		free(a->target);
		free(a->replica);
		free(a);
	}
}

void
own_agent_start(struct own_agent *a)
{
	struct ipc_agent_start m = {
	    .target = a->target,
	    .replica = a->replica,
	};
	if (a->state != OWN_AGENT_NONE || clock_mono_ms() < a->retry_at_ms)
		return;
	m.request = own_next_request(a->own);
	if (ipc_send(a->own->w->sup, IPC_AGENT_START, 0, 0, 0, &m, NULL, 0) !=
	    0)
		return;
	a->request = m.request;
	a->state = OWN_AGENT_STARTING;
	a->error[0] = '\0';
}

static void
stop(struct own_agent *a)
{
	struct ipc_agent_stop m = {.agent = a->number};
	log_info("agent stopped target=%s replica=%s", a->target, a->replica);
	(void)ipc_send(a->own->w->sup, IPC_AGENT_STOP, 0, 0, 0, &m, NULL, 0);
	forget(a, "");
}

static void
on_idle(void *arg)
{
	struct own_agent *a = arg;
	if (a->state == OWN_AGENT_UP && a->n_streams == 0)
		stop(a);
}

static void
arm_idle(struct own_agent *a)
{
	if (a->state == OWN_AGENT_UP && a->n_streams == 0)
		ev_timer_set(
		    a->idle, (uint64_t)a->own->cfg.agent_idle_s * 1000);
}

int
own_on_agent_started(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_agent_started *m = in->payload;
	struct own *own = own_of(worker);
	struct own_agent *a = own_agent_get(own, m->target, m->replica);
	(void)e;
	if (a == NULL || a->state != OWN_AGENT_STARTING ||
	    a->request != m->request)
		return 0; /* the descriptor is closed: the agent goes */
	if (m->error[0] != '\0' || in->n_fds == 0) {
		log_warn("agent failed target=%s replica=%s why=%s", m->target,
		    m->replica, m->error);
		forget(a, m->error[0] != '\0' ? m->error : "no descriptor");
	} else {
		a->control_fd = in->fds[0];
		in->fds[0] = -1;
		a->number = m->agent;
		a->state = OWN_AGENT_UP;
		a->backoff_ms = 0;
		arm_idle(a);
	}
	own_local_changed(own, a->target, a->replica);
	return 0;
}

int
own_on_agent_exited(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_agent_exited *m = in->payload;
	struct own *own = own_of(worker);
	struct own_agent *a = own_agent_get(own, m->target, m->replica);
	(void)e;
	if (a == NULL || a->state != OWN_AGENT_UP || a->number != m->agent)
		return 0;
	log_warn("agent exited target=%s replica=%s why=%s", m->target,
	    m->replica, m->text);
	forget(a, m->text[0] != '\0' ? m->text : "it exited");
	own_local_changed(own, a->target, a->replica);
	return 0;
}

int
own_on_replica(void *worker, struct ipc_in *in, struct err *e)
{
	const struct ipc_replica *m = in->payload;
	struct own *own = own_of(worker);
	struct plat_target *t = plat_target_by_key(&own->targets, m->target);
	struct plat_replica *r =
	    t == NULL ? NULL : plat_replica_find(t, m->replica);
	(void)e;
	if (r == NULL)
		return 0;
	log_info("replica target=%s name=%s state=%s address=%s %s", m->target,
	    m->replica, m->state ? "ready" : "gone", m->address, m->text);
	(void)plat_replica_set(r, m->state == 1, m->address);
	own->version++;
	own_local_changed(own, m->target, m->replica);
	return 0;
}

/* ---- streams ---- */

/* One packet: its type and the descriptor (agent/control.h). */
static int
send_fd(int control_fd, int fd)
{
	char byte = AGENT_CONTROL_CLIENT;
	struct iovec iov = {&byte, 1};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} c;
	memset(&c, 0, sizeof(c));
	struct msghdr msg = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = c.bytes,
	    .msg_controllen = sizeof(c.bytes),
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	ssize_t n;
	do {
		n = sendmsg(control_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : -1;
}

int
own_agent_stream(struct own_agent *a, struct err *e)
{
	int pair[2];
	if (a->state != OWN_AGENT_UP) {
		(void)err_set(e, ERR_CLOSED, "its agent is not running");
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		pair) != 0) {
		(void)err_sys(e, errno, "cannot make a socket pair");
		return -1;
	}
	int r = send_fd(a->control_fd, pair[1]);
	int errnum = errno;
	(void)close(pair[1]);
	if (r != 0) {
		(void)close(pair[0]);
		(void)err_sys(e, errnum, "the agent takes no stream");
		return -1;
	}
	a->n_streams++;
	ev_timer_cancel(a->idle);
	return pair[0];
}

void
own_agent_stream_end(struct own_agent *a, int fd)
{
	(void)close(fd);
	a->n_streams--;
	arm_idle(a);
}
