#include "config.h"

#include "agent/nft.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent/nft_msg.h"

enum {
	ANSWER_TIMEOUT_S = 5,
	RECV_BYTES = 32 * 1024,
};

struct nft {
	int fd;
	uint32_t seq;
	struct nft_layout layout;
	_Alignas(uint64_t) uint8_t out[NFT_BATCH_BYTES];
	_Alignas(uint64_t) uint8_t in[RECV_BYTES];
};

/*
 * When a process is killed, the kernel lets go of its descriptors in
 * descending order (it has queued their release as they were closed, and
 * takes the newest first). As number 0 the netlink socket, and the table
 * with it, outlives the agent's connections by the moment they need to say
 * goodbye while their addresses are still translated; else their peers would
 * never hear of it.
 */
static void
take_stdin(struct nft *n)
{
	struct stat st;

	/* Not /dev/null or a terminal: leave it. The table works as well. */
	if (fstat(STDIN_FILENO, &st) < 0 || !S_ISCHR(st.st_mode))
		return;
	if (dup3(n->fd, STDIN_FILENO, O_CLOEXEC) < 0)
		return;
	close(n->fd);
	n->fd = STDIN_FILENO;
}

static int
netlink_open(struct err *e)
{
	struct timeval tv = {.tv_sec = ANSWER_TIMEOUT_S};
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0) {
		err_sys(e, errno,
		    "cannot open a netlink socket for nf_tables; the kernel "
		    "needs CONFIG_NF_TABLES");
		return -1;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		err_sys(e, errno, "cannot set up the netlink socket");
		close(fd);
		return -1;
	}
	return fd;
}

/* The first error among n bytes of answers; counts acknowledgements. */
static int
read_acks(const struct nft *n, size_t len, uint32_t first_seq, unsigned *acks)
{
	const struct nlmsghdr *h = (const void *)n->in;
	int left = (int)len, failed = 0;

	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		const struct nlmsgerr *er = mnl_nlmsg_get_payload(h);

		if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq < first_seq ||
		    mnl_nlmsg_get_payload_len(h) < sizeof(*er))
			continue;
		(*acks)++;
		if (er->error != 0 && failed == 0)
			failed = -er->error;
	}
	return failed;
}

/*
 * Answers are complete when every message is acknowledged, or when one has
 * failed and nothing more is waiting (the kernel has then undone the batch).
 * 0 or an errno.
 */
static int
await_acks(struct nft *n, uint32_t first_seq, unsigned want)
{
	unsigned acks = 0;
	int failed = 0;

	while (acks < want || failed != 0) {
		ssize_t got = recv(n->fd, n->in, sizeof(n->in),
		    failed != 0 ? MSG_DONTWAIT : 0);
		int er;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return failed != 0 ? failed : errno;
		er = read_acks(n, (size_t)got, first_seq, &acks);
		if (failed == 0)
			failed = er;
	}
	return 0;
}

static int
nft_commit(struct nft *n, struct nft_batch *b)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	unsigned want = nft_batch_end(b);

	n->seq = b->next_seq;
	if (b->overflow)
		return EMSGSIZE;
	if (sendto(n->fd, b->base, b->len, 0, (struct sockaddr *)&kernel,
		sizeof(kernel)) < 0)
		return errno;
	return await_acks(n, b->first_seq, want);
}

static int
nft_create(struct nft *n, bool fib)
{
	struct nft_batch b;

	n->layout.fib = fib;
	nft_batch_begin(&b, n->out, n->seq);
	nft_put_layout(&b, &n->layout);
	return nft_commit(n, &b);
}

static int
create_failed(struct err *e, int errnum)
{
	if (errnum == EPERM || errnum == EACCES)
		return err_set(e, ERR_DENIED,
		    "cannot make an nf_tables table in the target's network "
		    "namespace: the agent needs CAP_NET_ADMIN there");
	if (errnum == EINVAL || errnum == EOPNOTSUPP || errnum == ENOENT ||
	    errnum == EAFNOSUPPORT || errnum == EPROTONOSUPPORT)
		return err_set(e, ERR_UNSUPPORTED,
		    "the kernel cannot hold the agent's nf_tables table (%s): "
		    "it needs Linux 5.12 or later (tables with an owner) with "
		    "nft_nat, nft_redir and inet nat chains",
		    strerror(errnum));
	return err_sys(e, errnum, "cannot make the agent's nf_tables table");
}

int
nft_open(struct nft **n_r, uint16_t listen_port, uint32_t gid,
    const char *comment, struct err *e)
{
	struct nft *n = calloc(1, sizeof(*n));
	uint32_t id;
	int errnum;

	*n_r = NULL;
	if (n == NULL)
		return err_nomem(e);
	n->fd = netlink_open(e);
	if (n->fd < 0) {
		free(n);
		return -ERR_SYS;
	}
	take_stdin(n);
	if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
		id = (uint32_t)getpid();
	n->seq = 1;
	n->layout.listen_port = listen_port;
	n->layout.gid = gid;
	n->layout.comment = comment;
	snprintf(n->layout.table, sizeof(n->layout.table), "mrd_%08x", id);
	errnum = nft_create(n, true);
	if (errnum == ENOENT || errnum == EOPNOTSUPP)
		errnum = nft_create(n, false); /* a kernel without nft_fib */
	n->layout.comment = NULL;
	if (errnum != 0) {
		nft_close(&n);
		return create_failed(e, errnum);
	}
	*n_r = n;
	return 0;
}

void
nft_close(struct nft **n)
{
	if (*n == NULL)
		return;
	close((*n)->fd);
	free(*n);
	*n = NULL;
}

int
nft_port_add(struct nft *n, uint16_t port, struct err *e)
{
	struct nft_batch b;
	int errnum;

	nft_batch_begin(&b, n->out, n->seq);
	nft_put_port(&b, n->layout.table, port, true);
	errnum = nft_commit(n, &b);
	if (errnum != 0)
		return err_sys(e, errnum,
		    "cannot add port %u to the redirected ports", port);
	return 0;
}

int
nft_port_del(struct nft *n, uint16_t port, struct err *e)
{
	struct nft_batch b;
	int errnum;

	nft_batch_begin(&b, n->out, n->seq);
	nft_put_port(&b, n->layout.table, port, false);
	errnum = nft_commit(n, &b);
	if (errnum != 0 && errnum != ENOENT)
		return err_sys(e, errnum,
		    "cannot remove port %u from the redirected ports", port);
	return 0;
}

int
nft_clear(struct nft *n, struct err *e)
{
	struct nft_batch b;
	int errnum;

	nft_batch_begin(&b, n->out, n->seq);
	nft_put_clear(&b, n->layout.table);
	errnum = nft_commit(n, &b);
	if (errnum != 0 && errnum != ENOENT)
		return err_sys(
		    e, errnum, "cannot empty the set of redirected ports");
	return 0;
}

const char *
nft_table(const struct nft *n)
{
	return n->layout.table;
}
