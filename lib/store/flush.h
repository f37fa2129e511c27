/*
 * flush.h - "everything stored before this moment is gone", without a walk.
 *
 * How: an item is flushed when its version is below the flush's boundary, the
 *   first version of the millisecond after it; an owner that publishes after the
 *   flush took effect moves its clock to the boundary first. So what was stored
 *   in the flush's own millisecond before it is gone, and what comes after it
 *   in the same millisecond stays. A clock that had run ahead of the wall (many
 *   writes a millisecond, an earlier flush) is answered by `ahead`.
 *   Workers read their clocks each for itself. A flush of now takes effect
 *   FLUSH_SKEW_MS ago, or a worker whose clock is a millisecond behind would still
 *   publish below the boundary, and its reply "stored" would be followed by a miss.
 * Threads: one word, so any thread may set it; the last flush wins. What an
 *   earlier one in effect hid stays hidden by `floor`.
 */
#ifndef STORE_FLUSH_H
#define STORE_FLUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/version.h"

/* 41 bits: when it takes effect, ms since VERSION_EPOCH_MS | 23 bits: ms the clocks were ahead. */
enum { FLUSH_AHEAD_BITS = 23 };

#define FLUSH_NONE 0ull

/* More than workers' clocks can differ by. */
enum { FLUSH_SKEW_MS = 1000 };

struct flush {
	uint64_t word;  /* atomic: the last flush asked for */
	uint64_t floor; /* atomic: boundary of those before it that were in effect */
};

static inline uint64_t
flush_word(uint64_t wall_ms, uint64_t ahead_ms)
{
	uint64_t ms = wall_ms > VERSION_EPOCH_MS ? wall_ms - VERSION_EPOCH_MS : 0;
	uint64_t limit = (1ull << FLUSH_AHEAD_BITS) - 1;

	return ms << FLUSH_AHEAD_BITS | (ahead_ms < limit ? ahead_ms : limit);
}

static inline bool
flush_active(uint64_t word, uint64_t wall_ms)
{
	return word != FLUSH_NONE && wall_ms >= (word >> FLUSH_AHEAD_BITS) + VERSION_EPOCH_MS;
}

/* Milliseconds (times 1000, shifted) as struct version_clock counts them. */
static inline uint64_t
flush_boundary_clock(uint64_t word)
{
	uint64_t ms = (word >> FLUSH_AHEAD_BITS) + (word & ((1ull << FLUSH_AHEAD_BITS) - 1)) + 1;

	return (ms * 1000) << VERSION_LOGICAL_BITS;
}

/* Versions below this were stored before the flush. */
static inline uint64_t
flush_boundary(uint64_t word)
{
	return flush_boundary_clock(word) << VERSION_NODE_BITS;
}

#endif
