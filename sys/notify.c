#include "config.h"

#include "sys/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/str.h"

static int
notify_connect(const char *path, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	int fd;

	if ((path[0] != '/' && path[0] != '@') || n >= sizeof(sa.sun_path))
		return err_set(e, ERR_INVALID,
		    "NOTIFY_SOCKET is neither a path nor abstract: %s", path);
	memcpy(sa.sun_path, path, n);
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, errno, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&sa,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0) {
		int saved = errno;

		close(fd);
		return err_sys(e, saved, "cannot reach NOTIFY_SOCKET %s", path);
	}
	return fd;
}

int
sys_notify_init(struct sys_notify *n, struct err *e)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t us, whose;
	int rc = 0;

	n->fd = -1;
	n->watchdog_us = 0;
	if (usec != NULL && str_to_u64(usec, &us) &&
	    (pid == NULL ||
		(str_to_u64(pid, &whose) && whose == (uint64_t)getpid())))
		n->watchdog_us = us;
	if (path != NULL && path[0] != '\0') {
		rc = notify_connect(path, e);
		if (rc >= 0)
			n->fd = rc;
	}
	/* Children must not speak for us. */
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return rc < 0 ? rc : 0;
}

void
sys_notify_deinit(struct sys_notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

int
sys_notify_send(struct sys_notify *n, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int len;

	if (n->fd < 0)
		return 0;
	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -ERR_TOO_BIG;
	if (send(n->fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -ERR_SYS;
	return 0;
}

int
sys_notify_reloading(struct sys_notify *n)
{
	return sys_notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)clock_mono_us());
}
