/* Writing a child's connect parameters, filtered as multicluster §4 says. */
#include "config.h"

#include <string.h>

#include "lib/json.h"
#include "lib/str.h"
#include "protocol/params_table.h"

struct put {
	const struct params *p;
	enum params_child child;
	const struct params_extra *extra; /* never NULL */
	struct buf *out;
	bool begun;
};

static int
put_pair(struct put *w, const char *name, const char *value)
{
	int rc = w->begun ? buf_append_u8(w->out, '&') : 0;

	w->begun = true;
	if (rc == 0)
		rc = buf_printf(w->out, "%s=", name);
	return rc < 0 ? rc : str_form_encode(w->out, value, strlen(value));
}

static const char *
extra_value(const struct put *w, enum param_id id)
{
	if (w->child != PARAMS_FOR_OTHER)
		return NULL;
	switch (id) {
	case PARAM_SQS_OUTPUT_QUEUES:
		return w->extra->sqs_output_queues;
	case PARAM_RMQ_OUTPUT_QUEUES:
		return w->extra->rmq_output_queues;
	case PARAM_OUTPUT_TMP_RESOURCES:
		return w->extra->output_tmp_resources;
	default:
		return NULL;
	}
}

static bool
is_branch_list(enum param_id id)
{
	return PARAM_TABLE[id].needs == PARAM_NEEDS_BRANCHES;
}

/* The value this child gets for a row, or NULL. */
static const char *
child_value(const struct put *w, enum param_id id)
{
	bool other = w->child == PARAMS_FOR_OTHER;
	bool stateful_only = w->child == PARAMS_FOR_DEFAULT_STATEFUL;

	if (is_branch_list(id) && w->extra->unified_branches)
		return NULL; /* merged, see put_branches */
	if (stateful_only && PARAM_TABLE[id].child != CHILD_STATEFUL)
		return NULL;
	switch (PARAM_TABLE[id].child) {
	case CHILD_ALL:
		return w->p->value[id];
	case CHILD_DEFAULT:
		return other ? NULL : w->p->value[id];
	case CHILD_STATEFUL:
		return other || w->child == PARAMS_FOR_DEFAULT_PLAIN
			   ? NULL
			   : w->p->value[id];
	case CHILD_EXTRA:
		return extra_value(w, id);
	case CHILD_TRUE:
		return "true";
	case CHILD_FALSE:
		return "false";
	case CHILD_IS_DEFAULT:
		return other ? "false" : "true";
	case CHILD_NEVER:
		break;
	}
	return NULL;
}

/* An empty JSON object or array is left out (multicluster §4). */
static bool
is_empty_json(enum param_id id, const char *value)
{
	const char *s = value + strspn(value, " \t\r\n");
	bool json = PARAM_TABLE[id].shape >= SHAPE_MAP;

	if (!json || (*s != '{' && *s != '['))
		return false;
	s++;
	s += strspn(s, " \t\r\n");
	return *s == '}' || *s == ']';
}

/* Appends the names of one JSON list to all, each once. */
static int
merge_list(cJSON *all, const char *text)
{
	cJSON *list = json_parse(text, strlen(text), NULL), *item, *have;
	int rc = list != NULL ? 0 : -ERR_NOMEM;

	cJSON_ArrayForEach(item, list)
	{
		bool dup = false;

		cJSON_ArrayForEach(have, all)
		{
			dup = dup ||
			      strcmp(have->valuestring, item->valuestring) == 0;
		}
		if (rc == 0 && !dup &&
		    !cJSON_AddItemToArray(
			all, cJSON_CreateString(item->valuestring)))
			rc = -ERR_NOMEM;
	}
	cJSON_Delete(list);
	return rc;
}

/* All branch lists in branch_db_names, for a peer with UnifiedBranchDbCrd. */
static int
put_branches(struct put *w)
{
	cJSON *all;
	struct buf text;
	const char *s;
	int rc = 0;

	if (!w->extra->unified_branches || w->child == PARAMS_FOR_OTHER ||
	    w->child == PARAMS_FOR_DEFAULT_PLAIN)
		return 0;
	all = cJSON_CreateArray();
	buf_init(&text, PARAMS_MAX_BYTES);
	if (all == NULL)
		rc = -ERR_NOMEM;
	for (int i = 0; rc == 0 && i < PARAM_COUNT; i++) {
		if (is_branch_list((enum param_id)i) && w->p->value[i] != NULL)
			rc = merge_list(all, w->p->value[i]);
	}
	if (rc == 0 && all->child != NULL) {
		rc = json_print(all, &text);
		s = rc == 0 ? buf_cstr(&text) : NULL;
		if (rc == 0)
			rc = s != NULL
				 ? put_pair(
				       w, params_name(PARAM_BRANCH_DB_NAMES), s)
				 : -ERR_NOMEM;
	}
	cJSON_Delete(all);
	buf_free(&text);
	return rc;
}

int
params_put_query(const struct params *p, enum params_child child,
    const struct params_extra *extra, struct buf *out, struct err *e)
{
	static const struct params_extra none;
	struct put w = {p, child, extra != NULL ? extra : &none, out, false};
	int rc = 0;

	for (int i = 0; rc == 0 && i < PARAM_COUNT; i++) {
		const char *value = child_value(&w, (enum param_id)i);

		if (value != NULL && !is_empty_json((enum param_id)i, value))
			rc = put_pair(&w, PARAM_TABLE[i].name, value);
	}
	if (rc == 0)
		rc = put_branches(&w);
	if (rc < 0)
		return err_set(e, (enum err_code) - rc,
		    "The parameters of a child session can't be written: %s.",
		    err_code_name((enum err_code) - rc));
	return 0;
}
