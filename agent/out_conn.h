/* out_conn: one outgoing connection. For agent/out*.c only. */
#ifndef AGENT_OUT_CONN_H
#define AGENT_OUT_CONN_H

#include <sys/socket.h>

#include "agent/agent.h"
#include "agent/outgoing.h"
#include "lib/buf.h"
#include "lib/map.h"

enum out_kind { OUT_TCP, OUT_UDP, OUT_SEQ, OUT_KINDS };

enum {
	OUT_CONNECT_MS = 5000,
	OUT_LINGER_MS = 10000, /* to send what was written before Close */
	OUT_PARTING_MS = 2000, /* then for the peer to close its side */
	OUT_READ_BYTES = 64 * 1024,
	OUT_DATAGRAM_BYTES = 65535,
	/*
	 * What may wait for one peer. Over it reading from the client stops
	 * for at most OUT_GRACE_MS, since nothing less tells a client to send
	 * slower; then the connection is closed and the rest goes on.
	 */
	OUT_SHARE_BYTES = 8 * 1024 * 1024,
	OUT_ROOM_BYTES = 256 * 1024,
	OUT_GRACE_MS = 1000,
	OUT_UDP_BYTES = 256 * 1024, /* over it datagrams are lost */
	/* What may wait for all peers of a client, and of all clients. */
	OUT_CLIENT_BYTES = 24 * 1024 * 1024,
	OUT_AGENT_BYTES = 64 * 1024 * 1024,
	OUT_BUF_BYTES = 32 * 1024 * 1024, /* the share and one message */
	OUT_CONNS_MAX = 2048,
};

struct out_conn;

struct outgoing {
	struct agent_client *client;
	struct map conns[OUT_KINDS]; /* connection id -> struct out_conn */
	uint64_t next_id[OUT_KINDS];
	struct list all;           /* struct out_conn.link */
	struct list v1[OUT_KINDS]; /* old connects that wait: .v1_link */
	struct out_conn *v1_now[OUT_KINDS];
	bool v1_busy[OUT_KINDS];
	size_t count;
	size_t queued;    /* bytes that wait for peers */
	uint8_t *scratch; /* owned; OUT_READ_BYTES */
};

enum out_state {
	OUT_WAITS, /* an old connect, behind another */
	OUT_CONNECTING,
	OUT_OPEN,
	OUT_LINGERS, /* the client has closed it; the queue is sent */
	OUT_PARTS,   /* all is sent; the peer has yet to close */
};

struct out_unix_job;

struct out_conn {
	struct list link;
	struct list v1_link;
	struct outgoing *o;
	enum out_kind kind;
	enum out_state state;
	bool v2;
	int refused; /* errno of an address that cannot be tried */
	struct pm_uid uid;
	uint64_t id;
	int fd;
	struct ev_io *io;
	struct ev_timer *timer; /* connect, grace or linger */
	struct out_unix_job *job;
	/* where to */
	struct sockaddr_storage ip;
	socklen_t ip_len; /* 0 = a unix address in text */
	bool abstract;
	char *text; /* owned */
	size_t text_len;
	/* what goes; datagrams each with their length (4 bytes) in front */
	struct buf out;
	bool shut_wanted; /* after the queue */
	bool shut;
	bool blocked;
	/* what comes */
	bool eof;
	bool paused;
	struct agent_wait wait;
};

/* out_connect.c: both answer the client when it is decided. */
void out_connect(struct outgoing *o, enum out_kind kind, bool v2,
    struct pm_uid uid, const struct pm_SocketAddress *to);
void out_conn_free(struct out_conn *c);

/* out_conn.c */
int out_conn_open(struct out_conn *c); /* the socket is connected */
void out_conn_write(struct out_conn *c, struct span bytes);
void out_conn_close(struct out_conn *c); /* the client closed it */
/* n more (or less) bytes wait for peers. */
void out_count(struct outgoing *o, ssize_t n);

/* outgoing.c: messages */
void out_send_connected(struct out_conn *c);
void out_send_failed(struct out_conn *c, const struct pm_ResponseError *e);
int out_send_read(struct out_conn *c, struct span bytes);
void out_send_close(struct out_conn *c);

#endif
