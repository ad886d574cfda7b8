/* Connections to the cluster: the connector makes them, we speak TLS. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "workers/cluster/cluster.h"

struct clu_dial {
	struct clu *clu;
	uint32_t request;
	clu_dial_fn *fn;
	void *arg;
};

struct clu_dial *
clu_dial_start(struct clu *clu, clu_dial_fn *fn, void *arg, struct err *e)
{
	struct ipc_peer *con = worker_peer(clu->w, IPC_CON, 0);
	struct ipc_connect m = {.kind = 0, .name = clu->w->name};
	struct clu_dial *d;

	if (con == NULL) {
		err_set(e, ERR_CLOSED, "the connector is restarting");
		return NULL;
	}
	if (clu->tls == NULL) {
		err_set(e, ERR_DENIED, "%s", clu->credential_error);
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (d == NULL) {
		err_nomem(e);
		return NULL;
	}
	*d = (struct clu_dial){.clu = clu, .fn = fn, .arg = arg};
	do {
		d->request = ++clu->next_dial;
	} while (map_get(&clu->dials, d->request) != NULL);
	m.request = d->request;
	if (map_put(&clu->dials, d->request, d) < 0 ||
	    ipc_send(con, IPC_CONNECT, 0, 0, 0, &m, NULL, 0) < 0) {
		clu_dial_cancel(&d);
		err_nomem(e);
	}
	return d;
}

void
clu_dial_cancel(struct clu_dial **d)
{
	if (*d == NULL)
		return;
	map_del(&(*d)->clu->dials, (*d)->request);
	free(*d);
	*d = NULL;
}

static void
dial_done(struct clu_dial *d, struct tls_conn *conn, const struct err *e)
{
	clu_dial_fn *fn = d->fn;
	void *arg = d->arg;

	clu_dial_cancel(&d);
	fn(arg, conn, e);
}

int
clu_on_connected(void *worker, struct ipc_in *in, struct err *e)
{
	static const struct tls_conn_cbs no_cbs = {0};
	struct clu *clu = ((struct worker *)worker)->state;
	const struct ipc_connected *m = in->payload;
	struct clu_dial *d = map_get(&clu->dials, m->request);
	struct tls_conn_opts opts = {.server_name = clu->host};
	struct tls_conn *conn;
	struct err why;

	(void)e;
	if (d == NULL)
		return 0; /* cancelled; the descriptor is closed for us */
	if (m->error[0] != '\0' || in->n_fds != 1) {
		err_set(&why, ERR_CLOSED, "%s",
		    m->error[0] != '\0' ? m->error
					: "the connector sent no descriptor");
		dial_done(d, NULL, &why);
		return 0;
	}
	if (clu->tls == NULL) {
		err_set(&why, ERR_DENIED, "%s", clu->credential_error);
		dial_done(d, NULL, &why);
		return 0;
	}
	conn = tls_conn_new(
	    clu->w->loop, clu->tls, in->fds[0], &opts, &no_cbs, NULL, &why);
	in->fds[0] = -1;
	dial_done(d, conn, conn == NULL ? &why : NULL);
	return 0;
}

void
clu_dials_gone(struct clu *clu, const char *why)
{
	struct clu_dial *d;
	size_t pos = 0;
	struct err e;

	err_set(&e, ERR_CLOSED, "%s", why);
	while ((d = map_next(&clu->dials, &pos, NULL)) != NULL) {
		dial_done(d, NULL, &e);
		pos = 0;
	}
}
