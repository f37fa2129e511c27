/* shard.c - what the owner of a shard does to it. */
#include "store/shard.h"

#include "base/check.h"
#include "store/flush.h"

/*
 * Of an arena that is shared with devices, beside twice the budget: small items and large ones may each have had all of it
 * in their time, and such pages do not change sides.
 */
enum { SHARED_EXTRA = 64 << 20 };

/* 80 %: above that rte_hash moves keys ever longer ways, and fewer sit in their first bucket. */
static uint32_t
limit_of(uint32_t entries)
{
	return (uint32_t)((uint64_t)entries * 4 / 5);
}

/* Table positions that make the most of `bytes` when items have `item_bytes` (header included). */
static uint32_t
entries_for_memory(uint64_t bytes, uint64_t bytes_per_item)
{
	uint32_t best = KEYMAP_ENTRIES_MIN;
	uint64_t best_items = 0;

	for (uint64_t entries = KEYMAP_ENTRIES_MIN; entries <= KEYMAP_ENTRIES_MAX; entries = 2 * entries + 1) {
		uint64_t table = (entries + 1) * KEYMAP_BYTES_PER_POSITION;
		uint64_t items = table < bytes ? (bytes - table) / bytes_per_item : 0;

		if (items > limit_of((uint32_t)entries))
			items = limit_of((uint32_t)entries);
		if (items > best_items) {
			best = (uint32_t)entries;
			best_items = items;
		}
	}
	return best;
}

static uint32_t
entries_for_items(uint64_t items)
{
	uint64_t entries = KEYMAP_ENTRIES_MIN;

	while (limit_of((uint32_t)entries) < items && entries < KEYMAP_ENTRIES_MAX)
		entries = 2 * entries + 1;
	return (uint32_t)entries;
}

static uint32_t
entries_of(const struct store_config *config)
{
	uint64_t items = (config->items_max + config->shard_count - 1) / config->shard_count;

	if (config->items_max > 0)
		return entries_for_items(items);
	return entries_for_memory(config->memory_bytes / config->shard_count,
	    arena_rounded(ITEM_HEADER_LEN + config->expected_item_size));
}

uint64_t
store_table_bytes(const struct store_config *config)
{
	return config->shard_count * ((uint64_t)entries_of(config) + 1) * KEYMAP_BYTES_PER_POSITION;
}

static void
count_tables(struct shard *shard)
{
	figure_set(&shard->table_bytes, shard->map_bytes + s3fifo_bytes(&shard->queue) +
	    expiry_bytes(&shard->expiry) + chain_pool_bytes(&shard->retired.pool));
}

enum status
shard_init(struct shard *shard, const struct store_config *config, const struct flush *flush,
    struct error *error)
{
	struct arena_pages pages;

	shard->clock.node = config->node;
	shard->flush = flush;
	shard->entries = entries_of(config);
	shard->items_limit = limit_of(shard->entries);
	shard->budget_bytes = config->memory_bytes / config->shard_count;
	shard->map_bytes = ((uint64_t)shard->entries + 1) * KEYMAP_BYTES_PER_POSITION;
	if (shard->map_bytes > shard->budget_bytes / 2)
		return error_set(error, STATUS_INVALID,
		    "store: tables for %u items a shard take %llu of %llu bytes; lower items_max or raise memory",
		    shard->items_limit, (unsigned long long)shard->map_bytes,
		    (unsigned long long)shard->budget_bytes);
	if (retire_init(&shard->retired, shard->entries, error) != STATUS_OK ||
	    s3fifo_init(&shard->queue, shard->entries, shard->items_limit, shard->budget_bytes, error) != STATUS_OK ||
	    expiry_init(&shard->expiry, shard->entries, error) != STATUS_OK)
		return error->status;
	count_tables(shard);
	shard->map = keymap_create(shard->entries, error);
	if (!shard->map)
		return error->status;
	pages = (struct arena_pages){ config->share, 2 * shard->budget_bytes + SHARED_EXTRA };
	shard->arena = arena_create(config->share ? &pages : NULL, error);
	return shard->arena ? STATUS_OK : error->status;
}

/* Also of a shard whose init failed half-way. */
void
shard_deinit(struct shard *shard)
{
	if (shard->arena)
		arena_destroy(shard->arena);
	if (shard->map)
		keymap_destroy(shard->map);
	expiry_deinit(&shard->expiry);
	s3fifo_deinit(&shard->queue);
	chain_pool_deinit(&shard->retired.pool);
}

uint64_t
shard_flushed_below(const struct shard *shard, uint64_t wall_ms)
{
	uint64_t word = __atomic_load_n(&shard->flush->word, __ATOMIC_ACQUIRE);
	uint64_t floor = figure_read(&shard->floor), earlier = figure_read(&shard->flush->floor);

	if (earlier > floor)
		floor = earlier;
	if (flush_active(word, wall_ms) && flush_boundary(word) > floor)
		floor = flush_boundary(word);
	return floor;
}

struct item *
shard_find(struct shard *shard, const struct now *now, struct view key, uint64_t digest)
{
	struct item *item = keymap_find(shard->map, digest);

	if (!item || !view_equal(item_key(item), key) || item_expired(item, now->wall_ms) ||
	    item->version < shard_flushed_below(shard, now->wall_ms))
		return NULL;
	return item;
}

/* Active pages may come to here. */
static uint64_t
arena_limit(const struct shard *shard)
{
	return shard->budget_bytes > shard->table_bytes ? shard->budget_bytes - shard->table_bytes : 0;
}

/*
 * Is there too little room for `more` bytes, once what is retired is free? Aims
 * 1/32 below the limit: that much may wait for its grace period meanwhile.
 */
static bool
short_of(const struct shard *shard, uint64_t more)
{
	uint64_t limit = arena_limit(shard), active = arena_active(shard->arena);
	uint64_t leaving = shard->retired.bytes;

	return (active > leaving ? active - leaving : 0) + more > limit - limit / 32;
}

/* Evicts up to `limit` items until `more` bytes have room. */
static void
make_room(struct shard *shard, const struct now *now, uint64_t more, uint32_t limit)
{
	while (limit-- > 0 && short_of(shard, more) && evict(shard, now))
		;
}

static enum store_result
refuse(struct shard *shard, const struct now *now, uint64_t bytes)
{
	shard->wanted_bytes = bytes;
	shard->wanted_until_ms = now->wall_ms + MS_PER_SEC;
	figure_add(&shard->refused_memory, 1);
	return STORE_NO_MEMORY;
}

enum store_result
shard_take(struct shard *shard, const struct now *now, struct view key, uint32_t value_len,
    struct item **item)
{
	size_t size = item_size(key.len, value_len);
	uint64_t rounded = arena_rounded(size);

	*item = NULL;
	if (value_len > VALUE_LEN_MAX)
		return STORE_TOO_LARGE;
	retire_free(shard, EVICTIONS_PER_SET);
	make_room(shard, now, rounded, EVICTIONS_PER_SET);
	if (arena_active(shard->arena) + rounded > arena_limit(shard))
		return refuse(shard, now, rounded);
	*item = arena_take(shard->arena, size);
	if (!*item)
		return STORE_NO_MEMORY;
	memset(*item, 0, ITEM_HEADER_LEN); /* an assignment would write sizeof, 4 bytes more */
	(*item)->value_len = value_len;
	(*item)->key_len = (uint16_t)key.len;
	memcpy((*item)->bytes, key.data, key.len);
	if (rounded >= shard->wanted_bytes)
		shard->wanted_bytes = 0;
	shard->cache_flushed = false;
	return STORE_OK;
}

void
shard_give(struct shard *shard, struct item *item)
{
	arena_give(shard->arena, item, item_size(item->key_len, item->value_len));
}

/* Every flush is seen here before anything is stored behind it: so all that is there then was flushed by it. */
static void
count_stale(struct shard *shard, uint64_t flushed_below)
{
	if (flushed_below <= shard->stale_floor)
		return;
	shard->stale_floor = flushed_below;
	shard->stale = shard->items;
}

uint64_t
shard_live(struct shard *shard, const struct now *now)
{
	count_stale(shard, shard_flushed_below(shard, now->wall_ms));
	CHECK(shard->stale <= shard->items);
	return shard->items - shard->stale;
}

/* A version above every one this shard gave before, and above a flush in effect. */
static uint64_t
fresh_version(struct shard *shard, const struct now *now)
{
	uint64_t below = shard_flushed_below(shard, now->wall_ms);
	uint64_t version;

	figure_set(&shard->floor, below);
	count_stale(shard, below);
	if (shard->clock.last < below >> VERSION_NODE_BITS)
		shard->clock.last = below >> VERSION_NODE_BITS;
	version = version_next(&shard->clock, now->wall_ms);
	figure_set(&shard->last_clock, shard->clock.last);
	return version;
}

static void
count_items(struct shard *shard, int64_t items, int64_t bytes)
{
	figure_set(&shard->items, shard->items + (uint64_t)items);
	figure_set(&shard->item_bytes, shard->item_bytes + (uint64_t)bytes);
}

static void
replace(struct shard *shard, struct item *old, struct item *item, uint64_t digest)
{
	uint8_t freq = __atomic_load_n(&old->freq, __ATOMIC_RELAXED) & ITEM_FREQ_MASK;

	/* A write is a use of the key like a read. */
	item->freq = (uint8_t)((item->freq & ITEM_FETCHED) | (freq < S3FIFO_FREQ_MAX ? freq + 1 : S3FIFO_FREQ_MAX));
	item->mark = (uint8_t)((item->mark & ITEM_MARK_STATES) | item_queue(old));
	keymap_replace(shard->map, digest, item);
	s3fifo_resize(&shard->queue, item_queue(item), item_bytes(old), item_bytes(item));
	shard->stale -= old->version < shard->stale_floor;
	count_items(shard, 0, (int64_t)item_bytes(item) - (int64_t)item_bytes(old));
	/* Two keys with one digest: the older one loses its place. */
	if (!view_equal(item_key(old), item_key(item)))
		figure_add(&shard->evictions, 1);
	retire_put(&shard->retired, old, POSITION_NONE);
}

/* The queue is read by nobody but the owner, so it may be set after the item is published. */
static bool
insert(struct shard *shard, const struct now *now, struct item *item, uint64_t digest)
{
	uint32_t position;

	if (shard->items >= shard->items_limit && evict(shard, now))
		figure_add(&shard->evictions_table_full, 1);
	if (s3fifo_sweep_due(&shard->queue))
		evict_sweep_queue(shard);
	if (!keymap_put(shard->map, digest, item, &position))
		return false;
	item_set_queue(item, s3fifo_insert(&shard->queue, position, digest, item_bytes(item)));
	count_items(shard, 1, (int64_t)item_bytes(item));
	return true;
}

enum store_result
shard_publish(struct shard *shard, const struct now *now, struct item *item, uint64_t digest)
{
	struct item *old = keymap_find(shard->map, digest);
	bool done = false;

	item->version = fresh_version(shard, now);
	if (old && retire_has_room(&shard->retired)) {
		replace(shard, old, item, digest);
		done = true;
	} else if (!old) {
		done = insert(shard, now, item, digest);
	}
	if (!done) {
		/* No room on the retire list, or no position that is not on it. */
		figure_add(&shard->refused_retired, 1);
		shard_give(shard, item);
		return STORE_NO_MEMORY;
	}
	if (item_expiry_ms(item) != 0)
		expiry_put(&shard->expiry, keymap_position(shard->map, digest), item_expiry_ms(item), now->wall_ms);
	count_tables(shard);
	figure_add(&shard->total_items, 1);
	return STORE_OK;
}

void
shard_unlink(struct shard *shard, struct item *item, uint64_t digest)
{
	uint32_t position = keymap_remove(shard->map, digest);

	s3fifo_remove(&shard->queue, item_queue(item), item_bytes(item));
	shard->stale -= item->version < shard->stale_floor;
	count_items(shard, -1, -(int64_t)item_bytes(item));
	retire_put(&shard->retired, item, position);
}

void
shard_remove(struct shard *shard, struct item *item, uint64_t digest)
{
	/* It may have been evicted since it was found. */
	if (keymap_find(shard->map, digest) == item)
		shard_unlink(shard, item, digest);
}

/* An empty shard holds no memory: not even what the arena caches for its owner. */
static void
flush_cache(struct shard *shard)
{
	if (shard->cache_flushed || shard->items > 0 || shard->retired.chain.count > 0)
		return;
	arena_flush(shard->arena);
	shard->cache_flushed = true;
}

void
shard_tick(struct shard *shard, const struct now *now, uint32_t steps)
{
	figure_set(&shard->floor, shard_flushed_below(shard, now->wall_ms));
	retire_stamp(&shard->retired);
	retire_free(shard, steps);
	evict_expired(shard, now, steps);
	if (now->wall_ms > shard->wanted_until_ms)
		shard->wanted_bytes = 0;
	make_room(shard, now, shard->wanted_bytes, steps);
	if (s3fifo_sweep_due(&shard->queue))
		evict_sweep_queue(shard);
	evict_swept(shard, now, steps);
	flush_cache(shard);
}

void
shard_stats(const struct shard *shard, struct shard_stats *stats)
{
	*stats = (struct shard_stats){
		.items = figure_read(&shard->items),
		.item_bytes = figure_read(&shard->item_bytes),
		.active_bytes = arena_active(shard->arena),
		.table_bytes = figure_read(&shard->table_bytes),
		.budget_bytes = shard->budget_bytes,
		.retired = figure_read(&shard->retired_count),
		.evictions = figure_read(&shard->evictions),
		.evictions_table_full = figure_read(&shard->evictions_table_full),
		.expired_reclaimed = figure_read(&shard->expired_reclaimed),
		.total_items = figure_read(&shard->total_items),
		.refused_memory = figure_read(&shard->refused_memory),
		.refused_retired = figure_read(&shard->refused_retired),
	};
}
