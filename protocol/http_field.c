/* Looking things up in a parsed head; paths and queries. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/str.h"
#include "protocol/http.h"

bool
http_field_is(const struct http_field *f, const char *name)
{
	return strcasecmp(f->name, name) == 0;
}

const char *
http_get_next(const struct http_head *h, const char *name, size_t *pos)
{
	while (*pos < h->field_count) {
		const struct http_field *f = &h->fields[(*pos)++];

		if (http_field_is(f, name))
			return f->value;
	}
	return NULL;
}

const char *
http_get(const struct http_head *h, const char *name)
{
	size_t pos = 0;

	return http_get_next(h, name, &pos);
}

int
http_get_single(const struct http_head *h, const char *name, const char **value,
    struct err *e)
{
	size_t pos = 0;
	const char *v;

	*value = http_get_next(h, name, &pos);
	while ((v = http_get_next(h, name, &pos)) != NULL) {
		if (strcmp(v, *value) != 0)
			return err_set(e, ERR_INVALID,
			    "The header %s is there twice with different "
			    "values; send it once.",
			    name);
	}
	return 0;
}

static bool
list_has(const char *list, const char *token)
{
	size_t want = strlen(token);

	while (*list != '\0') {
		size_t n = strcspn(list, ",");
		const char *s = list;
		size_t len = n;

		while (len > 0 && (*s == ' ' || *s == '\t'))
			s++, len--;
		while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
			len--;
		if (len == want && strncasecmp(s, token, len) == 0)
			return true;
		list += n;
		if (*list == ',')
			list++;
	}
	return false;
}

bool
http_has_token(const struct http_head *h, const char *name, const char *token)
{
	size_t pos = 0;
	const char *v;

	while ((v = http_get_next(h, name, &pos)) != NULL) {
		if (list_has(v, token))
			return true;
	}
	return false;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes %XX of n bytes at s into *out (advanced and NUL-terminated). */
static int
decode_segment(const char *s, size_t n, char **out)
{
	char *d = *out;

	for (size_t i = 0; i < n; i++) {
		int hi, lo;

		if (s[i] != '%') {
			*d++ = s[i];
			continue;
		}
		hi = n - i > 2 ? hex_digit(s[i + 1]) : -1;
		lo = hi >= 0 ? hex_digit(s[i + 2]) : -1;
		if (lo < 0 || (hi * 16 + lo) == 0 || (hi * 16 + lo) == '/')
			return -ERR_INVALID;
		*d++ = (char)(hi * 16 + lo);
		i += 2;
	}
	*d++ = '\0';
	*out = d;
	return 0;
}

static int
path_bad(
    struct http_path *p, struct err *e, enum err_code code, const char *why)
{
	http_path_free(p);
	return err_set(e, code, "The path of the request %s.", why);
}

int
http_path_parse(const char *path, struct http_path *out, struct err *e)
{
	char *d;

	memset(out, 0, sizeof(*out));
	if (*path != '/')
		return path_bad(out, e, ERR_INVALID, "does not begin with /");
	d = out->store = malloc(strlen(path) + 1);
	if (d == NULL)
		return err_nomem(e);
	for (path++; *path != '\0';) {
		size_t n = strcspn(path, "/");
		const char *seg = d;

		if (out->count == HTTP_MAX_SEGMENTS)
			return path_bad(
			    out, e, ERR_TOO_BIG, "has too many segments");
		if (decode_segment(path, n, &d) < 0)
			return path_bad(
			    out, e, ERR_INVALID, "has a broken escape");
		if (*seg == '\0' || strcmp(seg, ".") == 0 ||
		    strcmp(seg, "..") == 0)
			return path_bad(out, e, ERR_INVALID,
			    "has an empty, \".\" or \"..\" segment");
		out->seg[out->count++] = seg;
		path += n;
		if (*path == '/') {
			path++;
			out->trailing_slash = *path == '\0';
		}
	}
	return 0;
}

void
http_path_free(struct http_path *p)
{
	free(p->store);
	memset(p, 0, sizeof(*p));
}

int
http_query_next(const char **pos, struct buf *name, struct buf *value)
{
	const char *s = *pos;
	size_t n, eq, end;
	int rc;

	s += strspn(s, "&");
	end = n = strcspn(s, "&");
	if (s[n] == '\0' && n > 0 && s[n - 1] == '?')
		end--; /* the client libraries' bare '?' at the end */
	*pos = s + n;
	if (end == 0)
		return 0;
	eq = 0;
	while (eq < end && s[eq] != '=')
		eq++;
	buf_clear(name);
	buf_clear(value);
	rc = str_form_decode(name, s, eq);
	if (rc == 0 && eq < end)
		rc = str_form_decode(value, s + eq + 1, end - eq - 1);
	return rc < 0 ? rc : 1;
}

int
http_query_get(const char *query, const char *name, struct buf *out)
{
	struct buf n;
	size_t want = strlen(name);
	int rc;

	buf_init(&n, HTTP_MAX_HEAD);
	while ((rc = http_query_next(&query, &n, out)) == 1) {
		if (n.len == want && memcmp(buf_data(&n), name, want) == 0)
			break;
	}
	buf_free(&n);
	if (rc == 0)
		buf_clear(out);
	return rc;
}
