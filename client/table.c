#include "config.h"

#include "client/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"

enum { TABLE_CELL_MAX = 4096 };

void
cli_table_init(struct cli_table *t, const char *const *heads)
{
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < CLI_TABLE_COLUMNS && heads[i] != NULL; i++)
		t->heads[i] = heads[i];
}

static size_t
columns(const struct cli_table *t)
{
	size_t n = 0;

	while (n < CLI_TABLE_COLUMNS && t->heads[n] != NULL)
		n++;
	return n;
}

void
cli_table_add(struct cli_table *t, const char *text)
{
	char **cells = realloc(t->cells, (t->n_cells + 1) * sizeof(*cells));
	char *copy;

	if (cells == NULL)
		return;
	t->cells = cells;
	copy = strndup(
	    text == NULL || text[0] == '\0' ? "-" : text, TABLE_CELL_MAX);
	for (char *c = copy; c != NULL && *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	cells[t->n_cells++] = copy;
}

void
cli_table_addf(struct cli_table *t, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_table_add(t, text);
}

void
cli_table_add_list(struct cli_table *t, const cJSON *list)
{
	const cJSON *v;
	struct buf b;

	buf_init(&b, TABLE_CELL_MAX);
	cJSON_ArrayForEach(v, list)
	{
		const char *sep = b.len > 0 ? ", " : "";

		if (cJSON_IsString(v))
			buf_printf(&b, "%s%s", sep, v->valuestring);
		else if (cJSON_IsNumber(v))
			buf_printf(&b, "%s%.0f", sep, v->valuedouble);
	}
	cli_table_add(t, buf_cstr(&b));
	buf_free(&b);
}

void
cli_table_add_age(struct cli_table *t, int64_t s)
{
	static const struct {
		int64_t from_s, unit_s, small_s;
		char unit, small;
	} forms[] = {
	    {86400, 86400, 3600, 'd', 'h'},
	    {3600, 3600, 60, 'h', 'm'},
	    {60, 60, 1, 'm', 's'},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s < forms[i].from_s)
			continue;
		cli_table_addf(t, "%" PRId64 "%c%" PRId64 "%c",
		    s / forms[i].unit_s, forms[i].unit,
		    s % forms[i].unit_s / forms[i].small_s, forms[i].small);
		return;
	}
	cli_table_addf(t, "%" PRId64 "s", s < 0 ? 0 : s);
}

static const char *
cell(const struct cli_table *t, size_t i)
{
	return i < t->n_cells && t->cells[i] != NULL ? t->cells[i] : "";
}

/* Characters, as a terminal counts them (UTF-8, no wide ones). */
static size_t
width(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void
print_row(const char *const *row, size_t n, const size_t *widths, FILE *out)
{
	for (size_t i = 0; i < n; i++) {
		fputs(row[i], out);
		for (size_t k = width(row[i]); i + 1 < n && k < widths[i] + 2;
		     k++)
			fputc(' ', out);
	}
	fputc('\n', out);
}

void
cli_table_print(const struct cli_table *t, FILE *out)
{
	size_t n = columns(t), widths[CLI_TABLE_COLUMNS] = {0};
	const char *row[CLI_TABLE_COLUMNS];

	for (size_t i = 0; i < n; i++)
		widths[i] = width(t->heads[i]);
	for (size_t i = 0; n > 0 && i < t->n_cells; i++) {
		if (width(cell(t, i)) > widths[i % n])
			widths[i % n] = width(cell(t, i));
	}
	print_row(t->heads, n, widths, out);
	for (size_t at = 0; n > 0 && at < t->n_cells; at += n) {
		for (size_t i = 0; i < n; i++)
			row[i] = cell(t, at + i);
		print_row(row, n, widths, out);
	}
}

void
cli_table_free(struct cli_table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	memset(t, 0, sizeof(*t));
}
