#include "config.h"

#include "supervisor/agents.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/replicas.h"
#include "sys/process.h"

enum { AGENT_END_MS = 10000, AGENTS_MAX = 4096 };

struct agent {
	struct list link;
	struct sup_agents *all;
	uint32_t number;
	char target[601];
	char replica[254];
	pid_t pid;
	bool ending; /* stopped, or its owner is gone */
	bool waited; /* AGENT_START came while it was ending: */
	uint32_t request;
	struct ev_timer *deadline;
};

struct sup_agents {
	struct sup *sup;
	struct list list;
	size_t count;
	uint32_t last_number;
	struct ipc_peer *owner;
};

static void
answer(struct sup_agents *a, uint32_t request, uint32_t number,
    const char *target, const char *replica, int fd, const char *error)
{
	struct ipc_agent_started m = {.request = request,
	    .agent = number,
	    .target = target,
	    .replica = replica,
	    .error = error};

	if (a->owner != NULL)
		ipc_send(a->owner, IPC_AGENT_STARTED, 0, 0, 0, &m, &fd,
		    fd >= 0 ? 1 : 0);
}

static void
agent_on_deadline(void *arg)
{
	struct agent *g = arg;

	log_warn("agent killed: it did not end in time target=%s replica=%s",
	    g->target, g->replica);
	kill(g->pid, SIGKILL);
}

static void
agent_free(struct agent *g)
{
	list_remove(&g->link);
	g->all->count--;
	ev_timer_free(&g->deadline);
	free(g);
}

static struct agent *
agent_new(struct sup_agents *a, const char *target, const char *replica)
{
	struct agent *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->all = a;
	snprintf(g->target, sizeof(g->target), "%s", target);
	snprintf(g->replica, sizeof(g->replica), "%s", replica);
	list_push(&a->list, &g->link);
	a->count++;
	g->deadline = ev_timer_new(a->sup->loop, agent_on_deadline, g);
	if (g->deadline == NULL) {
		agent_free(g);
		return NULL;
	}
	return g;
}

static struct agent *
agent_find(struct sup_agents *a, const char *target, const char *replica)
{
	LIST_FOR_EACH (node, &a->list) {
		struct agent *g = LIST_ENTRY(node, struct agent, link);

		if (strcmp(g->target, target) == 0 &&
		    strcmp(g->replica, replica) == 0)
			return g;
	}
	return NULL;
}

/* In the child; no allocation. The log goes where ours goes. */
static void
agent_exec(struct sup *s, const char *program, const char *name, int control,
    int pidfd)
{
	char level[64];
	const char *argv[] = {program, "--control-fd", "3", "--target-pidfd",
	    "4", "--name", name, NULL};
	char *env[] = {level, NULL};
	sigset_t none;
	struct err e;

	snprintf(level, sizeof(level), "RUST_LOG=%s",
	    cfg_str(s->cfg, "agent.logLevel"));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	sup_place_fds((int[]){control, pidfd}, 2, 3);
	if (sys_null_stdio(&e) < 0 || sys_close_from(5, &e) < 0)
		_exit(127);
	execve(program, (char **)(uintptr_t)argv, env);
	_exit(127);
}

/* The agent's process; one end of its control socket in *control_r. */
static int
agent_spawn(struct agent *g, int *control_r, struct err *e)
{
	struct sup *s = g->all->sup;
	const char *program = cfg_str(s->cfg, "agent.program");
	char name[900];
	int sv[2], pidfd;

	if (access(program, X_OK) < 0)
		return err_sys(e, errno,
		    "the agent cannot be executed; set agent.program: %s",
		    program);
	pidfd = sup_replica_pidfd(s->replicas, g->target, g->replica, e);
	if (pidfd < 0)
		return pidfd;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0) {
		err_sys(e, errno, "cannot make a socket pair");
		close(pidfd);
		return -ERR_SYS;
	}
	snprintf(name, sizeof(name), "%s/%s", g->target, g->replica);
	g->pid = fork();
	if (g->pid == 0)
		agent_exec(s, program, name, sv[1], pidfd);
	close(sv[1]);
	close(pidfd);
	if (g->pid < 0) {
		err_sys(e, errno, "cannot fork");
		close(sv[0]);
		return -ERR_SYS;
	}
	*control_r = sv[0];
	return 0;
}

/* Starts g's process and answers; without success g is no more. */
static void
agent_run(struct agent *g, uint32_t request)
{
	struct sup_agents *a = g->all;
	int control = -1;
	struct err e;

	g->number = ++a->last_number;
	g->ending = g->waited = false;
	ev_timer_cancel(g->deadline);
	if (agent_spawn(g, &control, &e) < 0) {
		log_warn("no agent target=%s replica=%s: %s", g->target,
		    g->replica, e.text);
		answer(a, request, 0, g->target, g->replica, -1, e.text);
		agent_free(g);
		return;
	}
	log_info("agent started target=%s replica=%s pid=%d agent=%u",
	    g->target, g->replica, (int)g->pid, g->number);
	answer(a, request, g->number, g->target, g->replica, control, "");
	close(control); /* the owner's, and its death is the agent's end */
}

void
sup_agent_start(struct sup_agents *a, uint32_t request, const char *target,
    const char *replica)
{
	struct agent *g = agent_find(a, target, replica);

	if (g != NULL && g->ending) {
		g->waited = true;
		g->request = request;
		return;
	}
	if (g != NULL) {
		answer(a, request, g->number, target, replica, -1, "");
		return;
	}
	g = a->count < AGENTS_MAX ? agent_new(a, target, replica) : NULL;
	if (g == NULL)
		answer(a, request, 0, target, replica, -1,
		    "there are too many agents");
	else
		agent_run(g, request);
}

static void
agent_end(struct agent *g, bool signal_it)
{
	if (g->ending)
		return;
	g->ending = true;
	if (signal_it)
		kill(g->pid, SIGTERM);
	ev_timer_set(g->deadline, AGENT_END_MS);
}

void
sup_agent_stop(struct sup_agents *a, uint32_t agent)
{
	LIST_FOR_EACH (node, &a->list) {
		struct agent *g = LIST_ENTRY(node, struct agent, link);

		if (g->number == agent) {
			agent_end(g, true);
			return;
		}
	}
}

void
sup_agents_owner_ready(struct sup_agents *a, struct ipc_peer *owner)
{
	a->owner = owner;
	sup_replicas_give(a->sup->replicas);
}

void
sup_agents_owner_gone(struct sup_agents *a)
{
	a->owner = NULL;
	LIST_FOR_EACH (node, &a->list) {
		struct agent *g = LIST_ENTRY(node, struct agent, link);

		g->waited = false;
		agent_end(g, false); /* end of file on its control says it */
	}
}

void
sup_agents_reaped(struct sup_agents *a, pid_t pid, int status)
{
	struct agent *g = NULL;
	struct ipc_agent_exited m;
	char text[128];

	LIST_FOR_EACH (node, &a->list) {
		if (LIST_ENTRY(node, struct agent, link)->pid == pid)
			g = LIST_ENTRY(node, struct agent, link);
	}
	if (g == NULL)
		return;
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "it died of signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 127)
		snprintf(text, sizeof(text), "it could not be executed");
	else
		snprintf(text, sizeof(text), "it exited with status %d",
		    WEXITSTATUS(status));
	log_at(g->ending || status == 0 ? LOG_LV_INFO : LOG_LV_WARN,
	    "agent ended target=%s replica=%s pid=%d: %s", g->target,
	    g->replica, (int)pid, text);
	m = (struct ipc_agent_exited){.agent = g->number,
	    .target = g->target,
	    .replica = g->replica,
	    .text = text};
	if (a->owner != NULL)
		ipc_send(a->owner, IPC_AGENT_EXITED, 0, 0, 0, &m, NULL, 0);
	if (g->waited)
		agent_run(g, g->request);
	else
		agent_free(g);
	sup_drain_step(a->sup);
}

size_t
sup_agents_count(const struct sup_agents *a)
{
	return a->count;
}

void
sup_agents_kill(struct sup_agents *a)
{
	LIST_FOR_EACH (node, &a->list)
		kill(LIST_ENTRY(node, struct agent, link)->pid, SIGKILL);
}

struct sup_agents *
sup_agents_new(struct sup *s)
{
	struct sup_agents *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->sup = s;
	list_init(&a->list);
	return a;
}

void
sup_agents_free(struct sup_agents **ap)
{
	struct sup_agents *a = *ap;

	if (a == NULL)
		return;
	*ap = NULL;
	LIST_FOR_EACH_SAFE (node, &a->list)
		agent_free(LIST_ENTRY(node, struct agent, link));
	free(a);
}
