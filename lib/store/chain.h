/*
 * chain.h - queues of small records that share one pool of chunks.
 *
 * Purpose: the store's queues (eviction, expiry, retired items) grow and shrink
 *   against each other; chunks of 256 bytes pass between them, so that memory
 *   follows what is queued. The pool's array is taken at creation, but a chunk
 *   costs memory only from its first use on, and the last one freed is used
 *   first.
 * Threads: one owner. Memory: chain_pool_init takes all.
 * Invariants: 1. a record never straddles chunks. 2. every chunk is in exactly
 *   one chain or on the free list. 3. an empty chain holds no chunk.
 */
#ifndef STORE_CHAIN_H
#define STORE_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { CHAIN_CHUNK_WORDS = 60, CHAIN_CHUNK_BYTES = 256 };

struct chain_chunk {
	uint32_t next;
	uint32_t begin, end; /* words [begin, end) are queued */
	uint32_t pad;
	uint32_t words[CHAIN_CHUNK_WORDS];
};

_Static_assert(sizeof(struct chain_chunk) == CHAIN_CHUNK_BYTES, "four cache lines");

struct chain_pool {
	struct chain_chunk *chunks;
	uint32_t chunk_count;
	uint32_t fresh;      /* chunks from here on were never used */
	uint32_t first_free; /* list of chunks used before */
	uint32_t used;       /* in chains now */
};

/* Records of `record_words` words, first in first out. */
struct chain {
	uint32_t first, last; /* chunks */
	uint32_t swept;       /* the chunk chain_sweep_end left behind, or none */
	uint32_t record_words;
	uint64_t count; /* records */
};

/* Room for `records` records of `record_words` words in up to `chains` chains. */
enum status chain_pool_init(struct chain_pool *pool, uint64_t records, uint32_t record_words,
    uint32_t chains, struct error *error) MUST_USE;
void chain_pool_deinit(struct chain_pool *pool);
/* Bytes of chunks that were ever used: what the pool costs. */
uint64_t chain_pool_bytes(const struct chain_pool *pool);

/* record_words divides CHAIN_CHUNK_WORDS. */
void chain_init(struct chain *chain, uint32_t record_words);
/* False when the pool has no chunk left. */
bool chain_push(struct chain_pool *pool, struct chain *chain, const uint32_t *record) MUST_USE;
/* The oldest record, which stays; NULL when there is none. Dies with the next call. */
const uint32_t *chain_peek(const struct chain_pool *pool, const struct chain *chain);
/* Drops the oldest record. */
void chain_drop(struct chain_pool *pool, struct chain *chain);

/*
 * Thins a chain out without changing its order, a chunk at a time, round and
 * round: the caller moves the records it keeps to the front of the *count
 * returned and says how many they are. NULL once a round, at its end.
 */
uint32_t *chain_sweep_begin(struct chain_pool *pool, struct chain *chain, uint32_t *count);
void chain_sweep_end(struct chain_pool *pool, struct chain *chain, uint32_t kept);

#endif
