/* pm_rows: see the header. The row itself is read with the product's reader. */
#include "tests/unit/protocol/pm_rows.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/str.h"
#include "protocol/pm_json.h"

void
unhex(const char *hex, size_t n, struct buf *out)
{
	buf_clear(out);
	assert_int_equal(str_hex_decode(out, hex, n), 0);
}

/* Steps over one value of any kind. */
static void
skip_value(struct pm_json_in *in)
{
	int depth = 0;
	struct pm_str s;
	char c;

	do {
		c = pm_json_peek(in);
		assert_int_not_equal(c, '\0');
		if (c == '"') {
			assert_int_equal(pm_json_text(in, &s), 0);
			continue;
		}
		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		in->p++;
		if (depth == 0 && strchr("{}[]", c) == NULL)
			in->p += strcspn(in->p, ",}] \n");
	} while (depth > 0);
}

static void
row_member(
    struct row *r, struct pm_str key, struct pm_str raw, struct pm_str text)
{
	if (pm_str_eq(key, PM_STR("name")))
		r->name = text;
	else if (pm_str_eq(key, PM_STR("note")))
		r->note = text;
	else if (pm_str_eq(key, PM_STR("dir")))
		r->dir =
		    pm_str_eq(text, PM_STR("client")) ? PM_CLIENT : PM_DAEMON;
	else if (pm_str_eq(key, PM_STR("hex")))
		unhex(text.p, text.n, &r->hex);
	else if (pm_str_eq(key, PM_STR("canonical_hex")))
		unhex(text.p, text.n, &r->canonical);
	else if (pm_str_eq(key, PM_STR("json")))
		r->json = raw;
	else if (pm_str_eq(key, PM_STR("valid")))
		r->valid = raw.p[0] == 't';
	else if (pm_str_eq(key, PM_STR("consumed")))
		r->consumed = (size_t)strtoul(raw.p, NULL, 10);
}

static void
row_parse(struct rows *rows, struct row *r)
{
	struct pm_json_in in;
	struct pm_str key, raw, text;

	buf_init(&r->hex, 0);
	buf_init(&r->canonical, 0);
	pm_json_in_init(&in, &rows->arena, r->line, strlen(r->line), NULL);
	assert_int_equal(pm_json_expect(&in, '{'), 0);
	do {
		assert_int_equal(pm_json_text(&in, &key), 0);
		assert_int_equal(pm_json_expect(&in, ':'), 0);
		pm_json_peek(&in);
		raw.p = in.p;
		text = PM_STR("");
		if (*raw.p == '"')
			assert_int_equal(pm_json_text(&in, &text), 0);
		else
			skip_value(&in);
		raw.n = (size_t)(in.p - raw.p);
		row_member(r, key, raw, text);
	} while (pm_json_more(&in, '}') == 1);
	r->odd = r->consumed != 0;
	if (r->consumed == 0)
		r->consumed = r->hex.len;
	if (r->canonical.len == 0 && r->valid)
		assert_int_equal(
		    buf_append(&r->canonical, buf_data(&r->hex), r->consumed),
		    0);
}

void
rows_load(struct rows *rows)
{
	FILE *f = fopen(PM_VECTORS, "r");
	char *line = NULL;
	size_t cap = 0;

	assert_non_null(f);
	memset(rows, 0, sizeof(*rows));
	arena_init(&rows->arena, 0);
	rows->v = calloc(2000, sizeof(*rows->v));
	assert_non_null(rows->v);
	while (getline(&line, &cap, f) > 0) {
		assert_in_range(rows->n, 0, 1999);
		rows->v[rows->n].line = line;
		row_parse(rows, &rows->v[rows->n++]);
		line = NULL;
		cap = 0;
	}
	free(line);
	fclose(f);
	assert_in_range(rows->n, 600, 2000);
}

void
rows_free(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		free(rows->v[i].line);
		buf_free(&rows->v[i].hex);
		buf_free(&rows->v[i].canonical);
	}
	free(rows->v);
	arena_free(&rows->arena);
}

int
message_decode(struct arena *a, enum pm_dir dir, const uint8_t *p, size_t n,
    size_t *used_r, struct message *out, struct err *e)
{
	out->dir = dir;
	if (dir == PM_CLIENT)
		return pm_decode_client(a, p, n, used_r, &out->u.client, e);
	return pm_decode_daemon(a, p, n, used_r, &out->u.daemon, e);
}

int
message_encode(const struct message *m, struct buf *out, struct err *e)
{
	if (m->dir == PM_CLIENT)
		return pm_encode_client(&m->u.client, out, e);
	return pm_encode_daemon(&m->u.daemon, out, e);
}

int
message_print(const struct message *m, struct buf *out)
{
	if (m->dir == PM_CLIENT)
		return pm_print_client(&m->u.client, out);
	return pm_print_daemon(&m->u.daemon, out);
}

int
message_parse(struct arena *a, enum pm_dir dir, const char *s, size_t n,
    struct message *out, struct err *e)
{
	out->dir = dir;
	if (dir == PM_CLIENT)
		return pm_parse_client(a, s, n, &out->u.client, e);
	return pm_parse_daemon(a, s, n, &out->u.daemon, e);
}

uint32_t
message_since(const struct message *m)
{
	return m->dir == PM_CLIENT ? pm_since_client(&m->u.client)
				   : pm_since_daemon(&m->u.daemon);
}

bool
json_plain(const char *s, size_t n, struct buf *out)
{
	struct pm_json_in in;
	struct arena a;
	struct pm_str text;
	bool ok = true;
	char c;

	arena_init(&a, 0);
	pm_json_in_init(&in, &a, s, n, NULL);
	while (ok && (c = pm_json_peek(&in)) != '\0') {
		if (c == '"') {
			ok = pm_json_text(&in, &text) == 0 &&
			     pm_json_put_text(out, text.p, text.n) == 0;
			continue;
		}
		ok = buf_append_u8(out, (uint8_t)c) == 0;
		in.p++;
	}
	arena_free(&a);
	return ok;
}
