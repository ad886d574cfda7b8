#include "config.h"

#include "sys/fdpass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	char space[CMSG_SPACE(4 * SYS_FDPASS_MAX * sizeof(int))];
	struct cmsghdr align;
};

int
sys_fd_send(int sock, const void *p, size_t n, const int *fds, unsigned n_fds,
    struct err *e)
{
	union control control;
	struct iovec iov = {(void *)(uintptr_t)p, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	if (n == 0 || n_fds > SYS_FDPASS_MAX)
		return err_set(e, ERR_INVALID, "nothing or too much to send");
	if (n_fds > 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	do {
		sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN)
		return err_set(e, ERR_TRUNCATED, "the socket is full");
	if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
		return err_set(e, ERR_CLOSED, "closed by the other side");
	if (sent < 0)
		return err_sys(e, errno, "cannot send descriptors");
	if ((size_t)sent != n)
		return err_set(e, ERR_CLOSED, "only a part was sent");
	return 0;
}

ssize_t
sys_fd_recv(
    int sock, void *p, size_t cap, int *fds, unsigned *n_fds_io, struct err *e)
{
	union control control;
	struct iovec iov = {p, cap};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof(control)};
	unsigned max = *n_fds_io, n = 0;
	bool over;
	ssize_t got;

	*n_fds_io = 0;
	do {
		got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return err_set(e, ERR_TRUNCATED, "nothing there");
	if (got < 0)
		return err_sys(e, errno, "cannot receive descriptors");
	over = (msg.msg_flags & MSG_CTRUNC) != 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL;
	     c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0;
		     i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(
			    &fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < max) {
				fds[n++] = fd;
				continue;
			}
			close(fd);
			over = true;
		}
	}
	if (over) {
		while (n > 0)
			close(fds[--n]);
		return err_set(e, ERR_INVALID, "too many descriptors came");
	}
	*n_fds_io = n;
	return got;
}
