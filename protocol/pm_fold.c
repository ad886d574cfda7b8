/*
 * pm_fold: sets, maps and headers may repeat a name on the wire. Repetitions
 * are found by sorting, so that a hostile message costs n log n and no more.
 */
#include <stdlib.h>

#include "protocol/pm_text.h"

struct fold_key {
	struct pm_str s;
	size_t i;
};

static int
fold_cmp(const void *x, const void *y)
{
	const struct fold_key *a = x, *b = y;
	size_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
	int c = n == 0 ? 0 : memcmp(a->s.p, b->s.p, n);

	if (c == 0)
		c = (a->s.n > b->s.n) - (a->s.n < b->s.n);
	return c != 0 ? c : (a->i > b->i) - (a->i < b->i);
}

/*
 * n items of `stride` bytes that begin with a struct pm_str: first_r[i] is the
 * first item with i's text. *repeats_r tells whether any item is not its own.
 */
static int
fold_find(struct arena *a, const void *items, size_t stride, size_t n,
    size_t **first_r, bool *repeats_r)
{
	struct fold_key *keys;
	size_t *first;

	*repeats_r = false;
	if (n < 2)
		return 0;
	keys = arena_alloc(a, n * sizeof(*keys));
	first = arena_alloc(a, n * sizeof(*first));
	if (keys == NULL || first == NULL)
		return -ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		keys[i] = (struct fold_key){
		    *(const struct pm_str *)pm_at(items, i * stride), i};
	qsort(keys, n, sizeof(*keys), fold_cmp);
	for (size_t i = 0, lead = 0; i < n; i++) {
		if (!pm_str_eq(keys[i].s, keys[lead].s))
			lead = i;
		first[keys[i].i] = keys[lead].i;
		if (lead != i)
			*repeats_r = true;
	}
	*first_r = first;
	return 0;
}

int
pm_set_fold(struct arena *a, struct pm_vec_str *s)
{
	bool repeats = false;
	size_t *first = NULL, n = 0;
	int rc = fold_find(a, s->v, sizeof(*s->v), s->n, &first, &repeats);

	if (rc != 0 || !repeats)
		return rc;
	for (size_t i = 0; i < s->n; i++)
		if (first[i] == i)
			s->v[n++] = s->v[i];
	s->n = n;
	return 0;
}

int
pm_map_fold(struct arena *a, struct pm_vec_pair *m)
{
	bool repeats = false;
	size_t *first = NULL, n = 0;
	int rc = fold_find(a, m->v, sizeof(*m->v), m->n, &first, &repeats);

	if (rc != 0 || !repeats)
		return rc;
	for (size_t i = 0; i < m->n; i++)
		m->v[first[i]].value = m->v[i].value;
	for (size_t i = 0; i < m->n; i++)
		if (first[i] == i)
			m->v[n++] = m->v[i];
	m->n = n;
	return 0;
}

/* What one name's entries come to. */
struct fold_name {
	size_t place;     /* the first entry that has a value */
	size_t from;      /* entries before this one were replaced */
	size_t total;     /* values from there on */
	struct span *out; /* room for them, once they are gathered */
	bool seen;
};

static void
fold_count(
    const struct pm_headers *h, const size_t *first, struct fold_name *names)
{
	for (size_t i = 0; i < h->n; i++) {
		struct fold_name *f = &names[first[i]];
		size_t n = h->v[i].values.n;

		if (n == 0)
			continue;
		if (!f->seen)
			f->place = i;
		if (!f->seen || n == 1) {
			f->from = i;
			f->total = 0;
		}
		f->seen = true;
		f->total += n;
	}
}

static int
fold_gather(struct arena *a, struct pm_headers *h, const size_t *first,
    struct fold_name *names)
{
	for (size_t i = 0; i < h->n; i++) {
		struct fold_name *f = &names[first[i]];
		const struct pm_vec_bytes *v = &h->v[i].values;

		if (v->n == 0 || i < f->from)
			continue;
		if (i == f->from) {
			f->out = arena_alloc(a, f->total * sizeof(*f->out));
			f->total = 0;
		}
		if (f->out == NULL)
			return -ERR_NOMEM;
		memcpy(f->out + f->total, v->v, v->n * sizeof(*v->v));
		f->total += v->n;
	}
	return 0;
}

/* Entries without a value vanish; nothing repeats. */
static void
fold_drop_empty(struct pm_headers *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].values.n > 0)
			h->v[n++] = h->v[i];
	h->n = n;
}

int
pm_headers_fold(struct arena *a, struct pm_headers *h)
{
	struct fold_name *names;
	bool repeats = false;
	size_t *first = NULL, n = 0;
	int rc = fold_find(a, h->v, sizeof(*h->v), h->n, &first, &repeats);

	if (rc != 0)
		return rc;
	if (!repeats) {
		fold_drop_empty(h);
		return 0;
	}
	names = arena_alloc(a, h->n * sizeof(*names));
	if (names == NULL)
		return -ERR_NOMEM;
	fold_count(h, first, names);
	rc = fold_gather(a, h, first, names);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < h->n; i++) {
		struct fold_name *f = &names[first[i]];

		if (!f->seen || f->place != i)
			continue;
		h->v[n].name = h->v[i].name;
		h->v[n++].values = (struct pm_vec_bytes){f->total, f->out};
	}
	h->n = n;
	return 0;
}
