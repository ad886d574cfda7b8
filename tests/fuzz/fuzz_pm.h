/* fuzz_pm: the codec's calls with the direction as a value. */
#ifndef FUZZ_PM_H
#define FUZZ_PM_H

#include <stdlib.h>

#include "protocol/pm_scan.h"

union pm_any {
	struct pm_ClientMessage client;
	struct pm_DaemonMessage daemon;
};

static inline void
must(int ok)
{
	if (!ok)
		abort();
}

static inline int
any_decode(struct arena *a, enum pm_dir dir, struct span in, size_t *used_r,
    union pm_any *m)
{
	if (dir == PM_CLIENT)
		return pm_decode_client(
		    a, in.p, in.n, used_r, &m->client, NULL);
	return pm_decode_daemon(a, in.p, in.n, used_r, &m->daemon, NULL);
}

static inline int
any_encode(enum pm_dir dir, const union pm_any *m, struct buf *out)
{
	if (dir == PM_CLIENT)
		return pm_encode_client(&m->client, out, NULL);
	return pm_encode_daemon(&m->daemon, out, NULL);
}

static inline int
any_print(enum pm_dir dir, const union pm_any *m, struct buf *out)
{
	if (dir == PM_CLIENT)
		return pm_print_client(&m->client, out);
	return pm_print_daemon(&m->daemon, out);
}

static inline int
any_parse(struct arena *a, enum pm_dir dir, struct span in, union pm_any *m)
{
	const char *s = (const char *)in.p;

	if (dir == PM_CLIENT)
		return pm_parse_client(a, s, in.n, &m->client, NULL);
	return pm_parse_daemon(a, s, in.n, &m->daemon, NULL);
}

static inline void
must_equal(const struct buf *a, const struct buf *b)
{
	must(a->len == b->len && memcmp(buf_data(a), buf_data(b), a->len) == 0);
}

/*
 * A message that stands: its bytes decode to the same bytes, and so does its
 * JSON.
 */
static inline void
must_stand(struct arena *a, enum pm_dir dir, const union pm_any *m)
{
	struct buf raw = {0}, again = {0}, text = {0};
	union pm_any back;
	size_t used = 0;

	must(any_encode(dir, m, &raw) == 0);
	must(any_decode(a, dir, buf_span(&raw), &used, &back) == 0);
	must(used == raw.len);
	must(any_encode(dir, &back, &again) == 0);
	must_equal(&raw, &again);
	must(any_print(dir, m, &text) == 0);
	must(any_parse(a, dir, buf_span(&text), &back) == 0);
	buf_clear(&again);
	must(any_encode(dir, &back, &again) == 0);
	must_equal(&raw, &again);
	buf_free(&raw);
	buf_free(&again);
	buf_free(&text);
}

#endif
