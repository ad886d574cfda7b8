#include "config.h"

#include "tests/unit/workers/rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/json.h"

enum { RIG_LIMIT_MS = 5000 };

/* The bytes of a message that a test may want to see. */
static struct span
rig_body(const struct ipc_in *in)
{
	switch (in->header.type) {
	case IPC_STREAM_DATA:
		return ((const struct ipc_stream_data *)in->payload)->data;
	case IPC_API_REPLY:
		return ((const struct ipc_api_reply *)in->payload)->body;
	case IPC_CHILD_CREATE:
		return ((const struct ipc_child_create *)in->payload)->object;
	case IPC_SIGN_SERVER:
		return ((const struct ipc_sign_server *)in->payload)->spki;
	case IPC_GRANT:
		return ((const struct ipc_grant *)in->payload)->params;
	case IPC_TRUST:
		return ((const struct ipc_trust *)in->payload)->trust;
	case IPC_SERVER_SIGNED:
		return ((const struct ipc_server_signed *)in->payload)
		    ->chain_pem;
	case IPC_CSR_SIGNED:
		return ((const struct ipc_csr_signed *)in->payload)
		    ->certificate_pem;
	case IPC_CREDENTIAL:
		return ((const struct ipc_credential *)in->payload)->token;
	default:
		return (struct span){NULL, 0};
	}
}

static int
rig_capture(void *worker, struct ipc_in *in, struct err *e)
{
	struct rig_peer *p = worker;
	struct rig_msg *m = calloc(1, sizeof(*m));
	struct buf text;

	(void)e;
	assert_non_null(m);
	buf_init(&text, 8 << 20);
	buf_init(&m->data, 0);
	ipc_print(&in->header, in->payload, &text);
	m->text = buf_take(&text);
	m->header = in->header;
	m->fd = -1;
	struct span body = rig_body(in);

	assert_int_equal(buf_append(&m->data, body.p, body.n), 0);
	if (in->n_fds > 0) {
		m->fd = in->fds[0];
		in->fds[0] = -1;
	}
	list_push(&p->got, &m->node);
	return 0;
}

static const struct ipc_handler rig_handlers[] = {
#define IPC_MSG(NAME, ...) {IPC_##NAME, rig_capture},
#include "ipc/messages.def"
#undef IPC_MSG
};

static void
rig_gone(void *worker, struct ipc_peer *peer, const char *why)
{
	struct rig_peer *p = worker;

	(void)peer;
	(void)why;
	p->gone = true;
	p->peer = NULL;
}

void
rig_init(struct rig *r, const struct worker_ops *ops, const char *config)
{
	struct err e;

	memset(r, 0, sizeof(*r));
	list_init(&r->peers);
	list_init(&r->w.peers);
	r->w.loop = ev_loop_new();
	r->w.role = ops->role;
	r->w.ops = ops;
	r->w.phase = IPC_PHASE_RUN;
	r->w.config = json_parse(config, strlen(config), &e);
	assert_non_null(r->w.config);
	r->w.dispatch = (struct ipc_dispatch){.self = ops->role,
	    .handlers = ops->handlers,
	    .n_handlers = ops->n_handlers,
	    .on_gone = worker_on_gone};
	if (ops->prepare != NULL && ops->prepare(&r->w, &e) < 0)
		fail_msg("prepare: %s", e.text);
	if (ops->start != NULL && ops->start(&r->w, &e) < 0)
		fail_msg("start: %s", e.text);
}

void
rig_msg_free(struct rig_msg **m)
{
	if (*m == NULL)
		return;
	if ((*m)->fd >= 0)
		close((*m)->fd);
	free((*m)->text);
	buf_free(&(*m)->data);
	free(*m);
	*m = NULL;
}

void
rig_deinit(struct rig *r)
{
	LIST_FOR_EACH (node, &r->peers) {
		struct rig_peer *p = LIST_ENTRY(node, struct rig_peer, node);

		if (p->peer != NULL)
			ipc_peer_end(p->peer, "the test ends");
	}
	for (int i = 0; i < 50; i++)
		ev_loop_turn(r->w.loop, false);
	if (r->w.ops->stop != NULL)
		r->w.ops->stop(&r->w);
	LIST_FOR_EACH_SAFE (node, &r->peers) {
		struct rig_peer *p = LIST_ENTRY(node, struct rig_peer, node);

		ipc_peer_free(&p->peer);
		LIST_FOR_EACH_SAFE (got, &p->got) {
			struct rig_msg *m =
			    LIST_ENTRY(got, struct rig_msg, node);

			rig_msg_free(&m);
		}
		free(p);
	}
	cJSON_Delete(r->w.config);
	ipc_peer_free(&r->w.sup);
	ev_loop_free(&r->w.loop);
}

/* The supervisor's channel is one socket and is not attached. */
static void
rig_attach_sup(struct rig *r, struct rig_peer *p)
{
	int fds[2];
	struct err e;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	p->peer = ipc_peer_new(r->w.loop, &p->dispatch, p, &p->phase, r->w.role,
	    0, "", fds[0], -1, &e);
	r->w.sup = ipc_peer_new(r->w.loop, &r->w.dispatch, &r->w, &r->w.phase,
	    IPC_SUP, 0, "supervisor", fds[1], -1, &e);
	assert_non_null(p->peer);
	assert_non_null(r->w.sup);
	list_push(&r->peers, &p->node);
}

struct rig_peer *
rig_attach(struct rig *r, enum ipc_role role, uint32_t index, const char *name)
{
	struct rig_peer *p = calloc(1, sizeof(*p));
	struct ipc_attach m = {
	    .role = (uint8_t)role, .index = index, .name = name};
	int data[2], ctrl[2], fds[2];
	struct ipc_in in = {.payload = &m, .fds = fds, .n_fds = 2};
	struct err e;

	assert_non_null(p);
	list_init(&p->got);
	p->rig = r;
	p->phase = IPC_PHASE_RUN;
	p->dispatch = (struct ipc_dispatch){.self = role,
	    .handlers = rig_handlers,
	    .n_handlers = N_OF(rig_handlers),
	    .on_gone = rig_gone};
	if (role == IPC_SUP) {
		rig_attach_sup(r, p);
		return p;
	}
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, data), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ctrl), 0);
	p->peer = ipc_peer_new(r->w.loop, &p->dispatch, p, &p->phase, r->w.role,
	    0, "", data[0], ctrl[0], &e);
	assert_non_null(p->peer);
	list_push(&r->peers, &p->node);
	fds[0] = data[1];
	fds[1] = ctrl[1];
	assert_int_equal(worker_on_attach(&r->w, &in, &e), 0);
	return p;
}

int
rig_attach_raw(
    struct rig *r, enum ipc_role role, uint32_t index, const char *name)
{
	struct ipc_attach m = {
	    .role = (uint8_t)role, .index = index, .name = name};
	int data[2], ctrl[2], fds[2];
	struct ipc_in in = {.payload = &m, .fds = fds, .n_fds = 2};
	struct err e;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, data), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ctrl), 0);
	fds[0] = data[1];
	fds[1] = ctrl[1];
	assert_int_equal(worker_on_attach(&r->w, &in, &e), 0);
	r->raw_ctrl = ctrl[0]; /* open until the end: no end of file */
	return data[0];
}

void
rig_detach(struct rig_peer *p)
{
	ipc_peer_free(&p->peer);
}

void
rig_send(struct rig_peer *p, enum ipc_type type, uint16_t flags,
    uint32_t session, uint32_t stream, const void *payload)
{
	assert_int_equal(
	    ipc_send(p->peer, type, flags, session, stream, payload, NULL, 0),
	    0);
}

void
rig_send_fd(struct rig_peer *p, enum ipc_type type, const void *payload, int fd)
{
	assert_int_equal(ipc_send(p->peer, type, 0, 0, 0, payload, &fd, 1), 0);
}

static struct rig_msg *
rig_find(struct rig_peer *p, enum ipc_type type)
{
	LIST_FOR_EACH (node, &p->got) {
		struct rig_msg *m = LIST_ENTRY(node, struct rig_msg, node);

		if (m->header.type == type)
			return m;
	}
	return NULL;
}

struct rig_msg *
rig_expect(struct rig_peer *p, enum ipc_type type)
{
	uint64_t end_ms = clock_mono_ms() + RIG_LIMIT_MS;
	struct rig_msg *m;

	while ((m = rig_find(p, type)) == NULL) {
		if (clock_mono_ms() > end_ms || p->gone)
			fail_msg("no %s came", ipc_type_name(type));
		ev_loop_turn(p->rig->w.loop, false);
	}
	list_remove(&m->node);
	return m;
}

int
rig_count(struct rig_peer *p, enum ipc_type type)
{
	int n = 0;

	LIST_FOR_EACH (node, &p->got)
		n +=
		    LIST_ENTRY(node, struct rig_msg, node)->header.type == type;
	return n;
}

static size_t
rig_total(const struct rig *r)
{
	size_t n = 0;

	LIST_FOR_EACH (node, &r->peers) {
		const struct rig_peer *p =
		    LIST_ENTRY(node, struct rig_peer, node);

		LIST_FOR_EACH (got, &p->got)
			n++;
		if (p->peer != NULL)
			n += ipc_peer_queued_bytes(p->peer);
	}
	return n;
}

void
rig_settle(struct rig *r)
{
	int quiet = 0;

	for (int i = 0; i < 100000 && quiet < 20; i++) {
		size_t before = rig_total(r);

		ev_loop_turn(r->w.loop, false);
		quiet = rig_total(r) == before ? quiet + 1 : 0;
	}
}

void
rig_until(struct rig *r, bool (*fn)(void *arg), void *arg)
{
	uint64_t end_ms = clock_mono_ms() + RIG_LIMIT_MS;

	while (!fn(arg)) {
		if (clock_mono_ms() > end_ms)
			fail_msg("it did not come to that");
		ev_loop_turn(r->w.loop, false);
	}
}
