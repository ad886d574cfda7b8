/* table: aligned columns on a terminal. */
#ifndef CLIENT_TABLE_H
#define CLIENT_TABLE_H

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdio.h>

enum { CLI_TABLE_COLUMNS = 8 };

struct cli_table {
	const char *heads[CLI_TABLE_COLUMNS]; /* borrowed, ends with NULL */
	char **cells;                         /* owned, row by row */
	size_t n_cells;
};

/* heads: at most CLI_TABLE_COLUMNS, ends with a NULL. */
void cli_table_init(struct cli_table *t, const char *const *heads);
/*
 * The next cell, copied; rows fill up by themselves. What could steer a
 * terminal becomes '?'; NULL and "" become "-". Without memory: an empty cell.
 */
void cli_table_add(struct cli_table *t, const char *text);
void cli_table_addf(struct cli_table *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The strings (or numbers) of an array, with ", " between. */
void cli_table_add_list(struct cli_table *t, const cJSON *list);
/* "12s", "3m4s", "2h5m", "3d4h" */
void cli_table_add_age(struct cli_table *t, int64_t s);
void cli_table_print(const struct cli_table *t, FILE *out);
void cli_table_free(struct cli_table *t);

#endif
