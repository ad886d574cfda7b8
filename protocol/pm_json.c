/* pm_json: a JSON reader and writer without a tree (RFC 8259). */
#include "protocol/pm_json.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/str.h"

/* ---- writing ---- */

int
pm_json_put(struct buf *out, const char *literal)
{
	return buf_append(out, literal, strlen(literal));
}

int
pm_json_put_text(struct buf *out, const char *p, size_t n)
{
	size_t from = 0;
	int rc = buf_append_u8(out, '"');

	for (size_t i = 0; rc == 0 && i <= n; i++) {
		bool end = i == n;
		unsigned char c = end ? '"' : (unsigned char)p[i];

		if (!end && c >= 0x20 && c != '"' && c != '\\')
			continue;
		if (i > from)
			rc = buf_append(out, p + from, i - from);
		from = i + 1;
		if (rc == 0 && !end && c < 0x20)
			rc = buf_printf(out, "\\u%04x", c);
		else if (rc == 0 && !end)
			rc = buf_printf(out, "\\%c", c);
	}
	return rc != 0 ? rc : buf_append_u8(out, '"');
}

int
pm_json_put_hex(struct buf *out, const uint8_t *p, size_t n)
{
	int rc = buf_append_u8(out, '"');

	if (rc == 0 && n > 0)
		rc = str_hex_encode(out, p, n);
	return rc != 0 ? rc : buf_append_u8(out, '"');
}

/* ---- reading ---- */

void
pm_json_in_init(struct pm_json_in *in, struct arena *a, const char *s, size_t n,
    struct err *e)
{
	s = n == 0 ? "" : s; /* it may be NULL then */
	*in = (struct pm_json_in){s, s, s + n, a, e};
}

int
pm_json_bad(struct pm_json_in *in, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(in->e, ERR_INVALID, "%s", text);
	if (in->e != NULL)
		in->e->offset = (uint64_t)(in->p - in->base);
	return -ERR_INVALID;
}

char
pm_json_peek(struct pm_json_in *in)
{
	while (in->p < in->end && (*in->p == ' ' || *in->p == '\t' ||
				      *in->p == '\n' || *in->p == '\r'))
		in->p++;
	return in->p < in->end ? *in->p : '\0';
}

bool
pm_json_take(struct pm_json_in *in, char c)
{
	if (pm_json_peek(in) != c || in->p == in->end)
		return false;
	in->p++;
	return true;
}

int
pm_json_expect(struct pm_json_in *in, char c)
{
	return pm_json_take(in, c) ? 0 : pm_json_bad(in, "'%c' expected", c);
}

int
pm_json_more(struct pm_json_in *in, char close)
{
	if (pm_json_take(in, ','))
		return 1;
	return pm_json_take(in, close)
		   ? 0
		   : pm_json_bad(in, "',' or '%c' expected", close);
}

int
pm_json_word(struct pm_json_in *in, const char *word)
{
	size_t n = strlen(word);

	pm_json_peek(in);
	if ((size_t)(in->end - in->p) < n || memcmp(in->p, word, n) != 0)
		return pm_json_bad(in, "%s expected", word);
	in->p += n;
	return 0;
}

int
pm_json_end(struct pm_json_in *in)
{
	pm_json_peek(in);
	return in->p == in->end ? 0
				: pm_json_bad(in, "text behind the message");
}

/* Four hex digits at p; -1 when they are not there. */
static int
json_hex4(const char *p, const char *end)
{
	char digits[5] = "";
	uint64_t v;

	if (end - p < 4)
		return -1;
	memcpy(digits, p, 4);
	return strlen(digits) == 4 && str_hex_to_u64(digits, &v) ? (int)v : -1;
}

static char *
json_put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (c & 0x3f));
	return out;
}

/* \uXXXX at in->p (behind the u), a surrogate pair as one character. */
static int
json_unicode(struct pm_json_in *in, const char *end, char **out)
{
	int c = json_hex4(in->p, end), low;

	if (c < 0)
		return pm_json_bad(in, "four hex digits expected");
	in->p += 4;
	if (c >= 0xdc00 && c <= 0xdfff)
		return pm_json_bad(in, "half a surrogate pair");
	if (c >= 0xd800 && c <= 0xdbff) {
		low = end - in->p >= 6 && in->p[0] == '\\' && in->p[1] == 'u'
			  ? json_hex4(in->p + 2, end)
			  : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return pm_json_bad(in, "half a surrogate pair");
		in->p += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*out = json_put_utf8(*out, (uint32_t)c);
	return 0;
}

/* One escape at in->p, behind the backslash. */
static int
json_escape(struct pm_json_in *in, const char *end, char **out)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *hit;
	char c = in->p < end ? *in->p : '\0';

	if (c == 'u') {
		in->p++;
		return json_unicode(in, end, out);
	}
	hit = c == '\0' ? NULL : strchr(from, c);
	if (hit == NULL)
		return pm_json_bad(in, "not an escape");
	in->p++;
	*(*out)++ = to[hit - from];
	return 0;
}

/* The text between in->p and end has escapes: write it out without them. */
static int
json_unescape(struct pm_json_in *in, const char *end, struct pm_str *out)
{
	char *text = arena_alloc(in->a, (size_t)(end - in->p)), *at = text;
	int rc = 0;

	if (text == NULL)
		return err_nomem(in->e);
	while (rc == 0 && in->p < end)
		if (*in->p == '\\') {
			in->p++;
			rc = json_escape(in, end, &at);
		} else {
			*at++ = *in->p++;
		}
	*out = (struct pm_str){text, (size_t)(at - text)};
	return rc;
}

int
pm_json_text(struct pm_json_in *in, struct pm_str *out)
{
	const char *start, *q;
	bool escapes = false;
	int rc = 0;

	if (!pm_json_take(in, '"'))
		return pm_json_bad(in, "a string expected");
	start = in->p;
	for (q = start; q < in->end && *q != '"'; q++) {
		if ((unsigned char)*q < 0x20)
			break;
		if (*q == '\\') {
			escapes = true;
			q++; /* may step on the end: caught below */
		}
	}
	if (q >= in->end || *q != '"')
		return pm_json_bad(in, "the string does not end");
	if (!str_utf8_valid((const uint8_t *)start, (size_t)(q - start)))
		return pm_json_bad(in, "the string is not UTF-8");
	*out = (struct pm_str){start, (size_t)(q - start)};
	if (escapes)
		rc = json_unescape(in, q, out);
	if (rc == 0)
		in->p = q + 1;
	return rc;
}

int
pm_json_integer(struct pm_json_in *in, struct pm_str *out)
{
	const char *start;

	if (pm_json_peek(in) == '"')
		return pm_json_text(in, out);
	start = in->p;
	if (in->p < in->end && *in->p == '-')
		in->p++;
	while (in->p < in->end && *in->p >= '0' && *in->p <= '9')
		in->p++;
	*out = (struct pm_str){start, (size_t)(in->p - start)};
	if (out->n == 0 || (in->p < in->end && strchr(".eE", *in->p) != NULL &&
			       *in->p != '\0'))
		return pm_json_bad(in, "an integer expected");
	return 0;
}
