/*
 * A flow joins the frontend's stream of one client socket to the cluster
 * worker's. Bytes are granted to one side only when the other took them, so
 * a slow side stops the other within a window. Branch overrides will look at
 * the messages here; today they pass unchanged.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "lib/log.h"
#include "workers/stateful/stateful.h"

/* Both directions behave alike: this names the sides of one of them. */
struct flow_side {
	struct ipc_stream *from;
	struct ipc_stream *to;
	struct ipc_pieces *queue;
	bool from_ended;
};

static struct flow_side
flow_side(struct sf_flow *f, bool upward)
{
	if (upward)
		return (struct flow_side){
		    f->client, f->cluster, &f->to_cluster, f->client_ended};
	return (struct flow_side){
	    f->cluster, f->client, &f->to_client, f->cluster_ended};
}

void
sf_flow_free(struct sf_flow *f)
{
	list_remove(&f->node);
	ipc_stream_free(&f->client);
	ipc_stream_free(&f->cluster);
	ipc_pieces_free(&f->to_cluster);
	ipc_pieces_free(&f->to_client);
	free(f);
}

/* A broken flow is reset on both sides; the router sees a lost default. */
static void
flow_fail(struct sf_flow *f, const char *why)
{
	log_warn("stateful flow ended session=%016llx why=%s",
	    (unsigned long long)f->session->id, why);
	if (f->client != NULL)
		ipc_stream_reset(f->client, 500, why);
	/* A reset could overtake the STREAM_OPEN that it is about. */
	if (f->cluster != NULL && f->opened)
		ipc_stream_reset(f->cluster, 500, why);
	else if (f->cluster != NULL)
		ipc_stream_end(f->cluster, 500, why);
	sf_flow_free(f);
}

/* When one side ended and nothing waits for the other, the flow is over. */
static bool
flow_finish(struct sf_flow *f, bool upward)
{
	struct flow_side d = flow_side(f, upward);

	if (!d.from_ended || !ipc_pieces_empty(d.queue))
		return false;
	if (d.to != NULL)
		ipc_stream_end(d.to, f->end_code, f->end_text);
	sf_flow_free(f);
	return true;
}

static void
flow_piece(struct sf_flow *f, bool upward, const uint8_t *p, size_t n,
    bool first, bool last)
{
	struct flow_side d = flow_side(f, upward);
	ssize_t sent;

	if (d.to == NULL) { /* it left; only its last words are still due */
		ipc_stream_consumed(d.from, n);
		return;
	}
	sent = ipc_pieces_send(d.queue, d.to, p, n, first, last);
	if (sent < 0)
		flow_fail(f, "a message could not be passed on");
	else
		ipc_stream_consumed(d.from, (size_t)sent);
}

static void
flow_room(struct sf_flow *f, bool upward)
{
	struct flow_side d = flow_side(f, upward);
	ssize_t sent = ipc_pieces_flush(d.queue, d.to);

	if (sent < 0) {
		flow_fail(f, "a message could not be passed on");
		return;
	}
	if (d.from != NULL && sent > 0)
		ipc_stream_consumed(d.from, (size_t)sent);
	flow_finish(f, upward);
}

static void
flow_end(struct sf_flow *f, bool upward, uint16_t code, const char *text)
{
	/* A client that is not heard any more needs no answer. What a child
	 * said before it was lost is passed on, also if it was lost badly. */
	if (code != 0 && upward) {
		flow_fail(f, text);
		return;
	}
	f->end_code = code == IPC_END_PEER_GONE ? 502 : code;
	snprintf(f->end_text, sizeof(f->end_text), "%s", text);
	if (upward) {
		ipc_stream_free(&f->client);
		f->client_ended = true;
	} else {
		ipc_stream_free(&f->cluster);
		f->cluster_ended = true;
	}
	flow_finish(f, upward);
}

static void
client_piece(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	flow_piece(arg, true, p, n, first, last);
}

static void
client_room(void *arg)
{
	flow_room(arg, false);
}

static void
client_end(void *arg, uint16_t code, const char *text)
{
	struct sf_flow *f = arg;

	ipc_stream_free(&f->client);
	flow_end(f, true, code, text);
}

static void
cluster_piece(void *arg, const uint8_t *p, size_t n, bool first, bool last)
{
	flow_piece(arg, false, p, n, first, last);
}

static void
cluster_opened(void *arg, const char *version)
{
	struct sf_flow *f = arg;
	struct ipc_stream_opened m = {.version = version};

	f->opened = true;
	if (f->client == NULL)
		return;
	ipc_send(ipc_stream_peer(f->client), IPC_STREAM_OPENED, 0,
	    ipc_stream_session(f->client), ipc_stream_number(f->client), &m,
	    NULL, 0);
}

static void
cluster_room(void *arg)
{
	flow_room(arg, true);
}

static void
cluster_end(void *arg, uint16_t code, const char *text)
{
	struct sf_flow *f = arg;

	ipc_stream_free(&f->cluster);
	flow_end(f, false, code, text);
}

static const struct ipc_stream_ops client_ops = {
    .on_piece = client_piece,
    .on_room = client_room,
    .on_end = client_end,
};

static const struct ipc_stream_ops cluster_ops = {
    .on_piece = cluster_piece,
    .on_opened = cluster_opened,
    .on_room = cluster_room,
    .on_end = cluster_end,
};

static int
flow_refuse(struct ipc_in *in, const char *why)
{
	struct ipc_stream_reset m = {.code = 500, .text = why};

	return ipc_send(in->peer, IPC_STREAM_RESET, 0, in->header.session,
	    in->header.stream, &m, NULL, 0);
}

int
sf_flow_open(struct sf_session *s, struct ipc_in *in,
    const struct ipc_stream_open *open, struct err *e)
{
	struct ipc_peer *peer =
	    worker_peer(s->sf->w, s->role, s->role == IPC_OWN ? 0 : s->worker);
	uint32_t stream = in->header.stream;
	struct sf_flow *f;
	int rc;

	if (peer == NULL)
		return flow_refuse(in, "the default cluster's worker is away");
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return err_nomem(e);
	f->session = s;
	list_init(&f->node);
	ipc_pieces_init(&f->to_cluster, IPC_WINDOW_MAX_BYTES);
	ipc_pieces_init(&f->to_client, IPC_WINDOW_MAX_BYTES);
	f->client = ipc_stream_new(
	    in->peer, s->handle, stream, &s->budget, &client_ops, f);
	f->cluster = ipc_stream_new(
	    peer, s->handle, stream, &s->budget, &cluster_ops, f);
	if (f->client == NULL || f->cluster == NULL) {
		sf_flow_free(f);
		return flow_refuse(in, "out of memory for another stream");
	}
	list_push(&s->flows, &f->node);
	rc = ipc_send(
	    peer, IPC_STREAM_OPEN, 0, s->handle, stream, open, NULL, 0);
	if (rc < 0)
		flow_fail(f, "the default cluster's worker takes no stream");
	return 0;
}
