/*
 * prng.h - seeded pseudo-random numbers for pure code and tests.
 *
 * Source: Vigna, SplitMix64 (2015); 64 bits of state, one multiply-mix a draw.
 * Not for secrets: those come from seal.
 */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdint.h>

struct prng {
	uint64_t state;
};

static inline uint64_t
prng_next(struct prng *prng)
{
	uint64_t z = (prng->state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Uniform in [0, bound), bound > 0 (multiply-shift; bias below 2^-32 for bound < 2^32). */
static inline uint64_t
prng_below(struct prng *prng, uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)prng_next(prng) * bound) >> 64);
}

/* Uniform in [0, 1). */
static inline double
prng_unit(struct prng *prng)
{
	return (double)(prng_next(prng) >> 11) * 0x1p-53;
}

#endif
