/*
 * local.h - slots by which the process asks its own workers, as the network does.
 *
 * Purpose: the control plane may not touch shards; it mails native frames to the worker
 *   that owns the key (base/deferred.h, DEFERRED_HOME_LOCAL), and finds the answer in a
 *   mailbox of its own.
 * Threads: created and destroyed on the main thread; one other thread takes, gives and
 *   receives.
 * Memory: LOCAL_SLOTS slots, which the node owns: a worker may hold one until it stops.
 * Bounds: LOCAL_SLOTS frames on their way; a mailbox has room for all of them.
 */
#ifndef SLIPRINGD_LOCAL_H
#define SLIPRINGD_LOCAL_H

#include "base/deferred.h"
#include "base/status.h"
#include "io/io.h"

enum { LOCAL_SLOTS = 64 };

struct local;

struct local *local_create(struct error *error) MUST_USE;
void local_destroy(struct local *local); /* workers have stopped; NULL is nothing */

/* An empty native slot for all operations of a frame; NULL when all are on their way. */
struct deferred *local_take(struct local *local);
void local_give(struct local *local, struct deferred *slot);
struct mailbox *local_mailbox(struct local *local);

#endif
