/*
 * ipc from outside: the same bytes through the pure codec, and into a peer
 * with a stream, on the data or on the control socket, in pieces and with
 * descriptors where the input says so.
 */
#include "config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/stream.h"
#include "ipc/table.h"
#include "lib/log.h"
#include "sys/fdpass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
nothing(void *arg, enum log_level lv, const char *line)
{
	(void)arg;
	(void)lv;
	(void)line;
}

static void
fuzz_decode(const uint8_t *p, size_t n)
{
	uint64_t payload[IPC_STRUCT_BYTES / 8];
	struct buf out, text;
	struct ipc_header h;
	struct err e;
	size_t used;

	buf_init(&out, 0);
	buf_init(&text, 0);
	while (ipc_decode(p, n, &h, payload, &used, &e) == 0) {
		ipc_print(&h, payload, &text);
		buf_clear(&text);
		/* What was read is written the same, but for descriptors. */
		if (h.n_fds == 0) {
			buf_clear(&out);
			if (ipc_encode(h.type, h.flags, h.session, h.stream,
				payload, &out) != 0 ||
			    out.len != used ||
			    memcmp(buf_data(&out), p, used) != 0)
				abort();
		}
		p += used;
		n -= used;
	}
	buf_free(&out);
	buf_free(&text);
}

struct state {
	struct ipc_peer *peer;
	struct ipc_stream *stream;
	struct ipc_budget budget;
};

static void
on_piece(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	struct state *s = arg;
	volatile uint8_t sum = 0;

	(void)first;
	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + p[i]);
	if (s->stream != NULL && !last)
		ipc_stream_consumed(s->stream, n);
}

static void
on_end(void *arg, uint16_t code, const char *text)
{
	struct state *s = arg;

	(void)code;
	(void)text;
	ipc_stream_free(&s->stream);
}

static const struct ipc_stream_ops ops = {on_piece, NULL, NULL, on_end};

static int
on_any(void *worker, struct ipc_in *in, struct err *e)
{
	struct state *s = worker;

	if (in->header.type == IPC_STREAM_OPEN && s->stream == NULL) {
		s->stream = ipc_stream_new(in->peer, in->header.session,
		    in->header.stream, &s->budget, &ops, s);
		return 0;
	}
	if (in->header.type >> 8 == 7 && in->header.type != IPC_STREAM_OPEN)
		return ipc_stream_dispatch(in, e);
	return 0;
}

static void
on_gone(void *worker, struct ipc_peer *peer, const char *why)
{
	(void)peer;
	(void)why;
	((struct state *)worker)->peer = NULL;
}

/* Each piece begins with a byte: its length, its socket, its descriptors. */
static void
fuzz_write(const uint8_t *p, size_t n, const int sv[2], struct ev_loop *loop,
    const struct state *s)
{
	static const int fds[4] = {0, 1, 2, 0};

	while (n > 1 && s->peer != NULL) {
		unsigned how = p[0];
		size_t part = how & 0x0f ? (size_t)(how & 0x0f) * 16 : n;

		p++;
		n--;
		part = part < n ? part : n;
		if (sys_fd_send(
			sv[how >> 7], p, part, fds, how >> 4 & 3, NULL) < 0)
			return;
		p += part;
		n -= part;
		ev_loop_turn(loop, false);
	}
}

static void
fuzz_peer(const uint8_t *p, size_t n, enum ipc_role self, enum ipc_role other,
    enum ipc_phase phase)
{
	struct ipc_handler handlers[IPC_N_SPECS_MAX];
	struct ipc_dispatch d = {self, handlers, 0, on_gone};
	struct state s = {.budget = {NULL, IPC_SESSION_BUDGET_BYTES, 0}};
	struct ev_loop *loop = ev_loop_new();
	int data[2], ctrl[2];

	for (size_t i = 0; ipc_spec_at(i) != NULL; i++) {
		if (ipc_spec_at(i)->senders[self] != 0)
			handlers[d.n_handlers++] =
			    (struct ipc_handler){ipc_spec_at(i)->id, on_any};
	}
	if (loop == NULL ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, data) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ctrl) < 0)
		abort();
	s.peer = ipc_peer_new(
	    loop, &d, &s, &phase, other, 0, "", data[0], ctrl[0], NULL);
	fuzz_write(p, n, (int[]){data[1], ctrl[1]}, loop, &s);
	close(data[1]);
	close(ctrl[1]);
	for (int i = 0; i < 64 && s.peer != NULL; i++)
		ev_loop_turn(loop, false);
	if (s.peer != NULL || s.stream != NULL || s.budget.granted_bytes != 0)
		abort();
	ev_loop_free(&loop);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	log_set_sink(nothing, NULL);
	if (n < 3)
		return 0;
	fuzz_decode(data + 2, n - 2);
	fuzz_peer(data + 2, n - 2, (enum ipc_role)(data[0] % IPC_N_ROLES),
	    (enum ipc_role)(data[0] / IPC_N_ROLES % IPC_N_ROLES),
	    (enum ipc_phase)(data[1] % 3));
	return 0;
}
