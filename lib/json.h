/* json: checked access to cJSON trees that came from outside. */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"

/* Parses n bytes, depth-limited by cJSON. NULL with *e set. Owned. */
cJSON *json_parse(const void *p, size_t n, struct err *e);
/* Compact text appended to out. */
int json_print(const cJSON *v, struct buf *out);
/* The text of a string member, or dflt when missing or of another type. */
const char *json_str(const cJSON *obj, const char *key, const char *dflt);
bool json_bool(const cJSON *obj, const char *key, bool dflt);
/* A whole number in [min, max], or dflt. */
int64_t json_int(
    const cJSON *obj, const char *key, int64_t min, int64_t max, int64_t dflt);
/* The member by a dotted path "a.b.c"; NULL when any part is missing. */
cJSON *json_at(const cJSON *obj, const char *path);

#endif
