/*
 * The WebSocket parser: the first byte chooses the role and how the input is
 * cut. However it is cut, the same messages come out.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

struct result {
	int rc;
	uint16_t close_code;
	uint64_t bytes, hash;
	size_t messages, controls;
};

static void
take_event(struct result *r, const struct ws_event *ev, bool *open)
{
	struct span reason;
	uint16_t code;

	for (size_t i = 0; i < ev->bytes.n; i++)
		r->hash = r->hash * 31 + ev->bytes.p[i];
	r->bytes += ev->bytes.n;
	if (ev->kind == WS_EV_CONTROL) {
		CHECK(ev->bytes.n <= WS_CONTROL_MAX);
		r->controls++;
		if (ev->opcode == WS_CLOSE)
			(void)ws_close_parse(ev->bytes, &code, &reason, NULL);
		return;
	}
	CHECK(ev->opcode == WS_TEXT || ev->opcode == WS_BINARY);
	CHECK(ev->first == !*open);
	CHECK(ev->bytes.n > 0 || ev->last);
	*open = !ev->last;
	r->messages += ev->last;
}

static void
run(const uint8_t *p, size_t n, const struct ws_policy *policy, size_t step,
    struct result *r)
{
	struct ws_parser parser;
	struct ws_event ev = {.kind = WS_EV_NONE};
	struct err e = {0};
	struct buf in;
	size_t at = 0, used;
	bool open = false;

	memset(r, 0, sizeof(*r));
	ws_parser_init(&parser, policy);
	buf_init(&in, 0);
	while (r->rc == 0 && at < n) {
		size_t take = step < n - at ? step : n - at;

		CHECK(buf_append(&in, p + at, take) == 0);
		at += take;
		do {
			r->rc = ws_parser_next(
			    &parser, buf_data(&in), in.len, &used, &ev, &e);
			if (r->rc < 0)
				break;
			CHECK(used <= in.len);
			if (ev.kind != WS_EV_NONE)
				take_event(r, &ev, &open);
			buf_consume(&in, used);
		} while (ev.kind != WS_EV_NONE);
		CHECK(r->rc < 0 || in.len < WS_HEAD_MAX + WS_CONTROL_MAX);
	}
	r->close_code = parser.close_code;
	CHECK((r->rc < 0) == ws_close_code_valid(parser.close_code));
	buf_free(&in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ws_policy policy = {.max_message_bytes = 4096};
	struct result whole, cut;

	if (size < 1)
		return 0;
	policy.role = data[0] & 1 ? WS_SERVER : WS_CLIENT;
	policy.allow_text = (data[0] & 2) != 0;
	run(data + 1, size - 1, &policy, size, &whole);
	run(data + 1, size - 1, &policy, (size_t)(data[0] >> 2) % 23 + 1, &cut);
	CHECK(whole.rc == cut.rc && whole.close_code == cut.close_code);
	CHECK(whole.controls == cut.controls);
	CHECK(whole.messages == cut.messages);
	/* Before an error, pieces of its frame may have been given away. */
	CHECK(whole.rc < 0 ||
	      (whole.bytes == cut.bytes && whole.hash == cut.hash));
	return 0;
}
