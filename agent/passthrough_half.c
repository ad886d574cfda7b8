#include "config.h"

#include "agent/passthrough_half.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/err.h"

enum {
	ROUNDS_PER_TURN = 8,
	SPLICE_FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK,
};

int
half_pipes_init(struct half_pipes *hp)
{
	hp->count = 0;
	hp->scratch = malloc(HALF_CHUNK_BYTES);
	return hp->scratch == NULL ? -ERR_NOMEM : 0;
}

static void
pipe_close(int pipe[2])
{
	if (pipe[0] < 0)
		return;
	close(pipe[0]);
	close(pipe[1]);
	pipe[0] = pipe[1] = -1;
}

void
half_pipes_deinit(struct half_pipes *hp)
{
	while (hp->count > 0)
		pipe_close(hp->spare[--hp->count]);
	free(hp->scratch);
	hp->scratch = NULL;
}

static int
pipe_take(struct half_pipes *hp, int pipe[2])
{
	if (hp->count == 0)
		return pipe2(pipe, O_CLOEXEC | O_NONBLOCK);
	hp->count--;
	pipe[0] = hp->spare[hp->count][0];
	pipe[1] = hp->spare[hp->count][1];
	return 0;
}

/* Only an empty pipe may come back. */
static void
pipe_give_back(struct half_pipes *hp, int pipe[2])
{
	if (pipe[0] < 0)
		return;
	if (hp->count == HALF_SPARE_PIPES) {
		pipe_close(pipe);
		return;
	}
	hp->spare[hp->count][0] = pipe[0];
	hp->spare[hp->count][1] = pipe[1];
	hp->count++;
	pipe[0] = pipe[1] = -1;
}

void
half_init(struct half *h, int from, int to)
{
	*h = (struct half){.from = from, .to = to, .pipe = {-1, -1}};
	buf_init(&h->rest, HALF_CHUNK_BYTES);
}

void
half_deinit(struct half *h, struct half_pipes *hp)
{
	if (h->piped == 0)
		pipe_give_back(hp, h->pipe);
	pipe_close(h->pipe);
	buf_free(&h->rest);
}

static bool
would_block(int errnum)
{
	return errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EINTR;
}

static enum half_state
half_fail(struct half *h, int errnum)
{
	h->errnum = errnum;
	return HALF_FAILED;
}

/* Where a fill goes on: there is something to write, or the end was read. */
static enum half_state
filled(struct half *h, ssize_t n)
{
	if (n < 0)
		return would_block(errno) ? HALF_WANTS_READ
					  : half_fail(h, errno);
	if (n == 0)
		h->eof = true;
	return HALF_WANTS_WRITE;
}

static enum half_state
fill_by_copy(
    struct half *h, struct half_pipes *hp, half_copy_fn *copy, void *arg)
{
	ssize_t n = recv(h->from, hp->scratch, HALF_CHUNK_BYTES, 0);
	enum half_state state = filled(h, n);

	if (n <= 0)
		return state;
	if (copy != NULL)
		copy(arg, hp->scratch, (size_t)n);
	if (buf_append(&h->rest, hp->scratch, (size_t)n) < 0)
		return half_fail(h, ENOMEM);
	return HALF_WANTS_WRITE;
}

static enum half_state
fill(struct half *h, struct half_pipes *hp, half_copy_fn *copy, void *arg)
{
	enum half_state state;
	ssize_t n;

	/* Out of descriptors for a pipe: copying works just as well. */
	if (copy != NULL || (h->pipe[0] < 0 && pipe_take(hp, h->pipe) < 0))
		return fill_by_copy(h, hp, copy, arg);
	n = splice(
	    h->from, NULL, h->pipe[1], NULL, HALF_CHUNK_BYTES, SPLICE_FLAGS);
	state = filled(h, n);
	if (n > 0)
		h->piped = (size_t)n;
	else
		pipe_give_back(hp, h->pipe);
	return state;
}

/* HALF_WANTS_READ when everything held has been written. */
static enum half_state
drain(struct half *h)
{
	while (h->piped > 0 || h->rest.len > 0) {
		ssize_t n;

		if (h->rest.len > 0)
			n = send(h->to, buf_data(&h->rest), h->rest.len,
			    MSG_NOSIGNAL);
		else
			n = splice(h->pipe[0], NULL, h->to, NULL, h->piped,
			    SPLICE_FLAGS);
		if (n < 0)
			return would_block(errno) ? HALF_WANTS_WRITE
						  : half_fail(h, errno);
		if (n == 0)
			return half_fail(h, EPIPE);
		if (h->rest.len > 0)
			buf_consume(&h->rest, (size_t)n);
		else
			h->piped -= (size_t)n;
	}
	return HALF_WANTS_READ;
}

static enum half_state
finish(struct half *h)
{
	h->done = true;
	if (shutdown(h->to, SHUT_WR) < 0 && errno != ENOTCONN)
		return half_fail(h, errno);
	return HALF_DONE;
}

enum half_state
half_pump(struct half *h, struct half_pipes *hp, half_copy_fn *copy, void *arg)
{
	enum half_state state = HALF_WANTS_READ;

	if (h->done)
		return HALF_DONE;
	for (int i = 0; i < ROUNDS_PER_TURN; i++) {
		state = drain(h);
		if (state != HALF_WANTS_READ)
			return state;
		if (h->eof)
			return finish(h);
		state = fill(h, hp, copy, arg);
		if (state != HALF_WANTS_WRITE)
			return state;
	}
	return state; /* the next turn goes on where this one stopped */
}
