/*
 * owner.h - what a worker executes as the owner of a shard: writes and uploads.
 *
 * Purpose: at-most-once (once.h) around single-frame writes (write.h) and the
 *   steps of an upload (upload.h).
 * Threads: the owner's lcore. Memory: views into items, until the burst ends.
 */
#ifndef SERVE_OWNER_H
#define SERVE_OWNER_H

#include "serve/state.h"

/* op_is_write(request->op), and its slot is this worker's. Fills the response. */
void owner_execute(struct serve *serve, const struct now *now, const struct frame *frame,
    const struct request *request, struct response *response) ON_WORKER;

#endif
