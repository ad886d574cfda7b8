/*
 * pieces: a message on its way in, shared by pieces.c and decide.c.
 */
#ifndef ROUTE_PIECES_H
#define ROUTE_PIECES_H

#include "route/route_int.h"

enum in_mode {
	IN_HEAD,  /* where it goes is not known yet */
	IN_WHOLE, /* kept until complete, then handled here */
	IN_PASS,
	IN_SKIP, /* nothing more of it is wanted */
};

struct route_in {
	struct pm_scan scan;
	const struct route_row *row;
	struct buf held; /* bytes that did not go on yet */
	enum in_mode mode;
	bool complete;
	bool began;    /* a piece went out */
	bool map;      /* the id is still to be rewritten */
	bool mapped;   /* into id */
	uint64_t sent; /* bytes of the message before held */
	uint64_t id;   /* the rewritten one */
	size_t pooled; /* taken from the pool */
	int src;       /* the slot it came from; -1 = the client */
	int slot;      /* whose id space and, from the client, receiver */
	enum route_path path; /* it came on */
};

/*
 * The message breaks a rule or a limit: its client or child is given up.
 * Returns what the feeding function returns.
 */
int rt_in_fail(
    struct route *r, struct route_in *in, enum err_code code, const char *what);
/* decide.c: is enough known to say where it goes? */
bool rt_in_head_is_enough(const struct route_in *in);
/* Sets row, mode, slot and what is to be rewritten. */
int rt_in_decide(struct route *r, struct route_in *in);
/* A child's id, now known, becomes the client's; may set IN_SKIP. */
int rt_in_map_up(struct route *r, struct route_in *in);

#endif
