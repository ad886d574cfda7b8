/* The rows of the connect parameters' table; for protocol/params*.c only. */
#ifndef PROTOCOL_PARAMS_TABLE_H
#define PROTOCOL_PARAMS_TABLE_H

#include "lib/buf.h"
#include "lib/err.h"
#include "protocol/params.h"

enum param_shape {
	SHAPE_TRUE,
	SHAPE_BOOL,
	SHAPE_STEAL, /* abort, continue, override */
	SHAPE_STRING,
	SHAPE_MAP,         /* {key: string} */
	SHAPE_MAP_OF_MAPS, /* {key: {key: string}} */
	SHAPE_LIST,        /* ["name"] */
	SHAPE_LABELS,      /* {"labels": {}, "container": ""} */
	SHAPE_PROTOBUF,    /* {key: {"descriptor_base64", "message_type"}} */
	SHAPE_MODES,       /* {key: "mirror" or "steal"} */
	SHAPE_CI_INFO,     /* four optional strings */
	SHAPE_UP_INFO,     /* {"autoQueueSplitting": bool} */
	SHAPE_RESOURCES,   /* [{"queueId": "", "topic": {}, ...}] */
	SHAPE_COUNT,
};

enum param_from { FROM_ANYBODY, FROM_PRIMARY };

/* Which children get it, multicluster §4. */
enum param_child_rule {
	CHILD_ALL,
	CHILD_DEFAULT,  /* the default cluster's only */
	CHILD_STATEFUL, /* the same, and only by the stateful worker */
	CHILD_EXTRA,    /* other clusters only, written by the primary itself */
	CHILD_NEVER,
	CHILD_TRUE, /* always "true" */
	CHILD_FALSE,
	CHILD_IS_DEFAULT, /* whether this child is the default's */
};

struct param_row {
	const char *name;
	enum param_shape shape;
	enum param_from from;
	enum param_child_rule child;
	enum param_feature needs;
};

extern const struct param_row PARAM_TABLE[PARAM_COUNT];

/*
 * Checks a decoded value; fills the typed members of p that come from it.
 * -ERR_INVALID with a sentence that names the parameter.
 */
int param_check(enum param_shape shape, const char *name, struct span value,
    struct params *p, struct err *e);

#endif
