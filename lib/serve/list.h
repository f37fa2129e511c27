/*
 * list.h - operations on a shard as a whole: KEYS, EVICT, EXPIRE.
 *
 * Purpose: each call does a bounded part and answers where to go on; who asks until the
 *   cursor is 0, shard after shard, has been through the node.
 * Promise of KEYS: a key that is there from the first call to the last is told at least
 *   once (store.h, walks).
 * Threads: the shard's owner. Memory: the burst's scratch, SCRATCH_SIZE a burst.
 * Bounds: LIST_POSITIONS positions of the table a call (measured: 11 to 25 us), LIST_POSITIONS_BURST a
 *   burst, then BUSY: what is asked in one frame may not stop everybody else's.
 */
#ifndef SERVE_LIST_H
#define SERVE_LIST_H

#include "serve/state.h"

enum { LIST_POSITIONS = 1024, LIST_POSITIONS_BURST = 2048 };

/* request->slot is one of this worker's. */
void list_execute(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response) ON_WORKER;

#endif
