#include "config.h"

#include "config/table.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "ipc/ipc.h"
#include "lib/str.h"

enum {
	FE = 1 << IPC_FE,
	SF = 1 << IPC_SF,
	SEC = 1 << IPC_SEC,
	CON = 1 << IPC_CON,
	CLU = 1 << IPC_CLU,
	OWN = 1 << IPC_OWN,
	RELOAD = CFG_RELOAD,
	REQUIRED = CFG_REQUIRED,
	MANY = CFG_MANY,
	INTERNAL = CFG_INTERNAL,
	MAX_KEY_BYTES = 64,
};

static const struct cfg_row rows[] = {
#define CFG_ALIAS(path, other)
#define CFG(path, type, choices, min, max, dflt, flags, see, help) \
	{path, CFG_T_##type, choices, min, max, dflt, flags, see, help},
#include "config/table.def"
#undef CFG
#undef CFG_ALIAS
};

static const struct {
	const char *path;
	const char *other;
} aliases[] = {
#define CFG(...)
#define CFG_ALIAS(path, other) {path, other},
#include "config/table.def"
#undef CFG
#undef CFG_ALIAS
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

const struct cfg_row *
cfg_rows(size_t *count_r)
{
	*count_r = N_ROWS;
	return rows;
}

const struct cfg_row *
cfg_row_next(const char *prefix, const struct cfg_row *row)
{
	size_t n = strlen(prefix);

	for (row = row == NULL ? rows : row + 1; row < rows + N_ROWS; row++) {
		if (strncmp(row->path, prefix, n) == 0 &&
		    strchr(row->path + n, '.') == NULL)
			return row;
	}
	return NULL;
}

const char *
cfg_row_key(const struct cfg_row *row)
{
	const char *dot = strrchr(row->path, '.');

	return dot == NULL ? row->path : dot + 1;
}

void
cfg_row_prefix(const struct cfg_row *row, char *out, size_t cap)
{
	(void)str_fmt(
	    out, cap, "%s%s.", row->path, row->type == CFG_T_OBJS ? "[]" : "");
}

static bool
is_snake_case(const char *key, const char *camel)
{
	for (; *camel != '\0'; camel++, key++) {
		if (isupper((unsigned char)*camel) && *key++ != '_')
			return false;
		if (*key != tolower((unsigned char)*camel))
			return false;
	}
	return *key == '\0';
}

static bool
is_alias(const char *key, const char *path)
{
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
		if (strcmp(aliases[i].path, path) == 0 &&
		    (strcmp(aliases[i].other, key) == 0 ||
			is_snake_case(key, aliases[i].other)))
			return true;
	}
	return false;
}

const struct cfg_row *
cfg_row_find(const char *prefix, const char *key)
{
	const struct cfg_row *row = NULL;

	while ((row = cfg_row_next(prefix, row)) != NULL) {
		const char *name = cfg_row_key(row);

		if ((row->flags & CFG_INTERNAL) != 0)
			continue;
		if (strcmp(name, key) == 0 || is_snake_case(key, name) ||
		    is_alias(key, row->path))
			return row;
	}
	return NULL;
}

/* Edits between two keys, letters of either case alike (Levenshtein). */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[MAX_KEY_BYTES + 1];
	size_t n = strlen(b);

	if (n > MAX_KEY_BYTES || strlen(a) > MAX_KEY_BYTES)
		return UINT_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < n; j++) {
			bool same = tolower((unsigned char)a[i]) ==
				    tolower((unsigned char)b[j]);
			unsigned best = diagonal + (same ? 0 : 1);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}

const struct cfg_row *
cfg_row_like(const char *prefix, const char *key)
{
	const struct cfg_row *row = NULL, *best = NULL;
	unsigned least = (unsigned)strlen(key) / 3 + 1;

	while ((row = cfg_row_next(prefix, row)) != NULL) {
		unsigned d = distance(key, cfg_row_key(row));

		if ((row->flags & CFG_INTERNAL) == 0 && d < least + 1) {
			least = d;
			best = row;
		}
		if (least == 0)
			break;
	}
	return best;
}
