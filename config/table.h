/* table: the rows of config/table.def. */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cfg_type {
	CFG_T_OBJ,
	CFG_T_OBJS,
	CFG_T_LABELS,
	/* one value, from here */
	CFG_T_BOOL,
	CFG_T_INT,
	CFG_T_NAME,    /* [a-z0-9-] */
	CFG_T_OBJECT,  /* [a-z0-9.-], the name of a Kubernetes object */
	CFG_T_CLUSTER, /* a cluster's name, see config/name.h */
	CFG_T_TEXT,
	CFG_T_ENUM,
	CFG_T_PATH,
	CFG_T_LISTEN, /* ADDRESS:PORT */
	CFG_T_HOST,
	CFG_T_URL,
	CFG_T_CIDR,
	CFG_T_CA,
	CFG_T_SHA256,
	CFG_T_TARGETS, /* KIND/NAME pattern */
	CFG_N_TYPES
};

enum cfg_flag {
	CFG_RELOAD = 1,
	CFG_REQUIRED = 2,
	CFG_MANY = 4,
	CFG_INTERNAL = 8,
};

struct cfg_row {
	const char *path;
	enum cfg_type type;
	const char *choices;
	int64_t min;
	int64_t max;
	const char *dflt;
	unsigned flags; /* enum cfg_flag */
	unsigned see;   /* bits 1 << enum ipc_role */
	const char *help;
};

/* All rows, in the order of the table. */
const struct cfg_row *cfg_rows(size_t *count_r);
/*
 * The next row right below prefix ("" the top, "a." a mapping, "a[]." the
 * items of a list) after row; NULL starts, NULL ends.
 */
const struct cfg_row *cfg_row_next(
    const char *prefix, const struct cfg_row *row);
/* The last part of the row's path: the key itself. */
const char *cfg_row_key(const struct cfg_row *row);
/* The prefix of what is below an OBJ or OBJS row. */
void cfg_row_prefix(const struct cfg_row *row, char *out, size_t cap);
/*
 * The row that key means below prefix: its name, an alias of it, or its name
 * in snake_case. NULL when unknown.
 */
const struct cfg_row *cfg_row_find(const char *prefix, const char *key);
/* The row below prefix whose key looks most like key; NULL: none does. */
const struct cfg_row *cfg_row_like(const char *prefix, const char *key);

#endif
