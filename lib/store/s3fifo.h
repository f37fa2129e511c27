/*
 * s3fifo.h - eviction order of one shard: S3-FIFO, weighted by bytes.
 *
 * Intuition: most keys are used once. New keys pass through a small queue (10 %
 *   of the bytes) and leave soon unless they were read twice there; what was
 *   goes to the main queue, where every read buys another round. Who leaves
 *   the small queue is remembered as a fingerprint (ghost.h) and starts in the
 *   main queue if it comes back soon. A read changes nothing but a 2-bit
 *   counter in the item, and that only below 3.
 * Source: Yang et al., "FIFO queues are all you need for cache eviction"
 *   (SOSP 2023), algorithm 1; promotion at two reads.
 * How: a queue entry is one word, position and generation. An item that is
 *   removed leaves its entry behind; such stale entries are skipped when their
 *   turn comes, and swept when they grow many (s3fifo_sweep_due). An item
 *   that is replaced keeps its position and so its place. Doubly linked lists
 *   would need no sweep, but 8 bytes a position instead of 4 an item.
 * Threads: one owner. Memory: taken at init. Pure: the caller resolves entries.
 * Invariants: 1. small_bytes + main_bytes is the sum over live items.
 *   2. entries >= live items.
 * Bounds: a stale entry whose position and generation (4 bits) came to a new
 *   item gives that item a second, earlier turn; nothing else.
 */
#ifndef STORE_S3FIFO_H
#define STORE_S3FIFO_H

#include "store/chain.h"
#include "store/ghost.h"

enum {
	S3FIFO_FREQ_MAX = 3,
	S3FIFO_POSITION_BITS = 28,
	S3FIFO_MARK_MAIN = 0x80, /* in item.mark: in the main queue; low 4 bits: generation */
};

struct s3fifo {
	struct chain small, main; /* records: generation | position */
	struct chain_pool pool;
	struct ghost ghost;
	uint64_t small_bytes, main_bytes;
	uint64_t items;
	uint32_t positions;
	uint8_t generation; /* of the last insertion */
};

/* A queue's entry, resolved by the caller to an item or found stale. */
struct s3fifo_entry {
	uint32_t position;
	uint8_t mark; /* what item.mark must be for the entry to be that item's */
};

enum status s3fifo_init(struct s3fifo *queue, uint32_t positions, uint32_t items_limit,
    uint64_t bytes_limit, struct error *error) MUST_USE;
void s3fifo_deinit(struct s3fifo *queue);
/* Bytes it takes now: ghost, and chunks that were ever used. */
uint64_t s3fifo_bytes(const struct s3fifo *queue);

/* A new item; returns its mark. There must be fewer than `positions` entries (s3fifo_sweep_due). */
uint8_t s3fifo_insert(struct s3fifo *queue, uint32_t position, uint64_t digest, uint64_t bytes);
/* An item left the table. */
void s3fifo_remove(struct s3fifo *queue, uint8_t mark, uint64_t bytes);
/* An item was replaced in its place. */
void s3fifo_resize(struct s3fifo *queue, uint8_t mark, uint64_t old_bytes, uint64_t new_bytes);

/* Takes the entry whose turn it is out of its queue; false when there is none. */
bool s3fifo_next(struct s3fifo *queue, struct s3fifo_entry *entry);
/*
 * Decides over the live item of an entry from s3fifo_next. True: evict it (the
 * caller then removes it). False: it stays, in the main queue, with *mark and *freq.
 */
bool s3fifo_judge(struct s3fifo *queue, const struct s3fifo_entry *entry, uint64_t digest,
    uint64_t bytes, uint8_t *mark, uint8_t *freq);

/* Are there so many stale entries that sweeping pays? */
bool s3fifo_sweep_due(const struct s3fifo *queue);
/* The entry of a record that chain_sweep_begin gave for small or main. */
struct s3fifo_entry s3fifo_entry_of(uint32_t record, bool in_main);

#endif
