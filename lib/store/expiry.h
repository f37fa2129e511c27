/*
 * expiry.h - which positions hold items that expire when, coarsely.
 *
 * Intuition: a wheel of levels, 32 slots each; a slot is 1 s wide on the lowest
 *   level and 32 times wider on each above. A position waits in the slot of
 *   its item's expiry on the lowest level that reaches so far; when a higher
 *   slot's time begins, its positions are looked at again and move down. Reads
 *   check the exact expiry themselves; this only finds memory to take back,
 *   before anything that is still good.
 * How: a position waits in at most one valid slot (`waits`), never later than its
 *   item's expiry. An expiry that moves later leaves it there (it is looked at
 *   too early and moves on); one that moves earlier queues it anew, and the old
 *   record is stale. Rejected: intrusive lists, 8 bytes a position.
 * Threads: one owner. Memory: taken at init; 1 byte a position, 4 a record.
 * Bounds: with no chunk left a position is not queued, and `missed` counts it;
 *   its item then waits for a read, its turn in the eviction, or the slow sweep.
 */
#ifndef STORE_EXPIRY_H
#define STORE_EXPIRY_H

#include "store/chain.h"

enum {
	EXPIRY_LEVELS = 5,
	EXPIRY_SLOT_BITS = 5,
	EXPIRY_SLOTS = 1 << EXPIRY_SLOT_BITS,
};

struct expiry {
	struct chain slots[EXPIRY_LEVELS][EXPIRY_SLOTS];
	struct chain_pool pool;
	uint8_t *waits;          /* of a position: 1 + level * EXPIRY_SLOTS + slot; 0: nowhere */
	uint64_t now[EXPIRY_LEVELS]; /* first slot not yet due; the one before is being emptied, all others are empty */
	uint64_t missed;
	uint32_t positions;
};

enum status expiry_init(struct expiry *expiry, uint32_t positions, struct error *error) MUST_USE;
void expiry_deinit(struct expiry *expiry);
uint64_t expiry_bytes(const struct expiry *expiry);

/* The item at position expires at expiry_ms (not 0). */
void expiry_put(struct expiry *expiry, uint32_t position, uint64_t expiry_ms, uint64_t wall_ms);
/*
 * The next position whose slot has come, or false when none has. Its item may be
 * expired, expire later (put it again), or be none at all.
 */
bool expiry_next(struct expiry *expiry, uint64_t wall_ms, uint32_t *position);

#endif
