/* The shapes of connect parameters: one checker each, in one table. */
#include "config.h"

#include <string.h>

#include "lib/json.h"
#include "lib/str.h"
#include "protocol/params_table.h"

enum { SHAPE_MAX_ITEMS = 1024, SHAPE_MAX_NAMES = 256, SHAPE_MAX_KEY = 1024 };

/* Returns what is wanted instead, or NULL when v is fine. */
typedef const char *json_shape_fn(const cJSON *v, struct params *p);

static bool
is_map(const cJSON *v, bool (*item_ok)(const cJSON *item))
{
	const cJSON *item;
	size_t n = 0;

	if (!cJSON_IsObject(v))
		return false;
	cJSON_ArrayForEach(item, v)
	{
		if (++n > SHAPE_MAX_ITEMS || item->string == NULL ||
		    strlen(item->string) > SHAPE_MAX_KEY || !item_ok(item))
			return false;
	}
	return true;
}

static bool
item_string(const cJSON *v)
{
	return cJSON_IsString(v);
}

static bool
item_map(const cJSON *v)
{
	return is_map(v, item_string);
}

static bool
item_mode(const cJSON *v)
{
	return cJSON_IsString(v) && (strcmp(v->valuestring, "mirror") == 0 ||
					strcmp(v->valuestring, "steal") == 0);
}

static bool
item_protobuf(const cJSON *v)
{
	return cJSON_IsObject(v) &&
	       json_str(v, "descriptor_base64", NULL) != NULL &&
	       json_str(v, "message_type", NULL) != NULL;
}

/* A member of obj is missing, null or fine. */
static bool
optional(const cJSON *obj, const char *key, bool (*ok)(const cJSON *item))
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);

	return v == NULL || cJSON_IsNull(v) || ok(v);
}

static const char *
shape_map(const cJSON *v, struct params *p)
{
	(void)p;
	return item_map(v) ? NULL : "a JSON object of strings";
}

static const char *
shape_map_of_maps(const cJSON *v, struct params *p)
{
	(void)p;
	return is_map(v, item_map)
		   ? NULL
		   : "a JSON object whose members are objects of strings";
}

static const char *
shape_list(const cJSON *v, struct params *p)
{
	const cJSON *item;
	size_t n = 0;
	bool ok = cJSON_IsArray(v);

	(void)p;
	cJSON_ArrayForEach(item, v)
	{
		ok = ok && cJSON_IsString(item) && *item->valuestring != '\0';
		ok = ok && ++n <= SHAPE_MAX_NAMES;
	}
	return ok ? NULL : "a JSON array of at most 256 names";
}

static const char *
shape_labels(const cJSON *v, struct params *p)
{
	const cJSON *labels = cJSON_GetObjectItemCaseSensitive(v, "labels");

	(void)p;
	return cJSON_IsObject(v) && item_map(labels) && labels->child != NULL &&
		       optional(v, "container", item_string)
		   ? NULL
		   : "{\"labels\": {name: value}, \"container\": name}";
}

static const char *
shape_protobuf(const cJSON *v, struct params *p)
{
	(void)p;
	return is_map(v, item_protobuf)
		   ? NULL
		   : "a JSON object of {\"descriptor_base64\", "
		     "\"message_type\"}";
}

static const char *
shape_modes(const cJSON *v, struct params *p)
{
	(void)p;
	return is_map(v, item_mode)
		   ? NULL
		   : "a JSON object of \"mirror\" or \"steal\"";
}

static const char *
shape_ci_info(const cJSON *v, struct params *p)
{
	(void)p;
	return cJSON_IsObject(v) && optional(v, "provider", item_string) &&
		       optional(v, "environment", item_string) &&
		       optional(v, "pipeline", item_string) &&
		       optional(v, "triggeredBy", item_string)
		   ? NULL
		   : "a JSON object with provider, environment, pipeline and "
		     "triggeredBy";
}

static bool
item_bool(const cJSON *v)
{
	return cJSON_IsBool(v);
}

static const char *
shape_up_info(const cJSON *v, struct params *p)
{
	if (!cJSON_IsObject(v) || !optional(v, "autoQueueSplitting", item_bool))
		return "{\"autoQueueSplitting\": true or false}";
	p->auto_queue_splitting = json_bool(v, "autoQueueSplitting", false);
	return NULL;
}

static bool
item_resource(const cJSON *v)
{
	return cJSON_IsObject(v) && json_str(v, "queueId", NULL) != NULL &&
	       optional(v, "topic", item_map) &&
	       optional(v, "subscription", item_map) &&
	       optional(v, "channel", item_map) &&
	       optional(v, "taskQueue", item_map);
}

static const char *
shape_resources(const cJSON *v, struct params *p)
{
	const cJSON *item;
	size_t n = 0;
	bool ok = cJSON_IsArray(v);

	(void)p;
	cJSON_ArrayForEach(item, v) ok =
	    ok && item_resource(item) && ++n <= SHAPE_MAX_ITEMS;
	return ok ? NULL
		  : "a JSON array of {\"queueId\", \"topic\", "
		    "\"subscription\", \"channel\", \"taskQueue\"}";
}

static json_shape_fn *const JSON_SHAPES[SHAPE_COUNT] = {
    [SHAPE_MAP] = shape_map,
    [SHAPE_MAP_OF_MAPS] = shape_map_of_maps,
    [SHAPE_LIST] = shape_list,
    [SHAPE_LABELS] = shape_labels,
    [SHAPE_PROTOBUF] = shape_protobuf,
    [SHAPE_MODES] = shape_modes,
    [SHAPE_CI_INFO] = shape_ci_info,
    [SHAPE_UP_INFO] = shape_up_info,
    [SHAPE_RESOURCES] = shape_resources,
};

static bool
span_is(struct span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static const char *
check_plain(enum param_shape shape, struct span v, struct params *p)
{
	static const char *const steal[] = {
	    [PARAMS_STEAL_ABORT] = "abort",
	    [PARAMS_STEAL_CONTINUE] = "continue",
	    [PARAMS_STEAL_OVERRIDE] = "override",
	};

	if (shape == SHAPE_STRING)
		return NULL;
	if (shape == SHAPE_TRUE)
		return span_is(v, "true") ? NULL : "true";
	if (shape == SHAPE_BOOL)
		return span_is(v, "true") || span_is(v, "false")
			   ? NULL
			   : "true or false";
	for (size_t i = 0; i < sizeof(steal) / sizeof(steal[0]); i++) {
		if (!span_is(v, steal[i]))
			continue;
		p->on_concurrent_steal = (enum params_steal)i;
		return NULL;
	}
	return "abort, continue or override";
}

int
param_check(enum param_shape shape, const char *name, struct span value,
    struct params *p, struct err *e)
{
	const char *want;
	cJSON *v;

	if (!str_utf8_valid(value.p, value.n))
		return err_set(e, ERR_INVALID,
		    "The connect parameter %s is not UTF-8 text.", name);
	if (JSON_SHAPES[shape] == NULL) {
		want = check_plain(shape, value, p);
	} else {
		v = json_parse(value.p, value.n, NULL);
		want = v == NULL ? "valid JSON" : JSON_SHAPES[shape](v, p);
		cJSON_Delete(v);
	}
	if (want == NULL)
		return 0;
	return err_set(
	    e, ERR_INVALID, "The connect parameter %s must be %s.", name, want);
}
