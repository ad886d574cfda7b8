/*
 * passthrough_half: one direction of a passed-through connection. Bytes go
 * from one socket to the other by splice(2) through a pipe, without being
 * copied; while somebody mirrors the connection they are copied instead. The
 * two halves of a connection know nothing of each other, so that two peers
 * which both only write never lock up.
 */
#ifndef AGENT_PASSTHROUGH_HALF_H
#define AGENT_PASSTHROUGH_HALF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

enum {
	HALF_CHUNK_BYTES = 64 * 1024, /* most that one half holds */
	HALF_SPARE_PIPES = 32,
};

/*
 * Empty pipes for reuse: a half holds one only while bytes are in it, so
 * that idle connections cost two descriptors and no pipe.
 */
struct half_pipes {
	int spare[HALF_SPARE_PIPES][2];
	size_t count;
	uint8_t *scratch; /* HALF_CHUNK_BYTES to read into, owned */
};

int half_pipes_init(struct half_pipes *hp); /* -ERR_NOMEM */
void half_pipes_deinit(struct half_pipes *hp);

struct half {
	int from, to;    /* non-blocking stream sockets, borrowed */
	int pipe[2];     /* -1 when none is held */
	size_t piped;    /* bytes in the pipe */
	struct buf rest; /* bytes copied and not yet written */
	bool eof;        /* from has ended */
	bool done;       /* and to has been told */
	int errnum;      /* after HALF_FAILED */
};

enum half_state {
	HALF_WANTS_READ,  /* call again when from can be read */
	HALF_WANTS_WRITE, /* call again when to can be written */
	HALF_DONE,
	HALF_FAILED,
};

/* Sees each byte before it is written. */
typedef void half_copy_fn(void *arg, const uint8_t *p, size_t n);

void half_init(struct half *h, int from, int to);
void half_deinit(struct half *h, struct half_pipes *hp);
/*
 * Moves what can be moved without waiting, but not for ever: other
 * connections have their turn. copy NULL = splice.
 */
enum half_state half_pump(
    struct half *h, struct half_pipes *hp, half_copy_fn *copy, void *arg);

#endif
