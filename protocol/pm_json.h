/*
 * pm_json: reading and writing JSON text piece by piece. Not a tree: the
 * walkers know what comes next. Text may hold NUL, numbers keep all digits.
 */
#ifndef PROTOCOL_PM_JSON_H
#define PROTOCOL_PM_JSON_H

#include "protocol/mirrord.h"

/* ---- writing: appends to out; 0 or the error of buf_append ---- */

int pm_json_put(struct buf *out, const char *literal);
int pm_json_put_text(struct buf *out, const char *p, size_t n);
int pm_json_put_hex(struct buf *out, const uint8_t *p, size_t n);

/* ---- reading ---- */

struct pm_json_in {
	const char *base, *p, *end;
	struct arena *a; /* unescaped text goes here */
	struct err *e;
};

void pm_json_in_init(struct pm_json_in *in, struct arena *a, const char *s,
    size_t n, struct err *e);
/* The next character that is no white space; '\0' at the end. Not taken. */
char pm_json_peek(struct pm_json_in *in);
/* Takes the next character if it is c (white space before it goes too). */
bool pm_json_take(struct pm_json_in *in, char c);
/* As pm_json_take; -ERR_INVALID when it is another one. */
int pm_json_expect(struct pm_json_in *in, char c);
/* After an item: 1 when a ',' was taken, 0 when close was, or -ERR_INVALID. */
int pm_json_more(struct pm_json_in *in, char close);
/* A string; valid UTF-8, borrowed where it has no escapes. */
int pm_json_text(struct pm_json_in *in, struct pm_str *out);
/* An integer of any size as text; also one written as a string. */
int pm_json_integer(struct pm_json_in *in, struct pm_str *out);
/* One of the words true, false, null, told apart by their first letter. */
int pm_json_word(struct pm_json_in *in, const char *word);
/* Nothing but white space is left. */
int pm_json_end(struct pm_json_in *in);
int pm_json_bad(struct pm_json_in *in, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
