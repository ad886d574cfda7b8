/*
 * resolver: the connector sees no file; it gets the text of resolv.conf and
 * hosts, and gets it again when one of them changed.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/sup.h"

enum { RESOLV_MAX_BYTES = 65536, HOSTS_MAX_BYTES = 524288 };

struct sup_resolver {
	struct buf resolv_conf;
	struct buf hosts;
	bool resolv_conf_bad, hosts_bad; /* said already */
};

/* A missing file is an empty one, one that is too long too: half a file would
 * be another one. *bad_io: it was not used the last time. */
static void
file_read(const char *path, size_t max, struct buf *out, bool *bad_io)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = 0;
	bool bad;

	buf_clear(out);
	if (fd < 0) {
		*bad_io = false;
		return;
	}
	while (out->len <= max && buf_reserve(out, 4096) == 0 &&
	       (n = read(fd, buf_tail(out), 4096)) > 0)
		buf_commit(out, (size_t)n);
	bad = n < 0 || out->len > max;
	if (bad && !*bad_io)
		log_warn("%s is not used: %s", path,
		    n < 0 ? strerror(errno) : "it is too long");
	if (bad)
		buf_clear(out);
	*bad_io = bad;
	close(fd);
}

static bool
same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len &&
	       memcmp(buf_data(a), buf_data(b), a->len) == 0;
}

/* True when either differs from what was known. */
static bool
resolver_read(struct sup *s)
{
	struct sup_resolver *r = s->resolver, now = *r;
	bool changed;

	buf_init(&now.resolv_conf, RESOLV_MAX_BYTES + 4096);
	buf_init(&now.hosts, HOSTS_MAX_BYTES + 4096);
	file_read(cfg_str(s->cfg, "resolver.resolvConf"), RESOLV_MAX_BYTES,
	    &now.resolv_conf, &now.resolv_conf_bad);
	file_read(cfg_str(s->cfg, "resolver.hosts"), HOSTS_MAX_BYTES,
	    &now.hosts, &now.hosts_bad);
	changed = !same(&now.resolv_conf, &r->resolv_conf) ||
		  !same(&now.hosts, &r->hosts);
	buf_free(&r->resolv_conf);
	buf_free(&r->hosts);
	*r = now;
	return changed;
}

int
sup_resolver_init(struct sup *s, struct err *e)
{
	s->resolver = calloc(1, sizeof(*s->resolver));
	if (s->resolver == NULL)
		return err_nomem(e);
	resolver_read(s);
	return 0;
}

void
sup_resolver_give(struct sup_worker *w)
{
	const struct sup_resolver *r = w->sup->resolver;
	struct ipc_resolver m;

	if (w->role != IPC_CON || w->peer == NULL)
		return;
	m.resolv_conf = buf_span(&r->resolv_conf);
	m.hosts = buf_span(&r->hosts);
	ipc_send(w->peer, IPC_RESOLVER, 0, 0, 0, &m, NULL, 0);
}

void
sup_resolver_check(struct sup *s)
{
	struct sup_worker *con = sup_worker_find(s, IPC_CON, 0);

	if (resolver_read(s) && con != NULL && con->state == SUP_UP &&
	    s->phase == IPC_PHASE_RUN)
		sup_resolver_give(con);
}

void
sup_resolver_free(struct sup_resolver **rp)
{
	struct sup_resolver *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	buf_free(&r->resolv_conf);
	buf_free(&r->hosts);
	free(r);
}
