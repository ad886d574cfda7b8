/* The nodes of a YAML tree; lib/yaml.c fills it. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/yaml.h"

struct yml_node *
yml_new(enum yml_kind kind, const struct yml_node *like)
{
	struct yml_node *node = calloc(1, sizeof *node);

	if (node == NULL)
		return NULL;
	node->kind = kind;
	if (like != NULL) {
		node->line = like->line;
		node->column = like->column;
		node->file = like->file;
	}
	return node;
}

struct yml_node *
yml_new_text(const char *text, const struct yml_node *like)
{
	struct yml_node *node = yml_new(YML_SCALAR, like);

	if (node == NULL)
		return NULL;
	node->plain = true;
	node->text = strdup(text);
	if (node->text == NULL)
		yml_free(&node);
	return node;
}

void
yml_free(struct yml_node **node)
{
	struct yml_node *n = *node;

	if (n == NULL)
		return;
	for (size_t i = 0; i < n->count; i++) {
		yml_free(&n->items[i]);
		if (n->keys != NULL)
			yml_free(&n->keys[i]);
	}
	free(n->items);
	free(n->keys);
	free(n->text);
	free(n);
	*node = NULL;
}

/* Doubles an array whose length is a power of two or 0. */
static int
grow(struct yml_node ***list, size_t count)
{
	struct yml_node **more;

	if (count != 0 && (count & (count - 1)) != 0)
		return 0;
	more = realloc(*list, (count == 0 ? 1 : count * 2) * sizeof(void *));
	if (more == NULL)
		return -ERR_NOMEM;
	*list = more;
	return 0;
}

int
yml_list_add(struct yml_node *list, struct yml_node *item)
{
	if (grow(&list->items, list->count) != 0)
		return -ERR_NOMEM;
	list->items[list->count++] = item;
	return 0;
}

int
yml_map_add(struct yml_node *map, struct yml_node *key, struct yml_node *value)
{
	if (grow(&map->keys, map->count) != 0 ||
	    grow(&map->items, map->count) != 0)
		return -ERR_NOMEM;
	map->keys[map->count] = key;
	map->items[map->count++] = value;
	return 0;
}

struct yml_node *
yml_get(const struct yml_node *map, const char *key)
{
	if (map == NULL || map->kind != YML_MAP)
		return NULL;
	for (size_t i = 0; i < map->count; i++) {
		if (strcmp(map->keys[i]->text, key) == 0)
			return map->items[i];
	}
	return NULL;
}

bool
yml_is_null(const struct yml_node *node)
{
	return node->kind == YML_SCALAR && node->plain &&
	       (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
		   strcmp(node->text, "null") == 0);
}
