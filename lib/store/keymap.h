/*
 * keymap.h - digest -> item, one writer, readers without locks (leaf: rte_hash).
 *
 * Purpose: the table of one shard. A key is its 8-byte digest; the caller
 *   compares the full key in the item.
 * Threads: "owner" functions on the shard's owner only; "reader" functions on
 *   any registered RCU reader (reclaim.h), at any time.
 * Memory: all taken at creation. rte_hash takes 16 bytes a key slot, 8 of
 *   buckets and 4 of free list: 28 bytes a position.
 * Invariants: 1. a position belongs to one digest from keymap_put until
 *   keymap_free, which may come only after a grace period since keymap_remove.
 *   2. keymap_put is never called for a digest that is present: rte_hash would
 *   overwrite its pointer and forget it. 3. no digest is 0: rte_hash takes an
 *   empty bucket entry for it and refuses to add it.
 * Bounds: entries is 2^k - 1 (rte_hash rounds its arrays up to 2^k, so one more
 *   entry would double them) and at most KEYMAP_ENTRIES_MAX, where Debian's
 *   rte_hash computes a slot's offset in 32 bits and would wrap.
 */
#ifndef STORE_KEYMAP_H
#define STORE_KEYMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/status.h"

enum {
	KEYMAP_SLOT_BYTES = 16,
	KEYMAP_BYTES_PER_POSITION = KEYMAP_SLOT_BYTES + 8 + 4,
	KEYMAP_ENTRIES_MIN = 15,
	KEYMAP_ENTRIES_MAX = (1 << 28) - 1,
};

_Static_assert(((uint64_t)KEYMAP_ENTRIES_MAX + 1) * KEYMAP_SLOT_BYTES <= 1ull << 32,
    "slot offsets must fit 32 bits");

struct item;
struct keymap;

/* Main thread, after EAL start. NULL with *error when memory is short. */
struct keymap *keymap_create(uint32_t entries, struct error *error) MUST_USE;
void keymap_destroy(struct keymap *map);

/*
 * Reader. Looks up 1 <= n <= LOOKUP_BATCH_MAX digests; items[i] is what stands there
 * or NULL.
 */
void keymap_find_bulk(const struct keymap *map, const uint64_t *const digests[], uint32_t n,
    struct item *items[]);
/* Reader. */
struct item *keymap_find(const struct keymap *map, uint64_t digest);

/* Owner. Adds an absent digest; false when no position or no bucket is free. */
bool keymap_put(struct keymap *map, uint64_t digest, struct item *item, uint32_t *position) MUST_USE;
/* Owner. Points a present digest at another item; its position stays. */
void keymap_replace(struct keymap *map, uint64_t digest, struct item *item);
/* Owner. The position of a present digest. */
uint32_t keymap_position(const struct keymap *map, uint64_t digest);
/* Owner. Unlinks a present digest. Its position stays taken until keymap_free. */
uint32_t keymap_remove(struct keymap *map, uint64_t digest);
/* Owner, a grace period after keymap_remove. */
void keymap_free(struct keymap *map, uint32_t position);

/* Owner. The live item at a position, or NULL; *digest is its digest. */
struct item *keymap_at(const struct keymap *map, uint32_t position, uint64_t *digest);

#endif
