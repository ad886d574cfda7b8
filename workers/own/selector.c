/* selector: label and field selectors in Kubernetes' grammar, bounded. */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include "lib/json.h"
#include "lib/str.h"
#include "workers/own/objects.h"

enum { WORD_MAX = 320, REQUIREMENTS_MAX = 64 };

struct cursor {
	const char *p;
};

static void
blanks(struct cursor *c)
{
	while (*c->p == ' ')
		c->p++;
}

/* A key or value; -1 when too long. May be empty. */
static int
word(struct cursor *c, char out[WORD_MAX])
{
	size_t n = 0;
	blanks(c);
	while (isalnum((unsigned char)*c->p) ||
	       (*c->p != '\0' && strchr("-_./", *c->p) != NULL)) {
		if (n + 1 >= WORD_MAX)
			return -1;
		out[n++] = *c->p++;
	}
	out[n] = '\0';
	blanks(c);
	return 0;
}

static bool
eat(struct cursor *c, const char *token)
{
	size_t n = strlen(token);
	if (strncmp(c->p, token, n) != 0)
		return false;
	c->p += n;
	return true;
}

/* "(a,b)": whether value is among them; -1 malformed. */
static int
in_set(struct cursor *c, const char *value)
{
	char w[WORD_MAX];
	int found = 0;
	blanks(c);
	if (!eat(c, "("))
		return -1;
	do {
		if (word(c, w) != 0)
			return -1;
		found |= value != NULL && strcmp(w, value) == 0;
	} while (eat(c, ","));
	if (!eat(c, ")"))
		return -1;
	blanks(c);
	return found;
}

static bool
keyword(struct cursor *c, const char *name)
{
	size_t n = strlen(name);
	if (strncmp(c->p, name, n) != 0 || (c->p[n] != ' ' && c->p[n] != '('))
		return false;
	c->p += n;
	return true;
}

/* One requirement; value NULL: the label is not there. */
static int
requirement(struct cursor *c, const cJSON *labels)
{
	char key[WORD_MAX], want[WORD_MAX];
	blanks(c);
	bool absent = eat(c, "!");
	if (word(c, key) != 0 || key[0] == '\0')
		return -1;
	const char *value = json_str(labels, key, NULL);
	if (absent)
		return value == NULL;
	if (keyword(c, "in"))
		return in_set(c, value);
	if (keyword(c, "notin")) {
		int r = in_set(c, value);
		return r < 0 ? r : !r;
	}
	bool differs = eat(c, "!=");
	if (!differs && !eat(c, "==") && !eat(c, "="))
		return value != NULL;
	if (word(c, want) != 0)
		return -1;
	return (value != NULL && strcmp(value, want) == 0) != differs;
}

int
own_labels_match(const char *selector, const cJSON *labels, struct err *e)
{
	struct cursor c = {selector};
	int yes = 1;
	blanks(&c);
	for (int i = 0; *c.p != '\0'; i++) {
		int r = i < REQUIREMENTS_MAX ? requirement(&c, labels) : -1;
		if (r < 0 || (*c.p != '\0' && !eat(&c, ",")))
			return err_set(e, ERR_INVALID,
			    "the labelSelector cannot be parsed near \"%.32s\"",
			    c.p);
		yes &= r;
	}
	return yes;
}

/* ---- fields ---- */

static const char *const known_fields[] = {
    "metadata.name", "metadata.namespace", "status.phase", "spec.session.key"};

/* A value with `\`, `,` and `=` escaped by `\`; -1 malformed. */
static int
escaped(struct cursor *c, struct buf *out)
{
	while (*c->p != '\0' && *c->p != ',') {
		if (*c->p == '=')
			return -1;
		if (*c->p == '\\') {
			c->p++;
			if (*c->p == '\0' || strchr("\\,=", *c->p) == NULL)
				return -1;
		}
		if (buf_append_u8(out, (uint8_t)*c->p++) != 0)
			return -1;
	}
	return 0;
}

static int
field(struct cursor *c, const cJSON *object)
{
	char path[WORD_MAX];
	bool known = false;
	if (word(c, path) != 0)
		return -1;
	for (size_t i = 0; i < sizeof(known_fields) / sizeof(*known_fields);
	     i++)
		known = known || strcmp(path, known_fields[i]) == 0;
	bool differs = eat(c, "!=");
	if (!known || (!differs && !eat(c, "==") && !eat(c, "=")))
		return -1;
	struct buf want;
	buf_init(&want, 4096);
	int r = escaped(c, &want);
	if (r == 0) {
		const cJSON *v = json_at(object, path);
		const char *is = cJSON_IsString(v) ? v->valuestring : "";
		const char *text = buf_cstr(&want);
		r = text == NULL ? -1 : (strcmp(is, text) == 0) != differs;
	}
	buf_free(&want);
	return r;
}

int
own_fields_match(const char *selector, const cJSON *object, struct err *e)
{
	struct cursor c = {selector};
	int yes = 1;
	for (int i = 0; *c.p != '\0'; i++) {
		int r = i < REQUIREMENTS_MAX ? field(&c, object) : -1;
		if (r < 0 || (*c.p != '\0' && !eat(&c, ",")))
			return err_set(e, ERR_INVALID,
			    "the fieldSelector cannot be parsed, or asks for "
			    "a field that is not supported");
		yes &= r;
	}
	return yes;
}
