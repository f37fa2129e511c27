/*
 * blocks.h - memory in pieces of a power of two, out of one region taken at creation.
 *
 * Purpose: what connections need for a while: input that is not whole yet, replies that are not
 *   acknowledged yet, segments out of order. A worker has one region for all of it, so that
 *   it is bounded by one number and a connection without work needs none.
 * How: a buddy system (Knuth, TAOCP 2.5): a piece is halved until it fits, and halves that are both
 *   free are joined again. Pieces given back wait in a short list of their size first, so that
 *   the usual take and give are a pop and a push.
 * Threads: the owner lcore's. Memory: one region, whose pages come with their first use.
 * Invariants (blocks_check): 1. pieces that are taken, free and in the short lists make up the region, and do not
 *   overlap. 2. two free halves of one piece are never both in the free lists.
 * Bounds: pieces of BLOCK_MIN to BLOCK_MAX bytes.
 */
#ifndef BASE_BLOCKS_H
#define BASE_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	BLOCK_MIN_SHIFT = 6,
	BLOCK_MAX_SHIFT = 21,
	BLOCK_MIN = 1 << BLOCK_MIN_SHIFT, /* a header of a pinned run (outq.h) */
	BLOCK_MAX = 1 << BLOCK_MAX_SHIFT, /* a value of 1 MiB with its command and key */
	BLOCK_ORDERS = BLOCK_MAX_SHIFT - BLOCK_MIN_SHIFT + 1,
	BLOCK_CACHE_MAX = 64, /* pieces of one size that wait without being joined */
};

struct block_link {
	struct block_link *next, *prev;
};

struct blocks {
	uint8_t *region;
	uint8_t *orders;      /* by piece of BLOCK_MIN: order + 1 where a free piece begins, else 0 */
	uint64_t region_size; /* bytes, a multiple of BLOCK_MAX */
	uint64_t used;        /* bytes taken */
	uint64_t peak;        /* the most that ever were */
	struct block_link free[BLOCK_ORDERS]; /* rings */
	struct block_link *cache[BLOCK_ORDERS];
	uint16_t cached[BLOCK_ORDERS];
};

/* Takes a region of at least `bytes` (rounded up to BLOCK_MAX). False: no memory. */
bool blocks_init(struct blocks *blocks, uint64_t bytes);
void blocks_deinit(struct blocks *blocks);

/* The size of the piece that has room for `bytes` (1..BLOCK_MAX). */
static inline uint32_t
blocks_rounded(uint32_t bytes)
{
	uint32_t shift = bytes <= BLOCK_MIN ? BLOCK_MIN_SHIFT : 32 - (uint32_t)__builtin_clz(bytes - 1);

	return 1u << shift;
}

/* A piece of blocks_rounded(bytes), aligned to BLOCK_MIN; NULL: the region is used up. Its bytes are undefined. */
void *blocks_take(struct blocks *blocks, uint32_t bytes);
/* Gives a piece back that was taken for `bytes`, or as many as round to the same. */
void blocks_give(struct blocks *blocks, void *piece, uint32_t bytes);

void blocks_check(struct blocks *blocks);

#endif
