/*
 * nft: the agent's one nf_tables table, owned by its netlink socket. The
 * kernel removes the table when that socket closes, however the process ends
 * (spec/agent.md C.4, C.5). The socket is descriptor 0, in place of standard
 * input: see nft.c. Used by agent/redirect.c only.
 */
#ifndef AGENT_NFT_H
#define AGENT_NFT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

struct nft;

/*
 * Makes the table in the network namespace of the calling thread. gid: see
 * struct nft_layout; comment may be NULL. -ERR_UNSUPPORTED when the kernel
 * has no nf_tables or no owner flag, -ERR_DENIED without CAP_NET_ADMIN.
 */
int nft_open(struct nft **n_r, uint16_t listen_port, uint32_t gid,
    const char *comment, struct err *e);
/* Removes the table with everything in it. */
void nft_close(struct nft **n);
/* Each is one transaction, in force when it returns. -ERR_SYS. */
int nft_port_add(struct nft *n, uint16_t port, struct err *e);
int nft_port_del(struct nft *n, uint16_t port, struct err *e);
int nft_clear(struct nft *n, struct err *e);
const char *nft_table(const struct nft *n);

#endif
