/*
 * nft_msg: nf_tables messages as bytes, built with libmnl. Pure: nothing is
 * sent here. The layout is that of spec/agent.md C.5:
 *
 *   table inet mrd_XXXXXXXX {            # flag owner
 *     set ports { type inet_service; }
 *     chain pre { type nat hook prerouting priority dstnat - 5;
 *       fib daddr type local tcp dport @ports redirect to :L }
 *     chain out { type nat hook output priority -105;
 *       [meta skgid G] meta mark & 0x2000 == 0x2000 return
 *       [meta skgid G ip saddr 127.0.0.0/8 return]
 *       [meta skgid G ip6 saddr ::1 return]
 *       oifname "lo" tcp dport @ports redirect to :L }
 *   }
 *
 * With a group of its own (G) the agent reaches the target itself on loopback
 * addresses; what it connects to on other addresses for a client is redirected
 * like anybody's. Without one only the mark tells its connections.
 */
#ifndef AGENT_NFT_MSG_H
#define AGENT_NFT_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Connections of ours that carry this mark are never redirected. */
#define NFT_EXEMPT_MARK 0x2000u

enum {
	NFT_TABLE_NAME_BYTES = 16, /* "mrd_" and 8 hex digits, NUL */
	NFT_BATCH_BYTES = 8192,    /* more than any batch built here */
};

/* Several messages that the kernel applies as one transaction. */
struct nft_batch {
	uint8_t *base;      /* borrowed, NFT_BATCH_BYTES, aligned for u32 */
	size_t len;         /* bytes built */
	uint32_t first_seq; /* of the message that begins the batch */
	uint32_t next_seq;
	bool overflow; /* something did not fit: do not send */
};

struct nft_layout {
	char table[NFT_TABLE_NAME_BYTES];
	const char *comment; /* borrowed, NULL = none; cut to 100 bytes */
	uint32_t gid;        /* 0 = the mark alone exempts a connection */
	uint16_t listen_port;
	bool fib; /* leave forwarded packets alone (needs nft_fib) */
};

/* Begins a batch in base; seq is the first sequence number to use. */
void nft_batch_begin(struct nft_batch *b, uint8_t *base, uint32_t seq);
/* Ends it; the number of messages that the kernel will acknowledge. */
unsigned nft_batch_end(struct nft_batch *b);

/* The table with its owner flag, set, chains and rules. */
void nft_put_layout(struct nft_batch *b, const struct nft_layout *l);
/* Adds or removes one port. */
void nft_put_port(
    struct nft_batch *b, const char *table, uint16_t port, bool add);
/* Empties the set of ports. */
void nft_put_clear(struct nft_batch *b, const char *table);

#endif
