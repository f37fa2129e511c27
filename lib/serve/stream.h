/*
 * stream.h - connections: turns in, frames of requests through the burst, replies to their output.
 *
 * Purpose: runs a protocol over a byte stream (proto/stream.h) against what a connection brings (base/turn.h). A pass of its
 *   input becomes a frame like a datagram's, and goes through the same lookups and execution; its reply is
 *   appended to the connection's output. Several passes of one turn may be in a burst. What others are to run: serve/ask.h.
 *   Large values on their way in: serve/body.h.
 *
 *   A connection reads    its input is parsed, pass by pass
 *                waits    for its ask; paused, nothing of its input is parsed. When resumed, the pass is run
 *                fills    the room of a large value; with all of it there it reads again
 * Order: replies of a connection come in the order of its requests. Nothing of a connection's input is parsed while an
 *   earlier pass waits for others.
 * Threads: the worker's lcore. Memory: one struct stream a connection, taken at creation and touched by its first turn; the
 *   rest from the turn's blocks.
 * Bounds: STREAM_PASSES_MAX passes of a turn, BURST_PASSES_MAX of a burst; what is behind has its turn in the next round.
 */
#ifndef SERVE_STREAM_H
#define SERVE_STREAM_H

#include "proto/stream.h"
#include "serve/body.h"
#include "serve/serve.h"

enum { STREAM_PASSES_MAX = 4 };

struct ask;

struct stream {
	struct stream_state state;
	struct ask *ask;          /* waits for it; NULL: does not wait */
	struct stream_body *body; /* NULL: none is on its way */
	uint32_t generation;      /* of the connection */
	uint8_t service;          /* 0: none is open */
	bool closing;             /* the connection ends when its ask has been answered */
};

_Static_assert(sizeof(struct stream) == 64, "a cache line a connection");

struct streams {
	/* set once */
	struct stream *table; /* by index of connection */
	uint32_t size;
	/* owner lcore */
	struct blocks *blocks; /* of the turns; NULL: there were none */
	uint8_t swallow[BODY_SWALLOW]; /* bytes that nobody wants */
};

/* False: no memory. */
bool streams_init(struct streams *streams, uint32_t connections_max);
void streams_deinit(struct serve *serve) ON_WORKER;

/* Takes the burst's turns: their frames join it. */
void streams_parse(struct serve *serve, struct burst *burst) ON_WORKER;

/* Appends a pass's reply to its connection's output. */
void stream_compose(struct serve *serve, struct burst *burst, struct frame *frame) ON_WORKER;

/* What a connection that ended has left: its protocol's state, and a body or NULL. */
void stream_leave(struct serve *serve, uint8_t service, struct stream_state *state, struct stream_body *body) ON_WORKER;

#endif
