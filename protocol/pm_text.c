/* pm_text: checks of text kinds, and their normal forms. */
#include "protocol/pm_text.h"

#include <stdlib.h>

#include "lib/str.h"
#include "protocol/pm_uri.h"

#define HEADER_NAME_MAX_BYTES 65535

/* RFC 9110 token characters. */
static bool
pm_is_tchar(unsigned char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool
pm_is_token(struct pm_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!pm_is_tchar((unsigned char)s.p[i]))
			return false;
	return s.n > 0;
}

static bool
pm_is_utf8(struct pm_str s)
{
	return str_utf8_valid((const uint8_t *)s.p, s.n);
}

static bool
pm_is_semver(struct pm_str s)
{
	struct pm_version v;

	return pm_version_parse(s, &v, NULL) == 0;
}

static bool
pm_is_uri(struct pm_str s)
{
	struct pm_uri u;

	return pm_is_utf8(s) && pm_uri_parse(s, &u);
}

static bool
pm_is_httpver(struct pm_str s)
{
	static const char *const known[] = {
	    "HTTP/0.9", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (pm_str_eq(s, pm_str(known[i])))
			return true;
	return false;
}

static bool
pm_is_header_name(struct pm_str s)
{
	return s.n <= HEADER_NAME_MAX_BYTES && pm_is_token(s);
}

const char *
pm_text_wrong(enum pm_kind kind, struct pm_str s)
{
	static const struct {
		bool (*ok)(struct pm_str);
		const char *wrong;
	} rules[PM_K_COUNT] = {
	    [PM_K_STR] = {pm_is_utf8, "not UTF-8"},
	    [PM_K_SEMVER] = {pm_is_semver, "not a semantic version"},
	    [PM_K_METHOD] = {pm_is_token, "not an HTTP method"},
	    [PM_K_URI] = {pm_is_uri, "not a URI"},
	    [PM_K_HTTPVER] = {pm_is_httpver, "not an HTTP version"},
	    [PM_K_HEADER_NAME] = {pm_is_header_name, "not a header name"},
	};

	if (rules[kind].ok == NULL || rules[kind].ok(s))
		return NULL;
	return rules[kind].wrong;
}

bool
pm_header_value_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

static int
pm_lower(struct arena *a, struct pm_str *s)
{
	size_t i;
	char *p;

	for (i = 0; i < s->n && !(s->p[i] >= 'A' && s->p[i] <= 'Z'); i++)
		;
	if (i == s->n)
		return 0;
	p = arena_dup(a, s->p, s->n);
	if (p == NULL)
		return -ERR_NOMEM;
	for (; i < s->n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] += 'a' - 'A';
	s->p = p;
	return 0;
}

int
pm_text_normalise(enum pm_kind kind, struct arena *a, struct pm_str *s)
{
	if (kind == PM_K_URI)
		return pm_uri_normalise(a, s);
	return kind == PM_K_HEADER_NAME ? pm_lower(a, s) : 0;
}
