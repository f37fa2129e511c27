/*
 * defer.h - the table of a worker's deferred slots (base/deferred.h).
 *
 * Purpose: takes a slot and copies a datagram into it, or says that all are out.
 * Threads: the home worker. Memory: DEFERRED_MAX slots, taken at creation.
 * Invariants: 1. a slot is on the free list or out, never both. 2. generation
 *   counts how often it was taken.
 */
#ifndef SERVE_DEFER_H
#define SERVE_DEFER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/deferred.h"
#include "base/pkt.h"

struct defer {
	struct deferred *slots;
	uint8_t *replies; /* room of each slot's reply */
	struct deferred *free;
	uint32_t out; /* slots taken and not yet home */
	uint8_t home;
};

/* Slots with room for reply_size bytes of reply each. False: no memory. */
bool defer_init(struct defer *defer, uint8_t home, uint32_t reply_size);
void defer_deinit(struct defer *defer);

/* A slot that holds a copy of the datagram, proven, no operations named; NULL when all are out. */
struct deferred *defer_take(struct defer *defer, const struct datagram *datagram);

/* A slot came home. */
void defer_give(struct defer *defer, struct deferred *slot);

#endif
