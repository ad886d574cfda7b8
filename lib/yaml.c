#include "config.h"

#include "lib/yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct anchor {
	char *name;
	const struct yml_node *node; /* complete; owned by the tree */
};

struct parse {
	yaml_parser_t parser;
	const char *file;
	yml_problem_fn *problem;
	void *arg;
	struct anchor *anchors;
	size_t n_anchors;
	size_t n_nodes;
	unsigned depth;
	bool reported;
};

static void report(struct parse *p, yaml_mark_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
report(struct parse *p, yaml_mark_t at, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	p->reported = true;
	p->problem(p->arg, p->file, (unsigned)at.line + 1,
	    (unsigned)at.column + 1, text);
}

static void
nomem(struct parse *p)
{
	report(p, p->parser.mark, "There is not enough memory for this file.");
}

/* One more node; false when the tree may not grow. */
static bool
may_grow(struct parse *p, yaml_mark_t at)
{
	if (p->n_nodes++ < YML_MAX_NODES)
		return true;
	report(p, at, "There are more than %d values; make the file smaller.",
	    YML_MAX_NODES);
	return false;
}

static struct yml_node *
node_at(struct parse *p, enum yml_kind kind, yaml_mark_t at)
{
	struct yml_node *node;

	if (!may_grow(p, at))
		return NULL;
	node = yml_new(kind, NULL);
	if (node == NULL) {
		nomem(p);
		return NULL;
	}
	node->file = p->file;
	node->line = (unsigned)at.line + 1;
	node->column = (unsigned)at.column + 1;
	return node;
}

static bool
may_nest(struct parse *p, unsigned depth, yaml_mark_t at)
{
	if (depth < YML_MAX_DEPTH)
		return true;
	report(p, at, "Values are nested more than %d deep; make them flatter.",
	    YML_MAX_DEPTH);
	return false;
}

static struct yml_node *copy(struct parse *p, const struct yml_node *from,
    yaml_mark_t at, unsigned depth);

static bool
copy_child(struct parse *p, struct yml_node *to, const struct yml_node *from,
    size_t i, yaml_mark_t at, unsigned depth)
{
	struct yml_node *key = NULL, *item;

	if (from->keys != NULL) {
		key = copy(p, from->keys[i], at, depth);
		if (key == NULL)
			return false;
	}
	item = copy(p, from->items[i], at, depth);
	if (item != NULL && (key != NULL ? yml_map_add(to, key, item)
					 : yml_list_add(to, item)) == 0)
		return true;
	if (item != NULL)
		nomem(p);
	yml_free(&key);
	yml_free(&item);
	return false;
}

/* What an alias stands for; every copied node counts against the cap. */
static struct yml_node *
copy(struct parse *p, const struct yml_node *from, yaml_mark_t at,
    unsigned depth)
{
	struct yml_node *to;

	if (from->kind != YML_SCALAR && !may_nest(p, depth, at))
		return NULL;
	to = node_at(p, from->kind, at);
	if (to == NULL)
		return NULL;
	to->plain = from->plain;
	if (from->text != NULL && (to->text = strdup(from->text)) == NULL) {
		nomem(p);
		yml_free(&to);
		return NULL;
	}
	for (size_t i = 0; i < from->count; i++) {
		if (!copy_child(p, to, from, i, at, depth + 1)) {
			yml_free(&to);
			return NULL;
		}
	}
	return to;
}

static struct yml_node *
alias(struct parse *p, const yaml_event_t *ev)
{
	const char *name = (const char *)ev->data.alias.anchor;

	for (size_t i = p->n_anchors; i-- > 0;) {
		if (strcmp(p->anchors[i].name, name) == 0)
			return copy(
			    p, p->anchors[i].node, ev->start_mark, p->depth);
	}
	report(p, ev->start_mark,
	    "There is no finished value named &%s before this; define it "
	    "above or write the value out.",
	    name);
	return NULL;
}

/* Takes name; remembers node under it, if it has a name. */
static bool
remember(struct parse *p, char *name, const struct yml_node *node)
{
	struct anchor *more;

	if (name == NULL)
		return true;
	if (p->n_anchors >= YML_MAX_ANCHORS) {
		report(p, p->parser.mark,
		    "There are more than %d anchors; use fewer.",
		    YML_MAX_ANCHORS);
		free(name);
		return false;
	}
	more = realloc(p->anchors, (p->n_anchors + 1) * sizeof *more);
	if (more == NULL) {
		nomem(p);
		free(name);
		return false;
	}
	p->anchors = more;
	p->anchors[p->n_anchors++] = (struct anchor){name, node};
	return true;
}

static bool
next_event(struct parse *p, yaml_event_t *ev)
{
	yaml_mark_t at;

	if (yaml_parser_parse(&p->parser, ev))
		return true;
	at = p->parser.problem_mark;
	if (p->parser.error == YAML_READER_ERROR)
		at = p->parser.mark;
	report(p, at, "This is not YAML: %s%s%s.",
	    p->parser.context != NULL ? p->parser.context : "",
	    p->parser.context != NULL ? ", " : "",
	    p->parser.problem != NULL ? p->parser.problem : "out of memory");
	return false;
}

static struct yml_node *value(struct parse *p, yaml_event_t *ev);

static struct yml_node *
scalar(struct parse *p, const yaml_event_t *ev)
{
	const char *text = (const char *)ev->data.scalar.value;
	size_t n = ev->data.scalar.length;
	struct yml_node *node;

	if (memchr(text, '\0', n) != NULL) {
		report(p, ev->start_mark,
		    "This text holds a NUL character; remove it.");
		return NULL;
	}
	node = node_at(p, YML_SCALAR, ev->start_mark);
	if (node == NULL)
		return NULL;
	node->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->text = strndup(text, n);
	if (node->text == NULL) {
		nomem(p);
		yml_free(&node);
	}
	return node;
}

/* A key given before? Then it is reported and the first one stays. */
static bool
key_is_new(
    struct parse *p, const struct yml_node *map, const struct yml_node *key)
{
	yaml_mark_t at = {.line = key->line - 1, .column = key->column - 1};

	for (size_t i = 0; i < map->count; i++) {
		if (strcmp(map->keys[i]->text, key->text) != 0)
			continue;
		report(p, at,
		    "The key `%s` is given twice, first in line %u; remove "
		    "one of the two.",
		    key->text, map->keys[i]->line);
		return false;
	}
	return true;
}

/* Forgets the anchors inside a value that is dropped. */
static void
forget(struct parse *p, size_t n_anchors)
{
	while (p->n_anchors > n_anchors)
		free(p->anchors[--p->n_anchors].name);
}

/* The value of key, put into map. False: the document cannot be read on. */
static bool
pair_value(struct parse *p, struct yml_node *map, struct yml_node *key)
{
	size_t anchors = p->n_anchors;
	struct yml_node *item;
	yaml_event_t ev;

	if (!next_event(p, &ev)) {
		yml_free(&key);
		return false;
	}
	item = value(p, &ev);
	yaml_event_delete(&ev);
	if (item == NULL) {
		yml_free(&key);
		return false;
	}
	if (key_is_new(p, map, key)) {
		if (yml_map_add(map, key, item) == 0)
			return true;
		nomem(p);
		yml_free(&key);
		yml_free(&item);
		return false;
	}
	forget(p, anchors);
	yml_free(&key);
	yml_free(&item);
	return true;
}

/* One key and its value. False: the document cannot be read on. */
static bool
pair(struct parse *p, struct yml_node *map, yaml_event_t *first)
{
	struct yml_node *key;

	if (first->type != YAML_SCALAR_EVENT ||
	    first->data.scalar.anchor != NULL) {
		report(p, first->start_mark,
		    "A key must be a plain text without an anchor.");
		return false;
	}
	key = scalar(p, first);
	return key != NULL && pair_value(p, map, key);
}

/* The items of a list or map up to its end. False: cannot be read on. */
static bool
children(struct parse *p, struct yml_node *node)
{
	yaml_event_type_t end = node->kind == YML_LIST ? YAML_SEQUENCE_END_EVENT
						       : YAML_MAPPING_END_EVENT;

	for (;;) {
		struct yml_node *item;
		yaml_event_t ev;
		bool ok;

		if (!next_event(p, &ev))
			return false;
		if (ev.type == end) {
			yaml_event_delete(&ev);
			return true;
		}
		if (node->kind == YML_MAP) {
			ok = pair(p, node, &ev);
		} else {
			item = value(p, &ev);
			ok = item != NULL && yml_list_add(node, item) == 0;
			if (item != NULL && !ok) {
				nomem(p);
				yml_free(&item);
			}
		}
		yaml_event_delete(&ev);
		if (!ok)
			return false;
	}
}

static struct yml_node *
container(struct parse *p, const yaml_event_t *ev)
{
	enum yml_kind kind =
	    ev->type == YAML_SEQUENCE_START_EVENT ? YML_LIST : YML_MAP;
	struct yml_node *node;
	bool ok;

	if (!may_nest(p, p->depth, ev->start_mark))
		return NULL;
	node = node_at(p, kind, ev->start_mark);
	if (node == NULL)
		return NULL;
	p->depth++;
	ok = children(p, node);
	p->depth--;
	if (!ok)
		yml_free(&node);
	return node;
}

/* The value that begins with ev; recursion is bounded by YML_MAX_DEPTH. */
static struct yml_node *
value(struct parse *p, yaml_event_t *ev)
{
	struct yml_node *node = NULL;
	const yaml_char_t *name = NULL;
	char *own = NULL;

	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		return alias(p, ev);
	case YAML_SCALAR_EVENT:
		name = ev->data.scalar.anchor;
		node = scalar(p, ev);
		break;
	case YAML_SEQUENCE_START_EVENT:
		name = ev->data.sequence_start.anchor;
		node = container(p, ev);
		break;
	case YAML_MAPPING_START_EVENT:
		name = ev->data.mapping_start.anchor;
		node = container(p, ev);
		break;
	default:
		report(p, ev->start_mark, "A value is missing here.");
		break;
	}
	if (node == NULL || name == NULL)
		return node;
	own = strdup((const char *)name);
	if (own == NULL || !remember(p, own, node))
		yml_free(&node);
	return node;
}

/* Stream start, at most one document, stream end. */
static void
document(struct parse *p, struct yml_node **out)
{
	yaml_event_t ev;
	unsigned docs = 0;

	for (bool more = true; more && next_event(p, &ev);) {
		switch (ev.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_STREAM_END_EVENT:
			more = false;
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (docs++ == 0)
				break;
			report(p, ev.start_mark,
			    "A second document begins here; keep only one.");
			more = false;
			break;
		default:
			*out = value(p, &ev);
			more = *out != NULL;
		}
		yaml_event_delete(&ev);
	}
}

int
yml_parse(const char *file, const char *p, size_t n, yml_problem_fn *problem,
    void *arg, struct yml_node **out)
{
	struct parse ps = {.file = file, .problem = problem, .arg = arg};

	*out = NULL;
	if (n > YML_MAX_BYTES) {
		report(&ps, (yaml_mark_t){0},
		    "The file is larger than %d bytes; make it smaller.",
		    YML_MAX_BYTES);
		return -ERR_INVALID;
	}
	if (!yaml_parser_initialize(&ps.parser))
		return -ERR_NOMEM;
	yaml_parser_set_encoding(&ps.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&ps.parser, (const unsigned char *)p, n);
	document(&ps, out);
	yaml_parser_delete(&ps.parser);
	for (size_t i = 0; i < ps.n_anchors; i++)
		free(ps.anchors[i].name);
	free(ps.anchors);
	return ps.reported ? -ERR_INVALID : 0;
}

int
yml_parse_file(
    const char *file, yml_problem_fn *problem, void *arg, struct yml_node **out)
{
	char text[300], *bytes;
	FILE *f = fopen(file, "re");
	size_t n;
	int rc, error;

	*out = NULL;
	if (f == NULL) {
		snprintf(text, sizeof text,
		    "The file cannot be opened (%s); check the path and its "
		    "permissions.",
		    strerror(errno));
		problem(arg, file, 0, 0, text);
		return -ERR_INVALID;
	}
	bytes = malloc(YML_MAX_BYTES + 1);
	if (bytes == NULL) {
		fclose(f);
		return -ERR_NOMEM;
	}
	n = fread(bytes, 1, YML_MAX_BYTES + 1, f);
	error = ferror(f) ? errno : 0;
	fclose(f);
	if (error != 0) {
		snprintf(text, sizeof text,
		    "The file cannot be read (%s); is it a regular file?",
		    strerror(error));
		problem(arg, file, 0, 0, text);
		rc = -ERR_INVALID;
	} else {
		rc = yml_parse(file, bytes, n, problem, arg, out);
	}
	free(bytes);
	return rc;
}
