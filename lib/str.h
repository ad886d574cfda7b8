/* str: text helpers with explicit bounds. */
#ifndef LIB_STR_H
#define LIB_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

/* snprintf that reports truncation: 0, or -1 when it did not fit. */
int str_fmt(char *out, size_t cap, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Whole-string numbers without sign or blanks; false when malformed. */
bool str_to_u64(const char *s, uint64_t *out);
bool str_to_u16(const char *s, uint16_t *out);
bool str_hex_to_u64(const char *s, uint64_t *out);
/* Wildcards * and ?, case sensitive; linear in practice (no recursion). */
bool str_wildcard(const char *pattern, const char *s);
/* Valid UTF-8 without surrogates and overlong forms. */
bool str_utf8_valid(const uint8_t *p, size_t n);

int str_hex_encode(struct buf *out, const uint8_t *p, size_t n);
/* Even number of hex digits, either case. -ERR_INVALID otherwise. */
int str_hex_decode(struct buf *out, const char *s, size_t n);
/* Standard alphabet; padded or not. */
int str_base64_encode(struct buf *out, const uint8_t *p, size_t n, bool pad);
/* Accepts both alphabets, padding optional, white space skipped. */
int str_base64_decode(struct buf *out, const char *s, size_t n);
/* application/x-www-form-urlencoded: A-Za-z0-9*-._ stay, space is '+'. */
int str_form_encode(struct buf *out, const char *s, size_t n);
/* Decodes %XX and '+'. -ERR_INVALID for a broken escape or a NUL. */
int str_form_decode(struct buf *out, const char *s, size_t n);

#endif
