#include "config.h"

#include "lib/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

int
str_fmt(char *out, size_t cap, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out, cap, fmt, ap);
	va_end(ap);
	return n < 0 || (size_t)n >= cap ? -1 : 0;
}

bool
str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool
str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

static bool
str_to_num(const char *s, int base, uint64_t *out)
{
	char *end;

	if (*s == '\0' || strlen(s) > 20)
		return false;
	for (const char *c = s; *c != '\0'; c++) {
		bool digit = *c >= '0' && *c <= '9';
		bool hex = (*c >= 'a' && *c <= 'f') || (*c >= 'A' && *c <= 'F');
		if (!digit && !(hex && base == 16))
			return false;
	}
	errno = 0;
	*out = strtoull(s, &end, base);
	return errno == 0 && *end == '\0';
}

bool
str_to_u64(const char *s, uint64_t *out)
{
	return str_to_num(s, 10, out);
}

bool
str_hex_to_u64(const char *s, uint64_t *out)
{
	return str_to_num(s, 16, out);
}

bool
str_to_u16(const char *s, uint16_t *out)
{
	uint64_t v;

	if (!str_to_num(s, 10, &v) || v > 65535)
		return false;
	*out = (uint16_t)v;
	return true;
}

bool
str_wildcard(const char *pattern, const char *s)
{
	const char *star = NULL, *mark = NULL;

	while (*s != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			mark = s;
		} else if (*pattern == '?' || *pattern == *s) {
			pattern++;
			s++;
		} else if (star != NULL) {
			pattern = star + 1;
			s = ++mark;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

/* Length of the sequence that starts with byte c; 0 when none does. */
static size_t
utf8_len(uint8_t c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef)
		return 3;
	if (c >= 0xf0 && c <= 0xf4)
		return 4;
	return 0;
}

bool
str_utf8_valid(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		size_t len = utf8_len(p[i]);

		if (len == 0 || len > n - i)
			return false;
		for (size_t k = 1; k < len; k++) {
			if ((p[i + k] & 0xc0) != 0x80)
				return false;
		}
		if ((p[i] == 0xe0 && p[i + 1] < 0xa0) || /* overlong */
		    (p[i] == 0xed && p[i + 1] > 0x9f) || /* surrogate */
		    (p[i] == 0xf0 && p[i + 1] < 0x90) ||
		    (p[i] == 0xf4 && p[i + 1] > 0x8f))
			return false;
		i += len;
	}
	return true;
}

int
str_hex_encode(struct buf *out, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	int rc = buf_reserve(out, n * 2);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		uint8_t *t = buf_tail(out);

		t[0] = (uint8_t)digits[p[i] >> 4];
		t[1] = (uint8_t)digits[p[i] & 15];
		buf_commit(out, 2);
	}
	return 0;
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

int
str_hex_decode(struct buf *out, const char *s, size_t n)
{
	if (n % 2 != 0)
		return -ERR_INVALID;
	for (size_t i = 0; i < n; i += 2) {
		int hi = hex_digit(s[i]), lo = hex_digit(s[i + 1]), rc;

		if (hi < 0 || lo < 0)
			return -ERR_INVALID;
		rc = buf_append_u8(out, (uint8_t)(hi << 4 | lo));
		if (rc < 0)
			return rc;
	}
	return 0;
}

int
str_base64_encode(struct buf *out, const uint8_t *p, size_t n, bool pad)
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/";
	int rc = buf_reserve(out, (n + 2) / 3 * 4);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)p[i] << 16;
		uint8_t *t = buf_tail(out);
		size_t k = 2;

		if (left > 1)
			v |= (uint32_t)p[i + 1] << 8;
		if (left > 2)
			v |= p[i + 2];
		t[0] = (uint8_t)abc[v >> 18];
		t[1] = (uint8_t)abc[v >> 12 & 63];
		if (left > 1)
			t[k++] = (uint8_t)abc[v >> 6 & 63];
		if (left > 2)
			t[k++] = (uint8_t)abc[v & 63];
		while (pad && k < 4)
			t[k++] = '=';
		buf_commit(out, k);
	}
	return 0;
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

int
str_base64_decode(struct buf *out, const char *s, size_t n)
{
	uint32_t v = 0;
	unsigned bits = 0, digits = 0;
	bool ended = false;

	for (size_t i = 0; i < n; i++) {
		int d, rc;

		if (s[i] == '\n' || s[i] == '\r' || s[i] == ' ' || s[i] == '\t')
			continue;
		if (s[i] == '=') {
			ended = true;
			continue;
		}
		d = base64_digit(s[i]);
		if (d < 0 || ended)
			return -ERR_INVALID;
		digits++;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		rc = buf_append_u8(out, (uint8_t)(v >> bits));
		if (rc < 0)
			return rc;
	}
	return digits % 4 == 1 ? -ERR_INVALID : 0;
}

int
str_form_encode(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i];
		int rc;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '*' || c == '-' ||
		    c == '.' || c == '_')
			rc = buf_append_u8(out, c);
		else if (c == ' ')
			rc = buf_append_u8(out, '+');
		else
			rc = buf_printf(out, "%%%02X", c);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int
str_form_decode(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		int rc;

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int hi, lo;

			if (n - i < 3)
				return -ERR_INVALID;
			hi = hex_digit(s[i + 1]);
			lo = hex_digit(s[i + 2]);
			if (hi < 0 || lo < 0)
				return -ERR_INVALID;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if (c == '\0')
			return -ERR_INVALID;
		rc = buf_append_u8(out, (uint8_t)c);
		if (rc < 0)
			return rc;
	}
	return 0;
}
