/* retire.c - unlinked items wait here for the end of a grace period. */
#include "base/check.h"
#include "store/reclaim.h"
#include "store/shard.h"

enum { RECORD_WORDS = 3, LIMIT_MIN = 4096, LIMIT_MAX = 65536 };

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
	uint32_t record[RECORD_WORDS] = { (uint32_t)address, (uint32_t)(address >> 32), position };

	CHECK(chain_push(&list->pool, &list->chain, record));
	list->bytes += item_bytes(item);
	list->put++;
}

static struct retire_stamp *
stamp_at(struct retire_list *list, uint32_t index)
{
	return &list->stamps[(list->first_stamp + index) % RETIRE_STAMPS];
}

/* How many items have a stamp or are gone. */
static uint64_t
stamped(struct retire_list *list)
{
	return list->stamp_count > 0 ? stamp_at(list, list->stamp_count - 1)->upto : list->freed;
}

void
retire_stamp(struct retire_list *list)
{
	if (stamped(list) == list->put)
		return;
	/* A full ring: the newest stamp grows. A later stamp holds for earlier items too. */
	if (list->stamp_count < RETIRE_STAMPS)
		list->stamp_count++;
	*stamp_at(list, list->stamp_count - 1) = (struct retire_stamp){ list->put, reclaim_stamp() };
}

static bool
still_pinned(const struct item *item)
{
	return __atomic_load_n(&item->pins, __ATOMIC_ACQUIRE) != 0;
}

/* The next item whose grace period is over; NULL when there is none. */
static struct item *
next_free(struct retire_list *list, uint64_t completed, uint32_t *position)
{
	struct retire_stamp *stamp = stamp_at(list, 0);
	const uint32_t *record;
	struct item *item;

	if (list->stamp_count == 0 || completed <= stamp->stamp)
		return NULL;
	record = chain_peek(&list->pool, &list->chain);
	CHECK(record);
	item = (struct item *)(uintptr_t)((uint64_t)record[1] << 32 | record[0]);
	*position = record[2];
	chain_drop(&list->pool, &list->chain);
	if (++list->freed == stamp->upto) {
		list->first_stamp = (list->first_stamp + 1) % RETIRE_STAMPS;
		list->stamp_count--;
	}
	return item;
}

void
retire_free(struct shard *shard, uint32_t limit)
{
	struct retire_list *list = &shard->retired;
	uint64_t completed = reclaim_completed();
	struct item *item;
	uint32_t position;

	if (list->put - stamped(list) >= RETIRE_BATCH)
		retire_stamp(list);
	while (limit-- > 0 && (item = next_free(list, completed, &position)) != NULL) {
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
