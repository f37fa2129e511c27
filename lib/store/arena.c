/* arena.c - the only file of the store that knows jemalloc. */
#include "store/arena.h"

#include <errno.h>
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

/*
 * Read by jemalloc before main. Transparent huge pages for the arenas; items of
 * 16 KiB and more bypass the caches.
 */
const char *malloc_conf = "thp:always,metadata_thp:auto,tcache_max:16384,"
    "tcache_nslots_small_max:64,percpu_arena:disabled,background_thread:false";

enum {
	PAGE_LEN = 4096,
	/* Dirty pages below this, and below 1/16 of the active ones, stay: they are used again. */
	DIRTY_MIN = 2 << 20,
	/*
	 * Pages are shared with devices so many bytes at a time, and in so many steps at most: a vfio container knows 65535 pieces
	 * for all shards (dma_entry_limit). jemalloc is to ask for few more than it needs.
	 */
	SHARE_LEN = 2 << 20,
	SHARES_MAX = 512,
	GROW_MAX = 8 << 20,
};

/* Addresses of an arena whose pages devices know: taken from its beginning on, and never given back. */
struct region {
	extent_hooks_t hooks; /* first: jemalloc hands it back to them */
	struct arena_pages pages;
	uint8_t *base;
	uint64_t used, shared;
	uint64_t step; /* bytes shared at a time */
};

struct pool {
	unsigned index;         /* jemalloc's arena */
	int flags;              /* of mallocx and sdallocx */
	const size_t *pages;    /* its count of active pages; jemalloc's, atomic */
};

struct arena {
	struct pool small, large;
	unsigned cache; /* explicit thread cache, the owner's */
	struct region region; /* base NULL: there is none */
};

static void *
region_take(extent_hooks_t *hooks, void *wish, size_t size, size_t alignment, bool *zero, bool *commit, unsigned index)
{
	struct region *region = (struct region *)hooks;
	uint64_t at = (region->used + alignment - 1) / alignment * alignment;

	(void)index;
	if ((wish && wish != region->base + at) || at > region->pages.bytes_max || size > region->pages.bytes_max - at)
		return NULL;
	for (; region->shared < at + size; region->shared += region->step)
		if (!region->pages.share(region->base + region->shared, region->step))
			return NULL;
	region->used = at + size;
	*zero = *commit = true;
	return region->base + at;
}

/* False: it is done, that is nothing. What is missing of the hooks is refused: pages are neither given back nor emptied. */
static bool
region_split(extent_hooks_t *hooks, void *memory, size_t size, size_t first, size_t second, bool committed, unsigned index)
{
	(void)hooks, (void)memory, (void)size, (void)first, (void)second, (void)committed, (void)index;
	return false;
}

static bool
region_merge(extent_hooks_t *hooks, void *first, size_t first_size, void *second, size_t second_size, bool committed, unsigned index)
{
	(void)hooks, (void)first, (void)first_size, (void)second, (void)second_size, (void)committed, (void)index;
	return false;
}

/*
 * Addresses that devices see as they are: some IOMMUs know 39 bits of them, so low ones are looked for first, above
 * where DPDK has its own.
 */
static uint8_t *
reserve(uint64_t len)
{
	const uint64_t first = 1ull << 38, end = 1ull << 39, step = 1ull << 30;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	for (uint64_t at = first; at + len <= end; at += step) {
		uint8_t *memory = mmap((void *)(uintptr_t)at, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, -1, 0);

		if (memory != MAP_FAILED)
			return memory;
	}
	return mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);
}

static int
region_init(struct region *region, const struct arena_pages *pages)
{
	uint64_t len;
	uint8_t *memory;

	*region = (struct region){ .hooks = { .alloc = region_take, .split = region_split, .merge = region_merge }, .pages = *pages };
	region->step = (pages->bytes_max / SHARES_MAX + SHARE_LEN - 1) / SHARE_LEN * SHARE_LEN;
	if (region->step == 0)
		region->step = SHARE_LEN;
	region->pages.bytes_max = (pages->bytes_max + region->step - 1) / region->step * region->step;
	len = region->pages.bytes_max + SHARE_LEN; /* to begin at a huge page */
	memory = reserve(len);
	if (memory == MAP_FAILED)
		return errno;
	region->base = memory + (SHARE_LEN - (uintptr_t)memory % SHARE_LEN) % SHARE_LEN;
	if (region->base > memory)
		munmap(memory, (size_t)(region->base - memory));
	if (region->base + region->pages.bytes_max < memory + len)
		munmap(region->base + region->pages.bytes_max, (size_t)(memory + len - region->base - region->pages.bytes_max));
	madvise(region->base, region->pages.bytes_max, MADV_HUGEPAGE);
	return 0;
}

static int
set_option(unsigned index, const char *option, ssize_t value)
{
	char name[64];

	snprintf(name, sizeof name, "arena.%u.%s", index, option);
	return mallctl(name, NULL, NULL, &value, sizeof value);
}

static int
create(struct pool *pool, struct region *region)
{
	extent_hooks_t *hooks = &region->hooks;
	size_t len = sizeof pool->index, grow = GROW_MAX;
	char name[64];
	int failed;

	if (!region->base)
		return mallctl("arenas.create", &pool->index, &len, NULL, 0);
	failed = mallctl("arenas.create", &pool->index, &len, &hooks, sizeof hooks);
	snprintf(name, sizeof name, "arena.%u.retain_grow_limit", pool->index);
	return failed ? failed : mallctl(name, NULL, NULL, &grow, sizeof grow);
}

static int
pool_init(struct pool *pool, int cache_flag, struct region *region)
{
	char name[64];
	uint64_t epoch = 1;
	size_t len;
	int failed = create(pool, region);

	if (failed)
		return failed;
	pool->flags = MALLOCX_ARENA(pool->index) | cache_flag;
	/* Never by itself: a worker would pay for it. arena_trim does it. */
	failed = set_option(pool->index, "dirty_decay_ms", -1);
	if (!failed)
		failed = set_option(pool->index, "muzzy_decay_ms", 0);
	if (!failed) {
		/* A new arena gets its figures with the next epoch. */
		mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
		snprintf(name, sizeof name, "experimental.arenas.%u.pactivep", pool->index);
		len = sizeof pool->pages;
		failed = mallctl(name, &pool->pages, &len, NULL, 0);
	}
	return failed;
}

static void
pool_call(const struct pool *pool, const char *what)
{
	char name[64];

	snprintf(name, sizeof name, "arena.%u.%s", pool->index, what);
	CHECK(mallctl(name, NULL, NULL, NULL, 0) == 0);
}

struct arena *
arena_create(const struct arena_pages *pages, struct error *error)
{
	struct arena *arena = calloc(1, sizeof *arena);
	size_t len = sizeof arena->cache;
	int failed = arena ? mallctl("tcache.create", &arena->cache, &len, NULL, 0) : ENOMEM;

	if (!failed && pages)
		failed = region_init(&arena->region, pages);
	if (!failed)
		failed = pool_init(&arena->small, MALLOCX_TCACHE(arena->cache), &arena->region);
	if (!failed)
		failed = pool_init(&arena->large, MALLOCX_TCACHE_NONE, &arena->region);
	if (failed) {
		error_set(error, STATUS_UNAVAILABLE, pages ? "store: no arena whose pages the card knows (profile: external_tx): %s" :
		    "store: jemalloc refuses an arena: %s", strerror(failed));
		free(arena);
		return NULL;
	}
	return arena;
}

void
arena_destroy(struct arena *arena)
{
	CHECK(mallctl("tcache.destroy", NULL, NULL, &arena->cache, sizeof arena->cache) == 0);
	pool_call(&arena->small, "destroy");
	pool_call(&arena->large, "destroy");
	if (arena->region.base)
		munmap(arena->region.base, arena->region.pages.bytes_max);
	free(arena);
}

static inline int
flags_for(const struct arena *arena, size_t size)
{
	return size < ARENA_LARGE_MIN ? arena->small.flags : arena->large.flags;
}

void *
arena_take(struct arena *arena, size_t size)
{
	return mallocx(size, flags_for(arena, size));
}

void
arena_give(struct arena *arena, void *memory, size_t size)
{
	sdallocx(memory, size, flags_for(arena, size));
}

size_t
arena_rounded(size_t size)
{
	return nallocx(size, 0);
}

uint64_t
arena_active(const struct arena *arena)
{
	size_t pages = __atomic_load_n(arena->small.pages, __ATOMIC_RELAXED) +
	    __atomic_load_n(arena->large.pages, __ATOMIC_RELAXED);

	return (uint64_t)pages * PAGE_LEN;
}

void
arena_flush(struct arena *arena)
{
	unsigned cache = arena->cache;

	CHECK(mallctl("tcache.flush", NULL, NULL, &cache, sizeof cache) == 0);
}

static uint64_t
figure(const struct pool *pool, const char *name)
{
	char path[64];
	size_t value = 0, len = sizeof value;

	snprintf(path, sizeof path, "stats.arenas.%u.%s", pool->index, name);
	CHECK(mallctl(path, &value, &len, NULL, 0) == 0);
	return value;
}

void
arena_trim(struct arena *arena)
{
	const struct pool *pools[] = { &arena->small, &arena->large };
	uint64_t epoch = 1;

	/* jemalloc's figures are those of its last epoch. */
	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	for (int i = 0; i < 2; i++)
		if (figure(pools[i], "pdirty") * PAGE_LEN > DIRTY_MIN + arena_active(arena) / 16)
			pool_call(pools[i], "purge");
}
