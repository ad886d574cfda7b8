/*
 * yaml: a YAML text as a tree whose nodes know their line and column.
 *
 * One document, at most YML_MAX_BYTES long, YML_MAX_DEPTH deep and
 * YML_MAX_NODES wide with every alias expanded, so that no short text grows
 * into a large tree. Keys are scalars; a key given twice is reported.
 */
#ifndef LIB_YAML_H
#define LIB_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

enum {
	YML_MAX_BYTES = 1 << 20,
	YML_MAX_DEPTH = 32,
	YML_MAX_NODES = 65536,
	YML_MAX_ANCHORS = 1024,
};

enum yml_kind { YML_SCALAR, YML_LIST, YML_MAP };

struct yml_node {
	enum yml_kind kind;
	bool plain; /* scalar without quotes: may be a number, a bool, null */
	unsigned line;    /* 1-based */
	unsigned column;  /* 1-based */
	const char *file; /* borrowed from the caller of yml_parse */
	char *text;       /* scalar: NUL-terminated, no NUL inside */
	/* list: the items. map: the values, keys[i] being the key of items[i]
	 */
	struct yml_node **items;
	struct yml_node **keys;
	size_t count;
};

/* One finding; text is a whole sentence. */
typedef void yml_problem_fn(void *arg, const char *file, unsigned line,
    unsigned column, const char *text);

/*
 * Parses n bytes. file must live as long as the tree. *out is the tree, NULL
 * for an empty document. 0; -ERR_INVALID when anything was reported (*out is
 * what could be read, or NULL); -ERR_NOMEM.
 */
int yml_parse(const char *file, const char *p, size_t n,
    yml_problem_fn *problem, void *arg, struct yml_node **out);
/* Reads the file, at most YML_MAX_BYTES. Failures are reported as line 0. */
int yml_parse_file(const char *file, yml_problem_fn *problem, void *arg,
    struct yml_node **out);
/* Places of items and keys that were moved elsewhere may be NULL. */
void yml_free(struct yml_node **node);

/* The value of a key in a map, or NULL. */
struct yml_node *yml_get(const struct yml_node *map, const char *key);
/* The empty plain scalar, "~" or "null". */
bool yml_is_null(const struct yml_node *node);
/* Moves key and value (both taken on success) to the end. -ERR_NOMEM. */
int yml_map_add(
    struct yml_node *map, struct yml_node *key, struct yml_node *value);
/* Moves an item (taken on success) to the end. -ERR_NOMEM. */
int yml_list_add(struct yml_node *list, struct yml_node *item);
/* A new empty node at the place of like. NULL when out of memory. */
struct yml_node *yml_new(enum yml_kind kind, const struct yml_node *like);

/* A new plain scalar at the place of like. NULL when out of memory. */
struct yml_node *yml_new_text(const char *text, const struct yml_node *like);

#endif
