/*
 * feed: makes of pieces of any size what the router wants to be fed: whole
 * messages up to ROUTE_WHOLE_MAX bytes, larger ones in pieces.
 */
#ifndef ROUTE_FEED_H
#define ROUTE_FEED_H

#include "lib/buf.h"
#include "route/route.h"

struct route_feed {
	struct buf whole; /* a message that is not whole yet, or waits */
	bool ready;       /* whole holds a message the router refused so far */
	bool ready_last;  /* ... and it is all of the message */
	bool passing;     /* within a larger message: pieces pass */
	bool within;      /* a message has begun and not ended */
};

/* Calls route_from_client or route_from_child for the owner. */
typedef int route_feed_fn(
    void *arg, const uint8_t *p, size_t n, bool first, bool last);

void route_feed_init(struct route_feed *f);
void route_feed_free(struct route_feed *f);
/*
 * Takes bytes of a piece: *taken_r says how many; they need not be kept.
 * ROUTE_TAKEN: all. ROUTE_LATER: offer the rest (perhaps nothing, then with
 * n = 0, first = last = false) again when the hold is over. Negative: as fn, or
 * -ERR_INVALID when a message begins within another or goes on without one.
 */
int route_feed_put(struct route_feed *f, const uint8_t *p, size_t n, bool first,
    bool last, route_feed_fn *fn, void *arg, size_t *taken_r);
/* Something waits inside: call route_feed_retry when the hold is over. */
static inline bool
route_feed_waits(const struct route_feed *f)
{
	return f->ready;
}
int route_feed_retry(struct route_feed *f, route_feed_fn *fn, void *arg);

#endif
