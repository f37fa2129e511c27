/* retire.c - unlinked items wait here for the end of a grace period. */
#include "base/check.h"
#include "store/reclaim.h"
#include "store/shard.h"

enum { RECORD_WORDS = 4, LIMIT_MIN = 4096, LIMIT_MAX = 65536 };

enum status
retire_init(struct retire_list *list, uint32_t positions, struct error *error)
{
	uint64_t limit = positions / 4;

	limit = limit < LIMIT_MIN ? LIMIT_MIN : limit > LIMIT_MAX ? LIMIT_MAX : limit;
	list->limit = limit;
	chain_init(&list->chain, RECORD_WORDS);
	/* A removed item keeps its position, so there are never more than positions of them. */
	return chain_pool_init(&list->pool, limit + positions, RECORD_WORDS, 1, error);
}

bool
retire_has_room(const struct retire_list *list)
{
	return list->chain.count < list->limit;
}

void
retire_put(struct retire_list *list, struct item *item, uint32_t position)
{
	uint64_t address = (uintptr_t)item;
	uint32_t record[RECORD_WORDS] = { (uint32_t)address, (uint32_t)(address >> 32), position,
		(uint32_t)reclaim_stamp() };

	CHECK(chain_push(&list->pool, &list->chain, record));
	list->bytes += item_bytes(item);
}

static bool
still_pinned(const struct item *item)
{
	return __atomic_load_n(&item->pins, __ATOMIC_ACQUIRE) != 0;
}

void
retire_free(struct shard *shard, uint32_t limit)
{
	struct retire_list *list = &shard->retired;
	uint32_t completed = (uint32_t)reclaim_completed();
	const uint32_t *record;

	while (limit-- > 0 && (record = chain_peek(&list->pool, &list->chain)) != NULL) {
		struct item *item = (struct item *)(uintptr_t)((uint64_t)record[1] << 32 | record[0]);
		uint32_t position = record[2];

		/* Stamps are cut to 32 bits: compare by distance. */
		if ((int32_t)(completed - record[3]) <= 0)
			break;
		chain_drop(&list->pool, &list->chain);
		list->bytes -= item_bytes(item);
		if (still_pinned(item)) {
			retire_put(list, item, position);
			continue;
		}
		if (position != POSITION_NONE)
			keymap_free(shard->map, position);
		arena_give(shard->arena, item, item_size(item->key_len, item->value_len));
	}
	figure_set(&shard->retired_count, list->chain.count);
}
