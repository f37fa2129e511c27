#include "store/s3fifo.h"

#include "base/check.h"

enum {
	SMALL_PERCENT = 10,
	PROMOTE_FREQ = 2,
	GENERATION_MASK = (1 << (32 - S3FIFO_POSITION_BITS)) - 1,
	POSITION_MASK = (1 << S3FIFO_POSITION_BITS) - 1,
};

enum status
s3fifo_init(struct s3fifo *queue, uint32_t positions, uint32_t items_limit, uint64_t bytes_limit,
    struct error *error)
{
	*queue = (struct s3fifo){ .positions = positions };
	chain_init(&queue->small, 1);
	chain_init(&queue->main, 1);
	if (chain_pool_init(&queue->pool, positions, 1, 2, error) != STATUS_OK)
		return error->status;
	return ghost_init(&queue->ghost, items_limit / 100 * (100 - SMALL_PERCENT) + GHOST_WAYS,
	    bytes_limit, error);
}

void
s3fifo_deinit(struct s3fifo *queue)
{
	ghost_deinit(&queue->ghost);
	chain_pool_deinit(&queue->pool);
}

uint64_t
s3fifo_bytes(const struct s3fifo *queue)
{
	return ghost_bytes(&queue->ghost) + chain_pool_bytes(&queue->pool);
}

static void
weigh(struct s3fifo *queue, bool in_main, int64_t items, int64_t bytes)
{
	queue->items += (uint64_t)items;
	*(in_main ? &queue->main_bytes : &queue->small_bytes) += (uint64_t)bytes;
}

static void
enqueue(struct s3fifo *queue, uint32_t position, uint8_t mark)
{
	uint32_t record = (uint32_t)(mark & GENERATION_MASK) << S3FIFO_POSITION_BITS | position;

	CHECK(chain_push(&queue->pool, mark & S3FIFO_MARK_MAIN ? &queue->main : &queue->small, &record));
}

uint8_t
s3fifo_insert(struct s3fifo *queue, uint32_t position, uint64_t digest, uint64_t bytes)
{
	/* As long as the main queue is meant to be. */
	uint64_t window = (queue->small_bytes + queue->main_bytes) / 100 * (100 - SMALL_PERCENT);
	bool in_main = ghost_take(&queue->ghost, digest, window);
	uint8_t mark;

	queue->generation = (queue->generation + 1) & GENERATION_MASK;
	mark = queue->generation | (in_main ? S3FIFO_MARK_MAIN : 0);
	enqueue(queue, position, mark);
	weigh(queue, in_main, 1, (int64_t)bytes);
	return mark;
}

void
s3fifo_remove(struct s3fifo *queue, uint8_t mark, uint64_t bytes)
{
	weigh(queue, mark & S3FIFO_MARK_MAIN, -1, -(int64_t)bytes);
}

void
s3fifo_resize(struct s3fifo *queue, uint8_t mark, uint64_t old_bytes, uint64_t new_bytes)
{
	weigh(queue, mark & S3FIFO_MARK_MAIN, 0, (int64_t)new_bytes - (int64_t)old_bytes);
}

struct s3fifo_entry
s3fifo_entry_of(uint32_t record, bool in_main)
{
	return (struct s3fifo_entry){
		.position = record & POSITION_MASK,
		.mark = (uint8_t)(record >> S3FIFO_POSITION_BITS) | (in_main ? S3FIFO_MARK_MAIN : 0),
	};
}

bool
s3fifo_next(struct s3fifo *queue, struct s3fifo_entry *entry)
{
	uint64_t bytes = queue->small_bytes + queue->main_bytes;
	bool in_main = queue->small_bytes * 100 < bytes * SMALL_PERCENT;
	struct chain *chain;

	if ((in_main ? &queue->main : &queue->small)->count == 0)
		in_main = !in_main;
	chain = in_main ? &queue->main : &queue->small;
	if (chain->count == 0)
		return false;
	*entry = s3fifo_entry_of(*chain_peek(&queue->pool, chain), in_main);
	chain_drop(&queue->pool, chain);
	return true;
}

bool
s3fifo_judge(struct s3fifo *queue, const struct s3fifo_entry *entry, uint64_t digest, uint64_t bytes,
    uint8_t *mark, uint8_t *freq)
{
	bool in_main = entry->mark & S3FIFO_MARK_MAIN;

	if (in_main ? *freq == 0 : *freq < PROMOTE_FREQ) {
		if (!in_main)
			ghost_put(&queue->ghost, digest, bytes);
		return true;
	}
	/* A round in main costs one count; promotion clears what was earned in small. */
	*freq = in_main ? *freq - 1 : 0;
	*mark = entry->mark | S3FIFO_MARK_MAIN;
	weigh(queue, in_main, -1, -(int64_t)bytes);
	weigh(queue, true, 1, (int64_t)bytes);
	enqueue(queue, entry->position, *mark);
	return false;
}

bool
s3fifo_sweep_due(const struct s3fifo *queue)
{
	uint64_t entries = queue->small.count + queue->main.count;

	return entries - queue->items > queue->positions / 16 || entries + 1 >= queue->positions;
}
