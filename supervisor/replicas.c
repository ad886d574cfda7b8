#include "config.h"

#include "supervisor/replicas.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "supervisor/target.h"

enum { REPLICAS_LOOK_MS = 1000 };

struct replica {
	struct list link;
	struct sup_replicas *all;
	char *target; /* kind/namespace/name */
	char *name;
	cJSON *config;
	int pidfd; /* -1: gone */
	struct ev_io *io;
	char address[64];
	char why[sizeof(((struct err *)0)->text)]; /* why it is gone */
	bool seen;                                 /* by the reload under way */
};

struct sup_replicas {
	struct sup *sup;
	struct list list;
	struct ev_timer *look;
};

static void
replica_tell(struct replica *r)
{
	struct sup_worker *own = sup_worker_find(r->all->sup, IPC_OWN, 0);
	struct ipc_replica m = {.target = r->target,
	    .replica = r->name,
	    .state = r->pidfd >= 0,
	    .address = r->address,
	    .text = r->why};

	if (own != NULL && own->state == SUP_UP && own->peer != NULL)
		ipc_send(own->peer, IPC_REPLICA, 0, 0, 0, &m, NULL, 0);
}

static void
replica_gone(struct replica *r, const char *why)
{
	ev_io_free(&r->io);
	if (r->pidfd >= 0)
		close(r->pidfd);
	r->pidfd = -1;
	r->address[0] = '\0';
	snprintf(r->why, sizeof(r->why), "%s", why);
}

static void
replica_on_end(void *arg, int ready)
{
	struct replica *r = arg;

	(void)ready;
	log_info("replica ended target=%s replica=%s", r->target, r->name);
	replica_gone(r, "its process ended");
	replica_tell(r);
	ev_timer_set(r->all->look, REPLICAS_LOOK_MS);
}

/* True when its state changed. */
static bool
replica_look(struct replica *r)
{
	struct err e;
	pid_t pid;

	if (r->pidfd >= 0)
		return false;
	r->pidfd = sup_target_open(r->config, &pid, &e);
	if (r->pidfd < 0) {
		r->pidfd = -1;
		snprintf(r->why, sizeof(r->why), "%s", e.text);
		return false;
	}
	r->io = ev_io_new(r->all->sup->loop, r->pidfd, replica_on_end, r);
	if (r->io == NULL || ev_io_want(r->io, EV_WANT_READ) < 0) {
		replica_gone(r, "out of memory");
		return false;
	}
	r->why[0] = '\0';
	sup_target_address(pid, r->address, sizeof(r->address));
	log_info("replica runs target=%s replica=%s pid=%d address=%s",
	    r->target, r->name, (int)pid, r->address);
	return true;
}

static void
replicas_look(void *arg)
{
	struct sup_replicas *all = arg;
	bool missing = false;

	LIST_FOR_EACH (node, &all->list) {
		struct replica *r = LIST_ENTRY(node, struct replica, link);

		if (replica_look(r))
			replica_tell(r);
		missing |= r->pidfd < 0;
	}
	if (missing)
		ev_timer_set(all->look, REPLICAS_LOOK_MS);
}

static void
replica_free(struct replica *r)
{
	list_remove(&r->link);
	replica_gone(r, "");
	cJSON_Delete(r->config);
	free(r->target);
	free(r->name);
	free(r);
}

static struct replica *
replica_find(struct sup_replicas *all, const char *target, const char *name)
{
	LIST_FOR_EACH (node, &all->list) {
		struct replica *r = LIST_ENTRY(node, struct replica, link);

		if (strcmp(r->target, target) == 0 &&
		    strcmp(r->name, name) == 0)
			return r;
	}
	return NULL;
}

static int
replica_add(struct sup_replicas *all, const char *target, const cJSON *config,
    struct err *e)
{
	const char *name = json_str(config, "name", "");
	struct replica *r = replica_find(all, target, name);

	if (r != NULL && cJSON_Compare(r->config, config, true)) {
		r->seen = true;
		return 0;
	}
	if (r != NULL)
		replica_free(r); /* another process under the same name */
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return err_nomem(e);
	r->all = all;
	r->pidfd = -1;
	r->seen = true;
	r->target = strdup(target);
	r->name = strdup(name);
	r->config = cJSON_Duplicate(config, true);
	list_push(&all->list, &r->link);
	if (r->target == NULL || r->name == NULL || r->config == NULL) {
		replica_free(r);
		return err_nomem(e);
	}
	replica_look(r);
	replica_tell(r);
	return 0;
}

int
sup_replicas_reload(struct sup_replicas *all, struct err *e)
{
	const cJSON *targets = json_at(cfg_tree(all->sup->cfg), "targets"), *t,
		    *c;
	int rc = 0;

	LIST_FOR_EACH (node, &all->list)
		LIST_ENTRY(node, struct replica, link)->seen = false;
	cJSON_ArrayForEach(t, targets)
	{
		char key[600];

		snprintf(key, sizeof(key), "%s/%s/%s", json_str(t, "kind", ""),
		    json_str(t, "namespace", ""), json_str(t, "name", ""));
		cJSON_ArrayForEach(c, cJSON_GetObjectItem(t, "replicas"))
		{
			if (rc == 0)
				rc = replica_add(all, key, c, e);
		}
	}
	LIST_FOR_EACH_SAFE (node, &all->list) {
		struct replica *r = LIST_ENTRY(node, struct replica, link);

		if (r->seen || rc < 0)
			continue;
		replica_gone(r, "it is no longer configured");
		replica_tell(r);
		replica_free(r);
	}
	ev_timer_set(all->look, REPLICAS_LOOK_MS);
	return rc;
}

void
sup_replicas_give(struct sup_replicas *all)
{
	LIST_FOR_EACH (node, &all->list)
		replica_tell(LIST_ENTRY(node, struct replica, link));
}

int
sup_replica_pidfd(struct sup_replicas *all, const char *target,
    const char *name, struct err *e)
{
	struct replica *r = replica_find(all, target, name);
	int fd;

	if (r == NULL)
		return err_set(e, ERR_NOT_FOUND,
		    "replica %s of %s is not configured", name, target);
	if (replica_look(r))
		replica_tell(r);
	if (r->pidfd < 0)
		return err_set(e, ERR_NOT_FOUND,
		    "replica %s of %s does not run: %s", name, target, r->why);
	fd = fcntl(r->pidfd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? err_sys(e, errno, "cannot duplicate a pidfd") : fd;
}

struct sup_replicas *
sup_replicas_new(struct sup *s)
{
	struct sup_replicas *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	all->sup = s;
	list_init(&all->list);
	all->look = ev_timer_new(s->loop, replicas_look, all);
	if (all->look == NULL) {
		free(all);
		return NULL;
	}
	return all;
}

void
sup_replicas_free(struct sup_replicas **rp)
{
	struct sup_replicas *all = *rp;

	if (all == NULL)
		return;
	*rp = NULL;
	LIST_FOR_EACH_SAFE (node, &all->list)
		replica_free(LIST_ENTRY(node, struct replica, link));
	ev_timer_free(&all->look);
	free(all);
}
