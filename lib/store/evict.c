/* evict.c - which items go: expired ones, flushed ones, then by S3-FIFO. */
#include "store/shard.h"

/*
 * Entries one eviction looks at. When all of so many were read lately, the last
 * goes all the same: no SET may walk a whole queue of hot items.
 */
enum { LOOKS_MAX = 128 };

static bool
item_gone(const struct shard *shard, const struct item *item, uint64_t wall_ms)
{
	return item_expired(item, wall_ms) || item->version < shard_flushed_below(shard, wall_ms);
}

static void
take_back(struct shard *shard, struct item *item, uint64_t digest)
{
	shard_unlink(shard, item, digest);
	figure_add(&shard->expired_reclaimed, 1);
}

uint32_t
evict_expired(struct shard *shard, const struct now *now, uint32_t limit)
{
	uint32_t taken = 0, position;

	while (limit-- > 0 && expiry_next(&shard->expiry, now->wall_ms, &position)) {
		uint64_t digest;
		struct item *item = keymap_at(shard->map, position, &digest);

		if (!item || item_expiry_ms(item) == 0)
			continue;
		if (item_gone(shard, item, now->wall_ms)) {
			take_back(shard, item, digest);
			taken++;
		} else {
			expiry_put(&shard->expiry, position, item_expiry_ms(item), now->wall_ms);
		}
	}
	return taken;
}

/* The live item of a queue entry, or NULL for a stale one. */
static struct item *
resolve(const struct shard *shard, const struct s3fifo_entry *entry, uint64_t *digest)
{
	struct item *item = keymap_at(shard->map, entry->position, digest);

	return item && item_queue(item) == entry->mark ? item : NULL;
}

static bool
spared(struct shard *shard, const struct s3fifo_entry *entry, struct item *item, uint64_t digest)
{
	uint8_t freq = __atomic_load_n(&item->freq, __ATOMIC_RELAXED), count = freq & ITEM_FREQ_MASK;
	uint8_t queue = item_queue(item);

	if (s3fifo_judge(&shard->queue, entry, digest, item_bytes(item), &queue, &count))
		return false;
	item_set_queue(item, queue);
	__atomic_store_n(&item->freq, (uint8_t)((freq & ~ITEM_FREQ_MASK) | count), __ATOMIC_RELAXED);
	return true;
}

bool
evict(struct shard *shard, const struct now *now)
{
	struct s3fifo_entry entry;
	struct item *item, *last = NULL;
	uint64_t digest, last_digest = 0;

	if (evict_expired(shard, now, 4) > 0)
		return true;
	for (uint32_t looks = 0; looks < LOOKS_MAX && s3fifo_next(&shard->queue, &entry); looks++) {
		item = resolve(shard, &entry, &digest);
		if (!item)
			continue;
		if (item_gone(shard, item, now->wall_ms)) {
			take_back(shard, item, digest);
			return true;
		}
		last = item;
		last_digest = digest;
		if (!spared(shard, &entry, item, digest))
			break;
	}
	if (!last)
		return false;
	shard_unlink(shard, last, last_digest);
	figure_add(&shard->evictions, 1);
	return true;
}

void
evict_sweep_queue(struct shard *shard)
{
	struct chain *chain = shard->sweep_main ? &shard->queue.main : &shard->queue.small;
	uint32_t count, kept = 0;
	uint32_t *records = chain_sweep_begin(&shard->queue.pool, chain, &count);
	uint64_t digest;

	if (!records) {
		shard->sweep_main = !shard->sweep_main;
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct s3fifo_entry entry = s3fifo_entry_of(records[i], shard->sweep_main);

		if (resolve(shard, &entry, &digest))
			records[kept++] = records[i];
	}
	chain_sweep_end(&shard->queue.pool, chain, kept);
}

void
evict_swept(struct shard *shard, const struct now *now, uint32_t limit)
{
	bool forgotten = shard->expiry.missed > 0;

	if (shard->sweep_position == 0) {
		if (shard->swept_floor == shard->floor && !forgotten)
			return;
		shard->sweep_floor = shard->floor;
		shard->expiry.missed = 0;
	}
	for (; limit > 0 && shard->sweep_position < shard->entries; limit--) {
		uint64_t digest;
		struct item *item = keymap_at(shard->map, shard->sweep_position++, &digest);

		if (!item)
			continue;
		if (item_gone(shard, item, now->wall_ms))
			take_back(shard, item, digest);
		else if (item_expiry_ms(item) != 0)
			expiry_put(&shard->expiry, shard->sweep_position - 1, item_expiry_ms(item), now->wall_ms);
	}
	if (shard->sweep_position == shard->entries) {
		shard->sweep_position = 0;
		shard->swept_floor = shard->sweep_floor;
	}
}
