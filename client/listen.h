/* listen: local listeners of forwards, "[ADDRESS:]LOCAL:HOST:PORT". */
#ifndef CLIENT_LISTEN_H
#define CLIENT_LISTEN_H

#include <netinet/in.h>

#include "lib/err.h"
#include "lib/ev.h"
#include "lib/list.h"

enum { CLI_HOST_MAX = 256 };

/* Where a forward listens and where it leads. */
struct cli_forward_spec {
	struct in_addr address; /* 127.0.0.1 unless named */
	uint16_t local;         /* 0: any */
	char host[CLI_HOST_MAX];
	uint16_t port;
};

/* HOST is a name, an IPv4 address or an IPv6 address in brackets. */
int cli_forward_parse(
    const char *text, struct cli_forward_spec *out, struct err *e);

struct cli_listener {
	struct list node;
	int fd;
	struct ev_io *io;
	struct cli_forward_spec spec; /* local: the real port */
	/* fd is the callee's. */
	void (*on_accept)(void *arg, struct cli_listener *l, int fd);
	void *arg;
};

/* NULL with *e: ERR_SYS names the port. */
struct cli_listener *cli_listener_new(struct ev_loop *loop,
    const struct cli_forward_spec *spec,
    void (*on_accept)(void *, struct cli_listener *, int), void *arg,
    struct err *e);
void cli_listener_free(struct cli_listener **l);

#endif
