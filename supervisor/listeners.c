/*
 * listeners: the TCP sockets of the HTTPS API and the administrator's control
 * socket. They are opened once, as root, and given to the workers that accept
 * on them; nothing here ever does.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/str.h"
#include "supervisor/listeners.h"
#include "supervisor/sup.h"

enum { LISTEN_BACKLOG = 512, LISTENERS_MAX = 32 };

struct sup_listeners {
	struct {
		int fd;
		char address[256];
	} https[LISTENERS_MAX];
	size_t n_https;
	int control_fd;
	char control_path[108];
};

union address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* "1.2.3.4:443" or "[::1]:443"; the configuration checked it already. */
int
sup_listen_parse(
    const char *text, struct sockaddr_storage *out, socklen_t *len_r)
{
	const char *colon = strrchr(text, ':');
	union address *a = (union address *)out;
	char host[64];
	uint16_t port;
	size_t n;

	memset(out, 0, sizeof(*out));
	if (colon == NULL || !str_to_u16(colon + 1, &port))
		return -ERR_INVALID;
	n = (size_t)(colon - text);
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (str_fmt(host, sizeof(host), "%.*s", (int)n, text) < 0)
		return -ERR_INVALID;
	if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons(port);
		*len_r = sizeof(a->v4);
		return 0;
	}
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) != 1)
		return -ERR_INVALID;
	a->v6.sin6_family = AF_INET6;
	a->v6.sin6_port = htons(port);
	*len_r = sizeof(a->v6);
	return 0;
}

/*
 * Accepted connections inherit these: a peer whose host is gone (a laptop
 * that sleeps, a primary without power) is found out within half a minute,
 * and its sessions can run out. No worker needs setsockopt for it.
 */
static void
keep_alive(int fd)
{
	const struct {
		int level, name, value;
	} opt[] = {
	    {SOL_SOCKET, SO_KEEPALIVE, 1},
	    {IPPROTO_TCP, TCP_KEEPIDLE, 15},
	    {IPPROTO_TCP, TCP_KEEPINTVL, 5},
	    {IPPROTO_TCP, TCP_KEEPCNT, 3},
	    {IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
	};

	for (size_t i = 0; i < sizeof(opt) / sizeof(opt[0]); i++)
		setsockopt(fd, opt[i].level, opt[i].name, &opt[i].value,
		    sizeof(opt[i].value));
}

static int
https_open(const char *text, struct err *e)
{
	struct sockaddr_storage sa;
	int one = 1, zero = 0, fd;
	socklen_t len;

	if (sup_listen_parse(text, &sa, &len) < 0)
		return err_set(e, ERR_INVALID,
		    "listen: %s is no address with a port", text);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    IPPROTO_TCP);
	if (fd < 0)
		return err_sys(e, errno, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	keep_alive(fd);
	if (sa.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&sa, len) < 0 ||
	    listen(fd, LISTEN_BACKLOG) < 0) {
		err_sys(e, errno,
		    "cannot listen on %s; change `listen` or stop who has it",
		    text);
		close(fd);
		return -ERR_SYS;
	}
	return fd;
}

/* Bound under a private name, then moved in place: never with wrong rights. */
static int
control_bind(int fd, const char *path, gid_t gid, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	mode_t old;
	int rc;

	if (str_fmt(sa.sun_path, sizeof(sa.sun_path), "%s.new", path) < 0)
		return err_set(e, ERR_TOO_BIG,
		    "the path %s is too long for a socket; shorten runDir",
		    path);
	unlink(sa.sun_path);
	old = umask(0177);
	rc = bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	umask(old);
	if (rc < 0)
		return err_sys(e, errno, "cannot bind %s", sa.sun_path);
	if ((geteuid() == 0 && chown(sa.sun_path, 0, gid) < 0) ||
	    chmod(sa.sun_path, 0660) < 0 || rename(sa.sun_path, path) < 0) {
		err_sys(e, errno, "cannot set up %s", path);
		unlink(sa.sun_path);
		return -ERR_SYS;
	}
	return listen(fd, LISTEN_BACKLOG) < 0
		   ? err_sys(e, errno, "cannot listen on %s", path)
		   : 0;
}

static int
control_open(struct sup *s, struct sup_listeners *l, struct err *e)
{
	const char *name = cfg_str(s->cfg, "controlGroup");
	const struct group *g = getgrnam(name);
	int fd, rc;

	if (g == NULL)
		log_warn("there is no group %s: only root can use the control "
			 "socket (groupadd --system %s)",
		    name, name);
	if (str_fmt(l->control_path, sizeof(l->control_path), "%s/control.sock",
		s->run_dir) < 0)
		return err_set(e, ERR_TOO_BIG,
		    "runDir is too long for a socket's path; shorten it");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "cannot make a socket");
	rc = control_bind(fd, l->control_path, g != NULL ? g->gr_gid : 0, e);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	l->control_fd = fd;
	return 0;
}

int
sup_listeners_open(struct sup *s, struct err *e)
{
	const cJSON *list = json_at(cfg_tree(s->cfg), "listen"), *item;
	struct sup_listeners *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return err_nomem(e);
	l->control_fd = -1;
	s->listeners = l;
	cJSON_ArrayForEach(item, list)
	{
		const char *text = cJSON_GetStringValue(item);
		int fd;

		if (text == NULL || l->n_https == LISTENERS_MAX)
			return err_set(e, ERR_TOO_BIG,
			    "listen: at most %d addresses", LISTENERS_MAX);
		fd = https_open(text, e);
		if (fd < 0)
			return fd;
		l->https[l->n_https].fd = fd;
		snprintf(l->https[l->n_https].address,
		    sizeof(l->https[0].address), "%s", text);
		l->n_https++;
	}
	rc = control_open(s, l, e);
	return rc;
}

void
sup_listeners_give(struct sup_worker *w)
{
	struct sup_listeners *l = w->sup->listeners;
	struct ipc_listener m;

	for (size_t i = 0; w->role == IPC_FE && i < l->n_https; i++) {
		m = (struct ipc_listener){"https", l->https[i].address};
		ipc_send(
		    w->peer, IPC_LISTENER, 0, 0, 0, &m, &l->https[i].fd, 1);
	}
	if (w->role == IPC_SEC) {
		m = (struct ipc_listener){"control", l->control_path};
		ipc_send(w->peer, IPC_LISTENER, 0, 0, 0, &m, &l->control_fd, 1);
	}
}

void
sup_listeners_free(struct sup_listeners **lp)
{
	struct sup_listeners *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	for (size_t i = 0; i < l->n_https; i++)
		close(l->https[i].fd);
	if (l->control_fd >= 0) {
		unlink(l->control_path);
		close(l->control_fd);
	}
	free(l);
}
