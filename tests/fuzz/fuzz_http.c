/*
 * HTTP heads and bodies. The first byte chooses request or response and how
 * the input is cut; the result must be the same however it is cut.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

struct result {
	int rc;
	int status;
	enum http_framing framing;
	size_t fields;
	uint64_t body_bytes;
	bool done;
};

static void
look_at(const struct http_head *h, bool request)
{
	struct http_path path;
	struct buf name, value;
	const char *q, *v;
	size_t pos = 0;

	CHECK(h->field_count <= HTTP_MAX_FIELDS);
	for (size_t i = 0; i < h->field_count; i++) {
		CHECK(http_is_token(h->fields[i].name));
		CHECK(strpbrk(h->fields[i].value, "\r\n") == NULL);
	}
	(void)http_has_token(h, "connection", "upgrade");
	while (http_get_next(h, "x", &pos) != NULL)
		;
	(void)http_get_single(h, "x", &v, NULL);
	if (!request)
		return;
	CHECK(h->path[0] == '/' || strcmp(h->path, "*") == 0);
	if (http_path_parse(h->path, &path, NULL) == 0) {
		for (size_t i = 0; i < path.count; i++)
			CHECK(strchr(path.seg[i], '/') == NULL);
	}
	http_path_free(&path);
	buf_init(&name, 1 << 20);
	buf_init(&value, 1 << 20);
	q = h->query;
	while (http_query_next(&q, &name, &value) == 1)
		CHECK(*q == '\0' || *q == '&');
	buf_free(&name);
	buf_free(&value);
}

static void
run_body(const struct http_head *h, struct buf *in, struct result *r)
{
	struct http_body b;
	struct span data;
	size_t used;

	r->rc = http_body_init(&b, h, 1 << 16, NULL);
	while (r->rc == 0 && !b.done) {
		r->rc = http_body_next(&b, buf_span(in), &data, &used, NULL);
		if (r->rc < 0 || used == 0)
			break;
		CHECK(used <= in->len && data.n <= used);
		r->body_bytes += data.n;
		buf_consume(in, used);
	}
	r->done = b.done;
}

static void
run(const uint8_t *p, size_t n, bool request, size_t step, struct result *r)
{
	struct http_parser parser = {0};
	struct http_head h;
	struct err e = {0};
	struct buf in;
	size_t at = 0;

	memset(r, 0, sizeof(*r));
	buf_init(&in, 0);
	r->rc = -ERR_TRUNCATED;
	while (r->rc == -ERR_TRUNCATED && at < n) {
		size_t take = step < n - at ? step : n - at;

		CHECK(buf_append(&in, p + at, take) == 0);
		at += take;
		r->rc = request
			    ? http_parse_request(&parser, &in, &h, &e)
			    : http_parse_response(&parser, &in, "GET", &h, &e);
	}
	if (r->rc == 0) {
		CHECK(buf_append(&in, p + at, n - at) == 0);
		r->status = h.status;
		r->framing = h.framing;
		r->fields = h.field_count;
		look_at(&h, request);
		run_body(&h, &in, r);
		http_head_free(&h);
	} else if (r->rc != -ERR_TRUNCATED) {
		r->status = parser.refuse_code;
		CHECK(parser.refuse_code >= 400 && e.text[0] != '\0');
	}
	buf_free(&in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole, cut;

	if (size < 1)
		return 0;
	run(data + 1, size - 1, data[0] & 1, size, &whole);
	run(data + 1, size - 1, data[0] & 1, (size_t)(data[0] >> 1) % 61 + 1,
	    &cut);
	CHECK(whole.rc == cut.rc && whole.status == cut.status);
	CHECK(whole.framing == cut.framing && whole.fields == cut.fields);
	CHECK(whole.body_bytes == cut.body_bytes && whole.done == cut.done);
	return 0;
}
