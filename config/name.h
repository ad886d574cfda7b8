/* name: cluster names as parts of object names (spec/multicluster.md §2.2). */
#ifndef CONFIG_NAME_H
#define CONFIG_NAME_H

#include <stddef.h>

enum {
	CFG_CLUSTER_NAME_MAX = 100, /* what EKS allows */
	CFG_OBJECT_NAME_BYTES = 50, /* 40 + '-' + 8 + NUL */
};

/*
 * Lower case, what is outside [a-z0-9-] becomes '-', cut to 40; when that
 * changed anything, '-' and the first 8 hex digits of SHA-256 of the raw name
 * are appended. The raw name stays what status and signing use.
 */
void cfg_object_name(const char *raw, char out[CFG_OBJECT_NAME_BYTES]);
/* NULL, or what is wrong with raw as a cluster's name (a half sentence). */
const char *cfg_cluster_name_problem(const char *raw);

#endif
