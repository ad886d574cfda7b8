/*
 * The incremental frame parser: from bytes to pieces of messages and whole
 * control frames. Every byte of it comes from the peer.
 */
#include "config.h"

#include <string.h>

#include "protocol/ws.h"

void
ws_parser_init(struct ws_parser *p, const struct ws_policy *policy)
{
	memset(p, 0, sizeof(*p));
	p->policy = *policy;
	if (p->policy.max_frame_bytes == 0)
		p->policy.max_frame_bytes = WS_MAX_FRAME;
	if (p->policy.max_message_bytes == 0)
		p->policy.max_message_bytes = WS_MAX_MESSAGE;
}

static int
ws_fail(struct ws_parser *p, uint16_t close_code, struct err *e,
    enum err_code code, const char *text)
{
	p->close_code = close_code;
	return err_set(e, code, "%s", text);
}

/* Does a data frame fit the message under way and the limits? */
static int
check_data(struct ws_parser *p, const struct ws_frame *f, struct err *e)
{
	if (f->opcode == WS_CONT && !p->in_message)
		return ws_fail(p, WS_CLOSE_PROTOCOL, e, ERR_INVALID,
		    "A WebSocket continuation frame continues nothing.");
	if (f->opcode != WS_CONT && p->in_message)
		return ws_fail(p, WS_CLOSE_PROTOCOL, e, ERR_INVALID,
		    "A WebSocket message begins inside another one.");
	if (f->opcode == WS_TEXT && !p->policy.allow_text)
		return ws_fail(p, WS_CLOSE_UNSUPPORTED, e, ERR_UNSUPPORTED,
		    "A WebSocket text message came; only binary ones are "
		    "taken here.");
	if (f->len > p->policy.max_frame_bytes)
		return ws_fail(p, WS_CLOSE_TOO_BIG, e, ERR_TOO_BIG,
		    "A WebSocket frame is longer than is taken here.");
	if (!p->in_message)
		p->message_bytes = 0;
	if (f->len > p->policy.max_message_bytes - p->message_bytes)
		return ws_fail(p, WS_CLOSE_TOO_BIG, e, ERR_TOO_BIG,
		    "A WebSocket message is longer than is taken here.");
	return 0;
}

static int
check_frame(struct ws_parser *p, const struct ws_frame *f, struct err *e)
{
	if (f->masked != (p->policy.role == WS_SERVER))
		return ws_fail(p, WS_CLOSE_PROTOCOL, e, ERR_INVALID,
		    f->masked ? "A WebSocket server sent a masked frame."
			      : "A WebSocket client sent an unmasked frame.");
	return f->opcode >= WS_CLOSE ? 0 : check_data(p, f, e);
}

static void
begin_data(struct ws_parser *p, const struct ws_frame *f)
{
	p->frame = *f;
	p->frame_done = 0;
	p->in_frame = true;
	p->message_bytes += f->len;
	if (p->in_message)
		return;
	p->in_message = true;
	p->message_begun = false;
	p->message_op = f->opcode;
	memset(&p->utf8, 0, sizeof(p->utf8));
}

static int
control_event(const struct ws_frame *f, uint8_t *in, size_t n, size_t *used,
    struct ws_event *ev)
{
	if (n - f->head_len < f->len)
		return 0; /* at most 125 bytes: wait for all of it */
	if (f->masked)
		ws_mask(in + f->head_len, (size_t)f->len, f->mask, 0);
	ev->kind = WS_EV_CONTROL;
	ev->opcode = f->opcode;
	ev->first = ev->last = true;
	ev->bytes = (struct span){in + f->head_len, (size_t)f->len};
	*used = f->head_len + (size_t)f->len;
	return 0;
}

/* Takes payload of the frame under way; fills *ev when it is worth one. */
static int
data_event(struct ws_parser *p, uint8_t *in, size_t n, size_t *used,
    struct ws_event *ev, struct err *e)
{
	uint64_t left = p->frame.len - p->frame_done;
	size_t take = left < n ? (size_t)left : n;
	bool ends;

	if (p->frame.masked)
		ws_mask(in, take, p->frame.mask, p->frame_done);
	if (p->message_op == WS_TEXT && !ws_utf8_feed(&p->utf8, in, take))
		return ws_fail(p, WS_CLOSE_BAD_DATA, e, ERR_INVALID,
		    "A WebSocket text message is not UTF-8.");
	p->frame_done += take;
	*used += take;
	ends = p->frame_done == p->frame.len;
	p->in_frame = !ends;
	ends = ends && p->frame.fin;
	if (ends && p->message_op == WS_TEXT && !ws_utf8_complete(&p->utf8))
		return ws_fail(p, WS_CLOSE_BAD_DATA, e, ERR_INVALID,
		    "A WebSocket text message ends inside a character.");
	if (take == 0 && !ends)
		return 0;
	ev->kind = WS_EV_PIECE;
	ev->opcode = p->message_op;
	ev->first = !p->message_begun;
	ev->last = ends;
	ev->bytes = (struct span){in, take};
	p->message_begun = true;
	p->in_message = !ends;
	return 0;
}

int
ws_parser_next(struct ws_parser *p, uint8_t *in, size_t n, size_t *used,
    struct ws_event *ev, struct err *e)
{
	*used = 0;
	memset(ev, 0, sizeof(*ev));
	while (ev->kind == WS_EV_NONE) {
		struct ws_frame f;
		int rc;

		if (p->in_frame && p->frame.len > p->frame_done && n == *used)
			return 0;
		if (!p->in_frame) {
			rc = ws_head_decode(
			    (struct span){in + *used, n - *used}, &f, e);
			if (rc == -ERR_TRUNCATED)
				return 0;
			if (rc < 0) {
				p->close_code = WS_CLOSE_PROTOCOL;
				return rc;
			}
			rc = check_frame(p, &f, e);
			if (rc < 0)
				return rc;
			if (f.opcode >= WS_CLOSE) {
				size_t at = *used, took = 0;

				rc = control_event(
				    &f, in + at, n - at, &took, ev);
				*used = at + took;
				return rc;
			}
			begin_data(p, &f);
			*used += f.head_len;
		}
		rc = data_event(p, in + *used, n - *used, used, ev, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}
