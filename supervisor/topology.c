/* topology: the pairs of workers that talk, and their sockets. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/sup.h"

#define WITH(role) (1U << IPC_##role)
/* Each pair stands once, under the earlier role; cluster workers never meet. */
static const unsigned mates[IPC_N_ROLES] = {
    [IPC_FE] = WITH(OWN) | WITH(SF) | WITH(SEC) | WITH(CLU),
    [IPC_SF] = WITH(OWN) | WITH(CLU),
    [IPC_SEC] = WITH(CON) | WITH(CLU) | WITH(OWN),
    [IPC_CON] = WITH(CLU) | WITH(OWN),
    [IPC_CLU] = WITH(OWN),
};
#undef WITH

bool
sup_topology_mates(enum ipc_role a, enum ipc_role b)
{
	return (mates[a] & (1U << b)) != 0 || (mates[b] & (1U << a)) != 0;
}

static int
attach(struct sup_worker *to, const struct sup_worker *who, const int fds[2])
{
	struct ipc_attach m = {
	    .role = (uint8_t)who->role, .index = who->index, .name = who->name};

	return ipc_send(to->peer, IPC_ATTACH, 0, 0, 0, &m, fds, 2);
}

static void
join(struct sup_worker *a, struct sup_worker *b)
{
	int data[2], ctrl[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, data) < 0) {
		log_error("cannot join %s and another: %s", sup_worker_label(a),
		    strerror(errno));
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ctrl) < 0) {
		log_error("cannot join %s and another: %s", sup_worker_label(a),
		    strerror(errno));
		close(data[0]);
		close(data[1]);
		return;
	}
	/* A failure ends the peer: that worker is restarted and joined anew. */
	attach(a, b, (int[]){data[0], ctrl[0]});
	attach(b, a, (int[]){data[1], ctrl[1]});
	for (int i = 0; i < 2; i++) {
		close(data[i]);
		close(ctrl[i]);
	}
}

void
sup_topology_join(struct sup_worker *w)
{
	w->joined = true;
	LIST_FOR_EACH (node, &w->sup->workers) {
		struct sup_worker *o =
		    LIST_ENTRY(node, struct sup_worker, link);

		if (o != w && o->state == SUP_UP && o->peer != NULL &&
		    sup_topology_mates(w->role, o->role))
			join(w, o);
	}
}

void
sup_topology_leave(struct sup_worker *w)
{
	struct ipc_detach m = {.role = (uint8_t)w->role, .index = w->index};

	if (!w->joined)
		return;
	w->joined = false;
	LIST_FOR_EACH (node, &w->sup->workers) {
		struct sup_worker *o =
		    LIST_ENTRY(node, struct sup_worker, link);

		if (o != w && o->state == SUP_UP && o->peer != NULL &&
		    sup_topology_mates(w->role, o->role))
			ipc_send(o->peer, IPC_DETACH, 0, 0, 0, &m, NULL, 0);
	}
}
