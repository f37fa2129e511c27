/*
 * version.h - hybrid logical clock versions (CAS token, last-write-wins order).
 *
 * Layout, 64 bits: 51 bits microseconds since 2020-01-01 UTC | 3 bits logical |
 *   10 bits node index. The microseconds never go back: a stalled or stepped
 *   clock advances the logical part and then the microseconds themselves.
 *   0 is "no version".
 * Threads: one clock per owner, not shared.
 * Source: Kulkarni et al., "Logical Physical Clocks" (2014), with the
 *   physical part taken as an argument.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#include <stdint.h>

#define VERSION_EPOCH_MS 1577836800000ull /* 2020-01-01T00:00:00Z */
enum { VERSION_NODE_BITS = 10, VERSION_LOGICAL_BITS = 3 };

struct version_clock {
	uint64_t last; /* microseconds << 3 | logical of the last version given */
	uint16_t node; /* 0..1023 */
};

/* A version larger than every one given before by this clock. */
static inline uint64_t
version_next(struct version_clock *clock, uint64_t wall_ms)
{
	uint64_t ms = wall_ms > VERSION_EPOCH_MS ? wall_ms - VERSION_EPOCH_MS : 0;
	uint64_t physical = (ms * 1000) << VERSION_LOGICAL_BITS;

	clock->last = physical > clock->last ? physical : clock->last + 1;
	return clock->last << VERSION_NODE_BITS | clock->node;
}

/* When it was given. */
static inline uint64_t
version_wall_ms(uint64_t version)
{
	return (version >> (VERSION_NODE_BITS + VERSION_LOGICAL_BITS)) / 1000 + VERSION_EPOCH_MS;
}

#endif
