/* env: the target's environment, and what of it a client may see (B.3). */
#ifndef AGENT_ENV_H
#define AGENT_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

struct env_entry {
	char *name; /* points into the table's text */
	char *value;
};

struct env_table {
	char *text;                /* owned */
	struct env_entry *entries; /* owned; names are unique */
	size_t count;
};

/*
 * From NAME=VALUE entries, each ended by NUL (a later one wins). Entries that
 * are no text (invalid UTF-8), have no '=' or no name are left out, and only
 * those.
 */
int env_table_init(struct env_table *t, const uint8_t *p, size_t n);
void env_table_free(struct env_table *t);

/* Patterns of wildcards; either may be empty. */
struct env_select {
	const char *const *include; /* none = everything */
	size_t include_count;
	const char *const *exclude;
	size_t exclude_count;
};
/* The built-in list of names that never leave the target is honoured too. */
bool env_selected(const struct env_select *s, const char *name);

#endif
