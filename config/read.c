/*
 * read: from YAML nodes to the normal form, along the table.
 *
 * First every key gets the spelling of the table (aliases, snake_case), so
 * that the files can be merged; then the table is walked, and each row takes
 * its value from the map or from its default. Lists keep their positions, also
 * when an item is wrong, so that a path names the same thing in both trees.
 */
#include "config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/internal.h"
#include "config/types.h"
#include "lib/str.h"

/* What an error shows of a value. */
#define SHOWN "%.60s"

static void
canonical_child(
    struct cfg_load *l, const struct cfg_row *row, struct yml_node *value)
{
	char prefix[CFG_PATH_BYTES];

	cfg_row_prefix(row, prefix, sizeof prefix);
	if (row->type == CFG_T_OBJ && value->kind == YML_MAP)
		cfg_canonical(l, prefix, value);
	if (row->type != CFG_T_OBJS || value->kind != YML_LIST)
		return;
	for (size_t i = 0; i < value->count; i++) {
		if (value->items[i]->kind == YML_MAP)
			cfg_canonical(l, prefix, value->items[i]);
	}
}

static void
unknown_key(struct cfg_load *l, const char *prefix, const struct yml_node *key)
{
	const struct cfg_row *like = cfg_row_like(prefix, key->text);

	if (like != NULL)
		cfg_warn(l, key,
		    "The key `" SHOWN "` is not known and has no effect; did "
		    "you mean `%s`?",
		    key->text, cfg_row_key(like));
	else
		cfg_warn(l, key,
		    "The key `" SHOWN "` is not known and has no effect; "
		    "remove it.",
		    key->text);
}

void
cfg_canonical(struct cfg_load *l, const char *prefix, struct yml_node *map)
{
	for (size_t i = 0; i < map->count; i++) {
		struct yml_node *key = map->keys[i];
		const struct cfg_row *row = cfg_row_find(prefix, key->text);
		const char *name;
		char *text;

		if (row == NULL) {
			unknown_key(l, prefix, key);
			continue;
		}
		name = cfg_row_key(row);
		if (strcmp(name, key->text) != 0 &&
		    yml_get(map, name) != NULL) {
			cfg_error(l, key,
			    "`%s` is another spelling of `%s`, which is also "
			    "here; remove one of the two.",
			    key->text, name);
			continue;
		}
		text = strdup(name);
		if (text == NULL) {
			l->nomem = true;
			return;
		}
		free(key->text);
		key->text = text;
		canonical_child(l, row, map->items[i]);
	}
}

static void
wrong_type(
    struct cfg_load *l, const struct cfg_row *row, const struct yml_node *node)
{
	char wants[256];

	cfg_type_wants(row, wants, sizeof wants);
	if (node->kind == YML_SCALAR)
		cfg_error(l, node,
		    "`%s` must be %s%s; write that instead of `" SHOWN "`.",
		    cfg_row_key(row),
		    (row->flags & CFG_MANY) != 0 ? "one or a list of: " : "",
		    wants, node->text);
	else
		cfg_error(l, node, "`%s` must be %s%s, not a %s; rewrite it.",
		    cfg_row_key(row),
		    (row->flags & CFG_MANY) != 0 ? "one or a list of: " : "",
		    wants, node->kind == YML_LIST ? "list" : "mapping");
}

/* One value in its JSON type; text has passed cfg_type_ok or is a default. */
static cJSON *
make(const struct cfg_row *row, const char *text)
{
	uint64_t v = 0;

	if (row->type == CFG_T_BOOL)
		return cJSON_CreateBool(strcmp(text, "true") == 0);
	if (row->type != CFG_T_INT)
		return cJSON_CreateString(text);
	(void)str_to_u64(text, &v);
	return cJSON_CreateNumber((double)v);
}

static cJSON *
scalar(
    struct cfg_load *l, const struct cfg_row *row, const struct yml_node *node)
{
	bool quoted_number =
	    node->kind == YML_SCALAR && !node->plain &&
	    (row->type == CFG_T_INT || row->type == CFG_T_BOOL);

	if (node->kind == YML_SCALAR && !quoted_number &&
	    cfg_type_ok(row, node->text))
		return make(row, node->text);
	if (quoted_number)
		cfg_error(l, node, "`%s` must not be in quotes; remove them.",
		    cfg_row_key(row));
	else
		wrong_type(l, row, node);
	return make(row, row->dflt);
}

/* The default of a row; "a b" for two items. */
static cJSON *
defaults(struct cfg_load *l, const struct cfg_row *row)
{
	char prefix[CFG_PATH_BYTES];

	if (row->dflt == NULL)
		return cJSON_CreateNull();
	if (row->type == CFG_T_OBJ) {
		cfg_row_prefix(row, prefix, sizeof prefix);
		return cfg_normalise(l, prefix, NULL);
	}
	if (row->type == CFG_T_OBJS)
		return cJSON_CreateArray();
	if (row->type == CFG_T_LABELS)
		return cJSON_CreateObject();
	if ((row->flags & CFG_MANY) == 0)
		return make(row, row->dflt);
	return row->dflt[0] == '\0' ? cJSON_CreateArray()
				    : cJSON_CreateStringArray(&row->dflt, 1);
}

static bool
push(struct cfg_load *l, cJSON *list, cJSON *item)
{
	if (item != NULL && cJSON_AddItemToArray(list, item))
		return true;
	cJSON_Delete(item);
	l->nomem = true;
	return false;
}

static cJSON *
many(struct cfg_load *l, const struct cfg_row *row, const struct yml_node *node)
{
	cJSON *list = cJSON_CreateArray();

	if (node->kind == YML_MAP)
		wrong_type(l, row, node);
	else if (node->kind == YML_SCALAR)
		(void)push(l, list, scalar(l, row, node));
	for (size_t i = 0; node->kind == YML_LIST && i < node->count; i++) {
		if (!push(l, list, scalar(l, row, node->items[i])))
			break;
	}
	return list;
}

static cJSON *
objects(
    struct cfg_load *l, const struct cfg_row *row, const struct yml_node *node)
{
	cJSON *list = cJSON_CreateArray();
	char prefix[CFG_PATH_BYTES];

	cfg_row_prefix(row, prefix, sizeof prefix);
	if (node->kind != YML_LIST) {
		wrong_type(l, row, node);
		return list;
	}
	if (node->count > (size_t)row->max)
		cfg_error(l, node,
		    "`%s` has %zu items; at most %lld are possible.",
		    cfg_row_key(row), node->count, (long long)row->max);
	for (size_t i = 0; i < node->count && i < (size_t)row->max; i++) {
		const struct yml_node *item = node->items[i];

		if (item->kind != YML_MAP)
			cfg_error(l, item,
			    "Each item of `%s` must be a mapping of keys and "
			    "values; rewrite it.",
			    cfg_row_key(row));
		if (!push(l, list,
			cfg_normalise(
			    l, prefix, item->kind == YML_MAP ? item : NULL)))
			break;
	}
	return list;
}

static cJSON *
labels(
    struct cfg_load *l, const struct cfg_row *row, const struct yml_node *node)
{
	cJSON *out = cJSON_CreateObject();

	if (node->kind != YML_MAP || node->count > (size_t)row->max) {
		wrong_type(l, row, node);
		return out;
	}
	for (size_t i = 0; i < node->count; i++) {
		const struct yml_node *v = node->items[i];

		if (v->kind != YML_SCALAR || strlen(v->text) > 255 ||
		    strlen(node->keys[i]->text) > 255)
			cfg_error(l, v,
			    "The label `" SHOWN "` must be a text of at most "
			    "255 characters; rewrite it.",
			    node->keys[i]->text);
		else if (cJSON_AddStringToObject(
			     out, node->keys[i]->text, v->text) == NULL)
			l->nomem = true;
	}
	return out;
}

static cJSON *
given(
    struct cfg_load *l, const struct cfg_row *row, const struct yml_node *node)
{
	char prefix[CFG_PATH_BYTES];

	switch (row->type) {
	case CFG_T_OBJ:
		if (node->kind != YML_MAP)
			wrong_type(l, row, node);
		cfg_row_prefix(row, prefix, sizeof prefix);
		return cfg_normalise(
		    l, prefix, node->kind == YML_MAP ? node : NULL);
	case CFG_T_OBJS:
		return objects(l, row, node);
	case CFG_T_LABELS:
		return labels(l, row, node);
	default:
		return (row->flags & CFG_MANY) != 0 ? many(l, row, node)
						    : scalar(l, row, node);
	}
}

/* Charts write null or "" for what nobody set. */
static bool
is_absent(const struct cfg_row *row, const struct yml_node *node)
{
	return node == NULL || yml_is_null(node) ||
	       (node->kind == YML_SCALAR && node->text[0] == '\0' &&
		   row->type > CFG_T_LABELS && (row->flags & CFG_MANY) == 0);
}

/* The value of one row, or its default. */
static cJSON *
row_value(
    struct cfg_load *l, const struct cfg_row *row, const struct yml_node *map)
{
	const struct yml_node *node = NULL;

	if ((row->flags & CFG_INTERNAL) == 0)
		node = yml_get(map, cfg_row_key(row));
	if (!is_absent(row, node))
		return given(l, row, node);
	if ((row->flags & CFG_REQUIRED) != 0 && map != NULL) {
		char wants[256];

		cfg_type_wants(row, wants, sizeof wants);
		cfg_error(l, node != NULL ? node : map,
		    "`%s` is missing; add it: %s.", cfg_row_key(row), wants);
	}
	return defaults(l, row);
}

cJSON *
cfg_normalise(
    struct cfg_load *l, const char *prefix, const struct yml_node *map)
{
	cJSON *out = cJSON_CreateObject();
	const struct cfg_row *row = NULL;

	while (out != NULL && (row = cfg_row_next(prefix, row)) != NULL) {
		cJSON *value = row_value(l, row, map);

		if (value != NULL &&
		    cJSON_AddItemToObject(out, cfg_row_key(row), value))
			continue;
		cJSON_Delete(value);
		cJSON_Delete(out);
		out = NULL;
	}
	if (out == NULL)
		l->nomem = true;
	return out;
}

/* Follows path as far as it goes. *whole: to its end. */
static const struct yml_node *
follow(const struct cfg_load *l, const char *path, bool *whole)
{
	const struct yml_node *at = l->root;

	while (at != NULL && *path != '\0') {
		const struct yml_node *next = NULL;
		size_t n = strcspn(path, ".[");
		char key[CFG_PATH_BYTES];

		if (*path == '[') {
			unsigned long i = strtoul(path + 1, NULL, 10);

			n = strcspn(path, "]") + 1;
			if (at->kind == YML_LIST && i < at->count)
				next = at->items[i];
			else if (at->kind == YML_SCALAR && i == 0)
				next = at; /* a list of one */
		} else if (str_fmt(key, sizeof key, "%.*s", (int)n, path) ==
			   0) {
			next = yml_get(at, key);
		}
		if (next == NULL)
			break;
		at = next;
		path += n;
		path += *path == '.';
	}
	*whole = at != NULL && *path == '\0';
	return at;
}

const struct yml_node *
cfg_node(const struct cfg_load *l, const char *fmt, ...)
{
	char path[CFG_PATH_BYTES];
	bool whole;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof path, fmt, ap);
	va_end(ap);
	return follow(l, path, &whole);
}

bool
cfg_given(const struct cfg_load *l, const char *fmt, ...)
{
	const struct yml_node *node;
	char path[CFG_PATH_BYTES];
	bool whole;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof path, fmt, ap);
	va_end(ap);
	node = follow(l, path, &whole);
	return whole && (node->kind != YML_SCALAR || node->text[0] != '\0') &&
	       !yml_is_null(node);
}
