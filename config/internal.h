/* internal: what the files of config/ share. */
#ifndef CONFIG_INTERNAL_H
#define CONFIG_INTERNAL_H

#include "config/cfg.h"
#include "config/table.h"
#include "lib/yaml.h"

enum { CFG_PATH_BYTES = 192 };

struct cfg {
	cJSON *tree; /* owned */
	/* name -> worker number of every remote cluster there ever was; owned
	 */
	cJSON *workers;
};

/* One load: what the rules look at. */
struct cfg_load {
	const struct cfg_env *env;
	const char *path; /* of the own file, or "" */
	struct cfg_problems *problems;
	struct yml_node *root; /* own and vendor files, merged; owned */
	cJSON *tree;           /* normalised; owned */
	bool nomem;
};

/* ---- problems.c ---- */

/* At a node (NULL: the own file as a whole). text: a whole sentence. */
void cfg_error(struct cfg_load *l, const struct yml_node *at, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
void cfg_warn(struct cfg_load *l, const struct yml_node *at, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
/* yml_problem_fn; arg is the load. */
void cfg_on_yaml(void *arg, const char *file, unsigned line, unsigned column,
    const char *text);
/* -ERR_NOMEM. */
int cfg_problem_add(struct cfg_problems *p, const char *file, unsigned line,
    unsigned column, bool warning, const char *text);
void cfg_problems_sort(struct cfg_problems *p, const char *own_file);

/* ---- read.c ---- */

/* Spells every key of map as the table does; says which are unknown. */
void cfg_canonical(
    struct cfg_load *l, const char *prefix, struct yml_node *map);
/* The normal form of map (NULL: only defaults). NULL when out of memory. */
cJSON *cfg_normalise(
    struct cfg_load *l, const char *prefix, const struct yml_node *map);
/*
 * The node a dotted path such as "clusters[2].name" leads to, or the nearest
 * that is there. NULL only for an empty configuration.
 */
const struct yml_node *cfg_node(const struct cfg_load *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Whether the path was written in a file, not null. */
bool cfg_given(const struct cfg_load *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- vendor.c ---- */

/* Reads the two vendor files into l->root; refuses contradictions. */
void cfg_vendor(struct cfg_load *l);

/* ---- files.c ---- */

/* caFile -> caData, base64 -> PEM, tls files -> tls.certPem, tls.keyPem. */
void cfg_read_files(struct cfg_load *l);

/* ---- check.c ---- */

/* Fills what depends on other keys: clusterName, advertise, container. */
void cfg_derive(struct cfg_load *l);
/* Every rule over more than one value. */
void cfg_check(struct cfg_load *l);

#endif
