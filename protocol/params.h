/*
 * params: the connect parameters (operator-api §10, multicluster §4). ONE
 * table in params.c says of each: its shape, who may send it, which children
 * get it and which feature it asks for. Input comes from any user, in a query
 * or a header; bounded, checked, never trusted.
 */
#ifndef PROTOCOL_PARAMS_H
#define PROTOCOL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "lib/err.h"

enum param_id {
	PARAM_CONNECT,
	PARAM_ON_CONCURRENT_STEAL,
	PARAM_PROFILE,
	PARAM_LABEL_TARGET,
	PARAM_KAFKA_SPLITS,
	PARAM_KAFKA_JQ_FILTERS,
	PARAM_KAFKA_PROTOBUF_DECODING,
	PARAM_SQS_SPLITS,
	PARAM_RMQ_SPLITS,
	PARAM_GCP_PUBSUB_SPLITS,
	PARAM_SQS_JQ_FILTERS,
	PARAM_GCP_PUBSUB_JQ_FILTERS,
	PARAM_AZURE_SERVICE_BUS_SPLITS,
	PARAM_AZURE_SERVICE_BUS_JQ_FILTERS,
	PARAM_REDIS_PUBSUB_SPLITS,
	PARAM_TEMPORAL_SPLITS,
	PARAM_REDIS_PUBSUB_JQ_FILTERS,
	PARAM_TEMPORAL_JQ_FILTERS,
	PARAM_BULLMQ_SPLITS,
	PARAM_BULLMQ_JQ_FILTERS,
	PARAM_RMQ_JQ_FILTERS,
	PARAM_QUEUE_MODES,
	PARAM_BRANCH_NAME,
	PARAM_MYSQL_BRANCH_NAMES,
	PARAM_PG_BRANCH_NAMES,
	PARAM_MONGODB_BRANCH_NAMES,
	PARAM_BRANCH_DB_NAMES,
	PARAM_SESSION_CI_INFO,
	PARAM_UP_SESSION_INFO,
	PARAM_IS_DEFAULT_CLUSTER,
	PARAM_SQS_OUTPUT_QUEUES,
	PARAM_RMQ_OUTPUT_QUEUES,
	PARAM_MULTI_CLUSTER,
	PARAM_OUTPUT_TMP_RESOURCES,
	PARAM_KEY,
	PARAM_HEADER_FILTER,
	PARAM_COUNT,
};

enum {
	PARAMS_MAX_BYTES = 512 << 10, /* of a whole query */
	PARAMS_MAX_PAIRS = 256,
	PARAMS_MAX_UNKNOWN = 16, /* names kept; further ones are counted */
};

enum params_steal {
	PARAMS_STEAL_ABORT,
	PARAMS_STEAL_CONTINUE,
	PARAMS_STEAL_OVERRIDE,
};

struct params {
	char *value[PARAM_COUNT]; /* decoded text, owned; NULL = not sent */
	char *unknown[PARAMS_MAX_UNKNOWN]; /* owned names */
	size_t unknown_count;              /* may exceed the names kept */
	enum params_steal on_concurrent_steal;
	bool auto_queue_splitting; /* `mirrord up`: drop what we can't do */
};

/* Which features a set of parameters needs. */
enum param_feature {
	PARAM_NEEDS_NONE,
	PARAM_NEEDS_BRANCHES,
	PARAM_NEEDS_QUEUES,
	PARAM_NEEDS_LABEL_TARGET,
	PARAM_NEEDS_HTTP_FILTER,
};

/* Whose copy params_put_query writes. */
enum params_child {
	PARAMS_FOR_DEFAULT,       /* the default cluster's child, everything */
	PARAMS_FOR_DEFAULT_PLAIN, /* the same without what is for stateful alone
				   */
	PARAMS_FOR_DEFAULT_STATEFUL, /* only what is for the stateful worker */
	PARAMS_FOR_OTHER,            /* any other workload cluster's child */
};

/*
 * Parses and checks a query (without '?'). -ERR_INVALID names the parameter
 * and what is wrong with it (answer 400); -ERR_TOO_BIG; -ERR_NOMEM. On an
 * error *out is empty. Unknown names are listed, not refused.
 */
int params_parse(const char *query, struct params *out, struct err *e);
/* The same from x-mirrord-connect-params: standard base64 of the query. */
int params_from_header(const char *value, struct params *out, struct err *e);
void params_free(struct params *p); /* the members; *p is empty then */

const char *params_name(enum param_id id);
/* A boolean parameter's value, dflt when it was not sent. */
bool params_bool(const struct params *p, enum param_id id, bool dflt);
/* The first parameter that only a primary may send, or NULL (answer 403). */
const char *params_reserved(const struct params *p);
/*
 * Is something asked for that this version does not do? 0, or -ERR_UNSUPPORTED
 * with a sentence for the user. can is a set of 1 << enum param_feature.
 */
int params_refusal(const struct params *p, unsigned can, struct err *e);

/* What only the primary knows when it writes a child's parameters. */
struct params_extra {
	bool
	    unified_branches; /* peer has UnifiedBranchDbCrd: merge the lists */
	const char
	    *sqs_output_queues; /* JSON texts or NULL; other clusters only */
	const char *rmq_output_queues;
	const char *output_tmp_resources;
};

/*
 * Appends the query for a child, filtered as multicluster §4 says, with
 * is_default_cluster and multi_cluster=false set. extra may be NULL.
 */
int params_put_query(const struct params *p, enum params_child child,
    const struct params_extra *extra, struct buf *out, struct err *e);

#endif
