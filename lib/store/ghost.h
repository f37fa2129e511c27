/*
 * ghost.h - which keys left the small queue lately: fingerprints only.
 *
 * How: sets of 16 fingerprints of 16 bits, one cache line a set, each with the
 *   time it came. Time is bytes that went into the ghost, coarsely, so that a
 *   window is a length in bytes like that of the queues: counted in items, a
 *   main queue of few large items would leave small ones no way in. A new
 *   fingerprint takes the place of the oldest in its set; one older than the
 *   window does not count, and nobody has to take entries out.
 * Threads: one owner. Memory: 4 bytes an entry, taken at init.
 * Bounds: a key that never left is taken for one that did with a chance of
 *   16 / 65536 at most, and then starts in the main queue. Times wrap after 128
 *   windows of the largest size; an entry that nothing replaced until then
 *   counts once more.
 */
#ifndef STORE_GHOST_H
#define STORE_GHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { GHOST_WAYS = 16 };

struct ghost_set {
	uint16_t fingerprints[GHOST_WAYS]; /* 0: empty */
	uint16_t times[GHOST_WAYS];
};

struct ghost {
	struct ghost_set *sets;
	uint32_t set_count;
	uint64_t unit;  /* bytes a tick of `times` */
	uint64_t clock; /* bytes put */
};

/* window_max: bytes of the longest window. */
enum status ghost_init(struct ghost *ghost, uint32_t entries, uint64_t window_max,
    struct error *error) MUST_USE;
void ghost_deinit(struct ghost *ghost);
uint64_t ghost_bytes(const struct ghost *ghost);

/* The key of an item of `bytes` left. */
void ghost_put(struct ghost *ghost, uint64_t digest, uint64_t bytes);
/* Was it put within the last `window` bytes? Forgets it. */
bool ghost_take(struct ghost *ghost, uint64_t digest, uint64_t window);

#endif
