/*
 * once.h - at-most-once: what became of each write that a client numbered.
 *
 * Purpose: a client repeats a write whose answer was lost, and the network may
 *   repeat any frame. A write named by (client, sequence) is executed at most
 *   once by its shard's owner; its result is replayed when it comes again.
 *
 * The rules, in this order, for a write (client, sequence, floor):
 *   1. The client's floor rises to `floor`, or to ONCE_WINDOW_MAX below the write,
 *      whichever is more, and never falls. A write below the floor answers
 *      OUTCOME_UNKNOWN and is not executed.
 *   2. A write that is remembered answers its result and is not executed.
 *   3. Any other is executed and remembered, whatever its result; but for BUSY and
 *      UPLOAD_INCOMPLETE, which ask for the same write again.
 *   When room for a result is needed, results below their client's floor go
 *   first: no one will ask. If there are none, the oldest of eight goes, and its
 *   client's floor rises above it, so that rule 1 holds for what was forgotten.
 *   A client not heard of for ONCE_IDLE_MS is forgotten altogether. Hence the
 *   sender's part: no write may be repeated later than ONCE_IDLE_MS after the client's
 *   last write. When ONCE_PROBES neighbours are all clients heard of since, a new
 *   client is answered BUSY.
 *   A replayed GAT answers the value as it is now: its touch happened once.
 *   After a restart nothing is remembered: cookies of the earlier boot are refused
 *   as STALE_BOOT before anything is executed (admit.h).
 * How: an open-addressed table of clients with a bounded probe, entries never
 *   emptied, only replaced; an 8-way set-associative table of results, with the
 *   tags of a set in one cache line.
 * Rejected: a window of results for each client: room for the widest pipeline times
 *   every CLI call. A filter of forgotten clients: it fills as well, only later.
 * Threads: the owner's lcore. Memory: fixed, from once_create:
 *   ONCE_CLIENTS * 32 B + ONCE_RESULTS * 40 B = 3.5 MiB.
 * Invariants: 1. a result's client is the entry it points to, if generations agree.
 *   2. (client, sequence) stands in at most one result.
 */
#ifndef SERVE_ONCE_H
#define SERVE_ONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/now.h"

enum {
	/* Simulated: to load 0.7 no new client finds so many neighbours taken; at 0.8 one in 60. */
	ONCE_PROBES = 64,
	/* Tags of a set fill one cache line. */
	ONCE_WAYS = 8,
};

/* What is replayed. */
struct once_result {
	uint64_t version; /* 0: the answer had no item */
	uint64_t number;
	uint8_t status;   /* enum op_status */
};

enum once_verdict {
	ONCE_RUN,    /* execute, then once_tell */
	ONCE_REPLAY, /* *result is the answer */
	ONCE_UNKNOWN,
	ONCE_FULL,
};

struct once;

/* NULL: no memory. The seed spreads clients unpredictably. */
struct once *once_create(uint64_t seed);
void once_destroy(struct once *once);

/* Brings near what once_ask will look at: some hundred cycles before it is asked. */
void once_prefetch(const struct once *once, uint64_t client, uint64_t sequence);

enum once_verdict once_ask(struct once *once, const struct now *now, uint64_t client, uint64_t sequence,
    uint64_t floor, struct once_result *result);

/* Remembers the result of the write that once_ask has just told to run. */
void once_tell(struct once *once, uint64_t client, uint64_t sequence, const struct once_result *result);

#endif
