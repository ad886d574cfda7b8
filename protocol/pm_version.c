/* pm_version: semantic versions as the protocol's peers understand them. */
#include "protocol/pm_version.h"

struct ver_in {
	const char *base, *p, *end;
};

static bool
ver_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
ver_is_ident(char c)
{
	return ver_is_digit(c) || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '-';
}

/* A number without leading zeros that fits 64 bits. */
static bool
ver_number(struct ver_in *in, uint64_t *v_r)
{
	const char *start = in->p;
	uint64_t v = 0;

	for (; in->p < in->end && ver_is_digit(*in->p); in->p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*in->p - '0'), &v))
			return false;
	*v_r = v;
	return in->p > start && (*start != '0' || in->p == start + 1);
}

static bool
ver_char(struct ver_in *in, char c)
{
	if (in->p == in->end || *in->p != c)
		return false;
	in->p++;
	return true;
}

static bool
ver_all_digits(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!ver_is_digit(p[i]))
			return false;
	return true;
}

/* Identifiers with dots between. Pre-release ones have no leading zeros. */
static bool
ver_identifiers(struct ver_in *in, bool pre, struct pm_str *out)
{
	const char *start = in->p, *id;

	do {
		for (id = in->p; in->p < in->end && ver_is_ident(*in->p);)
			in->p++;
		if (in->p == id)
			return false;
		if (pre && *id == '0' && in->p > id + 1 &&
		    ver_all_digits(id, (size_t)(in->p - id)))
			return false;
	} while (ver_char(in, '.'));
	*out = (struct pm_str){start, (size_t)(in->p - start)};
	return true;
}

int
pm_version_parse(struct pm_str s, struct pm_version *out, struct err *e)
{
	const char *text = s.p == NULL ? "" : s.p;
	struct ver_in in = {text, text, text + s.n};
	struct pm_version v = {.pre = PM_STR(""), .build = PM_STR("")};
	bool ok;

	ok = ver_number(&in, &v.major) && ver_char(&in, '.') &&
	     ver_number(&in, &v.minor) && ver_char(&in, '.') &&
	     ver_number(&in, &v.patch);
	if (ok && ver_char(&in, '-'))
		ok = ver_identifiers(&in, true, &v.pre);
	if (ok && ver_char(&in, '+'))
		ok = ver_identifiers(&in, false, &v.build);
	if (ok && in.p == in.end) {
		*out = v;
		return 0;
	}
	err_set(e, ERR_INVALID, "the text is not a semantic version");
	if (e != NULL)
		e->offset = (uint64_t)(in.p - in.base);
	return -ERR_INVALID;
}

static int
ver_cmp_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static struct pm_str
ver_next_ident(struct pm_str *rest)
{
	const char *dot = memchr(rest->p, '.', rest->n);
	struct pm_str id = *rest;

	if (dot == NULL) {
		*rest = PM_STR("");
		return id;
	}
	id.n = (size_t)(dot - rest->p);
	*rest = (struct pm_str){dot + 1, rest->n - id.n - 1};
	return id;
}

static int
ver_cmp_text(struct pm_str a, struct pm_str b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c != 0 ? c : ver_cmp_u64(a.n, b.n);
}

/* Numeric identifiers are below others and compare as numbers. */
static int
ver_cmp_ident(struct pm_str a, struct pm_str b)
{
	bool na = ver_all_digits(a.p, a.n), nb = ver_all_digits(b.p, b.n);

	if (na != nb)
		return na ? -1 : 1;
	if (na && a.n != b.n) /* no leading zeros: longer is larger */
		return ver_cmp_u64(a.n, b.n);
	return ver_cmp_text(a, b);
}

static int
ver_cmp_pre(struct pm_str a, struct pm_str b)
{
	int c;

	if (a.n == 0 || b.n == 0) /* a release is above its pre-releases */
		return (a.n == 0) - (b.n == 0);
	while (a.n > 0 && b.n > 0) {
		c = ver_cmp_ident(ver_next_ident(&a), ver_next_ident(&b));
		if (c != 0)
			return c;
	}
	return (a.n > 0) - (b.n > 0);
}

int
pm_version_cmp(const struct pm_version *a, const struct pm_version *b)
{
	int c = ver_cmp_u64(a->major, b->major);

	if (c == 0)
		c = ver_cmp_u64(a->minor, b->minor);
	if (c == 0)
		c = ver_cmp_u64(a->patch, b->patch);
	return c != 0 ? c : ver_cmp_pre(a->pre, b->pre);
}

bool
pm_version_at_least(const struct pm_version *v, uint32_t since)
{
	struct pm_version want = {.major = since >> 20,
	    .minor = since >> 10 & 0x3ff,
	    .patch = since & 0x3ff,
	    .pre = PM_STR(""),
	    .build = PM_STR("")};

	if (since == 0)
		return true;
	return v->pre.n == 0 && pm_version_cmp(v, &want) >= 0;
}

bool
pm_text_at_least(struct pm_str s, uint32_t since)
{
	struct pm_version v;

	if (since == 0)
		return true;
	return pm_version_parse(s, &v, NULL) == 0 &&
	       pm_version_at_least(&v, since);
}
