/*
 * Model of the arena leaf: malloc, with sizes rounded to 16 bytes and counted.
 * It has no fragmentation: active bytes are the sum of live sizes.
 */
#include "store/arena.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

struct block {
	struct block *next, *previous;
	size_t size;
	size_t pad;
};

struct arena {
	struct block all; /* ring of live blocks, for arena_destroy */
	_Atomic uint64_t active;
};

struct arena *
arena_create(const struct arena_pages *pages, struct error *error)
{
	struct arena *arena = calloc(1, sizeof *arena);

	CHECK(!pages); /* no device reads malloc's */
	if (!arena) {
		error_set(error, STATUS_NO_MEMORY, "store: no memory for an arena");
		return NULL;
	}
	arena->all.next = arena->all.previous = &arena->all;
	return arena;
}

static void
give_block(struct arena *arena, struct block *block)
{
	block->next->previous = block->previous;
	block->previous->next = block->next;
	atomic_fetch_sub_explicit(&arena->active, arena_rounded(block->size), memory_order_relaxed);
	free(block);
}

void
arena_destroy(struct arena *arena)
{
	while (arena->all.next != &arena->all)
		give_block(arena, arena->all.next);
	free(arena);
}

void *
arena_take(struct arena *arena, size_t size)
{
	struct block *block = malloc(sizeof *block + size);

	if (!block)
		return NULL;
	*block = (struct block){ arena->all.next, &arena->all, size, 0 };
	block->next->previous = block;
	arena->all.next = block;
	atomic_fetch_add_explicit(&arena->active, arena_rounded(size), memory_order_relaxed);
	return block + 1;
}

void
arena_give(struct arena *arena, void *memory, size_t size)
{
	struct block *block = (struct block *)memory - 1;

	CHECK(block->size == size);
	give_block(arena, block);
}

size_t
arena_rounded(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

uint64_t
arena_active(const struct arena *arena)
{
	return atomic_load_explicit(&arena->active, memory_order_relaxed);
}

void
arena_flush(struct arena *arena)
{
	(void)arena;
}

void
arena_trim(struct arena *arena)
{
	(void)arena;
}
