/*
 * ask.h - passes of connections that others are to run in part (proto/ask.h), at home and where they are asked.
 *
 * Purpose: finds out which requests of a pass are another worker's or another node's, mails one slot to each of those, and
 *   takes them home. Asked, a worker runs such a slot as one more frame of its burst.
 * What is asked for: writes and jobs of a shard, of its owner; in a cluster all of another node's keys, of the control
 *   core. Of a worker that is asked for anything, also the pass's reads of its keys: so the
 *   requests of one shard run in their order. An OP_GUARD and the requests behind it that it guards go
 *   to one place, the guard's.
 *   A flush stands between what is before it and what is behind: they are asked for in turn, and the first then
 *   of this worker's own shard, too. In a cluster it is every member's.
 *   Rounds end when nothing is left that is not this worker's to run, by the ring as it then is.
 * Threads: the worker's lcore; see proto/ask.h. Memory: the connection's blocks.
 * Bounds: no block: BUSY. No slot: it waits; slots for other nodes are DEFERRED_FOREIGN_MAX at most.
 */
#ifndef SERVE_ASK_H
#define SERVE_ASK_H

#include "proto/ask.h"
#include "serve/serve.h"

struct asks {
	struct ask_line {
		struct ask *first, *last;
	} local, foreign; /* wait for slots */
};

/* At home. */

/*
 * A pass that has been parsed, its requests behind the burst's. NULL: it is to be run now; what nobody can be asked for is
 * answered BUSY. Else it waits, and the connection with it.
 */
struct ask *ask_pass(struct serve *serve, struct burst *burst, const struct turn *turn, struct view input,
    uint32_t count) ON_WORKER;
/* Mails what waits for slots, as far as there are any, or flushes. Once a burst, behind its requests, which may be of the same connection. */
void asks_start(struct serve *serve, struct burst *burst) ON_WORKER;
/* A slot came home; when it was the last one the connection is resumed, or the next round waits for slots. */
void ask_home(struct serve *serve, struct burst *burst, struct deferred *slot) ON_WORKER;
/* Puts the requests behind the burst's, and the responses that are there. The ask is ready. */
void ask_restore(struct serve *serve, struct burst *burst, const struct ask *ask) ON_WORKER;
/* Lets go of all that it has: blocks, pins, slots. */
void ask_release(struct serve *serve, struct ask *ask) ON_WORKER;

/* Where asked. */

/* Puts the requests that the frame's slot names behind the burst's. */
void ask_parse(struct burst *burst, struct frame *frame);
/* Writes the responses of the frame's requests into the ask. */
void ask_answer(struct burst *burst, const struct frame *frame);

#endif
