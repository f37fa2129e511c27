/*
 * score.h - how well a member suits a slot: the arithmetic of rendezvous hashing.
 *
 * Purpose: a draw of 22 bits for each (member, slot), and the cost that it means for
 *   a weight: -log2(draw) / weight in fixed point, the least cost being the best. Of
 *   exponential variables with rates w, each is the least with probability w / sum, so
 *   a member's chance follows its weight (Schindelhauer and Schomaker, 2005).
 * Intuition: for one weight the cost falls strictly as the draw grows, so members of
 *   one weight are compared by their draws alone, in 32 bits together with their
 *   position; logarithms are taken only to compare members of different weights.
 * Threads: any. Memory: none. Integers only; doc/RING.md specifies every bit.
 */
#ifndef RING_SCORE_H
#define RING_SCORE_H

#include <stdint.h>

enum {
	SCORE_DRAW_BITS = 22,
	SCORE_POSITION_BITS = 10, /* a key is a draw and, below it, 1023 - position */
	SCORE_POSITION_MASK = (1 << SCORE_POSITION_BITS) - 1,
	SCORE_LOG_BITS = 26,      /* fraction of a logarithm */
	SCORE_SEGMENTS = 256,
};

/* 2^26 * log2(1 + i / 256), i = 0..256. */
struct score_log {
	uint32_t at[SCORE_SEGMENTS + 1];
};

/* SplitMix64's finisher (Steele, Lea and Flood, 2014). */
static inline uint64_t
score_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* What all members' draws for a slot have in common. */
static inline uint32_t
score_slot(uint32_t slot)
{
	return (uint32_t)score_mix((uint64_t)slot + 1);
}

/* 32 mixed bits, of which a key takes the high 22. Multipliers: C. Wellons, "hash-prospector". */
static inline uint32_t
score_draw(uint32_t slot_base, uint32_t id_low, uint32_t id_high)
{
	uint32_t x = slot_base + id_low;

	x = (x ^ x >> 16) * 0x7feb352du;
	x = ((x ^ x >> 15) + id_high) * 0x846ca68bu;
	return x ^ x >> 16;
}

/* Larger is better; of two equal draws the lower position wins. */
static inline uint32_t
score_key(uint32_t draw, uint32_t tail)
{
	return (draw & ~(uint32_t)SCORE_POSITION_MASK) | tail;
}

static inline uint16_t
score_position(uint32_t key)
{
	return (uint16_t)(SCORE_POSITION_MASK - (key & SCORE_POSITION_MASK));
}

/* Logarithms of the segments' ends, bit by bit: squaring doubles a logarithm. */
static inline void
score_log_init(struct score_log *log)
{
	for (uint32_t i = 0; i < SCORE_SEGMENTS; i++) {
		uint64_t x = (uint64_t)(SCORE_SEGMENTS + i) << 23; /* 31 bits of fraction */
		uint32_t value = 0;

		for (int bit = 0; bit < SCORE_LOG_BITS; bit++) {
			uint64_t square = x * x;

			value = value << 1 | (uint32_t)(square >> 63);
			x = square >> (31 + (square >> 63));
		}
		log->at[i] = value;
	}
	log->at[SCORE_SEGMENTS] = 1u << SCORE_LOG_BITS;
}

/* -log2 of a key's draw as a fraction of 1, in 2^-26; at least 1. Straight lines between the segments' ends. */
static inline uint32_t
score_log2(const struct score_log *log, uint32_t key)
{
	uint32_t draw = key | SCORE_POSITION_MASK; /* never 0 */
	uint32_t zeros = (uint32_t)__builtin_clz(draw);
	uint32_t mantissa = draw << zeros;
	uint32_t i = mantissa >> 23 & (SCORE_SEGMENTS - 1), within = mantissa >> 10 & 8191;

	return ((zeros + 1) << SCORE_LOG_BITS) - log->at[i] - ((log->at[i + 1] - log->at[i]) * within >> 13);
}

/* Smaller is better; of two equal costs the lower position wins. */
static inline uint64_t
score_cost(const struct score_log *log, uint32_t key, uint64_t inverse_weight)
{
	return score_log2(log, key) * inverse_weight;
}

/* What score_cost() multiplies by: 2^32 / weight. */
static inline uint64_t
score_inverse(uint16_t weight)
{
	return (1ull << 32) / weight;
}

#endif
