/*
 * vendor: the two files of the stock operator's chart
 * (spec/install-config.md §2), put into the own file's tree.
 *
 * They have the same keys as `multiCluster` and `clusters`. A key may stand in
 * the own file, in the vendor's or in both with the same value; with different
 * values neither wins: it is an error that names both places.
 */
#include "config.h"

#include <string.h>

#include "config/internal.h"
#include "lib/str.h"

static bool
same(const struct yml_node *a, const struct yml_node *b)
{
	if (a->kind != b->kind || a->count != b->count)
		return false;
	if (a->kind == YML_SCALAR)
		return strcmp(a->text, b->text) == 0;
	for (size_t i = 0; i < a->count; i++) {
		if (a->kind == YML_MAP &&
		    strcmp(a->keys[i]->text, b->keys[i]->text) != 0)
			return false;
		if (!same(a->items[i], b->items[i]))
			return false;
	}
	return true;
}

static void
take(struct cfg_load *l, struct yml_node *to, struct yml_node *from, size_t i)
{
	if (yml_map_add(to, from->keys[i], from->items[i]) != 0) {
		l->nomem = true;
		return;
	}
	/* both now belong to `to`; empty places are skipped by yml_free */
	from->keys[i] = NULL;
	from->items[i] = NULL;
}

/* Moves what `to` lacks out of `from`. */
static void
merge(struct cfg_load *l, struct yml_node *to, struct yml_node *from)
{
	for (size_t i = 0; i < from->count; i++) {
		const char *key = from->keys[i]->text;
		const struct yml_node *own = yml_get(to, key);

		if (own == NULL)
			take(l, to, from, i);
		else if (!same(own, from->items[i]))
			cfg_error(l, from->items[i],
			    "`%s` has another value in %s line %u; remove one "
			    "of the two.",
			    key, own->file, own->line);
	}
}

static struct yml_node *
cluster_named(const struct yml_node *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct yml_node *other = yml_get(list->items[i], "name");

		if (other != NULL && other->kind == YML_SCALAR &&
		    strcmp(other->text, name) == 0)
			return list->items[i];
	}
	return NULL;
}

/* Entries of the same name become one, the others are added. */
static void
merge_clusters(struct cfg_load *l, struct yml_node *to, struct yml_node *from)
{
	size_t n_own = to->count;

	for (size_t i = 0; i < from->count; i++) {
		const struct yml_node *name = yml_get(from->items[i], "name");
		struct yml_node *own = NULL;

		if (name != NULL && name->kind == YML_SCALAR)
			own = cluster_named(to, name->text);
		for (size_t j = 0; own != NULL && j < to->count; j++) {
			if (to->items[j] == own && j >= n_own)
				own = NULL; /* twice in the vendor's file */
		}
		if (own != NULL) {
			merge(l, own, from->items[i]);
			continue;
		}
		if (yml_list_add(to, from->items[i]) != 0)
			l->nomem = true;
		else
			from->items[i] = NULL;
	}
}

/* The map or list under key of the root; made when it is not there. */
static struct yml_node *
place(struct cfg_load *l, const char *key, enum yml_kind kind,
    const struct yml_node *like)
{
	struct yml_node *node = yml_get(l->root, key), *name;

	if (node != NULL && node->kind == kind)
		return node;
	if (node != NULL && !yml_is_null(node))
		return NULL; /* reported when it is read */
	if (node != NULL) {
		node->kind = kind; /* was null */
		node->file = like->file;
		node->line = like->line;
		node->column = like->column;
		return node;
	}
	node = yml_new(kind, like);
	name = yml_new_text(key, like);
	if (node == NULL || name == NULL ||
	    yml_map_add(l->root, name, node) != 0) {
		yml_free(&node);
		yml_free(&name);
		l->nomem = true;
	}
	return node;
}

static struct yml_node *
read_map(struct cfg_load *l, const char *file)
{
	struct yml_node *map = NULL;
	int rc = yml_parse_file(file, cfg_on_yaml, l, &map);

	if (rc == 0 && map != NULL && map->kind == YML_MAP)
		return map;
	if (rc == 0)
		cfg_on_yaml(l, file, 1, 1,
		    "This file must be a mapping of keys and values.");
	yml_free(&map);
	return NULL;
}

static void
read_multicluster(struct cfg_load *l)
{
	const char *file = l->env->multicluster_config;
	struct yml_node *map = read_map(l, file), *own;

	if (map == NULL)
		return;
	cfg_canonical(l, "multiCluster.", map);
	own = place(l, "multiCluster", YML_MAP, map);
	if (own != NULL && yml_get(own, "clusterName") == NULL &&
	    yml_get(map, "clusterName") == NULL) {
		/* the vendor's default, not the instance */
		struct yml_node *key = yml_new_text("clusterName", map);
		struct yml_node *value = yml_new_text("primary", map);

		if (key == NULL || value == NULL ||
		    yml_map_add(map, key, value) != 0) {
			yml_free(&key);
			yml_free(&value);
			l->nomem = true;
		}
	}
	if (own != NULL)
		merge(l, own, map);
	yml_free(&map);
}

static void
read_clusters(struct cfg_load *l)
{
	const char *file = l->env->clusters_config;
	struct yml_node *map = read_map(l, file), *list, *own;

	if (map == NULL)
		return;
	for (size_t i = 0; i < map->count; i++) {
		if (strcmp(map->keys[i]->text, "clusters") != 0)
			cfg_warn(l, map->keys[i],
			    "The key `%.60s` is not known here and has no "
			    "effect; only `clusters` is.",
			    map->keys[i]->text);
	}
	list = yml_get(map, "clusters");
	if (list != NULL && list->kind == YML_LIST) {
		for (size_t i = 0; i < list->count; i++) {
			if (list->items[i]->kind == YML_MAP)
				cfg_canonical(l, "clusters[].", list->items[i]);
		}
		own = place(l, "clusters", YML_LIST, list);
		if (own != NULL)
			merge_clusters(l, own, list);
	} else if (list == NULL || !yml_is_null(list)) {
		cfg_error(l, list != NULL ? list : map,
		    "`clusters` must be a list of mappings; add it.");
	}
	yml_free(&map);
}

void
cfg_vendor(struct cfg_load *l)
{
	if (l->env->multicluster_config != NULL)
		read_multicluster(l);
	if (l->env->clusters_config != NULL)
		read_clusters(l);
}
