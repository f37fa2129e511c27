/* walk.c - what the owner of a shard does to many items at once, a bounded part at a time. */
#include "store/shard.h"

#include "base/check.h"

static bool
gone(const struct shard *shard, const struct item *item, uint64_t wall_ms)
{
	return item_expired(item, wall_ms) || item->version < shard_flushed_below(shard, wall_ms);
}

uint32_t
shard_positions(const struct shard *shard)
{
	return shard->entries;
}

const struct item *
shard_walk(struct shard *shard, const struct now *now, uint32_t *position, uint32_t *steps)
{
	while (*steps > 0 && *position < shard->entries) {
		uint64_t digest;
		struct item *item = keymap_at(shard->map, (*position)++, &digest);

		--*steps;
		if (item && !gone(shard, item, now->wall_ms))
			return item;
	}
	return NULL;
}

uint32_t
shard_evict(struct shard *shard, const struct now *now, uint32_t count)
{
	uint32_t done = 0;

	CHECK(count <= SHARD_EVICT_MAX);
	while (done < count && evict(shard, now))
		done++;
	return done;
}

uint32_t
shard_expire(struct shard *shard, const struct now *now, uint32_t *position, uint32_t *steps)
{
	uint32_t taken = 0;

	for (; *steps > 0 && *position < shard->entries; --*steps) {
		uint64_t digest;
		struct item *item = keymap_at(shard->map, (*position)++, &digest);

		if (!item || !gone(shard, item, now->wall_ms))
			continue;
		shard_unlink(shard, item, digest);
		figure_add(&shard->expired_reclaimed, 1);
		taken++;
	}
	return taken;
}
