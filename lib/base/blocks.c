#include "base/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static uint32_t
order_of(uint32_t bytes)
{
	CHECK(bytes > 0 && bytes <= BLOCK_MAX);
	return (uint32_t)__builtin_ctz(blocks_rounded(bytes)) - BLOCK_MIN_SHIFT;
}

static uint64_t
index_of(const struct blocks *blocks, const void *piece)
{
	return (uint64_t)((const uint8_t *)piece - blocks->region) >> BLOCK_MIN_SHIFT;
}

static void
unlink_free(struct blocks *blocks, struct block_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	blocks->orders[index_of(blocks, link)] = 0;
}

static void
link_free(struct blocks *blocks, void *piece, uint32_t order)
{
	struct block_link *head = &blocks->free[order], *link = piece;

	*link = (struct block_link){ head->next, head };
	head->next->prev = link;
	head->next = link;
	blocks->orders[index_of(blocks, piece)] = (uint8_t)(order + 1);
}

bool
blocks_init(struct blocks *blocks, uint64_t bytes)
{
	*blocks = (struct blocks){ .region_size = (bytes + BLOCK_MAX - 1) / BLOCK_MAX * BLOCK_MAX };
	blocks->region = aligned_alloc(BLOCK_MAX, blocks->region_size);
	blocks->orders = calloc(blocks->region_size >> BLOCK_MIN_SHIFT, 1);
	if (!blocks->region || !blocks->orders) {
		blocks_deinit(blocks);
		return false;
	}
	for (uint32_t i = 0; i < BLOCK_ORDERS; i++)
		blocks->free[i] = (struct block_link){ &blocks->free[i], &blocks->free[i] };
	for (uint64_t at = blocks->region_size; at > 0; at -= BLOCK_MAX)
		link_free(blocks, blocks->region + at - BLOCK_MAX, BLOCK_ORDERS - 1);
	return true;
}

void
blocks_deinit(struct blocks *blocks)
{
	free(blocks->region);
	free(blocks->orders);
	blocks->region = blocks->orders = NULL;
}

/* Joins a free piece with its other half, and what that makes with its own, as far as they are free. */
static void
join(struct blocks *blocks, uint8_t *piece, uint32_t order)
{
	for (; order < BLOCK_ORDERS - 1; order++) {
		uint64_t size = 1ull << (order + BLOCK_MIN_SHIFT);
		uint8_t *other = blocks->region + ((uint64_t)(piece - blocks->region) ^ size);

		if (blocks->orders[index_of(blocks, other)] != order + 1)
			break;
		unlink_free(blocks, (struct block_link *)(void *)other);
		piece = other < piece ? other : piece;
	}
	link_free(blocks, piece, order);
}

/* Everything that waits in the short lists is joined. */
static __attribute__((noinline)) void
empty_caches(struct blocks *blocks)
{
	for (uint32_t order = 0; order < BLOCK_ORDERS; order++) {
		struct block_link *link;

		while ((link = blocks->cache[order]) != NULL) {
			blocks->cache[order] = link->next;
			join(blocks, (uint8_t *)link, order);
		}
		blocks->cached[order] = 0;
	}
}

/* A free piece of the order, cut out of the smallest that has room. */
static void *
cut(struct blocks *blocks, uint32_t order)
{
	uint32_t from = order;
	uint8_t *piece;

	while (from < BLOCK_ORDERS && blocks->free[from].next == &blocks->free[from])
		from++;
	if (from == BLOCK_ORDERS)
		return NULL;
	piece = (uint8_t *)blocks->free[from].next;
	unlink_free(blocks, blocks->free[from].next);
	while (from-- > order)
		link_free(blocks, piece + (1ull << (from + BLOCK_MIN_SHIFT)), from);
	return piece;
}

void *
blocks_take(struct blocks *blocks, uint32_t bytes)
{
	uint32_t order = order_of(bytes);
	struct block_link *piece = blocks->cache[order];

	if (piece) {
		blocks->cache[order] = piece->next;
		blocks->cached[order]--;
	} else {
		piece = cut(blocks, order);
		if (!piece) {
			empty_caches(blocks);
			piece = cut(blocks, order);
		}
		if (!piece)
			return NULL;
	}
	blocks->used += 1ull << (order + BLOCK_MIN_SHIFT);
	if (blocks->used > blocks->peak)
		blocks->peak = blocks->used;
	return piece;
}

void
blocks_give(struct blocks *blocks, void *piece, uint32_t bytes)
{
	uint32_t order = order_of(bytes);
	struct block_link *link = piece;

	CHECK((uint8_t *)piece >= blocks->region && (uint8_t *)piece < blocks->region + blocks->region_size);
	CHECK((index_of(blocks, piece) & ((1ull << order) - 1)) == 0);
	blocks->used -= 1ull << (order + BLOCK_MIN_SHIFT);
	if (blocks->cached[order] < BLOCK_CACHE_MAX) {
		link->next = blocks->cache[order];
		blocks->cache[order] = link;
		blocks->cached[order]++;
	} else {
		join(blocks, piece, order);
	}
}

void
blocks_check(struct blocks *blocks)
{
	uint64_t bytes = blocks->used;

	for (uint32_t order = 0; order < BLOCK_ORDERS; order++) {
		uint64_t size = 1ull << (order + BLOCK_MIN_SHIFT);

		bytes += blocks->cached[order] * size;
		for (struct block_link *link = blocks->free[order].next; link != &blocks->free[order]; link = link->next) {
			uint64_t other = (uint64_t)((uint8_t *)link - blocks->region) ^ size;

			CHECK(blocks->orders[index_of(blocks, link)] == order + 1);
			CHECK(order == BLOCK_ORDERS - 1 || blocks->orders[other >> BLOCK_MIN_SHIFT] != order + 1);
			bytes += size;
		}
	}
	CHECK(bytes == blocks->region_size);
}
