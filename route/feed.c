#include "config.h"

#include "route/feed.h"

void
route_feed_init(struct route_feed *f)
{
	buf_init(&f->whole, ROUTE_WHOLE_MAX);
	f->ready = f->ready_last = f->passing = f->within = false;
}

void
route_feed_free(struct route_feed *f)
{
	buf_free(&f->whole);
}

int
route_feed_retry(struct route_feed *f, route_feed_fn *fn, void *arg)
{
	int rc;

	if (!f->ready)
		return ROUTE_TAKEN;
	rc = fn(arg, buf_data(&f->whole), f->whole.len, true, f->ready_last);
	if (rc == ROUTE_LATER)
		return rc;
	f->ready = false;
	f->passing = !f->ready_last;
	buf_free(&f->whole); /* an idle stream keeps no buffer */
	return rc;
}

/* Bytes of a message whose beginning stands in whole. */
static int
feed_gather(struct route_feed *f, const uint8_t *p, size_t n, bool last,
    route_feed_fn *fn, void *arg, size_t *taken_r)
{
	size_t room = ROUTE_WHOLE_MAX - f->whole.len;
	size_t take = n < room ? n : room;
	int rc = buf_append(&f->whole, p, take);

	if (rc < 0)
		return rc;
	*taken_r = take;
	if (take == n && !last)
		return ROUTE_TAKEN; /* wait for more */
	f->ready = true;
	f->ready_last = last && take == n;
	rc = route_feed_retry(f, fn, arg);
	if (rc != ROUTE_TAKEN || take == n)
		return rc;
	rc = fn(arg, p + take, n - take, false, last);
	if (rc == ROUTE_TAKEN) {
		*taken_r = n;
		f->passing = !last;
	}
	return rc;
}

static int
feed_piece(struct route_feed *f, const uint8_t *p, size_t n, bool first,
    bool last, route_feed_fn *fn, void *arg, size_t *taken_r)
{
	int rc;

	if (first && last && n <= ROUTE_WHOLE_MAX && f->whole.len == 0)
		rc = fn(arg, p, n, true, true);
	else if (f->passing)
		rc = fn(arg, p, n, false, last);
	else
		return feed_gather(f, p, n, last, fn, arg, taken_r);
	if (rc != ROUTE_TAKEN)
		return rc;
	*taken_r = n;
	if (last)
		f->passing = false;
	return rc;
}

int
route_feed_put(struct route_feed *f, const uint8_t *p, size_t n, bool first,
    bool last, route_feed_fn *fn, void *arg, size_t *taken_r)
{
	int rc;

	*taken_r = 0;
	rc = route_feed_retry(f, fn, arg);
	/* An empty last piece may be offered again though it was gathered. */
	if (rc != ROUTE_TAKEN || (n == 0 && !first && (!last || !f->within)))
		return rc;
	if (first == f->within)
		return -ERR_INVALID;
	rc = feed_piece(f, p, n, first, last, fn, arg, taken_r);
	if (rc == ROUTE_TAKEN)
		f->within = !last;
	else if (f->ready && f->ready_last)
		f->within = false;
	else if (*taken_r > 0)
		f->within = true;
	return rc;
}
