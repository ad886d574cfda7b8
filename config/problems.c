#include "config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/internal.h"
#include "lib/str.h"

enum { MAX_PROBLEMS = 1000 };

int
cfg_problem_add(struct cfg_problems *p, const char *file, unsigned line,
    unsigned column, bool warning, const char *text)
{
	struct cfg_problem one = {.line = line,
	    .column = column,
	    .warning = warning,
	    .file = strdup(file),
	    .text = strdup(text)};
	struct cfg_problem *more;

	*(warning ? &p->warnings : &p->errors) += 1;
	if (p->count >= MAX_PROBLEMS || one.file == NULL || one.text == NULL)
		goto fail;
	more = realloc(p->list, (p->count + 1) * sizeof *more);
	if (more == NULL)
		goto fail;
	p->list = more;
	p->list[p->count++] = one;
	return 0;
fail:
	free(one.file);
	free(one.text);
	return p->count >= MAX_PROBLEMS ? 0 : -ERR_NOMEM;
}

static void
add(struct cfg_load *l, const struct yml_node *at, bool warning,
    const char *fmt, va_list ap)
{
	char text[1024];
	int rc;

	vsnprintf(text, sizeof text, fmt, ap);
	for (char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?'; /* a line of a log stays one line */
	}
	rc = cfg_problem_add(l->problems, at != NULL ? at->file : l->path,
	    at != NULL ? at->line : 0, at != NULL ? at->column : 0, warning,
	    text);
	if (rc != 0)
		l->nomem = true;
}

void
cfg_error(struct cfg_load *l, const struct yml_node *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(l, at, false, fmt, ap);
	va_end(ap);
}

void
cfg_warn(struct cfg_load *l, const struct yml_node *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(l, at, true, fmt, ap);
	va_end(ap);
}

void
cfg_on_yaml(void *arg, const char *file, unsigned line, unsigned column,
    const char *text)
{
	struct cfg_load *l = arg;

	if (cfg_problem_add(l->problems, file, line, column, false, text) != 0)
		l->nomem = true;
}

/* By file, line and column; a stable sort keeps the order of the rules. */
void
cfg_problems_sort(struct cfg_problems *p, const char *own_file)
{
	for (size_t i = 1; i < p->count; i++) {
		struct cfg_problem one = p->list[i];
		bool own = strcmp(one.file, own_file) == 0;
		size_t j = i;

		for (; j > 0; j--) {
			const struct cfg_problem *b = &p->list[j - 1];
			bool b_own = strcmp(b->file, own_file) == 0;
			int files = own != b_own ? (b_own ? -1 : 1)
						 : strcmp(b->file, one.file);

			if (files < 0 || (files == 0 && b->line < one.line) ||
			    (files == 0 && b->line == one.line &&
				b->column <= one.column))
				break;
			p->list[j] = *b;
		}
		p->list[j] = one;
	}
}

void
cfg_problems_free(struct cfg_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		free(problems->list[i].file);
		free(problems->list[i].text);
	}
	free(problems->list);
	memset(problems, 0, sizeof *problems);
}

void
cfg_problems_print(const struct cfg_problems *problems, FILE *out)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct cfg_problem *p = &problems->list[i];

		fputs(p->file, out);
		if (p->line != 0)
			fprintf(out, ":%u:%u", p->line, p->column);
		fprintf(
		    out, ": %s%s\n", p->warning ? "warning: " : "", p->text);
	}
}
