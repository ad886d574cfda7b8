/*
 * Connect parameters: what is taken can be written for every child, and what
 * is written is taken again and says the same.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

static void
check_child(const struct params *p, enum params_child child, bool unified)
{
	const struct params_extra extra = {.unified_branches = unified};
	struct params again;
	struct err e = {0};
	struct buf first, second;

	buf_init(&first, 0);
	buf_init(&second, 0);
	CHECK(params_put_query(p, child, &extra, &first, &e) == 0);
	CHECK(buf_cstr(&first) != NULL);
	CHECK(params_parse(buf_cstr(&first), &again, &e) == 0);
	CHECK(again.unknown_count == 0);
	CHECK(again.value[PARAM_LABEL_TARGET] == NULL);
	if (child == PARAMS_FOR_OTHER)
		CHECK(again.value[PARAM_PG_BRANCH_NAMES] == NULL &&
		      again.value[PARAM_BRANCH_DB_NAMES] == NULL &&
		      again.value[PARAM_BRANCH_NAME] == NULL &&
		      !params_bool(&again, PARAM_IS_DEFAULT_CLUSTER, true));
	CHECK(params_put_query(&again, child, &extra, &second, &e) == 0);
	CHECK(first.len == second.len &&
	      memcmp(buf_data(&first), buf_data(&second), first.len) == 0);
	params_free(&again);
	buf_free(&first);
	buf_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct params p;
	struct err e = {0};
	char *text;
	int rc;

	if (size < 1)
		return 0;
	text = malloc(size);
	CHECK(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	rc = data[0] & 1 ? params_from_header(text, &p, &e)
			 : params_parse(text, &p, &e);
	free(text);
	if (rc < 0) {
		CHECK(e.text[0] != '\0');
		return 0;
	}
	(void)params_reserved(&p);
	(void)params_refusal(&p, 0, &e);
	for (int child = PARAMS_FOR_DEFAULT; child <= PARAMS_FOR_OTHER;
	     child++) {
		check_child(&p, (enum params_child)child, false);
		check_child(&p, (enum params_child)child, true);
	}
	params_free(&p);
	return 0;
}
