/* arena.c - the only file of the store that knows jemalloc. */
#include "store/arena.h"

#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <string.h>

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
};

struct pool {
	unsigned index;         /* jemalloc's arena */
	int flags;              /* of mallocx and sdallocx */
	const size_t *pages;    /* its count of active pages; jemalloc's, atomic */
};

struct arena {
	struct pool small, large;
	unsigned cache; /* explicit thread cache, the owner's */
};

static int
set_option(unsigned index, const char *option, ssize_t value)
{
	char name[64];

	snprintf(name, sizeof name, "arena.%u.%s", index, option);
	return mallctl(name, NULL, NULL, &value, sizeof value);
}

static int
pool_init(struct pool *pool, int cache_flag)
{
	char name[64];
	uint64_t epoch = 1;
	size_t len = sizeof pool->index;
	int failed = mallctl("arenas.create", &pool->index, &len, NULL, 0);

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
arena_create(struct error *error)
{
	struct arena *arena = calloc(1, sizeof *arena);
	size_t len = sizeof arena->cache;
	int failed = arena ? mallctl("tcache.create", &arena->cache, &len, NULL, 0) : 12;

	if (!failed)
		failed = pool_init(&arena->small, MALLOCX_TCACHE(arena->cache));
	if (!failed)
		failed = pool_init(&arena->large, MALLOCX_TCACHE_NONE);
	if (failed) {
		error_set(error, STATUS_UNAVAILABLE, "store: jemalloc refuses an arena: %s", strerror(failed));
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
