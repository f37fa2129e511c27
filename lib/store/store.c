/* store.c - all shards of a node, and what readers do. */
#include "store/store.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "seal/digest.h"
#include "store/flush.h"
#include "store/shard.h"

struct store {
	uint8_t secret[16];
	uint32_t shard_count;
	struct flush flush;
	struct shard shards[];
};

struct store *
store_create(const struct store_config *config, struct error *error)
{
	size_t size = sizeof(struct store) + config->shard_count * sizeof(struct shard);
	struct store *store;

	CHECK(config->shard_count >= 1 && config->shard_count <= WORKER_MAX);
	store = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (!store) {
		error_set(error, STATUS_NO_MEMORY, "store: no memory for %u shards", config->shard_count);
		return NULL;
	}
	memset(store, 0, size);
	store->shard_count = config->shard_count;
	memcpy(store->secret, config->secret, sizeof store->secret);
	for (uint32_t i = 0; i < config->shard_count; i++) {
		if (shard_init(&store->shards[i], config, &store->flush, error) != STATUS_OK) {
			store_destroy(store);
			return NULL;
		}
	}
	return store;
}

void
store_destroy(struct store *store)
{
	for (uint32_t i = store->shard_count; i-- > 0;)
		shard_deinit(&store->shards[i]);
	free(store);
}

struct shard *
store_shard(struct store *store, uint32_t index)
{
	CHECK(index < store->shard_count);
	return &store->shards[index];
}

uint32_t
store_shard_count(const struct store *store)
{
	return store->shard_count;
}

uint64_t
store_digest(const struct store *store, struct view key)
{
	uint64_t digest = digest_siphash13(store->secret, key.data, key.len);

	return digest != 0 ? digest : 1; /* keymap.h, invariant 3 */
}

/* The lookups of one shard, as indexes into the caller's arrays. */
struct group {
	uint32_t count;
	uint8_t index[LOOKUP_BATCH_MAX];
	const uint64_t *digests[LOOKUP_BATCH_MAX];
	struct item *items[LOOKUP_BATCH_MAX];
};

/* Memory comparison without a call: keys are short and mostly equal here. */
static inline bool
bytes_equal(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	uint64_t differ = 0;
	uint32_t at;

	if (len < 8)
		return memcmp(a, b, len) == 0;
	for (at = 0; at + 8 <= len; at += 8)
		differ |= load_le64(a + at) ^ load_le64(b + at);
	/* The last 8 bytes, which may overlap the ones before. */
	return (differ | (load_le64(a + len - 8) ^ load_le64(b + len - 8))) == 0;
}

/* Header and key of a short key's item lie on one line or on two, by chance. A miss has no item. */
static inline void
prefetch_item(const struct item *item, uint32_t key_len)
{
	__builtin_prefetch(item);
	__builtin_prefetch((const void *)((uintptr_t)item + ITEM_HEADER_LEN + key_len));
}

static void
check_items(const struct now *now, uint64_t flushed_below, const struct lookup *lookups,
    const struct group *group, const struct item **items, uint64_t *expired)
{
	for (uint32_t i = 0; i < group->count; i++) {
		uint32_t at = group->index[i];
		const struct item *item = group->items[i];

		items[at] = NULL;
		if (!item || item->key_len != lookups[at].key.len ||
		    !bytes_equal(item->bytes, lookups[at].key.data, item->key_len))
			continue;
		if (item_expired(item, now->wall_ms))
			*expired |= 1ull << at;
		else if (item->version >= flushed_below)
			items[at] = item;
	}
}

static void
find_group(const struct shard *shard, const struct now *now, const struct lookup *lookups,
    struct group *group, const struct item **items, uint64_t *expired)
{
	/* In two halves, the second's lookups under the first's misses, it measured slower. */
	keymap_find_bulk(shard->map, group->digests, group->count, group->items);
	for (uint32_t i = 0; i < group->count; i++)
		prefetch_item(group->items[i], lookups[group->index[i]].key.len);
	check_items(now, shard_flushed_below(shard, now->wall_ms), lookups, group, items, expired);
}

/* Moves the waiting lookups of the first one's shard into a group. */
static uint32_t
gather(const struct lookup *lookups, uint64_t *waiting, struct group *group)
{
	uint32_t shard = lookups[__builtin_ctzll(*waiting)].shard;

	group->count = 0;
	for (uint64_t left = *waiting; left != 0; left &= left - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);

		if (lookups[i].shard != shard)
			continue;
		group->index[group->count] = (uint8_t)i;
		group->digests[group->count++] = &lookups[i].digest;
		*waiting &= ~(1ull << i);
	}
	return shard;
}

void
store_find(const struct store *store, const struct now *now, const struct lookup *lookups,
    uint32_t n, const struct item **items, uint64_t *expired)
{
	uint64_t waiting = (1ull << n) - 1;
	struct group group;

	CHECK(n <= LOOKUP_BATCH_MAX);
	*expired = 0;
	while (waiting != 0) {
		uint32_t shard = gather(lookups, &waiting, &group);

		CHECK(shard < store->shard_count);
		find_group(&store->shards[shard], now, lookups, &group, items, expired);
	}
}

void
item_read(const struct item *item)
{
	uint8_t *freq = (uint8_t *)(uintptr_t)&item->freq;
	uint8_t now = __atomic_load_n(freq, __ATOMIC_RELAXED), count = now & ITEM_FREQ_MASK;

	if (now < (ITEM_FETCHED | S3FIFO_FREQ_MAX))
		__atomic_store_n(freq, ITEM_FETCHED | (count < S3FIFO_FREQ_MAX ? count + 1 : count), __ATOMIC_RELAXED);
}

/* The furthest any shard's clock or `ms` has come, in ms since VERSION_EPOCH_MS. */
static uint64_t
latest_clock(const struct store *store, uint64_t ms)
{
	for (uint32_t i = 0; i < store->shard_count; i++) {
		uint64_t clock = (figure_read(&store->shards[i].last_clock) >> VERSION_LOGICAL_BITS) / 1000;

		ms = clock > ms ? clock : ms;
	}
	return ms;
}

/* Two threads may flush at once: the higher floor stays. */
static void
raise_floor(uint64_t *floor, uint64_t to)
{
	uint64_t at = __atomic_load_n(floor, __ATOMIC_RELAXED);

	while (at < to && !__atomic_compare_exchange_n(floor, &at, to, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

static uint64_t
since_epoch(uint64_t wall_ms)
{
	return wall_ms > VERSION_EPOCH_MS ? wall_ms - VERSION_EPOCH_MS : 0;
}

void
store_flush(struct store *store, const struct now *now, uint64_t when_ms)
{
	uint64_t last = __atomic_load_n(&store->flush.word, __ATOMIC_ACQUIRE);
	uint64_t from = since_epoch(now->wall_ms), before = from;

	if (when_ms > now->wall_ms)
		from = before = since_epoch(when_ms);
	else
		from -= from > FLUSH_SKEW_MS ? FLUSH_SKEW_MS : from;
	if (flush_active(last, now->wall_ms))
		raise_floor(&store->flush.floor, flush_boundary(last));
	__atomic_store_n(&store->flush.word,
	    flush_word(VERSION_EPOCH_MS + from, latest_clock(store, before) - from), __ATOMIC_RELEASE);
}

void
store_trim(struct store *store)
{
	for (uint32_t i = 0; i < store->shard_count; i++)
		arena_trim(store->shards[i].arena);
}

void
store_stats(struct store *store, struct shard_stats *sum)
{
	struct shard_stats one;

	*sum = (struct shard_stats){ 0 };
	for (uint32_t i = 0; i < store_shard_count(store); i++) {
		shard_stats(store_shard(store, i), &one);
#define FIGURE(name, metric, type, text) sum->name += one.name;
#include "store/figure.def"
#undef FIGURE
	}
}
