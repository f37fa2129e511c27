/* evict.c - which items go when room is needed. */
#include "store/shard.h"

/* CLOCK over the positions: an item that was read since the last round stays. */
uint32_t
evict(struct shard *shard, const struct now *now, uint32_t limit)
{
	uint32_t evicted = 0;

	/* Four rounds bring any counter to 0. */
	for (uint64_t looked = 0; evicted < limit && looked < 4ull * shard->entries; looked++) {
		uint64_t digest;
		struct item *item = keymap_at(shard->map, shard->hand, &digest);
		uint8_t freq;

		shard->hand = shard->hand + 1 < shard->entries ? shard->hand + 1 : 0;
		if (!item)
			continue;
		freq = __atomic_load_n(&item->freq, __ATOMIC_RELAXED);
		if (item_expired(item, now->wall_ms)) {
			figure_add(&shard->expired_reclaimed, 1);
		} else if (freq > 0) {
			__atomic_store_n(&item->freq, freq - 1, __ATOMIC_RELAXED);
			continue;
		} else {
			figure_add(&shard->evictions, 1);
		}
		shard_unlink(shard, item, digest);
		evicted++;
	}
	return evicted;
}
