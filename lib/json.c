#include "config.h"

#include "lib/json.h"

#include <stdlib.h>
#include <string.h>

cJSON *
json_parse(const void *p, size_t n, struct err *e)
{
	const char *end = NULL;
	cJSON *v = cJSON_ParseWithLengthOpts(p, n, &end, 0);

	if (v == NULL) {
		err_set(e, ERR_INVALID, "not valid JSON near byte %zu",
		    end == NULL ? (size_t)0 : (size_t)(end - (const char *)p));
		return NULL;
	}
	for (; end < (const char *)p + n; end++) {
		if (strchr(" \t\r\n", *end) == NULL) {
			err_set(e, ERR_INVALID, "text after the JSON value");
			cJSON_Delete(v);
			return NULL;
		}
	}
	return v;
}

int
json_print(const cJSON *v, struct buf *out)
{
	char *s = cJSON_PrintUnformatted(v);
	int rc;

	if (s == NULL)
		return -ERR_NOMEM;
	rc = buf_append(out, s, strlen(s));
	cJSON_free(s);
	return rc;
}

const char *
json_str(const cJSON *obj, const char *key, const char *dflt)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);

	return cJSON_IsString(v) ? v->valuestring : dflt;
}

bool
json_bool(const cJSON *obj, const char *key, bool dflt)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);

	return cJSON_IsBool(v) ? (bool)cJSON_IsTrue(v) : dflt;
}

int64_t
json_int(
    const cJSON *obj, const char *key, int64_t min, int64_t max, int64_t dflt)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);
	double d;

	if (!cJSON_IsNumber(v))
		return dflt;
	d = v->valuedouble;
	if (!(d >= (double)min && d <= (double)max) || d != (double)(int64_t)d)
		return dflt;
	return (int64_t)d;
}

cJSON *
json_at(const cJSON *obj, const char *path)
{
	const cJSON *v = obj;

	while (v != NULL && *path != '\0') {
		size_t n = strcspn(path, ".");
		char key[128];

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		v = cJSON_GetObjectItemCaseSensitive(v, key);
		path += path[n] == '.' ? n + 1 : n;
	}
	return (cJSON *)v;
}
