/*
 * pm_uri: acceptance here is acceptance there. Peers refuse a whole message
 * for a URI they cannot parse, so these rules are theirs, laxer than RFC 3986
 * in paths and queries (raw UTF-8, braces and quotes pass) and free of
 * percent-encoding checks.
 */
#include "protocol/pm_uri.h"

#include <strings.h>

#include "protocol/pm_text.h"

#define URI_MAX_BYTES 65534
#define URI_SCHEME_MAX_BYTES 64
#define URI_COLONS_MAX                                        \
	8 /* before anything tells that they are an IPv6 host \
	   */

static bool
uri_is_alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

static bool
uri_in(unsigned char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static bool
uri_is_path_char(unsigned char c)
{
	return c > 0x20 && c != 0x7f && !uri_in(c, "#<>?`");
}

static bool
uri_is_query_char(unsigned char c)
{
	return c > 0x20 && c != 0x7f && !uri_in(c, "\"#<>");
}

/*
 * Takes "scheme://" from the front of *rest. *out stays NULL when there is
 * none; an empty scheme is one. False when it is too long.
 */
static bool
uri_scheme(struct pm_str *rest, struct pm_str *out)
{
	const char *s = rest->p;
	size_t i = 0;

	while (i < rest->n && (uri_is_alnum((unsigned char)s[i]) ||
				  uri_in((unsigned char)s[i], "+-.~")))
		i++;
	if (rest->n - i < 3 || memcmp(s + i, "://", 3) != 0)
		return true;
	*out = (struct pm_str){s, i};
	*rest = (struct pm_str){s + i + 3, rest->n - i - 3};
	return i <= URI_SCHEME_MAX_BYTES;
}

/* What an authority has shown so far. */
struct uri_host {
	unsigned colons;
	bool open, closed; /* a bracket was */
	bool percent;      /* outside user info and brackets */
	bool at_end;       /* an @ was the last thing */
};

static bool
uri_host_char(struct uri_host *h, unsigned char c)
{
	h->at_end = false;
	switch (c) {
	case '%':
		h->percent = true;
		return true;
	case ':':
		return ++h->colons <= URI_COLONS_MAX;
	case '[':
		if (h->percent || h->open)
			return false;
		h->open = true;
		return true;
	case ']':
		if (!h->open || h->closed)
			return false;
		h->closed = true;
		h->colons = 0; /* they were the address's */
		h->percent = false;
		return true;
	case '@':
		h->at_end = true;
		h->colons = 0; /* they were the user's */
		h->percent = false;
		return true;
	default:
		return uri_is_alnum(c) || uri_in(c, "!$&'()*+,-.;=_~");
	}
}

/* Takes the authority from the front of *rest. */
static bool
uri_authority(struct pm_str *rest, struct pm_str *out)
{
	struct uri_host h = {0};
	size_t i;

	for (i = 0; i < rest->n; i++) {
		if (uri_in((unsigned char)rest->p[i], "/?#"))
			break;
		if (!uri_host_char(&h, (unsigned char)rest->p[i]))
			return false;
	}
	*out = (struct pm_str){rest->p, i};
	*rest = (struct pm_str){rest->p + i, rest->n - i};
	return i > 0 && h.open == h.closed && h.colons <= 1 && !h.at_end &&
	       !h.percent;
}

/* Path and query; *s is empty or begins with '/', '?' or '#'. */
static bool
uri_path(struct pm_str s, struct pm_uri *out)
{
	size_t i = 0, q;

	while (i < s.n && uri_is_path_char((unsigned char)s.p[i]))
		i++;
	out->path = i == 0 ? PM_STR("/") : (struct pm_str){s.p, i};
	q = i;
	if (i < s.n && s.p[i] == '?')
		for (i++; i < s.n && uri_is_query_char((unsigned char)s.p[i]);)
			i++;
	out->query = (struct pm_str){s.p + q, i - q};
	return i == s.n || s.p[i] == '#';
}

static struct pm_str
uri_canonical_scheme(struct pm_str scheme)
{
	static const char *const known[] = {"http", "https"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (scheme.n == strlen(known[i]) &&
		    strncasecmp(scheme.p, known[i], scheme.n) == 0)
			return pm_str(known[i]);
	return scheme;
}

bool
pm_uri_parse(struct pm_str s, struct pm_uri *out)
{
	struct pm_str rest = s;

	memset(out, 0, sizeof(*out));
	if (s.n == 0 || s.n > URI_MAX_BYTES)
		return false;
	if (pm_str_eq(s, PM_STR("*"))) {
		out->path = s;
		return true;
	}
	if (s.p[0] == '/')
		return uri_path(s, out);
	if (!uri_scheme(&rest, &out->scheme) ||
	    !uri_authority(&rest, &out->authority))
		return false;
	if (out->scheme.p == NULL) /* an authority stands alone */
		return rest.n == 0;
	out->scheme = uri_canonical_scheme(out->scheme);
	return uri_path(rest, out);
}

static char *
uri_append(char *at, struct pm_str s)
{
	if (s.p != NULL)
		memcpy(at, s.p, s.n);
	return at + s.n;
}

int
pm_uri_normalise(struct arena *a, struct pm_str *s)
{
	struct pm_uri u;
	struct pm_str sep = PM_STR("://");
	size_t n;
	char *p, *at;

	if (!pm_uri_parse(*s, &u))
		return -ERR_INVALID;
	if (u.scheme.p == NULL)
		sep.n = 0;
	n = u.scheme.n + sep.n + u.authority.n + u.path.n + u.query.n;
	if (u.scheme.p == NULL && n == s->n) /* there was no fragment */
		return 0;
	p = arena_alloc(a, n);
	if (p == NULL)
		return -ERR_NOMEM;
	at = uri_append(p, u.scheme);
	at = uri_append(at, sep);
	at = uri_append(at, u.authority);
	at = uri_append(at, u.path);
	uri_append(at, u.query);
	*s = (struct pm_str){p, n};
	return 0;
}
