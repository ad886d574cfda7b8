/* Listening sockets, given by the supervisor, and connections from them. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "workers/frontend/frontend.h"

enum { FE_ACCEPT_REST_MS = 100 };

static uint64_t
conn_body_limit(void *arg, const struct http_head *head)
{
	(void)arg;
	(void)head;
	return 1 << 20;
}

static void
conn_request(void *arg, struct http_conn *http, const struct http_head *head,
    struct span body)
{
	(void)http;
	fe_api_request(arg, head, body);
}

static void
conn_close(void *arg, struct http_conn *http, const struct err *e)
{
	struct fe_conn *c = arg;

	(void)http;
	if (e->code != ERR_OK && e->code != ERR_CLOSED)
		log_debug("connection ended why=%s", e->text);
	fe_conn_free(c);
}

void
fe_conn_free(struct fe_conn *c)
{
	if (c->connect != NULL)
		fe_connect_abandon(c->connect);
	fe_call_cancel(&c->call);
	http_conn_free(&c->http);
	list_remove(&c->node);
	c->fe->n_conns--;
	free(c);
}

static void
conn_new(struct fe *fe, int fd)
{
	static const struct http_conn_cbs cbs = {
	    .body_limit = conn_body_limit,
	    .on_request = conn_request,
	    .on_close = conn_close,
	};
	static const struct tls_conn_cbs no_cbs = {0};
	struct fe_conn *c = calloc(1, sizeof(*c));
	struct tls_conn *tls;
	struct err e;

	if (c == NULL) {
		close(fd);
		return;
	}
	tls = tls_conn_new(fe->w->loop, fe->tls, fd, NULL, &no_cbs, NULL, &e);
	if (tls == NULL) {
		log_warn("connection refused why=%s", e.text);
		free(c);
		return;
	}
	c->fe = fe;
	c->http = http_conn_new(tls, NULL, &cbs, c, &e);
	if (c->http == NULL) {
		log_warn("connection refused why=%s", e.text);
		free(c);
		return;
	}
	list_push(&fe->conns, &c->node);
	fe->n_conns++;
}

/* No descriptor, no memory: the same again at once would not help. */
static void
listener_rest(struct fe_listener *l, int why)
{
	log_warn("accept failed, trying again soon address=%s errno=%d",
	    l->address, why);
	ev_io_want(l->io, 0);
	ev_timer_set(l->fe->accept_again, FE_ACCEPT_REST_MS);
}

void
fe_listeners_again(void *arg)
{
	struct fe *fe = arg;

	LIST_FOR_EACH (node, &fe->listeners)
		ev_io_want(LIST_ENTRY(node, struct fe_listener, node)->io,
		    EV_WANT_READ);
}

static void
listener_ready(void *arg, int ready)
{
	struct fe_listener *l = arg;

	(void)ready;
	/* A few at a time, so that a flood does not starve what runs. */
	for (int i = 0; i < 16; i++) {
		int fd =
		    accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR &&
			    errno != ECONNABORTED)
				listener_rest(l, errno);
			return;
		}
		/* Without a certificate yet the peer would only hang. */
		if (l->fe->tls == NULL || l->fe->n_conns >= FE_MAX_CONNS) {
			close(fd);
			continue;
		}
		conn_new(l->fe, fd);
	}
}

int
fe_listener_add(struct fe *fe, int fd, const char *address, struct err *e)
{
	struct fe_listener *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		close(fd);
		return err_nomem(e);
	}
	l->fe = fe;
	l->fd = fd;
	snprintf(l->address, sizeof(l->address), "%s", address);
	l->io = ev_io_new(fe->w->loop, fd, listener_ready, l);
	if (l->io == NULL || ev_io_want(l->io, EV_WANT_READ) < 0) {
		ev_io_free(&l->io);
		close(fd);
		free(l);
		return err_nomem(e);
	}
	list_push(&fe->listeners, &l->node);
	log_info("listening address=%s", address);
	return 0;
}

void
fe_listeners_free(struct fe *fe)
{
	LIST_FOR_EACH_SAFE (node, &fe->listeners) {
		struct fe_listener *l =
		    LIST_ENTRY(node, struct fe_listener, node);

		ev_io_free(&l->io);
		close(l->fd);
		list_remove(&l->node);
		free(l);
	}
}
