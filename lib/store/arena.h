/*
 * arena.h - memory of one shard's items (leaf: jemalloc).
 *
 * Purpose: items of one owner in arenas of their own, so that "active pages"
 *   is a figure of this shard and can be held to a budget. Small items share
 *   slabs; items over ARENA_LARGE_MIN take whole pages in a second arena, so
 *   that they come and go without leaving holes between small ones.
 * Threads: arena_take and arena_give on the owner only; arena_active on any;
 *   arena_trim on a thread that may wait (never a worker).
 * Memory: no reservation; pages given back stay with the process ("dirty")
 *   until arena_trim, so that no worker ever calls madvise. With arena_pages, addresses are
 *   reserved, and pages taken with their first use; those stay: a device may know them by
 *   what the IOMMU was told once, and what the system put in their place later it would not see.
 */
#ifndef STORE_ARENA_H
#define STORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* From here on jemalloc takes whole pages for an allocation. */
enum { ARENA_LARGE_MIN = 16384 };

struct arena;

/* For items that devices read where they stand. */
struct arena_pages {
	bool (*share)(void *memory, uint64_t len); /* makes pages known to the devices; false: impossible, and there is no more memory. The owner, or main */
	uint64_t bytes_max; /* as many there may be; addresses are reserved for so many */
};

/* Main thread. pages NULL: no device reads items. NULL with *error when the system refuses. */
struct arena *arena_create(const struct arena_pages *pages, struct error *error) MUST_USE;
/* Main thread. Everything taken from it is gone. */
void arena_destroy(struct arena *arena);

/* size bytes, not cleared, or NULL when the system refuses. */
void *arena_take(struct arena *arena, size_t size) MUST_USE;
/* Gives back what arena_take(arena, size) returned. */
void arena_give(struct arena *arena, void *memory, size_t size);
/* What a request of size really takes: its size class. */
size_t arena_rounded(size_t size);

/* Bytes of pages that hold at least one live allocation, or are cached for the owner. */
uint64_t arena_active(const struct arena *arena);
/* Owner. Gives back what the owner's cache holds, so that pages may become free. */
void arena_flush(struct arena *arena);
/*
 * Hands unused dirty pages back to the system when they have become many (after
 * the mix of sizes shifted, or much was deleted). A few stay: a page that comes back
 * costs a worker a fault.
 */
void arena_trim(struct arena *arena);

#endif
