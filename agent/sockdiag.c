#include "config.h"

#include "agent/sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/buf.h"

enum {
	ANSWER_TIMEOUT_S = 5,
	RECV_BYTES = 32 * 1024,
	/* A port with more connections than this keeps the rest. */
	VICTIMS_MAX = 65536,
};

struct flush {
	int fd;
	uint16_t port;
	sockdiag_keep_fn *keep;
	void *arg;
	struct buf victims; /* of struct inet_diag_req_v2 */
	_Alignas(uint64_t) uint8_t in[RECV_BYTES];
};

struct diag_msg {
	struct nlmsghdr head;
	struct inet_diag_req_v2 req;
};

static int
diag_send(const struct flush *f, uint16_t type, uint16_t flags,
    const struct inet_diag_req_v2 *req)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct diag_msg m = {
	    .head = {.nlmsg_len = sizeof(m),
		.nlmsg_type = type,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
	    .req = *req};

	if (sendto(f->fd, &m, sizeof(m), 0, (struct sockaddr *)&kernel,
		sizeof(kernel)) < 0)
		return errno;
	return 0;
}

static ssize_t
diag_recv(struct flush *f)
{
	ssize_t got;

	do
		got = recv(f->fd, f->in, sizeof(f->in), 0);
	while (got < 0 && errno == EINTR);
	return got;
}

static int
note_victim(struct flush *f, const struct inet_diag_msg *d)
{
	struct inet_diag_req_v2 req = {.sdiag_family = d->idiag_family,
	    .sdiag_protocol = IPPROTO_TCP,
	    .idiag_states = 1u << TCP_ESTABLISHED,
	    .id = d->id};

	if (ntohs(d->id.idiag_sport) != f->port ||
	    (f->keep != NULL && f->keep(f->arg, ntohs(d->id.idiag_dport))))
		return 0;
	return buf_append(&f->victims, &req, sizeof(req)) < 0 ? ENOBUFS : 0;
}

/* 1 at the end of the dump, 0 when there is more, or a negative errno. */
static int
read_dump(struct flush *f, size_t len)
{
	const struct nlmsghdr *h = (const void *)f->in;
	int left = (int)len;

	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		const void *body = mnl_nlmsg_get_payload(h);
		size_t n = mnl_nlmsg_get_payload_len(h);

		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return n < sizeof(struct nlmsgerr)
				   ? -EBADMSG
				   : ((const struct nlmsgerr *)body)->error;
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
		    n >= sizeof(struct inet_diag_msg) &&
		    note_victim(f, body) != 0)
			return -ENOBUFS;
	}
	return 0;
}

static int
dump_family(struct flush *f, uint8_t family)
{
	struct inet_diag_req_v2 req = {.sdiag_family = family,
	    .sdiag_protocol = IPPROTO_TCP,
	    .idiag_states = 1u << TCP_ESTABLISHED,
	    .id.idiag_sport = htons(f->port),
	    .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}};
	int rc = diag_send(f, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req);

	if (rc != 0)
		return rc;
	while (rc == 0) {
		ssize_t got = diag_recv(f);

		if (got < 0)
			return errno;
		rc = read_dump(f, (size_t)got);
	}
	return rc > 0 ? 0 : -rc;
}

/* 0 or the errno of the kernel's answer. */
static int
destroy_one(struct flush *f, const struct inet_diag_req_v2 *req)
{
	const struct nlmsghdr *h = (const void *)f->in;
	int rc = diag_send(f, SOCK_DESTROY, NLM_F_ACK, req);
	ssize_t got;

	if (rc != 0)
		return rc;
	got = diag_recv(f);
	if (got < 0)
		return errno;
	if (!mnl_nlmsg_ok(h, (int)got) || h->nlmsg_type != NLMSG_ERROR ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr))
		return EBADMSG;
	return -((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
}

static int
destroy_all(struct flush *f, size_t *count, struct err *e)
{
	size_t n = f->victims.len / sizeof(struct inet_diag_req_v2);

	for (size_t i = 0; i < n; i++) {
		struct inet_diag_req_v2 req;
		int rc;

		memcpy(
		    &req, buf_data(&f->victims) + i * sizeof(req), sizeof(req));
		rc = destroy_one(f, &req);
		if (rc == EOPNOTSUPP)
			return err_set(e, ERR_UNSUPPORTED,
			    "the kernel cannot reset connections "
			    "(CONFIG_INET_DIAG_DESTROY is missing): "
			    "connections from before the subscription stay "
			    "with the target");
		if (rc != 0 && rc != ENOENT) /* ENOENT: it has ended itself */
			return err_sys(e, rc,
			    "cannot reset a connection to port %u", f->port);
		*count += rc == 0;
	}
	return 0;
}

static int
diag_open(struct err *e)
{
	struct timeval tv = {.tv_sec = ANSWER_TIMEOUT_S};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0) {
		err_sys(e, errno, "cannot open a socket diagnosis socket");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

int
sockdiag_flush(uint16_t port, sockdiag_keep_fn *keep, void *arg,
    size_t *count_r, struct err *e)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct flush f = {.port = port, .keep = keep, .arg = arg};
	size_t count = 0;
	int rc = 0;

	f.fd = diag_open(e);
	if (f.fd < 0)
		return -ERR_SYS;
	buf_init(&f.victims, VICTIMS_MAX * sizeof(struct inet_diag_req_v2));
	for (size_t i = 0; i < 2 && rc == 0; i++) {
		int errnum = dump_family(&f, families[i]);

		/* No IPv6 in this kernel: nothing to flush there. */
		if (errnum != 0 && errnum != ENOENT && errnum != EAFNOSUPPORT)
			rc = err_sys(e, errnum,
			    "cannot list the connections of port %u", port);
	}
	if (rc == 0)
		rc = destroy_all(&f, &count, e);
	buf_free(&f.victims);
	close(f.fd);
	if (count_r != NULL)
		*count_r = count;
	return rc;
}
