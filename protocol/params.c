/*
 * The table of connect parameters, and what follows from it: parsing, who may
 * send what, what is refused. Frontends parse what users send, members what
 * primaries send; the values are checked here once and then only copied.
 */
#include "config.h"

#include "protocol/params.h"

#include <stdlib.h>
#include <string.h>

#include "lib/str.h"
#include "protocol/http.h"
#include "protocol/params_table.h"

const struct param_row PARAM_TABLE[PARAM_COUNT] = {
#define ROW(id, name, shape, from, child, needs)                         \
	[PARAM_##id] = {name, SHAPE_##shape, FROM_##from, CHILD_##child, \
	    PARAM_NEEDS_##needs}
    ROW(CONNECT, "connect", TRUE, ANYBODY, TRUE, NONE),
    ROW(ON_CONCURRENT_STEAL, "on_concurrent_steal", STEAL, ANYBODY, ALL, NONE),
    ROW(PROFILE, "profile", STRING, ANYBODY, ALL, NONE),
    ROW(LABEL_TARGET, "label_target", LABELS, ANYBODY, NEVER, LABEL_TARGET),
    ROW(KAFKA_SPLITS, "kafka_splits", MAP_OF_MAPS, ANYBODY, ALL, QUEUES),
    ROW(KAFKA_JQ_FILTERS, "kafka_jq_filters", MAP, ANYBODY, ALL, QUEUES),
    ROW(KAFKA_PROTOBUF_DECODING, "kafka_protobuf_decoding", PROTOBUF, ANYBODY,
	ALL, QUEUES),
    ROW(SQS_SPLITS, "sqs_splits", MAP_OF_MAPS, ANYBODY, ALL, QUEUES),
    ROW(RMQ_SPLITS, "rmq_splits", MAP_OF_MAPS, ANYBODY, ALL, QUEUES),
    ROW(GCP_PUBSUB_SPLITS, "gcp_pubsub_splits", MAP_OF_MAPS, ANYBODY, ALL,
	QUEUES),
    ROW(SQS_JQ_FILTERS, "sqs_jq_filters", MAP, ANYBODY, ALL, QUEUES),
    ROW(GCP_PUBSUB_JQ_FILTERS, "gcp_pubsub_jq_filters", MAP, ANYBODY, ALL,
	QUEUES),
    ROW(AZURE_SERVICE_BUS_SPLITS, "azure_service_bus_splits", MAP_OF_MAPS,
	ANYBODY, ALL, QUEUES),
    ROW(AZURE_SERVICE_BUS_JQ_FILTERS, "azure_service_bus_jq_filters", MAP,
	ANYBODY, ALL, QUEUES),
    ROW(REDIS_PUBSUB_SPLITS, "redis_pubsub_splits", MAP_OF_MAPS, ANYBODY, ALL,
	QUEUES),
    ROW(TEMPORAL_SPLITS, "temporal_splits", MAP_OF_MAPS, ANYBODY, ALL, QUEUES),
    ROW(REDIS_PUBSUB_JQ_FILTERS, "redis_pubsub_jq_filters", MAP, ANYBODY, ALL,
	QUEUES),
    ROW(TEMPORAL_JQ_FILTERS, "temporal_jq_filters", MAP, ANYBODY, ALL, QUEUES),
    ROW(BULLMQ_SPLITS, "bullmq_splits", MAP_OF_MAPS, ANYBODY, ALL, QUEUES),
    ROW(BULLMQ_JQ_FILTERS, "bullmq_jq_filters", MAP, ANYBODY, ALL, QUEUES),
    ROW(RMQ_JQ_FILTERS, "rmq_jq_filters", MAP, ANYBODY, ALL, QUEUES),
    ROW(QUEUE_MODES, "queue_modes", MODES, ANYBODY, ALL, QUEUES),
    ROW(BRANCH_NAME, "branch_name", STRING, ANYBODY, DEFAULT, NONE),
    ROW(MYSQL_BRANCH_NAMES, "mysql_branch_names", LIST, ANYBODY, STATEFUL,
	BRANCHES),
    ROW(PG_BRANCH_NAMES, "pg_branch_names", LIST, ANYBODY, STATEFUL, BRANCHES),
    ROW(MONGODB_BRANCH_NAMES, "mongodb_branch_names", LIST, ANYBODY, STATEFUL,
	BRANCHES),
    ROW(BRANCH_DB_NAMES, "branch_db_names", LIST, ANYBODY, STATEFUL, BRANCHES),
    ROW(SESSION_CI_INFO, "session_ci_info", CI_INFO, ANYBODY, DEFAULT, NONE),
    ROW(UP_SESSION_INFO, "up_session_info", UP_INFO, ANYBODY, ALL, NONE),
    ROW(IS_DEFAULT_CLUSTER, "is_default_cluster", BOOL, PRIMARY, IS_DEFAULT,
	NONE),
    ROW(SQS_OUTPUT_QUEUES, "sqs_output_queues", MAP, PRIMARY, EXTRA, QUEUES),
    ROW(RMQ_OUTPUT_QUEUES, "rmq_output_queues", MAP, PRIMARY, EXTRA, QUEUES),
    ROW(MULTI_CLUSTER, "multi_cluster", BOOL, ANYBODY, FALSE, NONE),
    ROW(OUTPUT_TMP_RESOURCES, "output_tmp_resources", RESOURCES, PRIMARY, EXTRA,
	QUEUES),
    ROW(KEY, "key", STRING, ANYBODY, ALL, NONE),
    ROW(HEADER_FILTER, "header_filter", STRING, ANYBODY, ALL, HTTP_FILTER),
#undef ROW
};

/* What a user reads when a feature is asked for that is not there yet. */
static const char *const FEATURE_TEXTS[] = {
    [PARAM_NEEDS_BRANCHES] =
	"This operator does not do database branches yet (parameter %s): "
	"remove feature.db_branches from the mirrord configuration.",
    [PARAM_NEEDS_QUEUES] =
	"This operator does not split queues yet (parameter %s): remove "
	"feature.split_queues from the mirrord configuration.",
    [PARAM_NEEDS_LABEL_TARGET] =
	"This operator does not take label targets yet (parameter %s): name "
	"one workload as the target, for instance deployment/NAME.",
    [PARAM_NEEDS_HTTP_FILTER] =
	"This operator does not filter HTTP requests yet (parameter %s): "
	"remove feature.network.incoming.http_filter from the mirrord "
	"configuration, or use the mirror mode.",
};

const char *
params_name(enum param_id id)
{
	return id < PARAM_COUNT ? PARAM_TABLE[id].name : "?";
}

void
params_free(struct params *p)
{
	for (size_t i = 0; i < PARAM_COUNT; i++)
		free(p->value[i]);
	for (size_t i = 0; i < PARAMS_MAX_UNKNOWN; i++)
		free(p->unknown[i]);
	memset(p, 0, sizeof(*p));
}

static int
row_find(const char *name)
{
	for (int i = 0; i < PARAM_COUNT; i++) {
		if (strcmp(PARAM_TABLE[i].name, name) == 0)
			return i;
	}
	return -1;
}

static int
keep_unknown(struct params *p, const char *name, struct err *e)
{
	size_t i = p->unknown_count++;

	if (i >= PARAMS_MAX_UNKNOWN)
		return 0;
	p->unknown[i] = strndup(name, 64);
	return p->unknown[i] != NULL ? 0 : err_nomem(e);
}

/* One decoded pair; value is handed over if it is kept. */
static int
take_pair(struct params *p, const char *name, struct buf *value, struct err *e)
{
	int id = row_find(name), rc;

	if (id < 0)
		return keep_unknown(p, name, e);
	if (p->value[id] != NULL)
		return err_set(e, ERR_INVALID,
		    "The connect parameter %s is there twice; send it once.",
		    name);
	rc = param_check(PARAM_TABLE[id].shape, name, buf_span(value), p, e);
	if (rc < 0)
		return rc;
	if (buf_cstr(value) == NULL)
		return err_nomem(e);
	p->value[id] = buf_take(value);
	return p->value[id] != NULL ? 0 : err_nomem(e);
}

static int
parse_pairs(const char *query, struct params *out, struct buf *name,
    struct buf *value, struct err *e)
{
	for (size_t count = 0;; count++) {
		int rc = http_query_next(&query, name, value);
		const char *s;

		if (rc == 0)
			return 0;
		if (rc < 0)
			return err_set(e, (enum err_code) - rc,
			    "The connect parameters are not "
			    "application/x-www-form-urlencoded text of at "
			    "most 512 KiB.");
		if (count == PARAMS_MAX_PAIRS)
			return err_set(e, ERR_TOO_BIG,
			    "There are over %d connect parameters; send "
			    "fewer.",
			    PARAMS_MAX_PAIRS);
		s = buf_cstr(name);
		if (s == NULL)
			return err_nomem(e);
		rc = take_pair(out, s, value, e);
		if (rc < 0)
			return rc;
	}
}

int
params_parse(const char *query, struct params *out, struct err *e)
{
	struct buf name, value;
	int rc;

	memset(out, 0, sizeof(*out));
	if (strnlen(query, PARAMS_MAX_BYTES + 1) > PARAMS_MAX_BYTES)
		return err_set(e, ERR_TOO_BIG,
		    "The connect parameters are over 512 KiB; send less.");
	buf_init(&name, PARAMS_MAX_BYTES);
	buf_init(&value, PARAMS_MAX_BYTES);
	rc = parse_pairs(query, out, &name, &value, e);
	buf_free(&name);
	buf_free(&value);
	if (rc < 0)
		params_free(out);
	return rc;
}

int
params_from_header(const char *value, struct params *out, struct err *e)
{
	struct buf query;
	const char *text;
	int rc;

	memset(out, 0, sizeof(*out));
	buf_init(&query, PARAMS_MAX_BYTES + 1);
	rc = str_base64_decode(&query, value, strlen(value));
	if (rc < 0) {
		buf_free(&query);
		return err_set(e, (enum err_code) - rc,
		    "The header x-mirrord-connect-params is not standard "
		    "base64 of at most 512 KiB.");
	}
	text = buf_cstr(&query);
	if (text == NULL)
		rc = err_nomem(e);
	else if (strlen(text) != query.len)
		rc = err_set(e, ERR_INVALID,
		    "The header x-mirrord-connect-params has a NUL byte.");
	else
		rc = params_parse(text, out, e);
	buf_free(&query);
	return rc;
}

bool
params_bool(const struct params *p, enum param_id id, bool dflt)
{
	if (id >= PARAM_COUNT || p->value[id] == NULL)
		return dflt;
	return strcmp(p->value[id], "true") == 0;
}

const char *
params_reserved(const struct params *p)
{
	for (size_t i = 0; i < PARAM_COUNT; i++) {
		if (p->value[i] != NULL && PARAM_TABLE[i].from == FROM_PRIMARY)
			return PARAM_TABLE[i].name;
	}
	return NULL;
}

int
params_refusal(const struct params *p, unsigned can, struct err *e)
{
	for (size_t i = 0; i < PARAM_COUNT; i++) {
		enum param_feature needs = PARAM_TABLE[i].needs;

		if (p->value[i] == NULL || needs == PARAM_NEEDS_NONE ||
		    (can & 1U << needs) != 0)
			continue;
		/* `mirrord up` asks for every broker there is: drop, don't
		 * refuse (operator-api §10). */
		if (needs == PARAM_NEEDS_QUEUES && p->auto_queue_splitting)
			continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		return err_set(e, ERR_UNSUPPORTED, FEATURE_TEXTS[needs],
		    PARAM_TABLE[i].name);
#pragma GCC diagnostic pop
	}
	return 0;
}
