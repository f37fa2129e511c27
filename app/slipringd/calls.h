/*
 * calls.h - forwarding (cluster/forward.h) inside the control core's loop.
 *
 * Purpose: slots from the workers' mail go into it, messages of other nodes, tables and news;
 *   what comes out is posted on the link or mailed to workers and the control plane.
 * Order: the core looks at control packets first in every round and takes a bounded number of
 *   slots after them, so that a flood of operations delays no probe.
 * Threads: the core's; calls_create, calls_connect and calls_destroy on the main thread.
 * Memory: taken at creation.
 */
#ifndef SLIPRINGD_CALLS_H
#define SLIPRINGD_CALLS_H

#include "base/counters.h"
#include "base/deferred.h"
#include "base/roles.h"
#include "cluster/cluster.h"
#include "io/io.h"
#include "serve/serve.h"

enum { CALLS_BURST = 128 }; /* slots a round */

struct calls;

/* slots: where workers mail to the core, and the core's slots come home. */
struct calls *calls_create(uint64_t self, uint32_t worker_count, struct mailbox *slots, struct error *error) MUST_USE;
/* Where each slot goes, by slot->to. Before the core's thread runs. */
void calls_connect(struct calls *calls, struct mailbox *const mailboxes[DEFERRED_HOMES]);
void calls_destroy(struct calls *calls); /* NULL is nothing */

/* Takes slots from the mailbox; whether there were any. */
bool calls_receive(struct calls *calls, struct now now) ON_CORE;
/* CLUSTER_MESSAGE, CLUSTER_LOST, CLUSTER_NEWS; others are passed over. */
void calls_action(struct calls *calls, struct now now, const struct cluster_action *action) ON_CORE;
/* The table in force; it lives until another one is given. */
void calls_ring(struct calls *calls, struct now now, const struct serve_ring *ring);
/* Deadlines, then all that is to be posted and mailed. */
void calls_send(struct calls *calls, struct now now, struct cluster *cluster) ON_CORE;
uint64_t calls_deadline(const struct calls *calls);
void calls_count(const struct calls *calls, struct counters *counters);

#endif
